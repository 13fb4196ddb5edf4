//! What a schema cannot say (V11 to V15, V19 to V22): rules about several members, and about several rules.

use std::collections::{BTreeSet, HashMap, HashSet};

use berth_types::{WildcardPattern, limits};

use super::error::length_violation;
use super::parse::{Locator, NUMBER_MAX, minimum_texts, rule_count_texts};
use super::{Action, Clause, Count, Rule, StorageClass, TagList, TagSelector, Violation};

/// ECR: `*` in one entry of `tagPatternList`.
pub(crate) const WILDCARDS_MAX: usize = 4;
/// ECR: shortest stay in the archive.
pub(crate) const ARCHIVE_DAYS_MIN: u32 = 90;

/// Checks well-formed rules, given with their place in the `rules` array.
pub(super) fn check(rules: &[(usize, &Rule)], locator: &Locator) -> Vec<Violation> {
    let mut checker = Checker { locator, violations: Vec::new() };
    for (index, rule) in rules {
        checker.patterns(*index, rule);
        checker.count(*index, rule);
    }
    checker.priorities(rules);
    for class in [StorageClass::Standard, StorageClass::Archive] {
        let rules: Vec<_> =
            rules.iter().copied().filter(|(_, rule)| rule.selection.storage_class() == class).collect();
        checker.any(&rules, class);
        checker.untagged(&rules, class);
        checker.prefixes(&rules, class);
    }
    checker.violations
}

/// V4 and V9, which the schema checks in a text, for rules that a program put together, and V16 for an empty list.
pub(super) fn check_numbers(rules: &[Rule]) -> Vec<Violation> {
    let locator = Locator::none();
    let mut checker = Checker { locator: &locator, violations: Vec::new() };
    if let Some((aws_text, hint)) = rule_count_texts(rules.len()) {
        checker.report(Clause::RuleCount, "/rules".to_owned(), aws_text, hint);
    }
    for (index, rule) in rules.iter().enumerate() {
        let numbers =
            [("rulePriority", rule.priority), ("selection/countNumber", rule.selection.count.number())];
        for (member, number) in numbers {
            let pointer = format!("/rules/{index}/{member}");
            if let Some((aws_text, hint)) = minimum_texts(&number.to_string()) {
                checker.report(Clause::Minimum, pointer, aws_text, hint);
            } else if number > NUMBER_MAX {
                let aws_text = "Could not map policyString into LifecyclePolicy.".to_owned();
                checker.report(
                    Clause::Mapping,
                    pointer,
                    aws_text,
                    format!("the largest number is {NUMBER_MAX}"),
                );
            }
        }
        if let TagSelector::Tagged(list) = &rule.selection.tags
            && list.entries().is_empty()
        {
            let aws_text = "Must specify tagPrefixList or tagPatternList when tagStatus=TAGGED.".to_owned();
            let pointer = format!("/rules/{index}/selection/{}", list.key());
            checker.report(Clause::ListMissing, pointer, aws_text, "say which tags".to_owned());
        }
    }
    checker.violations
}

/// V1 for a text that a program made. It cannot be too short unless it has no rules, which is V4.
pub(super) fn check_length(text: &str) -> Option<Violation> {
    let chars = text.chars().count();
    if chars > limits::LIFECYCLE_POLICY_CHARS_MAX { length_violation(chars) } else { None }
}

struct Checker<'a> {
    locator: &'a Locator,
    violations: Vec<Violation>,
}

impl Checker<'_> {
    fn report(&mut self, clause: Clause, pointer: String, aws_text: String, hint: String) {
        let span = self.locator.find(&pointer);
        self.violations.push(Violation { clause, pointer, span, aws_text, hint });
    }

    /// V19.
    fn patterns(&mut self, index: usize, rule: &Rule) {
        let TagSelector::Tagged(TagList::Patterns(patterns)) = &rule.selection.tags else { return };
        for (place, pattern) in patterns.iter().enumerate() {
            let found = WildcardPattern::new(pattern).wildcards();
            if found > WILDCARDS_MAX {
                let aws_text = format!(
                    "Invalid tag pattern provided. Total number of * must not exceed {WILDCARDS_MAX}"
                );
                let hint = format!("{pattern:?} has {found}; leave out {} of them", found - WILDCARDS_MAX);
                let pointer = format!("/rules/{index}/selection/tagPatternList/{place}");
                self.report(Clause::Wildcards, pointer, aws_text, hint);
            }
        }
    }

    /// V20 to V22. The public texts end at V20; those of V21 and V22 are ours, in its style.
    fn count(&mut self, index: usize, rule: &Rule) {
        let selection = &rule.selection;
        let class = selection.storage_class();
        let class_pointer = format!("/rules/{index}/selection/storageClass");
        let action_pointer = format!("/rules/{index}/action/type");
        if !matches!(selection.count, Count::DaysSinceTransitioned(_)) && class == StorageClass::Archive {
            let text = "SINCE_IMAGE_PUSHED, SINCE_IMAGE_PULLED and IMAGE_COUNT_MORE_THAN support the STANDARD storage \
                        class only";
            let hint = "remove storageClass, or count archived images with sinceImageTransitioned";
            self.report(Clause::StandardOnly, class_pointer.clone(), text.into(), hint.into());
        }
        match selection.count {
            Count::DaysSincePulled(_) if rule.action == Action::Expire => {
                let text = "SINCE_IMAGE_PULLED supports the TRANSITION action only";
                let hint = "an image can be archived by its last pull, not deleted: write {\"type\": \"transition\", \
                            \"targetStorageClass\": \"archive\"}, and a second rule on storageClass archive with \
                            sinceImageTransitioned to delete it later";
                self.report(Clause::PulledOnlyArchives, action_pointer, text.into(), hint.into());
            }
            Count::DaysSinceTransitioned(days) => {
                let clause = Clause::TransitionedOnlyExpires;
                if class == StorageClass::Standard {
                    let text = "SINCE_IMAGE_TRANSITIONED supports the ARCHIVE storage class only";
                    let hint = "add \"storageClass\": \"archive\" to the selection";
                    self.report(clause, class_pointer, text.into(), hint.into());
                }
                if rule.action != Action::Expire {
                    let text = "SINCE_IMAGE_TRANSITIONED supports the EXPIRE action only";
                    let hint = "the images are archived already: write {\"type\": \"expire\"}";
                    self.report(clause, action_pointer, text.into(), hint.into());
                }
                if days < ARCHIVE_DAYS_MIN {
                    let text = format!(
                        "SINCE_IMAGE_TRANSITIONED requires a countNumber of at least {ARCHIVE_DAYS_MIN}"
                    );
                    let hint = format!(
                        "images stay archived for {ARCHIVE_DAYS_MIN} days at least: write {ARCHIVE_DAYS_MIN}"
                    );
                    let pointer = format!("/rules/{index}/selection/countNumber");
                    self.report(clause, pointer, text, hint);
                }
            }
            Count::ImagesMoreThan(_) | Count::DaysSincePushed(_) | Count::DaysSincePulled(_) => {}
        }
    }

    /// V11.
    fn priorities(&mut self, rules: &[(usize, &Rule)]) {
        let taken: BTreeSet<u32> = rules.iter().map(|(_, rule)| rule.priority).collect();
        let mut seen = HashSet::new();
        for (index, rule) in rules {
            if !seen.insert(rule.priority) {
                let free = (1..).find(|number| !taken.contains(number)).unwrap_or(NUMBER_MAX);
                let hint = format!("{} is taken by another rule; {free} is free", rule.priority);
                let pointer = format!("/rules/{index}/rulePriority");
                self.report(
                    Clause::DuplicatePriority,
                    pointer,
                    "Duplicate priority in multiple rules".to_owned(),
                    hint,
                );
            }
        }
    }

    /// V12 and V13, among the rules of one storage class.
    fn any(&mut self, rules: &[(usize, &Rule)], class: StorageClass) {
        let (any, others): (Vec<_>, Vec<_>) =
            rules.iter().copied().partition(|(_, rule)| rule.selection.tags == TagSelector::Any);
        let class = class.name();
        for (index, _) in any.iter().skip(1) {
            let text = "Only one rule can specify tagStatus=ANY".to_owned();
            let hint = format!("another rule already takes all images in {class} storage; merge the two");
            self.report(Clause::SeveralAny, format!("/rules/{index}/selection/tagStatus"), text, hint);
        }
        let last_other = others.iter().map(|(_, rule)| rule.priority).max().unwrap_or(0);
        for (index, rule) in any {
            if rule.priority < last_other {
                let text =
                    "Rule for tagStatus=ANY must have the lowest priority per storage class".to_owned();
                let hint = format!(
                    "the any rule comes last: give it a rulePriority above {last_other} (a higher number is a lower \
                     priority)"
                );
                self.report(Clause::AnyNotLast, format!("/rules/{index}/rulePriority"), text, hint);
            }
        }
    }

    /// V14, among the rules of one storage class.
    fn untagged(&mut self, rules: &[(usize, &Rule)], class: StorageClass) {
        let untagged = rules.iter().filter(|(_, rule)| rule.selection.tags == TagSelector::Untagged);
        for (index, _) in untagged.skip(1) {
            let text = "Only one rule can select Untagged images per storage class.".to_owned();
            let hint = format!("another rule already takes the untagged images in {} storage", class.name());
            self.report(Clause::SeveralUntagged, format!("/rules/{index}/selection/tagStatus"), text, hint);
        }
    }

    /// V15, among the rules of one storage class. Prefixes only: the documentation speaks of nothing else, and a second
    /// rule with the same patterns does no harm (lint reports it as never reached).
    fn prefixes(&mut self, rules: &[(usize, &Rule)], class: StorageClass) {
        let mut seen: HashMap<BTreeSet<&str>, u32> = HashMap::new();
        for (index, rule) in rules {
            let TagSelector::Tagged(list @ TagList::Prefixes(_)) = &rule.selection.tags else { continue };
            match seen.get(&list.set()) {
                None => {
                    seen.insert(list.set(), rule.priority);
                }
                Some(first) => {
                    let text = "Duplicate tagPrefixList in multiple rules per storage class".to_owned();
                    let hint = format!(
                        "the rule with rulePriority {first} has the same prefixes in {} storage; merge the two",
                        class.name()
                    );
                    let pointer = format!("/rules/{index}/selection/tagPrefixList");
                    self.report(Clause::DuplicatePrefixes, pointer, text, hint);
                }
            }
        }
    }
}
