//! `DeleteLifecyclePolicy`.

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
    registry_id: String,
    repository_name: String,
    lifecycle_policy_text: String,
    last_evaluated_at: f64,
}

pub(super) async fn run(call: Call) -> Result<Output, ApiError> {
    let input: Input = call.input()?;
    let caller = call.caller(input.registry_id.as_deref())?;
    let name = call.repository(input.repository_name.as_deref())?;
    let policy = call.registry().delete_lifecycle_policy(&caller, &name).await?;
    Ok(Output {
        registry_id: caller.registry.account.to_string(),
        repository_name: name.to_string(),
        lifecycle_policy_text: policy.text,
        last_evaluated_at: policy.last_evaluated_at,
    })
}
