// SPDX-License-Identifier: MIT OR Apache-2.0
//! What others put before a kernel's line: mail programs, journals, serial loggers, viewers.
//!
//! Each line is judged by itself, so prose, a journal and a serial log may follow each other in
//! one file. Quote marks, blanks and clocks are taken off one after the other; what stands
//! before the kernel's own time stamp goes whatever it is.
//!
//! Formats: dmesg(1) of util-linux, journalctl(1) `--output`, syslog(3) files, the kernel's
//! `Documentation/ABI/testing/dev-kmsg` (netconsole's extended form is the same), logcat(1),
//! the log files of the Kubernetes container runtime interface.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::line::{Prefix, digits, stamp, trim_blanks};
use super::prefilter::PREFILTER;

/// Things before a message that are taken off at most.
const MOST_MARKS: usize = 16;
/// Bytes before a message in which its kernel's stamp is looked for.
const MOST_HEAD: usize = 160;

static KERNEL: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"kernel:"));

/// What was taken off so far.
#[derive(Debug, Default, Clone, Copy)]
struct Seen {
    /// A date and a time, as journals have them.
    dated: bool,
    /// As `dated`, and in a form that only the system's log has.
    syslog: bool,
    /// The form says that the kernel printed the line.
    kernel: bool,
}

/// Who printed a line that does not begin with the kernel's stamp, and its message.
pub(super) fn take_off(line: &[u8]) -> (Prefix<'_>, &[u8]) {
    let mut rest = line;
    let mut seen = Seen::default();
    let mut caller = None;
    for _ in 0..MOST_MARKS {
        let text = trim_blanks(rest);
        if let Some(found) = stamp(text) {
            return found;
        }
        if let Some(after) = quote(text).or_else(|| level(text)) {
            rest = after;
        } else if let Some((found, message)) = kmsg(text) {
            return (found, message);
        } else if let Some((clock, after)) = bracket(text) {
            seen.kernel |= clock == Clock::Dmesg;
            rest = after;
            if let Some((who, after)) = bracketed_caller(after) {
                caller = Some(who);
                rest = after;
            }
            rest = rest.strip_prefix(b" ").unwrap_or(rest);
            if seen.kernel {
                // Nothing else comes before the message.
                if let Some(found) = stamp(rest) {
                    return found;
                }
                break;
            }
        } else if let Some(after) = decoded(text) {
            seen.kernel = true;
            rest = after;
        } else if let Some((is_syslog, after)) = date(text) {
            seen.dated = true;
            seen.syslog |= is_syslog;
            // With a comma before its fraction the time is dmesg's.
            seen.kernel |= is_iso_of_dmesg(text);
            rest = after.strip_prefix(b" ").unwrap_or(after);
            if let Some((who, after)) = bracketed_caller(rest) {
                caller = Some(who);
                rest = after.strip_prefix(b" ").unwrap_or(after);
            }
            if seen.kernel {
                break;
            }
        } else if seen.dated
            && let Some(after) = text.strip_prefix(b"stdout F ").or(text.strip_prefix(b"stderr F "))
        {
            rest = after;
        } else {
            break;
        }
    }
    if seen.kernel {
        return (caller.map_or(Prefix::Time, Prefix::Caller), rest);
    }
    if let Some(message) = logcat(rest, seen.dated) {
        return (Prefix::Time, message);
    }
    match tag(rest, seen) {
        Some((Tag::Kernel, message)) => {
            let inner = trim_blanks(message);
            return stamp(inner).unwrap_or((Prefix::Time, message));
        }
        Some((Tag::Program, message)) => {
            return stamped_within(message, seen).unwrap_or((Prefix::Program, message));
        }
        None => {}
    }
    if let Some(found) = stamped_within(rest, seen) {
        return found;
    }
    (Prefix::None, rest)
}

/// `> `, `| ` and their like in mails.
fn quote(text: &[u8]) -> Option<&[u8]> {
    let rest = text
        .strip_prefix(b">")
        .or_else(|| text.strip_prefix(b"| "))
        .or_else(|| text.strip_prefix(b"\xef\xbb\xbf"))
        .or_else(|| text.strip_prefix(b"\xc2\xa0"))?;
    Some(rest.strip_prefix(b" ").unwrap_or(rest))
}

/// `<4>`.
fn level(text: &[u8]) -> Option<&[u8]> {
    let rest = text.strip_prefix(b"<")?;
    let number = digits(rest);
    (1..=3).contains(&number).then(|| rest[number..].strip_prefix(b">")).flatten()
}

/// `6,1234,5678901,-,caller=T12;`, perhaps with the kernel's release before it.
fn kmsg(text: &[u8]) -> Option<(Prefix<'_>, &[u8])> {
    if !text.first()?.is_ascii_digit() {
        return None;
    }
    let near = &text[..text.len().min(MOST_HEAD)];
    let end = memchr::memchr(b';', near)?;
    let mut fields = near[..end].split(|&b| b == b',').peekable();
    let is_number = |field: &[u8]| !field.is_empty() && digits(field) == field.len();
    if !is_number(fields.peek()?) {
        fields.next();
    }
    for _ in 0..3 {
        fields.next().filter(|field| is_number(field))?;
    }
    if !matches!(fields.next()?, b"-" | b"c" | b"+") {
        return None;
    }
    let caller = fields.find_map(|field| field.strip_prefix(b"caller="));
    Some((caller.map_or(Prefix::Time, Prefix::Caller), &text[end + 1..]))
}

/// Whose clock it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Clock {
    /// dmesg's, so that the message is the kernel's.
    Dmesg,
    /// That of a program that writes down what a console says.
    Logger,
}

/// `[Sun Nov 22 13:41:46 2026]` in any language, `[Nov22 13:41]`, `[  +0.000012]`,
/// `[<    0.000012>]` of dmesg; `[13:41:46.123]` of others.
fn bracket(text: &[u8]) -> Option<(Clock, &[u8])> {
    let rest = text.strip_prefix(b"[")?;
    let end = memchr::memchr(b']', &rest[..rest.len().min(64)])?;
    let (inside, after) = (&rest[..end], &rest[end + 1..]);
    let clock = if has_time(inside) {
        let year = inside.len().checked_sub(5).map(|at| &inside[at..]);
        let ends_in_year = year.is_some_and(|y| y[0] == b' ' && digits(&y[1..]) == 4);
        if ends_in_year { Clock::Dmesg } else { Clock::Logger }
    } else if is_short_date(inside) || is_delta(inside) {
        Clock::Dmesg
    } else {
        return None;
    };
    Some((clock, after))
}

/// True if there is `13:41:46` in a text.
fn has_time(text: &[u8]) -> bool {
    memchr::memchr_iter(b':', text)
        .any(|at| at > 0 && time(&text[at.saturating_sub(2)..]).is_some())
}

/// `Nov22 13:41`.
fn is_short_date(text: &[u8]) -> bool {
    let Some(time) = text.len().checked_sub(6).map(|at| &text[at..]) else { return false };
    time[0] == b' '
        && digits(&time[1..]) == 2
        && time[3] == b':'
        && digits(&time[4..]) == 2
        && text[..text.len() - 6].last().is_some_and(u8::is_ascii_digit)
}

/// `  +0.000012`, `<    0.000012>`, `   12.345678 <    0.000012>`.
fn is_delta(text: &[u8]) -> bool {
    let signs = |b: &u8| b.is_ascii_digit() || b" +-.<>".contains(b);
    text.iter().all(signs)
        && text.contains(&b'.')
        && (text.ends_with(b">") || text.iter().any(|b| matches!(b, b'+' | b'-')))
}

/// `[   T7]` or `[   C0]` behind dmesg's clock, perhaps behind a blank.
fn bracketed_caller(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = text.strip_prefix(b" ").unwrap_or(text);
    let inner = trim_blanks(text.strip_prefix(b"[")?);
    let number = inner.strip_prefix(b"T").or_else(|| inner.strip_prefix(b"C"))?;
    let count = digits(number);
    let after = number[count..].strip_prefix(b"]")?;
    (count > 0).then(|| text.split_at(text.len() - after.len()))
}

/// `kern  :warn  : `.
fn decoded(text: &[u8]) -> Option<&[u8]> {
    let facility = [&b"kern"[..], b"user", b"daemon", b"syslog"]
        .iter()
        .find_map(|name| text.strip_prefix(*name))?;
    let level = trim_blanks(facility).strip_prefix(b":")?;
    let word = level.iter().take_while(|b| b.is_ascii_lowercase()).count();
    let after = trim_blanks(&level[word..]).strip_prefix(b":")?;
    (word > 0).then(|| after.strip_prefix(b" ").unwrap_or(after))
}

/// What follows on `13:41:46`, `13:41:46.123456` or `9:41:46,123`.
fn time(text: &[u8]) -> Option<&[u8]> {
    let hours = digits(text);
    let rest = text[hours..].strip_prefix(b":")?;
    let rest = (digits(rest) == 2).then(|| rest[2..].strip_prefix(b":")).flatten()?;
    if !(1..=2).contains(&hours) || digits(rest) != 2 {
        return None;
    }
    let rest = &rest[2..];
    let fraction = match rest.first() {
        Some(b'.' | b',') => digits(&rest[1..]),
        _ => 0,
    };
    Some(if fraction > 0 { &rest[1 + fraction..] } else { rest })
}

/// What follows on `2026-11-22`.
fn day(text: &[u8]) -> Option<&[u8]> {
    let rest = (digits(text) == 4).then(|| text[4..].strip_prefix(b"-")).flatten()?;
    let rest = (digits(rest) == 2).then(|| rest[2..].strip_prefix(b"-")).flatten()?;
    (digits(rest) == 2).then(|| &rest[2..])
}

/// What follows on a date and a time, or a time, and whether only a system's log writes it so.
fn date(text: &[u8]) -> Option<(bool, &[u8])> {
    if text.first()?.is_ascii_digit() {
        if let Some(rest) = day(text) {
            // 2026-11-22T13:41:46.123456+01:00, 2026-11-22 13:41:46
            let rest = time(rest.strip_prefix(b"T").or(rest.strip_prefix(b" "))?)?;
            let zone = rest.iter().take_while(|b| matches!(b, b'+' | b'-' | b':' | b'0'..=b'9'));
            let zone = if rest.starts_with(b"Z") { 1 } else { zone.count() };
            return is_blank_or_end(&rest[zone..]).then_some((false, &rest[zone..]));
        }
        if let Some(rest) = time(text) {
            return is_blank_or_end(rest).then_some((false, rest));
        }
        // 1795354906.123456 of `short-unix`, 11-22 13:41:46.123 of logcat.
        let count = digits(text);
        let rest = &text[count..];
        if count == 10 && rest.first() == Some(&b'.') && digits(&rest[1..]) == 6 {
            return is_blank_or_end(&rest[7..]).then_some((true, &rest[7..]));
        }
        if count == 2
            && let Some(rest) = rest.strip_prefix(b"-").filter(|rest| digits(rest) == 2)
            && let Some(rest) = rest[2..].strip_prefix(b" ").and_then(time)
        {
            return is_blank_or_end(rest).then_some((false, rest));
        }
    }
    // Nov 22 13:41:46, and 5月 05 09:10:11 or 22 nov. 13:41:46 of other places.
    let word = text.iter().take_while(|b| !matches!(b, b' ' | b':' | b'[' | b'(')).count();
    if !(1..=14).contains(&word) {
        return None;
    }
    let rest = trim_blanks(&text[word..]);
    // Sun 2026-11-22 13:41:46 UTC
    if let Some(rest) = day(rest) {
        let rest = time(rest.strip_prefix(b" ")?)?.strip_prefix(b" ")?;
        let zone = rest.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'+').count();
        return (1..=6).contains(&zone).then(|| (true, &rest[zone..]));
    }
    let count = digits(rest);
    let rest = match count {
        1 | 2 => rest[count..].strip_prefix(b".").unwrap_or(&rest[count..]),
        _ if digits(text) == word => {
            let word = rest.iter().take_while(|b| !matches!(b, b' ' | b':' | b'[')).count();
            (1..=14).contains(&word).then(|| &rest[word..])?
        }
        _ => return None,
    };
    let rest = time(trim_blanks(rest))?;
    is_blank_or_end(rest).then_some((true, rest))
}

fn is_blank_or_end(text: &[u8]) -> bool {
    matches!(text.first(), None | Some(b' ' | b'\t'))
}

/// `2026-11-22T13:41:46,123456+00:00` of `dmesg --time-format iso`.
fn is_iso_of_dmesg(text: &[u8]) -> bool {
    text.len() > 19 && text[10] == b'T' && text[19] == b',' && day(text).is_some()
}

/// `     0     0 E         : ` of the kernel's buffer behind logcat's date.
fn logcat(text: &[u8], dated: bool) -> Option<&[u8]> {
    if !dated {
        return None;
    }
    let mut rest = trim_blanks(text);
    for _ in 0..2 {
        let count = digits(rest);
        rest =
            (count > 0 && rest.get(count) == Some(&b' ')).then(|| trim_blanks(&rest[count..]))?;
    }
    let rest = rest.strip_prefix(b"V").or_else(|| {
        let is_level = rest.first().is_some_and(|b| b"DIWEF".contains(b));
        is_level.then(|| &rest[1..])
    })?;
    // The kernel has no tag.
    let message = trim_blanks(rest.strip_prefix(b" ")?).strip_prefix(b":")?;
    Some(message.strip_prefix(b" ").unwrap_or(message))
}

/// Who says something in a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tag {
    Kernel,
    Program,
}

/// `box kernel: `, `kernel:`, `box systemd[1]: `.
fn tag(text: &[u8], seen: Seen) -> Option<(Tag, &[u8])> {
    let text = trim_blanks(text);
    if let Some(message) = text.strip_prefix(b"kernel:") {
        return Some((Tag::Kernel, message.strip_prefix(b" ").unwrap_or(message)));
    }
    let end = memchr::memchr(b' ', &text[..text.len().min(MOST_HEAD)])?;
    let (host, rest) = (&text[..end], trim_blanks(&text[end..]));
    if !host.contains(&b':')
        && let Some(message) = rest.strip_prefix(b"kernel:")
        && matches!(message.first(), Some(b' ' | b'['))
    {
        return Some((Tag::Kernel, message.strip_prefix(b" ").unwrap_or(message)));
    }
    if !seen.dated {
        return None;
    }
    // The name of a program ends in its number, or in a date's line of a system's log needs none.
    let program = |text: &[u8], needs_number| {
        let name = text.iter().take_while(|b| b.is_ascii_alphanumeric() || b"_.()@/-".contains(b));
        let name = name.count();
        let rest = &text[name..];
        let numbered = rest.strip_prefix(b"[").and_then(|rest| {
            let count = digits(rest);
            (count > 0).then(|| rest[count..].strip_prefix(b"]")).flatten()
        });
        let after = match numbered {
            Some(after) => after.strip_prefix(b":")?,
            // What begins with a capital may as well be the kernel's `RIP: ` and `CPU: `.
            None if needs_number || text[..name].iter().any(u8::is_ascii_uppercase) => return None,
            None => rest.strip_prefix(b": ")?,
        };
        (name > 0 && !PREFILTER.are_in(&text[..text.len() - after.len()])).then_some(after.len())
    };
    let left = program(text, true)
        .or_else(|| (!host.contains(&b':')).then(|| program(rest, !seen.syslog)).flatten())?;
    let message = &text[text.len() - left..];
    Some((Tag::Program, message.strip_prefix(b" ").unwrap_or(message)))
}

/// The kernel's stamp, or `kernel: `, behind something that is no message.
fn stamped_within(text: &[u8], seen: Seen) -> Option<(Prefix<'_>, &[u8])> {
    let near = &text[..text.len().min(MOST_HEAD)];
    for at in memchr::memchr_iter(b'[', near) {
        if let Some(found) = stamp(&text[at..]) {
            return is_head(&text[..at]).then_some(found);
        }
    }
    let at = KERNEL.find(near)?;
    let message = &text[at + b"kernel:".len()..];
    // Only a date or an address with colons and numbers comes so.
    let before = text[..at].trim_ascii_end();
    let is_tag = at > 0
        && before.len() < at
        && matches!(message.first(), Some(b' ' | b'['))
        && (seen.dated || has_time(before))
        && is_head(before);
    let message = message.strip_prefix(b" ").unwrap_or(message);
    is_tag.then(|| stamp(trim_blanks(message)).unwrap_or((Prefix::Time, message)))
}

/// False for the words of a report, which another line has run into.
fn is_head(text: &[u8]) -> bool {
    static FRAME: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"+0x"));
    !PREFILTER.are_in(text) && FRAME.find(text).is_none()
}

/// A line as it was before it was coloured, or escaped for a web page or a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plain<'a> {
    pub(super) text: &'a [u8],
    /// Quoted-printable: the line goes on in the next one.
    pub(super) goes_on: bool,
}

/// Takes colours and escapes out of a line.
pub(super) fn plain<'a>(line: &'a [u8], room: &'a mut Vec<u8>) -> Plain<'a> {
    // A terminal's text that was copied has lost the byte that begins a colour.
    let is_copied = line.starts_with(b"[") && colour(&line[1..]).is_some();
    if !is_copied && memchr::memchr3(0x1b, b'&', b'=', line).is_none() {
        return Plain { text: line, goes_on: false };
    }
    let quoted = Quoted::read(line);
    let (is_quoted, goes_on) = (quoted != Quoted::No, quoted == Quoted::GoesOn);
    if !is_copied && !is_quoted && memchr::memchr2(0x1b, b'&', line).is_none() {
        return Plain { text: line, goes_on };
    }
    let mut rest = if goes_on { &line[..line.len() - 1] } else { line };
    room.clear();
    let special = |b: &u8| match b {
        0x1b | b'&' => true,
        b'[' => is_copied,
        b'=' => is_quoted,
        _ => false,
    };
    while let Some(at) = rest.iter().position(special) {
        room.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        let escaped = |found: Option<(u8, &'a [u8])>, room: &mut Vec<u8>| {
            found.map(|(character, after)| {
                room.push(character);
                after
            })
        };
        let after = match rest[0] {
            0x1b => rest[1..].strip_prefix(b"[").and_then(control),
            b'[' => colour(&rest[1..]),
            b'&' => escaped(entity(&rest[1..]), room),
            _ => escaped(octet(&rest[1..]), room),
        };
        rest = after.unwrap_or_else(|| {
            room.push(rest[0]);
            &rest[1..]
        });
    }
    room.extend_from_slice(rest);
    Plain { text: room, goes_on }
}

/// Whether a line is in quoted-printable, which mails may be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quoted {
    No,
    Yes,
    /// And it ends in `=`, as the next line belongs to it.
    GoesOn,
}

impl Quoted {
    /// The form has lines of at most 76 bytes, and writes `=` as `=3D`.
    fn read(line: &[u8]) -> Self {
        static EQUALS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"=3D"));
        const MOST: usize = 76;
        if line.len() > MOST {
            return Quoted::No;
        }
        let is_quoted = EQUALS.find(line).is_some();
        if line.ends_with(b"=") && (is_quoted || line.len() >= MOST - 3 && !line.ends_with(b"==")) {
            return Quoted::GoesOn;
        }
        if is_quoted || line.ends_with(b"=20") { Quoted::Yes } else { Quoted::No }
    }
}

/// The byte that `3D` stands for.
fn octet(text: &[u8]) -> Option<(u8, &[u8])> {
    let digits = text.first_chunk::<2>()?;
    if !digits.iter().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F')) {
        return None;
    }
    let byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    Some((byte, &text[2..]))
}

/// True for a message that begins as `systemd[1]: ` does: a program wrote it into the kernel's log.
pub(super) fn is_programs(message: &[u8]) -> bool {
    let in_name = |b: &&u8| b.is_ascii_alphanumeric() || b"_.()@/-".contains(b);
    let name = message.iter().take(64).take_while(in_name).count();
    let Some(number) = message[name..].strip_prefix(b"[") else { return false };
    let count = digits(number);
    name > 0 && count > 0 && number[count..].starts_with(b"]: ")
}

/// What follows on `1;31m`.
fn colour(text: &[u8]) -> Option<&[u8]> {
    let count = text.iter().take(12).take_while(|b| b.is_ascii_digit() || **b == b';').count();
    text.get(count..)?.strip_prefix(b"m").filter(|_| count > 0)
}

/// What follows on a control sequence.
fn control(text: &[u8]) -> Option<&[u8]> {
    let count = text.iter().take(16).take_while(|b| matches!(b, b'0'..=b'?')).count();
    text.get(count).filter(|b| b.is_ascii_alphabetic()).map(|_| &text[count + 1..])
}

fn entity(text: &[u8]) -> Option<(u8, &[u8])> {
    let known: [(&[u8], u8); 7] = [
        (b"lt;", b'<'),
        (b"gt;", b'>'),
        (b"amp;", b'&'),
        (b"quot;", b'"'),
        (b"#39;", b'\''),
        (b"#x27;", b'\''),
        (b"nbsp;", b' '),
    ];
    known.iter().find_map(|(name, character)| Some((*character, text.strip_prefix(*name)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> (Prefix<'_>, &str) {
        let (prefix, message) = take_off(line.as_bytes());
        (prefix, std::str::from_utf8(message).expect("it was text before"))
    }

    #[test]
    fn heads_of_the_kernels_lines_go() {
        for head in [
            "> [  1.5] ",
            "> > [  1.5] ",
            ">>>[  1.5] ",
            "    [  1.5] ",
            "\t[  1.5] ",
            "\u{feff}[  1.5] ",
            "    12  [  1.5] ",
            "log.txt:12:[  1.5] ",
            "[  1.5,1] ",
            "[Sun Nov 22 13:41:46 2026] ",
            "[Mo Mai  5 09:10:11 2025] ",
            "<4>[Sun Nov 22 13:41:46 2026] ",
            "2026-11-22T13:41:46,123456+00:00 ",
            "[Nov22 13:41] ",
            "[  +0.000012] ",
            "[<    0.000012>] ",
            "[   12.345678 <    0.000012>] ",
            "kern  :warn  : [   12.345678] ",
            "kern  :warn  : [Sun Nov 22 13:41:46 2026] ",
            "kern  :warn  : ",
            "Nov 22 13:41:46 ci kernel: ",
            "Nov  2 13:41:46 kernel: ",
            "mai 05 09:10:11 box kernel: ",
            "5月 05 09:10:11 box kernel: ",
            "22 nov. 13:41:46 box kernel: ",
            "> Nov 22 13:41:46 ci kernel: [  1.5] ",
            "Sun 2026-11-22 13:41:46 UTC ci kernel: ",
            "1795354906.123456 ci kernel: ",
            "2026-11-22T13:41:46+0000 ci kernel: [  1.5] ",
            "2026-11-22T13:41:46.123456+01:00 ci kernel: ",
            "2026-11-22 13:41:46 ci kernel: ",
            "Nov 22 13:41:46 ci kern.warn kernel: ",
            "Sun Nov 22 13:41:46 2026 kern.warn kernel: ",
            "kernel: ",
            "ci kernel: ",
            " kernel:[  1.5] ",
            "6,1234,5678901,-;",
            "6.12.9,6,1234,5678901,-;",
            "05-05 09:10:11.123     0     0 E         : ",
            "[09:10:11.123] [  1.5] ",
            "2025-05-05T09:10:11.123456  <4>[  1.5] ",
            "2025-05-05T09:10:11.123456789Z stdout F [  1.5] ",
            "Nov 22 13:41:46 ci conserver[7]: [  1.5] ",
        ] {
            let line = format!("{head} BUG: x");
            assert_eq!(read(&line), (Prefix::Time, " BUG: x"), "{head:?}");
        }
    }

    #[test]
    fn callers_are_kept() {
        for (line, caller) in [
            ("> [  1.5][   T7] x", "[   T7]"),
            ("[Sun Nov  2 13:41:46 2026][   T7] x", "[   T7]"),
            ("[Sun Nov  2 13:41:46 2026] [   C1] x", "[   C1]"),
            ("6,1234,5678901,-,caller=T12;x", "T12"),
        ] {
            assert_eq!(read(line), (Prefix::Caller(caller.as_bytes()), "x"), "{line}");
        }
    }

    #[test]
    fn programs_lines_are_told_from_the_kernels() {
        for line in [
            "Nov 22 13:41:46 ci systemd[1]: x",
            "Nov 22 13:41:46 ci sudo: x",
            "2026-11-22T13:41:46+00:00 ci app[7]: x",
            "Nov 22 13:41:46 app[7]: x",
        ] {
            assert_eq!(read(line), (Prefix::Program, "x"), "{line}");
        }
    }

    #[test]
    fn programs_write_into_the_kernels_log() {
        for (message, is) in [("systemd[1]: x", true), ("a[]: x", false), ("BUG: x[1]: y", false)] {
            assert_eq!(is_programs(message.as_bytes()), is, "{message}");
        }
    }

    #[test]
    fn what_tells_nothing_of_who_speaks_goes_or_stays() {
        for (line, message) in [
            ("> x", "x"),
            ("[09:10:11.123] x", "x"),
            ("2025-05-05T09:10:11 watchdog: x", "watchdog: x"),
            ("Nov 22 13:41:46 10.0.0.2 RIP: 0010:f+0x1/0x2", "10.0.0.2 RIP: 0010:f+0x1/0x2"),
            (" f+0x1/0x2", " f+0x1/0x2"),
            ("WARNING: a [  1.5] b", "WARNING: a [  1.5] b"),
            ("a kernel: x", "x"),
            ("my kernel is old", "my kernel is old"),
            ("[  OK  ] Started", "[  OK  ] Started"),
            ("[<ffffffff81000000>] f+0x1/0x2", "[<ffffffff81000000>] f+0x1/0x2"),
            ("   0:\t90", "   0:\t90"),
        ] {
            let (prefix, rest) = read(line);
            assert_eq!(rest, message, "{line:?}");
            assert!(prefix == Prefix::None || line.contains("kernel: "), "{line:?}");
        }
    }

    #[test]
    fn colours_and_the_escapes_of_web_pages_and_mails_go() {
        let mut room = Vec::new();
        for (line, want) in [
            ("\x1b[32m[  1.5] \x1b[0m\x1b[33mINFO: \x1b[0mx", "[  1.5] INFO: x"),
            ("[32m[  1.5] [0m[33mINFO: [0mx [1]", "[  1.5] INFO: x [1]"),
            ("&gt; [  1.5]  &lt;TASK&gt; &amp;x &unknown; &", "> [  1.5]  <TASK> &x &unknown; &"),
            ("\x1b7 a", "\x1b7 a"),
            ("(&mm->lock){+}", "(&mm->lock){+}"),
            ("order=3D0, x=3D20 y=20", "order=0, x=20 y "),
            ("age=20 cpu=1", "age=20 cpu=1"),
            ("==========", "=========="),
        ] {
            assert_eq!(plain(line.as_bytes(), &mut room).text, want.as_bytes(), "{line:?}");
        }
    }
    #[test]
    fn a_line_of_a_mail_may_go_on() {
        let mut room = Vec::new();
        let long = format!("{}zswap_wri=", "x".repeat(66));
        let read = plain(long.as_bytes(), &mut room);
        assert!(read.goes_on && read.text.ends_with(b"zswap_wri"), "{read:?}");
        for line in ["x=", &"=".repeat(76)] {
            assert!(!plain(line.as_bytes(), &mut room).goes_on, "{line}");
        }
    }
}
