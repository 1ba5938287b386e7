// SPDX-License-Identifier: MIT OR Apache-2.0
//! The search for the patch that brought or fixed the race, on real kernels.

use crate::support::{Scene, comment, series, shipped_patch};

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
    let search =
        ["bisect", "--kernel", "debian-6.1", "--series", "./five", "--fixed", "--storm", "8s"];
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
