// SPDX-License-Identifier: MIT OR Apache-2.0
use proptest::prelude::*;

use super::*;
use crate::comparison::tests::{Told as Log, eight_pairs, report, request};
use crate::comparison::{Answer, Comparison, Request, Selector, compare, compare_with};
use crate::event::WALL;
use crate::render::Look;

const LOOK: Look = Look { width: 100, colour: false };
const AT: &str = "2026-01-02T03:04:05Z";

fn side(words: &str) -> Side {
    Side { runs: vec!["one".to_owned()], selector: Selector::new(words) }
}

/// The baselines that a run of these storms makes, from number `first` on.
fn baselines(storms: &[Log], first: u32) -> Vec<Baseline> {
    let report = report(&[("one", storms)]);
    let (all, _) = gather(&report, &side("")).unwrap();
    let named = (first..).zip(&all).map(|(number, storms)| {
        Baseline::of(storms, &report.runs[0]).named(format!("20260102-{number}"), AT, "a note")
    });
    named.collect()
}

/// Storms of the kernel as it is.
fn plain(factor: f64) -> Vec<Log> {
    let mut storms = eight_pairs(factor);
    storms.retain(|storm| storm.series.is_some());
    storms.iter_mut().for_each(|storm| storm.series = None);
    storms
}

fn accepted(id: &str, reason: &str) -> Accepted {
    Accepted { baseline: id.to_owned(), at: AT.to_owned(), reason: reason.to_owned() }
}

fn read(text: &str) -> Book {
    let mut reader = BookReader::default();
    reader.push(text.as_bytes());
    reader.finish()
}

fn lines(baselines: &[Baseline]) -> String {
    baselines.iter().map(|baseline| baseline.line().unwrap()).collect()
}

/// Compares a run of these storms with a baseline of the book.
fn against(
    book: &Book,
    id: Option<&str>,
    storms: &[Log],
    force: bool,
) -> Result<Comparison, Refusal> {
    let report = report(&[("one", storms)]);
    let request = Request { force, ..request("", "") };
    let kept = book.choose(id, &key_of(&report, &request.b)?, force)?;
    compare_with(&kept, &report, &request)
}

#[test]
fn a_run_becomes_a_baseline_for_each_kernel_and_setting_and_comes_back_as_it_was() {
    let mut storms = eight_pairs(0.9);
    storms.push(Log { arch: "arm64", ..Log::new(None, 1) });
    storms.push(Log { end: "crashed", ..Log::new(None, 9) });
    let written = baselines(&storms, 1);
    let told: Vec<_> = written.iter().map(|b| (b.key().kernel, b.storms.len())).collect();
    let (kernel, fixed) = ("debian-6.1".to_owned(), "debian-6.1 + fix".to_owned());
    assert_eq!(told, [(kernel.clone(), 8), (fixed, 8), (kernel, 1)]);
    assert_eq!(written[2].key().condition("architecture"), "arm64");
    let book = read(&lines(&written));
    assert_eq!(book.problems, []);
    let back: Vec<&Baseline> = book.entries.iter().map(|entry| &entry.baseline).collect();
    assert_eq!(back, written.iter().collect::<Vec<_>>());
    let (all, left_out) = gather(&report(&[("one", &storms)]), &side("")).unwrap();
    assert_eq!(left_out.len(), 1, "{left_out:?}");
    for (storms, baseline) in all.iter().zip(back) {
        assert_eq!(storms.storms, baseline.storms().storms);
        assert_eq!(storms.key(), baseline.key());
    }
}

#[test]
fn a_later_night_is_compared_as_the_log_itself_would_be() {
    let good = plain(1.0);
    let mut book = read(&lines(&baselines(&good, 1)));
    for (factor, answer) in [(0.9, Answer::Regression), (1.0, Answer::NoRegression)] {
        let tonight: Vec<Log> = eight_pairs(factor).into_iter().skip(8).collect();
        let tonight: Vec<Log> = tonight.into_iter().map(|s| Log { series: None, ..s }).collect();
        let kept = against(&book, None, &tonight, false).unwrap();
        assert_eq!(kept.answer, answer);
        assert_eq!(kept.a.baseline.as_deref(), Some("20260102-1"));
        let mut two = request("", "");
        two.b.runs = vec!["two".to_owned()];
        let logs = compare(&report(&[("one", &good), ("two", &tonight)]), &two).unwrap();
        assert_eq!((&kept.rows, &kept.conditions), (&logs.rows, &logs.conditions));
    }
    // Pages per store fell by a tenth on purpose: from now on that is the measure.
    book = read(&(lines(&baselines(&good, 1)) + &lines(&baselines(&plain(0.9), 2))));
    assert_eq!(against(&book, None, &plain(0.9), false).unwrap().answer, Answer::NoRegression);
    assert_eq!(against(&book, None, &good, false).unwrap().answer, Answer::NoRegression);
    assert_eq!(
        against(&book, Some("20260102-1"), &plain(0.9), false).unwrap().answer,
        Answer::Regression
    );
}

#[test]
fn the_one_that_was_accepted_last_is_the_measure_or_the_newest_if_none_was() {
    let three: Vec<Baseline> = (1..=3).flat_map(|n| baselines(&plain(1.0), n)).collect();
    let key = three[0].key();
    let standing = |text: &str| {
        let book = read(text);
        assert_eq!(book.problems, []);
        let all: Vec<Standing> = book.entries.iter().map(|entry| book.standing(entry)).collect();
        (book.reference(&key).unwrap().baseline.id.clone(), all)
    };
    use Standing::{Accepted, Newest, Other, WasAccepted};
    let mut text = lines(&three);
    assert_eq!(standing(&text), ("20260102-3".to_owned(), vec![Other, Other, Newest]));
    text.push_str(&accepted("20260102-2", "on purpose").line().unwrap());
    assert_eq!(standing(&text), ("20260102-2".to_owned(), vec![Other, Accepted, Other]));
    text.push_str(&accepted("20260102-1", "taken back").line().unwrap());
    assert_eq!(standing(&text), ("20260102-1".to_owned(), vec![Accepted, WasAccepted, Other]));
    let comparison = against(&read(&text), None, &plain(1.0), false).unwrap();
    let note = "baseline 20260102-1 was accepted on 2026-01-02: taken back";
    assert!(comparison.notes.iter().any(|n| n == note), "{:?}", comparison.notes);
    // One that is recorded later does not become the measure by itself.
    text.push_str(&lines(&baselines(&plain(1.0), 4)));
    assert_eq!(standing(&text).0, "20260102-1");
    assert_eq!(read(&text).new_id("20260102"), "20260102-5");
    assert_eq!(read(&text).new_id("20260103"), "20260103-1");
}

#[test]
fn another_key_is_refused_with_the_keys_that_there_are_unless_one_is_named_and_forced() {
    let book = read(&lines(&baselines(&plain(1.0), 1)));
    type Change = fn(&mut Log);
    let changes: [(Change, &str); 5] = [
        (|s| s.arch = "arm64", "architecture: x86_64 in the baseline, arm64 in the run"),
        (|s| s.clock = WALL, "clock: virtual in the baseline, wall in the run"),
        (|s| s.argv[4] = "96M", "machine: microvm, 80M in the baseline, microvm, 96M in the run"),
        (|s| s.guest_ms = 20_000, "storm: 10 s in the baseline, 20 s in the run"),
        (|s| s.series = Some("fix"), "kernel: debian-6.1 in the baseline, debian-6.1 + fix in"),
    ];
    for (change, words) in changes {
        let mut storms = plain(1.0);
        storms.iter_mut().for_each(change);
        let none = against(&book, None, &storms, false).unwrap_err();
        assert!(none.what.contains("no baseline has the key of the run"), "{none}");
        assert!(none.what.contains("\n    20260102-1: debian-6.1: x86_64, "), "{none}");
        assert!(none.hint.contains("--baseline=20260102-1 --force"), "{none}");
        assert_eq!(against(&book, None, &storms, true).unwrap_err(), none, "which one is meant?");
        let named = against(&book, Some("20260102-1"), &storms, false).unwrap_err();
        assert!(named.what.contains(words), "{named}");
        let forced = against(&book, Some("20260102-1"), &storms, true).unwrap();
        assert!(forced.notes.iter().any(|note| note.starts_with("forced: ")), "{words}");
    }
    let unknown = against(&book, Some("x\x1b"), &plain(1.0), true).unwrap_err();
    assert!(unknown.what.contains("`x\\x1b`") && unknown.hint.contains("20260102-1"), "{unknown}");
    let empty = against(&Book::default(), None, &plain(1.0), false).unwrap_err();
    assert!(empty.hint.contains("swapstorm baseline record"), "{empty}");
    let two = against(&book, None, &eight_pairs(1.0), false).unwrap_err();
    assert!(two.what.contains("2 kernels or settings:\n    debian-6.1: x86_64"), "{two}");
}

#[test]
fn the_machine_counts_on_the_hosts_clock_only() {
    let of = |clock| {
        let storms = plain(1.0).into_iter().map(|storm| Log { clock, ..storm });
        baselines(&storms.collect::<Vec<_>>(), 1).remove(0)
    };
    assert_eq!(of(WALL).key().condition("host"), "2 CPUs, 8 GiB");
    assert_eq!(of(crate::event::VIRTUAL).key().condition("host"), "");
}

#[test]
fn lines_that_cannot_be_used_are_named_and_the_rest_is_read() {
    let whole = baselines(&plain(1.0), 1).remove(0);
    let line = whole.line().unwrap();
    let changed = |from: &str, to: &str| line.replacen(from, to, 1);
    let newer = changed("\"format\":1", "\"format\":2").replacen("\"storms\"", "\"gales\"", 1);
    let text = [
        changed("20260102-1", "20260102-7"),
        newer,
        changed("\"record\":\"baseline\"", "\"record\":\"trend\\u001b\""),
        "\r\n".to_owned(),
        changed("20260102-1", "20260102-7"),
        accepted("nonsuch", "why").line().unwrap(),
        changed("20260102-1", "\\u001b[m"),
        changed("\"counters\":[", "\"counters\":[\"one-more\","),
        "x".repeat(MAX_LINE_BYTES + 1) + "\n",
        line[..line.len() / 2].to_owned(),
    ];
    let book = read(&text.concat());
    assert_eq!(book.entries.len(), 1);
    let problems: Vec<String> = book.problems.iter().map(ToString::to_string).collect();
    let words = [
        "line 2: it is skipped, its format 2 is newer than 1: update swapstorm",
        "line 3: it is skipped, a newer swapstorm wrote it: `trend\\x1b`",
        "line 5: it is skipped, there is a baseline 20260102-7 before it",
        "line 6: it is skipped, it accepts nonsuch, and there is no such baseline before it",
        "line 7: it is skipped, it is no record: its id is no word of letters, digits and -",
        "line 8: it is skipped, it is no record: a storm has other counters than are named",
        "line 9: it is skipped, it is longer than 4194304 bytes",
        "line 10: it is cut, whoever wrote it was killed or had no room: it is skipped",
    ];
    assert_eq!(problems, words);
    // Once somebody has written on, the cut line is one in the middle.
    let text = line[..line.len() / 2].to_owned() + "\n" + &line;
    let book = read(&text);
    assert_eq!(book.entries.len(), 1);
    assert!(book.problems[0].to_string().starts_with("line 1: it is skipped, it is no record"));
    let none = [changed("\"storms\":[", "\"storms\":[],\"were\":[")].concat();
    assert!(read(&none).problems[0].to_string().contains("it has no storm"));
    // What nobody would read is not written.
    let mut long = whole.clone();
    long.kernel.name = "x".repeat(5000);
    assert_eq!(long.line(), Err("a name or a text of it is too long"));
    let named = changed("\"name\":\"debian-6.1\"", &format!("\"name\":\"{}\"", long.kernel.name));
    assert!(read(&named).problems[0].to_string().contains("too long"));
    assert!(accepted("x", &long.kernel.name).line().is_err());
    let mut many = whole.clone();
    many.storms = vec![whole.storms[0].clone(); 100_000];
    assert_eq!(many.line(), Err("it has too many storms"));
    let counted = line.replacen(",2]", ",0]", 1);
    assert_ne!(counted, line);
    assert!(read(&counted).problems[0].to_string().contains("no sample"));
}

#[test]
fn a_table_says_what_there_is_and_one_baseline_what_it_came_to() {
    let mut storms = eight_pairs(0.9);
    for storm in &mut storms {
        storm.counters.push(("reject_compress_poor", 0));
    }
    let mut all = baselines(&storms, 1);
    all[1].kernel.series =
        Some("\x1b[31m a name that is longer than a table has room for".to_owned());
    let text = lines(&all) + &accepted("20260102-1", "the pool is smaller").line().unwrap();
    let book = read(&text);
    insta::assert_snapshot!(crate::render::baseline::list(&book, LOOK), @r"
    id          date        kernel                               arch    profile              clock    accel  storms
    20260102-1  2026-01-02  debian-6.1                           x86_64  steady@0123456789ab  virtual  tcg    8       accepted
    20260102-2  2026-01-02  debian-6.1 + \x1b[31m a name tha...  x86_64  steady@0123456789ab  virtual  tcg    8       newest
    ");
    insta::assert_snapshot!(crate::render::baseline::show(&book, &book.entries[0], LOOK), @r"
    20260102-1  debian-6.1
    debian-6.1: x86_64, steady@0123456789ab, natural, gcc, KASAN as configured, tcg,
    virtual clock, microvm, 80M, 10 s of storm
    recorded 2026-01-02T03:04:05Z from run one of 2026-01-01, Linux 6.1.192, key k
    note: a note
    accepted 2026-01-02T03:04:05Z: the pool is smaller
    storms of this key are measured by it
    8 storms, number 1 to 8

                           median   spread    lowest   highest
    writebacks-per-store    0.200    0.7 %     0.198     0.202  per store

    never happened: poor-rejects

    not counted there: writebacks-per-hit, reclaim-rejects, alloc-rejects,
    disk-swapins, refaults-per-swapin, pages-per-pool-page, swapoff-p50,
    swapoff-p99, swapoff-mean, swapoff-refusals, compress-rejects,
    kmemcache-rejects, pool-limit-hits, writes-per-store, writes-per-page,
    stores-per-page, majfaults-per-page, readahead-hits
    ");
    let json = crate::render::baseline::list_json(&book);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["baselines"][0]["standing"], "accepted");
    assert_eq!(json["baselines"][1]["kernel"]["release"], "6.1.192");
    let json = crate::render::baseline::show_json(&book, &book.entries[0]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["accepted"][0]["reason"], "the pool is smaller");
    assert_eq!(json["metrics"][0]["values"].as_array().unwrap().len(), 8);
}

proptest! {
    #[test]
    fn pieces_make_no_difference_and_a_cut_file_is_read_up_to_there(size in 1..700usize, cut in 0.0..1.0f64) {
        let text = lines(&baselines(&eight_pairs(1.0), 1)) + &accepted("20260102-2", "why").line().unwrap();
        let whole = read(&text);
        let mut reader = BookReader::default();
        text.as_bytes().chunks(size).for_each(|piece| reader.push(piece));
        prop_assert_eq!(&reader.finish(), &whole);
        // A byte of the file is what is wanted.
        let book = read(&text[..(text.len() as f64 * cut) as usize]);
        prop_assert!(book.problems.iter().all(|problem| problem.kind == ProblemKind::Cut));
        prop_assert!(book.problems.len() <= 1);
        for (entry, of_whole) in book.entries.iter().zip(&whole.entries) {
            prop_assert_eq!(&entry.baseline, &of_whole.baseline);
        }
    }
}
