//! Findings as SARIF 2.1.0, the form in which code hosts take them.

use std::collections::BTreeSet;

use berth_lifecycle::{Lint, Severity};
use serde_json::{Value, json};

use super::{Report, UNREADABLE, about};

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";
const CLAUSES: usize = 22;

/// One SARIF log with one run.
pub(crate) fn sarif(reports: &[Report]) -> Value {
    let ids = rule_ids();
    let rules: Vec<Value> = ids
        .iter()
        .map(|id| {
            json!({
                "id": id,
                "shortDescription": {"text": about(id)},
                "helpUri": "https://docs.aws.amazon.com/AmazonECR/latest/userguide/LifecyclePolicies.html",
            })
        })
        .collect();
    let artifacts: BTreeSet<&str> = reports.iter().map(|report| report.file.as_str()).collect();
    let artifacts: Vec<Value> =
        artifacts.into_iter().map(|file| json!({"location": {"uri": uri(file)}})).collect();
    let results: Vec<Value> = reports.iter().map(|report| result(report, &ids)).collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "berth lifecycle lint",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "artifacts": artifacts,
            "results": results,
        }],
    })
}

fn rule_ids() -> Vec<String> {
    let lints = Lint::ALL.iter().map(|lint| lint.id().to_owned());
    lints.chain([UNREADABLE.to_owned()]).chain((1..=CLAUSES).map(|number| format!("V{number}"))).collect()
}

fn result(report: &Report, ids: &[String]) -> Value {
    let level = match report.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    };
    let subject = match (report.policy.as_str(), report.rule) {
        ("", None) => String::new(),
        ("", Some(rule)) => format!("Rule {rule}: "),
        (policy, None) => format!("{policy}: "),
        (policy, Some(rule)) => format!("{policy}, rule {rule}: "),
    };
    let text = format!("{subject}{}. Fix: {}.", report.explanation, report.fix);
    json!({
        "ruleId": report.id,
        "ruleIndex": ids.iter().position(|id| *id == report.id),
        "level": level,
        "message": {"text": text},
        "locations": [{"physicalLocation": {
            "artifactLocation": {"uri": uri(&report.file)},
            "region": {
                "startLine": report.line,
                "startColumn": report.column,
                "endLine": report.end_line,
                "endColumn": report.end_column,
            },
        }}],
    })
}

/// A file's name as a URI reference: what has a meaning in one, or none, is written in percent.
fn uri(file: &str) -> String {
    let mut uri = String::new();
    for byte in file.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(char::from(byte));
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_become_uri_references() {
        assert_eq!(uri("infra/my repo/ecr.tf"), "infra/my%20repo/ecr.tf");
        assert_eq!(uri("ä:b"), "%C3%A4%3Ab");
    }
}
