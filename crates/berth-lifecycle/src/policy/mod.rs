//! The checked policy: its types, what makes two policies the same, and the two forms in which it is printed.
//!
//! Reading a text is in `parse`, the rules that span several members or several rules are in `checks`.

mod checks;
mod error;
mod parse;

use std::collections::BTreeSet;
use std::ops::Range;

use serde::ser::{Serialize, SerializeStruct as _, Serializer};

pub(crate) use checks::WILDCARDS_MAX;
pub use error::{Clause, PolicyError, Violation};

/// A lifecycle policy that Amazon ECR would accept: one to fifty rules, sorted by priority.
///
/// Two policies are equal when they say the same: the order of rules and of keys in the text, the order and repetition
/// of tags in a list, and a spelled-out `"standard"` make no difference. Descriptions do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    rules: Vec<Rule>,
}

/// One rule of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// `rulePriority`, 1 or more. The lowest number is applied first.
    pub priority: u32,
    /// `description`, as written.
    pub description: Option<String>,
    /// Which images the rule is about.
    pub selection: Selection,
    /// What happens to them.
    pub action: Action,
}

/// Which images a rule is about.
#[derive(Clone, Debug)]
pub struct Selection {
    /// `tagStatus` and its list.
    pub tags: TagSelector,
    /// `storageClass` as written; read it with [`Selection::storage_class`].
    pub storage: Option<StorageClass>,
    /// `countType`, `countUnit` and `countNumber`.
    pub count: Count,
}

/// `tagStatus`, with the list that `tagged` needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagSelector {
    /// Images that carry tags for **all** entries of the list.
    Tagged(TagList),
    /// Images without a tag.
    Untagged,
    /// All images.
    Any,
}

/// The list of a `tagged` rule. An image fits when every entry is met by at least one of its tags.
#[derive(Clone, Debug)]
pub enum TagList {
    /// `tagPrefixList`: a tag starts with the entry.
    Prefixes(Vec<String>),
    /// `tagPatternList`: the whole tag fits the entry, in which `*` is any run of characters.
    Patterns(Vec<String>),
}

/// `storageClass` of a selection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StorageClass {
    /// `standard`, also when the member is absent.
    #[default]
    Standard,
    /// `archive`.
    Archive,
}

/// `countType` with `countNumber`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Count {
    /// `imageCountMoreThan`: all but the youngest so many.
    ImagesMoreThan(u32),
    /// `sinceImagePushed`: pushed more than so many days ago.
    DaysSincePushed(u32),
    /// `sinceImagePulled`: not pulled for more than so many days.
    DaysSincePulled(u32),
    /// `sinceImageTransitioned`: archived more than so many days ago.
    DaysSinceTransitioned(u32),
}

/// `action`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// `expire`: the image is deleted.
    Expire,
    /// `transition` to storage class `archive`.
    Archive,
}

/// Where the parts of a policy stand in the text it was read from.
#[derive(Debug)]
pub struct SourceMap {
    /// For each rule in the order of priorities, its place in the array.
    order: Vec<usize>,
    locator: parse::Locator,
}

impl SourceMap {
    /// The place in the text's `rules` array of the rule at `place` in [`Policy::rules`].
    #[must_use]
    pub fn array_index(&self, place: usize) -> usize {
        self.order.get(place).copied().unwrap_or(place)
    }

    /// The bytes of the value at a JSON pointer into the text, or of the nearest value around it.
    #[must_use]
    pub fn span(&self, pointer: &str) -> Option<Range<usize>> {
        self.locator.find(pointer)
    }
}

impl Policy {
    /// Reads and checks the text of a policy (`lifecyclePolicyText`).
    ///
    /// # Errors
    /// [`PolicyError`] with every violation found in the text.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        Self::parse_mapped(text).map(|(policy, _)| policy)
    }

    /// Like [`Policy::parse`], and says where in the text everything stands.
    ///
    /// # Errors
    /// [`PolicyError`] with every violation found in the text.
    pub fn parse_mapped(text: &str) -> Result<(Self, SourceMap), PolicyError> {
        let parse::Parsed { rules, mut violations, locator } = parse::parse(text);
        let pairs: Vec<_> = rules.iter().map(|(index, rule)| (*index, rule)).collect();
        violations.extend(checks::check(&pairs, &locator));
        if let Some(error) = PolicyError::new(violations) {
            return Err(error);
        }
        let mut places: Vec<(u32, usize)> =
            rules.iter().map(|(index, rule)| (rule.priority, *index)).collect();
        places.sort_unstable();
        let order = places.into_iter().map(|(_, index)| index).collect();
        let policy = Self::sorted(rules.into_iter().map(|(_, rule)| rule).collect());
        Ok((policy, SourceMap { order, locator }))
    }

    /// Checks rules that were put together by a program. Every check that applies to a text applies here.
    ///
    /// # Errors
    /// [`PolicyError`] with every violation; spans are absent, since there is no text.
    pub fn from_rules(rules: Vec<Rule>) -> Result<Self, PolicyError> {
        let mut violations = checks::check_numbers(&rules);
        let pairs: Vec<_> = rules.iter().enumerate().collect();
        violations.extend(checks::check(&pairs, &parse::Locator::none()));
        let policy = Self::sorted(rules);
        violations.extend(checks::check_length(&policy.to_canonical_json()));
        PolicyError::new(violations).map_or(Ok(policy), Err)
    }

    fn sorted(mut rules: Vec<Rule>) -> Self {
        rules.sort_by_key(|rule| rule.priority);
        Self { rules }
    }

    /// The rules, lowest priority number first.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The stored form: minified, rules by priority, keys in a fixed order, absent keys left out. Byte-stable: parsing
    /// and printing it again gives the same text.
    #[must_use]
    pub fn to_canonical_json(&self) -> String {
        self.print(serde_json::ser::CompactFormatter)
    }

    /// The same document, indented for people.
    #[must_use]
    pub fn to_pretty_json(&self) -> String {
        self.print(serde_json::ser::PrettyFormatter::new())
    }

    fn print<F: serde_json::ser::Formatter>(&self, formatter: F) -> String {
        let mut bytes = Vec::new();
        // Neither a Vec nor these types can fail to be written, and the writer emits UTF-8 only.
        let _ = self.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, formatter));
        String::from_utf8(bytes).unwrap_or_default()
    }
}

/// Printing goes through these, because the order of their members is the order of the keys: a JSON map would sort them
/// or not, depending on what else is compiled into the program.
impl Serialize for Policy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut policy = serializer.serialize_struct("Policy", 1)?;
        policy.serialize_field("rules", &self.rules)?;
        policy.end()
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut rule = serializer.serialize_struct("Rule", 4)?;
        rule.serialize_field("rulePriority", &self.priority)?;
        if let Some(description) = &self.description {
            rule.serialize_field("description", description)?;
        }
        rule.serialize_field("selection", &self.selection)?;
        rule.serialize_field("action", &self.action)?;
        rule.end()
    }
}

impl Serialize for Selection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut selection = serializer.serialize_struct("Selection", 6)?;
        selection.serialize_field("tagStatus", self.tags.status())?;
        if let TagSelector::Tagged(list) = &self.tags {
            selection.serialize_field(list.key(), list.entries())?;
        }
        if let Some(class) = self.storage {
            selection.serialize_field("storageClass", class.name())?;
        }
        selection.serialize_field("countType", self.count.type_name())?;
        if self.count.is_age() {
            selection.serialize_field("countUnit", "days")?;
        }
        selection.serialize_field("countNumber", &self.count.number())?;
        selection.end()
    }
}

impl Serialize for Action {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut action = serializer.serialize_struct("Action", 2)?;
        action.serialize_field("type", self.type_name())?;
        if *self == Self::Archive {
            action.serialize_field("targetStorageClass", StorageClass::Archive.name())?;
        }
        action.end()
    }
}

impl Selection {
    /// The storage class that the rule looks at.
    #[must_use]
    pub fn storage_class(&self) -> StorageClass {
        self.storage.unwrap_or_default()
    }
}

impl PartialEq for Selection {
    fn eq(&self, other: &Self) -> bool {
        self.tags == other.tags && self.storage_class() == other.storage_class() && self.count == other.count
    }
}

impl Eq for Selection {}

impl TagSelector {
    /// The value of `tagStatus`.
    #[must_use]
    pub const fn status(&self) -> &'static str {
        match self {
            Self::Tagged(_) => "tagged",
            Self::Untagged => "untagged",
            Self::Any => "any",
        }
    }
}

impl TagList {
    /// The name of the member that holds the list.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        match self {
            Self::Prefixes(_) => "tagPrefixList",
            Self::Patterns(_) => "tagPatternList",
        }
    }

    /// The entries as written.
    #[must_use]
    pub fn entries(&self) -> &[String] {
        let (Self::Prefixes(entries) | Self::Patterns(entries)) = self;
        entries
    }

    /// The entries without order and repetition, which is all that matters for what the list means.
    pub(crate) fn set(&self) -> BTreeSet<&str> {
        self.entries().iter().map(String::as_str).collect()
    }
}

impl PartialEq for TagList {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key() && self.set() == other.set()
    }
}

impl Eq for TagList {}

impl StorageClass {
    /// The value in a policy text.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Archive => "archive",
        }
    }
}

impl Count {
    /// The value of `countType`.
    #[must_use]
    pub const fn type_name(self) -> &'static str {
        match self {
            Self::ImagesMoreThan(_) => "imageCountMoreThan",
            Self::DaysSincePushed(_) => "sinceImagePushed",
            Self::DaysSincePulled(_) => "sinceImagePulled",
            Self::DaysSinceTransitioned(_) => "sinceImageTransitioned",
        }
    }

    /// The value of `countNumber`: images or days.
    #[must_use]
    pub const fn number(self) -> u32 {
        let (Self::ImagesMoreThan(number)
        | Self::DaysSincePushed(number)
        | Self::DaysSincePulled(number)
        | Self::DaysSinceTransitioned(number)) = self;
        number
    }

    /// Whether the number is one of days.
    #[must_use]
    pub const fn is_age(self) -> bool {
        !matches!(self, Self::ImagesMoreThan(_))
    }
}

impl Action {
    /// The value of `action.type`.
    #[must_use]
    pub const fn type_name(self) -> &'static str {
        match self {
            Self::Expire => "expire",
            Self::Archive => "transition",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"rules": [
        {"action": {"type": "expire"}, "rulePriority": 7, "selection": {"tagStatus": "untagged",
         "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 7, "storageClass": "standard"}},
        {"rulePriority": 2, "description": "two", "selection": {"tagStatus": "tagged",
         "tagPatternList": ["v*", "sha-*", "v*"], "countType": "imageCountMoreThan", "countNumber": 20},
         "action": {"type": "expire"}}]}"#;

    #[test]
    fn prints_rules_by_priority_and_keys_in_a_fixed_order() {
        let policy = Policy::parse(TEXT).unwrap();
        insta::assert_snapshot!(policy.to_canonical_json(), @r#"{"rules":[{"rulePriority":2,"description":"two","selection":{"tagStatus":"tagged","tagPatternList":["v*","sha-*","v*"],"countType":"imageCountMoreThan","countNumber":20},"action":{"type":"expire"}},{"rulePriority":7,"selection":{"tagStatus":"untagged","storageClass":"standard","countType":"sinceImagePushed","countUnit":"days","countNumber":7},"action":{"type":"expire"}}]}"#);
        let again = Policy::parse(&policy.to_canonical_json()).unwrap();
        assert_eq!(again.to_canonical_json(), policy.to_canonical_json());
        assert_eq!(Policy::parse(&policy.to_pretty_json()).unwrap(), policy);
    }

    #[test]
    fn compares_what_is_said_not_how() {
        let policy = Policy::parse(TEXT).unwrap();
        let same = TEXT
            .replace(r#", "storageClass": "standard""#, "")
            .replace(r#"["v*", "sha-*", "v*"]"#, r#"["sha-*", "v*"]"#);
        assert_eq!(Policy::parse(&same).unwrap(), policy);
        for (from, to) in [
            ("\"two\"", "\"2\""),
            ("20", "21"),
            ("\"sha-*\", ", ""),
            ("tagPatternList", "tagPrefixList"),
            (": 2,", ": 3,"),
        ] {
            let other = TEXT.replacen(from, to, 1);
            assert_ne!(Policy::parse(&other).unwrap(), policy, "{from} -> {to}");
        }
    }
}
