//! Signatures under keys that follow from the root key: what makes a token or a URL ours.

use aws_lc_rs::hmac;
use berth_store::seal::RootKey;

/// Length of a signature in bytes.
pub(crate) const SIGNATURE_BYTES: usize = 32;

/// Signs and checks with HMAC-SHA256.
pub(crate) struct Signer(hmac::Key);

impl Signer {
    /// A signer for one purpose: what one signs, no other accepts.
    pub(crate) fn new(root_key: &RootKey, purpose: &str) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, &root_key.derive(purpose)))
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        let mut signature = [0; SIGNATURE_BYTES];
        signature.copy_from_slice(hmac::sign(&self.0, message).as_ref());
        signature
    }

    /// Compares in constant time.
    pub(crate) fn is_valid(&self, message: &[u8], signature: &[u8]) -> bool {
        hmac::verify(&self.0, message, signature).is_ok()
    }
}
