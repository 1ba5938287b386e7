// SPDX-License-Identifier: MIT OR Apache-2.0
//! The search for the patch that brought or fixed the race, on real kernels.

use std::fs;
use std::process::Command;

use crate::support::{Ran, Scene, cache, comment, series, shipped_patch};

/// Of five patches the second one fixes the race of 6.1; the others say something in files around it.
#[test]
fn the_patch_that_fixed_the_race_is_named() {
    let scene = Scene::new();
    let fix = shipped_patch("zswap-writeback-swapoff-6.1");
    series(
        &scene.path("five"),
        &[
            (
                "1.patch",
                comment("mm/page_io.c", " *  linux/mm/page_io.c", "a word on its input and output"),
            ),
            ("2.patch", fix),
            (
                "3.patch",
                comment("mm/swap_state.c", " *  linux/mm/swap_state.c", "a word on its state"),
            ),
            (
                "4.patch",
                comment(
                    "mm/vmscan.c",
                    " *  Copyright (C) 1991, 1992, 1993, 1994  Linus Torvalds",
                    "a word on reclaim",
                ),
            ),
            (
                "5.patch",
                comment("mm/workingset.c", " * Workingset detection", "a word on the working set"),
            ),
        ],
    );
    let what = ["--kernel", "debian-6.1", "--series", "./five", "--fixed"];
    let search = [&["bisect"], &what[..], &["--storm", "8s", "--confidence", "0.9"]].concat();
    let ran = scene.run(&[&search[..], &["--seed", "3"]].concat());
    ran.expect(0);
    assert!(ran.stdout.contains("The bug went with patch 2/5"), "{}", ran.stdout);
    assert!(
        ran.stdout.contains("0 of ") && ran.stdout.contains("runs showed it"),
        "{}",
        ran.stdout
    );
    // What was seen is in the log: asked again, it answers without a guest.
    let run = scene.run_folder().display().to_string();
    let again = scene.run(&[&search[..], &["--resume", &run, "--out", "again"]].concat());
    again.expect(0);
    assert!(again.stdout.contains("The bug went with patch 2/5"), "{}", again.stdout);
    assert!(!again.stderr.contains("booting"), "{}", again.stderr);
}

/// The kernel of 6.1 and the same with its fix, asked for by a command: no guest is needed.
const ONE_PATCH: [&str; 5] =
    ["bisect", "--kernel", "debian-6.1", "--series", "zswap-writeback-swapoff-6.1"];
/// Is bad for the kernel with a series, and says things that no terminal should see.
const BAD_WITH_SERIES: &str = "head -c 300000 /dev/urandom; test -s \"$SWAPSTORM_KERNEL_IMAGE\" || exit 200; \
     case \"$SWAPSTORM_KERNEL\" in *+*) exit 3;; esac";

#[test]
fn a_command_judges_kernels_and_one_that_is_broken_ends_the_search_until_it_is_mended() {
    let scene = Scene::new();
    let ask = |command: &str, more: &[&str]| {
        scene.run(&[&ONE_PATCH[..], &["--seed", "3", "--command", command], more].concat())
    };
    let dies = format!("test \"$SWAPSTORM_NUMBER\" = 2 && kill -9 $$; {BAD_WITH_SERIES}");
    let died = ask(&dies, &["--out", "died"]);
    died.expect(2).says(&["ended with status 137 (killed by signal 9)", "hint: what it printed"]);
    assert_eq!(died.stderr.matches("\u{1b}]").count(), 0, "what it printed is not for terminals");
    let run = fs::read_dir(scene.path("died")).unwrap().next().unwrap().unwrap().path();
    let resumed = ask(BAD_WITH_SERIES, &["--out", "more", "--resume", run.to_str().unwrap()]);
    resumed.expect(0);
    assert!(resumed.stdout.contains("The bug came with patch 1/1"), "{}", resumed.stdout);
    // The other way round, for ever, and stopped by its own word.
    let turned =
        ask("case \"$SWAPSTORM_KERNEL\" in *+*) exit 0;; esac; exit 1", &["--out", "turned"]);
    turned.expect(2);
    assert!(turned.stdout.contains("The ends are the wrong way round"), "{}", turned.stdout);
    let hung = ask("sleep 1000", &["--out", "hung", "--command-limit", "1s"]);
    hung.expect(2).says(&["did not end in 1 s", "--command-limit"]);
    ask("exit 128", &["--out", "own"]).expect(2).says(&["ended with status 128"]);
    // A kernel that it cannot test is none to blame.
    let skipped = ask("exit 125", &["--out", "skipped"]);
    skipped.expect(4);
    assert!(skipped.stdout.contains("The bad end cannot be tested"), "{}", skipped.stdout);
}

#[test]
fn a_series_that_does_not_apply_at_its_second_patch_is_refused_by_that_patch() {
    let scene = Scene::new();
    let first = shipped_patch("zswap-writeback-swapoff-6.1");
    let second = "Subject: [PATCH] mm: fit nothing\n\n--- a/mm/zswap.c\n+++ b/mm/zswap.c\n@@ -1,3 +1,3 @@\n no such line\n-nor this one\n+at all\n or this\n";
    series(&scene.path("two"), &[("1.patch", first), ("2.patch", second.to_owned())]);
    let words = ["--kernel", "debian-6.1", "--series", "./two", "--command", "true"];
    let ran = scene.run(&[&["bisect"], &words[..]].concat());
    ran.expect(2).says(&["2.patch", "mm/zswap.c", "hunk"]);
}

#[test]
fn a_disk_that_is_full_ends_a_search() {
    let scene = Scene::new();
    let out = scene.path("small");
    fs::create_dir(&out).unwrap();
    // A file system of 64 KiB, seen by nobody else.
    let script = "mount -t tmpfs -o size=64k none \"$0\" && exec \"$@\"";
    let mut command = Command::new("unshare");
    if !rustix::process::getuid().is_root() {
        command.arg("--map-root-user");
    }
    command.args(["--mount", "sh", "-c", script]).arg(&out).arg(env!("CARGO_BIN_EXE_swapstorm"));
    let asked = ["--seed", "3", "--command", BAD_WITH_SERIES, "--out"];
    command.args(ONE_PATCH).args(asked).arg(&out).env("SWAPSTORM_CACHE", cache());
    Ran::from(command.output().unwrap()).expect(3).says(&["No space left on device"]);
}
