//! `GetLifecyclePolicyPreview`.

use berth_registry::Operation;
use berth_registry::preview::{
    Preview, PreviewAction, PreviewCursor, PreviewImage, PreviewQuery, PreviewState,
};
use serde::{Deserialize, Serialize};

use super::image_ids::{self, ImageIdentifier};
use super::list_images::Filter;
use crate::ecr::error::ApiError;
use crate::ecr::page_token::Query;
use crate::ecr::wire::Object;
use crate::ecr::{Call, validate};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    registry_id: Option<String>,
    repository_name: Option<String>,
    image_ids: Option<Vec<Object<ImageIdentifier>>>,
    next_token: Option<String>,
    max_results: Option<i64>,
    filter: Option<Object<PreviewFilter>>,
}

/// `filter` of this operation: tag status only.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PreviewFilter {
    tag_status: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Output {
    registry_id: String,
    repository_name: String,
    lifecycle_policy_text: String,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
    preview_results: Vec<PreviewResult>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<Summary>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PreviewResult {
    image_tags: Vec<String>,
    image_digest: String,
    image_pushed_at: f64,
    action: RuleAction,
    applied_rule_priority: u32,
    /// The class that the image is in.
    storage_class: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RuleAction {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_storage_class: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    expiring_image_total_count: u64,
    transitioning_image_total_counts: Vec<TransitioningCount>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TransitioningCount {
    target_storage_class: &'static str,
    image_total_count: u64,
}

pub(super) async fn run(call: Call) -> Result<Output, ApiError> {
    let input: Input = call.input()?;
    let caller = call.caller(input.registry_id.as_deref())?;
    let name = call.repository(input.repository_name.as_deref())?;
    let tag_status = input.filter.and_then(|Object(filter)| filter.tag_status);
    let filter = Filter::of_tags(tag_status)?;
    let operation = Operation::GetLifecyclePolicyPreview;
    let query = Query { operation, registry: &caller.registry, repository: Some(&name), filter: filter.name };
    let preview = match input.image_ids {
        Some(ids) => {
            validate::no_paging("imageIds", input.max_results, input.next_token.as_deref())?;
            let ids = image_ids::all(Some(ids))?;
            let wanted = PreviewQuery::Images { ids: &ids, filter: filter.tags };
            call.registry().lifecycle_preview(&caller, &name, wanted).await?
        }
        None => {
            let limit = validate::preview_max_results(input.max_results)?;
            let after = query.open::<(String, i64)>(input.next_token.as_deref())?;
            let after = after.map(|(preview, position)| PreviewCursor { preview, position });
            let wanted = PreviewQuery::Page { filter: filter.tags, after: after.as_ref(), limit };
            call.registry().lifecycle_preview(&caller, &name, wanted).await?
        }
    };
    let next = preview.images.next.as_ref().map(|next| query.seal(&(&next.preview, next.position)));
    let next_token = next.transpose()?;
    let summary = summary(&preview);
    Ok(Output {
        registry_id: caller.registry.account.to_string(),
        repository_name: name.to_string(),
        status: match preview.state {
            PreviewState::InProgress => "IN_PROGRESS",
            PreviewState::Complete => "COMPLETE",
            PreviewState::Expired => "EXPIRED",
            PreviewState::Failed => "FAILED",
        },
        lifecycle_policy_text: preview.policy,
        next_token,
        preview_results: preview.images.items.into_iter().map(PreviewResult::from).collect(),
        summary,
    })
}

fn summary(preview: &Preview) -> Option<Summary> {
    let is_known = preview.state == PreviewState::Complete;
    let transitioning = (preview.archive_count > 0).then_some(TransitioningCount {
        target_storage_class: "ARCHIVE",
        image_total_count: preview.archive_count,
    });
    is_known.then(|| Summary {
        expiring_image_total_count: preview.expire_count,
        transitioning_image_total_counts: transitioning.into_iter().collect(),
    })
}

impl From<PreviewImage> for PreviewResult {
    fn from(image: PreviewImage) -> Self {
        let action = match image.action {
            PreviewAction::Expire => RuleAction { r#type: "EXPIRE", target_storage_class: None },
            PreviewAction::Archive => {
                RuleAction { r#type: "TRANSITION", target_storage_class: Some("ARCHIVE") }
            }
        };
        Self {
            image_tags: image.tags.iter().map(ToString::to_string).collect(),
            image_digest: image.digest.to_string(),
            image_pushed_at: image.pushed_at.epoch_seconds(),
            action,
            applied_rule_priority: image.rule,
            storage_class: "STANDARD",
        }
    }
}
