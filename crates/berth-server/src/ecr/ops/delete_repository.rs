//! `DeleteRepository`.

use serde::{Deserialize, Serialize};

use crate::ecr::Call;
use crate::ecr::error::ApiError;
use crate::ecr::wire::Repository;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    registry_id: Option<String>,
    repository_name: Option<String>,
    force: Option<bool>,
}

#[derive(Serialize)]
pub(super) struct Output {
    repository: Repository,
}

pub(super) async fn run(call: Call) -> Result<Output, ApiError> {
    let input: Input = call.input()?;
    let caller = call.caller(input.registry_id.as_deref())?;
    let name = call.repository(input.repository_name.as_deref())?;
    let record = call.registry().delete_repository(&caller, &name, input.force.unwrap_or(false)).await?;
    Ok(Output { repository: Repository::of(call.registry(), &record) })
}
