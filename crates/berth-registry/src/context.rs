//! The registry as a whole: what it is made of, who calls it, and whether they may.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use berth_store::blob::{BlobStore, ObjectId};
use berth_store::meta::{MetaStore, RepositoryRecord, Totals};
use berth_store::seal::{DomainKey, RootKey, SealedBlobs};
use berth_types::{AccountId, Clock, RegistryId, RepositoryArn, RepositoryName, Timestamp};

use crate::endpoint::RegistryHost;
use crate::error::{Error, Result};
use crate::failure::{self, Place};
use crate::keys::DomainKeys;
use crate::operation::Operation;
use crate::pulls::Pulls;
use crate::session::Sessions;
use crate::signature::Signer;

/// The setting that tells the right root key from a wrong one.
const VERIFIER_SETTING: &str = "root-key-verifier";

/// How a registry behaves.
#[derive(Clone, Debug)]
pub struct Config {
    /// The registry that is meant when a request names none.
    pub default_registry: RegistryId,
    /// The names under which clients reach registries.
    pub host: RegistryHost,
    /// How long images that a lifecycle policy deleted can be restored; zero: not at all. Until then their blobs take room.
    pub undo_window: Duration,
}

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Whose account it is.
    pub account: AccountId,
    /// For example `arn:aws:iam::123456789012:root`.
    pub arn: String,
    /// What `sts:GetCallerIdentity` calls `UserId`.
    pub user_id: String,
}

/// Who calls, and which registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Who calls.
    pub principal: Principal,
    /// The registry that the request is about.
    pub registry: RegistryId,
}

/// Why a registry cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action}")]
pub struct OpenError {
    action: &'static str,
    #[source]
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl OpenError {
    fn new(action: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { action, source: source.into() }
    }
}

/// The registry. Cheap to clone; all clones are the same one.
#[derive(Clone)]
pub struct Registry {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    meta: Arc<dyn MetaStore>,
    blobs: SealedBlobs,
    clock: Arc<dyn Clock>,
    keys: DomainKeys,
    tokens: Signer,
    downloads: Signer,
    sessions: Sessions,
    pulls: Pulls,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("config", &self.inner.config).finish_non_exhaustive()
    }
}

/// A repository that the caller may use, and the context for errors about it.
pub(crate) struct Target {
    pub(crate) record: RepositoryRecord,
    pub(crate) place: Place,
}

impl Registry {
    /// Opens the registry on its stores: checks that the root key is the one that the stores were sealed with.
    ///
    /// # Errors
    /// [`OpenError`] if the stores cannot be read, or were sealed with another root key.
    pub async fn open(
        config: Config,
        meta: Arc<dyn MetaStore>,
        blobs: Arc<dyn BlobStore>,
        root_key: RootKey,
        clock: Arc<dyn Clock>,
    ) -> std::result::Result<Self, OpenError> {
        let verifier = meta
            .setting_or_insert(VERIFIER_SETTING, &root_key.verifier())
            .await
            .map_err(|error| OpenError::new("read the metadata store", error))?;
        root_key.verify(&verifier).map_err(|error| OpenError::new("use this root key", error))?;
        let inner = Inner {
            config,
            meta,
            blobs: SealedBlobs::new(blobs),
            clock,
            tokens: Signer::new(&root_key, "docker-token"),
            downloads: Signer::new(&root_key, "download-url"),
            keys: DomainKeys::new(root_key),
            sessions: Sessions::default(),
            pulls: Pulls::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// How it behaves.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// Whether both stores answer.
    ///
    /// # Errors
    /// [`Error::Internal`] if one does not.
    pub async fn check(&self) -> Result<()> {
        let metadata = self.meta().check().await;
        metadata.map_err(|error| failure::installation("reach the metadata store", error))?;
        self.blobs().check().await.map_err(|error| failure::internal("reach the blob store", error))
    }

    /// How much there is, for metrics.
    ///
    /// # Errors
    /// [`Error::Internal`].
    pub async fn totals(&self) -> Result<Totals> {
        self.meta().totals().await.map_err(|error| failure::installation("count what there is", error))
    }

    /// Whether `caller` may do `operation`, on one repository or on the registry. Every method asks this before it looks
    /// at anything, so that a caller learns nothing about what it may not see.
    ///
    /// The rule for now: a principal may do everything in the registries of its own account, and nothing elsewhere.
    ///
    /// # Errors
    /// [`Error::AccessDenied`].
    pub fn authorize(
        &self,
        caller: &Caller,
        operation: Operation,
        repository: Option<&RepositoryName>,
    ) -> Result<()> {
        if caller.principal.account == caller.registry.account {
            return Ok(());
        }
        let arn = |name: &RepositoryName| {
            RepositoryArn { registry: caller.registry.clone(), name: name.clone() }.to_string()
        };
        Err(Error::AccessDenied {
            principal: caller.principal.arn.clone(),
            action: operation.action(),
            resource: repository.map_or_else(|| "*".to_owned(), arn),
        })
    }

    /// The repository that a call is about, if the caller may do `operation` on it.
    pub(crate) async fn target(
        &self,
        caller: &Caller,
        operation: Operation,
        name: &RepositoryName,
    ) -> Result<Target> {
        self.authorize(caller, operation, Some(name))?;
        self.repository_of(&caller.registry, name).await
    }

    /// A repository of a registry, without asking who wants to know.
    pub(crate) async fn repository_of(&self, registry: &RegistryId, name: &RepositoryName) -> Result<Target> {
        let place = Place { name: name.clone(), account: registry.account };
        match self.meta().repository(registry, name).await {
            Ok(Some(record)) => Ok(Target { record, place }),
            Ok(None) => Err(place.repository_not_found()),
            Err(error) => Err(place.failed("look up a repository", error)),
        }
    }

    /// Deletes objects that no row names any more. What fails is tried again by [`Registry::expire_uploads`]: the metadata
    /// store remembers them until they are forgotten. Returns whether all are gone.
    pub(crate) async fn dispose(&self, objects: &[ObjectId]) -> bool {
        let mut gone = Vec::with_capacity(objects.len());
        for object in objects {
            match self.blobs().delete(*object).await {
                Ok(()) => gone.push(*object),
                Err(error) => {
                    tracing::warn!(%object, error = &error as &dyn std::error::Error, "cannot delete object yet");
                }
            }
        }
        if gone.is_empty() {
            return objects.is_empty();
        }
        match self.meta().forget_dead_objects(&gone).await {
            Ok(()) => gone.len() == objects.len(),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(objects = gone.len(), error, "cannot forget deleted objects yet");
                false
            }
        }
    }

    pub(crate) async fn key_of(&self, repository: &RepositoryRecord) -> Result<DomainKey> {
        self.inner.keys.of(self.meta(), repository).await
    }

    pub(crate) fn meta(&self) -> &dyn MetaStore {
        &*self.inner.meta
    }

    pub(crate) fn blobs(&self) -> &SealedBlobs {
        &self.inner.blobs
    }

    pub(crate) fn keys(&self) -> &DomainKeys {
        &self.inner.keys
    }

    pub(crate) fn token_signer(&self) -> &Signer {
        &self.inner.tokens
    }

    pub(crate) fn download_signer(&self) -> &Signer {
        &self.inner.downloads
    }

    pub(crate) fn sessions(&self) -> &Sessions {
        &self.inner.sessions
    }

    pub(crate) fn pulls(&self) -> &Pulls {
        &self.inner.pulls
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }
}
