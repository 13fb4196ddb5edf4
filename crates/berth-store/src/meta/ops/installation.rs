//! Settings, encryption domains, and numbers about everything.

use crate::blob::DomainId;
use crate::meta::tx::{RowExt, Sequence, Tx, backend};
use crate::meta::{DomainRecord, MetaError, Totals};

const SETTING: &str = "SELECT value FROM setting WHERE name = ?1";
const INSERT_SETTING: &str =
    "INSERT INTO setting (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO NOTHING";
const DOMAIN: &str = "SELECT name, uuid, wrapped_key FROM domain WHERE name = ?1";
const INSERT_DOMAIN: &str = "INSERT INTO domain (id, uuid, name, wrapped_key) VALUES (?1, ?2, ?3, ?4)";
const DOMAIN_ID: &str = "SELECT id FROM domain WHERE uuid = ?1";
const TOTALS: &str = "SELECT (SELECT CAST(COALESCE(SUM(repository_count), 0) AS BIGINT) FROM registry),
       (SELECT CAST(COALESCE(SUM(image_count), 0) AS BIGINT) FROM repository),
       (SELECT COUNT(*) FROM upload)";
const VERSION: &str = "SELECT number FROM migration ORDER BY number DESC LIMIT 1";

/// A repository or blob was to be put into a domain that was never stored.
#[derive(Debug, thiserror::Error)]
#[error("encryption domain {0} is not there")]
struct NoSuchDomain(uuid::Uuid);

pub(crate) async fn setting<T: Tx>(tx: &mut T, name: &str) -> Result<Option<Vec<u8>>, MetaError> {
    tx.query_opt(SETTING, &[name.into()], |row| Ok(row.need_blob(0)?.to_vec())).await
}

pub(crate) async fn setting_or_insert<T: Tx>(
    tx: &mut T,
    name: &str,
    value: &[u8],
) -> Result<Vec<u8>, MetaError> {
    tx.execute(INSERT_SETTING, &[name.into(), value.into()]).await?;
    setting(tx, name).await?.ok_or(MetaError::Missing)
}

pub(crate) async fn domain<T: Tx>(tx: &mut T, name: &str) -> Result<Option<DomainRecord>, MetaError> {
    tx.query_opt(DOMAIN, &[name.into()], |row| {
        Ok(DomainRecord {
            name: row.need_text(0)?.to_owned(),
            id: row.domain(1)?,
            wrapped_key: row.need_blob(2)?.to_vec(),
        })
    })
    .await
}

pub(crate) async fn domain_or_insert<T: Tx>(
    tx: &mut T,
    new: &DomainRecord,
) -> Result<DomainRecord, MetaError> {
    if let Some(existing) = domain(tx, &new.name).await? {
        return Ok(existing);
    }
    let id = tx.next_id(Sequence::Domain).await?;
    let params = [id.into(), new.id.into(), new.name.as_str().into(), new.wrapped_key.as_slice().into()];
    tx.execute(INSERT_DOMAIN, &params).await?;
    Ok(new.clone())
}

/// The row of a domain, which must be there.
pub(super) async fn domain_row<T: Tx>(tx: &mut T, domain: DomainId) -> Result<i64, MetaError> {
    let found = tx.query_opt(DOMAIN_ID, &[domain.into()], |row| row.need_int(0)).await?;
    found.ok_or_else(|| backend("find an encryption domain", NoSuchDomain(domain.0)))
}

/// Reads something small that is always there.
pub(crate) async fn check<T: Tx>(tx: &mut T) -> Result<(), MetaError> {
    tx.query_opt(VERSION, &[], |row| row.need_int(0)).await?.map(drop).ok_or(MetaError::Missing)
}

pub(crate) async fn totals<T: Tx>(tx: &mut T) -> Result<Totals, MetaError> {
    let totals = tx
        .query_opt(TOTALS, &[], |row| {
            Ok(Totals { repositories: row.bytes(0)?, images: row.bytes(1)?, uploads: row.bytes(2)? })
        })
        .await?;
    Ok(totals.unwrap_or_default())
}
