//! The JSON form of a plan. Its shape is stable: members are added, never renamed or removed, and
//! `format_version` counts up if that promise has to be broken.
//!
//! ```json
//! {
//!   "format_version": 1,
//!   "project": "shop", "environment": "prod",
//!   "region": "us-east-1", "endpoint": null,
//!   "changes": true,
//!   "summary": {"create": 2, "adopt": 0, "update": 0, "replace": 0, "delete": 0, "no-op": 0, "refused": 0},
//!   "resources": [{
//!     "kind": "repository | lifecycle_policy | repository_policy",
//!     "repository": "shop/api", "service": "api",
//!     "action": "create | adopt | update | replace | delete | no-op",
//!     "attributes": [{"name": "scan_on_push", "old": null, "new": true}],
//!     "lifecycle": null,
//!     "refused": null,
//!     "note": null,
//!     "steps": ["create repository"]
//!   }],
//!   "warnings": []
//! }
//! ```
//!
//! `lifecycle` of a `lifecycle_policy` has `file` (or null), `retention` (each retention as written, with `attributes` and
//! `rules`), `shared` (rules for images that fall under several retentions) and `rules` (those under none, and those that go
//! away). Each rule is `{"change": "same | added | changed | removed", "rule", "attributes"}` with `rule` in ECR's own form.
//! `refused` is `{"code", "message", "hint"}`. `null` for `old` or `new` means that the attribute is not there.

use serde_json::{Map, Value, json};

use crate::client::Target;
use crate::outputs::Output;
use crate::plan::{
    Action, AttributeChange, IntentChange, LifecycleChange, Plan, Refusal, ResourceChange, RuleChange, Step,
};
use crate::spec::StackSpec;

/// Counts up if a member is ever renamed or removed.
const FORMAT_VERSION: u32 = 1;

/// The plan as JSON; the module's documentation has the shape.
#[must_use]
pub fn to_json(plan: &Plan, target: &Target) -> Value {
    let mut summary = Map::new();
    for action in Action::ALL {
        summary.insert(action.name().to_owned(), json!(plan.count(action)));
    }
    summary.insert("refused".to_owned(), json!(plan.refused().count()));
    json!({
        "format_version": FORMAT_VERSION,
        "project": plan.project,
        "environment": plan.environment,
        "region": target.region.as_str(),
        "endpoint": target.endpoint.as_ref().map(crate::spec::Endpoint::as_str),
        "changes": !plan.is_empty(),
        "summary": summary,
        "resources": plan.resources.iter().map(resource).collect::<Vec<_>>(),
        "warnings": plan.warnings,
    })
}

/// The outputs as JSON: `{"project", "environment", "region", "repositories": [...]}`, each repository with `service`, `name`,
/// `arn`, `registry_id`, `repository_url` and `description`.
#[must_use]
pub fn outputs_to_json(stack: &StackSpec, target: &Target, outputs: &[Output]) -> Value {
    json!({
        "project": stack.project(),
        "environment": stack.environment(),
        "region": target.region.as_str(),
        "repositories": outputs,
    })
}

fn resource(resource: &ResourceChange) -> Value {
    json!({
        "kind": resource.kind.name(),
        "repository": resource.repository,
        "service": resource.service,
        "action": resource.action.name(),
        "attributes": attributes(&resource.attributes),
        "lifecycle": resource.lifecycle.as_ref().map(lifecycle),
        "refused": resource.refusal.as_ref().map(refusal),
        "note": resource.note,
        "steps": resource.steps.iter().map(Step::verb).collect::<Vec<_>>(),
    })
}

fn attributes(changes: &[AttributeChange]) -> Value {
    changes.iter().map(|change| json!({"name": change.name, "old": change.old, "new": change.new})).collect()
}

fn refusal(refusal: &Refusal) -> Value {
    json!({"code": refusal.code(), "message": refusal.to_string(), "hint": refusal.hint()})
}

fn lifecycle(change: &LifecycleChange) -> Value {
    json!({
        "file": change.file,
        "retention": change.intents.iter().map(intent).collect::<Vec<_>>(),
        "shared": rules(&change.shared),
        "rules": rules(&change.rules),
    })
}

fn intent(change: &IntentChange) -> Value {
    let intent = &change.intent;
    json!({
        "description": intent.description,
        "any_of": intent.any_of,
        "untagged": intent.untagged,
        "keep_last": intent.keep_last,
        "expire_after_days": intent.expire_after_days,
        "attributes": attributes(&change.attributes),
        "rules": rules(&change.rules),
    })
}

fn rules(changes: &[RuleChange]) -> Value {
    changes
        .iter()
        .map(|change| {
            json!({
                "change": change.kind.name(),
                "rule": change.rule,
                "attributes": attributes(&change.attributes),
            })
        })
        .collect()
}
