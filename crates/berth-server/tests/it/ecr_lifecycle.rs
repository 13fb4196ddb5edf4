//! Lifecycle policies as the API stores them. What a valid policy is, the lifecycle crate's tests say.

use berth_types::Digest;
use serde_json::json;

use crate::ecr_support::{Server, Transcript};

/// Written with odd spaces: the text must come back byte for byte.
const POLICY: &str = r#"{ "rules":[ {"rulePriority": 1, "description":"Delete untagged images older than 7 days",
  "selection":{"tagStatus":"untagged","countType":"sinceImagePushed","countUnit":"days","countNumber":7},
  "action":{"type":"expire"}} ] }"#;

#[tokio::test]
async fn a_policy_from_put_to_delete() {
    let server = Server::with_repository().await;
    let mut transcript = Transcript::new(&server);
    let name = json!({"repositoryName": "shop/api"});
    transcript.call("GetLifecyclePolicy", name.clone()).await;
    transcript.call("DeleteLifecyclePolicy", name.clone()).await;
    transcript
        .call("PutLifecyclePolicy", json!({"repositoryName": "shop/api", "lifecyclePolicyText": POLICY}))
        .await;
    let got = transcript.call("GetLifecyclePolicy", name.clone()).await;
    assert_eq!(got["lifecyclePolicyText"], POLICY);
    transcript.call("DeleteLifecyclePolicy", name.clone()).await;
    transcript.call("GetLifecyclePolicy", name).await;
    let missing = json!({"repositoryName": "shop/nothing", "lifecyclePolicyText": POLICY});
    for operation in ["PutLifecyclePolicy", "GetLifecyclePolicy", "DeleteLifecyclePolicy"] {
        transcript.call(operation, missing.clone()).await;
    }
    insta::assert_snapshot!(transcript.text());
}

#[tokio::test]
async fn a_policy_that_is_none_is_refused_and_changes_nothing() {
    let server = Server::with_repository().await;
    let put = |text: String| json!({"repositoryName": "shop/api", "lifecyclePolicyText": text});
    server.ok("PutLifecyclePolicy", put(POLICY.to_owned())).await;
    for (text, field, part) in [
        (String::new(), "lifecyclePolicyText", "'Member must have length greater than or equal to 100'"),
        (" ".repeat(30_721), "lifecyclePolicyText", "'Member must have length less than or equal to 30720'"),
        ("x".repeat(100), "LifecyclePolicyText", "'Lifecycle policy parsing failure"),
        (POLICY.replace("expire", "delete"), "LifecyclePolicyText", "'Lifecycle policy "),
    ] {
        let (kind, message) = server.refused("PutLifecyclePolicy", put(text)).await;
        assert_eq!(kind, "InvalidParameterException");
        assert!(message.starts_with(&format!("Invalid parameter at '{field}' failed to")), "{message}");
        assert!(message.contains(part), "{message}");
    }
    let got = server.ok("GetLifecyclePolicy", json!({"repositoryName": "shop/api"})).await;
    assert_eq!(got["lifecyclePolicyText"], POLICY);
}

/// Keeps one version, and archives what is older than a day.
const PREVIEWED: &str = r#"{ "rules":[
  {"rulePriority": 1, "description":"Keep one version",
   "selection":{"tagStatus":"tagged","tagPrefixList":["v"],"countType":"imageCountMoreThan","countNumber":1},
   "action":{"type":"expire"}},
  {"rulePriority": 2, "description":"Archive what nobody tagged",
   "selection":{"tagStatus":"untagged","countType":"sinceImagePushed","countUnit":"days","countNumber":1},
   "action":{"type":"transition","targetStorageClass":"archive"}} ] }"#;

/// Asks as the SDK's waiter does, until the preview is no longer under way.
async fn wait_for_preview(server: &Server, input: &serde_json::Value) -> serde_json::Value {
    loop {
        let answer = server.ok("GetLifecyclePolicyPreview", input.clone()).await;
        if answer["status"] != "IN_PROGRESS" {
            return answer;
        }
    }
}

#[tokio::test]
async fn a_preview_says_what_would_go_and_changes_nothing() {
    let server = Server::with_repository().await;
    let mut digests = Vec::new();
    for content in ["one", "two", "three"] {
        let manifest = server.push_image("shop/api", content, Some(&format!("v-{content}"))).await;
        digests.push(Digest::sha256(manifest.as_bytes()).to_string());
        server.clock.advance(std::time::Duration::from_secs(1));
    }
    let untagged = server.push_image("shop/api", "untagged", None).await;
    let untagged = Digest::sha256(untagged.as_bytes()).to_string();
    server.clock.advance(std::time::Duration::from_secs(2 * 24 * 3600));
    let name = json!({"repositoryName": "shop/api"});
    let start = json!({"repositoryName": "shop/api", "lifecyclePolicyText": PREVIEWED});
    let started = server.ok("StartLifecyclePolicyPreview", start).await;
    assert_eq!(
        (&started["status"], &started["lifecyclePolicyText"]),
        (&json!("IN_PROGRESS"), &json!(PREVIEWED))
    );
    let preview = wait_for_preview(&server, &name).await;
    assert_eq!(preview["status"], "COMPLETE");
    assert_eq!(preview["lifecyclePolicyText"], PREVIEWED);
    assert_eq!(
        preview["summary"],
        json!({"expiringImageTotalCount": 2,
               "transitioningImageTotalCounts": [{"targetStorageClass": "ARCHIVE", "imageTotalCount": 1}]})
    );
    let results = preview["previewResults"].as_array().unwrap();
    assert_eq!(results.len(), 3);
    assert_eq!(results[0]["imageDigest"], digests[0]);
    assert_eq!(results[0]["imageTags"], json!(["v-one"]));
    assert_eq!(results[0]["action"], json!({"type": "EXPIRE"}));
    assert_eq!(results[0]["appliedRulePriority"], 1);
    assert_eq!(results[0]["storageClass"], "STANDARD");
    assert!(results[0]["imagePushedAt"].is_number());
    assert_eq!(results[2]["imageDigest"], untagged);
    assert_eq!(results[2]["action"], json!({"type": "TRANSITION", "targetStorageClass": "ARCHIVE"}));

    let page = |extra: serde_json::Value| {
        let mut input = name.clone();
        input.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        input
    };
    let first = server.ok("GetLifecyclePolicyPreview", page(json!({"maxResults": 2}))).await;
    assert_eq!(first["previewResults"].as_array().unwrap(), &results[..2]);
    let token = &first["nextToken"];
    let rest =
        server.ok("GetLifecyclePolicyPreview", page(json!({"maxResults": 2, "nextToken": token}))).await;
    assert_eq!(rest["previewResults"].as_array().unwrap(), &results[2..]);
    assert!(rest["nextToken"].is_null());
    for (status, expected) in [("TAGGED", &results[..2]), ("UNTAGGED", &results[2..]), ("ANY", &results[..])]
    {
        let filter = page(json!({"filter": {"tagStatus": status}}));
        let found = server.ok("GetLifecyclePolicyPreview", filter).await;
        assert_eq!(found["previewResults"].as_array().unwrap(), expected);
    }
    for id in [json!({"imageTag": "v-two"}), json!({"imageDigest": digests[1]})] {
        let found = server.ok("GetLifecyclePolicyPreview", page(json!({"imageIds": [id]}))).await;
        assert_eq!(found["previewResults"].as_array().unwrap(), &results[1..2]);
    }
    let images = server.ok("ListImages", name.clone()).await;
    assert_eq!(images["imageIds"].as_array().unwrap().len(), 4, "nothing was deleted");
    assert_eq!(
        server.refused("GetLifecyclePolicy", name.clone()).await.0,
        "LifecyclePolicyNotFoundException"
    );
    a_new_preview_replaces_the_old_one(&server, &name, page(json!({"nextToken": token}))).await;
}

/// The old one's page tokens are refused then, and the new one ends by time.
async fn a_new_preview_replaces_the_old_one(
    server: &Server,
    name: &serde_json::Value,
    next_page_of_old: serde_json::Value,
) {
    let start = json!({"repositoryName": "shop/api", "lifecyclePolicyText": POLICY});
    server.ok("StartLifecyclePolicyPreview", start).await;
    assert_eq!(wait_for_preview(server, name).await["lifecyclePolicyText"], POLICY);
    let (kind, message) = server.refused("GetLifecyclePolicyPreview", next_page_of_old).await;
    assert_eq!(kind, "InvalidParameterException", "{message}");
    server.clock.advance(std::time::Duration::from_secs(25 * 3600));
    let old = server.ok("GetLifecyclePolicyPreview", name.clone()).await;
    assert_eq!((&old["status"], &old["previewResults"]), (&json!("EXPIRED"), &json!([])));
}

#[tokio::test]
async fn previews_that_cannot_be_are_refused() {
    let server = Server::with_repository().await;
    let name = json!({"repositoryName": "shop/api"});
    let (kind, message) = server.refused("GetLifecyclePolicyPreview", name.clone()).await;
    assert_eq!(kind, "LifecyclePolicyPreviewNotFoundException");
    assert_eq!(
        message,
        "Lifecycle policy preview does not exist for the repository with name 'shop/api' in the registry with id \
         '123456789012'"
    );
    let (kind, _) = server.refused("StartLifecyclePolicyPreview", name.clone()).await;
    assert_eq!(kind, "LifecyclePolicyNotFoundException");
    for (operation, input, expected) in [
        (
            "StartLifecyclePolicyPreview",
            json!({"repositoryName": "shop/nothing"}),
            "RepositoryNotFoundException",
        ),
        (
            "GetLifecyclePolicyPreview",
            json!({"repositoryName": "shop/nothing"}),
            "RepositoryNotFoundException",
        ),
        (
            "StartLifecyclePolicyPreview",
            json!({"repositoryName": "shop/api", "lifecyclePolicyText": "x".repeat(100)}),
            "InvalidParameterException",
        ),
        (
            "StartLifecyclePolicyPreview",
            json!({"repositoryName": "shop/api", "lifecyclePolicyText": "{}"}),
            "InvalidParameterException",
        ),
        (
            "GetLifecyclePolicyPreview",
            json!({"repositoryName": "shop/api", "maxResults": 101}),
            "InvalidParameterException",
        ),
        (
            "GetLifecyclePolicyPreview",
            json!({"repositoryName": "shop/api", "maxResults": 1, "imageIds": [{"imageTag": "v1"}]}),
            "InvalidParameterException",
        ),
        (
            "GetLifecyclePolicyPreview",
            json!({"repositoryName": "shop/api", "filter": {"tagStatus": "SOME"}}),
            "InvalidParameterException",
        ),
    ] {
        assert_eq!(server.refused(operation, input).await.0, expected);
    }
    server
        .ok("PutLifecyclePolicy", json!({"repositoryName": "shop/api", "lifecyclePolicyText": POLICY}))
        .await;
    let started = server.ok("StartLifecyclePolicyPreview", name.clone()).await;
    assert_eq!(started["lifecyclePolicyText"], POLICY);
    let preview = wait_for_preview(&server, &name).await;
    assert_eq!((&preview["status"], &preview["previewResults"]), (&json!("COMPLETE"), &json!([])));
    assert_eq!(
        preview["summary"],
        json!({"expiringImageTotalCount": 0, "transitioningImageTotalCounts": []})
    );
}
