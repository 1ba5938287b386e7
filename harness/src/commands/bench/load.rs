// SPDX-License-Identifier: MIT OR Apache-2.0
//! `swapstorm bench load`: what the harness takes itself while guests print as much as they can.
//!
//! Guests are played by processes of this program, so that what they take is not counted. Everything behind their consoles
//! is the real thing: dispatcher, watches, judges, event log, reports.

use std::io::{self, BufRead, Write};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use clap::Args;
use engine::dispatcher::Fixed;
use engine::executor::{Executor, Failed};
use engine::job::{CellJob, Ground, Group, Room};
use engine::judge::Assignment;
use engine::unit::Context;
use engine::watch::watch;
use engine::workshop::{KernelChoice, Workshop};
use engine::{Error, Run};
use fs_err::File;
use host::process::{Child, Command};
use machine::qemu::cpu_time;
use machine::{Accel, Kind, Machine, News, Timeouts};
use reports::event::{Cell, Fault, What};
use reports::exit::{ExitCode, Purpose};
use reports::run::{CellReport, NO_TECHNIQUE, RunReport};
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStdin, ChildStdout};
use workloads::profile::{Clock, Technique};

use super::super::usage;
use super::parse::{CLEAN, resident_peak};
use crate::cli::Places;
use crate::interrupt;
use crate::printer::Printer;
use crate::view::View;

/// The agent's nonce in a benchmark.
const TOKEN: &str = "bench";
/// Nothing is random.
const SEED: u64 = 1;
/// A played guest prints so many times a second, and tells its counters with every fiftieth.
const BEATS: u32 = 100;
const BEATS_A_SAMPLE: u32 = 50;

/// Options of `bench load`.
#[derive(Debug, Args)]
pub struct Options {
    /// Guests side by side
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=256))]
    guests: u32,
    /// What each of them prints in a second, in kB
    #[arg(long, value_name = "KB", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// How long they storm
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Be one of the guests
    #[arg(long, hide = true)]
    play: bool,
}

/// What it came to.
#[derive(Debug, Serialize)]
struct Measured {
    guests: u32,
    /// Bytes that all guests printed.
    bytes: u64,
    seconds: f64,
    /// Processors that the harness was busy on, on average.
    cpus: f64,
    /// Largest resident set of the harness (`VmHWM` of proc(5)).
    peak_kib: u64,
}

/// Runs the command.
pub async fn run(options: &Options, places: &Places, printer: &Printer) -> Result<u8, Error> {
    if options.play {
        play(options.rate)?;
        return Ok(ExitCode::Clean.code());
    }
    let folders = places.folders();
    let workshop = Workshop::open(&folders)?;
    let (manifest, profile) =
        (workshop.library.manifest("debian-6.1")?, workshop.profile("mixed")?);
    let (series, fragments, kasan) = (None, Vec::new(), String::new());
    let arch = Workshop::arch("x86_64")?;
    let choice = KernelChoice { manifest, series, fragments, kasan, arch };
    let group = Arc::new(Group::new(Ground::Qemu(choice), profile, None, Technique::Natural));
    let interrupt = interrupt::listen()?;
    let view = View::new(printer);
    let mut run = Run::begin("bench", SEED, Purpose::Search, &folders, &view, interrupt.clone())?;
    let dir = run.dir.clone();
    let scale = Timeouts::scale_from_env().map_err(usage)?;
    let played = Stage { dir: dir.clone(), rate: options.rate, scale };
    let storm = Duration::from_secs(options.seconds.into());
    let job = |number| {
        let (id, technique) = (format!("guest-{number}"), NO_TECHNIQUE.to_owned());
        let cell = Cell { id, technique, number, seed: SEED, expect: None, ..group.cell() };
        CellJob::new(cell, Arc::clone(&group), storm)
    };
    let jobs: Vec<CellJob> = (1..=options.guests).map(job).collect();
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let (before, began) = (cpu_time::of(own).unwrap_or_default(), Instant::now());
    run.carry_out(&mut Fixed::new(jobs), &played).await?;
    let seconds = began.elapsed().as_secs_f64();
    let busy = cpu_time::of(own).unwrap_or_default().saturating_sub(before);
    view.clear();
    let report = run.end()?.report;
    if let Some(failure) = report.cells.iter().find_map(|cell| cell.failure.as_ref()) {
        return Err(Error::new(failure.fault, &failure.detail));
    }
    // What was measured is printed, and nothing else of it is of use.
    fs_err::remove_dir_all(&dir)?;
    if let Some(runs) = dir.parent() {
        // Other runs may lie there, and then it stays.
        let _ = fs_err::remove_dir(runs);
    }
    if interrupt.is_cancelled() {
        return Ok(ExitCode::Interrupted.code());
    }
    let guest_ms: u64 = report.cells.iter().map(|cell| cell.exposure.guest_ms).sum();
    let measured = Measured {
        guests: options.guests,
        // A kB a second is a byte a millisecond.
        bytes: guest_ms * u64::from(options.rate),
        seconds,
        cpus: busy.as_secs_f64() / seconds,
        peak_kib: resident_peak("/proc/self/status"),
    };
    if options.json {
        let text = serde_json::to_string_pretty(&measured).map_err(io::Error::from)?;
        printer.data(&format!("{text}\n"));
    } else {
        printer.data(&format!(
            "{} guests, {} kB/s each: {:.0} MB in {:.1} s\nthe harness: {:.2} of a processor, at most {:.1} MiB\n",
            measured.guests,
            options.rate,
            measured.bytes as f64 / 1e6,
            measured.seconds,
            measured.cpus,
            measured.peak_kib as f64 / 1024.0,
        ));
    }
    Ok(ExitCode::Clean.code())
}

/// Where guests are played.
struct Stage {
    dir: PathBuf,
    rate: u32,
    /// The user's factor on every limit of patience.
    scale: f64,
}

impl Executor for Stage {
    type Ready = ();

    fn room(&self) -> Room {
        Room { cpus: u64::MAX, memory_mib: u64::MAX, disk_mib: u64::MAX }
    }

    fn needs(&self, _job: &CellJob, _ready: &()) -> Room {
        Room { cpus: 1, memory_mib: 1, disk_mib: 1 }
    }

    fn prepare(
        &self,
        _: Arc<Group>,
        _: String,
        _: Context,
    ) -> impl Future<Output = Result<Option<()>, Failed>> + Send + 'static {
        std::future::ready(Ok(Some(())))
    }

    fn run(
        &self,
        job: CellJob,
        _ready: (),
        context: Context,
    ) -> impl Future<Output = Result<(), Failed>> + Send + 'static {
        let Self { dir, rate, scale } = self;
        let (dir, rate, scale) = (dir.join(&job.cell.id), *rate, *scale);
        async move {
            let played = async {
                fs_err::create_dir_all(&dir)?;
                let mut guest = Played::start(&dir, rate)?;
                let cell = job.cell.id.clone();
                context
                    .tell(What::VmStarted {
                        cell: cell.clone(),
                        boot: 1,
                        accel: "played".to_owned(),
                        accel_why: String::new(),
                        seed: None,
                        host: String::new(),
                        argv: Vec::new(),
                        cmdline: String::new(),
                    })
                    .await;
                let assignment = Assignment {
                    cell,
                    boot: 1,
                    token: TOKEN.to_owned(),
                    kind: Kind::Qemu,
                    expected: None,
                    only_expected: false,
                    wanted: None,
                    budget: Some(job.budget),
                    clock: Clock::Wall,
                    sampling: Duration::from_secs(1) * BEATS_A_SAMPLE / BEATS,
                    points: Vec::new(),
                    hunted: false,
                    ready: None,
                    timeouts: Timeouts::new(Accel::Kvm, Clock::Wall, scale),
                };
                watch(&mut guest, None, assignment, &dir, &context).await
            };
            played.await.map(|_| ()).map_err(|error| Error::from(error).into())
        }
    }

    fn keep(&self, _: &CellJob, _: &(), _: &CellReport, _: &RunReport) -> io::Result<()> {
        Ok(())
    }
}

/// A guest that is played by a process.
struct Played {
    child: Child,
    console: ChildStdout,
    input: ChildStdin,
    started: tokio::time::Instant,
}

impl Played {
    fn start(dir: &std::path::Path, rate: u32) -> io::Result<Self> {
        let own = std::env::current_exe()?;
        let log = File::create(dir.join("played.log"))?.into_parts().0;
        let rate = rate.to_string();
        let mut child = Command::new(own.display().to_string())
            .args(["bench", "load", "--play", "--rate", &rate])
            .stdin(Stdio::piped())
            .spawn(Stdio::piped(), log)
            .map_err(io::Error::other)?;
        let missing = || io::Error::other("the pipes of a played guest are gone");
        let console = child.take_stdout().ok_or_else(missing)?;
        let input = child.take_stdin().ok_or_else(missing)?;
        Ok(Self { child, console, input, started: tokio::time::Instant::now() })
    }
}

impl Machine for Played {
    fn kind(&self) -> Kind {
        Kind::Qemu
    }

    fn started(&self) -> tokio::time::Instant {
        self.started
    }

    async fn news(&mut self, buffer: &mut [u8]) -> io::Result<News> {
        Ok(match self.console.read(buffer).await? {
            0 => News::End,
            count => News::Console(count),
        })
    }

    async fn ask_to_stop(&mut self) {
        // One that is gone needs no asking.
        let _ = self.input.write_all(b"stop\n").await;
    }

    // Whatever is typed ends it, and nobody hunts in it.
    async fn say(&mut self, _line: &str) {}

    async fn end(&mut self) -> (Vec<u8>, String) {
        self.child.kill().await;
        (Vec::new(), String::new())
    }

    async fn last_words(&mut self, patience: Duration) -> String {
        let _ = tokio::time::timeout(patience, self.child.wait()).await;
        self.child.kill().await;
        String::new()
    }
}

/// Prints as a guest does that has much to say, until somebody types a line.
fn play(rate: u32) -> Result<(), Error> {
    let lines = CLEAN.split_inclusive(|byte| *byte == b'\n');
    let agent = |line: &&[u8]| memchr::memmem::find(line, b"swapstorm").is_none();
    let noise: Vec<u8> = lines.filter(agent).flatten().copied().collect();
    if noise.is_empty() {
        return Err(Error::new(Fault::Infrastructure, "there is nothing to print"));
    }
    let asked = Arc::new(AtomicBool::new(false));
    let heard = Arc::clone(&asked);
    spawn(move || {
        let _ = io::stdin().lock().read_line(&mut String::new());
        heard.store(true, Ordering::Relaxed);
    });
    let mut console = io::stdout().lock();
    writeln!(
        console,
        "swapstorm {TOKEN} hello ms=0 protocol=1\nswapstorm {TOKEN} ready ms=0 disks=4"
    )?;
    let began = Instant::now();
    let mut from = 0;
    let mut beat = 0_u32;
    while !asked.load(Ordering::Relaxed) {
        let mut left = usize::try_from(rate * 1000 / BEATS).unwrap_or(usize::MAX);
        // What a beat begins within a line, the next one goes on with.
        while left > 0 {
            let part = &noise[from..noise.len().min(from + left)];
            console.write_all(part)?;
            left -= part.len();
            from = (from + part.len()) % noise.len();
        }
        beat += 1;
        if beat.is_multiple_of(BEATS_A_SAMPLE) {
            let (ms, seq) = (began.elapsed().as_millis(), beat / BEATS_A_SAMPLE);
            writeln!(
                console,
                "\nswapstorm {TOKEN} sample ms={ms} seq={seq} swapon={seq} swapoff={seq}"
            )?;
        }
        console.flush()?;
        sleep((Duration::from_secs(1) * beat / BEATS).saturating_sub(began.elapsed()));
    }
    let ms = began.elapsed().as_millis();
    writeln!(console, "\nswapstorm {TOKEN} done ms={ms} reason=stop end=poweroff")?;
    console.flush()?;
    Ok(())
}
