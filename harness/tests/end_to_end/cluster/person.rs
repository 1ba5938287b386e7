// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whose runs those on a cluster are: whoever runs the tests, but not root, who `nobody` stands in for.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::geteuid;
use serde_json::Value;

use crate::support::{Ran, Scene, cache};

/// A user without privileges, whose home is the scene's folder.
pub struct Person<'s> {
    pub scene: &'s Scene,
    /// Root becomes this user, and is in this group only.
    ids: Option<(u32, u32)>,
}

impl<'s> Person<'s> {
    pub fn new(scene: &'s Scene) -> Self {
        let number = |option: &str| {
            let output = Command::new("id").args([option, "nobody"]).output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
        };
        let ids = geteuid().is_root().then(|| (number("-u"), number("-g")));
        let person = Self { scene, ids };
        // munged wants to know that clients can reach its socket.
        fs::set_permissions(scene.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(scene.path("tmp")).unwrap();
        // Cargo's target folder may be one that only root can enter.
        fs::copy(env!("CARGO_BIN_EXE_swapstorm"), scene.path("swapstorm")).unwrap();
        person.owns(scene.dir.path());
        person
    }

    /// Makes everything below a folder the person's.
    pub fn owns(&self, folder: &Path) {
        if let Some((user, group)) = self.ids {
            let mut chown = Command::new("chown");
            chown.args(["-R", &format!("{user}:{group}")]).arg(folder);
            assert!(chown.status().unwrap().success());
        }
    }

    /// Has the person run a program.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        self.become_of(Command::new(program))
    }

    /// Has the person run swapstorm.
    pub fn swapstorm(&self) -> Command {
        let mut command = self.become_of(self.scene.swapstorm_in(&self.scene.path("swapstorm")));
        command.env("SWAPSTORM_CACHE", self.scene.path("store"));
        command
    }

    fn become_of(&self, mut command: Command) -> Command {
        command.env("HOME", self.scene.dir.path()).env("TMPDIR", self.scene.path("tmp"));
        for name in ["XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"] {
            command.env_remove(name);
        }
        command.stdin(Stdio::null());
        if let Some((user, group)) = self.ids {
            // With them go the groups beside it.
            command.uid(user).gid(group);
        }
        command
    }

    /// Lays the kernels of these series into a store of the person's own. Nothing is built for it that the other tests do not
    /// have already.
    pub fn stock(&self, store: &Path, series: &[&str]) {
        let kernels = store.join("v1/kernels");
        fs::create_dir_all(&kernels).unwrap();
        for series in series {
            let built = self.scene.run(&["build", "debian-6.1", "--series", series, "--json"]);
            let built: Value = serde_json::from_str(&built.expect(0).stdout).unwrap();
            let vmlinux = PathBuf::from(built["vmlinux"].as_str().unwrap());
            copy(vmlinux.parent().unwrap(), &kernels);
        }
        // Which source they are of: apt need not be asked.
        copy(&cache().join("v1/apt"), &store.join("v1"));
        self.owns(store);
    }

    /// Runs swapstorm to its end.
    pub fn run(&self, args: &[&str]) -> Ran {
        Ran::from(self.swapstorm().args(args).output().unwrap())
    }
}

fn copy(folder: &Path, into: &Path) {
    assert!(Command::new("cp").arg("-R").arg(folder).arg(into).status().unwrap().success());
}
