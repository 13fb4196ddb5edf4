//! Repositories, their settings, resource tags and lifecycle policies.

use berth_types::limits::{REPOSITORIES_PER_REGISTRY_MAX, RESOURCE_TAGS_MAX};
use berth_types::{
    AccountId, Region, RegistryId, RepositoryName, TagMutability, TagMutabilityMode, Timestamp,
    WildcardPattern,
};

use super::dead_objects;
use super::installation::domain_row;
use crate::blob::ObjectId;
use crate::meta::tx::{Row, RowExt, Sequence, Tx, limit, unreadable};
use crate::meta::{
    Encryption, LifecyclePolicyRecord, MetaError, NewRepository, RepositoryId, RepositoryRecord,
};

/// A repository as [`read_repository`] reads it.
macro_rules! select_repository {
    ($rest:literal) => {
        concat!(
            "SELECT r.id, g.account, g.region, r.name, r.created_at, r.mutability, r.mutability_filters,
                    r.scan_on_push, r.kms_key_arn, d.uuid, r.image_count
             FROM repository r
             JOIN registry g ON g.id = r.registry_id
             JOIN domain d ON d.id = r.domain_id ",
            $rest
        )
    };
}

const BY_NAME: &str = select_repository!("WHERE g.account = ?1 AND g.region = ?2 AND r.name = ?3");
const BY_NAME_LOCKED: &str =
    select_repository!("WHERE g.account = ?1 AND g.region = ?2 AND r.name = ?3 /*lock:r*/");
const BY_ID: &str = select_repository!("WHERE r.id = ?1");
const LIST: &str =
    select_repository!("WHERE g.account = ?1 AND g.region = ?2 AND r.name > ?3 ORDER BY r.name LIMIT ?4");

const EXISTS: &str = "SELECT r.id FROM repository r WHERE r.id = ?1 /*lock:r*/";
const REGISTRY: &str = "SELECT g.id, g.repository_count FROM registry g
     WHERE g.account = ?1 AND g.region = ?2 /*lock:g*/";
const INSERT_REGISTRY: &str =
    "INSERT INTO registry (id, account, region, repository_count) VALUES (?1, ?2, ?3, 0)";
const ADD_TO_REGISTRY: &str = "UPDATE registry SET repository_count = repository_count + 1 WHERE id = ?1";
const TAKE_FROM_REGISTRY: &str = "UPDATE registry SET repository_count = repository_count - 1
     WHERE id = (SELECT registry_id FROM repository WHERE id = ?1)";
const INSERT: &str = "INSERT INTO repository (id, registry_id, name, created_at, mutability,
         mutability_filters, scan_on_push, kms_key_arn, domain_id, image_count)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0)
     ON CONFLICT (registry_id, name) DO NOTHING";
const SET_MUTABILITY: &str = "UPDATE repository SET mutability = ?2, mutability_filters = ?3 WHERE id = ?1";
const SET_SCAN_ON_PUSH: &str = "UPDATE repository SET scan_on_push = ?2 WHERE id = ?1";

const RESOURCE_TAGS: &str = "SELECT t.key, t.value FROM repository r
     LEFT JOIN resource_tag t ON t.repository_id = r.id
     WHERE r.id = ?1 ORDER BY t.key";
const COUNT_RESOURCE_TAGS: &str = "SELECT COUNT(*) FROM resource_tag WHERE repository_id = ?1";
const SET_RESOURCE_TAG: &str = "INSERT INTO resource_tag (repository_id, key, value) VALUES (?1, ?2, ?3)
     ON CONFLICT (repository_id, key) DO UPDATE SET value = excluded.value";
const DELETE_RESOURCE_TAG: &str = "DELETE FROM resource_tag WHERE repository_id = ?1 AND key = ?2";

const POLICY: &str = "SELECT text, last_evaluated_at FROM lifecycle_policy WHERE repository_id = ?1";
/// A run of the policy before loses its lease.
const PUT_POLICY: &str =
    "INSERT INTO lifecycle_policy (repository_id, text, last_evaluated_at, version, due_at, lease)
     VALUES (?1, ?2, NULL, ?3, NULL, NULL)
     ON CONFLICT (repository_id) DO UPDATE SET text = excluded.text, last_evaluated_at = NULL,
         version = excluded.version, due_at = NULL, lease = NULL";
const DELETE_POLICY: &str =
    "DELETE FROM lifecycle_policy WHERE repository_id = ?1 RETURNING text, last_evaluated_at";

const DELETE_UPLOADS: &str = "DELETE FROM upload WHERE repository_id = ?1 RETURNING object";
/// All that is left to delete after the uploads, in an order in which nothing is deleted while rows refer to it. The blobs
/// go to the collector first, while it is still known which they are.
const DELETE_CONTENT: [&str; 17] = [
    "DELETE FROM lifecycle_preview_image WHERE repository_id = ?1",
    "DELETE FROM lifecycle_preview WHERE repository_id = ?1",
    "DELETE FROM expired_blob WHERE repository_id = ?1",
    "DELETE FROM expired_child WHERE expired_id IN (SELECT id FROM expired_image WHERE repository_id = ?1)",
    "DELETE FROM expired_image WHERE repository_id = ?1",
    "DELETE FROM lifecycle_run_image WHERE run_id IN (SELECT id FROM lifecycle_run WHERE repository_id = ?1)",
    "DELETE FROM lifecycle_run WHERE repository_id = ?1",
    "DELETE FROM tag WHERE repository_id = ?1",
    "DELETE FROM manifest_child WHERE repository_id = ?1",
    "DELETE FROM manifest_absent_blob WHERE repository_id = ?1",
    "DELETE FROM manifest_blob WHERE repository_id = ?1",
    "DELETE FROM manifest_text WHERE manifest_id IN (SELECT id FROM manifest WHERE repository_id = ?1)",
    "DELETE FROM manifest WHERE repository_id = ?1",
    "DELETE FROM repository_blob WHERE repository_id = ?1",
    "DELETE FROM lifecycle_policy WHERE repository_id = ?1",
    "DELETE FROM resource_tag WHERE repository_id = ?1",
    "DELETE FROM repository WHERE id = ?1",
];
const QUEUE_BLOBS: &str = "INSERT INTO unreferenced (blob_id, repository_id, since)
     SELECT blob_id, repository_id, CAST(?2 AS BIGINT) FROM repository_blob WHERE repository_id = ?1
     ON CONFLICT (blob_id, repository_id) DO UPDATE SET since = excluded.since";

fn read_repository(row: &dyn Row) -> Result<RepositoryRecord, MetaError> {
    let encryption = match row.text(8)? {
        None => Encryption::Aes256,
        Some(key_arn) => Encryption::Kms { key_arn: key_arn.to_owned() },
    };
    Ok(RepositoryRecord {
        id: RepositoryId(row.need_int(0)?),
        registry: RegistryId {
            account: AccountId::parse(row.need_text(1)?).map_err(|_| unreadable(1, "an account"))?,
            region: Region::parse(row.need_text(2)?).map_err(|_| unreadable(2, "a region"))?,
        },
        name: RepositoryName::parse(row.need_text(3)?).map_err(|_| unreadable(3, "a name"))?,
        created_at: row.time(4)?,
        mutability: read_mutability(row, 5)?,
        scan_on_push: row.need_int(7)? != 0,
        encryption,
        domain: row.domain(9)?,
    })
}

/// The rule in two columns, the mode at `column`.
pub(super) fn read_mutability(row: &dyn Row, column: usize) -> Result<TagMutability, MetaError> {
    let wrong = || unreadable(column, "a rule about moving tags");
    let mode = TagMutabilityMode::from_name(row.need_text(column)?).ok_or_else(wrong)?;
    let filters = row.need_text(column + 1)?.split_ascii_whitespace().map(WildcardPattern::new).collect();
    TagMutability::new(mode, filters).map_err(|_| wrong())
}

fn join_filters(mutability: &TagMutability) -> String {
    mutability.filters().iter().map(WildcardPattern::as_str).collect::<Vec<_>>().join(" ")
}

pub(crate) async fn create<T: Tx>(tx: &mut T, new: &NewRepository) -> Result<RepositoryRecord, MetaError> {
    if new.resource_tags.len() > RESOURCE_TAGS_MAX {
        return Err(MetaError::TooManyResourceTags);
    }
    let registry_key = [new.registry.account.as_str().into(), new.registry.region.as_str().into()];
    let found = tx.query_opt(REGISTRY, &registry_key, |row| Ok((row.need_int(0)?, row.need_int(1)?))).await?;
    let (registry, count) = match found {
        Some(found) => found,
        None => {
            let id = tx.next_id(Sequence::Registry).await?;
            tx.execute(INSERT_REGISTRY, &[id.into(), registry_key[0], registry_key[1]]).await?;
            (id, 0)
        }
    };
    let domain = domain_row(tx, new.domain).await?;
    let id = RepositoryId(tx.next_id(Sequence::Repository).await?);
    let filters = join_filters(&new.mutability);
    let kms_key_arn = match &new.encryption {
        Encryption::Aes256 => None,
        Encryption::Kms { key_arn } => Some(key_arn.as_str()),
    };
    let params = [
        id.into(),
        registry.into(),
        new.name.as_str().into(),
        new.created_at.into(),
        new.mutability.mode().name().into(),
        filters.as_str().into(),
        new.scan_on_push.into(),
        kms_key_arn.into(),
        domain.into(),
    ];
    if tx.execute(INSERT, &params).await? == 0 {
        return Err(MetaError::RepositoryExists);
    }
    // Asked after the insert, so that a name that is taken is called that in a full registry, too.
    if count >= limit(REPOSITORIES_PER_REGISTRY_MAX) {
        return Err(MetaError::TooManyRepositories);
    }
    tx.execute(ADD_TO_REGISTRY, &[registry.into()]).await?;
    for (key, value) in &new.resource_tags {
        tx.execute(SET_RESOURCE_TAG, &[id.into(), key.as_str().into(), value.as_str().into()]).await?;
    }
    by_id(tx, id).await
}

pub(super) async fn by_id<T: Tx>(
    tx: &mut T,
    repository: RepositoryId,
) -> Result<RepositoryRecord, MetaError> {
    let found = tx.query_opt(BY_ID, &[repository.into()], read_repository).await?;
    found.ok_or(MetaError::RepositoryMissing)
}

pub(crate) async fn by_name<T: Tx>(
    tx: &mut T,
    registry: &RegistryId,
    name: &RepositoryName,
) -> Result<Option<RepositoryRecord>, MetaError> {
    let params = [registry.account.as_str().into(), registry.region.as_str().into(), name.as_str().into()];
    tx.query_opt(BY_NAME, &params, read_repository).await
}

pub(crate) async fn list<T: Tx>(
    tx: &mut T,
    registry: &RegistryId,
    after: Option<&RepositoryName>,
    rows: usize,
) -> Result<Vec<RepositoryRecord>, MetaError> {
    let params = [
        registry.account.as_str().into(),
        registry.region.as_str().into(),
        after.map_or("", RepositoryName::as_str).into(),
        limit(rows).into(),
    ];
    tx.query(LIST, &params, read_repository).await
}

pub(crate) async fn delete<T: Tx>(
    tx: &mut T,
    registry: &RegistryId,
    name: &RepositoryName,
    force: bool,
    now: Timestamp,
) -> Result<(RepositoryRecord, Vec<ObjectId>), MetaError> {
    let params = [registry.account.as_str().into(), registry.region.as_str().into(), name.as_str().into()];
    let found =
        tx.query_opt(BY_NAME_LOCKED, &params, |row| Ok((read_repository(row)?, row.need_int(10)?))).await?;
    let (repository, images) = found.ok_or(MetaError::RepositoryMissing)?;
    if images > 0 && !force {
        return Err(MetaError::RepositoryNotEmpty);
    }
    let id = repository.id.into();
    let objects = tx.query(DELETE_UPLOADS, &[id], |row| row.object(0)).await?;
    dead_objects::record(tx, &objects).await?;
    tx.execute(QUEUE_BLOBS, &[id, now.into()]).await?;
    tx.execute(TAKE_FROM_REGISTRY, &[id]).await?;
    for statement in DELETE_CONTENT {
        tx.execute(statement, &[id]).await?;
    }
    Ok((repository, objects))
}

pub(crate) async fn set_tag_mutability<T: Tx>(
    tx: &mut T,
    repository: RepositoryId,
    mutability: &TagMutability,
) -> Result<RepositoryRecord, MetaError> {
    let filters = join_filters(mutability);
    let params = [repository.into(), mutability.mode().name().into(), filters.as_str().into()];
    tx.execute(SET_MUTABILITY, &params).await?;
    by_id(tx, repository).await
}

pub(crate) async fn set_scan_on_push<T: Tx>(
    tx: &mut T,
    repository: RepositoryId,
    scan_on_push: bool,
) -> Result<RepositoryRecord, MetaError> {
    tx.execute(SET_SCAN_ON_PUSH, &[repository.into(), scan_on_push.into()]).await?;
    by_id(tx, repository).await
}

/// Fails unless the repository is there, and keeps it there until the transaction ends.
pub(super) async fn require<T: Tx>(tx: &mut T, repository: RepositoryId) -> Result<(), MetaError> {
    let found = tx.query_opt(EXISTS, &[repository.into()], |row| row.need_int(0)).await?;
    found.map(drop).ok_or(MetaError::RepositoryMissing)
}

pub(crate) async fn resource_tags<T: Tx>(
    tx: &mut T,
    repository: RepositoryId,
) -> Result<Vec<(String, String)>, MetaError> {
    // A repository without tags is one row of nulls; one that is not there is none.
    let rows = tx
        .query(RESOURCE_TAGS, &[repository.into()], |row| {
            let Some(key) = row.text(0)? else { return Ok(None) };
            Ok(Some((key.to_owned(), row.need_text(1)?.to_owned())))
        })
        .await?;
    if rows.is_empty() {
        return Err(MetaError::RepositoryMissing);
    }
    Ok(rows.into_iter().flatten().collect())
}

pub(crate) async fn set_resource_tags<T: Tx>(
    tx: &mut T,
    repository: RepositoryId,
    tags: &[(String, String)],
) -> Result<(), MetaError> {
    require(tx, repository).await?;
    for (key, value) in tags {
        let params = [repository.into(), key.as_str().into(), value.as_str().into()];
        tx.execute(SET_RESOURCE_TAG, &params).await?;
    }
    let count = tx.query_opt(COUNT_RESOURCE_TAGS, &[repository.into()], |row| row.need_int(0)).await?;
    if count.unwrap_or(0) > limit(RESOURCE_TAGS_MAX) {
        return Err(MetaError::TooManyResourceTags);
    }
    Ok(())
}

pub(crate) async fn remove_resource_tags<T: Tx>(
    tx: &mut T,
    repository: RepositoryId,
    keys: &[String],
) -> Result<(), MetaError> {
    require(tx, repository).await?;
    for key in keys {
        tx.execute(DELETE_RESOURCE_TAG, &[repository.into(), key.as_str().into()]).await?;
    }
    Ok(())
}

fn read_policy(row: &dyn Row) -> Result<LifecyclePolicyRecord, MetaError> {
    Ok(LifecyclePolicyRecord {
        text: row.need_text(0)?.to_owned(),
        last_evaluated_at: row.int(1)?.map(Timestamp::from_millis),
    })
}

pub(crate) async fn lifecycle_policy<T: Tx>(
    tx: &mut T,
    repository: RepositoryId,
) -> Result<Option<LifecyclePolicyRecord>, MetaError> {
    tx.query_opt(POLICY, &[repository.into()], read_policy).await
}

pub(crate) async fn put_lifecycle_policy<T: Tx>(
    tx: &mut T,
    repository: RepositoryId,
    text: &str,
) -> Result<(), MetaError> {
    require(tx, repository).await?;
    let version = tx.next_id(Sequence::LifecyclePolicy).await?;
    tx.execute(PUT_POLICY, &[repository.into(), text.into(), version.into()]).await.map(drop)
}

pub(crate) async fn delete_lifecycle_policy<T: Tx>(
    tx: &mut T,
    repository: RepositoryId,
) -> Result<LifecyclePolicyRecord, MetaError> {
    tx.query_opt(DELETE_POLICY, &[repository.into()], read_policy).await?.ok_or(MetaError::Missing)
}
