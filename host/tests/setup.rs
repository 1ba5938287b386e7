// SPDX-License-Identifier: MIT OR Apache-2.0
//! `make setup` with an apt that is played by scripts, on a machine that has nothing but a shell's tools.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

/// What the script needs itself.
const TOOLS: [&str; 11] =
    ["awk", "cut", "dirname", "env", "grep", "id", "sh", "sort", "tr", "uname", "cat"];

/// Runs setup.sh where apt-get does `simulates` when asked what it would do, and `installs` when it is
/// to do it. Returns how it ended, and how apt-get was called.
fn setup(simulates: &str, installs: &str) -> (Output, String) {
    let dir = tempfile::tempdir().unwrap();
    let bin = dir.path().join("bin");
    fs::create_dir(&bin).unwrap();
    for tool in TOOLS {
        symlink(host::process::which(tool).unwrap(), bin.join(tool)).unwrap();
    }
    let fake = |name: &str, script: &str| {
        let file = bin.join(name);
        fs::remove_file(&file).ok();
        fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    };
    let log = dir.path().join("called");
    let get = format!(
        "echo \"$*\" >> {}\ncase \"$*\" in '-q update') ;; -s*) {simulates} ;; *) {installs} ;; esac",
        log.display()
    );
    fake("apt-get", &get);
    fake("id", "echo 0");
    fake("apt-cache", &format!("[ \"$1\" = policy ] || exit 0\ncat <<'END'\n{POLICY}END"));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("setup.sh");
    let output = Command::new("sh").arg(script).env("PATH", &bin).output().unwrap();
    (output, fs::read_to_string(log).unwrap())
}

/// A package from backports, as `apt-cache policy` shows it.
const POLICY: &str = "qemu-utils:
  Installed: 1:8.2.1~bpo12+1
  Candidate: 1:8.2.1~bpo12+1
  Version table:
 *** 1:8.2.1~bpo12+1 100
        100 http://mirror.example/debian bookworm-backports/main amd64 Packages
        100 /var/lib/dpkg/status
     1:7.2+dfsg-7 500
        500 http://mirror.example/debian bookworm/main amd64 Packages
";

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn what_is_missing_is_installed_and_apt_may_remove_nothing() {
    let (output, called) = setup("echo 'Inst gcc (4:12.2.0-3 Debian:12/stable [amd64])'", "");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let calls: Vec<&str> = called.lines().collect();
    assert_eq!(calls[0], "-q update");
    assert!(calls[1].starts_with("-s install"), "{called}");
    assert!(calls[2].starts_with("-q install -y --no-remove --no-install-recommends"), "{called}");
    assert!(calls[2].contains(" gcc ") && calls[2].contains(" qemu-system-x86 "), "{called}");
}

#[test]
fn what_would_have_to_go_is_named_with_the_way_out() {
    let (output, called) =
        setup("echo 'Remv qemu-utils [1:8.2.1~bpo12+1]'; echo 'Inst gcc (x)'", "");
    assert_eq!(output.status.code(), Some(3));
    assert!(!called.contains("-q install"), "{called}");
    let said = text(&output.stderr);
    for words in [
        "apt would have to remove qemu-utils: nothing was changed",
        "came from bookworm-backports",
        "apt-get install --no-remove --no-install-recommends -t bookworm-backports ",
        "apt-get remove qemu-utils",
    ] {
        assert!(said.contains(words), "no {words} in\n{said}");
    }
    assert!(!said.contains("-t bookworm "), "{said}");
}

#[test]
fn an_apt_that_cannot_simulate_speaks_for_itself() {
    let refuses = "echo 'E: Unmet dependencies.' >&2; exit 100";
    let (output, called) = setup(refuses, refuses);
    assert_eq!(output.status.code(), Some(100));
    assert!(text(&output.stderr).contains("E: Unmet dependencies."));
    assert!(called.contains("-q install -y --no-remove"), "{called}");
}
