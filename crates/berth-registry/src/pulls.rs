//! When images were pulled: remembered in memory, written in batches, never on the path of a request.
//!
//! A crash loses what was not written yet. ECR's `lastRecordedPullTime` is refreshed once in 24 hours, so nobody can
//! rely on more.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use berth_store::meta::RepositoryId;
use berth_types::{Digest, Timestamp};

use crate::context::Registry;
use crate::error::Result;
use crate::failure;

/// Images whose pulls are remembered between two flushes; of more, only the first ones are.
const PENDING_IMAGES_MAX: usize = 100_000;
/// Images in one transaction.
const BATCH_IMAGES_MAX: usize = 1_000;

/// Pulls that are not written yet.
#[derive(Debug, Default)]
pub(crate) struct Pulls {
    pending: Mutex<HashMap<(RepositoryId, Digest), Timestamp>>,
}

impl Pulls {
    /// Notes that an image was pulled.
    pub(crate) fn note(&self, repository: RepositoryId, digest: Digest, at: Timestamp) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let room = pending.len() < PENDING_IMAGES_MAX;
        match pending.get_mut(&(repository, digest)) {
            Some(last) => *last = at.max(*last),
            None if room => {
                pending.insert((repository, digest), at);
            }
            None => {}
        }
    }

    fn take(&self) -> Vec<(RepositoryId, Digest, Timestamp)> {
        let pending = std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        pending.into_iter().map(|((repository, digest), at)| (repository, digest, at)).collect()
    }
}

impl Registry {
    /// Writes when images were pulled since the last call; for a timer, and for the end of the process. Returns how many
    /// images that were.
    ///
    /// # Errors
    /// [`crate::Error::Internal`]; what was not written is kept for the next call.
    pub async fn flush_pulls(&self) -> Result<usize> {
        let pulls = self.pulls().take();
        let mut rest = pulls.as_slice();
        while !rest.is_empty() {
            let (batch, after) = rest.split_at(rest.len().min(BATCH_IMAGES_MAX));
            if let Err(error) = self.meta().record_pulls(batch).await {
                for (repository, digest, at) in rest {
                    self.pulls().note(*repository, *digest, *at);
                }
                return Err(failure::installation("record pull times", error));
            }
            rest = after;
        }
        Ok(pulls.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_pull_counts_whatever_the_clock_does() {
        let pulls = Pulls::default();
        let digest = Digest::sha256(b"x");
        for millis in [5, 9, 7] {
            pulls.note(RepositoryId(1), digest, Timestamp::from_millis(millis));
        }
        assert_eq!(pulls.take(), [(RepositoryId(1), digest, Timestamp::from_millis(9))]);
        assert!(pulls.take().is_empty());
    }
}
