//! TOML text → [`StackInput`] and the place of every key in it.
//!
//! Serde alone stops at the first unknown key and keeps no positions, so the keys are walked first, over the parsed
//! document; serde then only has to fill in the values.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Position, Problem, nearest, quoted_list};
use super::input::{REPOSITORY_KEYS, RETENTION_KEYS, STACK_KEYS, StackInput};

/// Where each key's value stands, by the key's dotted path. Empty for a stack that was not read from a text.
#[derive(Debug, Default)]
pub(super) struct Positions {
    text: String,
    offsets: BTreeMap<String, usize>,
}

impl Positions {
    /// The place of `key`, or of the nearest key that encloses it.
    pub(super) fn find(&self, key: &str) -> Option<Position> {
        let mut key = key;
        loop {
            if let Some(offset) = self.offsets.get(key) {
                return Some(Position::of(&self.text, *offset));
            }
            key = &key[..key.rfind(['.', '['])?];
        }
    }
}

/// Reads the text. All unknown keys are reported together.
pub(super) fn read(text: &str) -> Result<(StackInput, Positions), Vec<Problem>> {
    let document = DeTable::parse(text).map_err(|error| vec![syntax_problem(text, &error)])?;
    let mut walk = Walk { text, offsets: BTreeMap::new(), problems: Vec::new() };
    walk.stack(document.get_ref());
    if !walk.problems.is_empty() {
        walk.problems.sort_by_key(|problem| problem.position);
        return Err(walk.problems);
    }
    let input = toml::de::Deserializer::parse(text)
        .and_then(StackInput::deserialize)
        .map_err(|error| vec![syntax_problem(text, &error)])?;
    Ok((input, Positions { text: text.to_owned(), offsets: walk.offsets }))
}

/// The parser's or serde's error at its place.
fn syntax_problem(text: &str, error: &toml::de::Error) -> Problem {
    // The parser's messages may span lines ("expected `=`, ..."); ours are one line each.
    let message = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
    // Serde speaks of its own types.
    let message = message
        .replace("expected a sequence", "expected a list")
        .replace("expected a map", "expected a table")
        .replace("expected u32", "expected a number from 0 to 4294967295");
    let position = error.span().map(|span| Position::of(text, span.start));
    Problem { key: String::new(), position, message, help: None }
}

struct Walk<'t> {
    text: &'t str,
    offsets: BTreeMap<String, usize>,
    problems: Vec<Problem>,
}

impl Walk<'_> {
    fn stack(&mut self, table: &DeTable<'_>) {
        self.keys("", table, STACK_KEYS);
        for (key, value) in table {
            match (key.get_ref().as_ref(), value.get_ref()) {
                ("repositories", DeValue::Table(repositories)) => {
                    for (service, repository) in repositories {
                        let path = format!("repositories.{}", service.get_ref());
                        self.place(&path, &service.span());
                        self.repository(&path, repository.get_ref());
                    }
                }
                ("retention", value) => self.retention("retention", value),
                ("tags", DeValue::Table(tags)) => self.places("tags", tags),
                _ => {}
            }
        }
    }

    fn repository(&mut self, path: &str, value: &DeValue<'_>) {
        let Some(table) = value.as_table() else { return };
        self.keys(path, table, REPOSITORY_KEYS);
        for (key, value) in table {
            let path = format!("{path}.{}", key.get_ref());
            match (key.get_ref().as_ref(), value.get_ref()) {
                ("retention", value) => self.retention(&path, value),
                ("tags", DeValue::Table(tags)) => self.places(&path, tags),
                ("mutable_tags", value) => self.elements(&path, value),
                _ => {}
            }
        }
    }

    fn retention(&mut self, path: &str, value: &DeValue<'_>) {
        self.elements(path, value);
        for (index, element) in value.as_array().into_iter().flatten().enumerate() {
            let Some(table) = element.get_ref().as_table() else { continue };
            let path = format!("{path}[{index}]");
            self.keys(&path, table, RETENTION_KEYS);
            if let Some(any_of) = table.get("any_of") {
                self.elements(&format!("{path}.any_of"), any_of.get_ref());
            }
        }
    }

    /// Notes where each value of `table` stands, and objects to keys that are not in `known`.
    fn keys(&mut self, path: &str, table: &DeTable<'_>, known: &[&str]) {
        self.places(path, table);
        for key in table.keys() {
            let name = key.get_ref().as_ref();
            if known.contains(&name) {
                continue;
            }
            let place = if path.is_empty() { "a stack file" } else { path };
            let help = match nearest(name, known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the keys of {place} are {}", quoted_list(known)),
            };
            self.problems.push(Problem {
                key: join(path, name),
                position: Some(Position::of(self.text, key.span().start)),
                message: "unknown key".to_owned(),
                help: Some(help),
            });
        }
    }

    fn places(&mut self, path: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            self.place_value(&join(path, key.get_ref()), key, value);
        }
    }

    /// A table's own span is its header or the whole of it, so a table is placed at its key.
    fn place_value<K>(&mut self, path: &str, key: &Spanned<K>, value: &Spanned<DeValue<'_>>) {
        let span = if value.get_ref().is_table() { key.span() } else { value.span() };
        self.place(path, &span);
    }

    fn elements(&mut self, path: &str, value: &DeValue<'_>) {
        for (index, element) in value.as_array().into_iter().flatten().enumerate() {
            self.place(&format!("{path}[{index}]"), &element.span());
        }
    }

    fn place(&mut self, path: &str, span: &Range<usize>) {
        self.offsets.insert(path.to_owned(), span.start);
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
