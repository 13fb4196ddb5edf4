//! Which rules match an image: tag status and tag lists.
//!
//! Rules often share entries, so each distinct entry is tried once for each tag. What a tag list means is decided here
//! and nowhere else: **every** entry of the list must be met by **some** tag of the image.

use std::collections::HashMap;

use berth_types::WildcardPattern;

use super::{Image, is_in_class};
use crate::policy::{Rule, StorageClass, TagList, TagSelector};

/// One entry of a tag list. Comparisons are of bytes: case matters.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Entry {
    /// The characters that a tag must have to fit. Most tags lack one, which is found out by one comparison.
    needs: Characters,
    form: Form,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Form {
    /// The tag starts with this. A `*` in a prefix is an ordinary character, so no tag starts with it.
    Prefix(Box<str>),
    /// The tag is this.
    Exact(Box<str>),
    /// The whole tag fits this.
    Pattern(WildcardPattern),
}

/// A set of ASCII characters. Tags have no others.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Characters(u128);

impl Characters {
    fn of(text: &str) -> Self {
        Self(text.bytes().filter(u8::is_ascii).fold(0, |set, byte| set | 1 << byte))
    }

    const fn are_in(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }
}

impl Entry {
    fn of_prefix(prefix: &str) -> Self {
        Self { needs: Characters::of(prefix), form: Form::Prefix(prefix.into()) }
    }

    fn of_pattern(pattern: &str) -> Self {
        let form = match pattern.split_once('*') {
            None => Form::Exact(pattern.into()),
            Some((prefix, "")) => return Self::of_prefix(prefix),
            Some(_) => Form::Pattern(WildcardPattern::new(pattern)),
        };
        Self { needs: Characters::of(&pattern.replace('*', "")), form }
    }

    /// The entries of a list.
    fn of_list(list: &TagList) -> Vec<Self> {
        match list {
            TagList::Prefixes(prefixes) => prefixes.iter().map(|prefix| Self::of_prefix(prefix)).collect(),
            TagList::Patterns(patterns) => patterns.iter().map(|pattern| Self::of_pattern(pattern)).collect(),
        }
    }

    fn fits(&self, tag: &str) -> bool {
        match &self.form {
            Form::Prefix(prefix) => tag.starts_with(&**prefix),
            Form::Exact(name) => tag == &**name,
            Form::Pattern(pattern) => pattern.matches(tag),
        }
    }
}

/// What a rule asks of an image, in terms of the shared entries.
struct Requirement {
    class: StorageClass,
    tags: Tags,
}

enum Tags {
    Any,
    Untagged,
    /// Places in [`Matcher::entries`], without repetition.
    All(Vec<usize>),
}

pub(super) struct Matcher {
    entries: Vec<Entry>,
    requirements: Vec<Requirement>,
    /// Which entries the image in hand meets. Kept between images to save the allocation.
    met: Vec<bool>,
}

impl Matcher {
    pub(super) fn new(rules: &[Rule]) -> Self {
        let mut places = HashMap::new();
        let mut entries = Vec::new();
        let requirements = rules
            .iter()
            .map(|rule| {
                let tags = match &rule.selection.tags {
                    TagSelector::Any => Tags::Any,
                    TagSelector::Untagged => Tags::Untagged,
                    TagSelector::Tagged(list) => {
                        let mut all: Vec<usize> = Vec::new();
                        for entry in Entry::of_list(list) {
                            let place = *places.entry(entry).or_insert_with_key(|entry| {
                                entries.push(entry.clone());
                                entries.len() - 1
                            });
                            all.push(place);
                        }
                        all.sort_unstable();
                        all.dedup();
                        Tags::All(all)
                    }
                };
                Requirement { class: rule.selection.storage_class(), tags }
            })
            .collect();
        let met = vec![false; entries.len()];
        Self { entries, requirements, met }
    }

    /// The rules that match, as a set of bits.
    pub(super) fn matching_rules(&mut self, image: &Image) -> u64 {
        self.met.fill(false);
        for tag in &image.tags {
            let present = Characters::of(tag.as_str());
            for (entry, met) in self.entries.iter().zip(&mut self.met) {
                if !*met && entry.needs.are_in(present) {
                    *met = entry.fits(tag.as_str());
                }
            }
        }
        let is_untagged = image.tags.is_empty();
        let mut matching = 0;
        for (place, Requirement { class, tags }) in self.requirements.iter().enumerate() {
            let tags_match = match tags {
                Tags::Any => true,
                Tags::Untagged => is_untagged,
                Tags::All(entries) => !is_untagged && entries.iter().all(|entry| self.met[*entry]),
            };
            if tags_match && is_in_class(image.storage, *class) {
                matching |= 1 << place;
            }
        }
        matching
    }
}
