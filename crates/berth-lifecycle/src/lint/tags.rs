//! What one tag list says about another, and about tags.

use berth_types::{Tag, WildcardPattern, limits};

use crate::compile::implies;
use crate::evaluate::Image;
use crate::policy::{Rule, TagList, TagSelector};

/// An entry of a list as a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) written: String,
    /// Absent if no tag can meet it.
    pub(super) pattern: Option<String>,
}

/// The entries of a list, repeated and implied ones left out: what the image must really carry.
pub(super) fn entries(list: &TagList) -> Vec<Entry> {
    let all: Vec<Entry> = list.set().into_iter().map(|written| entry(list, written)).collect();
    let is_implied = |entry: &Entry| {
        let Some(wide) = &entry.pattern else { return false };
        all.iter().any(|other| match &other.pattern {
            Some(narrow) if other != entry => {
                implies(narrow, wide) && (!implies(wide, narrow) || other.written < entry.written)
            }
            _ => false,
        })
    };
    // In the order in which they are written, for messages.
    let mut needed: Vec<Entry> = Vec::new();
    for written in list.entries() {
        let entry = entry(list, written);
        if !is_implied(&entry) && !needed.contains(&entry) {
            needed.push(entry);
        }
    }
    needed
}

fn entry(list: &TagList, written: &str) -> Entry {
    let pattern = match list {
        TagList::Patterns(_) => Some(written.to_owned()),
        TagList::Prefixes(_) => (!written.contains('*')).then(|| format!("{written}*")),
    };
    Entry { written: written.to_owned(), pattern: pattern.filter(|pattern| can_match(pattern)) }
}

/// Whether some tag fits the pattern: its literal parts must follow the grammar of tags.
fn can_match(pattern: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let starts_well = pattern.bytes().next().is_some_and(|first| first == b'*' || is_word(first));
    let mut literal = pattern.bytes().filter(|byte| *byte != b'*');
    let length = literal.clone().count();
    starts_well
        && literal.all(|byte| is_word(byte) || matches!(byte, b'.' | b'-'))
        && length <= limits::TAG_CHARS_MAX
}

/// Whether a tag of the image meets the entry.
pub(super) fn meets(image: &Image, entry: &Entry) -> bool {
    let Some(pattern) = &entry.pattern else { return false };
    let pattern = WildcardPattern::new(pattern);
    image.tags.iter().any(|tag| pattern.matches(tag.as_str()))
}

/// Whether every image that `narrow` matches is matched by `wide` too. Both look at the same storage class.
pub(super) fn covers(wide: &Rule, narrow: &Rule) -> bool {
    match (&wide.selection.tags, &narrow.selection.tags) {
        (TagSelector::Any, _) | (TagSelector::Untagged, TagSelector::Untagged) => true,
        (TagSelector::Tagged(wide), TagSelector::Tagged(narrow)) => {
            let narrow = entries(narrow);
            entries(wide).iter().all(|wide| narrow.iter().any(|narrow| entry_implies(narrow, wide)))
        }
        _ => false,
    }
}

/// Whether every tag that meets `narrow` meets `wide`.
pub(super) fn entry_implies(narrow: &Entry, wide: &Entry) -> bool {
    match (&narrow.pattern, &wide.pattern) {
        (Some(narrow), Some(wide)) => implies(narrow, wide),
        _ => false,
    }
}

/// Whether the rule takes every tagged image.
pub(super) fn takes_all_tagged(rule: &Rule) -> bool {
    match &rule.selection.tags {
        TagSelector::Any => true,
        TagSelector::Untagged => false,
        TagSelector::Tagged(list) => entries(list).iter().all(|entry| {
            entry.pattern.as_deref().is_some_and(|pattern| pattern.bytes().all(|byte| byte == b'*'))
        }),
    }
}

/// The tag that an entry names, if it names one that by custom moves from image to image.
pub(super) fn moving_tag(list: &TagList, written: &str) -> Option<Tag> {
    const MOVING: [&str; 13] = [
        "latest",
        "main",
        "master",
        "trunk",
        "dev",
        "develop",
        "edge",
        "nightly",
        "stable",
        "staging",
        "stage",
        "prod",
        "production",
    ];
    let name = match list {
        TagList::Prefixes(_) => written,
        TagList::Patterns(_) => written.trim_end_matches('*'),
    };
    MOVING.contains(&name).then(|| Tag::parse(name).ok()).flatten()
}
