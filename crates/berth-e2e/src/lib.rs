//! The tools of the black-box suite: start a `berth serve`, speak to it over HTTP, build images, run real clients.
//!
//! Nothing here uses a crate of this workspace, so a mistake in our own parsing or hashing cannot hide itself in the
//! tests. The tests are in `tests/it`; a folder there is a face of the registry, a function one behaviour.
//!
//! Environment:
//! - `BERTH_BIN`: the program under test. Absent: `berth` of the target directory that the tests were built in.
//! - `BERTH_E2E_URL`: test a running registry at this `http://` address instead; tests that must own the process or
//!   its data directory refuse to run.
//! - `BERTH_E2E_PLAIN=1`: that registry has no ECR API and no login (any OCI registry). Only the `oci` tests apply,
//!   which is how the suite itself is checked.

pub mod api;
pub mod command;
pub mod fixture;
pub mod image;
pub mod oci;
pub mod server;
pub mod target;

/// The account of a server started without `--account-id`.
pub const ACCOUNT: &str = "000000000000";
/// The region of a server started without `--region`.
pub const REGION: &str = "us-east-1";
