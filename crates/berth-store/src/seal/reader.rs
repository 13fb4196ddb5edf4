//! Reading a sealed object: any range, opened segment by segment.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use futures_util::stream;
use tokio::task::JoinHandle;

use crate::blob::{BlobStore, ObjectId, ObjectReader};
use crate::seal::SealError;
use crate::seal::format::{HEADER_BYTES, Layout, ObjectKey};
use crate::seal::key::DomainKey;
use crate::seal::load::{Load, LoadShare};

/// Buffers that a stream has under way: one is sent, one is read.
const BUFFERS: usize = 2;

/// A sealed object, open for reading.
#[derive(Debug)]
pub struct BlobReader {
    inner: Arc<Inner>,
    /// Header and first segment, as stored: a small object needs no second read.
    head: Bytes,
    load: LoadShare,
}

#[derive(Debug)]
struct Inner {
    object: ObjectId,
    key: ObjectKey,
    source: Arc<dyn ObjectReader>,
    bytes: u64,
}

impl BlobReader {
    pub(super) async fn open(
        store: &dyn BlobStore,
        load: &Arc<Load>,
        domain_key: &DomainKey,
        object: ObjectId,
    ) -> Result<Self, SealError> {
        let source = store.open(object).await?;
        let head = source.read_at(0, HEADER_BYTES + Layout::DEFAULT.sealed_segment_bytes()).await?;
        let key = ObjectKey::from_header(domain_key, object, &head)?;
        let bytes = key
            .layout()
            .plain_bytes(source.length())
            .ok_or(SealError::Corrupt { object, what: "no object has this length" })?;
        Ok(Self { inner: Arc::new(Inner { object, key, source, bytes }), head, load: LoadShare::new(load) })
    }

    /// Plaintext length in bytes, as follows from the length of what is stored. Only opening the last segment proves
    /// it: compare it with the length that the metadata has.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.inner.bytes
    }

    /// The plaintext of `range`, or as much of it as there is, in pieces of at most one segment.
    ///
    /// Every piece is authentic, and at its place in this object. If the object is damaged, pieces up to the damage come
    /// out, then [`SealError::Corrupt`], then the end.
    pub fn stream(self, range: Range<u64>) -> impl Stream<Item = Result<Bytes, SealError>> + Send + 'static {
        stream::unfold(Some(Pull::new(self, range)), |pull| async {
            let mut pull = pull?;
            match pull.next().await {
                Ok(piece) => piece.map(|piece| (Ok(piece), Some(pull))),
                Err(error) => Some((Err(error), None)),
            }
        })
    }
}

/// A range on its way out.
struct Pull {
    inner: Arc<Inner>,
    head: Bytes,
    load: LoadShare,
    range: Range<u64>,
    /// Segments not asked for yet.
    segments: Range<u64>,
    ready: VecDeque<Bytes>,
    ahead: Option<Ahead>,
}

/// A read that goes on while its predecessor's pieces are sent.
struct Ahead(JoinHandle<Result<VecDeque<Bytes>, SealError>>);

impl Drop for Ahead {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Pull {
    fn new(reader: BlobReader, range: Range<u64>) -> Self {
        let BlobReader { inner, head, load } = reader;
        let range = range.start..range.end.min(inner.bytes);
        let layout = inner.key.layout();
        let segment_bytes = layout.segment_bytes() as u64;
        // An empty object is one empty segment, which is opened, too: its length must be proved.
        let segments = if inner.bytes == 0 {
            0..1
        } else if range.is_empty() {
            0..0
        } else {
            range.start / segment_bytes..range.end.div_ceil(segment_bytes)
        };
        Self { inner, head, load, range, segments, ready: VecDeque::new(), ahead: None }
    }

    async fn next(&mut self) -> Result<Option<Bytes>, SealError> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Ok(Some(piece));
            }
            self.ready = if let Some(mut ahead) = self.ahead.take() {
                (&mut ahead.0).await.map_err(|_| SealError::Interrupted)??
            } else if self.segments.is_empty() {
                return Ok(None);
            } else {
                self.fetch_first().await?
            };
            if !self.segments.is_empty() {
                let segments = self.take_segments();
                let (inner, range) = (Arc::clone(&self.inner), self.range.clone());
                self.ahead = Some(Ahead(tokio::spawn(async move { inner.fetch(segments, range).await })));
            }
        }
    }

    /// What starts the stream: the first segment from what was read when the object was opened, or else a read.
    async fn fetch_first(&mut self) -> Result<VecDeque<Bytes>, SealError> {
        if self.segments.start == 0 {
            let head = std::mem::take(&mut self.head).slice(HEADER_BYTES..);
            let length = self.inner.sealed_bytes(&(0..1));
            if head.len() >= length {
                self.segments.start = 1;
                return self.inner.open(0..1, &self.range, head.slice(..length));
            }
        }
        let segments = self.take_segments();
        self.inner.fetch(segments, self.range.clone()).await
    }

    fn take_segments(&mut self) -> Range<u64> {
        let count = self.load.batch_segments(self.inner.key.layout(), BUFFERS) as u64;
        let segments = self.segments.start..self.segments.end.min(self.segments.start + count);
        self.segments.start = segments.end;
        segments
    }
}

impl Inner {
    /// Sealed length of some segments.
    fn sealed_bytes(&self, segments: &Range<u64>) -> usize {
        let layout = self.key.layout();
        let end = layout.offset(segments.end).min(layout.sealed_bytes(self.bytes));
        (end - layout.offset(segments.start)) as usize
    }

    async fn fetch(&self, segments: Range<u64>, range: Range<u64>) -> Result<VecDeque<Bytes>, SealError> {
        let length = self.sealed_bytes(&segments);
        let sealed = self.source.read_at(self.key.layout().offset(segments.start), length).await?;
        if sealed.len() != length {
            return Err(self.corrupt("it became shorter while it was read"));
        }
        self.open(segments, &range, sealed)
    }

    /// Opens segments in place and cuts out what is in `range`.
    fn open(
        &self,
        segments: Range<u64>,
        range: &Range<u64>,
        sealed: Bytes,
    ) -> Result<VecDeque<Bytes>, SealError> {
        let layout = self.key.layout();
        let last = layout.segments(self.bytes) - 1;
        let mut buffer = sealed.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        let mut places = Vec::with_capacity((segments.end - segments.start) as usize);
        let mut at = 0;
        for index in segments {
            let length = layout.sealed_segment_bytes().min(buffer.len() - at);
            let opened = self
                .key
                .open(index, index == last, &mut buffer[at..at + length])
                .ok_or_else(|| self.corrupt("a segment is not what was sealed there"))?;
            let plain = index * layout.segment_bytes() as u64;
            let from = range.start.saturating_sub(plain).min(opened.len() as u64) as usize;
            let to = range.end.saturating_sub(plain).min(opened.len() as u64) as usize;
            if from < to {
                places.push(at + opened.start + from..at + opened.start + to);
            }
            at += length;
        }
        let buffer = buffer.freeze();
        Ok(places.into_iter().map(|place| buffer.slice(place)).collect())
    }

    fn corrupt(&self, what: &'static str) -> SealError {
        SealError::Corrupt { object: self.object, what }
    }
}
