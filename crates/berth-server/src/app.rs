//! What every request handler shares, and the settings a program gives.

use std::sync::Arc;
use std::time::Duration;

use berth_registry::{Registry, RegistryHost};
use berth_types::{RegistryId, limits};
use http::HeaderMap;

use crate::auth::origin::OriginGuard;
use crate::http::request_id::RequestIds;
use crate::metrics::Metrics;
use crate::worker::CleanUp;

/// How the server treats its clients.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Names in the `Host` header that are accepted besides loopback names and the registry's own: host names or addresses
    /// without port. `*` accepts any, which gives up the protection against web pages on the same machine.
    pub allowed_hosts: Vec<String>,
    /// Whether `X-Forwarded-Proto` is believed: only where every request comes through a proxy that sets it.
    pub trust_forwarded: bool,
    /// Connections served at once; more wait in the kernel's backlog.
    pub connections_max: usize,
    /// How long requests in flight may go on after shutdown was asked for.
    pub shutdown_deadline: Duration,
    /// How often expired uploads are looked for.
    pub upload_expiry_interval: Duration,
    /// How often the pull times noted in memory are written.
    pub pull_flush_interval: Duration,
    /// When and how fast what nobody needs any more is deleted.
    pub clean_up: CleanUp,
    /// How long a client may be silent.
    pub timeouts: Timeouts,
}

/// How long a client may be silent.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// From the connection, or from the end of the previous answer, to the end of a request's head.
    pub head: Duration,
    /// Between two reads of a request's body, or two writes of an answer.
    pub idle: Duration,
    /// How long a connection is still read after an answer that did not wait for the whole request, so that the client
    /// sees the answer instead of a reset.
    pub linger: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(limits::HEADER_SECONDS_MAX),
            idle: Duration::from_secs(limits::IDLE_SECONDS_MAX),
            linger: Duration::from_secs(5),
        }
    }
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            allowed_hosts: Vec::new(),
            trust_forwarded: false,
            connections_max: 10_000,
            shutdown_deadline: Duration::from_secs(30),
            upload_expiry_interval: Duration::from_secs(600),
            pull_flush_interval: Duration::from_secs(10),
            clean_up: CleanUp::default(),
            timeouts: Timeouts::default(),
        }
    }
}

/// What every request handler shares.
pub(crate) struct App {
    /// The registry.
    pub(crate) registry: Registry,
    /// Counters.
    pub(crate) metrics: Metrics,
    /// Which `Host` and `Origin` headers are served.
    pub(crate) origin_guard: OriginGuard,
    /// Names requests.
    pub(crate) request_ids: RequestIds,
    /// Settings.
    pub(crate) options: ServerOptions,
}

impl App {
    pub(crate) fn new(registry: Registry, options: ServerOptions) -> Arc<Self> {
        let config = registry.config();
        let origin_guard =
            OriginGuard::new(config.host.clone(), &config.default_registry, &options.allowed_hosts);
        Arc::new(Self {
            metrics: Metrics::new(),
            origin_guard,
            request_ids: RequestIds::new(),
            registry,
            options,
        })
    }

    /// The registry that a `Host` header names.
    pub(crate) fn registry_of_host(&self, host: &str) -> RegistryId {
        RegistryHost::registry_of_host(host)
            .unwrap_or_else(|| self.registry.config().default_registry.clone())
    }

    /// The scheme that the client used to reach this server. There is no TLS here; a proxy that has it says so.
    pub(crate) fn scheme(&self, headers: &HeaderMap) -> &'static str {
        let forwarded = headers.get("x-forwarded-proto").filter(|_| self.options.trust_forwarded);
        if forwarded.is_some_and(|proto| proto == "https") { "https" } else { "http" }
    }
}
