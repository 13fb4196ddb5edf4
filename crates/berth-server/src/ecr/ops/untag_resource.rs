//! `UntagResource`.

use serde::Deserialize;

use crate::ecr::error::ApiError;
use crate::ecr::wire::Empty;
use crate::ecr::{Call, validate};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    resource_arn: Option<String>,
    tag_keys: Option<Vec<String>>,
}

pub(super) async fn run(call: Call) -> Result<Empty, ApiError> {
    let input: Input = call.input()?;
    let (caller, arn) = call.resource(input.resource_arn.as_deref())?;
    let keys = validate::required("tagKeys", input.tag_keys)?;
    call.registry().untag_resource(&caller, &arn, &keys).await?;
    Ok(Empty {})
}
