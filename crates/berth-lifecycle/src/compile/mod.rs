//! Retention intents to a policy that keeps what they promise.
//!
//! An intent says "keep the last 20 images tagged `v*` or `sha-*`". ECR has no "or": a list in a rule means "and". So each
//! alternative becomes a rule of its own. That alone would break promises, because an image is governed by the
//! lowest-numbered rule that matches it: an image tagged `v1` and `latest` would be judged by the `v*` rule only, and lost
//! although it is among the last of `latest*`. So images that fall under several intents get rules of their own, before
//! the others (`overlap` says which and why they suffice).
//!
//! The property that must hold, and that the tests try to break: **whatever any intent keeps, the policy keeps.**

mod overlap;

pub(crate) use overlap::implies;

use berth_types::{WildcardPattern, limits};

use crate::policy::{
    Action, Clause, Count, Policy, PolicyError, Rule, Selection, TagList, TagSelector, Violation,
    WILDCARDS_MAX,
};
use overlap::{Candidate, TaggedIntent};

/// What a user wants kept. Exactly one of `any_of` and `untagged`, and one of `keep_last` and `expire_after_days`, is
/// given; [`compile`] checks that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// The promise in the user's words.
    pub description: Option<String>,
    /// Wildcard patterns. The intent is about images with a tag that fits at least one of them.
    pub any_of: Vec<String>,
    /// The intent is about images without a tag.
    pub untagged: bool,
    /// Keep so many of the youngest images.
    pub keep_last: Option<u32>,
    /// Keep images that are not older than so many days.
    pub expire_after_days: Option<u32>,
}

/// A policy made from intents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compiled {
    /// The policy.
    pub policy: Policy,
    /// For each rule of the policy, in its order, the intents it comes from.
    pub origin: Vec<RuleOrigin>,
    /// What the user should know, one sentence each.
    pub warnings: Vec<String>,
}

/// Where a rule comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleOrigin {
    /// `rulePriority` of the rule.
    pub priority: u32,
    /// Places of its intents in the input. More than one: the rule is for images that fall under all of them.
    pub retentions: Vec<usize>,
}

/// Why intents cannot be turned into a policy. `index` is the place of the intent in the input, counted from 0; texts
/// count from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// No intents.
    #[error(
        "there is no retention to make a policy from; to have no lifecycle policy, leave it away altogether"
    )]
    Empty,
    /// Both or neither of `any_of` and `untagged`.
    #[error(
        "retention {}: give either any_of, a list of tag patterns, or untagged = true{}",
        .index + 1,
        if *.both { ", not both (write two retentions)" } else { "" }
    )]
    Subject {
        /// The intent.
        index: usize,
        /// Whether both are given.
        both: bool,
    },
    /// Both or neither of `keep_last` and `expire_after_days`.
    #[error(
        "retention {}: give either keep_last or expire_after_days{}",
        .index + 1,
        if *.both { ", not both: ECR cannot count and measure age in one rule" } else { "" }
    )]
    Measure {
        /// The intent.
        index: usize,
        /// Whether both are given.
        both: bool,
    },
    /// A number that is zero or does not fit.
    #[error("retention {}: {member} is {found}; it must be between 1 and {}", .index + 1, i32::MAX)]
    Number {
        /// The intent.
        index: usize,
        /// `keep_last` or `expire_after_days`.
        member: &'static str,
        /// What is given.
        found: u32,
    },
    /// A pattern without a character.
    #[error("retention {}: any_of has an empty pattern, which no tag fits; write \"*\" for every tagged image", .index + 1)]
    EmptyPattern {
        /// The intent.
        index: usize,
    },
    /// A pattern with too many wildcards.
    #[error(
        "retention {}: the pattern {pattern:?} has {found} wildcards; ECR allows {} in one pattern",
        .index + 1,
        WILDCARDS_MAX
    )]
    Wildcards {
        /// The intent.
        index: usize,
        /// The pattern.
        pattern: String,
        /// How many `*` it has.
        found: usize,
    },
    /// A second intent for untagged images.
    #[error(
        "retentions {} and {} are both about untagged images; ECR takes one such rule, so merge them",
        .first + 1,
        .second + 1
    )]
    SeveralUntagged {
        /// The first of them.
        first: usize,
        /// The second of them.
        second: usize,
    },
    /// More rules than a policy may have.
    #[error(
        "these retentions need {} rules and a policy may have {}: each alternative is a rule, and so is each combination \
         of alternatives from different retentions; merge retentions, or write fewer and wider patterns",
        count_text(*.rules),
        limits::LIFECYCLE_RULES_MAX
    )]
    TooManyRules {
        /// How many it would be; absent if nobody wants to count them.
        rules: Option<usize>,
    },
    /// The rules are one by one in order, but not together.
    #[error("the retentions make a policy that ECR would refuse")]
    Policy(#[source] PolicyError),
}

fn count_text(rules: Option<usize>) -> String {
    rules.map_or_else(|| "thousands of".to_owned(), |rules| rules.to_string())
}

/// The retentions that a project has if it names none: the last 20 versions, the last 5 of each branch, untagged images
/// for 7 days.
#[must_use]
pub fn mission_default() -> Vec<Retention> {
    let tagged = |description: &str, any_of: &[&str], keep_last| Retention {
        description: Some(description.to_owned()),
        any_of: any_of.iter().map(|&pattern| pattern.to_owned()).collect(),
        keep_last: Some(keep_last),
        ..Retention::default()
    };
    vec![
        tagged("Keep last 20 version-tagged images (v*, sha-*)", &["v*", "sha-*"], 20),
        tagged("Keep last 5 branch-tagged images (latest, main, dev)", &["latest*", "main*", "dev*"], 5),
        Retention {
            description: Some("Delete untagged images older than 7 days".to_owned()),
            untagged: true,
            expire_after_days: Some(7),
            ..Retention::default()
        },
    ]
}

/// Makes the policy that keeps whatever any of the intents keeps.
///
/// An intent with `keep_last = n` keeps the `n` youngest of the images it is about; with `expire_after_days = d` it keeps
/// those that are not older. The policy may keep more: the alternatives of an intent are counted one by one, since ECR
/// cannot count them together.
///
/// # Errors
/// [`CompileError`] says what to change.
pub fn compile(retentions: &[Retention]) -> Result<Compiled, CompileError> {
    let measures = check(retentions)?;
    let mut warnings = Vec::new();
    let mut tagged = Vec::new();
    for (index, (retention, measure)) in retentions.iter().zip(&measures).enumerate() {
        if !retention.untagged {
            let alternatives = widest(index, &retention.any_of, &mut warnings);
            tagged.push(TaggedIntent { index, measure: *measure, alternatives });
        }
    }
    let mut candidates = overlap::candidates(&tagged, &mut warnings)?;
    for (index, (retention, measure)) in retentions.iter().zip(&measures).enumerate() {
        if retention.untagged {
            candidates.push(Candidate { intents: vec![index], patterns: Vec::new(), measure: *measure });
        }
    }
    if candidates.len() > limits::LIFECYCLE_RULES_MAX {
        return Err(CompileError::TooManyRules { rules: Some(candidates.len()) });
    }
    let rules = candidates
        .iter()
        .zip(1..)
        .map(|(candidate, priority)| candidate.rule(priority, retentions))
        .collect();
    let origin = candidates
        .into_iter()
        .zip(1..)
        .map(|(candidate, priority)| RuleOrigin { priority, retentions: candidate.intents })
        .collect();
    let policy = Policy::from_rules(rules).map_err(CompileError::Policy)?;
    Ok(Compiled { policy, origin, warnings })
}

/// Makes one rule for each intent, its alternatives in one list, for people who have such a policy and want no difference.
/// Patterns that are all a prefix and `*` become a `tagPrefixList`. Under ECR's rules such a list means "and", so the
/// promise of an intent with several alternatives does **not** hold; a warning says so.
///
/// # Errors
/// [`CompileError`] says what to change.
pub fn as_written(retentions: &[Retention]) -> Result<Compiled, CompileError> {
    let measures = check(retentions)?;
    let mut warnings = Vec::new();
    let mut rules = Vec::new();
    let mut origin = Vec::new();
    for (index, (retention, measure)) in retentions.iter().zip(&measures).enumerate() {
        let priority = u32::try_from(index + 1).unwrap_or(u32::MAX);
        let tags = if retention.untagged {
            TagSelector::Untagged
        } else {
            TagSelector::Tagged(literal_list(&retention.any_of))
        };
        if retention.any_of.len() > 1 {
            warnings.push(format!(
                "retention {}: written as one rule, it is about images that carry tags for all of {} at once, not for \
                 any of them",
                index + 1,
                retention.any_of.join(", ")
            ));
        }
        rules.push(Rule {
            priority,
            description: retention.description.clone(),
            selection: Selection { tags, storage: None, count: measure.count() },
            action: Action::Expire,
        });
        origin.push(RuleOrigin { priority, retentions: vec![index] });
    }
    let policy = Policy::from_rules(rules).map_err(|error| policy_error(error, retentions.len()))?;
    Ok(Compiled { policy, origin, warnings })
}

fn policy_error(error: PolicyError, rules: usize) -> CompileError {
    let is_count = |violation: &Violation| violation.clause == Clause::RuleCount;
    if error.violations().iter().any(is_count) {
        return CompileError::TooManyRules { rules: Some(rules) };
    }
    CompileError::Policy(error)
}

fn literal_list(patterns: &[String]) -> TagList {
    let prefix = |pattern: &String| {
        let prefix = pattern.strip_suffix('*')?;
        (!prefix.is_empty() && !prefix.contains('*')).then(|| prefix.to_owned())
    };
    match patterns.iter().map(prefix).collect::<Option<Vec<_>>>() {
        Some(prefixes) => TagList::Prefixes(prefixes),
        None => TagList::Patterns(patterns.to_vec()),
    }
}

/// How much an intent keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Measure {
    Images(u32),
    Days(u32),
}

impl Measure {
    fn count(self) -> Count {
        match self {
            Self::Images(images) => Count::ImagesMoreThan(images),
            Self::Days(days) => Count::DaysSincePushed(days),
        }
    }
}

fn check(retentions: &[Retention]) -> Result<Vec<Measure>, CompileError> {
    if retentions.is_empty() {
        return Err(CompileError::Empty);
    }
    let measures =
        retentions.iter().enumerate().map(|(index, retention)| check_one(index, retention)).collect();
    let mut untagged = retentions.iter().enumerate().filter(|(_, retention)| retention.untagged);
    if let (Some((first, _)), Some((second, _))) = (untagged.next(), untagged.next()) {
        return Err(CompileError::SeveralUntagged { first, second });
    }
    measures
}

fn check_one(index: usize, retention: &Retention) -> Result<Measure, CompileError> {
    let Retention { any_of, untagged, keep_last, expire_after_days, .. } = retention;
    if any_of.is_empty() != *untagged {
        return Err(CompileError::Subject { index, both: *untagged });
    }
    for pattern in any_of {
        let found = WildcardPattern::new(pattern).wildcards();
        if pattern.is_empty() {
            return Err(CompileError::EmptyPattern { index });
        } else if found > WILDCARDS_MAX {
            return Err(CompileError::Wildcards { index, pattern: pattern.clone(), found });
        }
    }
    let in_range = |member, found: u32| {
        let fits = (1..=i32::MAX.unsigned_abs()).contains(&found);
        if fits { Ok(found) } else { Err(CompileError::Number { index, member, found }) }
    };
    match (*keep_last, *expire_after_days) {
        (Some(images), None) => in_range("keep_last", images).map(Measure::Images),
        (None, Some(days)) => in_range("expire_after_days", days).map(Measure::Days),
        (images, _) => Err(CompileError::Measure { index, both: images.is_some() }),
    }
}

/// The alternatives of one intent without those that another one covers: `v1*` says nothing beside `v*`.
fn widest(index: usize, patterns: &[String], warnings: &mut Vec<String>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for (place, pattern) in patterns.iter().enumerate() {
        let covers = |(other_place, other): (usize, &String)| {
            // Of two that say the same (`a*` and `a**`), the first stays.
            other_place != place
                && implies(pattern, other)
                && (!implies(other, pattern) || other_place < place)
        };
        match patterns.iter().enumerate().find(|candidate| covers(*candidate)) {
            None => kept.push(pattern.clone()),
            Some((_, other)) if other != pattern => warnings.push(format!(
                "retention {}: every tag that fits {pattern:?} also fits {other:?}, so {pattern:?} adds nothing",
                index + 1
            )),
            Some(_) => {}
        }
    }
    kept
}
