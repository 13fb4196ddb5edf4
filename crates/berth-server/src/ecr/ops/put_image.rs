//! `PutImage`.

use berth_registry::images::{ManifestContent, PutManifest};
use berth_registry::{Caller, Error, ImageId};
use berth_types::{MediaType, RepositoryName, limits};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::image_ids::ImageIdentifier;
use crate::ecr::error::ApiError;
use crate::ecr::{Call, validate};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    registry_id: Option<String>,
    repository_name: Option<String>,
    image_manifest: Option<String>,
    image_manifest_media_type: Option<String>,
    image_tag: Option<String>,
    image_digest: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Output {
    image: Image,
}

/// `image`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Image {
    registry_id: String,
    repository_name: String,
    image_id: ImageIdentifier,
    image_manifest: String,
    image_manifest_media_type: String,
}

impl Image {
    /// An image as the API shows it.
    pub(super) fn of(
        caller: &Caller,
        name: &RepositoryName,
        id: &ImageId,
        manifest: &ManifestContent,
    ) -> Self {
        Self {
            registry_id: caller.registry.account.to_string(),
            repository_name: name.to_string(),
            image_id: id.into(),
            image_manifest: String::from_utf8_lossy(&manifest.bytes).into_owned(),
            image_manifest_media_type: manifest.media_type.to_string(),
        }
    }
}

pub(super) async fn run(call: Call) -> Result<Output, ApiError> {
    let input: Input = call.input()?;
    let caller = call.caller(input.registry_id.as_deref())?;
    let name = call.repository(input.repository_name.as_deref())?;
    let (bytes, id, manifest) = manifest(input)?;
    let stored = call.registry().put_manifest(&caller, &name, manifest).await?;
    let (digest, tag) = (stored.digest, id.tag);
    if !stored.changed {
        let account = caller.registry.account;
        return Err(Error::ImageAlreadyExists { digest, tag, name, account }.into());
    }
    let content = ManifestContent { digest, media_type: stored.media_type, bytes };
    let id = ImageId { digest: Some(digest), tag };
    Ok(Output { image: Image::of(&caller, &name, &id, &content) })
}

fn manifest(input: Input) -> Result<(Bytes, ImageId, PutManifest), ApiError> {
    let text = validate::required("imageManifest", input.image_manifest)?;
    validate::chars("imageManifest", &text, 1..=limits::MANIFEST_BYTES_MAX)?;
    let digest = input.image_digest.map(|digest| validate::digest("imageDigest", &digest)).transpose()?;
    let tag = input.image_tag.map(|tag| validate::image_tag(&tag)).transpose()?;
    let bytes = Bytes::from(text);
    let manifest = PutManifest {
        bytes: bytes.clone(),
        declared: input.image_manifest_media_type.map(|text| MediaType::new(&text)),
        digest,
        tags: tag.clone().into_iter().collect(),
    };
    Ok((bytes, ImageId { digest, tag }, manifest))
}
