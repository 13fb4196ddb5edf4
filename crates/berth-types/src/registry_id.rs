//! Which registry: an account in a region.

use std::fmt;
use std::str::FromStr;

use crate::name::text_newtype;

/// A 12-digit AWS account number; ECR calls it the registry id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId([u8; 12]);

/// The text is not an account number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an account id has exactly 12 digits")]
pub struct AccountIdError;

impl AccountId {
    /// Parses 12 digits.
    ///
    /// # Errors
    /// [`AccountIdError`] for anything else.
    pub fn parse(text: &str) -> Result<Self, AccountIdError> {
        let digits: [u8; 12] = text.as_bytes().try_into().map_err(|_| AccountIdError)?;
        if digits.iter().all(u8::is_ascii_digit) { Ok(Self(digits)) } else { Err(AccountIdError) }
    }

    /// The number as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

text_newtype!(AccountId, AccountIdError);

/// An AWS region, for example `us-east-1`. Any name of that shape will do: a berth may invent its own.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Region(Box<str>);

/// The text is not the name of a region.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a region has 2 to 25 lower-case letters, digits and '-', and starts with a letter")]
pub struct RegionError;

impl Region {
    /// Parses `[a-z][0-9a-z-]{1,24}` (ECR's replication model gives the characters and the length).
    ///
    /// # Errors
    /// [`RegionError`] for anything else.
    pub fn parse(text: &str) -> Result<Self, RegionError> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let starts = text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
        if starts && (2..=25).contains(&text.len()) && text.bytes().all(fits) {
            Ok(Self(text.into()))
        } else {
            Err(RegionError)
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The partition that the region belongs to, which begins its ARNs.
    #[must_use]
    pub fn partition(&self) -> &'static str {
        if self.0.starts_with("cn-") {
            "aws-cn"
        } else if self.0.starts_with("us-gov-") {
            "aws-us-gov"
        } else {
            "aws"
        }
    }
}

text_newtype!(Region, RegionError);

/// A registry: the repositories of one account in one region.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RegistryId {
    /// Whose it is.
    pub account: AccountId,
    /// Where it is.
    pub region: Region,
}

impl fmt::Display for RegistryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.account, self.region)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_accounts_and_regions() {
        assert_eq!(AccountId::parse("012345678901").unwrap().as_str(), "012345678901");
        for bad in ["", "12345678901", "1234567890123", "12345678901a", "12345678901\u{e9}"] {
            assert!(AccountId::parse(bad).is_err(), "{bad}");
        }
        for (region, partition) in
            [("us-east-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")]
        {
            assert_eq!(Region::parse(region).unwrap().partition(), partition);
        }
        for bad in ["", "u", "US-east-1", "1a", "us_east", &"a".repeat(26)] {
            assert!(Region::parse(bad).is_err(), "{bad}");
        }
    }
}
