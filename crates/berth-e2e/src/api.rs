//! The ECR API: through the official SDK, and raw for requests that the SDK would never send.

use anyhow::Result;
use aws_credential_types::Credentials;
use aws_sdk_ecr::Client;
use aws_sdk_ecr::config::retry::RetryConfig;
use aws_sdk_ecr::config::{BehaviorVersion, Region};
use aws_sdk_ecr::error::{ProvideErrorMetadata, SdkError};
use reqwest::Method;
use serde_json::Value;

use crate::oci::{Answer, Oci};

/// The prefix of `X-Amz-Target`.
pub const TARGET_PREFIX: &str = "AmazonEC2ContainerRegistry_V20150921";

/// The official client, without retries, so that a test sees the first answer.
#[must_use]
pub fn client(url: &str, access_key: &str, region: &str) -> Client {
    let config = aws_sdk_ecr::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .endpoint_url(url)
        .retry_config(RetryConfig::disabled())
        .credentials_provider(Credentials::new(access_key, "a secret that nobody checks", None, None, "e2e"))
        .build();
    Client::from_conf(config)
}

/// `__type` and message of a refused call.
///
/// # Errors
/// When the call was not refused by the service (it succeeded, or the connection failed).
pub fn refusal<T, E, R>(result: Result<T, SdkError<E, R>>) -> Result<(String, String)>
where
    T: std::fmt::Debug,
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug,
{
    match result {
        Ok(output) => anyhow::bail!("expected a refusal, got {output:?}"),
        Err(SdkError::ServiceError(context)) => {
            let error = context.into_err();
            let code = error.code().unwrap_or("no code").to_owned();
            Ok((code, error.message().unwrap_or("no message").to_owned()))
        }
        Err(other) => anyhow::bail!("expected a refusal, got {other:?}"),
    }
}

/// A signed-looking request of the JSON 1.1 protocol with any target and body. Only a registry that checks no
/// signatures answers it.
///
/// # Errors
/// When the connection fails.
pub async fn raw(url: &str, target: &str, body: impl Into<reqwest::Body>) -> Result<Answer> {
    let oci = Oci::new(url, None)?;
    let request = oci
        .request(Method::POST, "/")
        .header("Content-Type", "application/x-amz-json-1.1")
        .header("X-Amz-Target", target)
        .header("X-Amz-Date", "20261123T120000Z")
        .header("Authorization", authorization("ecr"))
        .body(body);
    oci.send(request).await
}

/// The same for an operation of ECR and a JSON body.
///
/// # Errors
/// When the connection fails.
pub async fn call(url: &str, operation: &str, body: &Value) -> Result<Answer> {
    raw(url, &format!("{TARGET_PREFIX}.{operation}"), body.to_string()).await
}

/// A well-formed SigV4 header with a signature that is not one.
#[must_use]
pub fn authorization(service: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261123/{}/{service}/aws4_request, \
         SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature={}",
        crate::REGION,
        "0".repeat(64)
    )
}
