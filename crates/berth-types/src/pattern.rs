//! `*` wildcards over whole tags, as tag mutability filters and lifecycle tag patterns use them.

use std::fmt;

/// A pattern in which `*` stands for zero or more characters and everything else for itself. It matches whole texts only,
/// so a pattern without `*` is an exact name.
///
/// Two parts of ECR use this rule: mutability exclusion filters and `tagPatternList`. Scan filters (where no `*` means
/// "contains") and replication filters (prefixes) do not.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WildcardPattern(Box<str>);

impl WildcardPattern {
    /// Takes any text as a pattern.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How many `*` it has.
    #[must_use]
    pub fn wildcards(&self) -> usize {
        self.0.bytes().filter(|byte| *byte == b'*').count()
    }

    /// Whether the whole of `text` fits. Takes time proportional to `text` times the number of literal parts at worst,
    /// and never backtracks over an earlier part.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let Some((head, rest)) = self.0.split_once('*') else { return *self.0 == *text };
        let Some(mut text) = text.strip_prefix(head) else { return false };
        let (middle, tail) = rest.rsplit_once('*').unwrap_or(("", rest));
        for part in middle.split('*').filter(|part| !part.is_empty()) {
            // The leftmost place is always as good as any later one: what follows has more room.
            let Some(at) = text.find(part) else { return false };
            text = &text[at + part.len()..];
        }
        text.ends_with(tail)
    }
}

impl fmt::Display for WildcardPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for WildcardPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, written as a recursion.
    fn naive(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|skip| naive(rest, &text[skip..])),
            Some((byte, rest)) => {
                text.split_first().is_some_and(|(first, text)| first == byte && naive(rest, text))
            }
        }
    }

    #[test]
    fn matches_the_documented_examples() {
        // https://docs.aws.amazon.com/AmazonECR/latest/userguide/LifecyclePolicies.html
        for text in ["prod", "prod1", "production-team1"] {
            assert!(WildcardPattern::new("prod*").matches(text));
        }
        for text in ["repo-production", "prod-team"] {
            assert!(WildcardPattern::new("*prod*").matches(text));
        }
        assert!(!WildcardPattern::new("prod").matches("prod1"));
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(5_000))]
        #[test]
        fn agrees_with_the_definition(pattern in "[ab*]{0,8}", text in "[ab]{0,12}") {
            let expected = naive(pattern.as_bytes(), text.as_bytes());
            proptest::prop_assert_eq!(WildcardPattern::new(&pattern).matches(&text), expected);
        }
    }
}
