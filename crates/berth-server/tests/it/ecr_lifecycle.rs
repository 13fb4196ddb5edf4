//! Lifecycle policies as the API stores them. What a valid policy is, the lifecycle crate's tests say.

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
