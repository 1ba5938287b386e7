// SPDX-License-Identifier: MIT OR Apache-2.0
//! Text from outside, made fit to print.

/// Longest line that is quoted from a tool or a file.
const QUOTE: usize = 300;

/// A line from outside, without control characters and bounded.
pub(crate) fn quote(line: &str) -> String {
    let clean = |c: char| if c == '\t' { ' ' } else { c };
    let mut quoted: String =
        line.trim_end().chars().map(clean).filter(|c| !c.is_control()).take(QUOTE).collect();
    if line.chars().nth(QUOTE).is_some() {
        quoted.push('…');
    }
    quoted
}

/// The last lines of a tool's output, quoted and indented for an error message.
pub(crate) fn tail(output: &[u8], lines: usize) -> String {
    let text = String::from_utf8_lossy(output);
    let kept: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    kept[kept.len().saturating_sub(lines)..].iter().map(|l| format!("\n  {}", quote(l))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_removed_and_length_is_bounded() {
        assert_eq!(quote("a\x1b[31mred\tb\n"), "a[31mred b");
        assert_eq!(quote(&"x".repeat(10_000)).chars().count(), QUOTE + 1);
        assert_eq!(tail(b"one\ntwo\n\nthree\n", 2), "\n  two\n  three");
    }
}
