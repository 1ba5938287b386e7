// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finds the errors that matter in the output of a failed build.

use std::collections::VecDeque;

use host::lack::{Lack, lack};

use crate::text::quote;

/// Errors that are kept: the first causes the others more often than not.
const KEPT: usize = 8;
/// Last lines that are kept for a build which fails without a recognisable error.
const LAST: usize = 5;

/// Marks of errors with a cause in them, as GCC, binutils, make, objtool, modpost and
/// the shell print them.
const SPECIFIC: [&str; 13] = [
    ": error: ",
    ": fatal error: ",
    ": Error: ",
    "undefined reference to ",
    "multiple definition of ",
    "relocation truncated to fit",
    "internal compiler error",
    "Killed signal terminated",
    "*** No rule to make target",
    "No space left on device",
    "Cannot allocate memory",
    ": not found",
    "Permission denied",
];

/// Collects error lines while a build runs.
#[derive(Debug, Default)]
pub(super) struct ErrorLines {
    /// What the machine lacks, which the source is not to blame for. A full disk comes
    /// before want of memory, since more of that would not help.
    pub(super) lack: Option<Lack>,
    /// The lines that say so.
    lacking: Vec<String>,
    specific: Vec<String>,
    /// Lines in which make or a script only reports that something below it failed.
    general: Vec<String>,
    last: VecDeque<String>,
}

impl ErrorLines {
    pub(super) fn line(&mut self, line: &str) {
        if let Some(lack) = lack(line) {
            if self.lack != Some(Lack::Space) {
                self.lack = Some(lack);
            }
            if self.lacking.len() < KEPT {
                self.lacking.push(quote(line));
            }
        }
        let specific = SPECIFIC.iter().any(|mark| line.contains(mark))
            || ["error: ", "ERROR: ", "fatal: "].iter().any(|mark| line.starts_with(mark));
        if specific {
            // The file's path is all that the user needs of the work tree.
            let shown = quote(line.trim_start_matches("../source/"));
            if self.specific.len() < KEPT && !self.specific.contains(&shown) {
                self.specific.push(shown);
            }
        } else if line.contains("***") && self.general.len() < KEPT {
            self.general.push(quote(line));
        }
        if !line.trim().is_empty() {
            self.last.push_back(quote(line));
            if self.last.len() > LAST {
                self.last.pop_front();
            }
        }
    }

    /// The lines that say what the machine lacks.
    pub(super) fn lacking(self) -> Vec<String> {
        self.lacking
    }

    /// The best there is: real errors, else reports of failure, else the last lines.
    pub(super) fn finish(self) -> Vec<String> {
        [self.specific, self.general, self.last.into()]
            .into_iter()
            .find(|lines| !lines.is_empty())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(output: &str) -> Vec<String> {
        let mut errors = ErrorLines::default();
        output.lines().for_each(|line| errors.line(line));
        errors.finish()
    }

    #[test]
    fn the_compilers_error_comes_before_makes_report_of_it() {
        let output = "  CC      mm/zswap.o
../source/mm/zswap.c: In function 'f':
../source/mm/zswap.c:12:3: error: 'x' undeclared (first use in this function)
   12 |   x = 1;
make[2]: *** [../source/scripts/Makefile.build:250: mm/zswap.o] Error 1
make: *** [Makefile:234: __sub-make] Error 2
";
        assert_eq!(
            errors(output),
            ["mm/zswap.c:12:3: error: 'x' undeclared (first use in this function)"]
        );
    }

    #[test]
    fn other_kinds_of_failure_are_found() {
        for line in [
            "ld: mm/zswap.o: in function `f': undefined reference to `g'",
            "make[1]: *** No rule to make target 'mm/nonsuch.o', needed by 'mm/built-in.a'.  Stop.",
            "/bin/sh: 1: flex: not found",
            "arch/x86/lib/x.S:3: Error: no such instruction: `foo'",
            "scripts/x.c:1:10: fatal error: gelf.h: No such file or directory",
            "error: objtool: cannot decode",
        ] {
            assert_eq!(errors(&format!("  CC      a.o\n{line}\nmake: *** Error 2\n")), [line]);
        }
    }

    #[test]
    fn without_an_error_line_the_report_or_the_end_is_shown() {
        assert_eq!(errors("a\nmake: *** [x] Error 2\n"), ["make: *** [x] Error 2"]);
        assert_eq!(errors("1\n2\n3\n4\n5\n6\n"), ["2", "3", "4", "5", "6"]);
        assert_eq!(errors(""), [""; 0]);
    }

    #[test]
    fn the_number_of_errors_is_bounded_and_the_machines_own_faults_are_noticed() {
        let many: String = (0..100).map(|n| format!("a.c:{n}:1: error: x\n")).collect();
        assert_eq!(errors(&many).len(), KEPT);
        let lack = |lines: &[&str]| {
            let mut errors = ErrorLines::default();
            lines.iter().for_each(|line| errors.line(line));
            (errors.lack, errors.lacking())
        };
        let (full, killed) = (
            "fatal error: error writing to /tmp/x.s: No space left on device",
            "gcc: fatal error: Killed signal terminated program cc1",
        );
        let said = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
        assert_eq!(lack(&[full, killed]), (Some(Lack::Space), said(&[full, killed])));
        assert_eq!(lack(&["a.c:1: error: x", killed]), (Some(Lack::Memory), said(&[killed])));
        assert_eq!(lack(&["a.c:1: error: Killed"]), (None, vec![]));
    }
}
