//! `BatchGetImage`.

use berth_types::MediaType;
use serde::{Deserialize, Serialize};

use super::image_ids::{Batch, ImageFailure, ImageIdentifier};
use super::put_image::Image;
use crate::ecr::error::ApiError;
use crate::ecr::wire::Object;
use crate::ecr::{Call, validate};

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
    let (found, failures) =
        call.registry().batch_get_images(&caller, &name, &batch.ids, accepted.as_deref()).await?;
    let images = found.iter().map(|found| Image::of(&caller, &name, &found.image, &found.manifest)).collect();
    Ok(Output { images, failures: batch.failures(failures)? })
}

fn media_types(texts: &[String]) -> Result<Vec<MediaType>, ApiError> {
    validate::batch("acceptedMediaTypes", texts.len())?;
    Ok(texts.iter().map(|text| MediaType::new(text)).collect())
}
