// SPDX-License-Identifier: MIT OR Apache-2.0
//! `swapstorm compare`: exit codes, runs and what is refused.

use std::fs;

use serde_json::json;

use crate::scene::Scene;

/// Series, and pages written back.
pub type Kernels<'a> = &'a [(Option<&'a str>, u64)];

/// A run of the kernel as it is and with a series: in each of `runs` storms so many pages were written back.
pub fn log(id: &str, kernels: Kernels, runs: u64) -> String {
    let mut events = vec![json!({ "event": "run-started", "format": 2, "id": id, "version": "1",
        "command": ["run"], "started": "2026-01-01T00:00:00Z", "seed": 1, "host": {} })];
    for (series, writebacks) in kernels {
        for number in 1..=runs {
            let cell = format!("{}-{number}", series.unwrap_or("plain"));
            let row = |ms: u64, stores: u64, writebacks: u64| json!({ "event": "sample", "cell": cell, "boot": 1, "row": [ms, ms, stores, writebacks] });
            events.extend([
                json!({ "event": "cell-planned", "cell": { "id": cell, "kernel": "debian-6.1",
                    "series": series, "arch": "x86_64", "profile": "p", "technique": "natural", "clock": "virtual",
                    "number": number, "seed": number, "expect": null, "should_show": null } }),
                json!({ "event": "vm-started", "cell": cell, "boot": 1, "accel": "tcg",
                    "argv": ["qemu"], "cmdline": "" }),
                json!({ "event": "guest-ready", "cell": cell, "boot": 1, "boot_ms": 9 }),
                json!({ "event": "columns", "cell": cell, "boot": 1,
                    "columns": ["guest_ms", "seq", "zswpout", "zswpwb"] }),
                row(1, 0, 0),
                row(9_000, 20_000, writebacks + number * 7 % 5 * 10),
                json!({ "event": "guest-done", "cell": cell, "boot": 1, "reason": "stop" }),
                json!({ "event": "vm-stopped", "cell": cell, "boot": 1, "why": "budget" }),
                json!({ "event": "cell-finished", "cell": cell }),
            ]);
        }
    }
    events.push(json!({ "event": "run-finished", "interrupted": false }));
    let line = |mut event: serde_json::Value| {
        event["at_ms"] = json!(1);
        format!("{event}\n")
    };
    events.into_iter().map(line).collect()
}

fn scene(runs: &[(&str, Kernels, u64)]) -> Scene {
    let scene = Scene::new();
    for (name, kernels, storms) in runs {
        fs::create_dir_all(scene.path(name)).unwrap();
        fs::write(scene.path(name).join("events.jsonl"), log(name, kernels, *storms)).unwrap();
    }
    scene
}

fn compare(scene: &Scene, args: &[&str]) -> (Option<i32>, String, String) {
    let output = scene.command().arg("compare").args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_exit_code_is_the_answer() {
    for (writebacks, storms, code, words) in [
        (3_600, 8, 1, "Regression: writebacks-per-store"),
        (4_000, 8, 0, "No change larger than 5.0 %"),
        (4_600, 8, 0, "No regression of 5.0 % or more"),
        (3_600, 7, 4, "1 more pair may tell"),
    ] {
        let scene = scene(&[("run", &[(None, 4_000), (Some("fix"), writebacks)], storms)]);
        let (seen, text, _) = compare(&scene, &["run", "--metric", "writebacks-per-store"]);
        assert_eq!(seen, Some(code), "{text}");
        assert!(text.contains(words), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }
}

#[test]
fn two_runs_and_every_format() {
    let (plain, fixed): (Kernels, Kernels) = (&[(None, 4_000)], &[(Some("fix"), 3_600)]);
    let scene = scene(&[("a", plain, 8), ("b", fixed, 8)]);
    for (format, begin) in
        [("text", "A debian-6.1"), ("json", "{"), ("markdown", "**"), ("svg", "<svg ")]
    {
        let (code, text, _) = compare(&scene, &["a", "b/events.jsonl", "--format", format]);
        assert_eq!(code, Some(1));
        assert!(text.starts_with(begin), "{text}");
    }
    let over_time = ["a", "b", "--over-time", "writebacks-per-store", "--format", "svg"];
    let (code, text, _) = compare(&scene, &over_time);
    assert_eq!(code, Some(1));
    assert!(text.starts_with("<svg ") && text.matches("<polyline").count() == 16, "{text}");
    let (code, text, _) = compare(&scene, &["b", "a"]);
    assert_eq!(code, Some(0), "the other way round it is an improvement: {text}");
    let why = "--expect=writebacks-per-store=the pool is larger";
    assert_eq!(compare(&scene, &["a", "b", why]).0, Some(0));
}

#[test]
fn what_cannot_be_compared_is_a_usage_error_with_a_hint() {
    let kernels = [(None, 4_000), (Some("fix"), 4_000), (Some("other"), 4_000)];
    let scene = scene(&[("run", &kernels, 8), ("one", &kernels[..1], 8)]);
    for (args, words) in [
        (&["run"][..], "the run has 3 kernels"),
        (&["one"], "the run has one kernel"),
        (&["run", "--a", "none"], "B would be several kernels"),
        (&["run", "--b", "fixx"], "no cell of B answers to `fixx`"),
        (&["run", "run", "--a", "none"], "this is the run that A is from"),
        (&["run", "--a", "none", "--b", "fix", "--metric", "x"], "there is no metric `x`"),
        (&["nowhere"], "there is no such file or folder"),
        (&["run", "--margin", "0"], "expected per cent"),
        (&["run", "--expect", "x"], "METRIC=REASON"),
        (&["run", "--over-time", "writebacks-per-store"], "add --format svg"),
        (&["run", "--over-time", "x", "--format", "svg"], "there is no metric `x`"),
    ] {
        let (code, _, stderr) = compare(&scene, args);
        assert_eq!(code, Some(2), "{args:?}: {stderr}");
        assert!(stderr.contains(words), "{args:?}: {stderr}");
    }
    assert_eq!(compare(&scene, &["run", "--a", "none", "--b", "fix"]).0, Some(0));
}

/// As much of a kernel's tree as configuring it takes, of this version.
fn tree(scene: &Scene, name: &str, version: &str) {
    let makefile = format!(
        "tinyconfig:\n\techo '# Linux/x86 {version} Kernel Configuration' > $(O)/.config\n\
         olddefconfig:\n\ttrue\nbzImage vmlinux:\n\tfalse\n"
    );
    let merge = "shift 2; cat \"$@\" >> .config\n";
    for (file, text) in
        [("Makefile", &*makefile), ("Kconfig", ""), ("scripts/kconfig/merge_config.sh", merge)]
    {
        let file = scene.path(name).join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    let (dir, config) = (scene.path(name), "{base: tinyconfig, fragments: [], arch: {x86_64: []}}");
    let manifest = format!("about: a\nsource: {{dir: {}}}\nconfig: {config}\n", dir.display());
    scene.own(&format!("kernels/manifests/{name}.yaml"), &manifest);
}

#[test]
fn kernels_that_want_different_variants_are_refused_before_the_first_storm() {
    let scene = Scene::new();
    tree(&scene, "old", "6.1.99");
    tree(&scene, "older", "5.15.9");
    tree(&scene, "new", "6.12.9");
    scene.fake("qemu-system-x86_64", "echo QEMU emulator version 7.2");
    let kernels = |a: &str, b: &str| {
        let named = [a, b].map(|kernel| format!("--kernel={kernel}"));
        ["compare".to_owned(), named[0].clone(), named[1].clone()]
    };
    let args = kernels("old", "new");
    let words = [
        "variants of the profile writeback-steady",
        "small-pool for A, old",
        "shrinker for B, new",
    ];
    scene.refuses(&args.each_ref().map(String::as_str), 2, &words);
    // Where both want the same, and where it is forced, it is the compiling that fails.
    for (mut args, force) in [(kernels("old", "older").to_vec(), false), (args.to_vec(), true)] {
        args.extend(force.then(|| "--force".to_owned()));
        let (_, stderr) = scene.run(&args.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(!stderr.contains("different conditions"), "{stderr}");
        assert!(scene.path("out").exists(), "{stderr}");
        fs::remove_dir_all(scene.path("out")).unwrap();
    }
}
