//! Text to rules: the JSON of a policy against its schema (V1 to V10).
//!
//! The texts are those of the JSON Schema validator whose words Amazon ECR repeats, one for each keyword that fails. A
//! rule that is well-formed by itself is handed on even when others are not, so that one run reports everything.

use std::collections::HashMap;
use std::ops::Range;

use berth_types::limits;

use super::error::length_violation;
use super::{Action, Clause, Count, Rule, Selection, StorageClass, TagList, TagSelector, Violation};
use crate::json::{self, Json, Member, Node};

/// A valid policy nests five levels. A key that stands twice is refused: what a policy deletes must not hang on which of
/// the two a reader takes.
const JSON_RULES: json::Rules = json::Rules { depth_max: 32, repeated_keys: false };

/// Numbers above this cannot be mapped: ECR's policy type holds 32-bit integers.
pub(super) const NUMBER_MAX: u32 = i32::MAX as u32;

const UNMAPPABLE: &str = "Could not map policyString into LifecyclePolicy.";
const COUNT_TYPES: &str = "imageCountMoreThan, sinceImagePushed, sinceImagePulled or sinceImageTransitioned";

/// What could be read.
pub(super) struct Parsed {
    /// The rules that are well-formed by themselves, with their place in the array.
    pub(super) rules: Vec<(usize, Rule)>,
    pub(super) violations: Vec<Violation>,
    pub(super) locator: Locator,
}

/// Knows where in the text a JSON pointer leads.
#[derive(Debug)]
pub(super) struct Locator(HashMap<String, Range<usize>>);

impl Locator {
    /// For rules without a text.
    pub(super) fn none() -> Self {
        Self(HashMap::new())
    }

    /// The span of the value at `pointer`, or of the nearest value around it.
    pub(super) fn find(&self, pointer: &str) -> Option<Range<usize>> {
        let mut pointer = pointer;
        loop {
            if let Some(span) = self.0.get(pointer) {
                return Some(span.clone());
            }
            pointer = &pointer[..pointer.rfind('/')?];
        }
    }

    fn learn(&mut self, pointer: &str, node: &Node) {
        self.0.insert(pointer.to_owned(), node.span.clone());
        match &node.value {
            Json::Array(nodes) => {
                for (index, child) in nodes.iter().enumerate() {
                    self.learn(&format!("{pointer}/{index}"), child);
                }
            }
            Json::Object(members) => {
                for member in members {
                    self.learn(&child_pointer(pointer, &member.key), &member.node);
                }
            }
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::Text(_) => {}
        }
    }
}

fn child_pointer(pointer: &str, key: &str) -> String {
    format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// Reads a policy text.
pub(super) fn parse(text: &str) -> Parsed {
    let chars = text.chars().count();
    let mut checker = Checker { violations: length_violation(chars).into_iter().collect() };
    let mut locator = Locator::none();
    let mut rules = Vec::new();
    if chars <= limits::LIFECYCLE_POLICY_CHARS_MAX {
        match json::parse(text, JSON_RULES) {
            Ok(root) => {
                locator.learn("", &root);
                rules = checker.policy(&root);
            }
            Err(error) => checker.violations.push(Violation {
                clause: Clause::Mapping,
                pointer: String::new(),
                span: Some(error.at..text.len().min(error.at + 1)),
                aws_text: UNMAPPABLE.to_owned(),
                hint: format!("{} (byte {})", error.what, error.at),
            }),
        }
    }
    Parsed { rules, violations: checker.violations, locator }
}

/// An object of the policy, with what the schema says about its members.
struct Shape {
    required: &'static [&'static str],
    optional: &'static [&'static str],
}

const POLICY: Shape = Shape { required: &["rules"], optional: &[] };
const RULE: Shape = Shape { required: &["action", "rulePriority", "selection"], optional: &["description"] };
const SELECTION: Shape = Shape {
    required: &["countNumber", "countType", "tagStatus"],
    optional: &["countUnit", "storageClass", "tagPatternList", "tagPrefixList"],
};
const ACTION: Shape = Shape { required: &["type"], optional: &["targetStorageClass"] };

/// An object whose members have been checked for presence.
struct Object<'a> {
    pointer: &'a str,
    node: &'a Node,
    members: &'a [Member],
}

/// A member of an object.
struct Field<'a> {
    pointer: String,
    node: &'a Node,
}

impl<'a> Object<'a> {
    fn field(&self, key: &str) -> Option<Field<'a>> {
        let member = self.members.iter().find(|member| member.key == key)?;
        Some(Field { pointer: child_pointer(self.pointer, key), node: &member.node })
    }
}

struct Checker {
    violations: Vec<Violation>,
}

impl Checker {
    fn report(&mut self, clause: Clause, pointer: &str, span: &Range<usize>, aws_text: String, hint: String) {
        self.violations.push(Violation {
            clause,
            pointer: pointer.to_owned(),
            span: Some(span.clone()),
            aws_text,
            hint,
        });
    }

    fn policy(&mut self, root: &Node) -> Vec<(usize, Rule)> {
        let Json::Object(members) = &root.value else {
            let hint = format!(
                "a policy is a JSON object with the member \"rules\", not a JSON {}",
                root.value.type_name()
            );
            self.report(Clause::Mapping, "", &root.span, UNMAPPABLE.to_owned(), hint);
            return Vec::new();
        };
        let policy = Object { pointer: "", node: root, members };
        self.members(&policy, &POLICY, Clause::RulesMissing);
        let Some(field) = policy.field("rules") else { return Vec::new() };
        let Some(nodes) = self.array(&field) else { return Vec::new() };
        self.rule_count(&field, nodes.len());
        let mut rules = Vec::new();
        for (index, node) in nodes.iter().enumerate() {
            let rule = Field { pointer: format!("/rules/{index}"), node };
            rules.extend(self.rule(&rule).map(|rule| (index, rule)));
        }
        rules
    }

    fn rule_count(&mut self, field: &Field<'_>, found: usize) {
        if let Some((aws_text, hint)) = rule_count_texts(found) {
            self.report(Clause::RuleCount, &field.pointer, &field.node.span, aws_text, hint);
        }
    }

    fn rule(&mut self, field: &Field<'_>) -> Option<Rule> {
        let rule = self.object(field, &RULE)?;
        let priority = rule.field("rulePriority").and_then(|field| self.number(&field));
        let description = rule.field("description").map(|field| self.text(&field).map(str::to_owned));
        let selection = rule.field("selection").and_then(|field| self.selection(&field));
        let action = rule.field("action").and_then(|field| self.action(&field));
        let description = match description {
            Some(text) => Some(text?),
            None => None,
        };
        Some(Rule { priority: priority?, description, selection: selection?, action: action? })
    }

    fn selection(&mut self, field: &Field<'_>) -> Option<Selection> {
        let selection = self.object(field, &SELECTION)?;
        let status = selection
            .field("tagStatus")
            .and_then(|field| self.one_of(&field, &["any", "tagged", "untagged"]));
        // Everything is looked at before anything is given up, so that one run reports all of it.
        let prefixes = self.list(selection.field("tagPrefixList"));
        let patterns = self.list(selection.field("tagPatternList"));
        let storage = self.storage(selection.field("storageClass"));
        let count = self.count(&selection);
        let tags = self.tags(&selection, status?, prefixes?, patterns?)?;
        Some(Selection { tags, storage: storage?, count: count? })
    }

    #[expect(clippy::option_option, reason = "outer: well-formed; inner: present")]
    fn storage(&mut self, field: Option<Field<'_>>) -> Option<Option<StorageClass>> {
        let Some(field) = field else { return Some(None) };
        let name = self.one_of(&field, &["archive", "standard"])?;
        Some(Some(if name == "archive" { StorageClass::Archive } else { StorageClass::Standard }))
    }

    /// V16 to V18: which list goes with which status. An empty list counts as an absent one.
    fn tags(
        &mut self,
        selection: &Object<'_>,
        status: &str,
        prefixes: Vec<String>,
        patterns: Vec<String>,
    ) -> Option<TagSelector> {
        let given = [("tagPrefixList", !prefixes.is_empty()), ("tagPatternList", !patterns.is_empty())];
        if status != "tagged" {
            for (key, _) in given.iter().filter(|(_, is_given)| *is_given) {
                let pointer = child_pointer(selection.pointer, key);
                let aws_text = format!("Cannot specify {key} with tagStatus {status}");
                let hint = format!("remove {key}, or write \"tagStatus\": \"tagged\" to select by tag");
                self.report(Clause::ListNotAllowed, &pointer, &selection.node.span, aws_text, hint);
            }
            let none_given = given.iter().all(|(_, is_given)| !is_given);
            let selector = if status == "any" { TagSelector::Any } else { TagSelector::Untagged };
            return none_given.then_some(selector);
        }
        match (prefixes.is_empty(), patterns.is_empty()) {
            (false, true) => Some(TagSelector::Tagged(TagList::Prefixes(prefixes))),
            (true, false) => Some(TagSelector::Tagged(TagList::Patterns(patterns))),
            (true, true) => {
                let text = "Must specify tagPrefixList or tagPatternList when tagStatus=TAGGED.";
                let hint = "say which tags: \"tagPatternList\": [\"v*\"]; \"tagPatternList\": [\"*\"] means every tagged image";
                let pointer = child_pointer(selection.pointer, "tagPatternList");
                self.report(Clause::ListMissing, &pointer, &selection.node.span, text.into(), hint.into());
                None
            }
            (false, false) => {
                let text = "If policy has a tagged rule, it must specify only one of tagPrefixList or tagPatternList";
                let hint = "put all entries into tagPatternList; the prefix \"v\" is the pattern \"v*\"";
                let pointer = child_pointer(selection.pointer, "tagPrefixList");
                self.report(Clause::BothLists, &pointer, &selection.node.span, text.into(), hint.into());
                None
            }
        }
    }

    /// The count type decides whether there is a unit: the schema has one alternative for each type.
    fn count(&mut self, selection: &Object<'_>) -> Option<Count> {
        let number = selection.field("countNumber").and_then(|field| self.number(&field));
        let unit = selection.field("countUnit");
        let has_unit = unit.is_some();
        let unit_fits = unit.is_none_or(|field| self.one_of(&field, &["days"]).is_some());
        let type_field = selection.field("countType")?;
        let type_name = self.text(&type_field)?;
        let make: fn(u32) -> Count = match type_name {
            "imageCountMoreThan" => Count::ImagesMoreThan,
            "sinceImagePushed" => Count::DaysSincePushed,
            "sinceImagePulled" => Count::DaysSincePulled,
            "sinceImageTransitioned" => Count::DaysSinceTransitioned,
            _ => {
                let hint = format!("countType is one of {COUNT_TYPES}, not {type_name:?}");
                self.no_alternative(&type_field.pointer, selection.node, 4, hint);
                return None;
            }
        };
        let is_age = make(0).is_age();
        if is_age != has_unit {
            let hint = if is_age {
                format!("{type_name} counts days: add \"countUnit\": \"days\"")
            } else {
                "imageCountMoreThan counts images: remove countUnit".to_owned()
            };
            self.no_alternative(&child_pointer(selection.pointer, "countUnit"), selection.node, 4, hint);
            return None;
        }
        number.filter(|_| unit_fits).map(make)
    }

    fn action(&mut self, field: &Field<'_>) -> Option<Action> {
        let action = self.object(field, &ACTION)?;
        let target = action.field("targetStorageClass");
        let has_target = target.is_some();
        let target_fits = target.is_none_or(|field| self.one_of(&field, &["archive"]).is_some());
        let kind = action.field("type").and_then(|field| self.one_of(&field, &["expire", "transition"]))?;
        let pointer = child_pointer(action.pointer, "targetStorageClass");
        match (kind, has_target) {
            ("transition", false) => {
                let hint = "a transition says where to: add \"targetStorageClass\": \"archive\"".to_owned();
                self.report(Clause::Mapping, &pointer, &field.node.span, UNMAPPABLE.to_owned(), hint);
                None
            }
            ("expire", true) => {
                let hint = "an expired image goes nowhere: remove targetStorageClass, or write \"type\": \"transition\"";
                self.no_alternative(&pointer, field.node, 2, hint.to_owned());
                None
            }
            _ if !target_fits => None,
            ("transition", true) => Some(Action::Archive),
            _ => Some(Action::Expire),
        }
    }

    fn no_alternative(&mut self, pointer: &str, node: &Node, of: usize, hint: String) {
        let aws_text = format!("instance failed to match exactly one schema (matched 0 out of {of})");
        self.report(Clause::Shape, pointer, &node.span, aws_text, hint);
    }

    fn object<'a>(&mut self, field: &'a Field<'a>, shape: &Shape) -> Option<Object<'a>> {
        let Json::Object(members) = &field.node.value else {
            self.wrong_type(field, "object");
            return None;
        };
        let object = Object { pointer: &field.pointer, node: field.node, members };
        self.members(&object, shape, Clause::MemberMissing);
        Some(object)
    }

    /// V3, V5 and V6.
    fn members(&mut self, object: &Object<'_>, shape: &Shape, missing_clause: Clause) {
        let missing: Vec<&str> =
            shape.required.iter().copied().filter(|key| object.field(key).is_none()).collect();
        if let Some(first) = missing.first() {
            let aws_text = format!("object has missing required properties ({})", quoted(&missing));
            let hint = format!("add {}", missing.join(", "));
            let pointer = child_pointer(object.pointer, first);
            self.report(missing_clause, &pointer, &object.node.span, aws_text, hint);
        }
        let is_known = |key: &str| shape.required.contains(&key) || shape.optional.contains(&key);
        let mut unknown: Vec<&Member> =
            object.members.iter().filter(|member| !is_known(&member.key)).collect();
        unknown.sort_by(|a, b| a.key.cmp(&b.key));
        if let Some(first) = unknown.first() {
            let keys: Vec<&str> = unknown.iter().map(|member| member.key.as_str()).collect();
            let aws_text = format!(
                "object instance has properties which are not allowed by the schema: ({})",
                quoted(&keys)
            );
            let mut known = [shape.required, shape.optional].concat();
            known.sort_unstable();
            let hint = format!("remove {}; the members here are {}", keys.join(", "), known.join(", "));
            let pointer = child_pointer(object.pointer, &first.key);
            self.report(Clause::MemberUnknown, &pointer, &first.key_span, aws_text, hint);
        }
    }

    fn array<'a>(&mut self, field: &Field<'a>) -> Option<&'a [Node]> {
        if let Json::Array(nodes) = &field.node.value {
            return Some(nodes);
        }
        self.wrong_type(field, "array");
        None
    }

    fn text<'a>(&mut self, field: &Field<'a>) -> Option<&'a str> {
        if let Json::Text(text) = &field.node.value {
            return Some(text);
        }
        self.wrong_type(field, "string");
        None
    }

    /// A list of tags; absent is empty, and nothing comes back if it is malformed.
    fn list(&mut self, field: Option<Field<'_>>) -> Option<Vec<String>> {
        let Some(field) = field else { return Some(Vec::new()) };
        let nodes = self.array(&field)?;
        let mut entries = Some(Vec::new());
        for (index, node) in nodes.iter().enumerate() {
            let entry = Field { pointer: format!("{}/{index}", field.pointer), node };
            match (self.text(&entry), &mut entries) {
                (Some(text), Some(entries)) => entries.push(text.to_owned()),
                (Some(_), None) => {}
                (None, _) => entries = None,
            }
        }
        entries
    }

    fn one_of<'a>(&mut self, field: &Field<'a>, allowed: &[&str]) -> Option<&'a str> {
        let text = self.text(field)?;
        if allowed.contains(&text) {
            return Some(text);
        }
        let aws_text = format!(
            "instance value ({}) not found in enum (possible values: {})",
            quote(text),
            quoted(allowed)
        );
        let lower = text.to_lowercase();
        let hint = match allowed.iter().find(|value| **value == lower) {
            Some(value) => format!("write it in lower case: {value:?}"),
            None => format!("write {}", allowed.join(" or ")),
        };
        self.report(Clause::EnumValue, &field.pointer, &field.node.span, aws_text, hint);
        None
    }

    /// An integer of 1 or more.
    fn number(&mut self, field: &Field<'_>) -> Option<u32> {
        let Json::Number(literal) = &field.node.value else {
            self.wrong_type(field, "integer");
            return None;
        };
        if field.node.value.type_name() != "integer" {
            self.wrong_type(field, "integer");
            return None;
        }
        if let Some((aws_text, hint)) = minimum_texts(literal) {
            self.report(Clause::Minimum, &field.pointer, &field.node.span, aws_text, hint);
            return None;
        }
        let number = literal.parse::<u32>().ok().filter(|number| *number <= NUMBER_MAX);
        if number.is_none() {
            let hint = format!("the largest number that fits is {NUMBER_MAX}");
            self.report(Clause::Mapping, &field.pointer, &field.node.span, UNMAPPABLE.to_owned(), hint);
        }
        number
    }

    fn wrong_type(&mut self, field: &Field<'_>, allowed: &str) {
        let found = field.node.value.type_name();
        let aws_text = format!(
            "instance type ({found}) does not match any allowed primitive type (allowed: [{}])",
            quote(allowed)
        );
        let hint = if found == "null" {
            "leave the member out; null is not the same as absent".to_owned()
        } else {
            format!("write a JSON {allowed} here, not a {found}")
        };
        self.report(Clause::Type, &field.pointer, &field.node.span, aws_text, hint);
    }
}

/// The texts of V4 for a policy of `found` rules, if it breaks it.
pub(super) fn rule_count_texts(found: usize) -> Option<(String, String)> {
    let max = limits::LIFECYCLE_RULES_MAX;
    if found == 0 {
        let text = "array is too short: must have at least 1 elements but instance has 0 elements";
        let hint = "write at least one rule; to have no policy, delete it";
        Some((text.to_owned(), hint.to_owned()))
    } else if found > max {
        let text =
            format!("array is too long: must have at most {max} elements but instance has {found} elements");
        Some((text, format!("remove {} rules or merge some", found - max)))
    } else {
        None
    }
}

/// The texts of V9 for a number written as `literal`, if it breaks it.
pub(super) fn minimum_texts(literal: &str) -> Option<(String, String)> {
    let is_zero = literal.trim_start_matches('-').bytes().all(|byte| byte == b'0');
    (is_zero || literal.starts_with('-')).then(|| {
        let found = if is_zero { "0" } else { literal };
        let text =
            format!("numeric instance is lower than the required minimum (minimum: 1, found: {found})");
        (text, "write a number of 1 or more".to_owned())
    })
}

fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn quoted(texts: &[&str]) -> String {
    let quoted: Vec<String> = texts.iter().map(|text| quote(text)).collect();
    format!("[{}]", quoted.join(","))
}
