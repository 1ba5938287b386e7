// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who was running what when a report was made.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use smol_str::SmolStr;

use super::report::{lossy, printable};
use crate::finding::Scene;

/// Lines that are read at most.
const MAX_LINES: usize = 100;
/// Longest value of a register.
const MAX_VALUE: usize = 96;

/// Reads the lines that `dump_stack_print_info()` and `show_regs()` print.
pub(super) fn read<'t>(lines: impl Iterator<Item = &'t [u8]>) -> Scene {
    let mut scene = Scene::default();
    let lines = lines.map(<[u8]>::trim_ascii_start).filter(|line| tells(line));
    for line in lines.take(MAX_LINES) {
        let line = &*lossy(line[..line.len().min(512)].trim_ascii_end());
        if line.starts_with("CPU: ") && scene.release.is_empty() {
            read_cpu(line, &mut scene);
        } else if let Some(rest) = line.strip_prefix("Workqueue: ") {
            if scene.workqueue.is_empty() {
                scene.workqueue = printable(rest.as_bytes(), 128);
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

static PID: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("PID: "));
static COMM: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("Comm: "));
static TAINTED: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(" Tainted: "));
static NOT_TAINTED: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(" Not tainted "));

/// `CPU: 0 UID: 0 PID: 21 Comm: kworker/u4:1 Tainted: G    B   W  6.1.0 #1`.
fn read_cpu(line: &str, scene: &mut Scene) {
    let find = |key: &Finder<'_>, text: &str| key.find(text.as_bytes());
    let after = |key: &Finder<'_>| find(key, line).map(|at| &line[at + key.needle().len()..]);
    scene.cpu = line.strip_prefix("CPU: ").and_then(number);
    scene.pid = after(&PID).and_then(number);
    let Some(rest) = after(&COMM) else { return };
    let (comm, rest) = match (find(&NOT_TAINTED, rest), find(&TAINTED, rest)) {
        (Some(at), _) => (&rest[..at], &rest[at + " Not tainted ".len()..]),
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
            (&rest[..at], release)
        }
        (None, None) => (rest, ""),
    };
    scene.comm = printable(comm.as_bytes(), 64);
    scene.release = printable(until(b" ", rest).as_bytes(), 96);
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
        scene.registers.entry(name.into()).or_insert_with(|| short_printable(value));
    }
}

/// A value as `printable` makes it. Most are plain and short, and need no allocation.
fn short_printable(value: &str) -> SmolStr {
    if value.len() <= MAX_VALUE && value.bytes().all(|b| b.is_ascii_graphic()) {
        return value.into();
    }
    printable(value.as_bytes(), MAX_VALUE).into()
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
    fn newer_kernels_explain_the_taint() {
        let scene =
            scene_of(b"CPU: 0 UID: 0 PID: 5 Comm: a b Tainted: G        W           6.14.0 #1\n");
        assert_eq!((scene.comm.as_str(), scene.release.as_str()), ("a b", "6.14.0"));
        let scene = scene_of(b"CPU: 0 UID: 0 PID: 5 Comm: sh Not tainted 6.12.0 #1\n");
        assert_eq!((scene.taint.as_str(), scene.release.as_str()), ("", "6.12.0"));
    }
}
