//! `StartLifecyclePolicyPreview` and `GetLifecyclePolicyPreview`: what a policy would do, without doing it.
//!
//! A preview is computed beside the requests and stored, one per repository, until the next one replaces it. It is the same
//! evaluation that a run carries out.

use std::time::Duration;

use berth_lifecycle::policy::Action;
use berth_lifecycle::{Outcome, Policy};
use berth_store::meta::{MetaError, NewPreview, PreviewRecord, PreviewStatus, RepositoryId, TagStatus};
pub use berth_store::meta::{PreviewAction, PreviewImage};
use berth_types::{Digest, RepositoryName, Tag};

use crate::context::{Caller, Registry, Target};
use crate::error::{Error, ImageId, Result};
use crate::failure::Subject;
use crate::lifecycle_images::Evaluated;
use crate::operation::Operation;
use crate::repositories::Page;

/// How long the results of a preview are given out.
pub const RESULTS_KEPT: Duration = Duration::from_secs(24 * 3600);
/// A preview that has not moved for so long was cut off.
const STALE_AFTER: Duration = Duration::from_secs(300);
/// Results in one transaction, and in one read.
const BATCH_IMAGES: usize = 1_000;

/// A preview as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// The policy, byte for byte as it was given.
    pub policy: String,
    /// How far it is.
    pub state: PreviewState,
    /// Images that would be deleted, whatever the filter.
    pub expire_count: u64,
    /// Images that would be archived, whatever the filter.
    pub archive_count: u64,
    /// Results, in the order of pushes.
    pub images: Page<PreviewImage, PreviewCursor>,
}

/// How far a preview is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PreviewState {
    /// Being computed; there are no results yet.
    InProgress,
    /// All results are there.
    Complete,
    /// The results have been given up after [`RESULTS_KEPT`].
    Expired,
    /// It could not be computed.
    Failed,
}

/// A place in the results of one preview.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviewCursor {
    /// The preview.
    pub preview: String,
    /// The position.
    pub position: i64,
}

/// Which results are wanted.
#[derive(Clone, Copy, Debug)]
pub enum PreviewQuery<'a> {
    /// A page of those with this tag status, after a place.
    Page {
        /// Which.
        filter: TagStatus,
        /// After which.
        after: Option<&'a PreviewCursor>,
        /// How many at most.
        limit: usize,
    },
    /// Those of these images, with this tag status.
    Images {
        /// Which images.
        ids: &'a [ImageId],
        /// Which of those.
        filter: TagStatus,
    },
}

impl Registry {
    /// Starts a preview of `policy`, or of the policy that the repository has, in place of the one before. Returns the
    /// policy's text.
    ///
    /// # Errors
    /// `RepositoryNotFound`, `LifecyclePolicyNotFound`, `LifecyclePolicyPreviewInProgress`; `InvalidParameter` with ECR's text
    /// and what to write instead.
    pub async fn start_lifecycle_preview(
        &self,
        caller: &Caller,
        name: &RepositoryName,
        policy: Option<&str>,
    ) -> Result<String> {
        let target = self.target(caller, Operation::StartLifecyclePolicyPreview, name).await?;
        if let Some(text) = policy {
            Policy::parse(text).map_err(|error| Error::InvalidParameter(error.api_message()))?;
        }
        let (now, id) = (self.now(), uuid::Uuid::new_v4().to_string());
        let repository = target.record.id;
        let stale_before = now.minus(STALE_AFTER);
        let begun =
            self.meta().begin_preview(&NewPreview { repository, id: &id, policy, now, stale_before }).await;
        let text = begun.map_err(|error| {
            target.place.failed_about("start a lifecycle preview", Subject::LifecyclePolicy, error)
        })?;
        let registry = self.clone();
        let previewed = text.clone();
        // Should the process end meanwhile, the preview counts as failed, and can be started again, after a while.
        tokio::spawn(async move { registry.complete_preview(repository, id, previewed).await });
        Ok(text)
    }

    /// The last preview of the repository.
    ///
    /// # Errors
    /// `RepositoryNotFound`, `LifecyclePolicyPreviewNotFound`; `InvalidParameter` if the place is one in another preview.
    pub async fn lifecycle_preview(
        &self,
        caller: &Caller,
        name: &RepositoryName,
        query: PreviewQuery<'_>,
    ) -> Result<Preview> {
        let target = self.target(caller, Operation::GetLifecyclePolicyPreview, name).await?;
        let failed = |error| target.place.failed("read a lifecycle preview", error);
        let record = self.meta().preview(target.record.id).await.map_err(failed)?;
        let record = record.ok_or_else(|| target.place.preview_not_found())?;
        let state = self.state_of(&record);
        let images = if state == PreviewState::Complete {
            self.results(&target, &record, query).await?
        } else {
            Page { items: Vec::new(), next: None }
        };
        let (expire_count, archive_count) = (record.expire_count, record.archive_count);
        Ok(Preview { policy: record.policy, state, expire_count, archive_count, images })
    }

    fn state_of(&self, record: &PreviewRecord) -> PreviewState {
        let age = self.now().since(record.changed_at);
        match record.status {
            PreviewStatus::InProgress if age <= STALE_AFTER => PreviewState::InProgress,
            PreviewStatus::InProgress | PreviewStatus::Failed => PreviewState::Failed,
            PreviewStatus::Complete if age <= RESULTS_KEPT => PreviewState::Complete,
            PreviewStatus::Complete => PreviewState::Expired,
        }
    }

    async fn results(
        &self,
        target: &Target,
        record: &PreviewRecord,
        query: PreviewQuery<'_>,
    ) -> Result<Page<PreviewImage, PreviewCursor>> {
        let failed = |error| target.place.failed("read a lifecycle preview", error);
        let repository = target.record.id;
        match query {
            PreviewQuery::Page { filter, after, limit } => {
                if after.is_some_and(|after| after.preview != record.id) {
                    return Err(Error::invalid_parameter(
                        "nextToken",
                        "the preview was replaced by a new one",
                    ));
                }
                let after = after.map_or(0, |after| after.position);
                let found = self.meta().preview_images(repository, filter, after, limit.saturating_add(1));
                let found = found.await.map_err(failed)?;
                let cursor = |last: &PreviewImage| PreviewCursor {
                    preview: record.id.clone(),
                    position: last.position,
                };
                Ok(Page::cut(found, limit, cursor))
            }
            PreviewQuery::Images { ids, filter } => {
                let mut items = Vec::new();
                let mut after = 0;
                loop {
                    let found = self.meta().preview_images(repository, filter, after, BATCH_IMAGES).await;
                    let found = found.map_err(failed)?;
                    let Some(last) = found.last() else { return Ok(Page { items, next: None }) };
                    after = last.position;
                    items.extend(found.into_iter().filter(|image| is_named(image, ids)));
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    /// Computes and stores a preview that has begun.
    async fn complete_preview(&self, repository: RepositoryId, id: String, policy: String) {
        let computed = self.compute_preview(repository, &id, &policy).await;
        let (status, [expire_count, archive_count]) = match computed {
            Ok(counts) => (PreviewStatus::Complete, counts),
            // Replaced by another, or gone with its repository: nobody asks for it.
            Err(MetaError::Missing) => return,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(repository = repository.0, error, "cannot compute a lifecycle preview");
                (PreviewStatus::Failed, [0, 0])
            }
        };
        let changed_at = self.now();
        let outcome = PreviewRecord { id, policy, status, changed_at, expire_count, archive_count };
        match self.meta().finish_preview(repository, &outcome).await {
            Ok(()) | Err(MetaError::Missing) => {}
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(repository = repository.0, error, "cannot finish a lifecycle preview");
            }
        }
    }

    /// Stores the results; returns how many images would be deleted and how many archived.
    async fn compute_preview(
        &self,
        repository: RepositoryId,
        id: &str,
        policy: &str,
    ) -> std::result::Result<[u64; 2], MetaError> {
        let policy = Policy::parse(policy).map_err(|error| MetaError::Backend {
            action: "read a stored lifecycle policy",
            source: error.to_string().into(),
        })?;
        let evaluated = self.evaluate_lifecycle(repository, policy, self.now()).await?;
        let results = results_of(&evaluated);
        for batch in results.chunks(BATCH_IMAGES) {
            self.meta().record_preview_images(repository, id, batch, self.now()).await?;
        }
        let count =
            |action| results.iter().filter(|image: &&PreviewImage| image.action == action).count() as u64;
        Ok([count(PreviewAction::Expire), count(PreviewAction::Archive)])
    }
}

/// The images that would be acted on. One that follows its subject goes by the rule of that.
fn results_of(evaluated: &Evaluated) -> Vec<PreviewImage> {
    let decisions = &evaluated.evaluation.decisions;
    let direct = |place: usize| match decisions[place].outcome {
        Outcome::Expire { rule } => Some((PreviewAction::Expire, rule)),
        Outcome::Archive { rule } => Some((PreviewAction::Archive, rule)),
        _ => None,
    };
    let acted = |place: usize| match decisions[place].outcome {
        Outcome::Cascade { subject, action } => {
            let action = match action {
                Action::Expire => PreviewAction::Expire,
                Action::Archive => PreviewAction::Archive,
            };
            direct(subject).map(|(_, rule)| (action, rule))
        }
        _ => direct(place),
    };
    let results = evaluated.images.iter().enumerate().filter_map(|(place, image)| {
        let (action, rule) = acted(place)?;
        Some(PreviewImage {
            // The first page comes after 0.
            position: i64::try_from(place).unwrap_or(i64::MAX).saturating_add(1),
            digest: image.digest,
            tags: image.tags.clone(),
            pushed_at: image.pushed_at,
            action,
            rule,
        })
    });
    results.collect()
}

fn is_named(image: &PreviewImage, ids: &[ImageId]) -> bool {
    let has_digest = |digest: &Option<Digest>| digest.is_none_or(|digest| digest == image.digest);
    let has_tag = |tag: &Option<Tag>| tag.as_ref().is_none_or(|tag| image.tags.contains(tag));
    let is_meant = |id: &ImageId| {
        (id.digest.is_some() || id.tag.is_some()) && has_digest(&id.digest) && has_tag(&id.tag)
    };
    ids.iter().any(is_meant)
}
