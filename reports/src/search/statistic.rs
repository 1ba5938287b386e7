// SPDX-License-Identifier: MIT OR Apache-2.0
//! A statistic of storms as the evidence of a search: what each storm came to, and whether the ends differ.
//!
//! The ends are compared as `compare` does it, by pairs of storms with the same seeds, after 8, 12 and 16 of them and with the
//! same levels ([`crate::statistics::rule`]). Only if the bad end is worse by that test, and by more than what matters, is there
//! something to search. From then on storms count one by one ([`super::level`]): kernels between the ends have no partner.

use super::range::Range;
use crate::comparison::metric::Metric;
use crate::comparison::values::logarithms;
use crate::run::CellReport;
use crate::statistics::median;
use crate::statistics::rule::{Assessment, DEFAULT_MARGIN, LOOKS, Looks, Tested, Verdict, assess};

/// A storm counts as if it lay no farther than so many spreads outside of both ends' medians.
const FARTHEST: f64 = 4.0;
/// The median of the distances from the median, times this, is the standard deviation of what is normal.
const NORMAL: f64 = 1.4826;

/// What storms came to.
#[derive(Debug)]
pub(super) struct Statistic {
    /// Of each cell, as a difference of logarithms from the good end's median.
    pub(super) values: Vec<Option<f64>>,
    /// How the ends compare, by so many pairs; `None` before the first.
    pub(super) ends: Option<(u32, Assessment)>,
}

impl Statistic {
    /// What `cells` came to in `metric`.
    pub(super) fn of(metric: &Metric, range: &Range, cells: &[&CellReport]) -> Self {
        let mut values = logarithms(metric, cells);
        let last = range.positions.len().saturating_sub(1);
        let end = |at: usize| {
            let own = cells.iter().zip(&values);
            let own = own.filter(|(cell, _)| range.position_of(cell) == Some(at));
            own.filter_map(|(cell, value)| Some((cell.cell.number, (*value)?))).collect()
        };
        let ends: [Vec<(u32, f64)>; 2] = [end(0), end(last)];
        let compared = compare(metric, &ends);
        let [good, bad] =
            ends.map(|end| end.into_iter().map(|(_, value)| value).collect::<Vec<_>>());
        if let (Some(of_good), Some(of_bad)) = (median(&good), median(&bad)) {
            let from = |values: &[f64], level: f64| {
                values.iter().map(|v| (v - level).abs()).collect::<Vec<_>>()
            };
            let distances = [from(&good, of_good), from(&bad, of_bad)].concat();
            let room = FARTHEST * NORMAL * median(&distances).unwrap_or(0.0);
            let (low, high) = (of_good.min(of_bad) - room, of_good.max(of_bad) + room);
            let is_known = room > 0.0;
            for value in values.iter_mut().flatten() {
                let kept = if is_known { value.clamp(low, high) } else { *value };
                *value = kept - of_good;
            }
        }
        Self { values, ends: compared }
    }
}

/// The bad end by the good one, each as numbers and values. Later pairs do not take back what an earlier look has told.
fn compare(metric: &Metric, [good, bad]: &[Vec<(u32, f64)>; 2]) -> Option<(u32, Assessment)> {
    let mut pairs: Vec<(u32, f64)> = Vec::new();
    for (number, value) in bad {
        let partner = good.iter().find(|(other, _)| other == number);
        pairs.extend(partner.map(|(_, of_good)| (*number, value - of_good)));
    }
    pairs.sort_by_key(|(number, _)| *number);
    let at = |pairs: &[(u32, f64)]| {
        let differences = pairs.iter().map(|(_, difference)| *difference).collect();
        let tested = Tested { differences, better: metric.better };
        let assessment = assess(&[tested], Looks::Sequential, DEFAULT_MARGIN).into_iter().next();
        assessment.map(|assessment| (pairs.len() as u32, assessment))
    };
    let looks = LOOKS.iter().filter_map(|look| at(pairs.get(..look.pairs)?));
    let mut told = looks.filter(|(_, a)| !matches!(a.verdict, Verdict::TooFew { .. }));
    told.next().or_else(|| at(&pairs)).filter(|(pairs, _)| *pairs > 0)
}
