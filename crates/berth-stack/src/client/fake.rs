//! An ECR API in memory, for tests.
//!
//! It refuses what ECR refuses, with ECR's kinds of error, and gives back what ECR gives back: policies re-serialised, tags
//! never as part of a description, the ARN of a key where none was named, lists in pages. Images are counted, not kept.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use berth_lifecycle::Policy;
use berth_types::{AccountId, Region, RegistryId, RepositoryArn, TagMutability, limits};
use serde_json::Value;

use super::error::{ApiError, ApiErrorKind};
use super::{EcrApi, MutabilityText, NewRepository, Page, RepositoryDescription};
use crate::desired::Encryption;
use crate::repository_policy::RepositoryPolicy;

/// A registry in memory.
#[derive(Debug)]
pub struct FakeEcr {
    registry: RegistryId,
    page_items: usize,
    repositories: Mutex<BTreeMap<String, FakeRepository>>,
}

/// One repository of a [`FakeEcr`], open to tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FakeRepository {
    /// What `DescribeRepositories` answers.
    pub description: RepositoryDescription,
    /// The resource tags.
    pub tags: BTreeMap<String, String>,
    /// The lifecycle policy as ECR gives it back.
    pub lifecycle_policy: Option<String>,
    /// The repository policy as ECR gives it back.
    pub repository_policy: Option<String>,
    /// How many images it holds.
    pub images: usize,
    /// Whether the caller may not read its tags.
    pub tags_are_denied: bool,
}

impl FakeEcr {
    /// An empty registry that answers lists in pages of `page_items`.
    #[must_use]
    pub fn new(account: AccountId, region: Region, page_items: usize) -> Self {
        Self {
            registry: RegistryId { account, region },
            page_items: page_items.max(1),
            repositories: Mutex::new(BTreeMap::new()),
        }
    }

    /// Everything that is there.
    #[must_use]
    pub fn snapshot(&self) -> BTreeMap<String, FakeRepository> {
        self.lock().clone()
    }

    /// Changes a repository behind everybody's back. Answers whether there is one.
    pub fn edit(&self, name: &str, change: impl FnOnce(&mut FakeRepository)) -> bool {
        self.lock().get_mut(name).map(change).is_some()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, FakeRepository>> {
        self.repositories.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `change` on the repository, or fails as ECR does if there is none.
    fn with<T>(
        &self,
        operation: &'static str,
        name: &str,
        change: impl FnOnce(&mut FakeRepository) -> Result<T, ApiErrorKind>,
    ) -> Result<T, ApiError> {
        let mut repositories = self.lock();
        let result = repositories.get_mut(name).map_or(Err(ApiErrorKind::RepositoryNotFound), change);
        result.map_err(|kind| ApiError::new(operation, name, kind))
    }

    /// The repository of an ARN of this registry.
    fn name_of(&self, operation: &'static str, arn: &str) -> Result<String, ApiError> {
        let parsed = RepositoryArn::parse(arn).map_err(|error| {
            ApiError::new(operation, arn, ApiErrorKind::InvalidParameter(error.to_string()))
        })?;
        if parsed.registry != self.registry {
            return Err(ApiError::new(operation, arn, ApiErrorKind::RepositoryNotFound));
        }
        Ok(parsed.name.to_string())
    }

    fn describe(&self, new: &NewRepository) -> RepositoryDescription {
        let RegistryId { account, region } = &self.registry;
        let arn = RepositoryArn { registry: self.registry.clone(), name: new.name.clone() };
        RepositoryDescription {
            name: new.name.to_string(),
            arn: arn.to_string(),
            registry_id: account.to_string(),
            uri: format!("{account}.dkr.ecr.{region}.amazonaws.com/{}", new.name),
            scan_on_push: new.scan_on_push,
            tag_mutability: MutabilityText::from(&new.tag_mutability),
            encryption: self.encryption(&new.encryption),
        }
    }

    /// KMS answers with the ARN of a key, whatever it was given, unless that is an ARN already.
    fn encryption(&self, wanted: &Encryption) -> Encryption {
        let Encryption::Kms { key } = wanted else { return wanted.clone() };
        let RegistryId { account, region } = &self.registry;
        let id = match key.as_deref() {
            Some(arn) if arn.starts_with("arn:") => return wanted.clone(),
            Some(id) if !id.starts_with("alias/") => id,
            _ => "00000000-0000-0000-0000-000000000000",
        };
        let arn = format!("arn:{}:kms:{region}:{account}:key/{id}", region.partition());
        Encryption::Kms { key: Some(arn) }
    }
}

fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), ApiErrorKind> {
    if tags.len() > limits::RESOURCE_TAGS_MAX {
        return Err(ApiErrorKind::InvalidParameter("too many tags".to_owned()));
    }
    let is_reserved = |key: &String| key.to_ascii_lowercase().starts_with("aws:");
    if tags.keys().any(is_reserved) {
        return Err(ApiErrorKind::InvalidParameter("aws: prefixed tag keys are reserved".to_owned()));
    }
    Ok(())
}

#[async_trait]
impl EcrApi for FakeEcr {
    async fn describe_repositories(
        &self,
        next: Option<String>,
    ) -> Result<Page<RepositoryDescription>, ApiError> {
        let repositories = self.lock();
        let after = next.unwrap_or_default();
        let mut rest = repositories
            .values()
            .map(|one| &one.description)
            .filter(|one| after.is_empty() || one.name > after);
        let items: Vec<_> = rest.by_ref().take(self.page_items).cloned().collect();
        let more = rest.next().is_some();
        let next = items.last().filter(|_| more).map(|last| last.name.clone());
        Ok(Page { items, next })
    }

    async fn create_repository(&self, new: &NewRepository) -> Result<RepositoryDescription, ApiError> {
        let name = new.name.to_string();
        let fail = |kind| Err(ApiError::new("CreateRepository", &name, kind));
        if let Err(kind) = check_tags(&new.tags) {
            return fail(kind);
        }
        let mut repositories = self.lock();
        if repositories.contains_key(&name) {
            return fail(ApiErrorKind::RepositoryAlreadyExists);
        }
        let description = self.describe(new);
        let repository = FakeRepository {
            description: description.clone(),
            tags: new.tags.clone(),
            lifecycle_policy: None,
            repository_policy: None,
            images: 0,
            tags_are_denied: false,
        };
        repositories.insert(name, repository);
        Ok(description)
    }

    async fn delete_repository(&self, name: &str, force: bool) -> Result<(), ApiError> {
        self.with("DeleteRepository", name, |repository| {
            if repository.images > 0 && !force { Err(ApiErrorKind::RepositoryNotEmpty) } else { Ok(()) }
        })?;
        self.lock().remove(name);
        Ok(())
    }

    async fn put_image_tag_mutability(&self, name: &str, mutability: &TagMutability) -> Result<(), ApiError> {
        self.with("PutImageTagMutability", name, |repository| {
            repository.description.tag_mutability = MutabilityText::from(mutability);
            Ok(())
        })
    }

    async fn put_image_scanning_configuration(&self, name: &str, scan_on_push: bool) -> Result<(), ApiError> {
        self.with("PutImageScanningConfiguration", name, |repository| {
            repository.description.scan_on_push = scan_on_push;
            Ok(())
        })
    }

    async fn get_lifecycle_policy(&self, name: &str) -> Result<Option<String>, ApiError> {
        self.with("GetLifecyclePolicy", name, |repository| Ok(repository.lifecycle_policy.clone()))
    }

    async fn put_lifecycle_policy(&self, name: &str, text: &str) -> Result<(), ApiError> {
        self.with("PutLifecyclePolicy", name, |repository| {
            let policy =
                Policy::parse(text).map_err(|error| ApiErrorKind::InvalidParameter(error.aws_message()))?;
            repository.lifecycle_policy = Some(policy.to_canonical_json());
            Ok(())
        })
    }

    async fn delete_lifecycle_policy(&self, name: &str) -> Result<(), ApiError> {
        self.with("DeleteLifecyclePolicy", name, |repository| {
            let had = repository.lifecycle_policy.take();
            had.map(drop).ok_or(ApiErrorKind::LifecyclePolicyNotFound)
        })
    }

    async fn get_repository_policy(&self, name: &str) -> Result<Option<String>, ApiError> {
        self.with("GetRepositoryPolicy", name, |repository| Ok(repository.repository_policy.clone()))
    }

    async fn set_repository_policy(&self, name: &str, text: &str) -> Result<(), ApiError> {
        self.with("SetRepositoryPolicy", name, |repository| {
            let invalid = || ApiErrorKind::InvalidParameter("Invalid repository policy provided".to_owned());
            RepositoryPolicy::parse(text).map_err(|_| invalid())?;
            let mut value: Value = serde_json::from_str(text).map_err(|_| invalid())?;
            unwrap_single_actions(&mut value);
            repository.repository_policy = Some(format!("{value:#}"));
            Ok(())
        })
    }

    async fn delete_repository_policy(&self, name: &str) -> Result<(), ApiError> {
        self.with("DeleteRepositoryPolicy", name, |repository| {
            let had = repository.repository_policy.take();
            had.map(drop).ok_or(ApiErrorKind::RepositoryPolicyNotFound)
        })
    }

    async fn list_tags(&self, arn: &str) -> Result<BTreeMap<String, String>, ApiError> {
        let name = self.name_of("ListTagsForResource", arn)?;
        self.with("ListTagsForResource", &name, |repository| {
            let denied = || ApiErrorKind::AccessDenied("not authorized: ecr:ListTagsForResource".to_owned());
            if repository.tags_are_denied { Err(denied()) } else { Ok(repository.tags.clone()) }
        })
    }

    async fn tag_resource(&self, arn: &str, tags: &BTreeMap<String, String>) -> Result<(), ApiError> {
        let name = self.name_of("TagResource", arn)?;
        self.with("TagResource", &name, |repository| {
            let mut merged = repository.tags.clone();
            merged.extend(tags.clone());
            check_tags(tags)?;
            if merged.len() > limits::RESOURCE_TAGS_MAX {
                return Err(ApiErrorKind::InvalidParameter("too many tags".to_owned()));
            }
            repository.tags = merged;
            Ok(())
        })
    }

    async fn untag_resource(&self, arn: &str, keys: &[String]) -> Result<(), ApiError> {
        let name = self.name_of("UntagResource", arn)?;
        self.with("UntagResource", &name, |repository| {
            repository.tags.retain(|key, _| !keys.contains(key));
            Ok(())
        })
    }

    async fn has_images(&self, name: &str) -> Result<bool, ApiError> {
        self.with("ListImages", name, |repository| Ok(repository.images > 0))
    }
}

/// ECR turns a list of one action into a plain text.
fn unwrap_single_actions(policy: &mut Value) {
    let statements = policy.get_mut("Statement").and_then(Value::as_array_mut);
    for statement in statements.into_iter().flatten() {
        let Some(action) = statement.get_mut("Action") else { continue };
        if let Some([single]) = action.as_array().map(Vec::as_slice) {
            *action = single.clone();
        }
    }
}
