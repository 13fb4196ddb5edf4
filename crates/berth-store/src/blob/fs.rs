//! Objects as files.
//!
//! ```text
//! DIR/blobs/                                       mode 0700
//!     <domain, 32 hex digits>/                     one per encryption domain
//!         <first two digits of the object's id>/   256 of them at most, made when first needed
//!             <object's id, 32 hex digits>         mode 0600
//! ```
//!
//! A file is written under its final name; the metadata decides whether it counts. Nothing is read or walked when the
//! store is opened. One process uses a directory at a time, which the caller sees to (a lock file).

use std::collections::{HashMap, HashSet};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::blob::{BlobError, BlobStore, ObjectId, ObjectReader, ObjectWriter, WriterState};

/// What a writer keeps in memory before it writes, in bytes: a small object is written, synced and closed in one go.
const PENDING_BYTES_MAX: usize = 32 * 1024;
/// How much of a long file is written before the disk is told to begin, in bytes, so that the sync at its end is short.
const WRITE_BACK_BYTES: u64 = 16 * 1024 * 1024;
/// Long writes under way at a time.
const WRITES_MAX: usize = 16;
/// Up to this length a read is tried without another thread, in bytes: most often the page cache has it.
const INLINE_READ_BYTES_MAX: usize = 128 * 1024;

/// Objects as files below a directory.
#[derive(Clone, Debug)]
pub struct FsBlobs {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    /// Which run of the machine this is; empty if the system does not say.
    boot: Vec<u8>,
    /// Writers that may still write, to be stopped when their object is reopened or deleted.
    live: Mutex<HashMap<ObjectId, Weak<Slot>>>,
    /// How many long writes may be under way: the page cache takes no more at once, and each occupies a thread.
    writes: Arc<Semaphore>,
    /// Directories that are known to be there, and to survive a crash of the machine.
    directories: Mutex<HashSet<PathBuf>>,
}

/// The file that a writer writes to. Whoever changes the file holds the lock.
#[derive(Debug)]
struct Slot {
    store: Arc<Inner>,
    object: ObjectId,
    state: Mutex<SlotState>,
}

#[derive(Debug)]
struct SlotState {
    file: Option<Arc<File>>,
    length: u64,
    /// The object was deleted, or another writer has taken over.
    revoked: bool,
}

impl FsBlobs {
    /// Objects below `directory`/blobs, which is made if it is not there. `directory` must exist.
    ///
    /// # Errors
    /// If the directory cannot be made.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let root = directory.join("blobs");
        make_directory(&root)?;
        let boot = fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let (live, directories) = (Mutex::default(), Mutex::default());
        let writes = Arc::new(Semaphore::new(WRITES_MAX));
        Ok(Self { inner: Arc::new(Inner { root, boot, live, writes, directories }) })
    }
}

impl Inner {
    fn path(&self, object: ObjectId) -> PathBuf {
        let id = object.id.as_simple().to_string();
        let mut path = self.root.join(object.domain.0.as_simple().to_string());
        path.push(&id[..2]);
        path.push(id);
        path
    }

    /// Makes the file of a new object, with the directories above it.
    fn create_file(&self, object: ObjectId) -> io::Result<File> {
        let path = self.path(object);
        let shard = path.parent().unwrap_or(&self.root);
        let create = || OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        self.ensure_directories(shard)?;
        create().or_else(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                return Err(error);
            }
            // Somebody removed the directory behind our back.
            lock(&self.directories).clear();
            self.ensure_directories(shard)?;
            create()
        })
    }

    /// Makes a shard's directory and the one above it. An existing directory is synced once, too: the process that made
    /// it may have died before it came to that.
    fn ensure_directories(&self, shard: &Path) -> io::Result<()> {
        if lock(&self.directories).contains(shard) {
            return Ok(());
        }
        for directory in [shard.parent().unwrap_or(&self.root), shard] {
            if !lock(&self.directories).contains(directory) {
                make_directory(directory)?;
                lock(&self.directories).insert(directory.to_owned());
            }
        }
        Ok(())
    }

    /// A slot for a new writer of `object`. Earlier writers can do nothing from here on; one that is just writing is
    /// waited for.
    fn take_over(self: &Arc<Self>, object: ObjectId) -> Arc<Slot> {
        let state = Mutex::new(SlotState { file: None, length: 0, revoked: false });
        let slot = Arc::new(Slot { store: Arc::clone(self), object, state });
        let earlier = lock(&self.live).insert(object, Arc::downgrade(&slot));
        revoke(earlier);
        slot
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut live = lock(&self.store.live);
        if live.get(&self.object).is_some_and(|slot| slot.strong_count() == 0) {
            live.remove(&self.object);
        }
    }
}

fn revoke(slot: Option<Weak<Slot>>) {
    if let Some(slot) = slot.and_then(|slot| slot.upgrade()) {
        let mut state = lock(&slot.state);
        state.revoked = true;
        state.file = None;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What the locks of this module guard is changed in single steps.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes a directory that only the owner can enter, and makes it survive a crash of the machine.
fn make_directory(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_directory(parent),
        _ => sync_directory(Path::new(".")),
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn error(action: &'static str, object: ObjectId, source: io::Error) -> BlobError {
    match source.kind() {
        io::ErrorKind::NotFound => BlobError::Missing(object),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => BlobError::Full(object),
        _ => BlobError::Backend { action, object, source: source.into() },
    }
}

/// Runs `work` on a blocking thread.
async fn blocking<T: Send + 'static>(
    action: &'static str,
    object: ObjectId,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, BlobError> {
    match spawn_blocking(work).await {
        Ok(done) => done.map_err(|source| error(action, object, source)),
        Err(join) => Err(BlobError::Backend { action, object, source: join.into() }),
    }
}

#[async_trait]
impl BlobStore for FsBlobs {
    /// Touches nothing yet: the file is made when something is written.
    async fn create(&self, object: ObjectId) -> Result<Box<dyn ObjectWriter>, BlobError> {
        let slot = self.inner.take_over(object);
        Ok(Box::new(FsWriter::new(slot)))
    }

    async fn reopen(
        &self,
        object: ObjectId,
        state: &WriterState,
    ) -> Result<Box<dyn ObjectWriter>, BlobError> {
        let (inner, state) = (Arc::clone(&self.inner), state.clone());
        let slot = blocking("reopen", object, move || inner.reopen(object, &state)).await?;
        Ok(Box::new(FsWriter::new(slot)))
    }

    async fn open(&self, object: ObjectId) -> Result<Arc<dyn ObjectReader>, BlobError> {
        let path = self.inner.path(object);
        let open = move || {
            let file = File::open(path)?;
            let length = file.metadata()?.len();
            Ok((file, length))
        };
        let (file, length) = blocking("open", object, open).await?;
        Ok(Arc::new(FsReader { object, file: Arc::new(file), length }))
    }

    /// Does not wait for the disk: after a crash of the machine the file may be there again.
    async fn delete(&self, object: ObjectId) -> Result<(), BlobError> {
        let inner = Arc::clone(&self.inner);
        let removed = blocking("delete", object, move || {
            let earlier = lock(&inner.live).remove(&object);
            revoke(earlier);
            fs::remove_file(inner.path(object))
        });
        match removed.await {
            Err(BlobError::Missing(_)) => Ok(()),
            other => other,
        }
    }

    async fn check(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let path = self.inner.root.join(format!("check-{}", uuid::Uuid::new_v4().as_simple()));
        spawn_blocking(move || {
            let written = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)
                .and_then(|file| file.write_all_at(b"check", 0));
            let removed = fs::remove_file(&path);
            written.and(removed)
        })
        .await??;
        Ok(())
    }
}

impl Inner {
    fn reopen(self: &Arc<Self>, object: ObjectId, state: &WriterState) -> io::Result<Arc<Slot>> {
        // What was flushed is in the page cache, not on disk. When the machine has been restarted since, the file may
        // have its length and not its content.
        if state.length > 0 && state.backend != self.boot {
            return Err(io::ErrorKind::NotFound.into());
        }
        let slot = self.take_over(object);
        match OpenOptions::new().write(true).open(self.path(object)) {
            Ok(file) => {
                if file.metadata()?.len() < state.length {
                    return Err(io::ErrorKind::NotFound.into());
                }
                file.set_len(state.length)?;
                let mut opened = lock(&slot.state);
                (opened.file, opened.length) = (Some(Arc::new(file)), state.length);
            }
            // Nothing was written before the flush, so no file was made.
            Err(error) if error.kind() == io::ErrorKind::NotFound && state.length == 0 => {}
            Err(error) => return Err(error),
        }
        Ok(slot)
    }
}

struct FsWriter {
    slot: Arc<Slot>,
    pending: Vec<Bytes>,
    pending_bytes: usize,
    /// Length up to which the disk has been told to begin.
    write_back_from: u64,
    write_back: Option<JoinHandle<io::Result<()>>>,
}

impl FsWriter {
    fn new(slot: Arc<Slot>) -> Self {
        let write_back_from = lock(&slot.state).length;
        Self { slot, pending: Vec::new(), pending_bytes: 0, write_back_from, write_back: None }
    }

    /// Does `then` with the file, after writing what is pending. There is no file if nothing was ever written.
    async fn write<T: Send + 'static>(
        &mut self,
        action: &'static str,
        then: impl FnOnce(&Inner, Option<&Arc<File>>, u64) -> io::Result<T> + Send + 'static,
    ) -> Result<T, BlobError> {
        let (slot, pending) = (Arc::clone(&self.slot), std::mem::take(&mut self.pending));
        self.pending_bytes = 0;
        blocking(action, slot.object, move || {
            let mut state = lock(&slot.state);
            if state.revoked {
                return Err(io::Error::other("the object was deleted or another writer has taken over"));
            }
            let SlotState { file, length, .. } = &mut *state;
            for data in pending {
                if file.is_none() {
                    *file = Some(Arc::new(slot.store.create_file(slot.object)?));
                }
                if let Some(file) = file {
                    file.write_all_at(&data, *length)?;
                    *length += data.len() as u64;
                }
            }
            then(&slot.store, file.as_ref(), *length)
        })
        .await
    }

    /// Waits for the write-back that is under way. Its error must not get lost: the kernel reports it once only.
    async fn end_write_back(&mut self) -> Result<(), BlobError> {
        let object = self.slot.object;
        match self.write_back.take() {
            None => Ok(()),
            Some(running) => match running.await {
                Ok(done) => done.map_err(|source| error("write back", object, source)),
                Err(join) => Err(BlobError::Backend { action: "write back", object, source: join.into() }),
            },
        }
    }

    async fn begin_write_back(&mut self, file: Arc<File>, length: u64) -> Result<(), BlobError> {
        if self.write_back.as_ref().is_some_and(|running| !running.is_finished()) {
            return Ok(());
        }
        self.end_write_back().await?;
        self.write_back_from = length;
        self.write_back = Some(spawn_blocking(move || file.sync_data()));
        Ok(())
    }
}

#[async_trait]
impl ObjectWriter for FsWriter {
    async fn append(&mut self, data: Bytes) -> Result<(), BlobError> {
        self.pending_bytes += data.len();
        self.pending.push(data);
        if self.pending_bytes <= PENDING_BYTES_MAX {
            return Ok(());
        }
        let permit = Arc::clone(&self.slot.store.writes).acquire_owned().await;
        let written = self.write("append to", |_, file, length| Ok((file.cloned(), length))).await?;
        drop(permit);
        match written {
            (Some(file), length) if length - self.write_back_from >= WRITE_BACK_BYTES => {
                self.begin_write_back(file, length).await
            }
            _ => Ok(()),
        }
    }

    async fn flush(&mut self) -> Result<WriterState, BlobError> {
        self.end_write_back().await?;
        self.write("flush", |store, _, length| Ok(WriterState { length, backend: store.boot.clone() })).await
    }

    async fn finish(&mut self) -> Result<(), BlobError> {
        self.end_write_back().await?;
        let slot = Arc::clone(&self.slot);
        self.write("finish", move |store, file, _| {
            let file = match file {
                Some(file) => Arc::clone(file),
                None => Arc::new(store.create_file(slot.object)?),
            };
            file.sync_all()?;
            sync_directory(store.path(slot.object).parent().unwrap_or(&store.root))
        })
        .await
    }
}

#[derive(Debug)]
struct FsReader {
    object: ObjectId,
    file: Arc<File>,
    length: u64,
}

#[async_trait]
impl ObjectReader for FsReader {
    fn length(&self) -> u64 {
        self.length
    }

    async fn read_at(&self, offset: u64, length: usize) -> Result<Bytes, BlobError> {
        let length = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX).min(length);
        if length <= INLINE_READ_BYTES_MAX
            && let Some(bytes) = read_cached(&self.file, offset, length)
        {
            return Ok(bytes);
        }
        let file = Arc::clone(&self.file);
        blocking("read", self.object, move || {
            let mut bytes = vec![0; length];
            let mut filled = 0;
            while filled < length {
                match file.read_at(&mut bytes[filled..], offset + filled as u64) {
                    Ok(0) => break,
                    Ok(count) => filled += count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            bytes.truncate(filled);
            Ok(bytes.into())
        })
        .await
    }
}

/// Reads what the page cache has; `None` if it has not all of it, or the system cannot tell.
#[cfg(target_os = "linux")]
fn read_cached(file: &File, offset: u64, length: usize) -> Option<Bytes> {
    use rustix::io::{ReadWriteFlags, preadv2};

    let mut bytes = vec![0; length];
    let read = preadv2(file, &mut [io::IoSliceMut::new(&mut bytes)], offset, ReadWriteFlags::NOWAIT);
    (read == Ok(length)).then(|| bytes.into())
}

#[cfg(not(target_os = "linux"))]
fn read_cached(_: &File, _: u64, _: usize) -> Option<Bytes> {
    None
}
