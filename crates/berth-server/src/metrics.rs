//! Counters for Prometheus, in the OpenMetrics text format.

use std::time::Duration;

use berth_registry::collector::Collected;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

/// The content type of what [`Metrics::encode`] writes.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper bounds in seconds. The lowest tell cached manifest reads apart, the highest large layers.
const DURATION_BUCKETS: [f64; 14] =
    [0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 5.0, 15.0, 60.0, 300.0];

/// Which of the server's interfaces a request came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Plane {
    /// `/v2/`
    Oci,
    /// The ECR API.
    Ecr,
    /// Download URLs.
    Download,
    /// Health, metrics, and whatever is not there.
    Server,
}

impl Plane {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Oci => "oci",
            Self::Ecr => "ecr",
            Self::Download => "download",
            Self::Server => "server",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    plane: &'static str,
    operation: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabels {
    plane: &'static str,
    operation: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PlaneLabels {
    plane: &'static str,
}

/// A request, done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Done {
    pub(crate) plane: Plane,
    pub(crate) operation: &'static str,
    pub(crate) status: u16,
    pub(crate) duration: Duration,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
}

/// How much the registry holds, at the time of a scrape.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) repositories: u64,
    pub(crate) images: u64,
    pub(crate) uploads: u64,
}

/// Every counter of the server.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    duration: Family<OperationLabels, Histogram, fn() -> Histogram>,
    bytes_in: Family<PlaneLabels, Counter>,
    bytes_out: Family<PlaneLabels, Counter>,
    /// Requests whose answer has not been sent whole.
    pub(crate) in_flight: Gauge,
    /// Open connections.
    pub(crate) connections: Gauge,
    repositories: Gauge,
    images: Gauge,
    uploads: Gauge,
    resident: Gauge,
    collected_blobs: Counter,
    collected_bytes: Counter,
    expired_images: Counter,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(DURATION_BUCKETS);
        let metrics = Self {
            requests: Family::default(),
            duration: Family::new_with_constructor(histogram),
            bytes_in: Family::default(),
            bytes_out: Family::default(),
            in_flight: Gauge::default(),
            connections: Gauge::default(),
            repositories: Gauge::default(),
            images: Gauge::default(),
            uploads: Gauge::default(),
            resident: Gauge::default(),
            collected_blobs: Counter::default(),
            collected_bytes: Counter::default(),
            expired_images: Counter::default(),
            registry: Registry::default(),
        };
        metrics.registered()
    }

    fn registered(mut self) -> Self {
        let help = "Memory of the process that is in RAM";
        self.registry.register_with_unit("process_resident_memory", help, Unit::Bytes, self.resident.clone());
        let registry = self.registry.sub_registry_with_prefix("berth");
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The running version", build);
        registry.register("requests", "Requests answered", self.requests.clone());
        registry.register_with_unit(
            "request_duration",
            "From the head of a request to the last byte of its answer",
            Unit::Seconds,
            self.duration.clone(),
        );
        registry.register_with_unit("received", "Request bodies", Unit::Bytes, self.bytes_in.clone());
        registry.register_with_unit("sent", "Answer bodies", Unit::Bytes, self.bytes_out.clone());
        registry.register("requests_in_flight", "Requests being served", self.in_flight.clone());
        registry.register("connections", "Open connections", self.connections.clone());
        registry.register("repositories", "Repositories in all registries", self.repositories.clone());
        registry.register("images", "Manifests in all repositories", self.images.clone());
        registry.register("uploads_open", "Unfinished uploads", self.uploads.clone());
        let help = "Images deleted by scheduled runs of lifecycle policies";
        registry.register("expired_images", help, self.expired_images.clone());
        let help = "Blobs deleted because nothing referred to them";
        registry.register("collected_blobs", help, self.collected_blobs.clone());
        let help = "Length of the blobs deleted because nothing referred to them";
        registry.register_with_unit("collected", help, Unit::Bytes, self.collected_bytes.clone());
        self
    }

    /// Counts images that a scheduled run deleted.
    pub(crate) fn count_expired(&self, images: u64) {
        self.expired_images.inc_by(images);
    }

    /// Counts what the collector did.
    pub(crate) fn count_collected(&self, collected: &Collected) {
        self.collected_blobs.inc_by(collected.blobs);
        self.collected_bytes.inc_by(collected.bytes);
    }

    /// Counts a request.
    pub(crate) fn count(&self, done: &Done) {
        let (plane, operation) = (done.plane.name(), done.operation);
        self.requests.get_or_create(&RequestLabels { plane, operation, status: done.status }).inc();
        let duration = self.duration.get_or_create(&OperationLabels { plane, operation });
        duration.observe(done.duration.as_secs_f64());
        drop(duration);
        for (family, bytes) in [(&self.bytes_in, done.bytes_in), (&self.bytes_out, done.bytes_out)] {
            if bytes > 0 {
                family.get_or_create(&PlaneLabels { plane }).inc_by(bytes);
            }
        }
    }

    /// Every metric as text.
    pub(crate) fn encode(&self, totals: Totals) -> Result<String, std::fmt::Error> {
        for (gauge, total) in [
            (&self.repositories, totals.repositories),
            (&self.images, totals.images),
            (&self.uploads, totals.uploads),
        ] {
            gauge.set(i64::try_from(total).unwrap_or(i64::MAX));
        }
        self.resident.set(resident_bytes().unwrap_or(0));
        let mut text = String::with_capacity(16 * 1024);
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// What the kernel says; `None` where there is no `/proc`.
fn resident_bytes() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_it_counted() {
        let metrics = Metrics::new();
        metrics.in_flight.inc();
        metrics.count(&Done {
            plane: Plane::Oci,
            operation: "GetManifest",
            status: 200,
            duration: Duration::from_micros(700),
            bytes_in: 0,
            bytes_out: 42,
        });
        let text = metrics.encode(Totals { repositories: 3, images: 5, uploads: 1 }).unwrap();
        for line in [
            r#"berth_build_info{version=""#,
            r#"berth_requests_total{plane="oci",operation="GetManifest",status="200"} 1"#,
            r#"berth_request_duration_seconds_count{plane="oci",operation="GetManifest"} 1"#,
            r#"berth_request_duration_seconds_bucket{le="0.001",plane="oci",operation="GetManifest"} 1"#,
            r#"berth_sent_bytes_total{plane="oci"} 42"#,
            "berth_requests_in_flight 1",
            "berth_repositories 3",
            "berth_images 5",
            "berth_uploads_open 1",
            "process_resident_memory_bytes ",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("berth_received_bytes_total{"), "nothing was received:\n{text}");
    }
}
