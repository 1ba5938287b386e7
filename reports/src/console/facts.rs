// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is true of a log as a whole.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use regex::bytes::{RegexSet, RegexSetBuilder};
use serde::{Deserialize, Serialize};

use super::words::Words;

/// What is true of a log as a whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The kernel panicked.
    pub panicked: bool,
    /// User space died in a way that makes reports doubtful: the out-of-memory killer took
    /// the agent, init crashed, a host program failed.
    pub suppressed: bool,
    /// The host's serial line broke off: every report may be cut.
    pub disconnected: bool,
}

#[derive(Debug, Default)]
pub(super) struct FactReader {
    facts: Facts,
}

static PANIC: LazyLock<Finder<'static>> =
    LazyLock::new(|| Finder::new(b"Kernel panic - not syncing"));
static DISCONNECTED: LazyLock<Finder<'static>> =
    LazyLock::new(|| Finder::new(b"serialport: VM disconnected."));

/// One of these is in every line that [`SUPPRESSING`] matches.
static HINTS: LazyLock<Words> = LazyLock::new(|| {
    Words::new(&["memory", "SIGBUS", "INIT: PANIC", "smashing", "segfault", "Killed process"])
});

/// Lines after which reports are doubtful.
static SUPPRESSING: LazyLock<RegexSet> = LazyLock::new(|| {
    RegexSetBuilder::new([
        r"fatal error: (?:runtime: )?(?:out of memory|cannot allocate memory)",
        r"runtime: out of memory",
        r"runtime: cannot allocate memory",
        r"panic: .*(?:out of memory|cannot allocate memory)",
        r"SIGBUS",
        r"\*\*\* stack smashing detected \*\*\*",
        r"init\[1\]: segfault",
        r"INIT: PANIC: segmentation violation",
        r"(?:Out of memory|[Mm]emory cgroup out of memory): Kill(?:ed)? process [0-9]+ \((?:sshd|syz-execut|syz-fuzzer|syz-exec)",
        r"Killed process [0-9]+ \((?:sshd|syz-execut|syz-fuzzer|syz-exec)",
        r"Kernel panic - not syncing: Out of memory",
    ])
    .unicode(false)
    .build()
    .expect("checked by a test")
});

impl FactReader {
    /// Takes a line that holds one of the prefilter's words.
    pub(super) fn read(&mut self, line: &[u8]) {
        self.facts.panicked |= PANIC.find(line).is_some();
        self.facts.disconnected |= DISCONNECTED.find(line).is_some();
        self.facts.suppressed |=
            !self.facts.suppressed && HINTS.are_in(line) && SUPPRESSING.is_match(line);
    }

    pub(super) fn facts(&self) -> Facts {
        self.facts
    }
}

#[cfg(test)]
mod tests {
    use super::super::prefilter::PREFILTER;
    use super::*;

    #[test]
    fn lines_that_make_reports_doubtful_are_looked_at_and_understood() {
        for line in [
            "Out of memory: Kill process 91 (sshd) score 0 or sacrifice child",
            "Memory cgroup out of memory: Killed process 92 (syz-executor) total-vm:1kB",
            "fatal error: runtime: cannot allocate memory",
            "[signal SIGBUS: bus error code=0x2 addr=0x1 pc=0x2]",
            "*** stack smashing detected ***: terminated",
            "init[1]: segfault at 10 ip 20 sp 30 error 4",
            "INIT: PANIC: segmentation violation at 0x10! sleeping for 30 seconds.",
        ] {
            let mut facts = FactReader::default();
            assert!(PREFILTER.are_in(line.as_bytes()), "{line}");
            facts.read(line.as_bytes());
            assert!(facts.facts().suppressed, "{line}");
        }
        let mut facts = FactReader::default();
        facts.read(b"Out of memory: Killed process 93 (hog) total-vm:1kB");
        assert_eq!(facts.facts(), Facts::default());
    }
}
