//! What an operator looks at, and what is not there.

use reqwest::{Method, StatusCode};

use crate::support::{Server, header};

#[tokio::test]
async fn healthy_and_ready() {
    let server = Server::start().await;
    for path in ["/healthz", "/readyz"] {
        let response = server.anonymous(Method::GET, path).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert_eq!(response.text().await.unwrap(), "ok\n");
        let response = server.anonymous(Method::POST, path).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(header(&response, "allow"), "GET, HEAD");
    }
}

#[tokio::test]
async fn metrics_count_requests_and_what_there_is() {
    let server = Server::start().await;
    server.push_image("shop/api", "v1", "layer").await;
    server.get("/v2/shop/api/manifests/v1").await;
    server.get("/v2/shop/api/manifests/absent").await;
    server.start_upload("shop/api").await;
    let response = server.anonymous(Method::GET, "/metrics").send().await.unwrap();
    assert!(header(&response, "content-type").starts_with("application/openmetrics-text"));
    let text = response.text().await.unwrap();
    for line in [
        r#"berth_requests_total{plane="oci",operation="GetManifest",status="200"} 1"#,
        r#"berth_requests_total{plane="oci",operation="GetManifest",status="404"} 1"#,
        r#"berth_requests_total{plane="oci",operation="PutManifest",status="201"} 1"#,
        r#"berth_request_duration_seconds_count{plane="oci",operation="GetManifest"} 2"#,
        r#"berth_received_bytes_total{plane="oci"}"#,
        r#"berth_sent_bytes_total{plane="oci"}"#,
        "berth_requests_in_flight 1",
        "berth_repositories 2",
        "berth_images 1",
        "berth_uploads_open 1",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[tokio::test]
async fn what_is_not_there_says_so() {
    let server = Server::start().await;
    for path in ["/", "/v1/", "/v2x", "/index.html"] {
        let response = server.anonymous(Method::GET, path).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
        assert!(!header(&response, "x-request-id").is_empty());
        assert!(response.text().await.unwrap().contains("/v2/"));
    }
}

#[tokio::test]
async fn web_pages_are_kept_out_of_every_plane() {
    let server = Server::start().await;
    for (method, path) in [
        (Method::GET, "/v2/"),
        (Method::POST, "/"),
        (Method::GET, "/layers/x"),
        (Method::GET, "/metrics"),
        (Method::GET, "/nothing"),
    ] {
        for (name, value) in [("host", "evil.example"), ("origin", "http://evil.example"), ("origin", "null")]
        {
            let request = server.request(method.clone(), path).header(name, value);
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), StatusCode::FORBIDDEN, "{method} {path} with {name}: {value}");
            assert!(response.text().await.unwrap().contains("does not serve"));
        }
    }
    let own = format!("http://{}", server.address);
    let response = server.request(Method::GET, "/v2/").header("origin", own).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let probe =
        server.anonymous(Method::GET, "/healthz").header("host", "10.1.2.3:5000").send().await.unwrap();
    assert_eq!(probe.status(), StatusCode::OK);
}

#[tokio::test]
async fn speaks_http2_without_tls() {
    let server = Server::start().await;
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let content = vec![7; 3_000_000];
    let digest = server.push_blob("shop/api", &content).await;
    let url = format!("http://{}/v2/shop/api/blobs/{digest}", server.address);
    let response = client.get(url).basic_auth("AWS", Some(&server.password)).send().await.unwrap();
    assert_eq!(response.version(), reqwest::Version::HTTP_2);
    assert_eq!(response.bytes().await.unwrap(), content);
}
