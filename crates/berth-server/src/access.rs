//! One log line and one count per request, whatever becomes of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use berth_types::AccountId;
use http::{Method, StatusCode};

use crate::App;
use crate::http::body::{ByteCount, Watcher};
use crate::http::request_id::RequestId;
use crate::metrics::{Done, Plane};

/// What is logged as status when the client went away before there was an answer.
const CLIENT_CLOSED: u16 = 499;

/// What a plane knows of a request, for the log and the counters.
#[derive(Clone, Debug)]
pub(crate) struct RequestInfo {
    /// The operation; one of a fixed set, as it becomes a label of a counter.
    pub(crate) operation: &'static str,
    /// The repository, as far as the request names one.
    pub(crate) repository: Option<Box<str>>,
    /// Whose credentials it had.
    pub(crate) account: Option<AccountId>,
}

impl RequestInfo {
    pub(crate) const fn new(operation: &'static str) -> Self {
        Self { operation, repository: None, account: None }
    }
}

/// A request from its head to the last byte of its answer. Dropping it ends it.
pub(crate) struct Exchange {
    app: Arc<App>,
    started: Instant,
    request_id: RequestId,
    method: Method,
    plane: Plane,
    info: RequestInfo,
    status: Option<StatusCode>,
    /// Absent if the request has no body.
    bytes_in: Option<ByteCount>,
    bytes_out: u64,
}

impl Exchange {
    pub(crate) fn start(app: &Arc<App>, request_id: RequestId, method: Method, plane: Plane) -> Self {
        app.metrics.in_flight.inc();
        Self {
            app: Arc::clone(app),
            started: Instant::now(),
            request_id,
            method,
            plane,
            info: RequestInfo::new("Unknown"),
            status: None,
            bytes_in: None,
            bytes_out: 0,
        }
    }

    /// Where the request's body is counted.
    pub(crate) fn bytes_in(&mut self) -> ByteCount {
        Arc::clone(self.bytes_in.get_or_insert_default())
    }

    /// There is an answer.
    pub(crate) fn answered(&mut self, status: StatusCode, info: RequestInfo) {
        self.status = Some(status);
        self.info = info;
    }
}

impl Watcher for Exchange {
    fn sent(&mut self, bytes: u64) {
        self.bytes_out += bytes;
    }

    fn failed(&mut self, error: &axum::Error) {
        let error = crate::telemetry::chain(error);
        tracing::error!(request_id = %self.request_id, error, "answer broke off");
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let done = Done {
            plane: self.plane,
            operation: self.info.operation,
            status: self.status.map_or(CLIENT_CLOSED, |status| status.as_u16()),
            duration: self.started.elapsed(),
            bytes_in: self.bytes_in.as_ref().map_or(0, |count| count.load(Ordering::Relaxed)),
            bytes_out: self.bytes_out,
        };
        self.app.metrics.in_flight.dec();
        self.app.metrics.count(&done);
        tracing::info!(
            method = self.method.as_str(),
            plane = done.plane.name(),
            operation = done.operation,
            repository = self.info.repository.as_deref(),
            status = done.status,
            bytes_in = done.bytes_in,
            bytes_out = done.bytes_out,
            duration_ms = done.duration.as_secs_f64() * 1e3,
            request_id = %self.request_id,
            account = self.info.account.as_ref().map(AccountId::as_str),
            "{} {} answered {}", self.method, done.operation, done.status
        );
    }
}
