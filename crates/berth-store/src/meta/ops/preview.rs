//! The last preview of each repository's lifecycle policy.

use berth_types::Timestamp;

use super::lifecycle::{join_tags, split_tags};
use super::repositories;
use crate::meta::tx::{RowExt, Tx, limit, size, unreadable};
use crate::meta::{
    MetaError, NewPreview, PreviewAction, PreviewImage, PreviewRecord, PreviewStatus, RepositoryId, TagStatus,
};

const PREVIEW: &str = "SELECT id, policy, status, changed_at, expire_count, archive_count
     FROM lifecycle_preview WHERE repository_id = ?1";
const FORGET_IMAGES: &str = "DELETE FROM lifecycle_preview_image WHERE repository_id = ?1";
const BEGIN: &str =
    "INSERT INTO lifecycle_preview (repository_id, id, policy, status, changed_at, expire_count,
         archive_count)
     VALUES (?1, ?2, ?3, ?4, ?5, 0, 0)
     ON CONFLICT (repository_id) DO UPDATE SET id = excluded.id, policy = excluded.policy,
         status = excluded.status, changed_at = excluded.changed_at, expire_count = 0, archive_count = 0";
const TOUCH: &str = "UPDATE lifecycle_preview SET changed_at = ?3
     WHERE repository_id = ?1 AND id = ?2 AND status = 'IN_PROGRESS'";
const FINISH: &str = "UPDATE lifecycle_preview SET status = ?3, changed_at = ?4, expire_count = ?5,
         archive_count = ?6
     WHERE repository_id = ?1 AND id = ?2 AND status = 'IN_PROGRESS'";
const INSERT: &str = "INSERT INTO lifecycle_preview_image (repository_id, position, digest, tags, pushed_at,
         action, rule)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
const IMAGES: &str = "SELECT position, digest, tags, pushed_at, action, rule FROM lifecycle_preview_image
     WHERE repository_id = ?1 AND position > ?2 ORDER BY position LIMIT ?3";
const IMAGES_TAGGED: &str =
    "SELECT position, digest, tags, pushed_at, action, rule FROM lifecycle_preview_image
     WHERE repository_id = ?1 AND position > ?2 AND tags <> '' ORDER BY position LIMIT ?3";
const IMAGES_UNTAGGED: &str =
    "SELECT position, digest, tags, pushed_at, action, rule FROM lifecycle_preview_image
     WHERE repository_id = ?1 AND position > ?2 AND tags = '' ORDER BY position LIMIT ?3";

const fn status_name(status: PreviewStatus) -> &'static str {
    match status {
        PreviewStatus::InProgress => "IN_PROGRESS",
        PreviewStatus::Complete => "COMPLETE",
        PreviewStatus::Failed => "FAILED",
    }
}

const fn action_name(action: PreviewAction) -> &'static str {
    match action {
        PreviewAction::Expire => "EXPIRE",
        PreviewAction::Archive => "ARCHIVE",
    }
}

pub(crate) async fn begin<T: Tx>(tx: &mut T, new: &NewPreview<'_>) -> Result<String, MetaError> {
    repositories::require(tx, new.repository).await?;
    if let Some(running) = find(tx, new.repository).await?
        && running.status == PreviewStatus::InProgress
        && running.changed_at >= new.stale_before
    {
        return Err(MetaError::PreviewInProgress);
    }
    let policy = match new.policy {
        Some(policy) => policy.to_owned(),
        None => {
            let attached = repositories::lifecycle_policy(tx, new.repository).await?;
            attached.ok_or(MetaError::Missing)?.text
        }
    };
    let params = [
        new.repository.into(),
        new.id.into(),
        policy.as_str().into(),
        status_name(PreviewStatus::InProgress).into(),
        new.now.into(),
    ];
    tx.execute(FORGET_IMAGES, &params[..1]).await?;
    tx.execute(BEGIN, &params).await?;
    Ok(policy)
}

pub(crate) async fn record<T: Tx>(
    tx: &mut T,
    repository: RepositoryId,
    id: &str,
    images: &[PreviewImage],
    now: Timestamp,
) -> Result<(), MetaError> {
    if tx.execute(TOUCH, &[repository.into(), id.into(), now.into()]).await? == 0 {
        return Err(MetaError::Missing);
    }
    for image in images {
        let tags = join_tags(&image.tags);
        let params = [
            repository.into(),
            image.position.into(),
            (&image.digest).into(),
            tags.as_str().into(),
            image.pushed_at.into(),
            action_name(image.action).into(),
            i64::from(image.rule).into(),
        ];
        tx.execute(INSERT, &params).await?;
    }
    Ok(())
}

pub(crate) async fn finish<T: Tx>(
    tx: &mut T,
    repository: RepositoryId,
    outcome: &PreviewRecord,
) -> Result<(), MetaError> {
    let params = [
        repository.into(),
        outcome.id.as_str().into(),
        status_name(outcome.status).into(),
        outcome.changed_at.into(),
        size(outcome.expire_count).into(),
        size(outcome.archive_count).into(),
    ];
    match tx.execute(FINISH, &params).await? {
        0 => Err(MetaError::Missing),
        _ => Ok(()),
    }
}

pub(crate) async fn find<T: Tx>(
    tx: &mut T,
    repository: RepositoryId,
) -> Result<Option<PreviewRecord>, MetaError> {
    tx.query_opt(PREVIEW, &[repository.into()], |row| {
        Ok(PreviewRecord {
            id: row.need_text(0)?.to_owned(),
            policy: row.need_text(1)?.to_owned(),
            status: match row.need_text(2)? {
                "IN_PROGRESS" => PreviewStatus::InProgress,
                "COMPLETE" => PreviewStatus::Complete,
                "FAILED" => PreviewStatus::Failed,
                _ => return Err(unreadable(2, "a status")),
            },
            changed_at: row.time(3)?,
            expire_count: row.bytes(4)?,
            archive_count: row.bytes(5)?,
        })
    })
    .await
}

pub(crate) async fn images<T: Tx>(
    tx: &mut T,
    repository: RepositoryId,
    filter: TagStatus,
    after: i64,
    rows: usize,
) -> Result<Vec<PreviewImage>, MetaError> {
    let statement = match filter {
        TagStatus::Any => IMAGES,
        TagStatus::Tagged => IMAGES_TAGGED,
        TagStatus::Untagged => IMAGES_UNTAGGED,
    };
    tx.query(statement, &[repository.into(), after.into(), limit(rows).into()], |row| {
        Ok(PreviewImage {
            position: row.need_int(0)?,
            digest: row.digest(1)?,
            tags: split_tags(row, 2)?,
            pushed_at: row.time(3)?,
            action: match row.need_text(4)? {
                "EXPIRE" => PreviewAction::Expire,
                "ARCHIVE" => PreviewAction::Archive,
                _ => return Err(unreadable(4, "an action")),
            },
            rule: u32::try_from(row.need_int(5)?).map_err(|_| unreadable(5, "a rule"))?,
        })
    })
    .await
}
