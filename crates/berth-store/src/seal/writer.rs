//! Writing a sealed object from front to back.
//!
//! Three buffers move round: one is filled by [`BlobWriter::append`], one is hashed and sealed on a blocking thread, one
//! is written by the backend. Each plaintext byte is copied once (into the place where it is sealed), hashed once and
//! sealed once.

use std::sync::Arc;

use berth_types::{Algorithm, Digest};
use bytes::{Bytes, BytesMut};
use tokio::task::JoinHandle;

use crate::blob::{BlobStore, ObjectId, ObjectWriter, WriterState};
use crate::seal::SealError;
use crate::seal::checkpoint::{Checkpoint, Hashes};
use crate::seal::format::{HEADER_BYTES, Layout, ObjectKey, PREFIX_BYTES, Prefix};
use crate::seal::key::{DomainKey, TAG_BYTES, fill_random};
use crate::seal::load::{Load, LoadShare};

/// Buffers that a writer has under way.
const BUFFERS: usize = 3;
/// A short object's buffer is no larger than it must be up to this length, in bytes.
const SMALL_BYTES: usize = 16 * 1024;
/// What is sealed in place rather than on another thread, in bytes: it takes as long as the way there.
const INLINE_BYTES: usize = 16 * 1024;

/// What a finished object holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FinishedBlob {
    /// Plaintext length in bytes.
    pub bytes: u64,
    /// SHA-256 of the plaintext.
    pub sha256: Digest,
    /// SHA-512 of the plaintext, if it was asked for when the object was created.
    pub sha512: Option<Digest>,
}

/// An object being written.
///
/// After an error, and after a call whose future was dropped before it was ready, the writer only answers
/// [`SealError::Interrupted`]; the object can be resumed at its last checkpoint. Dropping a writer leaves what it wrote in
/// the store.
pub struct BlobWriter {
    key: Arc<ObjectKey>,
    domain_key: DomainKey,
    object: ObjectId,
    header: [u8; HEADER_BYTES],
    prefix: Prefix,
    bytes: u64,
    filling: Batch,
    /// Where the hashes are: here, or in the task that hashes and seals.
    hashes: Option<Hashes>,
    sealing: Option<JoinHandle<Result<(Bytes, Hashes), SealError>>>,
    /// Where the backend's writer is: here, or in the task that writes.
    backend: Option<Box<dyn ObjectWriter>>,
    writing: Option<JoinHandle<Result<Written, SealError>>>,
    spare: Option<BytesMut>,
    /// Set while a call is under way: it stays set when the call fails or its future is dropped.
    broken: bool,
    /// Segments that the next buffer may hold at most. It grows with every buffer, so that a crowd of writers that begin
    /// at the same time, before the load is known, does not begin with large ones.
    ramp: usize,
    load: LoadShare,
}

struct Written {
    backend: Box<dyn ObjectWriter>,
    /// The buffer, if the backend has no more use for it.
    spare: Option<BytesMut>,
}

impl BlobWriter {
    pub(super) async fn create(
        store: &dyn BlobStore,
        load: &Arc<Load>,
        domain_key: &DomainKey,
        object: ObjectId,
        also: Option<Algorithm>,
        layout: Layout,
    ) -> Result<Self, SealError> {
        let (key, header) = ObjectKey::create(domain_key, object, layout)?;
        let checkpoint = Checkpoint {
            state: WriterState { length: 0, backend: Vec::new() },
            header,
            bytes: 0,
            hashes: Hashes::new(also),
            tail: Vec::new(),
        };
        let backend = store.create(object).await?;
        Self::start(load, domain_key, object, key, checkpoint, backend)
    }

    pub(super) async fn resume(
        store: &dyn BlobStore,
        load: &Arc<Load>,
        domain_key: &DomainKey,
        object: ObjectId,
        checkpoint: &[u8],
    ) -> Result<Self, SealError> {
        let checkpoint = Checkpoint::open(&domain_key.checkpoint_key(object), checkpoint)?;
        let key = ObjectKey::from_header(domain_key, object, &checkpoint.header)?;
        let backend = store.reopen(object, &checkpoint.state).await?;
        Self::start(load, domain_key, object, key, checkpoint, backend)
    }

    fn start(
        load: &Arc<Load>,
        domain_key: &DomainKey,
        object: ObjectId,
        key: ObjectKey,
        checkpoint: Checkpoint,
        backend: Box<dyn ObjectWriter>,
    ) -> Result<Self, SealError> {
        let Checkpoint { state, header, bytes, hashes, tail } = checkpoint;
        let layout = key.layout();
        let sealed = bytes.checked_sub(tail.len() as u64).ok_or(SealError::Record)?;
        let index = sealed / layout.segment_bytes() as u64;
        let expected = if index == 0 { 0 } else { layout.offset(index) };
        if sealed % layout.segment_bytes() as u64 != 0
            || tail.len() > layout.segment_bytes()
            || (tail.is_empty() && bytes > 0)
            || state.length != expected
        {
            return Err(SealError::Record);
        }
        let load = LoadShare::new(load);
        let mut prefix = Prefix::default();
        fill_random(&mut prefix)?;
        let mut filling = Batch::new(layout, index, BytesMut::new());
        if index == 0 {
            filling.put_header(&header);
        }
        filling.fill(&tail, 1);
        Ok(Self {
            key: Arc::new(key),
            domain_key: domain_key.clone(),
            object,
            header,
            prefix,
            bytes,
            filling,
            hashes: Some(hashes),
            sealing: None,
            backend: Some(backend),
            writing: None,
            spare: None,
            broken: false,
            ramp: 1,
            load,
        })
    }

    /// The object that is written.
    #[must_use]
    pub fn object(&self) -> ObjectId {
        self.object
    }

    /// Plaintext bytes so far, those before the last resumption included.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Appends plaintext. Waits when the backend cannot keep up.
    ///
    /// # Errors
    /// [`SealError::Store`], and it may be the failure of a write that an earlier call started.
    pub async fn append(&mut self, data: Bytes) -> Result<(), SealError> {
        self.enter()?;
        let mut rest = &data[..];
        while !rest.is_empty() {
            let segments_max = self.segments_max();
            if self.filling.is_full(segments_max) {
                self.ramp = 2 * segments_max;
                self.dispatch_filling().await?;
            }
            let segments_max = self.segments_max();
            let taken = self.filling.fill(rest, segments_max);
            self.bytes += taken as u64;
            rest = &rest[taken..];
        }
        self.broken = false;
        Ok(())
    }

    /// Makes everything up to here survive a crash of the process, and returns what [`resume`] needs to go on from here.
    /// The writer can be used further.
    ///
    /// The result holds up to one segment of plaintext, sealed under the domain key.
    ///
    /// [`resume`]: super::SealedBlobs::resume
    ///
    /// # Errors
    /// As [`BlobWriter::append`].
    pub async fn checkpoint(&mut self) -> Result<Vec<u8>, SealError> {
        self.enter()?;
        if let Some(full) = self.filling.split_full() {
            self.dispatch(full).await?;
        }
        self.drain().await?;
        let mut backend = self.backend.take().ok_or(SealError::Interrupted)?;
        let state = backend.flush().await?;
        self.backend = Some(backend);
        let checkpoint = Checkpoint {
            state,
            header: self.header,
            bytes: self.bytes,
            hashes: self.hashes.clone().ok_or(SealError::Interrupted)?,
            tail: self.filling.tail().to_vec(),
        };
        let sealed = checkpoint.seal(&self.domain_key.checkpoint_key(self.object))?;
        self.broken = false;
        Ok(sealed)
    }

    /// Ends the object. When this returns, it survives a crash of the machine.
    ///
    /// # Errors
    /// As [`BlobWriter::append`].
    pub async fn finish(mut self) -> Result<FinishedBlob, SealError> {
        self.enter()?;
        let last = std::mem::replace(&mut self.filling, Batch::new(self.key.layout(), 0, BytesMut::new()));
        self.advance().await?;
        let hashes = self.hashes.take().ok_or(SealError::Interrupted)?;
        let (key, prefix) = (Arc::clone(&self.key), self.prefix);
        let (sealed, hashes) = if last.buffer.len() <= INLINE_BYTES {
            last.seal(&key, prefix, hashes, true)?
        } else {
            let sealing = self.load.run(move || last.seal(&key, prefix, hashes, true)).await?;
            sealing.await.map_err(|_| SealError::Interrupted)??
        };
        let mut backend = self.backend().await?;
        backend.append(sealed).await?;
        backend.finish().await?;
        let (sha256, sha512) = hashes.finish();
        Ok(FinishedBlob { bytes: self.bytes, sha256, sha512 })
    }

    fn enter(&mut self) -> Result<(), SealError> {
        if std::mem::replace(&mut self.broken, true) { Err(SealError::Interrupted) } else { Ok(()) }
    }

    /// How many segments a buffer may hold at present.
    fn segments_max(&self) -> usize {
        self.load.batch_segments(self.key.layout(), BUFFERS).min(self.ramp)
    }

    /// Sends the full buffer on its way and provides the next one.
    async fn dispatch_filling(&mut self) -> Result<(), SealError> {
        let next = Batch::new(self.key.layout(), self.filling.end(), BytesMut::new());
        let full = std::mem::replace(&mut self.filling, next);
        self.dispatch(full).await?;
        if self.load.is_crowded() {
            self.drain().await?;
        }
        let segments = self.segments_max();
        self.filling.make_room(segments, self.spare.take());
        Ok(())
    }

    /// Sends a buffer on its way. Waits until the one before it is sealed and the one before that is written.
    async fn dispatch(&mut self, batch: Batch) -> Result<(), SealError> {
        self.advance().await?;
        let hashes = self.hashes.take().ok_or(SealError::Interrupted)?;
        let (key, prefix) = (Arc::clone(&self.key), self.prefix);
        self.sealing = Some(self.load.run(move || batch.seal(&key, prefix, hashes, false)).await?);
        Ok(())
    }

    /// Waits for the buffer that is being sealed, if there is one, and starts to write it.
    async fn advance(&mut self) -> Result<(), SealError> {
        let Some(sealing) = self.sealing.take() else { return Ok(()) };
        let (sealed, hashes) = sealing.await.map_err(|_| SealError::Interrupted)??;
        let mut backend = self.backend().await?;
        self.hashes = Some(hashes);
        self.writing = Some(tokio::spawn(async move {
            let held = sealed.clone();
            backend.append(sealed).await?;
            Ok(Written { backend, spare: held.try_into_mut().ok() })
        }));
        Ok(())
    }

    /// Waits until nothing is under way.
    async fn drain(&mut self) -> Result<(), SealError> {
        self.advance().await?;
        let backend = self.backend().await?;
        self.backend = Some(backend);
        Ok(())
    }

    /// The backend's writer, when it has written what it was given.
    async fn backend(&mut self) -> Result<Box<dyn ObjectWriter>, SealError> {
        if let Some(writing) = self.writing.take() {
            let written = writing.await.map_err(|_| SealError::Interrupted)??;
            self.spare = written.spare;
            return Ok(written.backend);
        }
        self.backend.take().ok_or(SealError::Interrupted)
    }
}

impl std::fmt::Debug for BlobWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlobWriter")
            .field("object", &self.object)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

/// Consecutive segments in one buffer: plaintext, with room for what sealing adds around it.
struct Batch {
    layout: Layout,
    /// Index of the first segment.
    first: u64,
    /// The object's header, if this is its first batch; then segments, all but the last of full length. The last lacks
    /// its room for the tag.
    buffer: BytesMut,
    /// Where the first segment starts in `buffer`.
    start: usize,
}

impl Batch {
    fn new(layout: Layout, first: u64, buffer: BytesMut) -> Self {
        Self { layout, first, buffer, start: 0 }
    }

    /// Makes all the room at once, in `spare` if that has about the right size: this batch follows others, so it will
    /// probably be filled.
    fn make_room(&mut self, segments: usize, spare: Option<BytesMut>) {
        let room = segments * self.layout.sealed_segment_bytes();
        self.buffer = match spare {
            Some(mut spare) if (room..=2 * room).contains(&spare.capacity()) => {
                spare.clear();
                spare
            }
            _ => BytesMut::with_capacity(room),
        };
    }

    /// Makes room for `more` bytes. A short object gets a small buffer; a longer one gets room for a segment, then for
    /// all: doubling would leave half of it unused.
    fn grow(&mut self, more: usize, segments_max: usize) {
        let needed = self.buffer.len() + more;
        if needed <= self.buffer.capacity() {
            return;
        }
        let segments = |count: usize| self.start + count * self.layout.sealed_segment_bytes();
        let steps = [SMALL_BYTES, segments(1), segments(segments_max)];
        let room = steps.into_iter().find(|step| *step >= needed).unwrap_or(needed);
        let mut grown =
            BytesMut::with_capacity(if room == SMALL_BYTES { needed.next_power_of_two() } else { room });
        grown.extend_from_slice(&self.buffer);
        self.buffer = grown;
    }

    fn put_header(&mut self, header: &[u8]) {
        self.buffer.extend_from_slice(header);
        self.start = self.buffer.len();
    }

    /// How many segments have begun.
    fn segments(&self) -> usize {
        (self.buffer.len() - self.start).div_ceil(self.layout.sealed_segment_bytes())
    }

    /// Index of the segment after the last of this batch.
    fn end(&self) -> u64 {
        self.first + self.segments() as u64
    }

    /// Where the last segment starts in the buffer.
    fn last_start(&self) -> usize {
        self.start + self.segments().saturating_sub(1) * self.layout.sealed_segment_bytes()
    }

    /// The plaintext in the last segment.
    fn tail(&self) -> &[u8] {
        self.buffer[self.last_start()..].get(PREFIX_BYTES..).unwrap_or_default()
    }

    fn is_full(&self, segments_max: usize) -> bool {
        self.segments() >= segments_max && self.tail().len() == self.layout.segment_bytes()
    }

    /// Takes what fits from the front of `data`.
    fn fill(&mut self, data: &[u8], segments_max: usize) -> usize {
        let mut rest = data;
        while !rest.is_empty() && !self.is_full(segments_max) {
            let around: &[u8] = match (self.segments(), self.tail().len()) {
                (0, _) => &[0; PREFIX_BYTES],
                (_, length) if length == self.layout.segment_bytes() => &[0; TAG_BYTES + PREFIX_BYTES],
                _ => &[],
            };
            let room = self.layout.segment_bytes() - if around.is_empty() { self.tail().len() } else { 0 };
            let (taken, left) = rest.split_at(room.min(rest.len()));
            self.grow(around.len() + taken.len() + TAG_BYTES, segments_max);
            self.buffer.extend_from_slice(around);
            self.buffer.extend_from_slice(taken);
            rest = left;
        }
        data.len() - rest.len()
    }

    /// Takes away all segments but the last, if there are any: those that cannot be the object's last segment.
    fn split_full(&mut self) -> Option<Self> {
        if self.segments() < 2 {
            return None;
        }
        let (first, last_start) = (self.end() - 1, self.last_start());
        let mut tail = Self::new(self.layout, first, BytesMut::new());
        tail.fill(self.tail(), 1);
        self.buffer.truncate(last_start - TAG_BYTES);
        Some(std::mem::replace(self, tail))
    }

    /// Hashes and seals all segments; `last` says that the object ends here.
    fn seal(
        mut self,
        key: &ObjectKey,
        prefix: Prefix,
        mut hashes: Hashes,
        last: bool,
    ) -> Result<(Bytes, Hashes), SealError> {
        if self.segments() == 0 {
            self.buffer.extend_from_slice(&[0; PREFIX_BYTES]);
        }
        self.buffer.extend_from_slice(&[0; TAG_BYTES]);
        let count = self.segments();
        let segments = self.buffer[self.start..].chunks_mut(self.layout.sealed_segment_bytes());
        for (at, segment) in segments.enumerate() {
            hashes.update(&segment[PREFIX_BYTES..segment.len() - TAG_BYTES]);
            key.seal(prefix, self.first + at as u64, last && at + 1 == count, segment)?;
        }
        Ok((self.buffer.freeze(), hashes))
    }
}
