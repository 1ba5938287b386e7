// SPDX-License-Identifier: MIT OR Apache-2.0
//! What sources there are, and what tells one from all others.

use std::fmt;
use std::path::{Path, PathBuf};

use host::apt::{PackageName, Suite};
use serde::{Deserialize, Serialize};

use crate::git::is_ref_name;

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
    /// A tag, a branch, a full name below `refs/`, `HEAD`, or a whole commit id; on this machine
    /// also what git-rev-parse(1) takes for a revision.
    pub reference: String,
}

impl GitRepository {
    /// True if it is on this machine.
    pub(crate) fn is_local(&self) -> bool {
        self.path().is_some()
    }

    /// Where it lies, if it is on this machine.
    pub(crate) fn path(&self) -> Option<&Path> {
        let path = self.repo.strip_prefix("file://").unwrap_or(&self.repo);
        path.starts_with('/').then(|| Path::new(path))
    }
}

/// A kernel's source, packed in any way that tar knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tarball {
    /// Where it is.
    pub origin: Origin,
    /// SHA-256 of the file, hexadecimal, lower case. `None`: whatever is there.
    pub sha256: Option<String>,
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
    pub(super) fn name(&self) -> &str {
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
    pub name: PackageName,
    /// The suite it is taken from, such as `trixie-backports`, whatever suites the machine's
    /// apt has; without one, that apt chooses.
    pub suite: Option<Suite>,
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
            // Commits that are asked for one after another are a bisection.
            Self::Git(git) if names_a_commit(&git.reference) => format!("{} commits", git.repo),
            Self::Git(git) => format!("{} {}", git.repo, git.reference),
        }
    }
}

/// True for a name that means one commit for ever, or one beside another: an id, abbreviated perhaps, or
/// `HEAD~3`. Tags and branches go on.
fn names_a_commit(reference: &str) -> bool {
    let hexadecimal = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    let abbreviated = reference.len() >= 7 && reference.bytes().all(hexadecimal);
    abbreviated || !is_ref_name(reference)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_by_their_ids_share_a_work_tree_and_branches_have_their_own() {
        let lineage = |reference: &str| {
            let (repo, reference) = ("/r".to_owned(), reference.to_owned());
            let digest = Digest::Commit("0a".to_owned());
            let identity = SourceIdentity { package: "/r".into(), version: "x".into(), digest };
            Source::Git(GitRepository { repo, reference }).lineage(&identity)
        };
        for commit in ["0123abc", &"0a".repeat(20), "HEAD~3", "topic^2", "v6.8^{commit}"] {
            assert_eq!(lineage(commit), "/r commits", "{commit}");
        }
        for name in ["v6.8", "topic", "HEAD", "abc", "feed/me"] {
            assert_eq!(lineage(name), format!("/r {name}"));
        }
    }

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
