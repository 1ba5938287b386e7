// SPDX-License-Identifier: MIT OR Apache-2.0
//! Stacks that the kernel prints because it was asked to: SysRq-w (tasks that are blocked) and
//! SysRq-l (what each CPU does). They are no reports, so the [`super::Reader`] passes them over.
//!
//! Format sources: `sched_show_task()` in the kernel's `kernel/sched/core.c`,
//! `nmi_cpu_backtrace()` in `lib/nmi_backtrace.c`, `showacpu()` in `drivers/tty/sysrq.c`.

use std::collections::VecDeque;

use memchr::memmem;

use super::line::{Context, Line};

/// Longest line that is looked at.
const MAX_LINE: usize = 1024;
/// Longest text kept of a stack.
const MAX_TEXT: usize = 16 << 10;
/// Stacks kept; the oldest go first.
const MAX_DUMPS: usize = 64;

/// Whose stack it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// A task's, by its id.
    Task(u32),
    /// That of the task that a CPU runs; not every architecture says which one that is.
    Running(Option<u32>),
}

/// One stack with the lines above it.
#[derive(Debug, Clone)]
pub(crate) struct Dump {
    whose: Whose,
    /// Lines without their prefixes.
    pub(crate) text: Vec<u8>,
    /// Offset of its first byte in the console stream.
    pub(crate) offset: u64,
    /// Number of its first line, from 1.
    pub(crate) line: u64,
}

/// Collects the stacks of one console. Memory is bounded, and the division of the bytes into
/// chunks does not matter.
#[derive(Debug, Default)]
pub(crate) struct Dumps {
    partial: Vec<u8>,
    /// Bytes so far.
    bytes: u64,
    /// Where the line begins that is not complete yet, and how many were before it.
    line_at: u64,
    lines: u64,
    open: Option<(Context, Dump)>,
    dumps: VecDeque<Dump>,
}

impl Dumps {
    /// Takes the next bytes of the console.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let mut from = 0;
        for end in memchr::memchr_iter(b'\n', bytes) {
            self.extend(&bytes[from..end]);
            let line = std::mem::take(&mut self.partial);
            self.line(&line);
            self.partial = line;
            self.partial.clear();
            from = end + 1;
            self.line_at = self.bytes + from as u64;
            self.lines += 1;
        }
        self.extend(&bytes[from..]);
        self.bytes += bytes.len() as u64;
    }

    /// The newest stack of a task. `running` says that it is on a CPU; where the kernel does not
    /// say whose stack a CPU's is, the one that holds `function` is taken.
    pub(crate) fn of(&self, pid: u32, running: bool, function: &str) -> Option<&Dump> {
        let newest = |fits: &dyn Fn(&Dump) -> bool| self.all().find(|dump| fits(dump));
        let task = newest(&|dump| dump.whose == Whose::Task(pid));
        let on_cpu = || {
            newest(&|dump| dump.whose == Whose::Running(Some(pid))).or_else(|| {
                let holds = |text: &[u8]| memmem::find(text, function.as_bytes()).is_some();
                newest(&|dump| dump.whose == Whose::Running(None) && holds(&dump.text))
            })
        };
        if running { on_cpu().or(task) } else { task.or_else(on_cpu) }
    }

    fn all(&self) -> impl Iterator<Item = &Dump> {
        self.open.iter().map(|(_, dump)| dump).chain(self.dumps.iter().rev())
    }

    fn extend(&mut self, more: &[u8]) {
        let room = MAX_LINE.saturating_sub(self.partial.len());
        self.partial.extend_from_slice(&more[..more.len().min(room)]);
    }

    fn line(&mut self, line: &[u8]) {
        // Most lines of a console have nothing to do with stacks.
        if self.open.is_none()
            && memmem::find(line, b"task:").is_none()
            && memmem::find(line, b"CPU").is_none()
        {
            return;
        }
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let read = Line::read(line);
        if let Some(whose) = header(read.text) {
            self.close();
            let (offset, line) = (self.line_at, self.lines + 1);
            let dump = Dump { whose, text: Vec::new(), offset, line };
            self.open = Some((read.prefix.to_context(), dump));
        }
        let Some((context, dump)) = &mut self.open else { return };
        if !read.prefix.matches(context) {
            return;
        }
        if ends(read.text) || dump.text.len() + read.text.len() > MAX_TEXT {
            self.close();
        } else if !read.unreliable {
            dump.text.extend_from_slice(read.text);
            dump.text.push(b'\n');
        }
    }

    fn close(&mut self) {
        let Some((_, dump)) = self.open.take() else { return };
        if self.dumps.len() == MAX_DUMPS {
            self.dumps.pop_front();
        }
        self.dumps.push_back(dump);
    }
}

/// Whose stack a line announces.
fn header(text: &[u8]) -> Option<Whose> {
    if text.starts_with(b"task:") {
        // The task's name may hold anything, also another `pid:`.
        let at = memmem::rfind(text, b" pid:")?;
        return number(&text[at + b" pid:".len()..]).map(Whose::Task);
    }
    let rest = text.strip_prefix(b"CPU")?;
    if let Some(rest) = rest.strip_prefix(b": ") {
        let at = memmem::find(rest, b" PID: ")?;
        return number(&rest[at + b" PID: ".len()..]).map(|pid| Whose::Running(Some(pid)));
    }
    // `CPU1:` and nothing else.
    number(rest)?;
    (rest.strip_suffix(b":")?.iter().all(u8::is_ascii_digit)).then_some(Whose::Running(None))
}

/// The number that a text begins with.
fn number(text: &[u8]) -> Option<u32> {
    let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
    std::str::from_utf8(&text[..digits]).ok()?.parse().ok()
}

/// True for a line behind the last stack.
fn ends(text: &[u8]) -> bool {
    [&b"sysrq: "[..], b"swapstorm ", b"Showing ", b"NMI backtrace for cpu "]
        .iter()
        .any(|start| text.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONSOLE: &str = "\
[   20.1][    T1] sysrq: Show Blocked State
[   20.2][    T1] task:swap pid:7      state:D stack:0     pid:35    ppid:1      flags:0x00004000
[   20.2][    T1] Call Trace:
[   20.2][   C1] BUG: not of this task
[   20.2][    T1]  <TASK>
[   20.2][    T1]  ? guessed+0x1/0x2
[   20.2][    T1]  __schedule+0x1/0x2
[   20.2][    T1] task:kworker/u4:1   state:D stack:0     pid:9     ppid:2      flags:0x00004000
[   20.2][    T1]  other+0x1/0x2
[   20.3][    T1] sysrq: Show backtrace of all active CPUs
[   20.4][   C1] NMI backtrace for cpu 1
[   20.4][   C1] CPU: 1 PID: 36 Comm: swap-vdb Not tainted 6.1.0 #1
[   20.4][   C1] RIP: 0010:spin+0x1/0x2
[   20.5][   C0] CPU0:
[   20.5][   C0] Call Trace:
[   20.5][   C0]  do_sys_swapoff+0x1/0x2
";

    fn text(dumps: &Dumps, pid: u32, running: bool) -> String {
        let dump = dumps.of(pid, running, "swapoff");
        dump.map(|dump| String::from_utf8_lossy(&dump.text).into_owned()).unwrap_or_default()
    }

    #[test]
    fn a_stack_belongs_to_its_task_however_the_bytes_come() {
        for step in [1, 7, 4096] {
            let mut dumps = Dumps::default();
            CONSOLE.as_bytes().chunks(step).for_each(|chunk| dumps.push(chunk));
            let swap = text(&dumps, 35, false);
            assert!(swap.starts_with("task:swap pid:7"), "{swap}");
            assert!(swap.ends_with("Call Trace:\n <TASK>\n __schedule+0x1/0x2\n"), "{swap}");
            let dump = dumps.of(35, false, "").unwrap();
            assert_eq!((dump.offset, dump.line), (44, 2));
            assert!(text(&dumps, 36, true).contains("RIP: 0010:spin"));
            assert!(text(&dumps, 9, false).contains("other+"));
            // Not every kernel names the task that a CPU runs.
            assert!(text(&dumps, 37, true).contains("do_sys_swapoff"));
            assert!(dumps.of(37, true, "swapon").is_none());
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut dumps = Dumps::default();
        for pid in 0..1000 {
            dumps.push(format!("task:a state:D pid:{pid}\n").as_bytes());
            for _ in 0..1000 {
                dumps.push(b" f+0x1/0x2 and more text to fill the line\n");
            }
        }
        dumps.push(&[b'x'; 1 << 20]);
        assert!(dumps.dumps.len() <= MAX_DUMPS && dumps.partial.len() <= MAX_LINE);
        assert!(dumps.dumps.iter().all(|dump| dump.text.len() <= MAX_TEXT));
        assert!(dumps.of(999, false, "").is_some() && dumps.of(1, false, "").is_none());
    }
}
