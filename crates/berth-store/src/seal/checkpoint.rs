//! The state of an unfinished object between two requests, as kept in the metadata.

use aws_lc_rs::aead::LessSafeKey;
use berth_types::{Algorithm, Digest};
use bytes::Buf;
use sha2::digest::common::hazmat::{SerializableState, SerializedState};
use sha2::{Digest as _, Sha256, Sha512};

use crate::blob::WriterState;
use crate::seal::SealError;
use crate::seal::format::HEADER_BYTES;
use crate::seal::key::{open_record, seal_record};

/// First byte of a checkpoint's plaintext.
const VERSION: u8 = 1;
/// What a checkpoint is sealed for.
const PURPOSE: &str = "upload checkpoint";

/// The hashes that are computed while an object is written.
#[derive(Clone)]
pub(super) struct Hashes {
    pub(super) sha256: Sha256,
    pub(super) sha512: Option<Sha512>,
}

impl Hashes {
    pub(super) fn new(also: Option<Algorithm>) -> Self {
        Self { sha256: Sha256::new(), sha512: (also == Some(Algorithm::Sha512)).then(Sha512::new) }
    }

    pub(super) fn update(&mut self, data: &[u8]) {
        self.sha256.update(data);
        if let Some(sha512) = &mut self.sha512 {
            sha512.update(data);
        }
    }

    #[expect(clippy::expect_used, reason = "the lengths of hashes are right by their types")]
    pub(super) fn finish(self) -> (Digest, Option<Digest>) {
        let digest =
            |algorithm, hash: &[u8]| Digest::from_hash(algorithm, hash).expect("a hash of the right length");
        let sha512 = self.sha512.map(|hash| digest(Algorithm::Sha512, &hash.finalize()));
        (digest(Algorithm::Sha256, &self.sha256.finalize()), sha512)
    }
}

/// Everything needed to go on writing an object.
pub(super) struct Checkpoint {
    /// What the backend has, as of its last flush.
    pub(super) state: WriterState,
    /// The object's header. The backend has it as its first bytes, too, unless nothing was written yet.
    pub(super) header: [u8; HEADER_BYTES],
    /// Plaintext bytes so far, the tail included.
    pub(super) bytes: u64,
    /// Hashes of everything before the tail.
    pub(super) hashes: Hashes,
    /// Plaintext that is not sealed yet because it may belong to the last segment.
    pub(super) tail: Vec<u8>,
}

impl Checkpoint {
    /// `key` is the object's own, so a checkpoint of another object does not open.
    pub(super) fn seal(&self, key: &LessSafeKey) -> Result<Vec<u8>, SealError> {
        let mut plain = Vec::with_capacity(self.tail.len() + self.state.backend.len() + 512);
        plain.push(VERSION);
        plain.extend_from_slice(&self.header);
        plain.extend_from_slice(&self.bytes.to_be_bytes());
        plain.extend_from_slice(&self.state.length.to_be_bytes());
        put(&mut plain, &self.state.backend);
        put(&mut plain, &self.hashes.sha256.serialize());
        let sha512 = self.hashes.sha512.as_ref().map(SerializableState::serialize);
        put(&mut plain, sha512.as_deref().unwrap_or_default());
        put(&mut plain, &self.tail);
        let sealed = seal_record(key, PURPOSE, &[], &plain);
        zeroize::Zeroize::zeroize(&mut plain);
        sealed
    }

    pub(super) fn open(key: &LessSafeKey, sealed: &[u8]) -> Result<Self, SealError> {
        let plain = open_record(key, PURPOSE, &[], sealed)?;
        let mut plain = plain.as_slice();
        match plain.try_get_u8() {
            Ok(VERSION) => Self::parse(plain).ok_or(SealError::Record),
            Ok(version) => Err(SealError::Version { found: version.into() }),
            Err(_) => Err(SealError::Record),
        }
    }

    fn parse(mut plain: &[u8]) -> Option<Self> {
        let (header, rest) = plain.split_first_chunk()?;
        plain = rest;
        let bytes = plain.try_get_u64().ok()?;
        let length = plain.try_get_u64().ok()?;
        let backend = get(&mut plain)?.to_vec();
        let sha256 = restore(get(&mut plain)?)?;
        let sha512 = match get(&mut plain)? {
            [] => None,
            state => Some(restore(state)?),
        };
        let tail = get(&mut plain)?.to_vec();
        plain.is_empty().then_some(Self {
            state: WriterState { length, backend },
            header: *header,
            bytes,
            hashes: Hashes { sha256, sha512 },
            tail,
        })
    }
}

fn restore<H: SerializableState>(state: &[u8]) -> Option<H> {
    H::deserialize(&SerializedState::<H>::try_from(state).ok()?).ok()
}

fn put(plain: &mut Vec<u8>, part: &[u8]) {
    plain.extend_from_slice(&(part.len() as u64).to_be_bytes());
    plain.extend_from_slice(part);
}

fn get<'a>(plain: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(plain.try_get_u64().ok()?).ok()?;
    let (part, rest) = plain.split_at_checked(length)?;
    *plain = rest;
    Some(part)
}
