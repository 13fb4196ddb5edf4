//! Where policies are found: in files of their own, in stack files, and in what other tools read and write.
//!
//! Every reader gives the policy's JSON and knows where each byte of it stands in the file. A policy that is there but
//! cannot be read without running another program is a result too: nothing is passed over in silence.

mod json;
mod policy_text;
mod stack;
mod templates;
mod terraform;
mod tree;
mod yaml;

#[cfg(test)]
mod tests;

use std::ops::Range;
use std::path::Path;
use std::rc::Rc;

use berth_types::{TagMutability, TagMutabilityMode};
use clap::ValueEnum;

use super::error::LabError;
use super::files;
pub(crate) use policy_text::PolicyText;
use tree::Node;

/// What kind of file a policy is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A lifecycle policy as it is given to ECR (JSON)
    Policy,
    /// A stack file of berth
    Stack,
    /// Terraform configuration (.tf)
    Terraform,
    /// `terraform show -json` of a plan or a state, a state file, or .tf.json
    TerraformJson,
    /// A CloudFormation template, JSON or YAML, as CDK writes it too
    Cloudformation,
    /// Pulumi's state, stack export or preview (JSON)
    Pulumi,
}

/// A file that was read.
#[derive(Debug)]
pub(crate) struct Document {
    /// Its name, for messages.
    pub(crate) name: String,
    /// Its text.
    pub(crate) text: String,
}

/// A policy in a file.
#[derive(Debug)]
pub(crate) struct Found {
    /// The file it stands in.
    pub(crate) document: Rc<Document>,
    /// What the policy belongs to: a resource or a repository; empty for a file of its own.
    pub(crate) label: String,
    /// The policy, or why it cannot be read.
    pub(crate) policy: Result<PolicyText, Unreadable>,
    /// The tag mutability of its repository, where the file says so.
    pub(crate) mutability: Option<TagMutability>,
}

impl Found {
    /// A document that is a policy.
    pub(crate) fn whole(name: String, text: String) -> Self {
        let policy = Ok(PolicyText::whole(text.clone()));
        Self { document: Rc::new(Document { name, text }), label: String::new(), policy, mutability: None }
    }
}

/// A policy that only another program can fill in.
#[derive(Debug, PartialEq)]
pub(crate) struct Unreadable {
    /// Where in the document.
    pub(crate) span: Range<usize>,
    /// What stands there.
    pub(crate) what: String,
}

/// What a reader finds, before it is known in which document.
struct Candidate {
    label: String,
    policy: Result<PolicyText, Unreadable>,
    /// ECR's name of the tag mutability.
    mutability: Option<String>,
    /// The file in which the policy is, if the document only names it; relative to the document.
    file: Option<String>,
}

/// Terraform resources that hold a policy, and the path to it.
const TERRAFORM_POLICIES: [(&str, &[&str]); 3] = [
    ("aws_ecr_lifecycle_policy", &["policy"]),
    ("aws_ecr_repository_creation_template", &["lifecycle_policy"]),
    ("awscc_ecr_repository", &["lifecycle_policy", "lifecycle_policy_text"]),
];

/// Why a file with policies cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    /// It cannot be read, or is not what it seems to be.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// It is a stack file with mistakes.
    #[error(transparent)]
    Stack(#[from] berth_stack::SpecError),
}

/// Reads the policies of a file; `-` is standard input.
///
/// # Errors
/// [`SourceError`] if the file cannot be read, is too long, or is not of its format.
pub(crate) fn read(path: &Path, format: Option<Format>) -> Result<Vec<Found>, SourceError> {
    let (text, name) = files::read_text(path, files::DOCUMENT_BYTES_MAX)?;
    let document = Rc::new(Document { name, text });
    if format == Some(Format::Stack) || format.is_none() && has_extension(path, "toml") {
        return Ok(stack::find(path, &document)?);
    }
    Ok(find(path, &document, format)?)
}

/// Reads a file that was given as a policy: what is of no known kind is taken for one, so that the checker of policies can
/// say what is wrong with it.
///
/// # Errors
/// As [`read`].
pub(crate) fn read_policy(path: &Path) -> Result<Vec<Found>, SourceError> {
    match read(path, None) {
        Err(SourceError::Lab(LabError::At { .. } | LabError::Whole { .. }))
            if !has_extension(path, "tf") && path != Path::new(files::STDIN) =>
        {
            read(path, Some(Format::Policy))
        }
        result => result,
    }
}

fn find(path: &Path, document: &Rc<Document>, format: Option<Format>) -> Result<Vec<Found>, LabError> {
    let Document { name, text } = &**document;
    let wrong = |error: json::SyntaxError| LabError::at(name, text, error.at, error.message);
    let whole = || {
        vec![Candidate {
            label: String::new(),
            policy: Ok(PolicyText::whole(text.clone())),
            mutability: None,
            file: None,
        }]
    };
    let candidates = match format {
        Some(Format::Policy) => whole(),
        Some(Format::Terraform) => terraform::find(text).map_err(wrong)?,
        None if has_extension(path, "tf") => terraform::find(text).map_err(wrong)?,
        _ => {
            let is_json = text.trim_start().starts_with(['{', '[']);
            // A text that is no JSON at all may still be meant as a policy, whose checker tells more about it.
            let root = match if is_json { json::parse(text) } else { yaml::parse(text) } {
                Err(_) if format.is_none() && looks_like_policy(text) => {
                    return Ok(located(path, document, whole()));
                }
                root => root.map_err(wrong)?,
            };
            match format.or_else(|| detect(&root)) {
                Some(Format::TerraformJson) => templates::terraform(text, &root),
                Some(Format::Cloudformation) => templates::cloudformation(text, &root),
                Some(Format::Pulumi) => templates::pulumi(text, &root),
                Some(Format::Policy) => whole(),
                Some(Format::Stack | Format::Terraform) | None => {
                    return Err(LabError::whole(
                        name,
                        "this is no kind of file that is known here; --format names one",
                    ));
                }
            }
        }
    };
    Ok(located(path, document, candidates))
}

/// What a file has that a document names instead of a policy. Where it is not, the candidate stays as it is.
fn named_file(path: &Path, candidate: &Candidate) -> Option<Found> {
    let file = path.parent().unwrap_or(Path::new("")).join(candidate.file.as_ref()?);
    let (text, name) = files::read_text(&file, files::SMALL_FILE_BYTES_MAX).ok()?;
    let mutability = candidate.mutability.as_deref().and_then(mutability_of);
    Some(Found { label: candidate.label.clone(), mutability, ..Found::whole(name, text) })
}

fn located(path: &Path, document: &Rc<Document>, candidates: Vec<Candidate>) -> Vec<Found> {
    let found = candidates.into_iter().map(|candidate| {
        named_file(path, &candidate).unwrap_or_else(|| Found {
            document: Rc::clone(document),
            label: candidate.label,
            policy: candidate.policy,
            mutability: candidate.mutability.as_deref().and_then(mutability_of),
        })
    });
    found.collect()
}

/// A mode alone: filters would have to be read too to know more.
fn mutability_of(mode: &str) -> Option<TagMutability> {
    match TagMutabilityMode::from_name(mode)? {
        TagMutabilityMode::Mutable => Some(TagMutability::mutable()),
        TagMutabilityMode::Immutable => Some(TagMutability::immutable()),
        _ => None,
    }
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found.eq_ignore_ascii_case(extension))
}

fn looks_like_policy(text: &str) -> bool {
    text.contains("\"rulePriority\"")
        && !text.contains("\"Resources\"")
        && !text.contains("\"format_version\"")
}

/// The format of a document, from what it has at the top.
fn detect(root: &Node) -> Option<Format> {
    let has = |key: &str| root.get(key).is_some();
    if has("rules") {
        Some(Format::Policy)
    } else if has("Resources") || has("AWSTemplateFormatVersion") {
        Some(Format::Cloudformation)
    } else if has("format_version") || has("terraform_version") || has("resource") {
        Some(Format::TerraformJson)
    } else if has("deployment") || has("checkpoint") || has("steps") || has("manifest") {
        Some(Format::Pulumi)
    } else if root.members().is_empty() && root.items().is_empty() {
        // `{}` and the like: the checker of policies says what is missing.
        Some(Format::Policy)
    } else {
        None
    }
}
