// SPDX-License-Identifier: MIT OR Apache-2.0
//! `swapstorm doctor`: what this machine, or a cluster, can do, and what to install.

mod cluster;

use std::path::Path;

use clap::Args;
use host::arch::Arch;
use host::tools::{Scope, TOOLS, Tool};
use reports::exit::ExitCode;
use serde::Serialize;

use super::run::Engine;
use crate::cli::Places;
use crate::printer::Printer;
use engine::Error;
use engine::host_facts;
use engine::workshop::Workshop;
use machine::accel;

/// A kernel source, a build tree and their results take about so much.
const WANTED_DISK_MIB: u64 = 8 << 10;
/// Compilers and one guest beside each other.
const WANTED_MEMORY_MIB: u64 = 2 << 10;

/// Options of `doctor`.
#[derive(Debug, Args)]
pub struct Options {
    /// Architectures of the guests: x86_64, arm64, riscv64
    #[arg(long, value_delimiter = ',', default_value = "x86_64")]
    arch: Vec<String>,
    /// Look at the cluster that carries out runs in place of this machine
    #[arg(long, value_name = "ENGINE", value_enum, default_value_t)]
    engine: Engine,
    /// Slurm's partition [default: all]
    #[arg(long, value_name = "NAME", requires = "engine")]
    partition: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// One line of the diagnosis.
#[derive(Debug, Serialize)]
struct Check {
    /// What was looked at.
    name: String,
    /// Whether it will do.
    ok: bool,
    /// Whether everything else works without it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    optional: bool,
    /// What was found, or what to do.
    detail: String,
}

impl Check {
    fn new(name: impl Into<String>, ok: bool, detail: impl Into<String>) -> Self {
        Self { name: name.into(), ok, optional: false, detail: detail.into() }
    }
}

/// Runs the command.
pub async fn run(options: &Options, places: &Places, printer: &Printer) -> Result<u8, Error> {
    let arches: Vec<&'static Arch> =
        options.arch.iter().map(|name| Workshop::arch(name)).collect::<Result<_, _>>()?;
    let checks = match options.engine {
        Engine::Local => own(&arches, places).await?,
        Engine::Slurm => cluster::checks(options, places).await?,
    };
    let healthy = checks.iter().all(|check| check.ok || check.optional);
    if options.json {
        let text = serde_json::to_string_pretty(&checks).map_err(std::io::Error::from)?;
        printer.data(&format!("{text}\n"));
    } else {
        let width = checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
        for Check { name, ok, optional, detail } in &checks {
            let mark = match (ok, optional) {
                (true, _) => "ok      ",
                (false, true) => "optional",
                (false, false) => "missing ",
            };
            printer.data(&format!("{mark}  {name:width$}  {detail}\n"));
        }
        if !healthy && options.engine == Engine::Local {
            let setup = format!("make setup ARCH=\"{}\"", options.arch.join(" "));
            printer
                .data(&format!("\n`{setup}` in a checkout installs what is missing on Debian.\n"));
        }
    }
    Ok(if healthy { ExitCode::Clean.code() } else { ExitCode::Infrastructure.code() })
}

/// Looks at this machine.
async fn own(arches: &[&'static Arch], places: &Places) -> Result<Vec<Check>, Error> {
    let store = places.folders().store()?;
    let wanted =
        |tool: &&Tool| tool.scope == Scope::Optional || arches.iter().any(|arch| tool.is_for(arch));
    let mut checks: Vec<Check> = TOOLS.iter().filter(wanted).map(tool).collect();
    checks.push(memory());
    checks.push(disk(store.root()));
    for arch in arches {
        checks.push(accelerator(arch, store.root()).await);
    }
    Ok(checks)
}

fn tool(tool: &Tool) -> Check {
    let Tool { name, purpose, .. } = *tool;
    if tool.is_present() {
        return Check::new(name, true, format!("to {purpose}"));
    }
    let optional = tool.scope == Scope::Optional;
    let detail = format!("needed to {purpose}: install {}", tool.packages());
    Check { optional, ..Check::new(name, false, detail) }
}

fn memory() -> Check {
    match host_facts::memory_mib() {
        Some(mib) => {
            let detail = format!("{mib} MiB, {} CPUs", host_facts::cpus());
            Check::new("memory", mib >= WANTED_MEMORY_MIB, detail)
        }
        None => Check::new("memory", false, "/proc/meminfo cannot be read"),
    }
}

fn disk(cache: &Path) -> Check {
    match rustix::fs::statvfs(cache) {
        Ok(stat) => {
            let mib = stat.f_bavail.saturating_mul(stat.f_frsize) >> 20;
            let detail = format!(
                "{mib} MiB free at {}, a kernel and its source take about {WANTED_DISK_MIB}",
                cache.display()
            );
            Check::new("disk", mib >= WANTED_DISK_MIB, detail)
        }
        Err(error) => Check::new("disk", false, format!("{}: {error}", cache.display())),
    }
}

/// TCG always works, so this check says only what will be used and why.
async fn accelerator(arch: &Arch, cache: &Path) -> Check {
    let name = format!("accelerator for {arch}");
    let Ok(version) = accel::qemu_version(arch.qemu).await else {
        return Check::new(name, false, format!("{} is missing", arch.qemu));
    };
    let detail = if !arch.is_native() {
        "tcg: the guest is of another architecture than this machine".to_owned()
    } else if let Some(proof) = accel::remembered(cache, arch.qemu, &version) {
        format!("{}: {}", proof.accel, proof.why)
    } else if Path::new("/dev/kvm").exists() {
        "/dev/kvm is there; the first run finds out whether a kernel speaks through it".to_owned()
    } else {
        "tcg: there is no /dev/kvm".to_owned()
    };
    Check::new(name, true, format!("{detail} ({version})"))
}
