// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether a series is good: what it fixed, what it brought, what it shifted, and what is to be run to know more.
//!
//! [`CheckFacts`] is what was asked, and stands in the log. [`CheckFacts::judge`] folds it with what was run into a
//! [`Check`], which says what is known and, in its [`Step`], what to run next. So a check that was cut is judged like one that
//! came to its end, and the campaign that runs it decides nothing of its own.
//!
//! Positions are those of a search ([`crate::search`]): 0 is the base, `1..=n` the kernels with one more patch each, and the last
//! one the tip. Whether a bug is fixed is the matter of [`crate::proof`]; which patch brought one, of [`crate::search`]; whether
//! statistics shifted, of [`crate::comparison`].

mod bugs;
mod builds;
mod step;
#[cfg(test)]
pub(crate) mod tests;
mod warnings;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::bugs::{Fix, Found, Longer, Side, Standing};
pub use self::builds::Build;
pub use self::step::Step;
pub use self::warnings::{SparseFacts, new_warnings};
use crate::comparison::{self, Comparison, Request, Selector, compare};
use crate::event::{Exposure, KernelFacts};
use crate::exit::{ExitCode, Purpose};
use crate::run::{CellReport, RunFacts, RunReport};
use crate::search::evidence::{Predicate, is_stalled};
use crate::search::range::Position;
use crate::statistics::rule::{DEFAULT_MARGIN, Looks};
use crate::verdict;

/// What is asked of a series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckFacts {
    /// Name of the series.
    pub series: String,
    /// The kernel that it is for.
    pub base: String,
    /// Subjects of its patches.
    pub subjects: Vec<String>,
    /// The base, then the kernels with one more patch each.
    pub positions: Vec<Position>,
    /// Whether the series is said to fix the bug that the profile expects.
    pub fixes: bool,
    /// Whether each patch is to be built and booted on its own.
    pub each: bool,
    /// So many guests of base and tip each are run, whatever they show.
    pub pairs: u32,
    /// Probability that an answer must have; above 0.5 and below 1.
    pub confidence: f64,
    /// What all of it may take, in milliseconds.
    pub budget_ms: u64,
    /// A whole storm, in milliseconds of guest time.
    pub storm_ms: u64,
    /// How statistics are compared; `None`: they are not.
    pub statistics: Option<StatisticsFacts>,
    /// What `checkpatch.pl` says of each patch, a line each; `None`: it was not asked.
    pub checkpatch: Option<Vec<Vec<String>>>,
    /// What sparse says of the C files that it touches; `None`: it was not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sparse: Option<SparseFacts>,
}

/// Storms by which writeback is compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatisticsFacts {
    /// [`crate::event::Cell::population`] of the base's.
    pub base: String,
    /// The same of the tip's.
    pub tip: String,
    /// Most pairs.
    pub most: u32,
}

/// What is known of a series.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Check {
    /// What was asked.
    #[serde(flatten)]
    pub facts: CheckFacts,
    /// On what the tip ran; `None` if it did not.
    pub environment: Option<Environment>,
    /// Of each position, whether it builds and boots.
    pub builds: Vec<Build>,
    /// Guests of base and tip that say something.
    pub guests: [u64; 2],
    /// Exposure of the tip's clean guests.
    pub exposure: Exposure,
    /// Bugs, those that matter first.
    pub bugs: Vec<Found>,
    /// Whether writeback shifted.
    pub statistics: Statistics,
    /// Warnings of the compiler that the tip has and the base has not; `None`: those of one of them are not known.
    pub warnings: Option<Vec<String>>,
    /// What all of it says.
    pub verdict: Verdict,
    /// Why, a sentence each.
    pub reasons: Vec<String>,
    /// What to run next.
    #[serde(skip)]
    pub step: Step,
    /// Pairs of storms for the statistics that were begun.
    #[serde(skip)]
    storms_for_statistics: usize,
}

/// What a kernel ran on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Environment {
    /// The kernel.
    pub kernel: KernelFacts,
    /// Architecture.
    pub arch: String,
    /// Mode of KASAN; empty where it is off or not known.
    pub kasan: String,
    /// Accelerator of the last machine; empty if there was none.
    pub accel: String,
    /// Profile.
    pub profile: String,
    /// Technique.
    pub technique: String,
}

/// What became of the statistics.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Statistics {
    /// Nobody asked.
    NotAsked,
    /// They were not measured.
    NotMeasured {
        /// Why.
        why: String,
    },
    /// Storms on both kernels beside each other.
    Compared(Box<Comparison>),
}

impl Statistics {
    /// What they say, if they were compared.
    pub fn answer(&self) -> Option<comparison::Answer> {
        match self {
            Self::Compared(comparison) => Some(comparison.answer),
            Self::NotAsked | Self::NotMeasured { .. } => None,
        }
    }
}

/// What a check comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing speaks against the series, and nothing that was asked is open.
    Good,
    /// It brought a bug or a regression, or did not fix what it was to fix.
    Bad,
    /// A kernel cannot be built.
    DoesNotBuild,
    /// The machine under us failed.
    Infrastructure,
    /// There is no answer yet.
    Open,
    /// The user ended it.
    Interrupted,
}

impl Verdict {
    /// The program's exit code.
    pub fn exit_code(self) -> ExitCode {
        match self {
            Self::Good => ExitCode::Clean,
            Self::Bad => ExitCode::KernelBug,
            Self::DoesNotBuild => ExitCode::Usage,
            Self::Infrastructure => ExitCode::Infrastructure,
            Self::Open => ExitCode::Inconclusive,
            Self::Interrupted => ExitCode::Interrupted,
        }
    }
}

impl RunReport {
    /// The checks among its runs.
    pub fn checks(&self) -> Vec<Check> {
        let judged = |run: &RunFacts| Some(run.check.as_ref()?.judge(self, run));
        self.runs.iter().filter_map(judged).collect()
    }
}

impl CheckFacts {
    /// Which position the tip is.
    pub fn tip(&self) -> usize {
        self.positions.len().saturating_sub(1)
    }

    /// What `run` of `report` shows of the series.
    pub fn judge(&self, report: &RunReport, run: &RunFacts) -> Check {
        let cells: Vec<&CellReport> =
            report.cells.iter().filter(|cell| cell.run == run.id).collect();
        let cells = Cells { facts: self, all: &cells };
        let builds = cells.builds();
        let bugs = cells.bugs();
        let mut check = Check {
            guests: [0, self.tip()]
                .map(|at| cells.at(at).filter(|cell| says_something(cell)).count() as u64),
            environment: cells.environment(),
            exposure: cells.clean_exposure(self.tip()).1,
            statistics: self.compared(report, run, &cells),
            warnings: cells.new_warnings(),
            verdict: Verdict::Open,
            reasons: Vec::new(),
            step: Step::Done,
            storms_for_statistics: cells.storms_for_statistics(),
            facts: self.clone(),
            builds,
            bugs,
        };
        let is_stalled = is_stalled(&report.cells);
        let is_over = is_stalled || report.interrupted() || run.ms >= self.budget_ms;
        check.step = if is_over { Step::Done } else { check.next(&cells) };
        (check.verdict, check.reasons) = check.conclusion(&cells, report.interrupted(), is_stalled);
        check
    }

    /// The statistics of both kernels.
    fn compared(&self, report: &RunReport, run: &RunFacts, cells: &Cells<'_>) -> Statistics {
        let Some(facts) = &self.statistics else { return Statistics::NotAsked };
        if cells.storms_for_statistics() == 0 {
            return Statistics::NotMeasured { why: "no storm was run for them".to_owned() };
        }
        let side = |population: &str| comparison::Side {
            runs: vec![run.id.to_string()],
            selector: Selector::population(population),
        };
        let request = Request {
            a: side(&facts.base),
            b: side(&facts.tip),
            metrics: Vec::new(),
            expected: BTreeMap::new(),
            margin: DEFAULT_MARGIN,
            looks: Looks::Sequential,
            force: false,
        };
        match compare(report, &request) {
            Ok(comparison) => Statistics::Compared(Box::new(comparison)),
            Err(refusal) => Statistics::NotMeasured { why: refusal.what },
        }
    }
}

impl Check {
    /// What all of it says, and why.
    fn conclusion(
        &self,
        cells: &Cells<'_>,
        is_interrupted: bool,
        is_stalled: bool,
    ) -> (Verdict, Vec<String>) {
        let mut bad = self.broken_boots();
        let mut open = Vec::new();
        for found in &self.bugs {
            found.weigh(&self.facts, &mut bad, &mut open);
        }
        bad.dedup();
        match self.statistics.answer() {
            Some(comparison::Answer::Regression) => bad.push("writeback regressed".to_owned()),
            Some(comparison::Answer::TooFew { .. } | comparison::Answer::Nothing) => {
                open.push("the statistics do not tell yet".to_owned());
            }
            Some(comparison::Answer::NoRegression) => {}
            None => {
                if let Statistics::NotMeasured { why } = &self.statistics {
                    open.push(format!("the statistics were not compared: {why}"));
                }
            }
        }
        let of_builds: Vec<String> = self.not_built();
        let tried = |at: usize| self.builds.get(at) == Some(&Build::Works);
        let failed = cells.failure();
        if is_interrupted {
            bad.push("it was interrupted before the answer was in".to_owned());
            return (Verdict::Interrupted, bad);
        }
        if !bad.is_empty() {
            return (Verdict::Bad, [bad, of_builds].concat());
        }
        if !of_builds.is_empty() {
            return (Verdict::DoesNotBuild, of_builds);
        }
        if let Some((code, reason)) =
            failed.filter(|_| is_stalled || !tried(0) || !tried(self.facts.tip()))
        {
            let verdict = match code {
                ExitCode::Usage => Verdict::DoesNotBuild,
                ExitCode::Infrastructure => Verdict::Infrastructure,
                _ => Verdict::Open,
            };
            return (verdict, vec![reason]);
        }
        if self.guests.iter().any(|guests| *guests < u64::from(self.facts.pairs)) {
            let [base, tip] = self.guests;
            let pairs = self.facts.pairs;
            open.push(format!("of {pairs} guests each that were asked for, {base} of the base and {tip} of the tip say something"));
        }
        if self.facts.fixes
            && !self.bugs.iter().any(|found| found.is_expected() && found.base.hits > 0)
        {
            open.push("the base did not show the bug that is to be fixed".to_owned());
        }
        if !open.is_empty() {
            return (Verdict::Open, open);
        }
        (Verdict::Good, Vec::new())
    }

    /// Whether the evidence carries a `Tested-by`; if not, why.
    ///
    /// # Errors
    /// The reason.
    pub fn earns_tag(&self) -> Result<(), String> {
        if self.verdict != Verdict::Good {
            return Err(self.reasons.first().cloned().unwrap_or_default());
        }
        let fixed = self.bugs.iter().any(|found| matches!(found.standing, Standing::Fixed(_)));
        let unchanged = self.bugs.iter().any(|found| matches!(found.standing, Standing::Unchanged));
        if fixed
            || (!unchanged && self.statistics.answer() == Some(comparison::Answer::NoRegression))
        {
            return Ok(());
        }
        Err(if unchanged {
            "the base has a bug that ends its guests, and the series leaves it as it is: little else could be seen".to_owned()
        } else {
            "there was no bug to be fixed, and statistics were not compared".to_owned()
        })
    }
}

/// The cells of a check.
struct Cells<'r> {
    facts: &'r CheckFacts,
    all: &'r [&'r CellReport],
}

impl<'r> Cells<'r> {
    /// Those of a position that storm for bugs.
    fn at(&self, at: usize) -> impl Iterator<Item = &'r CellReport> {
        let population = self.facts.positions.get(at).map(|position| position.population.as_str());
        let own = move |cell: &&&CellReport| Some(cell.cell.population().as_str()) == population;
        self.all.iter().filter(own).copied()
    }

    /// Machines of a position's cells that showed nothing, and their exposure.
    fn clean_exposure(&self, at: usize) -> (u64, Exposure) {
        let clean = self.at(at).filter(|cell| cell.finished && verdict::adds_to_proof(cell));
        clean.fold((0, Exposure::default()), |(machines, sum), cell| {
            (machines + cell.sound_boots().count() as u64, sum + cell.exposure)
        })
    }

    /// On what the tip ran.
    fn environment(&self) -> Option<Environment> {
        let cell = self.at(self.facts.tip()).find(|cell| cell.kernel.is_some())?;
        Some(Environment {
            kernel: cell.kernel.clone()?,
            arch: cell.cell.arch.clone(),
            kasan: cell.cell.kasan.clone(),
            accel: cell.boots.last().map(|boot| boot.accel.clone()).unwrap_or_default(),
            profile: cell.cell.profile.clone(),
            technique: cell.cell.technique.clone(),
        })
    }

    /// Storms of the tip for the statistics.
    fn storms_for_statistics(&self) -> usize {
        let Some(facts) = &self.facts.statistics else { return 0 };
        self.all.iter().filter(|cell| cell.cell.population() == facts.tip).count()
    }

    /// Why the last of base and tip that did not come up did not.
    fn failure(&self) -> Option<(ExitCode, String)> {
        let of = |at: usize| self.at(at).filter(|cell| cell.finished);
        let cells = of(0).chain(of(self.facts.tip()));
        let failed = cells.filter(|cell| !says_something(cell));
        let told = |cell: &CellReport| {
            let reason = cell.verdict.reason();
            (cell.exit_code(Purpose::Search), format!("{}: {reason}", cell.cell.kernel_name()))
        };
        failed.map(told).last()
    }
}

/// Whether a cell says something of its kernel: a machine came up, and neither host nor method failed it.
fn says_something(cell: &CellReport) -> bool {
    cell.finished && (cell.verdict.is_bug() || verdict::adds_to_proof(cell))
}

/// How often a bug showed in these cells.
fn side<'r>(cells: impl Iterator<Item = &'r CellReport>, bug: &Predicate) -> Side {
    let mut side = Side::default();
    for cell in cells {
        let hit = bug.first_sight(cell).is_some();
        if hit || says_something(cell) {
            side.guests += 1;
            side.hits += u64::from(hit);
        }
    }
    side
}
