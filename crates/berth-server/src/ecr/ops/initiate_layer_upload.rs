//! `InitiateLayerUpload`.

use berth_types::limits;
use serde::{Deserialize, Serialize};

use crate::ecr::Call;
use crate::ecr::error::ApiError;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    registry_id: Option<String>,
    repository_name: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Output {
    upload_id: String,
    part_size: usize,
}

pub(super) async fn run(call: Call) -> Result<Output, ApiError> {
    let input: Input = call.input()?;
    let caller = call.caller(input.registry_id.as_deref())?;
    let name = call.repository(input.repository_name.as_deref())?;
    let upload = call.registry().start_upload(&caller, &name, None).await?;
    Ok(Output { upload_id: upload.to_string(), part_size: limits::LAYER_PART_BYTES_PREFERRED })
}
