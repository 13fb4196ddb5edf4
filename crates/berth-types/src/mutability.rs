//! Whether a tag may be moved to another image.

use crate::limits;
use crate::name::Tag;
use crate::pattern::WildcardPattern;

/// ECR's four modes (`imageTagMutability`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TagMutabilityMode {
    /// Every tag may be moved.
    #[default]
    Mutable,
    /// No tag may be moved.
    Immutable,
    /// No tag may be moved, except those that a filter matches.
    ImmutableWithExclusion,
    /// Every tag may be moved, except those that a filter matches.
    MutableWithExclusion,
}

impl TagMutabilityMode {
    /// All modes, in the order of ECR's model.
    pub const ALL: [Self; 4] =
        [Self::Mutable, Self::Immutable, Self::ImmutableWithExclusion, Self::MutableWithExclusion];

    /// The name in ECR's API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mutable => "MUTABLE",
            Self::Immutable => "IMMUTABLE",
            Self::ImmutableWithExclusion => "IMMUTABLE_WITH_EXCLUSION",
            Self::MutableWithExclusion => "MUTABLE_WITH_EXCLUSION",
        }
    }

    /// The mode of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }

    const fn takes_filters(self) -> bool {
        matches!(self, Self::ImmutableWithExclusion | Self::MutableWithExclusion)
    }
}

/// A repository's rule about moving tags: a mode and, with the two `_WITH_EXCLUSION` modes, one to five filters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TagMutability {
    mode: TagMutabilityMode,
    filters: Vec<WildcardPattern>,
}

/// Why mode and filters do not go together. The texts are those measured against Amazon ECR, where they are known; the
/// caller puts them behind the name of the member.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MutabilityError {
    /// Filters with a plain mode.
    #[error("ImageTagMutabilityExclusionFilters are not allowed when imageTagMutability is set as {0}")]
    FiltersNotAllowed(&'static str),
    /// An exclusion mode without filters.
    #[error("ImageTagMutabilityExclusionFilters can't be null when imageTagMutability is set as {0}")]
    FiltersMissing(&'static str),
    /// More than five filters.
    #[error("Member must have length less than or equal to {}", limits::MUTABILITY_FILTERS_MAX)]
    TooManyFilters,
    /// A filter with other characters, or too long.
    #[error(
        "Member must satisfy regular expression pattern: ^[0-9a-zA-Z._*-]{{1,{}}}$",
        limits::MUTABILITY_FILTER_CHARS_MAX
    )]
    FilterForm(String),
    /// A filter with more than two `*`.
    #[error("Filter has more than {} wildcards", limits::MUTABILITY_FILTER_WILDCARDS_MAX)]
    TooManyWildcards(String),
}

impl TagMutability {
    /// Checks that the mode and the filters go together.
    ///
    /// # Errors
    /// [`MutabilityError`] names the rule that is broken.
    pub fn new(mode: TagMutabilityMode, filters: Vec<WildcardPattern>) -> Result<Self, MutabilityError> {
        match (mode.takes_filters(), filters.is_empty()) {
            (false, false) => return Err(MutabilityError::FiltersNotAllowed(mode.name())),
            (true, true) => return Err(MutabilityError::FiltersMissing(mode.name())),
            _ => {}
        }
        if filters.len() > limits::MUTABILITY_FILTERS_MAX {
            return Err(MutabilityError::TooManyFilters);
        }
        for filter in &filters {
            let text = filter.as_str();
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'*' | b'-');
            if text.is_empty() || text.len() > limits::MUTABILITY_FILTER_CHARS_MAX || !text.bytes().all(fits)
            {
                return Err(MutabilityError::FilterForm(text.to_owned()));
            }
            if filter.wildcards() > limits::MUTABILITY_FILTER_WILDCARDS_MAX {
                return Err(MutabilityError::TooManyWildcards(text.to_owned()));
            }
        }
        Ok(Self { mode, filters })
    }

    /// Every tag immutable.
    #[must_use]
    pub const fn immutable() -> Self {
        Self { mode: TagMutabilityMode::Immutable, filters: Vec::new() }
    }

    /// Every tag mutable, ECR's default.
    #[must_use]
    pub const fn mutable() -> Self {
        Self { mode: TagMutabilityMode::Mutable, filters: Vec::new() }
    }

    /// The mode.
    #[must_use]
    pub const fn mode(&self) -> TagMutabilityMode {
        self.mode
    }

    /// The filters, in the order they were given.
    #[must_use]
    pub fn filters(&self) -> &[WildcardPattern] {
        &self.filters
    }

    /// Whether `tag` may be moved from one image to another. This is the one place that decides it, for both planes.
    #[must_use]
    pub fn may_move(&self, tag: &Tag) -> bool {
        let excluded = || self.filters.iter().any(|filter| filter.matches(tag.as_str()));
        match self.mode {
            TagMutabilityMode::Mutable => true,
            TagMutabilityMode::Immutable => false,
            TagMutabilityMode::ImmutableWithExclusion => excluded(),
            TagMutabilityMode::MutableWithExclusion => !excluded(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filters(texts: &[&str]) -> Vec<WildcardPattern> {
        texts.iter().map(|text| WildcardPattern::new(text)).collect()
    }

    #[test]
    fn the_four_modes_decide() {
        let latest = Tag::parse("latest").unwrap();
        let version = Tag::parse("v1").unwrap();
        for (mode, patterns, moves_latest, moves_version) in [
            (TagMutabilityMode::Mutable, &[][..], true, true),
            (TagMutabilityMode::Immutable, &[], false, false),
            (TagMutabilityMode::ImmutableWithExclusion, &["latest", "dev-*"], true, false),
            (TagMutabilityMode::MutableWithExclusion, &["v*"], true, false),
        ] {
            let rule = TagMutability::new(mode, filters(patterns)).unwrap();
            assert_eq!(rule.may_move(&latest), moves_latest, "{mode:?}");
            assert_eq!(rule.may_move(&version), moves_version, "{mode:?}");
            assert_eq!(TagMutabilityMode::from_name(mode.name()), Some(mode));
        }
    }

    #[test]
    fn mode_and_filters_must_go_together() {
        use TagMutabilityMode::{Immutable, ImmutableWithExclusion, Mutable};
        assert_eq!(
            TagMutability::new(Immutable, filters(&["a"])).unwrap_err().to_string(),
            "ImageTagMutabilityExclusionFilters are not allowed when imageTagMutability is set as IMMUTABLE"
        );
        assert_eq!(
            TagMutability::new(ImmutableWithExclusion, vec![]).unwrap_err().to_string(),
            "ImageTagMutabilityExclusionFilters can't be null when imageTagMutability is set as \
             IMMUTABLE_WITH_EXCLUSION"
        );
        assert!(TagMutability::new(Mutable, vec![]).is_ok());
        for bad in ["", "a b", "a/b", "***", &"a".repeat(129)] {
            assert!(TagMutability::new(ImmutableWithExclusion, filters(&[bad])).is_err(), "{bad}");
        }
        assert!(TagMutability::new(ImmutableWithExclusion, filters(&["a"; 6])).is_err());
    }
}
