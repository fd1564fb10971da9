//! Locks between processes, which the kernel releases when their holder dies.
//!
//! std opens every file close-on-exec, so the server that is started under a lock does not inherit it.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use crate::error::{Error, Step};

#[derive(Debug)]
pub(crate) struct LockFile {
    file: File,
    path: PathBuf,
}

impl LockFile {
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).custom_flags(OFlag::O_NOFOLLOW.bits());
        let file = options.open(path).step(|| format!("open the lock {}", path.display()))?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Waits for its turn, which lasts as long as the answer lives.
    pub(crate) fn exclusive(&self) -> Result<Turn<'_>, Error> {
        self.file.lock().step(|| self.named("lock"))?;
        Ok(Turn(&self.file))
    }

    pub(crate) fn share(&self) -> Result<(), Error> {
        self.file.lock_shared().step(|| self.named("share the lock"))
    }

    /// Unlocking, unlike closing, also counts when a child forked this instant still holds a copy of the descriptor.
    pub(crate) fn release(&self) -> Result<(), Error> {
        self.file.unlock().step(|| self.named("release the lock"))
    }

    /// Whether nobody shares it. Ask in one's turn, and after releasing one's own.
    pub(crate) fn is_unused(&self) -> Result<bool, Error> {
        match self.file.try_lock() {
            Ok(()) => self.release().map(|()| true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error).step(|| self.named("try the lock")),
        }
    }

    fn named(&self, deed: &str) -> String {
        format!("{deed} {}", self.path.display())
    }
}

#[must_use]
pub(crate) struct Turn<'a>(&'a File);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            tracing::warn!(%error, "release a lock");
        }
    }
}
