// SPDX-License-Identifier: MIT OR Apache-2.0
//! A run as a submission to KCIDB, the kernel community's database of test results: JSON of kcidb-io's schema 5.3.
//!
//! A kernel's source is a checkout, each of its kernels a build, a cell a test, a bug an issue, and a bug in a cell an incident.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::outcome::{Outcome, case_name, counters, evidence, message, outcome};
use super::safe::{self, MAX_LINE};
use super::words::boot_words;
use crate::exit::Purpose;
use crate::run::{Bug, CellReport, RunReport, Standing};
use crate::verdict::CellVerdict;

/// Version of the schema.
const VERSION: (u32, u32) = (5, 3);
/// Names the system that submits; every id begins with it.
const ORIGIN: &str = "swapstorm";
/// Most bytes of an excerpt. The schema allows 16,384 characters; how much was left out is said behind.
const EXCERPT: usize = 16_000;
/// Most bugs of a cell.
const MOST_BUGS: usize = 32;

/// Objects by their ids: the first of an id counts.
type Objects = BTreeMap<String, Value>;

/// The run as one JSON object that ends with a line feed. Ids are those of runs, kernels and cells, so the same log gives the same
/// submission.
pub fn render(report: &RunReport, purpose: Purpose) -> String {
    let [mut checkouts, mut builds, mut tests, mut issues, mut incidents] =
        [const { Objects::new() }; 5];
    for cell in &report.cells {
        let checkout = id(&[&cell.run, &cell.cell.kernel_name()]);
        let build = build_id(cell);
        let test = id(&[&cell.run, &cell.cell.id]);
        // The first cell of a kernel may have failed before anything was known of it.
        let is_known = cell.kernel.is_some();
        put(&mut checkouts, &checkout, is_known, || self::checkout(report, cell));
        put(&mut builds, &build, is_known, || self::build(cell, &checkout));
        if !matches!(
            cell.verdict,
            CellVerdict::BuildFailure { .. } | CellVerdict::PatchConflict { .. }
        ) {
            put(&mut tests, &test, false, || self::test(report, cell, &build, purpose));
            for bug in cell.bugs.iter().filter(|bug| is_of_the_kernel(bug)).take(MOST_BUGS) {
                let issue = issue_id(bug);
                put(&mut issues, &issue, false, || self::issue(bug));
                let incident = id(&[&cell.run, &cell.cell.id, &issue]);
                put(&mut incidents, &incident, false, || self::incident(&issue, &test));
            }
        }
    }
    let list = |objects: Objects| objects.into_values().collect::<Vec<Value>>();
    let document = json!({
        "version": { "major": VERSION.0, "minor": VERSION.1 },
        "checkouts": list(checkouts),
        "builds": list(builds),
        "tests": list(tests),
        "issues": list(issues),
        "incidents": list(incidents),
    });
    // serde_json fails on maps whose keys are no strings, and on a writer's errors: none is here.
    let mut text = serde_json::to_string_pretty(&document).expect("plain data is JSON");
    text.push('\n');
    text
}

/// Adds an object. One that is there is kept, unless it was made when its kernel was not known.
fn put(objects: &mut Objects, id: &str, replaces: bool, make: impl FnOnce() -> Map<String, Value>) {
    let is_bare = |known: &Value| known.get("misc").is_some_and(|misc| misc.get("bare").is_some());
    if objects.get(id).is_none_or(|known| replaces && is_bare(known)) {
        let mut object = make();
        object.insert("id".to_owned(), id.into());
        object.insert("origin".to_owned(), ORIGIN.into());
        objects.insert(id.to_owned(), object.into());
    }
}

fn id(parts: &[&str]) -> String {
    format!("{ORIGIN}:{}", safe::line(&parts.join("/"), MAX_LINE))
}

fn build_id(cell: &CellReport) -> String {
    let own = &cell.cell;
    id(&[&cell.run, &own.kernel_name(), &own.arch, &own.toolchain, &own.kasan])
}

/// An object of the schema, without what is empty.
fn object(fields: Value) -> Map<String, Value> {
    let Value::Object(mut fields) = fields else { return Map::new() };
    fields.retain(|_, value| match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        _ => true,
    });
    fields
}

fn line(text: &str) -> String {
    safe::line(text, MAX_LINE)
}

fn checkout(report: &RunReport, cell: &CellReport) -> Map<String, Value> {
    let source = cell.kernel.as_ref().map_or("", |kernel| kernel.source.as_str());
    let is_conflict = matches!(cell.verdict, CellVerdict::PatchConflict { .. });
    let patches = cell.kernel.iter().flat_map(|kernel| &kernel.patches);
    let misc = json!({
        "kernel": line(&cell.cell.kernel),
        "series": cell.cell.series.as_deref().map(line),
        "source": line(source),
        "patches": patches.map(|patch| line(patch)).collect::<Vec<_>>(),
        "bare": cell.kernel.is_none().then_some(true),
    });
    let mut fields = object(json!({
        "tree_name": line(&cell.cell.kernel),
        "git_commit_hash": commit(source),
        "comment": line(&cell.cell.kernel_name()),
        "start_time": report.run_of(cell).and_then(|run| moment(&run.started)),
        "valid": if is_conflict { Some(false) } else { cell.kernel.as_ref().map(|_| true) },
        "log_excerpt": if is_conflict { excerpt(cell) } else { String::new() },
        "misc": object(misc),
    }));
    // An empty hash says that there are no patches.
    if cell.cell.series.is_none() {
        fields.insert("patchset_hash".to_owned(), "".into());
    }
    fields
}

fn build(cell: &CellReport, checkout: &str) -> Map<String, Value> {
    let is_failure = matches!(cell.verdict, CellVerdict::BuildFailure { .. });
    let kernel = cell.kernel.as_ref();
    let status = if is_failure { Some("FAIL") } else { kernel.map(|_| "PASS") };
    let built = kernel.filter(|kernel| !kernel.cached);
    let misc = json!({
        "release": kernel.map(|kernel| line(&kernel.release)),
        "key": kernel.map(|kernel| line(&kernel.key)),
        "kasan": line(&cell.cell.kasan),
        "bare": kernel.is_none().then_some(true),
    });
    object(json!({
        "checkout_id": checkout,
        "architecture": line(&cell.cell.arch),
        "compiler": kernel.map(|kernel| line(&kernel.compiler)),
        "duration": built.map(|kernel| seconds(kernel.ms)),
        "status": status,
        "log_excerpt": if is_failure { excerpt(cell) } else { String::new() },
        "misc": object(misc),
    }))
}

fn test(
    report: &RunReport,
    cell: &CellReport,
    build: &str,
    purpose: Purpose,
) -> Map<String, Value> {
    let was_ready = cell.boots.iter().any(|boot| boot.ready());
    let status = match (outcome(cell, purpose), &cell.verdict) {
        (Outcome::Passed, _) => "PASS",
        (Outcome::Failed, _) => "FAIL",
        (Outcome::Skipped, _) => "SKIP",
        // The storm was there, and says nothing of the kernel.
        (Outcome::Error, CellVerdict::Inconclusive { .. }) if was_ready => "DONE",
        (Outcome::Error, _) => "MISS",
    };
    let exposure: Map<String, Value> =
        counters(cell).into_iter().map(|(name, n)| (name.to_owned(), n.into())).collect();
    let boot = cell.deciding_boot();
    let host = report.run_of(cell).map_or("", |run| run.host_name.as_str());
    object(json!({
        "build_id": build,
        "path": path(&[ORIGIN, &cell.cell.profile, &cell.cell.technique]),
        "comment": format!("{}: {}", case_name(cell), message(cell)),
        "status": status,
        "start_time": report.run_of(cell).and_then(|run| moment(&run.started)),
        "duration": seconds(cell.exposure.guest_ms),
        "log_excerpt": excerpt(cell),
        "environment": object(json!({
            "comment": boot.map(|boot| line(&boot_words(boot))),
            "misc": object(json!({ "host": line(host) })),
        })),
        "misc": {
            "key": line(&cell.cell.key),
            "seed": cell.cell.seed,
            "verdict": cell.verdict.word(),
            "exposure": exposure,
        },
    }))
}

fn is_of_the_kernel(bug: &Bug) -> bool {
    matches!(bug.standing, Standing::Expected | Standing::Another | Standing::Related)
}

/// The same in every run that shows the bug.
fn issue_id(bug: &Bug) -> String {
    match bug.finding.signature.as_str() {
        "" => id(&["issue", &bug.finding.title]),
        signature => id(&["issue", signature]),
    }
}

fn issue(bug: &Bug) -> Map<String, Value> {
    object(json!({
        "version": 1,
        "report_subject": line(&bug.finding.title),
        "comment": line(&bug.finding.head),
        "culprit": { "code": true, "tool": false, "harness": false },
    }))
}

fn incident(issue: &str, test: &str) -> Map<String, Value> {
    object(json!({ "issue_id": issue, "issue_version": 1, "test_id": test, "present": true }))
}

fn excerpt(cell: &CellReport) -> String {
    safe::block(&evidence(cell).join("\n\n"), EXCERPT)
}

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

/// `a.b.c`, of the characters that paths may have.
fn path(parts: &[&str]) -> String {
    let word = |part: &&str| {
        let is_fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        let word: String =
            part.chars().take(MAX_LINE).map(|c| if is_fit(c) { c } else { '_' }).collect();
        (!word.is_empty()).then_some(word)
    };
    parts.iter().filter_map(word).collect::<Vec<_>>().join(".")
}

/// The commit that a source names, if it is one.
fn commit(source: &str) -> Option<&str> {
    let words = source.split(|c: char| !matches!(c, '0'..='9' | 'a'..='f'));
    words.into_iter().find(|word| word.len() == 40)
}

/// A moment as our logs have it, `2026-11-22T13:37:02Z`. Any other would make the submission invalid.
fn moment(text: &str) -> Option<&str> {
    let shape = b"0000-00-00T00:00:00Z";
    let fits = |(c, form): (u8, &u8)| if *form == b'0' { c.is_ascii_digit() } else { c == *form };
    if text.len() != shape.len() || !text.bytes().zip(shape).all(fits) {
        return None;
    }
    let number = |at: usize, length: usize| text[at..at + length].parse::<u32>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 2)?, number(8, 2)?);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + u32::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    let is_time = number(11, 2)? < 24 && number(14, 2)? < 60 && number(17, 2)? < 60;
    (year > 0 && (1..=days).contains(&day) && is_time).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Cell, Fault, What};
    use crate::sample::events::{BUGGY, Log, cell};
    use crate::sample::rich::{hostile, night};

    fn document(report: &RunReport) -> Value {
        serde_json::from_str(&render(report, Purpose::Search)).unwrap()
    }

    #[test]
    fn a_night_as_a_submission() {
        let document = document(&night());
        let all = |list: &str, field: &str| -> Vec<String> {
            let objects = document[list].as_array().unwrap();
            objects.iter().map(|object| object[field].as_str().unwrap_or("-").to_owned()).collect()
        };
        assert_eq!(document["version"], json!({ "major": 5, "minor": 3 }));
        let fixed = "swapstorm:night-1/debian-6.1 + zswap-writeback-swapoff-6.1";
        assert_eq!(all("checkouts", "id"), ["swapstorm:night-1/debian-6.1", fixed]);
        assert_eq!(all("builds", "status"), ["PASS", "-", "PASS", "-", "PASS", "PASS"]);
        assert_eq!(all("tests", "status"), ["FAIL", "SKIP", "PASS", "MISS", "DONE", "FAIL"]);
        assert_eq!(all("issues", "report_subject").len(), 2);
        assert_eq!(
            all("incidents", "test_id"),
            ["swapstorm:night-1/fix-arm64", "swapstorm:night-1/plain-x86_64"]
        );
        // Whatever is named is there.
        for (list, field, of) in [
            ("builds", "checkout_id", "checkouts"),
            ("tests", "build_id", "builds"),
            ("incidents", "test_id", "tests"),
            ("incidents", "issue_id", "issues"),
        ] {
            let known = all(of, "id");
            assert!(all(list, field).iter().all(|id| known.contains(id)), "{list}.{field}");
        }
        insta::assert_snapshot!(serde_json::to_string_pretty(&document["tests"][2]).unwrap(), @r#"
{
  "build_id": "swapstorm:night-1/debian-6.1 + zswap-writeback-swapoff-6.1/x86_64/gcc/generic",
  "comment": "fix-x86_64: clean",
  "duration": 13.28,
  "environment": {
    "comment": "tcg (/dev/kvm is missing), seed 1; the budget was used up",
    "misc": {
      "host": "box"
    }
  },
  "id": "swapstorm:night-1/fix-x86_64",
  "log_excerpt": "at most 1 in 20 stretched windows\nat most 1 in 136 swapoffs (95 %)",
  "misc": {
    "exposure": {
      "cpu_offs": 0,
      "guest_ms": 13280,
      "oom_kills": 1,
      "refused": 2,
      "stores": 41877,
      "swapoffs": 408,
      "swapons": 412,
      "verified": 96512,
      "windows": 60,
      "writebacks": 2913
    },
    "key": "debian-6.1+zswap-writeback-swapoff-6.1/x86_64/gcc/kasan-generic/zswap-writeback-swapoff@5d1e0c87f2b9/stretch/1",
    "seed": 9130547722,
    "verdict": "clean"
  },
  "origin": "swapstorm",
  "path": "swapstorm.zswap-writeback-swapoff.stretch",
  "start_time": "2026-11-22T13:37:02Z",
  "status": "PASS"
}
"#);
    }

    #[test]
    fn what_is_known_of_a_kernel_later_replaces_what_was_not() {
        let document = document(&night());
        // The kernel on arm64 was never known.
        let checkout = &document["checkouts"][0];
        assert_eq!((&checkout["valid"], &checkout["patchset_hash"]), (&true.into(), &"".into()));
        assert!(checkout["misc"].get("bare").is_none(), "{checkout}");
        // And now it comes first.
        let mut report = night();
        report.cells.swap(0, 1);
        assert_eq!(
            serde_json::from_str::<Value>(&render(&report, Purpose::Search)).unwrap()["checkouts"]
                [0]["valid"],
            true
        );
    }

    #[test]
    fn a_kernel_that_was_not_built_has_no_test() {
        let failed = |fault| {
            let log = Log::new().then(What::CellPlanned { cell: Cell { ..cell(BUGGY) } });
            document(&log.failed(BUGGY, fault, "mm/zswap.c:7: no").finished(BUGGY).report())
        };
        let built = failed(Fault::Build);
        assert_eq!((&built["builds"][0]["status"], &built["tests"]), (&"FAIL".into(), &json!([])));
        assert_eq!(built["builds"][0]["log_excerpt"], "mm/zswap.c:7: no");
        let patched = failed(Fault::PatchConflict);
        assert_eq!(
            (&patched["checkouts"][0]["valid"], &patched["tests"]),
            (&false.into(), &json!([]))
        );
    }

    #[test]
    fn a_guest_makes_no_submission_invalid() {
        let document = document(&hostile());
        let test = &document["tests"][0];
        assert_eq!(test["status"], "FAIL");
        let excerpt = test["log_excerpt"].as_str().unwrap();
        assert!(excerpt.chars().count() <= 16_384 && excerpt.contains("more bytes]"));
        let text = render(&hostile(), Purpose::Search);
        assert!(
            !text.contains("\\u0000") && !text.contains("\\u001b") && !text.contains('\u{202e}')
        );
        assert_eq!(path(&[ORIGIN, "../a b.c\n", ""]), "swapstorm.___a_b_c_");
    }

    #[test]
    fn moments_and_commits_are_believed_if_they_can_be_ones() {
        assert!(moment("2028-02-29T23:59:59Z").is_some());
        for no in
            ["2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-01T24:00:00Z", "now", ""]
        {
            assert_eq!(moment(no), None, "{no}");
        }
        let hash = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(commit(&format!("https://example.org/linux.git {hash}")), Some(hash));
        assert_eq!(commit(&format!("sha256 {hash}89")), None);
    }
}
