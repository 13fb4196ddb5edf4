//! The registry over HTTP: one listener, two protocol planes, and what an operator looks at.
//!
//! | path | what | where |
//! |---|---|---|
//! | `/v2/…` | OCI Distribution Specification 1.1 | `oci` |
//! | `POST /` | Amazon ECR's JSON API and `sts:GetCallerIdentity` | `ecr` |
//! | `/layers/…` | content behind the URLs of `GetDownloadUrlForLayer` | `downloads` |
//! | `/healthz`, `/readyz`, `/metrics` | is it alive, can it serve, what does it do | `status` |
//!
//! Here live decoding, authentication, encoding, limits on what a client may send and how slowly, logs and metrics. Rules
//! about repositories and images do not: those are [`berth_registry`]'s, so that they hold on both planes.

mod access;
mod app;
mod auth;
mod dispatch;
mod downloads;
mod ecr;
mod http;
mod metrics;
mod oci;
mod serve;
mod status;
pub mod telemetry;
mod worker;

pub(crate) use app::App;
pub use app::{ServerOptions, Timeouts};
pub use serve::{ServeError, serve};
pub use worker::CleanUp;
