//! Where sealed blobs are kept.
//!
//! An object is written once, from front to back, and never changed afterwards. It is named by a random [`ObjectId`], not
//! by the digest of what is in it: the metadata maps digests to objects. So an object needs no rename or copy when its
//! digest becomes known (an S3 server could not rename at all), and deleting one object can never hit a newer object with
//! the same content.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

pub mod conformance;
pub mod fault;
pub mod fs;
pub mod memory;

/// The encryption domain that an object belongs to. Objects of one domain are sealed under one domain key, and blobs are
/// shared between repositories of one domain only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DomainId(pub uuid::Uuid);

/// The name of an object: random, unique for all time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId {
    /// The domain under which it is sealed.
    pub domain: DomainId,
    /// Its own part of the name.
    pub id: uuid::Uuid,
}

impl ObjectId {
    /// A new name in `domain`.
    #[must_use]
    pub fn random(domain: DomainId) -> Self {
        Self { domain, id: uuid::Uuid::new_v4() }
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.domain.0.as_simple(), self.id.as_simple())
    }
}

/// What went wrong in a backend.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// There is no such object, or less of it than was said to be there.
    #[error("object {0} is not there")]
    Missing(ObjectId),
    /// No room is left.
    #[error("no space left to store object {0}")]
    Full(ObjectId),
    /// Anything else that the backend reports.
    #[error("cannot {action} object {object}")]
    Backend {
        /// What was being done, as a verb.
        action: &'static str,
        /// To which object.
        object: ObjectId,
        /// The backend's own error.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A place that keeps objects.
///
/// Contract, held by [`conformance`] for every backend:
/// - What [`ObjectWriter::finish`] acknowledged is readable, whole, after a crash of the machine.
/// - What [`ObjectWriter::flush`] acknowledged is still there after a crash of the process: [`BlobStore::reopen`] with the
///   state it returned continues from exactly there, and drops whatever was written later.
/// - An object that is being written may be opened for reading by its own upload only (to hash it again); nothing else
///   knows its name.
/// - [`BlobStore::reopen`] and [`BlobStore::delete`] end all earlier writers of the object: whatever one of them still had
///   under way is either done when the call returns, or fails.
/// - [`BlobStore::delete`] of an absent object is no error; it works on finished and unfinished objects, and open readers
///   go on reading.
#[async_trait]
pub trait BlobStore: fmt::Debug + Send + Sync + 'static {
    /// Starts a new object. The name must never have been used before.
    ///
    /// # Errors
    /// [`BlobError::Full`], [`BlobError::Backend`].
    async fn create(&self, object: ObjectId) -> Result<Box<dyn ObjectWriter>, BlobError>;

    /// Continues an unfinished object at the state that [`ObjectWriter::flush`] returned.
    ///
    /// # Errors
    /// [`BlobError::Missing`] if less than that is there.
    async fn reopen(&self, object: ObjectId, state: &WriterState)
    -> Result<Box<dyn ObjectWriter>, BlobError>;

    /// Opens an object for reading.
    ///
    /// # Errors
    /// [`BlobError::Missing`].
    async fn open(&self, object: ObjectId) -> Result<Arc<dyn ObjectReader>, BlobError>;

    /// Removes an object.
    ///
    /// # Errors
    /// [`BlobError::Backend`].
    async fn delete(&self, object: ObjectId) -> Result<(), BlobError>;

    /// Whether the backend can be written to, for readiness checks.
    ///
    /// # Errors
    /// Whatever stands in the way.
    async fn check(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;
}

/// How far an unfinished object has come, in the backend's own words. Kept in the metadata, sealed with the rest of an
/// upload's state.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct WriterState {
    /// Length in bytes.
    pub length: u64,
    /// What else the backend must know to continue (S3: upload id and parts; files: which run of the machine it was).
    pub backend: Vec<u8>,
}

/// An object being written.
#[async_trait]
pub trait ObjectWriter: Send {
    /// Appends `data`.
    ///
    /// # Errors
    /// [`BlobError::Full`], [`BlobError::Backend`]. After an error the writer is of no further use; the object may be
    /// reopened at its last flushed state.
    async fn append(&mut self, data: Bytes) -> Result<(), BlobError>;

    /// Makes what was appended survive a crash of the process.
    ///
    /// # Errors
    /// As [`ObjectWriter::append`].
    async fn flush(&mut self) -> Result<WriterState, BlobError>;

    /// Ends the object and makes it survive a crash of the machine. The writer is of no use afterwards.
    ///
    /// # Errors
    /// As [`ObjectWriter::append`].
    async fn finish(&mut self) -> Result<(), BlobError>;
}

/// A finished object, open for reading.
#[async_trait]
pub trait ObjectReader: fmt::Debug + Send + Sync {
    /// Length in bytes.
    fn length(&self) -> u64;

    /// Reads `length` bytes from `offset`; fewer only at the end of the object.
    ///
    /// # Errors
    /// [`BlobError::Backend`].
    async fn read_at(&self, offset: u64, length: usize) -> Result<Bytes, BlobError>;
}
