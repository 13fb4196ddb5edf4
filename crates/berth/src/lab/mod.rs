//! The policy lab: what a policy would do, said before it does it.
//!
//! Here is what computes and phrases; deciding what happens to an image is `berth-lifecycle`, reading the command line and
//! talking to a registry is [`crate::commands`]. Nothing here knows the time or writes to the terminal.

pub(crate) mod compare;
pub(crate) mod cost;
pub(crate) mod error;
pub(crate) mod expectations;
pub(crate) mod explain;
pub(crate) mod files;
pub(crate) mod forecast;
pub(crate) mod images;
pub(crate) mod lint;
pub(crate) mod simulate;
pub(crate) mod snippet;
pub(crate) mod sources;
pub(crate) mod text;
pub(crate) mod units;
pub(crate) mod usage;
