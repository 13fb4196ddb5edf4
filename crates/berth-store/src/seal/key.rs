//! The key of an encryption domain: what it seals itself, and the data keys it wraps.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::{hkdf, rand};
use zeroize::{Zeroize, Zeroizing};

use crate::blob::{DomainId, ObjectId};
use crate::seal::SealError;

/// Length of every key, in bytes.
pub(super) const KEY_BYTES: usize = 32;
/// Length of a nonce of AES-GCM, in bytes.
pub(super) const NONCE_BYTES: usize = 12;
/// Length of an authentication tag, in bytes.
pub(super) const TAG_BYTES: usize = 16;
/// Length of the value that tells one domain key from another, in bytes.
pub(super) const KEY_ID_BYTES: usize = 8;
/// Length of a wrapped key: nonce, key, tag.
pub(super) const WRAPPED_KEY_BYTES: usize = NONCE_BYTES + KEY_BYTES + TAG_BYTES;

/// First byte of a sealed record.
const RECORD_VERSION: u8 = 1;
/// What a sealed record is longer than its plaintext.
const RECORD_OVERHEAD: usize = 1 + NONCE_BYTES + TAG_BYTES;

/// Secret bytes of a key, overwritten when dropped.
pub(super) type KeyBytes = Zeroizing<[u8; KEY_BYTES]>;

/// The key of an encryption domain. Cheap to clone; overwritten when the last clone is dropped.
#[derive(Clone)]
pub struct DomainKey {
    inner: Arc<Inner>,
}

struct Inner {
    domain: DomainId,
    secret: KeyBytes,
    /// Tells this key from others without saying anything about it.
    id: [u8; KEY_ID_BYTES],
    records: LessSafeKey,
    data_keys: LessSafeKey,
}

impl DomainKey {
    pub(super) fn generate(domain: DomainId) -> Result<Self, SealError> {
        let mut secret = KeyBytes::default();
        fill_random(secret.as_mut())?;
        Ok(Self::new(domain, secret))
    }

    pub(super) fn new(domain: DomainId, secret: KeyBytes) -> Self {
        let mut id = [0; KEY_ID_BYTES];
        id.copy_from_slice(&derive(&secret, &[b"berth/v1/domain/id"])[..KEY_ID_BYTES]);
        let records = aead(&derive(&secret, &[b"berth/v1/domain/records"]));
        let data_keys = aead(&derive(&secret, &[b"berth/v1/domain/data-keys"]));
        Self { inner: Arc::new(Inner { domain, secret, id, records, data_keys }) }
    }

    /// The domain whose key this is.
    #[must_use]
    pub fn domain(&self) -> DomainId {
        self.inner.domain
    }

    pub(super) fn secret(&self) -> &KeyBytes {
        &self.inner.secret
    }

    pub(super) fn id(&self) -> [u8; KEY_ID_BYTES] {
        self.inner.id
    }

    /// Seals something small that is kept outside the blob store, a manifest for example.
    ///
    /// `purpose` names the kind of record; `context` is what the record belongs to (a repository, a digest). Neither is
    /// stored: [`DomainKey::open`] must be given the same, so a sealed record cannot be moved to another place unnoticed.
    /// The result is 29 bytes longer than `plaintext`. One domain key is good for 2^32 records.
    ///
    /// # Errors
    /// [`SealError::Random`], [`SealError::TooLong`].
    pub fn seal(&self, purpose: &str, context: &[&[u8]], plaintext: &[u8]) -> Result<Vec<u8>, SealError> {
        seal_record(&self.inner.records, purpose, context, plaintext)
    }

    /// Opens what [`DomainKey::seal`] sealed for the same purpose and context.
    ///
    /// # Errors
    /// [`SealError::Record`] if it was sealed under another key, for something else, or was changed.
    /// [`SealError::Version`] if a newer version of this program wrote it.
    pub fn open(&self, purpose: &str, context: &[&[u8]], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        open_record(&self.inner.records, purpose, context, sealed)
    }

    /// A key for the checkpoints of one object only: an upload makes one per request, and random nonces under the
    /// domain's own key would be used up by the uploads of some years.
    pub(super) fn checkpoint_key(&self, object: ObjectId) -> LessSafeKey {
        let label: [&[u8]; 2] = [b"berth/v1/domain/checkpoint", object.id.as_bytes()];
        aead(&derive(&self.inner.secret, &label))
    }

    /// A new data key and its wrapped form. `aad` is the part of the object's header that never changes.
    pub(super) fn new_data_key(
        &self,
        aad: &[u8],
    ) -> Result<(LessSafeKey, [u8; WRAPPED_KEY_BYTES]), SealError> {
        let mut secret = KeyBytes::default();
        fill_random(secret.as_mut())?;
        let wrapped = wrap(&self.inner.data_keys, aad, &secret)?;
        Ok((aead(&secret), wrapped))
    }

    /// The data key that `wrapped` holds; `None` if it does not open.
    pub(super) fn unwrap_data_key(
        &self,
        aad: &[u8],
        wrapped: &[u8; WRAPPED_KEY_BYTES],
    ) -> Option<LessSafeKey> {
        unwrap(&self.inner.data_keys, aad, wrapped).map(|secret| aead(&secret))
    }
}

impl fmt::Debug for DomainKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DomainKey").field("domain", &self.inner.domain).finish_non_exhaustive()
    }
}

/// Fills `bytes` from the system's source of randomness.
pub(super) fn fill_random(bytes: &mut [u8]) -> Result<(), SealError> {
    rand::fill(bytes).map_err(|_| SealError::Random)
}

/// HKDF-SHA256 without salt; the parts of `label` are put together as they are.
#[expect(clippy::expect_used, reason = "HKDF gives up to 255 hashes of output, and one is asked for")]
pub(super) fn derive(secret: &KeyBytes, label: &[&[u8]]) -> KeyBytes {
    let mut derived = KeyBytes::default();
    hkdf::Salt::new(hkdf::HKDF_SHA256, &[])
        .extract(secret.as_ref())
        .expand(label, hkdf::HKDF_SHA256)
        .and_then(|output| output.fill(derived.as_mut()))
        .expect("32 bytes from HKDF-SHA256");
    derived
}

/// An AES-256-GCM key.
#[expect(clippy::expect_used, reason = "the length is right by its type")]
pub(super) fn aead(secret: &KeyBytes) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, secret.as_ref()).expect("an AES-256 key of 32 bytes"))
}

/// Wraps `secret`: nonce, ciphertext, tag.
pub(super) fn wrap(
    key: &LessSafeKey,
    aad: &[u8],
    secret: &KeyBytes,
) -> Result<[u8; WRAPPED_KEY_BYTES], SealError> {
    let mut wrapped = [0; WRAPPED_KEY_BYTES];
    fill_random(&mut wrapped[..NONCE_BYTES])?;
    let (nonce, body) = wrapped.split_at_mut(NONCE_BYTES);
    let (ciphertext, tag) = body.split_at_mut(KEY_BYTES);
    ciphertext.copy_from_slice(secret.as_ref());
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Random)?;
    let sealed = key.seal_in_place_separate_tag(nonce, Aad::from(aad), ciphertext);
    tag.copy_from_slice(sealed.map_err(|_| SealError::TooLong)?.as_ref());
    Ok(wrapped)
}

/// What [`wrap`] wrapped; `None` if it does not open.
pub(super) fn unwrap(key: &LessSafeKey, aad: &[u8], wrapped: &[u8; WRAPPED_KEY_BYTES]) -> Option<KeyBytes> {
    let (nonce, body) = wrapped.split_at(NONCE_BYTES);
    let (ciphertext, tag) = body.split_at(KEY_BYTES);
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut secret = KeyBytes::default();
    key.open_separate_gather(nonce, Aad::from(aad), ciphertext, tag, secret.as_mut()).ok()?;
    Some(secret)
}

/// Seals a record under `key`: version, nonce, ciphertext, tag.
pub(super) fn seal_record(
    key: &LessSafeKey,
    purpose: &str,
    context: &[&[u8]],
    plaintext: &[u8],
) -> Result<Vec<u8>, SealError> {
    let mut sealed = Vec::with_capacity(plaintext.len() + RECORD_OVERHEAD);
    sealed.push(RECORD_VERSION);
    let mut nonce = [0; NONCE_BYTES];
    fill_random(&mut nonce)?;
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(plaintext);
    let aad = Aad::from(record_aad(purpose, context));
    let tag = key
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed[1 + NONCE_BYTES..])
        .map_err(|_| SealError::TooLong)?;
    sealed.extend_from_slice(tag.as_ref());
    Ok(sealed)
}

/// Opens what [`seal_record`] sealed.
pub(super) fn open_record(
    key: &LessSafeKey,
    purpose: &str,
    context: &[&[u8]],
    sealed: &[u8],
) -> Result<Vec<u8>, SealError> {
    match sealed.first() {
        Some(&RECORD_VERSION) if sealed.len() >= RECORD_OVERHEAD => {}
        Some(&version) if version > RECORD_VERSION => {
            return Err(SealError::Version { found: version.into() });
        }
        _ => return Err(SealError::Record),
    }
    let (nonce, body) = sealed[1..].split_at(NONCE_BYTES);
    let (ciphertext, tag) = body.split_at(body.len() - TAG_BYTES);
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Record)?;
    let mut plaintext = vec![0; ciphertext.len()];
    let aad = Aad::from(record_aad(purpose, context));
    match key.open_separate_gather(nonce, aad, ciphertext, tag, &mut plaintext) {
        Ok(()) => Ok(plaintext),
        Err(_) => {
            plaintext.zeroize();
            Err(SealError::Record)
        }
    }
}

/// Purpose and context with their lengths, so that no two lists of parts look the same when put together.
fn record_aad(purpose: &str, context: &[&[u8]]) -> Vec<u8> {
    let parts = std::iter::once(purpose.as_bytes()).chain(context.iter().copied());
    let mut aad = Vec::with_capacity(parts.clone().map(|part| part.len() + 8).sum::<usize>() + 1);
    aad.push(RECORD_VERSION);
    for part in parts {
        aad.extend_from_slice(&(part.len() as u64).to_be_bytes());
        aad.extend_from_slice(part);
    }
    aad
}
