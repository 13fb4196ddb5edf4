//! Reading, listing and deleting images.

use berth_types::{Digest, Reference, Tag, Timestamp};

use crate::meta::tx::{Row, RowExt, Tx, Value, limit};
use crate::meta::{
    ImageCursor, ImageIdCursor, ImageIdRecord, ImageRecord, ManifestRecord, MetaError, RepositoryId,
    TagStatus,
};

/// A manifest with its text, as [`read_manifest`] reads it.
macro_rules! select_manifest {
    ($rest:literal) => {
        concat!(
            "SELECT m.id, m.digest, m.media_type, m.artifact_type, m.manifest_bytes, m.pushed_at, x.sealed ",
            $rest
        )
    };
}

const BY_TAG: &str = select_manifest!(
    "FROM tag t
     JOIN manifest m ON m.id = t.manifest_id
     JOIN manifest_text x ON x.manifest_id = t.manifest_id
     WHERE t.repository_id = ?1 AND t.name = ?2"
);
const BY_DIGEST: &str = select_manifest!(
    "FROM manifest m JOIN manifest_text x ON x.manifest_id = m.id
     WHERE m.repository_id = ?1 AND m.digest = ?2"
);
const REFERRERS: &str = select_manifest!(
    "FROM manifest m JOIN manifest_text x ON x.manifest_id = m.id
     WHERE m.repository_id = ?1 AND m.subject = ?2 AND m.id > ?3
     ORDER BY m.id LIMIT ?4"
);
const REFERRERS_OF_TYPE: &str = select_manifest!(
    "FROM manifest m JOIN manifest_text x ON x.manifest_id = m.id
     WHERE m.repository_id = ?1 AND m.subject = ?2 AND m.artifact_type = ?5 AND m.id > ?3
     ORDER BY m.id LIMIT ?4"
);

/// Images with their tags, one row per tag, as [`collect_images`] reads them. The page is cut before the tags are joined.
macro_rules! select_images {
    ($page:literal) => {
        concat!(
            "SELECT m.id, m.digest, m.media_type, m.artifact_type, m.image_bytes, m.pushed_at,
                    m.last_pulled_at, m.subject, t.name
             FROM (SELECT * FROM manifest ",
            $page,
            ") m LEFT JOIN tag t ON t.manifest_id = m.id
             ORDER BY m.id, t.name"
        )
    };
}

const IMAGE: &str = select_images!("WHERE repository_id = ?1 AND digest = ?2");
const IMAGES: &str = select_images!("WHERE repository_id = ?1 AND id > ?2 ORDER BY id LIMIT ?3");
const IMAGES_TAGGED: &str =
    select_images!("WHERE repository_id = ?1 AND id > ?2 AND tag_count > 0 ORDER BY id LIMIT ?3");
const IMAGES_UNTAGGED: &str =
    select_images!("WHERE repository_id = ?1 AND id > ?2 AND tag_count = 0 ORDER BY id LIMIT ?3");

/// Pairs after (`?2`, `?3`). An untagged image has one row with a null, which comes before its tags: should it get tags
/// between two pages, they follow.
const IDS: &str = "SELECT m.id, m.digest, t.name
     FROM manifest m LEFT JOIN tag t ON t.manifest_id = m.id
     WHERE m.repository_id = ?1 AND m.id >= ?2 AND (m.id > ?2 OR t.name > ?3)
     ORDER BY m.id, t.name LIMIT ?4";
const IDS_TAGGED: &str = "SELECT m.id, m.digest, t.name
     FROM manifest m JOIN tag t ON t.manifest_id = m.id
     WHERE m.repository_id = ?1 AND m.id >= ?2 AND m.tag_count > 0 AND (m.id > ?2 OR t.name > ?3)
     ORDER BY m.id, t.name LIMIT ?4";
const IDS_UNTAGGED: &str = "SELECT m.id, m.digest, CAST(NULL AS TEXT)
     FROM manifest m
     WHERE m.repository_id = ?1 AND m.id > ?2 AND m.tag_count = 0
     ORDER BY m.id LIMIT ?3";

const LOCK: &str = "SELECT r.id FROM repository r WHERE r.id = ?1 /*lock:r*/";
const ROW: &str = "SELECT id FROM manifest WHERE repository_id = ?1 AND digest = ?2";
const TAGS: &str = "SELECT name FROM tag WHERE manifest_id = ?1 ORDER BY name";
const PARENTS: &str = "SELECT p.digest FROM manifest_child c JOIN manifest p ON p.id = c.parent_id
     WHERE c.child_id = ?1 ORDER BY p.digest";
/// Blobs that no other manifest of the repository refers to.
const QUEUE_BLOBS: &str = "INSERT INTO unreferenced (blob_id, repository_id, since)
     SELECT b.blob_id, b.repository_id, CAST(?2 AS BIGINT) FROM manifest_blob b
     WHERE b.manifest_id = ?1 AND NOT EXISTS (
         SELECT 1 FROM manifest_blob o
         WHERE o.repository_id = b.repository_id AND o.blob_id = b.blob_id AND o.manifest_id <> ?1)
     ON CONFLICT (blob_id, repository_id) DO UPDATE SET since = excluded.since";
const DELETE: [&str; 6] = [
    "DELETE FROM tag WHERE manifest_id = ?1",
    "DELETE FROM manifest_child WHERE parent_id = ?1",
    "DELETE FROM manifest_absent_blob WHERE manifest_id = ?1",
    "DELETE FROM manifest_blob WHERE manifest_id = ?1",
    "DELETE FROM manifest_text WHERE manifest_id = ?1",
    "DELETE FROM manifest WHERE id = ?1",
];
const TAKE_FROM_REPOSITORY: &str = "UPDATE repository SET image_count = image_count - 1 WHERE id = ?1";
const RECORD_PULL: &str = "UPDATE manifest SET last_pulled_at = ?3
     WHERE repository_id = ?1 AND digest = ?2 AND (last_pulled_at IS NULL OR last_pulled_at < ?3)";

fn read_manifest(row: &dyn Row) -> Result<ManifestRecord, MetaError> {
    Ok(ManifestRecord {
        cursor: ImageCursor(row.need_int(0)?),
        digest: row.digest(1)?,
        media_type: row.media_type(2)?,
        artifact_type: row.text(3)?.map(str::to_owned),
        manifest_bytes: row.bytes(4)?,
        pushed_at: row.time(5)?,
        sealed: row.need_blob(6)?.to_vec(),
    })
}

pub(crate) async fn manifest<T: Tx>(
    tx: &mut T,
    repository: RepositoryId,
    reference: &Reference,
) -> Result<Option<ManifestRecord>, MetaError> {
    match reference {
        Reference::Tag(tag) => {
            tx.query_opt(BY_TAG, &[repository.into(), tag.as_str().into()], read_manifest).await
        }
        Reference::Digest(digest) => {
            tx.query_opt(BY_DIGEST, &[repository.into(), digest.into()], read_manifest).await
        }
    }
}

pub(crate) async fn referrers<T: Tx>(
    tx: &mut T,
    repository: RepositoryId,
    subject: &Digest,
    artifact_type: Option<&str>,
    after: Option<ImageCursor>,
    rows: usize,
) -> Result<Vec<ManifestRecord>, MetaError> {
    let (repository, subject) = (repository.into(), subject.into());
    let (after, rows) = (cursor(after), limit(rows).into());
    match artifact_type {
        None => tx.query(REFERRERS, &[repository, subject, after, rows], read_manifest).await,
        Some(artifact_type) => {
            let params = [repository, subject, after, rows, artifact_type.into()];
            tx.query(REFERRERS_OF_TYPE, &params, read_manifest).await
        }
    }
}

/// Ids begin at 1.
fn cursor(after: Option<ImageCursor>) -> Value<'static> {
    Value::Int(after.map_or(0, |after| after.0))
}

pub(crate) async fn image<T: Tx>(
    tx: &mut T,
    repository: RepositoryId,
    digest: &Digest,
) -> Result<Option<ImageRecord>, MetaError> {
    Ok(collect_images(tx, IMAGE, &[repository.into(), digest.into()]).await?.pop())
}

pub(crate) async fn list<T: Tx>(
    tx: &mut T,
    repository: RepositoryId,
    filter: TagStatus,
    after: Option<ImageCursor>,
    rows: usize,
) -> Result<Vec<ImageRecord>, MetaError> {
    let statement = match filter {
        TagStatus::Any => IMAGES,
        TagStatus::Tagged => IMAGES_TAGGED,
        TagStatus::Untagged => IMAGES_UNTAGGED,
    };
    collect_images(tx, statement, &[repository.into(), cursor(after), limit(rows).into()]).await
}

async fn collect_images<T: Tx>(
    tx: &mut T,
    statement: &'static str,
    params: &[Value<'_>],
) -> Result<Vec<ImageRecord>, MetaError> {
    let mut images: Vec<ImageRecord> = Vec::new();
    tx.for_each(statement, params, |row| {
        let cursor = ImageCursor(row.need_int(0)?);
        let tag = row.opt_tag(8)?;
        match images.last_mut() {
            Some(last) if last.cursor == cursor => last.tags.extend(tag),
            _ => images.push(ImageRecord {
                cursor,
                digest: row.digest(1)?,
                media_type: row.media_type(2)?,
                artifact_type: row.text(3)?.map(str::to_owned),
                image_bytes: row.bytes(4)?,
                pushed_at: row.time(5)?,
                last_pulled_at: row.int(6)?.map(Timestamp::from_millis),
                subject: row.opt_digest(7)?,
                tags: tag.into_iter().collect(),
            }),
        }
        Ok(())
    })
    .await?;
    Ok(images)
}

pub(crate) async fn ids<T: Tx>(
    tx: &mut T,
    repository: RepositoryId,
    filter: TagStatus,
    after: Option<&ImageIdCursor>,
    rows: usize,
) -> Result<Vec<ImageIdRecord>, MetaError> {
    let (repository, rows) = (repository.into(), limit(rows).into());
    let after_image = cursor(after.map(|after| after.image));
    let after_tag = Value::Text(after.and_then(|after| after.tag.as_ref()).map_or("", Tag::as_str));
    let read = |row: &dyn Row| {
        Ok(ImageIdRecord {
            image: ImageCursor(row.need_int(0)?),
            digest: row.digest(1)?,
            tag: row.opt_tag(2)?,
        })
    };
    match filter {
        TagStatus::Any => tx.query(IDS, &[repository, after_image, after_tag, rows], read).await,
        TagStatus::Tagged => tx.query(IDS_TAGGED, &[repository, after_image, after_tag, rows], read).await,
        TagStatus::Untagged => tx.query(IDS_UNTAGGED, &[repository, after_image, rows], read).await,
    }
}

/// Makes changes to one repository's images wait for each other, where the database would not otherwise.
pub(super) async fn lock_repository<T: Tx>(tx: &mut T, repository: RepositoryId) -> Result<(), MetaError> {
    tx.query_opt(LOCK, &[repository.into()], |row| row.need_int(0)).await.map(drop)
}

pub(crate) async fn delete<T: Tx>(
    tx: &mut T,
    repository: RepositoryId,
    digest: &Digest,
    now: Timestamp,
) -> Result<Vec<Tag>, MetaError> {
    lock_repository(tx, repository).await?;
    let row = tx.query_opt(ROW, &[repository.into(), digest.into()], |row| row.need_int(0)).await?;
    let manifest = row.ok_or(MetaError::Missing)?;
    let tags = tx.query(TAGS, &[manifest.into()], |row| row.tag(0)).await?;
    delete_row(tx, repository, manifest, now).await?;
    Ok(tags)
}

/// Whether an index lists the manifest.
pub(super) async fn is_listed<T: Tx>(tx: &mut T, manifest: i64) -> Result<bool, MetaError> {
    Ok(!tx.query(PARENTS, &[manifest.into()], |row| row.digest(0)).await?.is_empty())
}

/// Deletes a manifest with its tags, unless an index lists it.
pub(super) async fn delete_row<T: Tx>(
    tx: &mut T,
    repository: RepositoryId,
    manifest: i64,
    now: Timestamp,
) -> Result<(), MetaError> {
    let parents = tx.query(PARENTS, &[manifest.into()], |row| row.digest(0)).await?;
    if !parents.is_empty() {
        return Err(MetaError::ReferencedBy(parents));
    }
    tx.execute(QUEUE_BLOBS, &[manifest.into(), now.into()]).await?;
    for statement in DELETE {
        tx.execute(statement, &[manifest.into()]).await?;
    }
    tx.execute(TAKE_FROM_REPOSITORY, &[repository.into()]).await.map(drop)
}

pub(crate) async fn record_pulls<T: Tx>(
    tx: &mut T,
    pulls: &[(RepositoryId, Digest, Timestamp)],
) -> Result<(), MetaError> {
    for (repository, digest, time) in pulls {
        tx.execute(RECORD_PULL, &[(*repository).into(), digest.into(), (*time).into()]).await?;
    }
    Ok(())
}
