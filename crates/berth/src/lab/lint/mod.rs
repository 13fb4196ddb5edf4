//! Findings about policies in files: what the checker and the linter of `berth-lifecycle` say, with places in the file.

mod render;
mod sarif;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Range;
use std::rc::Rc;

use berth_lifecycle::lint::Context;
use berth_lifecycle::{Image, Lint, PolicyError, Severity, lint_text};
use serde::Serialize;

use super::error::position;
use super::images::name;
use super::sources::{Document, Found, PolicyText};

pub(crate) use render::{summary, text};
pub(crate) use sarif::sarif;

/// The identifier of the finding about a policy that cannot be read where it stands.
const UNREADABLE: &str = "unreadable";
/// Images that a finding names.
const IMAGES_NAMED_MAX: usize = 20;

/// A finding in a file.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// `and-list` and so on, `V1` to `V22` for a policy that ECR would refuse, or `unreadable`.
    id: String,
    #[serde(serialize_with = "severity_name")]
    severity: Severity,
    file: String,
    line: usize,
    column: usize,
    end_line: usize,
    end_column: usize,
    /// What the policy belongs to.
    #[serde(skip_serializing_if = "String::is_empty")]
    policy: String,
    /// `rulePriority`.
    rule: Option<u32>,
    /// What else has the same policy.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    also: Vec<String>,
    /// JSON pointer into the policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pointer: Option<String>,
    explanation: String,
    fix: String,
    /// Images that show it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    images: Vec<String>,
    #[serde(skip)]
    span: Range<usize>,
    #[serde(skip)]
    document: Rc<Document>,
    /// Where it stands in the policy, if that is put together and not written in the file.
    #[serde(skip)]
    inner: Option<String>,
}

fn severity_name<S: serde::Serializer>(severity: &Severity, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(name_of(*severity))
}

/// The name of a severity.
fn name_of(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

impl Report {
    pub(crate) fn severity(&self) -> Severity {
        self.severity
    }
}

/// Everything to be said about the policies of the files, in their order. Repositories of one stack that have the same
/// policy are reported once.
pub(crate) fn lint(found: &[Found], context: &Context<'_>) -> Vec<Report> {
    let mut reports: Vec<Report> = Vec::new();
    let mut seen = BTreeMap::new();
    for one in found {
        for report in lint_one(one, context) {
            let key = (
                report.file.clone(),
                report.span.start,
                report.id.clone(),
                report.rule,
                report.explanation.clone(),
            );
            match seen.entry(key) {
                Entry::Vacant(entry) => {
                    entry.insert(reports.len());
                    reports.push(report);
                }
                Entry::Occupied(first) => reports[*first.get()].also.push(report.policy),
            }
        }
    }
    reports
}

fn lint_one(found: &Found, context: &Context<'_>) -> Vec<Report> {
    let policy = match &found.policy {
        Ok(policy) => policy,
        Err(unreadable) => {
            let mut report = place(found, unreadable.span.clone());
            report.id = UNREADABLE.to_owned();
            report.explanation =
                format!("this policy cannot be read here: {} stands for it or a part of it", unreadable.what);
            report.fix = "lint what it becomes: the output of `terraform show -json`, `cdk synth`, \
                          `pulumi stack export`, or the policy of the repository itself"
                .to_owned();
            return vec![report];
        }
    };
    let mutability = context.mutability.or(found.mutability.as_ref());
    match lint_text(&policy.json, &Context { mutability, ..*context }) {
        Err(error) => violations(found, policy, &error),
        Ok(findings) => {
            let reports = findings.into_iter().map(|finding| {
                let inner = finding.span.unwrap_or(0..0);
                let mut report = place(found, policy.outer(&inner));
                report.id = finding.lint.id().to_owned();
                report.severity = finding.severity;
                report.rule = finding.rule;
                report.pointer = Some(finding.pointer);
                report.explanation = finding.explanation;
                report.fix = finding.fix;
                report.images = named(context.images.map_or(&[][..], |(images, _)| images), &finding.images);
                report.inner = excerpt(policy, found, &inner);
                report
            });
            reports.collect()
        }
    }
}

fn violations(found: &Found, policy: &PolicyText, error: &PolicyError) -> Vec<Report> {
    let reports = error.violations().iter().map(|violation| {
        let inner = violation.span.clone().unwrap_or(0..0);
        let mut report = place(found, policy.outer(&inner));
        report.id = violation.clause.id().to_owned();
        report.severity = Severity::Error;
        report.pointer = Some(violation.pointer.clone());
        report.explanation = violation.aws_text.clone();
        report.fix = violation.hint.clone();
        report.inner = excerpt(policy, found, &inner);
        report
    });
    reports.collect()
}

/// The part of a policy, where the file does not say the same in its own words.
fn excerpt(policy: &PolicyText, found: &Found, inner: &Range<usize>) -> Option<String> {
    const CHARS_MAX: usize = 120;
    if !policy.is_generated() {
        return None;
    }
    let part = policy.json.get(inner.clone()).filter(|part| !part.is_empty())?;
    let outer = found.document.text.get(policy.outer(inner)).unwrap_or_default();
    let squeezed = |text: &str| -> String { text.split_whitespace().collect() };
    let plain = serde_json::from_str::<serde_json::Value>(part).ok()?.to_string();
    let is_told = squeezed(outer).contains(&squeezed(part)) || plain.chars().count() > CHARS_MAX;
    (!is_told).then_some(plain)
}

fn place(found: &Found, span: Range<usize>) -> Report {
    let (line, column) = position(&found.document.text, span.start);
    let (end_line, end_column) = position(&found.document.text, span.end);
    Report {
        id: String::new(),
        severity: Severity::Warning,
        file: found.document.name.clone(),
        line,
        column,
        end_line,
        end_column,
        policy: found.label.clone(),
        rule: None,
        also: Vec::new(),
        pointer: None,
        explanation: String::new(),
        fix: String::new(),
        images: Vec::new(),
        span,
        document: Rc::clone(&found.document),
        inner: None,
    }
}

fn named(images: &[Image], places: &[usize]) -> Vec<String> {
    let mut names: Vec<String> =
        places.iter().filter_map(|place| images.get(*place)).take(IMAGES_NAMED_MAX).map(name).collect();
    if places.len() > names.len() {
        names.push(format!("and {} more", places.len() - names.len()));
    }
    names
}

/// One sentence about a kind of finding.
fn about(id: &str) -> &'static str {
    match Lint::ALL.into_iter().find(|lint| lint.id() == id) {
        Some(lint) => lint.summary(),
        None if id == UNREADABLE => "A policy that another program fills in cannot be read here.",
        None => "Amazon ECR refuses the policy.",
    }
}
