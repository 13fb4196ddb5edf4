//! Who is writing to which upload session, and writers that are kept open between two requests.
//!
//! A [`Claim`] makes sure that one session is written by one request at a time in this process; between processes, the
//! metadata store's check of the expected length does. A kept writer only saves the work of resuming from the checkpoint:
//! what was acknowledged is durable without it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use berth_store::seal::BlobWriter;
use berth_types::{Algorithm, Timestamp, UploadId};
use tokio::sync::Notify;

/// Writers kept open. Each holds a file descriptor and up to 600 KiB.
const WRITERS_KEPT_MAX: usize = 32;
/// Sessions that were started here and got no byte yet, of which that is remembered.
const STARTED_KEPT_MAX: usize = 4_096;
/// How long something is kept.
const KEPT_SECONDS_MAX: Duration = Duration::from_secs(60);

/// How long a request waits for another to leave the session. A client that lost its connection is back at once, when the
/// request before may still be about to notice.
const CLAIM_WAIT_MAX: Duration = Duration::from_millis(250);

/// The sessions of this process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sessions {
    state: Arc<Mutex<State>>,
    released: Arc<Notify>,
}

#[derive(Debug)]
struct State {
    claimed: HashSet<UploadId>,
    started: Recent<Option<Algorithm>>,
    writers: Recent<(Box<BlobWriter>, SavedState)>,
}

impl Default for State {
    fn default() -> Self {
        let (started, writers) = (Recent::new(STARTED_KEPT_MAX), Recent::new(WRITERS_KEPT_MAX));
        Self { claimed: HashSet::new(), started, writers }
    }
}

/// What is kept of a session between two requests.
#[derive(Debug)]
pub(crate) enum Kept {
    /// It was started here and nothing was ever written to it, so its object does not exist; and the digest algorithm that
    /// the client announced.
    Started(Option<Algorithm>),
    /// A writer, and the saved state at which it stands. If the session has another one by now, another process has
    /// written to it.
    Writer(Box<BlobWriter>, SavedState),
}

/// Tells one saved state of a writer from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SavedState([u8; 16]);

impl SavedState {
    /// A checkpoint ends in the tag of its authenticated encryption under a random nonce: no two have the same.
    pub(crate) fn of(checkpoint: &[u8]) -> Option<Self> {
        checkpoint.last_chunk().copied().map(Self)
    }
}

/// The right to write to a session, until it is dropped.
#[derive(Debug)]
pub(crate) struct Claim {
    sessions: Sessions,
    upload: UploadId,
}

impl Sessions {
    /// Claims a session, with what was kept of it; `None` if another request has it, and does not leave it soon.
    pub(crate) async fn claim(&self, upload: UploadId) -> Option<(Claim, Option<Kept>)> {
        if let Some(claimed) = self.try_claim(upload) {
            return Some(claimed);
        }
        let wait = async {
            loop {
                let released = self.released.notified();
                if let Some(claimed) = self.try_claim(upload) {
                    return claimed;
                }
                released.await;
            }
        };
        tokio::time::timeout(CLAIM_WAIT_MAX, wait).await.ok()
    }

    fn try_claim(&self, upload: UploadId) -> Option<(Claim, Option<Kept>)> {
        let mut state = self.lock();
        if !state.claimed.insert(upload) {
            return None;
        }
        let started = state.started.take(upload).map(Kept::Started);
        let kept = started.or_else(|| {
            let kept = state.writers.take(upload);
            kept.map(|(writer, saved)| Kept::Writer(writer, saved))
        });
        Some((Claim { sessions: self.clone(), upload }, kept))
    }

    /// Keeps something for the session's next request; the longest kept makes room.
    pub(crate) fn keep(&self, upload: UploadId, kept: Kept, now: Timestamp) {
        let mut state = self.lock();
        let dropped = match kept {
            Kept::Started(announced) => {
                state.started.put(upload, announced, now);
                Vec::new()
            }
            Kept::Writer(writer, saved) => state.writers.put(upload, (writer, saved), now),
        };
        drop(state);
        // Closing files is not for a critical section.
        drop(dropped);
    }

    /// Drops what was kept for too long.
    pub(crate) fn drop_idle(&self, now: Timestamp) {
        let mut state = self.lock();
        state.started.take_idle(now);
        let dropped = state.writers.take_idle(now);
        drop(state);
        drop(dropped);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Something for some sessions, for a while.
#[derive(Debug)]
struct Recent<T> {
    entries: HashMap<UploadId, (Timestamp, T)>,
    max: usize,
}

impl<T> Recent<T> {
    fn new(max: usize) -> Self {
        Self { entries: HashMap::new(), max }
    }

    fn take(&mut self, upload: UploadId) -> Option<T> {
        self.entries.remove(&upload).map(|(_, kept)| kept)
    }

    /// Returns what had to make room.
    fn put(&mut self, upload: UploadId, kept: T, now: Timestamp) -> Vec<T> {
        let mut dropped = Vec::new();
        if self.entries.len() >= self.max {
            dropped = self.take_idle(now);
        }
        if self.entries.len() >= self.max {
            let longest = self.entries.iter().min_by_key(|(_, (since, _))| *since).map(|(upload, _)| *upload);
            dropped.extend(longest.and_then(|upload| self.take(upload)));
        }
        self.entries.insert(upload, (now, kept));
        dropped
    }

    fn take_idle(&mut self, now: Timestamp) -> Vec<T> {
        let idle = |since: Timestamp| now.since(since) > KEPT_SECONDS_MAX || since > now;
        self.entries.extract_if(|_, (since, _)| idle(*since)).map(|(_, (_, kept))| kept).collect()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.sessions.lock().claimed.remove(&self.upload);
        self.sessions.released.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_claim_at_a_time() {
        let (sessions, upload) = (Sessions::default(), UploadId::random());
        let (claim, _) = sessions.claim(upload).await.unwrap();
        assert!(sessions.claim(upload).await.is_none());
        assert!(sessions.claim(UploadId::random()).await.is_some(), "another session is free");
        let (next, ()) = tokio::join!(sessions.claim(upload), async { drop(claim) });
        assert!(next.is_some(), "it waits for the one before");
    }

    #[test]
    fn what_is_kept_is_bounded_in_number_and_in_time() {
        let mut recent = Recent::new(3);
        let uploads: Vec<_> = (0..4).map(|_| UploadId::random()).collect();
        let at = |index: usize| Timestamp::from_millis(i64::try_from(index).unwrap());
        for (index, upload) in uploads.iter().enumerate() {
            let dropped = recent.put(*upload, index, at(index));
            assert_eq!(dropped, if index == 3 { vec![0] } else { vec![] }, "the first makes room");
        }
        assert_eq!(recent.take(uploads[0]), None);
        assert_eq!(recent.take(uploads[2]), Some(2));
        let mut idle = recent.take_idle(at(2).plus(KEPT_SECONDS_MAX));
        assert_eq!((idle.pop(), recent.take(uploads[3])), (Some(1), Some(3)));
        recent.put(uploads[0], 9, at(1_000));
        assert_eq!(recent.take_idle(at(0)), [9], "the clock went back");
    }
}
