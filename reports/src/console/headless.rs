// SPDX-License-Identifier: MIT OR Apache-2.0
//! Logs that begin too late: traces whose first lines have scrolled away, and whether there is a
//! kernel in a log at all.

use std::sync::LazyLock;

use super::escaped::escaped;
use super::frames::FrameLine;
use super::ip;
use super::line::{Line, Prefix};
use super::notes::Note;
use super::starts::{self, Kind};
use super::words::Words;

/// True for the line above a stack.
pub(super) fn is_trace(text: &[u8]) -> bool {
    matches!(starts::of_line(text), Some(Kind::Trace | Kind::Backtrace))
}

/// The line of the instruction pointer in what came before a trace, if it was in the kernel and
/// nothing says that the trace was asked for.
pub(super) fn pointer(text: &[u8]) -> Option<&[u8]> {
    static ASKED_FOR: LazyLock<Words> = LazyLock::new(|| {
        Words::new(&[
            "oom-killer",
            "allocation failure",
            "allocation stall",
            "hard LOCKUP",
            "NMI backtrace",
            "sysrq",
            "Show Blocked State",
            "vmalloc error",
        ])
    });
    if ASKED_FOR.are_in(text) {
        return None;
    }
    let (at, function) = ip::find(text)?;
    function?;
    let start = memchr::memrchr(b'\n', &text[..at]).map_or(0, |nl| nl + 1);
    let end = memchr::memchr(b'\n', &text[at..]).map_or(text.len(), |nl| at + nl);
    Some(&text[start..end])
}

/// Looks at the first lines of a log, which may begin within a trace.
#[derive(Debug, Default)]
pub(super) struct Beginning {
    lines: u64,
    /// Of these, those that say that the kernel printed them.
    stamped: u32,
    /// Frames so far, whether they do, and the first of them with its line, from 1.
    are_stamped: bool,
    frames: u32,
    first: String,
    line: u64,
    /// It is known whether the log begins so.
    known: bool,
}

impl Beginning {
    /// Lines of the kernel's of which one has to be a frame.
    const MOST: u32 = 40;
    /// The same of any lines: much may stand around the kernel's.
    const MOST_OF_ANY: u64 = 1000;
    /// So many frames are a trace.
    const TRACE: u32 = 2;

    /// False if more lines tell nothing.
    pub(super) fn is_open(&self) -> bool {
        !self.known
    }

    /// Takes the next line.
    pub(super) fn read(&mut self, read: &Line<'_>) {
        /// Who prints a trace that somebody asked for.
        static ASKERS: LazyLock<Words> = LazyLock::new(|| {
            Words::new(&[
                "out_of_memory+",
                "oom_kill_process+",
                "dump_header+",
                "warn_alloc+",
                "cpu_backtrace+",
                "handle_sysrq+",
                "show_state_filter+",
            ])
        });
        self.lines += 1;
        let is_stamped = read.prefix.is_kernels();
        self.stamped += u32::from(is_stamped);
        let frame = FrameLine::read(read.text).filter(|frame| frame.is_placed());
        // The first frame may have lost its stamp to the line before it, from which a mail program broke it.
        self.are_stamped |= is_stamped && frame.is_some();
        // What others say around the frames ends no trace.
        if read.prefix == Prefix::Program || self.frames > 0 && is_stamped != self.are_stamped {
            return;
        }
        if frame.is_some() {
            if ASKERS.are_in(read.text) {
                self.forget();
            } else if !read.unreliable {
                self.frames += 1;
                if self.frames == 1 {
                    (self.line, self.are_stamped) = (self.lines, is_stamped);
                    self.first = escaped(read.text.trim_ascii(), 256);
                }
            }
            return;
        }
        let text = read.text.trim_ascii_start();
        // A mail program may have broken a frame behind its mark.
        let is_within =
            text.is_empty() || text.starts_with(b"<") || text == b"?" || read.unreliable;
        if self.frames == 0 {
            self.known =
                is_trace(text) || self.stamped >= Self::MOST || self.lines >= Self::MOST_OF_ANY;
        } else if text.starts_with(b"Mem-Info:") {
            self.forget();
        } else if !is_within {
            self.known = true;
        }
    }

    /// The trace that the log begins with, unless a report began before it.
    pub(super) fn take(&mut self, first_report: Option<u64>) -> Option<Note> {
        let is_trace = self.frames >= Self::TRACE && first_report.is_none_or(|at| at > self.line);
        let first = std::mem::take(&mut self.first);
        self.forget();
        is_trace.then(|| Note::of_headless(first, 0))
    }

    fn forget(&mut self) {
        (self.frames, self.known) = (0, true);
    }
}

/// True for a line that a kernel printed: its stamp says so, or what it says.
pub(super) fn is_kernels(read: &Line<'_>) -> bool {
    /// What is printed at boot, when memory is short, and in reports, with or without a stamp.
    static WORDS: LazyLock<Words> = LazyLock::new(|| {
        Words::new(&[
            "Linux version ",
            "ernel command line: ",
            "Booting Linux",
            "Booting the kernel",
            "Freeing unused kernel",
            "as init process",
            "Call Trace:",
            "Call trace:",
            "PID: ",
            "Modules linked in:",
            "Hardware name: ",
            "---[ end ",
            "---[ cut here ",
            "oom-killer: ",
            "oom-kill:",
            "illed process ",
            "EXT4-fs (",
            "zswap: ",
            "zram: ",
            "swap on /dev",
            "random: crng",
            "+0x",
        ])
    });
    read.prefix.is_kernels() || read.prefix.is_none() && WORDS.are_in(read.message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_trace_of_the_kernel_that_nobody_asked_for_lacks_its_head() {
        let registers = "RIP: 0010:swap_writepage+0x1/0x2\nRSP: 0018:ffff\n";
        assert_eq!(pointer(registers.as_bytes()), Some(&b"RIP: 0010:swap_writepage+0x1/0x2"[..]));
        for text in ["RIP: 0033:0x7f0000000000\n", "hog invoked oom-killer: x\n", "x\n"] {
            assert_eq!(pointer(text.as_bytes()), None, "{text}");
        }
        let asked = format!("NMI backtrace for cpu 1\n{registers}");
        assert_eq!(pointer(asked.as_bytes()), None);
        assert!(is_trace(b"Call Trace:") && !is_trace(b"Freed by task 7:"));
    }

    #[test]
    fn a_log_may_begin_within_a_trace() {
        let begins_in = |log: &str| {
            let report =
                log.lines().zip(1..).find_map(|(line, at)| line.contains("BUG:").then_some(at));
            let mut beginning = Beginning::default();
            for line in log.lines() {
                if beginning.is_open() {
                    beginning.read(&Line::read(line.as_bytes()));
                }
            }
            beginning.take(report).map(|note| note.text)
        };
        let trace = " a+0x1/0x2\n ? x+0x1/0x2\n <TASK>\n b+0x1/0x2\n";
        for (log, first) in [
            (trace.to_owned(), Some("a+0x1/0x2")),
            ("[  1.5] a+0x1/0x2\nwho\n\n[  1.5] b+0x1/0x2\n".to_owned(), Some("a+0x1/0x2")),
            (format!("here it is:\n{trace}RIP: 0033:0x7f\nx\n"), Some("a+0x1/0x2")),
            (format!("Call Trace:\n{trace}"), None),
            (format!("BUG: x\n{trace}"), None),
            (format!("{trace}BUG: x\n"), Some("a+0x1/0x2")),
            (format!("{trace}</TASK>\nMem-Info:\n"), None),
            (format!("{trace} out_of_memory+0x1/0x2\n"), None),
            (
                "[  1.5] a+0x1/0x2\n[  1.5]  ?\nx+0x1/0x2\n[  1.5] b+0x1/0x2\n".to_owned(),
                Some("a+0x1/0x2"),
            ),
            (" a+0x1/0x2\nx\n".to_owned(), None),
            (format!("{}{trace}", "[  1.5] x\n".repeat(40)), None),
            (format!("{}{trace}", "x\n".repeat(1000)), None),
        ] {
            assert_eq!(begins_in(&log).as_deref(), first, "{log}");
        }
    }

    #[test]
    fn kernels_lines_are_told_from_all_others() {
        let is_kernels = |line: &str| is_kernels(&Line::read(line.as_bytes()));
        for line in ["[  1.5] x", "> box kernel: x", "Linux version 6.1", " f+0x1/0x2"] {
            assert!(is_kernels(line), "{line}");
        }
        for line in ["", "Dear list,", "Mar 04 12:00:01 box a[1]: PID: 7", "#include <a.h>"] {
            assert!(!is_kernels(line), "{line}");
        }
    }
}
