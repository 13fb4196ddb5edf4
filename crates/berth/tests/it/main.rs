//! The program as its users meet it: run in a sealed environment, everything that it prints looked at.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails there")]

mod lab_lint;
mod lab_online;
mod lab_simulate;
mod lab_vectors;
mod module;
mod support;
