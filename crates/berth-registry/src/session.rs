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

/// Sessions that something is kept for. A writer holds some file descriptor and up to 600 KiB.
const KEPT_SESSIONS_MAX: usize = 32;
/// How long something is kept.
const KEPT_SECONDS_MAX: Duration = Duration::from_secs(60);

/// The sessions of this process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sessions {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    claimed: HashSet<UploadId>,
    kept: HashMap<UploadId, (Timestamp, Kept)>,
}

/// What is kept of a session between two requests.
#[derive(Debug)]
pub(crate) struct Kept {
    /// A writer that stands where the session stands.
    pub(crate) writer: Option<BlobWriter>,
    /// The digest algorithm that the client announced.
    pub(crate) announced: Option<Algorithm>,
}

/// The right to write to a session, until it is dropped.
#[derive(Debug)]
pub(crate) struct Claim {
    sessions: Sessions,
    upload: UploadId,
}

impl Sessions {
    /// Claims a session, with what was kept of it; `None` if another request has it.
    pub(crate) fn claim(&self, upload: UploadId) -> Option<(Claim, Option<Kept>)> {
        let mut state = self.lock();
        if !state.claimed.insert(upload) {
            return None;
        }
        let kept = state.kept.remove(&upload).map(|(_, kept)| kept);
        Some((Claim { sessions: self.clone(), upload }, kept))
    }

    /// Keeps something for the session's next request; the longest kept makes room.
    pub(crate) fn keep(&self, upload: UploadId, kept: Kept, now: Timestamp) {
        let mut state = self.lock();
        let dropped = state.make_room(now);
        state.kept.insert(upload, (now, kept));
        drop(state);
        // Closing files is not for a critical section.
        drop(dropped);
    }

    /// Drops what was kept for too long.
    pub(crate) fn drop_idle(&self, now: Timestamp) {
        let dropped = self.lock().take_idle(now);
        drop(dropped);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take_idle(&mut self, now: Timestamp) -> Vec<(Timestamp, Kept)> {
        let idle = |since: Timestamp| now.since(since) > KEPT_SECONDS_MAX || since > now;
        self.kept.extract_if(|_, (since, _)| idle(*since)).map(|(_, kept)| kept).collect()
    }

    fn make_room(&mut self, now: Timestamp) -> Vec<(Timestamp, Kept)> {
        let mut dropped = self.take_idle(now);
        if self.kept.len() >= KEPT_SESSIONS_MAX {
            let longest = self.kept.iter().min_by_key(|(_, (since, _))| *since).map(|(upload, _)| *upload);
            dropped.extend(longest.and_then(|upload| self.kept.remove(&upload)));
        }
        dropped
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.sessions.lock().claimed.remove(&self.upload);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing() -> Kept {
        Kept { writer: None, announced: Some(Algorithm::Sha512) }
    }

    #[test]
    fn one_claim_at_a_time() {
        let (sessions, upload) = (Sessions::default(), UploadId::random());
        let (claim, _) = sessions.claim(upload).unwrap();
        assert!(sessions.claim(upload).is_none());
        assert!(sessions.claim(UploadId::random()).is_some(), "another session is free");
        drop(claim);
        assert!(sessions.claim(upload).is_some());
    }

    #[test]
    fn what_is_kept_is_bounded_in_number_and_in_time() {
        let sessions = Sessions::default();
        let uploads: Vec<_> = (0..=KEPT_SESSIONS_MAX).map(|_| UploadId::random()).collect();
        let at = |index: usize| Timestamp::from_millis(i64::try_from(index).unwrap());
        for (index, upload) in uploads.iter().enumerate() {
            sessions.keep(*upload, nothing(), at(index));
        }
        assert!(sessions.claim(uploads[0]).unwrap().1.is_none(), "the first made room");
        assert!(sessions.claim(uploads[1]).unwrap().1.is_some());
        sessions.drop_idle(at(2).plus(KEPT_SECONDS_MAX).plus(Duration::from_millis(1)));
        assert!(sessions.claim(uploads[2]).unwrap().1.is_none());
        assert!(sessions.claim(uploads[3]).unwrap().1.is_some());
    }
}
