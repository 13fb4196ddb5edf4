//! Tags: what they name, listing and removing them.

use berth_types::{Digest, Tag, Timestamp};

use super::images;
use crate::meta::tx::{RowExt, Tx, limit};
use crate::meta::{DeletedTag, MetaError, RepositoryId};

const TARGET: &str = "SELECT m.id, m.digest, m.tag_count FROM tag t JOIN manifest m ON m.id = t.manifest_id
     WHERE t.repository_id = ?1 AND t.name = ?2";
const LIST: &str = "SELECT name FROM tag WHERE repository_id = ?1 AND name > ?2 ORDER BY name LIMIT ?3";
const INSERT: &str = "INSERT INTO tag (repository_id, name, manifest_id) VALUES (?1, ?2, ?3)";
const CHANGE: &str = "UPDATE tag SET manifest_id = ?3 WHERE repository_id = ?1 AND name = ?2";
const DELETE: &str = "DELETE FROM tag WHERE repository_id = ?1 AND name = ?2";
const SET_COUNT: &str = "UPDATE manifest SET tag_count = ?2 WHERE id = ?1";
const LOWER_COUNT: &str = "UPDATE manifest SET tag_count = tag_count - 1 WHERE id = ?1";

/// The image that a tag names.
#[derive(Clone, Copy)]
pub(super) struct Target {
    pub(super) manifest: i64,
    pub(super) digest: Digest,
    pub(super) tag_count: i64,
}

pub(super) async fn target<T: Tx>(
    tx: &mut T,
    repository: RepositoryId,
    tag: &Tag,
) -> Result<Option<Target>, MetaError> {
    tx.query_opt(TARGET, &[repository.into(), tag.as_str().into()], |row| {
        Ok(Target { manifest: row.need_int(0)?, digest: row.digest(1)?, tag_count: row.need_int(2)? })
    })
    .await
}

/// Sets a tag that is not there. The count of the manifest is the caller's business.
pub(super) async fn insert<T: Tx>(
    tx: &mut T,
    repository: RepositoryId,
    tag: &Tag,
    manifest: i64,
) -> Result<(), MetaError> {
    let params = [repository.into(), tag.as_str().into(), manifest.into()];
    tx.execute(INSERT, &params).await.map(drop)
}

/// Moves a tag that is there. The counts of both manifests are the caller's business.
pub(super) async fn change<T: Tx>(
    tx: &mut T,
    repository: RepositoryId,
    tag: &Tag,
    manifest: i64,
) -> Result<(), MetaError> {
    let params = [repository.into(), tag.as_str().into(), manifest.into()];
    tx.execute(CHANGE, &params).await.map(drop)
}

pub(super) async fn set_count<T: Tx>(tx: &mut T, manifest: i64, count: i64) -> Result<(), MetaError> {
    tx.execute(SET_COUNT, &[manifest.into(), count.into()]).await.map(drop)
}

pub(super) async fn lower_count<T: Tx>(tx: &mut T, manifest: i64) -> Result<(), MetaError> {
    tx.execute(LOWER_COUNT, &[manifest.into()]).await.map(drop)
}

pub(crate) async fn list<T: Tx>(
    tx: &mut T,
    repository: RepositoryId,
    after: Option<&Tag>,
    rows: usize,
) -> Result<Vec<Tag>, MetaError> {
    let params = [repository.into(), after.map_or("", Tag::as_str).into(), limit(rows).into()];
    tx.query(LIST, &params, |row| row.tag(0)).await
}

pub(crate) async fn delete<T: Tx>(
    tx: &mut T,
    repository: RepositoryId,
    tag: &Tag,
    expected: Option<&Digest>,
    delete_untagged: bool,
    now: Timestamp,
) -> Result<DeletedTag, MetaError> {
    images::lock_repository(tx, repository).await?;
    let target = target(tx, repository, tag).await?.ok_or(MetaError::Missing)?;
    if expected.is_some_and(|expected| *expected != target.digest) {
        return Err(MetaError::TagDigestMismatch);
    }
    let image_deleted = delete_untagged && target.tag_count == 1;
    if image_deleted {
        images::delete_row(tx, repository, target.manifest, now).await?;
    } else {
        tx.execute(DELETE, &[repository.into(), tag.as_str().into()]).await?;
        lower_count(tx, target.manifest).await?;
    }
    Ok(DeletedTag { digest: target.digest, image_deleted })
}
