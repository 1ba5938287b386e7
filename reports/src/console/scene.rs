// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who was running what when a report was made.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use smol_str::SmolStr;

use super::escaped::{escaped, lossy};
use super::words::Words;
use crate::finding::Scene;

/// Lines that are read at most.
const MAX_LINES: usize = 100;
/// Longest value of a register.
const MAX_VALUE: usize = 96;

/// Reads the lines that `dump_stack_print_info()` and `show_regs()` print. The first line names
/// the task of a hang: who prints the report is another.
pub(super) fn read<'t>(mut lines: impl Iterator<Item = &'t [u8]>) -> Scene {
    let mut scene = Scene::default();
    let head = lines.next().unwrap_or_default();
    let hung = hung_task(head);
    if let Some((comm, pid)) = &hung {
        (scene.comm, scene.pid) = (escaped(comm, 64), Some(*pid));
    }
    let lines = std::iter::once(head).chain(lines);
    let lines = lines.map(<[u8]>::trim_ascii_start).filter(|line| tells(line));
    for line in lines.take(MAX_LINES) {
        let line = &*lossy(line[..line.len().min(512)].trim_ascii_end());
        if let Some(release) = not_tainted(line).filter(|_| hung.is_some()) {
            if scene.release.is_empty() {
                scene.release = escaped(release.as_bytes(), 96);
            }
        } else if line.starts_with("CPU: ") || line.starts_with("Pid: ") {
            if hung.is_none() && scene.pid.is_none() {
                read_cpu(line, &mut scene);
            }
        } else if let Some(rest) = line.strip_prefix("Workqueue: ") {
            if scene.workqueue.is_empty() {
                scene.workqueue = escaped(rest.as_bytes(), 128);
            }
        } else {
            read_register(line, &mut scene);
        }
    }
    scene
}

/// True for a line that has anything to tell.
fn tells(line: &[u8]) -> bool {
    let is = |start: &[u8]| line.starts_with(start);
    match line.first() {
        Some(b'C') => is(b"CPU: ") || is(b"CR2: "),
        Some(b'N') => is(b"Not tainted "),
        Some(b'P') => is(b"Pid: "),
        Some(b'F') => is(b"FAR "),
        Some(b'R') => is(b"RIP: ") || is(b"RAX: ") || is(b"RDX: "),
        Some(b'W') => is(b"Workqueue: "),
        Some(b'e') => is(b"epc :"),
        Some(b'l') => is(b"lr :"),
        Some(b'p') => is(b"pc :"),
        Some(b's') => is(b"status:"),
        _ => false,
    }
}

/// `INFO: task swapoff:900 blocked for more than 120 seconds.`
fn hung_task(head: &[u8]) -> Option<(&[u8], u32)> {
    static TASK: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("INFO: task "));
    static ENDS: LazyLock<Words> = LazyLock::new(|| {
        Words::new(&[" blocked for more than ", " blocked in ", " can't die for "])
    });
    let rest = &head[TASK.find(head)? + TASK.needle().len()..];
    let rest = &rest[..ENDS.find(rest)?];
    let colon = memchr::memrchr(b':', rest)?;
    let pid = std::str::from_utf8(&rest[colon + 1..]).ok()?.parse().ok()?;
    Some((&rest[..colon], pid))
}

/// The release behind `Not tainted` on a line of its own.
fn not_tainted(line: &str) -> Option<&str> {
    line.strip_prefix("Not tainted ").map(|rest| until(b" ", rest))
}

static PID: LazyLock<Words> = LazyLock::new(|| Words::new(&["PID: ", "Pid: "]));
static COMM: LazyLock<Words> = LazyLock::new(|| Words::new(&["Comm: ", "comm: "]));
static TAINTED: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(" Tainted: "));
static NOT_TAINTED: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(" Not tainted"));
/// What kernels with a crash kernel loaded put behind the task, since v5.8.
const KDUMP: &str = " Kdump: loaded";

/// `CPU: 0 UID: 0 PID: 21 Comm: kworker/u4:1 Tainted: G    B   W  6.1.0 #1`, and before v3.9
/// `Pid: 21, comm: kworker/u4:1 Not tainted 3.0.3 #1`.
fn read_cpu(line: &str, scene: &mut Scene) {
    let find = |key: &Finder<'_>, text: &str| key.find(text.as_bytes());
    // All keys are as long.
    let after =
        |keys: &Words| keys.find(line.as_bytes()).and_then(|at| line.get(at + "PID: ".len()..));
    scene.cpu = line.strip_prefix("CPU: ").and_then(number);
    scene.pid = after(&PID).and_then(number);
    let Some(rest) = after(&COMM).map(str::trim_start) else { return };
    let (comm, rest) = match (find(&NOT_TAINTED, rest), find(&TAINTED, rest)) {
        (Some(at), _) => (&rest[..at], rest[at + " Not tainted".len()..].trim_start()),
        (None, Some(at)) => {
            // Letters and blanks come before the release, and newer kernels explain them
            // in brackets behind a comma.
            let letters = &rest[at + " Tainted: ".len()..];
            let end = letters
                .find(|c: char| !(c.is_ascii_uppercase() || c == ' '))
                .unwrap_or(letters.len());
            let mut release = &letters[end..];
            scene.taint = letters[..end].split(' ').filter(|l| !l.is_empty()).collect();
            if release.starts_with(',') || release.starts_with('[') {
                release = release.split_once("] ").map_or("", |(_, r)| r);
            }
            // Red Hat's kernels have dashes between letters of their own.
            let is_mark = |word: &str| word.bytes().all(|b| b == b'-' || b.is_ascii_uppercase());
            while let Some((word, after)) = release.trim_start().split_once(' ')
                && is_mark(word)
            {
                release = after;
            }
            (&rest[..at], release.trim_start())
        }
        (None, None) => (rest, ""),
    };
    let comm = comm.strip_suffix(KDUMP).unwrap_or(comm);
    scene.comm = escaped(comm.as_bytes(), 64);
    scene.release = escaped(until(b" ", rest).as_bytes(), 96);
}

/// `Comm: syz.3.12` names a program of the fuzzer: process 3, program 12.
pub(super) fn executor(text: &[u8]) -> Option<String> {
    const KEY: &[u8] = b"Comm: syz.";
    static FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(KEY));
    let mut rest = text;
    while let Some(at) = FINDER.find(rest) {
        rest = &rest[at + KEY.len()..];
        let word = &rest[..rest.iter().take_while(|b| b.is_ascii_digit() || **b == b'.').count()];
        let word = std::str::from_utf8(word).ok()?;
        if let Some((process, id)) = word.split_once('.')
            && let (Ok(process), Ok(id)) = (process.parse::<u32>(), id.parse::<u32>())
        {
            return Some(format!("proc={process}, id={id}"));
        }
    }
    None
}

fn number(text: &str) -> Option<u32> {
    let end = text.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}

/// The text before the first of some ASCII characters.
fn until<'t>(ends: &[u8], text: &'t str) -> &'t str {
    &text[..text.bytes().position(|b| ends.contains(&b)).unwrap_or(text.len())]
}

/// The register that a line begins with.
fn read_register(line: &str, scene: &mut Scene) {
    let name = until(b": ", line);
    let value = line[name.len()..].trim_start_matches([' ', '=', ':']);
    let value = until(b" ", value.strip_prefix("0010:").unwrap_or(value));
    if !value.is_empty() && scene.registers.len() < 8 {
        scene.registers.entry(name.into()).or_insert_with(|| short_escaped(value));
    }
}

/// A value as [`escaped`] makes it. Most are plain and short, and need no allocation.
fn short_escaped(value: &str) -> SmolStr {
    if value.len() <= MAX_VALUE && value.bytes().all(|b| b.is_ascii_graphic()) {
        return value.into();
    }
    escaped(value.as_bytes(), MAX_VALUE).into()
}

#[cfg(test)]
mod tests {
    use super::super::blame::Lines;
    use super::*;

    fn scene_of(text: &[u8]) -> Scene {
        read(Lines { rest: text })
    }

    #[test]
    fn cpu_task_and_taint_are_read() {
        let scene = scene_of(b"CPU: 2 PID: 651 Comm: kworker/u4:1 Tainted: G    B   W          6.5.0-rc4 #148\nWorkqueue: events shrink_worker\nCR2: 0000000000000010 CR3: 1\n");
        assert_eq!((scene.cpu, scene.pid), (Some(2), Some(651)));
        assert_eq!(scene.comm, "kworker/u4:1");
        assert_eq!(scene.taint, "GBW");
        assert_eq!(scene.release, "6.5.0-rc4");
        assert_eq!(scene.workqueue, "events shrink_worker");
        assert_eq!(scene.registers["CR2"], "0000000000000010");
    }

    #[test]
    fn tasks_are_named_however_old_the_kernel() {
        for (text, comm, pid, release) in [
            ("CPU: 1 PID: 9 Comm: a b Kdump: loaded Not tainted 6.1.0 #1", "a b", 9, "6.1.0"),
            ("CPU: 1 PID: 9 Comm: a Kdump: loaded Tainted: G  W  6.1.0 #1", "a", 9, "6.1.0"),
            (
                "CPU: 1 PID: 9 Comm: a Tainted: G  W   ------------ T 3.10.0-1.el7 #1",
                "a",
                9,
                "3.10.0-1.el7",
            ),
            ("CPU: 1 PID: 9 Comm: a Not tainted", "a", 9, ""),
            ("Pid: 9, comm: a Tainted: P   3.0.3 #1", "a", 9, "3.0.3"),
            ("Pid: 9, comm:          a Not tainted 2.6.32 #1", "a", 9, "2.6.32"),
            (
                "INFO: task a:b:9 blocked for more than 1 seconds.\n  Not tainted 6.1.0 #1\nCPU: 0 PID: 3 Comm: khungtaskd",
                "a:b",
                9,
                "6.1.0",
            ),
        ] {
            let scene = scene_of(text.as_bytes());
            let read = (scene.comm.as_str(), scene.pid, scene.release.as_str());
            assert_eq!(read, (comm, Some(pid), release), "{text}");
        }
    }

    #[test]
    fn newer_kernels_explain_the_taint() {
        let scene =
            scene_of(b"CPU: 0 UID: 0 PID: 5 Comm: a b Tainted: G        W           6.14.0 #1\n");
        assert_eq!((scene.comm.as_str(), scene.release.as_str()), ("a b", "6.14.0"));
        let scene = scene_of(b"CPU: 0 UID: 0 PID: 5 Comm: sh Not tainted 6.12.0 #1\n");
        assert_eq!((scene.taint.as_str(), scene.release.as_str()), ("", "6.12.0"));
    }
}
