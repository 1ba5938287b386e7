// SPDX-License-Identifier: MIT OR Apache-2.0
//! A metric over guest time: how it came to what it is in each storm, and what happened meanwhile.
//!
//! A report keeps of samples only what all of them came to, so this is a second fold over the same logs, in memory that does
//! not grow with them.

#[cfg(test)]
pub(crate) mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use smol_str::SmolStr;

use super::found::{Found, cells, common_conditions};
use super::metric::{self, Chosen, Metric};
use super::storm::{Storm, counting};
use super::{Refusal, Request};
use crate::event::{RunEvent, What};
use crate::run::{CellReport, Measured, RunReport};

/// Most points that are kept of a storm: more than a picture has columns for it.
const MAX_POINTS: usize = 1000;
/// Most marks of a kind that are kept of a storm, the first ones.
const MAX_MARKS: usize = 2000;

/// A storm over its time.
#[derive(Debug, Clone, PartialEq)]
pub struct Course {
    /// Whether it is one of B's storms.
    pub is_b: bool,
    /// Which of several runs of the same, from 1.
    pub number: u32,
    /// Whether it is compared; one that ended otherwise than it should, or has a kernel bug, is not.
    pub is_compared: bool,
    /// Seconds of guest time, and what the metric had come to until then. At most [`MAX_POINTS`].
    pub points: Vec<(f64, f64)>,
    /// When swapoffs were seen to have ended, in seconds of guest time: by the sample that followed.
    pub swapoffs: Vec<f64>,
    /// When windows were seen to have been stretched, in the same way.
    pub windows: Vec<f64>,
    /// Reports: when they were made, and their titles.
    pub findings: Vec<(f64, String)>,
}

/// The storms of a comparison over their time, in the making.
#[derive(Debug)]
pub struct Courses {
    metric: &'static Metric,
    names: Chosen,
    /// By run and cell.
    storms: BTreeMap<(SmolStr, String), Tracked>,
    current: Option<SmolStr>,
    seen: BTreeSet<SmolStr>,
}

/// A storm that is followed.
#[derive(Debug)]
struct Tracked {
    boot: u32,
    course: Course,
    columns: Arc<Vec<String>>,
    measured: Measured,
    /// Seconds at the newest sample.
    now: f64,
    samples: usize,
    /// One of so many samples is kept.
    stride: usize,
    /// The newest point, if it is not kept.
    newest: Option<(f64, f64)>,
    swapoffs: u64,
    windows: u64,
}

impl Courses {
    /// What the logs of `report` have to be asked for to draw a metric in the storms that the request is about.
    ///
    /// # Errors
    /// Those of [`super::compare`], and that there is no such metric or that a side does not have it.
    pub fn new(report: &RunReport, request: &Request, metric: &str) -> Result<Self, Refusal> {
        let metric = metric::choose(&[metric.to_owned()])?[0];
        let (of_a, of_b) = cells(report, request)?;
        let (mut a, mut b) = (Found::new(report, 'A', &of_a)?, Found::new(report, 'B', &of_b)?);
        common_conditions(&mut a, &mut b, request.force)?;
        let measured = |found: &Found| -> Vec<Measured> {
            found.storms.values().flatten().map(|storm| storm.measured.clone()).collect()
        };
        let (in_a, in_b) = (measured(&a), measured(&b));
        let names =
            metric.names(&in_a.iter().collect::<Vec<_>>(), &in_b.iter().collect::<Vec<_>>());
        let names = names.map_err(|lack| {
            let hint =
                "draw another metric: the comparison without a picture has all that there are";
            Refusal::new(format!("{} cannot be drawn: {lack}", metric.name), hint)
        })?;
        let mut storms = BTreeMap::new();
        for (is_b, found, cells) in [(false, &a, of_a), (true, &b, of_b)] {
            for (cell, boot, is_compared) in followed(report, found, &cells) {
                let course = Course {
                    is_b,
                    number: cell.cell.number,
                    is_compared,
                    points: Vec::new(),
                    swapoffs: Vec::new(),
                    windows: Vec::new(),
                    findings: Vec::new(),
                };
                let key = (cell.run.clone(), cell.cell.id.clone());
                storms.insert(key, Tracked::new(boot, course));
            }
        }
        Ok(Self { metric, names, storms, current: None, seen: BTreeSet::new() })
    }

    /// The metric.
    pub fn metric(&self) -> &'static Metric {
        self.metric
    }

    /// Says that the events that follow come from another log, as [`RunReport::begin_log`] was told.
    pub fn begin_log(&mut self, name: &str) {
        self.current = Some(name.into());
    }

    /// Takes in the next event.
    pub fn push(&mut self, event: &RunEvent) {
        if let What::RunStarted { id, .. } = &event.what {
            let id = SmolStr::from(id.as_str());
            // A run that is there twice counts once.
            self.current = self.seen.insert(id.clone()).then_some(id);
            return;
        }
        let run = event.run.as_deref().map(SmolStr::from).or_else(|| self.current.clone());
        let (What::Columns { cell, boot, .. }
        | What::Sample { cell, boot, .. }
        | What::Windows { cell, boot, .. }
        | What::Found { cell, boot, .. }) = &event.what
        else {
            return;
        };
        let Some(run) = run else { return };
        let tracked = self.storms.get_mut(&(run, cell.clone()));
        let Some(tracked) = tracked.filter(|tracked| tracked.boot == *boot) else { return };
        match &event.what {
            What::Columns { columns, .. } => tracked.columns = Arc::new(columns.clone()),
            What::Sample { row, .. } => tracked.sampled(row, self.metric, &self.names),
            What::Windows { points, .. } => {
                let stretched =
                    points.values().fold(0_u64, |sum, p| sum.saturating_add(p.stretched));
                if stretched > tracked.windows && tracked.course.windows.len() < MAX_MARKS {
                    tracked.course.windows.push(tracked.now);
                }
                tracked.windows = stretched;
            }
            What::Found { guest_ms, finding, .. } if tracked.course.findings.len() < MAX_MARKS => {
                let finding = (*guest_ms as f64 / 1000.0, finding.title.to_string());
                tracked.course.findings.push(finding);
            }
            _ => {}
        }
    }

    /// The courses of all storms that have samples: A's, then B's, each by number.
    pub fn finish(self) -> Vec<Course> {
        let all = self.storms.into_values().map(|mut tracked| {
            tracked.course.points.extend(tracked.newest);
            tracked.course
        });
        let mut all: Vec<Course> = all.filter(|course| !course.points.is_empty()).collect();
        all.sort_by_key(|course| (course.is_b, course.number));
        all
    }
}

/// Of the cells of a side those that are compared, and those of the same population that are not, with the machine that is
/// looked at.
fn followed<'a>(
    report: &RunReport,
    found: &Found,
    cells: &[&'a CellReport],
) -> Vec<(&'a CellReport, u32, bool)> {
    let kept = found.storms.values().flatten().next().map(|storm| &storm.conditions);
    let is_kept = |cell: &CellReport| {
        let storm = Storm::of(report, cell);
        storm.is_ok_and(|storm| Some(&storm.conditions) == kept)
    };
    let compared: Vec<&CellReport> = cells.iter().copied().filter(|cell| is_kept(cell)).collect();
    let populations: BTreeSet<String> =
        compared.iter().map(|cell| cell.cell.population()).collect();
    let left_out = cells
        .iter()
        .filter(|cell| counting(cell).is_err() && populations.contains(&cell.cell.population()));
    let left_out = left_out.filter_map(|cell| Some((*cell, cell.boots.last()?.number, false)));
    let compared =
        compared.into_iter().filter_map(|cell| Some((cell, counting(cell).ok()?.number, true)));
    compared.chain(left_out).collect()
}

impl Tracked {
    fn new(boot: u32, course: Course) -> Self {
        Self {
            boot,
            course,
            columns: Arc::default(),
            measured: Measured::default(),
            now: 0.0,
            samples: 0,
            stride: 1,
            newest: None,
            swapoffs: 0,
            windows: 0,
        }
    }

    fn sampled(&mut self, row: &[Option<u64>], metric: &Metric, names: &Chosen) {
        self.measured.add(&self.columns, row);
        let last = |name: &str| self.measured.last(name);
        self.now = last("guest_ms").unwrap_or(0) as f64 / 1000.0;
        let swapoffs = last("swapoff").unwrap_or(0);
        if swapoffs > self.swapoffs && self.course.swapoffs.len() < MAX_MARKS {
            self.course.swapoffs.push(self.now);
        }
        self.swapoffs = swapoffs;
        self.samples += 1;
        // Nothing rises before the second sample.
        if self.samples < 2 {
            return;
        }
        let Some(value) = metric.value(&self.measured, names, self.course.is_b) else { return };
        let point = (self.now, value);
        if !self.samples.is_multiple_of(self.stride) {
            self.newest = Some(point);
            return;
        }
        self.newest = None;
        let points = &mut self.course.points;
        points.push(point);
        // One point is left for the newest.
        if points.len() >= MAX_POINTS {
            let mut at = 0;
            points.retain(|_| {
                at += 1;
                at % 2 == 0
            });
            self.stride *= 2;
        }
    }
}
