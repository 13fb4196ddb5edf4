//! Lists of tags and repositories, page by page.

use berth_types::TagMutabilityMode;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::manifests::next_page;
use crate::support::{MANIFEST, Server, refused};

#[tokio::test]
async fn tags_page_by_page() {
    let server = Server::start().await;
    let empty: Value = server.get("/v2/shop/api/tags/list").await.json().await.unwrap();
    assert_eq!(empty, json!({ "name": "shop/api", "tags": [] }));
    let text = server.image("shop/api", "layer", None).await;
    let tags = ["1.0", "1.10", "1.2", "b", "latest"];
    for tag in tags {
        let response = server.put_manifest("shop/api", tag, MANIFEST, &text).await;
        assert_eq!(response.status(), StatusCode::CREATED);
    }
    for (query, expected, more) in [
        ("", &tags[..], false),
        ("?n=2", &tags[..2], true),
        ("?n=2&last=1.10", &tags[2..4], true),
        ("?n=2&last=1.2", &tags[3..], false),
        ("?last=1.11", &tags[2..], false),
        ("?n=5", &tags[..], false),
        ("?n=99999999999999999999", &tags[..], false),
        ("?n=0", &[], false),
        ("?n=0&last=b", &[], false),
        ("?last=zzz", &[], false),
    ] {
        let response = server.get(&format!("/v2/shop/api/tags/list{query}")).await;
        assert_eq!(next_page(response.headers()).is_some(), more, "{query}");
        let list: Value = response.json().await.unwrap();
        assert_eq!(list, json!({ "name": "shop/api", "tags": expected }), "{query}");
    }
    let mut next = Some("/v2/shop/api/tags/list?n=1".to_owned());
    let mut found = Vec::new();
    while let Some(path) = next {
        let response = server.get(&path).await;
        next = next_page(response.headers());
        let list: Value = response.json().await.unwrap();
        found.extend(list["tags"].as_array().unwrap().clone());
    }
    assert_eq!(found, tags);
    for query in ["?n=-1", "?n=x", "?last=-x", "?last=a%2Fb"] {
        refused(server.get(&format!("/v2/shop/api/tags/list{query}")).await, 400, "UNSUPPORTED").await;
    }
}

#[tokio::test]
async fn the_catalog_page_by_page() {
    let server = Server::start().await;
    server.create("zoo", TagMutabilityMode::Mutable).await;
    let all = ["shop/api", "shop/web", "zoo"];
    for (query, expected, more) in [
        ("", &all[..], false),
        ("?n=2", &all[..2], true),
        ("?n=2&last=shop/web", &all[2..], false),
        ("?n=0", &[], false),
        ("?n=5000", &all[..], false),
    ] {
        let response = server.get(&format!("/v2/_catalog{query}")).await;
        assert_eq!(next_page(response.headers()).is_some(), more, "{query}");
        let list: Value = response.json().await.unwrap();
        assert_eq!(list, json!({ "repositories": expected }), "{query}");
    }
    let first = server.get("/v2/_catalog?n=1").await;
    let second: Value = server.get(&next_page(first.headers()).unwrap()).await.json().await.unwrap();
    assert_eq!(second, json!({ "repositories": ["shop/web"] }));
    refused(server.get("/v2/_catalog?last=No").await, 400, "UNSUPPORTED").await;
}
