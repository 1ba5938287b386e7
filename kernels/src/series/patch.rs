// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads a patch far enough to say who wrote it, what it is about and which files it touches.
//!
//! The hunks are `patch`'s business; here they are only counted through, so that their
//! lines are not taken for headers. What `patch` could be tricked with is refused.

use std::collections::{BTreeMap, BTreeSet};

use super::types::FileChange;
use crate::input::{LibraryError, Text, invalid};
use crate::text::quote;

/// What to do about a patch that cannot be used.
const NEXT_STEP: &str =
    "make it anew in the top folder of the tree, by `git format-patch` or `git diff`";

/// A unified diff with a mail-like header.
#[derive(Debug, Clone)]
pub struct Patch {
    /// File name.
    pub name: String,
    /// Components to strip from file names: 1 for `a/` and `b/`.
    pub strip: usize,
    /// First line of the description, without `[PATCH 1/2]`; the file name if there is none.
    pub subject: String,
    /// The `From:` header.
    pub author: Option<String>,
    /// Files it changes, makes or removes, as paths below the tree.
    pub files: BTreeSet<String>,
    /// Lines that it adds, and those that it removes.
    pub lines: (u64, u64),
    /// The same of each file that has some.
    pub(crate) counts: BTreeMap<String, (u64, u64)>,
    /// Whether it is left out where the source has its change already.
    pub is_fixup: bool,
    pub(crate) bytes: Vec<u8>,
}

impl Patch {
    /// The whole file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What it does to each file, by name.
    pub fn changes(&self) -> Vec<FileChange> {
        let change = |name: &String| {
            let lines = Some(self.counts.get(name).copied().unwrap_or_default());
            FileChange { name: name.clone(), lines }
        };
        self.files.iter().map(change).collect()
    }

    /// Reads a patch. Errors name the line.
    pub(crate) fn parse(name: &str, strip: usize, text: &Text) -> Result<Self, LibraryError> {
        let wrong = |line: usize, message: &str| {
            invalid(&text.origin, line, 1, format!("{message}\n  hint: {NEXT_STEP}"))
        };
        let mut reader = Reader { strip, ..Reader::default() };
        for (number, line) in text.bytes.split(|&byte| byte == b'\n').enumerate() {
            reader
                .line(&String::from_utf8_lossy(line))
                .map_err(|message| wrong(number + 1, &message))?;
        }
        if reader.files.is_empty() {
            return Err(wrong(1, "it changes no file: expected a unified diff"));
        }
        Ok(Self {
            name: name.to_owned(),
            strip,
            subject: subject(&reader.subject).unwrap_or_else(|| name.to_owned()),
            author: reader.author,
            files: reader.files,
            lines: reader.lines,
            counts: reader.counts,
            is_fixup: false,
            bytes: text.bytes.to_vec(),
        })
    }
}

/// `[PATCH v2 1/3] mm: fix` without the brackets; `None` if nothing is left.
fn subject(line: &str) -> Option<String> {
    let mut rest = line.trim();
    while let Some((_, after)) = rest.strip_prefix('[').and_then(|r| r.split_once(']')) {
        rest = after.trim_start();
    }
    (!rest.is_empty()).then(|| quote(rest))
}

#[derive(Default)]
struct Reader {
    strip: usize,
    subject: String,
    author: Option<String>,
    files: BTreeSet<String>,
    /// The last header was Subject, so an indented line continues it.
    folded: bool,
    /// The first `---` or `diff` was seen.
    in_diff: bool,
    /// Lines that the current hunk still has: old, new.
    hunk: (u64, u64),
    /// Lines added and removed so far.
    lines: (u64, u64),
    /// The same of each file.
    counts: BTreeMap<String, (u64, u64)>,
    /// The file whose hunks come next.
    current: String,
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), String> {
        if self.hunk != (0, 0) {
            return self.hunk_line(line);
        }
        if let Some(rest) = line.strip_prefix("@@ -") {
            self.hunk = ranges(rest).ok_or("expected `@@ -line,count +line,count @@`")?;
        } else if let Some(name) = line.strip_prefix("--- ").or(line.strip_prefix("+++ ")) {
            self.in_diff = true;
            self.file(name.split('\t').next().unwrap_or(name), true)?;
        } else if line.starts_with("diff ") {
            self.in_diff = true;
        } else if self.in_diff {
            self.extended(line)?;
        } else {
            self.header(line);
        }
        Ok(())
    }

    /// A line of the description or of the mail's header.
    fn header(&mut self, line: &str) {
        if let Some(author) = line.strip_prefix("From: ") {
            self.author.get_or_insert_with(|| quote(author.trim()));
        } else if let Some(subject) = line.strip_prefix("Subject: ") {
            if self.subject.is_empty() {
                self.subject = subject.trim().to_owned();
                self.folded = true;
                return;
            }
        } else if self.folded && line.starts_with([' ', '\t']) {
            self.subject = format!("{} {}", self.subject, line.trim());
            return;
        }
        self.folded = false;
    }

    /// A line between the files of a diff: git's extended headers.
    fn extended(&mut self, line: &str) -> Result<(), String> {
        for prefix in ["rename from ", "rename to ", "copy from ", "copy to "] {
            if let Some(name) = line.strip_prefix(prefix) {
                // Written without `a/` and `b/`.
                self.file(name, false)?;
            }
        }
        for prefix in ["new file mode ", "new mode ", "deleted file mode ", "old mode "] {
            let mode = line.strip_prefix(prefix);
            if mode.is_some_and(|mode| mode != "100644" && mode != "100755") {
                return Err(format!("only regular files can be patched: `{}`", quote(line)));
            }
        }
        if line == "GIT binary patch"
            || (line.starts_with("Binary files ") && line.ends_with("differ"))
        {
            return Err("binary changes cannot be applied".into());
        }
        Ok(())
    }

    fn hunk_line(&mut self, line: &str) -> Result<(), String> {
        let count = |left: &mut u64| {
            *left = left.checked_sub(1).ok_or("the hunk has more lines than it says")?;
            Ok::<(), String>(())
        };
        match line.bytes().next() {
            // Mailers strip the blank from empty context lines.
            Some(b' ') | None => count(&mut self.hunk.0).and_then(|()| count(&mut self.hunk.1)),
            Some(b'-') => {
                self.lines.1 += 1;
                self.of_file().1 += 1;
                count(&mut self.hunk.0)
            }
            Some(b'+') => {
                self.lines.0 += 1;
                self.of_file().0 += 1;
                count(&mut self.hunk.1)
            }
            Some(b'\\') => Ok(()),
            _ => Err(format!("a line of a hunk begins with ` `, `+` or `-`: `{}`", quote(line))),
        }
    }

    /// The lines of the file whose hunk this is.
    fn of_file(&mut self) -> &mut (u64, u64) {
        self.counts.entry(self.current.clone()).or_default()
    }

    fn file(&mut self, name: &str, prefixed: bool) -> Result<(), String> {
        let name = name.trim_end();
        if name == "/dev/null" {
            return Ok(());
        }
        let outside = |why: &str| Err(format!("`{}` {why}", quote(name)));
        if name.starts_with('"') {
            return outside("is quoted: plain names are expected");
        }
        if name.starts_with('/') {
            return outside("is an absolute path: it lies outside the tree");
        }
        let strip = if prefixed { self.strip } else { 0 };
        let parts: Vec<&str> = name.split('/').filter(|part| !part.is_empty()).collect();
        let Some(parts) = parts.get(strip..).filter(|parts| !parts.is_empty()) else {
            return outside(&format!("has no more than {strip} components: is -pN right?"));
        };
        if parts.contains(&"..") || parts.contains(&".git") {
            return outside("lies outside the tree's own files");
        }
        let kept = parts.iter().filter(|part| **part != ".").copied().collect::<Vec<_>>().join("/");
        // `+++` comes last, unless the file is removed.
        self.current.clone_from(&kept);
        self.files.insert(kept);
        Ok(())
    }
}

/// Line counts of a hunk's header behind `@@ -`: `12,7 +12,9 @@ function`.
fn ranges(header: &str) -> Option<(u64, u64)> {
    let (old, rest) = header.split_once(" +")?;
    let (new, _) = rest.split_once(" @@")?;
    let count = |range: &str| match range.split_once(',') {
        Some((line, count)) => line.parse::<u64>().ok().and(count.parse().ok()),
        None => range.parse::<u64>().ok().and(Some(1)),
    };
    Some((count(old)?, count(new)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Patch, String> {
        let text = Text { origin: "p".into(), bytes: text.as_bytes().to_vec().into() };
        Patch::parse("p.patch", 1, &text).map_err(|error| error.to_string())
    }

    const MAIL: &str = "From 1234 Mon Sep 17 00:00:00 2001
From: A Hacker <a@example.org>
Date: today
Subject: [RFC PATCH v2 1/3] mm/zswap: hold
 the device
From: not me

Text.
---
 mm/zswap.c | 2 +-

diff --git a/mm/zswap.c b/mm/zswap.c
index 1..2 100644
--- a/mm/zswap.c\t2026-01-01
+++ b/mm/zswap.c
@@ -1,3 +1,4 @@ int f(void)
 a
--- a/not/a/header
+++ b/neither
+d

diff --git a/old.c b/new.c
similarity index 100%
rename from old.c
rename to new.c
--
2.39
";

    #[test]
    fn header_and_files_are_read_and_hunks_are_not_taken_for_headers() {
        let patch = parse(MAIL).unwrap();
        assert_eq!(patch.subject, "mm/zswap: hold the device");
        assert_eq!(patch.author.as_deref(), Some("A Hacker <a@example.org>"));
        assert_eq!(patch.files.iter().collect::<Vec<_>>(), ["mm/zswap.c", "new.c", "old.c"]);
        let changes = patch.changes();
        assert_eq!(changes[0].lines, Some((2, 1)), "{changes:?}");
        assert_eq!((changes[1].lines, patch.lines), (Some((0, 0)), (2, 1)));
        // Of a file that goes the second name is none, and of one that comes the first.
        let both = "--- a/gone.c\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n--- /dev/null\n+++ b/new.c\n@@ -0,0 +1,2 @@\n+b\n+c\n";
        let lines: Vec<_> = parse(both).unwrap().changes().into_iter().map(|c| c.lines).collect();
        assert_eq!(lines, [Some((0, 1)), Some((2, 0))]);
    }

    #[test]
    fn paths_outside_the_tree_are_refused() {
        let diff = |name: &str| format!("--- {name}\n+++ {name}\n@@ -1 +1 @@\n-a\n+b\n");
        assert!(parse(&diff("a/mm/x.c")).is_ok());
        for name in ["/etc/passwd", "a/../../etc", "a/.git/config", "x.c", "\"a/\\303.c\"", "a/"] {
            let error = parse(&diff(name)).unwrap_err();
            assert!(error.starts_with("p:1:1: "), "{name}: {error}");
        }
    }

    #[test]
    fn what_patch_cannot_do_or_should_not_is_refused() {
        let head = "diff --git a/x b/x\n";
        for body in ["new file mode 120000\n", "GIT binary patch\n", "new mode 160000\n"] {
            assert!(parse(&format!("{head}{body}")).is_err(), "{body}");
        }
        // An ed script has no unified headers.
        assert!(parse("Index: x\n1c\n!touch /tmp/evil\n.\n").is_err());
        let torn = "--- a/x\n+++ b/x\n@@ -1,2 +1 @@\n-a\n+b\nrubbish\n";
        assert!(parse(torn).unwrap_err().starts_with("p:6:1: "));
    }
}
