//! What differs between two lifecycle policies, rule by rule, under the retentions that the user wrote.

use berth_lifecycle::compile::Retention;
use berth_lifecycle::policy::{Action, Count, Policy, Rule, TagList, TagSelector};
use serde_json::{Value, json};

use super::AttributeChange;
use crate::desired::Lifecycle;

/// The wanted lifecycle policy against the one that is there.
#[derive(Clone, Debug, PartialEq)]
pub struct LifecycleChange {
    /// The retentions as written, each with the rules that it compiles to. Empty for a policy from a file.
    pub intents: Vec<IntentChange>,
    /// Rules for images that fall under several retentions at once.
    pub shared: Vec<RuleChange>,
    /// Rules that stand under no retention: those of a policy from a file, and those that go away.
    pub rules: Vec<RuleChange>,
    /// Where the policy comes from, if it is a file.
    pub file: Option<String>,
    /// Whether what is there could not be understood, so that it counts as different.
    pub is_unreadable: bool,
}

/// A retention and its rules.
#[derive(Clone, Debug, PartialEq)]
pub struct IntentChange {
    /// As written.
    pub intent: Retention,
    /// What it compiles to, by priority.
    pub rules: Vec<RuleChange>,
    /// What differs about the retention itself, as far as the rules that are there tell: its `keep_last` or
    /// `expire_after_days`.
    pub attributes: Vec<AttributeChange>,
}

/// One rule.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleChange {
    /// What happens to it.
    pub kind: RuleChangeKind,
    /// The rule as it will be; as it is, if it goes away.
    pub rule: Rule,
    /// What differs, if it stays.
    pub attributes: Vec<AttributeChange>,
}

/// What happens to a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleChangeKind {
    /// It is there already, the same.
    Same,
    /// It is new.
    Added,
    /// It stays and something about it differs.
    Changed,
    /// It goes away.
    Removed,
}

impl RuleChangeKind {
    /// The name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Added => "added",
            Self::Changed => "changed",
            Self::Removed => "removed",
        }
    }
}

impl LifecycleChange {
    /// Compares what is wanted with the text that is there.
    #[must_use]
    pub fn new(wanted: &Lifecycle, actual: Option<&str>) -> Self {
        let old = actual.map(Policy::parse);
        let is_unreadable = matches!(old, Some(Err(_)));
        let old_rules = match &old {
            Some(Ok(policy)) => policy.rules().to_vec(),
            _ => Vec::new(),
        };
        let new_rules = wanted.policy().map(Policy::rules).unwrap_or_default();
        let (changes, removed) = compare(&old_rules, new_rules);
        let file = match wanted {
            Lifecycle::File { path, .. } => Some(path.display().to_string()),
            Lifecycle::Keep | Lifecycle::Retention(_) => None,
        };
        let (intents, shared, mut rules) = match wanted {
            Lifecycle::Retention(retention) => {
                let mut intents: Vec<IntentChange> = retention
                    .intents
                    .iter()
                    .map(|intent| IntentChange {
                        intent: intent.clone(),
                        rules: Vec::new(),
                        attributes: Vec::new(),
                    })
                    .collect();
                let mut shared = Vec::new();
                for (index, change) in changes.into_iter().enumerate() {
                    match retention.intent_of(index).and_then(|intent| intents.get_mut(intent)) {
                        Some(intent) => intent.rules.push(change),
                        None => shared.push(change),
                    }
                }
                for intent in &mut intents {
                    intent.attributes = intent_differences(&intent.rules).into_iter().collect();
                }
                (intents, shared, Vec::new())
            }
            Lifecycle::Keep | Lifecycle::File { .. } => (Vec::new(), Vec::new(), changes),
        };
        rules.extend(removed);
        Self { intents, shared, rules, file, is_unreadable }
    }

    /// Every rule, in the order of display.
    pub fn all_rules(&self) -> impl Iterator<Item = &RuleChange> {
        self.intents.iter().flat_map(|intent| &intent.rules).chain(&self.shared).chain(&self.rules)
    }

    /// Whether nothing differs.
    #[must_use]
    pub fn is_same(&self) -> bool {
        !self.is_unreadable && self.all_rules().all(|rule| rule.kind == RuleChangeKind::Same)
    }

    pub(super) fn note(&self) -> Option<String> {
        let unreadable =
            "the policy that is there is not one that this program understands; it will be replaced";
        self.is_unreadable.then(|| unreadable.to_owned())
    }
}

/// The new rules with what happens to each, and the old ones that go away. A rule is the same rule as another if it selects the
/// same images by the same measure and does the same to them; its number, its priority and its description may differ.
fn compare(old: &[Rule], new: &[Rule]) -> (Vec<RuleChange>, Vec<RuleChange>) {
    let mut left: Vec<&Rule> = old.iter().collect();
    // Exact partners first, so that of two rules that differ in their number only each finds its own.
    let exact: Vec<Option<&Rule>> = new.iter().map(|rule| take(&mut left, |other| *other == rule)).collect();
    let changes = new
        .iter()
        .zip(exact)
        .map(|(rule, exact)| {
            let partner = exact.or_else(|| take(&mut left, |other| is_same_rule(other, rule)));
            let attributes = partner.map(|old| rule_differences(old, rule)).unwrap_or_default();
            let kind = match partner {
                None => RuleChangeKind::Added,
                Some(_) if attributes.is_empty() => RuleChangeKind::Same,
                Some(_) => RuleChangeKind::Changed,
            };
            RuleChange { kind, rule: rule.clone(), attributes }
        })
        .collect();
    let removed = left
        .into_iter()
        .map(|rule| RuleChange { kind: RuleChangeKind::Removed, rule: rule.clone(), attributes: Vec::new() })
        .collect();
    (changes, removed)
}

/// The member of a rule that holds images or days.
const COUNT_NUMBER: &str = "countNumber";

/// Takes the first element that fits out of `rules`.
fn take<'a>(rules: &mut Vec<&'a Rule>, fits: impl Fn(&&Rule) -> bool) -> Option<&'a Rule> {
    let index = rules.iter().position(fits)?;
    Some(rules.remove(index))
}

fn is_same_rule(left: &Rule, right: &Rule) -> bool {
    left.action == right.action
        && left.selection.tags == right.selection.tags
        && left.selection.storage_class() == right.selection.storage_class()
        && left.selection.count.type_name() == right.selection.count.type_name()
}

/// The number of the retention, if all its rules are there and had one and the same other number.
fn intent_differences(rules: &[RuleChange]) -> Option<AttributeChange> {
    let number =
        |rule: &RuleChange| rule.attributes.iter().find(|change| change.name == COUNT_NUMBER).cloned();
    let first = number(rules.first()?)?;
    if rules.iter().any(|rule| number(rule).as_ref() != Some(&first)) {
        return None;
    }
    let is_age = rules.first()?.rule.selection.count.is_age();
    let name = if is_age { "expire_after_days" } else { "keep_last" };
    Some(AttributeChange { name: name.to_owned(), ..first })
}

fn rule_differences(old: &Rule, new: &Rule) -> Vec<AttributeChange> {
    let members = |rule: &Rule| {
        [
            ("rulePriority", Some(json!(rule.priority))),
            ("description", rule.description.as_ref().map(|text| json!(text))),
            (COUNT_NUMBER, Some(json!(rule.selection.count.number()))),
        ]
    };
    members(old)
        .into_iter()
        .zip(members(new))
        .filter(|((_, old), (_, new))| old != new)
        .map(|((name, old), (_, new)): ((&str, Option<Value>), _)| AttributeChange {
            name: name.to_owned(),
            old,
            new,
        })
        .collect()
}

/// A rule in words: which images, and what becomes of them.
#[must_use]
pub fn describe_rule(rule: &Rule) -> String {
    let images = match &rule.selection.tags {
        TagSelector::Untagged => "untagged".to_owned(),
        TagSelector::Any => "any image".to_owned(),
        TagSelector::Tagged(TagList::Patterns(patterns)) => format!("tagged {}", patterns.join(" and ")),
        TagSelector::Tagged(TagList::Prefixes(prefixes)) => {
            let patterns: Vec<String> = prefixes.iter().map(|prefix| format!("{prefix}*")).collect();
            format!("tagged {}", patterns.join(" and "))
        }
    };
    let verb = match rule.action {
        Action::Expire => "delete",
        Action::Archive => "archive",
    };
    let when = match rule.selection.count {
        Count::ImagesMoreThan(images) => format!("all but the newest {images}"),
        Count::DaysSincePushed(days) => format!("{} after their push", days_text(days)),
        Count::DaysSincePulled(days) => format!("{} after their last pull", days_text(days)),
        Count::DaysSinceTransitioned(days) => format!("{} after they were archived", days_text(days)),
    };
    format!("{images}: {verb} {when}")
}

/// A retention in words, without its description.
#[must_use]
pub fn describe_intent(intent: &Retention) -> String {
    let images = if intent.untagged {
        "untagged".to_owned()
    } else if intent.any_of.is_empty() {
        "any image".to_owned()
    } else {
        format!("tagged {}", intent.any_of.join(" or "))
    };
    let mut promises = Vec::new();
    if let Some(count) = intent.keep_last {
        promises.push(format!("keep the last {count}"));
    }
    if let Some(days) = intent.expire_after_days {
        promises.push(format!("delete after {}", days_text(days)));
    }
    format!("{images}: {}", promises.join(", "))
}

fn days_text(days: u32) -> String {
    if days == 1 { "1 day".to_owned() } else { format!("{days} days") }
}
