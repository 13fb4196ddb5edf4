//! The OCI Distribution Spec 1.1 over plain HTTP. Every test says one thing a registry must do, and works against any
//! OCI registry except where its name says ECR.

mod auth;
mod blobs;
mod errors;
mod hostile;
mod manifests;
mod referrers;
mod tags;
mod uploads;
