// SPDX-License-Identifier: MIT OR Apache-2.0
//! Patch series: mails, a single patch, a range of commits, or quilt's format, which is a
//! folder of patches and a file `series` that orders them.
//!
//! ```text
//! # comments
//! 0001-first.patch
//! 0002-second.patch -p0      # -p1 is the default
//! ```

mod apply;
mod lore;
mod mbox;
mod merge;
mod patch;
mod preimages;
mod range;

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

pub(crate) use apply::stage;
use host::process::ProcessError;
pub(crate) use lore::lore;
pub(crate) use merge::merge;
pub use patch::Patch;
pub(crate) use preimages::preimages;
pub(crate) use range::Range;

use crate::library::{LibraryError, Text, invalid};
use crate::text::quote;

/// A series of more patches is a mistake, or a whole history.
const MOST_PATCHES: usize = 2000;

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

    /// Hash of what the series does to a tree; names of files do not matter.
    pub(crate) fn digest(&self) -> String {
        let hasher =
            self.patches.iter().fold(host::store::KeyHasher::new("series", 1), |hasher, patch| {
                hasher.field(&format!("-p{}", patch.strip), &patch.bytes)
            });
        hasher.finish().to_string()
    }
}

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
    /// As in [`Series::prerequisites`].
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

/// Reads a file of a series by its name.
type ReadFile<'a> = &'a dyn Fn(Option<&str>) -> Result<Option<Text>, LibraryError>;

/// Reads a series. `read` returns the file of that name in its folder, or, for no
/// name, the single patch that the whole series is.
pub(crate) fn load(name: &str, read: ReadFile<'_>) -> Result<Series, LibraryError> {
    if let Some(text) = read(None)? {
        if mbox::is_mbox(&text.bytes) {
            let mbox::Mails { patches, base, prerequisites } = mbox::read(&text)?;
            return Ok(Series { name: name.to_owned(), patches, base, prerequisites });
        }
        let file = Path::new(name).file_name().map_or(name.into(), |file| file.to_string_lossy());
        let patches = vec![Patch::parse(&file, 1, &text)?];
        return Ok(Series {
            name: name.to_owned(),
            patches,
            base: None,
            prerequisites: Vec::new(),
        });
    }
    let Some(order) = read(Some("series"))? else {
        let (what, hint) = match Path::new(name).is_dir() {
            true => ("there is no file `series` in it", "list its patches there, one name a line"),
            false => ("there is no such file or folder", "correct the path"),
        };
        let message = format!("{what}\n  hint: {hint}");
        return Err(LibraryError::Invalid { at: quote(name), message });
    };
    let wrong = |line: usize, message: &str| {
        let hint =
            "a line is the name of a patch beside this file, and -pN behind it if N is not 1";
        invalid(&order.origin, line, 1, format!("{message}\n  hint: {hint}"))
    };
    let mut patches = Vec::new();
    for (number, line) in String::from_utf8_lossy(&order.bytes).lines().enumerate() {
        let at = |message: String| wrong(number + 1, &message);
        let Some((file, strip)) = parse_line(line).map_err(at)? else { continue };
        let Some(text) = read(Some(file))? else {
            return Err(at(format!("there is no patch `{}` beside it", quote(file))));
        };
        if patches.len() == MOST_PATCHES {
            return Err(at(format!("more than {MOST_PATCHES} patches")));
        }
        patches.push(Patch::parse(file, strip, &text)?);
    }
    if patches.is_empty() {
        return Err(wrong(1, "there are no patches in it"));
    }
    Ok(Series { name: name.to_owned(), patches, base: None, prerequisites: Vec::new() })
}

/// File name and strip level of a line of `series`; `None` for comments and empty lines.
fn parse_line(line: &str) -> Result<Option<(&str, usize)>, String> {
    let code = if line.starts_with('#') { "" } else { line.split(" #").next().unwrap_or_default() };
    let mut words = code.split_whitespace();
    let Some(file) = words.next() else { return Ok(None) };
    if file.starts_with('/') || file.split('/').any(|part| part == "..") {
        return Err(format!("`{}` lies outside the series' folder", quote(file)));
    }
    let strip = match words.next() {
        None => 1,
        Some(option) => match option.strip_prefix("-p").map(str::parse) {
            Some(Ok(strip)) => strip,
            _ => return Err(format!("expected -pN after the file name, not `{}`", quote(option))),
        },
    };
    match words.next() {
        Some(word) => Err(format!("expected the end of the line, not `{}`", quote(word))),
        None => Ok(Some((file, strip))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_series_file() {
        assert_eq!(parse_line("a.patch"), Ok(Some(("a.patch", 1))));
        assert_eq!(parse_line("  sub/a.patch -p0  # why"), Ok(Some(("sub/a.patch", 0))));
        assert_eq!(parse_line("# a.patch"), Ok(None));
        assert_eq!(parse_line(""), Ok(None));
        for bad in ["/etc/passwd", "../a.patch", "a.patch -R", "a.patch -p1 more", "a.patch -px"] {
            assert!(parse_line(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_folder_is_read_in_order_and_a_missing_patch_has_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let patch = |file: &str| {
            format!("Subject: {file}\n--- a/{file}\n+++ b/{file}\n@@ -1 +1 @@\n-a\n+b\n")
        };
        fs_err::write(dir.path().join("1.patch"), patch("one.c")).unwrap();
        fs_err::write(dir.path().join("2.patch"), patch("two.c")).unwrap();
        let series = |order: &str| {
            fs_err::write(dir.path().join("series"), order).unwrap();
            crate::Library::default().series(dir.path().to_str().unwrap())
        };
        let read = series("2.patch\n# note\n1.patch\n").unwrap();
        assert_eq!(read.subjects(), ["two.c", "one.c"]);
        assert_eq!(read.files().into_iter().collect::<Vec<_>>(), ["one.c", "two.c"]);
        assert_ne!(read.digest(), series("1.patch\n2.patch\n").unwrap().digest());
        let error = series("1.patch\n3.patch\n").unwrap_err().to_string();
        assert!(error.contains("series:2:1:") && error.contains("`3.patch`"), "{error}");
        assert!(series("# nothing\n").is_err());
        let single = dir.path().join("1.patch");
        let single = crate::Library::default().series(single.to_str().unwrap()).unwrap();
        assert_eq!(single.subjects(), ["one.c"]);
    }
}
