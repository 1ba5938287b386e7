// SPDX-License-Identifier: MIT OR Apache-2.0
//! A metric in the storms of any number of kernels.

use super::metric::Metric;
use super::storm::counting;
use crate::run::{Boot, CellReport, Measured};

/// Natural logarithm of the metric in each cell's storm; `None` of one that cannot be compared: it crashed, or did not come to
/// its end, or its kernel does not have the counters.
pub(crate) fn logarithms(metric: &Metric, cells: &[&CellReport]) -> Vec<Option<f64>> {
    let storms: Vec<Option<&Boot>> = cells.iter().map(|cell| storm(cell)).collect();
    let measured: Vec<&Measured> = storms.iter().flatten().map(|boot| &boot.measured).collect();
    let values = metric.measure(&measured, &[]).ok().filter(|values| values.happened);
    let mut values = values.map_or_else(Vec::new, |values| values.a).into_iter();
    storms.iter().map(|storm| storm.and_then(|_| values.next()).map(f64::ln)).collect()
}

fn storm(cell: &CellReport) -> Option<&Boot> {
    counting(cell).ok().filter(|_| cell.finished)
}
