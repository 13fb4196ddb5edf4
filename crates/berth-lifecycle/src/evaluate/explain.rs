//! The whole reasoning for one image, across all rules.

use berth_types::Timestamp;

use super::{Decision, Image, Run, Why, bits, lowest};
use crate::policy::{Action, Policy};

/// Everything the evaluator knows about one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What happens to the image, as in the evaluation of the whole repository.
    pub decision: Decision,
    /// One entry for each rule, by priority.
    pub rules: Vec<RuleTrace>,
}

/// One rule's view of one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleTrace {
    /// `rulePriority`.
    pub priority: u32,
    /// What the rule does to images.
    pub action: Action,
    /// What it measured, if the image meets its storage class and tag requirements.
    pub measured: Option<Why>,
    /// Whether the image is beyond its count or age.
    pub selected: bool,
    /// The rule with a lower number that shields the image from this one.
    pub shielded_by: Option<u32>,
}

/// Explains the decision for the image at `place`, or nothing if there is no such place.
#[must_use]
pub fn explain(policy: &Policy, images: &[Image], now: Timestamp, place: usize) -> Option<Explanation> {
    images.get(place)?;
    let mut run = Run::new(policy, images, now);
    let matched = run.matched[place];
    let selected = run.selected[place];
    let governing = lowest(matched);
    let mut rules = Vec::new();
    for (index, rule) in policy.rules().iter().enumerate() {
        let is_matched = bits(matched).any(|bit| bit == index);
        // The rank under any rule but the governing one is not kept, so it is counted here.
        if is_matched && let Some(rank) = run.rank_under(index, place) {
            run.ranks[place] = rank;
        }
        rules.push(RuleTrace {
            priority: rule.priority,
            action: rule.action,
            measured: is_matched.then(|| run.measure(place, index)),
            selected: selected & (1 << index) != 0,
            shielded_by: governing
                .filter(|governing| is_matched && *governing != index)
                .map(|governing| policy.rules()[governing].priority),
        });
    }
    if let Some(rank) = governing.and_then(|governing| run.rank_under(governing, place)) {
        run.ranks[place] = rank;
    }
    let decision = *run.finish().decisions.get(place)?;
    Some(Explanation { decision, rules })
}

impl Run<'_> {
    /// The place of an image among those that a counting rule matches, the youngest being 1.
    fn rank_under(&self, rule: usize, place: usize) -> Option<u32> {
        if self.rules[rule].selection.count.is_age() {
            return None;
        }
        let of_rule = self.youngest_first().filter(|other| self.matched[*other] & (1 << rule) != 0);
        (1..).zip(of_rule).find(|(_, other)| *other == place).map(|(rank, _)| rank)
    }
}
