//! Images that a lifecycle run deletes, and that can be restored for a while.

use berth_types::{Digest, MediaType, Tag, Timestamp};

use super::lifecycle::{join_tags, split_tags};
use super::{images, put_image, tags};
use crate::meta::tx::{RowExt, Sequence, Tx, limit, size};
use crate::meta::{
    ExpireBatch, ExpireImage, ExpireOutcome, ExpiredBatch, ExpiredImageRecord, LifecycleRunId, MetaError,
    NewImage, RepositoryId, RestoredImage,
};

const VERSION: &str = "SELECT version FROM lifecycle_policy WHERE repository_id = ?1";
const FOUND: &str = "SELECT id, image_bytes FROM manifest WHERE repository_id = ?1 AND digest = ?2";
const TAGS: &str = "SELECT name FROM tag WHERE manifest_id = ?1 ORDER BY name";
const BLOBS: &str = "SELECT blob_id FROM manifest_blob WHERE manifest_id = ?1";
/// The length of a blob that no image and no other repository has.
const FREED: &str = "SELECT b.bytes FROM blob b WHERE b.id = ?1
     AND NOT EXISTS (SELECT 1 FROM manifest_blob m WHERE m.repository_id = ?2 AND m.blob_id = ?1)
     AND NOT EXISTS (SELECT 1 FROM repository_blob l WHERE l.blob_id = ?1 AND l.repository_id <> ?2)";
const COUNT: &str = "UPDATE lifecycle_run SET image_count = image_count + ?2, blob_bytes = blob_bytes + ?3
     WHERE id = ?1";
const RECORD: &str = "INSERT INTO lifecycle_run_image (run_id, manifest_id, digest, tags, image_bytes, rule,
         subject, reason, restored)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0)";

const KEEP: &str = "INSERT INTO expired_image (id, repository_id, run_id, digest, media_type, artifact_type,
         manifest_bytes, image_bytes, subject, pushed_at, last_pulled_at, tags, sealed, keep_until)
     SELECT CAST(?1 AS BIGINT), m.repository_id, CAST(?3 AS BIGINT), m.digest, m.media_type, m.artifact_type,
            m.manifest_bytes, m.image_bytes, m.subject, m.pushed_at, m.last_pulled_at, CAST(?4 AS TEXT),
            x.sealed, CAST(?5 AS BIGINT)
     FROM manifest m JOIN manifest_text x ON x.manifest_id = m.id WHERE m.id = ?2";
const KEEP_BLOBS: &str = "INSERT INTO expired_blob (repository_id, digest, expired_id, required)
     SELECT m.repository_id, b.digest, CAST(?1 AS BIGINT), m.required
     FROM manifest_blob m JOIN blob b ON b.id = m.blob_id WHERE m.manifest_id = ?2";
const KEEP_ABSENT_BLOBS: &str = "INSERT INTO expired_blob (repository_id, digest, expired_id, required)
     SELECT repository_id, digest, CAST(?1 AS BIGINT), 0 FROM manifest_absent_blob WHERE manifest_id = ?2";
const KEEP_CHILDREN: &str = "INSERT INTO expired_child (expired_id, digest)
     SELECT CAST(?1 AS BIGINT), m.digest
     FROM manifest_child c JOIN manifest m ON m.id = c.child_id WHERE c.parent_id = ?2";

const ENDED: &str = "SELECT id FROM expired_image WHERE keep_until <= ?1 ORDER BY keep_until LIMIT ?2";
const EARLIER: &str = "SELECT id FROM expired_image WHERE repository_id = ?1 AND digest = ?2";
const QUEUE_BLOBS: &str = "INSERT INTO unreferenced (blob_id, repository_id, since)
     SELECT l.blob_id, l.repository_id, CAST(?2 AS BIGINT)
     FROM expired_blob e JOIN repository_blob l ON l.repository_id = e.repository_id AND l.digest = e.digest
     WHERE e.expired_id = ?1
     ON CONFLICT (blob_id, repository_id) DO UPDATE SET since = excluded.since";
const FORGET: [&str; 3] = [
    "DELETE FROM expired_blob WHERE expired_id = ?1",
    "DELETE FROM expired_child WHERE expired_id = ?1",
    "DELETE FROM expired_image WHERE id = ?1",
];

const EXPIRED: &str = "SELECT e.id, e.digest FROM expired_image e
     WHERE e.run_id = ?1 AND e.id > ?3 AND e.repository_id = ?2 ORDER BY e.id LIMIT ?4";
const RESTORABLE: &str = "SELECT id, run_id, media_type, artifact_type, manifest_bytes, image_bytes, subject,
            pushed_at, last_pulled_at, tags, sealed
     FROM expired_image WHERE repository_id = ?1 AND digest = ?2";
const RESTORABLE_BLOBS: &str = "SELECT digest, required FROM expired_blob WHERE expired_id = ?1";
const RESTORABLE_CHILDREN: &str = "SELECT digest FROM expired_child WHERE expired_id = ?1";
const RESTORED: &str = "UPDATE lifecycle_run_image SET restored = 1 WHERE run_id = ?1 AND digest = ?2";

pub(crate) async fn expire<T: Tx>(tx: &mut T, batch: &ExpireBatch) -> Result<ExpiredBatch, MetaError> {
    images::lock_repository(tx, batch.repository).await?;
    let version = tx.query_opt(VERSION, &[batch.repository.into()], |row| row.need_int(0)).await?;
    if version != Some(batch.policy_version) {
        let outcomes = vec![ExpireOutcome::PolicyChanged; batch.images.len()];
        return Ok(ExpiredBatch { outcomes, blob_bytes: 0 });
    }
    let mut done = ExpiredBatch { outcomes: Vec::with_capacity(batch.images.len()), blob_bytes: 0 };
    for image in &batch.images {
        let stays =
            image.follows.is_some_and(|subject| done.outcomes.get(subject) != Some(&ExpireOutcome::Expired));
        let outcome = if stays {
            ExpireOutcome::SubjectStays
        } else {
            expire_one(tx, batch, image, &mut done.blob_bytes).await?
        };
        done.outcomes.push(outcome);
    }
    let expired = done.outcomes.iter().filter(|outcome| **outcome == ExpireOutcome::Expired).count();
    tx.execute(COUNT, &[batch.run.0.into(), limit(expired).into(), size(done.blob_bytes).into()]).await?;
    Ok(done)
}

async fn expire_one<T: Tx>(
    tx: &mut T,
    batch: &ExpireBatch,
    image: &ExpireImage,
    blob_bytes: &mut u64,
) -> Result<ExpireOutcome, MetaError> {
    let found = tx
        .query_opt(FOUND, &[batch.repository.into(), (&image.digest).into()], |row| {
            Ok((row.need_int(0)?, row.need_int(1)?))
        })
        .await?;
    let (manifest, image_bytes) = match found {
        Some((manifest, bytes)) if manifest == image.cursor.0 => (manifest, bytes),
        _ => return Ok(ExpireOutcome::Gone),
    };
    if tx.query(TAGS, &[manifest.into()], |row| row.tag(0)).await? != image.tags {
        return Ok(ExpireOutcome::Retagged);
    }
    if images::is_listed(tx, manifest).await? {
        return Ok(ExpireOutcome::Referenced);
    }
    let joined = join_tags(&image.tags);
    if let Some(until) = batch.restorable_until {
        keep(tx, batch, image, &joined, until).await?;
    }
    let blobs = tx.query(BLOBS, &[manifest.into()], |row| row.need_int(0)).await?;
    images::delete_row(tx, batch.repository, manifest, batch.now).await?;
    for blob in blobs {
        let params = [blob.into(), batch.repository.into()];
        let freed = tx.query_opt(FREED, &params, |row| row.bytes(0)).await?;
        *blob_bytes = blob_bytes.saturating_add(freed.unwrap_or(0));
    }
    let params = [
        batch.run.0.into(),
        manifest.into(),
        (&image.digest).into(),
        joined.as_str().into(),
        image_bytes.into(),
        i64::from(image.rule).into(),
        image.subject.as_ref().into(),
        image.reason.as_str().into(),
    ];
    tx.execute(RECORD, &params).await?;
    Ok(ExpireOutcome::Expired)
}

/// Remembers all that restoring an image needs. What is left of an earlier expiry of the same image is forgotten.
async fn keep<T: Tx>(
    tx: &mut T,
    batch: &ExpireBatch,
    image: &ExpireImage,
    joined: &str,
    until: Timestamp,
) -> Result<(), MetaError> {
    let key = [batch.repository.into(), (&image.digest).into()];
    if let Some(earlier) = tx.query_opt(EARLIER, &key, |row| row.need_int(0)).await? {
        forget(tx, earlier, batch.now).await?;
    }
    let id = tx.next_id(Sequence::ExpiredImage).await?;
    let manifest = image.cursor.0.into();
    tx.execute(KEEP, &[id.into(), manifest, batch.run.0.into(), joined.into(), until.into()]).await?;
    for statement in [KEEP_BLOBS, KEEP_ABSENT_BLOBS, KEEP_CHILDREN] {
        tx.execute(statement, &[id.into(), manifest]).await?;
    }
    Ok(())
}

/// Gives up an image that could have been restored; the collector looks at its blobs.
async fn forget<T: Tx>(tx: &mut T, expired: i64, now: Timestamp) -> Result<(), MetaError> {
    tx.execute(QUEUE_BLOBS, &[expired.into(), now.into()]).await?;
    for statement in FORGET {
        tx.execute(statement, &[expired.into()]).await?;
    }
    Ok(())
}

pub(crate) async fn purge<T: Tx>(tx: &mut T, now: Timestamp, rows: usize) -> Result<usize, MetaError> {
    let ended = tx.query(ENDED, &[now.into(), limit(rows).into()], |row| row.need_int(0)).await?;
    for expired in &ended {
        forget(tx, *expired, now).await?;
    }
    Ok(ended.len())
}

pub(crate) async fn restorable<T: Tx>(
    tx: &mut T,
    repository: RepositoryId,
    run: LifecycleRunId,
    after: i64,
    rows: usize,
) -> Result<Vec<ExpiredImageRecord>, MetaError> {
    let params = [run.0.into(), repository.into(), after.into(), limit(rows).into()];
    tx.query(EXPIRED, &params, |row| {
        Ok(ExpiredImageRecord { cursor: row.need_int(0)?, digest: row.digest(1)? })
    })
    .await
}

/// An expired image as it is read back.
struct Expired {
    id: i64,
    run: i64,
    last_pulled_at: Option<Timestamp>,
    image: NewImage,
}

pub(crate) async fn restore<T: Tx>(
    tx: &mut T,
    repository: RepositoryId,
    digest: &Digest,
    now: Timestamp,
) -> Result<RestoredImage, MetaError> {
    images::lock_repository(tx, repository).await?;
    let mut expired = read(tx, repository, digest).await?.ok_or(MetaError::Missing)?;
    let id = expired.id.into();
    for (digest, required) in
        tx.query(RESTORABLE_BLOBS, &[id], |row| Ok((row.digest(0)?, row.need_int(1)? != 0))).await?
    {
        let list = if required { &mut expired.image.blobs } else { &mut expired.image.optional_blobs };
        list.push(digest);
    }
    expired.image.children = tx.query(RESTORABLE_CHILDREN, &[id], |row| row.digest(0)).await?;
    let tags_taken = take_out_taken(tx, &mut expired.image).await?;
    put_image::put_image(tx, &expired.image).await?;
    if let Some(pulled) = expired.last_pulled_at {
        images::record_pulls(tx, &[(repository, *digest, pulled)]).await?;
    }
    tx.execute(RESTORED, &[expired.run.into(), digest.into()]).await?;
    forget(tx, expired.id, now).await?;
    Ok(RestoredImage { tags: expired.image.tags, tags_taken })
}

async fn read<T: Tx>(
    tx: &mut T,
    repository: RepositoryId,
    digest: &Digest,
) -> Result<Option<Expired>, MetaError> {
    tx.query_opt(RESTORABLE, &[repository.into(), digest.into()], |row| {
        Ok(Expired {
            id: row.need_int(0)?,
            run: row.need_int(1)?,
            last_pulled_at: row.int(8)?.map(Timestamp::from_millis),
            image: NewImage {
                repository,
                digest: *digest,
                media_type: MediaType::new(row.need_text(2)?),
                artifact_type: row.text(3)?.map(str::to_owned),
                sealed: row.need_blob(10)?.to_vec(),
                manifest_bytes: row.bytes(4)?,
                image_bytes: row.bytes(5)?,
                blobs: Vec::new(),
                optional_blobs: Vec::new(),
                children: Vec::new(),
                subject: row.opt_digest(6)?,
                tags: split_tags(row, 9)?,
                pushed_at: row.time(7)?,
            },
        })
    })
    .await
}

/// Removes the tags that name another image by now from those that the image would get, and returns them.
async fn take_out_taken<T: Tx>(tx: &mut T, image: &mut NewImage) -> Result<Vec<Tag>, MetaError> {
    let (mut free, mut taken) = (Vec::new(), Vec::new());
    for tag in std::mem::take(&mut image.tags) {
        match tags::target(tx, image.repository, &tag).await? {
            Some(target) if target.digest != image.digest => taken.push(tag),
            _ => free.push(tag),
        }
    }
    image.tags = free;
    Ok(taken)
}
