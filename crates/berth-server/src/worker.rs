//! Cleaning up beside the requests: lifecycle policies and the collector, on timers.
//!
//! The work is cut into small steps with a pause after each, so that requests hardly notice it; what it does is the
//! registry's business.

use std::sync::Arc;
use std::time::Duration;

use berth_registry::collector::{CollectLimits, Collected, GRACE_DEFAULT};

use crate::App;
use crate::telemetry::chain;

/// When and how fast cleaning up is done.
#[derive(Clone, Copy, Debug)]
pub struct CleanUp {
    /// How often the collector and the scheduler look whether there is anything to do.
    pub interval: Duration,
    /// How often each lifecycle policy is run.
    pub lifecycle_interval: Duration,
    /// How long a blob that nothing refers to stays.
    pub grace: Duration,
    /// Blobs looked at per second, at most.
    pub blobs_per_second_max: usize,
}

impl Default for CleanUp {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(60),
            lifecycle_interval: Duration::from_secs(3600),
            grace: GRACE_DEFAULT,
            blobs_per_second_max: 500,
        }
    }
}

/// Collects blobs for ever.
pub(crate) async fn collect(app: Arc<App>) {
    let CleanUp { interval, grace, blobs_per_second_max, .. } = app.options.clean_up;
    let limits = CollectLimits { grace, blobs_max: blobs_per_second_max.max(1) };
    let mut ticks = crate::serve::ticks(interval);
    loop {
        ticks.tick().await;
        let mut total = Collected::default();
        loop {
            match app.registry.collect(limits).await {
                Ok(step) => {
                    app.metrics.count_collected(&step);
                    total.blobs += step.blobs;
                    total.bytes = total.bytes.saturating_add(step.bytes);
                    if !step.more {
                        break;
                    }
                }
                Err(error) => {
                    tracing::warn!(error = chain(&error), "cannot collect blobs");
                    break;
                }
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        if total.blobs > 0 {
            tracing::info!(blobs = total.blobs, bytes = total.bytes, "deleted blobs that nothing refers to");
        }
    }
}

/// Runs lifecycle policies that are due, for ever. Other processes on the same stores take their share.
pub(crate) async fn run_lifecycle(app: Arc<App>) {
    let CleanUp { interval, lifecycle_interval, .. } = app.options.clean_up;
    let mut ticks = crate::serve::ticks(interval);
    loop {
        ticks.tick().await;
        loop {
            match app.registry.run_due_lifecycle(lifecycle_interval).await {
                Ok(Some((repository, run))) => {
                    app.metrics.count_expired(run.images);
                    if run.images > 0 {
                        tracing::info!(
                            %repository,
                            run = run.id.0,
                            images = run.images,
                            freed_bytes = run.freed_bytes,
                            "deleted images by their lifecycle policy"
                        );
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(error = chain(&error), "cannot run a lifecycle policy");
                    break;
                }
            }
        }
    }
}
