//! `PutImageTagMutability`.

use serde::{Deserialize, Serialize};

use crate::ecr::error::ApiError;
use crate::ecr::wire::{ExclusionFilter, Object};
use crate::ecr::{Call, validate};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    registry_id: Option<String>,
    repository_name: Option<String>,
    image_tag_mutability: Option<String>,
    image_tag_mutability_exclusion_filters: Option<Vec<Object<ExclusionFilter>>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Output {
    registry_id: String,
    repository_name: String,
    image_tag_mutability: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    image_tag_mutability_exclusion_filters: Vec<ExclusionFilter>,
}

pub(super) async fn run(call: Call) -> Result<Output, ApiError> {
    let input: Input = call.input()?;
    let caller = call.caller(input.registry_id.as_deref())?;
    let name = call.repository(input.repository_name.as_deref())?;
    let mode = validate::required("imageTagMutability", input.image_tag_mutability)?;
    let filters = input.image_tag_mutability_exclusion_filters.as_deref();
    let rule = validate::mutability(Some(&mode), filters)?;
    let record = call.registry().set_tag_mutability(&caller, &name, &rule).await?;
    Ok(Output {
        registry_id: record.registry.account.to_string(),
        repository_name: record.name.to_string(),
        image_tag_mutability: record.mutability.mode().name(),
        image_tag_mutability_exclusion_filters: ExclusionFilter::of(&record.mutability),
    })
}
