//! Policies in what other programs write: Terraform's JSON, CloudFormation and CDK templates, Pulumi's state.

use super::policy_text::PolicyText;
use super::tree::{Node, Value};
use super::{Candidate, TERRAFORM_POLICIES, Unreadable};

/// The value that Pulumi writes where it does not know one yet.
const PULUMI_UNKNOWN: &str = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";
/// The key that marks a Pulumi secret.
const PULUMI_SECRET: &str = "4dabf18193072939515e22adb298388d";

/// `terraform show -json` of a plan or a state, a raw state file, or configuration in JSON.
pub(super) fn terraform(text: &str, root: &Node) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    let values = root.get("planned_values").or_else(|| root.get("values"));
    if let Some(module) = values.and_then(|values| values.get("root_module")) {
        terraform_module(text, module, &mut candidates);
    }
    // A raw state (version 4) lists resources with instances.
    for resource in root.get("resources").map(Node::items).unwrap_or_default() {
        let (Some(kind), Some(name)) =
            (resource.get("type").and_then(Node::text), resource.get("name").and_then(Node::text))
        else {
            continue;
        };
        for instance in resource.get("instances").map(Node::items).unwrap_or_default() {
            if let Some(attributes) = instance.get("attributes") {
                terraform_resource(text, kind, format!("{kind}.{name}"), attributes, &mut candidates);
            }
        }
    }
    // Configuration in JSON: resource.TYPE.NAME.
    for by_type in root.get("resource").map(Node::members).unwrap_or_default() {
        for resource in by_type.node.members() {
            let address = format!("{}.{}", by_type.key, resource.key);
            terraform_resource(text, &by_type.key, address, &resource.node, &mut candidates);
        }
    }
    candidates
}

fn terraform_module(text: &str, module: &Node, candidates: &mut Vec<Candidate>) {
    for resource in module.get("resources").map(Node::items).unwrap_or_default() {
        let kind = resource.get("type").and_then(Node::text).unwrap_or_default();
        let address = resource.get("address").and_then(Node::text).unwrap_or(kind).to_owned();
        let values = resource.get("values").unwrap_or(resource);
        terraform_resource(text, kind, address, values, candidates);
    }
    for child in module.get("child_modules").map(Node::items).unwrap_or_default() {
        terraform_module(text, child, candidates);
    }
}

fn terraform_resource(text: &str, kind: &str, label: String, values: &Node, candidates: &mut Vec<Candidate>) {
    let Some((_, path)) = TERRAFORM_POLICIES.iter().find(|(known, _)| *known == kind) else { return };
    let policy = match values.path(path) {
        Some(node) if node.text().is_some_and(|text| text.contains("${")) => {
            Err(Unreadable { span: node.span.clone(), what: "a text with ${...} in it".to_owned() })
        }
        Some(Node { value: Value::Null, .. }) if path.len() > 1 || kind != "aws_ecr_lifecycle_policy" => {
            return;
        }
        Some(node) => read(text, node),
        // Only the resource that is nothing but a policy must have one.
        None if kind != "aws_ecr_lifecycle_policy" => return,
        None => Err(Unreadable {
            span: values.span.clone(),
            what: "a policy that is known only after apply".to_owned(),
        }),
    };
    candidates.push(Candidate { label, policy, mutability: None, file: None });
}

/// A CloudFormation template, from CDK or by hand.
pub(super) fn cloudformation(text: &str, root: &Node) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    for resource in root.get("Resources").map(Node::members).unwrap_or_default() {
        let path: &[&str] = match resource.node.get("Type").and_then(Node::text) {
            Some("AWS::ECR::Repository") => &["LifecyclePolicy", "LifecyclePolicyText"],
            Some("AWS::ECR::RepositoryCreationTemplate") => &["LifecyclePolicy"],
            _ => continue,
        };
        let Some(properties) = resource.node.get("Properties") else { continue };
        let Some(mut node) = properties.get(path[0]) else { continue };
        if let (Some(key), None) = (path.get(1), intrinsic(node)) {
            let Some(inner) = node.get(key) else { continue };
            node = inner;
        }
        let policy = match intrinsic(node) {
            Some(what) => Err(Unreadable { span: node.span.clone(), what }),
            None => read(text, node),
        };
        let mutability = properties.get("ImageTagMutability").and_then(Node::text).map(str::to_owned);
        candidates.push(Candidate { label: resource.key.clone(), policy, mutability, file: None });
    }
    candidates
}

/// What CloudFormation itself fills in, if the value is that.
fn intrinsic(node: &Node) -> Option<String> {
    match (&node.value, node.members()) {
        (Value::Unknown(tag), _) => Some(tag.clone()),
        (_, [only]) if only.key.starts_with("Fn::") || only.key == "Ref" => Some(only.key.clone()),
        _ => None,
    }
}

/// Pulumi: a state, a stack export or a preview. Resources are found wherever they stand.
pub(super) fn pulumi(text: &str, root: &Node) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    pulumi_resources(text, root, &mut candidates);
    candidates
}

fn pulumi_resources(text: &str, node: &Node, candidates: &mut Vec<Candidate>) {
    let kind = node.get("type").and_then(Node::text).unwrap_or_default();
    let path: Option<&[&str]> = match kind {
        "aws:ecr/lifecyclePolicy:LifecyclePolicy" => Some(&["policy"]),
        "aws:ecr/repositoryCreationTemplate:RepositoryCreationTemplate" => Some(&["lifecyclePolicy"]),
        "aws-native:ecr:Repository" => Some(&["lifecyclePolicy", "lifecyclePolicyText"]),
        _ => None,
    };
    if let (Some(path), Some(values)) = (path, node.get("inputs").or_else(|| node.get("outputs"))) {
        let label =
            node.get("urn").and_then(Node::text).and_then(|urn| urn.rsplit("::").next()).unwrap_or(kind);
        match values.path(path) {
            Some(value) => {
                let policy = match pulumi_hidden(value) {
                    Some(what) => Err(Unreadable { span: value.span.clone(), what: what.to_owned() }),
                    None => read(text, value),
                };
                candidates.push(Candidate { label: label.to_owned(), policy, mutability: None, file: None });
            }
            None if path == ["policy"] => {
                let what = "a resource without a policy".to_owned();
                let policy = Err(Unreadable { span: values.span.clone(), what });
                candidates.push(Candidate { label: label.to_owned(), policy, mutability: None, file: None });
            }
            None => {}
        }
        return;
    }
    for member in node.members() {
        // A preview has each resource twice, before and after.
        if member.key != "oldState" {
            pulumi_resources(text, &member.node, candidates);
        }
    }
    for item in node.items() {
        pulumi_resources(text, item, candidates);
    }
}

fn pulumi_hidden(node: &Node) -> Option<&'static str> {
    if node.text() == Some(PULUMI_UNKNOWN) {
        Some("a value that Pulumi does not know before the update")
    } else if node.get(PULUMI_SECRET).is_some() {
        Some("a secret")
    } else {
        None
    }
}

fn read(text: &str, node: &Node) -> Result<PolicyText, Unreadable> {
    PolicyText::from_node(text, node).map_err(|(span, what)| Unreadable { span, what })
}
