//! `/v2/<name>/blobs/<digest>`: GET with ranges, HEAD, DELETE.

use axum::body::Body;
use berth_registry::blobs::BlobHead;
use berth_types::{Digest, RepositoryName};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::error::OciError;
use super::{Answer, Request, empty, location};
use crate::http::range::{self, Wanted};

pub(super) async fn head(request: &Request<'_>, name: &RepositoryName, digest: &Digest) -> Answer {
    let head = request.app.registry.blob_head(&request.caller, name, digest).await?;
    let mut response = empty(StatusCode::OK);
    describe(response.headers_mut(), &head);
    response.headers_mut().insert(header::CONTENT_LENGTH, head.bytes.into());
    Ok(response)
}

pub(super) async fn get(request: &Request<'_>, name: &RepositoryName, digest: &Digest) -> Answer {
    let registry = &request.app.registry;
    let ranged = range::range_header(request.headers, digest);
    if range::not_modified(request.headers, digest) {
        let head = registry.blob_head(&request.caller, name, digest).await?;
        let mut response = empty(StatusCode::NOT_MODIFIED);
        describe(response.headers_mut(), &head);
        return Ok(response);
    }
    let part = match ranged {
        None => Wanted::Whole,
        Some(header) => {
            let head = registry.blob_head(&request.caller, name, digest).await?;
            range::wanted(header, head.bytes)
        }
    };
    let part = match part {
        Wanted::Whole => None,
        Wanted::Part(part) => Some(part),
        Wanted::Unsatisfiable => {
            let head = registry.blob_head(&request.caller, name, digest).await?;
            return Err(OciError::Range { bytes: head.bytes });
        }
    };
    let (head, content) = registry.read_blob(&request.caller, name, digest, part.clone()).await?;
    let mut response = empty(StatusCode::OK);
    *response.body_mut() = Body::from_stream(content);
    let headers = response.headers_mut();
    describe(headers, &head);
    match part {
        None => {
            headers.insert(header::CONTENT_LENGTH, head.bytes.into());
        }
        Some(part) => {
            headers.insert(header::CONTENT_LENGTH, (part.end - part.start).into());
            let range = format!("bytes {}-{}/{}", part.start, part.end - 1, head.bytes);
            location::set(headers, header::CONTENT_RANGE, range);
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
    }
    Ok(response)
}

pub(super) async fn delete(request: &Request<'_>, name: &RepositoryName, digest: &Digest) -> Answer {
    request.app.registry.delete_blob(&request.caller, name, digest).await?;
    Ok(empty(StatusCode::ACCEPTED))
}

/// Headers that say what the content is. A blob never changes, so it may be kept; but only by the client itself, since
/// access to it is checked.
fn describe(headers: &mut HeaderMap, head: &BlobHead) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=31536000, immutable"));
    headers.insert(header::ETAG, range::entity_tag(&head.digest));
    location::set(headers, location::CONTENT_DIGEST, head.digest.to_string());
}
