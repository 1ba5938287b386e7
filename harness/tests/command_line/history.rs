// SPDX-License-Identifier: MIT OR Apache-2.0
//! `swapstorm history`: what is recorded, what is said of it, what is refused.

use std::fs;

use serde_json::{Value, json};

use crate::compare::log;
use crate::scene::Scene;

/// The log of a run of three storms that began on this day; in so many of them a bug of this title showed.
fn night(id: &str, day: &str, shown: u64, title: &str) -> String {
    let text = log(id, &[(None, 4_000)], 3).replace("2026-01-01T00:00:00Z", day);
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let last = lines.pop().unwrap();
    for number in 1..=shown {
        let signature = format!("{:016x}", title.len());
        let finding = json!({ "title": title, "type": "WARNING", "frame": "x", "head": title, "stacks": [],
            "text": title, "offset": 0, "signature": signature });
        let found = json!({ "at_ms": 1, "event": "found", "cell": format!("plain-{number}"), "boot": 1,
            "guest_ms": 5, "finding": finding });
        lines.push(found.to_string());
    }
    lines.push(last);
    lines.join("\n") + "\n"
}

/// A scene with runs of nights of January 2026: how many storms of each showed a bug.
fn scene(nights: &[u64]) -> Scene {
    let scene = Scene::new();
    for (day, shown) in (10..).zip(nights) {
        let text =
            night(&format!("run-{day}"), &format!("2026-01-{day}T22:00:00Z"), *shown, "old bug");
        fs::write(scene.path(&format!("{day}.jsonl")), text).unwrap();
    }
    scene
}

/// Runs the program: exit code, stdout, stderr.
fn run(scene: &Scene, args: &[&str]) -> (Option<i32>, String, String) {
    let output = scene.command().arg("history").args(args).output().unwrap();
    let stdout = String::from_utf8(output.stdout.clone()).unwrap();
    let (code, stderr) = scene.talk(output);
    (code, stdout, stderr)
}

/// Runs it where it must succeed: stdout and stderr.
#[track_caller]
fn done(scene: &Scene, args: &[&str]) -> (String, String) {
    let (code, stdout, stderr) = run(scene, args);
    assert_eq!(code, Some(0), "{args:?}: {stderr}");
    (stdout, stderr)
}

#[test]
fn runs_are_recorded_once_and_nights_are_told() {
    let scene = scene(&[3, 3, 0, 0]);
    let file = scene.path("xdg/swapstorm/history.jsonl");
    let (stdout, stderr) = done(&scene, &[]);
    assert_eq!(stdout, "Nothing is recorded.\n");
    assert!(
        stderr.contains("history.jsonl: it holds no run: `swapstorm history record"),
        "{stderr}"
    );
    assert!(!file.exists());
    let (stdout, _) = done(&scene, &["record", "10.jsonl", "11.jsonl", "12.jsonl"]);
    assert_eq!(stdout, "run-10\nrun-11\nrun-12\n");
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(text.lines().count(), 3);
    let (stdout, stderr) = done(&scene, &["record", "--json", "12.jsonl", "13.jsonl"]);
    let value: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(value, json!({ "recorded": ["run-13"], "known": ["run-12"], "unfinished": [] }));
    assert!(stderr.contains("kept already: run-12"), "{stderr}");
    assert!(fs::read_to_string(&file).unwrap().starts_with(&text));

    let (text, _) = done(&scene, &["--newest", "2"]);
    assert!(text.starts_with("The night of 2026-01-13: 1 bug vanished.\n"), "{text}");
    assert!(text.contains("vanished: old bug\n"), "{text}");
    // One of the C(12, 6) ways to spread them, but for the C(9, 6) that leave the first night out.
    assert!(text.contains("0 of 6 runs in the newest 2 nights, which chance alone"), "{text}");
    assert!(text.contains("\n  of 0.12 %.\n"), "{text}");
    assert!(
        text.contains("in 6 of 12 runs that could show it: 50.0 % (21.1 % to 78.9 %)"),
        "{text}"
    );
    assert!(text.lines().any(|line| line.starts_with("  writebacks-per-store ")), "{text}");
    assert_eq!(done(&scene, &["show", "--newest", "2"]).0, text);
    for (format, begin) in
        [("json", "{"), ("html", "<!doctype html>"), ("markdown", "# swapstorm history")]
    {
        let (text, _) = done(&scene, &["--newest", "2", "--format", format]);
        assert!(text.starts_with(begin) && text.contains("old bug"), "{text}");
    }
}

#[test]
fn a_run_that_is_not_recorded_is_shown_beside_the_others_and_leaves_no_trace() {
    let scene = scene(&[1, 1]);
    done(&scene, &["record", "10.jsonl", "11.jsonl"]);
    let text = night("tonight", "2026-01-20T22:00:00Z", 1, "a bug of tonight");
    fs::create_dir(scene.path("tonight")).unwrap();
    fs::write(scene.path("tonight/events.jsonl"), text).unwrap();
    let (text, _) = done(&scene, &["show", "tonight"]);
    assert!(text.starts_with("The night of 2026-01-20: 1 bug new.\n"), "{text}");
    assert_eq!(done(&scene, &["tonight"]).0, text);
    let (text, _) = done(&scene, &[]);
    assert!(
        !text.contains("tonight") && text.contains("2 nights, 2026-01-10 to 2026-01-11"),
        "{text}"
    );
    assert_eq!(
        fs::read_to_string(scene.path("xdg/swapstorm/history.jsonl")).unwrap().lines().count(),
        2
    );
}

#[test]
fn a_report_says_what_is_new_beside_the_nights_before() {
    let scene = scene(&[1, 1]);
    let tonight = |title: &str| {
        fs::write(scene.path("tonight.jsonl"), night("tonight", "2026-01-20T22:00:00Z", 1, title))
            .unwrap();
    };
    let report = |args: &[&str]| {
        let args = [&["report", "tonight.jsonl"], args].concat();
        let output = scene.command().args(args).output().unwrap();
        assert!(output.stderr.is_empty(), "{output:?}");
        // As a mail, it has words on lines of their own.
        String::from_utf8(output.stdout).unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
    };
    tonight("a bug of tonight");
    // Where nothing is recorded, nothing can be new.
    for format in ["text", "json", "markdown", "html"] {
        let text = report(&["--format", format]);
        assert!(!text.contains("Beside") && !text.contains("\"news\""), "{text}");
    }
    done(&scene, &["record", "10.jsonl", "11.jsonl"]);
    for format in ["text", "markdown", "html"] {
        let text = report(&["--format", format]);
        let beside = "Beside 2 nights, 2026-01-10 to 2026-01-11: 1 bug new; 1 bug not seen, which may well be chance.";
        assert!(text.contains(beside), "{text}");
        assert!(
            text.contains("New: a bug of tonight; no night before 2026-01-20 saw it"),
            "{text}"
        );
    }
    let value: Value = serde_json::from_str(&report(&["--format", "json"])).unwrap();
    assert_eq!(
        (&value["news"]["nights"], &value["news"]["bugs"][0]["turn"]),
        (&2.into(), &"new".into())
    );
    tonight("old bug");
    assert!(report(&[]).contains("2026-01-11: 1 bug as before. "), "{}", report(&[]));
    assert!(!report(&["--history", "none.jsonl"]).contains("Beside"));
}

#[test]
fn filters_take_what_they_name_and_names_that_nobody_has_are_refused() {
    let scene = scene(&[1, 1, 1]);
    done(&scene, &["record", "10.jsonl", "11.jsonl", "12.jsonl"]);
    let (text, _) = done(&scene, &["--since", "2026-01-12"]);
    assert!(text.contains("1 night, 2026-01-12: 1 run") && !text.contains("new:"), "{text}");
    let (text, said) = done(&scene, &["--since", "30d"]);
    assert_eq!(text, "Nothing is recorded.\n");
    assert!(said.contains("no run of it is of these nights"), "{said}");
    let (text, _) = done(&scene, &["--arch", "x86_64", "--kernel", "debian-6.1"]);
    assert!(text.contains("3 nights"), "{text}");
    scene.refuses(
        &["history", "--arch", "sparc"],
        2,
        &["no run has the architecture `sparc`", "x86_64"],
    );
    scene.refuses(
        &["history", "show", "--kernel", "6.2"],
        2,
        &["no run has the kernel `6.2`", "debian-6.1"],
    );
    for args in [&["--since", "30d"][..], &["--format", "html"], &["--newest", "3"]] {
        let args = [&["history"], args, &["prune", "--keep", "1d"]].concat();
        scene.refuses(&args, 2, &["stand before another command"]);
    }
    for args in [
        &["--since", "soon"][..],
        &["--since", "2026-01-32"],
        &["--newest", "0"],
        &["--format", "svg"],
        &["prune"],
        &["prune", "--keep", "ever"],
        &["record"],
    ] {
        assert_eq!(run(&scene, args).0, Some(2), "{args:?}");
    }
}

#[test]
fn runs_that_have_not_ended_are_named_and_the_others_recorded() {
    let scene = scene(&[1, 1]);
    let whole = fs::read_to_string(scene.path("11.jsonl")).unwrap();
    let cut: Vec<&str> = whole.lines().take(whole.lines().count() - 1).collect();
    fs::write(scene.path("11.jsonl"), cut.join("\n")).unwrap();
    let (code, stdout, stderr) = run(&scene, &["record", "11.jsonl", "10.jsonl"]);
    assert_eq!((code, stdout.as_str()), (Some(2), "run-10\n"), "{stderr}");
    assert!(stderr.contains("error: the run run-11 has not come to its end"), "{stderr}");
    let headless = whole.lines().skip(1).collect::<Vec<_>>().join("\n");
    fs::write(scene.path("headless.jsonl"), headless).unwrap();
    let why = "its start is no time";
    scene.refuses(&["history", "record", "headless.jsonl"], 2, &["cannot be recorded", why]);
    scene.refuses(
        &["history", "headless.jsonl"],
        2,
        &["headless.jsonl: the run cannot be shown", why],
    );
    scene.refuses(&["history", "record", "nowhere"], 2, &["there is no such file or folder"]);
    let file = scene.path("xdg/swapstorm/history.jsonl");
    assert_eq!(fs::read_to_string(file).unwrap().lines().count(), 1);
}

#[test]
fn files_of_several_machines_are_one_and_what_is_damaged_is_named() {
    let scene = scene(&[1, 1, 0]);
    done(&scene, &["record", "--file", "a.jsonl", "10.jsonl", "11.jsonl"]);
    done(&scene, &["record", "11.jsonl", "12.jsonl", "--file", "b.jsonl"]);
    let read = |name: &str| fs::read_to_string(scene.path(name)).unwrap();
    fs::write(scene.path("all.jsonl"), format!("{}damage\n{}", read("a.jsonl"), read("b.jsonl")))
        .unwrap();
    let output =
        scene.command().args(["history"]).env("SWAPSTORM_HISTORY", "all.jsonl").output().unwrap();
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let (code, said) = scene.talk(output);
    assert_eq!(code, Some(0));
    assert!(text.contains("3 nights, 2026-01-10 to 2026-01-12: 3 runs"), "{text}");
    assert!(said.contains("[SCENE]/all.jsonl: line 3: it is skipped, it is no record"), "{said}");
    // The variable names the file for each of the commands.
    for args in [&["record", "10.jsonl"][..], &["prune", "--keep", "9999w"]] {
        let mut command = scene.command();
        let output =
            command.arg("history").args(args).env("SWAPSTORM_HISTORY", "all.jsonl").output();
        let (code, said) = scene.talk(output.unwrap());
        assert_eq!(code, Some(0), "{said}");
    }
    assert_eq!(read("all.jsonl").lines().count(), 4);
    assert!(!scene.path("xdg").exists());
}

#[test]
fn old_nights_are_pruned_and_new_ones_stay() {
    let scene = scene(&[1, 1]);
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    fs::write(scene.path("now.jsonl"), night("now", &now, 0, "")).unwrap();
    fs::write(scene.path("old.jsonl"), night("old", "2020-01-01T00:00:00Z", 0, "")).unwrap();
    done(&scene, &["record", "old.jsonl", "now.jsonl"]);
    let file = scene.path("xdg/swapstorm/history.jsonl");
    let text = fs::read_to_string(&file).unwrap() + "damage\n";
    fs::write(&file, &text).unwrap();
    let (_, said) = done(&scene, &["prune", "--keep", "400d"]);
    assert!(said.contains("1 removed, 1 kept, damaged lines left: 1"), "{said}");
    let kept: Vec<&str> = text.lines().skip(1).collect();
    assert_eq!(fs::read_to_string(&file).unwrap(), kept.join("\n") + "\n");
    let (_, said) = done(&scene, &["prune", "--keep", "400d"]);
    assert!(said.contains("0 removed, 1 kept"), "{said}");
}
