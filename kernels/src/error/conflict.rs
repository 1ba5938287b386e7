// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a series does not fit a source.

use std::fmt;

use crate::text::quote;

/// A patch that does not fit the tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} of series {} does not apply (\"{}\"):{}\n  hint: refresh the patch against this version of the source{}", .patch, .series, .subject, lines(.failures), made_for(.base, *.base_missing, .fits, .prerequisites))]
pub struct Conflict {
    /// The series.
    pub series: Box<str>,
    /// File name of the patch.
    pub patch: Box<str>,
    /// Its subject.
    pub subject: Box<str>,
    /// What failed in it, in its order.
    pub failures: Box<[HunkFailure]>,
    /// The commit that the series says it was made for.
    pub base: Option<Box<str>>,
    /// True if the source was searched for that commit, and does not have it.
    pub base_missing: bool,
    /// A commit, a tag or a branch of the source that it applies to.
    pub fits: Option<Box<str>>,
    /// What the series says must be applied before it.
    pub prerequisites: Box<[Prerequisite]>,
}

/// Newest commits of a source that are looked through for a prerequisite, merges not counted.
pub(crate) const MOST_COMMITS: usize = 1000;

/// Something that must be applied before a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prerequisite {
    /// As in [`Series::prerequisites`](crate::Series::prerequisites).
    pub words: String,
    /// Whether the source has it.
    pub found: Found,
}

/// What a source's history says of a prerequisite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It was not looked for: no patch's id, or no history at hand.
    Unknown,
    /// This commit has it.
    Commit(String),
    /// None of the newest commits has it.
    Missing,
}

impl Prerequisite {
    /// Its id as git-patch-id(1) writes it, if that is how it is named.
    pub(crate) fn patch_id(&self) -> Option<&str> {
        self.words.strip_prefix("patch-id: ")
    }
}

impl fmt::Display for Prerequisite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)?;
        match &self.found {
            Found::Unknown => Ok(()),
            Found::Commit(commit) => write!(f, ": commit {} has it", quote(commit)),
            Found::Missing => {
                write!(f, ": none of the source's newest {MOST_COMMITS} commits has it")
            }
        }
    }
}

/// One part of a patch that does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HunkFailure {
    /// The source file.
    pub file: String,
    /// Number of the hunk within that file, from 1; `None` if the file as a whole is at fault.
    pub hunk: Option<u32>,
    /// Line of the source file where the hunk was expected.
    pub line: Option<u32>,
    /// What `patch` says of it.
    pub reason: String,
}

impl fmt::Display for HunkFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.hunk, self.line) {
            (Some(hunk), Some(line)) => write!(f, "{}:{line}: hunk {hunk}", self.file)?,
            (Some(hunk), None) => write!(f, "{}: hunk {hunk}", self.file)?,
            _ => f.write_str(&self.file)?,
        }
        write!(f, ": {}", self.reason)
    }
}

fn made_for(
    base: &Option<Box<str>>,
    base_missing: bool,
    fits: &Option<Box<str>>,
    prerequisites: &[Prerequisite],
) -> String {
    let base = base.as_ref().map(|base| {
        let missing = if base_missing { ", which the source does not have" } else { "" };
        format!("; it was made for commit {base}{missing}")
    });
    let fits = fits.as_ref().map(|fits| {
        format!("; it applies to {}: name that as `ref:` in the manifest", quote(fits))
    });
    let first = match prerequisites {
        [] => String::new(),
        all => {
            let all: String = all.iter().map(|one| format!("\n    {one}")).collect();
            format!("; its cover letter wants these applied before it:{all}")
        }
    };
    base.unwrap_or_default() + &fits.unwrap_or_default() + &first
}

fn lines(failures: &[HunkFailure]) -> String {
    failures.iter().map(|failure| format!("\n  {failure}")).collect()
}
