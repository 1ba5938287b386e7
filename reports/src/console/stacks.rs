// SPDX-License-Identifier: MIT OR Apache-2.0
//! The stacks of a report as data.

use super::frames::FrameLine;
use super::report::{lossy, printable};
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
    let mut titles = starts.iter().filter(|start| start.kind.is_title()).peekable();
    for (at, line) in lines {
        while titles.next_if(|title| title.at < at).is_some() {}
        if current.is_none() && interrupted.is_some() {
            // Nothing of interest comes before the next title.
            if titles.peek().is_none_or(|title| at < title.at) {
                continue;
            }
        }
        if let Some((stack, gap)) = &mut current
            && let Some(frame) = frame(line)
        {
            *gap = 0;
            if stack.frames.len() < MAX_FRAMES && stack.frames.last() != Some(&frame) {
                stack.frames.push(frame);
            }
            continue;
        }
        if let Some(title) = titles.next_if(|title| title.at == at) {
            finish(&mut stacks, current.take());
            if stacks.len() >= MAX_STACKS {
                break;
            }
            let role = match role(title.kind) {
                // The first plain stack is where the report was made; later ones are other things.
                StackRole::Access if stacks.iter().any(|s| s.role == StackRole::Access) => {
                    StackRole::Other
                }
                role => role,
            };
            let mut frames = Vec::with_capacity(USUAL_FRAMES);
            if role == StackRole::Access {
                frames.extend(interrupted.take());
            }
            current = Some((Stack { role, task: task(title.kind, line), frames }, 0));
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
        frame.source = source(line);
        return Some(frame);
    }
    let text = line.trim_ascii_end().strip_suffix(b" [inline]")?;
    let text = text.trim_ascii_start();
    let (function, source) = text.split_at(memchr::memrchr(b' ', text)?);
    Some(Frame {
        function: printable(function, MAX_WORD).into(),
        offset: None,
        source: Some(printable(&source[1..], MAX_WORD)),
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
        .then(|| printable(&line[blank + 1..], MAX_WORD))
}

/// Lines that interrupt a stack without ending it: `<TASK>`, and an exception's registers.
fn is_within_stack(line: &[u8]) -> bool {
    let line = line.trim_ascii_start();
    line.starts_with(b"<")
        || line.starts_with(b"R")
        || line.starts_with(b"Code:")
        || line.starts_with(b"EFLAGS")
}

/// `RIP: 0010:f+0x1/0x2`, `pc : f+0x1/0x2`, `epc : f+0x1/0x2`.
fn instruction_pointer(line: &[u8]) -> Option<Frame> {
    let line = line.trim_ascii_start();
    if !matches!(line.first(), Some(b'R' | b'p' | b'e' | b'P')) {
        return None;
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
