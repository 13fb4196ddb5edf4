//! `BatchDeleteImage`.

use serde::{Deserialize, Serialize};

use super::image_ids::{Batch, ImageFailure, ImageIdentifier};
use crate::ecr::Call;
use crate::ecr::error::ApiError;
use crate::ecr::wire::Object;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    registry_id: Option<String>,
    repository_name: Option<String>,
    image_ids: Option<Vec<Object<ImageIdentifier>>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Output {
    image_ids: Vec<ImageIdentifier>,
    failures: Vec<ImageFailure>,
}

pub(super) async fn run(call: Call) -> Result<Output, ApiError> {
    let input: Input = call.input()?;
    let caller = call.caller(input.registry_id.as_deref())?;
    let name = call.repository(input.repository_name.as_deref())?;
    let batch = Batch::read(input.image_ids)?;
    let done = call.registry().batch_delete_images(&caller, &name, &batch.ids).await?;
    let image_ids = done.deleted.iter().map(ImageIdentifier::from).collect();
    Ok(Output { image_ids, failures: batch.failures(done.failures)? })
}
