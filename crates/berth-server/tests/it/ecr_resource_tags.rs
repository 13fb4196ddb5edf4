//! Resource tags of repositories.

use serde_json::{Value, json};

use crate::ecr_support::{Server, Transcript};

const ARN: &str = "arn:aws:ecr:us-east-1:123456789012:repository/shop/api";

#[tokio::test]
async fn tags_are_set_listed_and_removed() {
    let server = Server::with_repository().await;
    let mut transcript = Transcript::new(&server);
    let tags = json!([{"Key": "env", "Value": "dev"}, {"Key": "team", "Value": "shop"}]);
    transcript.call("TagResource", json!({"resourceArn": ARN, "tags": tags})).await;
    let tags = json!([{"Key": "env", "Value": "prod"}]);
    transcript.call("TagResource", json!({"resourceArn": ARN, "tags": tags})).await;
    transcript.call("ListTagsForResource", json!({"resourceArn": ARN})).await;
    transcript.call("UntagResource", json!({"resourceArn": ARN, "tagKeys": ["team", "nothing"]})).await;
    transcript.call("ListTagsForResource", json!({"resourceArn": ARN})).await;
    insta::assert_snapshot!(transcript.text());
}

#[tokio::test]
async fn every_refusal() {
    let server = Server::with_repository().await;
    let mut transcript = Transcript::new(&server);
    let missing = ARN.replace("api", "nothing");
    let one = json!([{"Key": "a", "Value": "b"}]);
    transcript.call("TagResource", json!({"resourceArn": missing, "tags": one})).await;
    transcript.call("UntagResource", json!({"resourceArn": missing, "tagKeys": ["a"]})).await;
    transcript.call("ListTagsForResource", json!({"resourceArn": missing})).await;
    for arn in ["", "shop/api", &ARN.replace("us-east-1", "eu-west-1"), &ARN.replace(":ecr:", ":s3:")] {
        transcript.call("ListTagsForResource", json!({"resourceArn": arn})).await;
    }
    transcript.call("TagResource", json!({"resourceArn": ARN})).await;
    transcript.call("TagResource", json!({"resourceArn": ARN, "tags": [{"Key": "a"}]})).await;
    transcript.call("TagResource", json!({"resourceArn": ARN, "tags": [{"Key": "", "Value": "b"}]})).await;
    transcript
        .call("TagResource", json!({"resourceArn": ARN, "tags": [{"Key": "aws:a", "Value": "b"}]}))
        .await;
    transcript.call("UntagResource", json!({"resourceArn": ARN})).await;
    insta::assert_snapshot!(transcript.text());
    let tag = |index: usize| json!({"Key": format!("key{index}"), "Value": ""});
    let tags: Vec<Value> = (0..51).map(tag).collect();
    let (kind, _) = server.refused("TagResource", json!({"resourceArn": ARN, "tags": tags})).await;
    assert_eq!(kind, "TooManyTagsException");
    let (kind, _) =
        server.refused("CreateRepository", json!({"repositoryName": "shop/web", "tags": tags})).await;
    assert_eq!(kind, "TooManyTagsException");
    let listed = server.ok("ListTagsForResource", json!({"resourceArn": ARN})).await;
    assert_eq!(listed, json!({"tags": []}), "a refused call changes nothing");
}
