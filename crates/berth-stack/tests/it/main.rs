//! The module against a registry in memory, and its files against what is said about them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails there")]

mod apply;
mod classify;
mod plan;
mod properties;
mod spec;
mod support;
