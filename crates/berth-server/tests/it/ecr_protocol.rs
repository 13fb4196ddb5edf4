//! What holds for every operation: signatures, targets, bodies, tokens for docker, and `sts:GetCallerIdentity`.

use berth_types::{Digest, limits};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::ecr_support::{ACCOUNT, Answer, OPERATIONS, Server, TARGET, Transcript, authorization};

const JSON: &str = "application/x-amz-json-1.1";
const FORM: &str = "application/x-www-form-urlencoded";

#[tokio::test]
async fn every_operation_needs_a_signature_and_an_object() {
    let server = Server::start().await;
    for operation in OPERATIONS {
        let target = format!("{TARGET}.{operation}");
        let request =
            server.request(Method::POST).header("content-type", JSON).header("x-amz-target", target);
        let answer = Answer::of(request.try_clone().unwrap().body("{}")).await;
        let kind = "MissingAuthenticationTokenException";
        assert_eq!(
            (answer.status, &answer.body["__type"]),
            (StatusCode::FORBIDDEN, &kind.into()),
            "{operation}"
        );
        assert_eq!(answer.body["message"], "Missing Authentication Token");

        let request = request.header("x-amz-date", "20261123T120000Z");
        for (authorization, kind) in [
            ("AWS4-HMAC-SHA256 Credential=AKID".to_owned(), "IncompleteSignatureException"),
            ("Basic QVdTOng=".to_owned(), "IncompleteSignatureException"),
            (authorization("AKID", "us-east-1", "s3"), "InvalidSignatureException"),
        ] {
            let signed = request.try_clone().unwrap().header("authorization", authorization).body("{}");
            let answer = Answer::of(signed).await;
            let found = (answer.status, &answer.body["__type"]);
            assert_eq!(found, (StatusCode::FORBIDDEN, &kind.into()), "{operation}");
        }
        for body in ["[]", "{", "\"text\"", "repositoryName=shop", "{\"a\":1}{}", "\u{0}"] {
            let answer = server.raw(operation, body).await;
            let found = (answer.status, &answer.body["__type"]);
            let expected = (StatusCode::BAD_REQUEST, &"SerializationException".into());
            assert_eq!(found, expected, "{operation} {body}");
        }
    }
}

#[tokio::test]
async fn what_every_operation_requires() {
    let server = Server::with_repository().await;
    let mut transcript = Transcript::new(&server);
    for operation in OPERATIONS {
        if !matches!(operation, "GetAuthorizationToken" | "DescribeRepositories") {
            transcript.call(operation, json!({})).await;
        }
    }
    let name = json!({"repositoryName": "shop/api"});
    for operation in [
        "BatchCheckLayerAvailability",
        "BatchDeleteImage",
        "BatchGetImage",
        "CompleteLayerUpload",
        "GetDownloadUrlForLayer",
        "PutImage",
        "PutImageScanningConfiguration",
        "PutImageTagMutability",
        "PutLifecyclePolicy",
        "UploadLayerPart",
    ] {
        transcript.call(operation, name.clone()).await;
    }
    insta::assert_snapshot!(transcript.text());
}

#[tokio::test]
async fn a_registry_id_that_is_none_is_refused_everywhere() {
    let server = Server::with_repository().await;
    for operation in OPERATIONS {
        let has_none = ["GetAuthorizationToken", "TagResource", "UntagResource", "ListTagsForResource"];
        if has_none.contains(&operation) {
            continue;
        }
        let (kind, message) =
            server.refused(operation, json!({"repositoryName": "shop/api", "registryId": "42"})).await;
        assert_eq!(kind, "InvalidParameterException", "{operation}");
        assert_eq!(
            message,
            "Invalid parameter at 'registryId' failed to satisfy constraint: 'Member must satisfy regular expression \
             pattern: [0-9]{12}'"
        );
    }
}

#[tokio::test]
async fn another_accounts_registry_is_closed_to_every_operation() {
    let server = Server::with_repository().await;
    for operation in OPERATIONS {
        // A token speaks for the caller wherever it is used; what it may do there is asked there.
        if operation == "GetAuthorizationToken" {
            continue;
        }
        let mut input = input_of(operation, "210987654321");
        input["registryId"] = "210987654321".into();
        let answer = server.call(operation, input).await;
        let found = (answer.status, &answer.body["__type"]);
        let expected = (StatusCode::FORBIDDEN, &"AccessDeniedException".into());
        assert_eq!(found, expected, "{operation}: {}", answer.body);
        let action = format!("is not authorized to perform: ecr:{operation} on resource: ");
        assert!(answer.body["message"].as_str().unwrap().contains(&action), "{}", answer.body);
    }
}

#[tokio::test]
async fn no_value_of_a_member_is_the_servers_fault() {
    let server = Server::with_repository().await;
    let values = [
        json!(null),
        json!(true),
        json!(-1),
        json!(i64::MAX),
        json!(1e300),
        json!(""),
        json!("\u{0}\u{fffd}é/../%00"),
        json!("9".repeat(40_000)),
        json!([]),
        json!([[]]),
        json!([null]),
        json!([{}]),
        json!([""]),
        json!({}),
        json!({"": null}),
    ];
    for operation in OPERATIONS {
        let input = input_of(operation, ACCOUNT);
        for member in input.as_object().unwrap().keys().map(String::as_str).chain(OPTIONAL_MEMBERS) {
            for value in &values {
                let mut input = input.clone();
                input[member] = value.clone();
                let answer = server.call(operation, input.clone()).await;
                let refused = answer.status.is_client_error() && answer.body["__type"].is_string();
                assert!(answer.status == StatusCode::OK || refused, "{operation} {input}: {}", answer.body);
            }
        }
        // Whatever was deleted on the way is there again.
        server.call("CreateRepository", json!({"repositoryName": "shop/api"})).await;
    }
}

/// Members that no operation requires.
const OPTIONAL_MEMBERS: [&str; 13] = [
    "registryId",
    "registryIds",
    "nextToken",
    "maxResults",
    "filter",
    "force",
    "tags",
    "imageTag",
    "imageDigest",
    "imageManifestMediaType",
    "acceptedMediaTypes",
    "encryptionConfiguration",
    "imageTagMutabilityExclusionFilters",
];

/// An input that has every required member, well formed, about `shop/api` of an account.
fn input_of(operation: &str, account: &str) -> Value {
    let (digest, upload) = (Digest::sha256(b"x"), "2f1a7e7a-7b55-4c0c-9a43-1d7a64b7f0a1");
    let arn = format!("arn:aws:ecr:us-east-1:{account}:repository/shop/api");
    let more = match operation {
        "TagResource" => return json!({"resourceArn": arn, "tags": [{"Key": "a", "Value": "b"}]}),
        "UntagResource" => return json!({"resourceArn": arn, "tagKeys": ["a"]}),
        "ListTagsForResource" => return json!({"resourceArn": arn}),
        "DescribeRepositories" => return json!({"repositoryNames": ["shop/api"]}),
        "BatchCheckLayerAvailability" => json!({"layerDigests": [digest]}),
        "BatchDeleteImage" | "BatchGetImage" => json!({"imageIds": [{"imageTag": "v1"}]}),
        "CompleteLayerUpload" => json!({"uploadId": upload, "layerDigests": [digest]}),
        "GetDownloadUrlForLayer" => json!({"layerDigest": digest}),
        "PutImage" => json!({"imageManifest": crate::ecr_support::image("one")}),
        "PutImageScanningConfiguration" => json!({"imageScanningConfiguration": {"scanOnPush": true}}),
        "PutImageTagMutability" => json!({"imageTagMutability": "MUTABLE"}),
        "PutLifecyclePolicy" => json!({"lifecyclePolicyText": " ".repeat(100)}),
        "UploadLayerPart" => {
            json!({"uploadId": upload, "partFirstByte": 0, "partLastByte": 0, "layerPartBlob": "eA=="})
        }
        _ => json!({}),
    };
    let mut input = json!({"repositoryName": "shop/api"});
    input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    input
}

#[tokio::test]
async fn unknown_operations_and_content_types() {
    let server = Server::start().await;
    let signed = || {
        let authorization = authorization("AKID", "us-east-1", "ecr");
        server
            .request(Method::POST)
            .header("x-amz-date", "20261123T120000Z")
            .header("authorization", authorization)
            .body("{}")
    };
    let requests = [
        signed().header("content-type", JSON),
        signed().header("content-type", JSON).header("x-amz-target", format!("{TARGET}.StartImageScan")),
        signed().header("content-type", JSON).header("x-amz-target", "DynamoDB_20120810.ListTables"),
        signed()
            .header("content-type", "application/json")
            .header("x-amz-target", format!("{TARGET}.ListImages")),
        signed().header("x-amz-target", format!("{TARGET}.ListImages")),
        // Without a signature it is still the operation that is missing first.
        server.request(Method::POST).header("content-type", JSON).header("x-amz-target", "x.Y"),
    ];
    let mut found = Vec::new();
    for request in requests {
        let answer = Answer::of(request).await;
        found.push(format!("{} {}", answer.status.as_u16(), answer.body));
    }
    insta::assert_snapshot!(found.join("\n"));
}

#[tokio::test]
async fn bodies_have_a_limit() {
    let server = Server::start().await;
    let large = |bytes: usize| format!("{{\"unknown\":\"{}\"}}", "x".repeat(bytes));
    let answer = server.raw("DescribeRepositories", large(limits::API_SMALL_BODY_BYTES_MAX - 100)).await;
    assert_eq!(answer.status, StatusCode::OK);
    let answer = server.raw("DescribeRepositories", large(limits::API_SMALL_BODY_BYTES_MAX)).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(answer.body["__type"], "RequestEntityTooLargeException");
    // Sent in chunks, so that no Content-Length warns of it.
    let chunks = (0..20).map(|_| Ok::<_, std::io::Error>(vec![b' '; 100_000]));
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
    let answer = server.raw("DescribeRepositories", body).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    let deep = format!("{{\"unknown\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let answer = server.raw("DescribeRepositories", deep).await;
    assert_eq!(answer.status, StatusCode::OK, "an unknown member is skipped, whatever it holds");
}

#[tokio::test]
async fn a_client_that_stops_sending_is_told_so() {
    let server = crate::support::Server::impatient().await;
    let head = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: {JSON}\r\nX-Amz-Target: {TARGET}.PutImage\r\n\
         X-Amz-Date: 20261123T120000Z\r\nAuthorization: {}\r\nContent-Length: 100\r\n\r\n{{\"",
        authorization("AKID", "us-east-1", "ecr")
    );
    let answer = server.raw(head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("\"__type\":\"RequestTimeoutException\""), "{answer}");
}

#[tokio::test]
async fn tokens_for_docker() {
    let server = Server::start().await;
    let mut transcript = Transcript::new(&server);
    transcript.call("GetAuthorizationToken", json!({})).await;
    transcript.call("GetAuthorizationToken", json!({"registryIds": ["210987654321"]})).await;
    transcript.call("GetAuthorizationToken", json!({"registryIds": ["210987654321", "123456789012"]})).await;
    transcript.call("GetAuthorizationToken", json!({"registryIds": []})).await;
    transcript.call("GetAuthorizationToken", json!({"registryIds": ["x"]})).await;
    transcript.call("GetAuthorizationToken", json!({"registryIds": vec!["210987654321"; 11]})).await;
    insta::assert_snapshot!(transcript.text());
    let without_body = server.raw("GetAuthorizationToken", "").await;
    assert_eq!(without_body.body["authorizationData"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_caller_identity() {
    let server = Server::start().await;
    let ask = |form: &str, key: &str, service: &str| {
        server
            .request(Method::POST)
            .header("content-type", FORM)
            .header("x-amz-date", "20261123T120000Z")
            .header("authorization", authorization(key, "eu-west-1", service))
            .body(form.to_owned())
    };
    let unsigned = server.request(Method::POST).header("content-type", FORM);
    let identity = "Action=GetCallerIdentity&Version=2011-06-15";
    let mut found = Vec::new();
    for request in [
        ask(identity, "AKIAIOSFODNN7EXAMPLE", "sts"),
        ask(identity, "210987654321", "sts"),
        ask(identity, "210987654321", "ecr"),
        ask("Action=AssumeRole%3C&Version=2011-06-15", "AKID", "sts"),
        ask("Action=GetCallerIdentity", "AKID", "sts"),
        ask("", "AKID", "sts"),
        unsigned.body(identity),
    ] {
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/xml");
        let id = response.headers()["x-amzn-requestid"].to_str().unwrap().to_owned();
        let status = response.status().as_u16();
        let body = response.text().await.unwrap();
        assert!(body.contains(&id), "{body}");
        found.push(format!("{status} {}", body.replace(&id, "REQUEST-ID")));
    }
    insta::assert_snapshot!(found.join("\n"));
}
