//! Content digests: `sha256:…` and `sha512:…`.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256, Sha512};

/// A hash algorithm that the registry accepts in a digest.
///
/// Both are registered in the OCI image specification, section "Digests"; others (`blake3`, `md5`) are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// SHA-256, 32 bytes.
    Sha256,
    /// SHA-512, 64 bytes.
    Sha512,
}

impl Algorithm {
    /// The name before the colon.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// Length of the hash in bytes.
    #[must_use]
    pub const fn hash_bytes(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }

    /// The algorithm called `name`, if the registry accepts it.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "sha256" => Some(Self::Sha256),
            "sha512" => Some(Self::Sha512),
            _ => None,
        }
    }
}

/// The digest of some content: algorithm and hash, written `sha256:<64 lower-case hex digits>`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest {
    algorithm: Algorithm,
    /// The hash, followed by zeros when it is shorter than the longest one.
    hash: [u8; 64],
}

/// Why a text is not a digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// There is no `algorithm:hash` in it.
    #[error("a digest has the form algorithm:hex, for example sha256:<64 hex digits>")]
    Form,
    /// The algorithm is not one the registry computes.
    #[error("digest algorithm {0:?} is not supported (use sha256 or sha512)")]
    Algorithm(String),
    /// The hash has another length than the algorithm's.
    #[error("a {algorithm} digest has {expected} hex digits, not {found}")]
    Length {
        /// The name of the algorithm.
        algorithm: &'static str,
        /// How many hex digits it needs.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// The hash has a character other than `0-9a-f`.
    #[error("a digest is written in lower-case hexadecimal")]
    Hex,
}

impl Digest {
    /// Parses `algorithm:hex`.
    ///
    /// # Errors
    /// [`DigestError`] says which part is wrong. Upper-case hex is refused, as the OCI image specification demands.
    pub fn parse(text: &str) -> Result<Self, DigestError> {
        let (name, hex) = text.split_once(':').ok_or(DigestError::Form)?;
        if name.is_empty() || hex.is_empty() || !name.bytes().all(is_algorithm_byte) {
            return Err(DigestError::Form);
        }
        let algorithm = Algorithm::from_name(name).ok_or_else(|| DigestError::Algorithm(name.to_owned()))?;
        let expected = algorithm.hash_bytes() * 2;
        if hex.len() != expected {
            return Err(DigestError::Length { algorithm: algorithm.name(), expected, found: hex.len() });
        }
        let mut hash = [0; 64];
        HEXLOWER
            .decode_mut(hex.as_bytes(), &mut hash[..algorithm.hash_bytes()])
            .map_err(|_| DigestError::Hex)?;
        Ok(Self { algorithm, hash })
    }

    /// The digest whose hash is `hash`, as computed elsewhere.
    ///
    /// # Errors
    /// [`DigestError::Length`] if `hash` is not as long as the algorithm's hashes are.
    pub fn from_hash(algorithm: Algorithm, hash: &[u8]) -> Result<Self, DigestError> {
        if hash.len() != algorithm.hash_bytes() {
            let (expected, found) = (algorithm.hash_bytes() * 2, hash.len() * 2);
            return Err(DigestError::Length { algorithm: algorithm.name(), expected, found });
        }
        let mut padded = [0; 64];
        padded[..hash.len()].copy_from_slice(hash);
        Ok(Self { algorithm, hash: padded })
    }

    /// Hashes `content` with `algorithm`.
    #[must_use]
    pub fn of(algorithm: Algorithm, content: &[u8]) -> Self {
        let mut hash = [0; 64];
        match algorithm {
            Algorithm::Sha256 => hash[..32].copy_from_slice(&Sha256::digest(content)),
            Algorithm::Sha512 => hash.copy_from_slice(&Sha512::digest(content)),
        }
        Self { algorithm, hash }
    }

    /// The SHA-256 digest of `content`.
    #[must_use]
    pub fn sha256(content: &[u8]) -> Self {
        Self::of(Algorithm::Sha256, content)
    }

    /// The algorithm.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The hash itself, [`Algorithm::hash_bytes`] long.
    #[must_use]
    pub fn hash(&self) -> &[u8] {
        &self.hash[..self.algorithm.hash_bytes()]
    }

    /// The hash in lower-case hexadecimal, without the algorithm.
    #[must_use]
    pub fn hex(&self) -> String {
        HEXLOWER.encode(self.hash())
    }

    /// Whether `content` has this digest.
    #[must_use]
    pub fn matches(&self, content: &[u8]) -> bool {
        Self::of(self.algorithm, content) == *self
    }
}

/// Algorithm components are `[a-z0-9]+` joined by one of `+._-` in the OCI grammar; the exact form is decided by the list
/// of accepted names, so a character class is enough to tell "malformed" from "not supported".
const fn is_algorithm_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'+' | b'.' | b'_' | b'-')
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl serde::Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn hashes_as_the_standard_says() {
        assert_eq!(Digest::sha256(b"").to_string(), EMPTY);
        assert!(Digest::of(Algorithm::Sha512, b"").to_string().starts_with("sha512:cf83e1357eefb8bd"));
        assert!(Digest::parse(EMPTY).unwrap().matches(b""));
    }

    #[test]
    fn refuses_what_is_not_a_digest() {
        let hex = &EMPTY[7..];
        for (text, error) in [
            ("", DigestError::Form),
            ("sha256", DigestError::Form),
            ("sha256:", DigestError::Form),
            (":abc", DigestError::Form),
            ("SHA256:abc", DigestError::Form),
            ("sha256:abc", DigestError::Length { algorithm: "sha256", expected: 64, found: 3 }),
            ("md5:d41d8cd98f00b204e9800998ecf8427e", DigestError::Algorithm("md5".into())),
            (&format!("sha512:{hex}"), DigestError::Length { algorithm: "sha512", expected: 128, found: 64 }),
            (&format!("sha256:{}", hex.to_uppercase()), DigestError::Hex),
            (&format!("sha256:{}", hex.replace('e', "g")), DigestError::Hex),
        ] {
            assert_eq!(Digest::parse(text), Err(error), "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn prints_what_it_parses(content: Vec<u8>, long: bool) {
            let algorithm = if long { Algorithm::Sha512 } else { Algorithm::Sha256 };
            let digest = Digest::of(algorithm, &content);
            proptest::prop_assert_eq!(Digest::parse(&digest.to_string()), Ok(digest));
            proptest::prop_assert_eq!(Digest::from_hash(algorithm, digest.hash()), Ok(digest));
        }

        #[test]
        fn never_panics(text: String) {
            let _ = Digest::parse(&text);
        }
    }
}
