// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ranges in which nothing can be searched, refused before anything is made.

use crate::scene::Scene;

/// A repository `linux` with three commits, of which the first is tagged `v1`, and a branch `side` off it.
fn repository(scene: &Scene) {
    scene.sh(
        "mkdir linux; cd linux; git init -q -b main; git config user.name A; git config user.email a@example.org
         for n in 1 2 3; do echo $n > Makefile; git add .; git commit -q -m \"change $n\"; test $n = 1 && git tag v1 || true; done
         git switch -q -c side v1; echo 4 > Makefile; git commit -q -a -m side; git switch -q main",
    );
}

#[test]
fn what_is_no_range_is_refused() {
    let scene = Scene::new();
    let refuses = |args: &[&str], says: &str| {
        let args: Vec<&str> = ["bisect"].iter().chain(args).copied().collect();
        scene.refuses(&args, 2, &[says]);
    };
    refuses(&[], "this is no range");
    refuses(&["--kernel", "debian-6.1"], "this is no range");
    refuses(&["--kernel", "debian-6.1", "--kernel", "debian-6.1"], "a kernel is named twice");
    let two = ["--kernel", "debian-6.1", "--kernel", "debian-6.12"];
    let with = |more: &[&'static str]| -> Vec<&'static str> { [&two[..], more].concat() };
    refuses(&with(&["--series", "mixed"]), "a series is bisected on one kernel");
    refuses(&with(&["--profile", "writeback-steady"]), "expects no bug");
    refuses(&with(&["--resume", "nowhere"]), "nowhere: there is no such file or folder");
    refuses(&with(&["--kernel", "debian-6.0"]), "debian-6.0");
    let words = [&["bisect"], &two[..], &["--confidence", "1"]].concat();
    let (code, stderr) = scene.run(&words);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("expected a probability above 0.5 and below 1"), "{stderr}");
}

#[test]
fn ends_of_a_repository_must_be_on_one_way_and_in_order() {
    let scene = Scene::new();
    repository(&scene);
    let refuses = |good: &str, bad: &str, says: &str| {
        scene.refuses(&["bisect", "--good", good, "--bad", bad], 2, &[says]);
    };
    refuses("linux:main", "linux:v1", "the older commit comes first: swap the two");
    refuses("linux:main", "linux:side", "git merge-base");
    refuses("linux:v1", "linux:nothing", "there is no commit `nothing`");
    refuses("linux:v1", "../linux:main", "in different repositories");
    refuses("linux", "linux:main", "hint: expected REPO:REF");
    scene.sh("git clone -q --depth 1 file://$PWD/linux shallow; cd shallow; git fetch -q --depth 1 origin tag v1");
    refuses("shallow:v1", "shallow:main", "git fetch --unshallow");
    // Whatever was said of it, the repository is as it was.
    scene.sh("cd linux; test -z \"$(git status --porcelain)\"; test ! -e .git/ORIG_HEAD; git fsck --strict");
}
