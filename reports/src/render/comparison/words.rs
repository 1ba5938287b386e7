// SPDX-License-Identifier: MIT OR Apache-2.0
//! Numbers and verdicts of a comparison in words.

use crate::comparison::{Answer, Comparison, Condition, KernelSide, Outcome, Row, in_words};
use crate::statistics::relative;
use crate::statistics::rule::{Assessment, LEVEL, LOOKS, Looks, Verdict};
use crate::statistics::signed_rank::Interval;

/// More pairs than this are no plan but a sign of noise.
const MANY_PAIRS: usize = 100;

/// A value with three digits, in at most 7 characters: `0.0315`, `12.4`, `1530`.
pub(in crate::render) fn value(value: f64) -> String {
    let magnitude = value.abs().log10().floor();
    match value {
        0.0 => "0".to_owned(),
        _ if !(-3.0..7.0).contains(&magnitude) => format!("{value:.2e}"),
        // At most 5 digits behind the point.
        _ => format!("{value:.*}", (2.0 - magnitude).max(0.0) as usize),
    }
}

/// A difference of logarithms in per cent of A's value: `+2.1`.
pub(super) fn per_cent(log_ratio: f64) -> String {
    let per_cent = 100.0 * relative(log_ratio);
    match per_cent.abs() {
        size if size >= 999.5 => format!("{per_cent:+.1e}"),
        size if size >= 99.95 => format!("{per_cent:+.0}"),
        size if size < 0.05 => "0.0".to_owned(),
        _ => format!("{per_cent:+.1}"),
    }
}

/// `-1.0..+5.1`, in per cent.
pub(super) fn interval(interval: &Interval) -> String {
    format!("{}..{}", per_cent(interval.low), per_cent(interval.high))
}

/// A verdict in at most 18 characters.
pub(super) fn verdict(row: &Row) -> String {
    match &row.outcome {
        Outcome::Tested(assessment) => match assessment.verdict {
            Verdict::Regression if row.expected.is_some() => "worse, as expected".to_owned(),
            Verdict::Regression => "regression".to_owned(),
            Verdict::Improvement => "improvement".to_owned(),
            Verdict::SmallShift => "small shift".to_owned(),
            Verdict::NoChangeLargerThan { share } => format!("no change > {}", share_of(share)),
            Verdict::TooFew { more } => format!("too few: {}", more_pairs(more)),
        },
        Outcome::Shown { .. } => "not tested".to_owned(),
        Outcome::Never => "never happened".to_owned(),
        Outcome::Absent { .. } => "absent".to_owned(),
    }
}

/// A share in per cent, rounded up: nothing larger was seen.
pub(in crate::render) fn share_of(share: f64) -> String {
    format!("{:.1} %", (share * 1000.0 - 1e-9).max(0.0).ceil() / 10.0)
}

fn more_pairs(more: usize) -> String {
    if more > MANY_PAIRS { format!("{MANY_PAIRS}+ more") } else { format!("{more} more") }
}

/// The p-value, and what it is corrected for.
pub(super) fn p_value(p: f64) -> String {
    if p < 0.0005 { format!("{p:.0e}") } else { format!("{p:.3}") }
}

/// `debian-6.1 + my-fix (6.1.192), baseline 20260101-1`.
pub(super) fn kernel(side: &KernelSide) -> String {
    let kernel = match side.release.as_str() {
        "" => side.kernel.clone(),
        release => format!("{} ({release})", side.kernel),
    };
    match &side.baseline {
        Some(id) => format!("{kernel}, baseline {id}"),
        None => kernel,
    }
}

/// The conditions in a line: those that both sides share.
pub(super) fn conditions(comparison: &Comparison) -> String {
    let shared = comparison.conditions.iter().filter(|c| c.a == c.b && c.a != "none");
    let word = |c: &Condition| in_words(&c.name, &c.a);
    shared.map(word).collect::<Vec<_>>().join(", ")
}

/// How many pairs there are, and when one looks.
pub(super) fn looks(comparison: &Comparison) -> String {
    let pairs = comparison.pairs.len();
    let taken: Vec<String> =
        comparison.looks.with(pairs).iter().map(|look| look.pairs.to_string()).collect();
    let tested = comparison.rows.iter().filter(|row| row.tested().is_some()).count();
    let (of_pairs, of_metrics) = (plural(pairs, "pair"), plural(tested, "metric"));
    let of = format!("{pairs} {of_pairs}, {tested} {of_metrics} tested together");
    match comparison.looks {
        Looks::Sequential if taken.is_empty() => {
            let all = LOOKS.map(|look| look.pairs.to_string()).join(", ");
            format!("{of}; looks come at {all} pairs")
        }
        Looks::Sequential => format!("{of}; looked at with {} pairs", taken.join(", ")),
        Looks::Single => format!("{of}; one look"),
    }
}

/// False alarms that the rule allows.
pub(super) fn level() -> String {
    format!("{:.0} %", 100.0 * LEVEL)
}

/// What all metrics that were tested say, in a sentence or two.
pub(in crate::render) fn answer(comparison: &Comparison) -> String {
    let margin = share_of(comparison.margin);
    let tested = || comparison.rows.iter().filter(|row| row.tested().is_some());
    match comparison.answer {
        Answer::Nothing => "No answer: no metric could be tested.".to_owned(),
        Answer::Regression => {
            let worse = tested()
                .filter(|row| row.expected.is_none())
                .filter_map(|row| Some((row, row.tested()?)))
                .filter(|(_, assessment)| assessment.verdict == Verdict::Regression)
                .map(|(row, assessment)| told(row, assessment));
            format!("Regression: {}.", worse.collect::<Vec<_>>().join("; "))
        }
        Answer::NoRegression => {
            let unchanged = tested().all(|row| {
                let verdict = row.tested().map(|assessment| assessment.verdict);
                matches!(verdict, Some(Verdict::NoChangeLargerThan { .. }))
            });
            if unchanged {
                format!("No change larger than {margin} in any metric that was tested.")
            } else {
                format!("No regression of {margin} or more in any metric that was tested.")
            }
        }
        Answer::TooFew { more } => {
            let open: Vec<&str> = tested()
                .filter(|row| {
                    matches!(row.tested().map(|a| a.verdict), Some(Verdict::TooFew { .. }))
                })
                .map(|row| row.metric.name)
                .collect();
            let needed = comparison.pairs.len() + more;
            let last = LOOKS[LOOKS.len() - 1].pairs;
            let more = if comparison.looks == Looks::Sequential && needed > last {
                let needed =
                    if more > MANY_PAIRS { "more than 100".into() } else { needed.to_string() };
                format!(
                    "it would take {needed} pairs of such storms, and the last look is at {last}"
                )
            } else {
                format!("{more} more {} may tell", plural(more, "pair"))
            };
            format!("No answer yet on {}: {more}.", open.join(", "))
        }
    }
}

/// A shift that was found: by how much, how surely, and when.
fn told(row: &Row, assessment: &Assessment) -> String {
    let shift = assessment.shift.map_or_else(String::new, per_cent);
    let p = assessment.p.map_or_else(String::new, p_value);
    let pairs = assessment.look.map_or(0, |look| look.pairs);
    format!("{} {shift} % (p {p} at {pairs} pairs, corrected for all metrics)", row.metric.name)
}

fn plural(n: usize, word: &str) -> String {
    if n == 1 { word.to_owned() } else { format!("{word}s") }
}
