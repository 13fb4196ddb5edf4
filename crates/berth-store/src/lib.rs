//! Where a registry keeps things: blobs, metadata, and the sealing between the registry and both.
//!
//! - [`blob`] has the [`blob::BlobStore`] trait and its backends. A backend sees ciphertext only.
//! - [`seal`] turns plaintext into what a backend keeps, and back: keys, streaming writer, ranged reader.
//! - [`meta`] has the [`meta::MetaStore`] trait: coarse, transactional operations on repositories, images, tags, blobs and
//!   upload sessions, over SQLite.
//!
//! No rule of the registry is decided here, except those that must hold inside a transaction: tag mutability, references,
//! quotas. No HTTP, no protocol.

pub mod blob;
pub mod meta;
pub mod seal;
