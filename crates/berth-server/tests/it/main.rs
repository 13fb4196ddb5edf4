//! A real listener, real clients, hostile ones included.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics, in helper functions too")]

mod auth;
mod blobs;
mod clean_up;
mod ecr_images;
mod ecr_layers;
mod ecr_lifecycle;
mod ecr_protocol;
mod ecr_repositories;
mod ecr_resource_tags;
mod ecr_support;
mod hostile;
mod lists;
mod log;
mod manifests;
mod shutdown;
mod status;
mod support;
