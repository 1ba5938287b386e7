// SPDX-License-Identifier: MIT OR Apache-2.0
//! Plans of nights before anything is made, and runs that cannot be gone on with.

use std::fs;

use crate::scene::Scene;

const NIGHT: &str = "about: a night
kernels: [debian-6.1, debian-6.12]
arch: [x86_64, riscv64]
profiles: [zswap-writeback-swapoff]
runs: 2
storm: 30s
exclude: [{kernels: [debian-6.12], arch: [riscv64]}]
overrides: [{cells: {arch: [riscv64]}, runs: 1}]
";

#[test]
fn a_dry_run_says_what_would_be_run_and_makes_nothing() {
    let scene = Scene::new();
    fs::write(scene.path("night.yaml"), NIGHT).unwrap();
    let ran = scene.command().args(["run", "night.yaml", "--dry-run"]).output().unwrap();
    let stdout = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    for words in [
        "debian-6.1-x86_64-2",
        "debian-6.1-riscv64-1",
        "5 cells, 3 kernels to build",
        "2100 MiB more in the store",
        "none was built here yet",
        "5 MiB in the run's folder",
    ] {
        assert!(stdout.contains(words), "no {words} in {stdout}");
    }
    // What was never run comes first, architectures in turns.
    let order: Vec<&str> =
        stdout.lines().take(5).filter_map(|line| line.split("  ").nth(1)).collect();
    assert!(order[..2].iter().any(|cell| cell.contains("riscv64")), "{order:?}");
    assert!(!scene.path("out").exists());
}

#[test]
fn every_shipped_plan_can_be_planned() {
    for plan in ["architectures", "nightly", "soak"] {
        let (code, stderr) = Scene::new().run(&["run", plan, "--dry-run"]);
        assert_eq!(code, Some(0), "{stderr}");
    }
}

#[test]
fn a_name_that_nobody_knows_is_told_with_the_one_that_was_meant() {
    let scene = Scene::new();
    for (words, says) in [
        (["run", "nigthly"], "there is no plan `nigthly`, did you mean `nightly`?"),
        (["run", "swapstorm"], "there is no plan `swapstorm`\n"),
        (["doctor", "--arch=amr64"], "there is no architecture `amr64`, did you mean `arm64`?"),
    ] {
        let (code, stderr) = scene.run(&words);
        assert_eq!(code, Some(2), "{words:?}: {stderr}");
        assert!(stderr.contains(says), "{words:?}: {stderr}");
    }
}

#[test]
fn a_run_that_cannot_be_gone_on_with_says_why() {
    let scene = Scene::new();
    let says = |words: &[&str], says: &str| {
        let (code, stderr) = scene.run(words);
        assert_eq!(code, Some(2), "{words:?}: {stderr}");
        assert!(stderr.contains(says), "{words:?}: {stderr}");
    };
    says(&["run"], "<PLAN>");
    says(&["run", "--resume", "nowhere"], "name the folder of a run");
    says(&["run", "architectures", "--resume", "nowhere"], "cannot be used with");
    says(&["run", "--resume", "nowhere", "--seed", "3"], "cannot be used with");
    // Whoever began it carries it out.
    says(&["run", "--resume", "nowhere", "--engine", "slurm"], "cannot be used with");
    says(&["run", "--resume", "nowhere", "--engine", "local"], "cannot be used with");
    fs::create_dir(scene.path("run")).unwrap();
    let log = scene.path("run/events.jsonl");
    fs::write(&log, "no event\n").unwrap();
    says(&["run", "--resume", "run"], "does not begin with the start of its run");
    says(&["attach", "run"], "no cluster carries out this run");
    says(&["run", "architectures", "--detach"], "add --engine slurm");
    says(&["run", "architectures", "--engine", "slum"], "a similar value exists: 'slurm'");
    let start = |command: &str, more: &str| {
        format!(
            "{{\"at_ms\":0,\"event\":\"run-started\",\"format\":2,\"id\":\"r\",\"version\":\"0.1.0\",\"command\":{command},\
             \"started\":\"2026-11-26T00:00:00Z\",\"seed\":1,\"host\":{{}}}}\n{more}"
        )
    };
    fs::write(&log, start("[\"repro\"]", "")).unwrap();
    says(&["run", "--resume", "run"], "only `swapstorm run` can be resumed");
    // A log of others can hold any command line, and any plan.
    let plan = |text: &str| {
        let folder = scene.path("").display().to_string();
        format!(
            "{{\"at_ms\":1,\"event\":\"plan-loaded\",\"plan\":{{\"origin\":\"p.yaml\",\"folder\":\"{folder}\",\"text\":\"{text}\"}}}}\n"
        )
    };
    fs::write(&log, start("[\"cache\",\"gc\"]", &plan("about: a"))).unwrap();
    says(&["run", "--resume", "run"], "only `swapstorm run` can be resumed");
    fs::write(&log, start("[\"run\",\"p.yaml\"]", &plan("about: a"))).unwrap();
    says(&["run", "--resume", "run"], "p.yaml:1:1");
    let good = "about: a\\nkernels: [debian-6.1]\\nprofiles: [mixed]\\nstorm: 9s\\n";
    let cell = "{\"at_ms\":2,\"event\":\"cell-planned\",\"cell\":{\"id\":\"guest\",\"key\":\"k\",\"kernel\":\"debian-6.1\",\
        \"series\":null,\"arch\":\"x86_64\",\"profile\":\"mixed\",\"technique\":\"natural\",\"seed\":7,\"expect\":null,\"should_show\":null}}\n";
    fs::write(&log, start("[\"run\",\"p.yaml\"]", &(plan(good) + cell))).unwrap();
    says(&["run", "--resume", "run"], "is no longer what it was");
    // The run was begun elsewhere; what is named now begins here.
    fs::create_dir(scene.path("elsewhere")).unwrap();
    let text = fs::read_to_string(&log).unwrap();
    let here = format!("\"folder\":\"{}", scene.path("").display());
    fs::write(&log, text.replace(&here, &format!("{here}elsewhere"))).unwrap();
    says(&["run", "--resume", "run", "--cache", "mine"], "is no longer what it was");
    assert!(scene.path("mine").exists() && !scene.path("elsewhere/mine").exists());
}
