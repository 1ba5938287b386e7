// SPDX-License-Identifier: MIT OR Apache-2.0
//! What stands before the message on a console line: level, time stamp, caller.
//!
//! Format source: `Documentation/core-api/printk-basics.rst` and `info_print_prefix()`
//! in the kernel's `kernel/printk/printk.c`.

use std::sync::LazyLock;

use memchr::memmem;

use super::{frames, head};

static LOGIN: LazyLock<memmem::Finder<'static>> =
    LazyLock::new(|| memmem::Finder::new(b" login: "));

/// Who printed a line, as far as its prefix tells.
///
/// Lines of several CPUs are interleaved on a console. With `CONFIG_PRINTK_CALLER`
/// the caller tells them apart, and is compared exactly as printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Context {
    /// No time stamp: user space, or a log whose prefixes were cut off.
    Bare,
    /// A time stamp without a caller.
    Console,
    /// `[  T123]` or `[    C0]`, blanks included.
    Caller(Vec<u8>),
}

impl Context {
    /// True for `[ T123]`: a task's own lines, which nothing else mixes into.
    pub(super) fn is_task(&self) -> bool {
        matches!(self, Context::Caller(text) if text.contains(&b'T'))
    }

    /// True if the line says which task or CPU printed it.
    pub(super) fn has_caller(&self) -> bool {
        matches!(self, Context::Caller(_))
    }
}

/// The prefix of a line as borrowed from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prefix<'a> {
    /// No time stamp.
    None,
    /// A time stamp only.
    Time,
    /// A time stamp and a caller, brackets included.
    Caller(&'a [u8]),
    /// A journal says that a program printed the line.
    Program,
}

impl Prefix<'_> {
    pub(super) fn is_none(self) -> bool {
        self == Prefix::None
    }

    /// True if the line says that the kernel printed it.
    pub(super) fn is_kernels(self) -> bool {
        matches!(self, Prefix::Time | Prefix::Caller(_))
    }

    pub(super) fn matches(self, context: &Context) -> bool {
        match self {
            Prefix::Program => false,
            Prefix::None => matches!(context, Context::Bare),
            Prefix::Time => matches!(context, Context::Console),
            Prefix::Caller(a) => matches!(context, Context::Caller(b) if a == b.as_slice()),
        }
    }

    pub(super) fn is_cpu(self) -> bool {
        matches!(self, Prefix::Caller(text) if text.contains(&b'C'))
    }

    pub(super) fn to_context(self) -> Context {
        match self {
            Prefix::None | Prefix::Program => Context::Bare,
            Prefix::Time => Context::Console,
            Prefix::Caller(text) => Context::Caller(text.to_vec()),
        }
    }
}

/// A console line with its prefix understood.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) prefix: Prefix<'a>,
    /// The line after its prefix.
    pub(super) message: &'a [u8],
    /// The same; of an unreliable frame only the symbol.
    pub(super) text: &'a [u8],
    /// The unwinder only guessed this frame (` ? ` on x86, ` (unreliable)` on PowerPC).
    pub(super) unreliable: bool,
}

impl<'a> Line<'a> {
    /// Reads a line without its line end.
    pub(super) fn read(line: &'a [u8]) -> Self {
        let (prefix, text) = match stamp(line) {
            Some(found) => within_journal(found),
            None => match read_prefix(line) {
                Prefix::None => head::take_off(line),
                // Even when the caller is in the way the cut is at the first "] ".
                prefix => (prefix, memmem::find(line, b"] ").map_or(line, |at| &line[at + 2..])),
            },
        };
        let guess = memchr::memchr_iter(b'?', text)
            .find(|&at| (at == 0 || text[at - 1] == b' ') && is_symbol(&text[at + 1..]));
        let guess = match guess {
            Some(at) => Some(&text[at + 1..]),
            None => text.strip_suffix(b" (unreliable)"),
        };
        match guess {
            Some(symbol) if !ends_interrupt(text) => {
                Line { prefix, message: text, text: symbol, unreliable: true }
            }
            _ => Line { prefix, message: text, text, unreliable: false },
        }
    }
}

/// `[   12.345678] box kernel: ` of `journalctl -o short-monotonic`, whose other lines are
/// programs'.
fn within_journal<'a>((prefix, text): (Prefix<'a>, &'a [u8])) -> (Prefix<'a>, &'a [u8]) {
    let host = memchr::memchr(b' ', &text[..text.len().min(65)]).unwrap_or(0);
    match text[host..].strip_prefix(b" kernel: ") {
        Some(message) if host > 0 && !text[..host].contains(&b':') => (prefix, message),
        _ => (prefix, text),
    }
}

/// True for ` name+0x1/0x2`, which tells a guessed frame from a question.
fn is_symbol(text: &[u8]) -> bool {
    let name = trim_blanks(text);
    let in_name = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.');
    let len = name.iter().take_while(|b| in_name(b)).count();
    len > 0
        && name.len() < text.len()
        && (name[len..].starts_with(b"+0x") || frames::places(&name[len..]).is_some())
}

/// True for `<EOI>`: the stack below is the interrupted one's.
fn ends_interrupt(text: &[u8]) -> bool {
    memchr::memchr_iter(b'<', text).any(|at| text[at..].starts_with(b"<EOI>"))
}

/// Finds `** N printk messages dropped ** `, `... login: `, `<level>`, `[time]`, `[caller]`
/// and the blank after them. Only the time stamp has to be there.
fn read_prefix(line: &[u8]) -> Prefix<'_> {
    let start = skip_dropped(line).unwrap_or(0);
    if let Some((prefix, _)) = stamp(&line[start..]) {
        return prefix;
    }
    // A login prompt has no line end of its own, so the kernel's line follows on it.
    let mut from = start;
    let mut found = Prefix::None;
    while let Some(at) = LOGIN.find(&line[from..]) {
        from += at + b" login: ".len();
        if let Some((prefix, _)) = stamp(&line[from..]) {
            found = prefix;
        }
    }
    found
}

fn skip_dropped(line: &[u8]) -> Option<usize> {
    let rest = line.strip_prefix(b"** ")?;
    let number = digits(rest);
    let tail = rest[number..].strip_prefix(b" printk messages dropped ** ")?;
    (number > 0).then(|| line.len() - tail.len())
}

/// The prefix that a line begins with, and what follows it and its blank.
#[inline]
pub(super) fn stamp(mut line: &[u8]) -> Option<(Prefix<'_>, &[u8])> {
    if let Some(rest) = line.strip_prefix(b"<") {
        let level = digits(rest);
        if level > 0 && rest.get(level) == Some(&b'>') {
            line = &rest[level + 1..];
        }
    }
    let rest = trim_blanks(line.strip_prefix(b"[")?);
    let seconds = digits(rest);
    let rest = rest.get(seconds..)?.strip_prefix(b".")?;
    let fraction = digits(rest);
    let rest = rest.get(fraction..)?;
    if seconds == 0 || fraction == 0 {
        return None;
    }
    let rest = match rest.strip_prefix(b"]") {
        Some(rest) => rest,
        // Some vendors' kernels add the CPU: `[    1.234567,0]`.
        None => {
            let cpu = rest.strip_prefix(b",").or_else(|| rest.strip_prefix(b"@"))?;
            cpu[digits(cpu)..].strip_prefix(b"]")?
        }
    };
    if let Some(text) = rest.strip_prefix(b" ") {
        return Some((Prefix::Time, text));
    }
    let inner = trim_blanks(rest.strip_prefix(b"[")?);
    let inner = inner.strip_prefix(b"T").or_else(|| inner.strip_prefix(b"C"))?;
    let number = digits(inner);
    let after = inner.get(number..)?.strip_prefix(b"]")?;
    let text = after.strip_prefix(b" ")?;
    (number > 0).then(|| (Prefix::Caller(&rest[..rest.len() - after.len()]), text))
}

/// How many digits a text begins with.
pub(super) fn digits(text: &[u8]) -> usize {
    let digits = |text: &[u8]| text.iter().take_while(|b| b.is_ascii_digit()).count();
    // Numbers in prefixes are shorter than eight digits, and those are seen all at once: xor
    // leaves 0 to 9 of a digit, and adding 0x76 then sets the top bit of all but digits.
    let Some(eight) = text.first_chunk() else { return digits(text) };
    let eight = u64::from_le_bytes(*eight) ^ 0x3030_3030_3030_3030;
    // A sum too large for its byte only reaches bytes behind one that is no digit.
    let others = (eight | eight.wrapping_add(0x7676_7676_7676_7676)) & 0x8080_8080_8080_8080;
    match others.trailing_zeros() / 8 {
        8 => 8 + digits(&text[8..]),
        count => count as usize,
    }
}

/// The text without the blanks that it begins with.
pub(super) fn trim_blanks(text: &[u8]) -> &[u8] {
    &text[text.iter().position(|&b| b != b' ' && b != b'\t').unwrap_or(text.len())..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(line: &str) -> Prefix<'_> {
        read_prefix(line.as_bytes())
    }

    #[test]
    fn every_part_but_the_time_is_optional() {
        assert_eq!(prefix("[   12.345678] swapon"), Prefix::Time);
        assert_eq!(prefix("<6>[   12.345678] swapon"), Prefix::Time);
        assert_eq!(prefix("** 12 printk messages dropped ** [  1.5] x"), Prefix::Time);
        assert_eq!(prefix("guest login: [  1.5] x"), Prefix::Time);
        assert_eq!(prefix("[  1.5][  T12] x"), Prefix::Caller(b"[  T12]"));
        assert_eq!(prefix("[  1.5][    C0] x"), Prefix::Caller(b"[    C0]"));
    }

    #[test]
    fn digits_are_counted_up_to_any_other_byte() {
        for other in (0..=u8::MAX).filter(|b| !b.is_ascii_digit()) {
            for count in 0..20 {
                let text = [&b"01234567890123456789"[..count], &[other], b"5555555555"].concat();
                assert_eq!(digits(&text), count, "{other} behind {count}");
                assert_eq!(digits(&text[..count]), count);
            }
        }
    }

    #[test]
    fn other_prefixes_are_not_taken_for_printk() {
        for line in [
            "",
            "[",
            "[ 1.]",
            "[1.5]",
            "[1.5]x",
            "[  OK  ] Started",
            "Nov 22 10:00:00 host kernel: [ 1.5] x",
            "[1.5][X1] x",
        ] {
            assert_eq!(prefix(line), Prefix::None, "{line:?}");
        }
    }

    #[test]
    fn guessed_frames_are_marked_unless_the_line_ends_an_interrupt() {
        let guess = Line::read(b"[ 1.5]  ? kthread+0x1/0x2");
        assert!(guess.unreliable);
        assert_eq!(guess.text, b" kthread+0x1/0x2");
        assert!(!Line::read(b"[ 1.5]  <EOI>  [<ffff>] ? console_unlock+0x1/0x2").unreliable);
        assert!(Line::read(b"[ 1.5] [c0] f+0x1/0x2 (unreliable)").unreliable);
        assert!(!Line::read(b"why ? because").unreliable);
        let question = Line::read(b"[ 1.5] WARNING: is this bad ? or not");
        assert!(!question.unreliable);
        assert_eq!(question.text, b"WARNING: is this bad ? or not");
    }
}
