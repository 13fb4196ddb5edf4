//! The whole reasoning for one image.

use std::fmt::Write as _;

use berth_lifecycle::{AgeClock, Departure, Explanation, Image, ImageKind, ImageStorage, Policy, Why};
use berth_types::{Digest, Timestamp};
use serde::Serialize;

use super::images::{Inventory, short_digest};
use super::text::{describe, outcome, verb};
use super::units::{format_bytes, format_moment};

/// What is known about one image.
pub(crate) struct Subject<'a> {
    pub(crate) policy: &'a Policy,
    pub(crate) inventory: &'a Inventory,
    pub(crate) now: Timestamp,
    pub(crate) place: usize,
    pub(crate) explanation: Explanation,
}

/// The reasoning for programs.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    digest: Digest,
    tags: Vec<String>,
    pushed_at: String,
    outcome: String,
    reason: String,
    departure: String,
    rules: Vec<RuleReport>,
}

#[derive(Debug, Serialize)]
struct RuleReport {
    rule: u32,
    action: &'static str,
    about: String,
    matches: bool,
    selects: bool,
    shielded_by: Option<u32>,
    reason: String,
}

impl<'a> Subject<'a> {
    /// The reasoning for the image at a place; nothing if there is none.
    pub(crate) fn new(
        policy: &'a Policy,
        inventory: &'a Inventory,
        now: Timestamp,
        place: usize,
    ) -> Option<Self> {
        let explanation = berth_lifecycle::explain(policy, &inventory.images, now, place)?;
        Some(Self { policy, inventory, now, place, explanation })
    }

    fn image(&self) -> &'a Image {
        &self.inventory.images[self.place]
    }

    pub(crate) fn report(&self) -> Report {
        let image = self.image();
        let decision = &self.explanation.decision;
        let rules = self.policy.rules().iter().zip(&self.explanation.rules).map(|(rule, trace)| RuleReport {
            rule: trace.priority,
            action: verb(trace.action),
            about: describe(rule),
            matches: trace.measured.is_some(),
            selects: trace.selected,
            shielded_by: trace.shielded_by,
            reason: self.trace(trace.measured),
        });
        Report {
            digest: image.digest,
            tags: image.tags.iter().map(ToString::to_string).collect(),
            pushed_at: format_moment(image.pushed_at),
            outcome: outcome(decision.outcome),
            reason: decision.reason(&self.inventory.images, self.now),
            departure: self.departure(),
            rules: rules.collect(),
        }
    }

    pub(crate) fn text(&self) -> String {
        let image = self.image();
        let report = self.report();
        let mut text = format!("{}\n", image.digest);
        let tags = if report.tags.is_empty() { "none".to_owned() } else { report.tags.join(", ") };
        let _ = writeln!(text, "  tags     {tags}");
        let _ = writeln!(text, "  pushed   {}", report.pushed_at);
        if let Some(pulled) = image.last_pulled_at {
            let _ = writeln!(text, "  pulled   {}", format_moment(pulled));
        }
        let _ = writeln!(text, "  is       {}", kind(image));
        if let Some(bytes) = image.size_bytes {
            let _ = writeln!(text, "  size     {}", format_bytes(bytes));
        }
        let _ = writeln!(text, "\n{}: {}", report.outcome, report.reason);
        let _ = writeln!(text, "goes: {}\n", report.departure);
        let governing = super::simulate::governing(self.explanation.decision.why);
        for rule in &report.rules {
            let role = if rule.rule == governing { ", which decides" } else { "" };
            let _ = writeln!(text, "rule {} ({}), {}{role}", rule.rule, rule.action, rule.about);
            let _ = writeln!(text, "    {}", self.verdict(rule));
        }
        text
    }

    fn verdict(&self, rule: &RuleReport) -> String {
        if !rule.matches {
            return "does not match".to_owned();
        }
        let selects = if rule.selects { "selects it" } else { "lets it stay" };
        match rule.shielded_by {
            Some(shield) if rule.selects => {
                format!("matches and {selects}, but rule {shield} shields it: {}", rule.reason)
            }
            Some(shield) => format!("matches and {selects}; rule {shield} decides: {}", rule.reason),
            None => format!("matches and {selects}: {}", rule.reason),
        }
    }

    /// What one rule measured.
    fn trace(&self, measured: Option<Why>) -> String {
        match measured {
            None => "does not match".to_owned(),
            Some(Why::Ranked { rank, keep, .. }) => {
                format!("number {rank} from the youngest, {keep} are kept")
            }
            Some(Why::Aged { since, clock, days, .. }) => {
                let event = match clock {
                    AgeClock::Pushed => "pushed",
                    AgeClock::Restored => "restored from the archive",
                    AgeClock::Pulled => "last pulled",
                    AgeClock::Archived => "archived",
                };
                format!("{event} {}, {days} days are allowed", format_moment(since))
            }
            Some(Why::AgeUnknown { .. }) => "the moment it counts from is not recorded".to_owned(),
            Some(Why::FollowsSubject { .. }) => "it follows its subject".to_owned(),
            Some(Why::NoRuleMatches | Why::Activating) => "it is on its way back from the archive".to_owned(),
        }
    }

    fn departure(&self) -> String {
        let digest = |place: usize| {
            self.inventory.images.get(place).map_or_else(String::new, |image| short_digest(&image.digest))
        };
        match self.explanation.decision.departure {
            Departure::Now => "at the next run".to_owned(),
            Departure::At(moment) => format!("at the first run from {} on", format_moment(moment)),
            Departure::AfterPushes(1) => "with the next push that the rule matches".to_owned(),
            Departure::AfterPushes(number) => format!("after {number} more pushes that the rule matches"),
            Departure::AfterParent(place) => format!("not before the index {} has gone", digest(place)),
            Departure::WithSubject(place) => format!("together with {}", digest(place)),
            Departure::Never => "never".to_owned(),
        }
    }
}

fn kind(image: &Image) -> String {
    let kind = match (image.kind, image.subject) {
        (ImageKind::Index, _) => format!("an index of {}", image.references.len()),
        (ImageKind::Image, Some(subject)) => format!("about {}", short_digest(&subject)),
        (ImageKind::Image, None) => "an image".to_owned(),
    };
    match image.storage {
        ImageStorage::Standard => kind,
        ImageStorage::Archive => format!("{kind}, archived"),
        ImageStorage::Activating => format!("{kind}, being restored"),
    }
}
