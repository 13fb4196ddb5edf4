//! The rules for tagged intents, and in particular for images that fall under several of them.
//!
//! Why the rules below keep what the intents keep. Let an image fall under the intents S, and let the rule that governs
//! it come from the intents R; since the image matches that rule, R is a part of S.
//!
//! - *S mixes counts and ages.* ECR cannot say "among the last 5 or younger than 30 days" in one rule. The image matches a
//!   pair rule of one counting and one ageing intent; all of those come first and keep everything.
//! - *S has several counts only.* The image matches an overlap rule for the whole of S, and no rule for more intents than
//!   S has. Overlap rules for more intents come first, so R = S. The images that the rule matches are among those of each
//!   intent in S, so the rank under the rule is no worse than under the intent, and the rule keeps the largest number.
//! - *S has ages only.* Only the single rules of those intents match the image, and they stand in the order of falling
//!   days: the one with the most days governs.
//! - *S has one intent.* The governing rule is for one of its alternatives, whose images are among the intent's: the rank
//!   is no worse.
//!
//! A rule whose images all match an earlier rule governs nothing and is left out.

use berth_types::{WildcardPattern, limits};

use super::{CompileError, Measure, Retention};
use crate::policy::{Action, Rule, Selection, TagList, TagSelector};

/// More combinations than this are not even listed: the policy holds fifty.
const COMBINATIONS_MAX: usize = 5_000;
/// A count that no repository reaches, so that a rule keeps whatever it matches.
const UNREACHABLE: u32 = limits::IMAGES_PER_REPOSITORY_MAX as u32;

/// An intent about tagged images, checked, its alternatives without repetition.
pub(super) struct TaggedIntent {
    pub(super) index: usize,
    pub(super) measure: Measure,
    pub(super) alternatives: Vec<String>,
}

/// A rule in the making.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// The intents it comes from.
    pub(super) intents: Vec<usize>,
    /// All of them must be met. Empty: untagged images.
    pub(super) patterns: Vec<String>,
    pub(super) measure: Measure,
}

/// Whether every text that fits `narrow` fits `wide`. A `*` of `narrow` can only be taken by a `*` of `wide`, so it is
/// enough to match the pattern as if it were a tag.
pub(crate) fn implies(narrow: &str, wide: &str) -> bool {
    WildcardPattern::new(wide).matches(narrow)
}

/// The rules for the tagged intents, in the order of their priority.
pub(super) fn candidates(
    intents: &[TaggedIntent],
    warnings: &mut Vec<String>,
) -> Result<Vec<Candidate>, CompileError> {
    let (counting, ageing): (Vec<_>, Vec<_>) =
        intents.iter().partition(|intent| matches!(intent.measure, Measure::Images(_)));
    let all =
        intents.iter().fold(1_usize, |product, intent| product.saturating_mul(intent.alternatives.len() + 1));
    if all > COMBINATIONS_MAX {
        return Err(CompileError::TooManyRules { rules: None });
    }
    let mut list = mixed_pairs(&counting, &ageing);
    if !list.is_empty() {
        warnings.push(
            "images that fall under a retention with keep_last and one with expire_after_days are all kept: ECR cannot \
             count and measure age in one rule"
                .to_owned(),
        );
    }
    list.extend(counted_overlaps(&counting));
    list.extend(singles(intents));
    Ok(without_shielded(list))
}

/// One rule that keeps everything for each pair of alternatives of a counting and an ageing intent.
fn mixed_pairs(counting: &[&TaggedIntent], ageing: &[&TaggedIntent]) -> Vec<Candidate> {
    let mut pairs = Vec::new();
    for count in counting {
        for age in ageing {
            for patterns in product(&[count, age]) {
                let mut intents = vec![count.index, age.index];
                intents.sort_unstable();
                pairs.push(Candidate { intents, patterns, measure: Measure::Images(UNREACHABLE) });
            }
        }
    }
    pairs
}

/// One rule for each choice of alternatives from two or more counting intents; more intents first.
fn counted_overlaps(counting: &[&TaggedIntent]) -> Vec<Candidate> {
    let mut overlaps = Vec::new();
    for subset in subsets(counting).into_iter().filter(|subset| subset.len() > 1) {
        let keep = subset.iter().map(|intent| match intent.measure {
            Measure::Images(images) => images,
            Measure::Days(_) => UNREACHABLE,
        });
        let measure = Measure::Images(keep.max().unwrap_or(UNREACHABLE));
        let intents: Vec<usize> = subset.iter().map(|intent| intent.index).collect();
        overlaps.extend(product(&subset).into_iter().map(|patterns| Candidate {
            intents: intents.clone(),
            patterns,
            measure,
        }));
    }
    overlaps.sort_by_key(|overlap| std::cmp::Reverse(overlap.intents.len()));
    overlaps
}

/// One rule for each alternative: counts as the user wrote them, then ages, most days first.
fn singles(intents: &[TaggedIntent]) -> Vec<Candidate> {
    let mut singles = Vec::new();
    for intent in intents {
        for pattern in &intent.alternatives {
            singles.push(Candidate {
                intents: vec![intent.index],
                patterns: vec![pattern.clone()],
                measure: intent.measure,
            });
        }
    }
    singles.sort_by_key(|single| match single.measure {
        Measure::Images(_) => None,
        Measure::Days(days) => Some(std::cmp::Reverse(days)),
    });
    singles
}

/// All subsets, in the order of their members.
fn subsets<'a>(intents: &[&'a TaggedIntent]) -> Vec<Vec<&'a TaggedIntent>> {
    let mut subsets = vec![Vec::new()];
    for intent in intents.iter().rev() {
        let with: Vec<Vec<_>> =
            subsets.iter().map(|subset| [vec![*intent], subset.clone()].concat()).collect();
        subsets = [with, subsets].concat();
    }
    subsets
}

/// All choices of one alternative from each intent, each choice without the patterns that another one implies.
fn product(intents: &[&TaggedIntent]) -> Vec<Vec<String>> {
    let mut choices: Vec<Vec<String>> = vec![Vec::new()];
    for intent in intents {
        choices = choices
            .iter()
            .flat_map(|choice| intent.alternatives.iter().map(|pattern| narrowed(choice, pattern)))
            .collect();
    }
    choices
}

/// `patterns` and `pattern`, joined by "and". If one implies the other, the narrower one says it all.
fn narrowed(patterns: &[String], pattern: &str) -> Vec<String> {
    if patterns.iter().any(|known| implies(known, pattern)) {
        return patterns.to_vec();
    }
    let mut all: Vec<String> = patterns.iter().filter(|known| !implies(pattern, known)).cloned().collect();
    all.push(pattern.to_owned());
    all
}

/// Leaves out the rules that an earlier one shields completely.
fn without_shielded(list: Vec<Candidate>) -> Vec<Candidate> {
    let mut kept: Vec<Candidate> = Vec::new();
    for candidate in list {
        let shields = |earlier: &Candidate| {
            earlier.patterns.iter().all(|wide| candidate.patterns.iter().any(|narrow| implies(narrow, wide)))
        };
        if !kept.iter().any(shields) {
            kept.push(candidate);
        }
    }
    kept
}

impl Candidate {
    pub(super) fn rule(&self, priority: u32, retentions: &[Retention]) -> Rule {
        let tags = if self.patterns.is_empty() {
            TagSelector::Untagged
        } else {
            TagSelector::Tagged(TagList::Patterns(self.patterns.clone()))
        };
        Rule {
            priority,
            description: Some(self.description(retentions)),
            selection: Selection { tags, storage: None, count: self.measure.count() },
            action: Action::Expire,
        }
    }

    /// A single rule has the user's words, an overlap rule says what it is for.
    fn description(&self, retentions: &[Retention]) -> String {
        let tags = self.patterns.join(" and ");
        let promise = match self.measure {
            Measure::Images(UNREACHABLE) if self.intents.len() > 1 => "keep all".to_owned(),
            Measure::Images(images) => format!("keep the last {images}"),
            Measure::Days(days) => format!("expire after {days} days"),
        };
        if let [first @ .., last] = &self.intents[..]
            && !first.is_empty()
        {
            let first: Vec<String> = first.iter().map(|index| (index + 1).to_string()).collect();
            return format!(
                "Tagged {tags}: {promise} (under retentions {} and {})",
                first.join(", "),
                last + 1
            );
        }
        let written = self.intents.first().and_then(|index| retentions[*index].description.as_deref());
        match (written, tags.as_str()) {
            (Some(written), "") => written.to_owned(),
            (Some(written), tags) => format!("{written} [{tags}]"),
            (None, "") => format!("Untagged: {promise}"),
            (None, tags) => format!("Tagged {tags}: {promise}"),
        }
    }
}
