//! Domain keys: made when a domain is first used, kept wrapped in the metadata, held unwrapped in memory.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use berth_store::blob::DomainId;
use berth_store::meta::{DomainRecord, Encryption, MetaStore, RepositoryRecord, domain_name};
use berth_store::seal::{DomainKey, RootKey};
use berth_types::RegistryId;

use crate::error::Result;
use crate::failure;

/// The root key, and the domain keys that were needed so far. A domain's key never changes while the process runs, so
/// nothing here goes stale.
pub(crate) struct DomainKeys {
    root: RootKey,
    unwrapped: RwLock<HashMap<DomainId, DomainKey>>,
}

impl DomainKeys {
    pub(crate) fn new(root: RootKey) -> Self {
        Self { root, unwrapped: RwLock::default() }
    }

    /// The domain of that encryption in a registry; makes it if this is the first time.
    pub(crate) async fn domain(
        &self,
        meta: &dyn MetaStore,
        registry: &RegistryId,
        encryption: &Encryption,
    ) -> Result<DomainId> {
        let name = domain_name(registry.account, &registry.region, encryption);
        let failed = |error| failure::installation("look up an encryption domain", error);
        let record = match meta.domain(&name).await.map_err(failed)? {
            Some(record) => record,
            None => {
                let id = DomainId(uuid::Uuid::new_v4());
                let (_, wrapped_key) = self
                    .root
                    .wrap_new_domain_key(id)
                    .map_err(|error| failure::sealed("make a domain key", error))?;
                // Another request may have made it meanwhile: the one that is stored counts.
                let new = DomainRecord { name, id, wrapped_key };
                meta.domain_or_insert(&new).await.map_err(failed)?
            }
        };
        self.unwrap(&record)?;
        Ok(record.id)
    }

    /// The key under which a repository's content is sealed.
    pub(crate) async fn of(&self, meta: &dyn MetaStore, repository: &RepositoryRecord) -> Result<DomainKey> {
        if let Some(key) = self.known(repository.domain) {
            return Ok(key);
        }
        let RegistryId { account, region } = &repository.registry;
        let name = domain_name(*account, region, &repository.encryption);
        let action = "look up a repository's encryption domain";
        let record = meta.domain(&name).await.map_err(|error| failure::installation(action, error))?;
        match record {
            Some(record) if record.id == repository.domain => self.unwrap(&record),
            _ => Err(failure::internal(action, format!("domain {name:?} is not the repository's"))),
        }
    }

    fn known(&self, domain: DomainId) -> Option<DomainKey> {
        self.unwrapped.read().unwrap_or_else(PoisonError::into_inner).get(&domain).cloned()
    }

    fn unwrap(&self, record: &DomainRecord) -> Result<DomainKey> {
        if let Some(key) = self.known(record.id) {
            return Ok(key);
        }
        let key = self
            .root
            .unwrap_domain_key(record.id, &record.wrapped_key)
            .map_err(|error| failure::sealed("unwrap a domain key", error))?;
        self.unwrapped.write().unwrap_or_else(PoisonError::into_inner).insert(record.id, key.clone());
        Ok(key)
    }
}
