//! One request writing to one upload session.
//!
//! Two tasks share the work. The request's own future reads the body and passes it on; it may be dropped at any moment,
//! because the client went away. The writing itself runs in a task of its own that owns the session's claim, so that the
//! claim is given up only when nothing is under way any more: a write that is still in flight can never hit what the next
//! request writes, and a commit that has begun is seen through.

use berth_store::blob::BlobError;
use berth_store::meta::{MetaError, NewBlob, UploadProgress, UploadRecord};
use berth_store::seal::{BlobWriter, DomainKey, FinishedBlob, SealError};
use berth_types::{Algorithm, Digest, limits};
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::sync::{mpsc, oneshot};

use crate::blobs::BlobHead;
use crate::context::Registry;
use crate::error::{Error, Result};
use crate::failure::{self, Place, Subject};
use crate::session::{Claim, Kept, SavedState};
use crate::uploads::{Chunk, CompletedBlob};

/// Pieces of a body between the two tasks. The writer has buffers of its own; more here would only cost memory.
const PIECES_WAITING_MAX: usize = 1;

/// A claimed session, ready to be written to.
pub(crate) struct Writing {
    session: Session,
    /// A writer that stands where the session stands, if one was kept.
    kept: Option<BlobWriter>,
}

struct Session {
    registry: Registry,
    claim: Claim,
    place: Place,
    key: DomainKey,
    record: UploadRecord,
    /// Nothing was ever written, so there is no object yet.
    fresh: bool,
    /// A digest algorithm that will be asked for at the end, besides SHA-256.
    also: Option<Algorithm>,
    discard_unless_completed: bool,
}

impl Writing {
    pub(crate) fn new(
        registry: Registry,
        claim: Claim,
        place: Place,
        key: DomainKey,
        record: UploadRecord,
        kept: Option<Kept>,
    ) -> Self {
        let stands_at = record.progress.checkpoint.as_deref().and_then(SavedState::of);
        let (fresh, also, kept) = match kept {
            Some(Kept::Started(announced)) => (true, announced, None),
            Some(Kept::Writer(writer, saved)) if stands_at == Some(saved) => (false, None, Some(*writer)),
            Some(Kept::Writer(..)) | None => (false, None, None),
        };
        let discard_unless_completed = false;
        let session = Session { registry, claim, place, key, record, fresh, also, discard_unless_completed };
        Self { session, kept }
    }

    /// Nobody but this request knows the session: whatever goes wrong, it ends with it.
    pub(crate) fn discard_unless_completed(&mut self) {
        self.session.discard_unless_completed = true;
    }

    /// Says which digests the content will be compared with, so that their hashes can be computed on the way.
    pub(crate) fn announce(&mut self, digests: &[Digest]) {
        if digests.iter().any(|digest| digest.algorithm() == Algorithm::Sha512) {
            self.session.also = Some(Algorithm::Sha512);
        }
    }

    /// Appends the chunk; returns how many bytes the session then has.
    pub(crate) async fn append(self, chunk: Chunk<'_>) -> Result<u64> {
        self.run(chunk, Session::acknowledge).await
    }

    /// Appends the chunk and makes the session a blob.
    pub(crate) async fn complete(self, chunk: Chunk<'_>, digests: Vec<Digest>) -> Result<CompletedBlob> {
        self.run(chunk, |session, writer| session.finish(writer, digests)).await
    }

    async fn run<T, F>(
        self,
        chunk: Chunk<'_>,
        end: impl FnOnce(Session, BlobWriter) -> F + Send + 'static,
    ) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let stands_at = self.session.record.progress.bytes;
        let (pieces, incoming) = mpsc::channel(PIECES_WAITING_MAX);
        let (whole, is_whole) = oneshot::channel();
        let written = tokio::spawn(self.session.drive(self.kept, incoming, is_whole, end));
        let passed_on = pass_on(chunk, stands_at, pieces).await;
        if passed_on.is_ok() {
            // If nobody listens, the writer has failed already, and its own error is the answer.
            let _ = whole.send(());
        } else {
            drop(whole);
        }
        let written = written.await.map_err(|error| failure::internal("write an upload", error))?;
        passed_on.and(written)
    }
}

impl Session {
    async fn drive<T, F>(
        self,
        kept: Option<BlobWriter>,
        incoming: mpsc::Receiver<Bytes>,
        is_whole: oneshot::Receiver<()>,
        end: impl FnOnce(Self, BlobWriter) -> F + Send,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let mut writer = match self.open(kept).await {
            Ok(writer) => writer,
            Err(error) => {
                self.give_up(None).await;
                return Err(error);
            }
        };
        if let Err(error) = write(&mut writer, incoming).await {
            self.give_up(Some(writer)).await;
            return Err(failure::sealed("store an upload", error));
        }
        if is_whole.await.is_err() {
            self.give_up(Some(writer)).await;
            return Err(failure::internal("store an upload", SealError::Interrupted));
        }
        end(self, writer).await
    }

    /// A writer that stands where the session stands.
    async fn open(&self, kept: Option<BlobWriter>) -> Result<BlobWriter> {
        if let Some(writer) = kept {
            return Ok(writer);
        }
        let (blobs, object) = (self.registry.blobs(), self.record.object);
        let Some(checkpoint) = &self.record.progress.checkpoint else {
            if !self.fresh {
                // An attempt that failed, or ended with its process, may have left something under this name.
                let deleted = blobs.delete(object).await;
                deleted.map_err(|error| failure::sealed("delete a half-written object", error))?;
            }
            let created = blobs.create(&self.key, object, self.also).await;
            return created.map_err(|error| failure::sealed("create an object", error));
        };
        match blobs.resume(&self.key, object, checkpoint).await {
            Ok(writer) => Ok(writer),
            Err(error) if self.is_lost(&error).await => {
                tracing::warn!(
                    %object, upload = %self.record.id, error = &error as &dyn std::error::Error,
                    "upload cannot be resumed and is ended"
                );
                self.discard().await?;
                Err(self.place.upload_not_found(self.record.id))
            }
            Err(error) => Err(failure::sealed("resume an upload", error)),
        }
    }

    /// Whether the session can never be resumed: what was acknowledged is gone (the machine crashed), or the object was
    /// finished and what should have followed did not happen.
    async fn is_lost(&self, error: &SealError) -> bool {
        match error {
            SealError::Store(BlobError::Missing(_)) => true,
            SealError::Store(BlobError::Backend { .. }) => {
                self.registry.blobs().open(&self.key, self.record.object).await.is_ok()
            }
            _ => false,
        }
    }

    /// Makes what was written the state of the session.
    async fn acknowledge(self, mut writer: BlobWriter) -> Result<u64> {
        let (expected, bytes) = (self.record.progress.bytes, writer.bytes());
        let saved = if bytes > expected {
            let checkpoint = writer.checkpoint().await;
            let checkpoint = checkpoint.map_err(|error| failure::sealed("save an upload's state", error))?;
            let saved = SavedState::of(&checkpoint);
            let updated_at = self.registry.now();
            let progress = UploadProgress { bytes, checkpoint: Some(checkpoint), updated_at };
            let (meta, record) = (self.registry.meta(), &self.record);
            let advanced = meta.advance_upload(record.repository, record.id, expected, &progress).await;
            advanced.map_err(|error| self.failed("record an upload's progress", error))?;
            saved
        } else if let Some(checkpoint) = &self.record.progress.checkpoint {
            SavedState::of(checkpoint)
        } else {
            // Nothing was written and nothing was recorded: the next request creates the object.
            self.give_up(Some(writer)).await;
            return Ok(bytes);
        };
        if let Some(saved) = saved {
            let kept = Kept::Writer(Box::new(writer), saved);
            self.registry.sessions().keep(self.record.id, kept, self.registry.now());
        }
        drop(self.claim);
        Ok(bytes)
    }

    /// Makes the object a blob, if it has one of `digests`.
    async fn finish(self, writer: BlobWriter, digests: Vec<Digest>) -> Result<CompletedBlob> {
        let finished = self.finish_object(writer, &digests).await;
        if finished.is_err() && self.discard_unless_completed {
            let _ = self.discard().await;
        }
        finished
    }

    async fn finish_object(&self, writer: BlobWriter, digests: &[Digest]) -> Result<CompletedBlob> {
        let finished = writer.finish().await;
        let finished = finished.map_err(|error| failure::sealed("finish an object", error))?;
        let digest = match self.choose(&finished, digests).await? {
            Ok(digest) => digest,
            Err(calculated) => {
                self.discard().await?;
                return Err(Error::BlobDigestMismatch { calculated });
            }
        };
        let blob = NewBlob { digest, bytes: finished.bytes, created_at: self.registry.now() };
        let (meta, record) = (self.registry.meta(), &self.record);
        let completed = meta
            .complete_upload(record.repository, record.id, &blob)
            .await
            .map_err(|error| self.failed("complete an upload", error))?;
        if let Some(surplus) = completed.surplus {
            self.registry.dispose(&[surplus]).await;
        }
        let blob = BlobHead { digest: completed.blob.digest, bytes: completed.blob.bytes };
        Ok(CompletedBlob { blob, existed: completed.existed_in_repository })
    }

    /// The first of `digests` that the object has, or else what it has.
    async fn choose(
        &self,
        finished: &FinishedBlob,
        digests: &[Digest],
    ) -> Result<std::result::Result<Digest, Digest>> {
        let wants_sha512 = digests.iter().any(|digest| digest.algorithm() == Algorithm::Sha512);
        let sha512 = match finished.sha512 {
            None if wants_sha512 && !digests.contains(&finished.sha256) => {
                // Nobody said so in time: the object is read again.
                let again = self.registry.blobs().digest(&self.key, self.record.object, Algorithm::Sha512);
                Some(again.await.map_err(|error| failure::sealed("hash an object", error))?)
            }
            known => known,
        };
        let has = |digest: &&Digest| **digest == finished.sha256 || Some(**digest) == sha512;
        let calculated = sha512.filter(|_| wants_sha512).unwrap_or(finished.sha256);
        Ok(digests.iter().find(has).copied().ok_or(calculated))
    }

    /// The request did not come to its end: waits for what is under way, and leaves the session where it stood.
    async fn give_up(&self, writer: Option<BlobWriter>) {
        if let Some(mut writer) = writer {
            // A checkpoint is the point at which nothing is in flight. It is not recorded, so it changes nothing.
            let _ = writer.checkpoint().await;
        }
        if self.discard_unless_completed {
            let _ = self.discard().await;
        } else if self.record.progress.checkpoint.is_none() {
            // No row says that the object has content, so its name is used anew.
            if let Err(error) = self.registry.blobs().delete(self.record.object).await {
                let (object, error) = (self.record.object, &error as &dyn std::error::Error);
                tracing::warn!(%object, error, "cannot delete a half-written object yet");
            }
        }
    }

    /// Ends the session and deletes its object.
    async fn discard(&self) -> Result<()> {
        let record = &self.record;
        match self.registry.meta().cancel_upload(record.repository, record.id).await {
            Ok(object) => {
                self.registry.dispose(&[object]).await;
                Ok(())
            }
            // Ended by somebody else, who takes care of the object; it may even be a blob by now.
            Err(MetaError::UploadMissing | MetaError::RepositoryMissing) => Ok(()),
            Err(error) => {
                let failed = self.failed("end an upload", error);
                let error = &failed as &dyn std::error::Error;
                tracing::warn!(upload = %record.id, error, "cannot end an upload yet; it will expire");
                Err(failed)
            }
        }
    }

    fn failed(&self, action: &'static str, error: MetaError) -> Error {
        self.place.failed_about(action, Subject::Upload(self.record.id), error)
    }
}

async fn write(
    writer: &mut BlobWriter,
    mut incoming: mpsc::Receiver<Bytes>,
) -> std::result::Result<(), SealError> {
    while let Some(piece) = incoming.recv().await {
        writer.append(piece).await?;
    }
    Ok(())
}

/// Reads the body to its end and passes it on, within the limits.
async fn pass_on(chunk: Chunk<'_>, stands_at: u64, pieces: mpsc::Sender<Bytes>) -> Result<()> {
    let Chunk { mut body, bytes: announced, .. } = chunk;
    let mut found: u64 = 0;
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(Error::Body)?;
        found += piece.len() as u64;
        if let Some(announced) = announced.filter(|announced| found > *announced) {
            return Err(Error::PartLengthMismatch { announced, found });
        }
        if stands_at + found > limits::BLOB_BYTES_MAX {
            return Err(Error::BlobTooLarge);
        }
        if !piece.is_empty() && pieces.send(piece).await.is_err() {
            // The writer has failed; its own error is the answer.
            return Ok(());
        }
    }
    match announced {
        Some(announced) if announced != found => Err(Error::PartLengthMismatch { announced, found }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn pass(content: &'static [u8], stands_at: u64) -> Result<()> {
        let body = futures_util::stream::iter([Ok(Bytes::from_static(content))]).boxed();
        let (pieces, _incoming) = mpsc::channel(1);
        pass_on(Chunk { body, first_byte: None, bytes: None }, stands_at, pieces).await
    }

    #[tokio::test]
    async fn a_blob_that_grows_too_large_is_cut_off() {
        assert!(pass(b"xy", limits::BLOB_BYTES_MAX - 2).await.is_ok());
        let refused = pass(b"xyz", limits::BLOB_BYTES_MAX - 2).await;
        assert!(matches!(refused, Err(Error::BlobTooLarge)));
    }
}
