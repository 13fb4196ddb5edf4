//! `StartLifecyclePolicyPreview`.

use berth_types::limits;
use serde::{Deserialize, Serialize};

use crate::ecr::error::ApiError;
use crate::ecr::{Call, validate};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    registry_id: Option<String>,
    repository_name: Option<String>,
    lifecycle_policy_text: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Output {
    registry_id: String,
    repository_name: String,
    lifecycle_policy_text: String,
    status: &'static str,
}

pub(super) async fn run(call: Call) -> Result<Output, ApiError> {
    let input: Input = call.input()?;
    let caller = call.caller(input.registry_id.as_deref())?;
    let name = call.repository(input.repository_name.as_deref())?;
    if let Some(text) = &input.lifecycle_policy_text {
        let allowed = limits::LIFECYCLE_POLICY_CHARS_MIN..=limits::LIFECYCLE_POLICY_CHARS_MAX;
        validate::chars("lifecyclePolicyText", text, allowed)?;
    }
    let text = input.lifecycle_policy_text.as_deref();
    let lifecycle_policy_text = call.registry().start_lifecycle_preview(&caller, &name, text).await?;
    Ok(Output {
        registry_id: caller.registry.account.to_string(),
        repository_name: name.to_string(),
        lifecycle_policy_text,
        status: "IN_PROGRESS",
    })
}
