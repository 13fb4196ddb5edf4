//! Terraform configuration: policies in `.tf` files, as far as they are written out there.
//!
//! Read are literals, heredocs, `jsonencode({...})` of literals, `local.NAME` and `data.aws_ecr_lifecycle_policy_document`
//! of the same file; `file("NAME")` is followed. Nothing is evaluated beyond that: what depends on anything else is reported as not readable here.

use std::collections::BTreeMap;
use std::ops::Range;

use hcl_edit::Span;
use hcl_edit::expr::{Expression, FuncCall, ObjectKey, Traversal, TraversalOperator};
use hcl_edit::structure::{Block, Body};
use hcl_edit::template::{Element, Template};

use super::json::SyntaxError;
use super::policy_text::PolicyText;
use super::tree::{Member, Node, Text, Value};
use super::{Candidate, TERRAFORM_POLICIES, Unreadable};

/// How often one local value may refer to another.
const LOCALS_DEPTH_MAX: usize = 8;
/// The attribute of the community's ECR module that holds a policy.
const MODULE_ATTRIBUTE: &str = "repository_lifecycle_policy";
const DOCUMENT: &str = "aws_ecr_lifecycle_policy_document";
const REPOSITORY: &str = "aws_ecr_repository";

/// The policies of a file.
pub(super) fn find(text: &str) -> Result<Vec<Candidate>, SyntaxError> {
    let body = hcl_edit::parser::parse_body(text).map_err(|error| SyntaxError {
        at: error.location().offset(),
        message: error.message().to_owned(),
    })?;
    let file = File::new(text, &body);
    Ok(file.candidates(&body))
}

struct File<'a> {
    text: &'a str,
    locals: BTreeMap<&'a str, &'a Expression>,
    /// `data.aws_ecr_lifecycle_policy_document` by name.
    documents: BTreeMap<&'a str, &'a Block>,
    /// `aws_ecr_repository` by name.
    repositories: BTreeMap<&'a str, &'a Block>,
}

impl<'a> File<'a> {
    fn new(text: &'a str, body: &'a Body) -> Self {
        let locals = body.get_blocks("locals").flat_map(|block| block.body.attributes());
        let locals = locals.map(|attribute| (attribute.key.as_str(), &attribute.value)).collect();
        let named = |kind: &'static str, block_type: &'static str| {
            let blocks = body.blocks().filter(move |block| block.has_ident(block_type));
            blocks.filter_map(move |block| match label(block)? {
                (found, name) if found == kind => Some((name, block)),
                _ => None,
            })
        };
        let documents = named(DOCUMENT, "data").collect();
        let repositories = named(REPOSITORY, "resource").collect();
        Self { text, locals, documents, repositories }
    }

    fn candidates(&self, body: &'a Body) -> Vec<Candidate> {
        let mut candidates = Vec::new();
        let mut used = Vec::new();
        for block in body.blocks() {
            let (address, attribute) = match (block.ident.as_str(), label(block)) {
                ("resource", Some((kind, name))) => {
                    let known = TERRAFORM_POLICIES.iter().find(|(known, _)| *known == kind);
                    let Some((_, path)) = known else { continue };
                    (format!("{kind}.{name}"), nested(&block.body, path))
                }
                ("module", _) => {
                    let Some(attribute) = block.body.get_attribute(MODULE_ATTRIBUTE) else { continue };
                    let name = block.labels.first().map_or("", |label| label.as_str());
                    (format!("module.{name}"), Some(&attribute.value))
                }
                _ => continue,
            };
            let Some(expression) = attribute else { continue };
            if let Some(name) = document_name(expression) {
                used.push(name);
            }
            let mutability = self.mutability(&block.body);
            let file = self.file(expression);
            candidates.push(Candidate { label: address, policy: self.policy(expression), mutability, file });
        }
        // A document that is used here is reported where it is used.
        for (name, block) in &self.documents {
            if !used.contains(name) {
                let policy = self.read(&self.document(block));
                candidates.push(Candidate {
                    label: format!("data.{DOCUMENT}.{name}"),
                    policy,
                    mutability: None,
                    file: None,
                });
            }
        }
        candidates
    }

    /// `image_tag_mutability` of the repository that a policy names.
    fn mutability(&self, body: &Body) -> Option<String> {
        let Expression::Traversal(traversal) = &body.get_attribute("repository")?.value else { return None };
        let Expression::Variable(kind) = &traversal.expr else { return None };
        let repository = (kind.as_str() == REPOSITORY).then(|| attributes(traversal))??;
        let block = self.repositories.get(repository.first()?)?;
        match &block.body.get_attribute("image_tag_mutability")?.value {
            Expression::String(mode) => Some(mode.value().clone()),
            _ => None,
        }
    }

    fn policy(&self, expression: &Expression) -> Result<PolicyText, Unreadable> {
        let node = self.node(expression, 0, true);
        self.read(&node)
    }

    /// The file that `file("NAME")` or `file("${path.module}/NAME")` reads.
    fn file(&self, expression: &Expression) -> Option<String> {
        let Expression::FuncCall(call) = expression else { return None };
        if !call.name.namespace.is_empty() || call.name.name.as_str() != "file" || call.args.len() != 1 {
            return None;
        }
        match call.args.iter().next()? {
            Expression::String(name) => Some(name.value().clone()),
            Expression::StringTemplate(template) => {
                let mut elements = template.iter();
                let (directory, rest) = (elements.next()?, elements.next()?.as_literal()?);
                let place = directory.span().map(|span| self.excerpt(&span))?;
                let is_module = place == "${path.module}";
                let name = rest.value().strip_prefix('/').filter(|_| is_module && elements.next().is_none());
                name.map(str::to_owned)
            }
            _ => None,
        }
    }

    fn read(&self, node: &Node) -> Result<PolicyText, Unreadable> {
        PolicyText::from_node(self.text, node).map_err(|(span, what)| Unreadable { span, what })
    }

    /// The tree of an expression. `is_policy`: the value is a policy's text, so `jsonencode` may make it.
    fn node(&self, expression: &Expression, depth: usize, is_policy: bool) -> Node {
        let span = expression.span().unwrap_or(0..0);
        let value = match expression {
            Expression::Null(_) => Value::Null,
            Expression::Bool(value) => Value::Bool(*value.value()),
            Expression::Number(number) => Value::Number(number.value().to_string()),
            Expression::String(text) => {
                Value::Text(Text { content: text.value().clone(), has_escapes: true })
            }
            Expression::StringTemplate(template) => return self.template(template, span, true),
            Expression::HeredocTemplate(heredoc) => return self.template(&heredoc.template, span, false),
            Expression::Array(items) => {
                Value::List(items.iter().map(|item| self.node(item, depth, false)).collect())
            }
            Expression::Object(object) => {
                Value::Map(object.iter().map(|(key, value)| self.member(key, value.expr(), depth)).collect())
            }
            Expression::Parenthesis(inner) => return self.node(inner.inner(), depth, is_policy),
            Expression::FuncCall(call) if is_policy && is_jsonencode(call) => {
                return call
                    .args
                    .iter()
                    .next()
                    .map_or_else(|| self.unknown(span), |argument| self.node(argument, depth, false));
            }
            Expression::Traversal(traversal) => return self.traversal(traversal, depth, is_policy, span),
            _ => return self.unknown(span),
        };
        Node { span, value }
    }

    fn member(&self, key: &ObjectKey, value: &Expression, depth: usize) -> Member {
        let text = match key {
            ObjectKey::Ident(ident) => ident.as_str().to_owned(),
            ObjectKey::Expression(Expression::String(text)) => text.value().clone(),
            ObjectKey::Expression(other) => self.excerpt(&other.span().unwrap_or(0..0)),
        };
        Member { key: text, key_span: key.span().unwrap_or(0..0), node: self.node(value, depth, false) }
    }

    fn template(&self, template: &Template, span: Range<usize>, has_escapes: bool) -> Node {
        let mut content = String::new();
        for element in template {
            match element {
                Element::Literal(text) => content.push_str(text.value()),
                Element::Interpolation(_) | Element::Directive(_) => {
                    return self.unknown(element.span().unwrap_or(span));
                }
            }
        }
        Node { span, value: Value::Text(Text { content, has_escapes }) }
    }

    fn traversal(&self, traversal: &Traversal, depth: usize, is_policy: bool, span: Range<usize>) -> Node {
        if let (Expression::Variable(root), Some(path)) = (&traversal.expr, attributes(traversal)) {
            match (root.as_str(), path.as_slice()) {
                ("local", [name]) if depth < LOCALS_DEPTH_MAX => {
                    if let Some(expression) = self.locals.get(name) {
                        return self.node(expression, depth + 1, is_policy);
                    }
                }
                ("data", [DOCUMENT, name, "json"]) if is_policy => {
                    if let Some(block) = self.documents.get(name) {
                        return self.document(block);
                    }
                }
                _ => {}
            }
        }
        self.unknown(span)
    }

    fn unknown(&self, span: Range<usize>) -> Node {
        let value = Value::Unknown(self.excerpt(&span));
        Node { span, value }
    }

    /// The beginning of what is written at a place.
    fn excerpt(&self, span: &Range<usize>) -> String {
        const CHARS_MAX: usize = 60;
        let written = self.text.get(span.clone()).unwrap_or_default();
        let line = written.lines().next().unwrap_or_default();
        if line.chars().count() > CHARS_MAX || line.len() < written.trim_end().len() {
            format!("{}...", line.chars().take(CHARS_MAX).collect::<String>())
        } else {
            line.to_owned()
        }
    }

    /// A policy document written as blocks.
    fn document(&self, block: &Block) -> Node {
        let rules: Vec<Node> = block.body.get_blocks("rule").map(|rule| self.rule(rule)).collect();
        let dynamic = block.body.get_blocks("dynamic").next();
        let span = dynamic.or(Some(block)).and_then(Span::span).unwrap_or(0..0);
        if dynamic.is_some() {
            return self.unknown(span);
        }
        let list = Node { span: span.clone(), value: Value::List(rules) };
        let rules = Member { key: "rules".to_owned(), key_span: span.clone(), node: list };
        Node { span, value: Value::Map(vec![rules]) }
    }

    fn rule(&self, rule: &Block) -> Node {
        let span = rule.span().unwrap_or(0..0);
        let mut members =
            self.renamed(&rule.body, &[("priority", "rulePriority"), ("description", "description")]);
        if let Some(selection) = rule.body.get_blocks("selection").next() {
            let node = self.block_node(selection, &SELECTION);
            members.push(Member { key: "selection".to_owned(), key_span: node.span.clone(), node });
        }
        let action = match rule.body.get_blocks("action").next() {
            Some(action) => {
                self.block_node(action, &[("type", "type"), ("target_storage_class", "targetStorageClass")])
            }
            // The provider's default.
            None => {
                let text = Text { content: "expire".to_owned(), has_escapes: true };
                let kind = Node { span: span.clone(), value: Value::Text(text) };
                let member = Member { key: "type".to_owned(), key_span: span.clone(), node: kind };
                Node { span: span.clone(), value: Value::Map(vec![member]) }
            }
        };
        members.push(Member { key: "action".to_owned(), key_span: action.span.clone(), node: action });
        Node { span, value: Value::Map(members) }
    }

    fn block_node(&self, block: &Block, names: &[(&str, &str)]) -> Node {
        Node { span: block.span().unwrap_or(0..0), value: Value::Map(self.renamed(&block.body, names)) }
    }

    /// The attributes of a body under the names that they have in a policy; others stay as they are, for the checker.
    fn renamed(&self, body: &Body, names: &[(&str, &str)]) -> Vec<Member> {
        let attributes = body.attributes().map(|attribute| {
            let written = attribute.key.as_str();
            let name = names.iter().find(|(from, _)| *from == written).map_or(written, |(_, to)| to);
            Member {
                key: name.to_owned(),
                key_span: attribute.key.span().unwrap_or(0..0),
                node: self.node(&attribute.value, 0, false),
            }
        });
        attributes.collect()
    }
}

/// The attributes of a `selection` block and what they are called in a policy.
const SELECTION: [(&str, &str); 7] = [
    ("tag_status", "tagStatus"),
    ("tag_prefix_list", "tagPrefixList"),
    ("tag_pattern_list", "tagPatternList"),
    ("storage_class", "storageClass"),
    ("count_type", "countType"),
    ("count_unit", "countUnit"),
    ("count_number", "countNumber"),
];

/// Type and name of a resource or data block.
fn label(block: &Block) -> Option<(&str, &str)> {
    match block.labels.as_slice() {
        [kind, name] => Some((kind.as_str(), name.as_str())),
        _ => None,
    }
}

/// The value at the end of a path of blocks, the last part being an attribute. An attribute may stand for a block.
fn nested<'a>(body: &'a Body, path: &[&'a str]) -> Option<&'a Expression> {
    let (last, blocks) = path.split_last()?;
    let mut body = body;
    for name in blocks {
        if let Some(attribute) = body.get_attribute(name) {
            let object = attribute.value.as_object();
            let found = object.and_then(|object| object.iter().find(|(key, _)| key_is(key, last)));
            return Some(found.map_or(&attribute.value, |(_, value)| value.expr()));
        }
        body = &body.get_blocks(name).next()?.body;
    }
    body.get_attribute(last).map(|attribute| &attribute.value)
}

fn key_is(key: &ObjectKey, name: &str) -> bool {
    match key {
        ObjectKey::Ident(ident) => ident.as_str() == name,
        ObjectKey::Expression(Expression::String(text)) => text.value() == name,
        ObjectKey::Expression(_) => false,
    }
}

fn is_jsonencode(call: &FuncCall) -> bool {
    call.name.namespace.is_empty() && call.name.name.as_str() == "jsonencode" && call.args.len() == 1
}

/// The name of the policy document that an expression refers to.
fn document_name(expression: &Expression) -> Option<&str> {
    let Expression::Traversal(traversal) = expression else { return None };
    let Expression::Variable(root) = &traversal.expr else { return None };
    match attributes(traversal)?.as_slice() {
        [DOCUMENT, name, "json"] if root.as_str() == "data" => Some(name),
        _ => None,
    }
}

/// The names after the first one of `a.b.c`, if it is nothing but names.
fn attributes(traversal: &Traversal) -> Option<Vec<&str>> {
    let names = traversal.operators.iter().map(|operator| match operator.value() {
        TraversalOperator::GetAttr(name) => Some(name.as_str()),
        _ => None,
    });
    names.collect()
}
