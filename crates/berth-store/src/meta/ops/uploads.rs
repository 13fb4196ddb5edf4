//! Upload sessions.

use berth_types::limits::UPLOADS_PER_REPOSITORY_MAX;
use berth_types::{Timestamp, UploadId};

use super::{blobs, dead_objects, repositories};
use crate::blob::ObjectId;
use crate::meta::tx::{RowExt, Sequence, Tx, limit, size};
use crate::meta::{
    BlobRecord, CompletedUpload, MetaError, NewBlob, RepositoryId, UploadProgress, UploadRecord,
};

/// Counts no further than the quota.
const COUNT: &str =
    "SELECT COUNT(*) FROM (SELECT 1 AS one FROM upload WHERE repository_id = ?1 LIMIT ?2) AS u";
const INSERT: &str =
    "INSERT INTO upload (id, repository_id, object, created_at, updated_at, bytes, checkpoint)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
const UPLOAD: &str = "SELECT object, created_at, bytes, checkpoint, updated_at FROM upload
     WHERE id = ?1 AND repository_id = ?2";
const ADVANCE: &str = "UPDATE upload SET bytes = ?4, checkpoint = ?5, updated_at = ?6
     WHERE id = ?1 AND repository_id = ?2 AND bytes = ?3";
const BYTES: &str = "SELECT bytes FROM upload WHERE id = ?1 AND repository_id = ?2";
const END: &str = "DELETE FROM upload WHERE id = ?1 AND repository_id = ?2 RETURNING object";
const EXPIRE: &str = "DELETE FROM upload WHERE id IN (
         SELECT id FROM upload WHERE updated_at < ?1 ORDER BY updated_at LIMIT ?2)
     RETURNING object";
const DOMAIN: &str = "SELECT r.domain_id FROM repository r WHERE r.id = ?1 /*lock:r*/";
const EXISTING: &str = "SELECT id, bytes, object FROM blob WHERE domain_id = ?1 AND digest = ?2";
const INSERT_BLOB: &str = "INSERT INTO blob (id, domain_id, digest, bytes, object, created_at)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

pub(crate) async fn create<T: Tx>(tx: &mut T, new: &UploadRecord) -> Result<(), MetaError> {
    repositories::require(tx, new.repository).await?;
    let most = limit(UPLOADS_PER_REPOSITORY_MAX);
    let count = tx.query_opt(COUNT, &[new.repository.into(), most.into()], |row| row.need_int(0)).await?;
    if count.unwrap_or(0) >= most {
        return Err(MetaError::TooManyUploads);
    }
    let id = new.id.to_string();
    let params = [
        id.as_str().into(),
        new.repository.into(),
        new.object.into(),
        new.created_at.into(),
        new.progress.updated_at.into(),
        size(new.progress.bytes).into(),
        new.progress.checkpoint.as_deref().into(),
    ];
    tx.execute(INSERT, &params).await.map(drop)
}

pub(crate) async fn upload<T: Tx>(
    tx: &mut T,
    repository: RepositoryId,
    id: UploadId,
) -> Result<Option<UploadRecord>, MetaError> {
    tx.query_opt(UPLOAD, &[id.to_string().as_str().into(), repository.into()], |row| {
        Ok(UploadRecord {
            id,
            repository,
            object: row.object(0)?,
            created_at: row.time(1)?,
            progress: UploadProgress {
                bytes: row.bytes(2)?,
                checkpoint: row.blob(3)?.map(<[u8]>::to_vec),
                updated_at: row.time(4)?,
            },
        })
    })
    .await
}

pub(crate) async fn advance<T: Tx>(
    tx: &mut T,
    repository: RepositoryId,
    id: UploadId,
    expected: u64,
    progress: &UploadProgress,
) -> Result<(), MetaError> {
    let id = id.to_string();
    let params = [
        id.as_str().into(),
        repository.into(),
        size(expected).into(),
        size(progress.bytes).into(),
        progress.checkpoint.as_deref().into(),
        progress.updated_at.into(),
    ];
    if tx.execute(ADVANCE, &params).await? == 1 {
        return Ok(());
    }
    match tx.query_opt(BYTES, &params[..2], |row| row.bytes(0)).await? {
        Some(found) => Err(MetaError::UploadMoved { found }),
        None => Err(MetaError::UploadMissing),
    }
}

pub(crate) async fn complete<T: Tx>(
    tx: &mut T,
    repository: RepositoryId,
    id: UploadId,
    new: &NewBlob,
) -> Result<CompletedUpload, MetaError> {
    let domain = tx
        .query_opt(DOMAIN, &[repository.into()], |row| row.need_int(0))
        .await?
        .ok_or(MetaError::RepositoryMissing)?;
    let object = end(tx, repository, id).await?;
    let existing = tx
        .query_opt(EXISTING, &[domain.into(), (&new.digest).into()], |row| {
            Ok((row.need_int(0)?, row.bytes(1)?, row.object(2)?))
        })
        .await?;
    let (row, blob) = match existing {
        Some((row, bytes, object)) => (row, BlobRecord { digest: new.digest, bytes, object }),
        None => {
            let row = tx.next_id(Sequence::Blob).await?;
            let params = [
                row.into(),
                domain.into(),
                (&new.digest).into(),
                size(new.bytes).into(),
                object.into(),
                new.created_at.into(),
            ];
            tx.execute(INSERT_BLOB, &params).await?;
            (row, BlobRecord { digest: new.digest, bytes: new.bytes, object })
        }
    };
    let existed_in_repository = blobs::link(tx, repository, &new.digest, row, new.created_at).await?;
    let surplus = (blob.object != object).then_some(object);
    dead_objects::record(tx, surplus.as_slice()).await?;
    Ok(CompletedUpload { blob, existed_in_repository, surplus })
}

/// Removes the session and leaves its object to the caller.
async fn end<T: Tx>(tx: &mut T, repository: RepositoryId, id: UploadId) -> Result<ObjectId, MetaError> {
    let id = id.to_string();
    let ended = tx.query_opt(END, &[id.as_str().into(), repository.into()], |row| row.object(0)).await?;
    ended.ok_or(MetaError::UploadMissing)
}

pub(crate) async fn cancel<T: Tx>(
    tx: &mut T,
    repository: RepositoryId,
    id: UploadId,
) -> Result<ObjectId, MetaError> {
    let object = end(tx, repository, id).await?;
    dead_objects::record(tx, &[object]).await?;
    Ok(object)
}

pub(crate) async fn expire<T: Tx>(
    tx: &mut T,
    before: Timestamp,
    rows: usize,
) -> Result<Vec<ObjectId>, MetaError> {
    let objects = tx.query(EXPIRE, &[before.into(), limit(rows).into()], |row| row.object(0)).await?;
    dead_objects::record(tx, &objects).await?;
    Ok(objects)
}
