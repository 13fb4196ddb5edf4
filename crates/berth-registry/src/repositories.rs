//! Repositories: create, describe, delete, settings, resource tags, lifecycle policy.

use berth_lifecycle::Policy;
use berth_store::meta::{Encryption, LifecyclePolicyRecord, MetaError, NewRepository, RepositoryRecord};
use berth_types::{RegistryId, RepositoryArn, RepositoryName, TagMutability};

use crate::context::{Caller, Registry, Target};
use crate::error::{Error, Result};
use crate::failure::{self, Place, Subject};
use crate::operation::Operation;
use crate::resource_tags;

/// What `CreateRepository` asks for.
#[derive(Clone, Debug)]
pub struct CreateRepository {
    /// The name.
    pub name: RepositoryName,
    /// Resource tags as given: checked here.
    pub tags: Vec<(String, String)>,
    /// The rule about moving tags.
    pub mutability: TagMutability,
    /// Scan images when they are pushed.
    pub scan_on_push: bool,
    /// How content is sealed.
    pub encryption: RequestedEncryption,
}

/// `encryptionConfiguration` as asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RequestedEncryption {
    /// `AES256`.
    #[default]
    Aes256,
    /// `KMS`, with the key's id or ARN; without one, the registry's own managed key.
    Kms(Option<String>),
}

impl RequestedEncryption {
    /// Reads `encryptionType` and `kmsKey`.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for an unknown type, and for a key without `KMS`.
    pub fn parse(encryption_type: &str, kms_key: Option<String>) -> Result<Self> {
        match (encryption_type, kms_key) {
            ("AES256", None) => Ok(Self::Aes256),
            ("AES256", Some(_)) => Err(Error::InvalidParameter(
                "Invalid encryption configuration: Encryption key should not be set for AES256 encryption."
                    .to_owned(),
            )),
            ("KMS", kms_key) => Ok(Self::Kms(kms_key)),
            _ => Err(Error::invalid_parameter(
                "encryptionConfiguration.encryptionType",
                "Member must satisfy enum value set: [AES256, KMS]",
            )),
        }
    }
}

/// A stored lifecycle policy.
#[derive(Clone, Debug, PartialEq)]
pub struct LifecyclePolicyContent {
    /// The text as it was put.
    pub text: String,
    /// Seconds since the epoch of the last evaluation, 0 before the first (as ECR answers).
    pub last_evaluated_at: f64,
}

/// A page, and where the next one starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T, C> {
    /// The items.
    pub items: Vec<T>,
    /// Give this as `after` to go on; `None` at the end.
    pub next: Option<C>,
}

impl<T, C> Page<T, C> {
    /// A page of `limit` items out of `found`, of which one more was asked for to see whether the list goes on.
    pub(crate) fn cut(mut found: Vec<T>, limit: usize, cursor: impl FnOnce(&T) -> C) -> Self {
        let goes_on = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| goes_on).map(cursor);
        Self { items: found, next }
    }
}

impl Registry {
    /// `CreateRepository`.
    ///
    /// # Errors
    /// `RepositoryAlreadyExists`, `InvalidParameter`, `InvalidTagParameter`, `TooManyTags`, `LimitExceeded`.
    pub async fn create_repository(
        &self,
        caller: &Caller,
        request: CreateRepository,
    ) -> Result<RepositoryRecord> {
        let CreateRepository { name, tags, mutability, scan_on_push, encryption } = request;
        self.authorize(caller, Operation::CreateRepository, Some(&name))?;
        resource_tags::check(&tags)?;
        let registry = caller.registry.clone();
        let place = Place { name: name.clone(), account: registry.account };
        if self.repository_of(&registry, &name).await.is_ok() {
            // Known to fail, so no domain is made for it.
            return Err(place.failed("create a repository", MetaError::RepositoryExists));
        }
        let encryption = self.encryption(&registry, encryption).await?;
        let domain = self.keys().domain(self.meta(), &registry, &encryption).await?;
        let new = NewRepository {
            registry,
            name,
            created_at: self.now(),
            mutability,
            scan_on_push,
            encryption,
            domain,
            resource_tags: tags,
        };
        let created = self.meta().create_repository(&new).await;
        created.map_err(|error| place.failed("create a repository", error))
    }

    /// The repository of that name.
    ///
    /// # Errors
    /// `RepositoryNotFound`.
    pub async fn repository(&self, caller: &Caller, name: &RepositoryName) -> Result<RepositoryRecord> {
        Ok(self.target(caller, Operation::DescribeRepositories, name).await?.record)
    }

    /// Repositories by name order (`DescribeRepositories` without names, `_catalog`).
    ///
    /// # Errors
    /// Internal ones only.
    pub async fn repositories(
        &self,
        caller: &Caller,
        after: Option<&RepositoryName>,
        limit: usize,
    ) -> Result<Page<RepositoryRecord, RepositoryName>> {
        self.authorize(caller, Operation::DescribeRepositories, None)?;
        if limit == 0 {
            return Ok(Page { items: Vec::new(), next: None });
        }
        let found = self.meta().repositories(&caller.registry, after, limit.saturating_add(1)).await;
        let found = found.map_err(|error| failure::installation("list repositories", error))?;
        Ok(Page::cut(found, limit, |last| last.name.clone()))
    }

    /// `DeleteRepository`.
    ///
    /// # Errors
    /// `RepositoryNotFound`; `RepositoryNotEmpty` without `force`.
    pub async fn delete_repository(
        &self,
        caller: &Caller,
        name: &RepositoryName,
        force: bool,
    ) -> Result<RepositoryRecord> {
        self.authorize(caller, Operation::DeleteRepository, Some(name))?;
        let place = Place { name: name.clone(), account: caller.registry.account };
        let deleted = self.meta().delete_repository(&caller.registry, name, force, self.now()).await;
        let (record, objects) = deleted.map_err(|error| place.failed("delete a repository", error))?;
        self.dispose(&objects).await;
        Ok(record)
    }

    /// `PutImageTagMutability`.
    ///
    /// # Errors
    /// `RepositoryNotFound`.
    pub async fn set_tag_mutability(
        &self,
        caller: &Caller,
        name: &RepositoryName,
        mutability: &TagMutability,
    ) -> Result<RepositoryRecord> {
        let target = self.target(caller, Operation::PutImageTagMutability, name).await?;
        let set = self.meta().set_tag_mutability(target.record.id, mutability).await;
        set.map_err(|error| target.place.failed("set tag mutability", error))
    }

    /// `PutImageScanningConfiguration`.
    ///
    /// # Errors
    /// `RepositoryNotFound`.
    pub async fn set_scan_on_push(
        &self,
        caller: &Caller,
        name: &RepositoryName,
        scan_on_push: bool,
    ) -> Result<RepositoryRecord> {
        let target = self.target(caller, Operation::PutImageScanningConfiguration, name).await?;
        let set = self.meta().set_scan_on_push(target.record.id, scan_on_push).await;
        set.map_err(|error| target.place.failed("set scan on push", error))
    }

    /// `ListTagsForResource`.
    ///
    /// # Errors
    /// `RepositoryNotFound`.
    pub async fn resource_tags(&self, caller: &Caller, arn: &RepositoryArn) -> Result<Vec<(String, String)>> {
        let target = self.resource(caller, Operation::ListTagsForResource, arn).await?;
        let tags = self.meta().resource_tags(target.record.id).await;
        tags.map_err(|error| target.place.failed("list resource tags", error))
    }

    /// `TagResource`.
    ///
    /// # Errors
    /// `RepositoryNotFound`, `InvalidTagParameter`, `TooManyTags`.
    pub async fn tag_resource(
        &self,
        caller: &Caller,
        arn: &RepositoryArn,
        tags: &[(String, String)],
    ) -> Result<()> {
        let target = self.resource(caller, Operation::TagResource, arn).await?;
        resource_tags::check(tags)?;
        let set = self.meta().set_resource_tags(target.record.id, tags).await;
        set.map_err(|error| target.place.failed("set resource tags", error))
    }

    /// `UntagResource`.
    ///
    /// # Errors
    /// `RepositoryNotFound`, `InvalidTagParameter`.
    pub async fn untag_resource(&self, caller: &Caller, arn: &RepositoryArn, keys: &[String]) -> Result<()> {
        let target = self.resource(caller, Operation::UntagResource, arn).await?;
        resource_tags::check_keys(keys.iter().map(String::as_str))?;
        let removed = self.meta().remove_resource_tags(target.record.id, keys).await;
        removed.map_err(|error| target.place.failed("remove resource tags", error))
    }

    /// `PutLifecyclePolicy`: checks the text whole, stores it byte for byte.
    ///
    /// # Errors
    /// `RepositoryNotFound`; `InvalidParameter` with ECR's text and what to write instead.
    pub async fn put_lifecycle_policy(
        &self,
        caller: &Caller,
        name: &RepositoryName,
        text: &str,
    ) -> Result<()> {
        let target = self.target(caller, Operation::PutLifecyclePolicy, name).await?;
        Policy::parse(text).map_err(|error| Error::InvalidParameter(error.api_message()))?;
        let put = self.meta().put_lifecycle_policy(target.record.id, text).await;
        put.map_err(|error| target.place.failed("store a lifecycle policy", error))
    }

    /// `GetLifecyclePolicy`.
    ///
    /// # Errors
    /// `RepositoryNotFound`, `LifecyclePolicyNotFound`.
    pub async fn lifecycle_policy(
        &self,
        caller: &Caller,
        name: &RepositoryName,
    ) -> Result<LifecyclePolicyContent> {
        let target = self.target(caller, Operation::GetLifecyclePolicy, name).await?;
        match self.meta().lifecycle_policy(target.record.id).await {
            Ok(Some(policy)) => Ok(policy.into()),
            Ok(None) => Err(target.place.policy_not_found()),
            Err(error) => Err(target.place.failed("read a lifecycle policy", error)),
        }
    }

    /// `DeleteLifecyclePolicy`.
    ///
    /// # Errors
    /// `RepositoryNotFound`, `LifecyclePolicyNotFound`.
    pub async fn delete_lifecycle_policy(
        &self,
        caller: &Caller,
        name: &RepositoryName,
    ) -> Result<LifecyclePolicyContent> {
        let target = self.target(caller, Operation::DeleteLifecyclePolicy, name).await?;
        let deleted = self.meta().delete_lifecycle_policy(target.record.id).await;
        let failed =
            |error| target.place.failed_about("delete a lifecycle policy", Subject::LifecyclePolicy, error);
        Ok(deleted.map_err(failed)?.into())
    }

    /// The repository that an ARN names. The ARN must be of the registry that the request is about; its account may be
    /// another one, so that the answer says who may not do what.
    async fn resource(&self, caller: &Caller, operation: Operation, arn: &RepositoryArn) -> Result<Target> {
        let named = Caller { principal: caller.principal.clone(), registry: arn.registry.clone() };
        self.authorize(&named, operation, Some(&arn.name))?;
        if arn.registry.region != caller.registry.region {
            let place = Place { name: arn.name.clone(), account: arn.registry.account };
            return Err(place.repository_not_found());
        }
        self.repository_of(&arn.registry, &arn.name).await
    }

    /// What is stored of the encryption that was asked for.
    async fn encryption(&self, registry: &RegistryId, requested: RequestedEncryption) -> Result<Encryption> {
        let key_arn = match requested {
            RequestedEncryption::Aes256 => return Ok(Encryption::Aes256),
            RequestedEncryption::Kms(Some(key)) if key != MANAGED_KEY_ALIAS => key_arn(registry, &key)?,
            RequestedEncryption::Kms(_) => self.managed_key_arn(registry).await?,
        };
        Ok(Encryption::Kms { key_arn })
    }

    /// The ARN of the key that `KMS` means when none is named: made when it is first needed, the same ever after.
    async fn managed_key_arn(&self, registry: &RegistryId) -> Result<String> {
        let setting = format!("managed-key/{registry}");
        let new = uuid::Uuid::new_v4().to_string();
        let stored = self.meta().setting_or_insert(&setting, new.as_bytes()).await;
        let stored = stored.map_err(|error| failure::installation("look up the managed key", error))?;
        let id =
            String::from_utf8(stored).map_err(|error| failure::internal("look up the managed key", error))?;
        Ok(kms_arn(registry, &format!("key/{id}")))
    }
}

/// Another name of the managed key.
const MANAGED_KEY_ALIAS: &str = "alias/aws/ecr";

/// ECR: longest `kmsKey`, in characters.
const KMS_KEY_CHARS_MAX: usize = 2048;

/// The ARN of a named key: an id or an alias is completed, an ARN must be one of a key in the registry's region.
fn key_arn(registry: &RegistryId, key: &str) -> Result<String> {
    let refused = |constraint: &str| Error::invalid_parameter("encryptionConfiguration.kmsKey", constraint);
    let chars = key.chars().count();
    if !(1..=KMS_KEY_CHARS_MAX).contains(&chars) {
        return Err(refused(&format!(
            "Member must have length between 1 and {KMS_KEY_CHARS_MAX}, inclusive"
        )));
    }
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'/' | b':');
    if !key.bytes().all(fits) {
        return Err(refused("Must be the ID or the ARN of a KMS key"));
    }
    if !key.starts_with("arn:") {
        let resource = if key.starts_with("alias/") { key.to_owned() } else { format!("key/{key}") };
        return if key.contains(':') {
            Err(refused("Must be the ID or the ARN of a KMS key"))
        } else {
            Ok(kms_arn(registry, &resource))
        };
    }
    let region = &registry.region;
    match key.splitn(6, ':').collect::<Vec<_>>().as_slice() {
        ["arn", partition, "kms", found, account, resource]
            if *partition == region.partition()
                && *found == region.as_str()
                && berth_types::AccountId::parse(account).is_ok()
                && (resource.starts_with("key/") || resource.starts_with("alias/")) =>
        {
            Ok(key.to_owned())
        }
        _ => Err(refused("Must be the ARN of a KMS key in the region of the repository")),
    }
}

fn kms_arn(registry: &RegistryId, resource: &str) -> String {
    let RegistryId { account, region } = registry;
    format!("arn:{}:kms:{region}:{account}:{resource}", region.partition())
}

impl From<LifecyclePolicyRecord> for LifecyclePolicyContent {
    fn from(record: LifecyclePolicyRecord) -> Self {
        let last_evaluated_at = record.last_evaluated_at.map_or(0.0, berth_types::Timestamp::epoch_seconds);
        Self { text: record.text, last_evaluated_at }
    }
}
