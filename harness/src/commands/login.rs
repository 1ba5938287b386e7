// SPDX-License-Identifier: MIT OR Apache-2.0
//! `swapstorm shell` and `swapstorm exec`: a guest to log in to.
//!
//! The guest is watched on its console like any other; SSH is only the way in. Once the shell or
//! command ends, the guest is asked to power off, and what its kernel reported is said.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Args;
use engine::dispatcher::Fixed;
use engine::job::{CellJob, Ground, Group};
use engine::judge::Assignment;
use engine::local::{GuestUnit, Guesthouse, Image, Local, Settings};
use engine::prepared::Prepared;
use engine::unit::Context;
use engine::watch::{CONSOLE_LOG, watch};
use engine::workshop::{KernelChoice, Workshop};
use engine::{Error, GuestOptions, Run};
use fs_err as fs;
use images::newc;
use images::tree::{Node, Tree};
use machine::ssh::{Keys, Login, SshError, TerminalSize};
use machine::{Kind, Random, Timeouts, Vm, VmSpec};
use reports::event::{Cell, Fault};
use reports::exit::{ExitCode, Purpose};
use reports::run::{CellReport, NO_TECHNIQUE};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use workloads::profile::{Clock, Technique};

use super::kernel::KernelOptions;
use super::machine::MachineArgs;
use crate::cli::Places;
use crate::interrupt;
use crate::printer::Printer;
use crate::terminal::{self, RawTerminal};
use crate::view::View;

/// The configuration fragment without which nobody can log in.
const FRAGMENT: &str = "shell";
/// The only cell of such a run.
const CELL: &str = "guest";
/// The folder of its only machine.
const BOOT: &str = "boot-1";
/// Memory for a guest that holds more than the agent.
const ROOM_MIB: u64 = 384;
/// Whoever works in a guest decides when it has been watched enough.
const FOR_EVER: Duration = Duration::MAX;
/// Nothing is random in such a guest but what it does itself.
const SEED: u64 = 1;

/// Options of `shell`, and of `exec` but for the command.
#[derive(Debug, Args)]
pub struct Guest {
    /// Kernel: a manifest, or a tree of yours: a folder, a tarball, or a commit, REPO:REF
    #[arg(long, default_value = "debian-6.1")]
    kernel: String,
    /// Patch series to apply: a name, or a path with a slash in it
    #[arg(long)]
    series: Option<String>,
    /// Architecture
    #[arg(long, default_value = "x86_64")]
    arch: String,
    /// Profile whose words go onto the kernel's command line; its storm is not begun
    #[arg(long, default_value = "zswap-writeback-swapoff")]
    profile: String,
    /// Image recipe: a name, or the path of a YAML file with a slash in it
    #[arg(long, value_name = "RECIPE", default_value = "shell")]
    image: String,
    /// Leave the guest's address and keys in this folder, for ssh(1) and for a plan's target
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
    #[command(flatten)]
    build: KernelOptions,
    #[command(flatten)]
    machine: MachineArgs,
}

/// Options of `exec`.
#[derive(Debug, Args)]
pub struct Exec {
    #[command(flatten)]
    guest: Guest,
    /// Command line for the guest's shell; several words are joined by spaces, as ssh(1) does
    #[arg(required = true, last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Runs `shell`.
pub async fn shell(options: &Guest, places: &Places, printer: &Printer) -> Result<u8, Error> {
    log_in(options, None, "shell", places, printer).await
}

/// Runs `exec`.
pub async fn exec(options: &Exec, places: &Places, printer: &Printer) -> Result<u8, Error> {
    let command = options.command.join(" ");
    log_in(&options.guest, Some(command), "exec", places, printer).await
}

async fn log_in(
    options: &Guest,
    command: Option<String>,
    name: &str,
    places: &Places,
    printer: &Printer,
) -> Result<u8, Error> {
    let workshop = Workshop::open(&places.folders())?;
    let group = group(options, &workshop).await?;
    let scale = Timeouts::scale_from_env().map_err(super::usage)?;
    let interrupt = interrupt::listen()?;
    let view = View::new(printer);
    let folders = places.folders();
    let mut run = Run::begin(name, SEED, Purpose::Search, &folders, &view, interrupt.clone())?;
    let image = Image::Recipe(options.image.clone());
    let dir = run.dir.clone();
    let guest = GuestOptions { least_memory_mib: ROOM_MIB, ..options.machine.options() };
    let settings =
        Settings { guest, scale, dir: dir.clone(), keep_disks: false, image, jobs: Some(1) };
    let visit =
        Arc::new(Visit { scale, keys: options.keys.clone(), command, status: Mutex::default() });
    let executor = Guesthouse::new(Local::new(workshop, settings)?, Arc::clone(&visit));
    let cell = Cell {
        id: CELL.to_owned(),
        technique: NO_TECHNIQUE.to_owned(),
        seed: SEED,
        expect: None,
        ..group.cell()
    };
    let job = CellJob::new(cell, Arc::new(group), FOR_EVER);
    run.carry_out(&mut Fixed::new(vec![job]), &executor).await?;
    view.clear();
    let report = run.end()?.report;
    if report.cells.iter().all(|cell| cell.boots.is_empty()) {
        // There was no guest, and nothing in the run's folder that the error does not say.
        fs::remove_dir_all(&dir)?;
        if let Some(runs) = dir.parent() {
            // Other runs may lie there, and then it stays.
            let _ = fs::remove_dir(runs);
        }
    }
    let cells = || report.cells.iter();
    for bug in cells().flat_map(|cell| &cell.bugs) {
        printer.say(&format!("the guest's kernel reported: {}", bug.finding.title));
    }
    if cells().any(|cell| !cell.bugs.is_empty()) {
        printer.say(&format!("its console and a report: {}", dir.display()));
    }
    if interrupt.is_cancelled() {
        return Ok(ExitCode::Interrupted.code());
    }
    let status = visit.status.lock().unwrap_or_else(PoisonError::into_inner).take();
    status.unwrap_or_else(|| Err(nobody_came_in(cells().next(), &dir)))
}

/// What was asked for, read and checked.
async fn group(options: &Guest, workshop: &Workshop) -> Result<Group, Error> {
    let arch = Workshop::arch(&options.arch)?;
    let library = &workshop.library;
    let series = match &options.series {
        Some(name) => Some(library.obtain_series(name).await?),
        None => None,
    };
    let mut manifest = library.manifest(&options.kernel)?;
    options.build.change(&mut manifest);
    let mut fragments = options.build.fragments(arch, library)?;
    fragments.push(library.fragment(FRAGMENT)?);
    let kasan = options.build.kasan_mode();
    let choice = KernelChoice { manifest, series, fragments, kasan, arch };
    let profile = workshop.profile(&options.profile)?;
    // No bug is expected of a guest that somebody works in.
    let (rule, technique) = (None, Technique::Natural);
    Ok(Group::new(Ground::Qemu(choice), profile, rule, technique))
}

/// The folder of the only machine below the run's.
fn boot_dir(run: &Path) -> PathBuf {
    run.join(CELL).join(BOOT)
}

/// The error for a guest that ended, or never came to be, before anybody could log in.
fn nobody_came_in(cell: Option<&CellReport>, dir: &Path) -> Error {
    if let Some(failure) = cell.and_then(|cell| cell.failure.as_ref()) {
        return Error::new(failure.fault, &failure.detail);
    }
    let end = cell.and_then(|cell| cell.boots.last()).and_then(|boot| boot.end);
    let words = end.map_or("it was not started", reports::verdict::end_words);
    let console = boot_dir(dir).join(CONSOLE_LOG);
    let words = format!(
        "the guest ended before anybody could log in: {words}\n  hint: its console is {}",
        console.display()
    );
    Error::new(Fault::Infrastructure, words)
}

/// A visit to a guest.
struct Visit {
    /// The user's factor on every limit of patience.
    scale: f64,
    /// Where to leave address and keys.
    keys: Option<PathBuf>,
    command: Option<String>,
    /// How it ended.
    status: Mutex<Option<Result<u8, Error>>>,
}

impl GuestUnit for Visit {
    async fn run(
        &self,
        _job: &CellJob,
        made: &Arc<Prepared>,
        dir: PathBuf,
        context: &Context,
    ) -> Result<(), Error> {
        self.host(made, dir, context).await
    }
}

impl Visit {
    /// Boots the guest, lets the visitor in, and watches until the visit or the guest ends.
    async fn host(&self, made: &Prepared, dir: PathBuf, context: &Context) -> Result<(), Error> {
        let keys = Keys::generate()?;
        let dir = dir.join(BOOT);
        fs::create_dir_all(&dir)?;
        let initramfs = dir.join("initramfs.cpio");
        with_keys(&made.initramfs.path, &keys, &initramfs)?;
        let token = format!("{:016x}", Random::new(SEED, "token").draw());
        let machine = made.machine(SEED, &token, 0, dir.clone());
        let cmdline = format!("{} swapstorm.storm=off", machine.cmdline);
        let spec = VmSpec { initramfs, cmdline, ssh: true, ..machine };
        context.tell(made.started(CELL, 1, SEED, &spec)).await;
        let limits = made.timeouts(self.scale);
        let mut vm = Vm::start(&spec, limits.start).await?;
        let port = vm.qmp.forwarded_port().await?;
        let ready = Arc::new(Notify::new());
        let assignment = Assignment {
            hunted: false,
            cell: CELL.to_owned(),
            boot: 1,
            token,
            kind: Kind::Qemu,
            expected: None,
            only_expected: true,
            wanted: None,
            budget: None,
            clock: Clock::Wall,
            sampling: made.profile.storm.sampling(),
            points: Vec::new(),
            ready: Some(Arc::clone(&ready)),
            timeouts: Timeouts { silence: FOR_EVER, progress: FOR_EVER, ..limits },
        };
        let visit = async {
            ready.notified().await;
            let status = self.come_in(port, keys, limits.ready).await;
            *self.status.lock().unwrap_or_else(PoisonError::into_inner) = Some(status);
            context.enough.cancel();
        };
        let watched = watch(&mut vm, None, assignment, &dir, context);
        let ended = {
            tokio::pin!(watched, visit);
            let mut gone = false;
            loop {
                tokio::select! {
                    ended = &mut watched => {
                        // A guest that died under its visitor: let go of the terminal first.
                        if !gone {
                            let _ = tokio::time::timeout(limits.stop, &mut visit).await;
                        }
                        break ended;
                    }
                    () = &mut visit, if !gone => gone = true,
                }
            }
        };
        fs::remove_file(&spec.initramfs)?;
        ended?;
        Ok(())
    }

    async fn come_in(&self, port: u16, keys: Keys, patience: Duration) -> Result<u8, Error> {
        if let Some(dir) = &self.keys {
            keys.leave(dir, port)?;
        }
        visit(port, keys, self.command.clone(), patience).await
    }
}

/// Writes the initramfs of one run: the image, and behind it what the guest's sshd needs.
fn with_keys(image: &Path, keys: &Keys, to: &Path) -> Result<(), Error> {
    fs::copy(image, to)?;
    let mut permissions = fs::metadata(to)?.permissions();
    // The store's files are read only; this one is ours, and holds the host key.
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o600);
    fs::set_permissions(to, permissions)?;
    let mut file = fs::OpenOptions::new().append(true).open(to)?;
    let mut tree = Tree::default();
    for (path, data) in keys.guest_files()? {
        let node = Node::File { data, executable: false };
        tree.add(path, node).map_err(|error| Error::new(Fault::Infrastructure, error))?;
    }
    Ok(newc::write(&tree, &mut file)?)
}

/// Logs in, and does what there is to do; the result is the exit status.
async fn visit(
    port: u16,
    keys: Keys,
    command: Option<String>,
    patience: Duration,
) -> Result<u8, Error> {
    let (resized, size_changed) = rustix::pipe::pipe().map_err(std::io::Error::from)?;
    let watcher = tokio::spawn(pass_on_resizing(size_changed));
    let visited = tokio::task::spawn_blocking(move || {
        let login = Login::connect(port, &keys, patience)?;
        let raw = match command {
            None => RawTerminal::take().map_err(SshError::Broken)?,
            Some(_) => None,
        };
        let size = raw.as_ref().map(|_| terminal::size as TerminalSize);
        login.run(command.as_deref(), size, &resized)
    });
    let status = visited.await.map_err(std::io::Error::other)?;
    watcher.abort();
    Ok(status?)
}

/// Writes a byte for each change of the terminal's size.
async fn pass_on_resizing(to: OwnedFd) {
    let Ok(mut changes) = signal(SignalKind::window_change()) else { return };
    while changes.recv().await.is_some() {
        if rustix::io::write(&to, b"r").is_err() {
            return;
        }
    }
}
