// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads a series: quilt's folder, a mailbox, or a single patch.

use std::path::Path;

use super::mbox;
use super::patch::Patch;
use super::types::{MOST_PATCHES, Series};
use crate::input::{LibraryError, Text, invalid};
use crate::text::quote;

/// Reads a file of a series by its name.
type ReadFile<'a> = &'a dyn Fn(Option<&str>) -> Result<Option<Text>, LibraryError>;

/// Reads a series. `read` returns the file of that name in its folder, or, for no
/// name, the single patch that the whole series is.
pub(crate) fn load(name: &str, read: ReadFile<'_>) -> Result<Series, LibraryError> {
    if let Some(text) = read(None)? {
        if mbox::is_mbox(&text.bytes) {
            let mbox::Mails { patches, base, prerequisites } = mbox::read(&text)?;
            return Ok(Series { name: name.to_owned(), patches, base, prerequisites });
        }
        let file = Path::new(name).file_name().map_or(name.into(), |file| file.to_string_lossy());
        let patches = vec![Patch::parse(&file, 1, &text)?];
        return Ok(Series {
            name: name.to_owned(),
            patches,
            base: None,
            prerequisites: Vec::new(),
        });
    }
    let Some(order) = read(Some("series"))? else {
        let (what, hint) = match Path::new(name).is_dir() {
            true => ("there is no file `series` in it", "list its patches there, one name a line"),
            false => ("there is no such file or folder", "correct the path"),
        };
        let message = format!("{what}\n  hint: {hint}");
        return Err(LibraryError::Invalid { at: quote(name), message });
    };
    let wrong = |line: usize, message: &str| {
        let hint =
            "a line is the name of a patch beside this file, and -pN behind it if N is not 1";
        invalid(&order.origin, line, 1, format!("{message}\n  hint: {hint}"))
    };
    let mut patches = Vec::new();
    for (number, line) in String::from_utf8_lossy(&order.bytes).lines().enumerate() {
        let at = |message: String| wrong(number + 1, &message);
        let Some((file, strip)) = parse_line(line).map_err(at)? else { continue };
        let Some(text) = read(Some(file))? else {
            return Err(at(format!("there is no patch `{}` beside it", quote(file))));
        };
        if patches.len() == MOST_PATCHES {
            return Err(at(format!("more than {MOST_PATCHES} patches")));
        }
        patches.push(Patch::parse(file, strip, &text)?);
    }
    if patches.is_empty() {
        return Err(wrong(1, "there are no patches in it"));
    }
    Ok(Series { name: name.to_owned(), patches, base: None, prerequisites: Vec::new() })
}

/// File name and strip level of a line of `series`; `None` for comments and empty lines.
fn parse_line(line: &str) -> Result<Option<(&str, usize)>, String> {
    let code = if line.starts_with('#') { "" } else { line.split(" #").next().unwrap_or_default() };
    let mut words = code.split_whitespace();
    let Some(file) = words.next() else { return Ok(None) };
    if file.starts_with('/') || file.split('/').any(|part| part == "..") {
        return Err(format!("`{}` lies outside the series' folder", quote(file)));
    }
    let strip = match words.next() {
        None => 1,
        Some(option) => match option.strip_prefix("-p").map(str::parse) {
            Some(Ok(strip)) => strip,
            _ => return Err(format!("expected -pN after the file name, not `{}`", quote(option))),
        },
    };
    match words.next() {
        Some(word) => Err(format!("expected the end of the line, not `{}`", quote(word))),
        None => Ok(Some((file, strip))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_series_file() {
        assert_eq!(parse_line("a.patch"), Ok(Some(("a.patch", 1))));
        assert_eq!(parse_line("  sub/a.patch -p0  # why"), Ok(Some(("sub/a.patch", 0))));
        assert_eq!(parse_line("# a.patch"), Ok(None));
        assert_eq!(parse_line(""), Ok(None));
        for bad in ["/etc/passwd", "../a.patch", "a.patch -R", "a.patch -p1 more", "a.patch -px"] {
            assert!(parse_line(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_folder_is_read_in_order_and_a_missing_patch_has_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let patch = |file: &str| {
            format!("Subject: {file}\n--- a/{file}\n+++ b/{file}\n@@ -1 +1 @@\n-a\n+b\n")
        };
        fs_err::write(dir.path().join("1.patch"), patch("one.c")).unwrap();
        fs_err::write(dir.path().join("2.patch"), patch("two.c")).unwrap();
        let series = |order: &str| {
            fs_err::write(dir.path().join("series"), order).unwrap();
            crate::Library::default().series(dir.path().to_str().unwrap())
        };
        let read = series("2.patch\n# note\n1.patch\n").unwrap();
        assert_eq!(read.subjects(), ["two.c", "one.c"]);
        assert_eq!(read.files().into_iter().collect::<Vec<_>>(), ["one.c", "two.c"]);
        assert_ne!(read.digest(), series("1.patch\n2.patch\n").unwrap().digest());
        let error = series("1.patch\n3.patch\n").unwrap_err().to_string();
        assert!(error.contains("series:2:1:") && error.contains("`3.patch`"), "{error}");
        assert!(series("# nothing\n").is_err());
        let single = dir.path().join("1.patch");
        let single = crate::Library::default().series(single.to_str().unwrap()).unwrap();
        assert_eq!(single.subjects(), ["one.c"]);
    }
}
