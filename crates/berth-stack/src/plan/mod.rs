//! (what is wanted, what is there) → what has to be done. Pure: nothing here calls anything.
//!
//! A [`Plan`] is a list of resources in a stable order, each with an action, the attributes that differ, and the steps that
//! the action consists of. [`apply()`](crate::apply()) carries the steps out and decides nothing.

mod build;
mod lifecycle;
mod step;

use std::fmt;

use serde_json::Value;

pub use build::{plan, plan_destroy};
pub use lifecycle::{
    IntentChange, LifecycleChange, RuleChange, RuleChangeKind, describe_intent, describe_rule,
};
pub use step::Step;

/// What a plan may contain beyond what is harmless.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlanOptions {
    /// Delete and create anew what cannot be changed in place.
    pub allow_replace: bool,
    /// Delete repositories although they hold images, unless they are protected.
    pub force: bool,
}

/// What has to be done to make a registry what a stack wants.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The project.
    pub project: String,
    /// The environment.
    pub environment: String,
    /// The resources: those of the stack ordered by repository name, then those to be deleted, ordered likewise.
    pub resources: Vec<ResourceChange>,
    /// What is worth knowing and stops nothing, as sentences.
    pub warnings: Vec<String>,
}

/// One resource and what becomes of it.
#[derive(Clone, Debug, PartialEq)]
pub struct ResourceChange {
    /// What it is.
    pub kind: ResourceKind,
    /// The name of the repository that it is, or belongs to.
    pub repository: String,
    /// The service that the repository is for, if it is known.
    pub service: Option<String>,
    /// What happens to it.
    pub action: Action,
    /// What differs, attribute by attribute, ordered by name. Rules of a lifecycle policy are in `lifecycle` instead.
    pub attributes: Vec<AttributeChange>,
    /// For lifecycle policies: the retentions as written, and the rules under each.
    pub lifecycle: Option<LifecycleChange>,
    /// Why it may not happen. A plan with any refusal is not carried out at all.
    pub refusal: Option<Refusal>,
    /// What the action means here, where that is not obvious.
    pub note: Option<String>,
    /// The calls that the action consists of, in order.
    pub steps: Vec<Step>,
}

/// The kinds of resources, in the order in which they are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ResourceKind {
    /// The repository with its settings and tags.
    Repository,
    /// Its lifecycle policy.
    LifecyclePolicy,
    /// Its repository policy.
    RepositoryPolicy,
}

/// What happens to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// It does not exist and will.
    Create,
    /// It will be changed in place.
    Update,
    /// It will be deleted and created anew.
    Replace,
    /// It exists and nobody owns it; it becomes this stack's, and is changed in place where it differs.
    Adopt,
    /// It will be deleted.
    Delete,
    /// It is as it should be.
    NoOp,
}

/// One attribute that differs.
#[derive(Clone, Debug, PartialEq)]
pub struct AttributeChange {
    /// Its name; a tag is `tags.KEY`.
    pub name: String,
    /// What it is; `None`: it is not there.
    pub old: Option<Value>,
    /// What it will be; `None`: it will not be there.
    pub new: Option<Value>,
}

/// Why an action is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The difference cannot be made in place, and replacing was not allowed.
    #[error("its encryption cannot be changed in place: it would be deleted and created anew")]
    ReplaceNotAllowed,
    /// It holds images, which would be gone.
    #[error("it holds images, which would be deleted with it")]
    HoldsImages,
    /// It holds images and the stack says `protect = true`.
    #[error("it holds images and is protected by the stack file")]
    Protected,
    /// Another stack owns it.
    #[error("it belongs to project {project:?}, environment {environment:?}")]
    OtherStack {
        /// The owner's project.
        project: String,
        /// The owner's environment.
        environment: String,
    },
    /// It would have to be replaced, and it is not ours to delete.
    #[error(
        "it is encrypted with {found}, not {wanted}, and a repository that is not this stack's is never replaced"
    )]
    AdoptEncryption {
        /// How it is encrypted.
        found: String,
        /// How it should be.
        wanted: String,
    },
}

impl Refusal {
    /// A stable name for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::ReplaceNotAllowed => "replace-not-allowed",
            Self::HoldsImages => "holds-images",
            Self::Protected => "protected",
            Self::OtherStack { .. } => "other-stack",
            Self::AdoptEncryption { .. } => "adopt-encryption",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::ReplaceNotAllowed => {
                "pass --allow-replace, or set `encryption` and `kms_key` to what it has"
            }
            Self::HoldsImages => "delete its images first, or pass --force to delete them with it",
            Self::Protected => "delete its images first, or remove `protect = true` from the stack file",
            Self::OtherStack { .. } => {
                "when environments share an account, set base_name = \"{project}-{environment}\""
            }
            Self::AdoptEncryption { .. } => {
                "set `encryption` and `kms_key` to what it has, or delete the repository yourself"
            }
        }
    }
}

impl Plan {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.resources.iter().all(|resource| resource.action == Action::NoOp)
    }

    /// The resources that may not become what they should.
    pub fn refused(&self) -> impl Iterator<Item = (&ResourceChange, &Refusal)> {
        self.resources.iter().filter_map(|resource| Some((resource, resource.refusal.as_ref()?)))
    }

    /// All steps in the order in which they are to be taken.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.resources.iter().flat_map(|resource| &resource.steps)
    }

    /// How many resources have this action.
    #[must_use]
    pub fn count(&self, action: Action) -> usize {
        self.resources.iter().filter(|resource| resource.action == action).count()
    }
}

impl ResourceKind {
    /// The name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Repository => "repository",
            Self::LifecyclePolicy => "lifecycle_policy",
            Self::RepositoryPolicy => "repository_policy",
        }
    }
}

impl Action {
    /// All actions, in the order of a summary.
    pub const ALL: [Self; 6] =
        [Self::Create, Self::Adopt, Self::Update, Self::Replace, Self::Delete, Self::NoOp];

    /// The name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Replace => "replace",
            Self::Adopt => "adopt",
            Self::Delete => "delete",
            Self::NoOp => "no-op",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
