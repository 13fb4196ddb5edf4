//! The real SDK against canned answers: requests as ECR wants them, errors sorted by what one can do about them.

use std::sync::{Arc, Mutex};

use berth_stack::{ApiErrorKind, AwsEcr, EcrApi as _, Endpoint, StackSpec, connect};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A server that gives the same answer to every request and remembers the bodies.
async fn server(status: u16, body: &'static str) -> (Endpoint, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let requests = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            answer(connection, status, body, &requests).await;
        }
    });
    (Endpoint::parse(&endpoint).unwrap(), seen)
}

async fn answer(mut connection: TcpStream, status: u16, body: &str, requests: &Mutex<Vec<String>>) {
    let mut request = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let read = connection.read(&mut chunk).await.unwrap();
        request.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8_lossy(&request).into_owned();
        let Some((head, sent)) = text.split_once("\r\n\r\n") else { continue };
        let length =
            head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if sent.len() >= length.unwrap_or(0) {
            let target = head.lines().find(|line| line.to_lowercase().starts_with("x-amz-target"));
            requests.lock().unwrap().push(format!("{} {sent}", target.unwrap_or_default()));
            break;
        }
    }
    let answer = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: {}\r\nconnection: \
         close\r\n\r\n{body}",
        body.len()
    );
    connection.write_all(answer.as_bytes()).await.unwrap();
}

async fn client(endpoint: Endpoint) -> AwsEcr {
    let stack = StackSpec::new("shop", "dev").unwrap().with_endpoint(endpoint);
    // Neither credentials nor a region are configured: for plain HTTP on this machine both are made up.
    connect(&stack, &|_| None).await.unwrap().0
}

#[tokio::test]
async fn errors_are_sorted() {
    for (status, body, expected) in [
        (400, r#"{"__type":"RepositoryNotFoundException","message":"m"}"#, ApiErrorKind::RepositoryNotFound),
        (
            400,
            r#"{"__type":"com.amazonaws#InvalidParameterException","message":"m"}"#,
            ApiErrorKind::InvalidParameter("m".to_owned()),
        ),
        (
            400,
            r#"{"__type":"AccessDeniedException","Message":"m"}"#,
            ApiErrorKind::AccessDenied("m".to_owned()),
        ),
        (403, r#"{"__type":"ExpiredTokenException","message":"m"}"#, ApiErrorKind::CredentialsExpired),
        (
            403,
            r#"{"__type":"UnrecognizedClientException","message":"m"}"#,
            ApiErrorKind::CredentialsRejected("m".to_owned()),
        ),
        (
            400,
            r#"{"__type":"KmsException","message":"m"}"#,
            ApiErrorKind::Service { code: "KmsException".to_owned(), message: "m".to_owned() },
        ),
        (404, "<html>not here</html>", ApiErrorKind::NotEcr),
        (200, "<html>hello</html>", ApiErrorKind::NotEcr),
    ] {
        let (endpoint, _) = server(status, body).await;
        let error = client(endpoint).await.get_lifecycle_policy("shop/api").await.unwrap_err();
        assert_eq!(error.kind(), &expected, "{body}");
    }
}

#[tokio::test]
async fn absent_policies_are_none() {
    let (endpoint, _) = server(400, r#"{"__type":"LifecyclePolicyNotFoundException","message":"m"}"#).await;
    assert_eq!(client(endpoint).await.get_lifecycle_policy("shop/api").await.unwrap(), None);
    let (endpoint, _) = server(400, r#"{"__type":"RepositoryPolicyNotFoundException","message":"m"}"#).await;
    assert_eq!(client(endpoint).await.get_repository_policy("shop/api").await.unwrap(), None);
}

#[tokio::test]
async fn nobody_listening_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let client = client(Endpoint::parse(&endpoint).unwrap()).await;
    let error = client.describe_repositories(None).await.unwrap_err();
    assert!(
        matches!(error.kind(), ApiErrorKind::Unreachable(reason) if reason.contains("refused")),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("endpoint"));
}

#[tokio::test]
async fn a_description_is_read_and_a_creation_is_written() {
    let body = r#"{"repository": {"repositoryArn": "arn:aws:ecr:us-east-1:123456789012:repository/shop/api",
        "registryId": "123456789012", "repositoryName": "shop/api", "repositoryUri": "localhost:5000/shop/api",
        "createdAt": 1.5, "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
        "imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": "z*"},
            {"filterType": "WILDCARD", "filter": "a*"}],
        "imageScanningConfiguration": {"scanOnPush": true},
        "encryptionConfiguration": {"encryptionType": "KMS", "kmsKey": "arn:aws:kms:us-east-1:123456789012:key/1"}}}"#;
    let (endpoint, seen) = server(200, body).await;
    let stack = crate::support::stack(
        "project = \"shop\"\nenvironment = \"prod\"\n[repositories.api]\nmutable_tags = [\"z*\", \"a*\"]\n\
         encryption = \"KMS\"",
    );
    let api = &stack.repositories()[0];
    let new = berth_stack::client::NewRepository {
        name: api.name.clone(),
        scan_on_push: api.scan_on_push,
        tag_mutability: api.tag_mutability.clone(),
        encryption: api.encryption.clone(),
        tags: api.tags.clone(),
    };
    let description = client(endpoint).await.create_repository(&new).await.unwrap();
    insta::assert_debug_snapshot!(description);
    insta::assert_snapshot!(seen.lock().unwrap().join("\n"));
}

/// A deletion takes archived images too, and ECR lists those on request only.
#[tokio::test]
async fn archived_images_are_images() {
    let (endpoint, seen) = server(200, r#"{"imageIds": []}"#).await;
    assert!(!client(endpoint).await.has_images("shop/api").await.unwrap());
    insta::assert_snapshot!(seen.lock().unwrap().join("\n"));
}
