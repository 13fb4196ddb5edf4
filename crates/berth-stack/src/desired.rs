//! What a repository shall be: checked, with every default filled in.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use berth_lifecycle::Policy;
use berth_lifecycle::compile::{Compiled, Retention};
use berth_types::{RepositoryName, TagMutability};

use crate::repository_policy::RepositoryPolicy;

/// The key of the tag that holds the project.
pub const TAG_PROJECT: &str = "Project";
/// The key of the tag that holds the environment.
pub const TAG_ENVIRONMENT: &str = "Environment";
/// The key of the tag that holds the service.
pub const TAG_SERVICE: &str = "Service";
/// The key of the tag that says who manages the repository.
pub const TAG_MANAGED_BY: &str = "ManagedBy";
/// The value of [`TAG_MANAGED_BY`] on everything that this crate creates.
pub const MANAGED_BY: &str = "berth";

/// The keys that this crate writes itself and that a stack file therefore may not set.
pub const OWN_TAGS: [&str; 4] = [TAG_PROJECT, TAG_ENVIRONMENT, TAG_SERVICE, TAG_MANAGED_BY];

/// One repository as the stack wants it.
#[derive(Clone, Debug, PartialEq)]
pub struct DesiredRepository {
    /// The service it is for: the last part of the name.
    pub service: String,
    /// The whole name.
    pub name: RepositoryName,
    /// For people.
    pub description: Option<String>,
    /// Whether each pushed image is scanned.
    pub scan_on_push: bool,
    /// Which tags may be moved.
    pub tag_mutability: TagMutability,
    /// How it is encrypted.
    pub encryption: Encryption,
    /// What is kept.
    pub lifecycle: Lifecycle,
    /// Who may use it, besides what identity policies allow.
    pub repository_policy: DesiredRepositoryPolicy,
    /// All resource tags: the stack's, the repository's and the four of [`OWN_TAGS`].
    pub tags: BTreeMap<String, String>,
    /// Whether it may never be deleted or replaced while it holds images.
    pub protect: bool,
}

/// How a repository is encrypted. Fixed when it is created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// With keys of the registry.
    Aes256,
    /// With a key of AWS KMS.
    Kms {
        /// The key's ARN, id or alias; the key that AWS manages for ECR if absent.
        key: Option<String>,
    },
    /// A kind that a stack file cannot ask for (`KMS_DSSE`, or one that is newer than this program).
    Other {
        /// ECR's name of it.
        kind: String,
        /// The key, if any.
        key: Option<String>,
    },
}

impl Encryption {
    /// ECR's name of the kind.
    #[must_use]
    pub fn kind(&self) -> &str {
        match self {
            Self::Aes256 => "AES256",
            Self::Kms { .. } => "KMS",
            Self::Other { kind, .. } => kind,
        }
    }

    /// The key, if one is named.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Aes256 => None,
            Self::Kms { key } | Self::Other { key, .. } => key.as_deref(),
        }
    }

    /// Whether a repository encrypted like `actual` is what `self` asks for.
    ///
    /// ECR answers with a key's ARN whatever it was given. A key id is therefore compared with the end of the ARN. An
    /// alias, or no key at all, cannot be compared without asking KMS; it counts as satisfied, because the other answer
    /// would propose to replace a repository that is as wanted.
    #[must_use]
    pub fn is_satisfied_by(&self, actual: &Self) -> bool {
        if self.kind() != actual.kind() {
            return false;
        }
        match (self.key(), actual.key()) {
            (Some(wanted), Some(found)) if is_alias(wanted) => !is_alias(found) || wanted == found,
            (Some(wanted), Some(found)) => wanted == found || found.ends_with(&format!(":key/{wanted}")),
            (Some(_), None) => false,
            (None, _) => true,
        }
    }
}

fn is_alias(key: &str) -> bool {
    key.starts_with("alias/") || key.contains(":alias/")
}

impl fmt::Display for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key() {
            Some(key) => write!(f, "{} {key}", self.kind()),
            None => f.write_str(self.kind()),
        }
    }
}

/// What shall become of images over time.
#[derive(Clone, Debug, PartialEq)]
pub enum Lifecycle {
    /// No policy: everything is kept.
    Keep,
    /// The policy that these retentions compile to.
    Retention(RetentionPolicy),
    /// A policy written by hand, taken as it is.
    File {
        /// Where it was read from, as the stack file names it.
        path: PathBuf,
        /// The text, unchanged.
        text: String,
        /// What it says.
        policy: Policy,
    },
}

impl Lifecycle {
    /// The policy, if there shall be one.
    #[must_use]
    pub fn policy(&self) -> Option<&Policy> {
        match self {
            Self::Keep => None,
            Self::Retention(retention) => Some(&retention.compiled.policy),
            Self::File { policy, .. } => Some(policy),
        }
    }

    /// The text to give to ECR: a hand-written policy byte for byte, a compiled one in canonical form.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Keep => None,
            Self::Retention(retention) => Some(retention.compiled.policy.to_canonical_json()),
            Self::File { text, .. } => Some(text.clone()),
        }
    }
}

/// Retentions as written, with the rules they compile to.
#[derive(Clone, Debug, PartialEq)]
pub struct RetentionPolicy {
    /// What the user wrote.
    pub intents: Vec<Retention>,
    /// How it was turned into rules.
    pub form: RetentionForm,
    /// The rules, and which retention each came from.
    pub compiled: Compiled,
}

impl RetentionPolicy {
    /// The place of the retention that the policy's rule at `index` comes from; `None` if it comes from several.
    #[must_use]
    pub fn intent_of(&self, index: usize) -> Option<usize> {
        match self.compiled.origin.get(index)?.retentions.as_slice() {
            [intent] => Some(*intent),
            _ => None,
        }
    }
}

/// How retentions become rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RetentionForm {
    /// One rule per alternative, so that everything a retention promises to keep is kept under ECR's semantics.
    #[default]
    Compiled,
    /// One rule per retention with all alternatives in one list, which ECR joins by AND. For stacks that are migrated
    /// and want no difference.
    AsWritten,
}

impl RetentionForm {
    /// The name in a stack file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Compiled => "compiled",
            Self::AsWritten => "as-written",
        }
    }
}

/// What shall become of the repository policy.
#[derive(Clone, Debug, PartialEq)]
pub enum DesiredRepositoryPolicy {
    /// The stack does not say; one that is there stays.
    Unmanaged,
    /// There shall be none.
    Absent,
    /// There shall be this one.
    Present(RepositoryPolicy),
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY_ARN: &str = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";

    fn kms(key: Option<&str>) -> Encryption {
        Encryption::Kms { key: key.map(str::to_owned) }
    }

    #[test]
    fn a_key_is_recognised_however_it_is_written() {
        let actual = kms(Some(KEY_ARN));
        for satisfied in [
            kms(None),
            kms(Some(KEY_ARN)),
            kms(Some("1234abcd-12ab-34cd-56ef-1234567890ab")),
            kms(Some("alias/shop")),
        ] {
            assert!(satisfied.is_satisfied_by(&actual), "{satisfied}");
        }
        for different in
            [Encryption::Aes256, kms(Some("9999abcd-12ab-34cd-56ef-1234567890ab")), kms(Some("90ab"))]
        {
            assert!(!different.is_satisfied_by(&actual), "{different}");
        }
        assert!(!kms(Some(KEY_ARN)).is_satisfied_by(&kms(None)));
        assert!(!kms(None).is_satisfied_by(&Encryption::Other { kind: "KMS_DSSE".to_owned(), key: None }));
    }
}
