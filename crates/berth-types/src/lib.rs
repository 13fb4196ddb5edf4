//! The nouns of a container registry and their grammar.
//!
//! Every type here is parsed once, at the edge, and cannot hold an invalid value afterwards: a [`Digest`] is a digest, a
//! [`RepositoryName`] is a name that Amazon ECR would accept. Nothing in this crate does I/O or reads a clock; time comes
//! from a [`Clock`] that the caller passes.

pub mod arn;
pub mod clock;
pub mod digest;
pub mod limits;
pub mod manifest;
pub mod media_type;
pub mod mutability;
pub mod name;
pub mod pattern;
pub mod registry_id;
pub mod upload_id;

pub use arn::{ArnError, RepositoryArn};
pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use digest::{Algorithm, Digest, DigestError};
pub use manifest::{Descriptor, Manifest, ManifestBody, ManifestError};
pub use media_type::{ManifestKind, MediaType};
pub use mutability::{MutabilityError, TagMutability, TagMutabilityMode};
pub use name::{NameError, Reference, RepositoryName, Tag, TagError};
pub use pattern::WildcardPattern;
pub use registry_id::{AccountId, AccountIdError, Region, RegionError, RegistryId};
pub use upload_id::UploadId;
