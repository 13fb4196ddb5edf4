//! `/layers/…`: the content behind the URLs of `GetDownloadUrlForLayer`. The URL itself is the authentication.

use std::sync::Arc;

use axum::body::Body;
use berth_registry::Error;
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode, header};

use crate::App;
use crate::access::RequestInfo;
use crate::http::range::{self, Wanted};
use crate::http::request_id::RequestId;
use crate::status::plain;

/// Answers a request for a layer.
pub(crate) async fn handle(
    app: &Arc<App>,
    parts: &Parts,
    request_id: RequestId,
) -> (Response<Body>, RequestInfo) {
    let response = match parts.method {
        Method::GET | Method::HEAD => {
            read(app, parts).await.unwrap_or_else(|error| refusal(&error, request_id))
        }
        _ => {
            let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are served here\n");
            refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            refused
        }
    };
    (response, RequestInfo::new("DownloadLayer"))
}

async fn read(app: &App, parts: &Parts) -> Result<Response<Body>, Error> {
    let url = parts.uri.path_and_query().map_or("", http::uri::PathAndQuery::as_str);
    let (mut head, mut content) = app.registry.read_download(url, None).await?;
    let mut part = None;
    if let Some(asked) = range::range_header(&parts.headers, &head.digest) {
        match range::wanted(asked, head.bytes) {
            Wanted::Whole => {}
            Wanted::Part(wanted) => {
                (head, content) = app.registry.read_download(url, Some(wanted.clone())).await?;
                part = Some(wanted);
            }
            Wanted::Unsatisfiable => {
                let mut refused = plain(StatusCode::RANGE_NOT_SATISFIABLE, "there are no such bytes\n");
                set(&mut refused, header::CONTENT_RANGE, &format!("bytes */{}", head.bytes));
                return Ok(refused);
            }
        }
    }
    let mut response = Response::new(Body::empty());
    if parts.method == Method::GET {
        *response.body_mut() = Body::from_stream(content);
    }
    let length = part.as_ref().map_or(head.bytes, |part| part.end - part.start);
    if let Some(part) = part {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let range = format!("bytes {}-{}/{}", part.start, part.end - 1, head.bytes);
        set(&mut response, header::CONTENT_RANGE, &range);
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::ETAG, range::entity_tag(&head.digest));
    Ok(response)
}

fn set(response: &mut Response<Body>, name: http::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// Status and text of a refusal. Three errors are the client's; anything else is ours.
fn refusal(error: &Error, request_id: RequestId) -> Response<Body> {
    match error {
        Error::TokenInvalid => plain(StatusCode::FORBIDDEN, "this URL was not made by this registry\n"),
        Error::TokenExpired => plain(StatusCode::FORBIDDEN, "this URL has expired; ask for a new one\n"),
        Error::BlobUnknown { .. } | Error::RepositoryNotFound { .. } => {
            plain(StatusCode::NOT_FOUND, "the layer is not there any more\n")
        }
        other => {
            tracing::error!(%request_id, error = crate::telemetry::chain(other), "request failed");
            let text = format!("internal error; the request id is {request_id}\n");
            plain(StatusCode::INTERNAL_SERVER_ERROR, text)
        }
    }
}
