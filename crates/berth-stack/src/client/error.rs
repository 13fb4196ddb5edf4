//! What can go wrong in a call, by what one can do about it.

use std::error::Error;
use std::fmt;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_ecr::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};

/// A call to the ECR API failed. It has no source: the SDK's own errors name layers of the SDK, so what they say that is of
/// use is in the kind, and the rest is in the log (level `debug`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    operation: &'static str,
    target: String,
    kind: ApiErrorKind,
}

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiErrorKind {
    /// There is no such repository.
    RepositoryNotFound,
    /// There is one of that name.
    RepositoryAlreadyExists,
    /// It holds images.
    RepositoryNotEmpty,
    /// It has no lifecycle policy.
    LifecyclePolicyNotFound,
    /// It has no repository policy.
    RepositoryPolicyNotFound,
    /// The service refuses a value; its own words.
    InvalidParameter(String),
    /// Who asks may not do this; the service's own words.
    AccessDenied(String),
    /// No credentials were found.
    CredentialsMissing,
    /// There are credentials, and they could not be loaded or used.
    CredentialsUnusable(String),
    /// The credentials were good once.
    CredentialsExpired,
    /// The service does not know the key, or the signature does not fit the secret.
    CredentialsRejected(String),
    /// Nothing answers there; what the network said.
    Unreachable(String),
    /// No answer in time.
    TimedOut,
    /// The service asks to slow down, and still did after the SDK's own retries.
    Throttled,
    /// Whatever answers there, it is not an ECR API.
    NotEcr,
    /// The service's own fault, or an error that has no kind here.
    Service {
        /// The service's name for it.
        code: String,
        /// The service's own words.
        message: String,
    },
}

impl ApiError {
    /// An error of `operation` on `target` (a repository, or nothing in particular).
    #[must_use]
    pub fn new(operation: &'static str, target: &str, kind: ApiErrorKind) -> Self {
        Self { operation, target: target.to_owned(), kind }
    }

    /// Why it failed.
    #[must_use]
    pub const fn kind(&self) -> &ApiErrorKind {
        &self.kind
    }

    /// Whether the service does not know the operation at all (`UnknownOperationException`, a common error of AWS's APIs).
    #[must_use]
    pub fn is_unknown_operation(&self) -> bool {
        matches!(&self.kind, ApiErrorKind::Service { code, .. } if code == "UnknownOperationException")
    }

    /// ECR's name of the operation.
    #[must_use]
    pub const fn operation(&self) -> &'static str {
        self.operation
    }

    /// What to do about it, where that can be said.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match &self.kind {
            ApiErrorKind::CredentialsMissing => {
                "run `aws configure` or `aws sso login`, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; a registry \
                 of your own that does not check keys takes any value. If AWS_PROFILE is set, see that there is such a profile"
            }
            ApiErrorKind::CredentialsExpired => {
                "renew them: `aws sso login`, or new values for AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and \
                 AWS_SESSION_TOKEN"
            }
            ApiErrorKind::CredentialsUnusable(_) => {
                "check the profile that AWS_PROFILE names in ~/.aws/config and ~/.aws/credentials"
            }
            ApiErrorKind::CredentialsRejected(_) => {
                "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the profile, and this machine's clock"
            }
            ApiErrorKind::AccessDenied(_) => {
                return Some(format!(
                    "allow the action ecr:{} to this principal; `aws sts get-caller-identity` says who that is",
                    self.operation
                ));
            }
            ApiErrorKind::Unreachable(_) => {
                "check `endpoint` in the stack file (or AWS_ENDPOINT_URL_ECR) and the region, and that the registry is \
                 running"
            }
            ApiErrorKind::TimedOut | ApiErrorKind::Throttled => "try again later; what was done stays done",
            ApiErrorKind::NotEcr => "check `endpoint` in the stack file (or AWS_ENDPOINT_URL_ECR)",
            ApiErrorKind::RepositoryNotFound
            | ApiErrorKind::RepositoryAlreadyExists
            | ApiErrorKind::RepositoryNotEmpty
            | ApiErrorKind::LifecyclePolicyNotFound
            | ApiErrorKind::RepositoryPolicyNotFound
            | ApiErrorKind::InvalidParameter(_)
            | ApiErrorKind::Service { .. } => return None,
        };
        Some(hint.to_owned())
    }

    /// Sorts an error of the SDK.
    pub(super) fn from_sdk<E, R>(operation: &'static str, target: &str, error: &SdkError<E, R>) -> Self
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
        R: fmt::Debug + Send + Sync + 'static,
    {
        let kind = match error {
            SdkError::ServiceError(service) => service_kind(service.err()),
            SdkError::TimeoutError(_) => ApiErrorKind::TimedOut,
            SdkError::DispatchFailure(failure) if failure.is_timeout() => ApiErrorKind::TimedOut,
            SdkError::ResponseError(_) => ApiErrorKind::NotEcr,
            other => credentials_kind(other).unwrap_or_else(|| ApiErrorKind::Unreachable(innermost(other))),
        };
        tracing::debug!(operation, target, error = %DisplayErrorContext(&error), "a call failed");
        Self { operation, target: target.to_owned(), kind }
    }
}

/// The kind of an error that the service answered with.
fn service_kind(error: &impl ProvideErrorMetadata) -> ApiErrorKind {
    let message = error.message().unwrap_or_default().to_owned();
    let Some(code) = error.code() else { return ApiErrorKind::NotEcr };
    match code {
        "RepositoryNotFoundException" => ApiErrorKind::RepositoryNotFound,
        "RepositoryAlreadyExistsException" => ApiErrorKind::RepositoryAlreadyExists,
        "RepositoryNotEmptyException" => ApiErrorKind::RepositoryNotEmpty,
        "LifecyclePolicyNotFoundException" => ApiErrorKind::LifecyclePolicyNotFound,
        "RepositoryPolicyNotFoundException" => ApiErrorKind::RepositoryPolicyNotFound,
        "InvalidParameterException"
        | "InvalidTagParameterException"
        | "TooManyTagsException"
        | "ValidationException"
        | "ValidationError" => ApiErrorKind::InvalidParameter(message),
        "AccessDeniedException" | "AccessDenied" | "NotAuthorized" | "OptInRequired" => {
            ApiErrorKind::AccessDenied(message)
        }
        "ExpiredTokenException" | "ExpiredToken" | "RequestExpired" => ApiErrorKind::CredentialsExpired,
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "IncompleteSignature" => ApiErrorKind::CredentialsRejected(message),
        "ThrottlingException" | "Throttling" | "ThrottleException" | "TooManyRequestsException" => {
            ApiErrorKind::Throttled
        }
        _ => ApiErrorKind::Service { code: code.to_owned(), message },
    }
}

/// The kind of an error that comes from not having credentials, if it does.
fn credentials_kind(error: &(dyn Error + 'static)) -> Option<ApiErrorKind> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(credentials) = error.downcast_ref::<CredentialsError>() {
            return Some(match credentials {
                CredentialsError::CredentialsNotLoaded(_) => ApiErrorKind::CredentialsMissing,
                // Instance metadata is asked last: whatever is wrong with it, there is nothing else.
                other if is_about_instance_metadata(other) => ApiErrorKind::CredentialsMissing,
                other => ApiErrorKind::CredentialsUnusable(innermost(other)),
            });
        }
        cause = error.source();
    }
    None
}

fn is_about_instance_metadata(error: &dyn Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.to_string().contains("IMDS") {
            return true;
        }
        cause = error.source();
    }
    false
}

/// What the last cause in the chain says; the ones before it name layers of the SDK.
fn innermost(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = error.to_string();
        cause = error.source();
    }
    text
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.operation)?;
        if !self.target.is_empty() {
            write!(f, " {}", self.target)?;
        }
        write!(f, ": {}", self.kind)
    }
}

impl Error for ApiError {}

impl fmt::Display for ApiErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RepositoryNotFound => f.write_str("the repository does not exist"),
            Self::RepositoryAlreadyExists => f.write_str("a repository of this name already exists"),
            Self::RepositoryNotEmpty => f.write_str("the repository still holds images"),
            Self::LifecyclePolicyNotFound => f.write_str("the repository has no lifecycle policy"),
            Self::RepositoryPolicyNotFound => f.write_str("the repository has no repository policy"),
            Self::InvalidParameter(message) => write!(f, "refused: {message}"),
            Self::AccessDenied(message) => write!(f, "access denied: {message}"),
            Self::CredentialsMissing => f.write_str("no AWS credentials found"),
            Self::CredentialsUnusable(message) => write!(f, "the AWS credentials cannot be used: {message}"),
            Self::CredentialsExpired => f.write_str("the AWS credentials have expired"),
            Self::CredentialsRejected(message) => write!(f, "the AWS credentials were rejected: {message}"),
            Self::Unreachable(reason) => write!(f, "cannot connect: {reason}"),
            Self::TimedOut => f.write_str("no answer in time"),
            Self::Throttled => f.write_str("too many requests"),
            Self::NotEcr => f.write_str("the answer is not one of an ECR API"),
            Self::Service { code, message } if message.is_empty() => f.write_str(code),
            Self::Service { code, message } => write!(f, "{code}: {message}"),
        }
    }
}
