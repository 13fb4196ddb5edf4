//! One function for each kind of finding.

use super::tags::{Entry, covers, entries, entry_implies, meets, moving_tag, takes_all_tagged};
use super::{Context, Finding, Lint, Severity};
use crate::evaluate::{Decision, Evaluation, Image, Outcome, Why, evaluate};
use crate::policy::{Action, Count, Policy, Rule, StorageClass, TagList, TagSelector};

pub(super) fn run(policy: &Policy, context: &Context<'_>) -> Vec<Finding> {
    let evaluation = context.images.map(|(images, now)| evaluate(policy, images, now));
    let mut linter = Linter { rules: policy.rules(), context, evaluation, findings: Vec::new() };
    for place in 0..policy.rules().len() {
        linter.and_list(place);
        linter.never_matches(place);
        linter.shielded(place);
        linter.any_crowded(place);
        linter.immutable_moving_tag(place);
        linter.keeps_too_few(place);
        linter.index_children(place);
    }
    linter.unreached();
    linter.findings
}

struct Linter<'a> {
    rules: &'a [Rule],
    context: &'a Context<'a>,
    evaluation: Option<Evaluation>,
    findings: Vec<Finding>,
}

impl<'a> Linter<'a> {
    fn report(
        &mut self,
        lint: Lint,
        severity: Severity,
        place: Option<usize>,
        member: &str,
        texts: [String; 2],
    ) {
        let [explanation, fix] = texts;
        let pointer = place.map_or_else(|| "/rules".to_owned(), |place| format!("/rules/{place}{member}"));
        let rule = place.map(|place| self.rules[place].priority);
        self.findings.push(Finding {
            lint,
            severity,
            rule,
            pointer,
            span: None,
            explanation,
            fix,
            images: Vec::new(),
        });
    }

    fn list_of(&self, place: usize) -> Option<&'a TagList> {
        match &self.rules[place].selection.tags {
            TagSelector::Tagged(list) => Some(list),
            TagSelector::Untagged | TagSelector::Any => None,
        }
    }

    /// The rules of the same storage class before, or after, the one at `place`.
    fn same_class(&self, place: usize) -> impl Fn(&(usize, &'a Rule)) -> bool + use<'a> {
        let class = self.rules[place].selection.storage_class();
        move |(other, rule)| *other != place && rule.selection.storage_class() == class
    }

    fn before(&self, place: usize) -> Vec<(usize, &'a Rule)> {
        self.rules.iter().enumerate().take(place).filter(self.same_class(place)).collect()
    }

    fn after(&self, place: usize) -> Vec<(usize, &'a Rule)> {
        self.rules.iter().enumerate().skip(place + 1).filter(self.same_class(place)).collect()
    }

    /// Known images for which `test` holds.
    fn images_where(&self, test: impl Fn(&Image, &Decision) -> bool) -> Vec<usize> {
        let (Some((images, _)), Some(evaluation)) = (self.context.images, &self.evaluation) else {
            return Vec::new();
        };
        let all = images.iter().zip(&evaluation.decisions).enumerate();
        all.filter(|(_, (image, decision))| test(image, decision)).map(|(place, _)| place).collect()
    }

    fn and_list(&mut self, place: usize) {
        let Some(list) = self.list_of(place) else { return };
        let needed = entries(list);
        if needed.len() < 2 || self.is_overlap(place, &needed) {
            return;
        }
        let rule = &self.rules[place];
        let partial = |image: &Image| {
            let met = needed.iter().filter(|entry| meets(image, entry)).count();
            met > 0 && met < needed.len()
        };
        let missed = self.images_where(|image, _| partial(image));
        let complete = self.images_where(|image, _| needed.iter().all(|entry| meets(image, entry)));
        let says_or = rule.description.as_deref().is_some_and(reads_like_or);
        let is_shown = !missed.is_empty() && complete.is_empty();
        let severity = if says_or || is_shown { Severity::Error } else { Severity::Warning };
        let written: Vec<String> = needed.iter().map(|entry| format!("{:?}", entry.written)).collect();
        let mut explanation = format!(
            "ECR joins the entries of a list by \"and\": the rule is about images that carry tags for all of {} at once",
            written.join(", ")
        );
        if !missed.is_empty() {
            explanation = format!(
                "{explanation}. Here {} images carry some of them and {} all",
                missed.len(),
                complete.len()
            );
        }
        let fix = format!(
            "write one rule for each entry, with the same count: {}; a berth.toml retention with any_of does that, \
             overlaps included",
            written.iter().map(|entry| format!("{:?}: [{entry}]", list.key())).collect::<Vec<_>>().join(", ")
        );
        let member = format!("/selection/{}", list.key());
        self.report(Lint::AndList, severity, Some(place), &member, [explanation, fix]);
        if let Some(finding) = self.findings.last_mut() {
            finding.images = missed;
        }
        self.any_eats(place, partial);
    }

    /// An "and" list is meant when each of its entries has a rule of its own further down.
    fn is_overlap(&self, place: usize, needed: &[Entry]) -> bool {
        let singles: Vec<Entry> = self
            .after(place)
            .into_iter()
            .filter_map(|(other, _)| self.list_of(other).map(entries))
            .filter_map(|entries| <[Entry; 1]>::try_from(entries).ok())
            .map(|[entry]| entry)
            .collect();
        needed.iter().all(|entry| singles.iter().any(|single| entry_implies(entry, single)))
    }

    fn any_eats(&mut self, list_place: usize, is_partial: impl Fn(&Image) -> bool) {
        let is_any = |(_, rule): &(usize, &Rule)| rule.selection.tags == TagSelector::Any;
        let Some((place, any)) = self.after(list_place).into_iter().find(is_any) else { return };
        let takes = |decision: &Decision| {
            matches!(decision.outcome,
            Outcome::Expire { rule } | Outcome::Archive { rule } if rule == any.priority)
        };
        let eaten = self.images_where(|image, decision| is_partial(image) && takes(decision));
        let list_rule = self.rules[list_place].priority;
        let verb = if any.action == Action::Expire { "deletes" } else { "archives" };
        let mut explanation = format!(
            "rule {list_rule} does not match images that carry only some of its tags, so this rule {verb} them as any other"
        );
        if let (Some((images, _)), [_, ..]) = (self.context.images, &eaten[..]) {
            let names: Vec<String> = eaten.iter().take(5).map(|place| name(&images[*place])).collect();
            let more = if eaten.len() > names.len() {
                format!(" and {} more", eaten.len() - names.len())
            } else {
                String::new()
            };
            explanation = format!("{explanation}: {}{more}, at the next run", names.join(", "));
        }
        let fix = format!("split the list of rule {list_rule}; then its images are shielded from this rule");
        self.report(Lint::AnyEats, Severity::Error, Some(place), "/selection/tagStatus", [explanation, fix]);
        if let Some(finding) = self.findings.last_mut() {
            finding.images = eaten;
        }
    }

    fn never_matches(&mut self, place: usize) {
        let Some(list) = self.list_of(place) else { return };
        for (index, written) in list.entries().iter().enumerate() {
            let alone = match list {
                TagList::Prefixes(_) => TagList::Prefixes(vec![written.clone()]),
                TagList::Patterns(_) => TagList::Patterns(vec![written.clone()]),
            };
            if entries(&alone).iter().all(|entry| entry.pattern.is_some()) {
                continue;
            }
            let is_starred_prefix = matches!(list, TagList::Prefixes(_)) && written.contains('*');
            let (why, fix) = if is_starred_prefix {
                (
                    "a prefix is taken as it is, and no tag has a \"*\"",
                    format!("write it under tagPatternList, or write {:?}", written.trim_end_matches('*')),
                )
            } else {
                (
                    "a tag has up to 128 letters, digits, '.', '_' and '-', and starts with none of the last two but '_'",
                    "correct the entry".to_owned(),
                )
            };
            let explanation = format!("no tag can meet {written:?}: {why}; so the rule matches nothing");
            let member = format!("/selection/{}/{index}", list.key());
            self.report(Lint::NeverMatches, Severity::Error, Some(place), &member, [explanation, fix]);
        }
    }

    fn shielded(&mut self, place: usize) {
        let rule = &self.rules[place];
        let before = self.before(place);
        let shield: Vec<u32> = if let Some((_, wide)) = before.iter().find(|(_, wide)| covers(wide, rule)) {
            vec![wide.priority]
        } else if rule.selection.tags == TagSelector::Any {
            let tagged = before.iter().find(|(_, rule)| takes_all_tagged(rule));
            let untagged = before.iter().find(|(_, rule)| rule.selection.tags == TagSelector::Untagged);
            match (tagged, untagged) {
                (Some((_, tagged)), Some((_, untagged))) => vec![tagged.priority, untagged.priority],
                _ => return,
            }
        } else {
            return;
        };
        let shield: Vec<String> = shield.iter().map(ToString::to_string).collect();
        let shield = shield.join(" and ");
        let explanation = format!(
            "every image that this rule matches belongs to rule {shield}, which has a lower number; this rule never acts"
        );
        let fix = format!("remove this rule, or give it a lower rulePriority than rule {shield}");
        self.report(Lint::Shielded, Severity::Warning, Some(place), "/rulePriority", [explanation, fix]);
    }

    fn any_crowded(&mut self, place: usize) {
        let rule = &self.rules[place];
        let (TagSelector::Any, Count::ImagesMoreThan(keep)) = (&rule.selection.tags, rule.selection.count)
        else {
            return;
        };
        let kept_before: u64 = self
            .before(place)
            .iter()
            .filter_map(|(_, rule)| match rule.selection.count {
                Count::ImagesMoreThan(keep) => Some(u64::from(keep)),
                _ => None,
            })
            .sum();
        if kept_before < u64::from(keep) {
            return;
        }
        let explanation = format!(
            "this rule keeps the youngest {keep} of all images, and images of the rules before it are among those: they \
             keep up to {kept_before}, which can leave no place for any other image"
        );
        let fix = format!("keep more than {kept_before} here, or use sinceImagePushed");
        self.report(
            Lint::AnyCrowded,
            Severity::Warning,
            Some(place),
            "/selection/countNumber",
            [explanation, fix],
        );
    }

    fn immutable_moving_tag(&mut self, place: usize) {
        let (Some(mutability), Some(list)) = (self.context.mutability, self.list_of(place)) else { return };
        for (index, written) in list.entries().iter().enumerate() {
            let Some(tag) = moving_tag(list, written).filter(|tag| !mutability.may_move(tag)) else {
                continue;
            };
            let explanation = format!(
                "the repository is {}: the tag {:?} can be pushed once and never again, so there will be one image for \
                 this entry",
                mutability.mode().name(),
                tag.as_str()
            );
            let fix = format!("exclude {:?} from immutability, or push tags that do not move", tag.as_str());
            let member = format!("/selection/{}/{index}", list.key());
            self.report(
                Lint::ImmutableMovingTag,
                Severity::Warning,
                Some(place),
                &member,
                [explanation, fix],
            );
        }
    }

    fn keeps_too_few(&mut self, place: usize) {
        let rule = &self.rules[place];
        let Count::ImagesMoreThan(keep) = rule.selection.count else { return };
        let needed = self.context.rollback_images;
        if keep >= needed || rule.action != Action::Expire || rule.selection.tags == TagSelector::Untagged {
            return;
        }
        let explanation = format!(
            "the rule keeps {keep}, and a rollback needs {needed}: a push that is not deployed counts like one that is, \
             and may delete the image that runs"
        );
        let fix = format!("keep {needed} or more");
        self.report(
            Lint::KeepsTooFew,
            Severity::Warning,
            Some(place),
            "/selection/countNumber",
            [explanation, fix],
        );
    }

    fn index_children(&mut self, place: usize) {
        let rule = &self.rules[place];
        if rule.selection.tags != TagSelector::Untagged
            || rule.selection.storage_class() != StorageClass::Standard
        {
            return;
        }
        let priority = rule.priority;
        let governs = |decision: &Decision| match decision.why {
            Why::Ranked { rule, .. } | Why::Aged { rule, .. } => rule == priority,
            _ => false,
        };
        let is_child = |decision: &Decision| matches!(decision.departure, crate::Departure::AfterParent(_));
        let children = self.images_where(|_, decision| governs(decision) && is_child(decision));
        let is_counting = !rule.selection.count.is_age();
        if children.is_empty() && !(is_counting && self.evaluation.is_none()) {
            return;
        }
        let found = if children.is_empty() { String::new() } else { format!(" ({} here)", children.len()) };
        let (severity, explanation, fix) = if is_counting {
            (
                Severity::Warning,
                format!(
                    "the images for each platform under a multi-platform tag are untagged themselves{found}; ECR does \
                     not delete them while their index lives, but they take the places that this rule keeps"
                ),
                "count days instead: sinceImagePushed with 7 or more".to_owned(),
            )
        } else {
            (
                Severity::Note,
                format!(
                    "the rule is also about the images for each platform under a multi-platform tag{found}; ECR refuses \
                     to delete them while their index lives (ImageReferencedByManifestList), so nothing is lost"
                ),
                "nothing to do".to_owned(),
            )
        };
        self.report(Lint::IndexChildren, severity, Some(place), "/selection/tagStatus", [explanation, fix]);
        if let Some(finding) = self.findings.last_mut() {
            finding.images = children;
        }
    }

    fn unreached(&mut self) {
        let standard =
            || self.rules.iter().filter(|rule| rule.selection.storage_class() == StorageClass::Standard);
        let takes_tagged = standard().any(takes_all_tagged);
        let takes_untagged =
            standard().any(|rule| matches!(rule.selection.tags, TagSelector::Any | TagSelector::Untagged));
        let what = match (takes_tagged, takes_untagged) {
            (true, true) => return,
            (false, true) => "images with tags that no list names",
            (true, false) => "untagged images",
            (false, false) => "untagged images, and images with tags that no list names",
        };
        let is_standard = |image: &Image| image.storage == crate::ImageStorage::Standard;
        let images =
            self.images_where(|image, decision| decision.why == Why::NoRuleMatches && is_standard(image));
        let severity = if images.is_empty() { Severity::Note } else { Severity::Warning };
        let found =
            if self.evaluation.is_some() { format!(" ({} now)", images.len()) } else { String::new() };
        let explanation = format!("no rule is about {what}{found}; they stay, and are paid for, for ever");
        let fix = "add a last rule with tagStatus any, for example sinceImagePushed with a generous number of days; \
                   preview it first"
            .to_owned();
        self.report(Lint::Unreached, severity, None, "", [explanation, fix]);
        if let Some(finding) = self.findings.last_mut() {
            finding.images = images;
        }
    }
}

/// Whether a description lists alternatives: "Keep last 20 versions (v*, sha-*)", "staging or prod".
fn reads_like_or(description: &str) -> bool {
    let lower = description.to_lowercase();
    lower.contains(',')
        || lower.contains('/')
        || lower.split_whitespace().any(|word| matches!(word, "or" | "any" | "either"))
}

/// How a person knows the image.
fn name(image: &Image) -> String {
    let tags: Vec<&str> = image.tags.iter().map(berth_types::Tag::as_str).collect();
    if tags.is_empty() { image.digest.to_string() } else { tags.join("+") }
}
