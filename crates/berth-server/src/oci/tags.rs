//! `/v2/<name>/tags/list`.

use berth_types::{RepositoryName, Tag, limits};
use http::StatusCode;
use serde::Serialize;

use super::paging::{page_items, page_start};
use super::{Answer, Request, json, location};

#[derive(Serialize)]
struct TagList<'a> {
    name: &'a RepositoryName,
    tags: &'a [Tag],
}

pub(super) async fn list(request: &Request<'_>, name: &RepositoryName) -> Answer {
    let items = page_items(&request.query, limits::TAG_PAGE_ITEMS_MAX)?;
    let after = page_start(&request.query, |last| Tag::parse(last).ok())?;
    // Asked for nothing, the repository must still be there.
    let limit = items.unwrap_or(1);
    let mut page = request.app.registry.tags(&request.caller, name, after.as_ref(), limit).await?;
    if items.is_none() {
        page.items.clear();
        page.next = None;
    }
    let text = serde_json::to_string(&TagList { name, tags: &page.items }).map_err(super::encoding_failed)?;
    let mut response = json(StatusCode::OK, text);
    if let Some(next) = page.next {
        location::link(response.headers_mut(), &format!("/v2/{name}/tags/list?n={limit}&last={next}"));
    }
    Ok(response)
}
