//! Undoing a lifecycle run: what it deleted comes back, as long as the undo window lasts.

use std::collections::BTreeSet;

use berth_store::meta::{LifecycleRunId, MetaError, RepositoryId};
use berth_types::{Digest, RepositoryName, Tag};

use crate::context::{Caller, Registry};
use crate::error::{Error, ImageId, Result};
use crate::failure::Subject;
use crate::lifecycle::no_such_run;
use crate::operation::Operation;

/// Images in one read.
const PAGE_IMAGES: usize = 1_000;

/// What undoing a run did.
#[derive(Debug, Default)]
pub struct Undone {
    /// Images that are back.
    pub restored: Vec<RestoredImage>,
    /// Images that are not, and why.
    pub failures: Vec<(Digest, Error)>,
    /// The policy was taken out of the schedule: it would delete the same images again. Putting it anew, changed or not,
    /// puts it back.
    pub suspended: bool,
}

/// An image that is back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoredImage {
    /// Its digest.
    pub digest: Digest,
    /// Tags that it has again.
    pub tags: Vec<Tag>,
    /// Tags that name another image by now, and stay there.
    pub tags_taken: Vec<Tag>,
}

impl Registry {
    /// Restores the images that a run deleted, with their tags and push times. An index brings the images along that it
    /// lists and that other runs deleted after it. Who may put a policy may undo its runs.
    ///
    /// If anything is restored, the policy is not run on the schedule until it is put anew.
    ///
    /// # Errors
    /// `RepositoryNotFound`; `InvalidParameter` if the repository had no such run. What cannot be restored is in the answer.
    pub async fn undo_lifecycle_run(
        &self,
        caller: &Caller,
        name: &RepositoryName,
        run: LifecycleRunId,
    ) -> Result<Undone> {
        let target = self.target(caller, Operation::PutLifecyclePolicy, name).await?;
        let repository = target.record.id;
        let failed = |error| target.place.failed("undo a lifecycle run", error);
        let record = self.run_record(repository, run).await.map_err(failed)?;
        let record = record.ok_or_else(|| no_such_run(run))?;
        // First, so that the schedule cannot delete again what is being restored.
        let restorable = self.meta().restorable_images(repository, run, 0, 1).await.map_err(failed)?;
        let mut undone = Undone::default();
        if restorable.is_empty() {
            return Ok(undone);
        }
        let suspended = self.meta().suspend_lifecycle(repository, record.policy_version).await;
        undone.suspended = suspended.map_err(failed)?;
        let mut after = 0;
        loop {
            let page = self.meta().restorable_images(repository, run, after, PAGE_IMAGES).await;
            let page = page.map_err(failed)?;
            let Some(last) = page.last() else { return Ok(undone) };
            after = last.cursor;
            for image in page {
                match self.restore(repository, image.digest, &mut undone.restored).await {
                    // Restored meanwhile, by this call or by another; or its time is up.
                    Ok(()) | Err(MetaError::Missing) => {}
                    Err(error) => {
                        let id = ImageId { digest: Some(image.digest), tag: None };
                        let error = target.place.failed_about("restore an image", Subject::Image(&id), error);
                        undone.failures.push((image.digest, error));
                    }
                }
            }
        }
    }

    /// Restores an image, after the images that it lists where those are missing.
    async fn restore(
        &self,
        repository: RepositoryId,
        digest: Digest,
        restored: &mut Vec<RestoredImage>,
    ) -> std::result::Result<(), MetaError> {
        let mut waiting = vec![digest];
        let mut tried = BTreeSet::new();
        while let Some(next) = waiting.last().copied() {
            match self.meta().restore_image(repository, &next, self.now()).await {
                Ok(image) => {
                    waiting.pop();
                    restored.push(RestoredImage {
                        digest: next,
                        tags: image.tags,
                        tags_taken: image.tags_taken,
                    });
                }
                Err(MetaError::ChildrenMissing(missing)) if tried.insert(next) => waiting.extend(missing),
                // A child that cannot come back is the index's trouble.
                Err(MetaError::Missing) if waiting.len() > 1 => {
                    return Err(MetaError::ChildrenMissing(vec![next]));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
