// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `sparse` says of some files, as `make C=2` asks it.
//!
//! It has a build folder of its own: what it compiles there takes no warning away from the kernel's build, and no file of
//! another configuration lies in that. First the objects are compiled, with what kbuild prepares for them, and then asked about
//! once more; the second make compiles nothing, so that all warnings in what it prints are of sparse.

use std::collections::BTreeSet;
use std::path::Path;

use super::Make;
use crate::error::KernelError;
use crate::text::quote;
use crate::worktree::write_whole;

/// Most warnings that are read.
const MOST: usize = 5_000;
/// Most further lines of a warning, in which types stand.
const MOST_FURTHER: usize = 4;

/// What sparse says of files of a kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SparseSaid {
    /// Files that it was asked about.
    pub files: Vec<String>,
    /// Files that do not compile on their own in this configuration.
    pub left_out: Vec<String>,
    /// What it warns of, a line each: `mm/zswap.c:12:3: warning: ...`.
    pub warnings: Vec<String>,
    /// True if it said more than is read.
    pub is_cut: bool,
}

impl Make<'_> {
    /// Asks `program` about C files of the tree that is laid out and configured.
    pub(crate) async fn sparse(
        &self,
        program: &str,
        files: &[String],
    ) -> Result<SparseSaid, KernelError> {
        let build = self.tree.sparse();
        self.tree.io(|| {
            fs_err::create_dir_all(&build)?;
            let config = fs_err::read(self.tree.build().join(".config"))?;
            let own = build.join(".config");
            // One that is written anew has kbuild look at every option again.
            if fs_err::read(&own).ok().as_deref() == Some(&config) {
                return Ok(());
            }
            write_whole(&own, &config)
        })?;
        let objects = |files: &[String]| files.iter().map(|file| object(file)).collect::<Vec<_>>();
        // What is there afterwards is of this source.
        self.tree.io(|| {
            files.iter().try_for_each(|file| host::store::remove_tree(&build.join(object(file))))
        })?;
        // Some may not compile, for they are of another architecture, or not configured: the others do.
        let compile = self.make_in(&build).arg("-k").args(objects(files));
        self.tree.run(compile, |_| ()).await?;
        let is_there = |file: &&String| build.join(object(file)).is_file();
        let (files, left_out): (Vec<_>, Vec<_>) = files.iter().partition(is_there);
        let owned = |files: Vec<&String>| files.into_iter().cloned().collect::<Vec<_>>();
        let (files, left_out) = (owned(files), owned(left_out));
        let mut lines = Lines::default();
        if !files.is_empty() {
            // One after the other, or lines of one file would stand behind those of another.
            let ask = self.make_in(&build).args(["-j1", "-k", "C=2"]);
            let ask = ask.arg(format!("CHECK={program}")).args(objects(&files));
            // The kernel's Makefile follows links.
            let real = self.tree.io(|| fs_err::canonicalize(self.tree.source()))?;
            let sources = [real, self.tree.source()].map(|dir| format!("{}/", dir.display()));
            let mut last = String::new();
            let code = self
                .tree
                .run(ask, |line| {
                    let line = String::from_utf8_lossy(line);
                    let below = sources.iter().find_map(|source| line.strip_prefix(source));
                    lines.line(below.unwrap_or(&line));
                    if line.contains("rror") {
                        last = quote(&line);
                    }
                })
                .await?;
            // It ends with 1 where it says `error:` of a file. Without that it did not do its work.
            if code != 0 && !lines.has_error {
                return Err(KernelError::Request(format!(
                    "make C=2 with {program} ended with status {code}: {last}\n  hint: leave it out with --no-sparse"
                )));
            }
        }
        let (warnings, is_cut) = lines.finish();
        Ok(SparseSaid { files, left_out, warnings, is_cut })
    }
}

fn object(file: &str) -> String {
    Path::new(file).with_extension("o").display().to_string()
}

/// Collects the lines of sparse.
#[derive(Debug, Default)]
struct Lines {
    warnings: Vec<String>,
    /// The place of the last warning, `mm/zswap.c:12:3:`, and how many further lines of it were seen.
    place: String,
    further: usize,
    has_error: bool,
    is_cut: bool,
}

impl Lines {
    /// A line, without the folder of the source.
    fn line(&mut self, line: &str) {
        let line = line.trim_start_matches("../source/");
        let mark = [": warning: ", ": error: "].into_iter().find_map(|mark| line.find(mark));
        if let Some(at) = mark {
            self.has_error |= line[at..].starts_with(": error: ");
            self.place = line[..=at].to_owned();
            self.further = 0;
            if self.warnings.len() < MOST {
                self.warnings.push(quote(line));
            } else {
                self.is_cut = true;
            }
            return;
        }
        // The types that do not fit stand below a warning, behind the same place.
        let further = line.strip_prefix(&self.place).filter(|words| words.starts_with(' '));
        match (further, self.warnings.last_mut()) {
            (Some(words), Some(warning)) if !self.place.is_empty() && !self.is_cut => {
                self.further += 1;
                if self.further <= MOST_FURTHER {
                    *warning = quote(&format!("{warning}; {}", words.trim()));
                }
            }
            _ => self.place.clear(),
        }
    }

    /// All of them. A header's are said once for each file that includes it.
    fn finish(self) -> (Vec<String>, bool) {
        let mut seen = BTreeSet::new();
        let mut warnings = self.warnings;
        warnings.retain(|warning| seen.insert(warning.clone()));
        (warnings, self.is_cut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> (Vec<String>, bool) {
        let mut lines = Lines::default();
        text.lines().for_each(|line| lines.line(line));
        lines.finish()
    }

    #[test]
    fn a_warning_has_its_types_and_a_headers_is_said_once() {
        let (warnings, is_cut) = said(
            "  CHECK   ../source/mm/zswap.c
../source/mm/zswap.c:9:3: warning: incorrect type in assignment (different address spaces)
../source/mm/zswap.c:9:3:    expected int *p
../source/mm/zswap.c:9:3:    got int [noderef] __user *
  CHECK   ../source/mm/swapfile.c
../source/mm/zswap.c:9:3:    of nothing
../source/mm/swapfile.c: note: in included file:
../source/mm/swap.h:1:1: warning: context imbalance in 'f' - unexpected unlock
../source/mm/swap.h:1:1: warning: context imbalance in 'f' - unexpected unlock
../source/mm/swapfile.c:7:7: error: Expected ) in function declarator
",
        );
        let expected = [
            "mm/zswap.c:9:3: warning: incorrect type in assignment (different address spaces); expected int *p; got int [noderef] __user *",
            "mm/swap.h:1:1: warning: context imbalance in 'f' - unexpected unlock",
            "mm/swapfile.c:7:7: error: Expected ) in function declarator",
        ];
        assert!(warnings == expected && !is_cut, "{warnings:#?}");
    }

    #[test]
    fn one_without_end_is_cut_and_bounded() {
        let many: String = (0..=MOST).map(|n| format!("a.c:{n}:1: warning: w\n")).collect();
        let (warnings, is_cut) = said(&many);
        assert!(warnings.len() == MOST && is_cut);
        let types = "a.c:1:1: warning: w\n".to_owned() + &"a.c:1:1:    t\n".repeat(1_000);
        assert_eq!(said(&types).0, ["a.c:1:1: warning: w; t; t; t; t"]);
    }
}
