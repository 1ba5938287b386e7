// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kernel logs that outlived a crash in pstore.

use std::sync::LazyLock;

use regex::bytes::Regex;

/// Puts the parts of a pstore dump into the order in which they were printed.
///
/// `fs/pstore` numbers the parts of a dump from the newest to the oldest, and begins each with a
/// line such as `Panic#2 Part1`, which says that this is the second dump. A log without such
/// lines is given back as it is.
pub fn pstore_in_order(log: Vec<u8>) -> Vec<u8> {
    static PART: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?m)^(?:Panic|Oops|Emergency|Restart|Shutdown)#([0-9]+) Part([0-9]+)\r?$")
            .expect("checked by a test")
    });
    let mut starts: Vec<((u32, u32), usize)> = PART
        .captures_iter(&log)
        .filter_map(|found| {
            let number = |at| std::str::from_utf8(&found[at]).ok()?.parse().ok();
            Some(((number(1)?, number(2)?), found.get_match().start()))
        })
        .collect();
    if starts.len() < 2 || starts[0].1 != 0 || starts.len() > 1000 {
        return log;
    }
    let ends: Vec<usize> = starts.iter().skip(1).map(|s| s.1).chain([log.len()]).collect();
    let mut parts: Vec<((u32, u32), &[u8])> =
        starts.drain(..).zip(ends).map(|((n, from), to)| (n, &log[from..to])).collect();
    parts.sort_by_key(|((dump, part), _)| (*dump, std::cmp::Reverse(*part)));
    parts.into_iter().flat_map(|(_, part)| part.iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_pstore_part_goes_last() {
        let log = b"Panic#1 Part1\nc\nPanic#1 Part2\nb\nPanic#1 Part3\na\n".to_vec();
        assert_eq!(pstore_in_order(log), b"Panic#1 Part3\na\nPanic#1 Part2\nb\nPanic#1 Part1\nc\n");
        assert_eq!(pstore_in_order(b"x\n".to_vec()), b"x\n");
        let two =
            b"Panic#2 Part1\nd\nPanic#2 Part2\nc\nOops#1 Part1\nb\nOops#1 Part2\na\n".to_vec();
        let order = b"Oops#1 Part2\na\nOops#1 Part1\nb\nPanic#2 Part2\nc\nPanic#2 Part1\nd\n";
        assert_eq!(pstore_in_order(two), order);
    }
}
