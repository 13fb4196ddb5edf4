//! `ListImages`.

use berth_registry::{ImageCursor, ImageIdCursor, Operation, TagStatus};
use berth_types::Tag;
use serde::{Deserialize, Serialize};

use super::image_ids::ImageIdentifier;
use crate::ecr::error::ApiError;
use crate::ecr::page_token::Query;
use crate::ecr::wire::Object;
use crate::ecr::{Call, validate};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    registry_id: Option<String>,
    repository_name: Option<String>,
    next_token: Option<String>,
    max_results: Option<i64>,
    filter: Option<Object<Filter>>,
}

/// `filter`, of this operation and of `DescribeImages`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Filter {
    tag_status: Option<String>,
    image_status: Option<String>,
}

/// A filter that has been read.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadFilter {
    pub(super) tags: TagStatus,
    /// Every image here is active: a filter that asks for archived ones finds none.
    pub(super) active: bool,
    /// The filter as a page token is bound to it.
    pub(super) name: &'static str,
}

impl Filter {
    /// A filter by tag status alone.
    pub(super) fn of_tags(tag_status: Option<String>) -> Result<ReadFilter, ApiError> {
        Self::read(Some(Object(Self { tag_status, image_status: None })))
    }

    pub(super) fn read(filter: Option<Object<Self>>) -> Result<ReadFilter, ApiError> {
        let filter = filter.map(|Object(filter)| filter).unwrap_or_default();
        let words = &["TAGGED", "UNTAGGED", "ANY"];
        let tags =
            filter.tag_status.map(|text| validate::one_of("filter.tagStatus", &text, words)).transpose()?;
        let words = &["ACTIVE", "ARCHIVED", "ACTIVATING", "ANY"];
        let status = filter
            .image_status
            .map(|text| validate::one_of("filter.imageStatus", &text, words))
            .transpose()?;
        let (tags, name) = match tags {
            Some("TAGGED") => (TagStatus::Tagged, "TAGGED"),
            Some("UNTAGGED") => (TagStatus::Untagged, "UNTAGGED"),
            _ => (TagStatus::Any, "ANY"),
        };
        Ok(ReadFilter { tags, active: !matches!(status, Some("ARCHIVED" | "ACTIVATING")), name })
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Output {
    image_ids: Vec<ImageIdentifier>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

pub(super) async fn run(call: Call) -> Result<Output, ApiError> {
    let input: Input = call.input()?;
    let caller = call.caller(input.registry_id.as_deref())?;
    let name = call.repository(input.repository_name.as_deref())?;
    let filter = Filter::read(input.filter)?;
    let limit = validate::max_results(input.max_results)?;
    let operation = Operation::ListImages;
    let query = Query { operation, registry: &caller.registry, repository: Some(&name), filter: filter.name };
    let after = query.open::<Place>(input.next_token.as_deref())?.map(ImageIdCursor::from);
    if !filter.active {
        call.registry().repository(&caller, &name).await?;
        return Ok(Output { image_ids: Vec::new(), next_token: None });
    }
    let page = call.registry().image_ids(&caller, &name, filter.tags, after.as_ref(), limit).await?;
    let next_token = page.next.map(|next| query.seal(&Place::from(next))).transpose()?;
    let id = |record: berth_registry::ImageIdRecord| ImageIdentifier {
        image_digest: Some(record.digest.to_string()),
        image_tag: record.tag.map(|tag| tag.to_string()),
    };
    Ok(Output { image_ids: page.items.into_iter().map(id).collect(), next_token })
}

/// An [`ImageIdCursor`] as a token holds it.
#[derive(Deserialize, Serialize)]
struct Place(i64, Option<Tag>);

impl From<ImageIdCursor> for Place {
    fn from(cursor: ImageIdCursor) -> Self {
        Self(cursor.image.0, cursor.tag)
    }
}

impl From<Place> for ImageIdCursor {
    fn from(Place(image, tag): Place) -> Self {
        Self { image: ImageCursor(image), tag }
    }
}
