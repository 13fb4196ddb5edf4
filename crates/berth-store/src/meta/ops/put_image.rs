//! Pushing an image: the checks and the rows, in one transaction.

use std::collections::BTreeSet;

use berth_types::limits::{IMAGES_PER_REPOSITORY_MAX, TAGS_PER_IMAGE_MAX};
use berth_types::{Digest, Tag, TagMutability};

use super::repositories::read_mutability;
use super::tags;
use crate::meta::tx::{RowExt, Sequence, Tx, limit, size};
use crate::meta::{MetaError, NewImage, PutOutcome, TagChange};

const REPOSITORY: &str = "SELECT r.mutability, r.mutability_filters, r.image_count FROM repository r
     WHERE r.id = ?1 /*lock:r*/";
const MANIFEST: &str =
    "SELECT id, tag_count, image_bytes FROM manifest WHERE repository_id = ?1 AND digest = ?2";
const BLOB: &str = "SELECT blob_id FROM repository_blob WHERE repository_id = ?1 AND digest = ?2";
const INSERT_MANIFEST: &str = "INSERT INTO manifest (id, repository_id, digest, media_type, artifact_type,
         manifest_bytes, image_bytes, subject, pushed_at, last_pulled_at, tag_count)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, NULL, ?10)";
const INSERT_TEXT: &str = "INSERT INTO manifest_text (manifest_id, sealed) VALUES (?1, ?2)";
const INSERT_BLOB: &str = "INSERT INTO manifest_blob (repository_id, blob_id, manifest_id, required)
     VALUES (?1, ?2, ?3, ?4)";
const INSERT_ABSENT_BLOB: &str =
    "INSERT INTO manifest_absent_blob (repository_id, digest, manifest_id) VALUES (?1, ?2, ?3)";
const INSERT_CHILD: &str =
    "INSERT INTO manifest_child (repository_id, parent_id, child_id) VALUES (?1, ?2, ?3)";
const ADD_TO_REPOSITORY: &str = "UPDATE repository SET image_count = image_count + 1 WHERE id = ?1";

/// What is known of the repository when the transaction begins.
struct Rule {
    mutability: TagMutability,
    images: i64,
}

/// What a new manifest refers to, as rows.
struct References {
    /// Blobs, and whether each is required.
    blobs: Vec<(i64, bool)>,
    /// Optional blobs that are not in the repository.
    absent: Vec<Digest>,
    children: Vec<i64>,
    image_bytes: i64,
}

pub(crate) async fn put_image<T: Tx>(tx: &mut T, image: &NewImage) -> Result<PutOutcome, MetaError> {
    let rule = tx
        .query_opt(REPOSITORY, &[image.repository.into()], |row| {
            Ok(Rule { mutability: read_mutability(row, 0)?, images: row.need_int(2)? })
        })
        .await?
        .ok_or(MetaError::RepositoryMissing)?;
    let existing = find(tx, image, &image.digest).await?;
    // What a manifest that is there refers to cannot have gone, and its text is the same: its digest is.
    let references = match existing {
        Some(_) => None,
        None => Some(resolve(tx, image).await?),
    };
    let named = check_tags(tx, image, existing.map(|found| found.id), &rule.mutability).await?;
    let added = named.iter().filter(|tag| tag.current != Current::This).count();
    let tag_count = existing.map_or(0, |found| found.tag_count) + limit(added);
    if existing.is_none() && rule.images >= limit(IMAGES_PER_REPOSITORY_MAX) {
        return Err(MetaError::TooManyImages);
    }
    if added > 0 && tag_count > limit(TAGS_PER_IMAGE_MAX) {
        return Err(MetaError::TooManyTags);
    }
    let id = match (existing, references) {
        (None, Some(references)) => insert(tx, image, &references, tag_count).await?,
        (found, _) => {
            let id = found.map_or(0, |found| found.id);
            if added > 0 {
                tags::set_count(tx, id, tag_count).await?;
            }
            id
        }
    };
    let changes = write_tags(tx, image, id, &named).await?;
    Ok(PutOutcome { created: existing.is_none(), tags: changes })
}

#[derive(Clone, Copy)]
struct Found {
    id: i64,
    tag_count: i64,
    image_bytes: i64,
}

async fn find<T: Tx>(tx: &mut T, image: &NewImage, digest: &Digest) -> Result<Option<Found>, MetaError> {
    tx.query_opt(MANIFEST, &[image.repository.into(), digest.into()], |row| {
        Ok(Found { id: row.need_int(0)?, tag_count: row.need_int(1)?, image_bytes: row.need_int(2)? })
    })
    .await
}

/// Finds everything that the manifest refers to; fails if anything that must be there is not.
async fn resolve<T: Tx>(tx: &mut T, image: &NewImage) -> Result<References, MetaError> {
    let mut references = References {
        blobs: Vec::with_capacity(image.blobs.len()),
        absent: Vec::new(),
        children: Vec::with_capacity(image.children.len()),
        image_bytes: size(image.image_bytes),
    };
    let mut seen = BTreeSet::new();
    let mut missing = Vec::new();
    for digest in image.blobs.iter().filter(|digest| seen.insert(**digest)) {
        match blob_row(tx, image, digest).await? {
            Some(blob) => references.blobs.push((blob, true)),
            None => missing.push(*digest),
        }
    }
    if !missing.is_empty() {
        return Err(MetaError::BlobsMissing(missing));
    }
    for digest in image.optional_blobs.iter().filter(|digest| seen.insert(**digest)) {
        match blob_row(tx, image, digest).await? {
            Some(blob) => references.blobs.push((blob, false)),
            None => references.absent.push(*digest),
        }
    }
    let mut seen = BTreeSet::new();
    let mut largest = None;
    for digest in image.children.iter().filter(|digest| seen.insert(**digest)) {
        match find(tx, image, digest).await? {
            Some(child) => {
                references.children.push(child.id);
                largest = largest.max(Some(child.image_bytes));
            }
            None => missing.push(*digest),
        }
    }
    if !missing.is_empty() {
        return Err(MetaError::ChildrenMissing(missing));
    }
    references.image_bytes = largest.unwrap_or(references.image_bytes);
    Ok(references)
}

async fn blob_row<T: Tx>(tx: &mut T, image: &NewImage, digest: &Digest) -> Result<Option<i64>, MetaError> {
    tx.query_opt(BLOB, &[image.repository.into(), digest.into()], |row| row.need_int(0)).await
}

/// What a tag names before this push.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Current {
    Nothing,
    This,
    Other { manifest: i64, digest: Digest },
}

struct NamedTag<'a> {
    tag: &'a Tag,
    current: Current,
}

/// Looks up every tag and decides whether it may come to name this image.
async fn check_tags<'a, T: Tx>(
    tx: &mut T,
    image: &'a NewImage,
    this: Option<i64>,
    mutability: &TagMutability,
) -> Result<Vec<NamedTag<'a>>, MetaError> {
    let mut named = Vec::with_capacity(image.tags.len());
    let mut seen = BTreeSet::new();
    for tag in &image.tags {
        let current = match tags::target(tx, image.repository, tag).await? {
            // Given twice: the first one has set it.
            _ if !seen.insert(tag) => Current::This,
            None => Current::Nothing,
            Some(target) if Some(target.manifest) == this => Current::This,
            Some(_) if !mutability.may_move(tag) => return Err(MetaError::TagImmutable(tag.clone())),
            Some(target) => Current::Other { manifest: target.manifest, digest: target.digest },
        };
        named.push(NamedTag { tag, current });
    }
    Ok(named)
}

async fn insert<T: Tx>(
    tx: &mut T,
    image: &NewImage,
    references: &References,
    tag_count: i64,
) -> Result<i64, MetaError> {
    let repository = image.repository.into();
    let id = tx.next_id(Sequence::Manifest).await?;
    let params = [
        id.into(),
        repository,
        (&image.digest).into(),
        image.media_type.as_str().into(),
        image.artifact_type.as_deref().into(),
        size(image.manifest_bytes).into(),
        references.image_bytes.into(),
        image.subject.as_ref().into(),
        image.pushed_at.into(),
        tag_count.into(),
    ];
    tx.execute(INSERT_MANIFEST, &params).await?;
    tx.execute(INSERT_TEXT, &[id.into(), image.sealed.as_slice().into()]).await?;
    for (blob, required) in &references.blobs {
        tx.execute(INSERT_BLOB, &[repository, (*blob).into(), id.into(), (*required).into()]).await?;
    }
    for digest in &references.absent {
        tx.execute(INSERT_ABSENT_BLOB, &[repository, digest.into(), id.into()]).await?;
    }
    for child in &references.children {
        tx.execute(INSERT_CHILD, &[repository, id.into(), (*child).into()]).await?;
    }
    tx.execute(ADD_TO_REPOSITORY, &[repository]).await?;
    Ok(id)
}

async fn write_tags<T: Tx>(
    tx: &mut T,
    image: &NewImage,
    id: i64,
    named: &[NamedTag<'_>],
) -> Result<Vec<TagChange>, MetaError> {
    let mut changes = Vec::with_capacity(named.len());
    for NamedTag { tag, current } in named {
        changes.push(match current {
            Current::This => TagChange::Unchanged,
            Current::Nothing => {
                tags::insert(tx, image.repository, tag, id).await?;
                TagChange::Created
            }
            Current::Other { manifest, digest } => {
                tags::change(tx, image.repository, tag, id).await?;
                tags::lower_count(tx, *manifest).await?;
                TagChange::Moved { from: *digest }
            }
        });
    }
    Ok(changes)
}
