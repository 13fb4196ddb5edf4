//! The thread that writes.
//!
//! Making a commit durable costs the disk the same whether it holds one operation or a hundred. So while one commit is
//! under way the operations that arrive queue up, and the next commit takes all of them. Each runs in a savepoint of its
//! own: one that fails is undone and leaves its neighbours alone. Nobody is answered before the commit has returned, and if
//! it fails, everybody in it is told so, those whose operation was refused, too: the reason may have been a neighbour's
//! row that is not there now.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::tx::SqliteTx;
use crate::meta::MetaError;
use crate::meta::tx::backend;

/// Operations in one commit. Bounds how long the first of them waits for the last.
const OPERATIONS_PER_COMMIT_MAX: usize = 256;
/// Operations that wait for the thread; further callers wait before their operation is queued.
const QUEUE_OPERATIONS_MAX: usize = 1_024;

/// The thread has ended, by [`Writer::close`] or because it broke down.
#[derive(Debug, thiserror::Error)]
#[error("the metadata store is closed")]
struct Closed;

fn closed() -> MetaError {
    backend("write", Closed)
}

/// A handle on the thread. Dropping it waits for the thread to end.
#[derive(Debug)]
pub(super) struct Writer {
    queue: Option<mpsc::Sender<Message>>,
    thread: Option<JoinHandle<()>>,
}

enum Message {
    Operation(Box<dyn Operation>),
    Close(oneshot::Sender<Result<(), MetaError>>),
}

impl Writer {
    /// Starts the thread on a connection that nobody else writes to.
    pub(super) fn start(connection: Arc<Mutex<Connection>>) -> Result<Self, MetaError> {
        let (sender, receiver) = mpsc::channel(QUEUE_OPERATIONS_MAX);
        let thread = std::thread::Builder::new()
            .name("berth-meta".to_owned())
            .spawn(move || serve(&connection, receiver))
            .map_err(|error| backend("start the thread that writes", error))?;
        Ok(Self { queue: Some(sender), thread: Some(thread) })
    }

    /// Runs `operation` in a transaction and waits until that is committed. Should the caller stop waiting, the operation
    /// happens all the same.
    pub(super) async fn run<T, F>(&self, operation: F) -> Result<T, MetaError>
    where
        T: Send + 'static,
        F: FnOnce(&mut SqliteTx<'_>) -> Result<T, MetaError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let call = Call { operation: Some(operation), result: None, reply };
        self.send(Message::Operation(Box::new(call))).await?;
        answer.await.map_err(|_| closed())?
    }

    /// Ends the thread after what is queued, and clears the WAL away.
    pub(super) async fn close(&self) -> Result<(), MetaError> {
        let (reply, answer) = oneshot::channel();
        self.send(Message::Close(reply)).await?;
        answer.await.map_err(|_| closed())?
    }

    async fn send(&self, message: Message) -> Result<(), MetaError> {
        let queue = self.queue.as_ref().ok_or_else(closed)?;
        queue.send(message).await.map_err(|_| closed())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!("the thread that writes metadata has panicked");
        }
    }
}

/// An operation on its way through the thread.
trait Operation: Send {
    /// Runs it; returns whether its savepoint is to be kept.
    fn run(&mut self, tx: &mut SqliteTx<'_>) -> bool;
    /// Answers the caller: with the operation's own result, or with the failure of the commit.
    fn answer(self: Box<Self>, failure: Option<&Arc<rusqlite::Error>>);
}

struct Call<T, F> {
    operation: Option<F>,
    result: Option<Result<T, MetaError>>,
    reply: oneshot::Sender<Result<T, MetaError>>,
}

impl<T, F> Operation for Call<T, F>
where
    T: Send,
    F: FnOnce(&mut SqliteTx<'_>) -> Result<T, MetaError> + Send,
{
    fn run(&mut self, tx: &mut SqliteTx<'_>) -> bool {
        self.result = self.operation.take().map(|operation| operation(tx));
        matches!(self.result, Some(Ok(_)))
    }

    fn answer(self: Box<Self>, failure: Option<&Arc<rusqlite::Error>>) {
        let result = match failure {
            Some(error) => Err(backend("commit", Arc::clone(error))),
            None => self.result.unwrap_or_else(|| Err(closed())),
        };
        // A caller that has gone needs no answer.
        let _ = self.reply.send(result);
    }
}

fn serve(connection: &Mutex<Connection>, mut queue: mpsc::Receiver<Message>) {
    while let Some(message) = queue.blocking_recv() {
        let mut closing = None;
        let mut batch = Vec::new();
        // In a file this lock is always free; in memory it keeps readers out until the commit.
        let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
        match message {
            Message::Close(reply) => closing = Some(reply),
            Message::Operation(first) => {
                let outcome = commit(&mut connection, first, &mut batch, &mut closing, &mut queue);
                let failure = outcome.err().map(Arc::new);
                if let Some(error) = &failure {
                    tracing::error!(%error, operations = batch.len(), "metadata could not be committed");
                }
                for operation in batch {
                    operation.answer(failure.as_ref());
                }
            }
        }
        if let Some(reply) = closing {
            queue.close();
            let _ = reply.send(checkpoint(&connection));
            return;
        }
    }
}

/// Runs `first` and whatever else is queued, in one transaction. All of it is in `batch` afterwards, also when this fails.
fn commit(
    connection: &mut Connection,
    first: Box<dyn Operation>,
    batch: &mut Vec<Box<dyn Operation>>,
    closing: &mut Option<oneshot::Sender<Result<(), MetaError>>>,
    queue: &mut mpsc::Receiver<Message>,
) -> Result<(), rusqlite::Error> {
    let mut next = Some(first);
    let mut outcome = run(connection, "BEGIN IMMEDIATE");
    while let Some(mut operation) = next.take() {
        if outcome.is_ok() {
            outcome = run_one(connection, operation.as_mut());
        }
        batch.push(operation);
        // After a failure what is still queued belongs to the next transaction, which may fare better.
        if outcome.is_ok() && batch.len() < OPERATIONS_PER_COMMIT_MAX {
            match queue.try_recv() {
                Ok(Message::Operation(queued)) => next = Some(queued),
                Ok(Message::Close(reply)) => *closing = Some(reply),
                Err(_) => {}
            }
        }
    }
    let outcome = outcome.and_then(|()| run(connection, "COMMIT"));
    if outcome.is_err() && !connection.is_autocommit() {
        // Fails only if SQLite has rolled back by itself in the meantime.
        let _ = run(connection, "ROLLBACK");
    }
    outcome
}

fn run_one(connection: &mut Connection, operation: &mut dyn Operation) -> Result<(), rusqlite::Error> {
    run(connection, "SAVEPOINT operation")?;
    let keep = operation.run(&mut SqliteTx { connection });
    // A full disk, for one, makes SQLite roll everything back on its own. The release then fails: there is no savepoint.
    if !keep {
        run(connection, "ROLLBACK TO operation")?;
    }
    run(connection, "RELEASE operation")
}

fn run(connection: &Connection, sql: &str) -> Result<(), rusqlite::Error> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}

/// Moves what is in the WAL into the database. Without one (in memory) there is nothing to do.
fn checkpoint(connection: &Connection) -> Result<(), MetaError> {
    connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .map_err(|error| backend("clear the write-ahead log away", error))
}
