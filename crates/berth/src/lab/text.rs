//! Words and tables that several reports share.

use std::fmt::Write as _;

use berth_lifecycle::{Action, Count, Outcome, Rule, StorageClass, TagList, TagSelector};

/// Columns without lines around them, each line trimmed.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(header);
    for row in rows {
        table.add_row(row);
    }
    let bold = anstyle::Style::new().bold();
    let mut text = String::new();
    for (number, line) in table.lines().enumerate() {
        // The style begins every line with a blank.
        let line = line.strip_prefix(' ').unwrap_or(&line).trim_end();
        if number == 0 {
            let _ = writeln!(text, "{bold}{line}{bold:#}");
        } else {
            let _ = writeln!(text, "{line}");
        }
    }
    text
}

/// What a rule is about and what it lets stay: `v*: all but the youngest 20`.
pub(crate) fn describe(rule: &Rule) -> String {
    let selection = &rule.selection;
    let about = match &selection.tags {
        TagSelector::Tagged(TagList::Patterns(entries)) => entries.join(" and "),
        TagSelector::Tagged(TagList::Prefixes(entries)) => {
            let entries: Vec<String> = entries.iter().map(|entry| format!("{entry}...")).collect();
            entries.join(" and ")
        }
        TagSelector::Untagged => "untagged".to_owned(),
        TagSelector::Any => "any image".to_owned(),
    };
    let about = match selection.storage_class() {
        StorageClass::Standard => about,
        StorageClass::Archive => format!("{about}, archived"),
    };
    let limit = match selection.count {
        Count::ImagesMoreThan(keep) => format!("all but the youngest {keep}"),
        Count::DaysSincePushed(days) => format!("pushed over {days} d ago"),
        Count::DaysSincePulled(days) => format!("not pulled for {days} d"),
        Count::DaysSinceTransitioned(days) => format!("archived over {days} d ago"),
    };
    format!("{about}: {limit}")
}

/// `expire` or `archive`.
pub(crate) fn verb(action: Action) -> &'static str {
    match action {
        Action::Expire => "expire",
        Action::Archive => "archive",
    }
}

/// An outcome in a few words: `expired by 1`, `kept`.
pub(crate) fn outcome(outcome: Outcome) -> String {
    match outcome {
        Outcome::Keep => "kept".to_owned(),
        Outcome::Expire { rule } => format!("expired by {rule}"),
        Outcome::Archive { rule } => format!("archived by {rule}"),
        Outcome::Blocked { rule, .. } => format!("blocked from {rule}"),
        Outcome::Cascade { action: Action::Expire, .. } => "expired with its subject".to_owned(),
        Outcome::Cascade { action: Action::Archive, .. } => "archived with its subject".to_owned(),
    }
}

/// The colour of what happens: red for what is lost, yellow for what is put away.
pub(crate) fn colour(action: Option<Action>) -> anstyle::Style {
    match action {
        Some(Action::Expire) => anstyle::AnsiColor::Red.on_default(),
        Some(Action::Archive) => anstyle::AnsiColor::Yellow.on_default(),
        None => anstyle::Style::new(),
    }
}

/// Whether an image leaves standard storage by deletion or for the archive.
pub(crate) fn leaves(outcome: Outcome) -> Option<Action> {
    match outcome {
        Outcome::Keep | Outcome::Blocked { .. } => None,
        Outcome::Expire { .. } => Some(Action::Expire),
        Outcome::Archive { .. } => Some(Action::Archive),
        Outcome::Cascade { action, .. } => Some(action),
    }
}
