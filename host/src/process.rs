// SPDX-License-Identifier: MIT OR Apache-2.0
//! Child processes that never outlive us.
//!
//! Each child is the leader of its own process group, so a terminal's Ctrl-C reaches
//! only us and a kill reaches the whole tree below it. Between us and the program
//! stands a *supervisor*: our own executable, started again, which waits on two
//! pidfds: its parent's and its child's. When the parent is gone, whatever killed it,
//! the supervisor kills the group. PR_SET_PDEATHSIG would not do: it fires when the
//! *thread* that forked ends, and it is not inherited by the compilers below a make.
//!
//! A program that would leave half-made files behind is [stopped kindly](Command::stopped_kindly): its
//! supervisor asks it by SIGTERM when nobody listens any more, be it that the parent is gone or
//! that it has closed its end of the output, and kills it only after a while.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, getppid, kill_process_group, pidfd_open};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

use crate::lock::FileLock;
use crate::tools;

/// First argument with which our executable becomes a supervisor. The others are the parent's
/// process id, how many milliseconds the program has to stop ("0": it is killed at once),
/// the program, and its arguments.
const SUPERVISE: &str = "__supervise";
/// Exit status of a supervisor that could not start the program.
const CANNOT_START: u8 = 127;
/// A captured stream keeps at most this many bytes; the rest is read and dropped.
const CAPTURE_LIMIT: u64 = 4 << 20;
/// So often a program is tried again that is open for writing, and so long is waited between.
const BUSY_TRIES: u32 = 50;
const BUSY_PAUSE: Duration = Duration::from_millis(2);
/// A line handed to a callback is at most this long; the rest of it is dropped.
const LINE_LIMIT: usize = 64 << 10;

/// Our own executable, once it has promised to supervise.
static SUPERVISOR: OnceLock<PathBuf> = OnceLock::new();

/// Why a child could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The program is not on the PATH.
    #[error("{program} is not installed\n  hint: {hint}")]
    Missing {
        /// Program name.
        program: String,
        /// What to install.
        hint: String,
    },
    /// The program could not be started.
    #[error("cannot start {program}: {source}")]
    Start {
        /// Program name.
        program: String,
        /// The system's error.
        source: io::Error,
    },
    /// Reading from or waiting for the program failed.
    #[error("lost touch with {program}: {source}")]
    Lost {
        /// Program name.
        program: String,
        /// The system's error.
        source: io::Error,
    },
    /// The program ended with an error.
    #[error("{program} failed ({status}){}", tail(.stderr))]
    Failed {
        /// Program name.
        program: String,
        /// How it ended.
        status: String,
        /// The end of what it said on stderr.
        stderr: String,
    },
}

fn tail(stderr: &str) -> String {
    let lines: Vec<&str> = stderr.lines().rev().take(5).collect();
    lines.iter().rev().map(|line| format!("\n  {line}")).collect()
}

/// Becomes a supervisor if the arguments ask for it, and otherwise remembers that
/// this executable can be one. To be called first in `main`; when it returns a code,
/// `main` returns it at once.
pub fn supervise_if_asked() -> Option<ExitCode> {
    let mut args = std::env::args_os();
    let own = args.next();
    if args.next().as_deref() != Some(OsStr::new(SUPERVISE)) {
        // The link keeps working when the file is replaced by an upgrade.
        let exe = PathBuf::from("/proc/self/exe");
        let _ = SUPERVISOR.set(if exe.exists() { exe } else { own?.into() });
        return None;
    }
    Some(ExitCode::from(supervise(args)))
}

/// Runs the program and waits for it or for the parent's death.
fn supervise(mut args: impl Iterator<Item = OsString>) -> u8 {
    let parent = args.next().and_then(|pid| pid.to_str()?.parse().ok()).and_then(Pid::from_raw);
    let grace = args.next().and_then(|grace| grace.to_str()?.parse().ok());
    let (Some(parent), Some(grace), Some(program)) = (parent, grace, args.next()) else {
        return CANNOT_START;
    };
    let Ok(parent_fd) = pidfd_open(parent, PidfdFlags::empty()) else { return CANNOT_START };
    // The parent may have died, and its number been taken, before the pidfd was open.
    if getppid() != Some(parent) {
        return CANNOT_START;
    }
    let mut command = std::process::Command::new(program);
    command.args(args);
    if grace > 0 {
        let ended = stop_kindly(command, &parent_fd, Duration::from_millis(grace));
        return ended.map_or(CANNOT_START, |status| shell_code(status) as u8);
    }
    let Ok(mut child) = started(|| command.spawn()) else { return CANNOT_START };
    let child_fd = Pid::from_raw(child.id().cast_signed())
        .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    let Some(child_fd) = child_fd else {
        let _ = child.kill();
        return CANNOT_START;
    };
    loop {
        let mut fds =
            [PollFd::new(&parent_fd, PollFlags::IN), PollFd::new(&child_fd, PollFlags::IN)];
        match poll(&mut fds, None) {
            Err(Errno::INTR) => continue,
            Err(_) => break,
            Ok(_) if !fds[1].revents().is_empty() => {
                return child.wait().map_or(CANNOT_START, |status| shell_code(status) as u8);
            }
            Ok(_) if !fds[0].revents().is_empty() => break,
            Ok(_) => {}
        }
    }
    let own_group = rustix::process::getpgrp();
    let _ = kill_process_group(own_group, Signal::KILL);
    CANNOT_START
}

/// Runs the program in a process group of its own and passes on what it says. When nobody
/// listens any more, asks the group to end and goes on reading, since a make that cannot speak
/// would die before it has removed what it did not finish; kills it when `grace` is over.
fn stop_kindly(
    mut command: std::process::Command,
    parent: &OwnedFd,
    grace: Duration,
) -> io::Result<ExitStatus> {
    let (output, writer) = io::pipe()?;
    // Our own stdin holds a lock, which is nobody else's.
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer).process_group(0);
    let mut child = started(|| command.spawn())?;
    // The writers are the program's alone, so that their end is its end.
    drop(command);
    let group = Pid::from_raw(child.id().cast_signed()).ok_or(Errno::SRCH)?;
    let child_fd = pidfd_open(group, PidfdFlags::empty())?;
    let stdout = rustix::stdio::stdout();
    let (mut running, mut speaking) = (true, true);
    let mut deadline = None;
    while running || speaking {
        let left = deadline.map(|at: Instant| at.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) {
            break;
        }
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        // An end that was seen once would be seen for ever.
        let wanted =
            |open, fd, flags| if open { Some(PollFd::from_borrowed_fd(fd, flags)) } else { None };
        let watched = [
            wanted(running, child_fd.as_fd(), PollFlags::IN),
            wanted(speaking, output.as_fd(), PollFlags::IN),
            wanted(deadline.is_none(), parent.as_fd(), PollFlags::IN),
            wanted(deadline.is_none(), stdout, PollFlags::empty()),
        ];
        let present = watched.each_ref().map(Option::is_some);
        let mut fds: Vec<PollFd<'_>> = watched.into_iter().flatten().collect();
        match poll(&mut fds, left.as_ref()) {
            Err(Errno::INTR) => continue,
            other => other?,
        };
        let mut happened = fds.iter().map(|fd| !fd.revents().is_empty());
        let [ended, spoke, orphaned, unheard] =
            present.map(|present| present && happened.next().unwrap_or(false));
        running &= !ended;
        if spoke {
            let mut chunk = [0; 16 << 10];
            let read = (&output).read(&mut chunk)?;
            speaking = read > 0;
            if deadline.is_none() {
                // If it cannot be written, the next poll says why.
                let _ = write_all(stdout, &chunk[..read]);
            }
        }
        if orphaned || unheard {
            let _ = kill_process_group(group, Signal::TERM);
            deadline = Some(Instant::now() + grace);
        }
    }
    if deadline.is_some() {
        // The number is the group's until its leader is reaped.
        let _ = kill_process_group(group, Signal::KILL);
    }
    child.wait()
}

fn write_all(to: BorrowedFd<'_>, mut bytes: &[u8]) -> rustix::io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(to, bytes) {
            Err(Errno::INTR) => {}
            written => bytes = &bytes[written?..],
        }
    }
    Ok(())
}

/// The code by which a shell would report a status: signals count from 128.
fn shell_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// Finds a program on the PATH.
pub fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs_err::metadata(file).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

/// A program to run, with its arguments and surroundings.
#[derive(Debug)]
pub struct Command {
    program: String,
    args: Vec<OsString>,
    envs: Vec<(OsString, OsString)>,
    cwd: Option<PathBuf>,
    stdin: Stdio,
    /// How long it has to stop; nothing if it is killed at once.
    grace: Option<Duration>,
}

/// What a finished program said.
#[derive(Debug)]
pub struct Output {
    /// How it ended; a supervised program that a signal killed reports 128 + signal.
    pub code: i32,
    /// Its stdout, at most 4 MiB.
    pub stdout: Vec<u8>,
    /// Its stderr, at most 4 MiB.
    pub stderr: Vec<u8>,
}

impl Command {
    /// A program by its name on the PATH, or by its path.
    pub fn new(program: impl Into<String>) -> Self {
        let (args, envs) = (Vec::new(), Vec::new());
        let (cwd, stdin, grace) = (None, Stdio::null(), None);
        Self { program: program.into(), args, envs, cwd, stdin, grace }
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.envs.push((key.into(), value.into()));
        self
    }

    /// Sets the working directory.
    pub fn cwd(mut self, dir: impl Into<PathBuf>) -> Self {
        self.cwd = Some(dir.into());
        self
    }

    /// Sets where stdin comes from; nothing by default.
    pub fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.stdin = stdin.into();
        self
    }

    /// Lets the program end by itself: when nobody listens to its output any more, because the
    /// future was dropped or this process has ended, it and all below it are asked by SIGTERM, and
    /// killed what is still there after `grace`. Until then `lock` stays taken, whoever dropped it.
    /// For [`Command::each_line`] only; the program gets no stdin.
    pub fn stopped_kindly(mut self, grace: Duration, lock: &FileLock) -> Self {
        // A descriptor that only the supervisor inherits is one of the three that everybody has.
        if let (Some(_), Ok(lock)) = (SUPERVISOR.get(), lock.share()) {
            self.stdin = lock.into();
            self.grace = Some(grace);
        }
        self
    }

    /// Starts the program. It and all below it are killed when the [`Child`] is dropped, unless they
    /// are [stopped kindly](Command::stopped_kindly).
    pub fn spawn(
        self,
        stdout: impl Into<Stdio>,
        stderr: impl Into<Stdio>,
    ) -> Result<Child, ProcessError> {
        let path = if self.program.contains('/') {
            Some(PathBuf::from(&self.program)).filter(|file| is_executable(file))
        } else {
            which(&self.program)
        };
        let path = path.ok_or_else(|| ProcessError::Missing {
            program: self.program.clone(),
            hint: tools::install_hint(&self.program),
        })?;
        let mut command = match SUPERVISOR.get() {
            Some(supervisor) => {
                let mut command = tokio::process::Command::new(supervisor);
                let grace = self.grace.map_or(0, |grace| grace.as_millis().max(1));
                command.arg(SUPERVISE).arg(std::process::id().to_string());
                command.arg(grace.to_string()).arg(path);
                command
            }
            // Tests of the libraries have no supervisor; what is killed on drop is the same.
            None => tokio::process::Command::new(path),
        };
        command.args(&self.args).envs(self.envs).stdin(self.stdin).stdout(stdout).stderr(stderr);
        let kindly = self.grace.is_some();
        command.process_group(0).kill_on_drop(!kindly);
        if let Some(dir) = self.cwd {
            command.current_dir(dir);
        }
        let inner = started(|| command.spawn())
            .map_err(|source| ProcessError::Start { program: self.program.clone(), source })?;
        Ok(Child { inner, program: self.program, kindly })
    }

    /// Runs the program to its end and captures what it says, whatever its exit code.
    pub async fn output(self) -> Result<Output, ProcessError> {
        let mut child = self.spawn(Stdio::piped(), Stdio::piped())?;
        let (stdout, stderr) = (child.inner.stdout.take(), child.inner.stderr.take());
        let (stdout, stderr) = tokio::join!(capture(stdout), capture(stderr));
        let lost = |source| ProcessError::Lost { program: child.program.clone(), source };
        let (stdout, stderr) = (stdout.map_err(lost)?, stderr.map_err(lost)?);
        let code = child.wait().await?;
        Ok(Output { code, stdout, stderr })
    }

    /// Like [`Command::output`], but an exit code other than 0 is an error.
    pub async fn success(self) -> Result<Output, ProcessError> {
        let program = self.program.clone();
        let output = self.output().await?;
        if output.code == 0 {
            return Ok(output);
        }
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(ProcessError::Failed { program, status: status_words(output.code), stderr })
    }

    /// Runs the program to its end, handing each line of its stdout and stderr (mixed as
    /// they come, without line end, at most 64 KiB) to `each`. Returns the exit code.
    pub async fn each_line(self, mut each: impl FnMut(&[u8])) -> Result<i32, ProcessError> {
        let program = self.program.clone();
        let lost = |source: io::Error| ProcessError::Lost { program: program.clone(), source };
        let (reader, writer) = io::pipe().map_err(lost)?;
        let second = writer.try_clone().map_err(lost)?;
        let mut child = self.spawn(writer, second)?;
        let reader =
            tokio::net::unix::pipe::Receiver::from_owned_fd(reader.into()).map_err(lost)?;
        let mut reader = BufReader::new(reader);
        while let Some(line) = bounded_line(&mut reader).await.map_err(lost)? {
            each(&line);
        }
        child.wait().await
    }
}

/// Exit code in words: `exit code 2`, `killed by signal 9`.
pub fn status_words(code: i32) -> String {
    if code > 128 {
        format!("killed by signal {}", code - 128)
    } else {
        format!("exit code {code}")
    }
}

/// Starts a program with `spawn`. One that was just written may still be open in a process that another thread has
/// forked and that has not come to its exec: the system then says "text file busy", and a moment later does not.
fn started<T>(mut spawn: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    for _ in 0..BUSY_TRIES {
        match spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {
                std::thread::sleep(BUSY_PAUSE);
            }
            ended => return ended,
        }
    }
    spawn()
}

async fn capture(stream: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    if let Some(mut stream) = stream {
        (&mut stream).take(CAPTURE_LIMIT).read_to_end(&mut kept).await?;
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
    }
    Ok(kept)
}

/// Reads one line without its end; keeps at most [`LINE_LIMIT`] bytes of it.
async fn bounded_line(
    reader: &mut (impl tokio::io::AsyncBufRead + Unpin),
) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    loop {
        let chunk = reader.fill_buf().await?;
        if chunk.is_empty() {
            return Ok((!line.is_empty()).then_some(line));
        }
        let end = chunk.iter().position(|&byte| byte == b'\n');
        let part = &chunk[..end.unwrap_or(chunk.len())];
        line.extend_from_slice(&part[..part.len().min(LINE_LIMIT - line.len())]);
        let used = end.map_or(chunk.len(), |end| end + 1);
        reader.consume(used);
        if end.is_some() {
            return Ok(Some(line));
        }
    }
}

/// A running child. Dropping it kills its whole process group, unless it is stopped kindly.
#[derive(Debug)]
pub struct Child {
    inner: tokio::process::Child,
    program: String,
    kindly: bool,
}

impl Child {
    /// The child's stdin, if it was piped and not yet taken.
    pub fn take_stdin(&mut self) -> Option<tokio::process::ChildStdin> {
        self.inner.stdin.take()
    }

    /// The child's stdout, if it was piped and not yet taken.
    pub fn take_stdout(&mut self) -> Option<tokio::process::ChildStdout> {
        self.inner.stdout.take()
    }

    /// The child's stderr, if it was piped and not yet taken.
    pub fn take_stderr(&mut self) -> Option<tokio::process::ChildStderr> {
        self.inner.stderr.take()
    }

    /// Process id of the group's leader while it runs.
    pub fn id(&self) -> Option<u32> {
        self.inner.id()
    }

    /// Waits for the end. The code is the program's, or 128 + the signal that killed it.
    pub async fn wait(&mut self) -> Result<i32, ProcessError> {
        let status = self.inner.wait().await;
        status
            .map(shell_code)
            .map_err(|source| ProcessError::Lost { program: self.program.clone(), source })
    }

    /// Kills the whole group at once and reaps its leader.
    pub async fn kill(&mut self) {
        self.kill_group();
        let _ = self.inner.wait().await;
    }

    fn kill_group(&self) {
        // The id is there only until the leader is reaped, so it cannot be somebody else's.
        if let Some(group) = self.inner.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.kindly {
            self.kill_group();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn output_keeps_both_streams_and_the_code() {
        let output =
            Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]).output().await;
        let output = output.unwrap();
        assert_eq!(
            (output.code, &output.stdout[..], &output.stderr[..]),
            (3, &b"out\n"[..], &b"err\n"[..])
        );
    }

    #[tokio::test]
    async fn a_failure_quotes_the_end_of_stderr() {
        let error = Command::new("sh").args(["-c", "echo why >&2; exit 4"]).success().await;
        assert_eq!(error.unwrap_err().to_string(), "sh failed (exit code 4)\n  why");
    }

    #[test]
    fn a_program_that_is_open_for_writing_is_tried_again() {
        use std::os::unix::fs::PermissionsExt;

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("script");
        fs_err::write(&path, "#!/bin/sh\nexit 5\n").unwrap();
        fs_err::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        let open = || Some(fs_err::OpenOptions::new().append(true).open(&path).unwrap());
        let mut writer = open();
        let mut tries = 0;
        let child = started(|| {
            tries += 1;
            let child = std::process::Command::new(&path).spawn();
            if tries == 3 {
                writer = None;
            }
            child
        });
        assert_eq!(child.unwrap().wait().unwrap().code(), Some(5));
        assert_eq!(tries, 4);
        // Not for ever, and nothing else is.
        let _writer = open();
        let busy = started(|| std::process::Command::new(&path).spawn());
        assert_eq!(busy.unwrap_err().kind(), io::ErrorKind::ExecutableFileBusy);
        let mut tries = 0;
        let gone = started(|| {
            tries += 1;
            std::process::Command::new(dir.path().join("gone")).spawn()
        });
        assert_eq!((gone.unwrap_err().kind(), tries), (io::ErrorKind::NotFound, 1));
    }

    #[tokio::test]
    async fn a_missing_program_is_named() {
        let error = Command::new("no-such-program-here").output().await.unwrap_err();
        assert!(
            matches!(&error, ProcessError::Missing { program, .. } if program == "no-such-program-here")
        );
    }

    #[tokio::test]
    async fn lines_are_bounded_and_a_last_one_without_newline_counts() {
        let script = "head -c 100000 /dev/zero | tr '\\0' x; echo; echo two >&2; printf three";
        let mut lines = Vec::new();
        let code = Command::new("sh")
            .args(["-c", script])
            .each_line(|line| lines.push((line.len(), line.last().copied())))
            .await;
        assert_eq!(code.unwrap(), 0);
        assert_eq!(lines, [(LINE_LIMIT, Some(b'x')), (3, Some(b'o')), (5, Some(b'e'))]);
    }

    #[tokio::test]
    async fn dropping_a_child_kills_its_grandchildren() {
        let mut child = Command::new("sh")
            .args(["-c", "sleep 1000 & echo $!; wait"])
            .spawn(Stdio::piped(), Stdio::null())
            .unwrap();
        let mut out = BufReader::new(child.take_stdout().unwrap());
        let mut pid = String::new();
        out.read_line(&mut pid).await.unwrap();
        drop(child);
        // The pipe's last writer is the grandchild: end of file is its death.
        let mut rest = Vec::new();
        out.read_to_end(&mut rest).await.unwrap();
        assert!(pid.trim().parse::<u32>().is_ok());
    }
}
