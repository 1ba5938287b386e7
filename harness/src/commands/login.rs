// SPDX-License-Identifier: MIT OR Apache-2.0
//! `swapstorm shell` and `swapstorm exec`: a guest to log in to.
//!
//! The guest is watched on its console like any other; SSH is only the way in. Once the shell or
//! command ends, the guest is asked to power off, and what its kernel reported is said.

use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use fs_err as fs;
use reports::event::{Cell, Fault, What};
use reports::exit::{ExitCode, Purpose};
use reports::run::NO_TECHNIQUE;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

use super::kernel::KernelOptions;
use super::machine::Machine;
use crate::cell;
use crate::cli::Places;
use crate::error::Error;
use crate::event_log::EventLog;
use crate::interrupt::Interrupt;
use crate::printer::Printer;
use crate::progress::View;
use crate::random::Random;
use crate::run_folder;
use crate::ssh::{Keys, Login, SshError};
use crate::terminal::RawTerminal;
use crate::timeouts::Timeouts;
use crate::vm::{Accel, Vm, VmSpec, accel};
use crate::watch::{Assignment, watch};
use crate::workshop::{self, KernelChoice, Workshop};

/// The configuration fragment without which nobody can log in.
const FRAGMENT: &str = "shell";
/// The only cell of such a run.
const CELL: &str = "guest";
/// Memory for a guest that holds more than the agent.
const ROOM_MIB: u64 = 384;
/// Whoever works in a guest decides when it has been watched enough.
const FOR_EVER: Duration = Duration::MAX;

/// Options of `shell`, and of `exec` but for the command.
#[derive(Debug, Args)]
pub struct Guest {
    /// Kernel manifest
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
    /// Debian mirror for the image's packages [default: the one of this machine's apt]
    #[arg(long, value_name = "URL", env = "SWAPSTORM_MIRROR")]
    mirror: Option<String>,
    /// Leave the guest's address and keys in this folder, for ssh(1) and for a plan's target
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
    #[command(flatten)]
    build: KernelOptions,
    #[command(flatten)]
    machine: Machine,
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
    let workshop = Workshop::open(places)?;
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
    let choice = KernelChoice { manifest, series, fragments, arch };
    let mut profile = workshop.profile(&options.profile)?;
    options.machine.change(&mut profile);
    options.machine.at_least(ROOM_MIB, &mut profile);
    let scale = Timeouts::scale_from_env().map_err(super::usage)?;
    let mut interrupt = Interrupt::listen()?;
    let view = View::new(printer);
    let qemu = accel::qemu_version(arch.qemu).await?;
    view.begin("making the image");
    let image =
        workshop.guest_image(arch, &options.image, options.mirror.as_deref(), &view).await?;
    let kasan = workshop.kasan(&choice, &view).await?;
    options.machine.suits(kasan)?;
    let kernel = workshop.kernel(&choice, &view).await?;
    view.clear();

    let dir = places.new_run(name)?;
    let ready = Notify::new();
    let mut log = EventLog::create(&dir, |event| {
        if matches!(event.what, What::GuestReady { .. }) {
            ready.notify_one();
        }
    })?;
    let seed = 1;
    log.run_started(seed)?;
    log.emit(What::CellPlanned {
        cell: Cell {
            id: CELL.to_owned(),
            kernel: choice.manifest.name.clone(),
            series: choice.series.as_ref().map(|series| series.name.clone()),
            arch: arch.name.to_owned(),
            profile: profile.name.clone(),
            technique: NO_TECHNIQUE.to_owned(),
            seed,
            expect: None,
            should_show: None,
            wanted: None,
        },
    })?;
    log.emit(What::KernelReady { cell: CELL.to_owned(), kernel: workshop::facts(&kernel, 0) })?;

    let keys = Keys::generate()?;
    let initramfs = dir.join("initramfs.cpio");
    with_keys(&image.path, &keys, &initramfs)?;
    let token = format!("{:016x}", Random::new(seed, "token").next());
    let mut spec = VmSpec {
        arch,
        accel: Accel::Tcg,
        cpu: options.machine.cpu.clone(),
        kasan,
        kernel: kernel.image(&arch.images[0]),
        initramfs,
        cmdline: String::new(),
        memory_mib: profile.guest.memory_mib,
        cpus: profile.guest.cpus,
        disks: profile.guest.disks,
        disk_mib: profile.guest.disk_mib,
        dir: dir.join("boot-1"),
        gdb: false,
        ssh: true,
        keep_disks: false,
    };
    spec.accel = match options.machine.accel {
        Some(forced) => forced,
        None => {
            let probe = VmSpec {
                dir: dir.join("probe"),
                cmdline: cell::cmdline(arch, Accel::Kvm, &profile, seed, "probe"),
                ssh: false,
                ..spec.clone()
            };
            accel::choose(workshop.store.root(), &probe, &qemu).await?.accel
        }
    };
    let words = cell::cmdline(arch, spec.accel, &profile, seed, &token);
    spec.cmdline = format!("{words} swapstorm.storm=off");
    log.emit(What::VmStarted {
        cell: CELL.to_owned(),
        boot: 1,
        accel: spec.accel.to_string(),
        argv: [arch.qemu.to_owned()].into_iter().chain(spec.argv()).collect(),
        cmdline: spec.cmdline.clone(),
    })?;
    let limits = Timeouts::new(spec.accel, scale);
    view.begin("booting");
    let mut vm = Vm::start(&spec, limits.start).await?;
    let port = vm.qmp.forwarded_port().await?;
    let done = Notify::new();
    let assignment = Assignment {
        cell: CELL,
        boot: 1,
        token: &token,
        dir: &spec.dir,
        expected: None,
        only_expected: true,
        wanted: None,
        budget: FOR_EVER,
        timeouts: Timeouts { silence: FOR_EVER, progress: FOR_EVER, ..limits },
        done: Some(&done),
    };
    let visit = async {
        ready.notified().await;
        view.clear();
        if let Some(dir) = &options.keys {
            keys.leave(dir, port)?;
        }
        visit(port, keys, command, limits.ready).await
    };
    let visit = async {
        let status = visit.await;
        done.notify_one();
        status
    };
    let mut status = None;
    let ended = {
        let watched = watch(&mut vm, None, &assignment, &mut log, &mut interrupt);
        tokio::pin!(watched, visit);
        loop {
            tokio::select! {
                ended = &mut watched => {
                    // A guest that died under its visitor: let go of the terminal first.
                    if status.is_none() {
                        status = tokio::time::timeout(limits.stop, &mut visit).await.ok();
                    }
                    break ended?;
                }
                visited = &mut visit, if status.is_none() => status = Some(visited),
            }
        }
    };
    view.clear();
    log.emit(What::CellFinished { cell: CELL.to_owned() })?;
    log.emit(What::RunFinished { interrupted: interrupt.requested() })?;
    let report = log.report();
    run_folder::write_reports(&dir, &report, Purpose::Search)?;
    fs::remove_file(&spec.initramfs)?;
    for bug in report.cells.iter().flat_map(|cell| &cell.bugs) {
        printer.say(&format!("the guest's kernel reported: {}", bug.finding.title));
    }
    if ended.reported {
        printer.say(&format!("its console and a report: {}", dir.display()));
    }
    if interrupt.requested() {
        return Ok(ExitCode::Interrupted.code());
    }
    match status {
        Some(Ok(status)) => Ok(status),
        Some(Err(error)) => Err(error),
        None => {
            let words = format!(
                "the guest ended before anybody could log in: {}\n  hint: its console is {}",
                reports::verdict::end_words(ended.why),
                spec.dir.join(crate::watch::CONSOLE_LOG).display()
            );
            Err(Error::new(Fault::Infrastructure, words))
        }
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
    Ok(file.write_all(&keys.archive()?)?)
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
        login.run(command.as_deref(), raw.is_some(), &resized)
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
