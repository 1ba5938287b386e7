// SPDX-License-Identifier: MIT OR Apache-2.0
//! Two kernels beside each other: which storms are pairs, what they come to in each metric, and what that says.
//!
//! [`compare`] takes runs as their logs tell them and either gives a [`Comparison`], or says why these storms
//! cannot be compared. `statistics` has the arithmetic, [`metric`] what is measured.

pub mod course;
mod found;
pub mod metric;
mod pairs;
mod select;
mod storm;
mod storms;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod values;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

pub use select::Selector;
pub(crate) use storm::{Conditions, Storm, in_order};
pub(crate) use storms::in_words;
pub use storms::{Key, Levels, Storms, gather};

use crate::exit::ExitCode;
use crate::run::{Measured, RunReport};
use crate::statistics::rule::{Assessment, Looks, Tested, Verdict, assess};
use crate::statistics::signed_rank::{self, Interval};
use crate::statistics::{median, spread};
use metric::{METRICS, Metric};
use pairs::Pairs;

/// What is to be compared, and how.
#[derive(Debug, Clone)]
pub struct Request {
    /// The kernel that the other one is measured by.
    pub a: Side,
    /// The kernel that may have regressed.
    pub b: Side,
    /// Metrics to test; empty: those that the profile names, or else those that are tested by default.
    pub metrics: Vec<String>,
    /// Metrics whose shift is expected, and the reasons.
    pub expected: BTreeMap<String, String>,
    /// Smallest change that matters, as a share.
    pub margin: f64,
    /// How often one looks.
    pub looks: Looks,
    /// Whether storms under different conditions are compared all the same.
    pub force: bool,
}

/// Where a side's cells are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Side {
    /// Ids of the runs.
    pub runs: Vec<String>,
    /// Which of their cells. One without a word means those that the other side does not select.
    pub selector: Selector,
}

/// Why two kernels cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}\n  hint: {hint}")]
pub struct Refusal {
    /// What is wrong; it may have several lines.
    pub what: String,
    /// What to do.
    pub hint: String,
}

impl Refusal {
    fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: what.into(), hint: hint.into() }
    }
}

/// Two kernels beside each other.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The kernel that the other one is measured by.
    pub a: KernelSide,
    /// The kernel that may have regressed.
    pub b: KernelSide,
    /// Under which conditions both ran.
    pub conditions: Vec<Condition>,
    /// The pairs, by the number of the run that both sides have.
    pub pairs: Vec<u32>,
    /// Storms that were left out, and why.
    pub left_out: Vec<String>,
    /// How often one looks.
    pub looks: Looks,
    /// Smallest change that matters, as a share.
    pub margin: f64,
    /// Metrics: those that are tested, then those that are only shown.
    pub rows: Vec<Row>,
    /// What a reader should know.
    pub notes: Vec<String>,
    /// What all of it says.
    pub answer: Answer,
}

/// One of the two kernels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KernelSide {
    /// Manifest or tree, and series.
    pub kernel: String,
    /// `uname -r`; empty if not known.
    pub release: String,
    /// Its key in the store; empty if it has none.
    pub key: String,
    /// Id of the baseline that its storms are from, if they are not from a log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<String>,
    /// The runs that its storms are from.
    pub runs: Vec<SmolStr>,
}

/// A condition of the storms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// `architecture`, `profile`, `clock`, ...
    pub name: SmolStr,
    /// Of A.
    pub a: String,
    /// Of B: the same, unless the comparison was forced.
    pub b: String,
}

/// A metric of both kernels.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The metric.
    pub metric: Metric,
    /// Its value in each of A's storms, in the order of the pairs.
    pub a: Vec<f64>,
    /// In each of B's.
    pub b: Vec<f64>,
    /// What it says.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Why a shift is expected, if one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
}

/// What a metric says.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// It was tested.
    Tested(Assessment),
    /// It is shown, and no more.
    Shown {
        /// Shift of the pairs, as a difference of logarithms.
        shift: f64,
        /// Its interval, not corrected for anything; `None` with too few pairs.
        interval: Option<Interval>,
        /// Standard deviation of the pairs' differences.
        spread: f64,
    },
    /// What it counts happened on neither side: there is nothing to test.
    Never,
    /// A kernel, or the log, does not have it.
    Absent {
        /// What is missing where.
        why: String,
    },
}

/// What a comparison says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Answer {
    /// B is worse in at least one metric, by more than the margin.
    Regression,
    /// B is not worse in any, and no metric is open.
    NoRegression,
    /// Metrics are open.
    TooFew {
        /// So many more pairs may tell.
        more: usize,
    },
    /// No metric could be tested.
    Nothing,
}

impl Answer {
    /// The program's exit code.
    pub fn exit_code(self) -> ExitCode {
        match self {
            Self::Regression => ExitCode::KernelBug,
            Self::NoRegression => ExitCode::Clean,
            Self::TooFew { .. } | Self::Nothing => ExitCode::Inconclusive,
        }
    }
}

impl Row {
    /// The assessment, if it was tested.
    pub fn tested(&self) -> Option<&Assessment> {
        match &self.outcome {
            Outcome::Tested(assessment) => Some(assessment),
            _ => None,
        }
    }

    /// Shift and interval as differences of logarithms, if there are any.
    pub fn shift(&self) -> Option<(f64, Option<Interval>)> {
        match &self.outcome {
            Outcome::Tested(assessment) => Some((assessment.shift?, assessment.interval)),
            Outcome::Shown { shift, interval, .. } => Some((*shift, *interval)),
            Outcome::Never | Outcome::Absent { .. } => None,
        }
    }

    /// Medians of A and B; `None` without values.
    pub fn medians(&self) -> Option<(f64, f64)> {
        median(&self.a).zip(median(&self.b))
    }
}

/// Compares two kernels.
///
/// # Errors
/// Says what cannot be compared: storms under different conditions (unless forced), several kernels on one
/// side, no number that both sides have, a metric that does not exist.
pub fn compare(report: &RunReport, request: &Request) -> Result<Comparison, Refusal> {
    let (a, b) = found::both(report, request)?;
    pairwise(Pairs::of(a, b, request.force)?, report, request)
}

/// Compares the kernel of `b` in `report` with storms that were kept, which are A's. Where A is in the request is not
/// looked at.
///
/// # Errors
/// Those of [`compare`]; another kernel is one of the conditions.
pub fn compare_with(
    kept: &Storms,
    report: &RunReport,
    request: &Request,
) -> Result<Comparison, Refusal> {
    let (mut a, b) = (kept.as_found(), found::of_b(report, &request.b)?);
    a.allow_for_kernel(&b, request.force)?;
    pairwise(Pairs::of(a, b, request.force)?, report, request)
}

fn pairwise(
    mut pairs: Pairs,
    report: &RunReport,
    request: &Request,
) -> Result<Comparison, Refusal> {
    let chosen = chosen_metrics(report, &pairs, request)?;
    let a: Vec<&Measured> = pairs.pairs.iter().map(|pair| &pair.a.measured).collect();
    let b: Vec<&Measured> = pairs.pairs.iter().map(|pair| &pair.b.measured).collect();

    let others = METRICS.iter().filter(|metric| !chosen.iter().any(|c| c.name == metric.name));
    let (mut rows, mut renamed): (Vec<Row>, _) = (Vec::new(), Vec::new());
    for metric in chosen.iter().copied().chain(others) {
        let is_chosen = chosen.iter().any(|chosen| chosen.name == metric.name);
        let expected = request.expected.get(metric.name).filter(|_| is_chosen).cloned();
        let mut row = Row {
            metric: *metric,
            a: Vec::new(),
            b: Vec::new(),
            outcome: Outcome::Never,
            expected,
        };
        match metric.measure(&a, &b) {
            Err(lack) => row.outcome = Outcome::Absent { why: lack.to_string() },
            Ok(values) if !values.happened => {}
            Ok(values) => {
                for (in_a, in_b) in values.renamed {
                    let words = "is counted by";
                    renamed
                        .push(format!("{}: {words} {in_a} in A and by {in_b} in B", metric.name));
                }
                (row.a, row.b) = (values.a, values.b);
                row.outcome = shown(&row.a, &row.b);
            }
        }
        // What is not there is said of metrics that somebody wants to know of.
        if is_chosen || matches!(row.outcome, Outcome::Shown { .. }) {
            rows.push(row);
        }
    }
    test(&mut rows, &chosen, request);
    renamed.into_iter().for_each(|note| pairs.note(note));
    pairs.note_if_identical(&rows);
    for row in rows.iter().filter(|row| row.expected.is_some() && stayed_away(row)) {
        pairs.note(format!("{}: the expected shift did not come", row.metric.name));
    }
    let answer = answer(&rows);
    let Pairs { a, b, conditions, pairs, left_out, notes } = pairs;
    let pairs = pairs.iter().map(|pair| pair.number).collect();
    let (looks, margin) = (request.looks, request.margin);
    Ok(Comparison { a, b, conditions, pairs, left_out, looks, margin, rows, notes, answer })
}

/// Whether a metric is known not to shift. While it is open nothing is known.
fn stayed_away(row: &Row) -> bool {
    match &row.outcome {
        Outcome::Tested(assessment) => {
            matches!(assessment.verdict, Verdict::NoChangeLargerThan { .. })
        }
        Outcome::Never | Outcome::Absent { .. } => true,
        Outcome::Shown { .. } => false,
    }
}

/// Logarithms of B's values over A's.
fn differences(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| (b / a).ln()).collect()
}

fn shown(a: &[f64], b: &[f64]) -> Outcome {
    let differences = differences(a, b);
    let shift = signed_rank::shift(&differences).unwrap_or(0.0);
    let interval = signed_rank::interval(&differences, 0.025);
    Outcome::Shown { shift, interval, spread: spread(&differences) }
}

/// Tests the chosen metrics together, as far as there is something to test. Which ones these are does not depend on
/// which kernel is A, so the test stays exact.
fn test(rows: &mut [Row], chosen: &[&'static Metric], request: &Request) {
    let is_tested = |row: &&mut Row| {
        let shown = matches!(row.outcome, Outcome::Shown { .. });
        shown && chosen.iter().any(|chosen| chosen.name == row.metric.name)
    };
    let mut rows: Vec<&mut Row> = rows.iter_mut().filter(is_tested).collect();
    let tested: Vec<Tested> = rows
        .iter()
        .map(|row| Tested { differences: differences(&row.a, &row.b), better: row.metric.better })
        .collect();
    for (row, assessment) in rows.iter_mut().zip(assess(&tested, request.looks, request.margin)) {
        row.outcome = Outcome::Tested(assessment);
    }
}

fn answer(rows: &[Row]) -> Answer {
    let tested = || rows.iter().filter_map(|row| Some((row, row.tested()?.verdict)));
    let mut open = tested().filter_map(|(_, verdict)| match verdict {
        Verdict::TooFew { more } => Some(more),
        _ => None,
    });
    let regressed =
        |(row, verdict): (&Row, Verdict)| verdict == Verdict::Regression && row.expected.is_none();
    if tested().any(regressed) {
        Answer::Regression
    } else if tested().next().is_none() {
        Answer::Nothing
    } else {
        match open.next() {
            Some(more) => Answer::TooFew { more: open.fold(more, usize::max) },
            None => Answer::NoRegression,
        }
    }
}

/// The key of a profile that names metrics.
#[derive(Deserialize)]
struct MetricsOfProfile {
    #[serde(default)]
    metrics: Vec<String>,
}

/// The metrics that are tested.
fn chosen_metrics(
    report: &RunReport,
    pairs: &Pairs,
    request: &Request,
) -> Result<Vec<&'static Metric>, Refusal> {
    let names = match request.metrics.is_empty() {
        false => request.metrics.clone(),
        true => pairs.profile_text(report).map_or_else(Vec::new, |text| {
            serde_yaml::from_str::<MetricsOfProfile>(text)
                .map_or_else(|_| Vec::new(), |profile| profile.metrics)
        }),
    };
    let chosen = metric::choose(&names)?;
    for name in request.expected.keys() {
        metric::choose(std::slice::from_ref(name))?;
        if !chosen.iter().any(|chosen| chosen.name == name) {
            let words = format!("a shift of {name} is expected, but it is not tested");
            return Err(Refusal::new(words, format!("add --metric {name}")));
        }
    }
    Ok(chosen)
}
