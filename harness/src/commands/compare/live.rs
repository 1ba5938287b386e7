// SPDX-License-Identifier: MIT OR Apache-2.0
//! Pairs of storms on two kernels, until the answer is clear.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use engine::fit::variant_of;
use engine::job::{Ground, Group};
use engine::local::{Image, Local, Settings};
use engine::pairs::Pairs;
use engine::plan::duration;
use engine::workshop::Workshop;
use engine::{Error, GuestOptions, Run};
use kernels::Progress;
use machine::{Timeouts, accel};
use reports::comparison::{Selector, Side, compare};
use reports::exit::{ExitCode, Purpose};
use workloads::profile::{Clock, Technique};

use crate::cli::Places;
use crate::commands::kernel::KernelOptions;
use crate::commands::machine::MachineArgs;
use crate::commands::run::clock;
use crate::commands::{seed_from_clock, usage};
use crate::interrupt;
use crate::printer::Printer;
use crate::view::View;

/// Arguments that make no sense for runs that have ended.
pub const ARGUMENTS: [&str; 2] = ["kernels", "series"];
/// Stands for "no series", as in a plan.
const NO_SERIES: &str = "none";

/// What is run where no run is named.
#[derive(Debug, Args)]
#[command(next_help_heading = "Without a RUN")]
pub struct PairOptions {
    /// Kernel, as for `repro`; named twice, A's and B's
    #[arg(long = "kernel", value_name = "KERNEL", default_value = "debian-6.1")]
    kernels: Vec<String>,
    /// Series of B (`none`: the kernel as it is); named twice, A's and B's
    #[arg(long, value_name = "SERIES")]
    series: Vec<String>,
    /// Profile of the storms
    #[arg(long, default_value = "writeback-steady")]
    profile: String,
    /// Architecture of the guests
    #[arg(long, default_value = "x86_64")]
    arch: String,
    /// How long each storm is, in guest time
    #[arg(long, default_value = "10s", value_parser = duration)]
    storm: Duration,
    /// Most pairs of storms
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=100))]
    pairs: u32,
    /// The clock by which guests live [default: the profile's]
    #[arg(long, value_name = "CLOCK", value_parser = clock())]
    clock: Option<Clock>,
    /// Seed of everything random [default: from the clock]
    #[arg(long)]
    seed: Option<u64>,
    #[command(flatten)]
    build: KernelOptions,
    #[command(flatten)]
    machine: MachineArgs,
}

/// Runs the pairs and compares them.
pub async fn run(
    options: &super::Options,
    places: &Places,
    printer: &Printer,
) -> Result<u8, Error> {
    let live = &options.live;
    if !options.a.is_empty() || !options.b.is_empty() || options.single_look {
        let words = "--a, --b and --single-look are for runs that have ended";
        return Err(usage(format!("{words}\n  hint: name a run, or leave them out")));
    }
    let workshop = Workshop::open(&places.folders())?;
    let seed = live.seed.unwrap_or_else(seed_from_clock);
    let guest = GuestOptions { clock: live.clock, ..live.machine.options() };
    let (a, b) = sides(live, &guest, &workshop).await?;
    if !options.force {
        same_variant([&a, &b], &workshop, printer).await?;
    }
    let side = |group: &Group| Side { runs: Vec::new(), selector: Selector::of(&group.cell()) };
    let request = options.request(side(&a), side(&b));
    reports::comparison::metric::choose(&request.metrics).map_err(usage)?;
    let scale = Timeouts::scale_from_env().map_err(usage)?;
    let view = View::new(printer);
    let interrupt = interrupt::listen()?;
    let mut run =
        Run::begin("compare", seed, Purpose::Search, &places.folders(), &view, interrupt)?;
    let settings = Settings {
        guest,
        scale,
        dir: run.dir.clone(),
        keep_disks: false,
        image: Image::Agent,
        jobs: live.machine.jobs(),
    };
    let local = Local::new(workshop, settings)?;
    run.introduce([&*a, &*b].into_iter())?;
    let (storm, most) = (live.storm, live.pairs);
    let mut pairs = Pairs { a, b, seed, storm, most, request, begun: 0 };
    run.carry_out(&mut pairs, &local).await?;
    view.clear();
    let finished = run.end()?;
    let request = pairs.request_of(&finished.report);
    match compare(&finished.report, &request) {
        Ok(_) => {
            let code = options.compare(&finished.report, &request, &[&finished.dir], printer)?;
            printer.say(&format!("\nreport and consoles: {}", finished.dir.display()));
            let interrupted = finished.report.interrupted();
            Ok(if interrupted { ExitCode::Interrupted.code() } else { code })
        }
        // No pair came to its end: the run itself says why.
        Err(refusal) => {
            printer.say(&refusal.to_string());
            match super::super::show(finished, false, printer) {
                0 => Ok(ExitCode::Inconclusive.code()),
                code => Ok(code),
            }
        }
    }
}

/// Refuses kernels that want different variants of the profile: their storms could not be compared, which is better known
/// before the first one.
async fn same_variant(
    groups: [&Group; 2],
    workshop: &Workshop,
    printer: &Printer,
) -> Result<(), Error> {
    let mut variants = Vec::new();
    for group in groups {
        let Ground::Qemu(choice) = &group.ground else { continue };
        // A missing QEMU is better known before a kernel's source is fetched.
        accel::qemu_version(choice.arch.qemu).await?;
        let (view, name) = (View::new(printer), choice.name());
        let progress = |progress: Progress<'_>| view.kernel(&name, progress);
        let variant = variant_of(choice, &group.profile, workshop, &progress).await;
        view.clear();
        variants.push((name, variant?.unwrap_or_else(|| "none".to_owned())));
    }
    match &variants[..] {
        [(a, of_a), (b, of_b)] if of_a != of_b => Err(usage(format!(
            "A and B would run under different conditions, variants of the profile {}:\n    {of_a} for A, {a}\n    \
             {of_b} for B, {b}\n  hint: choose a --profile that has the same storm for both, or compare them all the same \
             with --force",
            groups[0].profile.name
        ))),
        _ => Ok(()),
    }
}

/// Both kernels, read and checked before anything is made. What is named once is B's, but for the kernel, which is both's.
async fn sides(
    options: &PairOptions,
    guest: &GuestOptions,
    workshop: &Workshop,
) -> Result<(Arc<Group>, Arc<Group>), Error> {
    let two = |names: &[String], absent: &str, what: &str| match names {
        [] => Ok([absent.to_owned(), absent.to_owned()]),
        [one] if what == "kernels" => Ok([one.clone(), one.clone()]),
        [one] => Ok([absent.to_owned(), one.clone()]),
        [a, b] => Ok([a.clone(), b.clone()]),
        more => {
            Err(usage(format!("{} {what} are more than the two that can be compared", more.len())))
        }
    };
    let kernels = two(&options.kernels, "", "kernels")?;
    let series = two(&options.series, NO_SERIES, "series")?;
    if kernels[0] == kernels[1] && series[0] == series[1] {
        return Err(usage(
            "A and B are the same kernel: the same seeds would give the same numbers\n  hint: name another --kernel, \
             or a --series",
        ));
    }
    let mut profile = workshop.profile(&options.profile)?;
    guest.change(&mut profile);
    guest.suits_clock(&profile)?;
    let rule = profile.expect.as_ref().map(|expect| workshop.rule(expect)).transpose()?;
    let mut groups = Vec::new();
    for (kernel, series) in kernels.iter().zip(&series) {
        let mut choice = options.build.choice(kernel, &options.arch, &workshop.library)?;
        if series != NO_SERIES {
            choice.series = Some(workshop.library.obtain_series(series).await?);
        }
        let (profile, rule) = (profile.clone(), rule.clone());
        let technique = Technique::Natural;
        groups.push(Arc::new(Group::new(Ground::Qemu(choice), profile, rule, technique)));
    }
    let [a, b] = [&groups[0], &groups[1]].map(Arc::clone);
    Ok((a, b))
}
