// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program as a user meets it, where neither QEMU nor a kernel is needed.

#![expect(
    unreachable_pub,
    reason = "in a test program, `pub` is what a module offers its siblings"
)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod bad_input;
mod baseline;
mod bisect;
mod cache;
mod check;
mod cluster;
mod compare;
mod formats;
mod history;
mod nightly;
mod recipes;
mod report;
mod scene;

use std::fs;
use std::io::Write;
use std::net::TcpListener;

use crate::scene::Scene;

#[test]
fn a_wrong_option_is_a_usage_error() {
    let (code, stderr) = Scene::new().run(&["repro", "--frobnicate"]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("--frobnicate") && stderr.contains("--help"), "{stderr}");
}

#[test]
fn a_compiler_that_is_missing_is_named_with_its_package_before_anything_is_made() {
    let scene = Scene::new();
    scene.own(
        "kernels/manifests/mine.yaml",
        "about: a\nsource: {dir: /nonsuch}\nconfig: {base: tinyconfig, fragments: [], arch: {x86_64: []}}\n",
    );
    let (code, stderr) = scene.run(&["build", "mine", "--toolchain", "clang-999"]);
    assert_eq!(code, Some(3), "{stderr}");
    assert!(stderr.contains("clang-999 is not installed"), "{stderr}");
    assert!(stderr.contains("install clang-999 (Debian)"), "{stderr}");
    let (code, stderr) = scene.run(&["build", "mine", "--toolchain", "tcc"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("expected gcc, clang"), "{stderr}");
}

#[test]
fn a_wrong_budget_says_what_is_expected() {
    let (code, stderr) = Scene::new().run(&["repro", "--budget", "soon"]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("from 1s to 24h"), "{stderr}");
}

#[test]
fn what_bench_ttr_cannot_measure_is_refused_before_anything_is_made() {
    let scene = Scene::new();
    let ttr = |words: &[&str], says: &[&str]| {
        let (code, stderr) = scene.run(&[&["bench", "ttr"], words].concat());
        assert_eq!(code, Some(2), "{words:?}: {stderr}");
        for words in says {
            assert!(stderr.contains(words), "{words}: {stderr}");
        }
    };
    ttr(&["--technique", "luck"], &["luck", "natural", "stretch", "preempt", "preempt+stretch"]);
    ttr(&["--runs", "0"], &["1..=1000"]);
    ttr(&["--bound", "soon"], &["from 1s to 24h"]);
    ttr(&["--kernel", "nonsuch"], &["nonsuch", "debian-6.1"]);
    ttr(&["--series", "nonsuch"], &["nonsuch", "zswap-writeback-swapoff-6.1"]);
    ttr(&["--profile", "mixed"], &["the profile mixed expects no bug"]);
    let folder = scene.path("").display().to_string();
    ttr(&["--svg", &folder], &["--svg", "this is no file"]);
    ttr(&["--svg", &format!("{folder}/none/x.svg")], &["--svg", "No such file"]);
}

#[test]
fn bench_load_counts_what_played_guests_print() {
    let scene = Scene::new();
    let load = ["-q", "bench", "load", "--guests", "2", "--rate", "50", "--seconds", "1", "--json"];
    let output = scene.command().args(load).output().unwrap();
    let stdout = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(scene.talk(output), (Some(0), String::new()));
    let value: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert!(value["bytes"].as_u64().unwrap() >= 2 * 50 * 1000, "{value}");
    assert!(value["peak_kib"].as_u64().unwrap() > 0, "{value}");
    // Nothing is left of it.
    assert!(!scene.path("out").exists());
}

#[test]
fn unknown_names_list_the_known_ones() {
    let scene = Scene::new();
    for (option, known) in [
        ("--kernel", "debian-6.1"),
        ("--series", "zswap-writeback-swapoff-6.1"),
        ("--profile", "zswap-writeback-swapoff"),
        ("--arch", "x86_64"),
    ] {
        let (code, stderr) = scene.run(&["repro", option, "nonsuch"]);
        assert_eq!(code, Some(2), "{stderr}");
        assert!(stderr.contains("nonsuch") && stderr.contains(known), "{option}: {stderr}");
    }
}

#[test]
fn a_profile_that_names_no_fix_asks_for_one() {
    let scene = Scene::new();
    let profile = "name: mine\ndescription: a test\nexpect: zswap-cpu-hotplug\n\
        fixes: [{series: nonsuch, kernels: [debian-6.12]}]\n\
        guest: {memory_mib: 256, cpus: 2, disks: 4, disk_mib: 2}\n";
    scene.own("workloads/profiles/mine.yaml", profile);
    let (code, stderr) = scene.run(&["repro", "--profile", "mine"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("mine names no series that fixes debian-6.1"), "{stderr}");
    // The series that it names is the one that is looked for.
    let (code, stderr) = scene.run(&["repro", "--profile", "mine", "--kernel", "debian-6.12"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("nonsuch"), "{stderr}");
}

#[test]
fn yaml_problems_name_file_line_and_column() {
    let scene = Scene::new();
    let manifest = "about: mine\nsource:\n  debian:\n    package: linux-source-6.1\n    flavour: x\nconfig:\n  base: tinyconfig\n  fragments: []\n  arch: {x86_64: []}\n";
    scene.own("kernels/manifests/mine.yaml", manifest);
    let (code, stderr) = scene.run(&["build", "mine"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("[SCENE]/data/kernels/manifests/mine.yaml:5:5: "), "{stderr}");
    assert!(stderr.contains("flavour") && stderr.contains("package"), "{stderr}");

    let profile = "name: mine\ndescription: mine\nguest:\n  memory_mib: lots\n";
    scene.own("workloads/profiles/mine.yaml", profile);
    let (code, stderr) = scene.run(&["repro", "--profile", "mine"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("[SCENE]/data/workloads/profiles/mine.yaml:4:15: "), "{stderr}");

    scene.own("reports/rules/zswap-writeback-swapoff.yaml", "name: x\nfrobnicate: 1\n");
    let (code, stderr) = scene.run(&["repro"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(
        stderr.contains("[SCENE]/data/reports/rules/zswap-writeback-swapoff.yaml:2:1: "),
        "{stderr}"
    );
}

#[test]
fn what_is_named_in_place_of_a_manifest_must_be_a_kernel() {
    let scene = Scene::new();
    scene.own("kernels/manifests/mine.yaml", "");
    fs::write(scene.path("linux-9.9.tar.gz"), "").unwrap();
    let with = |kernel: &str, code, says: &str| {
        scene.refuses(&["build", kernel], code, &[says]);
    };
    with("./nonsuch", 2, "`./nonsuch` cannot be a kernel: there is no such folder or tarball");
    with("data/kernels/manifests/mine.yaml", 2, "a manifest is named without `.yaml`");
    with("https://example.org/linux.git", 2, "it names no commit");
    with(".", 2, "there is no Makefile");
    with("linux-9.9.tar.gz", 2, "linux-9.9.tar.gz: ");
    with(".:v6.8", 2, "it is no git repository");
    // A plan says where it stands.
    scene.own(
        "harness/plans/mine.yaml",
        "about: mine\nkernels: [./nonsuch]\nprofiles: [zswap-writeback-swapoff]\nstorm: 1s\n",
    );
    scene.refuses(&["run", "mine"], 2, &["mine.yaml:2:", "`./nonsuch` cannot be a kernel"]);
}

#[test]
fn a_tree_that_was_built_in_place_is_refused() {
    let scene = Scene::new();
    let tree = scene.dir.path().join("linux");
    for file in ["Makefile", "Kconfig", ".config"] {
        fs::create_dir_all(&tree).unwrap();
        fs::write(tree.join(file), "").unwrap();
    }
    let manifest = format!(
        "about: mine\nsource: {{dir: {}}}\nconfig: {{base: tinyconfig, fragments: [], arch: {{x86_64: []}}}}\n",
        tree.display()
    );
    scene.own("kernels/manifests/mine.yaml", &manifest);
    let (code, stderr) = scene.run(&["build", "mine"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("[SCENE]/linux: it was built in place: .config is there"), "{stderr}");
    assert!(stderr.contains("hint: run `make mrproper` in it"), "{stderr}");
}

#[test]
fn a_repository_that_is_none_and_one_out_of_reach_are_told_apart() {
    let scene = Scene::new();
    let own = |repo: &str| {
        let manifest = format!(
            "about: mine\nsource: {{git: {{repo: {repo:?}, ref: v6.8}}}}\nconfig: {{base: tinyconfig, fragments: [], arch: {{x86_64: []}}}}\n",
        );
        scene.own("kernels/manifests/mine.yaml", &manifest);
        scene.run(&["build", "mine"])
    };
    let (code, stderr) = own(scene.dir.path().to_str().unwrap());
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("[SCENE]: it is no git repository"), "{stderr}");
    // A port where nobody listens.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (code, stderr) = own(&format!("git://127.0.0.1:{port}/linux"));
    assert_eq!(code, Some(3), "{stderr}");
    assert!(stderr.contains("cannot be fetched from") && stderr.contains("hint: "), "{stderr}");
    let empty = scene.dir.path().join("bin");
    fs::create_dir(&empty).unwrap();
    for tool in ["gcc", "ld", "env"] {
        let real = std::env::split_paths(&std::env::var_os("PATH").unwrap())
            .map(|dir| dir.join(tool))
            .find(|file| file.is_file())
            .unwrap();
        std::os::unix::fs::symlink(real, empty.join(tool)).unwrap();
    }
    let output = scene.command().env("PATH", &empty).args(["build", "mine"]).output().unwrap();
    let (code, stderr) = scene.talk(output);
    assert_eq!(code, Some(3), "{stderr}");
    assert!(stderr.contains("git is not installed") && stderr.contains("git (Debian)"), "{stderr}");
}

#[test]
fn a_series_that_cannot_be_had_says_whose_fault_it_is() {
    let scene = Scene::new();
    let (code, stderr) = scene.run(&["build", "debian-6.1", "--series", "./nonsuch:v6.8..topic"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("./nonsuch is no git repository"), "{stderr}");
    let bin = scene.dir.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let mut command = scene.command();
    let output =
        command.env("PATH", &bin).args(["repro", "--series", "lore:1-2@example.org"]).output();
    let (code, stderr) = scene.talk(output.unwrap());
    assert_eq!(code, Some(3), "{stderr}");
    assert!(stderr.contains("run `b4 am -o - 1-2@example.org > series.mbox`"), "{stderr}");
}

#[test]
fn each_architecture_of_a_build_is_checked_before_the_first_is_built() {
    let scene = Scene::new();
    let manifest = "about: mine\nsource: {dir: /nonsuch}\nconfig: {base: tinyconfig, fragments: [], arch: {x86_64: [], arm64: []}}\n";
    scene.own("kernels/manifests/mine.yaml", manifest);
    // No compiler but these.
    for arch in ["x86_64", "aarch64"] {
        scene.fake(&format!("{arch}-linux-gnu-ld"), "echo GNU ld 9");
        scene.fake(&format!("{arch}-linux-gnu-gcc"), "echo gcc 9");
    }
    for program in ["gcc", "ld"] {
        scene.fake(program, "echo native 9");
    }
    let build = |arch: &str| {
        let mut command = scene.command();
        command.env("PATH", scene.path("fakes")).args(["build", "mine", "--arch", arch]);
        scene.talk(command.output().unwrap())
    };
    for (arch, says) in [
        ("x86_64,vax", "there is no architecture `vax`"),
        ("x86_64,riscv64", "does not support riscv64\n  hint: it supports arm64, x86_64"),
        ("x86_64,arm64", "/nonsuch: there is no such folder"),
    ] {
        let (code, stderr) = build(arch);
        assert_eq!(code, Some(2), "{stderr}");
        assert!(stderr.contains(says), "{arch}: {stderr}");
    }
    // No machine that runs this is of both architectures.
    let other = if std::env::consts::ARCH == "x86_64" { "aarch64" } else { "x86_64" };
    fs::remove_file(scene.path(&format!("fakes/{other}-linux-gnu-gcc"))).unwrap();
    let (code, stderr) = build(if other == "x86_64" { "arm64,x86_64" } else { "x86_64,arm64" });
    assert_eq!(code, Some(3), "{stderr}");
    assert!(stderr.contains(&format!("{other}-linux-gnu-gcc is not installed")), "{stderr}");
    assert!(stderr.contains("-linux-gnu (Debian)") && stderr.contains("hint: "), "{stderr}");
}

#[test]
fn a_missing_tool_is_named_with_its_package() {
    let scene = Scene::new();
    let empty = scene.dir.path().join("bin");
    fs::create_dir(&empty).unwrap();
    let output = scene.command().env("PATH", &empty).args(["doctor"]).output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(3), "{stdout}");
    assert!(
        stdout.contains("qemu-system-x86 (Debian)") && stdout.contains("make setup"),
        "{stdout}"
    );
    assert!(!stdout.contains("aarch64"), "{stdout}");

    let mut command = scene.command();
    let output = command.env("PATH", &empty).args(["doctor", "--arch", "arm64,riscv64"]).output();
    let stdout = String::from_utf8_lossy(&output.unwrap().stdout).into_owned();
    for word in ["qemu-system-arm (Debian)", "qemu-system-riscv64", "ARCH=\"arm64 riscv64\""] {
        assert!(stdout.contains(word), "no {word} in {stdout}");
    }

    let output =
        scene.command().env("PATH", &empty).args(["build", "debian-6.1"]).output().unwrap();
    let (code, stderr) = scene.talk(output);
    assert_eq!(code, Some(3), "{stderr}");
    assert!(stderr.contains("is not installed") && stderr.contains("make setup"), "{stderr}");

    // No machine that runs this is of all three architectures.
    let other = if std::env::consts::ARCH == "aarch64" { "riscv64" } else { "arm64" };
    for (command, words) in [
        (["build", "debian-6.1"], ["-linux-gnu-gcc is not installed", "-linux-gnu (Debian)"]),
        (["repro", "--json"], ["qemu-system-", " is not installed"]),
    ] {
        let mut program = scene.command();
        let output = program.env("PATH", &empty).args(command).args(["--arch", other]).output();
        let output = output.unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let (code, stderr) = scene.talk(output);
        assert_eq!(code, Some(3), "{said}{stderr}");
        for word in words.into_iter().chain([&*format!("make setup ARCH={other}")]) {
            assert!(said.contains(word) || stderr.contains(word), "no {word} in {said}{stderr}");
        }
    }
}

#[test]
fn a_bad_timeout_scale_is_refused() {
    let scene = Scene::new();
    let output = scene.command().env("SWAPSTORM_TIMEOUT_SCALE", "0").arg("repro").output().unwrap();
    let (code, stderr) = scene.talk(output);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("SWAPSTORM_TIMEOUT_SCALE"), "{stderr}");
}

#[test]
fn a_plan_that_means_nothing_is_refused_before_anything_is_made() {
    let scene = Scene::new();
    let good = "about: a\nkernels: [debian-6.1]\nprofiles: [zswap-writeback-swapoff]\nstorm: 9s\n";
    for (from, to, says) in [
        ("debian-6.1", "debian-0.1", "bad.yaml:2:11: "),
        ("[zswap-writeback-swapoff]", "[zswap]", "bad.yaml:3:12: "),
        ("storm: 9s", "storms: 9s", "bad.yaml:4:1: unknown field `storms`"),
    ] {
        scene.own("harness/plans/bad.yaml", &good.replace(from, to));
        let (code, stderr) = scene.run(&["run", "bad"]);
        assert_eq!(code, Some(2), "{stderr}");
        assert!(stderr.contains(says), "{to}: {stderr}");
    }
    let (code, stderr) = scene.run(&["run", "nowhere"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("no plan `nowhere`") && stderr.contains("architectures"), "{stderr}");
    let (code, stderr) = scene.run(&["run", "./nowhere.yaml"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("nowhere.yaml"), "{stderr}");
    assert!(!scene.dir.path().join("out").exists());
}

#[test]
fn a_mode_of_kasan_that_an_architecture_lacks_is_refused() {
    for (args, says) in [
        (["build", "debian-6.1", "--kasan", "hw_tags"], "no KASAN mode `hw_tags` on x86_64"),
        (["build", "debian-6.1", "--arch=arm64,riscv64", "--kasan=sw_tags"], "on riscv64"),
        (["repro", "--arch=arm64", "--kasan", "tags"], "it has generic, sw_tags, hw_tags"),
    ] {
        let scene = Scene::new();
        let (code, stderr) = scene.run(&args);
        assert_eq!(code, Some(2), "{stderr}");
        assert!(stderr.contains(says), "{stderr}");
        assert!(!scene.dir.path().join("out").exists());
    }
}

#[test]
fn a_machine_that_does_not_answer_is_infrastructure() {
    let scene = Scene::new();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    // Who answers there is no SSH server.
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let open = other.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut client in other.incoming().flatten() {
            let _ = client.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n");
        }
    });
    for (place, says) in [
        (closed, format!("cannot connect to ssh://root@{closed}: ")),
        (open, format!("ssh://root@{open} refuses SSH: ")),
    ] {
        let plan = "profiles: [zswap-writeback-swapoff]\nstorm: 5s\n";
        fs::write(scene.path("plan.yaml"), format!("about: a\ntarget: ssh://root@{place}\n{plan}"))
            .unwrap();
        let (code, stderr) = scene.run(&["run", "./plan.yaml"]);
        assert_eq!(code, Some(3), "{stderr}");
        assert!(stderr.contains(&says) && stderr.contains("\n  hint: "), "{stderr}");
    }
}
