// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the tests share: the program, its store, and fakes put before real tools.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Shared by tests that can run beside each other, had alone by the others.
static MACHINE: RwLock<()> = RwLock::new(());

/// A test's hold on [`MACHINE`].
enum Hold {
    Shared(#[expect(dead_code, reason = "held until dropped")] RwLockReadGuard<'static, ()>),
    Alone(#[expect(dead_code, reason = "held until dropped")] RwLockWriteGuard<'static, ()>),
}

/// The store that all tests share, unless a test harms it.
pub fn cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("store")
}

/// A place of its own for each test.
pub struct Scene {
    /// Everything that the test writes.
    pub dir: TempDir,
    began: Instant,
    idled: f64,
    _machine: Hold,
}

impl Scene {
    /// A place beside those of other tests.
    pub fn new() -> Self {
        let shared = MACHINE.read().unwrap_or_else(PoisonError::into_inner);
        Self::with(Hold::Shared(shared))
    }

    /// A place while no other test runs, for `undisturbed.rs`.
    pub fn alone() -> Self {
        let alone = MACHINE.write().unwrap_or_else(PoisonError::into_inner);
        Self::with(Hold::Alone(alone))
    }

    fn with(machine: Hold) -> Self {
        let dir = tempfile::Builder::new().prefix("swapstorm-test-").tempdir().unwrap();
        Self { dir, began: Instant::now(), idled: idle_time(), _machine: machine }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file below the user's own data folder, which `swapstorm` then uses.
    pub fn own(&self, file: &str, text: &str) {
        let file = self.path("data").join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    /// Options for a kernel that is quick to build, with zswap but no sanitizer: for tests that
    /// look at something else.
    pub fn plain_kernel(&self) -> [&'static str; 2] {
        let manifest = "about: a kernel without a sanitizer\n\
            source: {debian: {package: linux-source-6.1}}\n\
            config: {base: tinyconfig, fragments: [base, zswap], arch: {x86_64: [x86_64]}}\n";
        self.own("kernels/manifests/plain.yaml", manifest);
        ["--kernel", "plain"]
    }

    /// Puts a program before the real ones on the PATH.
    pub fn fake(&self, program: &str, script: &str) {
        let file = self.path("bin").join(program);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// The program with the shared store, this scene's data and fakes.
    pub fn swapstorm(&self) -> Command {
        self.swapstorm_in(Path::new(env!("CARGO_BIN_EXE_swapstorm")))
    }

    /// The same from another file that holds the program.
    pub fn swapstorm_in(&self, program: &Path) -> Command {
        let path = std::env::var("PATH").unwrap();
        let mut command = Command::new(program);
        command
            .env("PATH", format!("{}:{path}", self.path("bin").display()))
            .env("SWAPSTORM_CACHE", cache())
            .env("SWAPSTORM_OUT", self.path("out"))
            .env("SWAPSTORM_DATA", self.path("data"))
            .env("SWAPSTORM_HISTORY", self.path("history.jsonl"))
            .stdin(Stdio::null())
            .current_dir(self.dir.path());
        command
    }

    /// Runs the program to its end.
    pub fn run(&self, args: &[&str]) -> Ran {
        Ran::from(self.swapstorm().args(args).output().unwrap())
    }

    /// The folder of the only run.
    pub fn run_folder(&self) -> PathBuf {
        let mut runs: Vec<PathBuf> =
            fs::read_dir(self.path("out")).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(runs.len(), 1, "{runs:?}");
        runs.remove(0)
    }

    /// The report of the only run.
    pub fn report(&self) -> Value {
        let text = fs::read(self.run_folder().join("report.json")).unwrap();
        serde_json::from_slice(&text).unwrap()
    }
}

/// How long the processors of this machine have idled, all of them together, in seconds.
fn idle_time() -> f64 {
    // The second number of /proc/uptime: proc_uptime(5).
    let text = fs::read_to_string("/proc/uptime").unwrap();
    text.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Says how long a test took, so that a log shows where the minutes went, and what the guests of a failed one said last.
impl Drop for Scene {
    fn drop(&mut self) {
        let test = std::thread::current().name().unwrap_or_default().to_owned();
        let seconds = self.began.elapsed().as_secs();
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let idled = (idle_time() - self.idled) / cpus as f64;
        // Not by a macro, whose output is shown for failed tests only.
        let mut stderr = std::io::stderr();
        let _ = writeln!(
            stderr,
            "\ntimed: {test} took {seconds} s, of which processors idled {idled:.0} s"
        );
        if std::thread::panicking() {
            for (console, text) in last_words(&self.path("out")) {
                let _ = writeln!(stderr, "\n{}, its end:\n{text}", console.display());
            }
        }
    }
}

/// The last kilobytes of each console below that folder, in the order of their names.
fn last_words(folder: &Path) -> Vec<(PathBuf, String)> {
    const ENOUGH: usize = 6_000;
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() {
            found.extend(last_words(&path));
        } else if name.contains("console") {
            let bytes = fs::read(&path).unwrap_or_default();
            let end = &bytes[bytes.len().saturating_sub(ENOUGH)..];
            found.push((path, String::from_utf8_lossy(end).into_owned()));
        }
    }
    found.sort();
    found
}

/// How the program ended and what it said.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }
}

impl Ran {
    /// Checks the exit code, and shows everything if it is another.
    #[track_caller]
    pub fn expect(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "\n{}\n{}", self.stdout, self.stderr);
        self
    }

    /// Checks that stderr holds all of these.
    #[track_caller]
    pub fn says(&self, words: &[&str]) -> &Self {
        for word in words {
            assert!(self.stderr.contains(word), "no {word:?} in\n{}", self.stderr);
        }
        assert!(!self.stderr.contains("panicked at"), "{}", self.stderr);
        self
    }
}

/// A shipped series, as a folder in a checkout.
pub fn shipped_series(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../kernels/series").join(name)
}

/// A patch that only says something in a file, whose third line is this.
pub fn comment(file: &str, third: &str, words: &str) -> String {
    format!(
        "From: A Person <a@example.org>\nSubject: [PATCH] mm: {words}\n\n---\n--- a/{file}\n+++ b/{file}\n\
         @@ -1,4 +1,5 @@\n // SPDX-License-Identifier: GPL-2.0\n+// {words}\n /*\n {third}\n  *\n"
    )
}

/// Writes a series of these patches; each is a name and a text.
pub fn series(folder: &Path, patches: &[(&str, String)]) {
    fs::create_dir(folder).unwrap();
    let mut list = String::new();
    for (name, text) in patches {
        fs::write(folder.join(name), text).unwrap();
        list.push_str(&format!("{name}\n"));
    }
    fs::write(folder.join("series"), list).unwrap();
}

/// The only patch of a shipped series.
pub fn shipped_patch(name: &str) -> String {
    let files = fs::read_dir(shipped_series(name)).unwrap().flatten().map(|entry| entry.path());
    let mut patches = files.filter(|path| path.extension().is_some_and(|e| e == "patch"));
    let patch = fs::read_to_string(patches.next().unwrap()).unwrap();
    assert_eq!(patches.next(), None, "{name} has several");
    patch
}

/// Ids of live processes whose command line holds `word`.
pub fn processes_with(word: &str) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if pid != std::process::id() && String::from_utf8_lossy(&line).contains(word) {
            found.push(pid);
        }
    }
    found
}

/// Longer than anything takes on the slowest day.
const FOR_EVER: Duration = Duration::from_secs(3600);

/// Waits until something is there.
pub fn wait_for(what: &str, mut is_there: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_there() {
        assert!(began.elapsed() < FOR_EVER, "{what} did not come");
        sleep(Duration::from_millis(50));
    }
}

/// Machines that run in a folder below this one.
pub fn machines_in(folder: &Path) -> Vec<u32> {
    let runs_there = |pid: &u32| {
        // Its supervisor has the same words.
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        name.starts_with("qemu-system")
            && fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(folder))
    };
    processes_with("qemu-system").into_iter().filter(runs_there).collect()
}
