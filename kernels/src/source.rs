// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where kernel sources come from, and the pristine trees they become.

mod apt;
mod debian;
mod dir;
mod git;
mod tarball;
mod unpack;

use std::fmt;
use std::path::{Path, PathBuf};

pub(crate) use apt::Apt;
use host::store::{Bucket, Check, Entry, Store};
use serde::{Deserialize, Serialize};

use crate::error::KernelError;
use crate::git::is_commit_id;
use crate::pristine::Pristine;
use crate::progress::OnProgress;
use crate::series::{Prerequisite, Series};

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
    /// A tarball of the user's choice.
    Tarball(Tarball),
    /// A kernel tree of the user's where it lies, by an absolute path.
    Dir(PathBuf),
    /// A commit of a git repository.
    Git(GitRepository),
}

/// A commit of a git repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitRepository {
    /// A URL that git can fetch from, or an absolute path.
    pub repo: String,
    /// A tag, a branch, a full name below `refs/`, `HEAD`, or a whole commit id.
    pub reference: String,
}

impl GitRepository {
    /// True if it is on this machine.
    fn is_local(&self) -> bool {
        self.path().is_some()
    }

    /// Where it lies, if it is on this machine.
    fn path(&self) -> Option<&Path> {
        let path = self.repo.strip_prefix("file://").unwrap_or(&self.repo);
        path.starts_with('/').then(|| Path::new(path))
    }
}

/// A kernel's source, packed in any way that tar knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tarball {
    /// Where it is.
    pub origin: Origin,
    /// SHA-256 of the file, hexadecimal, lower case.
    pub sha256: String,
}

/// Where a tarball is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// On this machine, by an absolute path.
    File(PathBuf),
    /// Where curl can fetch it: `https://` or `http://`.
    Url(String),
}

impl Tarball {
    /// The file's name.
    fn name(&self) -> &str {
        let name = match &self.origin {
            Origin::File(file) => file.file_name().and_then(|name| name.to_str()),
            Origin::Url(url) => url.split(['?', '#']).next().and_then(|url| url.rsplit('/').next()),
        };
        name.filter(|name| !name.is_empty()).unwrap_or("tarball")
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => file.display().fmt(f),
            Self::Url(url) => f.write_str(url),
        }
    }
}

/// A binary package that holds a kernel source as `usr/src/NAME.tar.xz`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebianPackage {
    /// `linux-source-6.1`
    pub name: String,
    /// The release it is taken from, such as `bookworm-backports`, if apt is not to choose.
    pub suite: Option<String>,
}

/// Which source exactly: what a kernel's key is made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceIdentity {
    /// Package or file name, or a path, or a repository.
    pub package: String,
    /// The package's version, `6.1.192-2`, or `tarball` or `dir`, or a reference.
    pub version: String,
    /// What exactly it is.
    #[serde(flatten)]
    pub digest: Digest,
}

/// What tells a source from all others, hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Digest {
    /// SHA-256 of what was fetched.
    Sha256(String),
    /// BLAKE3 hash of a list of files and what is in them.
    Blake3(String),
    /// Id of a commit.
    Commit(String),
}

impl Digest {
    /// The hexadecimal digits.
    pub fn digits(&self) -> &str {
        match self {
            Self::Sha256(digits) | Self::Blake3(digits) | Self::Commit(digits) => digits,
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(digits) => write!(f, "sha256:{digits}"),
            Self::Blake3(digits) => write!(f, "blake3:{digits}"),
            Self::Commit(digits) => write!(f, "commit:{digits}"),
        }
    }
}

impl fmt::Display for SourceIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.package, self.version, self.digest)
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
    /// A tarball is not the one that the manifest means.
    #[error(
        "{file}: its SHA-256 is {found}, the manifest says {expected}\n  hint: get the file again, or correct the manifest if you trust what is there"
    )]
    Digest {
        /// Path or URL.
        file: String,
        /// What the manifest says.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A tarball cannot be fetched.
    #[error("{url} cannot be fetched:{said}\n  hint: try again, or name a file by `file:`")]
    Download {
        /// The URL.
        url: String,
        /// curl's last words.
        said: String,
    },
    /// A tarball or a commit is what the manifest means, but no kernel source that can be used.
    #[error("{file}: {what}\n  hint: name a kernel's source in the manifest")]
    Unusable {
        /// Path or URL, and what of it.
        file: String,
        /// What is wrong with it.
        what: String,
    },
    /// A tree in place cannot be used.
    #[error("{}: {what}\n  hint: {next_step}", dir.display())]
    Dir {
        /// The folder.
        dir: PathBuf,
        /// What is wrong with it.
        what: String,
        /// What to do about it.
        next_step: &'static str,
    },
    /// A repository, or its commit, cannot be used.
    #[error("{repo}: {what}\n  hint: {next_step}")]
    Repository {
        /// Path or URL.
        repo: String,
        /// What is wrong with it.
        what: String,
        /// What to do about it.
        next_step: String,
    },
    /// A repository cannot be fetched from, and the store does not have what is needed.
    #[error(
        "{repo} cannot be fetched from:{said}\n  hint: try again when it can be reached, or name a repository on this machine by its path"
    )]
    Unreachable {
        /// Path or URL.
        repo: String,
        /// git's last words.
        said: String,
    },
    /// A tree in place was written to while it was copied.
    #[error("{} changed while it was read\n  hint: build again when its files are at rest", dir.display())]
    Changed {
        /// The folder.
        dir: PathBuf,
    },
}

fn detail_line(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!("\n  apt says: {detail}") }
}

/// The commit that a series was made for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Base {
    /// This one.
    Is(String),
    /// One that the source does not have.
    Missing,
    /// The series does not say, or nobody can be asked.
    Unknown,
}

/// What a source is fetched and unpacked with.
pub(crate) struct Fetcher<'a> {
    pub(crate) store: &'a Store,
    pub(crate) apt: &'a Apt,
    pub(crate) progress: OnProgress<'a>,
}

impl Fetcher<'_> {
    /// Which source `source` means now. apt's lists and a tree in place are read for it, and a
    /// git server is asked for a branch; without their help the newest version in the store
    /// is taken, and that is announced.
    pub(crate) async fn identify(&self, source: &Source) -> Result<SourceIdentity, KernelError> {
        match source {
            Source::Debian(package) => debian::identify(self, package).await,
            Source::Tarball(tarball) => Ok(tarball::identify(tarball)),
            Source::Dir(dir) => dir::identify(self, dir).await,
            Source::Git(git) => git::identify(self, git).await,
        }
    }

    /// The source's pristine tree, fetched and unpacked if need be.
    pub(crate) async fn tree(
        &self,
        source: &Source,
        identity: &SourceIdentity,
    ) -> Result<Pristine, KernelError> {
        match source {
            Source::Debian(_) => debian::tree(self, identity).await.map(stored),
            Source::Tarball(tarball) => tarball::tree(self, tarball).await.map(stored),
            Source::Dir(dir) => dir::tree(self, dir, identity).await,
            Source::Git(git) => git::tree(self, git, identity).await,
        }
    }

    /// Makes the folder `dir` hold the files that `series` touches as they are in the commit
    /// that it was made for.
    pub(crate) async fn base(
        &self,
        source: &Source,
        series: &Series,
        dir: &Path,
    ) -> Result<Base, KernelError> {
        match (source, series.base.as_ref().filter(|base| is_commit_id(base))) {
            (Source::Git(git), Some(base)) => git::base(self, git, base, series, dir).await,
            _ => Ok(Base::Unknown),
        }
    }

    /// The tag or branch of the source that `series` was made for, if one is found.
    pub(crate) async fn nearest(
        &self,
        source: &Source,
        identity: &SourceIdentity,
        series: &Series,
    ) -> Result<Option<String>, KernelError> {
        match source {
            Source::Git(git) => git::nearest(self, git, series, identity.digest.digits()).await,
            _ => Ok(None),
        }
    }

    /// What `series` wants applied before it, with what the source's history says of it.
    pub(crate) async fn prerequisites(
        &self,
        source: &Source,
        identity: &SourceIdentity,
        series: &Series,
    ) -> Result<Vec<Prerequisite>, KernelError> {
        match source {
            Source::Git(git) => {
                git::prerequisites(self, git, series, identity.digest.digits()).await
            }
            _ => Ok(series.prerequisites()),
        }
    }
}

impl Source {
    /// True if it may have more commits than the one that it means.
    pub(crate) fn has_history(&self) -> bool {
        matches!(self, Self::Git(_))
    }

    /// What stays the same while the source goes on: its work trees are kept, and follow it.
    pub(crate) fn lineage(&self, identity: &SourceIdentity) -> String {
        match self {
            Self::Debian(_) | Self::Tarball(_) => identity.to_string(),
            Self::Dir(_) => format!("{} {}", identity.package, identity.version),
            // Commits that are asked for by their ids one after another are a bisection.
            Self::Git(git) if is_commit_id(&git.reference) => format!("{} commits", git.repo),
            Self::Git(git) => format!("{} {}", git.repo, git.reference),
        }
    }
}

/// The tree within an entry of [`TREES`].
fn stored(entry: Entry) -> Pristine {
    Pristine { dir: entry.dir().join(TREE), listing: None, kept: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stores_say_of_their_sources_stays_readable() {
        for (json, words) in [
            (r#"{"package":"p","version":"1-1","sha256":"0a"}"#, "p 1-1 sha256:0a"),
            (r#"{"package":"/p","version":"dir","blake3":"0a"}"#, "/p dir blake3:0a"),
            (r#"{"package":"/p","version":"main","commit":"0a"}"#, "/p main commit:0a"),
        ] {
            let identity: SourceIdentity = serde_json::from_str(json).unwrap();
            assert_eq!(identity.to_string(), words);
            assert_eq!(serde_json::to_string(&identity).unwrap(), json);
        }
    }
}
