// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a source cannot be had.

use std::path::PathBuf;

use host::apt::AptError;

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
    /// An apt of our own could not find or fetch the package.
    #[error(transparent)]
    Suite(#[from] AptError),
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
