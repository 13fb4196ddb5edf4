//! Clients that are slow, broken or hostile.

use std::time::{Duration, Instant};

use berth_types::Digest;
use reqwest::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Server, header, read_to_close, refused};

/// The head of a request with credentials.
fn head(server: &Server, line: &str, rest: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: localhost\r\n{}{rest}\r\n", server.authorization())
}

#[tokio::test]
async fn silence_ends_a_connection() {
    let server = Server::impatient().await;
    for sent in ["", "P", "PRI * HTTP/2.0", "GET /v2/ HTTP/1.1\r\nHost: lo"] {
        let started = Instant::now();
        let answer = server.raw(sent.as_bytes()).await;
        assert!(started.elapsed() < Duration::from_secs(5), "{sent:?} waited {:?}", started.elapsed());
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{sent:?}: {answer}");
    }
    // And between requests.
    let answer = server.raw(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn silence_within_a_body_is_a_timeout_and_keeps_what_was_acknowledged() {
    let server = Server::impatient().await;
    let location = server.start_upload("shop/api").await;
    let first = server.request(reqwest::Method::PATCH, &location).body("abc").send().await.unwrap();
    assert_eq!(header(&first, "range"), "0-2");
    let mut request = head(&server, &format!("PATCH {location}"), "Content-Length: 100\r\n");
    request.push_str("only a part");
    let answer = server.raw(request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("the client sent nothing for"), "{answer}");
    let status = server.get(&location).await;
    assert_eq!((status.status(), header(&status, "range")), (StatusCode::NO_CONTENT, "0-2"));
    let digest = Digest::sha256(b"abc");
    let done = server.send(reqwest::Method::PUT, &format!("{location}?digest={digest}")).await;
    assert_eq!(done.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn a_body_cut_off_changes_nothing() {
    let server = Server::start().await;
    let content = vec![1_u8; 200_000];
    let digest = Digest::sha256(&content);
    let location = server.start_upload("shop/api").await;
    let manifest = server.image("shop/api", "layer", None).await;
    for (line, rest, body) in [
        (format!("PATCH {location}"), "", &content[..100_000]),
        (format!("PUT {location}?digest={digest}"), "", &content[..199_999]),
        (format!("POST /v2/shop/api/blobs/uploads/?digest={digest}"), "", &content[..1]),
        (
            "PUT /v2/shop/api/manifests/cut".to_owned(),
            "Content-Type: application/vnd.oci.image.manifest.v1+json\r\n",
            manifest.as_bytes(),
        ),
    ] {
        let mut socket = server.connect().await;
        let rest = format!("{rest}Content-Length: 200000\r\n");
        socket.write_all(head(&server, &line, &rest).as_bytes()).await.unwrap();
        socket.write_all(body).await.unwrap();
        drop(socket);
    }
    // The session may still be held by a request whose end the server has not seen yet.
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let path = format!("{location}?digest={digest}");
        let request = server.request(reqwest::Method::PUT, &path).body(content.clone());
        let response = request.send().await.unwrap();
        match response.status() {
            StatusCode::CREATED => break,
            StatusCode::CONFLICT if Instant::now() < deadline => tokio::task::yield_now().await,
            status => panic!("{status}: {}", response.text().await.unwrap()),
        }
    }
    refused(server.get("/v2/shop/api/manifests/cut").await, 404, "MANIFEST_UNKNOWN").await;
    let pulled = server.get(&format!("/v2/shop/api/blobs/{digest}")).await.bytes().await.unwrap();
    assert_eq!(pulled, content);
}

#[tokio::test]
async fn an_early_refusal_reaches_a_client_that_is_still_sending() {
    let server = Server::start().await;
    let answer_to = |line: &'static str, rest: &'static str, authorised: bool| {
        let server = &server;
        async move {
            let mut socket = server.connect().await;
            let authorization = if authorised { server.authorization() } else { String::new() };
            let request = format!("{line} HTTP/1.1\r\nHost: localhost\r\n{authorization}{rest}\r\n");
            socket.write_all(request.as_bytes()).await.unwrap();
            let megabyte = vec![b'x'; 1 << 20];
            for _ in 0..8 {
                // What is refused may be cut off, but not before the answer is there.
                if socket.write_all(&megabyte).await.is_err() {
                    break;
                }
            }
            read_to_close(&mut socket).await
        }
    };
    let length = "Content-Length: 8388608\r\n";
    let answer =
        answer_to("PATCH /v2/no/such/blobs/uploads/7f3cbd27-2c3f-4b1f-8d1a-0e6a4a2d9f10", length, true).await;
    assert!(answer.starts_with("HTTP/1.1 404") && answer.contains("NAME_UNKNOWN"), "{answer}");
    let answer = answer_to("PUT /v2/shop/api/manifests/v1", length, true).await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("MANIFEST_INVALID"), "{answer}");
    let answer = answer_to("POST /v2/shop/api/blobs/uploads/?digest=x", length, false).await;
    assert!(answer.starts_with("HTTP/1.1 401") && answer.contains("Not Authorized"), "{answer}");
}

#[tokio::test]
async fn a_client_that_waits_to_continue_is_refused_before_it_sends() {
    let server = Server::impatient().await;
    let rest = "Content-Length: 1000\r\nExpect: 100-continue\r\n";
    let line = "PATCH /v2/no/such/blobs/uploads/7f3cbd27-2c3f-4b1f-8d1a-0e6a4a2d9f10";
    let answer = server.raw(head(&server, line, rest).as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    assert!(answer.to_ascii_lowercase().contains("\r\nconnection: close\r\n"), "{answer}");
}

#[tokio::test]
async fn only_a_connection_that_ends_is_said_to_end() {
    let server = Server::start().await;
    let whole = server.anonymous(reqwest::Method::GET, "/healthz").send().await.unwrap();
    assert_eq!(whole.headers().get("connection"), None);
    let unread = format!(
        "{}{}",
        head(&server, "GET /v2/no/such/manifests/v1", "Content-Length: 100000\r\n"),
        "x".repeat(100_000)
    );
    let unread = server.raw(unread.as_bytes()).await;
    assert!(unread.to_ascii_lowercase().contains("connection: close"), "{unread}");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off() {
    let server = Server::impatient().await;
    let content = vec![3_u8; 32 << 20];
    let digest = server.push_blob("shop/api", &content).await;
    let mut socket = server.connect().await;
    let request = head(&server, &format!("GET /v2/shop/api/blobs/{digest}"), "");
    socket.write_all(request.as_bytes()).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let metrics = server.anonymous(reqwest::Method::GET, "/metrics").send().await.unwrap();
        // Only the scrape itself is left.
        if metrics.text().await.unwrap().contains("berth_requests_in_flight 1\n") {
            break;
        }
        assert!(Instant::now() < deadline, "the request is still there");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut taken = 0;
    let mut buffer = vec![0; 1 << 20];
    while let Ok(count) = socket.read(&mut buffer).await {
        if count == 0 {
            break;
        }
        taken += count;
    }
    assert!(taken < content.len(), "not all of it can have been sent");
}

#[tokio::test]
async fn oversize_and_malformed_heads() {
    let server = Server::start().await;
    let long = "x".repeat(70_000);
    let many: String = (0..200).map(|number| format!("X-{number}: y\r\n")).collect();
    for (request, status) in [
        (format!("GET /v2/ HTTP/1.1\r\nHost: localhost\r\nX: {long}\r\n\r\n"), "431"),
        (format!("GET /v2/?{long} HTTP/1.1\r\nHost: localhost\r\n\r\n"), "4"),
        (format!("GET /v2/ HTTP/1.1\r\nHost: localhost\r\n{many}\r\n"), "431"),
        ("GET /v2/ HTTP/1.1\r\n\r\n".to_owned(), "400"),
        ("GET /v2/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_owned(), "400"),
        ("GET /v2/ HTTP/9.9\r\nHost: localhost\r\n\r\n".to_owned(), "400"),
        ("\0\0\0\0\r\n\r\n".to_owned(), "400"),
        ("GET\r\n\r\n".to_owned(), "400"),
        ("POST /v2/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n".to_owned(), "400"),
        (
            "POST /v2/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"
                .to_owned(),
            "400",
        ),
    ] {
        let request = request.replacen("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1);
        let answer = server.raw(request.as_bytes()).await;
        let shown = &request[..request.len().min(80)];
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{shown:?}: {answer:?}");
    }
    // The server is as well as before.
    assert_eq!(server.get("/v2/").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn broken_chunks_are_refused() {
    let server = Server::start().await;
    let location = server.start_upload("shop/api").await;
    let request = head(&server, &format!("PATCH {location}"), "Transfer-Encoding: chunked\r\n");
    let answer = server.raw(format!("{request}zz\r\nabc\r\n0\r\n\r\n").as_bytes()).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    let status = server.get(&location).await;
    assert_eq!((status.status(), header(&status, "range")), (StatusCode::NO_CONTENT, "0-0"));
}

#[tokio::test]
async fn odd_request_targets() {
    let server = Server::start().await;
    for (line, status) in [
        ("GET http://localhost/v2/", "200"),
        ("GET http://evil.example/v2/", "403"),
        ("GET //v2/", "404"),
        ("GET /v2/%", "404"),
        ("GET /v2/?n=%&last=%zz&&=&=x", "200"),
        ("GET /v2/shop/api/tags/list?n=%00", "400"),
        ("OPTIONS *", "404"),
        ("CONNECT localhost:80", "404"),
        ("TRACE /v2/", "405"),
        ("BREW /v2/shop/api/manifests/v1", "405"),
        ("GET /v2/../v2/", "404"),
        ("GET /./v2/", "404"),
        ("GET /v2/shop/api/manifests/v1#x", "4"),
    ] {
        let request = head(&server, line, "Connection: close\r\n");
        let answer = server.raw(request.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{line}: {answer}");
    }
}

#[tokio::test]
async fn no_single_wrong_byte_of_a_head_does_harm() {
    let server = Server::impatient().await;
    server.push_image("shop/api", "v1", "layer").await;
    let rest = "Range: bytes=0-1\r\nContent-Length: 0\r\nIf-None-Match: \"x\"\r\nConnection: close\r\n";
    let request = head(&server, "GET /v2/shop/api/manifests/v1?n=1", rest);
    // The long token is like any other value; its first bytes stand for the rest.
    let token = request.find("Basic ").unwrap() + 12;
    let token = token..request[token..].find('\r').unwrap() + token;
    let places: Vec<usize> = (0..request.len()).filter(|place| !token.contains(place)).collect();
    for byte in [0, b'\r', 0xff] {
        let answers = places.iter().map(|place| {
            let mut changed = request.clone().into_bytes();
            changed[*place] = byte;
            let server = &server;
            async move { (*place, server.raw(&changed).await) }
        });
        for (place, answer) in futures_util::future::join_all(answers).await {
            let is_harmless =
                answer.is_empty() || answer.starts_with("HTTP/1.1 2") || answer.starts_with("HTTP/1.1 4");
            assert!(is_harmless, "byte {byte} at {place}: {answer}");
        }
    }
    assert_eq!(server.get("/v2/shop/api/manifests/v1").await.status(), StatusCode::OK);
}
