//! What the server cleans up by itself.

use std::time::Duration;

use berth_server::{CleanUp, ServerOptions};
use berth_types::Digest;
use reqwest::{Method, StatusCode};

use crate::support::Server;

/// A server that looks for work all the time.
async fn eager() -> Server {
    let clean_up = CleanUp {
        interval: Duration::from_millis(10),
        lifecycle_interval: Duration::from_secs(1),
        ..CleanUp::default()
    };
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

#[tokio::test]
async fn lifecycle_policies_run_by_themselves() {
    let server = eager().await;
    for version in 1..=25 {
        server.push_image("shop/api", &format!("v{version}"), &format!("layer {version}")).await;
        server.clock.advance(Duration::from_secs(1));
    }
    let policy = r#"{"rules": [{"rulePriority": 1, "description": "Keep the last 20 versions", "selection":
        {"tagStatus": "tagged", "tagPatternList": ["v*"], "countType": "imageCountMoreThan", "countNumber": 20},
        "action": {"type": "expire"}}]}"#;
    let name = "shop/api".parse().unwrap();
    server.registry.put_lifecycle_policy(&server.caller, &name, policy).await.unwrap();
    // The scheduler sees the policy, and an interval later runs it: time is moved on until it has.
    loop {
        let tags: serde_json::Value =
            server.get("/v2/shop/api/tags/list").await.json::<serde_json::Value>().await.unwrap();
        if tags["tags"].as_array().unwrap().len() == 20 {
            break;
        }
        server.clock.advance(Duration::from_secs(1));
    }
    wait_for_metric(&server, "berth_expired_images_total 5").await;
    assert_eq!(server.get("/v2/shop/api/manifests/v5").await.status(), StatusCode::NOT_FOUND);
    assert_eq!(server.get("/v2/shop/api/manifests/v6").await.status(), StatusCode::OK);
    let runs = server.registry.lifecycle_runs(&server.caller, &name, None, 10).await.unwrap().items;
    let run = runs.iter().find(|run| run.images > 0).unwrap();
    let undone = server.registry.undo_lifecycle_run(&server.caller, &name, run.id).await.unwrap();
    assert_eq!(undone.restored.len(), 5);
    assert_eq!(server.get("/v2/shop/api/manifests/v1").await.status(), StatusCode::OK);
}
