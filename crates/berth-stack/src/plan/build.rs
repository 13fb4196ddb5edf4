//! Making a plan.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::lifecycle::LifecycleChange;
use super::{Action, AttributeChange, Plan, PlanOptions, Refusal, ResourceChange, ResourceKind, Step};
use crate::actual::{ActualRepository, ActualState, Owner};
use crate::client::{MutabilityText, NewRepository};
use crate::desired::{DesiredRepository, DesiredRepositoryPolicy, Encryption};
use crate::repository_policy::{RepositoryPolicy, Statement};
use crate::spec::StackSpec;

/// Tags whose keys begin so are AWS's own: they cannot be removed and are nobody's difference.
const AWS_TAG_PREFIX: &str = "aws:";

/// What has to be done so that the registry is what `stack` wants.
#[must_use]
pub fn plan(stack: &StackSpec, actual: &ActualState, options: PlanOptions) -> Plan {
    let mut planner = Planner { stack, options, resources: Vec::new(), warnings: warnings(stack, actual) };
    let mut desired: Vec<&DesiredRepository> = stack.repositories().iter().collect();
    desired.sort_by(|left, right| left.name.cmp(&right.name));
    for repository in &desired {
        planner.repository(repository, actual.get(repository.name.as_str()));
    }
    for repository in actual.repositories() {
        let is_wanted = desired.iter().any(|one| one.name.as_str() == repository.description.name);
        let owner = repository.owner(stack.project(), stack.environment());
        if !is_wanted && owner == Owner::ThisStack {
            planner.delete(repository, "no longer in the stack file");
        }
    }
    planner.finish()
}

/// What has to be done so that nothing of `stack` is left. Only what it owns by tag is touched, whether the stack still names it
/// or not.
#[must_use]
pub fn plan_destroy(stack: &StackSpec, actual: &ActualState, options: PlanOptions) -> Plan {
    let mut planner = Planner { stack, options, resources: Vec::new(), warnings: actual.warnings().to_vec() };
    for repository in actual.repositories() {
        match repository.owner(stack.project(), stack.environment()) {
            Owner::ThisStack => planner.delete(repository, "the stack is destroyed"),
            Owner::OtherStack { .. } | Owner::Nobody => planner.warnings.push(format!(
                "{} is left alone: by its tags it is not this stack's",
                repository.description.name
            )),
        }
    }
    planner.finish()
}

fn warnings(stack: &StackSpec, actual: &ActualState) -> Vec<String> {
    stack.warnings().iter().chain(actual.warnings()).cloned().collect()
}

struct Planner<'a> {
    stack: &'a StackSpec,
    options: PlanOptions,
    resources: Vec<ResourceChange>,
    warnings: Vec<String>,
}

impl Planner<'_> {
    fn finish(self) -> Plan {
        Plan {
            project: self.stack.project().to_owned(),
            environment: self.stack.environment().to_owned(),
            resources: self.resources,
            warnings: self.warnings,
        }
    }

    fn repository(&mut self, desired: &DesiredRepository, actual: Option<&ActualRepository>) {
        let Some(actual) = actual else {
            self.resources.push(create(desired));
            self.policies(desired, None, None);
            return;
        };
        let lifecycle = actual.lifecycle_policy.as_deref();
        let policy = actual.repository_policy.as_deref();
        let is_encrypted_as_wanted = desired.encryption.is_satisfied_by(&actual.description.encryption);
        match actual.owner(self.stack.project(), self.stack.environment()) {
            Owner::ThisStack if is_encrypted_as_wanted => {
                self.resources.push(update(desired, actual));
                self.policies(desired, lifecycle, policy);
            }
            Owner::ThisStack => {
                self.resources.push(self.replace(desired, actual));
                // The policies go with the old repository.
                self.policies(desired, None, None);
                self.resources.extend(carried_policy(desired, policy));
            }
            Owner::Nobody => {
                let refusal = (!is_encrypted_as_wanted).then(|| Refusal::AdoptEncryption {
                    found: actual.description.encryption.to_string(),
                    wanted: desired.encryption.to_string(),
                });
                self.resources.push(adopt(desired, actual, refusal));
                self.policies(desired, lifecycle, policy);
            }
            Owner::OtherStack { project, environment } => {
                self.resources.push(ResourceChange {
                    action: Action::Adopt,
                    refusal: Some(Refusal::OtherStack { project, environment }),
                    ..resource(ResourceKind::Repository, desired.name.as_str(), Some(&desired.service))
                });
            }
        }
    }

    fn policies(&mut self, desired: &DesiredRepository, lifecycle: Option<&str>, policy: Option<&str>) {
        self.resources.extend(lifecycle_policy(desired, lifecycle));
        self.resources.extend(repository_policy(desired, policy));
    }

    fn replace(&self, desired: &DesiredRepository, actual: &ActualRepository) -> ResourceChange {
        let refusal = if self.options.allow_replace {
            self.deletion_refusal(actual)
        } else {
            Some(Refusal::ReplaceNotAllowed)
        };
        let new = new_repository(desired);
        let mut steps = vec![self.delete_step(actual), Step::CreateRepository(new)];
        if refusal.is_some() {
            steps.clear();
        }
        ResourceChange {
            action: Action::Replace,
            attributes: differences(desired, actual),
            refusal,
            note: Some("its encryption cannot be changed in place".to_owned()),
            steps,
            ..resource(ResourceKind::Repository, desired.name.as_str(), Some(&desired.service))
        }
    }

    fn delete(&mut self, actual: &ActualRepository, why: &str) {
        let refusal = self.deletion_refusal(actual);
        let steps = if refusal.is_some() { Vec::new() } else { vec![self.delete_step(actual)] };
        let holds = if actual.holds_images { "holds images" } else { "holds no images" };
        self.resources.push(ResourceChange {
            action: Action::Delete,
            refusal,
            note: Some(format!("{why}; {holds}")),
            steps,
            ..resource(ResourceKind::Repository, &actual.description.name, actual.service())
        });
    }

    /// Images that come after the plan was made are safe too: a repository that was empty then is deleted without force, and
    /// the registry itself refuses if it no longer is.
    fn delete_step(&self, actual: &ActualRepository) -> Step {
        let force = self.options.force && actual.holds_images && !self.is_protected(actual);
        Step::DeleteRepository { name: actual.description.name.clone(), force }
    }

    fn deletion_refusal(&self, actual: &ActualRepository) -> Option<Refusal> {
        if !actual.holds_images {
            None
        } else if self.is_protected(actual) {
            Some(Refusal::Protected)
        } else if !self.options.force {
            Some(Refusal::HoldsImages)
        } else {
            None
        }
    }

    fn is_protected(&self, actual: &ActualRepository) -> bool {
        let name = actual.description.name.as_str();
        self.stack.repositories().iter().any(|one| one.protect && one.name.as_str() == name)
    }
}

/// A resource with nothing to do.
fn resource(kind: ResourceKind, repository: &str, service: Option<&str>) -> ResourceChange {
    ResourceChange {
        kind,
        repository: repository.to_owned(),
        service: service.map(str::to_owned),
        action: Action::NoOp,
        attributes: Vec::new(),
        lifecycle: None,
        refusal: None,
        note: None,
        steps: Vec::new(),
    }
}

fn create(desired: &DesiredRepository) -> ResourceChange {
    let attributes = attributes_of(desired)
        .into_iter()
        .map(|(name, new)| AttributeChange { name, old: None, new: Some(new) })
        .collect();
    ResourceChange {
        action: Action::Create,
        attributes,
        steps: vec![Step::CreateRepository(new_repository(desired))],
        ..resource(ResourceKind::Repository, desired.name.as_str(), Some(&desired.service))
    }
}

fn update(desired: &DesiredRepository, actual: &ActualRepository) -> ResourceChange {
    let steps = settings_steps(desired, actual);
    ResourceChange {
        action: if steps.is_empty() { Action::NoOp } else { Action::Update },
        attributes: differences(desired, actual),
        steps,
        ..resource(ResourceKind::Repository, desired.name.as_str(), Some(&desired.service))
    }
}

fn adopt(desired: &DesiredRepository, actual: &ActualRepository, refusal: Option<Refusal>) -> ResourceChange {
    let steps = if refusal.is_some() { Vec::new() } else { settings_steps(desired, actual) };
    let holds = if actual.holds_images { "holds images, which stay" } else { "holds no images" };
    ResourceChange {
        action: Action::Adopt,
        attributes: differences(desired, actual),
        refusal,
        note: Some(format!("exists without this stack's tags; {holds}")),
        steps,
        ..resource(ResourceKind::Repository, desired.name.as_str(), Some(&desired.service))
    }
}

fn new_repository(desired: &DesiredRepository) -> NewRepository {
    NewRepository {
        name: desired.name.clone(),
        scan_on_push: desired.scan_on_push,
        tag_mutability: desired.tag_mutability.clone(),
        encryption: desired.encryption.clone(),
        tags: desired.tags.clone(),
    }
}

/// The calls that turn the settings into what is wanted. Tags come first: they say whose it is.
fn settings_steps(desired: &DesiredRepository, actual: &ActualRepository) -> Vec<Step> {
    let name = || actual.description.name.clone();
    let arn = || actual.description.arn.clone();
    let mut steps = Vec::new();
    let tags: BTreeMap<String, String> = desired
        .tags
        .iter()
        .filter(|(key, value)| actual.tags.get(*key) != Some(value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let keys: Vec<String> = surplus_tags(desired, actual).cloned().collect();
    // Removing first keeps the count under ECR's limit at every moment.
    if !keys.is_empty() {
        steps.push(Step::Untag { name: name(), arn: arn(), keys });
    }
    if !tags.is_empty() {
        steps.push(Step::Tag { name: name(), arn: arn(), tags });
    }
    if MutabilityText::from(&desired.tag_mutability) != actual.description.tag_mutability {
        steps.push(Step::PutTagMutability { name: name(), mutability: desired.tag_mutability.clone() });
    }
    if desired.scan_on_push != actual.description.scan_on_push {
        steps.push(Step::PutScanning { name: name(), scan_on_push: desired.scan_on_push });
    }
    steps
}

/// Tags that are there and that the stack does not want.
fn surplus_tags<'a>(
    desired: &'a DesiredRepository,
    actual: &'a ActualRepository,
) -> impl Iterator<Item = &'a String> {
    let is_ours_to_remove =
        |key: &&String| !desired.tags.contains_key(*key) && !key.starts_with(AWS_TAG_PREFIX);
    actual.tags.keys().filter(is_ours_to_remove)
}

/// Every attribute of a repository by name.
fn attributes_of(desired: &DesiredRepository) -> BTreeMap<String, Value> {
    let mutability = MutabilityText::from(&desired.tag_mutability);
    attributes(desired.scan_on_push, &mutability, &desired.encryption, &desired.tags)
}

fn attributes(
    scan_on_push: bool,
    mutability: &MutabilityText,
    encryption: &Encryption,
    tags: &BTreeMap<String, String>,
) -> BTreeMap<String, Value> {
    let mut attributes = BTreeMap::from([
        ("encryption".to_owned(), json!(encryption.kind())),
        ("scan_on_push".to_owned(), json!(scan_on_push)),
        ("tag_mutability".to_owned(), json!(mutability.mode)),
    ]);
    if !mutability.filters.is_empty() {
        attributes.insert("mutable_tags".to_owned(), json!(mutability.filters));
    }
    if let Some(key) = encryption.key() {
        attributes.insert("kms_key".to_owned(), json!(key));
    }
    for (key, value) in tags.iter().filter(|(key, _)| !key.starts_with(AWS_TAG_PREFIX)) {
        attributes.insert(format!("tags.{key}"), json!(value));
    }
    attributes
}

/// The attributes that differ, by name.
fn differences(desired: &DesiredRepository, actual: &ActualRepository) -> Vec<AttributeChange> {
    let description = &actual.description;
    let new = attributes_of(desired);
    let old = attributes(
        description.scan_on_push,
        &description.tag_mutability,
        &description.encryption,
        &actual.tags,
    );
    let is_encrypted_as_wanted = desired.encryption.is_satisfied_by(&description.encryption);
    let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    names
        .into_iter()
        .filter(|name| old.get(*name) != new.get(*name))
        // The same key has several names.
        .filter(|name| !(is_encrypted_as_wanted && *name == "kms_key"))
        .map(|name| AttributeChange {
            name: name.clone(),
            old: old.get(name).cloned(),
            new: new.get(name).cloned(),
        })
        .collect()
}

fn lifecycle_policy(desired: &DesiredRepository, actual: Option<&str>) -> Option<ResourceChange> {
    let name = desired.name.as_str();
    let base = resource(ResourceKind::LifecyclePolicy, name, Some(&desired.service));
    let change = LifecycleChange::new(&desired.lifecycle, actual);
    let (action, step) = match (desired.lifecycle.text(), actual) {
        (None, None) => return None,
        (None, Some(_)) => (Action::Delete, Some(Step::DeleteLifecyclePolicy { name: name.to_owned() })),
        (Some(_), Some(_)) if change.is_same() => (Action::NoOp, None),
        (Some(text), actual) => {
            let action = if actual.is_some() { Action::Update } else { Action::Create };
            (action, Some(Step::PutLifecyclePolicy { name: name.to_owned(), text }))
        }
    };
    Some(ResourceChange {
        action,
        note: change.note(),
        lifecycle: Some(change),
        steps: step.into_iter().collect(),
        ..base
    })
}

fn repository_policy(desired: &DesiredRepository, actual: Option<&str>) -> Option<ResourceChange> {
    let name = desired.name.as_str();
    let base = resource(ResourceKind::RepositoryPolicy, name, Some(&desired.service));
    let found = actual.and_then(|text| RepositoryPolicy::parse(text).ok());
    let (action, wanted) = match (&desired.repository_policy, actual) {
        (DesiredRepositoryPolicy::Unmanaged, _) | (DesiredRepositoryPolicy::Absent, None) => return None,
        (DesiredRepositoryPolicy::Absent, Some(_)) => (Action::Delete, None),
        (DesiredRepositoryPolicy::Present(policy), None) => (Action::Create, Some(policy)),
        (DesiredRepositoryPolicy::Present(policy), Some(_)) => {
            let is_same = found.as_ref() == Some(policy);
            (if is_same { Action::NoOp } else { Action::Update }, Some(policy))
        }
    };
    let name = name.to_owned();
    let step = match (action, wanted) {
        (Action::NoOp, _) => None,
        (_, Some(policy)) => Some(Step::SetRepositoryPolicy { name, text: policy.text().to_owned() }),
        (_, None) => Some(Step::DeleteRepositoryPolicy { name }),
    };
    Some(ResourceChange {
        action,
        attributes: policy_differences(found.as_ref(), wanted),
        steps: step.into_iter().collect(),
        ..base
    })
}

/// The policy of a repository that is replaced, where the stack leaves the policy to others: it must not be lost.
fn carried_policy(desired: &DesiredRepository, actual: Option<&str>) -> Option<ResourceChange> {
    let text = actual.filter(|_| desired.repository_policy == DesiredRepositoryPolicy::Unmanaged)?.to_owned();
    let name = desired.name.to_string();
    Some(ResourceChange {
        action: Action::Create,
        note: Some("the old repository's policy, which the stack file does not manage".to_owned()),
        attributes: policy_differences(None, RepositoryPolicy::parse(&text).ok().as_ref()),
        steps: vec![Step::SetRepositoryPolicy { name: name.clone(), text }],
        ..resource(ResourceKind::RepositoryPolicy, &name, Some(&desired.service))
    })
}

/// The version, and each statement that is only in one of the two.
fn policy_differences(
    old: Option<&RepositoryPolicy>,
    new: Option<&RepositoryPolicy>,
) -> Vec<AttributeChange> {
    let mut changes = Vec::new();
    let version =
        |policy: Option<&RepositoryPolicy>| policy.and_then(RepositoryPolicy::version).map(|v| json!(v));
    if version(old) != version(new) {
        changes.push(AttributeChange { name: "version".to_owned(), old: version(old), new: version(new) });
    }
    let statements = |policy: Option<&RepositoryPolicy>| {
        policy.map(|policy| policy.statements().to_vec()).unwrap_or_default()
    };
    let (old, new) = (statements(old), statements(new));
    let is_in = |all: &[Statement], one: &Statement| all.iter().any(|other| other.normal == one.normal);
    for statement in old.iter().filter(|statement| !is_in(&new, statement)) {
        let old = Some(statement.written.clone());
        changes.push(AttributeChange { name: "statement".to_owned(), old, new: None });
    }
    for statement in new.iter().filter(|statement| !is_in(&old, statement)) {
        let new = Some(statement.written.clone());
        changes.push(AttributeChange { name: "statement".to_owned(), old: None, new });
    }
    changes
}
