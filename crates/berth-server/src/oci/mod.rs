//! The OCI Distribution Specification 1.1: `/v2/…`.
//!
//! A request is read into an [`Operation`], its sender is found out, and one function per operation
//! decodes, calls the registry once and encodes. Status and code of every refusal are in [`error`].

mod blobs;
mod catalog;
mod error;
mod location;
mod manifests;
mod paging;
mod referrers;
mod route;
mod tags;
mod uploads;

use std::sync::Arc;

use axum::body::Body;
use berth_registry::{Caller, Error};
use berth_types::RepositoryName;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};

use self::error::OciError;
use self::route::{Operation, Route};
use crate::App;
use crate::access::RequestInfo;
use crate::auth::basic;
use crate::http::query::Query;
use crate::http::request_id::RequestId;

/// A request, read as far as every operation needs it.
struct Request<'a> {
    app: &'a App,
    caller: Caller,
    headers: &'a HeaderMap,
    query: Query<'a>,
}

/// How many headers an answer has, roughly.
const HEADERS_USUAL: usize = 12;

type Answer = Result<Response<Body>, OciError>;

/// Answers a request to `/v2/…`. `host` is the checked host that it was sent to.
pub(crate) async fn handle(
    app: &Arc<App>,
    parts: &Parts,
    host: &str,
    body: Body,
    request_id: RequestId,
) -> (Response<Body>, RequestInfo) {
    let route = route::parse(&parts.method, parts.uri.path());
    let mut info = RequestInfo::new(route.as_ref().map_or("Unknown", |route| route.operation().name()));
    let answer = authenticated(app, parts, host, body, route, &mut info).await;
    let response = match answer {
        Ok(response) => response,
        Err(OciError::Registry(Error::TokenInvalid)) => {
            let realm = app.registry.config().host.proxy_endpoint(&app.registry_of_host(host));
            unauthorized(&realm)
        }
        Err(error) => error::answer(&error, request_id),
    };
    (finish(response, &parts.method), info)
}

/// Finds out who calls before anything is said about the request, even that its path is none.
async fn authenticated(
    app: &App,
    parts: &Parts,
    host: &str,
    body: Body,
    route: Result<Route, OciError>,
    info: &mut RequestInfo,
) -> Answer {
    let principal = basic::principal(&app.registry, &parts.headers)?;
    info.account = Some(principal.account);
    let route = route?;
    let caller = Caller { principal, registry: app.registry_of_host(host) };
    let request = Request { app, caller, headers: &parts.headers, query: Query::of(&parts.uri) };
    let answer = serve(&request, &route, body).await;
    if let Route::Repository(name, _) = route {
        info.repository = Some(name.as_str().into());
    }
    answer
}

async fn serve(request: &Request<'_>, route: &Route, body: Body) -> Answer {
    match route {
        Route::Repository(name, operation) => serve_repository(request, name, operation, body).await,
        Route::Registry(Operation::ListRepositories) => catalog::list(request).await,
        Route::Registry(_) => Ok(json(StatusCode::OK, "{}")),
    }
}

async fn serve_repository(
    request: &Request<'_>,
    name: &RepositoryName,
    operation: &Operation,
    body: Body,
) -> Answer {
    match operation {
        Operation::ListTags => tags::list(request, name).await,
        Operation::ListReferrers(subject) => referrers::list(request, name, subject).await,
        Operation::GetBlob(digest) => blobs::get(request, name, digest).await,
        Operation::HeadBlob(digest) => blobs::head(request, name, digest).await,
        Operation::DeleteBlob(digest) => blobs::delete(request, name, digest).await,
        Operation::StartUpload => uploads::start(request, name, body).await,
        Operation::UploadStatus(upload) => uploads::status(request, name, *upload).await,
        Operation::AppendUpload(upload) => uploads::append(request, name, *upload, body).await,
        Operation::CompleteUpload(upload) => uploads::complete(request, name, *upload, body).await,
        Operation::CancelUpload(upload) => uploads::cancel(request, name, *upload).await,
        Operation::GetManifest(reference) => manifests::get(request, name, reference).await,
        Operation::HeadManifest(reference) => manifests::head(request, name, reference).await,
        Operation::PutManifest(reference) => manifests::put(request, name, reference, body).await,
        Operation::DeleteManifest(reference) => manifests::delete(request, name, reference).await,
        // The router gives these without a repository only.
        Operation::Ping | Operation::ListRepositories => Err(OciError::Path),
    }
}

/// What every answer has; and what an answer to HEAD does not have, its body.
fn finish(mut response: Response<Body>, method: &Method) -> Response<Body> {
    response.headers_mut().insert(location::API_VERSION, HeaderValue::from_static("registry/2.0"));
    if *method == Method::HEAD {
        if !response.headers().contains_key(header::CONTENT_LENGTH) {
            let length = http_body::Body::size_hint(response.body()).exact();
            if let Some(length) = length {
                response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
            }
        }
        *response.body_mut() = Body::empty();
    }
    response
}

/// The challenge that Amazon ECR gives, its plain body included: there is no token service, only Basic.
fn unauthorized(realm: &str) -> Response<Body> {
    let mut response = crate::status::plain(StatusCode::UNAUTHORIZED, "Not Authorized\n");
    let challenge = format!("Basic realm=\"{realm}/\",service=\"ecr.amazonaws.com\"");
    location::set(response.headers_mut(), header::WWW_AUTHENTICATE, challenge);
    response
}

fn json(status: StatusCode, text: impl Into<Body>) -> Response<Body> {
    let mut response = empty(status);
    *response.body_mut() = text.into();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    // Enough for what any answer has, so that the map does not grow twice on the way.
    response.headers_mut().reserve(HEADERS_USUAL);
    response
}

/// JSON of our own types always can be written; if not, it is our fault.
fn encoding_failed(error: serde_json::Error) -> OciError {
    OciError::Registry(Error::Internal { action: "write an answer", source: error.into() })
}
