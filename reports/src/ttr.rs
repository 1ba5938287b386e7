// SPDX-License-Identifier: MIT OR Apache-2.0
//! Time to bug: how long each way to provoke a bug takes, from a run's report.
//!
//! The cells of a run that share a profile and a technique are an *arm*; each of them is a trial. Its time begins with
//! the storm and ends with the first report that the cell's rule calls the expected bug. A machine that showed a related
//! report instead was started again, and what it had stormed by then counts. Any other end censors the trial: the
//! bug would have come later than that, or never.

use serde::Serialize;

use crate::event::{Exposure, VmEnd};
use crate::run::{CellReport, RunReport, Standing};
use crate::statistics::survival::{Between, Curve, Rate, Trial, rate};

/// Milliseconds of an hour.
const HOUR_MS: f64 = 3_600_000.0;
/// The agent's counter of moments in which a CPU was taken away.
const BURSTS: &str = "bursts";

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ttr {
    /// The kernel for a person.
    pub kernel: String,
    /// Its release; empty if none was made.
    pub release: String,
    /// Architecture of the guests.
    pub arch: String,
    /// What carried them: `tcg` or `kvm`; empty if none ran.
    pub accel: String,
    /// The profile that all arms come from.
    pub profile: String,
    /// Trials were watched so long, in milliseconds of the guest's time.
    pub bound_ms: u64,
    /// The ways to provoke the bug, in the order in which they were planned.
    pub arms: Vec<Arm>,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// One way to provoke the bug.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Arm {
    /// The technique, and what was left out of the profile.
    pub name: String,
    /// The technique.
    pub technique: String,
    /// What was left out of the profile, if anything was.
    pub without: Option<String>,
    /// The trials that came to anything.
    pub trials: Vec<Run>,
    /// Those that showed the bug.
    pub shown: u64,
    /// Cells without a trial: no guest became ready, or the machine under it was at fault.
    pub failed: u64,
    /// By the guest's clock.
    pub guest: Times,
    /// By the host's clock.
    pub host: Times,
    /// Bugs in an hour of the guest's time, if they come without memory; `None` if nothing was watched.
    pub rate: Option<Rate>,
    /// Exposure of all trials together, up to the end of each guest.
    pub exposure: Exposure,
    /// How often the agent took a CPU away from whoever ran there.
    pub bursts: u64,
}

/// One trial.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Run {
    /// The cell's id.
    pub cell: String,
    /// The cell's seed.
    pub seed: u64,
    /// Whether the bug showed; if not, the trial is censored.
    pub shown: bool,
    /// From the storm's start to the bug, or as far as it was watched, in milliseconds of the guest's time.
    pub guest_ms: u64,
    /// The same in the host's time.
    pub host_ms: u64,
    /// Guests that it took: a related report, or trouble with the machine, costs another one.
    pub guests: u64,
    /// Why the last guest ended.
    pub end: Option<VmEnd>,
}

/// The time that it takes, in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Times {
    /// Half of the trials showed the bug by then; `None` if the watch ended before.
    pub median: Option<f64>,
    /// The 95 % interval of the median.
    pub interval: Between,
    /// The share of trials that have not shown it.
    pub curve: Curve,
}

impl Times {
    fn of(trials: &[Trial]) -> Self {
        let curve = Curve::of(trials);
        Self { median: curve.median(), interval: curve.median_interval(), curve }
    }
}

/// What the cells of a run come to. `profile` is what the arms come from: the others are called after it, with
/// [`without`].
pub fn measure(report: &RunReport, profile: &str, bound_ms: u64) -> Ttr {
    let mut groups: Vec<(&str, &str, Vec<&CellReport>)> = Vec::new();
    for cell in &report.cells {
        let (own, technique) = (cell.cell.profile.as_str(), cell.cell.technique.as_str());
        match groups.iter_mut().find(|(p, t, _)| (*p, *t) == (own, technique)) {
            Some((_, _, cells)) => cells.push(cell),
            None => groups.push((own, technique, vec![cell])),
        }
    }
    let arms: Vec<Arm> =
        groups.iter().map(|(own, technique, cells)| arm(profile, own, technique, cells)).collect();
    let first = report.cells.first();
    let word = |word: fn(&CellReport) -> Option<String>| {
        report.cells.iter().find_map(word).unwrap_or_default()
    };
    Ttr {
        kernel: first.map_or_else(String::new, |cell| cell.cell.kernel_name()),
        release: word(|cell| cell.kernel.as_ref().map(|kernel| kernel.release.clone())),
        arch: first.map_or_else(String::new, |cell| cell.cell.arch.clone()),
        accel: word(|cell| cell.boots.first().map(|boot| boot.accel.clone())),
        profile: profile.to_owned(),
        bound_ms,
        notes: notes(report, &arms),
        arms,
    }
}

/// The name of a profile of which something was left out.
pub fn without(profile: &str, part: &str) -> String {
    format!("{profile}-without-{part}")
}

fn arm(profile: &str, own: &str, technique: &str, cells: &[&CellReport]) -> Arm {
    let left_out = own.strip_prefix(profile).and_then(|rest| rest.strip_prefix("-without-"));
    let name = match left_out {
        Some(part) => format!("{technique} without {part}"),
        None => technique.to_owned(),
    };
    let trials: Vec<Run> = cells.iter().filter_map(|cell| trial(cell)).collect();
    let by = |ms: fn(&Run) -> u64| -> Vec<Trial> {
        trials.iter().map(|run| Trial { time: ms(run) as f64, shown: run.shown }).collect()
    };
    let guest = by(|run| run.guest_ms);
    let rate = rate(&guest).map(|rate| Rate {
        estimate: rate.estimate * HOUR_MS,
        low: rate.low * HOUR_MS,
        high: rate.high * HOUR_MS,
    });
    let boots = || cells.iter().flat_map(|cell| cell.sound_boots());
    Arm {
        name,
        technique: technique.to_owned(),
        without: left_out.map(str::to_owned),
        shown: trials.iter().filter(|run| run.shown).count() as u64,
        failed: (cells.len() - trials.len()) as u64,
        guest: Times::of(&guest),
        host: Times::of(&by(|run| run.host_ms)),
        rate,
        exposure: boots().fold(Exposure::default(), |sum, boot| sum + boot.exposure),
        bursts: boots().filter_map(|boot| boot.measured.last(BURSTS)).sum(),
        trials,
    }
}

/// `None` for a cell of which no guest stormed on a machine that was in order.
fn trial(cell: &CellReport) -> Option<Run> {
    let mut run = Run {
        cell: cell.cell.id.clone(),
        seed: cell.cell.seed,
        shown: false,
        guest_ms: 0,
        host_ms: 0,
        guests: 0,
        end: None,
    };
    for boot in cell.sound_boots() {
        let (guest, host) = boot.storm_ms();
        run.guest_ms += guest;
        run.host_ms += host;
        run.guests += 1;
        run.end = boot.end;
        run.shown = boot.showed_expected;
        if run.shown {
            break;
        }
    }
    (run.guests > 0).then_some(run)
}

/// What is not as it should be for a measurement.
fn notes(report: &RunReport, arms: &[Arm]) -> Vec<String> {
    let mut notes = Vec::new();
    for arm in arms {
        let name = &arm.name;
        if arm.failed > 0 {
            notes.push(format!("{name}: {} runs came to nothing and are left out", arm.failed));
        }
        let again = arm.trials.iter().map(|run| run.guests.saturating_sub(1)).sum::<u64>();
        if again > 0 {
            notes.push(format!(
                "{name}: {again} guests were started again; the time of all of them counts"
            ));
        }
        for run in arm.trials.iter().filter(|run| !run.shown) {
            match run.end {
                Some(VmEnd::Budget) | None => {}
                Some(end) => {
                    let end = serde_json::to_value(end).unwrap_or_default();
                    let end = end.as_str().unwrap_or_default().to_owned();
                    notes.push(format!("{name}: {} was censored early ({end})", run.cell));
                }
            }
        }
    }
    for cell in &report.cells {
        for bug in &cell.bugs {
            let what = match bug.standing {
                Standing::Another => "another bug showed",
                Standing::Related => "a related report came, which does not count",
                _ => continue,
            };
            notes.push(format!("{}: {what}: {}", cell.cell.id, bug.finding.title));
        }
        notes.extend(
            cell.failure.iter().map(|failure| format!("{}: {}", cell.cell.id, failure.detail)),
        );
    }
    notes
}

#[cfg(test)]
mod tests;
