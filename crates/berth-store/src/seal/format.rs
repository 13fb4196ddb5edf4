//! The layout of a sealed object: header, then segments. `docs/storage-format.md` has it in a table.
//!
//! Everything here is about bytes and lengths; nothing does I/O.

use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce};
use berth_types::{Algorithm, Digest};

use crate::blob::ObjectId;
use crate::seal::SealError;
use crate::seal::key::{DomainKey, KEY_ID_BYTES, NONCE_BYTES, TAG_BYTES, WRAPPED_KEY_BYTES};

/// Plaintext bytes in a segment of a new object; only the last segment has fewer.
pub(super) const SEGMENT_BYTES: usize = 64 * 1024;
/// Segment lengths that a reader accepts: powers of two in this range.
const SEGMENT_BYTES_RANGE: std::ops::RangeInclusive<usize> = 4 * 1024..=1024 * 1024;

/// First bytes of every object.
const MAGIC: [u8; 8] = *b"BERTHOBJ";
/// Version of the layout.
const VERSION: u16 = 1;
/// Magic, version, flags, segment length, domain, object.
const FIXED_BYTES: usize = 8 + 2 + 2 + 4 + 16 + 16;
/// Length of a header.
pub(super) const HEADER_BYTES: usize = FIXED_BYTES + KEY_ID_BYTES + WRAPPED_KEY_BYTES;

/// Length of the random part of a nonce, drawn anew for every writer session.
pub(super) const PREFIX_BYTES: usize = 7;
/// What a segment is longer than its plaintext.
pub(super) const SEGMENT_OVERHEAD: usize = PREFIX_BYTES + TAG_BYTES;

/// Random start of the nonces of one writer session.
pub(super) type Prefix = [u8; PREFIX_BYTES];

/// Lengths of an object with segments of some length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    segment_bytes: usize,
}

impl Layout {
    pub(super) const DEFAULT: Self = Self { segment_bytes: SEGMENT_BYTES };

    /// `None` if no reader would accept such segments.
    pub(super) fn new(segment_bytes: usize) -> Option<Self> {
        (segment_bytes.is_power_of_two() && SEGMENT_BYTES_RANGE.contains(&segment_bytes))
            .then_some(Self { segment_bytes })
    }

    /// Plaintext bytes in every segment but the last.
    pub(super) const fn segment_bytes(self) -> usize {
        self.segment_bytes
    }

    /// Length of a sealed segment other than the last.
    pub(super) const fn sealed_segment_bytes(self) -> usize {
        self.segment_bytes + SEGMENT_OVERHEAD
    }

    /// How many segments hold `plain` bytes: at least one, so that an empty object has a last segment, too.
    pub(super) const fn segments(self, plain: u64) -> u64 {
        let segments = plain.div_ceil(self.segment_bytes as u64);
        if segments == 0 { 1 } else { segments }
    }

    /// Where segment `index` starts in the object.
    pub(super) const fn offset(self, index: u64) -> u64 {
        HEADER_BYTES as u64 + index * self.sealed_segment_bytes() as u64
    }

    /// Length of an object that holds `plain` bytes.
    pub(super) const fn sealed_bytes(self, plain: u64) -> u64 {
        HEADER_BYTES as u64 + plain + self.segments(plain) * SEGMENT_OVERHEAD as u64
    }

    /// How many plaintext bytes an object of `sealed` bytes holds; `None` if no object has that length.
    pub(super) fn plain_bytes(self, sealed: u64) -> Option<u64> {
        let body = sealed.checked_sub(HEADER_BYTES as u64)?;
        let segments = body.div_ceil(self.sealed_segment_bytes() as u64);
        let plain = body.checked_sub(segments * SEGMENT_OVERHEAD as u64)?;
        (self.sealed_bytes(plain) == sealed).then_some(plain)
    }
}

/// Length in the blob store of an object that holds `plain` bytes.
#[must_use]
pub const fn sealed_length(plain: u64) -> u64 {
    Layout::DEFAULT.sealed_bytes(plain)
}

/// What seals and opens the segments of one object.
#[derive(Debug)]
pub(super) struct ObjectKey {
    layout: Layout,
    key: LessSafeKey,
    /// Hash of the header's fixed part: additional data of every segment.
    aad: [u8; 32],
}

impl ObjectKey {
    /// A new object's key, and the header that holds it.
    pub(super) fn create(
        domain_key: &DomainKey,
        object: ObjectId,
        layout: Layout,
    ) -> Result<(Self, [u8; HEADER_BYTES]), SealError> {
        let mut header = [0; HEADER_BYTES];
        let (fixed, rest) = header.split_at_mut(FIXED_BYTES);
        fixed[..8].copy_from_slice(&MAGIC);
        fixed[8..10].copy_from_slice(&VERSION.to_be_bytes());
        // Bytes 10 and 11 are flags; none is defined.
        fixed[12..16].copy_from_slice(&(layout.segment_bytes as u32).to_be_bytes());
        fixed[16..32].copy_from_slice(object.domain.0.as_bytes());
        fixed[32..48].copy_from_slice(object.id.as_bytes());
        let aad = hash(fixed);
        let (key, wrapped) = domain_key.new_data_key(&aad)?;
        rest[..KEY_ID_BYTES].copy_from_slice(&domain_key.id());
        rest[KEY_ID_BYTES..].copy_from_slice(&wrapped);
        Ok((Self { layout, key, aad }, header))
    }

    /// The key that `header` holds. `header` is at least the first [`HEADER_BYTES`] of the object.
    pub(super) fn from_header(
        domain_key: &DomainKey,
        object: ObjectId,
        header: &[u8],
    ) -> Result<Self, SealError> {
        let corrupt = |what| SealError::Corrupt { object, what };
        let header: &[u8; HEADER_BYTES] =
            header.first_chunk().ok_or_else(|| corrupt("it ends inside the header"))?;
        let (fixed, rest) = header.split_at(FIXED_BYTES);
        if fixed[..8] != MAGIC {
            return Err(corrupt("it does not start as a sealed object"));
        }
        let version = u16::from_be_bytes([fixed[8], fixed[9]]);
        if version != VERSION {
            return Err(SealError::Version { found: version });
        }
        if fixed[10..12] != [0, 0] {
            return Err(corrupt("it has flags that this version does not know"));
        }
        let segment_bytes = u32::from_be_bytes([fixed[12], fixed[13], fixed[14], fixed[15]]);
        let layout =
            Layout::new(segment_bytes as usize).ok_or_else(|| corrupt("its segment length is not valid"))?;
        if fixed[16..32] != *object.domain.0.as_bytes() || fixed[32..48] != *object.id.as_bytes() {
            return Err(corrupt("it is another object under this name"));
        }
        let (key_id, wrapped) = rest.split_at(KEY_ID_BYTES);
        if key_id != domain_key.id() {
            return Err(SealError::WrongKey { object });
        }
        let wrapped: &[u8; WRAPPED_KEY_BYTES] =
            wrapped.first_chunk().ok_or_else(|| corrupt("it ends inside the header"))?;
        let aad = hash(fixed);
        let key =
            domain_key.unwrap_data_key(&aad, wrapped).ok_or_else(|| corrupt("its data key does not open"))?;
        Ok(Self { layout, key, aad })
    }

    pub(super) const fn layout(&self) -> Layout {
        self.layout
    }

    /// Seals a segment in place. `segment` is room for the prefix, the plaintext, room for the tag.
    pub(super) fn seal(
        &self,
        prefix: Prefix,
        index: u64,
        last: bool,
        segment: &mut [u8],
    ) -> Result<(), SealError> {
        let nonce = nonce(prefix, index, last).ok_or(SealError::TooLong)?;
        let (room, body) = segment.split_at_mut(PREFIX_BYTES);
        room.copy_from_slice(&prefix);
        let (text, room) = body.split_at_mut(body.len() - TAG_BYTES);
        let tag = self
            .key
            .seal_in_place_separate_tag(nonce, Aad::from(self.aad), text)
            .map_err(|_| SealError::TooLong)?;
        room.copy_from_slice(tag.as_ref());
        Ok(())
    }

    /// Opens a segment in place and returns where in `segment` its plaintext is; `None` if it is not the segment that
    /// was sealed there.
    pub(super) fn open(&self, index: u64, last: bool, segment: &mut [u8]) -> Option<std::ops::Range<usize>> {
        let text_bytes = segment.len().checked_sub(SEGMENT_OVERHEAD)?;
        let (prefix, body) = segment.split_first_chunk_mut::<PREFIX_BYTES>()?;
        let nonce = nonce(*prefix, index, last)?;
        self.key.open_in_place(nonce, Aad::from(self.aad), body).ok()?;
        Some(PREFIX_BYTES..PREFIX_BYTES + text_bytes)
    }
}

/// The nonce of a segment, or `None` beyond 2^32 segments.
fn nonce(prefix: Prefix, index: u64, last: bool) -> Option<Nonce> {
    let mut nonce = [0; NONCE_BYTES];
    nonce[..PREFIX_BYTES].copy_from_slice(&prefix);
    nonce[PREFIX_BYTES..11].copy_from_slice(&u32::try_from(index).ok()?.to_be_bytes());
    nonce[11] = last.into();
    Some(Nonce::assume_unique_for_key(nonce))
}

fn hash(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(Digest::of(Algorithm::Sha256, bytes).hash());
    hash
}
