// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lines that a stack follows on.

use std::sync::LazyLock;

use regex::bytes::Regex;

use super::blame::line_end;
use super::pattern;
use super::words::Words;

/// A line that a stack follows on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Start {
    /// Where the line begins in its text.
    pub(super) at: usize,
    pub(super) kind: Kind,
}

/// What a line that a stack follows on says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `Call Trace:`.
    Trace,
    /// `Allocated:`, `Freed:`.
    Allocated,
    Freed,
    /// `Allocated by task 12:`, `Freed by task 12:`.
    AllocatedBy,
    FreedBy,
    /// `  backtrace (crc 1234abcd):` of a leaked object.
    Leaked,
    /// `Backtrace:` of 32-bit ARM.
    Backtrace,
    /// `Uninit was stored to memory at:`.
    Stored,
    /// RISC-V's oops has no title above its stack; the registers' end stands for it.
    Registers,
    /// `Uninit was created at:`: where memory comes from is no evidence of anything.
    Origin,
}

impl Kind {
    /// True unless only what comes next tells that a stack follows.
    pub(super) fn is_title(self) -> bool {
        self != Kind::Registers
    }

    /// True if the stack is evidence of what is reported.
    pub(super) fn is_evidence(self) -> bool {
        self != Kind::Origin
    }
}

/// One of these is in every such line.
static HINTS: LazyLock<Words> = LazyLock::new(|| {
    Words::new(&[
        "Call T",
        "Call t",
        "Allocated",
        "Freed",
        "acktrace",
        "Uninit was s",
        "created at:",
        "status: 0",
    ])
});

/// All lines of a text that stacks follow on.
pub(super) fn all(text: &[u8]) -> Vec<Start> {
    let mut starts = Vec::new();
    let mut from = 0;
    while let Some(at) = HINTS.find(&text[from..]).map(|at| from + at) {
        from = at + 1;
        if let Some(kind) = read(text, at) {
            let line = memchr::memrchr(b'\n', &text[..at]).map_or(0, |nl| nl + 1);
            starts.push(Start { at: line, kind });
            from = line_end(text, at);
        }
    }
    starts
}

/// What a line says, if a stack follows on it.
pub(super) fn of_line(line: &[u8]) -> Option<Kind> {
    let mut from = 0;
    while let Some(at) = HINTS.find(&line[from..]).map(|at| from + at) {
        from = at + 1;
        if let Some(kind) = read(line, at) {
            return Some(kind);
        }
    }
    None
}

/// True for a line with which SLUB tells more of an object before v5.13, when it still began
/// with `INFO: `.
pub(super) fn is_of_slab(line: &[u8]) -> bool {
    let Some(rest) = line.trim_ascii_start().strip_prefix(b"INFO: ") else { return false };
    [&b"Allocated in "[..], b"Freed in ", b"Slab 0x", b"Object 0x", b"0x"]
        .iter()
        .any(|start| rest.starts_with(start))
}

/// What the hint at a place in a text belongs to.
fn read(text: &[u8], at: usize) -> Option<Kind> {
    static REGISTERS: LazyLock<Regex> = LazyLock::new(|| {
        pattern::compile(
            r"^status: [0-9a-f]{16} badaddr: [0-9a-f]{16} cause: [0-9a-f]{16}.*\n *\[<",
        )
    });
    let (before, rest) = text.split_at(at);
    let by_task = |object: &[u8], unnamed, named| {
        let rest = rest.strip_prefix(object)?;
        if rest.starts_with(b":") {
            return Some(unnamed);
        }
        let task = rest.strip_prefix(b" by task ")?;
        let digits = task.iter().take_while(|b| b.is_ascii_digit()).count();
        (digits > 0 && task.get(digits) == Some(&b':')).then_some(named)
    };
    let backtrace = || {
        let rest = rest.strip_prefix(b"acktrace")?;
        if before.ends_with(b"B") {
            return rest.starts_with(b":").then_some(Kind::Backtrace);
        }
        // "stack backtrace:" only announces a "Call Trace:".
        let indent = before.strip_suffix(b" b")?;
        let rest = rest.strip_prefix(b" (crc ").map_or(Some(rest), |rest| {
            let digits = rest.iter().take_while(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')).count();
            rest[digits..].strip_prefix(b")")
        })?;
        (rest.starts_with(b":") && !matches!(indent.last(), None | Some(b'k' | b'\n')))
            .then_some(Kind::Leaked)
    };
    match rest.first()? {
        b'A' => by_task(b"Allocated", Kind::Allocated, Kind::AllocatedBy),
        b'F' => by_task(b"Freed", Kind::Freed, Kind::FreedBy),
        b'C' if rest[b"Call T".len()..].starts_with(b"race") => Some(Kind::Trace),
        b'U' => rest.starts_with(b"Uninit was stored to memory at").then_some(Kind::Stored),
        b'a' => backtrace(),
        b'c' => Some(Kind::Origin),
        b's' if before.last().is_none_or(|&b| b == b'\n') => {
            REGISTERS.is_match(&rest[..rest.len().min(512)]).then_some(Kind::Registers)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_above_stacks_are_told_apart() {
        for (line, kind) in [
            ("Call Trace:", Some(Kind::Trace)),
            (" Call trace: (unreliable)", Some(Kind::Trace)),
            ("Allocated:", Some(Kind::Allocated)),
            ("Allocated by task 12:", Some(Kind::AllocatedBy)),
            ("Freed by task 7 on cpu 1 at 3s:", None),
            ("Freed by task 7:", Some(Kind::FreedBy)),
            ("  backtrace (crc 12ab):", Some(Kind::Leaked)),
            ("  backtrace:", Some(Kind::Leaked)),
            ("stack backtrace:", None),
            ("Backtrace: ", Some(Kind::Backtrace)),
            ("Uninit was stored to memory at:", Some(Kind::Stored)),
            ("Uninit was created at:", Some(Kind::Origin)),
            ("Freed memory, Allocated by task 1:", Some(Kind::AllocatedBy)),
            ("Code: 1 2 3", None),
        ] {
            assert_eq!(of_line(line.as_bytes()), kind, "{line}");
        }
    }

    #[test]
    fn riscv_registers_end_above_the_stack() {
        let text = b"x\nstatus: 0000000000000120 badaddr: 0000000000000000 cause: 000000000000000f\n[<ffffffff>] f+0x1/0x2\n";
        assert_eq!(all(text), [Start { at: 2, kind: Kind::Registers }]);
        assert_eq!(all(&text[..76]), []);
    }
}
