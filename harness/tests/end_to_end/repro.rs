// SPDX-License-Identifier: MIT OR Apache-2.0
//! The reproduction itself, and the controls of its verdict.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{Scene, shipped_series};

#[test]
fn the_race_shows_on_the_kernel_as_it_is_and_the_fixed_one_stays_clean() {
    let report = shows_on("x86_64", "vmlinux", 0.95);
    // The fixed kernel did write back: it was not clean because nothing happened.
    for fixed in cells_of(&report, false) {
        assert!(fixed["exposure"]["writebacks"].as_u64() > Some(0), "{report:#}");
    }
}

#[test]
fn the_race_shows_on_arm64_and_the_fixed_kernel_stays_clean() {
    shows_on("arm64", "Image", 0.8);
}

#[test]
fn the_race_shows_on_riscv64_and_the_fixed_kernel_stays_clean() {
    shows_on("riscv64", "Image", 0.8);
}

/// The whole of `repro` on one architecture. `image` is the kernel image that it boots. The fixed kernel's exposure, and with it the
/// time that this takes, follows from `confidence`.
fn shows_on(arch: &str, image: &str, confidence: f64) -> Value {
    let scene = Scene::new();
    // The budget is only the end of patience: a cell ends when it has had its exposure.
    let words = ["repro", "--arch", arch, "--seed", "1", "--budget", "10m", "--json"];
    let ran = scene.run(&[&words[..], &["--confidence", &confidence.to_string()]].concat());
    ran.expect(0);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report, scene.report());

    let (buggy, fixed) = (cells_of(&report, true), cells_of(&report, false));
    assert!(buggy.len() == 3 && !fixed.is_empty(), "{report:#}");
    for cell in &buggy {
        assert_eq!(cell["verdict"], "kernel-bug", "{report:#}");
        assert_eq!(cell["expected"], true, "{report:#}");
        assert_eq!(cell["cell"]["arch"], arch, "{report:#}");
    }
    let folder = scene.run_folder();
    // Of guests side by side, the one that shows a bug first is kept.
    let bundle = |cell: &Value| folder.join(format!("bundle-{}", id_of(cell)));
    let kept: Vec<_> = buggy.iter().filter(|cell| bundle(cell).exists()).collect();
    assert_eq!(kept.len(), 1, "{report:#}");
    let (first, bundle) = (kept[0], bundle(kept[0]));
    let title = expected_bug(first)["finding"]["title"].as_str().unwrap();
    assert!(title.starts_with("KASAN: use-after-free"), "{title}");
    for cell in &fixed {
        assert_eq!(cell["verdict"], "clean", "{report:#}");
        assert_eq!(cell["bugs"].as_array().unwrap().len(), 0, "{report:#}");
        assert!(cell["exposure"]["verified"].as_u64() > Some(0), "{report:#}");
    }
    // An unfixed kernel would have shown the bug meanwhile, with the stated probability.
    let proof = &report["proofs"][0];
    assert_eq!(proof["reached"], true, "{report:#}");
    assert!(proof["pass_probability"].as_f64().unwrap() <= 1.0 - confidence, "{report:#}");

    let boot = expected_bug(first)["first"]["boot"].as_u64().unwrap();
    let machine = folder.join(format!("{}/boot-{boot}", id_of(first)));
    let console = fs::read(machine.join("console.log")).unwrap();
    let console = String::from_utf8_lossy(&console);
    assert!(
        console.contains("BUG: KASAN: use-after-free") && console.contains("Allocated by task")
    );
    for file in ["README", "replay.sh", "config", image, "initramfs.cpio"] {
        assert!(bundle.join(file).is_file(), "{file} is missing");
    }
    replays(&bundle);
    let mail = fs::read_to_string(folder.join("report.md")).unwrap();
    assert!(mail.contains(title) && mail.contains("6.1."), "{mail}");
    // Sockets and disks are gone.
    let left: Vec<_> = fs::read_dir(machine).unwrap().flatten().collect();
    assert_eq!(left.len(), 2, "{left:?}");
    report
}

fn id_of(cell: &Value) -> &str {
    cell["cell"]["id"].as_str().unwrap()
}

/// CPUs that go offline take away what zswap holds for them: the profile names the rule and the fix.
#[test]
fn a_cpu_that_goes_takes_away_what_a_store_holds_and_the_fixed_kernel_stays_clean() {
    let scene = Scene::new();
    let args = ["repro", "--profile", "hotplug", "--seed", "1", "--budget", "10m"];
    scene.run(&args).expect(0);
    let report = scene.report();
    let (buggy, fixed) = (cells_of(&report, true), cells_of(&report, false));
    assert!(buggy.len() == 3 && !fixed.is_empty(), "{report:#}");
    for cell in &buggy {
        let text = expected_bug(cell)["finding"]["text"].as_str().unwrap();
        assert!(
            text.contains("zswap_dstmem_dead") || text.contains("zswap_cpu_comp_dead"),
            "{text}"
        );
    }
    for cell in &fixed {
        assert_eq!(cell["cell"]["series"], "zswap-cpu-hotplug-6.1", "{report:#}");
        assert_eq!(cell["verdict"], "clean", "{report:#}");
        assert_eq!(cell["corruption_count"], 0, "{report:#}");
    }
    assert_eq!(report["proofs"][0]["reached"], true, "{report:#}");
    // Its CPUs did go and come, too.
    let log = fs::read_to_string(scene.run_folder().join("events.jsonl")).unwrap();
    let mut at = None;
    let mut offs = BTreeMap::new();
    for event in log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        match event["event"].as_str() {
            Some("columns") => {
                at = event["columns"].as_array().unwrap().iter().position(|c| c == "cpu_offs");
            }
            Some("sample") => {
                let cell = event["cell"].as_str().unwrap().to_owned();
                offs.insert(cell, event["row"][at.unwrap()].as_u64());
            }
            _ => {}
        }
    }
    assert!(fixed.iter().all(|cell| offs[id_of(cell)] > Some(0)), "{offs:?}");
}

/// The cells of one side.
fn cells_of(report: &Value, should_show: bool) -> Vec<&Value> {
    let cells = report["cells"].as_array().unwrap().iter();
    cells.filter(|cell| cell["cell"]["should_show"] == should_show).collect()
}

/// The bug of a cell that its rule describes.
fn expected_bug(cell: &Value) -> &Value {
    let mut bugs = cell["bugs"].as_array().unwrap().iter();
    bugs.find(|bug| bug["standing"] == "expected").unwrap()
}

/// The bundle's script boots the machine without the harness and cleans up after itself.
fn replays(bundle: &Path) {
    let temporary = tempfile::tempdir().unwrap();
    let mut script = Command::new("sh")
        .arg(bundle.join("replay.sh"))
        .env("TMPDIR", temporary.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap();
    let console = BufReader::new(script.stdout.take().unwrap());
    // The end of the console would be the script's end, and then nothing has stormed.
    let stormed = console.split(b'\n').map_while(Result::ok).any(|line| {
        let line = String::from_utf8_lossy(&line).into_owned();
        line.contains(" swapstorm ") && line.contains(" sample ")
    });
    let group = format!("-{}", script.id());
    let killed = Command::new("kill").args(["-TERM", "--", &group]).status().unwrap();
    let code = script.wait().unwrap().code();
    assert!(stormed && killed.success(), "the machine ended before its storm");
    assert_eq!(code, Some(143));
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
}

/// Another crash in the fixed kernel is another bug, never the race.
#[test]
fn a_crash_elsewhere_is_another_bug() {
    let scene = Scene::new();
    let series = scene.path("series");
    fs::create_dir(&series).unwrap();
    let mut list = String::new();
    for name in ["zswap-writeback-swapoff-6.1", "bug-elsewhere-6.1"] {
        let folder = shipped_series(name);
        for line in fs::read_to_string(folder.join("series")).unwrap().lines() {
            if !line.is_empty() && !line.starts_with('#') {
                fs::copy(folder.join(line), series.join(line)).unwrap();
                list.push_str(&format!("{line}\n"));
            }
        }
    }
    fs::write(series.join("series"), list).unwrap();
    let ran = scene.run(&["repro", "--seed", "2", "--series", series.to_str().unwrap()]);
    ran.expect(1);
    let report = scene.report();
    assert_eq!(report["cells"][0]["expected"], true, "{report:#}");
    // Its guests run side by side: one of them may have had its exposure when another one crashed.
    let fixed = cells_of(&report, false);
    let crashed = fixed.iter().find(|cell| cell["verdict"] == "kernel-bug");
    let crashed = crashed.unwrap_or_else(|| panic!("{report:#}"));
    assert_eq!(crashed["expected"], false, "{report:#}");
    let title = crashed["bugs"][0]["finding"]["title"].as_str().unwrap();
    assert!(title.starts_with("kernel BUG in"), "{title}");
}

/// A report that is only related to the race is no reason to stop looking for it, and never counts
/// as it.
#[test]
fn a_related_report_is_not_the_race() {
    let scene = Scene::new();
    scene.run(&["repro", "--seed", "4", "--reintroduce", "null-tree-6.1"]).expect(1);
    let report = scene.report();
    let cell = &report["cells"][0];
    assert_eq!(
        (&cell["verdict"], &cell["expected"]),
        (&"kernel-bug".into(), &false.into()),
        "{report:#}"
    );
    let boots = cell["boots"].as_array().unwrap();
    assert_eq!(boots.len(), 3, "{report:#}");
    assert!(boots.iter().all(|boot| boot["end"] == "derailed"), "{report:#}");
    assert_eq!(cell["bugs"][0]["standing"], "related", "{report:#}");
}

/// With `--reintroduce` the series belongs to the side that is to show the bug. The fixing series put there
/// shows that the sides are swapped: the bug does not come, and a kernel cannot be called fixed
/// of a bug that nobody saw.
#[test]
fn a_series_that_is_to_bring_the_bug_belongs_to_the_buggy_side() {
    let scene = Scene::new();
    let series = "zswap-writeback-swapoff-6.1";
    let args = ["repro", "--seed", "3", "--budget", "4s", "--reintroduce", series];
    scene.run(&args).expect(4);
    let report = scene.report();
    assert!(cells_of(&report, false).is_empty(), "{report:#}");
    for with in cells_of(&report, true) {
        assert_eq!(with["cell"]["series"], series, "{report:#}");
        assert_eq!(with["verdict"], "not-shown", "{report:#}");
    }
}

/// Without preemption the window holds no quiescent state: nothing is compiled or booted.
#[test]
fn a_kernel_that_cannot_show_the_race_is_not_booted() {
    let scene = Scene::new();
    let manifests =
        scene_manifest(&scene, "no-preempt", "CONFIG_PREEMPT_NONE=y\nCONFIG_PREEMPT=n\n");
    let ran = scene.run(&["repro", "--kernel", &manifests]);
    ran.expect(4).says(&["CONFIG_PREEMPT", "quiescent state"]);
    let report = scene.report();
    assert_eq!(report["cells"][0]["verdict"], "unreachable", "{report:#}");
    assert_eq!(report["cells"][0]["boots"].as_array().unwrap().len(), 0);
}

/// A manifest of the user's own: Debian's 6.1 with one more fragment. Returns its name.
pub fn scene_manifest(scene: &Scene, fragment: &str, options: &str) -> String {
    let shipped = |file: &str| {
        let kernels = concat!(env!("CARGO_MANIFEST_DIR"), "/../kernels/");
        fs::read_to_string(format!("{kernels}{file}")).unwrap()
    };
    let text = shipped("manifests/debian-6.1.yaml") + &shipped("config/standard.yaml");
    let text = text.replace("race]", &format!("race, {fragment}]"));
    assert!(text.contains(fragment), "{text}");
    scene.own(&format!("kernels/config/{fragment}.config"), options);
    scene.own(&format!("kernels/manifests/with-{fragment}.yaml"), &text);
    format!("with-{fragment}")
}
