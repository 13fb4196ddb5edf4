//! A stack as it is written, before it is checked: what the file's keys are, and nothing about what they mean.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The whole stack file. Only `project` and `environment` are required; every other field has the default that its
/// documentation names when it is `None`.
///
/// Programs fill it in directly and hand it to [`StackSpec::from_input`](super::StackSpec::from_input); files are read
/// by [`StackSpec::load`](super::StackSpec::load). Both are checked by the same code.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct StackInput {
    /// The project. It becomes the first part of every repository's name and the tag `Project`.
    #[serde(default)]
    pub project: String,
    /// The environment. `prod` makes tags immutable unless a repository says otherwise. It becomes the tag
    /// `Environment`.
    #[serde(default)]
    pub environment: String,
    /// What stands before `/service` in a repository's name; `{project}` and `{environment}` are replaced. Default
    /// `{project}`.
    pub base_name: Option<String>,
    /// The AWS region. Default: the one the AWS configuration gives (`AWS_REGION`, profile).
    pub region: Option<String>,
    /// Where the ECR API is, if not at Amazon: `http://` or `https://`, host and port.
    pub endpoint: Option<String>,
    /// The repositories by service. Default: `api`, `realtime` and `workers`.
    pub repositories: Option<BTreeMap<String, RepositoryInput>>,
    /// What to keep, for every repository that does not say it itself. Default: the 20 newest version tags, the 5
    /// newest branch tags, untagged images for 7 days. An empty list: no lifecycle policy.
    pub retention: Option<Vec<RetentionInput>>,
    /// `compiled` (default) or `as-written`.
    pub retention_form: Option<String>,
    /// Resource tags for every repository.
    pub tags: Option<BTreeMap<String, String>>,
}

/// One table under `[repositories]`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(expecting = "a table")]
pub struct RepositoryInput {
    /// For people; shown in plans and outputs. ECR has no place for it.
    pub description: Option<String>,
    /// Whether each pushed image is scanned. Default true.
    pub scan_on_push: Option<bool>,
    /// `MUTABLE`, `IMMUTABLE` or `IMMUTABLE_WITH_EXCLUSION`. Default: `IMMUTABLE` in `prod`, else `MUTABLE`.
    pub tag_mutability: Option<String>,
    /// Tags that may be moved although the repository is immutable; `*` stands for any characters.
    pub mutable_tags: Option<Vec<String>>,
    /// `AES256` (default) or `KMS`. It cannot be changed later.
    pub encryption: Option<String>,
    /// With `KMS`: the key. Default: the key that AWS manages for ECR.
    pub kms_key: Option<String>,
    /// Like the stack's own `retention`, for this repository alone.
    pub retention: Option<Vec<RetentionInput>>,
    /// Like the stack's own `retention_form`, for this repository alone.
    pub retention_form: Option<String>,
    /// A lifecycle policy in ECR's JSON, used as it is instead of `retention`. Relative to the stack file.
    pub lifecycle_policy_file: Option<String>,
    /// A repository policy in JSON. Default: the policy is left alone; `""`: there shall be none.
    pub repository_policy_file: Option<String>,
    /// Resource tags for this repository; they win over the stack's.
    pub tags: Option<BTreeMap<String, String>>,
    /// Whether the repository may never be deleted or replaced while it holds images, not even by force. Default
    /// false.
    pub protect: Option<bool>,
}

/// One `[[retention]]` table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(expecting = "a table")]
pub struct RetentionInput {
    /// For people; becomes the description of the rules.
    pub description: Option<String>,
    /// Patterns of tags, any of which makes an image belong to this retention.
    pub any_of: Option<Vec<String>>,
    /// Whether this retention is about images without any tag.
    pub untagged: Option<bool>,
    /// Keep this many images, the newest.
    pub keep_last: Option<u32>,
    /// Keep images this many days after their push.
    pub expire_after_days: Option<u32>,
}

/// The keys of the stack file's top level.
pub(super) const STACK_KEYS: &[&str] = &[
    "project",
    "environment",
    "base_name",
    "region",
    "endpoint",
    "repositories",
    "retention",
    "retention_form",
    "tags",
];

/// The keys of one repository.
pub(super) const REPOSITORY_KEYS: &[&str] = &[
    "description",
    "scan_on_push",
    "tag_mutability",
    "mutable_tags",
    "encryption",
    "kms_key",
    "retention",
    "retention_form",
    "lifecycle_policy_file",
    "repository_policy_file",
    "tags",
    "protect",
];

/// The keys of one retention.
pub(super) const RETENTION_KEYS: &[&str] =
    &["description", "any_of", "untagged", "keep_last", "expire_after_days"];
