//! [`EcrApi`] over the official SDK.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_ecr::Client;
use aws_sdk_ecr::error::BuildError;
use aws_sdk_ecr::types::{
    AuthorizationData, EncryptionConfiguration, EncryptionType, ImageScanningConfiguration,
    ImageStatusFilter, ImageTagMutability, ImageTagMutabilityExclusionFilter,
    ImageTagMutabilityExclusionFilterType, ListImagesFilter, Repository, Tag,
};
use berth_types::{TagMutability, limits};

use super::error::{ApiError, ApiErrorKind};
use super::{EcrApi, MutabilityText, NewRepository, Page, RepositoryDescription};
use crate::desired::Encryption;

/// Amazon ECR, or anything that speaks its API.
#[derive(Clone)]
pub struct AwsEcr {
    pub(super) client: Client,
}

impl AwsEcr {
    /// A client with the given configuration. Most callers want [`connect`](super::connect()).
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self { client: Client::new(config) }
    }

    /// `GetAuthorizationToken` for the caller's own registry.
    pub(super) async fn authorization_token(&self) -> Result<Vec<AuthorizationData>, ApiError> {
        let answer = self.client.get_authorization_token().send().await;
        let answer = answer.map_err(|error| ApiError::from_sdk("GetAuthorizationToken", "", &error))?;
        Ok(answer.authorization_data.unwrap_or_default())
    }
}

impl fmt::Debug for AwsEcr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsEcr").finish_non_exhaustive()
    }
}

/// `PAGE_ITEMS_MAX` in the SDK's type.
pub(super) const PAGE_ITEMS: i32 = limits::PAGE_ITEMS_MAX as i32;

#[async_trait]
impl EcrApi for AwsEcr {
    async fn describe_repositories(
        &self,
        next: Option<String>,
    ) -> Result<Page<RepositoryDescription>, ApiError> {
        let request = self.client.describe_repositories().max_results(PAGE_ITEMS).set_next_token(next);
        let answer =
            request.send().await.map_err(|error| ApiError::from_sdk("DescribeRepositories", "", &error))?;
        let items = answer.repositories().iter().map(description).collect();
        Ok(Page { items, next: answer.next_token })
    }

    async fn create_repository(&self, new: &NewRepository) -> Result<RepositoryDescription, ApiError> {
        const OPERATION: &str = "CreateRepository";
        let name = new.name.as_str();
        let built = |error: BuildError| unbuildable(OPERATION, name, &error);
        let encryption = EncryptionConfiguration::builder()
            .encryption_type(EncryptionType::from(new.encryption.kind()))
            .set_kms_key(new.encryption.key().map(str::to_owned))
            .build()
            .map_err(built)?;
        let request = self
            .client
            .create_repository()
            .repository_name(name)
            .image_tag_mutability(mode(&new.tag_mutability))
            .set_image_tag_mutability_exclusion_filters(filters(&new.tag_mutability).map_err(built)?)
            .image_scanning_configuration(scanning(new.scan_on_push))
            .encryption_configuration(encryption)
            .set_tags(Some(tags(&new.tags).map_err(built)?));
        let answer = request.send().await.map_err(|error| ApiError::from_sdk(OPERATION, name, &error))?;
        answer
            .repository()
            .map(description)
            .ok_or_else(|| ApiError::new(OPERATION, name, ApiErrorKind::NotEcr))
    }

    async fn delete_repository(&self, name: &str, force: bool) -> Result<(), ApiError> {
        let request = self.client.delete_repository().repository_name(name).force(force);
        request.send().await.map_err(|error| ApiError::from_sdk("DeleteRepository", name, &error))?;
        Ok(())
    }

    async fn put_image_tag_mutability(&self, name: &str, mutability: &TagMutability) -> Result<(), ApiError> {
        const OPERATION: &str = "PutImageTagMutability";
        let filters = filters(mutability).map_err(|error| unbuildable(OPERATION, name, &error))?;
        let request = self
            .client
            .put_image_tag_mutability()
            .repository_name(name)
            .image_tag_mutability(mode(mutability))
            .set_image_tag_mutability_exclusion_filters(filters);
        request.send().await.map_err(|error| ApiError::from_sdk(OPERATION, name, &error))?;
        Ok(())
    }

    async fn put_image_scanning_configuration(&self, name: &str, scan_on_push: bool) -> Result<(), ApiError> {
        let request = self
            .client
            .put_image_scanning_configuration()
            .repository_name(name)
            .image_scanning_configuration(scanning(scan_on_push));
        let answer = request.send().await;
        answer.map_err(|error| ApiError::from_sdk("PutImageScanningConfiguration", name, &error))?;
        Ok(())
    }

    async fn get_lifecycle_policy(&self, name: &str) -> Result<Option<String>, ApiError> {
        let answer = self.client.get_lifecycle_policy().repository_name(name).send().await;
        match answer.map_err(|error| ApiError::from_sdk("GetLifecyclePolicy", name, &error)) {
            Ok(answer) => Ok(answer.lifecycle_policy_text),
            Err(error) if *error.kind() == ApiErrorKind::LifecyclePolicyNotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn put_lifecycle_policy(&self, name: &str, text: &str) -> Result<(), ApiError> {
        let request = self.client.put_lifecycle_policy().repository_name(name).lifecycle_policy_text(text);
        request.send().await.map_err(|error| ApiError::from_sdk("PutLifecyclePolicy", name, &error))?;
        Ok(())
    }

    async fn delete_lifecycle_policy(&self, name: &str) -> Result<(), ApiError> {
        let answer = self.client.delete_lifecycle_policy().repository_name(name).send().await;
        answer.map_err(|error| ApiError::from_sdk("DeleteLifecyclePolicy", name, &error))?;
        Ok(())
    }

    async fn get_repository_policy(&self, name: &str) -> Result<Option<String>, ApiError> {
        let answer = self.client.get_repository_policy().repository_name(name).send().await;
        match answer.map_err(|error| ApiError::from_sdk("GetRepositoryPolicy", name, &error)) {
            Ok(answer) => Ok(answer.policy_text),
            Err(error) if *error.kind() == ApiErrorKind::RepositoryPolicyNotFound => Ok(None),
            // A registry without the operation has no such policies; setting one will fail there, with its own words.
            Err(error) if error.is_unknown_operation() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn set_repository_policy(&self, name: &str, text: &str) -> Result<(), ApiError> {
        let request = self.client.set_repository_policy().repository_name(name).policy_text(text);
        request.send().await.map_err(|error| ApiError::from_sdk("SetRepositoryPolicy", name, &error))?;
        Ok(())
    }

    async fn delete_repository_policy(&self, name: &str) -> Result<(), ApiError> {
        let answer = self.client.delete_repository_policy().repository_name(name).send().await;
        answer.map_err(|error| ApiError::from_sdk("DeleteRepositoryPolicy", name, &error))?;
        Ok(())
    }

    async fn list_tags(&self, arn: &str) -> Result<BTreeMap<String, String>, ApiError> {
        let answer = self.client.list_tags_for_resource().resource_arn(arn).send().await;
        let answer = answer.map_err(|error| ApiError::from_sdk("ListTagsForResource", arn, &error))?;
        Ok(answer.tags().iter().map(|tag| (tag.key().to_owned(), tag.value().to_owned())).collect())
    }

    async fn tag_resource(&self, arn: &str, new: &BTreeMap<String, String>) -> Result<(), ApiError> {
        const OPERATION: &str = "TagResource";
        let tags = tags(new).map_err(|error| unbuildable(OPERATION, arn, &error))?;
        let answer = self.client.tag_resource().resource_arn(arn).set_tags(Some(tags)).send().await;
        answer.map_err(|error| ApiError::from_sdk(OPERATION, arn, &error))?;
        Ok(())
    }

    async fn untag_resource(&self, arn: &str, keys: &[String]) -> Result<(), ApiError> {
        let request = self.client.untag_resource().resource_arn(arn).set_tag_keys(Some(keys.to_vec()));
        request.send().await.map_err(|error| ApiError::from_sdk("UntagResource", arn, &error))?;
        Ok(())
    }

    async fn has_images(&self, name: &str) -> Result<bool, ApiError> {
        let mut next = None;
        // Without a filter ECR leaves out archived images, which a deletion would take as well.
        let any = ListImagesFilter::builder().image_status(ImageStatusFilter::Any).build();
        // A page may be empty although more follow.
        loop {
            let request =
                self.client.list_images().repository_name(name).filter(any.clone()).set_next_token(next);
            let answer =
                request.send().await.map_err(|error| ApiError::from_sdk("ListImages", name, &error))?;
            if !answer.image_ids().is_empty() {
                return Ok(true);
            }
            next = answer.next_token;
            if next.is_none() {
                return Ok(false);
            }
        }
    }
}

fn description(repository: &Repository) -> RepositoryDescription {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let mode = repository.image_tag_mutability().map_or("MUTABLE", ImageTagMutability::as_str);
    let filters = repository.image_tag_mutability_exclusion_filters();
    let filters = filters.iter().map(|filter| filter.filter().to_owned()).collect();
    RepositoryDescription {
        name: text(repository.repository_name()),
        arn: text(repository.repository_arn()),
        registry_id: text(repository.registry_id()),
        uri: text(repository.repository_uri()),
        scan_on_push: repository
            .image_scanning_configuration()
            .is_some_and(ImageScanningConfiguration::scan_on_push),
        tag_mutability: MutabilityText::new(mode.to_owned(), filters),
        encryption: encryption(repository.encryption_configuration()),
    }
}

fn encryption(configuration: Option<&EncryptionConfiguration>) -> Encryption {
    let Some(configuration) = configuration else { return Encryption::Aes256 };
    let key = configuration.kms_key().filter(|key| !key.is_empty()).map(str::to_owned);
    match configuration.encryption_type() {
        EncryptionType::Aes256 => Encryption::Aes256,
        EncryptionType::Kms => Encryption::Kms { key },
        other => Encryption::Other { kind: other.as_str().to_owned(), key },
    }
}

fn mode(mutability: &TagMutability) -> ImageTagMutability {
    ImageTagMutability::from(mutability.mode().name())
}

fn filters(mutability: &TagMutability) -> Result<Option<Vec<ImageTagMutabilityExclusionFilter>>, BuildError> {
    let filters = mutability.filters().iter().map(|filter| {
        ImageTagMutabilityExclusionFilter::builder()
            .filter_type(ImageTagMutabilityExclusionFilterType::Wildcard)
            .filter(filter.as_str())
            .build()
    });
    let filters = filters.collect::<Result<Vec<_>, _>>()?;
    Ok((!filters.is_empty()).then_some(filters))
}

fn scanning(scan_on_push: bool) -> ImageScanningConfiguration {
    ImageScanningConfiguration::builder().scan_on_push(scan_on_push).build()
}

fn tags(tags: &BTreeMap<String, String>) -> Result<Vec<Tag>, BuildError> {
    tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

/// A request that lacks a member. It cannot happen with what is given here, and is no reason to panic.
fn unbuildable(operation: &'static str, target: &str, error: &BuildError) -> ApiError {
    ApiError::new(operation, target, ApiErrorKind::InvalidParameter(error.to_string()))
}
