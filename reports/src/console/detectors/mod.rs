// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a kernel bug report looks like: tables, no logic.
//!
//! A [`Detector`] fires on a word in a line and so marks the first line of a report. Its
//! [`Format`]s then say how the title is made from the report's text. Patterns are
//! regular expressions in which `{FUNC}` captures a function's name that is followed by
//! `.`, `+` or its places in the source, `{PC}` is a bracketed address and `{SRC}` captures `file.c:12`.

mod bug;
mod info;
mod other;
mod warning;

/// A kind of first line.
#[derive(Debug)]
pub(super) struct Detector {
    /// The line must contain this.
    pub(super) header: &'static str,
    /// The line must match this, unless it is empty.
    pub(super) only: &'static str,
    /// The line must match none of these.
    pub(super) except: &'static [&'static str],
    /// In the order in which they are tried.
    pub(super) formats: &'static [Format],
}

/// One way of making a title.
#[derive(Debug)]
pub(super) struct Format {
    /// Pattern that must match; the format whose match begins first wins.
    pub(super) first: &'static str,
    /// Pattern that must match as well, anywhere in the report; its captures are used
    /// instead of those of `first`. Empty: nothing more is asked for.
    pub(super) then: &'static str,
    /// Title: `{1}` is a capture, `{F}` the blamed function.
    pub(super) title: &'static str,
    /// Titles that group this report with others of the same cause.
    pub(super) alt: &'static [&'static str],
    /// Where `{F}` comes from.
    pub(super) blame: Option<&'static Blame>,
    /// What the report must have to be believed.
    pub(super) trust: Trust,
    /// Pattern of the first line that names the function which is blamed where no stack does.
    pub(super) named: &'static str,
}

/// What a report must have to be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// A stack with frames.
    Stack,
    /// Nothing: this kind prints no stack, or none that could be checked.
    Always,
    /// Seeing this format means that the real first line is lost.
    Never,
}

/// How the blamed function is found.
#[derive(Debug)]
pub(super) struct Blame {
    /// Ways through the text, in order of preference; the first that ends at a function counts.
    pub(super) ways: &'static [&'static [Look]],
    /// Words (as in the global list) of functions that are passed over for this kind only.
    pub(super) skip: &'static [&'static str],
    /// Which of the candidates is blamed.
    pub(super) pick: Pick,
}

/// One step on the way to the blamed function.
#[derive(Debug, Clone, Copy)]
pub(super) enum Look {
    /// Go to the next line that matches; its captures are candidates.
    Line(&'static str),
    /// Go to the next line that names the instruction pointer; its function is a candidate. A
    /// user-space address or a null pointer ends the search without one.
    InstructionPointer,
    /// Take the frames from here to the next stack as candidates.
    Frames,
}

/// Which of the candidate functions is blamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pick {
    /// The innermost.
    Top,
    /// The one that was called by a well-known dispatcher: the top of a stall is random.
    Stall,
    /// The first that is not busy with waiting.
    Hang,
}

/// Base of every table entry: `Format { first: .., title: .., ..BASE }`.
const BASE: Format = Format {
    first: "",
    then: "",
    title: "",
    alt: &[],
    blame: None,
    trust: Trust::Stack,
    named: "",
};

const IP: Look = Look::InstructionPointer;
/// The line above a stack.
const TRACE: Look = Look::Line(r"Call (?:T|t)race:|Backtrace:");
const FRAMES: Look = Look::Frames;

/// The first frame of the stack.
const FROM_TRACE: Blame = Blame { ways: &[&[TRACE, FRAMES]], skip: &[], pick: Pick::Top };
/// The instruction pointer, then the stack below it.
const FROM_IP: Blame = Blame { ways: &[&[IP, TRACE, FRAMES]], skip: &[], pick: Pick::Top };
/// As above; where no instruction pointer helps, the stack.
const FROM_IP_OR_TRACE: Blame =
    Blame { ways: &[&[IP, FRAMES], &[TRACE, FRAMES]], skip: &[], pick: Pick::Top };
/// The instruction pointer and nothing else.
const FROM_IP_ONLY: Blame = Blame { ways: &[&[IP]], skip: &[], pick: Pick::Top };
/// A stack whose top is random.
const STALLED: Blame = Blame { ways: &[&[TRACE, FRAMES]], skip: &[], pick: Pick::Stall };

/// Where the uninitialised memory of a KMSAN report came from: `{O}` in a title.
pub(super) const ORIGIN: Blame = Blame {
    ways: &[&[Look::Line(r"created at:"), FRAMES]],
    skip: &["alloc_skb", "usb_"],
    pick: Pick::Top,
};

/// What a line must not hold before the word of its detector to be a kernel's whole line: the
/// beginning of a mail's line, and the end of a sentence's first words.
pub(super) const NO_BEGINNING: &[&str] =
    &["Subject:", "Re:", "Fwd:", "Fw:", "Fixes:", "\"", "'", "`"];

/// All detectors, in the order in which a line is tried.
pub(super) fn all() -> impl Iterator<Item = &'static Detector> {
    [&bug::BUG, &warning::WARNING, &info::INFO].into_iter().chain(other::REST)
}

/// Detectors whose line follows from the report before it, and begins no second one.
pub(super) const FOLLOW_UPS: &[&str] = &[
    // How RISC-V's oops goes on behind "kernel BUG at".
    "Kernel BUG [#",
    "invalid opcode: 0000",
    "Kernel panic - not syncing",
    "unregister_netdevice: waiting for",
    "PANIC: double fault",
    "Internal error:",
];

/// Lines that end the part of the text that a title may use, though they begin no report.
pub(super) const INTRUSIONS: &[&str] = &[
    "vmalloc: allocation failure:",
    "FAULT_INJECTION: forcing a failure",
    "FAULT_FLAG_ALLOW_RETRY missing",
];
