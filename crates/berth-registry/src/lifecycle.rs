//! Lifecycle runs: evaluating a policy and deleting what it says, on a schedule or on demand, and their history.
//!
//! The policy is evaluated by `berth-lifecycle`, once for the whole repository. What is to go is then deleted oldest first,
//! a batch per transaction, each image only if it still is what was evaluated: the same push, the same tags, in no
//! index, under the same policy. Artifacts that follow a subject go in the transaction of their subject.
//!
//! A scheduled run holds a lease on the repository, which it renews as it goes, so that several processes share the work;
//! if one dies, the lease ends and another begins anew. What was deleted until then is in the history, because it is
//! written with the deletion.

use std::time::Duration;

use berth_lifecycle::policy::Action;
use berth_lifecycle::{Outcome, Policy};
use berth_store::meta::{
    DueLifecycle, ExpireBatch, ExpireImage, ExpireOutcome, FinishedRun, ImageCursor, LifecycleRunId,
    LifecycleRunImage, LifecycleRunRecord, MetaError, RepositoryId, StartedRun,
};
use berth_types::{RepositoryName, Timestamp};
use serde::{Deserialize, Serialize};

use crate::context::{Caller, Registry};
use crate::error::{Error, Result};
use crate::failure::{self, Subject};
use crate::lifecycle_images::Evaluated;
use crate::operation::Operation;
use crate::repositories::Page;

/// How long expired images can be restored, if nothing else is said.
pub const UNDO_WINDOW_DEFAULT: Duration = Duration::from_secs(24 * 3600);
/// Images deleted in one transaction, apart from the artifacts that follow the last of them.
const BATCH_IMAGES: usize = 100;
/// Most images in one transaction, if very many artifacts follow one subject. What is beyond that follows in the next run,
/// as images without a subject.
const BATCH_IMAGES_MAX: usize = 1_000;
/// Runs of a repository that are remembered.
const RUNS_KEPT: usize = 100;
/// How long a run is left to a process that shows no sign of life.
const LEASE: Duration = Duration::from_secs(600);
/// What is said of images that a rule would archive.
pub const NOT_ARCHIVED: &str = "not carried out: archiving is not supported";

/// What a run did, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunSummary {
    /// Images that were evaluated.
    pub evaluated: u64,
    /// One entry for each rule, by priority.
    pub rules: Vec<RuleSummary>,
    /// Images that were deleted.
    pub expired: u64,
    /// Images that a rule selects and an index holds back.
    pub blocked: u64,
    /// Images that a rule would have archived: [`NOT_ARCHIVED`]. They stay as they are.
    pub not_archived: u64,
    /// Images that were selected and then left alone, because they had changed by the time of deletion.
    pub changed: u64,
    /// The policy was changed while the run was under way, or another process took over: the rest was left alone.
    pub stopped: bool,
}

/// What a rule found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleSummary {
    /// `rulePriority`.
    pub rule: u32,
    /// Images that it is about.
    pub matched: u64,
    /// Of those, the ones beyond its count or age.
    pub selected: u64,
    /// Of the selected, the ones that belong to an earlier rule.
    pub shielded: u64,
    /// Of the selected, the ones that an index holds back.
    pub blocked: u64,
    /// Images that it acts on, without the artifacts that follow them.
    pub acted: u64,
    /// Their size in bytes, shared layers counted with each.
    pub acted_bytes: u64,
}

/// A run in the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifecycleRun {
    /// The run.
    pub id: LifecycleRunId,
    /// The policy that was run.
    pub policy: String,
    /// When it began: the moment for which the policy was evaluated.
    pub started_at: Timestamp,
    /// When it ended; `None` if it is under way or was cut off.
    pub finished_at: Option<Timestamp>,
    /// Images deleted.
    pub images: u64,
    /// Bytes that become free when the images can no longer be restored: blobs that only they needed.
    pub freed_bytes: u64,
    /// Until when they can be restored; `None` if they cannot.
    pub restorable_until: Option<Timestamp>,
    /// What it did, unless it was cut off.
    pub summary: Option<RunSummary>,
}

impl Registry {
    /// Runs the repository's lifecycle policy now, whatever the schedule says. Who may put a policy may run it.
    ///
    /// # Errors
    /// `RepositoryNotFound`, `LifecyclePolicyNotFound`.
    pub async fn run_lifecycle(&self, caller: &Caller, name: &RepositoryName) -> Result<LifecycleRun> {
        let target = self.target(caller, Operation::PutLifecyclePolicy, name).await?;
        let run = self.run(target.record.id, None).await;
        run.map_err(|error| {
            target.place.failed_about("run a lifecycle policy", Subject::LifecyclePolicy, error)
        })
    }

    /// Runs the policy that has been due longest, if one is due; for a timer, until there is none. A policy is due `interval`
    /// after the last run, or after it was first seen here.
    ///
    /// # Errors
    /// [`Error::Internal`]; the repository's turn comes again when the lease has ended.
    pub async fn run_due_lifecycle(
        &self,
        interval: Duration,
    ) -> Result<Option<(RepositoryName, LifecycleRun)>> {
        let failed = |error| failure::installation("run a lifecycle policy", error);
        let (now, lease) = (self.now(), uuid::Uuid::new_v4().to_string());
        let due = self.meta().lease_due_lifecycle(now, now.plus(interval), now.plus(LEASE), &lease).await;
        let Some(due) = due.map_err(failed)? else { return Ok(None) };
        let next = now.plus(interval);
        match self.run(due.repository.id, Some((&due, next))).await {
            Ok(run) => Ok(Some((due.repository.name, run))),
            Err(error) => Err(failed(error)),
        }
    }

    /// Runs, the latest first, before `before`.
    ///
    /// # Errors
    /// `RepositoryNotFound`.
    pub async fn lifecycle_runs(
        &self,
        caller: &Caller,
        name: &RepositoryName,
        before: Option<LifecycleRunId>,
        limit: usize,
    ) -> Result<Page<LifecycleRun, LifecycleRunId>> {
        let target = self.target(caller, Operation::GetLifecyclePolicy, name).await?;
        let found = self.meta().lifecycle_runs(target.record.id, before, limit.saturating_add(1)).await;
        let found = found.map_err(|error| target.place.failed("list lifecycle runs", error))?;
        let runs = found.into_iter().map(LifecycleRun::from).collect();
        Ok(Page::cut(runs, limit, |last: &LifecycleRun| last.id))
    }

    /// Images that a run deleted, oldest push first, after `after`.
    ///
    /// # Errors
    /// `RepositoryNotFound`. A run that is not there has no images.
    pub async fn lifecycle_run_images(
        &self,
        caller: &Caller,
        name: &RepositoryName,
        run: LifecycleRunId,
        after: Option<ImageCursor>,
        limit: usize,
    ) -> Result<Page<LifecycleRunImage, ImageCursor>> {
        let target = self.target(caller, Operation::GetLifecyclePolicy, name).await?;
        let rows = limit.saturating_add(1);
        let found = self.meta().lifecycle_run_images(target.record.id, run, after, rows).await;
        let found = found.map_err(|error| target.place.failed("list images of a lifecycle run", error))?;
        Ok(Page::cut(found, limit, |last| last.cursor))
    }

    /// One run, on demand or under a lease, which is given back for `next`.
    async fn run(
        &self,
        repository: RepositoryId,
        lease: Option<(&DueLifecycle, Timestamp)>,
    ) -> std::result::Result<LifecycleRun, MetaError> {
        let now = self.now();
        let window = self.config().undo_window;
        let restorable_until = (!window.is_zero()).then(|| now.plus(window));
        let started = self.meta().begin_lifecycle_run(repository, now, restorable_until).await?;
        let policy = Policy::parse(&started.policy).map_err(|error| MetaError::Backend {
            action: "read a stored lifecycle policy",
            source: error.to_string().into(),
        })?;
        let evaluated = self.evaluate_lifecycle(repository, policy, now).await?;
        let mut summary = summarise(&evaluated);
        let mut batch = ExpireBatch {
            run: started.id,
            repository,
            policy_version: started.policy_version,
            restorable_until,
            now,
            images: Vec::new(),
        };
        for images in batches(&evaluated) {
            if let Some((due, _)) = lease {
                let until = self.now().plus(LEASE);
                if !self.meta().renew_lifecycle_lease(repository, &due.lease, until).await? {
                    summary.stopped = true;
                    break;
                }
            }
            batch.images = images;
            batch.now = self.now();
            let done = self.meta().expire_images(&batch).await?;
            count(&mut summary, &done.outcomes);
            if summary.stopped {
                break;
            }
        }
        self.finish(repository, &started, &summary, lease).await
    }

    async fn finish(
        &self,
        repository: RepositoryId,
        started: &StartedRun,
        summary: &RunSummary,
        lease: Option<(&DueLifecycle, Timestamp)>,
    ) -> std::result::Result<LifecycleRun, MetaError> {
        let unwritable = |error: serde_json::Error| MetaError::Backend {
            action: "write the report of a lifecycle run",
            source: error.into(),
        };
        let report = serde_json::to_string(summary).map_err(unwritable)?;
        let finished = FinishedRun {
            id: started.id,
            repository,
            finished_at: self.now(),
            report: &report,
            runs_kept: RUNS_KEPT,
            lease: lease.map(|(due, next)| (due.lease.as_str(), next)),
        };
        self.meta().finish_lifecycle_run(&finished).await?;
        let record = self.run_record(repository, started.id).await?;
        record.map(LifecycleRun::from).ok_or(MetaError::Missing)
    }

    /// One run of a repository.
    pub(crate) async fn run_record(
        &self,
        repository: RepositoryId,
        run: LifecycleRunId,
    ) -> std::result::Result<Option<LifecycleRunRecord>, MetaError> {
        let next = LifecycleRunId(run.0.saturating_add(1));
        let found = self.meta().lifecycle_runs(repository, Some(next), 1).await?;
        Ok(found.into_iter().find(|record| record.id == run))
    }
}

impl From<LifecycleRunRecord> for LifecycleRun {
    fn from(record: LifecycleRunRecord) -> Self {
        Self {
            id: record.id,
            policy: record.policy,
            started_at: record.started_at,
            finished_at: record.finished_at,
            images: record.images,
            freed_bytes: record.blob_bytes,
            restorable_until: record.restorable_until.filter(|_| record.images > 0),
            summary: record.report.and_then(|report| serde_json::from_str(&report).ok()),
        }
    }
}

fn summarise(evaluated: &Evaluated) -> RunSummary {
    let rules = evaluated.evaluation.rules.iter().map(|rule| RuleSummary {
        rule: rule.priority,
        matched: rule.matched,
        selected: rule.selected,
        shielded: rule.shielded,
        blocked: rule.blocked,
        acted: rule.acted,
        acted_bytes: rule.acted_bytes,
    });
    let mut summary = RunSummary {
        evaluated: evaluated.images.len() as u64,
        rules: rules.collect(),
        ..RunSummary::default()
    };
    for decision in &evaluated.evaluation.decisions {
        match decision.outcome {
            Outcome::Blocked { .. } => summary.blocked += 1,
            Outcome::Archive { .. } | Outcome::Cascade { action: Action::Archive, .. } => {
                summary.not_archived += 1;
            }
            Outcome::Keep | Outcome::Expire { .. } | Outcome::Cascade { action: Action::Expire, .. } => {}
        }
    }
    summary
}

fn count(summary: &mut RunSummary, outcomes: &[ExpireOutcome]) {
    for outcome in outcomes {
        match outcome {
            ExpireOutcome::Expired => summary.expired += 1,
            ExpireOutcome::PolicyChanged => summary.stopped = true,
            ExpireOutcome::Gone
            | ExpireOutcome::Retagged
            | ExpireOutcome::Referenced
            | ExpireOutcome::SubjectStays => summary.changed += 1,
        }
    }
}

/// What is to be deleted: oldest first, each image with the artifacts that follow it, in batches.
fn batches(evaluated: &Evaluated) -> Vec<Vec<ExpireImage>> {
    let images = &evaluated.images;
    let mut followers: std::collections::HashMap<usize, Vec<usize>> = std::collections::HashMap::new();
    let mut order: Vec<(usize, u32)> = Vec::new();
    for (place, decision) in evaluated.evaluation.decisions.iter().enumerate() {
        match decision.outcome {
            Outcome::Expire { rule } => order.push((place, rule)),
            Outcome::Cascade { subject, action: Action::Expire } => {
                followers.entry(subject).or_default().push(place);
            }
            _ => {}
        }
    }
    order.sort_by_key(|(place, _)| (images[*place].effective_push(), images[*place].digest));
    let mut batches = Vec::new();
    let mut batch: Vec<ExpireImage> = Vec::new();
    for (place, rule) in order {
        let subject = batch.len();
        batch.push(expire_image(evaluated, place, rule, None));
        for follower in followers.remove(&place).unwrap_or_default() {
            if batch.len() < BATCH_IMAGES_MAX {
                batch.push(expire_image(evaluated, follower, rule, Some((subject, place))));
            }
        }
        if batch.len() >= BATCH_IMAGES {
            batches.push(std::mem::take(&mut batch));
        }
    }
    if !batch.is_empty() {
        batches.push(batch);
    }
    batches
}

/// `follows` is the subject's place in the batch, and among the images.
fn expire_image(
    evaluated: &Evaluated,
    place: usize,
    rule: u32,
    follows: Option<(usize, usize)>,
) -> ExpireImage {
    let image = &evaluated.images[place];
    ExpireImage {
        digest: image.digest,
        cursor: evaluated.cursors[place],
        tags: image.tags.clone(),
        rule,
        reason: evaluated.evaluation.decisions[place].reason(&evaluated.images, evaluated.now),
        subject: follows.map(|(_, subject)| evaluated.images[subject].digest),
        follows: follows.map(|(batched, _)| batched),
    }
}

/// The error for a run that is not there.
pub(crate) fn no_such_run(run: LifecycleRunId) -> Error {
    Error::invalid_parameter("runId", format_args!("must be a run of this repository, and {} is none", run.0))
}
