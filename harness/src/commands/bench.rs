// SPDX-License-Identifier: MIT OR Apache-2.0
//! `swapstorm bench`: measures swapstorm itself, as a ratio to a reference in the same run.

mod build;
mod parse;

use std::path::Path;
use std::time::Duration;

use clap::{Args, Subcommand};
use kernels::KernelArtifact;
use reports::event::Fault;
use reports::exit::ExitCode;
use reports::telemetry::{Telemetry, TelemetryReader};
use serde::Serialize;
use tokio::io::AsyncReadExt;
use workloads::Profile;

use super::usage;
use crate::cell;
use crate::cli::Places;
use crate::error::Error;
use crate::printer::Printer;
use crate::progress::View;
use crate::timeouts::Timeouts;
use crate::vm::{Accel, Vm, VmSpec, accel};
use crate::workshop::{KernelChoice, Workshop};

/// The agent's nonce in a benchmark.
const TOKEN: &str = "bench";

/// Options of `bench`.
#[derive(Debug, Args)]
pub struct Options {
    #[command(subcommand)]
    what: What,
}

/// What can be measured.
#[derive(Debug, Subcommand)]
enum What {
    /// From QEMU's start to the guest agent's first line, beside an init that only powers off
    Boot(Boot),
    /// A cold build of a kernel, beside a plain make of the same configuration
    Build(build::Options),
    /// Consoles that `parse` reads in a second, beside grep on the same bytes
    Parse(parse::Options),
}

#[derive(Debug, Args)]
struct Boot {
    /// Kernel manifest
    #[arg(long, default_value = "debian-6.1")]
    kernel: String,
    /// Profile whose guest is booted
    #[arg(long, default_value = "zswap-writeback-swapoff")]
    profile: String,
    /// Architecture
    #[arg(long, default_value = "x86_64")]
    arch: String,
    /// Boots of each kind
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// Use this accelerator, unproven
    #[arg(long, value_enum)]
    accel: Option<Accel>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Seconds of every boot, in the order in which they were made.
#[derive(Debug, Default, Serialize)]
struct Measured {
    accel: String,
    kernel: String,
    /// QEMU's start to the agent's first line.
    agent_up: Vec<f64>,
    /// QEMU's start to its exit, with an init that only powers off.
    reference: Vec<f64>,
    /// Median of the first by median of the second.
    ratio: f64,
}

/// Runs the command.
pub async fn run(options: &Options, places: &Places, printer: &Printer) -> Result<u8, Error> {
    match &options.what {
        What::Boot(boot) => bench_boot(boot, places, printer).await,
        What::Build(options) => build::run(options, places, printer).await,
        What::Parse(options) => parse::run(options, printer),
    }
}

async fn bench_boot(options: &Boot, places: &Places, printer: &Printer) -> Result<u8, Error> {
    let workshop = Workshop::open(places)?;
    let arch = Workshop::arch(&options.arch)?;
    let manifest = workshop.library.manifest(&options.kernel)?;
    let profile = workshop.profile(&options.profile)?;
    let scale = Timeouts::scale_from_env().map_err(usage)?;
    let view = View::new(printer);
    let kernel = workshop
        .kernel(&KernelChoice { manifest, series: None, fragments: Vec::new(), arch }, &view)
        .await?;
    let agent = workshop.initramfs(arch).await?;
    let reference = workshop.poweroff_initramfs(arch).await?;
    let config = kernel.config()?;
    let kasan = arch.kasan_in(|option| config.value(option) == "y");
    let dir = tempfile::tempdir_in(workshop.store.root())?;
    let machine = |initramfs: &Path| VmSpec {
        arch,
        accel: Accel::Tcg,
        cpu: None,
        kasan,
        kernel: kernel.image(&arch.images[0]),
        initramfs: initramfs.to_owned(),
        cmdline: cell::cmdline(arch, Accel::Tcg, &profile, 1, TOKEN),
        memory_mib: profile.guest.memory_mib,
        cpus: profile.guest.cpus,
        disks: profile.guest.disks,
        disk_mib: profile.guest.disk_mib,
        dir: dir.path().to_owned(),
        gdb: false,
        ssh: false,
        keep_disks: false,
    };
    let (mut agent, mut reference) = (machine(&agent.path), machine(&reference.path));
    let chosen = match options.accel {
        Some(forced) => forced,
        None => {
            let version = accel::qemu_version(arch.qemu).await?;
            accel::choose(workshop.store.root(), &reference, &version).await?.accel
        }
    };
    (agent.accel, reference.accel) = (chosen, chosen);
    let patience = Timeouts::new(chosen, scale);
    let mut measured = Measured {
        accel: chosen.to_string(),
        kernel: kernel.release.clone(),
        ..Measured::default()
    };
    view.begin("booting");
    // Taken in turns, so that a machine that is slow for a while slows both alike.
    for _ in 0..options.runs {
        measured.reference.push(until_exit(&reference, &patience).await?);
        measured.agent_up.push(until_hello(&agent, &patience).await?);
    }
    view.clear();
    measured.ratio = median(&measured.agent_up) / median(&measured.reference);
    if options.json {
        let text = serde_json::to_string_pretty(&measured).map_err(std::io::Error::from)?;
        printer.data(&format!("{text}\n"));
    } else {
        printer.data(&table(&measured, &profile, &kernel));
    }
    Ok(ExitCode::Clean.code())
}

fn table(measured: &Measured, profile: &Profile, kernel: &KernelArtifact) -> String {
    let row = |name: &str, all: &[f64]| {
        let least = all.iter().copied().fold(f64::INFINITY, f64::min);
        format!("{name:40} {:6.2} s   {least:6.2} s\n", median(all))
    };
    format!(
        "Linux {}, {}, {} CPUs, {} disks, {} boots each\n{:40} {:>8}   {:>8}\n{}{}ratio {:.2}\n",
        kernel.release,
        measured.accel,
        profile.guest.cpus,
        profile.guest.disks,
        measured.agent_up.len(),
        "from QEMU's start to",
        "median",
        "least",
        row("the guest agent's first line", &measured.agent_up),
        row("QEMU's exit, init only powers off", &measured.reference),
        measured.ratio,
    )
}

/// The middle value; the mean of the two middle ones if there are two. Not for empty lists.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}

fn too_slow(what: &str, limit: Duration) -> Error {
    let words =
        format!("no {what} within {} s\n  hint: see SWAPSTORM_TIMEOUT_SCALE", limit.as_secs());
    Error::new(Fault::Infrastructure, words)
}

async fn until_hello(spec: &VmSpec, patience: &Timeouts) -> Result<f64, Error> {
    let mut vm = Vm::start(spec, patience.start).await?;
    let mut telemetry = TelemetryReader::new(TOKEN);
    let mut buffer = vec![0; 16 << 10];
    let hello = async {
        loop {
            let read = vm.console.read(&mut buffer).await?;
            let lines = telemetry.push(&buffer[..read]);
            if lines.iter().any(|line| matches!(line, Telemetry::Hello(_))) {
                return Ok::<_, std::io::Error>(Some(vm.started.elapsed().as_secs_f64()));
            }
            if read == 0 {
                return Ok(None);
            }
        }
    };
    let seconds = tokio::time::timeout(patience.ready, hello).await;
    vm.child.kill().await;
    match seconds {
        Ok(seconds) => seconds?.ok_or_else(|| too_slow("guest agent", patience.ready)),
        Err(_) => Err(too_slow("guest agent", patience.ready)),
    }
}

async fn until_exit(spec: &VmSpec, patience: &Timeouts) -> Result<f64, Error> {
    let mut vm = Vm::start(spec, patience.start).await?;
    let mut sink = tokio::io::sink();
    let exit = async {
        tokio::io::copy(&mut vm.console, &mut sink).await?;
        Ok::<_, Error>(vm.child.wait().await?)
    };
    tokio::time::timeout(patience.ready, exit)
        .await
        .map_err(|_| too_slow("exit of QEMU", patience.ready))??;
    Ok(vm.started.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[3.0]), 3.0);
        assert_eq!(median(&[9.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 9.0]), 3.0);
    }
}
