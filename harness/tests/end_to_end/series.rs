// SPDX-License-Identifier: MIT OR Apache-2.0
//! The series that ship, before the kernel's own judge of style.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Scene, cache, shipped_series};

/// The unpacked source of Debian's 6.1 in the tests' store.
fn source(scene: &Scene) -> PathBuf {
    scene.run(&["build", "debian-6.1"]).expect(0);
    let versions = fs::read_dir(cache()).unwrap().flatten();
    versions
        .flat_map(|version| fs::read_dir(version.path().join("sources")).into_iter().flatten())
        .map(|entry| entry.unwrap().path().join("tree"))
        .find(|tree| {
            fs::read_to_string(tree.join("Makefile")).unwrap().contains("\nPATCHLEVEL = 1\n")
        })
        .unwrap()
}

/// checkpatch's count of `errors, warnings, checks` for each patch of a series.
fn complaints(scene: &Scene, tree: &Path, series: &str) -> Vec<String> {
    let list = fs::read_to_string(shipped_series(series).join("series")).unwrap();
    let names = list.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    names
        .map(|name| {
            let name = name.split_whitespace().next().unwrap();
            let mut checkpatch = Command::new("perl");
            checkpatch.arg(tree.join("scripts/checkpatch.pl")).args(["--strict", "--root"]);
            // It may leave a file where it runs, and the tree is the store's.
            checkpatch.arg(tree).current_dir(scene.path("."));
            let output = checkpatch.arg(shipped_series(series).join(name)).output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            let total = said.lines().find_map(|line| line.strip_prefix("total: "));
            let (counts, _) = total.unwrap_or_else(|| panic!("{said}")).rsplit_once(", ").unwrap();
            counts.to_owned()
        })
        .collect()
}

#[test]
fn kernel_patches_are_clean_to_checkpatch() {
    let scene = Scene::new();
    let tree = source(&scene);
    for series in [
        "zswap-writeback-swapoff-6.1",
        "zswap-writeback-swapoff-6.12-reintroduce",
        "zswap-writeback-swapoff-7.3-reintroduce",
        "zswap-cpu-hotplug-6.1",
        "shmem-swapin-swapoff-6.1",
        "free-swap-swapoff-6.1-reintroduce",
        "skip-swapcache-6.1-reintroduce",
        "swap-synchronous-6.1",
        "zswap-limit-shrinks-6.1-reintroduce",
        "swapoff-hangs-6.1",
        "swapoff-hangs-locked-6.1",
        "swapoff-slow-6.1",
        "invariants-6.1",
        "writeback-crippled-6.1",
        "writeback-loss-6.1",
        "writeback-same-6.1",
    ] {
        let all = complaints(&scene, &tree, series);
        assert!(!all.is_empty());
        assert!(all.iter().all(|one| one == "0 errors, 0 warnings, 0 checks"), "{series} {all:?}");
    }
    // The control: this one's BUG() is what it is there for.
    assert_eq!(complaints(&scene, &tree, "bug-elsewhere-6.1"), ["0 errors, 1 warnings, 0 checks"]);
}
