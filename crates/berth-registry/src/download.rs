//! URLs that give one blob, for a while, to whoever has them.
//!
//! `/layers/<account>/<region>/<repository name>/<algorithm>/<hex>?expires=<seconds since the epoch>&signature=<base64url>`
//!
//! The signature covers everything before it. A repository name has slashes of its own, so the path is read from both
//! ends. No character in it needs escaping.

use std::time::Duration;

use berth_types::{AccountId, Digest, Region, RegistryId, RepositoryName, Timestamp, limits};
use data_encoding::BASE64URL_NOPAD;

use crate::error::{Error, Result};
use crate::signature::Signer;

/// Where these URLs begin. The server routes everything below it to [`crate::Registry::read_download`].
pub const DOWNLOAD_PATH_PREFIX: &str = "/layers/";

const EXPIRES: &str = "?expires=";
const SIGNATURE: &str = "&signature=";
/// A URL that expires later than a new one would was made while the clock was wrong; this much is let pass.
const CLOCK_SKEW_MAX: Duration = Duration::from_secs(300);

/// What such a URL gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Download {
    pub(crate) registry: RegistryId,
    pub(crate) name: RepositoryName,
    pub(crate) digest: Digest,
}

const fn lifetime() -> Duration {
    Duration::from_secs(limits::DOWNLOAD_URL_MINUTES * 60)
}

impl Download {
    /// Path and query, good for [`limits::DOWNLOAD_URL_MINUTES`].
    pub(crate) fn to_path(&self, signer: &Signer, now: Timestamp) -> String {
        let Self { registry, name, digest } = self;
        let expires = now.plus(lifetime()).millis().div_euclid(1000);
        let mut path = format!(
            "{DOWNLOAD_PATH_PREFIX}{registry}/{name}/{}/{}{EXPIRES}{expires}",
            digest.algorithm().name(),
            digest.hex()
        );
        let signature = BASE64URL_NOPAD.encode(&signer.sign(path.as_bytes()));
        path.push_str(SIGNATURE);
        path.push_str(&signature);
        path
    }

    /// Reads what [`Download::to_path`] made.
    pub(crate) fn parse(path_and_query: &str, signer: &Signer, now: Timestamp) -> Result<Self> {
        let (signed, signature) = path_and_query.rsplit_once(SIGNATURE).ok_or(Error::TokenInvalid)?;
        let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).map_err(|_| Error::TokenInvalid)?;
        if !signer.is_valid(signed.as_bytes(), &signature) {
            return Err(Error::TokenInvalid);
        }
        let (download, expires) = Self::parse_signed(signed).ok_or(Error::TokenInvalid)?;
        if now >= expires || expires > now.plus(lifetime()).plus(CLOCK_SKEW_MAX) {
            return Err(Error::TokenExpired);
        }
        Ok(download)
    }

    fn parse_signed(signed: &str) -> Option<(Self, Timestamp)> {
        let (path, expires) = signed.strip_prefix(DOWNLOAD_PATH_PREFIX)?.split_once(EXPIRES)?;
        let expires = Timestamp::from_millis(expires.parse::<i64>().ok()?.checked_mul(1000)?);
        let (account, rest) = path.split_once('/')?;
        let (region, rest) = rest.split_once('/')?;
        let (rest, hex) = rest.rsplit_once('/')?;
        let (name, algorithm) = rest.rsplit_once('/')?;
        let registry =
            RegistryId { account: AccountId::parse(account).ok()?, region: Region::parse(region).ok()? };
        let name = RepositoryName::parse(name).ok()?;
        let digest = Digest::parse(&format!("{algorithm}:{hex}")).ok()?;
        Some((Self { registry, name, digest }, expires))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_store::seal::RootKey;
    use berth_types::Algorithm;

    fn download(algorithm: Algorithm) -> Download {
        Download {
            registry: RegistryId {
                account: AccountId::parse("123456789012").unwrap(),
                region: Region::parse("eu-west-1").unwrap(),
            },
            name: RepositoryName::parse("layers/sha256/x").unwrap(),
            digest: Digest::of(algorithm, b"content"),
        }
    }

    fn signer() -> Signer {
        Signer::new(&RootKey::from_text(&"ab".repeat(32)).unwrap(), "download-url")
    }

    #[test]
    fn reads_what_it_makes_until_it_expires() {
        let now = Timestamp::from_millis(1_700_000_000_123);
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let path = download(algorithm).to_path(&signer(), now);
            assert!(path.starts_with("/layers/123456789012/eu-west-1/layers/sha256/x/sha"), "{path}");
            assert_eq!(Download::parse(&path, &signer(), now).unwrap(), download(algorithm));
            let late = now.plus(lifetime());
            assert!(matches!(Download::parse(&path, &signer(), late), Err(Error::TokenExpired)));
            let clock_was_ahead = now.minus(Duration::from_secs(301));
            assert!(matches!(Download::parse(&path, &signer(), clock_was_ahead), Err(Error::TokenExpired)));
        }
    }

    #[test]
    fn whatever_is_changed_makes_it_invalid() {
        let now = Timestamp::from_millis(1_700_000_000_000);
        let path = download(Algorithm::Sha256).to_path(&signer(), now);
        for at in 0..path.len() {
            let mut changed = path.clone().into_bytes();
            changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(matches!(Download::parse(&changed, &signer(), now), Err(Error::TokenInvalid)), "{at}");
            assert!(matches!(Download::parse(&path[..at], &signer(), now), Err(Error::TokenInvalid)), "{at}");
        }
    }
}
