//! `ListTagsForResource`.

use serde::{Deserialize, Serialize};

use crate::ecr::Call;
use crate::ecr::error::ApiError;
use crate::ecr::wire::ResourceTag;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    resource_arn: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Output {
    tags: Vec<ResourceTag>,
}

pub(super) async fn run(call: Call) -> Result<Output, ApiError> {
    let input: Input = call.input()?;
    let (caller, arn) = call.resource(input.resource_arn.as_deref())?;
    let tags = call.registry().resource_tags(&caller, &arn).await?;
    let tags = tags.into_iter().map(|(key, value)| ResourceTag { key: Some(key), value: Some(value) });
    Ok(Output { tags: tags.collect() })
}
