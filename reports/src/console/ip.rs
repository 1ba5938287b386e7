// SPDX-License-Identifier: MIT OR Apache-2.0
//! The line that names the instruction pointer: `RIP: 0010:f+0x1/0x2`, `pc : f+0x1/0x2`,
//! `PC is at f+0x1/0x2`, `IP: [<ffffffff81000000>] f+0x1/0x2`, `EIP is at f+0x1/0x2`,
//! `Krnl PSW : 0704c00180000000 00000000735d720c (f+0x1/0x2)`, MIPS' `epc   : 8010ad9c f+0x1/0x2`,
//! LoongArch's `ERA: 90000000002e5a14 f+0x1/0x2`.

use std::sync::LazyLock;

use super::frames::{ends_name, name, skip_address, trim, without_dot};
use super::words::Words;

static WORDS: LazyLock<Words> = LazyLock::new(|| Words::new(&NAMES));
const NAMES: [&str; 5] = ["IP", "pc", "PC is at", "Krnl PSW", "ERA"];

/// Finds the first such line: where its instruction pointer is, and the function that it is in.
/// There is none behind a user-space address or a null pointer.
pub(super) fn find(text: &[u8]) -> Option<(usize, Option<&[u8]>)> {
    let mut from = 0;
    loop {
        let at = from + WORDS.find(&text[from..])?;
        from = at + 1;
        let rest = NAMES.iter().find_map(|name| text[at..].strip_prefix(name.as_bytes()));
        let target = rest.and_then(|rest| {
            let signs = [&b" : "[..], b"   : ", b"  ", b": ", b" "];
            signs.iter().filter_map(|sign| rest.strip_prefix(*sign)).find_map(target)
        });
        if let Some(function) = target {
            return Some((at, function));
        }
    }
}

/// The function that an instruction pointer is in, if it is one at all.
fn target(text: &[u8]) -> Option<Option<&[u8]>> {
    let address = skip_segment(text, is_hex);
    let symbol = skip_status_word(address).or_else(|| skip_bare_address(address));
    let mut symbol = symbol.unwrap_or(address);
    for _ in 0..2 {
        symbol = skip_address(symbol).map_or(symbol, without_dot);
    }
    if let Some((function, rest)) = name(symbol)
        && ends_name(rest)
    {
        return Some(Some(function));
    }
    let address = skip_segment(text, u8::is_ascii_digit);
    let user = address.len() < text.len()
        && address.strip_prefix(b"0x").is_some_and(|a| a.first().is_some_and(is_hex));
    (user || is_null(address)).then_some(None)
}

/// Skips an address without brackets.
fn skip_bare_address(text: &[u8]) -> Option<&[u8]> {
    let digits = text.iter().take_while(|b| is_hex(b)).count();
    matches!(digits, 8 | 16).then(|| text[digits..].strip_prefix(b" ")).flatten()
}

/// Skips the two halves of s390's program status word, and a bracket.
fn skip_status_word(text: &[u8]) -> Option<&[u8]> {
    let mut rest = text;
    for _ in 0..2 {
        let hex = rest.iter().take_while(|b| is_hex(b)).count();
        rest = (hex == 16).then(|| rest[hex..].strip_prefix(b" ")).flatten()?;
    }
    rest.strip_prefix(b"(")
}

fn is_hex(b: &u8) -> bool {
    matches!(b, b'0'..=b'9' | b'a'..=b'f')
}

/// `(null)`, or `[<          (null)>]           (null)`, perhaps behind an address.
fn is_null(text: &[u8]) -> bool {
    const NULL: &[u8] = b"(null)";
    if trim(text).starts_with(NULL) {
        return true;
    }
    let text = skip_address(text).unwrap_or(text);
    text.strip_prefix(b"[<")
        .and_then(|rest| trim(rest).strip_prefix(b"(null)>] "))
        .is_some_and(|rest| trim(rest).starts_with(NULL))
}

/// Skips `0010:`.
fn skip_segment(text: &[u8], is_digit: fn(&u8) -> bool) -> &[u8] {
    let digits = text.iter().take_while(|b| is_digit(b)).count();
    match text[digits..].strip_prefix(b":") {
        Some(rest) if digits > 0 => rest,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_architectures_lines_are_read() {
        for (line, function) in [
            ("RIP: 0010:zswap_load+0x1/0x2", Some("zswap_load")),
            ("RIP: 0010:[<ffffffff81000000>]  [<ffffffff81000000>] f.isra.0+0x1/0x2", Some("f")),
            ("IP: [<ffffffff81000000>] f+0x1/0x2", Some("f")),
            ("pc : f+0x1/0x2 lr : g+0x1/0x2", Some("f")),
            ("PC is at f+0x1/0x2", Some("f")),
            ("epc : f+0x1/0x2 ra : g+0x1/0x2", Some("f")),
            ("NIP: c000000000000000 IP: f+0x1/0x2", Some("f")),
            ("NIP [c000000000214580] .f+0x40/0x120", Some("f")),
            ("RIP: 0010:f (mm/a.c:1 (discriminator 3))", Some("f")),
            ("Krnl PSW : 0704c00180000000 00000000735d720c (f+0x1/0x2)", Some("f")),
            ("epc   : 8010ad9c f+0x1/0x2", Some("f")),
            ("  ERA: 90000000002e5a14 f+0x1/0x2", Some("f")),
            ("RIP: 0033:0x7f0000000000", None),
            ("IP:           (null)", None),
            ("RIP: 0010:[<0000000000000000>]  [<          (null)>]           (null)", None),
        ] {
            let function = function.map(str::as_bytes);
            assert_eq!(find(line.as_bytes()).map(|(_, f)| f), Some(function), "{line}");
        }
        for line in [
            "IPv6: f+0x1/0x2",
            "RIP: 0x0",
            "IP: f",
            "the pc",
            "PC is at 0x0",
            "pc 8010ad9c ra 8010ad80",
        ] {
            assert_eq!(find(line.as_bytes()), None, "{line}");
        }
    }
}
