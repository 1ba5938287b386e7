// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is true of a log as a whole.

use std::sync::LazyLock;

use regex::bytes::{RegexSet, RegexSetBuilder};
use serde::{Deserialize, Serialize};

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
        self.facts.panicked |= has(line, b"Kernel panic - not syncing");
        self.facts.disconnected |= has(line, b"serialport: VM disconnected.");
        self.facts.suppressed |= SUPPRESSING.is_match(line);
    }

    pub(super) fn facts(&self) -> Facts {
        self.facts
    }
}

fn has(line: &[u8], what: &[u8]) -> bool {
    memchr::memmem::find(line, what).is_some()
}
