//! Blobs in repositories.

use berth_types::{Digest, Timestamp};

use super::repositories::require;
use crate::meta::tx::{Row, RowExt, Tx};
use crate::meta::{BlobRecord, MetaError, RepositoryId};

const BLOB: &str = "SELECT b.digest, b.bytes, b.object, b.id
     FROM repository_blob l JOIN blob b ON b.id = l.blob_id
     WHERE l.repository_id = ?1 AND l.digest = ?2";
const REFERENCED: &str = "SELECT 1 FROM repository_blob l
     JOIN manifest_blob m ON m.repository_id = l.repository_id AND m.blob_id = l.blob_id
     WHERE l.repository_id = ?1 AND l.digest = ?2 LIMIT 1";
/// A blob of repository `?3` that repository `?1` may have.
const TAKE_FROM: &str = "SELECT b.digest, b.bytes, b.object, b.id
     FROM repository r
     JOIN repository s ON s.id = ?3 AND s.domain_id = r.domain_id
     JOIN repository_blob l ON l.repository_id = s.id AND l.digest = ?2
     JOIN blob b ON b.id = l.blob_id AND b.domain_id = r.domain_id
     WHERE r.id = ?1";
/// A blob of any repository of the same registry that repository `?1` may have.
const TAKE_FROM_ANY: &str = "SELECT b.digest, b.bytes, b.object, b.id
     FROM repository r
     JOIN blob b ON b.domain_id = r.domain_id AND b.digest = ?2
     WHERE r.id = ?1 AND EXISTS (
         SELECT 1 FROM repository_blob l JOIN repository s ON s.id = l.repository_id
         WHERE l.blob_id = b.id AND s.registry_id = r.registry_id AND s.domain_id = r.domain_id)";
const LINK: &str = "INSERT INTO repository_blob (repository_id, digest, blob_id) VALUES (?1, ?2, ?3)
     ON CONFLICT (repository_id, digest) DO NOTHING";
const UNLINK: &str = "DELETE FROM repository_blob WHERE repository_id = ?1 AND digest = ?2";
const HAS_WAITING: &str =
    "SELECT 1 FROM manifest_absent_blob WHERE repository_id = ?1 AND digest = ?2 LIMIT 1";
const LINK_WAITING: &str = "INSERT INTO manifest_blob (repository_id, blob_id, manifest_id, required)
     SELECT repository_id, CAST(?3 AS BIGINT), manifest_id, 0 FROM manifest_absent_blob
     WHERE repository_id = ?1 AND digest = ?2";
const DELETE_WAITING: &str = "DELETE FROM manifest_absent_blob WHERE repository_id = ?1 AND digest = ?2";
const QUEUE: &str = "INSERT INTO unreferenced (blob_id, repository_id, since) VALUES (?1, ?2, ?3)
     ON CONFLICT (blob_id, repository_id) DO UPDATE SET since = excluded.since";

/// A blob and its row.
fn read_blob(row: &dyn Row) -> Result<(BlobRecord, i64), MetaError> {
    let record = BlobRecord { digest: row.digest(0)?, bytes: row.bytes(1)?, object: row.object(2)? };
    Ok((record, row.need_int(3)?))
}

pub(crate) async fn blob<T: Tx>(
    tx: &mut T,
    repository: RepositoryId,
    digest: &Digest,
) -> Result<Option<BlobRecord>, MetaError> {
    Ok(find(tx, repository, digest).await?.map(|(record, _)| record))
}

async fn find<T: Tx>(
    tx: &mut T,
    repository: RepositoryId,
    digest: &Digest,
) -> Result<Option<(BlobRecord, i64)>, MetaError> {
    tx.query_opt(BLOB, &[repository.into(), digest.into()], read_blob).await
}

pub(crate) async fn is_referenced<T: Tx>(
    tx: &mut T,
    repository: RepositoryId,
    digest: &Digest,
) -> Result<bool, MetaError> {
    let found = tx.query_opt(REFERENCED, &[repository.into(), digest.into()], |row| row.need_int(0)).await?;
    Ok(found.is_some())
}

pub(crate) async fn mount<T: Tx>(
    tx: &mut T,
    repository: RepositoryId,
    digest: &Digest,
    from: Option<RepositoryId>,
    now: Timestamp,
) -> Result<Option<BlobRecord>, MetaError> {
    require(tx, repository).await?;
    let (repository_value, digest_value) = (repository.into(), digest.into());
    let found = match from {
        Some(from) => {
            tx.query_opt(TAKE_FROM, &[repository_value, digest_value, from.into()], read_blob).await?
        }
        None => tx.query_opt(TAKE_FROM_ANY, &[repository_value, digest_value], read_blob).await?,
    };
    let Some((record, row)) = found else { return Ok(None) };
    link(tx, repository, digest, row, now).await?;
    Ok(Some(record))
}

/// Puts a blob into a repository, where no manifest may refer to it yet. Returns whether it was there before.
pub(super) async fn link<T: Tx>(
    tx: &mut T,
    repository: RepositoryId,
    digest: &Digest,
    blob: i64,
    now: Timestamp,
) -> Result<bool, MetaError> {
    let params = [repository.into(), digest.into(), blob.into()];
    let existed = tx.execute(LINK, &params).await? == 0;
    let waiting = tx.query_opt(HAS_WAITING, &params[..2], |row| row.need_int(0)).await?.is_some();
    if waiting {
        tx.execute(LINK_WAITING, &params).await?;
        tx.execute(DELETE_WAITING, &params[..2]).await?;
    }
    queue(tx, repository, blob, now).await?;
    Ok(existed)
}

/// Tells the collector to look at a blob of a repository later.
async fn queue<T: Tx>(
    tx: &mut T,
    repository: RepositoryId,
    blob: i64,
    now: Timestamp,
) -> Result<(), MetaError> {
    tx.execute(QUEUE, &[blob.into(), repository.into(), now.into()]).await.map(drop)
}

pub(crate) async fn delete<T: Tx>(
    tx: &mut T,
    repository: RepositoryId,
    digest: &Digest,
    now: Timestamp,
) -> Result<(), MetaError> {
    super::images::lock_repository(tx, repository).await?;
    let (_, row) = find(tx, repository, digest).await?.ok_or(MetaError::Missing)?;
    if is_referenced(tx, repository, digest).await? {
        return Err(MetaError::BlobInUse);
    }
    tx.execute(UNLINK, &[repository.into(), digest.into()]).await?;
    queue(tx, repository, row, now).await
}
