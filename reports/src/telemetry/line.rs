// SPDX-License-Identifier: MIT OR Apache-2.0
//! One line: from console bytes to word and fields.

/// What a telemetry message begins with.
pub(super) const MARK: &[u8] = b"swapstorm ";
/// Longest printk prefix that is skipped.
const MAX_PREFIX: usize = 96;
/// Most fields of a line; 900 bytes hold fewer than this.
const MAX_FIELDS: usize = 256;

/// A telemetry line as it stands, before its word is understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Not a telemetry line.
    Other,
    /// A telemetry line with another token.
    Foreign,
    /// Our token, but not the format.
    Malformed,
    /// Word and fields; values decoded.
    Fields { word: String, fields: Vec<(String, String)> },
}

/// Reads one console line, line end included or not.
pub(super) fn parse(line: &[u8], token: &[u8]) -> Line {
    let Some(message) = skip_prefix(line).strip_prefix(MARK) else {
        return Line::Other;
    };
    let message = trim_line_end(message);
    let mut parts = message.split(|b| *b == b' ');
    if parts.next() != Some(token) {
        return Line::Foreign;
    }
    let Some(word) = parts.next().and_then(name) else {
        return Line::Malformed;
    };
    let mut fields: Vec<(String, String)> = Vec::new();
    for part in parts {
        let field = part
            .iter()
            .position(|b| *b == b'=')
            .and_then(|at| Some((name(&part[..at])?, percent_decode(&part[at + 1..])?)));
        match field {
            Some((key, value))
                if fields.len() < MAX_FIELDS && fields.iter().all(|(k, _)| *k != key) =>
            {
                fields.push((key, value));
            }
            _ => return Line::Malformed,
        }
    }
    Line::Fields { word, fields }
}

/// The line without a syslog level (`<6>`) and bracketed groups (`[    1.234567][    T1] `).
fn skip_prefix(line: &[u8]) -> &[u8] {
    let mut rest = line;
    while let [b'\r', after @ ..] = rest {
        rest = after;
    }
    if let [b'<', after @ ..] = rest {
        match after.iter().take(5).position(|b| *b == b'>') {
            Some(end) if end > 0 && after[..end].iter().all(u8::is_ascii_digit) => {
                rest = &after[end + 1..];
            }
            _ => return rest,
        }
    }
    while let [b'[', after @ ..] = rest {
        match after.iter().take(MAX_PREFIX).position(|b| *b == b']') {
            Some(end) => rest = &after[end + 1..],
            None => return rest,
        }
        if let [b' ', after @ ..] = rest {
            rest = after;
        }
    }
    rest
}

fn trim_line_end(line: &[u8]) -> &[u8] {
    let end = line.iter().rposition(|b| !matches!(b, b'\r' | b'\n')).map_or(0, |at| at + 1);
    &line[..end]
}

/// A word or key: `[a-z][a-z0-9_]*`, at most 32 bytes.
fn name(bytes: &[u8]) -> Option<String> {
    let good = bytes.first().is_some_and(u8::is_ascii_lowercase)
        && bytes.len() <= 32
        && bytes.iter().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'));
    good.then(|| bytes.iter().map(|b| char::from(*b)).collect())
}

/// Decodes `%XX`. A byte that had to be encoded and was not makes the value malformed.
fn percent_decode(value: &[u8]) -> Option<String> {
    let mut decoded = Vec::with_capacity(value.len());
    let mut bytes = value.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => decoded.push(hex(bytes.next()?)? << 4 | hex(bytes.next()?)?),
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => decoded.push(byte),
            b'.' | b'_' | b':' | b'/' | b',' | b'@' | b'+' | b'-' => decoded.push(byte),
            _ => return None,
        }
    }
    Some(String::from_utf8_lossy(&decoded).into_owned())
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|d| u8::try_from(d).ok())
}
