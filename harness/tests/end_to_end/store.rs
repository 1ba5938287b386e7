// SPDX-License-Identifier: MIT OR Apache-2.0
//! The store under two programs at once. Under harm it is tested in `undisturbed.rs`.

use std::fs;
use std::process::Stdio;

use crate::support::{Ran, Scene};

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
