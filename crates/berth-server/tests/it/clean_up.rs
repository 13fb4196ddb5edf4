//! What the server cleans up by itself.

use std::time::Duration;

use berth_server::{CleanUp, ServerOptions};
use berth_types::Digest;
use reqwest::{Method, StatusCode};

use crate::support::Server;

/// A server that looks for work all the time.
async fn eager() -> Server {
    let clean_up = CleanUp { interval: Duration::from_millis(10), ..CleanUp::default() };
    Server::with(ServerOptions { clean_up, ..ServerOptions::default() }).await
}

/// Asks until the metric has the value; the test's own time limit ends it otherwise.
async fn wait_for_metric(server: &Server, line: &str) -> String {
    loop {
        let response = server.anonymous(Method::GET, "/metrics").send().await.unwrap();
        let text = response.text().await.unwrap();
        if text.lines().any(|found| found == line) {
            return text;
        }
    }
}

#[tokio::test]
async fn blobs_of_deleted_images_are_collected_and_counted() {
    let server = eager().await;
    let layer = Digest::sha256(b"layer");
    server.push_image("shop/api", "v1", "layer").await;
    let head = server.request(Method::HEAD, "/v2/shop/api/manifests/v1").send().await.unwrap();
    let digest = head.headers()["docker-content-digest"].to_str().unwrap().to_owned();
    let path = format!("/v2/shop/api/manifests/{digest}");
    let deleted = server.request(Method::DELETE, &path).send().await.unwrap();
    assert_eq!(deleted.status(), StatusCode::ACCEPTED);
    let blob = format!("/v2/shop/api/blobs/{layer}");
    assert_eq!(server.request(Method::HEAD, &blob).send().await.unwrap().status(), StatusCode::OK);
    server.clock.advance(Duration::from_secs(2 * 3600));
    let metrics = wait_for_metric(&server, "berth_collected_blobs_total 2").await;
    assert!(metrics.contains("berth_collected_bytes_total 7"), "{metrics}");
    assert_eq!(server.request(Method::HEAD, &blob).send().await.unwrap().status(), StatusCode::NOT_FOUND);
}
