//! `GetDownloadUrlForLayer`.

use serde::{Deserialize, Serialize};

use crate::ecr::error::ApiError;
use crate::ecr::{Call, validate};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    registry_id: Option<String>,
    repository_name: Option<String>,
    layer_digest: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Output {
    download_url: String,
    layer_digest: String,
}

pub(super) async fn run(call: Call) -> Result<Output, ApiError> {
    let input: Input = call.input()?;
    let caller = call.caller(input.registry_id.as_deref())?;
    let name = call.repository(input.repository_name.as_deref())?;
    let text = validate::required("layerDigest", input.layer_digest)?;
    let digest = validate::digest("layerDigest", &text)?;
    let path = call.registry().layer_download_path(&caller, &name, &digest).await?;
    Ok(Output { download_url: format!("{}{path}", call.endpoint), layer_digest: digest.to_string() })
}
