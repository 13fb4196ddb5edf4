//! Connections that read, used where they are called.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;

use super::tx::SqliteTx;
use crate::meta::MetaError;

/// Some connections. A read takes one that is free, or waits its turn: reads are short, and there are as many connections
/// as threads that run at once.
#[derive(Debug)]
pub(super) struct Readers {
    connections: Vec<Arc<Mutex<Connection>>>,
}

thread_local! {
    /// Where this thread looks first, so that threads keep out of each other's way and find their pages in the cache.
    static FIRST: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed)
    };
}

impl Readers {
    /// At least one connection.
    pub(super) fn new(connections: Vec<Arc<Mutex<Connection>>>) -> Self {
        Self { connections }
    }

    /// Runs an operation that reads.
    pub(super) fn run<T>(
        &self,
        operation: impl FnOnce(&mut SqliteTx<'_>) -> Result<T, MetaError>,
    ) -> Result<T, MetaError> {
        let count = self.connections.len();
        let first = FIRST.with(|first| *first) % count;
        let free = (first..first + count).find_map(|slot| self.connections[slot % count].try_lock().ok());
        // A read that panicked has left nothing behind that matters: its statement is reset.
        let mut connection =
            free.unwrap_or_else(|| self.connections[first].lock().unwrap_or_else(PoisonError::into_inner));
        operation(&mut SqliteTx { connection: &mut connection })
    }
}
