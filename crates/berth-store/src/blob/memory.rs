//! Objects in memory, for tests and for registries that are thrown away.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use crate::blob::{BlobError, BlobStore, ObjectId, ObjectReader, ObjectWriter, WriterState};

/// Objects in memory. They are gone when the last clone of the store is dropped.
#[derive(Clone, Debug, Default)]
pub struct MemoryBlobs {
    objects: Arc<Mutex<HashMap<ObjectId, Object>>>,
}

#[derive(Debug)]
struct Object {
    content: Content,
    /// Who may write to it: the last writer that was opened.
    session: u64,
}

#[derive(Debug)]
enum Content {
    Growing(Vec<u8>),
    Finished(Bytes),
}

impl MemoryBlobs {
    /// No objects.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What is stored as `object`, finished or not.
    #[must_use]
    pub fn bytes(&self, object: ObjectId) -> Option<Bytes> {
        self.lock().get(&object).map(|object| object.content.bytes())
    }

    /// Puts `bytes` in the place of `object`, as a finished object: for tests of damaged objects.
    pub fn replace(&self, object: ObjectId, bytes: Bytes) {
        self.lock().insert(object, Object { content: Content::Finished(bytes), session: 0 });
    }

    /// Names of all objects, finished or not, in order.
    #[must_use]
    pub fn objects(&self) -> Vec<ObjectId> {
        let mut names: Vec<_> = self.lock().keys().copied().collect();
        names.sort_unstable();
        names
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ObjectId, Object>> {
        // Every change is one step, so a panic elsewhere leaves nothing half done.
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Content {
    fn bytes(&self) -> Bytes {
        match self {
            Self::Growing(bytes) => Bytes::copy_from_slice(bytes),
            Self::Finished(bytes) => bytes.clone(),
        }
    }
}

#[async_trait]
impl BlobStore for MemoryBlobs {
    async fn create(&self, object: ObjectId) -> Result<Box<dyn ObjectWriter>, BlobError> {
        match self.lock().entry(object) {
            Entry::Occupied(_) => {
                Err(BlobError::Backend { action: "create", object, source: "the name is in use".into() })
            }
            Entry::Vacant(vacant) => {
                vacant.insert(Object { content: Content::Growing(Vec::new()), session: 0 });
                Ok(Box::new(MemoryWriter { store: self.clone(), object, session: 0 }))
            }
        }
    }

    async fn reopen(
        &self,
        object: ObjectId,
        state: &WriterState,
    ) -> Result<Box<dyn ObjectWriter>, BlobError> {
        let mut objects = self.lock();
        let found = objects.get_mut(&object).ok_or(BlobError::Missing(object))?;
        let Content::Growing(bytes) = &mut found.content else {
            let source = "the object is finished".into();
            return Err(BlobError::Backend { action: "reopen", object, source });
        };
        match usize::try_from(state.length) {
            Ok(length) if length <= bytes.len() => bytes.truncate(length),
            _ => return Err(BlobError::Missing(object)),
        }
        found.session += 1;
        Ok(Box::new(MemoryWriter { store: self.clone(), object, session: found.session }))
    }

    async fn open(&self, object: ObjectId) -> Result<Arc<dyn ObjectReader>, BlobError> {
        let bytes = self.bytes(object).ok_or(BlobError::Missing(object))?;
        Ok(Arc::new(MemoryReader { bytes }))
    }

    async fn delete(&self, object: ObjectId) -> Result<(), BlobError> {
        self.lock().remove(&object);
        Ok(())
    }

    async fn check(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Ok(())
    }
}

struct MemoryWriter {
    store: MemoryBlobs,
    object: ObjectId,
    session: u64,
}

impl MemoryWriter {
    fn with<T>(&self, action: &'static str, work: impl FnOnce(&mut Content) -> T) -> Result<T, BlobError> {
        let object = self.object;
        match self.store.lock().get_mut(&object) {
            Some(found) if found.session == self.session => Ok(work(&mut found.content)),
            Some(_) => {
                Err(BlobError::Backend { action, object, source: "another writer has taken over".into() })
            }
            None => Err(BlobError::Missing(object)),
        }
    }
}

#[async_trait]
impl ObjectWriter for MemoryWriter {
    async fn append(&mut self, data: Bytes) -> Result<(), BlobError> {
        self.with("append to", |content| match content {
            Content::Growing(bytes) => {
                bytes.extend_from_slice(&data);
                Ok(())
            }
            Content::Finished(_) => {
                let (action, source) = ("append to", "the object is finished".into());
                Err(BlobError::Backend { action, object: self.object, source })
            }
        })?
    }

    async fn flush(&mut self) -> Result<WriterState, BlobError> {
        self.with("flush", |content| {
            let length = match content {
                Content::Growing(bytes) => bytes.len(),
                Content::Finished(bytes) => bytes.len(),
            };
            WriterState { length: length as u64, backend: Vec::new() }
        })
    }

    async fn finish(&mut self) -> Result<(), BlobError> {
        self.with("finish", |content| {
            if let Content::Growing(bytes) = content {
                *content = Content::Finished(std::mem::take(bytes).into());
            }
        })
    }
}

#[derive(Debug)]
struct MemoryReader {
    bytes: Bytes,
}

#[async_trait]
impl ObjectReader for MemoryReader {
    fn length(&self) -> u64 {
        self.bytes.len() as u64
    }

    async fn read_at(&self, offset: u64, length: usize) -> Result<Bytes, BlobError> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.bytes.len());
        let end = start.saturating_add(length).min(self.bytes.len());
        Ok(self.bytes.slice(start..end))
    }
}
