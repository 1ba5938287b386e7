// SPDX-License-Identifier: MIT OR Apache-2.0
//! Series that are checked on real kernels.

use serde_json::Value;

use crate::support::{Scene, comment, series, shipped_patch};

const TESTER: &str = "A Tester <a@example.org>";

/// Of three patches the second one crashes in madvise; the others say something in files around it. No task is stretched: the
/// race of the base would come before anything else.
#[test]
fn the_second_of_three_patches_is_named_for_the_bug_that_it_brings() {
    let scene = Scene::new();
    let page_io =
        comment("mm/page_io.c", " *  linux/mm/page_io.c", "a word on its input and output");
    let swap_state = comment("mm/swap_state.c", " *  linux/mm/swap_state.c", "a word on its state");
    let bug = shipped_patch("bug-elsewhere-6.1");
    series(
        &scene.path("three"),
        &[("1.patch", page_io), ("2.patch", bug), ("3.patch", swap_state)],
    );
    let mut words = vec!["check", "./three", "--technique", "natural", "--storm", "3s"];
    words.extend(["--pairs", "1", "--no-statistics", "--checkpatch", "--seed", "3"]);
    let ran = scene.run(&words);
    ran.expect(1);
    for words in [
        "Bad: ./three on debian-6.1 is not as it should be.",
        "* patch 2/3 brought a bug",
        "patch 2/3: mm/madvise: hit BUG() on the 64th MADV_PAGEOUT",
        "The base showed it in 0 of ",
        // BUG() is what checkpatch has to say of that one.
        "checkpatch on patch 2/3:",
    ] {
        assert!(ran.stdout.contains(words), "{words}\n{}", ran.stdout);
    }
    // The log alone says the same.
    let again = scene.run(&["report", &scene.run_folder().display().to_string()]);
    again.expect(1);
    assert!(again.stdout.contains("* patch 2/3 brought a bug"), "{}", again.stdout);
}

/// The shipped fix of the race, and a word in a file of no matter, which is not one.
#[test]
fn the_shipped_fix_has_earned_its_tag_and_a_word_beside_it_has_not() {
    let scene = Scene::new();
    let asked = |series: &str, out: &str, more: &[&str]| {
        let mut words = vec!["check", series, "--fixes", "--storm", "8s", "--no-statistics"];
        words.extend(["--pairs", "1", "--seed", "3", "--out", out]);
        words.extend(more);
        scene.run(&words)
    };
    let fixed = asked("zswap-writeback-swapoff-6.1", "out", &["--mail", "--tested-by", TESTER]);
    fixed.expect(0);
    assert!(fixed.stdout.starts_with("Subject: Re: mm/zswap: "), "{}", fixed.stdout);
    assert!(fixed.stdout.ends_with(&format!("\nTested-by: {TESTER}\n")), "{}", fixed.stdout);
    assert!(fixed.stdout.lines().all(|line| line.chars().count() <= 72), "{}", fixed.stdout);
    let page_io =
        comment("mm/page_io.c", " *  linux/mm/page_io.c", "a word on its input and output");
    series(&scene.path("word"), &[("1.patch", page_io)]);
    let word = asked("./word", "other", &["--json"]);
    word.expect(1);
    let check: Value = serde_json::from_str(&word.stdout).unwrap();
    assert_eq!(check["reasons"][0], "the bug that is to be fixed is not", "{check:#}");
    assert_eq!(check["bugs"][0]["standing"]["what"], "unchanged", "{check:#}");
}
