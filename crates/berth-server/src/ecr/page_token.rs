//! `nextToken`: where a listing goes on, bound to the query it came from.
//!
//! A token is the cursor of the last row given, so rows deleted between two pages (the last one included) move nothing.
//! It begins with a checksum over the query and the cursor: a token that was cut, altered or taken from another query is
//! refused instead of continuing somewhere else. It is no secret and grants nothing: a client that forged one would get
//! a page of a listing that it may read anyway. That is why no key is involved, and why tokens survive restarts and are
//! good at every replica.

use berth_registry::{Error, Operation, Result};
use berth_types::{Digest, RegistryId, RepositoryName};
use data_encoding::BASE64URL_NOPAD;
use serde::Serialize;
use serde::de::DeserializeOwned;

const CHECKSUM_BYTES: usize = 12;
/// A token of ours holds a name of at most 256 characters; anything much longer is none.
const TOKEN_CHARS_MAX: usize = 2_048;

/// What a token belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Query<'a> {
    /// The operation.
    pub(crate) operation: Operation,
    /// The registry asked.
    pub(crate) registry: &'a RegistryId,
    /// The repository, if it is about one.
    pub(crate) repository: Option<&'a RepositoryName>,
    /// The filter, in any fixed form.
    pub(crate) filter: &'a str,
}

impl Query<'_> {
    /// The token that continues after `cursor`.
    ///
    /// # Errors
    /// [`Error::Internal`] if the cursor cannot be written, which none of ours can cause.
    pub(crate) fn seal(&self, cursor: &impl Serialize) -> Result<String> {
        let cursor = serde_json::to_vec(cursor)
            .map_err(|source| Error::Internal { action: "write a page token", source: source.into() })?;
        let mut token = self.checksum(&cursor).to_vec();
        token.extend_from_slice(&cursor);
        Ok(BASE64URL_NOPAD.encode(&token))
    }

    /// The cursor of a token that [`Query::seal`] made for the same query.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for any other text.
    pub(crate) fn open<C: DeserializeOwned>(&self, token: Option<&str>) -> Result<Option<C>> {
        let Some(token) = token else { return Ok(None) };
        self.cursor_of(token).map(Some).ok_or_else(|| {
            Error::invalid_parameter("nextToken", "must be the nextToken of an answer to the same query")
        })
    }

    fn cursor_of<C: DeserializeOwned>(&self, token: &str) -> Option<C> {
        if token.len() > TOKEN_CHARS_MAX {
            return None;
        }
        let bytes = BASE64URL_NOPAD.decode(token.as_bytes()).ok()?;
        let (checksum, cursor) = bytes.split_at_checked(CHECKSUM_BYTES)?;
        if checksum != self.checksum(cursor) {
            return None;
        }
        serde_json::from_slice(cursor).ok()
    }

    fn checksum(&self, cursor: &[u8]) -> [u8; CHECKSUM_BYTES] {
        // No part but the last can contain a zero byte, so no two queries are written alike.
        let repository = self.repository.map_or("", RepositoryName::as_str);
        let action = self.operation.action();
        let mut text =
            format!("page 1\0{action}\0{}\0{repository}\0{}\0", self.registry, self.filter).into_bytes();
        text.extend_from_slice(cursor);
        let mut checksum = [0; CHECKSUM_BYTES];
        checksum.copy_from_slice(&Digest::sha256(&text).hash()[..CHECKSUM_BYTES]);
        checksum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_types::{AccountId, Region};

    fn registry(account: &str, region: &str) -> RegistryId {
        RegistryId { account: AccountId::parse(account).unwrap(), region: Region::parse(region).unwrap() }
    }

    #[test]
    fn a_token_continues_its_own_query_only() {
        let (here, there) = (registry("123456789012", "us-east-1"), registry("123456789012", "eu-west-1"));
        let (api, web) =
            (RepositoryName::parse("shop/api").unwrap(), RepositoryName::parse("shop/web").unwrap());
        let query = Query {
            operation: Operation::ListImages,
            registry: &here,
            repository: Some(&api),
            filter: "TAGGED",
        };
        let token = query.seal(&7_i64).unwrap();
        assert_eq!(query.open::<i64>(Some(&token)).unwrap(), Some(7));
        assert_eq!(query.open::<i64>(None).unwrap(), None);
        for other in [
            Query { operation: Operation::DescribeImages, ..query },
            Query { registry: &there, ..query },
            Query { repository: Some(&web), ..query },
            Query { repository: None, ..query },
            Query { filter: "ANY", ..query },
        ] {
            assert!(other.open::<i64>(Some(&token)).is_err(), "{other:?}");
        }
    }

    #[test]
    fn anything_that_is_no_token_is_refused() {
        let here = registry("123456789012", "us-east-1");
        let query = Query {
            operation: Operation::DescribeRepositories,
            registry: &here,
            repository: None,
            filter: "",
        };
        let token = query.seal(&"shop/api").unwrap();
        let cut = &token[..token.len() - 1];
        for text in ["", "x", "====", cut, &format!("{token}A"), &"A".repeat(5_000)] {
            let error = query.open::<String>(Some(text)).unwrap_err().to_string();
            assert_eq!(
                error,
                "Invalid parameter at 'nextToken' failed to satisfy constraint: 'must be the nextToken of an answer \
                 to the same query'"
            );
        }
        // A cursor of another kind under a right checksum does not come from us, either.
        assert!(query.open::<i64>(Some(&token)).is_err());
    }

    proptest::proptest! {
        #[test]
        fn never_panics(token in "\\PC{0,80}|[A-Za-z0-9_-]{0,80}") {
            let here = registry("123456789012", "us-east-1");
            let query =
                Query { operation: Operation::ListImages, registry: &here, repository: None, filter: "" };
            proptest::prop_assert!(query.open::<i64>(Some(&token)).is_err());
        }
    }
}
