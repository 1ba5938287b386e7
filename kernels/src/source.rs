// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where kernel sources come from, and the pristine trees they become.

mod apt;
mod debian;

use std::fmt;
use std::io;
use std::path::Path;

pub(crate) use apt::Apt;
use host::store::{Bucket, Check, Entry, Store};
use serde::{Deserialize, Serialize};

use crate::error::KernelError;
use crate::progress::OnProgress;

/// Unpacked trees: `tree/` and `source.json`.
const TREES: Bucket = Bucket { name: "sources", check: Check::Counts };
/// The tree within an entry of [`TREES`].
const TREE: &str = "tree";

/// Where a kernel's source comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// The newest version of a source package of Debian's (or a descendant's) that apt offers.
    Debian(DebianPackage),
}

/// A binary package that holds a kernel source as `usr/src/NAME.tar.xz`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebianPackage {
    /// `linux-source-6.1`
    pub name: String,
}

/// Which source exactly: what a kernel's key is made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceIdentity {
    /// Package name.
    pub package: String,
    /// Its version: `6.1.192-2`.
    pub version: String,
    /// SHA-256 of what was fetched, hexadecimal.
    pub sha256: String,
}

impl fmt::Display for SourceIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} sha256:{}", self.package, self.version, self.sha256)
    }
}

/// Why a source could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// apt could not find or fetch the package, and the store has no version of it.
    #[error("{package}: {what}{}\n  hint: {next_step}", detail_line(.detail))]
    Apt {
        /// The package.
        package: String,
        /// What is wrong.
        what: &'static str,
        /// apt's own words, if they add to that.
        detail: String,
        /// What to do about it.
        next_step: &'static str,
    },
    /// What was fetched is not what it should be.
    #[error(
        "{package} {version}: {what}\n  hint: try again; if it persists, the mirror or this machine's disk is at fault"
    )]
    Damaged {
        /// The package.
        package: String,
        /// Its version.
        version: String,
        /// What is wrong with it.
        what: String,
    },
}

fn detail_line(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!("\n  apt says: {detail}") }
}

/// What a source is fetched and unpacked with.
pub(crate) struct Fetcher<'a> {
    pub(crate) store: &'a Store,
    pub(crate) apt: &'a Apt,
    pub(crate) progress: OnProgress<'a>,
}

impl Fetcher<'_> {
    /// Which source `source` means now. Needs no network; without apt's help, the
    /// newest version in the store is taken, and that is announced.
    pub(crate) async fn identify(&self, source: &Source) -> Result<SourceIdentity, KernelError> {
        match source {
            Source::Debian(package) => debian::identify(self, package).await,
        }
    }

    /// The entry that holds the source's pristine tree, fetched and unpacked if need be.
    pub(crate) async fn tree(
        &self,
        source: &Source,
        identity: &SourceIdentity,
    ) -> Result<Entry, KernelError> {
        match source {
            Source::Debian(_) => debian::tree(self, identity).await,
        }
    }
}

/// The tree within an entry that [`Fetcher::tree`] returned.
pub(crate) fn tree_of(entry: &Entry) -> std::path::PathBuf {
    entry.dir().join(TREE)
}

/// The first symbolic link below `dir` that leads out of `root`, if there is one.
fn escaping_link(root: &Path, dir: &Path) -> io::Result<Option<String>> {
    for entry in fs_err::read_dir(dir)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() {
            if let Some(found) = escaping_link(root, &path)? {
                return Ok(Some(found));
            }
        } else if kind.is_symlink() && !stays_inside(root, dir, &fs_err::read_link(&path)?) {
            return Ok(Some(path.strip_prefix(root).unwrap_or(&path).display().to_string()));
        }
    }
    Ok(None)
}

/// Whether `target`, read from a link in `dir`, is a path below `root`. Judged by its
/// words alone: links it may pass through are judged on their own.
fn stays_inside(root: &Path, dir: &Path, target: &Path) -> bool {
    use std::path::Component;
    let Ok(below) = dir.strip_prefix(root) else { return false };
    let mut depth = below.components().count();
    for component in target.components() {
        match component {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir if depth > 0 => depth -= 1,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_leave_the_tree_are_found_and_others_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs_err::create_dir_all(root.join("a/b")).unwrap();
        let link =
            |target: &str, at: &str| std::os::unix::fs::symlink(target, root.join(at)).unwrap();
        link("../../a/x", "a/b/fine");
        link("./b", "a/also");
        assert_eq!(escaping_link(root, root).unwrap(), None);
        for target in ["../../../etc", "/etc/passwd"] {
            link(target, "a/b/evil");
            assert_eq!(escaping_link(root, root).unwrap().as_deref(), Some("a/b/evil"));
            fs_err::remove_file(root.join("a/b/evil")).unwrap();
        }
    }
}
