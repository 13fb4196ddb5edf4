//! `TagResource`.

use serde::Deserialize;

use crate::ecr::error::ApiError;
use crate::ecr::wire::{Empty, Object, ResourceTag};
use crate::ecr::{Call, validate};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    resource_arn: Option<String>,
    tags: Option<Vec<Object<ResourceTag>>>,
}

pub(super) async fn run(call: Call) -> Result<Empty, ApiError> {
    let input: Input = call.input()?;
    let (caller, arn) = call.resource(input.resource_arn.as_deref())?;
    let tags = validate::resource_tags(validate::required("tags", input.tags)?)?;
    call.registry().tag_resource(&caller, &arn, &tags).await?;
    Ok(Empty {})
}
