// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the store holds, and its removal.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{Key, LAYOUT, Store, StoreError, guarded, remove_tree, users};
use crate::lock::FileLock;

/// Something in the store that can be removed as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The folder that holds things of its kind: `kernels`, `work`. For what another version
    /// of the layout left, that version: `v0`.
    pub kind: String,
    /// Its name there, a key. Empty for what another version left.
    pub key: String,
    /// Where it lies.
    pub path: PathBuf,
    /// What it takes on the disk. A file with several names counts for the first.
    pub bytes: u64,
    /// When it was last asked for, or was written to.
    pub used: SystemTime,
    /// True if a running process uses it.
    pub in_use: bool,
}

/// What became of something that was to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// It is gone, by us or by somebody else.
    Removed,
    /// It is in use, and stays.
    InUse,
}

impl Store {
    /// Everything that has a key, by kind and name, and what older versions of the layout left.
    /// Reads all folders: a thread that may block should do it.
    pub fn inventory(&self) -> Result<Vec<Item>, StoreError> {
        self.take_stock().map_err(|error| self.error(error))
    }

    fn take_stock(&self) -> io::Result<Vec<Item>> {
        let (used, mut items, mut seen) = (self.used()?, Vec::new(), HashSet::new());
        for version in folders(self.root())? {
            // Those of newer versions are none of our business.
            if is_older(&version) {
                let path = self.root().join(&version);
                let (bytes, used) = (size(&path, &mut seen)?, changed(&path)?);
                items.push(Item {
                    kind: version,
                    key: String::new(),
                    path,
                    bytes,
                    used,
                    in_use: false,
                });
            }
        }
        for kind in folders(&self.path(""))? {
            let dir = self.path(&kind);
            for name in folders(&dir)? {
                let Some(key) = Key::parse(&name) else { continue };
                let path = dir.join(&name);
                let in_use = self.is_in_use(&kind, &key, &used)?;
                // It may go while we look.
                let (Ok(bytes), Ok(used)) = (size(&path, &mut seen), changed(&path)) else {
                    continue;
                };
                items.push(Item { kind: kind.clone(), key: name, path, bytes, used, in_use });
            }
        }
        Ok(items)
    }

    /// Removes something, unless a running process uses it. Others who want it meanwhile wait,
    /// and then make it again.
    pub fn remove(&self, item: &Item) -> Result<Removal, StoreError> {
        let removal = match Key::parse(&item.key) {
            Some(key) => self.remove_key(&item.kind, &key),
            None if is_older(&item.kind) => {
                remove_tree(&self.root().join(&item.kind)).map(|()| Removal::Removed)
            }
            None => Ok(Removal::InUse),
        };
        removal.map_err(|error| self.error(error))
    }

    fn remove_key(&self, kind: &str, key: &Key) -> io::Result<Removal> {
        let name = guarded(kind, key);
        let Some(_lock) = FileLock::try_take(&self.lock_path(&name))? else {
            return Ok(Removal::InUse);
        };
        if self.used()?.contains(&name) {
            return Ok(Removal::InUse);
        }
        // Out of the way at once; a kill while it is removed leaves only rubbish, which is swept.
        let (path, aside) = (self.path(kind).join(key.as_str()), self.path("tmp").join(&name));
        remove_tree(&aside)?;
        match fs_err::rename(&path, &aside) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Removal::Removed),
            renamed => renamed?,
        }
        // Whoever said that he uses it before it went may have found it.
        if self.used()?.contains(&name) {
            fs_err::rename(&aside, &path)?;
            return Ok(Removal::InUse);
        }
        remove_tree(&aside)?;
        Ok(Removal::Removed)
    }

    fn used(&self) -> io::Result<BTreeSet<String>> {
        users::used(&self.path("users"))
    }

    fn is_in_use(&self, kind: &str, key: &Key, used: &BTreeSet<String>) -> io::Result<bool> {
        let name = guarded(kind, key);
        let lock = self.lock_path(&name);
        // Taking a lock makes its file, and looking should make nothing.
        let locked = lock.exists() && FileLock::try_take(&lock)?.is_none();
        Ok(locked || used.contains(&name))
    }
}

/// True for the folder of an older version of the layout.
fn is_older(name: &str) -> bool {
    let number = |name: &str| name.strip_prefix('v')?.parse::<u32>().ok();
    matches!((number(name), number(LAYOUT)), (Some(theirs), Some(ours)) if theirs < ours)
}

/// Names of the folders in a folder, in order.
fn folders(dir: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs_err::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            names.extend(entry.file_name().into_string());
        }
    }
    names.sort();
    Ok(names)
}

fn changed(path: &Path) -> io::Result<SystemTime> {
    fs_err::symlink_metadata(path)?.modified()
}

/// What a tree takes on the disk, but for files that were seen under another name.
fn size(dir: &Path, seen: &mut HashSet<(u64, u64)>) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs_err::read_dir(dir)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        if meta.is_dir() {
            bytes += size(&entry.path(), seen)?;
        } else if meta.nlink() == 1 || seen.insert((meta.dev(), meta.ino())) {
            bytes += meta.blocks() * 512;
        }
    }
    Ok(bytes)
}
