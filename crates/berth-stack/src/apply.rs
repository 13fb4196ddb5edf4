//! Carrying out a plan, step by step.
//!
//! Nothing is decided here: what to do is in the plan, and what must not be done is refused before the first step. A run that
//! was cut off at any point needs no repair. Reading what is there and planning again gives the steps that are left.

use std::collections::BTreeSet;

use crate::client::{ApiError, ApiErrorKind, EcrApi, NewRepository};
use crate::plan::{Plan, Refusal, Step};

/// How far a run is; given to the caller as it goes.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
    /// A step begins.
    Started {
        /// Its number, from 1.
        number: usize,
        /// How many there are.
        total: usize,
        /// What it does.
        step: &'a Step,
    },
    /// A step is done.
    Finished {
        /// Its number, from 1.
        number: usize,
        /// How many there are.
        total: usize,
        /// What it did.
        step: &'a Step,
        /// Whether it had been done already, by somebody else or by an earlier run whose answer was lost.
        was_done: bool,
    },
}

/// Why a plan was not carried out to its end.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The plan holds something that may not be done. Nothing was done.
    #[error("{}", refused_text(.0))]
    Refused(Vec<(String, Refusal)>),
    /// A step failed. The steps before it are done and stay done.
    #[error("step {number} of {total} failed: {step}")]
    Step {
        /// Its number, from 1.
        number: usize,
        /// How many there are.
        total: usize,
        /// What it should have done.
        step: Box<Step>,
        /// Why it could not.
        #[source]
        source: ApiError,
    },
    /// Between planning and creating, somebody else created a repository of the same name.
    #[error("step {number} of {total} failed: {name} was created by somebody else meanwhile")]
    Overtaken {
        /// The step's number, from 1.
        number: usize,
        /// How many there are.
        total: usize,
        /// The repository.
        name: String,
    },
}

fn refused_text(refused: &[(String, Refusal)]) -> String {
    let lines: Vec<String> = refused.iter().map(|(name, refusal)| format!("{name}: {refusal}")).collect();
    format!("nothing was done, because the plan may not be carried out: {}", lines.join("; "))
}

impl ApplyError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Refused(refused) => {
                let hints: BTreeSet<&str> = refused.iter().map(|(_, refusal)| refusal.hint()).collect();
                Some(hints.into_iter().collect::<Vec<_>>().join("\n"))
            }
            Self::Step { source, .. } => {
                let own = match source.kind() {
                    ApiErrorKind::RepositoryNotEmpty => Some(Refusal::HoldsImages.hint().to_owned()),
                    _ => source.hint(),
                };
                let again = "run the same command again to go on from there";
                Some(own.map_or(again.to_owned(), |own| format!("{own}; then {again}")))
            }
            Self::Overtaken { .. } => Some("make a new plan and look at it again".to_owned()),
        }
    }
}

/// Carries out `plan` in order and stops at the first step that fails.
///
/// # Errors
/// [`ApplyError::Refused`] before anything is done, if the plan holds a refusal. Otherwise the failed step.
pub async fn apply(
    api: &dyn EcrApi,
    plan: &Plan,
    progress: &mut (dyn FnMut(Progress<'_>) + Send),
) -> Result<(), ApplyError> {
    let refused: Vec<(String, Refusal)> =
        plan.refused().map(|(resource, refusal)| (resource.repository.clone(), refusal.clone())).collect();
    if !refused.is_empty() {
        return Err(ApplyError::Refused(refused));
    }
    let steps: Vec<&Step> = plan.steps().collect();
    let total = steps.len();
    for (index, step) in steps.into_iter().enumerate() {
        let number = index + 1;
        progress(Progress::Started { number, total, step });
        let was_done = match take(api, step).await {
            Ok(()) => false,
            Err(error) if is_done_already(step, error.kind()) => true,
            Err(error) => match (step, error.kind()) {
                (Step::CreateRepository(new), ApiErrorKind::RepositoryAlreadyExists) => {
                    if !is_our_own(api, new).await.map_err(|source| failed(number, total, step, source))? {
                        return Err(ApplyError::Overtaken { number, total, name: new.name.to_string() });
                    }
                    true
                }
                _ => return Err(failed(number, total, step, error)),
            },
        };
        progress(Progress::Finished { number, total, step, was_done });
    }
    Ok(())
}

fn failed(number: usize, total: usize, step: &Step, source: ApiError) -> ApplyError {
    ApplyError::Step { number, total, step: Box::new(step.clone()), source }
}

async fn take(api: &dyn EcrApi, step: &Step) -> Result<(), ApiError> {
    match step {
        Step::CreateRepository(new) => api.create_repository(new).await.map(drop),
        Step::DeleteRepository { name, force } => api.delete_repository(name, *force).await,
        Step::Tag { arn, tags, .. } => api.tag_resource(arn, tags).await,
        Step::Untag { arn, keys, .. } => api.untag_resource(arn, keys).await,
        Step::PutTagMutability { name, mutability } => api.put_image_tag_mutability(name, mutability).await,
        Step::PutScanning { name, scan_on_push } => {
            api.put_image_scanning_configuration(name, *scan_on_push).await
        }
        Step::PutLifecyclePolicy { name, text } => api.put_lifecycle_policy(name, text).await,
        Step::DeleteLifecyclePolicy { name } => api.delete_lifecycle_policy(name).await,
        Step::SetRepositoryPolicy { name, text } => api.set_repository_policy(name, text).await,
        Step::DeleteRepositoryPolicy { name } => api.delete_repository_policy(name).await,
    }
}

/// Whether the failure only says that what was to go is gone.
fn is_done_already(step: &Step, kind: &ApiErrorKind) -> bool {
    matches!(
        (step, kind),
        (
            Step::DeleteRepository { .. }
                | Step::DeleteLifecyclePolicy { .. }
                | Step::DeleteRepositoryPolicy { .. },
            ApiErrorKind::RepositoryNotFound
        ) | (Step::DeleteLifecyclePolicy { .. }, ApiErrorKind::LifecyclePolicyNotFound)
            | (Step::DeleteRepositoryPolicy { .. }, ApiErrorKind::RepositoryPolicyNotFound)
    )
}

/// Whether the repository that is in the way carries all the tags that `new` was to carry. Then it is the work of a call whose
/// answer was lost: the SDK repeats those.
async fn is_our_own(api: &dyn EcrApi, new: &NewRepository) -> Result<bool, ApiError> {
    let mut next = None;
    loop {
        let page = api.describe_repositories(next).await?;
        if let Some(found) = page.items.iter().find(|one| one.name == new.name.as_str()) {
            let tags = api.list_tags(&found.arn).await?;
            return Ok(new.tags.iter().all(|(key, value)| tags.get(key) == Some(value)));
        }
        next = page.next;
        if next.is_none() {
            return Ok(false);
        }
    }
}
