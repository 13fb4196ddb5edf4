//! A store around another that fails, waits, loses answers and crashes on demand, for tests of what stands above it.
//!
//! ```
//! # use std::sync::Arc;
//! # use berth_store::blob::{fault::{Call, Fault, FaultyBlobs}, memory::MemoryBlobs, BlobStore as _, DomainId, ObjectId};
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let store = FaultyBlobs::new(Arc::new(MemoryBlobs::new()));
//! store.inject(Call::Finish, 0, Fault::LoseReply); // the next `finish` works, and answers with an error
//! # let object = ObjectId::random(DomainId(uuid::Uuid::nil()));
//! let mut writer = store.create(object).await.unwrap();
//! assert!(writer.finish().await.is_err());
//! assert!(store.open(object).await.is_ok());
//! # });
//! ```

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{RwLock, Semaphore};

use crate::blob::{BlobError, BlobStore, ObjectId, ObjectReader, ObjectWriter, WriterState};

/// A kind of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// [`BlobStore::create`].
    Create,
    /// [`BlobStore::reopen`].
    Reopen,
    /// [`ObjectWriter::append`].
    Append,
    /// [`ObjectWriter::flush`].
    Flush,
    /// [`ObjectWriter::finish`].
    Finish,
    /// [`BlobStore::open`].
    Open,
    /// [`ObjectReader::read_at`].
    Read,
    /// [`BlobStore::delete`].
    Delete,
    /// [`BlobStore::check`].
    Check,
}

/// What goes wrong with a call.
#[derive(Clone, Debug)]
pub enum Fault {
    /// It does nothing and answers [`BlobError::Backend`].
    Fail,
    /// It does nothing and answers [`BlobError::Full`].
    Full,
    /// It does what it should and answers [`BlobError::Backend`].
    LoseReply,
    /// It waits until the gate is opened, then works.
    Wait(Arc<Gate>),
}

/// Where a call waits until the test lets it pass.
#[derive(Debug)]
pub struct Gate {
    arrived: Semaphore,
    open: Semaphore,
}

impl Gate {
    /// A closed gate.
    #[must_use]
    pub fn closed() -> Arc<Self> {
        Arc::new(Self { arrived: Semaphore::new(0), open: Semaphore::new(0) })
    }

    /// Waits until a call stands at the gate.
    pub async fn arrival(&self) {
        take(&self.arrived).await;
    }

    /// Lets one call pass, whether it is there already or not.
    pub fn open(&self) {
        self.open.add_permits(1);
    }

    async fn pass(&self) {
        self.arrived.add_permits(1);
        take(&self.open).await;
    }
}

async fn take(semaphore: &Semaphore) {
    // These semaphores are never closed, so there is always a permit in the end.
    if let Ok(permit) = semaphore.acquire().await {
        permit.forget();
    }
}

/// What crashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process: what was not flushed is lost.
    Process,
    /// The machine: what was not finished is lost.
    Machine,
}

/// A store around another, with faults.
#[derive(Clone, Debug)]
pub struct FaultyBlobs {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Arc<dyn BlobStore>,
    plans: Mutex<Vec<Plan>>,
    calls: Mutex<HashMap<Call, usize>>,
    unfinished: Mutex<HashMap<ObjectId, Option<WriterState>>>,
    /// Number of crashes. Calls hold it for reading, so that a crash comes between calls, not within one.
    life: RwLock<u64>,
}

#[derive(Debug)]
struct Plan {
    call: Call,
    after: usize,
    fault: Fault,
}

impl FaultyBlobs {
    /// `store`, without faults so far.
    #[must_use]
    pub fn new(store: Arc<dyn BlobStore>) -> Self {
        let (plans, calls, unfinished) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { inner: Arc::new(Inner { store, plans, calls, unfinished, life: RwLock::new(0) }) }
    }

    /// Lets `fault` happen to the call of this kind that comes after `after` others; 0 is the next one.
    pub fn inject(&self, call: Call, after: usize, fault: Fault) {
        lock(&self.inner.plans).push(Plan { call, after, fault });
    }

    /// Faults that have not happened yet: a test that expects them all ends by checking that this is 0.
    #[must_use]
    pub fn pending(&self) -> usize {
        lock(&self.inner.plans).len()
    }

    /// How many calls of a kind there were, those with faults included.
    #[must_use]
    pub fn calls(&self, call: Call) -> usize {
        lock(&self.inner.calls).get(&call).copied().unwrap_or(0)
    }

    /// Crashes: all writers and readers are dead, and what the contract does not promise to survive is gone. The store
    /// itself goes on, as a new process would find it.
    ///
    /// # Errors
    /// If the store around which this one stands fails.
    pub async fn crash(&self, crash: Crash) -> Result<(), BlobError> {
        let mut life = self.inner.life.write().await;
        *life += 1;
        let unfinished: Vec<_> = lock(&self.inner.unfinished).drain().collect();
        for (object, flushed) in unfinished {
            match (crash, flushed) {
                (Crash::Process, Some(state)) => {
                    // Reopening drops what was written after the flush.
                    drop(self.inner.store.reopen(object, &state).await?);
                    lock(&self.inner.unfinished).insert(object, Some(state));
                }
                _ => self.inner.store.delete(object).await?,
            }
        }
        Ok(())
    }
}

impl Inner {
    /// Whether a reply is to be lost, or the call's failure.
    async fn fault(&self, call: Call, object: ObjectId) -> Result<bool, BlobError> {
        *lock(&self.calls).entry(call).or_default() += 1;
        let due = {
            let mut plans = lock(&self.plans);
            let due = plans.iter().position(|plan| plan.call == call && plan.after == 0);
            for plan in plans.iter_mut().filter(|plan| plan.call == call && plan.after > 0) {
                plan.after -= 1;
            }
            due.map(|at| plans.remove(at).fault)
        };
        match due {
            None => Ok(false),
            Some(Fault::Fail) => Err(injected(call, object)),
            Some(Fault::Full) => Err(BlobError::Full(object)),
            Some(Fault::LoseReply) => Ok(true),
            Some(Fault::Wait(gate)) => {
                gate.pass().await;
                Ok(false)
            }
        }
    }
}

fn injected(call: Call, object: ObjectId) -> BlobError {
    BlobError::Backend { action: "work with", object, source: format!("injected fault in {call:?}").into() }
}

fn crashed(object: ObjectId) -> BlobError {
    BlobError::Backend { action: "work with", object, source: "injected crash".into() }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers with `done`, unless the reply is to be lost.
fn reply<T>(call: Call, object: ObjectId, lose: bool, done: T) -> Result<T, BlobError> {
    if lose { Err(injected(call, object)) } else { Ok(done) }
}

#[async_trait]
impl BlobStore for FaultyBlobs {
    async fn create(&self, object: ObjectId) -> Result<Box<dyn ObjectWriter>, BlobError> {
        let lose = self.inner.fault(Call::Create, object).await?;
        let life = self.inner.life.read().await;
        let inner = self.inner.store.create(object).await?;
        lock(&self.inner.unfinished).insert(object, None);
        let writer =
            FaultyWriter { store: Arc::clone(&self.inner), inner, object, life: *life, failed: false };
        reply(Call::Create, object, lose, Box::new(writer))
    }

    async fn reopen(
        &self,
        object: ObjectId,
        state: &WriterState,
    ) -> Result<Box<dyn ObjectWriter>, BlobError> {
        let lose = self.inner.fault(Call::Reopen, object).await?;
        let life = self.inner.life.read().await;
        let inner = self.inner.store.reopen(object, state).await?;
        lock(&self.inner.unfinished).insert(object, Some(state.clone()));
        let writer =
            FaultyWriter { store: Arc::clone(&self.inner), inner, object, life: *life, failed: false };
        reply(Call::Reopen, object, lose, Box::new(writer))
    }

    async fn open(&self, object: ObjectId) -> Result<Arc<dyn ObjectReader>, BlobError> {
        let lose = self.inner.fault(Call::Open, object).await?;
        let life = self.inner.life.read().await;
        let inner = self.inner.store.open(object).await?;
        let reader = FaultyReader { store: Arc::clone(&self.inner), inner, object, life: *life };
        reply(Call::Open, object, lose, Arc::new(reader))
    }

    async fn delete(&self, object: ObjectId) -> Result<(), BlobError> {
        let lose = self.inner.fault(Call::Delete, object).await?;
        let _life = self.inner.life.read().await;
        self.inner.store.delete(object).await?;
        lock(&self.inner.unfinished).remove(&object);
        reply(Call::Delete, object, lose, ())
    }

    async fn check(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let nobody = ObjectId { domain: super::DomainId(uuid::Uuid::nil()), id: uuid::Uuid::nil() };
        let lose = self.inner.fault(Call::Check, nobody).await?;
        self.inner.store.check().await?;
        Ok(reply(Call::Check, nobody, lose, ())?)
    }
}

struct FaultyWriter {
    store: Arc<Inner>,
    inner: Box<dyn ObjectWriter>,
    object: ObjectId,
    life: u64,
    /// After an error a writer is of no further use; this one makes sure of it.
    failed: bool,
}

impl FaultyWriter {
    /// What every call does first. The answer is whether to lose the reply.
    async fn enter(&mut self, call: Call) -> Result<bool, BlobError> {
        if self.failed {
            return Err(injected(call, self.object));
        }
        self.failed = true;
        self.store.fault(call, self.object).await
    }
}

#[async_trait]
impl ObjectWriter for FaultyWriter {
    async fn append(&mut self, data: Bytes) -> Result<(), BlobError> {
        let lose = self.enter(Call::Append).await?;
        let life = self.store.life.read().await;
        if *life != self.life {
            return Err(crashed(self.object));
        }
        self.inner.append(data).await?;
        self.failed = lose;
        reply(Call::Append, self.object, lose, ())
    }

    async fn flush(&mut self) -> Result<WriterState, BlobError> {
        let lose = self.enter(Call::Flush).await?;
        let life = self.store.life.read().await;
        if *life != self.life {
            return Err(crashed(self.object));
        }
        let state = self.inner.flush().await?;
        lock(&self.store.unfinished).insert(self.object, Some(state.clone()));
        self.failed = lose;
        reply(Call::Flush, self.object, lose, state)
    }

    async fn finish(&mut self) -> Result<(), BlobError> {
        let lose = self.enter(Call::Finish).await?;
        let life = self.store.life.read().await;
        if *life != self.life {
            return Err(crashed(self.object));
        }
        self.inner.finish().await?;
        lock(&self.store.unfinished).remove(&self.object);
        reply(Call::Finish, self.object, lose, ())
    }
}

#[derive(Debug)]
struct FaultyReader {
    store: Arc<Inner>,
    inner: Arc<dyn ObjectReader>,
    object: ObjectId,
    life: u64,
}

#[async_trait]
impl ObjectReader for FaultyReader {
    fn length(&self) -> u64 {
        self.inner.length()
    }

    async fn read_at(&self, offset: u64, length: usize) -> Result<Bytes, BlobError> {
        let lose = self.store.fault(Call::Read, self.object).await?;
        let life = self.store.life.read().await;
        if *life != self.life {
            return Err(crashed(self.object));
        }
        let bytes = self.inner.read_at(offset, length).await?;
        reply(Call::Read, self.object, lose, bytes)
    }
}
