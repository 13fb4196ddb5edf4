//! `/v2/<name>/referrers/<digest>`: the manifests that are about another one.

use std::collections::BTreeMap;

use berth_registry::ImageCursor;
use berth_registry::images::Referrer;
use berth_types::{Digest, MediaType, RepositoryName, limits};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use super::paging::{page_items, page_start};
use super::{Answer, Request, json, location};
use crate::http::query::escape;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index<'a> {
    schema_version: u8,
    media_type: &'static str,
    manifests: Vec<Descriptor<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor<'a> {
    media_type: &'a MediaType,
    digest: Digest,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_type: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
}

/// Lists referrers. `n` and `last` are ours: the specification has paging by `Link` only, and says nothing of their form.
pub(super) async fn list(request: &Request<'_>, name: &RepositoryName, subject: &Digest) -> Answer {
    let artifact_type = request.query.first("artifactType");
    let items = page_items(&request.query, limits::REFERRER_PAGE_ITEMS_MAX)?;
    let after = page_start(&request.query, |last| last.parse().ok().map(ImageCursor))?;
    let mut limit = items.unwrap_or(limits::REFERRER_PAGE_ITEMS_MAX);
    let (text, next) = loop {
        let registry = &request.app.registry;
        let page = registry
            .referrers(&request.caller, name, subject, artifact_type.as_deref(), after, limit)
            .await?;
        let text = encode(&page.items)?;
        // The answer is an index, and an index is no larger than any manifest; annotations can make it so.
        if text.len() <= limits::MANIFEST_BYTES_MAX || page.items.len() <= 1 {
            break (text, page.next);
        }
        limit = page.items.len() / 2;
    };
    let mut response = json(StatusCode::OK, text);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MediaType::OCI_INDEX));
    if artifact_type.is_some() {
        headers.insert(location::OCI_FILTERS_APPLIED, HeaderValue::from_static("artifactType"));
    }
    if let Some(ImageCursor(next)) = next {
        let filter =
            artifact_type.map(|filter| format!("&artifactType={}", escape(&filter))).unwrap_or_default();
        let path = format!("/v2/{name}/referrers/{subject}?n={limit}&last={next}{filter}");
        location::link(headers, &path);
    }
    Ok(response)
}

fn encode(referrers: &[Referrer]) -> Result<String, super::OciError> {
    let manifests = referrers
        .iter()
        .map(|referrer| Descriptor {
            media_type: &referrer.media_type,
            digest: referrer.digest,
            size: referrer.size,
            artifact_type: referrer.artifact_type.as_deref(),
            annotations: &referrer.annotations,
        })
        .collect();
    let index = Index { schema_version: 2, media_type: MediaType::OCI_INDEX, manifests };
    serde_json::to_string(&index).map_err(super::encoding_failed)
}
