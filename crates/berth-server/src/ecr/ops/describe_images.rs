//! `DescribeImages`.

use berth_registry::{Caller, ImageCursor, ImageRecord, Operation, TagStatus};
use berth_types::RepositoryName;
use serde::{Deserialize, Serialize};

use super::image_ids::{self, ImageIdentifier};
use super::list_images::{Filter, ReadFilter};
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
    filter: Option<Object<Filter>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Output {
    image_details: Vec<ImageDetail>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

/// Scan status and archive times are absent: nothing is scanned or archived yet.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ImageDetail {
    registry_id: String,
    repository_name: String,
    image_digest: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    image_tags: Vec<String>,
    image_size_in_bytes: u64,
    image_pushed_at: f64,
    image_manifest_media_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_media_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_recorded_pull_time: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject_manifest_digest: Option<String>,
    image_status: &'static str,
}

impl ImageDetail {
    fn of(caller: &Caller, name: &RepositoryName, image: ImageRecord) -> Self {
        Self {
            registry_id: caller.registry.account.to_string(),
            repository_name: name.to_string(),
            image_digest: image.digest.to_string(),
            image_tags: image.tags.iter().map(ToString::to_string).collect(),
            image_size_in_bytes: image.image_bytes,
            image_pushed_at: image.pushed_at.epoch_seconds(),
            image_manifest_media_type: image.media_type.to_string(),
            artifact_media_type: image.artifact_type,
            last_recorded_pull_time: image.last_pulled_at.map(berth_types::Timestamp::epoch_seconds),
            subject_manifest_digest: image.subject.map(|subject| subject.to_string()),
            image_status: "ACTIVE",
        }
    }
}

pub(super) async fn run(call: Call) -> Result<Output, ApiError> {
    let mut input: Input = call.input()?;
    let caller = call.caller(input.registry_id.as_deref())?;
    let name = call.repository(input.repository_name.as_deref())?;
    let filter = Filter::read(input.filter.take())?;
    let (images, next_token) = match input.image_ids.take() {
        Some(ids) => (named(&call, &caller, &name, &input, ids, filter).await?, None),
        None => page(&call, &caller, &name, &input, filter).await?,
    };
    let image_details = images.into_iter().map(|image| ImageDetail::of(&caller, &name, image)).collect();
    Ok(Output { image_details, next_token })
}

async fn named(
    call: &Call,
    caller: &Caller,
    name: &RepositoryName,
    input: &Input,
    ids: Vec<Object<ImageIdentifier>>,
    filter: ReadFilter,
) -> Result<Vec<ImageRecord>, ApiError> {
    validate::no_paging("imageIds", input.max_results, input.next_token.as_deref())?;
    let ids = image_ids::all(Some(ids))?;
    let mut images = call.registry().describe_images(caller, name, &ids).await?;
    images.retain(|image| {
        filter.active
            && match filter.tags {
                TagStatus::Any => true,
                TagStatus::Tagged => !image.tags.is_empty(),
                TagStatus::Untagged => image.tags.is_empty(),
            }
    });
    Ok(images)
}

async fn page(
    call: &Call,
    caller: &Caller,
    name: &RepositoryName,
    input: &Input,
    filter: ReadFilter,
) -> Result<(Vec<ImageRecord>, Option<String>), ApiError> {
    let limit = validate::max_results(input.max_results)?;
    let operation = Operation::DescribeImages;
    let query = Query { operation, registry: &caller.registry, repository: Some(name), filter: filter.name };
    let after = query.open::<i64>(input.next_token.as_deref())?.map(ImageCursor);
    if !filter.active {
        call.registry().repository(caller, name).await?;
        return Ok((Vec::new(), None));
    }
    let page = call.registry().images(caller, name, filter.tags, after, limit).await?;
    let next_token = page.next.map(|ImageCursor(next)| query.seal(&next)).transpose()?;
    Ok((page.items, next_token))
}
