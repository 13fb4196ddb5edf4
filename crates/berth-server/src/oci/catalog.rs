//! `/v2/_catalog`: an extension that every registry has.

use berth_types::{RepositoryName, limits};
use http::StatusCode;
use serde::Serialize;

use super::paging::{page_items, page_start};
use super::{Answer, Request, json, location};

#[derive(Serialize)]
struct Catalog<'a> {
    repositories: Vec<&'a RepositoryName>,
}

pub(super) async fn list(request: &Request<'_>) -> Answer {
    let items = page_items(&request.query, limits::PAGE_ITEMS_MAX)?;
    let after = page_start(&request.query, |last| RepositoryName::parse(last).ok())?;
    let limit = items.unwrap_or(1);
    let mut page = request.app.registry.repositories(&request.caller, after.as_ref(), limit).await?;
    if items.is_none() {
        page.items.clear();
        page.next = None;
    }
    let repositories = page.items.iter().map(|repository| &repository.name).collect();
    let text = serde_json::to_string(&Catalog { repositories }).map_err(super::encoding_failed)?;
    let mut response = json(StatusCode::OK, text);
    if let Some(next) = page.next {
        let next = crate::http::query::escape(next.as_str());
        location::link(response.headers_mut(), &format!("/v2/_catalog?n={limit}&last={next}"));
    }
    Ok(response)
}
