//! The data directory of a registry: who holds it, and what is in it.
//!
//! ```text
//! berth.lock    held by the process that serves the directory; its text is that process's id
//! root.key      the root key, mode 0600: whoever has it can read everything
//! meta.sqlite   metadata (with -wal and -shm beside it while it is open)
//! blobs/        sealed objects
//! ```

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A data directory that this process holds until the value is dropped.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    _lock: File,
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataDirError {
    /// Another process serves it.
    #[error("data directory {path} is in use by another berth (process {pid})")]
    Held {
        /// Which.
        path: PathBuf,
        /// The process that holds it, as far as the lock file tells.
        pid: String,
    },
    /// It cannot be created, opened or locked.
    #[error("cannot use data directory {path}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl DataDir {
    /// Creates the directory (mode 0700) if it is not there, and takes its lock.
    pub(crate) fn hold(path: &Path) -> Result<Self, DataDirError> {
        let io = |source| DataDirError::Io { path: path.to_owned(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io)?;
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path.join("berth.lock"))
            .map_err(io)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                let mut pid = String::new();
                lock.read_to_string(&mut pid).map_err(io)?;
                return Err(DataDirError::Held { path: path.to_owned(), pid: pid.trim().to_owned() });
            }
            Err(fs::TryLockError::Error(error)) => return Err(io(error)),
        }
        lock.set_len(0).map_err(io)?;
        lock.rewind().map_err(io)?;
        writeln!(lock, "{}", std::process::id()).map_err(io)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn root_key(&self) -> PathBuf {
        self.path.join("root.key")
    }

    pub(crate) fn metadata(&self) -> PathBuf {
        self.path.join("meta.sqlite")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_told_who_the_first_is() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("data");
        let held = DataDir::hold(&path).unwrap();
        let error = DataDir::hold(&path).unwrap_err();
        assert!(
            matches!(&error, DataDirError::Held { pid, .. } if *pid == std::process::id().to_string()),
            "{error}"
        );
        drop(held);
        DataDir::hold(&path).unwrap();
    }
}
