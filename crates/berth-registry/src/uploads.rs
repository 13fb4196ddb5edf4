//! Upload sessions: start, append in order, status, complete, cancel. The chunked upload of the OCI plane and the layer
//! parts of the API are the same sessions. What happens between the first byte of a request and its answer is in
//! `writing`.

use std::pin::Pin;
use std::time::Duration;

use berth_store::blob::ObjectId;
use berth_store::meta::{RepositoryId, UploadProgress, UploadRecord};
use berth_types::{Algorithm, Digest, RepositoryName, UploadId, limits};
use bytes::Bytes;
use futures_util::Stream;

use crate::blobs::BlobHead;
use crate::context::{Caller, Registry, Target};
use crate::error::{BodyError, Error, Result};
use crate::failure::{self, Subject};
use crate::operation::Operation;
use crate::session::Kept;
use crate::writing::Writing;

/// Sessions or objects handled in one transaction by [`Registry::expire_uploads`].
const EXPIRE_BATCH_MAX: usize = 100;

/// A request's body as it arrives.
pub type Body<'a> = Pin<Box<dyn Stream<Item = std::result::Result<Bytes, BodyError>> + Send + 'a>>;

/// A part of an upload.
pub struct Chunk<'a> {
    /// The bytes.
    pub body: Body<'a>,
    /// Where the client says that it begins; `None` continues where the session stands.
    pub first_byte: Option<u64>,
    /// How many bytes the client says there are.
    pub bytes: Option<u64>,
}

/// A blob that an upload has become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompletedBlob {
    /// The blob.
    pub blob: BlobHead,
    /// The repository had it before (`CompleteLayerUpload` then answers `LayerAlreadyExists`).
    pub existed: bool,
}

impl Registry {
    /// Starts a session. `algorithm` is the digest algorithm that the client announces, if it does.
    ///
    /// # Errors
    /// `RepositoryNotFound`, `LimitExceeded`.
    pub async fn start_upload(
        &self,
        caller: &Caller,
        name: &RepositoryName,
        algorithm: Option<Algorithm>,
    ) -> Result<UploadId> {
        let target = self.target(caller, Operation::InitiateLayerUpload, name).await?;
        let upload = self.new_session(&target).await?;
        // Only a hint: without it the object is read a second time at the end.
        self.sessions().keep(upload.id, Kept::Started(algorithm), self.now());
        Ok(upload.id)
    }

    /// How many bytes a session has.
    ///
    /// # Errors
    /// `RepositoryNotFound`, `UploadNotFound`.
    pub async fn upload_bytes(
        &self,
        caller: &Caller,
        name: &RepositoryName,
        upload: UploadId,
    ) -> Result<u64> {
        let target = self.target(caller, Operation::UploadLayerPart, name).await?;
        Ok(self.session(&target, upload).await?.progress.bytes)
    }

    /// Appends a chunk and returns how many bytes the session then has. What it returned survives a crash of the process.
    /// A chunk that is cut off leaves the session where it stood before it.
    ///
    /// # Errors
    /// `RepositoryNotFound`, `UploadNotFound`, `UploadOutOfOrder`, `PartLengthMismatch`, `UploadBusy`, `BlobTooLarge`,
    /// `Body`, `StorageFull`.
    pub async fn append_upload(
        &self,
        caller: &Caller,
        name: &RepositoryName,
        upload: UploadId,
        chunk: Chunk<'_>,
    ) -> Result<u64> {
        let target = self.target(caller, Operation::UploadLayerPart, name).await?;
        let writing = self.continue_session(target, upload, chunk.first_byte, chunk.bytes).await?;
        writing.append(chunk).await
    }

    /// Completes a session with a last chunk (which may be empty): one of `digests` must be the content's. Durable when it
    /// returns. After `BlobDigestMismatch` the session is gone; after `Body` it stands where it stood.
    ///
    /// # Errors
    /// As [`Registry::append_upload`], and `BlobDigestMismatch`.
    pub async fn complete_upload(
        &self,
        caller: &Caller,
        name: &RepositoryName,
        upload: UploadId,
        chunk: Chunk<'_>,
        digests: &[Digest],
    ) -> Result<CompletedBlob> {
        let target = self.target(caller, Operation::CompleteLayerUpload, name).await?;
        let mut writing = self.continue_session(target, upload, chunk.first_byte, chunk.bytes).await?;
        writing.announce(digests);
        writing.complete(chunk, digests.to_vec()).await
    }

    /// A whole blob in one request, without a session that anybody else sees.
    ///
    /// # Errors
    /// As [`Registry::complete_upload`].
    pub async fn put_blob(
        &self,
        caller: &Caller,
        name: &RepositoryName,
        chunk: Chunk<'_>,
        digest: &Digest,
    ) -> Result<CompletedBlob> {
        for operation in [Operation::UploadLayerPart, Operation::CompleteLayerUpload] {
            self.authorize(caller, operation, Some(name))?;
        }
        let target = self.target(caller, Operation::InitiateLayerUpload, name).await?;
        in_order(&target, None, 0, chunk.first_byte, chunk.bytes)?;
        // The row comes first: should the process end here, expiry finds the object by it.
        let record = self.new_session(&target).await?;
        let (claim, _) = self.sessions().claim(record.id).await.ok_or(Error::UploadBusy(record.id))?;
        let key = self.key_of(&target.record).await?;
        let mut writing =
            Writing::new(self.clone(), claim, target.place, key, record, Some(Kept::Started(None)));
        writing.discard_unless_completed();
        writing.announce(&[*digest]);
        writing.complete(chunk, vec![*digest]).await
    }

    /// Ends a session and forgets what was sent.
    ///
    /// # Errors
    /// `RepositoryNotFound`, `UploadNotFound`, `UploadBusy`.
    pub async fn cancel_upload(
        &self,
        caller: &Caller,
        name: &RepositoryName,
        upload: UploadId,
    ) -> Result<()> {
        let target = self.target(caller, Operation::InitiateLayerUpload, name).await?;
        // A writer at work could make the object anew after it was deleted.
        let (_claim, _kept) = self.sessions().claim(upload).await.ok_or(Error::UploadBusy(upload))?;
        let object =
            self.meta().cancel_upload(target.record.id, upload).await.map_err(|error| {
                target.place.failed_about("cancel an upload", Subject::Upload(upload), error)
            })?;
        self.dispose(&[object]).await;
        Ok(())
    }

    /// Ends sessions that got no byte for [`limits::UPLOAD_IDLE_HOURS_MAX`], and deletes objects that nothing refers to
    /// and that could not be deleted when that happened; for a timer, every few minutes: files that were kept open for a
    /// next request are closed, too. Returns how many sessions were ended.
    ///
    /// # Errors
    /// [`Error::Internal`]; what is left is for the next call.
    pub async fn expire_uploads(&self) -> Result<usize> {
        self.sessions().drop_idle(self.now());
        let before = self.now().minus(Duration::from_secs(limits::UPLOAD_IDLE_HOURS_MAX * 3600));
        let failed = |error| failure::installation("expire uploads", error);
        let mut expired = 0;
        loop {
            let objects = self.meta().expire_uploads(before, EXPIRE_BATCH_MAX).await.map_err(failed)?;
            expired += objects.len();
            self.dispose(&objects).await;
            if objects.len() < EXPIRE_BATCH_MAX {
                break;
            }
        }
        loop {
            let objects = self.meta().dead_objects(EXPIRE_BATCH_MAX).await.map_err(failed)?;
            if !self.dispose(&objects).await || objects.len() < EXPIRE_BATCH_MAX {
                return Ok(expired);
            }
        }
    }

    async fn new_session(&self, target: &Target) -> Result<UploadRecord> {
        let now = self.now();
        let record = UploadRecord {
            id: UploadId::random(),
            repository: target.record.id,
            object: ObjectId::random(target.record.domain),
            created_at: now,
            progress: UploadProgress { bytes: 0, checkpoint: None, updated_at: now },
        };
        let created = self.meta().create_upload(&record).await;
        created.map_err(|error| target.place.failed("start an upload", error))?;
        Ok(record)
    }

    async fn session(&self, target: &Target, upload: UploadId) -> Result<UploadRecord> {
        let repository: RepositoryId = target.record.id;
        match self.meta().upload(repository, upload).await {
            Ok(Some(record)) => Ok(record),
            Ok(None) => Err(target.place.upload_not_found(upload)),
            Err(error) => Err(target.place.failed_about("look up an upload", Subject::Upload(upload), error)),
        }
    }

    /// Claims a session for a chunk that follows what it has. The chunk itself is not borrowed over an await: its body may
    /// be sent to another thread, but not shared between threads.
    async fn continue_session(
        &self,
        target: Target,
        upload: UploadId,
        first_byte: Option<u64>,
        bytes: Option<u64>,
    ) -> Result<Writing> {
        // Claimed before it is read, so that what is read stays true.
        let Some((claim, kept)) = self.sessions().claim(upload).await else {
            self.session(&target, upload).await?;
            return Err(Error::UploadBusy(upload));
        };
        let record = self.session(&target, upload).await?;
        if let Err(error) = in_order(&target, Some(upload), record.progress.bytes, first_byte, bytes) {
            if let Some(kept) = kept {
                self.sessions().keep(upload, kept, self.now());
            }
            return Err(error);
        }
        let key = self.key_of(&target.record).await?;
        Ok(Writing::new(self.clone(), claim, target.place, key, record, kept))
    }
}

/// Refuses, before a byte is read, a chunk that begins elsewhere or would be too long.
fn in_order(
    target: &Target,
    upload: Option<UploadId>,
    stands_at: u64,
    first_byte: Option<u64>,
    bytes: Option<u64>,
) -> Result<()> {
    if let Some(first_byte) = first_byte.filter(|first| *first != stands_at) {
        return Err(Error::UploadOutOfOrder {
            upload: upload.unwrap_or_else(UploadId::random),
            name: target.place.name.clone(),
            first_byte,
            expected: stands_at,
        });
    }
    let end = stands_at.checked_add(bytes.unwrap_or(0));
    if end.is_some_and(|end| end <= limits::BLOB_BYTES_MAX) { Ok(()) } else { Err(Error::BlobTooLarge) }
}
