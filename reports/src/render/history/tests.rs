// SPDX-License-Identifier: MIT OR Apache-2.0
use serde_json::Value;

use super::*;
use crate::history::tests::{cells, run};
use crate::history::{Cells, Filter, LedgerReader, Run};
use crate::render::Look;
use crate::sample::rich::hostile;

const LOOK: Look = Look { width: 80, colour: false };

fn ledger(runs: &[Run], damage: &str) -> Ledger {
    let lines: String = runs.iter().map(|run| run.line().unwrap()).collect();
    let mut reader = LedgerReader::default();
    reader.push(lines.as_bytes());
    reader.push(damage.as_bytes());
    reader.finish()
}

/// Three weeks in which a bug vanishes, one gets worse, one stays, one is new; with trouble and a metric.
pub(super) fn weeks() -> Vec<Run> {
    let night = |n: u32| {
        let mut bugs = vec![("steady bug", 1)];
        if n < 12 {
            bugs.push(("bug that goes", 2));
        }
        if n.is_multiple_of(6) || n > 14 {
            bugs.push(("bug that gets worse", 1));
        }
        if n == 20 {
            bugs.push(("a bug that nobody has seen before", 1));
        }
        let metrics = [("writebacks-per-store".into(), 0.2 + f64::from(n * 7 % 5) / 100.0)];
        let trouble = (n % 9 == 4).then(|| ("qemu-died".into(), 1));
        let why = if n % 9 == 4 { "QEMU was killed".to_owned() } else { String::new() };
        let own = Cells {
            metrics: metrics.into(),
            trouble: trouble.into_iter().collect(),
            why,
            ..cells("x86_64", 4, &bugs)
        };
        run(n, "a", vec![own, cells("arm64", 2, &[])])
    };
    (0..21).map(night).collect()
}

fn said(runs: &[Run]) -> (Ledger, History) {
    let ledger = ledger(runs, "");
    let history = History::of(&ledger, &Filter::default());
    (ledger, history)
}

/// A run whose guest, plan, host and tools say what would mean something.
fn ill() -> Vec<Run> {
    let report = hostile();
    let mut run = Run::of(&report, &report.runs[0]);
    run.host = "</title><script>alert(10)</script>\x1b[2J".to_owned();
    let own = &mut run.cells[0];
    own.kernel = "<img src=x onerror=alert(11)>\u{202e}".into();
    own.why = "</dd><script>alert(12)</script>\n# x".to_owned();
    own.trouble = [("\"><svg/onload=alert(13)>".into(), 3)].into();
    own.verdicts.insert("<b>`x`\u{9b}".into(), 1);
    own.bugs[0].signature = "'><i>".into();
    own.metrics.insert("swapoff-p99".into(), 1e15);
    let mut other = run.clone();
    (other.run, other.started) = ("b".into(), "2026-11-25T00:00:00Z".to_owned());
    other.cells[0].metrics.insert("swapoff-p99".into(), -1e15);
    vec![run, other]
}

#[test]
fn a_terminal_is_told_what_wants_a_look_first() {
    let (_, history) = said(&weeks());
    let text = text(&history, LOOK);
    let told = [
        "The night of 2026-01-20: 1 bug new, 1 bug worse and 1 bug vanished.",
        "21 nights, 2025-12-31 to 2026-01-20: 21 runs on 1 machine, 126 storms.",
        "new: a bug that nobody has seen before",
        "  Seen 2026-01-20 on debian-6.1 (6.1.192), x86_64.",
        "worse: bug that gets worse",
        "as before: steady bug",
        "  As before: 7 of 28 runs in the newest 7 nights.",
        "  Shown in 21 of 84 runs that could show it: 25.0 % (16.2 % to 35.6 %).",
        "vanished: bug that goes",
        "    debian-6.1, x86_64, mixed, natural: 24 of 84, 28.6 % (19.2 % to 39.5 %)",
        "2026-01-20: 1 run, 6 storms, 0 ms of guest time: 6 clean; 3 bugs, 1 new",
        "qemu-died: 2 times, none of them in the newest 7 nights, last 2026-01-13, on a",
        "    QEMU was killed",
        "  writebacks-per-store    0.200    0.220  ▁▅█▂▇▁▅█▂▇▁▅█▂▇▁▅█▂▇▁ per store",
    ];
    let mut rest = text.as_str();
    for words in told {
        let at = rest.find(words).unwrap_or_else(|| panic!("{words}\nnot in\n{text}"));
        rest = &rest[at..];
    }
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let colour = super::text(&history, Look { colour: true, ..LOOK });
    assert!(colour.contains("\x1b[1;31mnew: a bug"), "{colour}");
}

#[test]
fn what_vanished_names_its_chance_and_a_short_look_back_says_less() {
    let runs = weeks();
    let (_, history) = said(&runs);
    let words =
        "Vanished: 0 of 28 runs in the newest 7 nights, which chance alone brings about with a";
    assert!(text(&history, LOOK).replace("\n  ", " ").contains(words), "{}", text(&history, LOOK));
    let ledger = ledger(&runs, "");
    let history = History::of(&ledger, &Filter { newest: 1, ..Filter::default() });
    let text = text(&history, LOOK).replace("\n  ", " ");
    assert!(
        text.contains("Not seen: 0 of 4 runs in the newest night, which chance alone"),
        "{text}"
    );
}

#[test]
fn a_mail_and_a_program_are_told_the_same() {
    let (ledger, history) = said(&weeks());
    let mail = markdown(&history);
    for words in [
        "The night of 2026-01-20: 1 bug new, 1 bug worse and 1 bug vanished.",
        "### as before\n\nsteady bug",
        "* first: 2025-12-31 on debian-6.1 (6.1.192), x86\\_64",
        "* writebacks-per-store: newest 0.200 per store, median of 21 nights",
    ] {
        let words = words.replace("x86\\_64", "x86_64");
        assert!(mail.contains(&words), "{words}\n{mail}");
    }
    assert!(mail.lines().all(|line| line.chars().count() <= 72), "{mail}");
    let value: Value = serde_json::from_str(&json(&ledger, &history)).unwrap();
    assert_eq!((&value["format"], &value["damaged"]), (&1.into(), &0.into()));
    let bugs = value["bugs"].as_array().unwrap();
    let turns: Vec<_> = bugs.iter().map(|bug| bug["turn"].as_str().unwrap()).collect();
    assert_eq!(turns, ["new", "worse", "same", "vanished"]);
    assert!(bugs[3]["by_chance"].as_f64().unwrap() < 0.001, "{}", bugs[3]);
    assert_eq!((&bugs[2]["shown"], &bugs[2]["runs"]), (&21.into(), &84.into()));
    assert_eq!(value["nights"].as_array().unwrap().len(), 21);
    assert_eq!(value["trouble"][0]["kind"], "qemu-died");
    assert_eq!(value["courses"][0]["metric"]["name"], "writebacks-per-store");
}

#[test]
fn a_page_has_every_part_and_its_links_lead_somewhere() {
    let (_, history) = said(&weeks());
    let ledger = ledger(&weeks(), "damage\n");
    let page = html(&ledger, &history);
    for words in [
        "<p class=\"answer is-bad\">The night of 2026-01-20: 1 bug new, 1 bug worse and 1 bug vanished.</p>",
        "<span class=\"badge is-bad\">new</span><h3>a bug that nobody has seen before</h3>",
        "<span class=\"badge is-good\">vanished</span><h3>bug that goes</h3>",
        "data-column=\"shown\">24 of 84, 28.6 %",
        "<dt>qemu-died</dt><dd>2 times, none of them in the newest 7 nights, last 2026-01-13, on a<br>",
        "<figcaption>writebacks-per-store: 0.200 per store, median 0.220</figcaption>",
        "aria-label=\"writebacks-per-store from 2025-12-31 to 2026-01-20: lowest 0.200, highest 0.240",
        "line 22: it is skipped, it is no record",
        "default-src 'none'",
    ] {
        assert!(page.contains(words), "{words}\n{page}");
    }
    for link in page.split("href=\"#").skip(1) {
        let id = link.split('"').next().unwrap();
        assert!(page.contains(&format!("id=\"{id}\"")), "{id}");
    }
}

#[test]
fn a_bug_that_a_rule_expects_is_no_alarm() {
    let mut own = cells("x86_64", 3, &[("the race", 3)]);
    let page = |own: &Cells| {
        let (ledger, history) = said(&[run(1, "a", vec![own.clone()])]);
        html(&ledger, &history)
    };
    assert!(page(&own).contains("class=\"answer is-bad\""));
    (own.bugs[0].standing, own.bugs[0].rule) = ("expected".into(), "the-rule".into());
    let page = page(&own);
    assert!(page.contains("class=\"answer is-good\""), "{page}");
    assert!(page.contains("<span class=\"badge is-doubt\">expected, new</span>"), "{page}");
    assert!(page.contains("the bug of the rule the-rule; newest signature"), "{page}");
}

#[test]
fn words_that_mean_ill_are_words_in_every_format() {
    let (ledger, history) = said(&ill());
    let page = html(&ledger, &history);
    for (name, rendering) in
        [("page", page.clone()), ("text", text(&history, LOOK)), ("mail", markdown(&history))]
    {
        let active = |c: char| {
            (c.is_control() && c != '\n') || matches!(c, '\u{202e}' | '\u{2066}' | '\u{fffe}')
        };
        assert!(!rendering.contains(active), "{name}: {rendering}");
        assert!(rendering.contains("alert(1)"), "{name}: {rendering}");
    }
    assert!(page.contains("&#60;img src=x onerror=alert(1)&#62;"), "{page}");
    for part in page.split('<').skip(1) {
        let tag = part.split('>').next().unwrap();
        let name = tag.trim_start_matches('/').split([' ', '\n']).next().unwrap();
        let is_foreign = ["script", "img", "b", "i", "link", "iframe", "object", "base"];
        assert!(!is_foreign.contains(&name) && !tag.contains("alert"), "{tag}");
        assert!(!tag.contains(" on") && !tag.contains("src="), "{tag}");
    }
    assert!(!markdown(&history).contains("<script"), "{}", markdown(&history));
    let value: Value = serde_json::from_str(&json(&ledger, &history)).unwrap();
    assert_eq!(value["trouble"][0]["kind"], "\"><svg/onload=alert(13)>");
}

#[test]
fn an_empty_history_says_so_and_a_huge_one_stays_a_page() {
    let (empty, none) = said(&[]);
    assert_eq!(text(&none, LOOK), "Nothing is recorded.\n");
    assert!(html(&empty, &none).contains("<p class=\"answer is-doubt\">Nothing is recorded.</p>"));
    assert!(markdown(&none).ends_with("Nothing is recorded.\n\n"));
    let bug = |n: u32| {
        let mut own = cells("x86_64", 4, &[("bug", 1)]);
        own.bugs[0].signature = format!("{n:016x}").into();
        own.profile = format!("profile-{n}").into();
        own.metrics = [("swapoff-p99".into(), f64::from(n))].into();
        own
    };
    let runs: Vec<Run> = (0..40).map(|n| run(n, "a", (0..300).map(bug).collect())).collect();
    let (ledger, history) = said(&runs);
    let page = html(&ledger, &history);
    assert!(page.contains("100 more bugs") && page.contains("276 more settings"), "{}", page.len());
    assert!(page.contains("26 earlier nights") && page.len() < 1 << 20, "{}", page.len());
    let text = text(&history, LOOK);
    assert!(text.contains("100 more bugs: --format json has all"), "{text}");
}
