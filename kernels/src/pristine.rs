// SPDX-License-Identifier: MIT OR Apache-2.0
//! The trees that work trees are made from.

use std::io;
use std::path::{Path, PathBuf};

use host::process::{Command, ProcessError};
use host::store::Store;

use crate::error::{KernelError, SourceError};
use crate::listing::{Listing, fingerprint};

/// A kernel source without any series.
#[derive(Debug)]
pub(crate) struct Pristine {
    /// Where it lies. It is only read.
    pub(crate) dir: PathBuf,
    /// Its files, if a work tree of it may have been made from another state.
    pub(crate) listing: Option<Listing>,
    /// True if it is the store's own and never changes: files may be hard links to it.
    pub(crate) kept: bool,
}

impl Pristine {
    /// Where a file of it lies; `None` if it has no such file.
    pub(crate) fn file(&self, path: &str) -> Option<PathBuf> {
        let there = self.listing.as_ref().is_none_or(|listing| listing.get(path).is_some());
        there.then(|| self.dir.join(path))
    }

    /// True if `copy` is what the listing says of the file at `path`. A tree that is not
    /// ours may change while we read it.
    pub(crate) fn matches(&self, path: &str, copy: &Path) -> io::Result<bool> {
        match &self.listing {
            Some(listing) if !self.kept => Ok(fingerprint(copy)?.as_deref() == listing.get(path)),
            _ => Ok(true),
        }
    }

    /// The error if it did change.
    pub(crate) fn changed(&self) -> KernelError {
        SourceError::Changed { dir: self.dir.clone() }.into()
    }

    /// Makes the new folder `to` a tree of the same files: hard links if it is the store's,
    /// and copies if it is somebody else's.
    pub(crate) async fn copy_to(&self, to: &Path, store: &Store) -> Result<(), KernelError> {
        if self.kept {
            let copy = Command::new("cp").args(["-alT", "--"]).arg(&self.dir).arg(to);
            return match copy.env("LC_ALL", "C").success().await {
                Ok(_) => Ok(()),
                Err(ProcessError::Failed { stderr, .. }) if stderr.contains("No space left") => {
                    Err(store.full().into())
                }
                Err(error) => Err(error.into()),
            };
        }
        for (path, _) in self.listing.iter().flat_map(Listing::iter) {
            let (from, copy) = (self.dir.join(path), to.join(path));
            let copied = copy_file(&from, &copy).and_then(|()| self.matches(path, &copy));
            match copied {
                Ok(true) => {}
                Ok(false) => return Err(self.changed()),
                Err(_) if fs_err::symlink_metadata(&from).is_err() => return Err(self.changed()),
                Err(error) => return Err(store.error(error).into()),
            }
            // Others are to run meanwhile, an interruption among them.
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}

/// Copies a file or a symbolic link to a place where nothing is. Shares the blocks where the
/// file system can.
pub(crate) fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    if let Some(parent) = to.parent() {
        fs_err::create_dir_all(parent)?;
    }
    if fs_err::symlink_metadata(from)?.is_symlink() {
        fs_err::os::unix::fs::symlink(fs_err::read_link(from)?, to)
    } else {
        fs_err::copy(from, to).map(drop)
    }
}
