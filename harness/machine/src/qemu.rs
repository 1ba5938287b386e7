// SPDX-License-Identifier: MIT OR Apache-2.0
//! One QEMU with its console, its QMP connection and, if asked for, its gdbstub.
//!
//! A machine lives in a folder of its own. Its sockets are unlinked as soon as QEMU has
//! connected and its disks as soon as QEMU has opened them, so a machine that is killed leaves
//! only its console log and QEMU's messages behind.

mod argv;
pub mod cpu_time;
mod qmp;

use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use fs_err::{self as fs, File};
use host::process::{Child, Command, ProcessError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::time::Instant;

pub use argv::VmSpec;
pub use qmp::{Qmp, QmpEvent};

use crate::news::{Kind, Machine, News};

/// File with what QEMU itself says.
pub const QEMU_LOG: &str = "qemu.log";

/// Bytes that a guest may print before anybody reads them: what Linux allows everyone.
const CONSOLE_PIPE: usize = 1 << 20;

/// A QEMU whose console has ended is given so long to close its control connection.
const LAST_WORD: Duration = Duration::from_secs(5);

/// Why a virtual machine could not be started.
#[derive(Debug, thiserror::Error)]
pub enum VmError {
    /// A file in the machine's folder could not be made.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// QEMU is missing or could not be started.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// QEMU ended before the machine was set up.
    #[error("{qemu} ended at once with exit code {code}: {message}\n  hint: its arguments are in the event log, its messages in {}", log.display())]
    Died {
        /// Program name.
        qemu: &'static str,
        /// Exit code.
        code: i32,
        /// Its last line.
        message: String,
        /// Its messages.
        log: PathBuf,
    },
    /// QEMU runs but does not connect.
    #[error("{qemu} did not connect to its control socket within {} s", limit.as_secs())]
    Stuck {
        /// Program name.
        qemu: &'static str,
        /// How long we waited.
        limit: Duration,
    },
}

/// A running machine. Dropping it kills QEMU.
#[derive(Debug)]
pub struct Vm {
    /// The supervised QEMU.
    pub child: Child,
    /// Control connection.
    pub qmp: Qmp,
    /// What the guest prints.
    pub console: ChildStdout,
    /// What the guest can read on its serial line.
    pub input: ChildStdin,
    /// The gdbstub, if asked for; the machine stands still until it is resumed through it.
    pub gdb: Option<UnixStream>,
    /// When QEMU was started.
    pub started: Instant,
    /// QEMU's own process, which is not our child but the supervisor's.
    process: Option<i32>,
    qmp_open: bool,
    /// Since when.
    console_ended: Option<Instant>,
    log: PathBuf,
}

impl Vm {
    /// Starts QEMU in `spec.dir`, which is made if need be. `patience` bounds QEMU's own start.
    pub async fn start(spec: &VmSpec, patience: Duration) -> Result<Self, VmError> {
        let dir = &spec.dir;
        fs::create_dir_all(dir)?;
        // What QEMU has opened needs no name any more; what it has not, it never will.
        let _names = Names(spec);
        for index in 0..spec.disks {
            let disk = File::create(dir.join(argv::disk_name(index)))?;
            disk.set_len(spec.disk_mib << 20)?;
        }
        let (qmp, gdb) = {
            let folder = File::open(dir)?;
            let qmp = listen(&folder, argv::QMP_SOCKET)?;
            (qmp, spec.gdb.then(|| listen(&folder, argv::GDB_SOCKET)).transpose()?)
        };
        let log = File::create(dir.join(QEMU_LOG))?.into_parts().0;
        let started = Instant::now();
        let mut child = Command::new(spec.arch.qemu)
            .args(spec.argv())
            .cwd(dir)
            .stdin(Stdio::piped())
            .spawn(Stdio::piped(), log)?;
        // Taken before the first wait, which closes a child's stdin.
        let missing = || io::Error::other("QEMU's pipes are gone");
        let console = child.take_stdout().ok_or_else(missing)?;
        let input = child.take_stdin().ok_or_else(missing)?;
        // A guest that prints waits while its console is full, which a virtual clock's guest must not notice.
        // Where the system allows less, less must do.
        let _ = rustix::pipe::fcntl_setpipe_size(&console, CONSOLE_PIPE);
        let connected = async {
            let (qmp, _) = qmp.accept().await?;
            let process = qmp.peer_cred().ok().and_then(|peer| peer.pid());
            let gdb = match &gdb {
                Some(gdb) => Some(gdb.accept().await?.0),
                None => None,
            };
            Ok::<_, io::Error>((Qmp::connect(qmp).await?, gdb, process))
        };
        let connected = tokio::select! {
            connected = connected => connected.ok(),
            code = child.wait() => return Err(died(spec, code?)),
            () = tokio::time::sleep(patience) => {
                return Err(VmError::Stuck { qemu: spec.arch.qemu, limit: patience });
            }
        };
        // A connection that broke off is a QEMU that is dying: its exit code says more.
        let Some((qmp, gdb, process)) = connected else {
            return Err(died(spec, child.wait().await?));
        };
        let log = dir.join(QEMU_LOG);
        let (qmp_open, console_ended) = (true, None);
        Ok(Self { console, input, child, qmp, gdb, started, process, qmp_open, console_ended, log })
    }
}

impl Machine for Vm {
    fn kind(&self) -> Kind {
        Kind::Qemu
    }

    fn started(&self) -> Instant {
        self.started
    }

    fn cpu_time(&self) -> Option<Duration> {
        cpu_time::of(self.process?)
    }

    async fn news(&mut self, buffer: &mut [u8]) -> io::Result<News> {
        tokio::select! {
            read = self.console.read(buffer), if self.console_ended.is_none() => match read? {
                // QEMU has said why on the other connection, which closes with it.
                0 => {
                    self.console_ended = Some(Instant::now());
                    Ok(News::Nothing)
                }
                n => Ok(News::Console(n)),
            },
            () = std::future::ready(()), if self.console_ended.is_some() && !self.qmp_open => Ok(News::End),
            () = patience_ends(self.console_ended), if self.qmp_open => {
                self.qmp_open = false;
                Ok(News::Nothing)
            }
            event = self.qmp.event(), if self.qmp_open => Ok(match event {
                Ok(QmpEvent::Shutdown(reason)) => News::GuestEnded(reason),
                Ok(QmpEvent::Panicked) => News::GuestEnded("guest-panicked".to_owned()),
                Ok(QmpEvent::DiskFailed(reason)) => {
                    News::Broken(format!("a disk of the guest cannot be written: {reason}"))
                }
                Ok(QmpEvent::Other(_)) => News::Nothing,
                Err(_) => {
                    self.qmp_open = false;
                    News::Nothing
                }
            }),
        }
    }

    async fn ask_to_stop(&mut self) {
        // A guest that no longer reads its serial line is what a deadline is for.
        let _ = self.input.write_all(b"stop\n").await;
    }

    async fn say(&mut self, line: &str) {
        let _ = self.input.write_all(line.as_bytes()).await;
    }

    async fn end(&mut self) -> (Vec<u8>, String) {
        self.child.kill().await;
        let mut rest = Vec::new();
        // Bounded by what the pipe holds: its writer is dead.
        let _ = self.console.read_to_end(&mut rest).await;
        (rest, String::new())
    }

    async fn last_words(&mut self, patience: Duration) -> String {
        let code = tokio::time::timeout(patience, self.child.wait()).await.ok();
        self.child.kill().await;
        let code = code.and_then(Result::ok).map_or_else(String::new, host::process::status_words);
        let said = last_line(&self.log);
        format!("{code}: {}", said.unwrap_or_else(|| "QEMU said nothing".to_owned()))
    }
}

/// Until a QEMU whose console has ended would have closed its control connection.
async fn patience_ends(console_ended: Option<Instant>) {
    match console_ended {
        Some(at) => tokio::time::sleep_until(at + LAST_WORD).await,
        None => std::future::pending().await,
    }
}

/// Listens on a socket in `folder`. The path goes through the open folder, since a socket's path
/// may have no more than 107 bytes.
fn listen(folder: &File, name: &str) -> io::Result<UnixListener> {
    let path = format!("/proc/self/fd/{}/{name}", folder.as_raw_fd());
    let _ = fs::remove_file(&path);
    UnixListener::bind(path)
}

/// Removes the names of a machine's sockets and disks when dropped.
struct Names<'a>(&'a VmSpec);

impl Drop for Names<'_> {
    fn drop(&mut self) {
        let VmSpec { dir, disks, keep_disks, .. } = self.0;
        let disks = if *keep_disks { 0 } else { *disks };
        let disks = (0..disks).map(argv::disk_name);
        for name in disks.chain([argv::QMP_SOCKET, argv::GDB_SOCKET].map(str::to_owned)) {
            // A name that was never made is no error.
            let _ = fs::remove_file(dir.join(name));
        }
    }
}

fn died(spec: &VmSpec, code: i32) -> VmError {
    let log = spec.dir.join(QEMU_LOG);
    let message = last_line(&log).unwrap_or_else(|| "it said nothing".to_owned());
    VmError::Died { qemu: spec.arch.qemu, code, message, log }
}

/// The last line of QEMU's messages, escaped.
pub fn last_line(log: &Path) -> Option<String> {
    let text = fs::read(log).ok()?;
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().rev().find(|line| !line.trim().is_empty())?;
    Some(line.chars().take(300).map(|c| if c.is_control() { ' ' } else { c }).collect())
}
