//! What a valid policy probably gets wrong.
//!
//! ECR accepts a policy that deletes nothing, or the wrong images, without a word. The findings here are about such
//! policies; they are pure functions of the policy and of what the caller knows about the repository. Reading policies
//! out of other files, and printing findings, is the command line's business.

mod checks;
mod tags;

use std::ops::Range;

use berth_types::{TagMutability, Timestamp};

use crate::evaluate::Image;
use crate::policy::{Policy, PolicyError, SourceMap};

/// What is known about the repository. Everything is optional: less is found without it.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Its images, and the moment at which they are looked at.
    pub images: Option<(&'a [Image], Timestamp)>,
    /// Its tag mutability.
    pub mutability: Option<&'a TagMutability>,
    /// How many images a rollback needs at least: the running one and those one may go back to.
    pub rollback_images: u32,
}

impl Default for Context<'_> {
    /// Nothing known; a rollback needs three images.
    fn default() -> Self {
        Self { images: None, mutability: None, rollback_images: 3 }
    }
}

/// The kinds of findings. The identifiers are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lint {
    /// A list of several tags, which means "and", where "or" is likely meant.
    AndList,
    /// An `any` rule that takes the images an "and" list fails to protect.
    AnyEats,
    /// A rule that no tag can meet.
    NeverMatches,
    /// A rule whose images all belong to earlier rules.
    Shielded,
    /// Images that no rule is about: they stay for ever.
    Unreached,
    /// A counting `any` rule whose places are taken by images of other rules.
    AnyCrowded,
    /// A rule about a tag that is meant to move, in a repository where it cannot.
    ImmutableMovingTag,
    /// A count below what a rollback needs.
    KeepsTooFew,
    /// An `untagged` rule that meets the children of indexes.
    IndexChildren,
}

impl Lint {
    /// All kinds, in the order of their importance.
    pub const ALL: [Self; 9] = [
        Self::AndList,
        Self::AnyEats,
        Self::NeverMatches,
        Self::Shielded,
        Self::Unreached,
        Self::AnyCrowded,
        Self::ImmutableMovingTag,
        Self::KeepsTooFew,
        Self::IndexChildren,
    ];

    /// The identifier, for example `and-list`.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::AndList => "and-list",
            Self::AnyEats => "any-eats",
            Self::NeverMatches => "never-matches",
            Self::Shielded => "shielded",
            Self::Unreached => "unreached",
            Self::AnyCrowded => "any-crowded",
            Self::ImmutableMovingTag => "immutable-moving-tag",
            Self::KeepsTooFew => "keeps-too-few",
            Self::IndexChildren => "index-children",
        }
    }

    /// One sentence about the kind, for a list of rules.
    #[must_use]
    pub const fn summary(self) -> &'static str {
        match self {
            Self::AndList => "A list of several tags means that an image must carry all of them.",
            Self::AnyEats => "An any rule takes images that an earlier list was meant to keep.",
            Self::NeverMatches => "No tag can meet the rule.",
            Self::Shielded => "All images of the rule belong to earlier rules.",
            Self::Unreached => "No rule is about some images, so they stay for ever.",
            Self::AnyCrowded => "Images of other rules take the places that an any rule keeps.",
            Self::ImmutableMovingTag => "A tag that is meant to move cannot in this repository.",
            Self::KeepsTooFew => "The rule keeps fewer images than a rollback needs.",
            Self::IndexChildren => "The children of multi-platform images are untagged.",
        }
    }
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know.
    Note,
    /// Likely not meant.
    Warning,
    /// Does something else than what it says.
    Error,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What kind it is.
    pub lint: Lint,
    /// How bad it is.
    pub severity: Severity,
    /// `rulePriority` of the rule it is about; absent if it is about the whole policy.
    pub rule: Option<u32>,
    /// Where: a JSON pointer into the text, or into the canonical form if there is no text.
    pub pointer: String,
    /// Where in the text, in bytes.
    pub span: Option<Range<usize>>,
    /// What is wrong.
    pub explanation: String,
    /// What to write instead.
    pub fix: String,
    /// The images that show it, as places in [`Context::images`].
    pub images: Vec<usize>,
}

/// Looks for what is probably wrong with a policy. Findings come by rule, those about the whole policy last.
#[must_use]
pub fn lint(policy: &Policy, context: &Context<'_>) -> Vec<Finding> {
    let mut findings = checks::run(policy, context);
    findings.sort_by_key(|finding| (finding.rule.unwrap_or(u32::MAX), finding.lint));
    findings
}

/// Like [`lint`], with places in the text.
///
/// # Errors
/// [`PolicyError`] if the text is not a policy.
pub fn lint_text(text: &str, context: &Context<'_>) -> Result<Vec<Finding>, PolicyError> {
    let (policy, map) = Policy::parse_mapped(text)?;
    let mut findings = lint(&policy, context);
    for finding in &mut findings {
        locate(finding, &policy, &map);
    }
    Ok(findings)
}

fn locate(finding: &mut Finding, policy: &Policy, map: &SourceMap) {
    if let Some(place) = policy.rules().iter().position(|rule| Some(rule.priority) == finding.rule) {
        let member = finding.pointer.strip_prefix(&format!("/rules/{place}")).unwrap_or_default();
        finding.pointer = format!("/rules/{}{member}", map.array_index(place));
    }
    finding.span = map.span(&finding.pointer);
}

#[cfg(test)]
mod tests;
