//! The images of a repository as the lifecycle engine wants them, read through the ECR API.
//!
//! `DescribeImages` says everything but what an index lists and which blobs an image has; that is in the manifests, which
//! `BatchGetImage` gives. ECR may take the latter for a pull, so a caller says how much of it is needed.

use std::collections::HashMap;

use aws_sdk_ecr::primitives::DateTime;
use aws_sdk_ecr::types::{
    DescribeImagesFilter, ImageDetail, ImageIdentifier, ImageStatus, ImageStatusFilter,
};
use berth_lifecycle::{Image, ImageKind, ImageStorage};
use berth_types::{Digest, Manifest, ManifestKind, MediaType, Tag, Timestamp, limits};

use super::AwsEcr;
use super::aws::PAGE_ITEMS;
use super::error::{ApiError, ApiErrorKind};

/// Which manifests to read beside the listing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Manifests {
    /// None: what an index lists stays unknown.
    None,
    /// Those of indexes, whose children cannot be deleted while the index lives.
    #[default]
    Indexes,
    /// All, to know the blobs of every image.
    All,
}

/// An image and, if its manifest was read, its blobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedImage {
    /// What the lifecycle engine needs to know.
    pub image: Image,
    /// Digest and size in bytes of the configuration and of each layer; `None` if the manifest was not read.
    pub blobs: Option<Vec<(Digest, u64)>>,
}

/// Manifests asked for in one call. Each may have 4 MiB, and all come in one answer.
const MANIFESTS_PER_CALL: usize = 25;

impl AwsEcr {
    /// All images of a repository, archived ones included (`DescribeImages`, then `BatchGetImage` for `manifests`).
    ///
    /// # Errors
    /// [`ApiErrorKind::RepositoryNotFound`]; [`ApiErrorKind::NotEcr`] if a digest, a tag or a manifest is none; or what any
    /// call may fail with.
    pub async fn list_images(&self, name: &str, manifests: Manifests) -> Result<Vec<ListedImage>, ApiError> {
        let mut images = Vec::new();
        let mut next = None;
        // Without a filter ECR leaves out archived images.
        let any = DescribeImagesFilter::builder().image_status(ImageStatusFilter::Any).build();
        loop {
            let request = self.client.describe_images().repository_name(name).filter(any.clone());
            let answer = request.max_results(PAGE_ITEMS).set_next_token(next).send().await;
            let answer = answer.map_err(|error| ApiError::from_sdk("DescribeImages", name, &error))?;
            for detail in answer.image_details() {
                let image = image(detail)
                    .ok_or_else(|| ApiError::new("DescribeImages", name, ApiErrorKind::NotEcr))?;
                images.push(ListedImage { image, blobs: None });
            }
            next = answer.next_token;
            if next.is_none() {
                break;
            }
        }
        self.add_manifests(name, &mut images, manifests).await?;
        Ok(images)
    }

    async fn add_manifests(
        &self,
        name: &str,
        images: &mut [ListedImage],
        manifests: Manifests,
    ) -> Result<(), ApiError> {
        let is_wanted = |listed: &ListedImage| match manifests {
            Manifests::None => false,
            Manifests::Indexes => listed.image.kind == ImageKind::Index,
            Manifests::All => true,
        };
        // An archived image cannot be fetched.
        let is_there = |listed: &ListedImage| listed.image.storage == ImageStorage::Standard;
        let places: Vec<usize> = (0..images.len())
            .filter(|place| is_wanted(&images[*place]) && is_there(&images[*place]))
            .collect();
        for chunk in places.chunks(MANIFESTS_PER_CALL) {
            let digests: Vec<Digest> = chunk.iter().map(|place| images[*place].image.digest).collect();
            let read = self.read_manifests(name, &digests).await?;
            for place in chunk {
                let listed = &mut images[*place];
                // One that was deleted meanwhile is as good as one whose manifest is unknown.
                let Some(manifest) = read.get(&listed.image.digest) else { continue };
                listed.image.references = manifest.children().iter().map(|child| child.digest).collect();
                listed.image.subject =
                    listed.image.subject.or(manifest.subject.as_ref().map(|subject| subject.digest));
                listed.blobs = Some(manifest.blobs().map(|blob| (blob.digest, blob.size)).collect());
            }
        }
        Ok(())
    }

    async fn read_manifests(
        &self,
        name: &str,
        digests: &[Digest],
    ) -> Result<HashMap<Digest, Manifest>, ApiError> {
        const OPERATION: &str = "BatchGetImage";
        let ids =
            digests.iter().map(|digest| ImageIdentifier::builder().image_digest(digest.to_string()).build());
        let mut request =
            self.client.batch_get_image().repository_name(name).set_image_ids(Some(ids.collect()));
        for accepted in [
            MediaType::OCI_MANIFEST,
            MediaType::OCI_INDEX,
            MediaType::DOCKER_MANIFEST,
            MediaType::DOCKER_LIST,
        ] {
            request = request.accepted_media_types(accepted);
        }
        let answer = request.send().await.map_err(|error| ApiError::from_sdk(OPERATION, name, &error))?;
        let mut manifests = HashMap::new();
        for image in answer.images() {
            let digest =
                image.image_id().and_then(|id| id.image_digest()).and_then(|text| Digest::parse(text).ok());
            let (Some(digest), Some(text)) = (digest, image.image_manifest()) else { continue };
            let declared = image.image_manifest_media_type().map(MediaType::new);
            // What this program cannot read, a schema 1 manifest for one, stays unknown.
            if text.len() <= limits::MANIFEST_BYTES_MAX
                && let Ok(manifest) = Manifest::parse(text.as_bytes(), declared.as_ref())
            {
                manifests.insert(digest, manifest);
            }
        }
        Ok(manifests)
    }
}

fn image(detail: &ImageDetail) -> Option<Image> {
    let digest = Digest::parse(detail.image_digest()?).ok()?;
    let kind = detail.image_manifest_media_type().map(MediaType::new).and_then(|media| media.manifest_kind());
    let tags = detail.image_tags().iter().map(|tag| Tag::parse(tag).ok()).collect::<Option<Vec<_>>>()?;
    let subject = detail.subject_manifest_digest().map(Digest::parse).transpose().ok()?;
    let is_index = kind == Some(ManifestKind::Index);
    Some(Image {
        tags,
        last_pulled_at: detail.last_recorded_pull_time().and_then(moment),
        last_archived_at: detail.last_archived_at().and_then(moment),
        last_activated_at: detail.last_activated_at().and_then(moment),
        storage: match detail.image_status() {
            Some(ImageStatus::Archived) => ImageStorage::Archive,
            Some(ImageStatus::Activating) => ImageStorage::Activating,
            _ => ImageStorage::Standard,
        },
        kind: if is_index { ImageKind::Index } else { ImageKind::Image },
        subject,
        // ECR gives an index the size of its largest child, which is listed itself.
        size_bytes: detail
            .image_size_in_bytes()
            .and_then(|size| u64::try_from(size).ok())
            .filter(|_| !is_index),
        ..Image::new(digest, moment(detail.image_pushed_at()?)?)
    })
}

fn moment(time: &DateTime) -> Option<Timestamp> {
    time.to_millis().ok().map(Timestamp::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_taken_over_whole_or_not_at_all() {
        let digest = Digest::sha256(b"x");
        let detail = ImageDetail::builder()
            .image_digest(digest.to_string())
            .image_tags("v1")
            .image_size_in_bytes(7)
            .image_pushed_at(DateTime::from_millis(1_500))
            .last_archived_at(DateTime::from_millis(2_500))
            .image_status(ImageStatus::Archived)
            .subject_manifest_digest(digest.to_string());
        let image = image(&detail.clone().build()).unwrap();
        assert_eq!(
            (image.pushed_at, image.last_archived_at),
            (Timestamp::from_millis(1_500), Some(Timestamp::from_millis(2_500)))
        );
        assert_eq!(
            (image.storage, image.subject, image.size_bytes),
            (ImageStorage::Archive, Some(digest), Some(7))
        );
        assert_eq!(super::image(&detail.clone().image_digest("sha256:no").build()), None);
        assert_eq!(super::image(&detail.clone().image_tags("a b").build()), None);
        assert_eq!(super::image(&detail.set_image_pushed_at(None).build()), None);
    }
}
