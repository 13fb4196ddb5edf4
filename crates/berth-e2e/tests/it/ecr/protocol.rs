//! The JSON protocol itself: requests that no SDK sends.

use anyhow::{Result, ensure};
use berth_e2e::api::{TARGET_PREFIX, authorization, call, raw};
use berth_e2e::oci::{Answer, Oci};
use berth_e2e::target::Target;
use reqwest::Method;
use serde_json::json;

/// `__type` of an error answer, without the part before `#`.
fn kind(answer: &Answer) -> Result<String> {
    let body = answer.json()?;
    let text = body["__type"].as_str().unwrap_or_default();
    ensure!(
        answer.header("x-amzn-requestid").is_some(),
        "every answer has a request id: {:?}",
        answer.headers
    );
    Ok(text.rsplit('#').next().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn answers_have_the_content_type_and_request_id_of_aws() -> Result<()> {
    let target = Target::start().await?;
    let answer = call(target.url(), "DescribeRepositories", &json!({})).await?.expect(&[200])?;
    ensure!(answer.header("content-type") == Some("application/x-amz-json-1.1"), "{:?}", answer.headers);
    ensure!(answer.header("x-amzn-requestid").is_some_and(|id| id.len() == 36), "{:?}", answer.headers);
    ensure!(answer.json()?["repositories"].is_array());
    Ok(())
}

#[tokio::test]
async fn times_are_numbers_of_seconds() -> Result<()> {
    let target = Target::start().await?;
    let name = berth_e2e::target::unique_name();
    let answer =
        call(target.url(), "CreateRepository", &json!({"repositoryName": name})).await?.expect(&[200])?;
    let body = answer.json()?;
    ensure!(
        body["repository"]["createdAt"].as_f64().is_some_and(|time| time > 1.7e9 && time < 1e11),
        "{body}"
    );
    ensure!(body["repository"].get("tags").is_none(), "tags are not echoed: {body}");
    Ok(())
}

#[tokio::test]
async fn unknown_operations_are_404() -> Result<()> {
    let target = Target::start().await?;
    for operation in [
        format!("{TARGET_PREFIX}.NoSuchOperation"),
        format!("{TARGET_PREFIX}."),
        "DynamoDB_20120810.ListTables".to_owned(),
        "nonsense".to_owned(),
    ] {
        let answer = raw(target.url(), &operation, "{}").await?.expect(&[404])?;
        ensure!(kind(&answer)? == "UnknownOperationException", "{operation}: {}", answer.text());
    }
    Ok(())
}

#[tokio::test]
async fn bodies_that_are_not_json_objects_are_refused() -> Result<()> {
    let target = Target::start().await?;
    let operation = format!("{TARGET_PREFIX}.DescribeRepositories");
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for body in ["{", "[]", "null", "\"text\"", "{} trailing", "\u{feff}{}", deep.as_str()] {
        let answer = raw(target.url(), &operation, body.to_owned()).await?.expect(&[400])?;
        let kind = kind(&answer)?;
        let short: String = body.chars().take(20).collect();
        ensure!(
            ["SerializationException", "InvalidParameterException"].contains(&kind.as_str()),
            "{short}: {kind}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn members_of_the_wrong_kind_are_refused() -> Result<()> {
    let target = Target::start().await?;
    for body in [
        json!({"repositoryNames": "not a list"}),
        json!({"maxResults": "ten"}),
        json!({"maxResults": 1.5}),
        json!({"registryId": 12}),
        json!({"repositoryNames": [1, 2]}),
    ] {
        let answer = call(target.url(), "DescribeRepositories", &body).await?.expect(&[400])?;
        let kind = kind(&answer)?;
        ensure!(
            ["SerializationException", "InvalidParameterException"].contains(&kind.as_str()),
            "{body}: {kind}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_missing_required_member_is_refused() -> Result<()> {
    let target = Target::start().await?;
    for operation in
        ["CreateRepository", "ListImages", "GetLifecyclePolicy", "PutImage", "InitiateLayerUpload"]
    {
        let answer = call(target.url(), operation, &json!({})).await?.expect(&[400])?;
        let kind = kind(&answer)?;
        ensure!(
            ["InvalidParameterException", "ValidationException"].contains(&kind.as_str()),
            "{operation}: {kind}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_member_that_nobody_knows_is_ignored_as_newer_clients_send_them() -> Result<()> {
    let target = Target::start().await?;
    call(target.url(), "DescribeRepositories", &json!({"someNewMember": 1})).await?.expect(&[200])?;
    Ok(())
}

#[tokio::test]
async fn a_request_without_a_signature_is_refused() -> Result<()> {
    let target = Target::start().await?;
    let oci = Oci::new(target.url(), None)?;
    for value in [
        "",
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 Credential=x, SignedHeaders=, Signature=",
        "Basic QVdTOng=",
    ] {
        let mut request = oci
            .request(Method::POST, "/")
            .header("Content-Type", "application/x-amz-json-1.1")
            .header("X-Amz-Target", format!("{TARGET_PREFIX}.DescribeRepositories"))
            .body("{}");
        if !value.is_empty() {
            request = request.header("Authorization", value);
        }
        let answer = oci.send(request).await?.expect(&[400, 403])?;
        let kind = kind(&answer)?;
        ensure!(
            [
                "MissingAuthenticationTokenException",
                "IncompleteSignatureException",
                "IncompleteSignature",
                "UnrecognizedClientException"
            ]
            .contains(&kind.as_str()),
            "{value}: {kind}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_body_larger_than_any_call_needs_is_refused() -> Result<()> {
    let target = Target::start().await?;
    let body = json!({"repositoryName": "x".repeat(3 * 1024 * 1024)});
    let answer = call(target.url(), "CreateRepository", &body).await?.expect(&[400, 413])?;
    ensure!(!kind(&answer)?.is_empty(), "{}", answer.text());
    Ok(())
}

#[tokio::test]
async fn a_page_in_a_browser_cannot_call_the_api() -> Result<()> {
    let target = Target::start().await?;
    let oci = Oci::new(target.url(), None)?;
    let request = oci
        .request(Method::POST, "/")
        .header("Content-Type", "text/plain")
        .header("Origin", "http://evil.example")
        .header("X-Amz-Target", format!("{TARGET_PREFIX}.DescribeRepositories"))
        .header("X-Amz-Date", "20261123T120000Z")
        .header("Authorization", authorization("ecr"))
        .body("{}");
    oci.send(request).await?.expect(&[400, 403, 421])?;
    Ok(())
}

#[tokio::test]
async fn health_and_metrics_are_there() -> Result<()> {
    let target = Target::own(&[]).await?;
    let oci = target.oci().await?.with_login(None);
    oci.get("/healthz").await?.expect(&[200])?;
    oci.get("/readyz").await?.expect(&[200])?;
    let metrics = oci.get("/metrics").await?.expect(&[200])?;
    let text = String::from_utf8_lossy(&metrics.body).into_owned();
    ensure!(text.contains("# TYPE ") && text.contains("berth_"), "{text}");
    Ok(())
}
