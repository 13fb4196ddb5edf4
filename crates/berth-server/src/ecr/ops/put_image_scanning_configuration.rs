//! `PutImageScanningConfiguration`.

use serde::{Deserialize, Serialize};

use crate::ecr::error::ApiError;
use crate::ecr::wire::{ImageScanningConfiguration, Object};
use crate::ecr::{Call, validate};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    registry_id: Option<String>,
    repository_name: Option<String>,
    image_scanning_configuration: Option<Object<ImageScanningConfiguration>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Output {
    registry_id: String,
    repository_name: String,
    image_scanning_configuration: ImageScanningConfiguration,
}

pub(super) async fn run(call: Call) -> Result<Output, ApiError> {
    let input: Input = call.input()?;
    let caller = call.caller(input.registry_id.as_deref())?;
    let name = call.repository(input.repository_name.as_deref())?;
    let Object(asked) = validate::required("imageScanningConfiguration", input.image_scanning_configuration)?;
    let scan_on_push = asked.scan_on_push.unwrap_or(false);
    let record = call.registry().set_scan_on_push(&caller, &name, scan_on_push).await?;
    Ok(Output {
        registry_id: record.registry.account.to_string(),
        repository_name: record.name.to_string(),
        image_scanning_configuration: ImageScanningConfiguration { scan_on_push: Some(record.scan_on_push) },
    })
}
