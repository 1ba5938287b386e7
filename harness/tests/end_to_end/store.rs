// SPDX-License-Identifier: MIT OR Apache-2.0
//! The store under harm and under two programs at once.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;

use crate::support::{Ran, Scene, cache};

/// Files of that name anywhere below the store's finished entries.
fn entries(name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for bucket in ["kernels", "agents", "images"] {
        for entry in fs::read_dir(cache().join("v1").join(bucket)).into_iter().flatten().flatten() {
            found.extend(Some(entry.path().join(name)).filter(|file| file.is_file()));
        }
    }
    found
}

#[test]
fn damaged_entries_are_noticed_and_made_again() {
    let scene = Scene::new();
    scene.run(&["build", "debian-6.1"]).expect(0);
    for name in ["vmlinux", "agent", "initramfs.cpio"] {
        for file in entries(name) {
            fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
            let mut bytes = fs::read(&file).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x40;
            fs::write(&file, bytes).unwrap();
        }
    }
    assert!(!entries("vmlinux").is_empty());
    let ran = scene.run(&["repro", "--seed", "6"]);
    ran.expect(0).says(&["damaged"]);
}

#[test]
fn two_at_once_share_a_store() {
    let scene = Scene::new();
    // A series of its own makes both want the same new kernel.
    let start = || {
        let mut command = scene.swapstorm();
        command.args(["build", "debian-6.1", "--series", "bug-elsewhere-6.1", "--json"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let (first, second) = (start(), start());
    let both = [first, second].map(|child| Ran::from(child.wait_with_output().unwrap()));
    let kernels = both.each_ref().map(|ran| {
        ran.expect(0);
        let value: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        fs::read(value["vmlinux"].as_str().unwrap()).unwrap()
    });
    assert!(kernels[0] == kernels[1], "two kernels of one key");
}
