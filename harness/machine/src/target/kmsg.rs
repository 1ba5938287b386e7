// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's log as it comes over SSH, made to look like a console: from the agent's first
//! line on, since what stands before was not our doing.

/// A line is cut at so many bytes.
const LONGEST: usize = 8 << 10;

/// Turns what `dmesg --follow` prints, or records of `/dev/kmsg`, into lines of a console.
#[derive(Debug)]
pub(super) struct Kmsg {
    mark: Vec<u8>,
    begun: bool,
    /// Number of the record after the last one: who reads anew sees the old ones again.
    next: u64,
    line: Vec<u8>,
}

impl Kmsg {
    /// A log that begins with the `hello` of the agent with this token.
    pub(super) fn new(token: &str) -> Self {
        let mark = format!("swapstorm {token} hello ").into_bytes();
        Self { mark, begun: false, next: 0, line: Vec::new() }
    }

    /// Takes the next bytes and returns the console's lines that they complete.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut console = Vec::new();
        for part in bytes.split_inclusive(|b| *b == b'\n') {
            let room = LONGEST.saturating_sub(self.line.len());
            let text = part.strip_suffix(b"\n").unwrap_or(part);
            self.line.extend_from_slice(&text[..text.len().min(room)]);
            if text.len() < part.len() {
                let line = std::mem::take(&mut self.line);
                self.line(&line, &mut console);
                self.line = line;
                self.line.clear();
            }
        }
        console
    }

    fn line(&mut self, line: &[u8], console: &mut Vec<u8>) {
        self.begun = self.begun || memchr::memmem::find(line, &self.mark).is_some();
        // Below a record of /dev/kmsg stands what it belongs to: ` SUBSYSTEM=pci`.
        if !self.begun || is_property(line) {
            return;
        }
        match record(line) {
            Some(Record { seq, .. }) if seq < self.next => {}
            Some(Record { seq, us, text }) => {
                let lost = seq - self.next;
                if lost > 0 && self.next > 0 {
                    // As consoles say it.
                    let notice = format!("** {lost} printk messages dropped **\n");
                    console.extend_from_slice(notice.as_bytes());
                }
                self.next = seq.saturating_add(1);
                let stamp = format!("[{:5}.{:06}] ", us / 1_000_000, us % 1_000_000);
                for text in unescaped(text).split(|b| *b == b'\n') {
                    console.extend_from_slice(stamp.as_bytes());
                    console.extend_from_slice(text);
                    console.push(b'\n');
                }
            }
            None => {
                console.extend_from_slice(line);
                console.push(b'\n');
            }
        }
    }
}

fn is_property(line: &[u8]) -> bool {
    let Some(rest) = line.strip_prefix(b" ") else { return false };
    let key = rest.iter().take_while(|b| b.is_ascii_uppercase() || **b == b'_').count();
    key > 0 && rest.get(key) == Some(&b'=')
}

/// A record of /dev/kmsg.
struct Record<'a> {
    seq: u64,
    us: u64,
    text: &'a [u8],
}

/// `6,339,5140900,-,caller=T1;text`: level, number, microseconds, flags
/// (Documentation/ABI/testing/dev-kmsg).
fn record(line: &[u8]) -> Option<Record<'_>> {
    let end = memchr::memchr(b';', &line[..line.len().min(120)])?;
    let head = std::str::from_utf8(&line[..end]).ok()?;
    let mut fields = head.split(',');
    let mut number = || fields.next()?.parse::<u64>().ok();
    let (_level, seq, us) = (number()?, number()?, number()?);
    Some(Record { seq, us, text: &line[end + 1..] })
}

/// `\x0a` is what the kernel makes of a byte that is not printable.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memmem::find(rest, b"\\x") {
        let digits = rest.get(at + 2..at + 4).and_then(|d| std::str::from_utf8(d).ok());
        let byte = digits.and_then(|d| u8::from_str_radix(d, 16).ok());
        plain.extend_from_slice(&rest[..at]);
        match byte {
            Some(byte) => plain.push(byte),
            None => plain.extend_from_slice(b"\\x"),
        }
        rest = &rest[at + if byte.is_some() { 4 } else { 2 }..];
    }
    plain.extend_from_slice(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8], step: usize) -> String {
        let mut kmsg = Kmsg::new("T");
        let console: Vec<u8> = bytes.chunks(step).flat_map(|chunk| kmsg.push(chunk)).collect();
        String::from_utf8(console).unwrap()
    }

    #[test]
    fn records_become_lines_from_hello_on_and_each_once() {
        let log = b"6,1,900,-;BUG: an old one\n6,2,1000,-;swapstorm U hello ms=0\n\
            5,7,5140900,-,caller=T1;swapstorm T hello ms=0\n SUBSYSTEM=block\n DEVICE=b7:0\n\
            4,8,1234567890,-;one\\x0atwo \\xzz\n2,9,1,c;a;b\n\
            6,2,1000,-;swapstorm U hello ms=0\n5,7,5140900,-;swapstorm T hello ms=0\n2,9,1,c;a;b\n\
            6,10,2,-;after\n6,14,4,-;late\n6,15,5,-;cut";
        let console = "[    5.140900] swapstorm T hello ms=0\n[ 1234.567890] one\n\
            [ 1234.567890] two \\xzz\n[    0.000001] a;b\n[    0.000002] after\n\
            ** 3 printk messages dropped **\n[    0.000004] late\n";
        for step in [1, 7, 4096] {
            assert_eq!(all(log, step), console, "{step}");
        }
    }

    #[test]
    fn lines_of_dmesg_stay_as_they_are() {
        let log = b"[    1.0] old\n[    5.1] swapstorm T hello ms=0\n[    5.2] 1,2;no record\n";
        assert_eq!(all(log, 5), "[    5.1] swapstorm T hello ms=0\n[    5.2] 1,2;no record\n");
    }

    #[test]
    fn a_line_without_end_is_bounded() {
        let mut kmsg = Kmsg::new("T");
        kmsg.push(b"swapstorm T hello \n");
        for _ in 0..100 {
            assert!(kmsg.push(&[b'x'; 1000]).is_empty());
        }
        assert_eq!(kmsg.push(b"\n").len(), LONGEST + 1);
    }
}
