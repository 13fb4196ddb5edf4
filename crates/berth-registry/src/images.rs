//! Images: push, pull, list, describe, referrers. Deleting them is in `deletion`.
//!
//! A manifest is kept in the metadata, sealed under the key of the repository's encryption domain and bound to its digest
//! (not to the repository: the same text may be opened wherever the domain's key opens it, so that it can be copied
//! between repositories without being sealed anew). It comes back byte for byte as it was pushed.

use berth_store::meta::{
    ImageCursor, ImageIdCursor, ImageIdRecord, ImageRecord, ManifestRecord, MetaError, NewImage, TagChange,
    TagStatus,
};
use berth_store::seal::DomainKey;
use berth_types::{
    Algorithm, Descriptor, Digest, Manifest, ManifestError, MediaType, Reference, RepositoryName, Tag,
    Timestamp, limits,
};
use bytes::Bytes;

use crate::context::{Caller, Registry, Target};
use crate::error::{Error, ImageId, Result};
use crate::failure::{self, Place, Subject};
use crate::operation::Operation;
use crate::repositories::Page;

/// What a sealed manifest is sealed for.
const MANIFEST_PURPOSE: &str = "manifest";

/// What a push of a manifest asks for.
#[derive(Clone, Debug)]
pub struct PutManifest {
    /// The manifest's text.
    pub bytes: Bytes,
    /// `Content-Type`, or `imageManifestMediaType`.
    pub declared: Option<MediaType>,
    /// The digest that the client says it has.
    pub digest: Option<Digest>,
    /// Tags to set.
    pub tags: Vec<Tag>,
}

/// A pushed manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredManifest {
    /// Its digest.
    pub digest: Digest,
    /// Its media type.
    pub media_type: MediaType,
    /// The manifest that it is about.
    pub subject: Option<Digest>,
    /// Whether anything changed: a new manifest, a new tag, a tag moved.
    pub changed: bool,
}

/// A manifest as it is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestContent {
    /// Its digest.
    pub digest: Digest,
    /// Its media type.
    pub media_type: MediaType,
    /// Its text, byte for byte as pushed.
    pub bytes: Bytes,
}

/// A manifest that is about another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referrer {
    /// Its digest.
    pub digest: Digest,
    /// Its media type.
    pub media_type: MediaType,
    /// `artifactType`, or the config's media type.
    pub artifact_type: Option<String>,
    /// Length of the manifest in bytes.
    pub size: u64,
    /// Its annotations.
    pub annotations: std::collections::BTreeMap<String, String>,
    /// When it was pushed.
    pub pushed_at: Timestamp,
}

/// How one id of a batch call failed.
#[derive(Debug)]
pub struct ImageFailure {
    /// As named.
    pub image: ImageId,
    /// Why.
    pub error: Error,
}

/// What `BatchDeleteImage` did.
#[derive(Debug, Default)]
pub struct BatchDeleted {
    /// One entry per tag removed, or one without tag for an untagged image.
    pub deleted: Vec<ImageId>,
    /// What was not deleted.
    pub failures: Vec<ImageFailure>,
}

/// An image that `BatchGetImage` found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundImage {
    /// As named, with the digest filled in.
    pub image: ImageId,
    /// The manifest.
    pub manifest: ManifestContent,
}

impl Registry {
    /// Stores a manifest: the same function for `PUT /v2/…/manifests/…` and `PutImage`. A push that changes nothing
    /// succeeds; `PutImage` turns it into `ImageAlreadyExists` by looking at [`StoredManifest::changed`].
    ///
    /// # Errors
    /// `RepositoryNotFound`, `ManifestInvalid`, `ManifestDigestMismatch`, `LayersNotFound`, `ReferencedImagesNotFound`,
    /// `TagImmutable`, `LimitExceeded`, `StorageFull`.
    pub async fn put_manifest(
        &self,
        caller: &Caller,
        name: &RepositoryName,
        manifest: PutManifest,
    ) -> Result<StoredManifest> {
        let target = self.target(caller, Operation::PutImage, name).await?;
        let new = self.prepare(&target, manifest).await?;
        let outcome = self.meta().put_image(&new).await;
        let outcome = outcome.map_err(|error| target.place.failed("store a manifest", error))?;
        let changed = outcome.created || outcome.tags.iter().any(|tag| *tag != TagChange::Unchanged);
        Ok(StoredManifest { digest: new.digest, media_type: new.media_type, subject: new.subject, changed })
    }

    /// The manifest that `reference` names, and notes that it was pulled.
    ///
    /// # Errors
    /// `RepositoryNotFound`, `ImageNotFound`.
    pub async fn manifest(
        &self,
        caller: &Caller,
        name: &RepositoryName,
        reference: &Reference,
    ) -> Result<ManifestContent> {
        let target = self.target(caller, Operation::BatchGetImage, name).await?;
        let record = self.manifest_record(&target, reference).await?;
        self.pulled(&target, record).await
    }

    /// Digest, media type and length of the manifest that `reference` names (HEAD): no pull is noted.
    ///
    /// # Errors
    /// `RepositoryNotFound`, `ImageNotFound`.
    pub async fn manifest_head(
        &self,
        caller: &Caller,
        name: &RepositoryName,
        reference: &Reference,
    ) -> Result<(Digest, MediaType, u64)> {
        let target = self.target(caller, Operation::BatchGetImage, name).await?;
        let record = self.manifest_record(&target, reference).await?;
        Ok((record.digest, record.media_type, record.manifest_bytes))
    }

    /// `BatchGetImage`. With `accepted`, an image whose media type is not in it is a failure.
    ///
    /// # Errors
    /// `RepositoryNotFound`. What is wrong with single ids is in the list.
    pub async fn batch_get_images(
        &self,
        caller: &Caller,
        name: &RepositoryName,
        ids: &[ImageId],
        accepted: Option<&[MediaType]>,
    ) -> Result<(Vec<FoundImage>, Vec<ImageFailure>)> {
        let target = self.target(caller, Operation::BatchGetImage, name).await?;
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        for image in distinct(ids) {
            match self.get_image(&target, image, accepted).await {
                Ok(manifest) => {
                    let image = ImageId { digest: Some(manifest.digest), tag: image.tag.clone() };
                    found.push(FoundImage { image, manifest });
                }
                Err(error @ Error::Internal { .. }) => return Err(error),
                Err(error) => failures.push(ImageFailure { image: image.clone(), error }),
            }
        }
        Ok((found, failures))
    }

    /// Tags in byte order.
    ///
    /// # Errors
    /// `RepositoryNotFound`.
    pub async fn tags(
        &self,
        caller: &Caller,
        name: &RepositoryName,
        after: Option<&Tag>,
        limit: usize,
    ) -> Result<Page<Tag, Tag>> {
        let target = self.target(caller, Operation::ListImages, name).await?;
        if limit == 0 {
            return Ok(Page { items: Vec::new(), next: None });
        }
        let found = self.meta().tags(target.record.id, after, limit.saturating_add(1)).await;
        let found = found.map_err(|error| target.place.failed("list tags", error))?;
        Ok(Page::cut(found, limit, Tag::clone))
    }

    /// `ListImages`.
    ///
    /// # Errors
    /// `RepositoryNotFound`.
    pub async fn image_ids(
        &self,
        caller: &Caller,
        name: &RepositoryName,
        filter: TagStatus,
        after: Option<&ImageIdCursor>,
        limit: usize,
    ) -> Result<Page<ImageIdRecord, ImageIdCursor>> {
        let target = self.target(caller, Operation::ListImages, name).await?;
        if limit == 0 {
            return Ok(Page { items: Vec::new(), next: None });
        }
        let found = self.meta().image_ids(target.record.id, filter, after, limit.saturating_add(1)).await;
        let found = found.map_err(|error| target.place.failed("list image ids", error))?;
        Ok(Page::cut(found, limit, |last| ImageIdCursor { image: last.image, tag: last.tag.clone() }))
    }

    /// `DescribeImages` without ids.
    ///
    /// # Errors
    /// `RepositoryNotFound`.
    pub async fn images(
        &self,
        caller: &Caller,
        name: &RepositoryName,
        filter: TagStatus,
        after: Option<ImageCursor>,
        limit: usize,
    ) -> Result<Page<ImageRecord, ImageCursor>> {
        let target = self.target(caller, Operation::DescribeImages, name).await?;
        if limit == 0 {
            return Ok(Page { items: Vec::new(), next: None });
        }
        let found = self.meta().images(target.record.id, filter, after, limit.saturating_add(1)).await;
        let found = found.map_err(|error| target.place.failed("list images", error))?;
        Ok(Page::cut(found, limit, |last| last.cursor))
    }

    /// `DescribeImages` with ids: all of them, or the error for the first that is not there. An image named twice comes
    /// once.
    ///
    /// # Errors
    /// `RepositoryNotFound`, `ImageNotFound`, `InvalidParameter`.
    pub async fn describe_images(
        &self,
        caller: &Caller,
        name: &RepositoryName,
        ids: &[ImageId],
    ) -> Result<Vec<ImageRecord>> {
        let target = self.target(caller, Operation::DescribeImages, name).await?;
        let mut images: Vec<ImageRecord> = Vec::with_capacity(ids.len());
        for id in distinct(ids) {
            let image = self.describe_image(&target, id).await?;
            if !images.iter().any(|known| known.digest == image.digest) {
                images.push(image);
            }
        }
        Ok(images)
    }

    /// Manifests about `subject`, which need not exist.
    ///
    /// # Errors
    /// `RepositoryNotFound`.
    pub async fn referrers(
        &self,
        caller: &Caller,
        name: &RepositoryName,
        subject: &Digest,
        artifact_type: Option<&str>,
        after: Option<ImageCursor>,
        limit: usize,
    ) -> Result<Page<Referrer, ImageCursor>> {
        let target = self.target(caller, Operation::BatchGetImage, name).await?;
        if limit == 0 {
            return Ok(Page { items: Vec::new(), next: None });
        }
        let (repository, ask_for) = (target.record.id, limit.saturating_add(1));
        let found = self.meta().referrers(repository, subject, artifact_type, after, ask_for).await;
        let found = found.map_err(|error| target.place.failed("list referrers", error))?;
        let Page { items, next } = Page::cut(found, limit, |last| last.cursor);
        let key = self.key_of(&target.record).await?;
        let items = items.into_iter().map(|record| referrer(&key, record)).collect::<Result<_>>()?;
        Ok(Page { items, next })
    }

    /// Checks a manifest and seals it. What the checks of the transaction need to know is in the result.
    async fn prepare(&self, target: &Target, manifest: PutManifest) -> Result<NewImage> {
        let PutManifest { bytes, declared, digest: claimed, tags } = manifest;
        if bytes.len() > limits::MANIFEST_BYTES_MAX {
            return Err(Error::ManifestInvalid(ManifestError::TooLarge(bytes.len())));
        }
        if tags.len() > limits::TAGS_PER_IMAGE_MAX {
            return Err(target.place.failed("store a manifest", MetaError::TooManyTags));
        }
        let algorithm = claimed.map_or(Algorithm::Sha256, |claimed| claimed.algorithm());
        let digest = Digest::of(algorithm, &bytes);
        if let Some(claimed) = claimed.filter(|claimed| *claimed != digest) {
            return Err(Error::ManifestDigestMismatch { claimed: Box::new(claimed), calculated: digest });
        }
        let parsed = Manifest::parse(&bytes, declared.as_ref()).map_err(Error::ManifestInvalid)?;
        let blobs = unique(parsed.required_blobs());
        let mut optional_blobs = unique(parsed.blobs());
        optional_blobs.retain(|blob| !blobs.contains(blob));
        let key = self.key_of(&target.record).await?;
        let sealed = key
            .seal(MANIFEST_PURPOSE, &[digest.to_string().as_bytes()], &bytes)
            .map_err(|error| failure::sealed("seal a manifest", error))?;
        Ok(NewImage {
            repository: target.record.id,
            digest,
            artifact_type: parsed.artifact_media_type().map(str::to_owned),
            sealed,
            manifest_bytes: bytes.len() as u64,
            image_bytes: parsed.image_bytes(),
            blobs,
            optional_blobs,
            children: unique(parsed.children()),
            subject: parsed.subject.map(|subject| subject.digest),
            media_type: parsed.media_type,
            tags: distinct(&tags).cloned().collect(),
            pushed_at: self.now(),
        })
    }

    pub(crate) async fn manifest_record(
        &self,
        target: &Target,
        reference: &Reference,
    ) -> Result<ManifestRecord> {
        match self.meta().manifest(target.record.id, reference).await {
            Ok(Some(record)) => Ok(record),
            Ok(None) => Err(target.place.image_not_found(&image_id(reference))),
            Err(error) => {
                let image = image_id(reference);
                Err(target.place.failed_about("look up a manifest", Subject::Image(&image), error))
            }
        }
    }

    /// The text of a manifest that goes out, which counts as a pull.
    async fn pulled(&self, target: &Target, record: ManifestRecord) -> Result<ManifestContent> {
        let key = self.key_of(&target.record).await?;
        let content = open(&key, record)?;
        self.pulls().note(target.record.id, content.digest, self.now());
        Ok(content)
    }

    /// One id of `BatchGetImage`.
    async fn get_image(
        &self,
        target: &Target,
        image: &ImageId,
        accepted: Option<&[MediaType]>,
    ) -> Result<ManifestContent> {
        let record = self.manifest_record_by_id(target, image).await?;
        if accepted.is_some_and(|accepted| !accepted.contains(&record.media_type)) {
            // Nothing here is converted from one format to another, so there is no such image in an accepted one.
            return Err(target.place.image_not_found(image));
        }
        self.pulled(target, record).await
    }

    /// The manifest that an id names by tag, by digest, or by both, which then must agree.
    async fn manifest_record_by_id(&self, target: &Target, image: &ImageId) -> Result<ManifestRecord> {
        let record = match (&image.tag, &image.digest) {
            (Some(tag), _) => self.manifest_record(target, &Reference::Tag(tag.clone())).await,
            (None, Some(digest)) => self.manifest_record(target, &Reference::Digest(*digest)).await,
            (None, None) => return Err(Error::MissingDigestAndTag),
        };
        let record = record.map_err(|error| named_as_asked(&target.place, image, error))?;
        match (&image.tag, &image.digest) {
            (Some(tag), Some(digest)) if *digest != record.digest => {
                Err(Error::ImageTagDoesNotMatchDigest { tag: tag.clone(), digest: *digest })
            }
            _ => Ok(record),
        }
    }

    async fn describe_image(&self, target: &Target, id: &ImageId) -> Result<ImageRecord> {
        let digest = match (&id.tag, id.digest) {
            (None, Some(digest)) => digest,
            _ => match self.manifest_record_by_id(target, id).await {
                Ok(record) => record.digest,
                Err(Error::ImageTagDoesNotMatchDigest { .. }) => {
                    return Err(target.place.image_not_found(id));
                }
                Err(Error::MissingDigestAndTag) => {
                    return Err(Error::InvalidParameter(Error::MissingDigestAndTag.to_string()));
                }
                Err(error) => return Err(error),
            },
        };
        match self.meta().image(target.record.id, &digest).await {
            Ok(Some(image)) => Ok(image),
            Ok(None) => Err(target.place.image_not_found(id)),
            Err(error) => Err(target.place.failed_about("describe an image", Subject::Image(id), error)),
        }
    }
}

/// An error about a part of an id is told about the id as the caller wrote it.
fn named_as_asked(place: &Place, image: &ImageId, error: Error) -> Error {
    match error {
        Error::ImageNotFound { .. } => place.image_not_found(image),
        error => error,
    }
}

pub(crate) fn image_id(reference: &Reference) -> ImageId {
    match reference {
        Reference::Tag(tag) => ImageId { digest: None, tag: Some(tag.clone()) },
        Reference::Digest(digest) => ImageId { digest: Some(*digest), tag: None },
    }
}

/// Each item once, where it comes first.
pub(crate) fn distinct<T: PartialEq>(items: &[T]) -> impl Iterator<Item = &T> {
    items.iter().enumerate().filter(|(at, item)| !items[..*at].contains(item)).map(|(_, item)| item)
}

/// The digests of `descriptors`, each once, where it comes first.
fn unique<'a>(descriptors: impl IntoIterator<Item = &'a Descriptor>) -> Vec<Digest> {
    let mut seen = std::collections::HashSet::new();
    let digests = descriptors.into_iter().map(|descriptor| descriptor.digest);
    digests.filter(|digest| seen.insert(*digest)).collect()
}

/// Opens a sealed manifest.
fn open(key: &DomainKey, record: ManifestRecord) -> Result<ManifestContent> {
    let bytes = key
        .open(MANIFEST_PURPOSE, &[record.digest.to_string().as_bytes()], &record.sealed)
        .map_err(|error| failure::sealed("open a manifest", error))?;
    Ok(ManifestContent { digest: record.digest, media_type: record.media_type, bytes: bytes.into() })
}

fn referrer(key: &DomainKey, record: ManifestRecord) -> Result<Referrer> {
    let (artifact_type, pushed_at) = (record.artifact_type.clone(), record.pushed_at);
    let ManifestContent { digest, media_type, bytes } = open(key, record)?;
    let manifest = Manifest::parse(&bytes, Some(&media_type))
        .map_err(|error| failure::internal("read a stored manifest", error))?;
    let (size, annotations) = (bytes.len() as u64, manifest.annotations);
    Ok(Referrer { digest, media_type, artifact_type, size, annotations, pushed_at })
}
