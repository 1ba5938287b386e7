// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program with a store, a data folder and an output folder that are thrown away.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use tempfile::TempDir;

/// A place of its own for each test.
pub struct Scene {
    pub dir: TempDir,
}

impl Scene {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file below the user's own data folder.
    pub fn own(&self, file: &str, text: &str) {
        let file = self.dir.path().join("data").join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    /// Writes a manifest `mine` for a kernel of this source.
    pub fn manifest(&self, source: &str) {
        let config = "{base: tinyconfig, fragments: [], arch: {x86_64: []}}";
        let text = format!("about: mine\nsource: {{{source}}}\nconfig: {config}\n");
        self.own("kernels/manifests/mine.yaml", &text);
    }

    /// Puts a program before the real ones on the PATH of [`Scene::command`].
    pub fn fake(&self, program: &str, script: &str) {
        let file = self.path("fakes").join(program);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Runs a shell script in the scene's folder, which must succeed; the result is its stdout.
    pub fn sh(&self, script: &str) -> String {
        let mut command = Command::new("sh");
        command.args(["-euc", script]).current_dir(self.dir.path()).env("LC_ALL", "C");
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{script}: {}", self.talk(output).1);
        said
    }

    pub fn command(&self) -> Command {
        let path = std::env::var("PATH").unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_swapstorm"));
        command
            .env("PATH", format!("{}:{path}", self.path("fakes").display()))
            .current_dir(self.dir.path())
            .env("SWAPSTORM_CACHE", self.dir.path().join("store"))
            .env("SWAPSTORM_OUT", self.dir.path().join("out"))
            .env("SWAPSTORM_DATA", self.dir.path().join("data"))
            .env("XDG_DATA_HOME", self.dir.path().join("xdg"))
            .env_remove("SWAPSTORM_BASELINES")
            .env_remove("SWAPSTORM_HISTORY");
        command
    }

    /// Runs the program; returns its exit code and its stderr with the scene's folder cut out.
    pub fn run(&self, args: &[&str]) -> (Option<i32>, String) {
        self.talk(self.command().args(args).output().unwrap())
    }

    /// Runs the program on bad input: it must end with this code and one error, which holds these
    /// words and a hint, and leave nothing half made.
    #[track_caller]
    pub fn refuses(&self, args: &[&str], code: i32, words: &[&str]) {
        let (ended, stderr) = self.run(args);
        assert_eq!(ended, Some(code), "{args:?}: {stderr}");
        for word in words.iter().chain(&["\n  hint: "]) {
            assert!(stderr.contains(word), "{args:?}: no {word:?} in {stderr}");
        }
        assert!(!stderr.contains("panicked at"), "{stderr}");
        assert!(!self.path("out").exists(), "{args:?} made a run");
        let versions = fs::read_dir(self.path("store")).into_iter().flatten().flatten();
        for unfinished in versions.map(|version| version.path().join("tmp")) {
            let left = fs::read_dir(unfinished).into_iter().flatten().count();
            assert_eq!(left, 0, "{args:?} left something: {stderr}");
        }
    }

    pub fn talk(&self, output: Output) -> (Option<i32>, String) {
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let folder = self.dir.path().display().to_string();
        (output.status.code(), stderr.replace(&folder, "[SCENE]"))
    }
}
