// SPDX-License-Identifier: MIT OR Apache-2.0
//! A series, and why there is none.

use std::collections::BTreeSet;

use host::process::ProcessError;
use host::store::KeyHasher;

use super::patch::Patch;
use crate::error::{Found, Prerequisite};
use crate::input::LibraryError;

/// A series of more patches is a mistake, or a whole history.
pub(crate) const MOST_PATCHES: usize = 2000;

/// An ordered list of patches.
#[derive(Debug, Clone)]
pub struct Series {
    /// Its name in the library, or the path it was read from.
    pub name: String,
    /// In order of application.
    pub patches: Vec<Patch>,
    /// The commit that the series says it was made for.
    pub base: Option<String>,
    /// What the series says must be applied before it, as its mails write it: `patch-id: 0123...`,
    /// `message-id: <...>`, `change-id: NAME:v2`.
    pub prerequisites: Vec<String>,
}

/// What a patch or a commit does to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// Its path below the tree.
    pub name: String,
    /// Lines that are added, and those that are removed; `None` of what is no text.
    pub lines: Option<(u64, u64)>,
}

impl Series {
    /// Every file that some patch changes, makes or removes, as paths below the tree.
    pub fn files(&self) -> BTreeSet<&str> {
        self.patches.iter().flat_map(|patch| patch.files.iter().map(String::as_str)).collect()
    }

    /// What must be applied before it; not looked for yet.
    pub(crate) fn prerequisites(&self) -> Vec<Prerequisite> {
        let unknown = |words: &String| Prerequisite { words: words.clone(), found: Found::Unknown };
        self.prerequisites.iter().map(unknown).collect()
    }

    /// Subjects of the patches, in order.
    pub fn subjects(&self) -> Vec<String> {
        self.patches.iter().map(|patch| patch.subject.clone()).collect()
    }

    /// These patches, each left out where the source has its change already.
    #[must_use]
    pub fn as_fixup(self) -> Self {
        let patches = self.patches.into_iter().map(|patch| Patch { is_fixup: true, ..patch });
        // What it was made for is of no matter: it is put on many commits.
        Self { patches: patches.collect(), base: None, ..self }
    }

    /// Hash of what the series does to a tree; names of files do not matter.
    pub(crate) fn digest(&self) -> String {
        let hasher = self.patches.iter().fold(KeyHasher::new("series", 1), |hasher, patch| {
            let hasher = hasher.field(&format!("-p{}", patch.strip), &patch.bytes);
            if patch.is_fixup { hasher.field("fixup", "") } else { hasher }
        });
        hasher.finish().to_string()
    }
}

/// Why there is no series.
#[derive(Debug, thiserror::Error)]
pub enum SeriesError {
    /// It cannot be read, or is none.
    #[error(transparent)]
    Library(#[from] LibraryError),
    /// A range of commits is none that patches can be made of: the caller.
    #[error("{range}: {what}\n  hint: {next_step}")]
    Range {
        /// As it was asked for.
        range: String,
        /// What is wrong with it.
        what: String,
        /// What to do about it.
        next_step: String,
    },
    /// b4 is missing, or cannot get the mails: the machine or the network.
    #[error(
        "lore:{id}: {what}\n  hint: where b4 is installed and reaches the archive, run `b4 am -o - {id} > series.mbox`; then use --series ./series.mbox"
    )]
    Lore {
        /// The message id.
        id: String,
        /// What is wrong, with b4's last words if it said any.
        what: String,
    },
    /// A program is missing or failed: the machine.
    #[error(transparent)]
    Process(#[from] ProcessError),
}

impl From<std::io::Error> for SeriesError {
    fn from(error: std::io::Error) -> Self {
        Self::Library(error.into())
    }
}
