// SPDX-License-Identifier: MIT OR Apache-2.0
//! Making titles comparable: what differs from run to run is replaced by a word.

use std::sync::LazyLock;

use regex::{Regex, RegexSet};

/// Longest title, in bytes.
const MAX: usize = 120;

/// Replacements in the order in which they are made, each until nothing changes.
const REPLACEMENTS: [(&str, &str); 10] = [
    // Places of a decoded trace.
    (r"([a-zA-Z0-9_]) \([a-zA-Z0-9_./?-]+:[0-9?][^()]*(?:\([^()]*\)[^()]*)*\)?", "${1}"),
    // Numbered names of fuzzer processes and programs.
    (r"syz-executor\.?[0-9]+(?:[/:][0-9]+)?", "syz-executor"),
    (r"syzkaller[0-9]+(?:[/:][0-9]+)?", "syzkaller"),
    (r"([^a-zA-Z0-9])(?:0x)?[0-9a-f]{6,}", "${1}ADDR"),
    (r"([^a-zA-Z0-9])[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}", "${1}IP"),
    (r"(\.[a-zA-Z]+)(?::[0-9]+)+", "${1}:LINE"),
    (r"([a-zA-Z][a-zA-Z0-9_.]+)\+0x[0-9a-z]+/0x[0-9a-z]+", "${1}"),
    (r"CPU#[0-9]+", "CPU"),
    (r"([^a-zA-Z0-9_])(?:[1-9][0-9]*|0[0-7]*)([^a-zA-Z0-9_]|$)", "${1}NUM${2}"),
    (r"[0-9]{7,}", "NUM"),
];

/// What each replacement looks for.
static PATTERNS: LazyLock<[Regex; REPLACEMENTS.len()]> = LazyLock::new(|| {
    REPLACEMENTS.map(|(pattern, _)| Regex::new(pattern).expect("checked by a test"))
});
/// All of them in one search: most titles need none.
static ANY: LazyLock<RegexSet> = LazyLock::new(|| {
    RegexSet::new(REPLACEMENTS.map(|(pattern, _)| pattern)).expect("checked by a test")
});

/// Cleans a title up.
pub(super) fn normalise(raw: &str) -> String {
    // Cut first what can never matter, so that a long hostile line costs little.
    let mut title = raw[..raw.floor_char_boundary(4 * MAX)].to_owned();
    // Cutting and dropping bytes can join what then is to be replaced. Every replacement leaves
    // fewer digits or fewer hexadecimal letters, so this ends.
    loop {
        replace(&mut title);
        if is_clean(&title) {
            return title;
        }
        let clean = drop_odd_bytes(&title);
        if clean == title {
            return title;
        }
        title = clean;
    }
}

fn replace(title: &mut String) {
    // A replacement can give another one something to do, so all are tried if one is needed.
    if !has_number(title) || !ANY.is_match(title) {
        return;
    }
    for (pattern, (_, with)) in PATTERNS.iter().zip(REPLACEMENTS) {
        while pattern.is_match(title) {
            let next = pattern.replace_all(title, with);
            if next == *title {
                break;
            }
            *title = next.into_owned();
        }
    }
}

/// False if there is nothing in a title that any pattern looks for: a digit, or an address that
/// happens to have none. Quicker than asking the patterns.
fn has_number(title: &str) -> bool {
    let mut letters = 0;
    title.bytes().any(|b| {
        letters = if matches!(b, b'a'..=b'f') { letters + 1 } else { 0 };
        b.is_ascii_digit() || letters == 6
    })
}

/// True for a title in which [`drop_odd_bytes`] finds nothing to drop.
fn is_clean(title: &str) -> bool {
    let bytes = title.as_bytes();
    bytes.len() <= MAX
        && bytes.first() != Some(&b' ')
        && bytes.last() != Some(&b' ')
        && bytes.iter().all(|b| (b' '..=b'~').contains(b))
        && !bytes.windows(2).any(|two| two == b"  ")
}

fn drop_odd_bytes(title: &str) -> String {
    let title = &title[..title.floor_char_boundary(MAX)];
    let mut clean = String::with_capacity(title.len());
    for c in title.chars() {
        match c {
            ' ' | '\t' if clean.ends_with(' ') => {}
            ' ' | '\t' => clean.push(' '),
            ' '..='~' => clean.push(c),
            _ => {}
        }
    }
    clean.trim().to_owned()
}

/// The blamed function as the title names it: the word after the last ` in `.
pub(super) fn frame(title: &str) -> &str {
    let Some(at) = title.rfind(" in ") else { return "" };
    let rest = &title[at + 4..];
    let mut from = 0;
    if rest.starts_with('<') {
        // Rust's `<a::b::C as D>::method`.
        match rest.rfind('>') {
            Some(close) => from = close + 1,
            None => return "",
        }
    }
    let word = rest[from..]
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))
        .map_or(rest.len(), |len| from + len);
    &rest[..word]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_run_to_run_is_replaced() {
        for (raw, want) in [
            (
                "INFO: Object 0xffff8801d2c8f9a0 @offset=2464 fp=0x0000000000000bbb",
                "INFO: Object ADDR @offset=NUM fp=ADDR",
            ),
            (
                "kernel panic: VFS: Unable to mount root fs on unknown-block(0,0)",
                "kernel panic: VFS: Unable to mount root fs on unknown-block(NUM,NUM)",
            ),
            ("kernel BUG at mm/zswap.c:1275!", "kernel BUG at mm/zswap.c:LINE!"),
            ("zswap_load+0x67/0x570 on CPU#3", "zswap_load on CPU"),
            ("cfg80211_scan 80211", "cfg80211_scan NUM"),
            (
                "KCSAN: data-race in f (mm/a.c:1 (discriminator 2) mm/b.h:3) / g (??:?)",
                "KCSAN: data-race in f / g",
            ),
            ("a\tb\u{1}  c\u{e9}", "a b c"),
            ("at (0a\u{1}0000f now", "at (ADDR now"),
            ("at efface now", "at ADDR now"),
        ] {
            assert_eq!(normalise(raw), want);
        }
    }

    proptest::proptest! {
        #[test]
        fn cleaning_twice_changes_nothing(raw in "[a-f0-9A-Zx.:,+/# ()\\[\\]\\t\u{1}-]{0,160}|.{0,300}") {
            let once = normalise(&raw);
            proptest::prop_assert_eq!(normalise(&once), once);
        }
    }

    #[test]
    fn the_last_in_names_the_function() {
        assert_eq!(frame("KASAN: use-after-free Read in zswap_load"), "zswap_load");
        assert_eq!(frame("WARNING in submit_rx_urb/usb_submit_urb"), "submit_rx_urb");
        assert_eq!(frame("overflow in <a::b::C>::d"), "<a::b::C>::d");
        assert_eq!(frame("BUG: Bad rss-counter state"), "");
    }
}
