// SPDX-License-Identifier: MIT OR Apache-2.0
//! The stacks of a report as data.

use super::escaped::{escaped, lossy};
use super::frames::FrameLine;
use super::starts::{Kind, Start};
use crate::finding::{Frame, Stack, StackRole};

/// Stacks and frames of a stack that are kept.
const MAX_STACKS: usize = 8;
const MAX_FRAMES: usize = 128;
/// Room that most stacks fit in.
const USUAL_FRAMES: usize = 32;
/// Longest name of a function or a place in the source that is taken from a symboliser's words.
const MAX_WORD: usize = 256;
/// Lines without a frame after which a stack has ended.
const GAP: u32 = 3;

/// Reads all stacks of a report, which follow on `starts`, from its lines and their places.
pub(super) fn read<'t>(
    lines: impl Iterator<Item = (usize, &'t [u8])>,
    starts: &[Start],
) -> Vec<Stack> {
    let mut stacks: Vec<Stack> = Vec::new();
    let mut current: Option<(Stack, u32)> = None;
    let mut interrupted: Option<Frame> = None;
    // The current stack has nothing but the function that its title names.
    let mut from_title = false;
    let mut titles = starts.iter().peekable();
    for (at, line) in lines {
        while titles.next_if(|title| title.at < at).is_some() {}
        let track = Track::read(line);
        if current.is_none() && interrupted.is_some() && track.is_none() {
            // Nothing of interest comes before the next title.
            if titles.peek().is_none_or(|title| at < title.at) {
                continue;
            }
        }
        if let Some(track) = track {
            finish(&mut stacks, current.take());
            if stacks.len() >= MAX_STACKS {
                break;
            }
            let mut stack = track.into_stack();
            stack.role = first_access(stack.role, &stacks);
            from_title = !stack.frames.is_empty();
            current = Some((stack, 0));
            continue;
        }
        if let Some((stack, gap)) = &mut current
            && let Some(frame) = frame(line)
        {
            *gap = 0;
            if stack.frames.len() < MAX_FRAMES && stack.frames.last() != Some(&frame) {
                if std::mem::take(&mut from_title) {
                    // The stack has the function that its title names.
                    stack.frames.clear();
                }
                stack.frames.push(frame);
            }
            continue;
        }
        if let Some(title) = titles.next_if(|title| title.at == at) {
            finish(&mut stacks, current.take());
            if stacks.len() >= MAX_STACKS {
                break;
            }
            from_title = false;
            let role = first_access(role(title.kind), &stacks);
            let mut frames = Vec::with_capacity(USUAL_FRAMES);
            if role == StackRole::Access {
                frames.extend(interrupted.take());
            }
            current = Some((Stack { role, task: task(title.kind, line), frames }, 0));
            continue;
        }
        if ends_stack(line) {
            finish(&mut stacks, current.take());
            continue;
        }
        match &mut current {
            Some(_) if is_within_stack(line) => {}
            Some((_, gap)) => {
                *gap += 1;
                if *gap >= GAP {
                    finish(&mut stacks, current.take());
                }
            }
            None if interrupted.is_none() => interrupted = instruction_pointer(line),
            None => {}
        }
    }
    finish(&mut stacks, current);
    stacks
}

fn finish(stacks: &mut Vec<Stack>, current: Option<(Stack, u32)>) {
    if let Some((stack, _)) = current
        && !stack.frames.is_empty()
    {
        stacks.push(stack);
    }
}

fn role(kind: Kind) -> StackRole {
    match kind {
        Kind::Trace | Kind::Backtrace | Kind::Registers => StackRole::Access,
        Kind::Allocated | Kind::AllocatedBy | Kind::Leaked => StackRole::AllocatedBy,
        Kind::Freed | Kind::FreedBy => StackRole::FreedBy,
        Kind::Stored | Kind::Origin => StackRole::Other,
    }
}

/// The first plain stack is where the report was made; later ones are other things.
fn first_access(role: StackRole, stacks: &[Stack]) -> StackRole {
    match role {
        StackRole::Access if stacks.iter().any(|s| s.role == StackRole::Access) => StackRole::Other,
        role => role,
    }
}

/// Titles that only tell whose stack follows: no evidence, and no end of the frames above them.
struct Track<'t> {
    role: StackRole,
    task: Option<&'t [u8]>,
    /// What begins with a function; older kernels print no more.
    rest: &'t [u8],
}

impl<'t> Track<'t> {
    fn read(line: &'t [u8]) -> Option<Self> {
        let line = line.trim_ascii();
        match line.first()? {
            b'A' | b'F' | b'I' if !line.ends_with(b":") => Self::of_slub(line),
            _ if line.ends_with(b":") => Self::of_sanitizer(&line[..line.len().min(256)]),
            _ => None,
        }
    }

    /// `Allocated in f+0x1/0x2 age=112 cpu=1 pid=714` of SLUB, perhaps behind `INFO: `.
    fn of_slub(line: &'t [u8]) -> Option<Self> {
        let line = line.strip_prefix(b"INFO: ").unwrap_or(line);
        let (role, rest) = match line.strip_prefix(b"Allocated in ") {
            Some(rest) => (StackRole::AllocatedBy, rest),
            None => (StackRole::FreedBy, line.strip_prefix(b"Freed in ")?),
        };
        let near = &rest[..rest.len().min(512)];
        memchr::memmem::find(&near[..near.len().min(256)], b" age=")?;
        Some(Track { role, task: number_behind(near, b" pid="), rest })
    }

    /// `Freed by task 9 on cpu 1 at 3.5s:` of KASAN, `allocated by task 9 on cpu 1 at 3.5s:` and
    /// `Use-after-free read at 0xffff888012345678 (in kfence-#12):` of KFENCE, and
    /// `read to 0xffff888012345678 of 8 bytes by task 9 on cpu 1:` of KCSAN.
    fn of_sanitizer(line: &'t [u8]) -> Option<Self> {
        const ACCESSES: [&[u8]; 5] = [
            b"Use-after-free ",
            b"Out-of-bounds ",
            b"Invalid ",
            b"Corrupted memory at ",
            b"race at unknown origin",
        ];
        let holds = |words: &[u8]| memchr::memmem::find(line, words).is_some();
        let task = number_behind(line, b" by task ");
        let role = if task.is_some() && holds(b"llocated by task ") {
            StackRole::AllocatedBy
        } else if task.is_some() && holds(b"reed by task ") {
            StackRole::FreedBy
        } else if ACCESSES.iter().any(|start| line.starts_with(start)) && holds(b" 0x")
            || holds(b" bytes by ") && holds(b" on cpu ")
        {
            StackRole::Access
        } else {
            return None;
        };
        // What KASAN has printed for long is known as a beginning of a stack.
        let is_known = matches!(line[0], b'A' | b'F') && !holds(b" on cpu ");
        (!is_known).then_some(Track { role, task, rest: b"" })
    }

    fn into_stack(self) -> Stack {
        let frames = FrameLine::read(self.rest).map(FrameLine::to_frame).into_iter().collect();
        Stack { role: self.role, task: self.task.map(|pid| lossy(pid).into_owned()), frames }
    }
}

/// The number behind some words, if it is there.
fn number_behind<'t>(line: &'t [u8], words: &[u8]) -> Option<&'t [u8]> {
    let rest = &line[memchr::memmem::find(line, words)? + words.len()..];
    let number = &rest[..rest.iter().take_while(|b| b.is_ascii_digit()).count()];
    (!number.is_empty()).then_some(number)
}

/// The task that a title names.
fn task(kind: Kind, line: &[u8]) -> Option<String> {
    let words: &[u8] = match kind {
        Kind::AllocatedBy => b"Allocated by task ",
        Kind::FreedBy => b"Freed by task ",
        _ => return None,
    };
    let line = &line[..line.len().min(256)];
    let rest = &line[memchr::memmem::find(line, words)? + words.len()..];
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    Some(lossy(&rest[..digits]).into_owned())
}

/// A frame, or an inlined one that a symboliser put in: `f file.c:1 [inline]`.
fn frame(line: &[u8]) -> Option<Frame> {
    if let Some(read) = FrameLine::read(line) {
        let mut frame = read.to_frame();
        frame.source = frame.source.or_else(|| source(line));
        return Some(frame);
    }
    let text = line.trim_ascii_end().strip_suffix(b" [inline]")?;
    let text = text.trim_ascii_start();
    let (function, source) = text.split_at(memchr::memrchr(b' ', text)?);
    Some(Frame {
        function: escaped(function, MAX_WORD).into(),
        offset: None,
        source: Some(escaped(&source[1..], MAX_WORD)),
        inlined: true,
    })
}

/// The last word, if it is a place in the source.
fn source(line: &[u8]) -> Option<String> {
    let line = line.trim_ascii_end();
    if !line.last().is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let digits = line.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    let file = line[..line.len() - digits].strip_suffix(b":")?;
    let blank = memchr::memrchr(b' ', file)?;
    (file[blank..].contains(&b'.') && memchr::memchr(b':', &file[blank..]).is_none())
        .then(|| escaped(&line[blank + 1..], MAX_WORD))
}

/// Lines that interrupt a stack without ending it: `<TASK>`, and an exception's registers.
fn is_within_stack(line: &[u8]) -> bool {
    let line = line.trim_ascii_start();
    line.starts_with(b"<")
        // s390 prints the frames that it only guesses so.
        || line.starts_with(b"([<")
        || line.starts_with(b"R")
        || line.starts_with(b"Code:")
        || line.starts_with(b"EFLAGS")
}

/// Lines that have a frame behind them which belongs to no stack (s390), or that end a slab
/// object's history.
fn ends_stack(line: &[u8]) -> bool {
    let line = line.trim_ascii_start();
    match line.first() {
        Some(b'L') => line.starts_with(b"Last Breaking-Event-Address"),
        Some(b'S') => line.starts_with(b"Slab 0x"),
        Some(b'I') => line.starts_with(b"INFO: Slab 0x"),
        _ => false,
    }
}

/// `RIP: 0010:f+0x1/0x2`, `pc : f+0x1/0x2`, `epc : f+0x1/0x2`.
fn instruction_pointer(line: &[u8]) -> Option<Frame> {
    let line = line.trim_ascii_start();
    if !matches!(line.first(), Some(b'R' | b'p' | b'e' | b'P' | b'K')) {
        return None;
    }
    if line.starts_with(b"Krnl PSW : ") {
        let bracket = memchr::memchr(b'(', line)?;
        return FrameLine::read(&line[bracket + 1..]).map(FrameLine::to_frame);
    }
    let rest = [&b"RIP: 0010:"[..], b"RIP: e030:", b"pc : ", b"epc : ", b"PC is at "]
        .iter()
        .find_map(|prefix| line.strip_prefix(*prefix))?;
    FrameLine::read(rest).map(FrameLine::to_frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_tell_whose_stack_follows() {
        for (line, want) in [
            ("Freed by task 9 on cpu 1 at 3.5s:", Some((StackRole::FreedBy, "9"))),
            ("allocated by task 9 on cpu 1 at 3.5s:", Some((StackRole::AllocatedBy, "9"))),
            ("freed by task 9:", Some((StackRole::FreedBy, "9"))),
            ("Use-after-free read at 0xffff8880 (in kfence-#12):", Some((StackRole::Access, ""))),
            ("read to 0xffff8880 of 8 bytes by task 9 on cpu 1:", Some((StackRole::Access, "9"))),
            (
                "write to 0xffff8880 of 8 bytes by interrupt on cpu 1:",
                Some((StackRole::Access, "")),
            ),
            ("INFO: Freed in f+0x1/0x2 age=2 cpu=0 pid=9", Some((StackRole::FreedBy, "9"))),
            ("Freed by task 9:", None),
            ("Invalid opcode:", None),
            ("Call Trace:", None),
            ("Memory state around the buggy address:", None),
        ] {
            let track = Track::read(line.as_bytes()).map(Track::into_stack);
            let got = track.map(|stack| (stack.role, stack.task.unwrap_or_default()));
            assert_eq!(got, want.map(|(role, task)| (role, task.to_owned())), "{line}");
        }
    }

    #[test]
    fn what_a_symboliser_seems_to_have_added_is_printable() {
        for line in [&b" f+0x1/0x2 \x1b[2Jmm/a.c:12"[..], b" \x1b[2Jf mm/\x1b[2Ja.c:12 [inline]"] {
            let frame = frame(line).expect("a frame");
            let place = frame.source.expect("a place");
            for text in [frame.function.as_str(), &place] {
                assert!(!text.contains('\x1b'), "{text:?}");
            }
            assert!(place.ends_with("a.c:12"), "{place}");
        }
    }
}
