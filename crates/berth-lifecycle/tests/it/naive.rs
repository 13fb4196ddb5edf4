//! A second evaluator, written straight from the rules' prose without a thought for speed, to compare the first with.
//!
//! It shares nothing with the crate but the types: globs are matched by recursion, ranks are counted by comparing every
//! image with every other, shielding is looked up rule by rule.

use berth_lifecycle::{
    Action, Count, Image, ImageStorage, Outcome, Policy, Rule, StorageClass, TagList, TagSelector,
};
use berth_types::Timestamp;

/// What happens to each image.
pub(crate) fn outcomes(policy: &Policy, images: &[Image], now: Timestamp) -> Vec<Outcome> {
    let world = World { policy, images, now };
    (0..images.len()).map(|place| world.outcome(place)).collect()
}

struct World<'a> {
    policy: &'a Policy,
    images: &'a [Image],
    now: Timestamp,
}

impl World<'_> {
    fn outcome(&self, place: usize) -> Outcome {
        let holder = self.holder(place);
        if let Some(subject) = self.final_subject(place) {
            let storage = self.images[place].storage;
            let (rule, action) = match self.outcome(subject) {
                Outcome::Expire { rule } => (rule, Action::Expire),
                Outcome::Archive { rule } if storage == ImageStorage::Standard => (rule, Action::Archive),
                _ => return Outcome::Keep,
            };
            return match holder {
                Some(parent) => held(rule, action, parent),
                None => Outcome::Cascade { subject, action },
            };
        }
        for rule in self.policy.rules() {
            if !self.is_selected(place, rule) {
                continue;
            }
            let is_shielded = self
                .policy
                .rules()
                .iter()
                .any(|other| other.priority < rule.priority && self.is_matched(place, other));
            if is_shielded {
                continue;
            }
            return match (holder, rule.action) {
                (Some(parent), action) => held(rule.priority, action, parent),
                (None, Action::Expire) => Outcome::Expire { rule: rule.priority },
                (None, Action::Archive) => Outcome::Archive { rule: rule.priority },
            };
        }
        Outcome::Keep
    }

    fn is_matched(&self, place: usize, rule: &Rule) -> bool {
        let image = &self.images[place];
        let class_fits = match rule.selection.storage_class() {
            StorageClass::Standard => image.storage == ImageStorage::Standard,
            StorageClass::Archive => image.storage == ImageStorage::Archive,
        };
        let some_tag = |test: &dyn Fn(&str) -> bool| image.tags.iter().any(|tag| test(tag.as_str()));
        let tags_fit = match &rule.selection.tags {
            TagSelector::Any => true,
            TagSelector::Untagged => image.tags.is_empty(),
            TagSelector::Tagged(TagList::Prefixes(list)) => {
                list.iter().all(|prefix| some_tag(&|tag| tag.as_bytes().starts_with(prefix.as_bytes())))
            }
            TagSelector::Tagged(TagList::Patterns(list)) => {
                list.iter().all(|pattern| some_tag(&|tag| glob(pattern.as_bytes(), tag.as_bytes())))
            }
        };
        class_fits && tags_fit && self.final_subject(place).is_none()
    }

    fn is_selected(&self, place: usize, rule: &Rule) -> bool {
        if !self.is_matched(place, rule) {
            return false;
        }
        let image = &self.images[place];
        let older_than = |since: Timestamp, days: u32| {
            (self.now.millis() - since.millis()) > i64::from(days) * 24 * 3600 * 1000
        };
        match rule.selection.count {
            Count::ImagesMoreThan(keep) => {
                let younger = (0..self.images.len()).filter(|other| {
                    self.is_matched(*other, rule) && self.age_key(*other) > self.age_key(place)
                });
                younger.count() >= keep as usize
            }
            Count::DaysSincePushed(days) => older_than(pushed(image), days),
            Count::DaysSincePulled(days) => {
                let used = [Some(pushed(image)), image.last_pulled_at].into_iter().flatten().max();
                used.is_some_and(|used| older_than(used, days))
            }
            Count::DaysSinceTransitioned(days) => {
                image.last_archived_at.is_some_and(|at| older_than(at, days))
            }
        }
    }

    fn age_key(&self, place: usize) -> (Timestamp, String) {
        (pushed(&self.images[place]), self.images[place].digest.to_string())
    }

    /// The living index with the smallest digest that refers to the image.
    fn holder(&self, place: usize) -> Option<usize> {
        let digest = &self.images[place].digest;
        (0..self.images.len())
            .filter(|other| *other != place && self.images[*other].storage != ImageStorage::Archive)
            .filter(|other| self.images[*other].references.contains(digest))
            .min_by_key(|other| self.images[*other].digest.to_string())
    }

    fn final_subject(&self, place: usize) -> Option<usize> {
        let subject = self.images[place].subject?;
        let next =
            (0..self.images.len()).find(|other| *other != place && self.images[*other].digest == subject)?;
        Some(self.final_subject(next).unwrap_or(next))
    }
}

fn pushed(image: &Image) -> Timestamp {
    match image.last_activated_at {
        Some(activated) if activated > image.pushed_at => activated,
        _ => image.pushed_at,
    }
}

fn held(rule: u32, action: Action, parent: usize) -> Outcome {
    Outcome::Blocked { rule, action, code: "ImageReferencedByManifestList", parent }
}

fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => glob(rest, text) || (!text.is_empty() && glob(pattern, &text[1..])),
        ([byte, pattern @ ..], [first, text @ ..]) => byte == first && glob(pattern, text),
        _ => false,
    }
}
