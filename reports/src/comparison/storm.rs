// SPDX-License-Identifier: MIT OR Apache-2.0
//! One storm that may be compared: a cell's machine that came to its end, and the conditions under which it ran.

use crate::event::Meaning;
use crate::run::{Boot, CellReport, RunReport, Standing};

/// What two storms must have in common to be compared: a name and a value.
pub(super) type Conditions = Vec<(&'static str, String)>;

/// Samples that a rise takes.
const FEWEST_SAMPLES: u64 = 2;

/// A cell, and its machine if that says something.
#[derive(Debug, Clone)]
pub(super) struct Storm<'a> {
    pub(super) cell: &'a CellReport,
    pub(super) boot: &'a Boot,
    pub(super) conditions: Conditions,
}

impl<'a> Storm<'a> {
    /// The storm of a cell, or why it cannot be compared.
    pub(super) fn of(report: &RunReport, cell: &'a CellReport) -> Result<Self, String> {
        let boot = counting(cell)?;
        let conditions = conditions(report, cell, boot);
        Ok(Self { cell, boot, conditions })
    }

    /// When it began, by its run's clock.
    pub(super) fn began(&self) -> u64 {
        self.boot.started_ms
    }
}

/// The newest machine of the cell whose counters say what its kernel does.
fn counting(cell: &CellReport) -> Result<&Boot, String> {
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
        let facts = report.run_of(cell).map(|run| &run.host);
        let fact = |name| facts.and_then(|facts| facts.get(name)).map_or("?", String::as_str);
        let class = format!("{} CPUs, {} MiB", fact("cpus"), fact("memory_mib"));
        conditions.push(("host", class));
    }
    conditions
}

/// What QEMU was told of the guest's machine: `microvm, kvm64, 2 CPUs, 80M`.
fn machine(boot: &Boot) -> String {
    let after = |option: &str| boot.option(option)?.split(',').next();
    let cpus = after("-smp").map(|cpus| format!("{cpus} CPUs"));
    let words = [after("-machine"), after("-cpu"), cpus.as_deref(), after("-m")];
    let words: Vec<&str> = words.into_iter().flatten().collect();
    if words.is_empty() { "not QEMU's".to_owned() } else { words.join(", ") }
}
