// SPDX-License-Identifier: MIT OR Apache-2.0
//! Series that are checked on real kernels.

use serde_json::Value;

use crate::support::{Scene, comment, series, shipped_patch};

const TESTER: &str = "A Tester <a@example.org>";

/// Of four patches the second one crashes in madvise, and the third does not compile without the fourth; what they say beside that
/// is in files around it. No task is stretched: the race of the base would come before anything else.
#[test]
fn of_four_patches_that_with_a_bug_is_named_and_that_which_does_not_build_on_its_own() {
    let scene = Scene::new();
    let page_io =
        comment("mm/page_io.c", " *  linux/mm/page_io.c", "a word on its input and output");
    let swap_state = comment("mm/swap_state.c", " *  linux/mm/swap_state.c", "a word on its state");
    let bug = shipped_patch("bug-elsewhere-6.1");
    let early = swap_state.replace("+// a word on its state", "+#error too early");
    let late = swap_state
        .replace("@@ -1,4 +1,5 @@", "@@ -1,5 +1,5 @@")
        .replace("+// a word on its state", "-#error too early\n+// a word on its state");
    series(
        &scene.path("four"),
        &[("1.patch", page_io), ("2.patch", bug), ("3.patch", early), ("4.patch", late)],
    );
    let mut words = vec!["check", "./four", "--technique", "natural", "--storm", "3s", "--each"];
    words.extend(["--pairs", "1", "--no-statistics", "--checkpatch", "--seed", "3"]);
    let ran = scene.run(&words);
    ran.expect(1);
    for words in [
        "Bad: ./four on debian-6.1 is not as it should be.",
        "* patch 2/4 brought a bug",
        "patch 2/4: mm/madvise: hit BUG() on the 64th MADV_PAGEOUT",
        "The base showed it in 0 of ",
        "the series up to patch 1/4: builds and boots",
        "the series up to patch 3/4: does not build",
        "error: #error too early",
        // BUG() is what checkpatch has to say of that one.
        "checkpatch on patch 2/4:",
    ] {
        assert!(ran.stdout.contains(words), "{words}\n{}", ran.stdout);
    }
    // The log alone says the same.
    let again = scene.run(&["report", &scene.run_folder().display().to_string()]);
    again.expect(1);
    assert!(again.stdout.contains("* patch 2/4 brought a bug"), "{}", again.stdout);
}

/// A kernel that another test compares, too, so that nothing is built for it.
#[test]
fn a_series_that_cripples_writeback_is_not_good_whatever_else_it_leaves_alone() {
    let scene = Scene::new();
    let mut words = vec!["check", "writeback-crippled-6.1", "--technique", "natural"];
    words.extend(["--storm", "1s", "--pairs", "1", "--no-sparse"]);
    words.extend(["--statistics-storm", "2s", "--statistics-pairs", "8", "--seed", "3", "--json"]);
    let ran = scene.run(&words);
    ran.expect(1);
    let check: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(check["verdict"], "bad", "{check:#}");
    assert_eq!(check["reasons"], serde_json::json!(["writeback regressed"]), "{check:#}");
    assert_eq!(check["statistics"]["pairs"].as_array().unwrap().len(), 8, "{check:#}");
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
