//! Images: put, get, list, describe, delete.

use std::time::Duration;

use berth_types::Digest;
use serde_json::{Value, json};

use crate::ecr_support::{NOW, Server, Transcript, descriptor, image};

const NAME: &str = "shop/api";

fn digest_of(manifest: &str) -> String {
    Digest::sha256(manifest.as_bytes()).to_string()
}

#[tokio::test]
async fn an_image_from_push_to_deletion() {
    let server = Server::with_repository().await;
    server.push_image(NAME, "one", None).await;
    let manifest = image("one");
    let digest = digest_of(&manifest);
    let mut transcript = Transcript::new(&server);
    let put = |tag: &str| json!({"repositoryName": NAME, "imageManifest": manifest, "imageTag": tag});
    transcript.call("PutImage", put("v1")).await;
    transcript.call("PutImage", put("v1")).await;
    transcript.call("PutImage", put("latest")).await;
    transcript.call("DescribeImages", json!({"repositoryName": NAME})).await;
    transcript.call("ListImages", json!({"repositoryName": NAME})).await;
    let ids =
        json!([{"imageTag": "v1"}, {"imageDigest": digest}, {"imageDigest": digest, "imageTag": "latest"}]);
    transcript.call("BatchGetImage", json!({"repositoryName": NAME, "imageIds": ids})).await;
    transcript
        .call("BatchDeleteImage", json!({"repositoryName": NAME, "imageIds": [{"imageTag": "v1"}]}))
        .await;
    transcript
        .call("BatchDeleteImage", json!({"repositoryName": NAME, "imageIds": [{"imageDigest": digest}]}))
        .await;
    transcript.call("DescribeImages", json!({"repositoryName": NAME})).await;
    insta::assert_snapshot!(transcript.text());
}

#[tokio::test]
async fn a_pull_is_seen_as_a_time() {
    let server = Server::with_repository().await;
    let manifest = server.push_image(NAME, "one", Some("v1")).await;
    let ids = json!([{"imageTag": "v1"}]);
    let got = server.ok("BatchGetImage", json!({"repositoryName": NAME, "imageIds": ids})).await;
    assert_eq!(got["images"][0]["imageManifest"], manifest);
    // Pulls are written behind the requests, so it may take a moment until they are seen.
    let seen = async {
        loop {
            let described = server.ok("DescribeImages", json!({"repositoryName": NAME})).await;
            if let Some(time) = described["imageDetails"][0].get("lastRecordedPullTime") {
                return time.clone();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let seen = tokio::time::timeout(Duration::from_secs(10), seen).await.expect("the pull is recorded");
    assert_eq!(seen, NOW.epoch_seconds());
}

#[tokio::test]
async fn every_refusal_of_a_push() {
    let server = Server::with_repository().await;
    let one = server.push_image(NAME, "one", Some("v1")).await;
    let mut transcript = Transcript::new(&server);
    let put = |manifest: &str, more: Value| {
        let mut input = json!({"repositoryName": NAME, "imageManifest": manifest});
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        input
    };
    transcript.call("PutImage", put(&one, json!({"repositoryName": "shop/nothing"}))).await;
    transcript.call("PutImage", put(&one, json!({}))).await;
    transcript.call("PutImage", put(&one, json!({"imageDigest": digest_of("other")}))).await;
    transcript.call("PutImage", put(&one, json!({"imageDigest": "sha256:"}))).await;
    transcript.call("PutImage", put(&one, json!({"imageTag": "a/b"}))).await;
    transcript.call("PutImage", put(&one, json!({"imageTag": ""}))).await;
    transcript.call("PutImage", put("", json!({}))).await;
    transcript.call("PutImage", put("{", json!({}))).await;
    transcript.call("PutImage", put("{\"schemaVersion\":2}", json!({}))).await;
    let index = "application/vnd.oci.image.index.v1+json";
    transcript.call("PutImage", put(&one, json!({"imageManifestMediaType": index}))).await;
    transcript.call("PutImage", put(&image("two"), json!({"imageTag": "v2"}))).await;
    let children = json!({
        "schemaVersion": 2,
        "mediaType": index,
        "manifests": [descriptor("application/vnd.oci.image.manifest.v1+json", b"nowhere")],
    });
    transcript.call("PutImage", put(&children.to_string(), json!({}))).await;
    let immutable = json!({"repositoryName": NAME, "imageTagMutability": "IMMUTABLE"});
    server.ok("PutImageTagMutability", immutable).await;
    let two = server.push_image(NAME, "two", None).await;
    transcript.call("PutImage", put(&two, json!({"imageTag": "v1"}))).await;
    insta::assert_snapshot!(transcript.text());
    let all = server.ok("ListImages", json!({"repositoryName": NAME})).await;
    let expected =
        json!([{"imageDigest": digest_of(&one), "imageTag": "v1"}, {"imageDigest": digest_of(&two)}]);
    assert_eq!(all["imageIds"], expected, "a refused push changes nothing");
}

#[tokio::test]
async fn a_manifest_without_media_type_takes_the_declared_one() {
    let server = Server::with_repository().await;
    server.push_image(NAME, "one", None).await;
    let mut manifest: Value = serde_json::from_str(&image("one")).unwrap();
    manifest.as_object_mut().unwrap().remove("mediaType");
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let mut input = json!({"repositoryName": NAME, "imageManifest": manifest.to_string(), "imageTag": "v1"});
    let (kind, message) = server.refused("PutImage", input.clone()).await;
    assert_eq!(kind, "InvalidParameterException");
    assert!(message.starts_with("Invalid parameter at 'imageManifestMediaType' failed to"), "{message}");
    input["imageManifestMediaType"] = media_type.into();
    let put = server.ok("PutImage", input).await;
    assert_eq!(put["image"]["imageManifestMediaType"], media_type);
    assert_eq!(put["image"]["imageId"]["imageTag"], "v1");
}

#[tokio::test]
async fn a_moved_tag_leaves_the_old_image_untagged() {
    let server = Server::with_repository().await;
    let one = server.push_image(NAME, "one", Some("latest")).await;
    let two = server.push_image(NAME, "two", Some("latest")).await;
    let list = |status: &str| json!({"repositoryName": NAME, "filter": {"tagStatus": status}});
    let untagged = server.ok("ListImages", list("UNTAGGED")).await;
    assert_eq!(untagged, json!({"imageIds": [{"imageDigest": digest_of(&one)}]}));
    let tagged = server.ok("ListImages", list("TAGGED")).await;
    assert_eq!(tagged, json!({"imageIds": [{"imageDigest": digest_of(&two), "imageTag": "latest"}]}));
    for (status, count) in [("ANY", 2), ("TAGGED", 1), ("UNTAGGED", 1)] {
        let described = server.ok("DescribeImages", list(status)).await;
        assert_eq!(described["imageDetails"].as_array().unwrap().len(), count, "{status}");
    }
    for (status, count) in [("ANY", 2), ("ACTIVE", 2), ("ARCHIVED", 0), ("ACTIVATING", 0)] {
        let input = json!({"repositoryName": NAME, "filter": {"imageStatus": status}});
        let described = server.ok("DescribeImages", input.clone()).await;
        assert_eq!(described["imageDetails"].as_array().unwrap().len(), count, "{status}");
        let listed = server.ok("ListImages", input).await;
        assert_eq!(listed["imageIds"].as_array().unwrap().len(), count, "{status}");
    }
}

#[tokio::test]
async fn every_failure_of_an_id() {
    let server = Server::with_repository().await;
    let one = server.push_image(NAME, "one", Some("v1")).await;
    let list = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [descriptor("application/vnd.oci.image.manifest.v1+json", one.as_bytes())],
    });
    server
        .ok(
            "PutImage",
            json!({"repositoryName": NAME, "imageManifest": list.to_string(), "imageTag": "list"}),
        )
        .await;
    let two = server.push_image(NAME, "two", Some("v2")).await;
    let ids = json!([
        {"imageTag": "nothing"},
        {"imageDigest": digest_of("nothing")},
        {"imageDigest": digest_of(&two), "imageTag": "v1"},
        {},
        {"imageDigest": "sha256"},
        {"imageDigest": "md5:d41d8cd98f00b204e9800998ecf8427e"},
        {"imageTag": "a/b"},
        {"imageTag": "-a"},
    ]);
    let mut transcript = Transcript::new(&server);
    transcript.call("BatchGetImage", json!({"repositoryName": NAME, "imageIds": ids})).await;
    transcript.call("BatchDeleteImage", json!({"repositoryName": NAME, "imageIds": ids})).await;
    let child = json!([{"imageTag": "v1"}, {"imageDigest": digest_of(&one)}]);
    transcript.call("BatchDeleteImage", json!({"repositoryName": NAME, "imageIds": child})).await;
    let accepted = json!(["application/vnd.docker.distribution.manifest.v2+json"]);
    transcript
        .call(
            "BatchGetImage",
            json!({"repositoryName": NAME, "imageIds": [{"imageTag": "v1"}], "acceptedMediaTypes": accepted}),
        )
        .await;
    insta::assert_snapshot!(transcript.text());
}

#[tokio::test]
async fn every_refusal_of_a_listing() {
    let server = Server::with_repository().await;
    server.push_image(NAME, "one", Some("v1")).await;
    let mut transcript = Transcript::new(&server);
    for operation in ["ListImages", "DescribeImages", "BatchGetImage", "BatchDeleteImage"] {
        let ids = json!([{"imageTag": "v1"}]);
        let mut input = json!({"repositoryName": "shop/nothing"});
        if operation.starts_with("Batch") {
            input["imageIds"] = ids;
        }
        transcript.call(operation, input).await;
    }
    for more in [
        json!({"imageIds": [{"imageTag": "v1"}, {"imageTag": "nothing"}]}),
        json!({"imageIds": [{"imageDigest": digest_of("nothing")}]}),
        json!({"imageIds": [{}]}),
        json!({"imageIds": [{"imageDigest": "sha256:abc"}]}),
        json!({"imageIds": [{"imageTag": "-"}]}),
        json!({"imageIds": []}),
        json!({"imageIds": [{"imageTag": "v1"}], "maxResults": 5}),
        json!({"maxResults": 0}),
        json!({"nextToken": "nonsense"}),
        json!({"filter": {"tagStatus": "tagged"}}),
        json!({"filter": {"imageStatus": "DELETED"}}),
    ] {
        let mut input = more;
        input["repositoryName"] = NAME.into();
        transcript.call("DescribeImages", input).await;
    }
    // Archived images are none, but the repository must be there all the same.
    let archived = json!({"repositoryName": "shop/nothing", "filter": {"imageStatus": "ARCHIVED"}});
    transcript.call("ListImages", archived.clone()).await;
    transcript.call("DescribeImages", archived).await;
    insta::assert_snapshot!(transcript.text());
}

#[tokio::test]
async fn pages_go_on_after_deleted_images() {
    let server = Server::with_repository().await;
    for index in 0..7 {
        server.push_image(NAME, &format!("image {index}"), Some(&format!("v{index}"))).await;
    }
    let mut input = json!({"repositoryName": NAME, "maxResults": 3, "filter": {"tagStatus": "TAGGED"}});
    let first = server.ok("ListImages", input.clone()).await;
    let mut other = input.clone();
    other["nextToken"] = first["nextToken"].clone();
    other["filter"]["tagStatus"] = "ANY".into();
    for (operation, input) in [("ListImages", &other), ("DescribeImages", &other)] {
        let (kind, _) = server.refused(operation, input.clone()).await;
        assert_eq!(kind, "InvalidParameterException", "a token is good for its own query only");
    }
    let mut seen = Vec::new();
    loop {
        // As aws-cdk's repository emptier does it: list a page, delete it, go on with the old token.
        let page = server.ok("ListImages", input.clone()).await;
        let ids = page["imageIds"].clone();
        seen.extend(ids.as_array().unwrap().iter().map(|id| id["imageTag"].as_str().unwrap().to_owned()));
        server.ok("BatchDeleteImage", json!({"repositoryName": NAME, "imageIds": ids})).await;
        let Some(token) = page.get("nextToken") else { break };
        input["nextToken"] = token.clone();
    }
    assert_eq!(seen, ["v0", "v1", "v2", "v3", "v4", "v5", "v6"]);
}

#[tokio::test]
async fn described_pages_hold_each_image_once() {
    let server = Server::with_repository().await;
    for index in 0..5 {
        server.push_image(NAME, &format!("image {index}"), Some(&format!("v{index}"))).await;
    }
    let mut input = json!({"repositoryName": NAME, "maxResults": 2});
    let mut sizes = Vec::new();
    loop {
        let page = server.ok("DescribeImages", input.clone()).await;
        sizes.push(page["imageDetails"].as_array().unwrap().len());
        let Some(token) = page.get("nextToken") else { break };
        input["nextToken"] = token.clone();
    }
    assert_eq!(sizes.iter().sum::<usize>(), 5);
}

#[tokio::test]
async fn a_referrer_names_its_subject() {
    let server = Server::with_repository().await;
    let one = server.push_image(NAME, "one", Some("v1")).await;
    let mut referrer: Value = serde_json::from_str(&image("one")).unwrap();
    referrer["subject"] = descriptor("application/vnd.oci.image.manifest.v1+json", one.as_bytes());
    referrer["artifactType"] = "application/vnd.example.signature".into();
    server.ok("PutImage", json!({"repositoryName": NAME, "imageManifest": referrer.to_string()})).await;
    let ids = json!([{"imageDigest": digest_of(&referrer.to_string())}]);
    let described = server.ok("DescribeImages", json!({"repositoryName": NAME, "imageIds": ids})).await;
    let detail = &described["imageDetails"][0];
    assert_eq!(detail["subjectManifestDigest"], digest_of(&one));
    assert_eq!(detail["artifactMediaType"], "application/vnd.example.signature");
    assert_eq!(detail.get("imageTags"), None);
}

#[tokio::test]
async fn one_answer_holds_so_many_bytes_of_manifests() {
    let server = Server::with_repository().await;
    server.push_image(NAME, "one", None).await;
    let mut large: Value = serde_json::from_str(&image("one")).unwrap();
    large["annotations"] = json!({"filling": "x".repeat(4_000_000)});
    server
        .ok("PutImage", json!({"repositoryName": NAME, "imageManifest": large.to_string(), "imageTag": "v1"}))
        .await;
    let get =
        |count: usize| json!({"repositoryName": NAME, "imageIds": vec![json!({"imageTag": "v1"}); count]});
    let got = server.ok("BatchGetImage", get(8)).await;
    assert_eq!(got["failures"], json!([]));
    let (kind, _) = server.refused("BatchGetImage", get(100)).await;
    assert_eq!(kind, "LimitExceededException");
}
