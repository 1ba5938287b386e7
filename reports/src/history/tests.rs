// SPDX-License-Identifier: MIT OR Apache-2.0
mod said;

use proptest::prelude::*;

use super::*;
use crate::comparison::tests::{Told, eight_pairs, report as stormy};
use crate::event::{Cell, Fault, VmEnd, What};
use crate::run::RunReport;
use crate::sample::events::{BUGGY, FIXED, Log, STARVED, cell, good_repro};
use crate::sample::rich::{hostile, night};
use crate::sample::{bug_elsewhere, race_6_1, race_6_8};

fn only(report: &RunReport) -> Run {
    Run::of(report, &report.runs[0])
}

fn ledger(text: impl AsRef<[u8]>) -> Ledger {
    let mut reader = LedgerReader::default();
    reader.push(text.as_ref());
    reader.finish()
}

/// Cells of one kind in a night of November 2026: how many storms, and which bugs in how many of them.
pub(crate) fn cells(arch: &str, storms: u32, bugs: &[(&str, u32)]) -> Cells {
    let sighting = |(title, storms): &(&str, u32)| Sighting {
        signature: format!("{:016x}", title.len()).into(),
        title: (*title).to_owned(),
        standing: "another".into(),
        storms: *storms,
        ..Sighting::default()
    };
    Cells {
        kernel: "debian-6.1".into(),
        release: "6.1.192".into(),
        arch: arch.into(),
        profile: "mixed".into(),
        digest: "0123".into(),
        technique: "natural".into(),
        clock: "wall".into(),
        runs: storms,
        storms,
        verdicts: [("clean".into(), storms)].into(),
        bugs: bugs.iter().map(sighting).collect(),
        ..Cells::default()
    }
}

/// A run that began at midnight behind that many nights.
pub(crate) fn run(night: u32, host: &str, cells: Vec<Cells>) -> Run {
    let (month, day) = (1 + night / 28, 1 + night % 28);
    Run {
        run: format!("{host}-{night}").into(),
        started: format!("2026-{month:02}-{day:02}T00:00:00Z"),
        host: host.to_owned(),
        version: "1".to_owned(),
        interrupted: false,
        cells,
    }
}

fn lines(runs: &[Run]) -> String {
    runs.iter().map(|run| run.line().unwrap()).collect()
}

#[test]
fn a_run_becomes_a_line_with_what_it_came_to_by_setting() {
    let run = only(&good_repro().report());
    assert_eq!(
        (run.run.as_str(), run.host.as_str(), run.version.as_str()),
        ("night-1", "box", "0.1.0")
    );
    assert_eq!(run.started, "2026-11-22T13:37:02Z");
    let [buggy, fixed] = &run.cells[..] else { panic!("{run:?}") };
    assert_eq!(
        buggy.setting(),
        "debian-6.1, x86_64, gcc, KASAN generic, zswap-writeback-swapoff, stretch"
    );
    assert_eq!(fixed.kernel_name(), "debian-6.1 + zswap-writeback-swapoff-6.1");
    assert_eq!((buggy.runs, buggy.storms, buggy.release.as_str()), (1, 1, "6.1.192"));
    assert_eq!((buggy.digest.as_str(), buggy.accel.as_str()), ("5d1e0c87f2b9", "tcg"));
    assert_eq!(buggy.verdicts, [("expected bug".into(), 1)].into());
    assert_eq!(fixed.verdicts, [("clean".into(), 1)].into());
    assert_eq!(fixed.exposure, crate::sample::events::enough());
    // The consequence of the race is none of its own.
    let [bug] = &buggy.bugs[..] else { panic!("{:?}", buggy.bugs) };
    assert_eq!((bug.standing.as_str(), bug.storms), ("expected", 1));
    assert_eq!(bug.title, "use-after-free of a zswap tree, writeback against swapoff");
    assert_eq!(bug.rule, "zswap-writeback-swapoff");
    assert_eq!(bug.signature, crate::console::signature::of(&race_6_1()));
    assert_eq!((fixed.bugs.len(), fixed.trouble.len()), (0, 0));
}

#[test]
fn cells_that_differ_in_their_number_stand_together() {
    let mut log = Log::new();
    for (number, id) in (1..).zip(["a", "b", "c"]) {
        let cell = Cell { id: id.to_owned(), number, expect: None, ..cell(BUGGY) };
        log = log.then(What::CellPlanned { cell }).started(id, 1).ready(id, 1);
    }
    let mut elsewhere = bug_elsewhere();
    elsewhere.signature = "e".repeat(16);
    let report = log
        .found("a", 1, 9, elsewhere.clone())
        .found("b", 1, 9, elsewhere)
        .found("b", 1, 9, race_6_8())
        .end(false)
        .report();
    let run = only(&report);
    let [cells] = &run.cells[..] else { panic!("{run:?}") };
    assert_eq!((cells.runs, cells.storms), (3, 3));
    let seen: Vec<_> = cells.bugs.iter().map(|bug| (bug.signature.len(), bug.storms)).collect();
    assert_eq!(seen, [(16, 2), (16, 1)]);
    assert_eq!(cells.bugs[0].signature, "e".repeat(16));
}

#[test]
fn trouble_is_told_by_kind_and_is_no_bug() {
    let mut stall = bug_elsewhere();
    (stall.title, stall.kind) = ("INFO: rcu detected stall in x".to_owned(), "HANG".to_owned());
    let report = Log::new()
        .planned(BUGGY)
        .kernel(BUGGY)
        .started(BUGGY, 1)
        .ended(BUGGY, 1, VmEnd::QemuDied)
        .started(BUGGY, 2)
        .ended(BUGGY, 2, VmEnd::NeverReady)
        .started(BUGGY, 3)
        .ready(BUGGY, 3)
        .found_starved(BUGGY, 3, stall)
        .ended(BUGGY, 3, VmEnd::Budget)
        .planned(FIXED)
        .failed(FIXED, Fault::Build, "mm/zswap.c:1: error: no\nmore")
        .end(false)
        .report();
    assert_eq!(report.cells[0].boots[2].starved.as_deref(), Some(STARVED));
    let run = only(&report);
    let kinds =
        |cells: &Cells| cells.trouble.iter().map(|(k, n)| format!("{k} {n}")).collect::<Vec<_>>();
    assert_eq!(kinds(&run.cells[0]), ["never-ready 1", "qemu-died 1", "starved 1"]);
    assert_eq!((run.cells[0].bugs.len(), run.cells[0].storms), (0, 0));
    assert_eq!(kinds(&run.cells[1]), ["build 1"]);
    assert_eq!(run.cells[1].why, "mm/zswap.c:1: error: no");
    assert_eq!(run.cells[1].verdicts, [("build failure".into(), 1)].into());
}

#[test]
fn medians_are_those_of_the_storms_that_came_to_their_end() {
    let mut storms: Vec<Told> = [4_000, 5_000, 9_000]
        .into_iter()
        .zip(1..)
        .map(|(writebacks, number)| Told::new(None, number).wrote(writebacks))
        .collect();
    storms[2].end = "crashed";
    let run = only(&stormy(&[("one", &storms)]));
    let [cells] = &run.cells[..] else { panic!("{run:?}") };
    assert_eq!((cells.runs, cells.storms), (3, 3));
    let median = cells.metrics["writebacks-per-store"];
    assert!((median - 0.225).abs() < 1e-4, "{median}");
    assert!(!cells.metrics.contains_key("swapoff-p99"), "this kernel does not tell");
    // Each side of a comparison is a setting of its own.
    assert_eq!(only(&stormy(&[("one", &eight_pairs(1.0))])).cells.len(), 2);
}

#[test]
fn corruption_is_a_bug_and_a_guest_to_log_in_to_is_none() {
    let detail = "page 7".to_owned();
    let corrupt = What::Corruption { cell: BUGGY.to_owned(), boot: 1, detail };
    let shell = Cell { id: "shell".to_owned(), technique: "none".to_owned(), ..cell(FIXED) };
    let log = Log::new().planned(BUGGY).started(BUGGY, 1).ready(BUGGY, 1).then(corrupt);
    let run = only(&log.then(What::CellPlanned { cell: shell }).end(false).report());
    assert_eq!(run.cells.len(), 1);
    assert_eq!(run.cells[0].bugs[0].title, "data corruption");
}

#[test]
fn a_line_comes_back_as_it_was_written_whatever_the_guest_said() {
    for report in [good_repro().report(), night(), hostile()] {
        let run = only(&report);
        let line = run.line().unwrap();
        assert!(line.ends_with("}\n") && line.matches('\n').count() == 1, "{line}");
        let read = read(line.trim_end().as_bytes()).unwrap().unwrap();
        assert_eq!(read.run, run);
        assert_eq!(read.night.to_string(), "2026-11-22");
    }
    // A title without end is cut, and so are bugs.
    let mut flood = hostile();
    let bug = flood.cells[0].bugs[0].clone();
    flood.cells[0].bugs = (0..200)
        .map(|n| {
            let mut bug = bug.clone();
            bug.finding.signature = format!("{n:016x}");
            bug.finding.title = "\u{1f41b}".repeat(5_000);
            bug
        })
        .collect();
    let run = only(&flood);
    assert_eq!((run.cells[0].bugs.len(), run.cells[0].more_bugs), (16, 185));
    assert_eq!(run.cells[0].bugs[0].title.len(), 512);
    let line = run.line().unwrap();
    assert_eq!(read(line.as_bytes()).unwrap().unwrap().run, run);
    // Where even that is too much for a line, the first of each setting stay.
    let mut many = run.clone();
    many.cells[0].bugs.truncate(2);
    many.cells = vec![many.cells[0].clone(); 3_000];
    let line = many.line().unwrap();
    let kept = read(line.as_bytes()).unwrap().unwrap().run;
    let of_one = &kept.cells[7];
    assert_eq!((kept.cells.len(), of_one.bugs.len(), of_one.more_bugs), (3_000, 1, 186));
    many.cells = vec![run.cells[0].clone(); 6_000];
    many.cells.iter_mut().for_each(|cells| cells.bugs.truncate(2));
    assert_eq!(many.line(), Err("it has too many settings"));
}

#[test]
fn files_put_one_behind_the_other_are_one_file_and_a_run_counts_once() {
    let here = lines(&[run(1, "a", vec![cells("x86_64", 3, &[])]), run(2, "a", vec![])]);
    let there = lines(&[run(1, "b", vec![cells("arm64", 3, &[])]), run(2, "a", vec![])]);
    let both = ledger(format!("{here}{there}"));
    assert_eq!((both.runs.len(), both.twice, both.damaged), (3, 1, 0));
    assert_eq!(both.runs, ledger(format!("{here}{there}{here}{there}")).runs);
    let mut sides = LedgerReader::onto(ledger(&here));
    sides.push(there.as_bytes());
    assert_eq!(sides.finish(), both);
    // Whichever comes first, they say the same.
    let say = |ledger: &Ledger| History::of(ledger, &Filter::default());
    assert_eq!(say(&ledger(format!("{there}{here}"))), say(&both));
    // A run that is added is there, and not a second time.
    let mut both = both;
    assert!(!both.add(run(1, "b", vec![])));
    assert!(both.add(run(3, "b", vec![])) && both.has("b-3"));
}

#[test]
fn a_damaged_line_is_named_and_costs_that_line_only() {
    let one = lines(&[run(1, "a", vec![cells("x86_64", 3, &[("bug", 1)])])]);
    let two = lines(&[run(2, "a", vec![cells("x86_64", 3, &[])])]);
    let no_time = two.replace("2026-01-03T00:00:00Z", "soon");
    let many = one.replace("\"storms\":1", "\"storms\":4");
    let nothing = one.replace("\"run\":\"a-1\"", "\"run\":\"\"");
    let newer = one.replacen("\"format\":1", "\"format\":7,\"cells\":{}", 1);
    let kind = one.replacen("\"record\":\"run\"", "\"record\":\"\\u001b[2J\"", 1);
    let long = format!("{}\n", "x".repeat(MAX_LINE_BYTES + 1));
    let wide = two.replace("debian-6.1", &"k".repeat(513));
    let cut = &one[..one.len() / 2];
    let text = format!(
        "{one}\n{no_time}{many}{nothing}{newer}{kind}{long}{wide}[1,2]\n\u{7f}\u{0}\n{two}{cut}"
    );
    let read = ledger(&text);
    assert_eq!(
        read.runs.iter().map(|(_, run)| run.run.as_str()).collect::<Vec<_>>(),
        ["a-1", "a-2"]
    );
    let problems: Vec<String> = read.problems.iter().map(ToString::to_string).collect();
    let begins = [
        "line 3: it is skipped, it is no record: its start is no time",
        "line 4: it is skipped, it is no record: a bug of it showed in more storms than there were",
        "line 5: it is skipped, it is no record: it does not say which run it is",
        "line 6: it is skipped, its format 7 is newer than 1: update swapstorm",
        "line 7: it is skipped, a newer swapstorm wrote it: `\\x1b[2J`",
        "line 8: it is skipped, it is longer than 4194304 bytes",
        "line 9: it is skipped, it is no record: a name or a text of it is too long",
        "line 10: it is skipped, it is no record: ",
        "line 11: it is skipped, it is no record: ",
        "line 13: it is cut",
    ];
    assert_eq!(problems.len(), begins.len(), "{problems:#?}");
    for (problem, begin) in problems.iter().zip(begins) {
        assert!(problem.starts_with(begin), "{problem}");
    }
    assert_eq!(ledger("x\n".repeat(1_000)).problems.len(), 20);
    assert_eq!(ledger("x\n".repeat(1_000)).damaged, 1_000);
}

#[test]
fn numbers_that_mean_ill_are_refused_or_do_not_overflow() {
    let line = lines(&[run(1, "a", vec![cells("x86_64", 3, &[("bug", 1)])])]);
    for (from, to) in [
        ("\"runs\":3", "\"runs\":4000000000"),
        ("\"runs\":3", "\"runs\":-3"),
        ("\"runs\":3", "\"runs\":2"),
        ("\"bugs\":[", "\"metrics\":{\"swapoff-mean\":1e999},\"bugs\":["),
        ("\"bugs\":[", "\"metrics\":{\"swapoff-mean\":-1e16},\"bugs\":["),
    ] {
        let wrong = line.replacen(from, to, 1);
        assert_ne!(wrong, line);
        assert_eq!(ledger(&wrong).damaged, 1, "{wrong}");
    }
    let most = line.replacen("\"guest_ms\":0", &format!("\"guest_ms\":{}", u64::MAX), 1);
    let other = most.replacen("a-1", "a-2", 1);
    let history = History::of(&ledger(format!("{most}{other}")), &Filter::default());
    assert_eq!(history.nights[0].exposure.guest_ms, u64::MAX);
}

#[test]
fn chunks_make_no_difference() {
    let runs: Vec<Run> =
        (1..9).map(|n| run(n, "a", vec![cells("x86_64", 3, &[("bug", 1)])])).collect();
    let text = lines(&runs) + "damage\n";
    let whole = ledger(&text);
    assert_eq!((whole.runs.len(), whole.damaged), (8, 1));
    for size in [1, 2, 7, 100, 999] {
        let mut reader = LedgerReader::default();
        text.as_bytes().chunks(size).for_each(|chunk| reader.push(chunk));
        assert_eq!(reader.finish(), whole, "{size}");
    }
}

proptest! {
    #[test]
    fn whatever_becomes_of_a_byte_the_other_lines_are_read_and_told(at in 0.0..1.0f64, byte: u8) {
        let runs: Vec<Run> =
            (1..4).map(|n| run(n, "a", vec![cells("x86_64", 3, &[("bug", 1)])])).collect();
        let mut bytes = lines(&runs).into_bytes();
        // Truncation to a place in the file is what is wanted.
        let at = (bytes.len() as f64 * at) as usize;
        bytes[at] = byte;
        let ledger = ledger(&bytes);
        // A line feed that is lost or new makes two lines of one, or one of two.
        prop_assert!(!ledger.runs.is_empty() && ledger.damaged <= 2);
        prop_assert!(ledger.runs.len() + ledger.damaged + ledger.twice >= 2);
        let history = History::of(&ledger, &Filter::default());
        let page = crate::render::history::html(&ledger, &history);
        prop_assert!(page.ends_with("</html>\n") || page.ends_with("</html>"));
    }
}
