// SPDX-License-Identifier: MIT OR Apache-2.0
//! A content-addressed store of things that are expensive to make.
//!
//! ```text
//! ROOT/v1/BUCKET/KEY/     an entry: what was made, and `.contents.json`, its manifest
//! ROOT/v1/tmp/            entries being made, named after the lock that guards them
//! ROOT/v1/locks/          one file for each key that was ever locked
//! ROOT/v1/users/          one file for each running process: what it has asked for
//! ```
//!
//! A key is a hash of everything that went in ([`KeyHasher`]). An entry appears by a
//! rename, so it is whole or absent; it is compared with its manifest whenever it is
//! asked for, so what a disk or a person damaged is noticed, removed and made again.
//! Several processes may share a root: whoever claims an absent key makes it while the
//! others wait. What a process has asked for is not removed while it runs.

mod contents;
mod inventory;
mod key;
mod users;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use contents::Contents;
pub use inventory::{Item, Removal};
pub use key::{Key, KeyHasher};
use users::User;

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, utimensat};

use crate::lock::FileLock;

/// Version of the layout below the root; another version is another folder.
const LAYOUT: &str = "v1";
/// An entry's manifest.
const MANIFEST: &str = ".contents.json";

/// A kind of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// Folder name.
    pub name: &'static str,
    /// How its entries are checked when they are asked for.
    pub check: Check,
}

/// How an entry is compared with its manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// Size and digest of each file, and the files are made read-only.
    Digests,
    /// Number of files, folders and links, and bytes in all: for trees of many files.
    Counts,
}

/// Why the store could not serve.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file operation failed.
    #[error("the store {} fails: {source}\n  hint: check its permissions, or choose another folder with SWAPSTORM_CACHE", root.display())]
    Io {
        /// The store's root.
        root: PathBuf,
        /// What failed, with the path.
        source: io::Error,
    },
    /// The disk is full.
    #[error("no space left for the store {} ({free_mib} MiB free)\n  hint: free some space, or choose a folder on another disk with SWAPSTORM_CACHE", root.display())]
    Full {
        /// The store's root.
        root: PathBuf,
        /// What is left for us, in MiB.
        free_mib: u64,
    },
}

/// A store below one root folder.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
    user: Arc<Mutex<User>>,
}

/// A whole entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its key.
    pub key: Key,
    dir: PathBuf,
}

impl Entry {
    /// Where it lies. Read it, never write to it.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

/// The answer to [`Store::claim`].
#[derive(Debug)]
pub enum Claim {
    /// The store has it.
    Found(Entry),
    /// The caller is to make it.
    Absent(Slot),
}

/// A place to make an entry in. Nobody else makes the same one meanwhile; dropping the
/// slot unpublished removes what was made.
#[derive(Debug)]
pub struct Slot {
    store: Store,
    bucket: Bucket,
    key: Key,
    /// Empty once published.
    temporary: Option<PathBuf>,
    damage: Option<String>,
    _lock: FileLock,
}

enum Look {
    Whole(Entry),
    Damaged(String),
    Absent,
}

impl Store {
    /// Opens the store at `root`, creating it if need be, and removes what killed
    /// processes left half made.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let root = root.into();
        let root = std::path::absolute(&root).unwrap_or(root);
        let store = Self { root, user: Arc::default() };
        let prepare = || {
            fs_err::create_dir_all(store.path("tmp"))?;
            fs_err::create_dir_all(store.path("locks"))?;
            store.sweep()
        };
        prepare().map_err(|error| store.error(error))?;
        Ok(store)
    }

    /// The folder given to [`Store::open`], absolute.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path below the versioned root, for what callers keep beside the entries.
    pub fn path(&self, below: impl AsRef<Path>) -> PathBuf {
        self.root.join(LAYOUT).join(below)
    }

    /// Turns a failed file operation into the store's error; a full disk is told apart.
    pub fn error(&self, source: io::Error) -> StoreError {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => self.full(),
            _ => StoreError::Io { root: self.root.clone(), source },
        }
    }

    /// The error for a full disk, for callers whose tools ran into it.
    pub fn full(&self) -> StoreError {
        let free =
            rustix::fs::statvfs(&self.root).map_or(0, |fs| fs.f_bavail.saturating_mul(fs.f_frsize));
        StoreError::Full { root: self.root.clone(), free_mib: free >> 20 }
    }

    /// The entry, if the store has it whole. Damage counts as absence here:
    /// [`Store::claim`] sees to it.
    pub fn find(&self, bucket: Bucket, key: &Key) -> Result<Option<Entry>, StoreError> {
        match self.look(bucket, key).map_err(|error| self.error(error))? {
            Look::Whole(entry) => Ok(Some(entry)),
            Look::Damaged(_) | Look::Absent => Ok(None),
        }
    }

    /// Entries of a bucket, unchecked, in no order.
    pub fn list(&self, bucket: Bucket) -> Result<Vec<Entry>, StoreError> {
        let dir = self.path(bucket.name);
        if !dir.exists() {
            return Ok(Vec::new());
        }
        let read = || {
            let mut entries = Vec::new();
            for entry in fs_err::read_dir(&dir)? {
                let dir = entry?.path();
                let key = dir.file_name().and_then(|name| name.to_str()).and_then(Key::parse);
                entries.extend(key.map(|key| Entry { key, dir }));
            }
            Ok(entries)
        };
        read().map_err(|error| self.error(error))
    }

    /// The entry, or the task of making it. While another process makes it this waits,
    /// after one call of `waiting`.
    pub async fn claim(
        &self,
        bucket: Bucket,
        key: &Key,
        waiting: impl FnOnce(),
    ) -> Result<Claim, StoreError> {
        if let Look::Whole(entry) = self.look_aside(bucket, key).await? {
            return Ok(Claim::Found(entry));
        }
        let lock = self.lock(&guarded(bucket.name, key), waiting).await?;
        let damage = match self.look_aside(bucket, key).await? {
            Look::Whole(entry) => return Ok(Claim::Found(entry)),
            Look::Damaged(why) => Some(why),
            Look::Absent => None,
        };
        let temporary = self.path("tmp").join(guarded(bucket.name, key));
        let clear = || {
            remove_tree(&temporary)?;
            if damage.is_some() {
                // Out of the way at once; a kill while it is removed leaves only rubbish.
                fs_err::rename(self.entry_dir(bucket, key), &temporary)?;
                remove_tree(&temporary)?;
            }
            fs_err::create_dir(&temporary)
        };
        clear().map_err(|error| self.error(error))?;
        let (store, key, temporary) = (self.clone(), key.clone(), Some(temporary));
        Ok(Claim::Absent(Slot { store, bucket, key, temporary, damage, _lock: lock }))
    }

    /// The entry, copied from the store `other` if only that one has it. `None`: neither has it whole.
    ///
    /// # Errors
    /// Those of both stores; a copy that is not what was copied.
    pub async fn adopt(
        &self,
        bucket: Bucket,
        key: &Key,
        other: &Self,
    ) -> Result<Option<Entry>, StoreError> {
        let slot = match self.claim(bucket, key, || ()).await? {
            Claim::Found(entry) => return Ok(Some(entry)),
            Claim::Absent(slot) => slot,
        };
        let Look::Whole(entry) = other.look_aside(bucket, key).await? else { return Ok(None) };
        let copy = move || {
            let Entry { dir, .. } = entry;
            let expected = Contents::read(&dir.join(MANIFEST)).map_err(io::Error::other)?;
            copy_tree(&dir, slot.dir())?;
            slot.publish_now(Some(&expected))
        };
        let copied = tokio::task::spawn_blocking(copy).await.map_err(io::Error::other).flatten();
        copied.map(Some).map_err(|error| self.error(error))
    }

    /// Locks a name of the caller's own between processes. What lies in a folder `a` under a key
    /// and is guarded by `a-KEY` can be listed and removed as entries are.
    pub async fn lock(&self, name: &str, waiting: impl FnOnce()) -> Result<FileLock, StoreError> {
        self.uses(name).map_err(|error| self.error(error))?;
        let path = self.lock_path(name);
        FileLock::take(&path, waiting).await.map_err(|error| self.error(error))
    }

    /// Keeps others from removing what has that name while this process runs.
    fn uses(&self, name: &str) -> io::Result<()> {
        let mut user = self.user.lock().unwrap_or_else(PoisonError::into_inner);
        user.uses(&self.path("users"), name)
    }

    fn lock_path(&self, name: &str) -> PathBuf {
        self.path("locks").join(format!("{name}.lock"))
    }

    fn entry_dir(&self, bucket: Bucket, key: &Key) -> PathBuf {
        self.path(bucket.name).join(key.as_str())
    }

    /// [`Store::look`] on a thread that may block: digests of large files take their time.
    async fn look_aside(&self, bucket: Bucket, key: &Key) -> Result<Look, StoreError> {
        let (store, owned) = (self.clone(), key.clone());
        let look = tokio::task::spawn_blocking(move || store.look(bucket, &owned)).await;
        look.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(|error| self.error(error))
    }

    fn look(&self, bucket: Bucket, key: &Key) -> io::Result<Look> {
        match self.uses(&guarded(bucket.name, key)) {
            // Where we may not write we still may read.
            Err(error) if !is_read_only(&error) => return Err(error),
            _ => {}
        }
        let dir = self.entry_dir(bucket, key);
        match fs_err::symlink_metadata(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Look::Absent),
            Err(error) => return Err(error),
            Ok(_) => {}
        }
        let differs = match Contents::read(&dir.join(MANIFEST)) {
            Ok(contents) => contents.differs(&dir, bucket.check)?,
            Err(why) => Some(why),
        };
        Ok(match differs {
            None => {
                let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
                let times = Timestamps { last_access: now, last_modification: now };
                // Only a memory of when it was used last.
                let _ = utimensat(CWD, &dir, &times, AtFlags::empty());
                Look::Whole(Entry { key: key.clone(), dir })
            }
            Some(why) => Look::Damaged(why),
        })
    }

    /// Removes temporary folders whose lock nobody holds, and what ended processes said of
    /// themselves.
    fn sweep(&self) -> io::Result<()> {
        users::used(&self.path("users"))?;
        for entry in fs_err::read_dir(self.path("tmp"))? {
            let entry = entry?;
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
            if let Some(_lock) = FileLock::try_take(&self.lock_path(&name))? {
                remove_tree(&entry.path())?;
            }
        }
        Ok(())
    }
}

impl Slot {
    /// The folder to fill.
    pub fn dir(&self) -> &Path {
        self.temporary.as_deref().unwrap_or(Path::new(""))
    }

    /// What was wrong with the entry that was there before, if there was one.
    pub fn damage(&self) -> Option<&str> {
        self.damage.as_deref()
    }

    /// Writes the manifest and makes the entry visible.
    pub async fn publish(self) -> Result<Entry, StoreError> {
        let store = self.store.clone();
        let published = tokio::task::spawn_blocking(move || self.publish_now(None)).await;
        published
            .unwrap_or_else(|error| Err(io::Error::other(error)))
            .map_err(|error| store.error(error))
    }

    /// `expected`: what it has to hold.
    fn publish_now(mut self, expected: Option<&Contents>) -> io::Result<Entry> {
        let dir = self.store.entry_dir(self.bucket, &self.key);
        let Some(temporary) = &self.temporary else {
            return Err(io::Error::other("the slot was published before"));
        };
        // No fsync: what a power cut tears is found by the check and made again.
        let contents = Contents::of(temporary, self.bucket.check)?;
        if expected.is_some_and(|expected| *expected != contents) {
            let words = format!("{}: the copy is not what was copied", dir.display());
            return Err(io::Error::other(words));
        }
        contents.write(&temporary.join(MANIFEST))?;
        fs_err::create_dir_all(self.store.path(self.bucket.name))?;
        fs_err::rename(temporary, &dir)?;
        self.temporary = None;
        Ok(Entry { key: self.key.clone(), dir })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // What stays is swept when the store is opened next.
            let _ = remove_tree(temporary);
        }
    }
}

/// Name of the lock, and of the temporary folder, of an entry.
fn guarded(bucket: &str, key: &Key) -> String {
    format!("{bucket}-{key}")
}

fn is_read_only(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

/// Copies files and folders into the folder `to`, but for the manifest.
fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs_err::read_dir(from)? {
        let entry = entry?;
        let place = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs_err::create_dir(&place)?;
            copy_tree(&entry.path(), &place)?;
        } else if entry.file_name() != MANIFEST {
            fs_err::copy(entry.path(), place)?;
        }
    }
    Ok(())
}

/// Removes a file or a tree; its absence is fine.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    let removed = match fs_err::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs_err::remove_dir_all(path),
        Ok(_) => fs_err::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests;
