//! The policies of a stack file.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::rc::Rc;

use berth_stack::desired::RetentionPolicy;
use berth_stack::{DesiredRepository, Lifecycle, StackSpec};
use toml::de::DeTable;

use super::super::error::LabError;
use super::super::files::{SMALL_FILE_BYTES_MAX, read_text};
use super::policy_text::PolicyText;
use super::{Document, Found};

/// The policy of each repository. Compiled policies are printed as JSON, and their rules stand where their retention does.
pub(super) fn find(path: &Path, document: &Rc<Document>) -> Result<Vec<Found>, berth_stack::SpecError> {
    let directory = path.parent().unwrap_or(Path::new(""));
    let read_file = |file: &Path| match read_text(&directory.join(file), SMALL_FILE_BYTES_MAX) {
        Ok((text, _)) => Ok(text),
        Err(LabError::Unreadable { source, .. }) => Err(source),
        Err(other) => Err(io::Error::other(other)),
    };
    let stack = StackSpec::parse(&document.name, &document.text, &read_file)?;
    let places = Places::read(&document.text);
    let policies =
        stack.repositories().iter().filter_map(|repository| policy(path, document, &places, repository));
    Ok(policies.collect())
}

fn policy(
    path: &Path,
    document: &Rc<Document>,
    places: &Places,
    repository: &DesiredRepository,
) -> Option<Found> {
    let (document, policy) = match &repository.lifecycle {
        Lifecycle::Keep => return None,
        Lifecycle::File { path: file, text, .. } => {
            let name = path.parent().unwrap_or(Path::new("")).join(file).display().to_string();
            (Rc::new(Document { name, text: text.clone() }), PolicyText::whole(text.clone()))
        }
        Lifecycle::Retention(retention) => {
            (Rc::clone(document), compiled(retention, places.retentions(&repository.service), places.whole()))
        }
    };
    Some(Found {
        document,
        label: repository.name.to_string(),
        policy: Ok(policy),
        mutability: Some(repository.tag_mutability.clone()),
    })
}

fn compiled(retention: &RetentionPolicy, places: &[Range<usize>], whole: Range<usize>) -> PolicyText {
    let policy = &retention.compiled.policy;
    let json = policy.to_pretty_json();
    let mut parts = Vec::new();
    let mut from = 0;
    for (place, origin) in retention.compiled.origin.iter().enumerate() {
        let marker = format!("\"rulePriority\": {},", origin.priority);
        let Some(start) = json[from..].find(&marker).map(|at| from + at) else { continue };
        let next = policy.rules().get(place + 1).and_then(|rule| {
            json[start..].find(&format!("\"rulePriority\": {},", rule.priority)).map(|at| start + at)
        });
        let end = next.unwrap_or(json.len());
        if let Some(outer) = origin.retentions.first().and_then(|place| places.get(*place)) {
            parts.push((start..end, outer.clone()));
        }
        from = end;
    }
    PolicyText::from_parts(json, parts, whole)
}

/// Where the retentions of a stack file stand.
struct Places {
    general: Vec<Range<usize>>,
    /// By service, for repositories with their own.
    own: Vec<(String, Vec<Range<usize>>)>,
}

impl Places {
    fn read(text: &str) -> Self {
        let mut places = Self { general: Vec::new(), own: Vec::new() };
        let Ok(table) = DeTable::parse(text) else { return places };
        places.general = retentions(text, table.get_ref());
        let repositories = table.get_ref().get("repositories").and_then(|value| value.get_ref().as_table());
        for (service, value) in repositories.into_iter().flatten() {
            if let Some(table) = value.get_ref().as_table() {
                places.own.push((service.get_ref().to_string(), retentions(text, table)));
            }
        }
        places
    }

    fn retentions(&self, service: &str) -> &[Range<usize>] {
        let own = self.own.iter().find(|(name, places)| name == service && !places.is_empty());
        own.map_or(&self.general, |(_, places)| places)
    }

    /// Where a policy stands that the file does not spell out: at its first line.
    fn whole(&self) -> Range<usize> {
        self.general.first().cloned().unwrap_or(0..0)
    }
}

fn retentions(text: &str, table: &DeTable<'_>) -> Vec<Range<usize>> {
    let list = table.get("retention").and_then(|value| value.get_ref().as_array());
    let spans = list.into_iter().flatten().map(toml::Spanned::span);
    spans.map(|span| first_line(text, span)).collect()
}

/// A table's place ends with its last value; its first line is enough to find it by.
fn first_line(text: &str, span: Range<usize>) -> Range<usize> {
    let written = text.get(span.clone()).unwrap_or_default();
    let length = written.find('\n').unwrap_or(written.len());
    span.start..span.start + length
}
