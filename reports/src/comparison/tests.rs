// SPDX-License-Identifier: MIT OR Apache-2.0
mod padded;

use serde_json::{Value, json};

use super::*;
use crate::event::{RunEvent, VIRTUAL, WALL};
use crate::log::read_log;
use crate::statistics::rule::DEFAULT_MARGIN;

/// A storm as a log tells it; what a test does not care about is as usual.
#[derive(Clone)]
pub(crate) struct Told {
    pub(crate) series: Option<&'static str>,
    pub(crate) number: u32,
    pub(crate) arch: &'static str,
    pub(crate) profile: &'static str,
    pub(crate) clock: &'static str,
    pub(crate) argv: Vec<&'static str>,
    /// Counters at the end; all were 0 at the start, and levels as high.
    pub(crate) counters: Vec<(&'static str, u64)>,
    pub(crate) guest_ms: u64,
    pub(crate) end: &'static str,
}

const COUNTERS: &[(&str, u64)] = &[("zswpout", 20_000), ("zswpwb", 4_000)];
const ARGV: [&str; 5] = ["qemu-system-x86_64", "-machine", "microvm,acpi=off", "-m", "80M"];

impl Told {
    pub(crate) fn new(series: Option<&'static str>, number: u32) -> Self {
        Self {
            series,
            number,
            arch: "x86_64",
            profile: "steady",
            clock: VIRTUAL,
            argv: ARGV.to_vec(),
            counters: COUNTERS.to_vec(),
            guest_ms: 10_000,
            end: "budget",
        }
    }

    /// With another number of writebacks.
    pub(crate) fn wrote(mut self, writebacks: u64) -> Self {
        self.counters.retain(|(name, _)| !name.contains("wb"));
        self.counters.push(("zswpwb", writebacks));
        self
    }

    fn events(&self) -> Vec<Value> {
        let Self { series, number, arch, profile, clock, argv, counters, guest_ms, end } = self;
        let cell = format!("{}-{arch}-{profile}-{number}", series.unwrap_or("plain"));
        let mut columns = vec!["guest_ms", "seq"];
        columns.extend(counters.iter().map(|(name, _)| *name));
        let row = |ms: u64, seq: u64, is_first: bool| {
            let mut row = vec![ms, seq];
            let is_level = |name: &str| name.ends_with("kib");
            let value = |(name, n): &(&str, u64)| if is_first && !is_level(name) { 0 } else { *n };
            row.extend(counters.iter().map(value));
            row
        };
        let text = match *profile {
            "two-metrics" => "name: x\nmetrics: [pool-limit-hits, writebacks-per-store]\n",
            _ => "name: x\n",
        };
        let profile_event = json!({ "event": "profile-loaded", "profile":
            { "name": profile, "digest": "0123456789abcdef", "text": text } });
        vec![
            profile_event,
            json!({ "event": "cell-planned", "cell": { "id": cell, "kernel": "debian-6.1",
                "series": series, "arch": arch, "toolchain": "gcc", "profile": profile,
                "profile_digest": "0123456789abcdef", "technique": "natural", "clock": clock, "number": number,
                "seed": number, "expect": null, "should_show": null } }),
            json!({ "event": "kernel-ready", "cell": cell, "kernel": { "release": "6.1.192",
                "compiler": "gcc", "key": series.unwrap_or("k"), "cached": true, "ms": 1,
                "source": "s" } }),
            json!({ "event": "vm-started", "cell": cell, "boot": 1, "accel": "tcg", "argv": argv,
                "cmdline": "" }),
            json!({ "event": "guest-ready", "cell": cell, "boot": 1, "boot_ms": 900 }),
            json!({ "event": "columns", "cell": cell, "boot": 1, "columns": columns }),
            json!({ "event": "sample", "cell": cell, "boot": 1, "row": row(10, 1, true) }),
            json!({ "event": "sample", "cell": cell, "boot": 1, "row": row(*guest_ms, 2, false) }),
            json!({ "event": "guest-done", "cell": cell, "boot": 1, "reason": "stop" }),
            json!({ "event": "vm-stopped", "cell": cell, "boot": 1, "why": end }),
            json!({ "event": "cell-finished", "cell": cell }),
        ]
    }
}

/// The log of a run of these storms.
fn log(id: &str, storms: &[Told]) -> String {
    let start = json!({ "event": "run-started", "format": 2, "id": id, "version": "1",
        "command": ["run"], "started": "2026-01-01T00:00:00Z", "seed": 1,
        "host": { "cpus": "2", "memory_mib": "8000" } });
    let mut events = vec![start];
    events.extend(storms.iter().flat_map(Told::events));
    events.push(json!({ "event": "run-finished", "interrupted": false }));
    let line = |(at, mut event): (usize, Value)| {
        event["at_ms"] = json!(at * 100);
        format!("{event}\n")
    };
    events.into_iter().enumerate().map(line).collect()
}

/// The events of a run of these storms.
pub(crate) fn events(id: &str, storms: &[Told]) -> Vec<RunEvent> {
    let (events, problems) = read_log(log(id, storms).as_bytes());
    assert_eq!(problems, []);
    events
}

pub(crate) fn report(runs: &[(&str, &[Told])]) -> RunReport {
    let events = runs.iter().flat_map(|(id, storms)| events(id, storms));
    let report = RunReport::fold(events);
    assert_eq!(report.problems, Vec::<String>::new());
    report
}

pub(crate) fn request(a: &str, b: &str) -> Request {
    let side = |selector| Side { runs: vec!["one".to_owned()], selector: Selector::new(selector) };
    Request {
        a: side(a),
        b: side(b),
        metrics: Vec::new(),
        expected: BTreeMap::new(),
        margin: DEFAULT_MARGIN,
        looks: Looks::Sequential,
        force: false,
    }
}

/// Eight pairs: both scatter by 1 %, B's series writes back `factor` times as much.
pub(crate) fn eight_pairs(factor: f64) -> Vec<Told> {
    let scatter = |number: u32, by: u32| 1.0 + 0.01 * (f64::from(number * by % 8) / 4.0 - 0.9);
    let wrote = |series, number, by, factor: f64| {
        Told::new(series, number).wrote((4000.0 * factor * scatter(number, by)) as u64)
    };
    let plain = (1..=8).map(|number| wrote(None, number, 3, 1.0));
    plain.chain((1..=8).map(|number| wrote(Some("fix"), number, 5, factor))).collect()
}

fn verdict_of(storms: &[Told]) -> (Verdict, Answer) {
    let comparison = compare(&report(&[("one", storms)]), &request("", "")).unwrap();
    let row = comparison.rows.iter().find(|row| row.metric.name == "writebacks-per-store").unwrap();
    (row.tested().unwrap().verdict, comparison.answer)
}

#[test]
fn writeback_that_is_crippled_or_costs_seven_per_cent_regressed() {
    for factor in [0.0, 0.5, 0.93] {
        let verdict = verdict_of(&eight_pairs(factor));
        assert_eq!(verdict, (Verdict::Regression, Answer::Regression), "{factor}");
    }
    let better = verdict_of(&eight_pairs(1.08));
    assert_eq!(better, (Verdict::Improvement, Answer::NoRegression));
}

#[test]
fn kernels_that_do_not_differ_do_not_change_by_more_than_is_said() {
    let (verdict, answer) = verdict_of(&eight_pairs(1.0));
    let Verdict::NoChangeLargerThan { share } = verdict else { panic!("{verdict:?}") };
    assert!((0.001..0.02).contains(&share), "{share}");
    assert_eq!(answer, Answer::NoRegression);
    assert_eq!(answer.exit_code().code(), 0);
}

#[test]
fn seven_pairs_are_too_few_however_clear_they_are() {
    let mut storms = eight_pairs(0.5);
    storms.retain(|storm| storm.number < 8);
    assert_eq!(verdict_of(&storms), (Verdict::TooFew { more: 1 }, Answer::TooFew { more: 1 }));
    assert_eq!(Answer::TooFew { more: 1 }.exit_code().code(), 4);
}

#[test]
fn a_shift_that_is_expected_is_no_regression_and_missed_where_it_does_not_come() {
    let expecting = |factor| {
        let mut request = request("", "");
        let why = "the fix holds the device".to_owned();
        request.expected.insert("writebacks-per-store".to_owned(), why);
        compare(&report(&[("one", &eight_pairs(factor))]), &request).unwrap()
    };
    let (came, missing) = (expecting(0.8), expecting(1.0));
    assert_eq!((came.answer, missing.answer), (Answer::NoRegression, Answer::NoRegression));
    let missed = |c: &Comparison| c.notes.iter().any(|note| note.contains("did not come"));
    assert!(!missed(&came) && missed(&missing));
    // While a metric is open nobody knows.
    let mut few = eight_pairs(1.0);
    few.retain(|storm| storm.number < 5);
    let mut request = request("", "");
    request.expected.insert("writebacks-per-store".to_owned(), "why".to_owned());
    assert!(!missed(&compare(&report(&[("one", &few)]), &request).unwrap()));
}

#[test]
fn a_counter_that_a_kernel_lacks_is_absent_and_a_renamed_one_is_found() {
    let mut storms = eight_pairs(0.5);
    for storm in storms.iter_mut().filter(|storm| storm.series.is_none()) {
        storm.counters.iter_mut().for_each(|counter| {
            if counter.0 == "zswpwb" {
                counter.0 = "written_back_pages";
            }
        });
        storm.counters.push(("reject_alloc_fail", 7));
        storm.counters.push(("reject_compress_poor", 0));
    }
    for storm in storms.iter_mut().filter(|storm| storm.series.is_some()) {
        storm.counters.push(("reject_compress_poor", 0));
    }
    let comparison = compare(&report(&[("one", &storms)]), &request("", "")).unwrap();
    let row = |name: &str| comparison.rows.iter().find(|row| row.metric.name == name).unwrap();
    assert_eq!(row("writebacks-per-store").tested().unwrap().verdict, Verdict::Regression);
    assert!(comparison.notes.iter().any(|note| note.contains("written_back_pages in A")));
    let why = "B has no reject_alloc_fail".to_owned();
    assert_eq!(row("alloc-rejects").outcome, Outcome::Absent { why });
    assert_eq!(row("poor-rejects").outcome, Outcome::Never, "0 of both sides is no shift");
    // Nor is anything by what never happened.
    let mut full = storms.clone();
    full.iter_mut().for_each(|storm| storm.counters.push(("pool_limit_hit", 0)));
    let never = compare(&report(&[("one", &full)]), &request("", "")).unwrap();
    let row_of = |c: &Comparison, name: &str| {
        c.rows.iter().find(|row| row.metric.name == name).unwrap().outcome.clone()
    };
    assert_eq!(row_of(&never, "writebacks-per-hit"), Outcome::Never);

    // Where both kernels have one name, that one is taken for both.
    for storm in &mut storms {
        storm.counters.push(("written_back_pages", 100));
        storm.counters.dedup_by_key(|(name, _)| *name);
    }
    storms.iter_mut().filter(|s| s.series.is_none()).for_each(|s| {
        s.counters.retain(|(name, value)| *name != "written_back_pages" || *value == 100);
    });
    let comparison = compare(&report(&[("one", &storms)]), &request("", "")).unwrap();
    assert!(!comparison.notes.iter().any(|note| note.contains("written_back_pages")));
}

/// What a refusal must say.
fn refused(storms: &[Told], request: &Request, words: &str) {
    let refusal = compare(&report(&[("one", storms)]), request).unwrap_err().to_string();
    assert!(refusal.contains(words), "{refusal}");
    assert!(refusal.contains("\n  hint: "), "{refusal}");
}

#[test]
fn storms_under_other_conditions_are_refused_unless_forced() {
    type Change = fn(&mut Told);
    let changes: [(Change, &str); 5] = [
        (|storm| storm.arch = "arm64", "architecture: x86_64 in A, arm64 in B"),
        (|storm| storm.profile = "other", "profile: steady@0123456789ab in A, other@"),
        (|storm| storm.clock = WALL, "clock: virtual in A, wall in B"),
        (|storm| storm.argv[4] = "96M", "machine: microvm, 80M in A, microvm, 96M in B"),
        (|storm| storm.guest_ms = 20_000, "A's storms last 10.0 s and B's 20.0 s"),
    ];
    for (change, words) in changes {
        let mut storms = eight_pairs(1.0);
        storms.iter_mut().filter(|storm| storm.series.is_some()).for_each(change);
        refused(&storms, &request("", ""), words);
        let forced = Request { force: true, ..request("", "") };
        let comparison = compare(&report(&[("one", &storms)]), &forced).unwrap();
        assert!(comparison.notes.iter().any(|note| note.starts_with("forced: ")), "{words}");
    }
}

#[test]
fn what_selectors_leave_open_is_refused_with_the_words_to_add() {
    let mut storms = eight_pairs(1.0);
    storms.extend((1..=8).map(|number| Told::new(Some("other"), number)));
    refused(
        &storms,
        &request("", ""),
        "the run has 3 kernels:\n    debian-6.1\n    debian-6.1 + fix",
    );
    refused(&storms, &request("none", ""), "B would be several kernels:\n    debian-6.1 + fix");
    refused(&storms, &request("none", "absent"), "no cell of B answers to `absent`");
    refused(&storms[..8], &request("", ""), "the run has one kernel");
    let chosen = compare(&report(&[("one", &storms)]), &request("other", "fix")).unwrap();
    assert_eq!((&*chosen.a.kernel, &*chosen.b.kernel), ("debian-6.1 + other", "debian-6.1 + fix"));
    // What A does not select is B.
    let rest = compare(&report(&[("one", &storms[..16])]), &request("fix", "")).unwrap();
    assert_eq!((&*rest.a.kernel, &*rest.b.kernel), ("debian-6.1 + fix", "debian-6.1"));

    let mut two_arches = eight_pairs(1.0);
    let arm = two_arches.clone().into_iter().map(|storm| Told { arch: "arm64", ..storm });
    two_arches.extend(arm.collect::<Vec<_>>());
    refused(&two_arches, &request("", ""), "2 settings in common:\n    x86_64\n    arm64");
    let one = compare(&report(&[("one", &two_arches)]), &request("none,arm64", "fix")).unwrap();
    assert_eq!(one.pairs, [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(one.conditions[0].b, "arm64");
}

#[test]
fn storms_that_say_nothing_of_the_kernel_are_left_out_with_their_pairs() {
    let mut storms = eight_pairs(1.0);
    storms[2].end = "qemu-died";
    storms[12].end = "crashed";
    storms.remove(15);
    let comparison = compare(&report(&[("one", &storms)]), &request("", "")).unwrap();
    assert_eq!(comparison.pairs, [1, 2, 4, 6, 7]);
    assert_eq!(comparison.left_out.len(), 3, "{:?}", comparison.left_out);
    assert!(comparison.left_out[2].contains("pair 8: B has no such run"));
    storms.iter_mut().for_each(|storm| storm.end = "crashed");
    refused(&storms, &request("", ""), "there is no pair of finished storms");
}

#[test]
fn two_runs_are_compared_and_on_the_hosts_clock_their_order_is_told() {
    let (a, b): (Vec<Told>, Vec<Told>) =
        eight_pairs(1.0).into_iter().partition(|storm| storm.series.is_none());
    let mut request = request("", "");
    request.b.runs = vec!["two".to_owned()];
    let told = |a: &[Told], b: &[Told]| {
        let comparison = compare(&report(&[("one", a), ("two", b)]), &request).unwrap();
        assert_eq!((comparison.pairs.len(), &*comparison.b.runs[0]), (8, "two"));
        comparison.notes.iter().any(|note| note.contains("the clock is the host's"))
    };
    assert!(!told(&a, &b), "in virtual time the order does not matter");
    let wall = |storms: &[Told]| -> Vec<Told> {
        let on_wall = |storm: &Told| Told { clock: WALL, ..storm.clone() };
        storms.iter().map(on_wall).collect()
    };
    assert!(told(&wall(&a), &wall(&b)));
}

#[test]
fn pairs_that_are_equal_bit_for_bit_are_called_so() {
    let storms: Vec<Told> = [None, Some("comment")]
        .into_iter()
        .flat_map(|series| (1..=8).map(move |number| Told::new(series, number)))
        .collect();
    let same = compare(&report(&[("one", &storms)]), &request("", "")).unwrap();
    assert!(same.notes.iter().any(|note| note.contains("bit for bit")), "{:?}", same.notes);
    let other = compare(&report(&[("one", &eight_pairs(1.0))]), &request("", "")).unwrap();
    assert!(!other.notes.iter().any(|note| note.contains("bit for bit")));
}

#[test]
fn metrics_are_those_that_were_named() {
    let of = |metrics: &[&str]| {
        let metrics = metrics.iter().map(|name| (*name).to_owned()).collect();
        let request = Request { metrics, ..request("", "") };
        compare(&report(&[("one", &eight_pairs(1.0))]), &request)
    };
    let one = of(&["writebacks-per-store"]).unwrap();
    assert_eq!(one.rows.iter().filter(|row| row.tested().is_some()).count(), 1);
    let wrong = of(&["writebacks"]).unwrap_err();
    assert!(wrong.what.contains("`writebacks`") && wrong.hint.contains("writebacks-per-store"));
    let all: Vec<&str> = METRICS.iter().map(|metric| metric.name).collect();
    assert!(of(&all).unwrap_err().what.contains("tested together"));
    assert_eq!(of(&["swapoff-p50"]).unwrap().answer, Answer::Nothing);

    // Those of the profile, unless others are named.
    let mut storms = eight_pairs(1.0);
    storms.iter_mut().for_each(|storm| storm.profile = "two-metrics");
    let report = report(&[("one", &storms)]);
    let of_profile = compare(&report, &request("", "")).unwrap();
    let names = of_profile.rows.iter().map(|row| row.metric.name);
    assert_eq!(names.collect::<Vec<_>>(), ["pool-limit-hits", "writebacks-per-store"]);
}
