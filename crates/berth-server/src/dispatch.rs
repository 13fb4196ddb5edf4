//! From a request as hyper gives it to the plane that answers it, and back.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::body::Body;
use futures_util::FutureExt;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use crate::access::{Exchange, RequestInfo};
use crate::auth::origin::{OriginError, host};
use crate::http::body::{RequestBody, WatchedBody};
use crate::http::connection::ConnectionState;
use crate::http::request_id::RequestId;
use crate::metrics::Plane;
use crate::status::{Page, plain};
use crate::{App, downloads, ecr, oci, status};

/// The request id on the API plane, where Amazon's clients look for it.
const AMAZON_REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
/// The request id elsewhere.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Answers one request.
pub(crate) async fn handle(
    app: Arc<App>,
    connection: Arc<ConnectionState>,
    request: Request<Incoming>,
) -> Response<WatchedBody<Exchange>> {
    let (parts, incoming) = request.into_parts();
    let version = parts.version;
    let plane = plane(&parts.method, parts.uri.path());
    let request_id = app.request_ids.next();
    let mut exchange = Exchange::start(&app, request_id, parts.method.clone(), plane);

    let whole = http_body::Body::is_end_stream(&incoming);
    connection.request_started(whole);
    let body = if whole {
        Body::empty()
    } else {
        let idle = app.options.timeouts.idle;
        Body::new(RequestBody::new(incoming, idle, exchange.bytes_in(), Arc::clone(&connection)))
    };

    // A panic is a bug of ours. It must not take the other requests of the connection with it, nor leave the client
    // without an answer; what it left half-done is undone by dropping it, as if the client had gone away.
    let answered = AssertUnwindSafe(answer(&app, plane, parts, body, request_id)).catch_unwind().await;
    let (mut response, info) = answered.unwrap_or_else(|_| {
        tracing::error!(%request_id, "request failed: the server panicked");
        let text = format!("internal error; the request id is {request_id}\n");
        (plain(StatusCode::INTERNAL_SERVER_ERROR, text), RequestInfo::new("Unknown"))
    });
    let name = if plane == Plane::Ecr { AMAZON_REQUEST_ID } else { REQUEST_ID };
    response.headers_mut().insert(name, request_id.header());
    // Nothing here is a page: a browser must not take it for one.
    let options = HeaderName::from_static("x-content-type-options");
    response.headers_mut().insert(options, HeaderValue::from_static("nosniff"));
    // RFC 9112, section 9.6: say so, or a client sends its next request into a connection that ends.
    if version <= http::Version::HTTP_11 && !connection.is_settled() {
        response.headers_mut().insert(http::header::CONNECTION, HeaderValue::from_static("close"));
    }
    exchange.answered(response.status(), info);
    response.map(|body| WatchedBody::new(body, exchange))
}

fn plane(method: &Method, path: &str) -> Plane {
    match path {
        "/" if *method == Method::POST => Plane::Ecr,
        "/v2" => Plane::Oci,
        _ if path.starts_with("/v2/") => Plane::Oci,
        _ if path.starts_with("/layers/") => Plane::Download,
        _ => Plane::Server,
    }
}

async fn answer(
    app: &Arc<App>,
    plane: Plane,
    mut parts: http::request::Parts,
    body: Body,
    request_id: RequestId,
) -> (Response<Body>, RequestInfo) {
    let page = if plane == Plane::Server { Page::at(parts.uri.path()) } else { None };
    // Probes name the host by whatever address they have; they learn nothing and change nothing.
    let probe = matches!(page, Some(Page::Health | Page::Ready));
    if !probe && let Err(error) = app.origin_guard.check(&parts.uri, &parts.headers) {
        return (refuse(&error), RequestInfo::new("Refused"));
    }
    match plane {
        Plane::Oci => {
            let host = host(&parts.uri, &parts.headers).unwrap_or_default();
            oci::handle(app, &parts, host, body, request_id).await
        }
        Plane::Ecr => {
            parts.extensions.insert(request_id);
            let mut response = ecr::handle(app, parts, body).await;
            let info = response.extensions_mut().remove().unwrap_or_else(|| RequestInfo::new("Unknown"));
            (response, info)
        }
        Plane::Download => downloads::handle(app, &parts, request_id).await,
        Plane::Server => match page {
            Some(page) => status::handle(app, page, &parts.method).await,
            None => {
                let text = "nothing is served here; a registry's paths begin with /v2/\n";
                (plain(StatusCode::NOT_FOUND, text), RequestInfo::new("NotFound"))
            }
        },
    }
}

fn refuse(error: &OriginError) -> Response<Body> {
    let status = match error {
        OriginError::HostMissing => StatusCode::BAD_REQUEST,
        OriginError::HostForeign(_) | OriginError::OriginForeign(_) => StatusCode::FORBIDDEN,
    };
    plain(status, format!("{error}\n"))
}
