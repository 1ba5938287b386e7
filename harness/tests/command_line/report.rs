// SPDX-License-Identifier: MIT OR Apache-2.0
//! `swapstorm report`: whole, killed, damaged, old and merged runs.

use std::fs;
use std::path::PathBuf;

use crate::scene::Scene;

/// The log of a `repro` that went well, in this format.
const RUN: &str = include_str!("../../../reports/testdata/run-2.jsonl");

struct Reports {
    scene: Scene,
}

impl Reports {
    fn new() -> Self {
        Self { scene: Scene::new() }
    }

    /// Makes the folder of a run with this log.
    fn run(&self, name: &str, log: &str) -> PathBuf {
        let folder = self.scene.path(name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("events.jsonl"), log).unwrap();
        folder
    }

    /// Renders runs; returns the exit code and stdout.
    #[track_caller]
    fn render(&self, args: &[&str]) -> (Option<i32>, String) {
        let output = self.scene.command().arg("report").args(args).output().unwrap();
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    }

    fn json(&self, args: &[&str]) -> (Option<i32>, serde_json::Value) {
        let (code, text) = self.render(&[args, &["--format", "json"]].concat());
        (code, serde_json::from_str(&text).unwrap())
    }
}

#[test]
fn a_run_is_rendered_from_its_log_alone() {
    let reports = Reports::new();
    let folder = reports.run("night", RUN);
    for run in ["night", "night/events.jsonl"] {
        let (code, text) = reports.render(&[run]);
        assert_eq!(code, Some(0), "{text}");
        let head = "Reproduced: the bug shows on debian-6.1, not with zswap-writeback-swapoff-6.1.\nWith a \
                    probability of 4.7 %, a kernel that is not fixed would have looked like this:";
        assert!(text.starts_with(head), "{text}");
        assert!(text.contains("zswap_frontswap_invalidate_area"), "{text}");
    }
    let (code, markdown) = reports.render(&["night", "--format", "markdown"]);
    assert_eq!(code, Some(0));
    assert!(markdown.contains("swapstorm repro --seed 42"), "{markdown}");
    assert!(markdown.contains("left out: shrink_memcg_cb:\\_raw_spin_lock:1: no function"));
    let (code, json) = reports.json(&["night"]);
    assert_eq!((code, &json["exit_code"]), (Some(0), &0.into()));
    // Windows of the other point do not count.
    assert_eq!(json["cells"][1]["exposure"]["windows"], 41);
    assert_eq!(json["cells"][1]["points"][1]["stretched"], 70);
    assert_eq!(json["proofs"][0]["reached"], true);
    let left: Vec<_> = fs::read_dir(folder).unwrap().collect();
    assert_eq!(left.len(), 1, "nothing is written");
}

#[test]
fn each_format_tells_of_every_cell_and_keeps_the_exit_code() {
    let reports = Reports::new();
    reports.run("night", RUN);
    for (format, first, words) in [
        ("html", "<!doctype html>\n", "<h3>fixed</h3>"),
        ("junit", "<?xml version=\"1.0\"", "<testcase name=\"fixed\" classname=\"debian-6.1 + "),
        ("ktap", "KTAP version 1\n1..3\n", "ok 1 fixed\nok 2 debian-6.1 + "),
        ("kcidb", "{\n  \"builds\": [", "\"swapstorm:20261126T003100Z-4711/fixed\""),
        ("github", "::notice title=swapstorm::Reproduced: the bug shows on debian-6.1", ""),
    ] {
        let (code, text) = reports.render(&["night", "--format", format]);
        assert_eq!(code, Some(0), "{text}");
        assert!(text.starts_with(first) && text.contains(words), "{text}");
    }
    // A run whose log was cut has no answer, and no format says otherwise.
    reports.run("killed", &RUN[..RUN.rfind("\"row\"").unwrap()]);
    for (format, words) in [
        ("html", "<p class=\"answer is-doubt\">No answer: inconclusive on debian-6.1 + "),
        ("junit", "<error message=\"the log ends before the run does\""),
        ("ktap", "not ok 3 run # ERROR the log ends before the run does\n"),
        ("kcidb", "\"status\": \"DONE\""),
        ("github", "::warning title=the run has no answer::the log ends before the run does\n"),
    ] {
        let (code, text) = reports.render(&["killed", "--format", format]);
        assert_eq!(code, Some(4), "{text}");
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn a_killed_run_is_rendered_as_far_as_it_came() {
    let reports = Reports::new();
    // Cut within the last sample of the fixed kernel.
    let cut = RUN.rfind("\"row\"").unwrap();
    reports.run("killed", &RUN[..cut + 9]);
    let (code, text) = reports.render(&["killed"]);
    assert_eq!(code, Some(4), "{text}");
    assert!(text.starts_with("No answer: inconclusive on debian-6.1 + "), "{text}");
    assert!(
        text.contains("EXPECTED BUG") && text.contains("the log ends before the cell"),
        "{text}"
    );
    assert!(text.contains("the last event is cut, the run was killed while writing it"), "{text}");
    let (_, json) = reports.json(&["killed"]);
    assert_eq!(json["cells"][1]["exposure"]["swapoffs"], 250, "of the last whole sample");
    assert_eq!(json["damaged"], 0);
}

#[test]
fn a_damaged_line_is_named_and_costs_the_answer() {
    let reports = Reports::new();
    let mut lines: Vec<&str> = RUN.lines().collect();
    let at = lines.iter().rposition(|line| line.contains("\"sample\"")).unwrap();
    lines[at] = "{\"at_ms\":11,\"event\":\"sample\",\"cell\":\"fix\u{0}\u{0}";
    reports.run("torn", &(lines.join("\n") + "\n"));
    let (code, text) = reports.render(&["torn"]);
    assert_eq!(code, Some(4), "{text}");
    assert!(text.starts_with("No answer: lines of the log are lost, and any of them"), "{text}");
    assert!(text.contains(&format!("torn/events.jsonl: line {}: not an event", at + 1)), "{text}");
    let (_, json) = reports.json(&["torn"]);
    assert_eq!(json["cells"][1]["exposure"]["swapoffs"], 250, "the other lines are read");
}

#[test]
fn what_a_newer_program_wrote_is_skipped_and_named_once() {
    let reports = Reports::new();
    let newer = "{\"at_ms\":9,\"event\":\"moon-phase\",\"full\":true}\n".repeat(3);
    let (first, rest) = RUN.split_once('\n').unwrap();
    reports.run("newer", &format!("{first}\n{newer}{rest}"));
    let (code, text) = reports.render(&["newer"]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(text.matches("moon-phase").count(), 1, "{text}");
}

#[test]
fn runs_of_several_machines_are_merged() {
    let reports = Reports::new();
    reports.run("one", RUN);
    let other = RUN.replace("20261126T003100Z-4711", "other").replace("alpha", "beta");
    reports.run("two", &other);
    let merged = reports.scene.path("merged.jsonl");
    fs::write(merged, format!("{RUN}{other}")).unwrap();
    for args in [&["one", "two"][..], &["merged.jsonl"]] {
        let (code, json) = reports.json(args);
        assert_eq!((code, json["cells"].as_array().unwrap().len()), (Some(0), 4));
        let hosts: Vec<_> =
            json["runs"].as_array().unwrap().iter().map(|r| &r["host_name"]).collect();
        assert_eq!(hosts, ["alpha", "beta"]);
        assert_eq!(json["cells"][3]["run"], "other");
        assert_eq!(json["proofs"][0]["buggy"]["hits"], 2);
        assert_eq!(json["problems"], serde_json::json!([]));
    }
    let (code, text) = reports.render(&["one", "two", "one"]);
    assert_eq!(code, Some(0));
    assert!(text.contains("other/fixed") && text.contains("is there twice"), "{text}");
}

#[test]
fn what_is_no_event_log_is_refused() {
    let reports = Reports::new();
    let scene = &reports.scene;
    fs::write(scene.path("prose.txt"), "once\nupon\na\ntime\n").unwrap();
    fs::write(scene.path("empty.jsonl"), "").unwrap();
    fs::create_dir(scene.path("folder")).unwrap();
    let hint = "name the folder of a run, or the events.jsonl in it";
    for (run, words) in [
        ("prose.txt", "prose.txt: it holds no event of a run"),
        ("empty.jsonl", "empty.jsonl: it holds no event of a run"),
        ("folder", "folder: there is no event log in this folder"),
        ("nonsuch", "nonsuch: there is no such file or folder"),
    ] {
        scene.refuses(&["report", run], 2, &[words, hint]);
    }
    // Of several, the one that is wrong is named.
    reports.run("good", RUN);
    scene.refuses(&["report", "good", "prose.txt"], 2, &["prose.txt: ", hint]);
    let newer = RUN.replacen("\"format\":2", "\"format\":3", 1);
    reports.run("future", &newer);
    let (code, stderr) = scene.run(&["report", "future"]);
    assert_eq!(code, Some(2));
    assert!(
        stderr.contains("future/events.jsonl: line 1: event format 3 is newer than 2"),
        "{stderr}"
    );
    assert!(stderr.contains("update swapstorm"), "{stderr}");
}

#[test]
fn only_a_run_on_the_virtual_clock_that_ended_by_itself_can_be_replayed() {
    let reports = Reports::new();
    let replay = |log: &str, args: &[&str]| {
        let folder = reports.run("night", log);
        let mut command = reports.scene.command();
        let output = command.arg("replay").arg(folder).args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let said = replay(RUN, &[]);
    assert!(said.contains("--cell with one of buggy, fixed"), "{said}");
    let said = replay(RUN, &["--cell", "nonsuch"]);
    assert!(said.contains("no cell `nonsuch`"), "{said}");
    let said = replay(RUN, &["--cell", "fixed"]);
    assert!(said.contains("by the host's clock") && said.contains("--clock virtual"), "{said}");
    let own = RUN.replace("\"clock\":\"wall\"", "\"clock\":\"virtual\"");
    let said = replay(&own, &["--cell", "fixed", "--boot", "7"]);
    assert!(said.contains("no such machine"), "{said}");
    let said = replay(&own, &["--cell", "fixed"]);
    assert!(said.contains("has no digest"), "{said}");
}
