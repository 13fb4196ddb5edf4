//! Integration tests of the stores, in one binary.
#![expect(clippy::unwrap_used, reason = "these are tests")]

mod blob;
mod oracle;
mod seal;
