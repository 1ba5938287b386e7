// SPDX-License-Identifier: MIT OR Apache-2.0
//! `swapstorm replay RUN`: a machine of a run on the virtual clock once more, byte for byte.

mod difference;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use engine::dispatcher::Fixed;
use engine::job::{CellJob, Ground, Group};
use engine::local::{Guesthouse, Image, Local, Settings};
use engine::replay::{Original, Replay};
use engine::watch::CONSOLE_LOG;
use engine::workshop::Workshop;
use engine::{Error, GuestOptions, Run};
use machine::Timeouts;
use reports::event::{Cell, Digest, Fault, Meaning};
use reports::exit::{ExitCode, Purpose};
use reports::run::{Boot, CellReport, RunReport};
use workloads::Profile;
use workloads::profile::{Clock, Technique};

use super::kernel::KernelOptions;
use super::usage;
use crate::cli::Places;
use crate::interrupt;
use crate::printer::Printer;
use crate::view::View;
use difference::first_difference;

/// The agent ends the storm. This is for the safety net, which is many times as long.
const BUDGET: Duration = Duration::from_secs(600);
/// Exit code for a machine that did not do the same.
const DIFFERENT: u8 = 1;

/// Options of `replay`.
#[derive(Debug, Args)]
pub struct Options {
    /// The run: its folder, or its event log
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// The cell, where the run has several
    #[arg(long, value_name = "ID")]
    cell: Option<String>,
    /// Which of the cell's machines, from 1 [default: the one that decided the verdict, or the last]
    #[arg(long, value_name = "N")]
    boot: Option<u32>,
    /// Start the machine stopped, and say how gdb attaches to it
    #[arg(long)]
    gdb: bool,
}

/// Runs the command.
pub async fn run(options: &Options, places: &Places, printer: &Printer) -> Result<u8, Error> {
    let mut log = RunReport::default();
    super::report::read(&options.run, &mut log)?;
    let (cell, boot) = chosen(&log, options)?;
    let Some(digest) = &boot.digest else {
        let words = "has no digest: it did not come to its end by itself, so there is nothing to compare with";
        return Err(usage(format!("boot {} of cell {} {words}", boot.number, cell.cell.id)));
    };
    if options.gdb && technique(&cell.cell.technique)?.stretches() {
        let words = "--gdb does not go with a stretched run: the stretcher has QEMU's only gdbstub";
        return Err(usage(words));
    }
    let original = Original::of(cell, boot)?;
    let workshop = Workshop::open(&places.folders())?;
    let group = Arc::new(group(&log, cell, &workshop).await?);
    let scale = Timeouts::scale_from_env().map_err(usage)?;
    let view = View::new(printer);
    let interrupt = interrupt::listen()?;
    let (seed, folders) = (log.run_of(cell).map_or(0, |run| run.seed), places.folders());
    let mut run = Run::begin("replay", seed, Purpose::Search, &folders, &view, interrupt.clone())?;
    let dir = run.dir.clone();
    let guest = GuestOptions { clock: Some(Clock::Virtual), ..GuestOptions::default() };
    let (image, jobs) = (Image::Agent, Some(1));
    let settings = Settings { guest, scale, dir: dir.clone(), keep_disks: false, image, jobs };
    // A socket's path may have no more than 107 bytes, and nobody else must reach it.
    let private = options.gdb.then(|| tempfile::Builder::new().prefix("swapstorm-").tempdir());
    let private = private.transpose()?;
    let debugger = private.as_ref().map(|private| private.path().join("gdb.sock"));
    let replay = Arc::new(Replay { original, scale, debugger, attach });
    let house = Guesthouse::new(Local::new(workshop, settings)?, replay);
    run.introduce([&*group].into_iter())?;
    let job = CellJob::new(cell.cell.clone(), group, BUDGET);
    run.carry_out(&mut Fixed::new(vec![job]), &house).await?;
    view.clear();
    let report = run.end()?.report;
    if interrupt.is_cancelled() {
        return Ok(ExitCode::Interrupted.code());
    }
    let again = report.cells.first();
    if let Some(failure) = again.and_then(|cell| cell.failure.as_ref()) {
        return Err(Error::new(failure.fault, &failure.detail));
    }
    let again = again.and_then(|cell| cell.boots.last());
    let consoles = [
        run_folder(&options.run).join(console_of(&cell.cell, boot.number)),
        dir.join(console_of(&cell.cell, boot.number)),
    ];
    let told = judged(digest, again, &consoles)?;
    printer.data(&format!("{}\n", told.1));
    printer.say(&format!("the replay's console: {}", consoles[1].display()));
    Ok(told.0)
}

/// How gdb attaches.
fn attach(symbols: &Path, socket: &Path) -> String {
    format!(
        "the machine waits for a debugger: gdb {} -ex 'target remote {}'",
        symbols.display(),
        socket.display()
    )
}

/// The machine that the options name.
fn chosen<'a>(log: &'a RunReport, options: &Options) -> Result<(&'a CellReport, &'a Boot), Error> {
    let ids = || log.cells.iter().map(|cell| cell.cell.id.as_str()).collect::<Vec<_>>().join(", ");
    let cell = match (&options.cell, &log.cells[..]) {
        (Some(id), _) => log.cell(id).ok_or_else(|| {
            usage(format!("the run has no cell `{}`\n  hint: it has {}", id.escape_debug(), ids()))
        })?,
        (None, [cell]) => cell,
        (None, _) => {
            return Err(usage(format!(
                "the run has several cells\n  hint: --cell with one of {}",
                ids()
            )));
        }
    };
    if !cell.cell.is_virtual() {
        return Err(usage(format!(
            "cell {} lived by the host's clock, and no second run would be the same\n  \
             hint: `swapstorm run PLAN --clock virtual`",
            cell.cell.id
        )));
    }
    let boot = match options.boot {
        Some(number) => cell.boots.iter().find(|boot| boot.number == number),
        None => cell.deciding_boot(),
    };
    let none = || usage(format!("cell {} has no such machine", cell.cell.id));
    Ok((cell, boot.ok_or_else(none)?))
}

/// What the cell's machines are made of, by the names in the log.
async fn group(log: &RunReport, cell: &CellReport, workshop: &Workshop) -> Result<Group, Error> {
    let Cell { kernel, series, arch, profile, technique, .. } = &cell.cell;
    let wrong = |words: String| Error::new(Fault::Configuration, words);
    let mut choice = KernelOptions::of(&cell.cell)?.choice(kernel, arch, &workshop.library)?;
    if let Some(name) = series {
        choice.series = Some(workshop.library.obtain_series(name).await?);
    }
    let facts = log.run_of(cell).and_then(|run| run.profiles.get(profile));
    let facts =
        facts.ok_or_else(|| wrong(format!("the log has no text of the profile {profile}")))?;
    let mut profile = Profile::from_yaml(profile, "the log's profile", &facts.text)?;
    profile.clock = Clock::Virtual;
    profile.guest.cpus = 1;
    let technique = self::technique(technique)?;
    let rule = cell.rule.as_deref().cloned();
    Ok(Group::new(Ground::Qemu(choice), profile, rule, technique))
}

/// The technique of a cell.
fn technique(name: &str) -> Result<Technique, Error> {
    Technique::by_name(name).ok_or_else(|| usage(format!("there is no technique {name:?}")))
}

/// The folder in which the run's consoles lie.
fn run_folder(run: &Path) -> &Path {
    if run.is_dir() { run } else { run.parent().unwrap_or(run) }
}

/// Where a machine's console lies in the folder of its run. A cell's id comes from a log, and must not lead elsewhere.
fn console_of(cell: &Cell, boot: u32) -> PathBuf {
    let id = Path::new(&cell.id).file_name().unwrap_or_default();
    Path::new(id).join(format!("boot-{boot}")).join(CONSOLE_LOG)
}

/// The exit code, and the words for it.
fn judged(
    digest: &Digest,
    again: Option<&Boot>,
    consoles: &[PathBuf; 2],
) -> Result<(u8, String), Error> {
    let [original, replay] = consoles;
    let ended = again.and_then(|boot| boot.end);
    if again.and_then(|boot| boot.digest.as_ref()) == Some(digest) {
        let words = format!(
            "The same: {} bytes of console with SHA-256 {}, and all counters.",
            digest.console_bytes, digest.console
        );
        return Ok((ExitCode::Clean.code(), words));
    }
    if ended.is_none_or(|end| end.meaning() == Meaning::Host) {
        let end = ended.map_or("it was not started", reports::verdict::end_words);
        return Err(Error::new(
            Fault::Infrastructure,
            format!("the replay came to nothing: {end}"),
        ));
    }
    let ends = ended.map_or("", reports::verdict::end_words);
    let difference = match original.exists() {
        true => first_difference(original, replay)?,
        false => {
            Some(format!("The run's console is not there to compare: {}.", original.display()))
        }
    };
    let words = difference.unwrap_or_else(|| {
        "The consoles are the same, and the counters at the stretch points are not.".to_owned()
    });
    Ok((DIFFERENT, format!("Not the same (the replay: {ends}).\n{words}")))
}
