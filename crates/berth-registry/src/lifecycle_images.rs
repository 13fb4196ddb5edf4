//! The images of a repository as the lifecycle engine wants them, and what a policy does to them.

use std::collections::BTreeMap;

use berth_lifecycle::{Evaluation, Image, ImageKind, ImageStorage, Policy, evaluate};
use berth_store::meta::{ImageCursor, ImageRecord, MetaError, RepositoryId, TagStatus};
use berth_types::{Digest, ManifestKind, Timestamp};

use crate::context::Registry;

/// Images in one read.
const PAGE_IMAGES: usize = 1_000;

/// The images of a repository and what a policy does to them.
pub(crate) struct Evaluated {
    pub(crate) images: Vec<Image>,
    /// The row of each image.
    pub(crate) cursors: Vec<ImageCursor>,
    pub(crate) evaluation: Evaluation,
    /// When it was evaluated.
    pub(crate) now: Timestamp,
}

impl Registry {
    /// Reads a repository page by page and evaluates the policy. What changes meanwhile is found out by whoever acts on the
    /// result.
    pub(crate) async fn evaluate_lifecycle(
        &self,
        repository: RepositoryId,
        policy: Policy,
        now: Timestamp,
    ) -> Result<Evaluated, MetaError> {
        let (images, cursors) = self.lifecycle_images(repository).await?;
        // Half a second for a million images: not on a thread that serves requests.
        let evaluated = tokio::task::spawn_blocking(move || {
            let evaluation = evaluate(&policy, &images, now);
            Evaluated { images, cursors, evaluation, now }
        });
        let action = "evaluate a lifecycle policy";
        evaluated.await.map_err(|error| MetaError::Backend { action, source: error.into() })
    }

    async fn lifecycle_images(
        &self,
        repository: RepositoryId,
    ) -> Result<(Vec<Image>, Vec<ImageCursor>), MetaError> {
        let (mut images, mut cursors) = (Vec::new(), Vec::new());
        let mut after = None;
        loop {
            let page = self.meta().images(repository, TagStatus::Any, after, PAGE_IMAGES).await?;
            let Some(last) = page.last().map(|last| last.cursor) else { return Ok((images, cursors)) };
            let mut children: BTreeMap<ImageCursor, Vec<Digest>> = BTreeMap::new();
            for record in self.meta().index_children(repository, after, last).await? {
                children.entry(record.parent).or_default().push(record.child);
            }
            for record in page {
                cursors.push(record.cursor);
                let references = children.remove(&record.cursor).unwrap_or_default();
                images.push(image_of(record, references));
            }
            after = Some(last);
            tokio::task::yield_now().await;
        }
    }
}

fn image_of(record: ImageRecord, references: Vec<Digest>) -> Image {
    let kind = if record.media_type.manifest_kind() == Some(ManifestKind::Index) {
        ImageKind::Index
    } else {
        ImageKind::Image
    };
    Image {
        digest: record.digest,
        tags: record.tags,
        pushed_at: record.pushed_at,
        last_pulled_at: record.last_pulled_at,
        last_archived_at: None,
        last_activated_at: None,
        storage: ImageStorage::Standard,
        kind,
        references,
        subject: record.subject,
        size_bytes: Some(record.image_bytes),
    }
}
