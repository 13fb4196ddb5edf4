//! A policy and the images of one repository to decisions: what goes, what stays, why, and when.
//!
//! How it follows from Amazon ECR's rules. All rules look at the same images. An image that meets the tag requirements of
//! a rule cannot be touched by a rule with a higher number, whether or not the first one selects it. So each image has
//! one **governing rule**, the lowest-numbered one that matches it, and goes if and only if that rule selects it. Every
//! other rule still counts the image when it ranks.
//!
//! What is done with a decision, and re-checking its premise before doing it, is the registry's business.

mod explain;
mod image;
mod matcher;
mod reason;
mod relations;

use std::cmp::Reverse;

use berth_types::Timestamp;

use crate::policy::{Action, Count, Policy, Rule, StorageClass};

pub use explain::{Explanation, RuleTrace, explain};
pub use image::{Image, ImageKind, ImageStorage};
use matcher::Matcher;
use relations::Relations;

/// `failureCode` of an action that a living manifest list or index forbids.
pub const REFERENCED_BY_MANIFEST_LIST: &str = "ImageReferencedByManifestList";

/// What a policy does to the images of a repository at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evaluation {
    /// One decision for each image, in the order of the input.
    pub decisions: Vec<Decision>,
    /// One entry for each rule, by priority.
    pub rules: Vec<RuleStats>,
}

/// What happens to one image, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What happens.
    pub outcome: Outcome,
    /// What the governing rule measured.
    pub why: Why,
    /// The first rule after the governing one that would have taken the image too, had it not been shielded. With an
    /// image that stays, this is the rule it is protected from, and the rule in [`Why`] is what protects it.
    pub shielded_from: Option<u32>,
    /// When the image goes if nothing changes.
    pub departure: Departure,
}

/// What happens to an image. Rules are named by their `rulePriority`, images by their place in the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It stays.
    Keep,
    /// It is deleted.
    Expire {
        /// The rule that does it.
        rule: u32,
    },
    /// It moves to the archive.
    Archive {
        /// The rule that does it.
        rule: u32,
    },
    /// A rule would act on it, but an index that is not archived refers to it; it stays.
    Blocked {
        /// The rule that would act (for a referrer, the rule that acts on its subject).
        rule: u32,
        /// What the rule would have done.
        action: Action,
        /// Why it did not: [`REFERENCED_BY_MANIFEST_LIST`].
        code: &'static str,
        /// An index that refers to it; of several, the one with the smallest digest.
        parent: usize,
    },
    /// It refers to a subject (a signature, an SBOM) and shares the fate of that.
    Cascade {
        /// The image it refers to.
        subject: usize,
        /// What happens to both.
        action: Action,
    },
}

/// What the governing rule saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// No rule is about this image: it stays for ever.
    NoRuleMatches,
    /// The image is being restored from the archive. No rule is about it until that is done.
    Activating,
    /// It is not judged by itself; it follows its subject.
    FollowsSubject {
        /// The image it refers to.
        subject: usize,
    },
    /// The governing rule counts.
    Ranked {
        /// The governing rule.
        rule: u32,
        /// Place among the images that the rule matches, the youngest being 1.
        rank: u32,
        /// How many the rule keeps.
        keep: u32,
    },
    /// The governing rule measures an age.
    Aged {
        /// The governing rule.
        rule: u32,
        /// From when the age runs.
        since: Timestamp,
        /// What happened then.
        clock: AgeClock,
        /// How many days the rule allows.
        days: u32,
    },
    /// The governing rule counts from the moment of archiving, which is not recorded for this image: it stays.
    AgeUnknown {
        /// The governing rule.
        rule: u32,
    },
}

/// What an age is counted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgeClock {
    /// The push.
    Pushed,
    /// The restoration from the archive, which makes an image as good as newly pushed.
    Restored,
    /// The last recorded pull.
    Pulled,
    /// The move to the archive.
    Archived,
}

/// When an image goes if nothing changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// At the next run.
    Now,
    /// At the first run from this moment on.
    At(Timestamp),
    /// After so many more pushes of images that the governing rule matches.
    AfterPushes(u32),
    /// Not before this index has gone, and after it at the earliest in the next run.
    AfterParent(usize),
    /// Together with its subject.
    WithSubject(usize),
    /// No rule will ever take it.
    Never,
}

/// What one rule did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleStats {
    /// `rulePriority`.
    pub priority: u32,
    /// Images that meet its storage class and tag requirements.
    pub matched: u64,
    /// Their size in bytes, as far as it is known.
    pub matched_bytes: u64,
    /// Of those, the ones beyond its count or age.
    pub selected: u64,
    /// Of the selected, the ones that belong to a rule with a lower number.
    pub shielded: u64,
    /// Of the selected, the ones that an index holds back.
    pub blocked: u64,
    /// Images that it expires or archives, without the referrers that follow them.
    pub acted: u64,
    /// Their size in bytes, as far as it is known, layers shared with other images included.
    pub acted_bytes: u64,
}

/// Decides for every image of a repository what the policy does to it at `now`.
///
/// The result depends on the set of images, not on their order. Digests are expected to be unique.
#[must_use]
pub fn evaluate(policy: &Policy, images: &[Image], now: Timestamp) -> Evaluation {
    Run::new(policy, images, now).finish()
}

/// Milliseconds in a day. A day is 24 hours: no time zone, no calendar.
pub(crate) const DAY_MILLIS: i64 = 24 * 60 * 60 * 1000;

/// One evaluation under way. Rules are bits of a `u64` by their place in the policy: there are at most fifty.
struct Run<'a> {
    rules: &'a [Rule],
    images: &'a [Image],
    now: Timestamp,
    relations: Relations,
    /// For each image, the rules that match it.
    matched: Vec<u64>,
    /// For each image, the rules that select it.
    selected: Vec<u64>,
    /// For each image, its rank under its governing rule, if that one counts.
    ranks: Vec<u32>,
}

impl<'a> Run<'a> {
    fn new(policy: &'a Policy, images: &'a [Image], now: Timestamp) -> Self {
        let relations = Relations::of(images);
        let mut run = Self {
            rules: policy.rules(),
            images,
            now,
            relations,
            matched: vec![0; images.len()],
            selected: vec![0; images.len()],
            ranks: Vec::new(),
        };
        run.find_matches();
        run.select_by_count();
        run.select_by_age();
        run
    }

    /// Step 1: which rules are about which image. A referrer whose subject is here is about its subject only: no rule
    /// matches it, and it takes no place in any count.
    fn find_matches(&mut self) {
        let mut matcher = Matcher::new(self.rules);
        for (place, image) in self.images.iter().enumerate() {
            if self.relations.subject(place).is_none() {
                self.matched[place] = matcher.matching_rules(image);
            }
        }
    }

    /// Step 2a: rank what each counting rule matches, youngest first, and select what is beyond its number. Images that
    /// other rules take or shield are counted like all others.
    fn select_by_count(&mut self) {
        let counting = self.rules_where(|rule| !rule.selection.count.is_age());
        if counting == 0 {
            return;
        }
        self.ranks = vec![0; self.images.len()];
        let mut counts = vec![0_u32; self.rules.len()];
        for place in self.youngest_first() {
            let matched = self.matched[place];
            let governing = lowest(matched);
            for rule in bits(matched & counting) {
                counts[rule] = counts[rule].saturating_add(1);
                if counts[rule] > self.rules[rule].selection.count.number() {
                    self.selected[place] |= 1 << rule;
                }
                if governing == Some(rule) {
                    self.ranks[place] = counts[rule];
                }
            }
        }
    }

    /// Places in the order that counting rules use: by time of push or restoration, equal times by digest (the larger
    /// digest counts as younger), so that the order of the input does not matter.
    fn youngest_first(&self) -> impl Iterator<Item = usize> + use<> {
        let mut order: Vec<(Reverse<i64>, u32)> = (0_u32..)
            .zip(self.images)
            .filter(|(place, _)| self.matched[*place as usize] != 0)
            .map(|(place, image)| (Reverse(image.effective_push().millis()), place))
            .collect();
        order.sort_unstable();
        for same_time in order.chunk_by_mut(|a, b| a.0 == b.0).filter(|run| run.len() > 1) {
            same_time.sort_unstable_by_key(|(_, place)| Reverse(self.images[*place as usize].digest));
        }
        order.into_iter().map(|(_, place)| place as usize)
    }

    /// Step 2b: select what is strictly older than each ageing rule allows.
    fn select_by_age(&mut self) {
        let ageing = self.rules_where(|rule| rule.selection.count.is_age());
        for (place, image) in self.images.iter().enumerate() {
            for rule in bits(self.matched[place] & ageing) {
                if is_too_old(image, self.rules[rule].selection.count, self.now) {
                    self.selected[place] |= 1 << rule;
                }
            }
        }
    }

    fn rules_where(&self, test: impl Fn(&Rule) -> bool) -> u64 {
        self.rules
            .iter()
            .enumerate()
            .filter(|(_, rule)| test(rule))
            .fold(0, |set, (place, _)| set | 1 << place)
    }

    fn finish(self) -> Evaluation {
        let mut decisions: Vec<Decision> = (0..self.images.len()).map(|place| self.judge(place)).collect();
        for place in 0..self.images.len() {
            if let Some(subject) = self.relations.root_subject(place) {
                decisions[place] = self.follow(place, subject, &decisions[subject]);
            }
        }
        let rules = self.stats(&decisions);
        Evaluation { decisions, rules }
    }

    /// Step 3: the governing rule decides, unless a living index forbids it.
    fn judge(&self, place: usize) -> Decision {
        let Some(governing) = lowest(self.matched[place]) else {
            let is_activating = self.images[place].storage == ImageStorage::Activating;
            let why = if is_activating { Why::Activating } else { Why::NoRuleMatches };
            return Decision {
                outcome: Outcome::Keep,
                why,
                shielded_from: None,
                departure: Departure::Never,
            };
        };
        let rule = &self.rules[governing];
        let why = self.measure(place, governing);
        let shielded = self.selected[place] & !(1 << governing);
        let shielded_from = lowest(shielded).map(|place| self.rules[place].priority);
        let parent = self.relations.parent(place);
        let is_selected = self.selected[place] & (1 << governing) != 0;
        let outcome = match (is_selected, parent) {
            (true, Some(parent)) => blocked(rule.priority, rule.action, parent),
            (true, None) => acted(rule.priority, rule.action),
            (false, _) => Outcome::Keep,
        };
        let departure = match parent {
            Some(parent) => Departure::AfterParent(parent),
            None if is_selected => Departure::Now,
            None => departure(why),
        };
        Decision { outcome, why, shielded_from, departure }
    }

    fn measure(&self, place: usize, rule: usize) -> Why {
        let Rule { priority, selection, .. } = &self.rules[rule];
        let priority = *priority;
        match selection.count {
            Count::ImagesMoreThan(keep) => Why::Ranked { rule: priority, rank: self.ranks[place], keep },
            count => match age_clock(&self.images[place], count) {
                Some((since, clock)) => Why::Aged { rule: priority, since, clock, days: count.number() },
                None => Why::AgeUnknown { rule: priority },
            },
        }
    }

    /// Step 4: a referrer does what its subject does, unless a living index refers to it.
    fn follow(&self, place: usize, subject: usize, fate: &Decision) -> Decision {
        let (rule, action) = match fate.outcome {
            Outcome::Expire { rule } => (rule, Some(Action::Expire)),
            Outcome::Archive { rule } if self.images[place].storage == ImageStorage::Standard => {
                (rule, Some(Action::Archive))
            }
            Outcome::Archive { rule } => (rule, None),
            Outcome::Keep | Outcome::Blocked { .. } | Outcome::Cascade { .. } => (0, None),
        };
        let parent = self.relations.parent(place);
        let outcome = match (action, parent) {
            (None, _) => Outcome::Keep,
            (Some(action), Some(parent)) => blocked(rule, action, parent),
            (Some(action), None) => Outcome::Cascade { subject, action },
        };
        let departure = match parent {
            Some(parent) => Departure::AfterParent(parent),
            None => Departure::WithSubject(subject),
        };
        Decision { outcome, why: Why::FollowsSubject { subject }, shielded_from: None, departure }
    }

    fn stats(&self, decisions: &[Decision]) -> Vec<RuleStats> {
        let empty = |rule: &Rule| RuleStats {
            priority: rule.priority,
            matched: 0,
            matched_bytes: 0,
            selected: 0,
            shielded: 0,
            blocked: 0,
            acted: 0,
            acted_bytes: 0,
        };
        let mut stats: Vec<RuleStats> = self.rules.iter().map(empty).collect();
        for (place, image) in self.images.iter().enumerate() {
            let bytes = image.size_bytes.unwrap_or(0);
            for rule in bits(self.matched[place]) {
                stats[rule].matched += 1;
                stats[rule].matched_bytes = stats[rule].matched_bytes.saturating_add(bytes);
            }
            let governing = lowest(self.matched[place]);
            for rule in bits(self.selected[place]) {
                stats[rule].selected += 1;
                if governing != Some(rule) {
                    stats[rule].shielded += 1;
                } else if matches!(decisions[place].outcome, Outcome::Blocked { .. }) {
                    stats[rule].blocked += 1;
                } else {
                    stats[rule].acted += 1;
                    stats[rule].acted_bytes = stats[rule].acted_bytes.saturating_add(bytes);
                }
            }
        }
        stats
    }
}

fn acted(rule: u32, action: Action) -> Outcome {
    match action {
        Action::Expire => Outcome::Expire { rule },
        Action::Archive => Outcome::Archive { rule },
    }
}

fn blocked(rule: u32, action: Action, parent: usize) -> Outcome {
    Outcome::Blocked { rule, action, code: REFERENCED_BY_MANIFEST_LIST, parent }
}

/// When an image goes that its governing rule does not select now.
fn departure(why: Why) -> Departure {
    match why {
        Why::Ranked { rank, keep, .. } => Departure::AfterPushes(keep.saturating_sub(rank).saturating_add(1)),
        Why::Aged { since, days, .. } => Departure::At(first_too_old(since, days)),
        Why::NoRuleMatches | Why::Activating | Why::FollowsSubject { .. } | Why::AgeUnknown { .. } => {
            Departure::Never
        }
    }
}

/// Whether the age under `count` is more than its days. "Older than" is strict and compares instants.
fn is_too_old(image: &Image, count: Count, now: Timestamp) -> bool {
    age_clock(image, count).is_some_and(|(since, _)| now >= first_too_old(since, count.number()))
}

/// The first millisecond at which what began at `since` is older than `days` days.
fn first_too_old(since: Timestamp, days: u32) -> Timestamp {
    let millis = since.millis().saturating_add(i64::from(days) * DAY_MILLIS).saturating_add(1);
    Timestamp::from_millis(millis)
}

/// From when an age runs under a count type.
fn age_clock(image: &Image, count: Count) -> Option<(Timestamp, AgeClock)> {
    let pushed = image.effective_push();
    let push_clock = if pushed == image.pushed_at { AgeClock::Pushed } else { AgeClock::Restored };
    match count {
        Count::DaysSincePushed(_) => Some((pushed, push_clock)),
        Count::DaysSincePulled(_) => match image.last_pulled_at {
            Some(pulled) if pulled >= pushed => Some((pulled, AgeClock::Pulled)),
            _ => Some((pushed, push_clock)),
        },
        Count::DaysSinceTransitioned(_) => image.last_archived_at.map(|at| (at, AgeClock::Archived)),
        Count::ImagesMoreThan(_) => None,
    }
}

/// Whether rules for `class` look at images in `storage`.
fn is_in_class(storage: ImageStorage, class: StorageClass) -> bool {
    match storage {
        ImageStorage::Standard => class == StorageClass::Standard,
        ImageStorage::Archive => class == StorageClass::Archive,
        ImageStorage::Activating => false,
    }
}

fn lowest(set: u64) -> Option<usize> {
    (set != 0).then(|| set.trailing_zeros() as usize)
}

/// The members of a set, lowest first.
fn bits(set: u64) -> impl Iterator<Item = usize> {
    let mut rest = set;
    std::iter::from_fn(move || {
        let next = lowest(rest)?;
        rest &= rest - 1;
        Some(next)
    })
}
