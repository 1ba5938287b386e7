// SPDX-License-Identifier: MIT OR Apache-2.0
//! One storm that may be compared: what a machine that came to its end counted, and the conditions under which it ran.

use smol_str::SmolStr;

use crate::event::Meaning;
use crate::run::{Boot, CellReport, Measured, RunFacts, RunReport, Standing};
use crate::statistics::median;

/// What two storms must have in common to be compared: names and values.
pub(crate) type Conditions = Vec<(SmolStr, String)>;

/// Storms whose lengths differ by no more than this factor are equally long.
const SAME_LENGTH: f64 = 1.1;
/// Samples that a rise takes.
const FEWEST_SAMPLES: u64 = 2;
/// Conditions in the order in which reports name them. Those that are not known here come last.
const ORDER: [&str; 10] = [
    "architecture",
    "profile",
    "variant",
    "technique",
    "compiler",
    "KASAN",
    "accelerator",
    "clock",
    "machine",
    "host",
];

/// What a storm on a kernel came to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Storm {
    /// Id of its run.
    pub(crate) run: SmolStr,
    /// Which of several runs of the same, from 1.
    pub(crate) number: u32,
    /// The cell's seed.
    pub(crate) seed: u64,
    /// Name of the profile.
    pub(crate) profile: String,
    /// `uname -r` of its kernel; empty if not known.
    pub(crate) release: String,
    /// The kernel's key in the store; empty if it has none.
    pub(crate) kernel_key: String,
    /// When it began, in milliseconds of its run.
    pub(crate) began_ms: u64,
    /// How long it was, in milliseconds of guest time.
    pub(crate) guest_ms: u64,
    /// Under which conditions it ran.
    pub(crate) conditions: Conditions,
    /// Its counters.
    pub(crate) measured: Measured,
}

impl Storm {
    /// The storm of a cell, or why it cannot be compared.
    pub(crate) fn of(report: &RunReport, cell: &CellReport) -> Result<Self, String> {
        let boot = counting(cell)?;
        let kernel = cell.kernel.as_ref();
        Ok(Self {
            run: cell.run.clone(),
            number: cell.cell.number,
            seed: cell.cell.seed,
            profile: cell.cell.profile.clone(),
            release: kernel.map_or_else(String::new, |kernel| kernel.release.clone()),
            kernel_key: kernel.map_or_else(String::new, |kernel| kernel.key.clone()),
            began_ms: boot.started_ms,
            guest_ms: boot.exposure.guest_ms,
            conditions: conditions(report, cell, boot),
            measured: boot.measured.clone(),
        })
    }
}

/// The newest machine of the cell whose counters say what its kernel does.
pub(crate) fn counting(cell: &CellReport) -> Result<&Boot, String> {
    let damning = |standing| !matches!(standing, Standing::Method | Standing::Starved);
    if let Some(bug) = cell.bugs.iter().find(|bug| damning(bug.standing)) {
        return Err(format!("it has a kernel bug: {}", bug.finding.title));
    }
    if cell.corruption_count > 0 {
        return Err("pages came back with wrong contents".to_owned());
    }
    let sound = |boot: &&Boot| {
        boot.counts() && boot.meaning() == Some(Meaning::Sound) && boot.done.is_some()
    };
    let Some(boot) = cell.boots.iter().rfind(sound) else {
        let why = cell.cancelled.as_deref().or(cell.failure.as_ref().map(|f| f.detail.as_str()));
        return Err(match why {
            Some(why) => why.lines().next().unwrap_or_default().to_owned(),
            None => "no machine came to its end".to_owned(),
        });
    };
    if let Some(doubt) = boot.health.as_ref().and_then(|health| health.doubt()) {
        return Err(doubt);
    }
    if boot.samples < FEWEST_SAMPLES {
        return Err("the log has fewer than two samples of it".to_owned());
    }
    Ok(boot)
}

fn conditions(report: &RunReport, cell: &CellReport, boot: &Boot) -> Conditions {
    let own = &cell.cell;
    let or = |word: &str, absent: &str| (if word.is_empty() { absent } else { word }).to_owned();
    let digest = own.profile_digest.get(..12).unwrap_or(&own.profile_digest);
    let mut conditions = vec![
        ("architecture", own.arch.clone()),
        ("profile", format!("{}@{digest}", own.profile)),
        ("variant", or(cell.variant.as_deref().unwrap_or_default(), "none")),
        ("technique", own.technique.clone()),
        ("compiler", or(&own.toolchain, "not ours")),
        ("KASAN", or(&own.kasan, "as configured")),
        ("accelerator", boot.accel.clone()),
        ("clock", own.clock.clone()),
        ("machine", machine(boot)),
    ];
    if !own.is_virtual() {
        conditions.push(("host", report.run_of(cell).map_or_else(|| "?".to_owned(), host_class)));
    }
    conditions.into_iter().map(|(name, value)| (SmolStr::new_static(name), value)).collect()
}

/// Puts conditions into the order in which [`Storm::of`] has them, so that equal ones are equal.
pub(crate) fn in_order(mut conditions: Conditions) -> Conditions {
    let place = |name: &str| ORDER.iter().position(|known| *known == name).unwrap_or(ORDER.len());
    conditions.sort_by(|(a, _), (b, _)| place(a).cmp(&place(b)).then_with(|| a.cmp(b)));
    conditions
}

/// How long storms of these lengths, in milliseconds, are in seconds; 0 of none.
pub(crate) fn median_length(lengths: impl Iterator<Item = u64>) -> f64 {
    let lengths: Vec<f64> = lengths.map(|ms| ms as f64).collect();
    median(&lengths).unwrap_or(0.0) / 1000.0
}

/// Whether two lengths are those of storms that were to be equally long.
pub(crate) fn are_equally_long(a: f64, b: f64) -> bool {
    a.max(b) <= SAME_LENGTH * a.min(b)
}

/// What QEMU was told of the guest's machine: `microvm, kvm64, 2 CPUs, 80M`.
fn machine(boot: &Boot) -> String {
    let after = |option: &str| boot.option(option)?.split(',').next();
    let cpus = after("-smp").map(|cpus| format!("{cpus} CPUs"));
    let words = [after("-machine"), after("-cpu"), cpus.as_deref(), after("-m")];
    let words: Vec<&str> = words.into_iter().flatten().collect();
    if words.is_empty() { "not QEMU's".to_owned() } else { words.join(", ") }
}

/// What of a host shows in numbers that were taken by its clock: `2 CPUs, 8 GiB, EPYC 7B13`. What the kernel leaves of the
/// memory changes with the kernel, by less than a GiB.
fn host_class(run: &RunFacts) -> String {
    let fact = |name| run.host.get(name).map(String::as_str);
    let mib: Option<u64> = fact("memory_mib").and_then(|mib| mib.parse().ok());
    let gib = mib.map_or_else(|| "?".to_owned(), |mib| mib.div_ceil(1024).to_string());
    let class = format!("{} CPUs, {gib} GiB", fact("cpus").unwrap_or("?"));
    match fact("cpu") {
        Some(model) => format!("{class}, {model}"),
        None => class,
    }
}
