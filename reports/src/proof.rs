// SPDX-License-Identifier: MIT OR Apache-2.0
//! What it takes to call a kernel fixed.
//!
//! A fixed kernel shows nothing, and so does a kernel that is not fixed if it is lucky. How likely is such luck? The
//! bug strikes, in any one setting, at some unknown rate per unit of exposure (a stretched window, a swapoff). Runs
//! of the kernel with the bug showed it `n` times within an exposure of `E`, and that is all we know of the rate.
//! A rate of which nothing else is known, not even its scale, has the density `1/r` before, and after `n` events in `E` a
//! gamma distribution with shape `n` and rate `E`. An unfixed kernel of rate `r` shows nothing over an exposure of
//! `F` with probability `exp(-r F)`; averaged over that distribution this is
//!
//! ```text
//! P(nothing | not fixed) = (1 + F/E)^-n
//! ```
//!
//! the predictive distribution of J. Aitchison and I. R. Dunsmore, "Statistical Prediction Analysis", Cambridge 1975,
//! for waiting times. No belief is hidden in it: where each of the `n` runs ends as it shows the bug, `r E` has a gamma
//! distribution of shape `n` whatever `r` is, so the formula is also how often an unfixed kernel passes if all of it,
//! both sides, is done again and again. For one run, ten times its exposure lets an unfixed kernel pass once in 11
//! times, and 19 times once in 20; three runs take 1.71 times the exposure of all three.
//!
//! Exposure in whole windows makes the truth a little better than the formula, and runs without the bug, which
//! add to `E` and not to `n`, make the estimate more careful.

use serde::Serialize;

use crate::event::Exposure;

/// Confidence that is asked for where nobody says otherwise.
pub const DEFAULT_CONFIDENCE: f64 = 0.95;

/// What the runs of the kernel with the bug tell of the bug's rate in one setting.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// Machines that ran.
    pub machines: u64,
    /// Those of them that showed the expected bug.
    pub hits: u64,
    /// Exposure of all machines, those that did not show it included.
    pub exposure: Exposure,
}

/// A clock by which chances for a bug are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Clock {
    Windows,
    Swapoffs,
    CpuOffs,
}

impl Clock {
    const ALL: [Self; 3] = [Self::Windows, Self::Swapoffs, Self::CpuOffs];

    fn of(self, exposure: &Exposure) -> u64 {
        match self {
            Self::Windows => exposure.windows,
            Self::Swapoffs => exposure.swapoffs,
            Self::CpuOffs => exposure.cpu_offs,
        }
    }
}

impl Evidence {
    /// Adds a machine of the kernel with the bug.
    pub fn add(&mut self, exposure: Exposure, hit: bool) {
        self.exposure = self.exposure + exposure;
        self.machines += 1;
        self.hits += u64::from(hit);
    }

    /// Clocks that the bug can be timed by: swapoffs, and where there were any, stretched windows and CPUs taken off.
    /// Which one is the right one nobody knows, so all of them have to be satisfied.
    fn clocks(&self) -> impl Iterator<Item = Clock> {
        Clock::ALL
            .into_iter()
            .filter(|clock| *clock == Clock::Swapoffs || clock.of(&self.exposure) > 0)
    }

    /// `E` of a clock. A bug that showed before the clock moved took one unit.
    fn units(&self, clock: Clock) -> f64 {
        clock.of(&self.exposure).max(1) as f64
    }
}

/// How many times the exposure of all buggy runs a fixed kernel must stand, if they showed the bug `hits` times:
/// 19 for one and 0.95. `None` without a hit, for no exposure suffices then.
pub fn factor(hits: u64, confidence: f64) -> Option<f64> {
    let luck = 1.0 - confidence;
    (hits > 0 && luck > 0.0).then(|| (-luck.ln() / hits as f64).exp_m1())
}

/// Exposure, of all machines of the fixed side together, at which an unfixed kernel would have shown its bug with
/// probability `confidence`. Counters that do not matter are 0. `None` if the buggy side never showed the bug: its
/// rate is not known.
pub fn wanted_exposure(buggy: &Evidence, confidence: f64) -> Option<Exposure> {
    let factor = factor(buggy.hits, confidence)?;
    let mut wanted = Exposure::default();
    for clock in buggy.clocks() {
        // A float becomes the nearest integer; what is too large, the largest.
        let units = (buggy.units(clock) * factor - 1e-9).ceil().max(1.0) as u64;
        match clock {
            Clock::Windows => wanted.windows = units,
            Clock::Swapoffs => wanted.swapoffs = units,
            Clock::CpuOffs => wanted.cpu_offs = units,
        }
    }
    Some(wanted)
}

/// Probability, by the clock that leaves most room for it, that a kernel with the bug shows nothing over the
/// exposure `fixed`. 1 if the buggy side never showed the bug.
pub fn pass_probability(buggy: &Evidence, fixed: &Exposure) -> f64 {
    let by = |clock: Clock| {
        let ratio = clock.of(fixed) as f64 / buggy.units(clock);
        (-(buggy.hits as f64) * ratio.ln_1p()).exp()
    };
    buggy.clocks().map(by).fold(0.0, f64::max)
}

/// How far a fixed kernel has come.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Proof {
    /// [`crate::event::Cell::population`] of the fixed cells.
    pub population: String,
    /// What the kernel with the bug showed in the same setting.
    pub buggy: Evidence,
    /// Machines of the fixed kernel.
    pub machines: u64,
    /// Exposure of all of them, without a bug.
    pub fixed: Exposure,
    /// Probability with which a kernel that is not fixed would have looked like this.
    pub pass_probability: f64,
    /// What is asked for: the probability must not be above 1 less this.
    pub confidence: f64,
    /// Exposure at which it is reached; `None` if nothing reaches it.
    pub wanted: Option<Exposure>,
}

/// What a proof lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    /// Exposure.
    pub exposure: Exposure,
    /// The same in guest milliseconds, at the pace of the fixed kernel so far; `None` if it had none.
    pub guest_ms: Option<u64>,
}

impl Proof {
    /// Weighs the exposure `fixed`, of so many `machines`, against the evidence.
    pub fn new(
        population: String,
        buggy: Evidence,
        machines: u64,
        fixed: Exposure,
        confidence: f64,
    ) -> Self {
        let pass_probability = pass_probability(&buggy, &fixed);
        let wanted = wanted_exposure(&buggy, confidence);
        Self { population, buggy, machines, fixed, pass_probability, confidence, wanted }
    }

    /// Whether the confidence that was asked for is reached.
    pub fn is_reached(&self) -> bool {
        self.missing().is_some_and(|missing| missing.exposure == Exposure::default())
    }

    /// What is missing, nothing included; `None` if no exposure suffices, since the bug never showed.
    pub fn missing(&self) -> Option<Missing> {
        let wanted = self.wanted?;
        let mut missing = Missing { exposure: Exposure::default(), guest_ms: Some(0) };
        let short = |clock: Clock| clock.of(&wanted).saturating_sub(clock.of(&self.fixed));
        missing.exposure.windows = short(Clock::Windows);
        missing.exposure.swapoffs = short(Clock::Swapoffs);
        missing.exposure.cpu_offs = short(Clock::CpuOffs);
        for clock in Clock::ALL.into_iter().filter(|clock| short(*clock) > 0) {
            let had = clock.of(&self.fixed);
            let ms = self.fixed.guest_ms as f64 * short(clock) as f64 / had as f64;
            let ms = (had > 0).then_some(ms.ceil() as u64);
            missing.guest_ms = missing.guest_ms.zip(ms).map(|(longest, ms)| longest.max(ms));
        }
        Some(missing)
    }
}

#[cfg(test)]
mod tests;
