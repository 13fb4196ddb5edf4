//! Repositories: create, describe, delete, settings.

use serde_json::json;

use crate::ecr_support::{ACCOUNT, Server, Transcript};

#[tokio::test]
async fn a_repository_from_creation_to_deletion() {
    let server = Server::start().await;
    let mut transcript = Transcript::new(&server);
    let name = "shop/api";
    transcript.call("CreateRepository", json!({"repositoryName": name, "unknownMember": [1]})).await;
    transcript.call("CreateRepository", json!({"repositoryName": name})).await;
    let arn = format!("arn:aws:ecr:us-east-1:{ACCOUNT}:repository/{name}");
    transcript
        .call(
            "CreateRepository",
            json!({
                "repositoryName": "shop/web",
                "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
                "imageTagMutabilityExclusionFilters": [
                    {"filterType": "WILDCARD", "filter": "latest"}, {"filterType": "WILDCARD", "filter": "dev-*"}
                ],
                "imageScanningConfiguration": {"scanOnPush": true},
                "encryptionConfiguration": {"encryptionType": "AES256"},
                "tags": [{"Key": "env", "Value": "prod"}, {"Key": "empty", "Value": ""}],
            }),
        )
        .await;
    transcript.call("DescribeRepositories", json!({"repositoryNames": ["shop/web", name, "shop/web"]})).await;
    transcript.call("DescribeRepositories", json!({"repositoryNames": [name, "shop/nothing"]})).await;
    transcript.call("ListTagsForResource", json!({"resourceArn": arn.replace("api", "web")})).await;
    transcript.call("DeleteRepository", json!({"repositoryName": name, "registryId": ACCOUNT})).await;
    transcript.call("DeleteRepository", json!({"repositoryName": name, "force": true})).await;
    insta::assert_snapshot!(transcript.text());
}

#[tokio::test]
async fn encryption_by_a_key() {
    let server = Server::start().await;
    let kms = |name: &str, key: Option<&str>| {
        let mut configuration = json!({"encryptionType": "KMS"});
        if let Some(key) = key {
            configuration["kmsKey"] = key.into();
        }
        json!({"repositoryName": name, "encryptionConfiguration": configuration})
    };
    let key = format!("arn:aws:kms:us-east-1:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab");
    let created = server.ok("CreateRepository", kms("own-key", Some(&key))).await;
    assert_eq!(
        created["repository"]["encryptionConfiguration"],
        json!({"encryptionType": "KMS", "kmsKey": key})
    );
    let created = server.ok("CreateRepository", kms("managed-key", None)).await;
    let managed = created["repository"]["encryptionConfiguration"]["kmsKey"].as_str().unwrap();
    assert!(managed.starts_with(&format!("arn:aws:kms:us-east-1:{ACCOUNT}:key/")), "{managed}");
}

#[tokio::test]
async fn settings_change_in_place() {
    let server = Server::with_repository().await;
    let mut transcript = Transcript::new(&server);
    let name = "shop/api";
    transcript
        .call("PutImageTagMutability", json!({"repositoryName": name, "imageTagMutability": "IMMUTABLE"}))
        .await;
    let filters =
        json!([{"filterType": "WILDCARD", "filter": "dev-*"}, {"filterType": "WILDCARD", "filter": "a"}]);
    transcript
        .call(
            "PutImageTagMutability",
            json!({
                "repositoryName": name,
                "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
                "imageTagMutabilityExclusionFilters": filters,
            }),
        )
        .await;
    for configuration in [json!({"scanOnPush": true}), json!({})] {
        transcript
            .call(
                "PutImageScanningConfiguration",
                json!({"repositoryName": name, "imageScanningConfiguration": configuration}),
            )
            .await;
    }
    transcript.call("DescribeRepositories", json!({})).await;
    for (operation, more) in [
        ("PutImageTagMutability", json!({"imageTagMutability": "MUTABLE"})),
        ("PutImageScanningConfiguration", json!({"imageScanningConfiguration": {"scanOnPush": true}})),
    ] {
        let mut input = more;
        input["repositoryName"] = "shop/nothing".into();
        transcript.call(operation, input).await;
    }
    insta::assert_snapshot!(transcript.text());
}

#[tokio::test]
async fn a_repository_with_images_is_deleted_only_by_force() {
    let server = Server::with_repository().await;
    server.push_image("shop/api", "one", None).await;
    let (kind, message) = server.refused("DeleteRepository", json!({"repositoryName": "shop/api"})).await;
    assert_eq!(kind, "RepositoryNotEmptyException");
    assert_eq!(
        message,
        "The repository with name 'shop/api' in registry with id '123456789012' cannot be deleted because it still \
         contains images"
    );
    server.ok("DeleteRepository", json!({"repositoryName": "shop/api", "force": true})).await;
    let all = server.ok("DescribeRepositories", json!({})).await;
    assert_eq!(all, json!({"repositories": []}));
}

#[tokio::test]
async fn pages_go_on_after_deleted_repositories() {
    let server = Server::start().await;
    for index in 0..7 {
        server.ok("CreateRepository", json!({"repositoryName": format!("r{index}")})).await;
    }
    let mut seen = Vec::new();
    let mut input = json!({"maxResults": 3});
    loop {
        let page = server.ok("DescribeRepositories", input.clone()).await;
        for repository in page["repositories"].as_array().unwrap() {
            seen.push(repository["repositoryName"].as_str().unwrap().to_owned());
            let input = json!({"repositoryName": repository["repositoryName"]});
            server.ok("DeleteRepository", input).await;
        }
        let Some(token) = page.get("nextToken") else { break };
        input["nextToken"] = token.clone();
        input["maxResults"] = 2.into();
    }
    assert_eq!(seen, ["r0", "r1", "r2", "r3", "r4", "r5", "r6"]);
}

#[tokio::test]
async fn a_registry_is_an_account_in_a_region() {
    let server = Server::with_repository().await;
    let name = r#"{"repositoryName":"shop/api"}"#;
    for (key, region) in [("AKIAIOSFODNN7EXAMPLE", "eu-west-1"), ("210987654321", "us-east-1")] {
        let answer = server.raw_as("DescribeRepositories", "{}", key, region).await;
        assert_eq!(answer.body, json!({"repositories": []}), "{key} {region}");
        let answer = server.raw_as("CreateRepository", name, key, region).await;
        let uri = answer.body["repository"]["repositoryUri"].as_str().unwrap();
        let account = if key.len() == 12 { key } else { ACCOUNT };
        assert_eq!(uri, format!("{account}.dkr.ecr.{region}.amazonaws.com/shop/api"));
    }
    // registryId names another account's registry, which is not this caller's to read.
    let mut transcript = Transcript::new(&server);
    transcript.call("DescribeRepositories", json!({"registryId": "210987654321"})).await;
    let arn = "arn:aws:ecr:us-east-1:210987654321:repository/shop/api";
    transcript.call("ListTagsForResource", json!({"resourceArn": arn})).await;
    insta::assert_snapshot!(transcript.text());
}
