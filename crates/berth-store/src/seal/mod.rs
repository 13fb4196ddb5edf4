//! Between the registry and the blob store: plaintext in, sealed objects out, and back.
//!
//! - [`RootKey`] is the operator's secret; [`DomainKey`] is the key of an encryption domain and seals small records itself.
//! - [`SealedBlobs`] writes and reads objects of any size in a [`BlobStore`], and hashes what it writes. Any range opens
//!   alone; truncated, reordered, mixed up or changed objects do not open. An unfinished object can be resumed after a
//!   crash, by this or another process.
//!
//! Plaintext never reaches the blob store, temporary files or an upload's saved state. The layout on disk is described in
//! `docs/storage-format.md`. Which object belongs to which digest, and who may read it, is not decided here.

use std::sync::Arc;

use berth_types::{Algorithm, Digest};
use futures_util::StreamExt as _;

use crate::blob::{BlobError, BlobStore, ObjectId};

mod checkpoint;
mod format;
mod key;
mod load;
mod reader;
mod root;
#[cfg(test)]
mod tests;
mod writer;

pub use format::sealed_length;
pub use key::DomainKey;
pub use reader::BlobReader;
pub use root::{RootKey, RootKeyError};
pub use writer::{BlobWriter, FinishedBlob};

/// Why something cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The blob store says so.
    #[error(transparent)]
    Store(#[from] BlobError),
    /// The root key is not the one that this data was sealed with.
    #[error("the root key is not the one that this data directory was made with")]
    WrongRootKey,
    /// The object was sealed under another domain key.
    #[error("object {object} is sealed under another domain key")]
    WrongKey {
        /// The object.
        object: ObjectId,
    },
    /// The object is not what was written.
    #[error("object {object} is damaged: {what}")]
    Corrupt {
        /// The object.
        object: ObjectId,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A sealed record or checkpoint was changed, or belongs to something else.
    #[error("a sealed record does not open: it was changed, or belongs to something else")]
    Record,
    /// It was written by a newer version of this program.
    #[error("format version {found} is newer than this program knows")]
    Version {
        /// The version.
        found: u16,
    },
    /// The plaintext is longer than can be sealed: 256 TiB for an object.
    #[error("too long to be sealed")]
    TooLong,
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Random,
    /// An earlier call on this writer failed or was abandoned, or the runtime is shutting down.
    #[error("the work was interrupted")]
    Interrupted,
}

/// Sealed objects in a blob store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SealedBlobs {
    store: Arc<dyn BlobStore>,
    writers: Arc<load::Load>,
    readers: Arc<load::Load>,
    layout: format::Layout,
}

impl SealedBlobs {
    /// Sealed objects in `store`.
    #[must_use]
    pub fn new(store: Arc<dyn BlobStore>) -> Self {
        Self { store, writers: Arc::default(), readers: Arc::default(), layout: format::Layout::DEFAULT }
    }

    /// Starts a new object. SHA-256 of the plaintext is computed always, `also` as well if it is another algorithm.
    ///
    /// # Errors
    /// [`SealError::Store`], [`SealError::Random`].
    pub async fn create(
        &self,
        key: &DomainKey,
        object: ObjectId,
        also: Option<Algorithm>,
    ) -> Result<BlobWriter, SealError> {
        BlobWriter::create(&*self.store, &self.writers, key, object, also, self.layout).await
    }

    /// Goes on writing an object at a checkpoint. What was written after it is dropped.
    ///
    /// # Errors
    /// [`SealError::Store`] with [`BlobError::Missing`] if the store has less than the checkpoint says;
    /// [`SealError::Record`] if the checkpoint is not one of this object; [`SealError::Version`].
    pub async fn resume(
        &self,
        key: &DomainKey,
        object: ObjectId,
        checkpoint: &[u8],
    ) -> Result<BlobWriter, SealError> {
        BlobWriter::resume(&*self.store, &self.writers, key, object, checkpoint).await
    }

    /// Opens a finished object for reading.
    ///
    /// # Errors
    /// [`SealError::Store`] with [`BlobError::Missing`] if it is not there; [`SealError::WrongKey`];
    /// [`SealError::Corrupt`] if header or length are wrong already; [`SealError::Version`].
    pub async fn open(&self, key: &DomainKey, object: ObjectId) -> Result<BlobReader, SealError> {
        BlobReader::open(&*self.store, &self.readers, key, object).await
    }

    /// Reads a finished object again and hashes its plaintext.
    ///
    /// # Errors
    /// As [`SealedBlobs::open`]; [`SealError::Corrupt`] if any of it is damaged.
    pub async fn digest(
        &self,
        key: &DomainKey,
        object: ObjectId,
        algorithm: Algorithm,
    ) -> Result<Digest, SealError> {
        let reader = self.open(key, object).await?;
        let bytes = reader.bytes();
        let mut hashes = checkpoint::Hashes::new(Some(algorithm));
        let mut pieces = std::pin::pin!(reader.stream(0..bytes));
        while let Some(piece) = pieces.next().await {
            let piece = piece?;
            let hashed = tokio::task::spawn_blocking(move || {
                hashes.update(&piece);
                hashes
            });
            hashes = hashed.await.map_err(|_| SealError::Interrupted)?;
        }
        let (sha256, sha512) = hashes.finish();
        Ok(if algorithm == Algorithm::Sha256 { sha256 } else { sha512.unwrap_or(sha256) })
    }

    /// Removes an object, finished or not. That there is none is no error.
    ///
    /// # Errors
    /// [`SealError::Store`].
    pub async fn delete(&self, object: ObjectId) -> Result<(), SealError> {
        Ok(self.store.delete(object).await?)
    }

    /// Whether the store can be written to, for readiness checks.
    ///
    /// # Errors
    /// Whatever stands in the way.
    pub async fn check(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        self.store.check().await
    }
}
