//! Blobs: every way in, every way out.

use berth_types::{Algorithm, Digest};
use reqwest::{Method, StatusCode};

use crate::support::{Server, header, refused};

#[tokio::test]
async fn post_then_put() {
    let server = Server::start().await;
    let content = "hello";
    let digest = Digest::sha256(content.as_bytes());
    let location = server.start_upload("shop/api").await;
    let request = server.request(Method::PUT, &format!("{location}?digest={digest}")).body(content);
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::CREATED);
    let path = format!("/v2/shop/api/blobs/{digest}");
    assert_eq!(header(&response, "location"), path);
    assert_eq!(header(&response, "docker-content-digest"), digest.to_string());

    let response = server.get(&path).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(header(&response, "content-length"), "5");
    assert_eq!(header(&response, "content-type"), "application/octet-stream");
    assert_eq!(header(&response, "docker-content-digest"), digest.to_string());
    assert_eq!(header(&response, "accept-ranges"), "bytes");
    assert_eq!(header(&response, "etag"), format!("\"{digest}\""));
    assert_eq!(response.text().await.unwrap(), content);

    let response = server.send(Method::HEAD, &path).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(header(&response, "content-length"), "5");
    // The session is over.
    refused(server.get(&location).await, 404, "BLOB_UPLOAD_UNKNOWN").await;
}

#[tokio::test]
async fn chunks_in_order_and_out_of_order() {
    let server = Server::start().await;
    let digest = Digest::of(Algorithm::Sha512, b"abcdefgh");
    let response = server.send(Method::POST, "/v2/shop/api/blobs/uploads/?digest-algorithm=sha512").await;
    let location = header(&response, "location").to_owned();
    assert_eq!(header(&response, "range"), "0-0");
    let uuid = header(&response, "docker-upload-uuid").to_owned();
    assert!(location.ends_with(&uuid));

    let patch = |range: &'static str, content: &'static str| {
        server.request(Method::PATCH, &location).header("content-range", range).body(content).send()
    };
    let response = patch("0-2", "abc").await.unwrap();
    assert_eq!((response.status(), header(&response, "range")), (StatusCode::ACCEPTED, "0-2"));
    for range in ["4-5", "0-1", "2-3"] {
        let response = patch(range, "xy").await.unwrap();
        assert_eq!(header(&response, "range"), "0-2", "after {range}");
        assert_eq!(header(&response, "location"), location);
        refused(response, 416, "BLOB_UPLOAD_INVALID").await;
    }
    for range in ["x", "3", "5-4", "-5", "bytes=3-4"] {
        refused(patch(range, "xy").await.unwrap(), 400, "BLOB_UPLOAD_INVALID").await;
    }
    refused(patch("3-9", "xy").await.unwrap(), 400, "SIZE_INVALID").await;
    let response = server.get(&location).await;
    assert_eq!((response.status(), header(&response, "range")), (StatusCode::NO_CONTENT, "0-2"));

    let response = patch("bytes 3-4/8", "de").await.unwrap();
    assert_eq!((response.status(), header(&response, "range")), (StatusCode::ACCEPTED, "0-4"));
    let last = server.request(Method::PUT, &format!("{location}?digest={digest}"));
    let response = last.header("content-range", "5-7").body("fgh").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::CREATED);
    assert_eq!(server.get(&format!("/v2/shop/api/blobs/{digest}")).await.text().await.unwrap(), "abcdefgh");
}

#[tokio::test]
async fn a_stream_without_length() {
    let server = Server::start().await;
    let location = server.start_upload("shop/api").await;
    let chunks = (0..20_u8).map(|byte| Ok::<_, std::io::Error>(vec![byte; 50_000]));
    let content: Vec<u8> = (0..20_u8).flat_map(|byte| vec![byte; 50_000]).collect();
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
    let response = server.request(Method::PATCH, &location).body(body).send().await.unwrap();
    assert_eq!((response.status(), header(&response, "range")), (StatusCode::ACCEPTED, "0-999999"));
    let digest = Digest::sha256(&content);
    let response = server.send(Method::PUT, &format!("{location}?digest={digest}")).await;
    assert_eq!(response.status(), StatusCode::CREATED);
    let pulled = server.get(&format!("/v2/shop/api/blobs/{digest}")).await.bytes().await.unwrap();
    assert_eq!(pulled, content);
}

#[tokio::test]
async fn cancelled_uploads_are_gone() {
    let server = Server::start().await;
    let location = server.start_upload("shop/api").await;
    assert_eq!(server.send(Method::DELETE, &location).await.status(), StatusCode::NO_CONTENT);
    for method in [Method::GET, Method::PATCH, Method::DELETE] {
        refused(server.send(method, &location).await, 404, "BLOB_UPLOAD_UNKNOWN").await;
    }
    let elsewhere = server.start_upload("shop/api").await.replace("shop/api", "shop/web");
    refused(server.get(&elsewhere).await, 404, "BLOB_UPLOAD_UNKNOWN").await;
}

#[tokio::test]
async fn wrong_and_malformed_digests() {
    let server = Server::start().await;
    let wrong = Digest::sha256(b"other");
    let uploads = "/v2/shop/api/blobs/uploads/";
    let request = server.request(Method::POST, &format!("{uploads}?digest={wrong}")).body("content");
    refused(request.send().await.unwrap(), 400, "DIGEST_INVALID").await;
    let location = server.start_upload("shop/api").await;
    let request = server.request(Method::PUT, &format!("{location}?digest={wrong}")).body("content");
    refused(request.send().await.unwrap(), 400, "DIGEST_INVALID").await;
    refused(server.get(&format!("/v2/shop/api/blobs/{wrong}")).await, 404, "BLOB_UNKNOWN").await;

    let location = server.start_upload("shop/api").await;
    for path in [
        location.clone(),
        format!("{location}?digest="),
        format!("{location}?digest=sha256:0"),
        format!("{location}?digest=md5:d41d8cd98f00b204e9800998ecf8427e"),
    ] {
        refused(server.send(Method::PUT, &path).await, 400, "DIGEST_INVALID").await;
    }
    for query in ["?digest=x", "?digest-algorithm=md5", "?mount=x", "?mount=sha256:0&from=shop/web"] {
        refused(server.send(Method::POST, &format!("{uploads}{query}")).await, 400, "DIGEST_INVALID").await;
    }
    refused(server.get("/v2/shop/api/blobs/sha256:0").await, 400, "DIGEST_INVALID").await;
}

#[tokio::test]
async fn mounts() {
    let server = Server::start().await;
    let digest = server.push_blob("shop/web", "shared").await;
    for query in [format!("mount={digest}&from=shop/web"), format!("mount={digest}")] {
        let response = server.send(Method::POST, &format!("/v2/shop/api/blobs/uploads/?{query}")).await;
        assert_eq!(response.status(), StatusCode::CREATED, "{query}");
        assert_eq!(header(&response, "location"), format!("/v2/shop/api/blobs/{digest}"));
    }
    let absent = Digest::sha256(b"absent");
    for query in [
        format!("mount={absent}&from=shop/web"),
        format!("mount={absent}"),
        format!("mount={digest}&from=no/such"),
        format!("mount={}&from=shop/web", Digest::of(Algorithm::Sha512, b"shared")),
    ] {
        let response = server.send(Method::POST, &format!("/v2/shop/api/blobs/uploads/?{query}")).await;
        assert_eq!(response.status(), StatusCode::ACCEPTED, "{query}");
        assert!(header(&response, "location").contains("/blobs/uploads/"));
    }
    let bad_name = format!("/v2/shop/api/blobs/uploads/?mount={digest}&from=No");
    refused(server.send(Method::POST, &bad_name).await, 400, "NAME_INVALID").await;
}

#[tokio::test]
async fn ranges_and_conditions() {
    let server = Server::start().await;
    let digest = server.push_blob("shop/api", "0123456789").await;
    let path = format!("/v2/shop/api/blobs/{digest}");
    let ask =
        |name: &'static str, value: String| server.request(Method::GET, &path).header(name, value).send();
    for (range, expected, of) in [
        ("bytes=2-4", "234", "bytes 2-4/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=-2", "89", "bytes 8-9/10"),
        ("bytes=8-99", "89", "bytes 8-9/10"),
    ] {
        let response = ask("range", range.to_owned()).await.unwrap();
        assert_eq!(
            (response.status(), header(&response, "content-range")),
            (StatusCode::PARTIAL_CONTENT, of)
        );
        assert_eq!(header(&response, "content-length"), expected.len().to_string());
        assert_eq!(response.text().await.unwrap(), expected);
    }
    for range in ["bytes=10-", "bytes=5-2", "bytes=-0"] {
        let response = ask("range", range.to_owned()).await.unwrap();
        assert_eq!(header(&response, "content-range"), "bytes */10");
        refused(response, 416, "SIZE_INVALID").await;
    }
    for range in ["bytes=1-2,4-5", "lines=1-2", "bytes=x"] {
        let response = ask("range", range.to_owned()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{range}");
        assert_eq!(response.text().await.unwrap(), "0123456789");
    }
    let response = ask("if-none-match", format!("\"{digest}\"")).await.unwrap();
    assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(header(&response, "etag"), format!("\"{digest}\""));
    let response = ask("if-none-match", "\"other\"".to_owned()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let absent = format!("/v2/shop/api/blobs/{}", Digest::sha256(b"absent"));
    let request = server.request(Method::GET, &absent).header("range", "bytes=0-1");
    refused(request.send().await.unwrap(), 404, "BLOB_UNKNOWN").await;
}

#[tokio::test]
async fn the_empty_blob() {
    let server = Server::start().await;
    let digest = server.push_blob("shop/api", "").await;
    let path = format!("/v2/shop/api/blobs/{digest}");
    let response = server.get(&path).await;
    assert_eq!((response.status(), header(&response, "content-length")), (StatusCode::OK, "0"));
    let response = server.request(Method::GET, &path).header("range", "bytes=0-").send().await.unwrap();
    assert_eq!(header(&response, "content-range"), "bytes */0");
    refused(response, 416, "SIZE_INVALID").await;
}

#[tokio::test]
async fn deletes() {
    let server = Server::start().await;
    let digest = server.push_blob("shop/api", "unused").await;
    let path = format!("/v2/shop/api/blobs/{digest}");
    assert_eq!(server.send(Method::DELETE, &path).await.status(), StatusCode::ACCEPTED);
    refused(server.get(&path).await, 404, "BLOB_UNKNOWN").await;
    refused(server.send(Method::DELETE, &path).await, 404, "BLOB_UNKNOWN").await;
    server.push_image("shop/api", "v1", "used").await;
    let used = format!("/v2/shop/api/blobs/{}", Digest::sha256(b"used"));
    refused(server.send(Method::DELETE, &used).await, 405, "UNSUPPORTED").await;
    assert_eq!(server.get(&used).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn repositories_that_are_not_there() {
    let server = Server::start().await;
    let digest = Digest::sha256(b"x");
    for (method, path) in [
        (Method::POST, "/v2/no/such/blobs/uploads/".to_owned()),
        (Method::POST, format!("/v2/no/such/blobs/uploads/?digest={digest}")),
        (Method::POST, format!("/v2/no/such/blobs/uploads/?mount={digest}&from=shop/api")),
        (Method::GET, format!("/v2/no/such/blobs/{digest}")),
        (Method::DELETE, format!("/v2/no/such/blobs/{digest}")),
        (Method::GET, "/v2/no/such/tags/list".to_owned()),
        (Method::GET, "/v2/no/such/tags/list?n=0".to_owned()),
        (Method::GET, format!("/v2/no/such/referrers/{digest}")),
        (Method::GET, "/v2/no/such/manifests/v1".to_owned()),
        (Method::DELETE, "/v2/no/such/manifests/v1".to_owned()),
    ] {
        let error = refused(server.send(method, &path).await, 404, "NAME_UNKNOWN").await;
        let text = "The repository with name 'no/such' does not exist in the registry with id '123456789012'";
        assert_eq!(error["message"], text, "{path}");
    }
    for name in ["Shop", "a", "shop%2Fapi", "shop//api", "shop/../api"] {
        let path = format!("/v2/{name}/tags/list");
        let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
        let answer = server.raw(format!("{head}{}\r\n", server.authorization()).as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("NAME_INVALID"), "{path}: {answer}");
    }
}

#[tokio::test]
async fn a_url_for_download_needs_no_credentials() {
    let server = Server::start().await;
    server.push_image("shop/api", "v1", "0123456789").await;
    let digest = Digest::sha256(b"0123456789");
    let name = "shop/api".parse().unwrap();
    let url = server.registry.layer_download_path(&server.caller, &name, &digest).await.unwrap();
    let response = server.anonymous(Method::GET, &url).send().await.unwrap();
    assert_eq!((response.status(), header(&response, "content-length")), (StatusCode::OK, "10"));
    assert_eq!(response.text().await.unwrap(), "0123456789");
    let ranged = server.anonymous(Method::GET, &url).header("range", "bytes=3-4").send().await.unwrap();
    assert_eq!(ranged.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(header(&ranged, "content-range"), "bytes 3-4/10");
    assert_eq!(ranged.text().await.unwrap(), "34");
    let head = server.anonymous(Method::HEAD, &url).send().await.unwrap();
    assert_eq!((head.status(), header(&head, "content-length")), (StatusCode::OK, "10"));
    let beyond = server.anonymous(Method::GET, &url).header("range", "bytes=10-").send().await.unwrap();
    assert_eq!(beyond.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    let post = server.anonymous(Method::POST, &url).send().await.unwrap();
    assert_eq!(post.status(), StatusCode::METHOD_NOT_ALLOWED);

    let tampered = url.replace("shop/api", "shop/web");
    for path in [tampered.as_str(), "/layers/x", "/layers/", &format!("{url}0")] {
        let response = server.anonymous(Method::GET, path).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::FORBIDDEN, "{path}");
    }
    server.clock.advance(std::time::Duration::from_secs(3601));
    let response = server.anonymous(Method::GET, &url).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert!(response.text().await.unwrap().contains("expired"));
}
