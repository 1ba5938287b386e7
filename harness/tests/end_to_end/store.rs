// SPDX-License-Identifier: MIT OR Apache-2.0
//! The store under harm and under two programs at once.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;

use crate::support::{Ran, Scene, cache};

/// Files of that name in the store's finished entries of one kind.
fn entries(bucket: &str, name: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(cache().join("v1").join(bucket)).into_iter().flatten().flatten();
    entries.map(|entry| entry.path().join(name)).filter(|file| file.is_file()).collect()
}

#[test]
fn damaged_entries_are_noticed_and_made_again() {
    // Others would meet the damage, too.
    let scene = Scene::alone();
    let ran = scene.run(&["build", "debian-6.1", "--json"]);
    let kernel: serde_json::Value = serde_json::from_str(&ran.expect(0).stdout).unwrap();
    let vmlinux = PathBuf::from(kernel["vmlinux"].as_str().unwrap());
    for files in [vec![vmlinux], entries("agents", "agent"), entries("images", "initramfs.cpio")] {
        assert!(!files.is_empty());
        for file in files {
            fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
            let mut bytes = fs::read(&file).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x40;
            fs::write(&file, bytes).unwrap();
        }
    }
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
