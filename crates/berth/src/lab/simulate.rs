//! What a policy does to the images of a repository at one moment, for programs and for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use berth_lifecycle::{Action, Departure, Evaluation, Image, Outcome, Policy, Why, evaluate};
use berth_types::{Digest, Timestamp};
use serde::Serialize;

use super::images::{Inventory, name, short_digest};
use super::text::{colour, describe, leaves, table, verb};
use super::units::{count, count_of, format_bytes, format_date, format_moment, thousands};
use super::usage::Usage;

/// A policy, images and what comes of them.
pub(crate) struct Simulation<'a> {
    pub(crate) policy: &'a Policy,
    pub(crate) inventory: &'a Inventory,
    pub(crate) now: Timestamp,
    pub(crate) evaluation: Evaluation,
}

/// The result for programs. Its form is fixed.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    expired: Vec<Acted>,
    archived: Vec<Acted>,
    kept: Vec<Kept>,
    blocked: Vec<Blocked>,
    cascaded: Vec<Cascaded>,
}

#[derive(Debug, Serialize)]
struct Acted {
    digest: Digest,
    tags: Vec<String>,
    rule: u32,
    reason: String,
}

#[derive(Debug, Serialize)]
struct Kept {
    digest: Digest,
    reason: String,
}

#[derive(Debug, Serialize)]
struct Blocked {
    digest: Digest,
    rule: u32,
    code: &'static str,
}

#[derive(Debug, Serialize)]
struct Cascaded {
    digest: Digest,
    subject: Digest,
}

/// Rows of a list of images or of moments that are shown to people.
const ROWS_MAX: usize = 20;

impl<'a> Simulation<'a> {
    /// Evaluates.
    pub(crate) fn new(policy: &'a Policy, inventory: &'a Inventory, now: Timestamp) -> Self {
        Self { policy, inventory, now, evaluation: evaluate(policy, &inventory.images, now) }
    }

    fn images(&self) -> &'a [Image] {
        &self.inventory.images
    }

    fn reason(&self, place: usize) -> String {
        self.evaluation.decisions[place].reason(self.images(), self.now)
    }

    /// The places of all images, oldest first: the order in which a policy acts.
    fn oldest_first(&self) -> Vec<usize> {
        let mut places: Vec<usize> = (0..self.images().len()).collect();
        places.sort_by_key(|place| (self.images()[*place].effective_push(), self.images()[*place].digest));
        places
    }

    /// The result for programs: each list oldest first; an image that is held back by an index is both kept and blocked.
    pub(crate) fn report(&self) -> Report {
        let mut report = Report {
            expired: Vec::new(),
            archived: Vec::new(),
            kept: Vec::new(),
            blocked: Vec::new(),
            cascaded: Vec::new(),
        };
        for place in self.oldest_first() {
            let image = &self.images()[place];
            let digest = image.digest;
            let acted = |rule| Acted {
                digest,
                tags: image.tags.iter().map(ToString::to_string).collect(),
                rule,
                reason: self.reason(place),
            };
            match self.evaluation.decisions[place].outcome {
                Outcome::Keep => report.kept.push(Kept { digest, reason: self.reason(place) }),
                Outcome::Expire { rule } => report.expired.push(acted(rule)),
                Outcome::Archive { rule } => report.archived.push(acted(rule)),
                Outcome::Blocked { rule, code, .. } => {
                    report.kept.push(Kept { digest, reason: self.reason(place) });
                    report.blocked.push(Blocked { digest, rule, code });
                }
                Outcome::Cascade { subject, .. } => {
                    report.cascaded.push(Cascaded { digest, subject: self.images()[subject].digest });
                }
            }
        }
        report
    }

    /// The result for people.
    pub(crate) fn text(&self) -> String {
        let repository = self.inventory.repository.as_deref().unwrap_or("the repository");
        let bytes = format_bytes(self.inventory.bytes());
        let images = count(self.images().len(), "image");
        let mut text = format!("{repository} at {}: {images}, {bytes}\n\n", format_moment(self.now));
        text.push_str(&self.rules());
        text.push_str(&self.going());
        text.push_str(&self.timeline());
        text.push_str(&self.totals());
        text
    }

    fn rules(&self) -> String {
        let rows = self.policy.rules().iter().zip(&self.evaluation.rules).map(|(rule, stats)| {
            vec![
                stats.priority.to_string(),
                verb(rule.action).to_owned(),
                describe(rule),
                sized(stats.matched, stats.matched_bytes),
                stats.selected.to_string(),
                stats.shielded.to_string(),
                stats.blocked.to_string(),
                sized(stats.acted, stats.acted_bytes),
            ]
        });
        let mut rows: Vec<Vec<String>> = rows.collect();
        let decided = self.images().iter().zip(&self.evaluation.decisions);
        let left: Vec<&Image> = decided
            .filter(|(_, decision)| decision.why == Why::NoRuleMatches)
            .map(|(image, _)| image)
            .collect();
        if !left.is_empty() {
            let bytes =
                left.iter().fold(0_u64, |sum, image| sum.saturating_add(image.size_bytes.unwrap_or(0)));
            let images = sized(u64::try_from(left.len()).unwrap_or(u64::MAX), bytes);
            rows.push(vec!["-".to_owned(), "keep".to_owned(), "what no rule is about".to_owned(), images]);
        }
        table(&["RULE", "ACTION", "ABOUT", "MATCHED", "SELECTED", "SHIELDED", "BLOCKED", "GOES NOW"], &rows)
    }

    /// The images that go now, by name.
    fn going(&self) -> String {
        let decisions = &self.evaluation.decisions;
        let going: Vec<usize> = self
            .oldest_first()
            .into_iter()
            .filter(|place| leaves(decisions[*place].outcome).is_some())
            .collect();
        if going.is_empty() {
            return "\nNothing goes now.\n".to_owned();
        }
        let rows = going.iter().take(ROWS_MAX).map(|place| {
            let image = &self.images()[*place];
            vec![
                super::text::outcome(decisions[*place].outcome),
                format_date(image.effective_push()),
                name(image),
                short_digest(&image.digest),
                image.size_bytes.map_or_else(|| "-".to_owned(), format_bytes),
            ]
        });
        let rows: Vec<Vec<String>> = rows.collect();
        let mut text = String::from("\nWhat goes now, oldest first:\n");
        let table = table(&["OUTCOME", "PUSHED", "IMAGE", "DIGEST", "SIZE"], &rows);
        let actions = going.iter().map(|place| leaves(decisions[*place].outcome));
        for (line, action) in table.lines().zip(std::iter::once(None).chain(actions)) {
            let colour = colour(action);
            let _ = writeln!(text, "  {colour}{line}{colour:#}");
        }
        if going.len() > rows.len() {
            let _ = writeln!(text, "  and {} more; --json has them all", thousands(going.len() - rows.len()));
        }
        text
    }

    /// When the others go if nothing changes.
    fn timeline(&self) -> String {
        let mut moments: BTreeMap<(String, u32), (usize, u64)> = BTreeMap::new();
        let mut pushes: BTreeMap<u32, (usize, u64, u32)> = BTreeMap::new();
        let (mut held, mut following, mut forever) = (0, 0, 0);
        for (image, decision) in self.images().iter().zip(&self.evaluation.decisions) {
            let bytes = image.size_bytes.unwrap_or(0);
            let rule = governing(decision.why);
            match decision.departure {
                Departure::Now => {}
                Departure::At(moment) => {
                    let entry = moments.entry((format_date(moment), rule)).or_default();
                    *entry = (entry.0 + 1, entry.1.saturating_add(bytes));
                }
                Departure::AfterPushes(number) => {
                    let entry = pushes.entry(rule).or_insert((0, 0, number));
                    *entry = (entry.0 + 1, entry.1.saturating_add(bytes), entry.2.min(number));
                }
                Departure::AfterParent(_) => held += 1,
                Departure::WithSubject(_) => following += 1,
                Departure::Never => forever += 1,
            }
        }
        let mut text = String::from("\nWhat goes later, if nothing else happens:\n");
        for ((date, rule), (images, bytes)) in moments.iter().take(ROWS_MAX) {
            let _ = writeln!(
                text,
                "  {date}  {}, {}, by rule {rule}",
                count(*images, "image"),
                format_bytes(*bytes)
            );
        }
        if moments.len() > ROWS_MAX {
            let _ = writeln!(text, "  and on {} more", count(moments.len() - ROWS_MAX, "day"));
        }
        for (rule, (images, bytes, first)) in &pushes {
            let _ = writeln!(
                text,
                "  by rule {rule}, one with each further push, the first after {}: {}, {}",
                count_of(*first as usize, "push", "pushes"),
                count(*images, "image"),
                format_bytes(*bytes)
            );
        }
        for (images, why) in [
            (held, "not before their index has gone"),
            (following, "together with what they are about"),
            (forever, "never"),
        ] {
            if images > 0 {
                let _ = writeln!(text, "  {why}: {}", count(images, "image"));
            }
        }
        text
    }

    fn totals(&self) -> String {
        let decisions = &self.evaluation.decisions;
        let number = |test: &dyn Fn(Outcome) -> bool| {
            decisions.iter().filter(|decision| test(decision.outcome)).count()
        };
        let expired = number(&|outcome| leaves(outcome) == Some(Action::Expire));
        let archived = number(&|outcome| leaves(outcome) == Some(Action::Archive));
        let blocked = number(&|outcome| matches!(outcome, Outcome::Blocked { .. }));
        let kept = decisions.len() - expired - archived;
        let before = Usage::of(self.inventory, |_| true).bytes();
        let after =
            Usage::of(self.inventory, |place| leaves(decisions[place].outcome) != Some(Action::Expire))
                .bytes();
        format!(
            "\n{} expired, {} archived, {} kept ({} of them held back by an index); {} stored now, {} after\n",
            thousands(expired),
            thousands(archived),
            thousands(kept),
            thousands(blocked),
            format_bytes(before),
            format_bytes(after)
        )
    }
}

/// The rule that decides over an image; 0 if none does.
pub(crate) fn governing(why: Why) -> u32 {
    match why {
        Why::Ranked { rule, .. } | Why::Aged { rule, .. } | Why::AgeUnknown { rule } => rule,
        Why::NoRuleMatches | Why::Activating | Why::FollowsSubject { .. } => 0,
    }
}

fn sized(images: u64, bytes: u64) -> String {
    if bytes == 0 { images.to_string() } else { format!("{images} ({})", format_bytes(bytes)) }
}

pub(crate) fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}
