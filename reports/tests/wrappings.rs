// SPDX-License-Identifier: MIT OR Apache-2.0
//! The same report in every form in which people hand logs on gives the same answer.
//!
//! What may differ, and why:
//!
//! * Places in the log, and the report's text, which is the form's own.
//! * Forms that leave out who printed a line (`Form::says_caller` is false) are compared with the
//!   console without it: lines of several CPUs then cannot be told apart.
//! * What a program that nobody knows puts before each line is only seen where many lines of a
//!   report have it. So what a single line says is left out of the comparison.
//! * Quoted-printable cuts lines anywhere, and a note is what one line says: the memory cgroup of
//!   a kill may be on the next one.
//! * `cat` and `dmesg -t` leave out the stamps too. Reports of one line that stand beside nothing
//!   else are then no different from a sentence, so they are left out of the comparison.

use std::fmt::Write;

use proptest::prelude::*;
use reports::console::{Options, Reader, Seen};

const LOGS: [&str; 3] = [
    include_str!("../corpus/zswap-writeback-6.1.log"),
    include_str!("../corpus/zswap-shrink-6.12.log"),
    include_str!("../corpus/zswap-writeback-recycled-6.1-arm64.log"),
];

/// Kinds of reports that our own guests did not show: a hang, an oops with a decoded trace, a
/// warning, notes.
const MADE_UP: &str = "\
[  100.000001][   T31] INFO: task swapoff:900 blocked for more than 120 seconds.
[  100.000002][   T31]       Not tainted 6.12.9 #1
[  100.000003][   T31] task:swapoff state:D stack:0 pid:900 tgid:900 ppid:1 flags:0x00004002
[  100.000004][   T31] Call Trace:
[  100.000005][   T31]  <TASK>
[  100.000006][   T31]  __schedule+0x3b0/0x12b0
[  100.000007][   T31]  take_slot+0x27/0xf0
[  100.000008][   T31]  drain_slots+0x46/0x70
[  100.000009][   T31]  </TASK>
[  101.000001][   T32] WARNING: CPU: 1 PID: 32 at mm/slots.c:77 slot_put+0x1a/0x40
[  101.000002][   T32] CPU: 1 UID: 0 PID: 32 Comm: kswapd0 Not tainted 6.12.9 #1
[  101.000003][   T32] RIP: 0010:slot_put+0x1a/0x40
[  101.000004][   T32] Call Trace:
[  101.000005][   T32]  <TASK>
[  101.000006][   T32]  ? report_bug+0x1/0x2
[  101.000007][   T32]  slot_drop+0x10/0x20
[  101.000008][   T32]  slots_shrink+0x10/0x20
[  101.000009][   T32]  </TASK>
[  101.000010][   T32] ---[ end trace 0000000000000000 ]---
[  102.000001][   T33] hog invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0
[  102.000002][   T33] oom-kill:constraint=CONSTRAINT_NONE,global_oom,task_memcg=/b,task=hog,pid=7,uid=0
[  102.000003][   T33] Out of memory: Killed process 7 (hog) total-vm:1kB, anon-rss:1kB
[  103.000001][   T34] BUG: KASAN: slab-use-after-free in slot_read (mm/slots.c:100 mm/slots.h:20)
[  103.000002][   T34] Read of size 8 at addr ffff888012345678 by task kswapd0/94
[  103.000003][   T34] CPU: 1 UID: 0 PID: 94 Comm: kswapd0 Not tainted 6.12.9 #1
[  103.000004][   T34] Call Trace:
[  103.000005][   T34]  <TASK>
[  103.000006][   T34] kasan_report (mm/kasan/report.c:603)
[  103.000007][   T34] slot_read (mm/slots.c:100 mm/slots.h:20)
[  103.000008][   T34] slots_shrink (mm/slots.c:250 (discriminator 1)) zram
[  103.000009][   T34]  </TASK>
";

/// A line of the kernel.
#[derive(Debug, Clone)]
struct Message<'a> {
    time: &'a str,
    caller: &'a str,
    text: &'a str,
}

fn messages(log: &str) -> Vec<Message<'_>> {
    let message = |line| {
        let line: &str = line;
        let (time, rest) = line.strip_prefix('[')?.split_once(']')?;
        let (caller, text) = match rest.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
            Some(found) => found,
            None => ("", rest.strip_prefix(' ')?),
        };
        Some(Message { time, caller, text })
    };
    log.lines().filter_map(message).collect()
}

/// What a person wants to know.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    reports: Vec<Report>,
    notes: Vec<[String; 3]>,
}

#[derive(Debug, PartialEq, Eq)]
struct Report {
    title: String,
    corrupted: Option<String>,
    signature: String,
    task: String,
    stacks: Vec<Vec<String>>,
    guilty_file: String,
}

fn read(log: &[u8]) -> Answer {
    let mut reader = Reader::new(Options::default());
    let mut seen = reader.push(log);
    seen.extend(reader.finish());
    let mut answer = Answer { reports: Vec::new(), notes: Vec::new() };
    for seen in seen {
        match seen {
            Seen::Report(finding) => {
                let functions = |stack: &reports::finding::Stack| {
                    let frames = stack.frames.iter();
                    let row = |f: &reports::finding::Frame| {
                        format!("{} {}", f.function, f.source.clone().unwrap_or_default())
                    };
                    frames.map(row).collect()
                };
                answer.reports.push(Report {
                    title: finding.title,
                    corrupted: finding.corrupted,
                    signature: finding.signature,
                    task: format!("{}/{:?}", finding.scene.comm, finding.scene.pid),
                    stacks: finding.stacks.iter().map(functions).collect(),
                    guilty_file: finding.guilty_file,
                });
            }
            Seen::Note(note) => {
                answer.notes.push([format!("{:?}", note.kind), note.task, note.place]);
            }
        }
    }
    // Which of two reports ends first may depend on whether their ends can be told apart.
    answer.reports.sort_by(|a, b| (&a.title, &a.task).cmp(&(&b.title, &b.task)));
    answer
}

/// A form in which logs are handed on.
struct Form {
    name: &'static str,
    /// The form says which task or CPU printed a line.
    says_caller: bool,
    write: fn(&[Message<'_>]) -> Vec<u8>,
}

/// Writes each line by itself.
fn lines(messages: &[Message<'_>], line: impl Fn(usize, &Message<'_>) -> String) -> Vec<u8> {
    let lines = messages.iter().enumerate().map(|(at, message)| line(at, message) + "\n");
    lines.collect::<String>().into_bytes()
}

fn console(message: &Message<'_>) -> String {
    if message.caller.is_empty() {
        return bare_console(message);
    }
    format!("[{}][{}] {}", message.time, message.caller, message.text)
}

fn bare_console(message: &Message<'_>) -> String {
    format!("[{}] {}", message.time, message.text)
}

fn behind(messages: &[Message<'_>], head: &str) -> Vec<u8> {
    lines(messages, |_, message| format!("{head}{}", console(message)))
}

fn text_behind(messages: &[Message<'_>], head: &str) -> Vec<u8> {
    lines(messages, |_, message| format!("{head}{}", message.text))
}

fn console_text(messages: &[Message<'_>]) -> String {
    String::from_utf8(behind(messages, "")).expect("it was text before")
}

fn quoted_printable(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let mut column = 0;
        let last = line.len().saturating_sub(1);
        for (at, c) in line.chars().enumerate() {
            let word = match c {
                '=' => "=3D".to_owned(),
                ' ' if at == last => "=20".to_owned(),
                c => c.to_string(),
            };
            if column + word.len() > 75 {
                out.push_str("=\n");
                column = 0;
            }
            column += word.len();
            out.push_str(&word);
        }
        out.push('\n');
    }
    out
}

fn wrapped(text: &str, width: usize) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let mut rest = line;
        while rest.len() > width {
            // At the last blank that fits, or the next one; never within the stamp or an indent.
            let first = rest.rfind("] ").map_or(0, |at| at + 2).min(width);
            let indent = rest.len() - rest[first..].trim_start().len();
            let blank = rest[..width].rfind(' ').filter(|at| *at > indent);
            let Some(at) = blank.or_else(|| rest[width..].find(' ').map(|at| at + width)) else {
                break;
            };
            out.push_str(&rest[..at]);
            out.push('\n');
            rest = &rest[at + 1..];
        }
        out.push_str(rest);
        out.push('\n');
    }
    out
}

const UNKNOWN: &str = "a program that nobody knows";

const QUOTED_PRINTABLE: &str = "quoted-printable";

const FORMS: &[Form] = &[
    Form { name: "console", says_caller: true, write: |m| behind(m, "") },
    Form { name: "quoted", says_caller: true, write: |m| behind(m, "> ") },
    Form { name: "quoted twice", says_caller: true, write: |m| behind(m, "> > ") },
    Form { name: "quoted without blanks", says_caller: true, write: |m| behind(m, ">>") },
    Form { name: "four blanks", says_caller: true, write: |m| behind(m, "    ") },
    Form { name: "tab", says_caller: true, write: |m| behind(m, "\t") },
    Form {
        name: "line numbers",
        says_caller: true,
        write: |m| lines(m, |at, m| format!("{:6}  {}", at + 1, console(m))),
    },
    Form {
        name: "grep's line numbers",
        says_caller: true,
        write: |m| lines(m, |at, m| format!("dmesg.txt:{}:{}", at + 1, console(m))),
    },
    Form {
        name: "fence with prose around",
        says_caller: true,
        write: |m| {
            let log = console_text(m);
            format!("Hi,\n\nsince the update I see a kernel BUG at times, \
                     and once a general protection fault:\n\n```\n{log}```\n\nThanks for any help!\n")
            .into_bytes()
        },
    },
    Form {
        name: "dmesg -T",
        says_caller: false,
        write: |m| text_behind(m, "[Sun Nov 22 13:41:46 2026] "),
    },
    Form {
        name: "dmesg -T elsewhere",
        says_caller: false,
        write: |m| text_behind(m, "[So Nov 22 13:41:46 2026] "),
    },
    Form {
        name: "dmesg -x",
        says_caller: false,
        write: |m| lines(m, |_, m| format!("kern  :warn  : {}", bare_console(m))),
    },
    Form { name: "dmesg -r", says_caller: true, write: |m| behind(m, "<4>") },
    Form {
        name: "dmesg -H",
        says_caller: false,
        write: |m| {
            lines(m, |at, m| {
                let head = if at == 0 { "[Nov22 13:41] " } else { "[  +0.000012] " };
                format!("{head}{}", m.text)
            })
        },
    },
    Form {
        name: "dmesg --time-format iso",
        says_caller: false,
        write: |m| text_behind(m, "2026-11-22T13:41:46,123456+01:00 "),
    },
    Form {
        name: "dmesg --color",
        says_caller: false,
        write: |m| {
            lines(m, |_, m| {
                let (part, rest) = match m.text.split_once(": ") {
                    Some((part, rest)) => (format!("\x1b[33m{part}: \x1b[0m"), rest),
                    None => (String::new(), m.text),
                };
                format!("\x1b[32m[{}] \x1b[0m{part}\x1b[1m{rest}\x1b[0m", m.time)
            })
        },
    },
    Form {
        name: "colours copied from a terminal",
        says_caller: false,
        write: |m| lines(m, |_, m| format!("[32m[{}] [0m[1m{}[0m", m.time, m.text)),
    },
    Form {
        name: "journal",
        says_caller: false,
        write: |m| text_behind(m, "Nov 22 13:41:46 box kernel: "),
    },
    Form {
        name: "journal elsewhere",
        says_caller: false,
        write: |m| text_behind(m, "nov. 22 13:41:46 box kernel: "),
    },
    Form {
        name: "journal with programs",
        says_caller: false,
        write: |m| {
            lines(m, |_, m| {
                format!(
                    "Nov 22 13:41:46 box app[7]: WARNING: BUG: INFO: panic: x\n\
                     Nov 22 13:41:46 box kernel: {}",
                    m.text
                )
            })
        },
    },
    Form {
        name: "journal -o short-iso-precise",
        says_caller: false,
        write: |m| text_behind(m, "2026-11-22T13:41:46.123456+0100 box kernel: "),
    },
    Form {
        name: "journal -o short-monotonic",
        says_caller: false,
        write: |m| lines(m, |_, m| format!("[{}] box kernel: {}", m.time, m.text)),
    },
    Form {
        name: "journal -o short-unix",
        says_caller: false,
        write: |m| text_behind(m, "1795354906.123456 box kernel: "),
    },
    Form { name: "journal -o cat", says_caller: false, write: |m| text_behind(m, "") },
    Form { name: "kernel:", says_caller: false, write: |m| text_behind(m, "kernel: ") },
    Form { name: "host kernel:", says_caller: false, write: |m| text_behind(m, "box kernel: ") },
    Form {
        name: "syslog with stamps",
        says_caller: true,
        write: |m| behind(m, "Nov 22 13:41:46 box kernel: "),
    },
    Form {
        name: "messages to everybody",
        says_caller: true,
        write: |m| behind(m, "\nMessage from syslogd@box at Nov 22 13:41:46 ...\n kernel:"),
    },
    Form {
        name: "/dev/kmsg",
        says_caller: true,
        write: |m| {
            lines(m, |at, m| {
                let caller = match m.caller.trim_start() {
                    "" => String::new(),
                    caller => format!(",caller={caller}"),
                };
                format!("6,{at},{},-{caller};{}", 1000 + at, m.text)
            })
        },
    },
    Form {
        name: "logcat -b kernel",
        says_caller: false,
        write: |m| text_behind(m, "11-22 13:41:46.123     0     0 E         : "),
    },
    Form { name: "serial logger", says_caller: true, write: |m| behind(m, "[13:41:46.123] ") },
    Form {
        name: "lab",
        says_caller: true,
        write: |m| behind(m, "2026-11-22T13:41:46.123456  <4>"),
    },
    Form {
        name: "container",
        says_caller: true,
        write: |m| behind(m, "2026-11-22T13:41:46.123456789Z stdout F "),
    },
    Form {
        name: "vendor's CPU",
        says_caller: false,
        write: |m| lines(m, |_, m| format!("[{},1] {}", m.time, m.text)),
    },
    Form {
        name: UNKNOWN,
        says_caller: false,
        write: |m| lines(m, |at, m| format!("(rig-7/ttyUSB0) {:4} | {}", at + 1, m.text)),
    },
    Form {
        name: "carriage returns",
        says_caller: true,
        write: |m| console_text(m).replace('\n', "\r\n").into_bytes(),
    },
    Form {
        name: "blank lines between",
        says_caller: true,
        write: |m| console_text(m).replace('\n', "\n\n").into_bytes(),
    },
    Form {
        name: "folded blanks",
        says_caller: true,
        write: |m| {
            let fold = |line: &str| {
                line.split(' ').filter(|w| !w.is_empty()).collect::<Vec<_>>().join(" ")
            };
            console_text(m).lines().map(|line| fold(line) + "\n").collect::<String>().into_bytes()
        },
    },
    Form {
        name: "web page",
        says_caller: true,
        write: |m| {
            let text = console_text(m).replace('&', "&amp;").replace('<', "&lt;");
            text.replace('>', "&gt;").replace('"', "&quot;").into_bytes()
        },
    },
    Form {
        name: QUOTED_PRINTABLE,
        says_caller: true,
        write: |m| quoted_printable(&console_text(m)).into_bytes(),
    },
    Form {
        name: "wrapped at 72 columns",
        says_caller: true,
        write: |m| wrapped(&console_text(m), 72).into_bytes(),
    },
    Form {
        name: "byte order mark",
        says_caller: true,
        write: |m| format!("\u{feff}{}", console_text(m)).into_bytes(),
    },
    Form {
        name: "UTF-16",
        says_caller: true,
        write: |m| {
            let text = format!("\u{feff}{}", console_text(m));
            text.encode_utf16().flat_map(u16::to_le_bytes).collect()
        },
    },
    Form {
        name: "UTF-16 of the other order",
        says_caller: true,
        write: |m| {
            let text = format!("\u{feff}{}", console_text(m));
            text.encode_utf16().flat_map(u16::to_be_bytes).collect()
        },
    },
];

/// Notes that a form may lose at the edges of a cut log: those that only its last two lines make, since what a form puts behind them
/// (a fence, the end of a line that was broken) may stand for what went on; and a trace without a head where prose above it names
/// a bug, since that may be its head, or where registers alone tell of it.
fn forgive_edges(form: &Form, messages: &[Message<'_>], want: &mut Answer, got: &mut Answer) {
    let is_frame = |message: &&Message<'_>| {
        message.text.starts_with(' ')
            && !message.text.starts_with(" ?")
            && message.text.contains("+0x")
    };
    if form.name.contains("prose") || messages.iter().filter(is_frame).count() < 2 {
        for answer in [&mut *want, &mut *got] {
            answer.notes.retain(|[kind, ..]| kind != "HeadlessTrace");
        }
    }
    let mut earlier = match messages.len().checked_sub(2) {
        Some(end) => read(&behind(&messages[..end], "")).notes,
        None => Vec::new(),
    };
    want.notes.retain(|note| {
        let was_there = earlier.iter().position(|other| other[0] == note[0]);
        let is_edge = match was_there {
            Some(at) => {
                earlier.remove(at);
                false
            }
            None => true,
        };
        let count =
            |notes: &[[String; 3]]| notes.iter().filter(|other| other[0] == note[0]).count();
        !is_edge || count(&got.notes) > 0
    });
}

/// Where the answer in a form differs from that of the console; empty if it does not.
fn difference(form: &Form, messages: &[Message<'_>]) -> String {
    let anonymous: Vec<Message<'_>> =
        messages.iter().map(|message| Message { caller: "", ..message.clone() }).collect();
    let console = behind(if form.says_caller { messages } else { &anonymous }, "");
    let (mut want, mut got) = (read(&console), read(&(form.write)(messages)));
    if form.name == QUOTED_PRINTABLE {
        let notes = want.notes.iter_mut().chain(&mut got.notes);
        notes.for_each(|[_, _, place]| place.clear());
    }
    forgive_edges(form, messages, &mut want, &mut got);
    let mut text = String::new();
    if want.notes != got.notes && form.name != UNKNOWN {
        let _ = writeln!(text, "{}: {:#?}, not {:#?}", form.name, got.notes, want.notes);
    }
    if want.reports.len() != got.reports.len() {
        let titles = |answer: &Answer| {
            answer.reports.iter().map(|report| report.title.clone()).collect::<Vec<_>>()
        };
        let _ = writeln!(text, "{}: {:?}, not {:?}", form.name, titles(&got), titles(&want));
        return text;
    }
    for (want, got) in want.reports.iter().zip(&got.reports) {
        if want != got {
            let _ = writeln!(text, "{}: {got:#?}, not {want:#?}", form.name);
        }
    }
    text
}

#[test]
fn every_report_is_the_same_in_every_form() {
    let mut text = String::new();
    for log in LOGS.into_iter().chain([MADE_UP]) {
        let messages = messages(log);
        assert!(!read(&behind(&messages, "")).reports.is_empty());
        FORMS.iter().for_each(|form| text.push_str(&difference(form, &messages)));
    }
    assert!(text.is_empty(), "{text}");
}

/// One report after the other in other forms, as in a mail that quotes several logs.
#[test]
fn forms_may_follow_each_other() {
    let messages = messages(MADE_UP);
    let hang = &messages[..9];
    for first in FORMS {
        for second in FORMS {
            if [first, second].iter().any(|form| {
                // What is one encoding as a whole, or has no stamp beside others' stamps.
                form.name.contains("UTF-16")
                    || ["byte order mark", "journal -o cat", UNKNOWN].contains(&form.name)
            }) {
                continue;
            }
            let log = [(first.write)(hang), b"\n$ and then\n\n".to_vec(), (second.write)(hang)];
            let found = read(&log.concat()).reports;
            let titles: Vec<&str> = found.iter().map(|report| report.title.as_str()).collect();
            let hang = "INFO: task hung in take_slot";
            assert_eq!(titles, [hang, hang], "{} and {}", first.name, second.name);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if std::env::var_os("PROPTEST_CASES").is_some() { ProptestConfig::default().cases } else { 40 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Also for reports that are cut off anywhere, and however the log comes in pieces.
    #[test]
    fn parts_of_reports_are_the_same_in_every_form(
        log in 0..4_usize,
        from in any::<prop::sample::Index>(),
        to in any::<prop::sample::Index>(),
        form in any::<prop::sample::Index>(),
        size in 1..5000_usize,
    ) {
        let all = messages([LOGS[0], LOGS[1], LOGS[2], MADE_UP][log]);
        let (from, to) = (from.index(all.len()), to.index(all.len() + 1));
        let part = &all[from.min(to)..from.max(to)];
        let form = &FORMS[form.index(FORMS.len())];
        // Without stamps a single line is no report's, and of two nobody can say what they share.
        let is_short = part.len() < 12;
        let has_stamps = !["journal -o cat", UNKNOWN].contains(&form.name);
        if has_stamps || !is_short {
            let text = difference(form, part);
            prop_assert!(!has_stamps || text.is_empty(), "{}", text);
        }
        let log = (form.write)(part);
        let mut reader = Reader::new(Options::default());
        let mut seen: Vec<Seen> = log.chunks(size).flat_map(|chunk| reader.push(chunk)).collect();
        seen.extend(reader.finish());
        let mut whole = Reader::new(Options::default());
        let mut at_once = whole.push(&log);
        at_once.extend(whole.finish());
        prop_assert_eq!(seen, at_once, "{} in pieces of {}", form.name, size);
    }
}
