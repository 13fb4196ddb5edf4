//! One call of a plan.

use std::collections::BTreeMap;
use std::fmt;

use berth_types::TagMutability;

use crate::client::NewRepository;

/// One call that changes something. Each can be repeated: a plan that was cut off is made anew, and what was done already is
/// no longer part of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// `CreateRepository`, tags included.
    CreateRepository(NewRepository),
    /// `DeleteRepository`.
    DeleteRepository {
        /// Which.
        name: String,
        /// Whether its images go with it.
        force: bool,
    },
    /// `TagResource`.
    Tag {
        /// Which repository.
        name: String,
        /// Its ARN.
        arn: String,
        /// The tags to add or change.
        tags: BTreeMap<String, String>,
    },
    /// `UntagResource`.
    Untag {
        /// Which repository.
        name: String,
        /// Its ARN.
        arn: String,
        /// The tags to remove.
        keys: Vec<String>,
    },
    /// `PutImageTagMutability`.
    PutTagMutability {
        /// Which repository.
        name: String,
        /// What it becomes.
        mutability: TagMutability,
    },
    /// `PutImageScanningConfiguration`.
    PutScanning {
        /// Which repository.
        name: String,
        /// What it becomes.
        scan_on_push: bool,
    },
    /// `PutLifecyclePolicy`: replaces a policy in one step.
    PutLifecyclePolicy {
        /// Which repository.
        name: String,
        /// The policy.
        text: String,
    },
    /// `DeleteLifecyclePolicy`.
    DeleteLifecyclePolicy {
        /// Which repository.
        name: String,
    },
    /// `SetRepositoryPolicy`: replaces a policy in one step.
    SetRepositoryPolicy {
        /// Which repository.
        name: String,
        /// The policy.
        text: String,
    },
    /// `DeleteRepositoryPolicy`.
    DeleteRepositoryPolicy {
        /// Which repository.
        name: String,
    },
}

impl Step {
    /// The repository that it is about.
    #[must_use]
    pub fn repository(&self) -> &str {
        match self {
            Self::CreateRepository(new) => new.name.as_str(),
            Self::DeleteRepository { name, .. }
            | Self::Tag { name, .. }
            | Self::Untag { name, .. }
            | Self::PutTagMutability { name, .. }
            | Self::PutScanning { name, .. }
            | Self::PutLifecyclePolicy { name, .. }
            | Self::DeleteLifecyclePolicy { name }
            | Self::SetRepositoryPolicy { name, .. }
            | Self::DeleteRepositoryPolicy { name } => name,
        }
    }

    /// What it does, without the repository.
    #[must_use]
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::CreateRepository(_) => "create repository",
            Self::DeleteRepository { force: false, .. } => "delete repository",
            Self::DeleteRepository { force: true, .. } => "delete repository and its images",
            Self::Tag { .. } => "set tags",
            Self::Untag { .. } => "remove tags",
            Self::PutTagMutability { .. } => "set tag mutability",
            Self::PutScanning { .. } => "set scan on push",
            Self::PutLifecyclePolicy { .. } => "set lifecycle policy",
            Self::DeleteLifecyclePolicy { .. } => "remove lifecycle policy",
            Self::SetRepositoryPolicy { .. } => "set repository policy",
            Self::DeleteRepositoryPolicy { .. } => "remove repository policy",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.repository(), self.verb())
    }
}
