//! Deleting images and tags.
//!
//! The API deletes an image with its last tag; the OCI plane deletes only what is named. Both go through the same
//! transactions of the metadata store.

use berth_store::meta::MetaError;
use berth_types::{Digest, Reference, RepositoryName, Tag};

use crate::context::{Caller, Registry, Target};
use crate::error::{Error, ImageId, Result};
use crate::failure::Subject;
use crate::images::{BatchDeleted, ImageFailure, distinct, image_id};
use crate::operation::Operation;

impl Registry {
    /// `BatchDeleteImage`: by tag, the image goes with its last tag; by digest, the image goes with all its tags; by both,
    /// which must agree, it is as by tag. An id that is given twice counts once.
    ///
    /// An image that an index lists cannot go before the index. When both are in one call their order does not matter:
    /// what is refused for that reason is tried again as long as anything else goes.
    ///
    /// # Errors
    /// `RepositoryNotFound`. What is wrong with single ids is in the answer.
    pub async fn batch_delete_images(
        &self,
        caller: &Caller,
        name: &RepositoryName,
        ids: &[ImageId],
    ) -> Result<BatchDeleted> {
        let target = self.target(caller, Operation::BatchDeleteImage, name).await?;
        let mut done = BatchDeleted::default();
        let mut waiting: Vec<&ImageId> = distinct(ids).collect();
        loop {
            let mut refused = Vec::new();
            let deleted_before = done.deleted.len();
            for image in waiting {
                match self.delete_by_id(&target, image).await {
                    Ok(deleted) => done.deleted.extend(deleted),
                    Err(error @ Error::Internal { .. }) => return Err(error),
                    Err(error @ Error::ImageReferencedByManifestList { .. }) => refused.push((image, error)),
                    Err(error) => done.failures.push(ImageFailure { image: image.clone(), error }),
                }
            }
            if done.deleted.len() == deleted_before {
                let refused = refused.into_iter();
                done.failures
                    .extend(refused.map(|(image, error)| ImageFailure { image: image.clone(), error }));
                return Ok(done);
            }
            waiting = refused.into_iter().map(|(image, _)| image).collect();
        }
    }

    /// `DELETE /v2/…/manifests/…`: by tag only the tag goes, by digest the image with all its tags.
    ///
    /// # Errors
    /// `RepositoryNotFound`, `ImageNotFound`, `ImageReferencedByManifestList`.
    pub async fn delete_manifest(
        &self,
        caller: &Caller,
        name: &RepositoryName,
        reference: &Reference,
    ) -> Result<()> {
        let target = self.target(caller, Operation::BatchDeleteImage, name).await?;
        match reference {
            Reference::Tag(tag) => self.delete_tag(&target, tag, None, false).await.map(drop),
            Reference::Digest(digest) => self.delete_image(&target, digest).await.map(drop),
        }
    }

    /// One id of `BatchDeleteImage`.
    async fn delete_by_id(&self, target: &Target, image: &ImageId) -> Result<Vec<ImageId>> {
        match (&image.tag, &image.digest) {
            (Some(tag), expected) => {
                let digest = self.delete_tag(target, tag, expected.as_ref(), true).await?;
                Ok(vec![ImageId { digest: Some(digest), tag: Some(tag.clone()) }])
            }
            (None, Some(digest)) => {
                let tags = self.delete_image(target, digest).await?;
                if tags.is_empty() {
                    return Ok(vec![ImageId { digest: Some(*digest), tag: None }]);
                }
                let entry = |tag| ImageId { digest: Some(*digest), tag: Some(tag) };
                Ok(tags.into_iter().map(entry).collect())
            }
            (None, None) => Err(Error::MissingDigestAndTag),
        }
    }

    /// Removes a tag and returns the digest of the image that had it.
    async fn delete_tag(
        &self,
        target: &Target,
        tag: &Tag,
        expected: Option<&Digest>,
        delete_untagged: bool,
    ) -> Result<Digest> {
        let repository = target.record.id;
        let mut image = ImageId { digest: expected.copied(), tag: Some(tag.clone()) };
        match self.meta().delete_tag(repository, tag, expected, delete_untagged, self.now()).await {
            Ok(deleted) => Ok(deleted.digest),
            Err(error) => {
                if matches!(error, MetaError::ReferencedBy(_)) && image.digest.is_none() {
                    // The error names the image by its digest.
                    let record = self.manifest_record(target, &Reference::Tag(tag.clone())).await?;
                    image.digest = Some(record.digest);
                }
                Err(target.place.failed_about("delete a tag", Subject::Image(&image), error))
            }
        }
    }

    /// Deletes an image and returns the tags that it had.
    async fn delete_image(&self, target: &Target, digest: &Digest) -> Result<Vec<Tag>> {
        let image = image_id(&Reference::Digest(*digest));
        let deleted = self.meta().delete_image(target.record.id, digest, self.now()).await;
        deleted.map_err(|error| target.place.failed_about("delete an image", Subject::Image(&image), error))
    }
}
