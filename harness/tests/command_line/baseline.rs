// SPDX-License-Identifier: MIT OR Apache-2.0
//! `swapstorm baseline`: what is kept, what is accepted, and what later nights are compared with.

use std::fs;

use serde_json::Value;

use crate::compare::{Kernels, log};
use crate::scene::Scene;

const PLAIN: Kernels = &[(None, 4_000)];

/// A scene with runs: their names, kernels and numbers of storms.
fn scene(runs: &[(&str, Kernels, u64)]) -> Scene {
    let scene = Scene::new();
    for (name, kernels, storms) in runs {
        fs::create_dir_all(scene.path(name)).unwrap();
        fs::write(scene.path(name).join("events.jsonl"), log(name, kernels, *storms)).unwrap();
    }
    scene
}

/// Runs the program: exit code, stdout, stderr.
fn run(scene: &Scene, args: &[&str]) -> (Option<i32>, String, String) {
    let output = scene.command().args(args).output().unwrap();
    let stdout = String::from_utf8(output.stdout.clone()).unwrap();
    let (code, stderr) = scene.talk(output);
    (code, stdout, stderr)
}

/// Records a run, which makes a single baseline. Gives its id.
fn record(scene: &Scene, name: &str) -> String {
    let (code, stdout, stderr) = run(scene, &["baseline", "record", name, "--json"]);
    assert_eq!(code, Some(0), "{stderr}");
    let json: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(json["recorded"].as_array().unwrap().len(), 1, "{stdout}{stderr}");
    json["recorded"][0].as_str().unwrap().to_owned()
}

fn compare(scene: &Scene, args: &[&str]) -> (Option<i32>, String, String) {
    let all = [&["compare", "--metric", "writebacks-per-store"], args].concat();
    run(scene, &all)
}

#[test]
fn nights_are_measured_by_what_was_kept_until_another_one_is_accepted() {
    let less: Kernels = &[(None, 3_600)];
    let scene = scene(&[("good", PLAIN, 8), ("bad", less, 8), ("next", less, 8)]);
    let first = record(&scene, "good");
    let file = scene.path("xdg/swapstorm/baselines.jsonl");
    let kept = fs::read_to_string(&file).unwrap();
    let (code, text, _) = compare(&scene, &["--baseline", "bad"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains(&format!("A debian-6.1, baseline {first}\n")), "{text}");
    assert!(text.contains("Regression: writebacks-per-store"), "{text}");
    for (format, begin) in [("json", "{"), ("markdown", "**Regression"), ("svg", "<svg ")] {
        let (code, text, _) = compare(&scene, &["--baseline", "bad", "--format", format]);
        assert_eq!((code, text.starts_with(begin)), (Some(1), true), "{text}");
    }

    // It is kept, too, and as the newest it would be the measure.
    let second = record(&scene, "bad");
    assert_ne!(first, second);
    assert_eq!(compare(&scene, &["--baseline", "next"]).0, Some(0));
    let accept = |id: &str, why: &str| {
        let (code, _, stderr) = run(&scene, &["baseline", "accept", id, "--note", why]);
        assert_eq!(code, Some(0), "{stderr}");
        stderr
    };
    accept(&first, "what we promised");
    assert_eq!(compare(&scene, &["--baseline", "next"]).0, Some(1));
    let said = accept(&second, "writes back less, on purpose");
    assert!(said.contains(&format!("measured by {second}, and no more by {first}")), "{said}");
    let (code, text, _) = compare(&scene, &["--baseline", "next"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("writes back less, on"), "{text}");
    assert_eq!(compare(&scene, &[&format!("--baseline={first}"), "next"]).0, Some(1));
    // Not a byte of what was there has changed.
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.starts_with(&kept));
    assert_eq!(text.lines().count(), 4);

    let (code, list, _) = run(&scene, &["baseline", "list"]);
    assert_eq!(code, Some(0));
    let ends: Vec<&str> = list.lines().skip(1).map(|line| &line[line.len() - 12..]).collect();
    assert_eq!(ends, ["was accepted", "    accepted"], "{list}");
    let (_, show, _) = run(&scene, &["baseline", "show", &second]);
    assert!(show.contains("writes back less, on purpose"), "{show}");
    assert!(show.contains("8 storms, number 1 to 8"), "{show}");
    assert!(show.lines().any(|line| line.starts_with("writebacks-per-store    0.181")), "{show}");
    let (_, json, _) = run(&scene, &["baseline", "show", &first, "--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["accepted"][0]["reason"], "what we promised");
    assert_eq!(json["standing"], "was-accepted");
}

#[test]
fn a_run_is_kept_once_with_each_of_its_kernels() {
    let scene = scene(&[("run", &[(None, 4_000), (Some("fix"), 4_000)], 8), ("few", PLAIN, 3)]);
    let (code, stdout, _) = run(&scene, &["baseline", "record", "run", "--cells", "fix"]);
    assert_eq!(code, Some(0));
    assert_eq!(stdout.lines().count(), 1, "{stdout}");
    assert!(stdout.contains("-1  debian-6.1 + fix: x86_64, "), "{stdout}");
    let (code, stdout, stderr) = run(&scene, &["baseline", "record", "run", "--note", "all"]);
    assert_eq!((code, stdout.lines().count()), (Some(0), 1), "{stdout}");
    assert!(stdout.contains("-2  debian-6.1: x86_64, ") && stdout.contains(", 8 storms"));
    assert!(
        stderr.contains("kept already, as ") && stderr.contains("debian-6.1 + fix"),
        "{stderr}"
    );
    let (_, _, stderr) = run(&scene, &["baseline", "record", "few"]);
    assert!(stderr.contains("fewer storms than the 8"), "{stderr}");
    let (_, json, _) = run(&scene, &["baseline", "list", "--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    let notes = json["baselines"].as_array().unwrap().iter().map(|baseline| &baseline["note"]);
    assert_eq!(notes.collect::<Vec<_>>(), ["", "all", ""]);
    // Each kernel has its own.
    for words in ["fix", "none"] {
        let (code, text, stderr) = compare(&scene, &["--baseline", "run", "--b", words]);
        assert_eq!(code, Some(if words == "fix" { 0 } else { 4 }), "{text}{stderr}");
    }
}

#[test]
fn what_has_another_key_is_refused_unless_it_is_named_and_forced() {
    let scene = scene(&[("run", PLAIN, 8), ("fixed", &[(Some("fix"), 4_000)], 8)]);
    let id = record(&scene, "run");
    let refused = |args: &[&str], words: &[&str]| {
        let (code, stdout, stderr) = compare(&scene, args);
        assert_eq!((code, &*stdout), (Some(2), ""), "{stderr}");
        for word in words.iter().chain(&["\n  hint: "]) {
            assert!(stderr.contains(word), "{args:?}: no {word:?} in {stderr}");
        }
    };
    let there = format!("\n    {id}: debian-6.1: x86_64, p@");
    let none = "baselines.jsonl: no baseline has the key of the run,\n    debian-6.1 + fix: x86_64";
    refused(&["--baseline", "fixed"], &[none, &there]);
    let named = format!("--baseline={id}");
    let differs = "kernel: debian-6.1 in the baseline, debian-6.1 + fix in the run";
    refused(&[&named, "fixed"], &[differs, "--force"]);
    let (code, text, _) = compare(&scene, &[&named, "fixed", "--force"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("forced: kernel differs, debian-6.1 in A and debian-6.1 + fix"),
        "{text}"
    );
    refused(&["--baseline=nonsuch", "run"], &["there is no baseline `nonsuch`", &id]);
    refused(&["--baseline", "run", "--baselines", "empty"], &["swapstorm baseline record"]);
    for args in [&["--baseline"][..], &["--baseline", "run", "--a", "none"]] {
        let (code, _, stderr) = compare(&scene, args);
        assert_eq!(code, Some(2), "{args:?}: {stderr}");
    }
}

#[test]
fn wrong_words_and_runs_are_refused_and_nothing_is_written() {
    let scene = scene(&[("run", PLAIN, 8)]);
    let whole = log("run", PLAIN, 8);
    let unfinished = whole.lines().count() - 1;
    let cut: Vec<&str> = whole.lines().take(unfinished).collect();
    fs::write(scene.path("cut.jsonl"), cut.join("\n")).unwrap();
    fs::write(scene.path("crashed.jsonl"), whole.replace("budget", "crashed")).unwrap();
    fs::write(scene.path("two.jsonl"), log("one", PLAIN, 8) + &log("two", PLAIN, 8)).unwrap();
    for (args, words) in [
        (&["record", "nowhere"][..], "there is no such file or folder"),
        (&["record", "cut.jsonl"], "the run has not come to its end"),
        (&["record", "crashed.jsonl"], "no storm of it says what its kernel does"),
        (&["record", "two.jsonl"], "it holds 2 runs"),
        (&["record", "run", "--cells", "fix"], "no cell answers to `fix`"),
        (&["show", "nonsuch"], "there is no baseline `nonsuch`"),
        (&["accept", "nonsuch", "--note", "why"], "there is no baseline `nonsuch`"),
    ] {
        scene.refuses(&[&["baseline"], args].concat(), 2, &[words]);
    }
    for args in [
        &["accept", "x"][..],
        &["accept", "x", "--note", " "],
        &["record", "run", "--note", &"x".repeat(1001)],
    ] {
        let (code, stderr) = scene.run(&[&["baseline"], args].concat());
        assert_eq!(code, Some(2), "{stderr}");
    }
    let text = fs::read_to_string(scene.path("xdg/swapstorm/baselines.jsonl")).unwrap_or_default();
    assert_eq!(text, "");
}

#[test]
fn a_file_that_is_damaged_or_newer_is_used_as_far_as_it_can_be() {
    let scene = scene(&[("one", PLAIN, 8), ("two", PLAIN, 8)]);
    let with = |args: &[&str]| {
        let output = scene.command().env("SWAPSTORM_BASELINES", "my/own.jsonl").args(args).output();
        let output = output.unwrap();
        let stdout = String::from_utf8(output.stdout.clone()).unwrap();
        let (code, stderr) = scene.talk(output);
        assert_eq!(code, Some(0), "{stderr}");
        (stdout, stderr)
    };
    with(&["baseline", "record", "one"]);
    let file = scene.path("my/own.jsonl");
    let line = fs::read_to_string(&file).unwrap();
    let newer = line.replacen("\"format\":1", "\"format\":7", 1);
    let cut = &line[..line.len() / 2];
    fs::write(&file, format!("{line}{newer}{cut}")).unwrap();
    let (list, said) = with(&["baseline", "list"]);
    assert_eq!(list.lines().count(), 2, "{list}");
    assert!(said.contains("[SCENE]/my/own.jsonl: line 2: it is skipped, its format 7"), "{said}");
    assert!(said.contains("own.jsonl: line 3: it is cut"), "{said}");
    // The next one is a line of its own.
    let (_, said) = with(&["baseline", "record", "two"]);
    assert!(said.contains("line 3: it is cut"), "{said}");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.starts_with(&format!("{line}{newer}{cut}\n{{")), "{text}");
    let (list, _) = with(&["baseline", "list"]);
    assert_eq!(list.lines().count(), 3, "{list}");
    with(&["compare", "--baseline", "one", "--metric", "writebacks-per-store"]);
    // Where the file is named for good, logs are compared as ever.
    with(&["compare", "one", "two", "--metric", "writebacks-per-store"]);
    assert!(!scene.path("xdg").exists());
}
