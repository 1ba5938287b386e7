// SPDX-License-Identifier: MIT OR Apache-2.0
//! Programs that are stopped kindly, below a real supervisor: this program, started again.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
#![expect(clippy::print_stdout, reason = "a test program says what it did")]

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use host::lock::FileLock;
use host::process::{Command, supervise_if_asked};

/// For programs that end by themselves: nobody waits so long.
const AMPLE: Duration = Duration::from_secs(600);
/// First argument of the process that is killed by the test.
const PARENT: &str = "parent";

/// Speaks, and only then cleans up, as make does. It kills its child itself: one that is still the shell when the
/// signal comes has the shell's trap, not yet its own end.
const CLEANS_UP: &str = "trap 'echo cleaning; echo gone > clean; kill -9 $!; exit 1' TERM; \
                         sleep 1000 & echo ready; wait";

fn main() -> ExitCode {
    if let Some(code) = supervise_if_asked() {
        return code;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|arg| arg == PARENT) {
        runtime.block_on(parent(&PathBuf::from(args.next().unwrap())));
        return ExitCode::SUCCESS;
    }
    runtime.block_on(what_it_says_and_how_it_ends_are_passed_on());
    runtime.block_on(a_dropped_future_lets_it_clean_up_and_keeps_the_lock_meanwhile());
    runtime.block_on(what_does_not_end_is_killed_with_all_below_it());
    runtime.block_on(a_parent_that_is_killed_lets_it_clean_up());
    println!("supervisor: 4 tests passed");
    ExitCode::SUCCESS
}

fn command(dir: &Path, script: &str, grace: Duration, lock: &FileLock) -> Command {
    Command::new("sh").args(["-c", script]).cwd(dir).stopped_kindly(grace, lock)
}

async fn lock(dir: &Path) -> FileLock {
    FileLock::take(&dir.join("lock"), || {}).await.unwrap()
}

async fn what_it_says_and_how_it_ends_are_passed_on() {
    let dir = tempfile::tempdir().unwrap();
    let lock = lock(dir.path()).await;
    for (script, code) in [("exit 3", 3), ("exit 0", 0), ("kill -9 $$", 128 + 9)] {
        let script = format!("echo one; echo two >&2; cat; seq 100000; printf last; {script}");
        let mut lines = Vec::new();
        let command = command(dir.path(), &script, AMPLE, &lock);
        let ended =
            command.each_line(|line| lines.push(String::from_utf8_lossy(line).into_owned()));
        assert_eq!(ended.await.unwrap(), code);
        assert_eq!((lines[0].as_str(), lines[1].as_str(), lines.len()), ("one", "two", 100_003));
        assert_eq!((lines[100_001].as_str(), lines[100_002].as_str()), ("100000", "last"));
    }
}

/// Runs the script until it says something, and drops the future.
async fn drop_when_ready(dir: &Path, script: &str, grace: Duration, lock: &FileLock) {
    let (told, hears) = tokio::sync::oneshot::channel();
    let mut told = Some(told);
    let running = command(dir, script, grace, lock).each_line(|_| {
        let _ = told.take().map(|told| told.send(()));
    });
    tokio::select! {
        ended = running => panic!("it ended: {ended:?}"),
        heard = hears => heard.unwrap(),
    }
}

async fn a_dropped_future_lets_it_clean_up_and_keeps_the_lock_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let held = lock(dir.path()).await;
    drop_when_ready(dir.path(), CLEANS_UP, AMPLE, &held).await;
    drop(held);
    let _again = lock(dir.path()).await;
    assert_eq!(std::fs::read_to_string(dir.path().join("clean")).unwrap(), "gone\n");
}

async fn what_does_not_end_is_killed_with_all_below_it() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).unwrap();
    let reader = std::thread::spawn(move || {
        std::fs::File::open(fifo).unwrap().read_to_end(&mut Vec::new()).unwrap()
    });
    let held = lock(dir.path()).await;
    let script = "trap '' TERM; exec 3> fifo; echo ready; sleep 1000 & while :; do wait; done";
    drop_when_ready(dir.path(), script, Duration::from_millis(10), &held).await;
    drop(held);
    let _again = lock(dir.path()).await;
    // The end of the file is the end of the last process that had it open.
    reader.join().unwrap();
}

async fn a_parent_that_is_killed_lets_it_clean_up() {
    let dir = tempfile::tempdir().unwrap();
    let mut parent = std::process::Command::new(std::env::current_exe().unwrap())
        .args([PARENT.as_ref(), dir.path().as_os_str()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(parent.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    parent.kill().unwrap();
    parent.wait().unwrap();
    let _again = lock(dir.path()).await;
    assert_eq!(std::fs::read_to_string(dir.path().join("clean")).unwrap(), "gone\n");
}

/// The process that is killed: runs a script and passes on what it says.
async fn parent(dir: &Path) {
    let lock = lock(dir).await;
    let command = command(dir, CLEANS_UP, AMPLE, &lock);
    command.each_line(|line| println!("{}", String::from_utf8_lossy(line))).await.unwrap();
}
