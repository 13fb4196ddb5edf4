//! Integration tests of the stores, in one binary.

mod blob;
mod oracle;
mod seal;
