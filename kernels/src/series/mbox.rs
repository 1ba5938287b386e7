// SPDX-License-Identifier: MIT OR Apache-2.0
//! Series as mails: what `git format-patch`, b4 and the thread archives of lists write.
//!
//! Formats: mbox (RFC 4155), and mails as RFC 5322 and MIME (RFC 2045) have them. A thread's
//! archive also holds its cover letter, replies and earlier versions; the newest version's
//! patches are taken, in the order in which their subjects number them.

use std::borrow::Cow;
use std::sync::LazyLock;

use mailparse::{MailHeaderMap, ParsedMail};
use regex::Regex;

use super::patch::Patch;
use super::types::MOST_PATCHES;
use crate::input::{LibraryError, Text, invalid};
use crate::text::quote;

/// Mails that are looked at; a thread of more is cut by whoever made it.
const MOST_MAILS: usize = 4 * MOST_PATCHES;
/// Mails within mails that are looked into.
const DEPTH: usize = 8;

/// What to do about mails that are no series.
const WHOLE_THREAD: &str = "get the whole thread, for instance by `b4 am MESSAGE-ID`";

/// What the mails are.
pub(super) struct Mails {
    pub(super) patches: Vec<Patch>,
    pub(super) base: Option<String>,
    pub(super) prerequisites: Vec<String>,
}

/// A mail that carries a patch or a cover letter.
struct Mail {
    /// Line of the file in which it begins.
    line: usize,
    place: Place,
    from: String,
    subject: String,
    body: String,
}

/// Where a subject puts a mail: `[PATCH v3 2/5]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    version: u32,
    /// 0 is the cover letter.
    number: u32,
    of: u32,
}

/// True if the text is one mail or more, and not merely a diff.
pub(super) fn is_mbox(text: &[u8]) -> bool {
    text.starts_with(b"From ")
}

/// Reads the mails. Errors name the line in which the mail begins.
pub(super) fn read(text: &Text) -> Result<Mails, LibraryError> {
    let at = |line: usize, message: String| invalid(&text.origin, line, 1, message);
    let mut mails = Vec::new();
    for (line, raw) in split(&text.bytes) {
        let parsed = mailparse::parse_mail(raw)
            .map_err(|error| at(line, format!("{error}\n  hint: {WHOLE_THREAD}")))?;
        mails.extend(mail(line, &parsed));
    }
    let newest = mails.iter().map(|mail| mail.place.version).max().unwrap_or(0);
    mails.retain(|mail| mail.place.version == newest);
    let base = mails.iter().find_map(|mail| base_commit(&mail.body));
    let prerequisites = prerequisites(&mails);
    let total = mails.iter().map(|mail| mail.place.of).max().unwrap_or(0);
    if total as usize > MOST_PATCHES {
        let message = format!("a series of more than {MOST_PATCHES} patches");
        return Err(at(1, format!("{message}\n  hint: keep the mails of one series")));
    }
    if mails.iter().any(|mail| mail.place.of != total) {
        let message = "the subjects count differently: this is more than one series";
        return Err(at(1, format!("{message}\n  hint: keep the mails of one")));
    }
    let mut patches = Vec::new();
    for number in 1..=total {
        let Some(mail) = mails.iter().find(|mail| mail.place.number == number) else {
            let message = format!("patch {number} of {total} is missing");
            return Err(at(1, format!("{message}\n  hint: {WHOLE_THREAD}")));
        };
        patches.push(patch(mail, &text.origin)?);
    }
    if patches.is_empty() {
        let message = "no mail here carries a patch: expected subjects like `[PATCH 1/2] mm: fix`";
        return Err(at(1, format!("{message}\n  hint: {WHOLE_THREAD}")));
    }
    Ok(Mails { patches, base, prerequisites })
}

/// Mails and the lines in which they begin: at `From ` behind an empty line, if a header follows.
fn split(text: &[u8]) -> Vec<(usize, &[u8])> {
    let mut mails = Vec::new();
    let mut begun: Option<(usize, usize)> = None;
    let (mut at, mut line, mut after_empty) = (0, 1, true);
    while at < text.len() && mails.len() < MOST_MAILS {
        let end = line_end(text, at);
        if after_empty && text[at..].starts_with(b"From ") && is_header(&text[end..]) {
            mails.extend(begun.map(|(first, from)| (first, &text[from..at])));
            // The line itself is the box's, not the mail's.
            begun = Some((line, end));
        }
        after_empty = text[at..end].trim_ascii().is_empty();
        (at, line) = (end, line + 1);
    }
    mails.extend(begun.map(|(first, from)| (first, &text[from..])));
    mails
}

/// Where the line that begins at `at` ends, its line feed included.
fn line_end(text: &[u8], at: usize) -> usize {
    text[at..].iter().position(|b| *b == b'\n').map_or(text.len(), |end| at + end + 1)
}

/// True if the text begins with `Name: `.
fn is_header(text: &[u8]) -> bool {
    let name = text.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'-').count();
    name > 0 && text.get(name) == Some(&b':')
}

/// A mail that belongs to a series: not a reply, and either numbered or with a diff in it.
fn mail(line: usize, parsed: &ParsedMail<'_>) -> Option<Mail> {
    let header = |name: &str| parsed.headers.get_first_value(name).unwrap_or_default();
    let subject = header("Subject");
    let body = text_of(parsed, DEPTH)?.replace("\r\n", "\n");
    let has_diff = body.lines().any(|line| line.starts_with("--- ") || line.starts_with("diff "));
    let place = match place(&subject) {
        Some(place) if place.number == 0 || has_diff => place,
        None if has_diff && !subject.to_ascii_lowercase().starts_with("re:") => {
            Place { version: 1, number: 1, of: 1 }
        }
        _ => return None,
    };
    Some(Mail { line, place, from: header("From"), subject, body })
}

/// The first plain text of a mail, decoded.
fn text_of(part: &ParsedMail<'_>, depth: usize) -> Option<String> {
    if part.subparts.is_empty() {
        let plain = part.ctype.mimetype.eq_ignore_ascii_case("text/plain")
            || part.ctype.mimetype.to_ascii_lowercase().starts_with("text/x-");
        return plain.then(|| part.get_body().ok()).flatten();
    }
    let depth = depth.checked_sub(1)?;
    part.subparts.iter().find_map(|part| text_of(part, depth))
}

/// `[RFC PATCH v2 3/7] ...`; without a number it is the only one.
fn place(subject: &str) -> Option<Place> {
    static TAG: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^\s*\[([^\]]*\bPATCH\b[^\]]*)\]").expect("a correct pattern")
    });
    static VERSION: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(?i)\bv([0-9]{1,4})\b").expect("a correct pattern"));
    static NUMBER: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\b([0-9]{1,4})/([0-9]{1,4})\b").expect("a correct pattern"));
    let tag = TAG.captures(subject)?.get(1)?.as_str();
    let parse = |found: Option<regex::Match<'_>>| found.and_then(|m| m.as_str().parse().ok());
    let version = VERSION.captures(tag).and_then(|found| parse(found.get(1))).unwrap_or(1);
    let (number, of) = match NUMBER.captures(tag) {
        Some(found) => (parse(found.get(1))?, parse(found.get(2))?),
        None => (1, 1),
    };
    Some(Place { version, number, of })
}

/// What `git format-patch --base` leaves in the first mail.
fn base_commit(body: &str) -> Option<String> {
    let commit = body.lines().find_map(|line| line.strip_prefix("base-commit: "))?.trim();
    let good = (7..=64).contains(&commit.len()) && commit.bytes().all(|b| b.is_ascii_hexdigit());
    good.then(|| commit.to_owned())
}

/// What `git format-patch --base` and b4 say must be applied before, each once, in order.
fn prerequisites(mails: &[Mail]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in mails.iter().flat_map(|mail| mail.body.lines()) {
        let Some((kind, value)) =
            line.strip_prefix("prerequisite-").and_then(|rest| rest.split_once(": "))
        else {
            continue;
        };
        let one = format!("{kind}: {}", quote(value.trim()));
        let known = ["patch-id", "message-id", "change-id"].contains(&kind);
        if known && found.len() < MOST_PATCHES && !found.contains(&one) {
            found.push(one);
        }
    }
    found
}

fn patch(mail: &Mail, origin: &str) -> Result<Patch, LibraryError> {
    let subject = mail.subject.split_whitespace().collect::<Vec<_>>().join(" ");
    let from = quote(&mail.from);
    let bytes = format!("From: {from}\nSubject: {subject}\n\n{}", mail.body).into_bytes();
    let origin = format!("{origin}:{}: mail \"{}\"", mail.line, quote(&subject));
    let text = Text { origin, bytes: Cow::Owned(bytes) };
    let mut patch = Patch::parse("", 1, &text)?;
    patch.name = format!("{:04}-{}.patch", mail.place.number, slug(&patch.subject));
    Ok(patch)
}

/// A subject as git makes a file name of it.
fn slug(subject: &str) -> String {
    let mut slug = String::new();
    for c in subject.chars() {
        if c.is_ascii_alphanumeric() || c == '_' {
            slug.push(c);
        } else if !slug.ends_with('-') {
            slug.push('-');
        }
        if slug.len() >= 52 {
            break;
        }
    }
    slug.trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diff(file: &str) -> String {
        format!("---\n\n--- a/{file}\n+++ b/{file}\n@@ -1 +1 @@\n-a\n+b\n--\n2.39\n\n")
    }

    fn mail(subject: &str, body: &str) -> String {
        format!(
            "From mboxrd@z Thu Jan  1 00:00:00 1970\nFrom: A Hacker <a@example.org>\n\
             Subject: {subject}\n\n{body}\n"
        )
    }

    fn parse(mbox: &str) -> Result<Mails, String> {
        let text = Text { origin: "t.mbox".into(), bytes: mbox.as_bytes().to_vec().into() };
        read(&text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_thread_becomes_its_newest_series_in_order() {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let first = format!(
            "prerequisite-patch-id: {commit}\nprerequisite-message-id: <a@b>\nprerequisite-patch-id: {commit}\nprerequisite-pizza: 1\n"
        );
        let thread = [
            mail("[PATCH 1/1] mm: old", &diff("old.c")),
            mail("[PATCH v2 2/2] mm/zswap: second\n part", &diff("two.c")),
            mail("Re: [PATCH v2 2/2] mm/zswap: second", &format!("> {}", diff("not.c"))),
            mail("[PATCH v2 0/2] mm: both", &format!("Text.\n\nbase-commit: {commit}\n{first}")),
            mail("[PATCH v2 1/2] mm: first", &format!("From here on\n{}", diff("one.c"))),
        ]
        .concat();
        let read = parse(&thread).unwrap();
        let names: Vec<&str> = read.patches.iter().map(|patch| patch.name.as_str()).collect();
        assert_eq!(names, ["0001-mm-first.patch", "0002-mm-zswap-second-part.patch"]);
        assert_eq!(read.patches[1].subject, "mm/zswap: second part");
        assert_eq!(read.patches[0].author.as_deref(), Some("A Hacker <a@example.org>"));
        let files: Vec<&str> =
            read.patches.iter().flat_map(|p| &p.files).map(String::as_str).collect();
        assert_eq!(files, ["one.c", "two.c"]);
        assert_eq!(read.base.as_deref(), Some(commit));
        assert_eq!(read.prerequisites, [format!("patch-id: {commit}"), "message-id: <a@b>".into()]);
    }

    #[test]
    fn what_mail_programs_encode_is_decoded() {
        let body = diff("a.c").replace("-a\n", "-a=3Db\n").replace('\n', "\r\n");
        let encoded = mail("=?utf-8?q?=5BPATCH=5D_mm:_fix_=C3=BC?=", &body).replace(
            "Subject:",
            "Content-Type: text/plain; charset=utf-8\n\
             Content-Transfer-Encoding: quoted-printable\nSubject:",
        );
        let read = parse(&encoded).unwrap();
        assert_eq!(read.patches[0].subject, "mm: fix ü");
        let text = String::from_utf8_lossy(read.patches[0].bytes()).into_owned();
        assert!(text.contains("\n-a=b\n") && !text.contains('\r'), "{text}");
    }

    #[test]
    fn what_is_no_whole_series_is_refused_with_the_reason() {
        let one = mail("[PATCH 1/3] a", &diff("a.c"));
        let three = mail("[PATCH 3/3] c", &diff("c.c"));
        let error = parse(&[one.clone(), three].concat()).map(|_| ()).unwrap_err();
        assert!(error.contains("patch 2 of 3 is missing"), "{error}");
        let other = mail("[PATCH 1/2] x", &diff("x.c"));
        let error = parse(&[one, other].concat()).map(|_| ()).unwrap_err();
        assert!(error.contains("more than one series"), "{error}");
        let error = parse(&mail("hello", "no patch")).map(|_| ()).unwrap_err();
        assert!(error.contains("no mail here carries a patch"), "{error}");
        // The place within a mail that reads badly is told by the mail.
        let evil = mail("[PATCH] evil", &diff("../../etc/passwd"));
        let error = parse(&[mail("hello", "x\n"), evil].concat()).map(|_| ()).unwrap_err();
        assert!(error.starts_with("t.mbox:7: mail \"[PATCH] evil\":"), "{error}");
    }

    #[test]
    fn one_patch_needs_no_number() {
        let format_patch = mail("[PATCH] mm: fix", &diff("a.c"));
        assert_eq!(parse(&format_patch).unwrap().patches.len(), 1);
        assert_eq!(parse(&mail("mm: fix", &diff("a.c"))).unwrap().patches.len(), 1);
    }

    proptest::proptest! {
        #[test]
        fn no_box_breaks_the_reader(
            mails in proptest::collection::vec(("\\PC{0,40}", "(?s).{0,200}"), 0..6)
        ) {
            let text: String = mails.iter().map(|(s, b)| mail(s, b)).collect();
            for file in parse(&text).iter().flat_map(|m| &m.patches).flat_map(|p| &p.files) {
                proptest::prop_assert!(!file.starts_with('/') && !file.contains(".."), "{}", file);
            }
        }
    }
}
