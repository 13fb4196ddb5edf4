//! Taking away what nothing refers to any more. The rules are with the table `unreferenced`.

use berth_types::{Digest, Timestamp};

use super::{dead_objects, images};
use crate::blob::ObjectId;
use crate::meta::tx::{RowExt, Tx, limit};
use crate::meta::{CollectableBlob, Collection, MetaError, RepositoryId};

const DUE: &str = "SELECT blob_id, repository_id FROM unreferenced WHERE since < ?1 ORDER BY since LIMIT ?2";
const FORGET: &str = "DELETE FROM unreferenced WHERE blob_id = ?1 AND repository_id = ?2";
const REFERENCED: &str = "SELECT 1 FROM manifest_blob WHERE repository_id = ?2 AND blob_id = ?1 LIMIT 1";
/// An image that can be restored needs the blob in this repository.
const KEPT: &str = "SELECT 1 FROM repository_blob l
     JOIN expired_blob e ON e.repository_id = l.repository_id AND e.digest = l.digest
     WHERE l.blob_id = ?1 AND l.repository_id = ?2 LIMIT 1";
const UNLINK: &str = "DELETE FROM repository_blob WHERE blob_id = ?1 AND repository_id = ?2";
/// Another repository may have the blob, or may have had it until so recently that its own time is not up.
const DELETE: &str = "DELETE FROM blob WHERE id = ?1
     AND NOT EXISTS (SELECT 1 FROM repository_blob l WHERE l.blob_id = ?1)
     AND NOT EXISTS (SELECT 1 FROM unreferenced u WHERE u.blob_id = ?1)
     RETURNING bytes, object";
const SINCE: &str = "SELECT u.since FROM repository_blob l
     JOIN unreferenced u ON u.blob_id = l.blob_id AND u.repository_id = l.repository_id
     WHERE l.repository_id = ?1 AND l.digest = ?2";
const RENEW: &str = "UPDATE unreferenced SET since = ?3 WHERE repository_id = ?1
     AND blob_id = (SELECT blob_id FROM repository_blob WHERE repository_id = ?1 AND digest = ?2)";
/// What [`collect`] would delete if it were called until nothing is left. A blob has a row for each repository.
const COLLECTABLE: &str = "SELECT u.blob_id, b.bytes FROM unreferenced u JOIN blob b ON b.id = u.blob_id
     WHERE u.blob_id > ?2 AND u.since < ?1
       AND NOT EXISTS (SELECT 1 FROM unreferenced o WHERE o.blob_id = u.blob_id AND o.since >= ?1)
       AND NOT EXISTS (SELECT 1 FROM repository_blob l
                       JOIN manifest_blob m ON m.repository_id = l.repository_id AND m.blob_id = l.blob_id
                       WHERE l.blob_id = u.blob_id)
       AND NOT EXISTS (SELECT 1 FROM repository_blob l
                       JOIN expired_blob e ON e.repository_id = l.repository_id AND e.digest = l.digest
                       WHERE l.blob_id = u.blob_id)
     ORDER BY u.blob_id LIMIT ?3";

pub(crate) async fn collect<T: Tx>(
    tx: &mut T,
    before: Timestamp,
    rows: usize,
) -> Result<Collection, MetaError> {
    let due = tx
        .query(DUE, &[before.into(), limit(rows).into()], |row| Ok((row.need_int(0)?, row.need_int(1)?)))
        .await?;
    let mut collection = Collection { examined: due.len(), ..Collection::default() };
    for (blob, repository) in due {
        images::lock_repository(tx, RepositoryId(repository)).await?;
        if let Some((bytes, object)) = examine(tx, blob, repository).await? {
            collection.blobs += 1;
            collection.bytes = collection.bytes.saturating_add(bytes);
            collection.objects.push(object);
        }
    }
    dead_objects::record(tx, &collection.objects).await?;
    Ok(collection)
}

/// Looks at one row of the queue and removes it. Gives back what was deleted if the blob itself went.
async fn examine<T: Tx>(
    tx: &mut T,
    blob: i64,
    repository: i64,
) -> Result<Option<(u64, ObjectId)>, MetaError> {
    let place = [blob.into(), repository.into()];
    tx.execute(FORGET, &place).await?;
    for needed in [REFERENCED, KEPT] {
        if tx.query_opt(needed, &place, |row| row.need_int(0)).await?.is_some() {
            return Ok(None);
        }
    }
    tx.execute(UNLINK, &place).await?;
    tx.query_opt(DELETE, &place[..1], |row| Ok((row.bytes(0)?, row.object(1)?))).await
}

/// Since when the collector has had an eye on a blob of a repository; `None` if it has not.
pub(crate) async fn waiting_since<T: Tx>(
    tx: &mut T,
    repository: RepositoryId,
    digest: &Digest,
) -> Result<Option<Timestamp>, MetaError> {
    tx.query_opt(SINCE, &[repository.into(), digest.into()], |row| row.time(0)).await
}

pub(crate) async fn renew<T: Tx>(
    tx: &mut T,
    repository: RepositoryId,
    digest: &Digest,
    now: Timestamp,
) -> Result<(), MetaError> {
    tx.execute(RENEW, &[repository.into(), digest.into(), now.into()]).await.map(drop)
}

pub(crate) async fn collectable<T: Tx>(
    tx: &mut T,
    before: Timestamp,
    after: i64,
    rows: usize,
) -> Result<Vec<CollectableBlob>, MetaError> {
    let params = [before.into(), after.into(), limit(rows).into()];
    let read = |row: &dyn crate::meta::tx::Row| {
        Ok(CollectableBlob { cursor: row.need_int(0)?, bytes: row.bytes(1)? })
    };
    let mut blobs = tx.query(COLLECTABLE, &params, read).await?;
    blobs.dedup_by_key(|blob| blob.cursor);
    Ok(blobs)
}
