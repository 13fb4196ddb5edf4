//! `/healthz`, `/readyz` and `/metrics`.

use std::sync::Arc;

use axum::body::Body;
use http::{Method, Response, StatusCode, header};

use crate::App;
use crate::access::RequestInfo;
use crate::metrics::{CONTENT_TYPE, Totals};

/// What an operator asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    /// Whether the process answers.
    Health,
    /// Whether both stores answer, too.
    Ready,
    /// Counters.
    Metrics,
}

impl Page {
    /// The page at a path.
    pub(crate) fn at(path: &str) -> Option<Self> {
        match path {
            "/healthz" => Some(Self::Health),
            "/readyz" => Some(Self::Ready),
            "/metrics" => Some(Self::Metrics),
            _ => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Health => "Health",
            Self::Ready => "Ready",
            Self::Metrics => "Metrics",
        }
    }
}

/// Answers with a page.
pub(crate) async fn handle(app: &Arc<App>, page: Page, method: &Method) -> (Response<Body>, RequestInfo) {
    let response = if matches!(*method, Method::GET | Method::HEAD) {
        match page {
            Page::Health => plain(StatusCode::OK, "ok\n"),
            Page::Ready => ready(app).await,
            Page::Metrics => metrics(app).await,
        }
    } else {
        let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are served here\n");
        refused.headers_mut().insert(header::ALLOW, http::HeaderValue::from_static("GET, HEAD"));
        refused
    };
    (response, RequestInfo::new(page.name()))
}

async fn ready(app: &Arc<App>) -> Response<Body> {
    match app.registry.check().await {
        Ok(()) => plain(StatusCode::OK, "ok\n"),
        Err(error) => {
            tracing::warn!(error = crate::telemetry::chain(&error), "not ready: a store does not answer");
            plain(StatusCode::SERVICE_UNAVAILABLE, "a store does not answer\n")
        }
    }
}

async fn metrics(app: &Arc<App>) -> Response<Body> {
    let totals = totals(app).await;
    match app.metrics.encode(totals) {
        Ok(text) => {
            let mut response = Response::new(Body::from(text));
            response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static(CONTENT_TYPE));
            response
        }
        Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "metrics cannot be written\n"),
    }
}

/// A short answer in plain words.
pub(crate) fn plain(status: StatusCode, text: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, http::HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// How much there is. A scrape must not fail because a store does not answer: the counters of requests tell why.
async fn totals(app: &App) -> Totals {
    match app.registry.totals().await {
        Ok(totals) => {
            Totals { repositories: totals.repositories, images: totals.images, uploads: totals.uploads }
        }
        Err(error) => {
            tracing::warn!(error = crate::telemetry::chain(&error), "totals cannot be read");
            Totals::default()
        }
    }
}
