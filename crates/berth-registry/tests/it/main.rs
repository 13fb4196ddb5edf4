//! The registry over real stores: a file per noun, every documented error of every operation, faults and restarts.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod blobs;
mod collector;
mod deletion;
mod downloads;
mod faults;
mod faulty_meta;
mod fixture;
mod images;
mod lifecycle_policies;
mod lifecycle_runs;
mod listings;
mod previews;
mod properties;
mod pushes;
mod races;
mod registry;
mod repositories;
mod resource_tags;
mod tokens;
mod uploads;
