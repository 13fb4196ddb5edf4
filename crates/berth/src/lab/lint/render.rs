//! Findings for people: each with the line it is about.

use std::fmt::Write as _;

use berth_lifecycle::{Lint, Severity};

use super::super::snippet::{Message, render};
use super::super::units::count;
use super::{Report, about};

/// All findings.
pub(crate) fn text(reports: &[Report]) -> String {
    let mut text = String::new();
    for report in reports {
        text.push_str(&one(report));
        text.push('\n');
    }
    text
}

fn one(report: &Report) -> String {
    let about_rule = report.rule.map_or_else(String::new, |rule| format!("rule {rule}"));
    let mut label = about_rule;
    if let Some(inner) = &report.inner {
        label = format!("{label}{}{inner}", if label.is_empty() { "" } else { ": " });
    }
    if !report.policy.is_empty() {
        label = format!("{label}{}{}", if label.is_empty() { "" } else { ", " }, report.policy);
        if !report.also.is_empty() {
            let _ = write!(label, " and {} more", report.also.len());
        }
    }
    let is_refusal = report.id.starts_with('V');
    let title = if is_refusal { &report.explanation } else { about(&report.id) };
    let mut note = if is_refusal { String::new() } else { report.explanation.clone() };
    // That one names them in its sentence.
    if !report.images.is_empty() && report.id != Lint::AnyEats.id() {
        let _ = write!(note, "\nimages: {}", report.images.join("; "));
    }
    let message = Message {
        severity: report.severity,
        id: &report.id,
        title,
        label: &label,
        help: Some(&report.fix),
        note: (!note.is_empty()).then_some(&note),
    };
    render(&message, &report.file, &report.document.text, &report.span)
}

/// How much was found.
pub(crate) fn summary(reports: &[Report], policies: usize) -> String {
    let number = |severity| reports.iter().filter(|report| report.severity == severity).count();
    format!(
        "{} in {}: {}, {}, {}",
        count(reports.len(), "finding"),
        if policies == 1 { "1 policy".to_owned() } else { format!("{policies} policies") },
        count(number(Severity::Error), "error"),
        count(number(Severity::Warning), "warning"),
        count(number(Severity::Note), "note"),
    )
}
