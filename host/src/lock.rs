// SPDX-License-Identifier: MIT OR Apache-2.0
//! Exclusive locks between processes, on files that stay where they are.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// An exclusive lock, held until it is dropped or the process ends, however it ends.
///
/// The lock belongs to this value: a second one in the same process waits too. The file
/// is never removed, since a lock on a removed file excludes nobody.
#[derive(Debug)]
pub struct FileLock {
    file: File,
    shared: AtomicBool,
}

impl FileLock {
    /// Takes the lock if nobody holds it. Creates the file if need be.
    pub fn try_take(path: &Path) -> io::Result<Option<Self>> {
        let file = open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self::on(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(named(path, error)),
        }
    }

    /// The locked file once more: the lock is held until both are gone, also by a child that
    /// inherits this one.
    pub fn share(&self) -> io::Result<File> {
        let file = self.file.try_clone()?;
        self.shared.store(true, Ordering::Relaxed);
        Ok(file)
    }

    /// Whether the locked file is still the one at `path`: somebody who had the lock before may have put another one in its
    /// place, and then it excludes nobody.
    pub fn is_at(&self, path: &Path) -> io::Result<bool> {
        let (own, there) = (self.file.metadata()?, fs_err::metadata(path)?);
        Ok((own.dev(), own.ino()) == (there.dev(), there.ino()))
    }

    fn on(file: File) -> Self {
        Self { file, shared: AtomicBool::new(false) }
    }

    /// Takes the lock; when somebody else holds it, calls `waiting` once and waits.
    pub async fn take(path: &Path, waiting: impl FnOnce()) -> io::Result<Self> {
        if let Some(lock) = Self::try_take(path)? {
            return Ok(lock);
        }
        waiting();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let owned = PathBuf::from(path);
        // A thread of its own: the runtime would wait for one of its blocking threads
        // at shutdown, and an interrupted swapstorm must not wait for the other one.
        std::thread::spawn(move || {
            let taken = open(&owned)
                .and_then(|file| file.lock().map(|()| file).map_err(|e| named(&owned, e)));
            // If nobody waits any more the lock is dropped here.
            let _ = sender.send(taken.map(Self::on));
        });
        receiver.await.unwrap_or_else(|_| Err(io::Error::other("the locking thread ended")))
    }
}

/// Lets go of it at once. Closing the file alone would leave it to whoever was forked meanwhile and has not come to its exec.
impl Drop for FileLock {
    fn drop(&mut self) {
        if !self.shared.load(Ordering::Relaxed) {
            // A lock that cannot be let go of ends with its file.
            let _ = self.file.unlock();
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    let file = fs_err::OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
    Ok(file.into_file())
}

fn named(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot lock {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_let_go_is_free_though_a_fork_has_the_file_and_what_is_shared_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let take = || FileLock::try_take(&path).unwrap();
        let lock = take().unwrap();
        // As a child of another thread has it until its exec.
        let forked = lock.file.try_clone().unwrap();
        drop(lock);
        let lock = take().expect("it was let go");
        drop(forked);
        let shared = lock.share().unwrap();
        drop(lock);
        assert!(take().is_none(), "somebody holds it on purpose");
        drop(shared);
        assert!(take().is_some());
    }

    #[test]
    fn a_lock_on_a_file_that_was_replaced_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("file"), dir.path().join("other"));
        let lock = FileLock::try_take(&path).unwrap().unwrap();
        assert!(lock.is_at(&path).unwrap());
        std::fs::write(&other, "new").unwrap();
        std::fs::rename(&other, &path).unwrap();
        assert!(!lock.is_at(&path).unwrap());
        // The other file's lock is free.
        assert!(FileLock::try_take(&path).unwrap().is_some_and(|lock| lock.is_at(&path).unwrap()));
    }

    #[tokio::test]
    async fn a_second_taker_is_told_and_gets_the_lock_when_the_first_lets_go() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = FileLock::take(&path, || panic!("nobody holds it")).await.unwrap();
        assert!(FileLock::try_take(&path).unwrap().is_none());
        let mut held = Some(first);
        let mut told = false;
        // The first lock is let go from within the announcement: no timing involved.
        let second = FileLock::take(&path, || {
            told = true;
            held.take();
        });
        second.await.unwrap();
        assert!(told);
    }
}
