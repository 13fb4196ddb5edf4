//! How many streams share the memory for buffers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::seal::SealError;
use crate::seal::format::Layout;

/// What the buffers of all writers together may hold, and those of all readers, in bytes, as long as one segment for each
/// is not more than that.
const BUFFERS_BYTES: usize = 48 * 1024 * 1024;
/// Length of a buffer when there is plenty of room, in bytes.
const BATCH_BYTES_MAX: usize = 512 * 1024;

/// The streams of one direction.
#[derive(Debug)]
pub(super) struct Load {
    streams: AtomicUsize,
    /// As many permits as there are cores: more threads that hash and seal would only cost memory.
    work: Arc<Semaphore>,
}

impl Default for Load {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { streams: AtomicUsize::new(0), work: Arc::new(Semaphore::new(cores)) }
    }
}

/// One stream's part, until it is dropped.
#[derive(Debug)]
pub(super) struct LoadShare(Arc<Load>);

impl LoadShare {
    pub(super) fn new(load: &Arc<Load>) -> Self {
        load.streams.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(load))
    }

    /// How many segments each of the `buffers` that this stream has under way may hold: at least one.
    pub(super) fn batch_segments(&self, layout: Layout, buffers: usize) -> usize {
        let streams = self.0.streams.load(Ordering::Relaxed).max(1);
        (BUFFERS_BYTES / (streams * buffers)).min(BATCH_BYTES_MAX).div_euclid(layout.segment_bytes()).max(1)
    }

    /// Does `work` on a blocking thread, as soon as a core is free for it.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, SealError> + Send + 'static,
    ) -> Result<JoinHandle<Result<T, SealError>>, SealError> {
        let permit = Arc::clone(&self.0.work).acquire_owned().await.map_err(|_| SealError::Interrupted)?;
        Ok(tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        }))
    }

    /// Whether there are so many streams that each should do with one buffer: they overlap with each other.
    pub(super) fn is_crowded(&self) -> bool {
        self.0.streams.load(Ordering::Relaxed) > CROWD
    }
}

/// More streams than this keep every core and the disk busy without overlap inside a stream.
const CROWD: usize = 64;

impl Drop for LoadShare {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_shrink_when_there_are_many_streams() {
        let load = Arc::<Load>::default();
        let first = LoadShare::new(&load);
        assert_eq!(first.batch_segments(Layout::DEFAULT, 3), 8);
        assert!(!first.is_crowded());
        let others: Vec<_> = (1..256).map(|_| LoadShare::new(&load)).collect();
        assert_eq!(first.batch_segments(Layout::DEFAULT, 3), 1);
        assert!(first.is_crowded());
        drop(others);
        assert_eq!(first.batch_segments(Layout::DEFAULT, 3), 8);
        assert!(!first.is_crowded());
    }
}
