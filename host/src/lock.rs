// SPDX-License-Identifier: MIT OR Apache-2.0
//! Exclusive locks between processes, on files that stay where they are.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// An exclusive lock, held until it is dropped or the process ends, however it ends.
///
/// The lock belongs to this value: a second one in the same process waits too. The file
/// is never removed, since a lock on a removed file excludes nobody.
#[derive(Debug)]
pub struct FileLock {
    _file: File,
}

impl FileLock {
    /// Takes the lock if nobody holds it. Creates the file if need be.
    pub fn try_take(path: &Path) -> io::Result<Option<Self>> {
        let file = open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(named(path, error)),
        }
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
            let _ = sender.send(taken.map(|file| Self { _file: file }));
        });
        receiver.await.unwrap_or_else(|_| Err(io::Error::other("the locking thread ended")))
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
