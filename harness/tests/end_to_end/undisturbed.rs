// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tests that have the machine for themselves, since they harm what is shared or look at all of it. Tests begin in the order of
//! their names, so these come last, and no others wait for them.

mod chaos;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use rustix::process::Signal;

use crate::hangs::{on_top_of_the_fix, one_cell};
use crate::lifetime::{signal, start};
use crate::support::{Scene, cache, processes_with, wait_for};

#[test]
fn kill_9_leaves_no_qemu_and_no_file_outside_the_run() {
    // Before QEMU has printed, and with the guest up.
    for moment in ["booting", "guest up"] {
        let scene = Scene::alone();
        let before = files_outside(&scene);
        let (mut child, mut lines) = start(&scene);
        lines.find(|line| line.contains(moment)).expect("the run got so far");
        let token = scene.path("").display().to_string();
        signal(&child, Signal::KILL);
        child.wait().unwrap();
        wait_for("the end of its processes", || processes_with(&token).is_empty());
        assert_eq!(files_outside(&scene), before, "{moment}");
        let folder = scene.run_folder();
        let log = fs::read_to_string(folder.join("events.jsonl")).unwrap();
        assert!(log.starts_with("{\"at_ms\":"), "{log}");
    }
}

/// Names in the places where a program might leave something behind.
fn files_outside(scene: &Scene) -> Vec<String> {
    let own = scene.dir.path().file_name().unwrap().to_owned();
    let mut names = Vec::new();
    for place in [std::env::temp_dir(), "/dev/shm".into(), "/run".into()] {
        for entry in fs::read_dir(Path::new(&place)).into_iter().flatten().flatten() {
            if entry.file_name() != own {
                names.push(entry.path().display().to_string());
            }
        }
    }
    names.retain(|name| name.contains("swapstorm") || name.contains("qemu"));
    names.sort();
    names
}

/// Files of that name in the store's finished entries of one kind.
fn entries(bucket: &str, name: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(cache().join("v1").join(bucket)).into_iter().flatten().flatten();
    entries.map(|entry| entry.path().join(name)).filter(|file| file.is_file()).collect()
}

#[test]
fn damaged_entries_are_noticed_and_made_again() {
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

/// The control of `hangs.rs`, beside programs that want all of this machine.
#[test]
fn a_slow_swapoff_is_clean_on_a_starved_machine() {
    let scene = Scene::alone();
    let series = on_top_of_the_fix(&scene, "swapoff-slow-6.1");
    // Compiling may take all of the machine.
    scene.run(&["build", "debian-6.1", "--series", &series]).expect(0);
    let _busy = Busy::new(4);
    let cell = one_cell(&scene, &series, "30s", 0);
    assert_eq!(cell["verdict"], "clean", "{cell:#}");
    assert_eq!(cell["bugs"].as_array().unwrap().len(), 0, "{cell:#}");
}

/// Loops that do nothing, until dropped.
struct Busy(Vec<Child>);

impl Busy {
    fn new(count: usize) -> Self {
        let busy = || Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
        Self((0..count).map(|_| busy()).collect())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
