// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the compiler warns of, kept for each object from build to build: an incremental build repeats the warnings only of what
//! it compiles again.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::object;
use crate::text::quote;
use crate::worktree::write_whole;

/// Most warnings that are kept of a kernel.
const MOST: usize = 200;
/// What stands between place and words.
const MARK: &str = ": warning: ";

/// The warnings of what lies in a build folder.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Warnings {
    /// By the object without its suffix: `mm/zswap`.
    by_object: BTreeMap<String, Vec<String>>,
    /// The source file that the compiler names before a warning in a header.
    #[serde(skip)]
    including: Option<String>,
}

impl Warnings {
    /// Those of the builds so far; `None` if there were some and nobody kept theirs.
    pub(super) fn read(file: &Path, is_first: bool) -> Option<Self> {
        match fs_err::read(file) {
            Ok(bytes) => serde_json::from_slice(&bytes).ok(),
            Err(_) => is_first.then(Self::default),
        }
    }

    pub(super) fn write(&self, file: &Path) -> io::Result<()> {
        write_whole(file, &serde_json::to_vec(self)?)
    }

    /// A line of make's.
    pub(super) fn line(&mut self, line: &str) {
        if let Some(object) = object(line) {
            self.by_object.remove(stem(object));
            return;
        }
        let included = line.trim_start().strip_prefix("In file included from ");
        if let Some(place) = included.or_else(|| line.trim_start().strip_prefix("from ")) {
            let file = place.split(':').next().unwrap_or_default();
            if file.ends_with(".c") || file.ends_with(".S") {
                self.including = Some(stem(below_source(file)).to_owned());
            }
            return;
        }
        let Some((place, _)) = line.split_once(MARK) else { return };
        let named = below_source(place.split(':').next().unwrap_or_default());
        let object = self.including.take().unwrap_or_else(|| stem(named).to_owned());
        let kept: usize = self.by_object.values().map(Vec::len).sum();
        if kept < MOST {
            self.by_object.entry(object).or_default().push(quote(below_source(line)));
        }
    }

    /// All of them.
    pub(super) fn all(self) -> Vec<String> {
        self.by_object.into_values().flatten().collect()
    }
}

/// A path below the tree, as users know it.
fn below_source(path: &str) -> &str {
    path.trim_start_matches("../source/")
}

fn stem(file: &str) -> &str {
    file.rsplit_once('.').map_or(file, |(stem, _)| stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fed(warnings: &mut Warnings, lines: &[&str]) {
        lines.iter().for_each(|line| warnings.line(line));
    }

    #[test]
    fn what_is_compiled_again_loses_its_warnings_and_the_rest_keeps_them() {
        let mut warnings = Warnings::default();
        fed(
            &mut warnings,
            &[
                "  CC      mm/zswap.o",
                "  CC      mm/other.o",
                "../source/mm/zswap.c:3:5: warning: unused variable 'x' [-Wunused-variable]",
                "    3 | int x;",
                "In file included from ../source/include/linux/mm.h:4,",
                "                 from ../source/mm/other.c:1:",
                "../source/include/linux/swap.h:9:1: warning: in a header",
            ],
        );
        let kept = serde_json::to_vec(&warnings).unwrap();
        let header = "include/linux/swap.h:9:1: warning: in a header";
        let own = "mm/zswap.c:3:5: warning: unused variable 'x' [-Wunused-variable]";
        assert_eq!(warnings.all(), [header, own]);
        let mut again: Warnings = serde_json::from_slice(&kept).unwrap();
        fed(&mut again, &["  CC      mm/zswap.o"]);
        assert_eq!(again.all(), [header]);
        let mut again: Warnings = serde_json::from_slice(&kept).unwrap();
        fed(&mut again, &["  CC      mm/other.o"]);
        assert_eq!(again.all(), [own]);
    }

    #[test]
    fn a_build_without_end_is_bounded_and_a_folder_without_record_is_not_known() {
        let mut warnings = Warnings::default();
        (0..1_000).for_each(|n| warnings.line(&format!("a{n}.c:1: warning: w")));
        assert_eq!(warnings.all().len(), MOST);
        let nowhere = Path::new("/nonexistent/warnings.json");
        assert!(Warnings::read(nowhere, false).is_none());
        assert!(Warnings::read(nowhere, true).is_some());
    }
}
