//! Every operation of the registry, for both planes, without HTTP.
//!
//! A protocol decodes a request into one call of [`Registry`] and encodes what comes back. Rules hold here, once: a rule
//! cannot hold on one plane and not on the other. Each method takes the [`Caller`], checks that the caller may do it, and
//! says what went wrong as an [`Error`] that a protocol maps to its own codes.

pub mod blobs;
pub mod collector;
pub mod context;
mod deletion;
mod download;
pub mod endpoint;
pub mod error;
mod failure;
pub mod images;
mod keys;
pub mod lifecycle;
mod lifecycle_images;
pub mod lifecycle_undo;
pub mod operation;
pub mod preview;
mod pulls;
pub mod repositories;
mod resource_tags;
mod session;
mod signature;
pub mod token;
pub mod uploads;
mod writing;

pub use berth_store::meta::{
    Encryption, ImageCursor, ImageIdCursor, ImageIdRecord, ImageRecord, LifecycleRunId, LifecycleRunImage,
    PutOutcome, RepositoryRecord, TagChange, TagStatus,
};
pub use context::{Caller, Config, OpenError, Principal, Registry};
pub use download::DOWNLOAD_PATH_PREFIX;
pub use endpoint::{RegistryHost, RegistryHostError};
pub use error::{Error, ImageId, Result};
pub use operation::Operation;
