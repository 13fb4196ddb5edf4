//! Repository names, tags, and the reference that is one or the other.

use std::fmt;
use std::str::FromStr;

use crate::digest::Digest;
use crate::limits;

/// The name of a repository inside a registry, for example `shop/api`.
///
/// The grammar is Amazon ECR's (`CreateRepository`, member `repositoryName`), which is the OCI distribution grammar with
/// a length of 2 to 256 characters: components of lower-case letters and digits, joined inside by `.`, `_`, `__` or any
/// run of `-`, and separated by single slashes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepositoryName(Box<str>);

/// Why a text is not a repository name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Too short or too long.
    #[error(
        "a repository name has {} to {} characters, not {found}",
        limits::REPOSITORY_NAME_CHARS_MIN,
        limits::REPOSITORY_NAME_CHARS_MAX
    )]
    Length {
        /// How many characters it has.
        found: usize,
    },
    /// It does not follow the grammar.
    #[error(
        "a repository name is made of lower-case letters and digits, joined by '.', '_', '__' or '-', in parts \
         separated by '/'"
    )]
    Grammar,
}

impl RepositoryName {
    /// Parses a name.
    ///
    /// # Errors
    /// [`NameError`] if the length or the grammar is not ECR's.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let found = text.chars().count();
        if !(limits::REPOSITORY_NAME_CHARS_MIN..=limits::REPOSITORY_NAME_CHARS_MAX).contains(&found) {
            return Err(NameError::Length { found });
        }
        if text.split('/').all(is_component) { Ok(Self(text.into())) } else { Err(NameError::Grammar) }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(component: &str) -> bool {
    let is_alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if !component.starts_with(is_alphanumeric) || !component.ends_with(is_alphanumeric) {
        return false;
    }
    component
        .split(is_alphanumeric)
        .all(|joint| matches!(joint, "" | "." | "_" | "__") || joint.bytes().all(|byte| byte == b'-'))
}

/// A tag: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}` (OCI distribution specification, "Pulling manifests").
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(Box<str>);

/// The text is not a tag.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a tag has 1 to {} letters, digits, '.', '_' and '-', and does not start with '.' or '-'",
    limits::TAG_CHARS_MAX
)]
pub struct TagError;

impl Tag {
    /// Parses a tag.
    ///
    /// # Errors
    /// [`TagError`] if it does not follow the OCI grammar.
    pub fn parse(text: &str) -> Result<Self, TagError> {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let first_fits = text.bytes().next().is_some_and(is_word);
        let rest_fits = text.bytes().all(|byte| is_word(byte) || byte == b'.' || byte == b'-');
        if first_fits && rest_fits && text.len() <= limits::TAG_CHARS_MAX {
            Ok(Self(text.into()))
        } else {
            Err(TagError)
        }
    }

    /// The tag as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What follows `/manifests/`: a tag or a digest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reference {
    /// By name.
    Tag(Tag),
    /// By content.
    Digest(Digest),
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

/// Text traits that every checked text newtype has alike.
macro_rules! text_newtype {
    ($type:ty, $error:ty) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self.as_str(), f)
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl FromStr for $type {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::parse(text)
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use text_newtype;

text_newtype!(RepositoryName, NameError);
text_newtype!(Tag, TagError);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repository_names_follow_the_ecr_grammar() {
        for good in ["ab", "a/b", "shop/api", "a.b_c__d---e/0", &"a".repeat(256)] {
            assert!(RepositoryName::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "a",
            "A/b",
            "/ab",
            "ab/",
            "a//b",
            "-ab",
            "ab-",
            "a..b",
            "a___b",
            "a._b",
            "a b",
            "ä/b",
            &"a".repeat(257),
        ] {
            assert!(RepositoryName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn tags_follow_the_oci_grammar() {
        for good in ["a", "_", "V1.0-x_y", &"a".repeat(128)] {
            assert!(Tag::parse(good).is_ok(), "{good}");
        }
        for bad in ["", ".a", "-a", "a b", "a/b", "a:b", "ü", &"a".repeat(129)] {
            assert!(Tag::parse(bad).is_err(), "{bad}");
        }
    }
}
