//! Two policies on the same images: what changes if one switches.

use std::fmt::Write as _;

use berth_lifecycle::{Action, Outcome};
use berth_types::Digest;
use serde::Serialize;

use super::images::{name, short_digest};
use super::simulate::{Simulation, indented};
use super::text::{leaves, outcome, table};
use super::units::{count, format_bytes, thousands};

/// One image that the two policies treat differently.
#[derive(Debug, Serialize)]
pub(crate) struct Change {
    digest: Digest,
    tags: Vec<String>,
    /// What the first policy does.
    from: String,
    /// What the other policy does.
    to: String,
    /// Why the other policy does it.
    reason: String,
    #[serde(skip)]
    kind: Kind,
    #[serde(skip)]
    bytes: u64,
    #[serde(skip)]
    name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Lost,
    Saved,
    Other,
}

/// The images whose fate changes, in the order of the input. A change of nothing but the rule's number is none: rules are
/// numbered anew in most rewrites.
pub(crate) fn changes(from: &Simulation<'_>, to: &Simulation<'_>) -> Vec<Change> {
    let pairs = from.evaluation.decisions.iter().zip(&to.evaluation.decisions);
    let mut changes = Vec::new();
    for (image, (before, after)) in from.inventory.images.iter().zip(pairs) {
        let (was, becomes) = (fate(before.outcome), fate(after.outcome));
        if was == becomes {
            continue;
        }
        let kind = match (leaves(before.outcome), leaves(after.outcome)) {
            (Some(Action::Expire), _) => Kind::Saved,
            (_, Some(Action::Expire)) => Kind::Lost,
            _ => Kind::Other,
        };
        changes.push(Change {
            digest: image.digest,
            tags: image.tags.iter().map(ToString::to_string).collect(),
            from: outcome(before.outcome),
            to: outcome(after.outcome),
            reason: after.reason(&to.inventory.images, to.now),
            kind,
            bytes: image.size_bytes.unwrap_or(0),
            name: name(image),
        });
    }
    changes
}

/// An outcome without the number of the rule.
fn fate(outcome: Outcome) -> (Option<Action>, bool) {
    (leaves(outcome), matches!(outcome, Outcome::Blocked { .. }))
}

/// The changes for people.
pub(crate) fn text(changes: &[Change], from: &str, to: &str) -> String {
    const ROWS_MAX: usize = 30;
    let mut text = format!("\nFrom {from} to {to}: ");
    if changes.is_empty() {
        text.push_str("the same happens to every image.\n");
        return text;
    }
    let of = |kind: Kind| changes.iter().filter(move |change| change.kind == kind);
    let bytes = |kind: Kind| of(kind).fold(0_u64, |sum, change| sum.saturating_add(change.bytes));
    let _ = writeln!(
        text,
        "{} more would be deleted ({}), {} fewer ({}), {} otherwise different",
        thousands(of(Kind::Lost).count()),
        format_bytes(bytes(Kind::Lost)),
        thousands(of(Kind::Saved).count()),
        format_bytes(bytes(Kind::Saved)),
        count(of(Kind::Other).count(), "image"),
    );
    let rows = changes.iter().take(ROWS_MAX).map(|change| {
        vec![
            change.name.clone(),
            short_digest(&change.digest),
            change.from.clone(),
            change.to.clone(),
            change.reason.clone(),
        ]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    text.push_str(&indented(&table(&["IMAGE", "DIGEST", "WAS", "BECOMES", "BECAUSE"], &rows)));
    if changes.len() > rows.len() {
        let _ = writeln!(text, "  and {} more; --json has them all", thousands(changes.len() - rows.len()));
    }
    text
}
