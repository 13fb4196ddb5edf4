//! The root key of a data directory: where it comes from, what is derived from it, which domain keys it wraps.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::constant_time;
use data_encoding::{BASE64, BASE64_NOPAD, HEXLOWER, HEXLOWER_PERMISSIVE};
use zeroize::{Zeroize, Zeroizing};

use crate::blob::DomainId;
use crate::seal::SealError;
use crate::seal::key::{
    DomainKey, KEY_BYTES, KeyBytes, WRAPPED_KEY_BYTES, aead, derive, fill_random, unwrap, wrap,
};

/// First byte of a wrapped domain key and of a verifier.
const VERSION: u8 = 1;
/// A root key file is one line; anything much longer is another file.
const FILE_BYTES_MAX: u64 = 1024;

/// The key from which all others follow. Who has it and the data directory can read everything; who loses it can read
/// nothing. It is never printed, and overwritten in memory when dropped.
pub struct RootKey {
    secret: KeyBytes,
}

/// Why there is no root key.
#[derive(Debug, thiserror::Error)]
pub enum RootKeyError {
    /// The file cannot be read or made.
    #[error("cannot {action} root key file {}", path.display())]
    Io {
        /// What was being done, as a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Other users of the machine may read the file.
    #[error(
        "root key file {} has mode {mode:04o}, so other users can read it: run chmod 600 on it, and replace the key if \
         somebody may have read it",
        path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file does not hold a root key.
    #[error("file {} does not hold a root key (one line of 64 hexadecimal digits)", path.display())]
    File {
        /// The file.
        path: PathBuf,
    },
    /// The text is not a root key. The text is not repeated: it may be a key with a typing error in it.
    #[error("a root key is 32 bytes, written as 64 hexadecimal digits or in base64")]
    Text,
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Random,
}

impl RootKey {
    /// A new random key.
    ///
    /// # Errors
    /// [`RootKeyError::Random`].
    pub fn generate() -> Result<Self, RootKeyError> {
        let mut secret = KeyBytes::default();
        fill_random(secret.as_mut()).map_err(|_| RootKeyError::Random)?;
        Ok(Self { secret })
    }

    /// The key that the file at `path` holds. If there is no such file, it is made, with a new key and mode 0600, and is
    /// on disk for good when this returns.
    ///
    /// # Errors
    /// [`RootKeyError::Exposed`] if others may read the file, [`RootKeyError::File`] if it holds something else,
    /// [`RootKeyError::Io`].
    pub fn load_or_create(path: &Path) -> Result<Self, RootKeyError> {
        match Self::load(path) {
            Err(RootKeyError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                match Self::create(path) {
                    // Another process made it in the meantime: its key is as good.
                    Err(RootKeyError::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {
                        Self::load(path)
                    }
                    created => created,
                }
            }
            loaded => loaded,
        }
    }

    /// The key that the file at `path` holds.
    ///
    /// # Errors
    /// As [`RootKey::load_or_create`]; [`RootKeyError::Io`] if there is no file.
    pub fn load(path: &Path) -> Result<Self, RootKeyError> {
        let failed = |source| RootKeyError::Io { action: "read", path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        let mode = file.metadata().map_err(failed)?.mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(RootKeyError::Exposed { path: path.to_owned(), mode });
        }
        let mut text = Zeroizing::new(Vec::with_capacity(FILE_BYTES_MAX as usize + 1));
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut text).map_err(failed)?;
        std::str::from_utf8(&text)
            .ok()
            .and_then(|text| Self::from_text(text).ok())
            .ok_or_else(|| RootKeyError::File { path: path.to_owned() })
    }

    /// Makes the file with a new key. It appears under its name only when it is whole: a half-written key file after a
    /// crash would look like a lost key.
    fn create(path: &Path) -> Result<Self, RootKeyError> {
        let failed = |source| RootKeyError::Io { action: "create", path: path.to_owned(), source };
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let key = Self::generate()?;
        let mut suffix = [0; 8];
        fill_random(&mut suffix).map_err(|_| RootKeyError::Random)?;
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.new", HEXLOWER.encode(&suffix)));
        let draft = directory.join(name);

        let mut text = Zeroizing::new(HEXLOWER.encode(key.secret.as_ref()));
        text.push('\n');
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft)
            .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
            // Unlike a rename, a link never replaces a key that is there.
            .and_then(|()| std::fs::hard_link(&draft, path));
        let removed = std::fs::remove_file(&draft);
        written.and(removed).and_then(|()| File::open(directory)?.sync_all()).map_err(failed)?;
        Ok(key)
    }

    /// The key written in `text`: 64 hexadecimal digits or base64 of 32 bytes, white space around it ignored.
    ///
    /// # Errors
    /// [`RootKeyError::Text`].
    pub fn from_text(text: &str) -> Result<Self, RootKeyError> {
        let text = text.trim().as_bytes();
        let decoded = match text.len() {
            64 => HEXLOWER_PERMISSIVE.decode(text),
            44 => BASE64.decode(text),
            43 => BASE64_NOPAD.decode(text),
            _ => return Err(RootKeyError::Text),
        };
        let mut decoded = decoded.map_err(|_| RootKeyError::Text)?;
        let mut secret = KeyBytes::default();
        let fits = decoded.len() == KEY_BYTES;
        if fits {
            secret.copy_from_slice(&decoded);
        }
        decoded.zeroize();
        if fits { Ok(Self { secret }) } else { Err(RootKeyError::Text) }
    }

    /// A key for another use, for example to authenticate tokens. Different labels give keys that say nothing about each
    /// other, about the root key, or about any key of this module.
    #[must_use]
    pub fn derive(&self, label: &str) -> [u8; 32] {
        *derive(&self.secret, &[b"berth/v1/use/", label.as_bytes()])
    }

    /// A value to keep beside the data: [`RootKey::verify`] tells by it whether a root key is the right one.
    #[must_use]
    pub fn verifier(&self) -> Vec<u8> {
        let mut verifier = vec![VERSION];
        verifier.extend_from_slice(derive(&self.secret, &[b"berth/v1/root/verifier"]).as_ref());
        verifier
    }

    /// Checks that `verifier` was made from this key.
    ///
    /// # Errors
    /// [`SealError::WrongRootKey`], [`SealError::Version`].
    pub fn verify(&self, verifier: &[u8]) -> Result<(), SealError> {
        match verifier.first() {
            Some(&version) if version > VERSION => Err(SealError::Version { found: version.into() }),
            _ => constant_time::verify_slices_are_equal(verifier, &self.verifier())
                .map_err(|_| SealError::WrongRootKey),
        }
    }

    /// A new domain key, and its wrapped form to keep.
    ///
    /// # Errors
    /// [`SealError::Random`].
    pub fn wrap_new_domain_key(&self, domain: DomainId) -> Result<(DomainKey, Vec<u8>), SealError> {
        let key = DomainKey::generate(domain)?;
        let wrapped = self.wrap_domain_key(&key)?;
        Ok((key, wrapped))
    }

    /// Wraps a domain key that exists: when the root key is replaced, domain keys are wrapped anew and nothing else
    /// changes.
    ///
    /// # Errors
    /// [`SealError::Random`].
    pub fn wrap_domain_key(&self, key: &DomainKey) -> Result<Vec<u8>, SealError> {
        let mut wrapped = vec![VERSION];
        wrapped.extend_from_slice(&wrap(&self.wrapping_key(), &domain_aad(key.domain()), key.secret())?);
        Ok(wrapped)
    }

    /// The domain key that `wrapped` holds.
    ///
    /// # Errors
    /// [`SealError::WrongRootKey`] if it was wrapped by another root key, for another domain, or was changed;
    /// [`SealError::Version`].
    pub fn unwrap_domain_key(&self, domain: DomainId, wrapped: &[u8]) -> Result<DomainKey, SealError> {
        let (&version, body) = wrapped.split_first().ok_or(SealError::WrongRootKey)?;
        if version > VERSION {
            return Err(SealError::Version { found: version.into() });
        }
        let body: &[u8; WRAPPED_KEY_BYTES] = body.try_into().map_err(|_| SealError::WrongRootKey)?;
        if version != VERSION {
            return Err(SealError::WrongRootKey);
        }
        let secret =
            unwrap(&self.wrapping_key(), &domain_aad(domain), body).ok_or(SealError::WrongRootKey)?;
        Ok(DomainKey::new(domain, secret))
    }

    fn wrapping_key(&self) -> aws_lc_rs::aead::LessSafeKey {
        aead(&derive(&self.secret, &[b"berth/v1/root/domain-keys"]))
    }
}

fn domain_aad(domain: DomainId) -> [u8; 17] {
    let mut aad = [VERSION; 17];
    aad[1..].copy_from_slice(domain.0.as_bytes());
    aad
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use uuid::Uuid;

    use super::*;

    fn domain() -> DomainId {
        DomainId(Uuid::new_v4())
    }

    #[test]
    fn a_key_file_is_made_once_and_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("root.key");
        let made = RootKey::load_or_create(&path).unwrap();
        let read = RootKey::load_or_create(&path).unwrap();
        assert_eq!(made.derive("x"), read.derive("x"));
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, 0o600);
        let names: Vec<_> =
            std::fs::read_dir(&directory).unwrap().map(|file| file.unwrap().file_name()).collect();
        assert_eq!(names, ["root.key"], "nothing else is left behind");
    }

    #[test]
    fn many_processes_starting_at_once_agree() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("root.key");
        let keys: Vec<_> = std::thread::scope(|scope| {
            let start = || RootKey::load_or_create(&path).unwrap().derive("x");
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("root.key");
        RootKey::load_or_create(&path).unwrap();
        for mode in [0o640, 0o604, 0o660, 0o644] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let error = RootKey::load_or_create(&path).unwrap_err();
            assert!(matches!(error, RootKeyError::Exposed { mode: found, .. } if found == mode), "{error}");
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
        RootKey::load_or_create(&path).unwrap();
    }

    #[test]
    fn a_file_with_something_else_is_refused_and_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("root.key");
        RootKey::load_or_create(&path).unwrap();
        for text in ["", "\n", "not a key", &"0".repeat(5000)] {
            std::fs::write(&path, text).unwrap();
            assert!(matches!(RootKey::load_or_create(&path), Err(RootKeyError::File { .. })));
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        let missing = directory.path().join("no/such/root.key");
        assert!(matches!(RootKey::load_or_create(&missing), Err(RootKeyError::Io { action: "create", .. })));
    }

    #[test]
    fn a_key_is_written_in_hexadecimal_or_base64() {
        let expected = RootKey::from_text(&"0f".repeat(32)).unwrap().derive("x");
        let base64 = BASE64.encode(&[0x0f; 32]);
        for text in
            [&"0F".repeat(32), &format!("  {}\n", "0f".repeat(32)), &base64, base64.trim_end_matches('=')]
        {
            assert_eq!(RootKey::from_text(text).unwrap().derive("x"), expected, "{text}");
        }
        for text in ["", "0f", &"0g".repeat(32), &"0f".repeat(33), &BASE64.encode(&[1; 33]), &"é".repeat(32)]
        {
            assert!(matches!(RootKey::from_text(text), Err(RootKeyError::Text)), "{text}");
        }
    }

    #[test]
    fn a_wrong_root_key_is_found_out() {
        let (right, wrong) = (RootKey::generate().unwrap(), RootKey::generate().unwrap());
        let domain = domain();
        let (key, wrapped) = right.wrap_new_domain_key(domain).unwrap();
        right.verify(&right.verifier()).unwrap();
        assert!(matches!(wrong.verify(&right.verifier()), Err(SealError::WrongRootKey)));
        assert!(matches!(right.verify(&[]), Err(SealError::WrongRootKey)));
        assert!(matches!(right.verify(&[2, 0]), Err(SealError::Version { found: 2 })));
        assert_eq!(right.unwrap_domain_key(domain, &wrapped).unwrap().secret(), key.secret());
        for (root, domain) in [(&wrong, domain), (&right, self::domain())] {
            assert!(matches!(root.unwrap_domain_key(domain, &wrapped), Err(SealError::WrongRootKey)));
        }
        for length in 0..wrapped.len() {
            assert!(right.unwrap_domain_key(domain, &wrapped[..length]).is_err());
        }
        for bit in 0..wrapped.len() * 8 {
            let mut flipped = wrapped.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(right.unwrap_domain_key(domain, &flipped).is_err());
        }
    }

    #[test]
    fn a_new_root_key_takes_over_the_domain_keys() {
        let (old, new) = (RootKey::generate().unwrap(), RootKey::generate().unwrap());
        let (key, _) = old.wrap_new_domain_key(domain()).unwrap();
        let wrapped = new.wrap_domain_key(&key).unwrap();
        assert_eq!(new.unwrap_domain_key(key.domain(), &wrapped).unwrap().secret(), key.secret());
    }

    #[test]
    fn keys_are_not_printed() {
        let root = RootKey::from_text(&"5a".repeat(32)).unwrap();
        let (key, _) = root.wrap_new_domain_key(domain()).unwrap();
        assert_eq!(format!("{root:?}"), "RootKey(..)");
        assert!(format!("{key:?}").ends_with(", .. }"));
    }

    #[test]
    fn labels_give_different_keys() {
        let root = RootKey::from_text(&"5a".repeat(32)).unwrap();
        assert_ne!(root.derive("one"), root.derive("two"));
        assert_eq!(root.derive("one"), root.derive("one"));
    }
}
