// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bad input that is noticed only with a kernel source at hand.

use std::fs;
use std::process::Command;

use crate::repro::scene_manifest;
use crate::support::{Ran, Scene, cache};

/// A quilt folder with one patch.
fn series(scene: &Scene, patch: &str) -> String {
    let folder = scene.path("series");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("one.patch"), patch).unwrap();
    fs::write(folder.join("series"), "one.patch\n").unwrap();
    folder.display().to_string()
}

#[test]
fn a_patch_that_does_not_apply() {
    let scene = Scene::new();
    let series = series(
        &scene,
        "Subject: [PATCH] mm: fit nothing\n\n--- a/mm/zswap.c\n+++ b/mm/zswap.c\n@@ -1,3 +1,3 @@\n no such line\n-nor this one\n+at all\n or this\n",
    );
    let ran = scene.run(&["repro", "--series", &series]);
    ran.expect(2).says(&["one.patch", "mm/zswap.c", "hunk"]);
    let report = scene.report();
    let cells = report["cells"].as_array().unwrap();
    let fixed = cells.iter().find(|cell| cell["cell"]["should_show"] == false).unwrap();
    assert_eq!(fixed["verdict"], "patch-conflict", "{report:#}");
}

#[test]
fn a_kernel_that_does_not_compile() {
    let scene = Scene::new();
    // Any function of zswap.c's first lines would do; a new file needs no context.
    let series = series(
        &scene,
        "Subject: [PATCH] lib: do not compile\n\n--- a/lib/ctype.c\n+++ b/lib/ctype.c\n@@ -8,3 +8,4 @@\n #include <linux/ctype.h>\n #include <linux/compiler.h>\n #include <linux/export.h>\n+this is not C;\n",
    );
    let ran = scene.run(&["build", "debian-6.1", "--series", &series]);
    ran.expect(2).says(&["lib/ctype.c", "error:"]);
}

#[test]
fn an_option_that_the_kernel_drops() {
    let scene = Scene::new();
    for (asked, says) in [
        (
            "CONFIG_ZSMALLOC_STAT=y\nCONFIG_ZONE_DEVICE=y\n",
            ["CONFIG_ZONE_DEVICE", "MEMORY_HOTPLUG=n"],
        ),
        ("#! required\nCONFIG_NO_SUCH_OPTION=y\n", ["CONFIG_NO_SUCH_OPTION", "no such option"]),
    ] {
        let kernel = scene_manifest(&scene, "dropped", asked);
        let ran = scene.run(&["build", &kernel]);
        ran.expect(2).says(&says).says(&["dropped.config:2"]);
    }
}

#[test]
fn a_stretch_point_that_the_kernel_does_not_have() {
    let scene = Scene::new();
    let shipped =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../workloads/profiles/zswap-writeback-swapoff.yaml");
    let text = fs::read_to_string(shipped).unwrap();
    let with = text.replace(", call: ", ", call: no_such_");
    assert_ne!(with, text);
    scene.own("workloads/profiles/zswap-writeback-swapoff.yaml", &with);
    // The error lists what was looked for, and the calls that there are.
    scene.run(&["repro"]).expect(2).says(&[
        "no call number 1 to no_such__raw_spin_lock before",
        "no call number 1 to no_such___read_swap_cache_async",
        ", __read_swap_cache_async, ",
        "this kernel has no function zswap_reclaim_entry",
    ]);
}

#[test]
fn a_mirror_that_cannot_be_reached() {
    let scene = Scene::new();
    scene.fake("apt-get", "echo 'E: Could not resolve the mirror' >&2; exit 100");
    let output = scene
        .swapstorm()
        .env("SWAPSTORM_CACHE", scene.path("empty store"))
        .args(["build", "debian-6.1"])
        .output();
    Ran::from(output.unwrap()).expect(3).says(&["linux-source-6.1", "hint:"]);
}

#[test]
fn a_full_disk() {
    let scene = Scene::new();
    scene.run(&["build", "debian-6.1"]).expect(0);
    let out = scene.path("small");
    fs::create_dir(&out).unwrap();
    // A file system of 64 KiB, seen by nobody else.
    let script = "mount -t tmpfs -o size=64k none \"$0\" && exec \"$@\"";
    let me = rustix::process::getuid();
    let mut command = Command::new("unshare");
    if !me.is_root() {
        command.arg("--map-root-user");
    }
    let output = command
        .args(["--mount", "sh", "-c", script])
        .arg(&out)
        .arg(env!("CARGO_BIN_EXE_swapstorm"))
        .args(["repro", "--seed", "7", "--out"])
        .arg(&out)
        .env("SWAPSTORM_CACHE", cache())
        .output();
    Ran::from(output.unwrap()).expect(3).says(&["No space left on device"]);
}
