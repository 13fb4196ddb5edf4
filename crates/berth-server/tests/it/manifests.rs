//! Manifests and referrers.

use berth_types::{Digest, TagMutabilityMode, limits};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{INDEX, MANIFEST, Server, header, refused};

#[tokio::test]
async fn by_tag_and_by_digest() {
    let server = Server::start().await;
    let text = server.push_image("shop/api", "v1", "layer").await;
    let digest = Digest::sha256(text.as_bytes());
    for reference in ["v1".to_owned(), digest.to_string()] {
        let path = format!("/v2/shop/api/manifests/{reference}");
        let request = server.request(Method::GET, &path).header("accept", INDEX);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "served whatever is accepted");
        assert_eq!(header(&response, "content-type"), MANIFEST);
        assert_eq!(header(&response, "docker-content-digest"), digest.to_string());
        assert_eq!(header(&response, "etag"), format!("\"{digest}\""));
        assert_eq!(response.text().await.unwrap(), text);
        let response = server.send(Method::HEAD, &path).await;
        assert_eq!(header(&response, "content-length"), text.len().to_string());
        assert_eq!(header(&response, "content-type"), MANIFEST);
        let request = server.request(Method::GET, &path).header("if-none-match", format!("\"{digest}\""));
        assert_eq!(request.send().await.unwrap().status(), StatusCode::NOT_MODIFIED);
    }
    refused(server.get("/v2/shop/api/manifests/v2").await, 404, "MANIFEST_UNKNOWN").await;
    refused(server.get("/v2/shop/api/manifests/.v2").await, 400, "TAG_INVALID").await;
    refused(server.get("/v2/shop/api/manifests/sha256:0").await, 400, "DIGEST_INVALID").await;
    let head = server.send(Method::HEAD, "/v2/shop/api/manifests/v2").await;
    assert_eq!(head.status(), StatusCode::NOT_FOUND);
    assert_eq!(head.text().await.unwrap(), "");
}

#[tokio::test]
async fn tags_of_a_push_by_digest() {
    let server = Server::start().await;
    let text = server.image("shop/api", "layer", None).await;
    let digest = Digest::sha256(text.as_bytes());
    let reference = format!("{digest}?tag=v1&tag=v1.2&tag=v1");
    let response = server.put_manifest("shop/api", &reference, MANIFEST, &text).await;
    assert_eq!(response.status(), StatusCode::CREATED);
    assert_eq!(header(&response, "location"), format!("/v2/shop/api/manifests/{digest}"));
    let tags: Vec<_> = response.headers().get_all("oci-tag").iter().collect();
    assert_eq!(tags, ["v1", "v1.2"]);
    assert_eq!(server.get("/v2/shop/api/manifests/v1.2").await.status(), StatusCode::OK);

    let bad = server.put_manifest("shop/api", &format!("{digest}?tag=-x"), MANIFEST, &text).await;
    refused(bad, 400, "TAG_INVALID").await;
    let many: String = (0..=limits::BATCH_ITEMS_MAX).map(|number| format!("&tag=t{number}")).collect();
    let response = server.put_manifest("shop/api", &format!("{digest}?{many}"), MANIFEST, &text).await;
    refused(response, 414, "TAG_INVALID").await;
}

#[tokio::test]
async fn what_is_no_manifest_is_refused() {
    let server = Server::start().await;
    let good = server.image("shop/api", "layer", None).await;
    let put = |reference: &'static str, media_type: &'static str, text: String| {
        let server = &server;
        async move { server.put_manifest("shop/api", reference, media_type, &text).await }
    };
    for text in
        ["", "null", "[]", "{", "{}", "\"x\"", "{\"schemaVersion\":2}", &good.replace("\"layers\"", "\"l\"")]
    {
        refused(put("v1", MANIFEST, text.to_owned()).await, 400, "MANIFEST_INVALID").await;
    }
    refused(put("v1", INDEX, good.clone()).await, 400, "MANIFEST_INVALID").await;
    refused(put("v1", "text/html", good.clone()).await, 400, "MANIFEST_INVALID").await;
    let wrong = Digest::sha256(b"wrong").to_string();
    let response = server.put_manifest("shop/api", &wrong, MANIFEST, &good).await;
    refused(response, 400, "DIGEST_INVALID").await;
    let absent = Digest::sha256(b"absent").to_string();
    let present = Digest::sha256(b"layer").to_string();
    let response = put("v1", MANIFEST, good.replace(&present, &absent)).await;
    let error = refused(response, 400, "MANIFEST_BLOB_UNKNOWN").await;
    assert_eq!(error["detail"]["digests"], json!([absent]));
    let index = json!({
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [{ "mediaType": MANIFEST, "digest": absent, "size": 1 }],
    });
    refused(put("v1", INDEX, index.to_string()).await, 400, "MANIFEST_BLOB_UNKNOWN").await;
    refused(server.get("/v2/shop/api/manifests/v1").await, 404, "MANIFEST_UNKNOWN").await;
}

#[tokio::test]
async fn large_manifests_fit_and_larger_ones_do_not() {
    let server = Server::start().await;
    let text = server.image("shop/api", "layer", None).await;
    let fit = |bytes: usize| {
        let mut manifest: Value = serde_json::from_str(&text).unwrap();
        manifest["annotations"] = json!({ "padding": "" });
        let padding = bytes - manifest.to_string().len();
        manifest["annotations"]["padding"] = "x".repeat(padding).into();
        manifest.to_string()
    };
    let largest = fit(limits::MANIFEST_BYTES_MAX);
    assert_eq!(largest.len(), limits::MANIFEST_BYTES_MAX);
    let response = server.put_manifest("shop/api", "large", MANIFEST, &largest).await;
    assert_eq!(response.status(), StatusCode::CREATED);
    let pulled = server.get("/v2/shop/api/manifests/large").await.text().await.unwrap();
    assert!(pulled == largest, "a manifest of 4 MiB comes back as it was pushed");
    let too_large = fit(limits::MANIFEST_BYTES_MAX + 1);
    let response = server.put_manifest("shop/api", "larger", MANIFEST, &too_large).await;
    refused(response, 413, "MANIFEST_INVALID").await;
    // Without a length it shows only while it comes.
    let chunks = too_large.as_bytes().chunks(100_000).map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec()));
    let chunks: Vec<_> = chunks.collect();
    let request =
        server.request(Method::PUT, "/v2/shop/api/manifests/larger").header("content-type", MANIFEST);
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
    refused(request.body(body).send().await.unwrap(), 413, "MANIFEST_INVALID").await;
}

#[tokio::test]
async fn immutable_tags_stay() {
    let server = Server::start().await;
    server.create("shop/prod", TagMutabilityMode::Immutable).await;
    let first = server.push_image("shop/prod", "v1", "one").await;
    let again = server.put_manifest("shop/prod", "v1", MANIFEST, &first).await;
    assert_eq!(again.status(), StatusCode::CREATED, "an identical push changes nothing");
    let other = server.image("shop/prod", "two", None).await;
    let error =
        refused(server.put_manifest("shop/prod", "v1", MANIFEST, &other).await, 400, "TAG_INVALID").await;
    let text = "The image tag 'v1' already exists in the 'shop/prod' repository and cannot be overwritten because \
                the repository is immutable.";
    assert_eq!(error["message"], text);
    assert_eq!(server.get("/v2/shop/prod/manifests/v1").await.text().await.unwrap(), first);
}

#[tokio::test]
async fn deletes() {
    let server = Server::start().await;
    let text = server.push_image("shop/api", "v1", "layer").await;
    let digest = Digest::sha256(text.as_bytes());
    server.push_image("shop/api", "v2", "layer").await;
    let by_tag = server.send(Method::DELETE, "/v2/shop/api/manifests/v1").await;
    assert_eq!(by_tag.status(), StatusCode::ACCEPTED);
    refused(server.get("/v2/shop/api/manifests/v1").await, 404, "MANIFEST_UNKNOWN").await;
    assert_eq!(server.get("/v2/shop/api/manifests/v2").await.status(), StatusCode::OK);
    refused(server.send(Method::DELETE, "/v2/shop/api/manifests/v1").await, 404, "MANIFEST_UNKNOWN").await;

    let index = json!({
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [{ "mediaType": MANIFEST, "digest": digest, "size": text.len() }],
    })
    .to_string();
    let pushed = server.put_manifest("shop/api", "index", INDEX, &index).await;
    assert_eq!(pushed.status(), StatusCode::CREATED);
    let child = format!("/v2/shop/api/manifests/{digest}");
    let error = refused(server.send(Method::DELETE, &child).await, 405, "UNSUPPORTED").await;
    let message = error["message"].as_str().unwrap();
    assert!(message.starts_with("Requested image referenced by manifest list: [sha256:"), "{message}");
    let parent = format!("/v2/shop/api/manifests/{}", Digest::sha256(index.as_bytes()));
    assert_eq!(server.send(Method::DELETE, &parent).await.status(), StatusCode::ACCEPTED);
    assert_eq!(server.send(Method::DELETE, &child).await.status(), StatusCode::ACCEPTED);
    refused(server.get("/v2/shop/api/manifests/v2").await, 404, "MANIFEST_UNKNOWN").await;
}

#[tokio::test]
async fn referrers_with_filter_and_pages() {
    let server = Server::start().await;
    let subject = server.push_image("shop/api", "v1", "layer").await;
    let subject_digest = Digest::sha256(subject.as_bytes());
    let mut pushed = Vec::new();
    for number in 0..5 {
        let text = server.image("shop/api", &format!("about {number}"), Some(&subject)).await;
        let mut manifest: Value = serde_json::from_str(&text).unwrap();
        let kind = if number % 2 == 0 { "application/x.even+json" } else { "application/x.odd+json" };
        manifest["artifactType"] = kind.into();
        manifest["annotations"] = json!({ "number": number.to_string() });
        let text = manifest.to_string();
        let digest = Digest::sha256(text.as_bytes());
        let response = server.put_manifest("shop/api", &digest.to_string(), MANIFEST, &text).await;
        assert_eq!(header(&response, "oci-subject"), subject_digest.to_string());
        pushed.push(json!({
            "mediaType": MANIFEST,
            "digest": digest,
            "size": text.len(),
            "artifactType": kind,
            "annotations": { "number": number.to_string() },
        }));
    }
    let path = format!("/v2/shop/api/referrers/{subject_digest}");
    let response = server.get(&path).await;
    assert_eq!(header(&response, "content-type"), INDEX);
    assert!(response.headers().get("oci-filters-applied").is_none());
    let index: Value = response.json().await.unwrap();
    assert_eq!(index["schemaVersion"], 2);
    assert_eq!(index["mediaType"], INDEX);
    assert_eq!(sorted(&index["manifests"]), sorted(&json!(pushed)));

    // A plus sign is one, escaped or not.
    for filter in ["application/x.even%2Bjson", "application/x.even+json"] {
        let response = server.get(&format!("{path}?artifactType={filter}")).await;
        assert_eq!(header(&response, "oci-filters-applied"), "artifactType");
        let index: Value = response.json().await.unwrap();
        assert_eq!(index["manifests"].as_array().unwrap().len(), 3, "{filter}");
    }

    let mut next = Some(format!("{path}?n=1&artifactType=application/x.even%2Bjson"));
    let mut found = Vec::new();
    while let Some(path) = next {
        let response = server.get(&path).await;
        next = next_page(response.headers());
        let index: Value = response.json().await.unwrap();
        found.extend(index["manifests"].as_array().unwrap().clone());
    }
    let even: Vec<Value> = pushed.iter().step_by(2).cloned().collect();
    assert_eq!(sorted(&json!(found)), sorted(&json!(even)));

    let none = format!("/v2/shop/api/referrers/{}", Digest::sha256(b"nobody"));
    let index: Value = server.get(&none).await.json().await.unwrap();
    assert_eq!(index["manifests"], json!([]));
    refused(server.get("/v2/shop/api/referrers/sha256:0").await, 400, "DIGEST_INVALID").await;
    refused(server.get("/v2/shop/api/referrers/v1").await, 400, "DIGEST_INVALID").await;
    refused(server.get(&format!("{path}?last=x")).await, 400, "UNSUPPORTED").await;
}

#[tokio::test]
async fn a_page_of_referrers_is_no_larger_than_a_manifest() {
    let server = Server::start().await;
    let subject = server.push_image("shop/api", "v1", "layer").await;
    for number in 0..5 {
        let text = server.image("shop/api", &format!("about {number}"), Some(&subject)).await;
        let mut manifest: Value = serde_json::from_str(&text).unwrap();
        manifest["annotations"] = json!({ "large": "x".repeat(1_500_000) });
        let text = manifest.to_string();
        let digest = Digest::sha256(text.as_bytes());
        let response = server.put_manifest("shop/api", &digest.to_string(), MANIFEST, &text).await;
        assert_eq!(response.status(), StatusCode::CREATED);
    }
    let mut next = Some(format!("/v2/shop/api/referrers/{}", Digest::sha256(subject.as_bytes())));
    let mut found = std::collections::BTreeSet::new();
    while let Some(path) = next {
        let response = server.get(&path).await;
        next = next_page(response.headers());
        let text = response.text().await.unwrap();
        assert!(text.len() <= limits::MANIFEST_BYTES_MAX, "{} bytes", text.len());
        let index: Value = serde_json::from_str(&text).unwrap();
        for manifest in index["manifests"].as_array().unwrap() {
            assert!(found.insert(manifest["digest"].to_string()), "given twice");
        }
    }
    assert_eq!(found.len(), 5);
}

fn sorted(manifests: &Value) -> Vec<String> {
    let mut texts: Vec<String> = manifests.as_array().unwrap().iter().map(ToString::to_string).collect();
    texts.sort();
    texts
}

/// The path of the next page, out of the `Link` header.
pub(crate) fn next_page(headers: &reqwest::header::HeaderMap) -> Option<String> {
    let link = headers.get("link")?.to_str().unwrap();
    let path = link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap();
    Some(path.to_owned())
}
