// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tasks that do not get on: what the agent says of one, and the report that it makes.

use super::words_to_text;
use crate::console::{Dumps, Options, Reader, Seen};
use crate::escape::printable;
use crate::finding::Finding;

/// Longest first line of a report.
const MAX_HEAD: usize = 512;
/// What the first line of a report begins with that the agent made, not the kernel.
const AGENT_HEAD: &str = "swapstorm: ";

/// `hung` or `slow`: a process of the agent does not get on, or does not end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hung {
    /// Milliseconds since `hello`.
    pub ms: u64,
    /// What it is about: `swapoff`, `swapon`, `loop`, `worker`, `observer`, `cpus`.
    pub what: String,
    /// The device, if it is about one.
    pub device: String,
    /// The worker, if it is one.
    pub worker: Option<u64>,
    /// Its process.
    pub pid: u32,
    /// The process's name.
    pub comm: String,
    /// Its state as in `/proc/PID/stat`: `D`, `R`, ...
    pub state: String,
    /// Milliseconds for which it was waited for after it was to end; `None` while the storm goes on.
    pub stop_ms: Option<u64>,
    /// Milliseconds since it began, by the guest's clock.
    pub guest_ms: u64,
    /// The same as far as the guest ran.
    pub awake_ms: u64,
    /// The part of `awake_ms` since it last got on.
    pub quiet_ms: u64,
    /// Milliseconds, up to now and as far as the guest ran, in which some disk
    /// owed answers and gave hardly any.
    pub io_ms: u64,
    /// How often the kernel has refused what was asked for.
    pub tries: u64,
    /// Swap calls of all devices that were completed since it last got on.
    pub others: u64,
    /// Context switches since a second into it; `None` if that was not looked at.
    pub switches: Option<u64>,
    /// CPU milliseconds since then.
    pub cpu_ms: Option<u64>,
    /// What it sleeps in; empty if the kernel does not say.
    pub wchan: String,
    /// Its stack by `/proc/PID/stack`, innermost frame first: `f+0x1/0x2`.
    pub stack: Vec<String>,
    /// All keys but `ms`, in the order in which they were printed.
    pub words: Vec<(String, String)>,
    /// The report that it makes.
    pub finding: Finding,
}

impl Hung {
    /// The agent's words in one printable line.
    pub fn detail(&self) -> String {
        words_to_text(&self.words)
    }

    /// Whom it speaks against; `None` if that is the kernel.
    ///
    /// A call that is refused again and again does return, and a disk that owes answers all the
    /// time may be to blame alone. Neither is a bug, but nothing was put to the test there.
    pub fn excuse(&self) -> Option<String> {
        if self.tries > 0 {
            return Some(format!("the kernel refused {} {} times", self.what, self.tries));
        }
        let waited = self.stop_ms.unwrap_or(self.quiet_ms).max(1);
        if self.io_ms.saturating_mul(4) >= waited.saturating_mul(3) {
            return Some(format!("a disk has hardly answered for {} ms", self.io_ms));
        }
        (self.state == "T" || self.state == "t").then(|| "the process was stopped".to_owned())
    }

    /// Seconds that a report speaks of.
    fn seconds(&self) -> u64 {
        self.stop_ms.unwrap_or(self.quiet_ms) / 1000
    }

    /// Who hangs, in words.
    fn subject(&self) -> String {
        let of = match (&*self.device, self.worker) {
            ("", Some(worker)) => format!("worker {worker}"),
            ("", None) => self.what.clone(),
            (device, _) => format!("{} of {device}", self.what),
        };
        let how = match self.stop_ms {
            None => "has not got on",
            Some(_) => "was killed and has not ended",
        };
        format!("{of} (pid {}) {how} for {} s", self.pid, self.seconds())
    }

    /// The report: what the kernel's own detector would have said had it been awake to it, read by
    /// the reader that reads those.
    pub(super) fn report(&self, dumps: &Dumps) -> Finding {
        let head = format!("{AGENT_HEAD}{}", self.subject());
        let dump = dumps.of(self.pid, self.state == "R", &self.what);
        let stack = match dump {
            Some(dump) => dump.text.clone(),
            None => self.printed_stack(),
        };
        let mut text = format!("INFO: task {} blocked for more than 1 seconds.\n", self.pid);
        text.push_str(&String::from_utf8_lossy(&stack));
        let mut reader = Reader::new(Options::default());
        let mut seen = reader.push(text.as_bytes());
        seen.extend(reader.finish());
        // A stack that is short for a console is whole here.
        let read = seen.into_iter().find_map(|seen| match seen {
            Seen::Report(finding) if has_function(&finding) => {
                Some(Finding { corrupted: None, ..*finding })
            }
            _ => None,
        });
        let mut finding = read.unwrap_or_else(|| Finding {
            title: format!("INFO: task hung in {}", printable(&self.what)),
            kind: "HANG".to_owned(),
            frame: printable(&self.what).into_owned(),
            ..Finding::default()
        });
        let rest = finding.text.split_once('\n').map_or("", |(_, rest)| rest);
        finding.text = format!("{}\n{}\n{rest}", printable(&head), self.detail());
        finding.head = printable(&head).chars().take(MAX_HEAD).collect();
        (finding.offset, finding.line) = dump.map_or((0, 0), |dump| (dump.offset, dump.line));
        finding.scene.pid = Some(self.pid);
        finding.scene.comm = printable(&self.comm).into_owned();
        finding
    }

    /// The agent's own stack as the kernel would print it.
    fn printed_stack(&self) -> Vec<u8> {
        let frames = self.stack.iter().map(|frame| format!(" {frame}\n"));
        std::iter::once("Call Trace:\n".to_owned()).chain(frames).collect::<String>().into_bytes()
    }
}

/// True if the stack tells where the task is.
fn has_function(finding: &Finding) -> bool {
    !finding.stacks.is_empty() && !matches!(&*finding.frame, "" | "corrupted")
}
