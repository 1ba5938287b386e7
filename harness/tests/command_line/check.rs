// SPDX-License-Identifier: MIT OR Apache-2.0
//! What cannot be checked, refused before anything is made.

use crate::scene::Scene;

#[test]
fn what_cannot_be_checked_is_refused() {
    let scene = Scene::new();
    let refuses = |args: &[&str], says: &str| {
        let args: Vec<&str> = ["check"].iter().chain(args).copied().collect();
        scene.refuses(&args, 2, &[says]);
    };
    refuses(&["no-such-series"], "no-such-series");
    refuses(&["./no/such.patch"], "no/such.patch");
    let fix = "zswap-writeback-swapoff-6.1";
    refuses(&[fix, "--base", "debian-6.0"], "debian-6.0");
    refuses(&[fix, "--fixes", "--profile", "mixed"], "expects no bug that --fixes could mean");
    refuses(&[fix, "--statistics-profile", "nothing"], "nothing");
    let usage = |args: &[&str], says: &str| {
        let args: Vec<&str> = ["check", fix].iter().chain(args).copied().collect();
        let (code, stderr) = scene.run(&args);
        assert_eq!(code, Some(2), "{stderr}");
        assert!(stderr.contains(says), "{stderr}");
    };
    usage(&["--tested-by", "A <a@example.org>"], "--mail");
    usage(
        &["--mail", "--tested-by", "A\nAcked-by: B <a@example.org>"],
        "expected a name and an address",
    );
    usage(&["--mail", "--json"], "cannot be used with");
    usage(&["--no-statistics", "--statistics-pairs", "8"], "cannot be used with");
    usage(&["--sparse", "--no-sparse"], "cannot be used with");
    usage(&["--confidence", "1"], "expected a probability above 0.5 and below 1");
    usage(&["--pairs", "0"], "0 is not in 1..=1000");
}
