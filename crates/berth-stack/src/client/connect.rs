//! From a stack's `region` and `endpoint`, and the usual AWS configuration, to a client.

use std::fmt;
use std::time::Duration;

use aws_config::environment::credentials::EnvironmentVariableCredentialsProvider;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, ConfigLoader, SdkConfig};
use aws_credential_types::Credentials;
use berth_types::{AccountId, Region};

use super::AwsEcr;
use crate::spec::{Endpoint, StackSpec};

/// How long a connection may take to come about.
const CONNECT_SECONDS_MAX: u64 = 5;
/// How long one try of one call may take.
const ATTEMPT_SECONDS_MAX: u64 = 30;
/// Tries of one call, the first one included.
const ATTEMPTS_MAX: u32 = 5;
/// The same with a registry on this machine: if it is not there, it will not come within seconds.
const LOOPBACK_ATTEMPTS_MAX: u32 = 3;
/// The longest pause before the second try with a registry on this machine; it doubles from try to try.
const LOOPBACK_BACKOFF_MILLIS: u64 = 50;
/// The region of a registry on this machine when nothing names one.
const LOOPBACK_REGION: &str = "us-east-1";
/// What stands for credentials with a registry on this machine when there are none. It is no secret.
const PLACEHOLDER: &str = "placeholder";

/// The environment variables that matter here beside those that the SDK reads itself. Given as a function so that a test can
/// pretend.
pub type Environment<'a> = &'a (dyn Fn(&str) -> Option<String> + Sync);

/// Where a stack's calls go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The region.
    pub region: Region,
    /// The endpoint, if it is not Amazon's own.
    pub endpoint: Option<Endpoint>,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.endpoint {
            Some(endpoint) => write!(f, "{endpoint} ({})", self.region),
            None => write!(f, "Amazon ECR in {}", self.region),
        }
    }
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Neither the stack nor the AWS configuration names a region.
    #[error("no AWS region is set")]
    NoRegion,
    /// The AWS configuration names something that is no region.
    #[error("the AWS configuration names the region {name:?}")]
    BadRegion {
        /// What it names.
        name: String,
        /// What is wrong with it.
        #[source]
        source: berth_types::RegionError,
    },
    /// An environment variable holds something that is no endpoint.
    #[error("{variable} is {value:?}")]
    BadEndpoint {
        /// The variable.
        variable: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        #[source]
        source: crate::spec::EndpointError,
    },
}

impl ConnectError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoRegion | Self::BadRegion { .. } => {
                "set `region` in the stack file, or AWS_REGION, or run `aws configure`"
            }
            Self::BadEndpoint { .. } => "set it to http://HOST:PORT, or unset it to use Amazon ECR",
        }
    }
}

/// Makes a client for the stack. No call is made yet, except those that loading credentials may need later.
///
/// The endpoint is the stack's, else that of `AWS_ENDPOINT_URL_ECR` or `AWS_ENDPOINT_URL` (unless
/// `AWS_IGNORE_CONFIGURED_ENDPOINT_URLS` is `true`), else Amazon's. Credentials come from the default chain of the AWS SDKs.
/// Only with plain HTTP to this very machine it is different: credentials are looked for in the environment and the profile, and
/// if there are none a placeholder is used, because such a registry often checks no keys and instance metadata would be the
/// wrong ones to send it.
///
/// # Errors
/// [`ConnectError`] if there is no region, or a variable holds something unusable.
pub async fn connect(
    stack: &StackSpec,
    environment: Environment<'_>,
) -> Result<(AwsEcr, Target), ConnectError> {
    connect_to(stack.region(), stack.endpoint(), environment).await
}

/// As [`connect`], for something that is no stack.
///
/// # Errors
/// As [`connect`].
pub async fn connect_to(
    region: Option<&Region>,
    endpoint: Option<&Endpoint>,
    environment: Environment<'_>,
) -> Result<(AwsEcr, Target), ConnectError> {
    let endpoint = match endpoint {
        Some(endpoint) => Some(endpoint.clone()),
        None => endpoint_from(environment)?,
    };
    let is_loopback = endpoint.as_ref().is_some_and(Endpoint::is_plain_loopback);
    let loader = loader(region, endpoint.as_ref());
    let loader = if is_loopback { for_loopback(loader) } else { loader };
    let mut config = loader.load().await;
    let region = match config.region() {
        Some(region) => Region::parse(region.as_ref())
            .map_err(|source| ConnectError::BadRegion { name: region.to_string(), source })?,
        None if is_loopback => {
            let region = Region::parse(LOOPBACK_REGION)
                .map_err(|source| ConnectError::BadRegion { name: LOOPBACK_REGION.to_owned(), source })?;
            config = with_region(&config, &region);
            region
        }
        None => return Err(ConnectError::NoRegion),
    };
    Ok((AwsEcr::new(&config), Target { region, endpoint }))
}

fn loader(region: Option<&Region>, endpoint: Option<&Endpoint>) -> ConfigLoader {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(CONNECT_SECONDS_MAX))
        .operation_attempt_timeout(Duration::from_secs(ATTEMPT_SECONDS_MAX))
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS_MAX));
    if let Ok(name) = AppName::new("berth") {
        loader = loader.app_name(name);
    }
    if let Some(region) = region {
        loader = loader.region(aws_config::Region::new(region.as_str().to_owned()));
    }
    if let Some(endpoint) = endpoint {
        loader = loader.endpoint_url(endpoint.as_str());
    }
    loader
}

/// The configuration for a registry that this program serves itself. The access key names the account and is no secret.
pub(super) async fn local_config(endpoint: &Endpoint, region: &Region, account: AccountId) -> SdkConfig {
    let credentials =
        Credentials::new(account.as_str(), PLACEHOLDER, None, None, "the registry of this process");
    loader(Some(region), Some(endpoint)).credentials_provider(credentials).load().await
}

fn with_region(config: &SdkConfig, region: &Region) -> SdkConfig {
    config.to_builder().region(aws_config::Region::new(region.as_str().to_owned())).build()
}

fn for_loopback(loader: ConfigLoader) -> ConfigLoader {
    let retries = RetryConfig::standard()
        .with_max_attempts(LOOPBACK_ATTEMPTS_MAX)
        .with_initial_backoff(Duration::from_millis(LOOPBACK_BACKOFF_MILLIS));
    loader.retry_config(retries).credentials_provider(loopback_credentials())
}

fn loopback_credentials() -> CredentialsProviderChain {
    let placeholder = Credentials::new(PLACEHOLDER, PLACEHOLDER, None, None, "placeholder for loopback");
    CredentialsProviderChain::first_try("Environment", EnvironmentVariableCredentialsProvider::new())
        .or_else("Profile", ProfileFileCredentialsProvider::builder().build())
        .or_else("Placeholder", placeholder)
}

fn endpoint_from(environment: Environment<'_>) -> Result<Option<Endpoint>, ConnectError> {
    let ignored = environment("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");
    if ignored.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Ok(None);
    }
    for variable in ["AWS_ENDPOINT_URL_ECR", "AWS_ENDPOINT_URL"] {
        let Some(value) = environment(variable).filter(|value| !value.is_empty()) else { continue };
        return match Endpoint::parse(&value) {
            Ok(endpoint) => Ok(Some(endpoint)),
            Err(source) => Err(ConnectError::BadEndpoint { variable, value, source }),
        };
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + Sync + 'a {
        |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn the_environment_names_an_endpoint_unless_told_not_to() {
        let both = [("AWS_ENDPOINT_URL", "http://a:1"), ("AWS_ENDPOINT_URL_ECR", "http://b:2")];
        let found = endpoint_from(&environment(&both)).unwrap().unwrap();
        assert_eq!(found.as_str(), "http://b:2");
        let ignored = [("AWS_ENDPOINT_URL", "http://a:1"), ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "True")];
        assert_eq!(endpoint_from(&environment(&ignored)).unwrap(), None);
        let error = endpoint_from(&environment(&[("AWS_ENDPOINT_URL", "localhost:5000")])).unwrap_err();
        assert_eq!(error.to_string(), "AWS_ENDPOINT_URL is \"localhost:5000\"");
    }
}
