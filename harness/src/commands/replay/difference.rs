// SPDX-License-Identifier: MIT OR Apache-2.0
//! The first line in which two consoles differ.

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use fs_err::File;
use reports::escape::printable;

/// Longest line that is compared at once; a longer one counts as several.
const LONGEST: u64 = 64 << 10;
/// Bytes shown of a line.
const SHOWN: usize = 240;

/// The first line in which two files differ, with both texts, for a person; `None` if they are the same.
///
/// # Errors
/// Those of reading.
pub(super) fn first_difference(original: &Path, replay: &Path) -> io::Result<Option<String>> {
    let mut original = BufReader::new(File::open(original)?);
    let mut replay = BufReader::new(File::open(replay)?);
    for number in 1_u64.. {
        let (was, is) = (line(&mut original)?, line(&mut replay)?);
        if was != is {
            let (was, is) = shown(was.as_deref(), is.as_deref());
            return Ok(Some(format!("Line {number} was\n  {was}\nand is\n  {is}")));
        }
        if was.is_none() {
            break;
        }
    }
    Ok(None)
}

/// The next line with its end; `None` behind the last.
fn line(file: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    file.take(LONGEST).read_until(b'\n', &mut line)?;
    Ok(Some(line).filter(|line| !line.is_empty()))
}

/// Both lines, long ones from shortly before the place in which they differ.
fn shown(was: Option<&[u8]>, is: Option<&[u8]>) -> (String, String) {
    let (before, behind) = (was.unwrap_or_default(), is.unwrap_or_default());
    let alike = before.iter().zip(behind).take_while(|(a, b)| a == b).count();
    let from = if alike < SHOWN / 2 { 0 } else { alike - SHOWN / 4 };
    let one = |line: Option<&[u8]>| {
        let Some(line) = line else { return "(nothing: the console ends before it)".to_owned() };
        let part = &line[from.min(line.len())..];
        let text = String::from_utf8_lossy(&part[..part.len().min(SHOWN)]);
        let dots = |there| if there { "..." } else { "" };
        let text = printable(text.trim_end_matches(['\r', '\n'])).into_owned();
        format!("{}{text}{}", dots(from > 0), dots(part.len() > SHOWN))
    };
    (one(was), one(is))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_differs_is_named_with_both_texts() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let file = dir.path().join(name);
            fs_err::write(&file, text).unwrap();
            file
        };
        let was = file("was", "one\ntwo\u{1b}[m\nthree\n");
        let told = |text: &str| first_difference(&was, &file("is", text)).unwrap();
        assert_eq!(told("one\ntwo\u{1b}[m\nthree\n"), None);
        let words = told("one\ntwo!\nthree\n").unwrap();
        assert!(words.starts_with("Line 2 was\n") && words.ends_with("and is\n  two!"), "{words}");
        assert!(!words.contains('\u{1b}'), "{words}");
        let words = told("one\n").unwrap();
        assert!(words.contains("Line 2") && words.contains("ends before it"), "{words}");
        // Of a long line that part is shown.
        let long = |end: &str| format!("{}{end}{}\n", "x".repeat(1_000), "y".repeat(1_000));
        let was = file("was", &long("A"));
        let words = first_difference(&was, &file("is", &long("B"))).unwrap().unwrap();
        assert!(words.contains("xxAyy") && words.contains("xxByy") && words.len() < 800, "{words}");
        let was = file("was", "one\ntwo\u{1b}[m\nthree\n");
        let told = |text: &str| first_difference(&was, &file("is", text)).unwrap();
        // A last line without its end is another one.
        assert!(told("one\ntwo\u{1b}[m\nthree").is_some());
    }
}
