// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frame lines of stack traces.

use std::borrow::Cow;
use std::fmt::{self, Write};

use super::escaped::{escaped, lossy};
use crate::finding::Frame;

/// Functions named by one line of a stack trace, as printed (not demangled).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameLine<'a> {
    pub(super) function: &'a [u8],
    /// 32-bit ARM prints callee and caller on one line.
    pub(super) caller: Option<&'a [u8]>,
    /// What follows the (last) function's name, from `.` or `+` on.
    rest: &'a [u8],
}

impl<'a> FrameLine<'a> {
    /// Reads `[<addr>] name+0x1/0x2`, ` name.isra.0+0x1/0x2`, `name (mm/swap.c:12)` of the
    /// kernel's `scripts/decode_stacktrace.sh`, or ARM's
    /// `[<addr>] (name) from [<addr>] (caller+0x1/0x2)`.
    pub(super) fn read(line: &'a [u8]) -> Option<Self> {
        let mut at = trim(line);
        // PowerPC: `--- interrupt: 700 at f+0x2c/0x70`.
        if let Some(rest) = at.strip_prefix(b"--- interrupt: ") {
            at = &rest[memchr::memmem::find(rest, b" at ")? + 4..];
        }
        for _ in 0..2 {
            match skip_address(at) {
                Some(rest) => at = without_dot(rest),
                None => break,
            }
        }
        if let Some((function, rest)) = name(at) {
            if ends_name(rest) {
                return Some(FrameLine { function, caller: None, rest });
            }
            // Since v5.18 ARM prints `callee from caller+0x10/0x14`.
            let (caller, rest) = name(rest.strip_prefix(b" from ")?)?;
            return ends_name(rest).then_some(FrameLine { function, caller: Some(caller), rest });
        }
        let (function, rest) = name(at.strip_prefix(b"(")?)?;
        let rest = skip_address(trim(rest.strip_prefix(b") from ")?))?;
        let (caller, rest) = name(rest.strip_prefix(b"(")?)?;
        ends_name(rest).then_some(FrameLine { function, caller: Some(caller), rest })
    }

    /// True for a return address at the very beginning of a function. The call was the last thing
    /// that the function before it in memory does, as `panic()` does not return.
    pub(super) fn is_behind_call(self) -> bool {
        self.rest.starts_with(b"+0x0/")
    }

    /// True if the line says where in the function.
    pub(super) fn is_placed(self) -> bool {
        offset(self.rest).is_some() || places(self.rest).is_some()
    }

    /// The frame as data: demangled name, offset and size.
    pub(super) fn to_frame(self) -> Frame {
        let name = self.caller.unwrap_or(self.function);
        Frame {
            function: demangle(name).into(),
            offset: offset(self.rest),
            source: places(self.rest).and_then(source),
            inlined: false,
        }
    }
}

/// True for what follows on the name of a function: an offset, a compiler's suffix, or places.
pub(super) fn ends_name(rest: &[u8]) -> bool {
    matches!(rest.first(), Some(b'.' | b'+')) || places(rest).is_some()
}

/// Longest list of places.
const MAX_PLACES: usize = 1024;

/// The places behind a function's name, perhaps behind a suffix such as `.isra.0`, as
/// `scripts/decode_stacktrace.sh` writes them: ` (mm/zswap.c:12 mm/zswap.c:34 (discriminator 1))`.
pub(super) fn places(rest: &[u8]) -> Option<&[u8]> {
    let suffix = match rest.first()? {
        b' ' => 0,
        b'.' => rest.iter().take_while(|b| b.is_ascii_alphanumeric() || b"._".contains(b)).count(),
        _ => return None,
    };
    let inside = rest[suffix..].strip_prefix(b" (")?;
    let inside = &inside[..inside.len().min(MAX_PLACES)];
    let in_path = |b: &&u8| b.is_ascii_alphanumeric() || b"_./-+?".contains(b);
    let path = inside.iter().take_while(in_path).count();
    let line = inside.get(path..)?.strip_prefix(b":")?;
    if path == 0 || !matches!(line.first(), Some(b'0'..=b'9' | b'?')) {
        return None;
    }
    let mut depth = 1;
    let end = inside.iter().position(|b| {
        depth += i32::from(*b == b'(') - i32::from(*b == b')');
        depth == 0
    });
    Some(&inside[..end.unwrap_or(inside.len())])
}

/// The known ones among places: `mm/zswap.c:12 mm/zswap.c:34`, innermost first.
fn source(places: &[u8]) -> Option<String> {
    let known = places.split(|&b| b == b' ').filter(|word| {
        let line = memchr::memrchr(b':', word).map(|at| &word[at + 1..]);
        line.is_some_and(|line| line.first().is_some_and(u8::is_ascii_digit))
            && !word.starts_with(b"?")
    });
    let known: Vec<&[u8]> =
        known.map(|word| word.strip_prefix(b"./").unwrap_or(word)).take(16).collect();
    (!known.is_empty()).then(|| escaped(&known.join(&b' '), MAX_PLACES))
}

/// `+0x1a/0x2b0`, perhaps behind a compiler suffix such as `.isra.0`.
fn offset(rest: &[u8]) -> Option<(u64, u64)> {
    // Nearly always it is the first byte.
    let plus = rest.iter().take(64).position(|&b| b == b'+')?;
    let (at, rest) = hex(&rest[plus + 1..])?;
    let (size, _) = hex(rest.strip_prefix(b"/")?)?;
    Some((at, size))
}

fn hex(text: &[u8]) -> Option<(u64, &[u8])> {
    let text = text.strip_prefix(b"0x").unwrap_or(text);
    let mut value = 0_u64;
    let mut len = 0;
    while let Some(digit) = text.get(len).and_then(|&b| char::from(b).to_digit(16)) {
        value = value << 4 | u64::from(digit);
        len += 1;
    }
    (1..=16).contains(&len).then_some((value, &text[len..]))
}

/// The text without the blanks that it begins with.
pub(super) fn trim(text: &[u8]) -> &[u8] {
    &text[text.iter().take_while(|&&b| b == b' ').count()..]
}

/// Skips `[<ffffffff81000000>] ` or `[ffffffff81000000] `.
pub(super) fn skip_address(text: &[u8]) -> Option<&[u8]> {
    let rest = text.strip_prefix(b"[")?;
    let rest = rest.strip_prefix(b"<").unwrap_or(rest);
    let rest = rest.strip_prefix(b"0x").unwrap_or(rest);
    let digits = rest.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    let rest = &rest[digits..];
    let rest = rest.strip_prefix(b">").unwrap_or(rest);
    let rest = rest.strip_prefix(b"]")?.strip_prefix(b" ")?;
    (digits > 0).then(|| trim(rest))
}

/// The text without the dot that PowerPC's older ABI puts before the names of functions.
pub(super) fn without_dot(text: &[u8]) -> &[u8] {
    text.strip_prefix(b".").unwrap_or(text)
}

/// Bytes that names are made of.
static IN_NAMES: [bool; 256] = {
    let mut table = [false; 256];
    let mut b = 0_u8;
    while b < 128 {
        table[b as usize] = b.is_ascii_alphanumeric() || b == b'_';
        b += 1;
    }
    table
};

/// The name that a text begins with, and what follows it.
pub(super) fn name(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let len = text.iter().position(|&b| !IN_NAMES[usize::from(b)]).unwrap_or(text.len());
    (len > 0).then(|| text.split_at(len))
}

/// Makes a Rust symbol readable: `_RNvMs3_..7Process10update_ref` becomes
/// `<rust_binder::process::Process>::update_ref`. Other names stay as they are.
pub(super) fn demangle(name: &[u8]) -> Cow<'_, str> {
    if let Some(name) = cplusplus(name) {
        return name;
    }
    if (name.starts_with(b"_R") || name.starts_with(b"_ZN"))
        && let Ok(symbol) = rustc_demangle::try_demangle(&lossy(name))
    {
        let mut readable = Short(String::new());
        if write!(readable, "{symbol:#}").is_ok() {
            // Names in Punycode can hold anything beyond ASCII.
            return Cow::Owned(escaped(readable.0.as_bytes(), MAX_NAME));
        }
    }
    lossy(name)
}

/// The name in a C++ symbol of a plain function, `_Z3fooii`: modules may be written in it. What it
/// takes is left out.
fn cplusplus(symbol: &[u8]) -> Option<Cow<'_, str>> {
    let rest = symbol.strip_prefix(b"_Z")?;
    let count = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    let length: usize = std::str::from_utf8(&rest[..count]).ok()?.parse().ok()?;
    let name = rest[count..].get(..length).filter(|name| !name.is_empty())?;
    Some(lossy(name))
}

/// Longest name that a symbol is made readable as.
const MAX_NAME: usize = 1024;

/// Refuses to grow: a symbol can refer back to its own parts, and so stand for a name that is
/// thousands of times as long.
struct Short(String);

impl fmt::Write for Short {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() + text.len() > MAX_NAME {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(line: &str) -> Option<String> {
        FrameLine::read(line.as_bytes()).map(|f| f.to_frame().function.into())
    }

    #[test]
    fn frames_of_all_architectures_are_read() {
        for (line, want) in [
            (" zswap_load+0x67/0x570", "zswap_load"),
            ("  [<ffffffff81d8e482>] dump_stack+0xf6/0x184", "dump_stack"),
            ("[<ffffffe00008c762>] schedule_tail+0x72/0xb2", "schedule_tail"),
            ("[c000] [c001] .do_exit+0x1/0x2", "do_exit"),
            (".do_exit+0x1/0x2", ""),
            ("[c000000001] [c0000002] do_exit+0x1/0x2", "do_exit"),
            (" lru_add_fn.isra.0+0x1/0x2", "lru_add_fn"),
            (
                " [<8010f8e0>] (dump_backtrace) from [<8010fb04>] (show_stack+0x18/0x1c)",
                "show_stack",
            ),
            (" dump_backtrace from show_stack+0x10/0x14", "show_stack"),
            ("zswap_load (mm/zswap.c:12)", "zswap_load"),
            ("zswap_load.isra.0 (??:?) zram", "zswap_load"),
        ] {
            assert_eq!(function(line).unwrap_or_default(), want, "{line:?}");
        }
    }

    #[test]
    fn decoded_frames_name_their_places() {
        for (line, source) in [
            ("f (mm/zswap.c:12)", Some("mm/zswap.c:12")),
            (
                "f.isra.0 (./include/linux/mm.h:1 mm/a.c:2 (discriminator 3)) zram",
                Some("include/linux/mm.h:1 mm/a.c:2"),
            ),
            ("f (??:?)", None),
            ("f+0x1/0x2", None),
        ] {
            let frame = FrameLine::read(line.as_bytes()).expect(line).to_frame();
            assert_eq!(frame.source.as_deref(), source, "{line}");
        }
    }

    #[test]
    fn other_lines_are_not_frames() {
        for line in
            ["", " <TASK>", "RAX: 1", "Modules linked in: zram", "zswap_load mm/zswap.c:1 [inline]"]
        {
            assert_eq!(function(line), None, "{line:?}");
        }
    }

    #[test]
    fn a_symbol_that_stands_for_an_endless_name_stays_as_it_is() {
        // Each tuple holds the one before it twice.
        let mut symbol = String::from("_RINvC1a1b");
        let base = 2;
        let mut last = symbol.len() - base;
        symbol.push_str("TuuE");
        for _ in 0..24 {
            let back = back_reference(last);
            last = symbol.len() - base;
            symbol.push_str(&format!("T{back}{back}E"));
        }
        symbol.push('E');
        assert!(rustc_demangle::try_demangle(&symbol).is_ok(), "{symbol}");
        assert_eq!(demangle(symbol.as_bytes()), symbol);
        assert_eq!(demangle(b"_RINvC1a1bTuuEE"), "a::b::<((), ())>");
    }

    /// A place as v0 symbols write it: base 62, one less than it is.
    fn back_reference(at: usize) -> String {
        let digit = |d: usize| {
            char::from(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"[d])
        };
        match at {
            0 => "B_".to_owned(),
            at if at - 1 < 62 => format!("B{}_", digit(at - 1)),
            at => format!("B{}{}_", digit((at - 1) / 62), digit((at - 1) % 62)),
        }
    }

    #[test]
    fn readable_names_are_printable() {
        // `a::x` and U+009B, which begins a control sequence.
        let symbol = "_RNvC1au5x_uba";
        assert!(rustc_demangle::demangle(symbol).to_string().contains('\u{9b}'));
        assert_eq!(demangle(symbol.as_bytes()), "a::x\\u{9b}");
    }

    #[test]
    fn plain_functions_of_cplusplus_are_readable() {
        for (symbol, name) in [("_Z3fooii", "foo"), ("_Z9foo", "_Z9foo"), ("_Zfoo", "_Zfoo")] {
            assert_eq!(demangle(symbol.as_bytes()), name);
        }
    }

    #[test]
    fn offset_and_size_are_kept() {
        let frame =
            FrameLine::read(b" zswap_load.part.0+0x67/0x570 [zswap]").map(FrameLine::to_frame);
        assert_eq!(frame.and_then(|f| f.offset), Some((0x67, 0x570)));
    }
}
