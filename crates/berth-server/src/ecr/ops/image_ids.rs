//! Image ids as clients write them, and the failures of batch calls, which several operations share.

use berth_registry::images::ImageFailure as RegistryFailure;
use berth_registry::{Error, ImageId};
use berth_types::{Digest, Tag};
use serde::{Deserialize, Serialize};

use crate::ecr::error::ApiError;
use crate::ecr::validate;
use crate::ecr::wire::Object;

/// `imageId`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ImageIdentifier {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) image_digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) image_tag: Option<String>,
}

impl From<&ImageId> for ImageIdentifier {
    fn from(id: &ImageId) -> Self {
        Self {
            image_digest: id.digest.map(|digest| digest.to_string()),
            image_tag: id.tag.as_ref().map(ToString::to_string),
        }
    }
}

/// One of `failures`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ImageFailure {
    image_id: ImageIdentifier,
    failure_code: &'static str,
    failure_reason: String,
}

const NOT_FOUND: &str = "Requested image not found";

impl ImageFailure {
    /// The failure of one id. What is no failure of an id (a store that does not answer) refuses the whole call instead.
    ///
    /// # Errors
    /// [`ApiError`] for those.
    fn of(failure: RegistryFailure) -> Result<Self, ApiError> {
        let (failure_code, failure_reason) = match &failure.error {
            Error::ImageNotFound { .. } => ("ImageNotFound", NOT_FOUND.to_owned()),
            Error::ImageTagDoesNotMatchDigest { .. } => {
                ("ImageTagDoesNotMatchDigest", failure.error.to_string())
            }
            Error::ImageReferencedByManifestList { .. } => {
                ("ImageReferencedByManifestList", failure.error.to_string())
            }
            Error::MissingDigestAndTag => ("MissingDigestAndTag", failure.error.to_string()),
            _ => return Err(failure.error.into()),
        };
        Ok(Self { image_id: (&failure.image).into(), failure_code, failure_reason })
    }

    fn unusable(image_id: ImageIdentifier, failure_code: &'static str, reason: &str) -> Self {
        Self { image_id, failure_code, failure_reason: reason.to_owned() }
    }
}

/// The ids of a batch call: those that can name an image, and the failures of the others.
pub(super) struct Batch {
    pub(super) ids: Vec<ImageId>,
    unusable: Vec<ImageFailure>,
}

impl Batch {
    /// Reads `imageIds`.
    ///
    /// # Errors
    /// `InvalidParameter` for what refuses the whole call.
    pub(super) fn read(ids: Option<Vec<Object<ImageIdentifier>>>) -> Result<Self, ApiError> {
        let ids = checked(ids)?;
        let mut batch = Self { ids: Vec::with_capacity(ids.len()), unusable: Vec::new() };
        for id in ids {
            match usable(id) {
                Ok(id) => batch.ids.push(id),
                Err(failure) => batch.unusable.push(failure),
            }
        }
        Ok(batch)
    }

    /// All failures: those of ids that named nothing, and those of the registry.
    ///
    /// # Errors
    /// [`ApiError`] if one of the registry's is not the failure of an id.
    pub(super) fn failures(self, failures: Vec<RegistryFailure>) -> Result<Vec<ImageFailure>, ApiError> {
        let mut all = self.unusable;
        for failure in failures {
            all.push(ImageFailure::of(failure)?);
        }
        Ok(all)
    }
}

/// The ids of `DescribeImages`, each of which must be usable.
///
/// # Errors
/// `InvalidParameter` if one is not.
pub(super) fn all(ids: Option<Vec<Object<ImageIdentifier>>>) -> Result<Vec<ImageId>, ApiError> {
    let mut all = Vec::new();
    for (index, id) in checked(ids)?.into_iter().enumerate() {
        let member = |name| format!("imageIds.{}.member.{name}", index + 1);
        if id.image_digest.is_none() && id.image_tag.is_none() {
            return Err(Error::MissingDigestAndTag.into());
        }
        let digest =
            id.image_digest.map(|text| validate::digest(&member("imageDigest"), &text)).transpose()?;
        let tag = id.image_tag.as_deref().map(Tag::parse).transpose();
        let tag = tag.map_err(|error| Error::invalid_parameter(&member("imageTag"), error))?;
        all.push(ImageId { digest, tag });
    }
    Ok(all)
}

fn checked(ids: Option<Vec<Object<ImageIdentifier>>>) -> Result<Vec<ImageIdentifier>, ApiError> {
    let ids = validate::required("imageIds", ids)?;
    validate::batch("imageIds", ids.len())?;
    for (index, Object(id)) in ids.iter().enumerate() {
        if let Some(tag) = &id.image_tag {
            validate::image_tag_length(&format!("imageIds.{}.member.imageTag", index + 1), tag)?;
        }
    }
    Ok(ids.into_iter().map(|Object(id)| id).collect())
}

fn usable(id: ImageIdentifier) -> Result<ImageId, ImageFailure> {
    if id.image_digest.is_none() && id.image_tag.is_none() {
        let reason = Error::MissingDigestAndTag.to_string();
        return Err(ImageFailure::unusable(id, "MissingDigestAndTag", &reason));
    }
    if id.image_digest.as_ref().is_some_and(|digest| !validate::looks_like_digest(digest)) {
        let reason = "Invalid request parameters: image digest should satisfy the regex \
                      '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'";
        return Err(ImageFailure::unusable(id, "InvalidImageDigest", reason));
    }
    if id.image_tag.as_ref().is_some_and(|tag| !validate::looks_like_tag(tag)) {
        let reason = "Invalid request parameters: image tag should satisfy the regex '[a-zA-Z0-9-_.]+'";
        return Err(ImageFailure::unusable(id, "InvalidImageTag", reason));
    }
    // Well formed for ECR, but nothing here can have that digest or tag.
    let digest = id.image_digest.as_deref().map(Digest::parse).transpose();
    let tag = id.image_tag.as_deref().map(Tag::parse).transpose();
    match (digest, tag) {
        (Ok(digest), Ok(tag)) => Ok(ImageId { digest, tag }),
        _ => Err(ImageFailure::unusable(id, "ImageNotFound", NOT_FOUND)),
    }
}
