//! What this crate needs of an ECR API: a small trait, its types and its errors.
//!
//! [`AwsEcr`] speaks to Amazon ECR, or to whatever else answers the same API, through the official SDK; [`fake::FakeEcr`]
//! keeps everything in memory, for tests. Neither knows what a stack is.

mod aws;
mod connect;
mod error;
pub mod fake;
mod images;
mod login;

use std::collections::BTreeMap;

use async_trait::async_trait;
use berth_types::{RepositoryName, TagMutability};

pub use aws::AwsEcr;
pub use connect::{ConnectError, Environment, Target, connect, connect_to};
pub use error::{ApiError, ApiErrorKind};
pub use images::{ListedImage, Manifests};
pub use login::DockerLogin;

use crate::desired::Encryption;

/// A repository as ECR describes it. Texts stay texts: a repository that this program has nothing to do with must not
/// be able to break it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryDescription {
    /// The name.
    pub name: String,
    /// The ARN.
    pub arn: String,
    /// The account that has it.
    pub registry_id: String,
    /// What to push to and pull from: host and name.
    pub uri: String,
    /// Whether each pushed image is scanned.
    pub scan_on_push: bool,
    /// Which tags may be moved.
    pub tag_mutability: MutabilityText,
    /// How it is encrypted.
    pub encryption: Encryption,
}

/// Tag mutability as ECR spells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MutabilityText {
    /// `MUTABLE` and so on.
    pub mode: String,
    /// The exclusion filters, sorted: their order means nothing.
    pub filters: Vec<String>,
}

impl From<&TagMutability> for MutabilityText {
    fn from(mutability: &TagMutability) -> Self {
        let filters = mutability.filters().iter().map(|filter| filter.as_str().to_owned()).collect();
        Self::new(mutability.mode().name().to_owned(), filters)
    }
}

impl MutabilityText {
    /// Sorts the filters.
    #[must_use]
    pub fn new(mode: String, mut filters: Vec<String>) -> Self {
        filters.sort();
        Self { mode, filters }
    }
}

/// A repository to create.
#[derive(Clone, Debug, PartialEq)]
pub struct NewRepository {
    /// The name.
    pub name: RepositoryName,
    /// Whether each pushed image is scanned.
    pub scan_on_push: bool,
    /// Which tags may be moved.
    pub tag_mutability: TagMutability,
    /// How it is encrypted, for good.
    pub encryption: Encryption,
    /// The resource tags. They are part of the call that creates it, so there is no moment without an owner.
    pub tags: BTreeMap<String, String>,
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// What is on it; may be empty although more follow.
    pub items: Vec<T>,
    /// What to ask for the next page with, if there is one.
    pub next: Option<String>,
}

/// The operations of the ECR API that a stack is made of, with ECR's meaning. Each is one call (the SDK may repeat it after a
/// transport failure or a throttled answer), and each is safe to repeat: the second time it either does nothing or fails with
/// the kind that says so.
#[async_trait]
pub trait EcrApi: Send + Sync {
    /// One page of all repositories (`DescribeRepositories`).
    async fn describe_repositories(
        &self,
        next: Option<String>,
    ) -> Result<Page<RepositoryDescription>, ApiError>;

    /// Creates a repository with its tags. Fails with [`ApiErrorKind::RepositoryAlreadyExists`] even if the one that exists is
    /// the same.
    async fn create_repository(&self, new: &NewRepository) -> Result<RepositoryDescription, ApiError>;

    /// Deletes a repository. Without `force` it fails with [`ApiErrorKind::RepositoryNotEmpty`] while there are images.
    async fn delete_repository(&self, name: &str, force: bool) -> Result<(), ApiError>;

    /// Sets which tags may be moved.
    async fn put_image_tag_mutability(&self, name: &str, mutability: &TagMutability) -> Result<(), ApiError>;

    /// Sets whether pushed images are scanned.
    async fn put_image_scanning_configuration(&self, name: &str, scan_on_push: bool) -> Result<(), ApiError>;

    /// The text of the lifecycle policy; `None` if there is none.
    async fn get_lifecycle_policy(&self, name: &str) -> Result<Option<String>, ApiError>;

    /// Sets or replaces the lifecycle policy, in one step.
    async fn put_lifecycle_policy(&self, name: &str, text: &str) -> Result<(), ApiError>;

    /// Removes the lifecycle policy; [`ApiErrorKind::LifecyclePolicyNotFound`] if there is none.
    async fn delete_lifecycle_policy(&self, name: &str) -> Result<(), ApiError>;

    /// The text of the repository policy; `None` if there is none.
    async fn get_repository_policy(&self, name: &str) -> Result<Option<String>, ApiError>;

    /// Sets or replaces the repository policy, in one step.
    async fn set_repository_policy(&self, name: &str, text: &str) -> Result<(), ApiError>;

    /// Removes the repository policy; [`ApiErrorKind::RepositoryPolicyNotFound`] if there is none.
    async fn delete_repository_policy(&self, name: &str) -> Result<(), ApiError>;

    /// The resource tags.
    async fn list_tags(&self, arn: &str) -> Result<BTreeMap<String, String>, ApiError>;

    /// Adds resource tags, or gives those with the same key another value.
    async fn tag_resource(&self, arn: &str, tags: &BTreeMap<String, String>) -> Result<(), ApiError>;

    /// Removes resource tags; keys that are not there are no error.
    async fn untag_resource(&self, arn: &str, keys: &[String]) -> Result<(), ApiError>;

    /// Whether the repository holds any image, archived ones included (`ListImages`).
    async fn has_images(&self, name: &str) -> Result<bool, ApiError>;
}
