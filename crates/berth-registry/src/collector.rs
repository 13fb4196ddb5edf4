//! The collector: gives back the room of blobs that nothing refers to any more.
//!
//! It works from a queue that every operation feeds in its own transaction when a blob may have lost its last reference;
//! nothing walks the store. A blob stays for a grace period after that, in which a client that was told that the blob is
//! there can push the manifest that needs it. What is taken is decided again in the transaction that takes it, so no push
//! has to wait. Objects are named at random: deleting one can never hit the same content uploaded anew.

use std::time::Duration;

use berth_store::blob::ObjectId;
use berth_store::meta::{MetaError, RepositoryId};
use berth_types::Digest;

use crate::context::Registry;
use crate::error::Result;
use crate::failure;

/// Entries of the queue looked at in one transaction. Pushes wait for no more than that.
const BATCH_MAX: usize = 100;
/// How long a blob has been without a reference when being asked for it starts its grace period anew.
const RENEW_AFTER: Duration = Duration::from_secs(60);
/// Blobs counted by one read of the dry run.
const COUNT_BATCH_MAX: usize = 1_000;

/// How long blobs stay without a reference, if nothing else is said.
pub const GRACE_DEFAULT: Duration = Duration::from_secs(3600);

/// What one call of the collector may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CollectLimits {
    /// How long a blob without a reference is left alone.
    pub grace: Duration,
    /// Most blobs to look at, and images to give up whose undo window has ended; `usize::MAX` for all.
    pub blobs_max: usize,
}

/// What the collector gave back, or would.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Blobs deleted.
    pub blobs: u64,
    /// Length of their content in bytes. On disk a sealed blob is a little longer.
    pub bytes: u64,
    /// The limit was reached: there may be more to do now.
    pub more: bool,
}

impl Registry {
    /// Takes blobs that nothing refers to out of their repositories, and deletes those that are then in none. Stopping it at
    /// any point loses nothing: the rest is found by the next call.
    ///
    /// # Errors
    /// [`crate::Error::Internal`]; what was done before is done.
    pub async fn collect(&self, limits: CollectLimits) -> Result<Collected> {
        let before = self.now().minus(limits.grace);
        let mut collected = Collected::default();
        let mut left = limits.blobs_max;
        // Images whose undo window has ended hand their blobs over to the queue.
        loop {
            let batch = left.min(BATCH_MAX);
            let purged = self.meta().purge_expired_images(self.now(), batch).await;
            let purged = purged.map_err(|error| failure::installation("give up expired images", error))?;
            left -= purged;
            if purged < batch || left == 0 {
                break;
            }
        }
        while left > 0 {
            let step = self.meta().collect_blobs(before, left.min(BATCH_MAX)).await;
            let step = step.map_err(|error| failure::installation("collect blobs", error))?;
            let is_last = step.examined < left.min(BATCH_MAX);
            left -= step.examined;
            collected.blobs += step.blobs;
            collected.bytes = collected.bytes.saturating_add(step.bytes);
            self.delete_collected(&step.objects).await;
            if is_last {
                return Ok(collected);
            }
        }
        Ok(Collected { more: true, ..collected })
    }

    /// What [`Registry::collect`] would delete now, without deleting it.
    ///
    /// # Errors
    /// [`crate::Error::Internal`].
    pub async fn collectable(&self, grace: Duration) -> Result<Collected> {
        let before = self.now().minus(grace);
        let mut found = Collected::default();
        let mut after = 0;
        loop {
            let page = self.meta().collectable_blobs(before, after, COUNT_BATCH_MAX).await;
            let page = page.map_err(|error| failure::installation("look for blobs to collect", error))?;
            let Some(last) = page.last() else { return Ok(found) };
            after = last.cursor;
            for blob in page {
                found.blobs += 1;
                found.bytes = found.bytes.saturating_add(blob.bytes);
            }
            // Reads run inline; others get their turn between two pages.
            tokio::task::yield_now().await;
        }
    }

    /// Whoever is told that a blob is there may push a manifest of it next without sending it: the grace period begins anew, if
    /// it has begun. Renewed at most once in [`RENEW_AFTER`], so that reading stays cheap.
    pub(crate) async fn promise_blob(
        &self,
        repository: RepositoryId,
        digest: &Digest,
    ) -> std::result::Result<(), MetaError> {
        let now = self.now();
        match self.meta().blob_waiting_since(repository, digest).await? {
            Some(since) if now.since(since) >= RENEW_AFTER => {
                self.meta().renew_blob(repository, digest, now).await
            }
            _ => Ok(()),
        }
    }

    async fn delete_collected(&self, objects: &[ObjectId]) {
        if !objects.is_empty() {
            self.dispose(objects).await;
        }
    }
}
