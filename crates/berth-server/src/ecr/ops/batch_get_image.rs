//! `BatchGetImage`.

use berth_registry::Error;
use berth_types::MediaType;
use serde::{Deserialize, Serialize};

use super::image_ids::{Batch, ImageFailure, ImageIdentifier};
use super::put_image::Image;
use crate::ecr::error::ApiError;
use crate::ecr::wire::Object;
use crate::ecr::{Call, validate};

/// How many images are read before their size is looked at.
const IDS_AT_ONCE: usize = 4;
/// Manifests in one answer. A hundred of the largest would be 400 MiB; a hundred of the usual size are 1 MiB.
const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;
const TOO_MUCH: &str =
    "The requested manifests have more than 32 MiB together. Ask for fewer images at once.";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    registry_id: Option<String>,
    repository_name: Option<String>,
    image_ids: Option<Vec<Object<ImageIdentifier>>>,
    accepted_media_types: Option<Vec<String>>,
}

#[derive(Serialize)]
pub(super) struct Output {
    images: Vec<Image>,
    failures: Vec<ImageFailure>,
}

pub(super) async fn run(call: Call) -> Result<Output, ApiError> {
    let input: Input = call.input()?;
    let caller = call.caller(input.registry_id.as_deref())?;
    let name = call.repository(input.repository_name.as_deref())?;
    let batch = Batch::read(input.image_ids)?;
    let accepted = input.accepted_media_types.as_deref().map(media_types).transpose()?;
    let (mut images, mut failures, mut bytes) = (Vec::new(), Vec::new(), 0);
    let mut rest = batch.ids.as_slice();
    // Once at least, also for no ids: the repository must be there.
    loop {
        let (ids, later) = rest.split_at(rest.len().min(IDS_AT_ONCE));
        let (found, failed) =
            call.registry().batch_get_images(&caller, &name, ids, accepted.as_deref()).await?;
        bytes += found.iter().map(|found| found.manifest.bytes.len()).sum::<usize>();
        if bytes > ANSWER_BYTES_MAX {
            return Err(Error::LimitExceeded(TOO_MUCH.to_owned()).into());
        }
        images.extend(found.iter().map(|found| Image::of(&caller, &name, &found.image, &found.manifest)));
        failures.extend(failed);
        if later.is_empty() {
            return Ok(Output { images, failures: batch.failures(failures)? });
        }
        rest = later;
    }
}

fn media_types(texts: &[String]) -> Result<Vec<MediaType>, ApiError> {
    validate::batch("acceptedMediaTypes", texts.len())?;
    Ok(texts.iter().map(|text| MediaType::new(text)).collect())
}
