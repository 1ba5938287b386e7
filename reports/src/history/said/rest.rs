// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sums of nights, what went wrong that is no bug, and metrics from night to night.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;
use smol_str::SmolStr;

use crate::comparison::metric::{METRICS, Metric};
use crate::event::Exposure;
use crate::history::{Cells, Night, Run};
use crate::statistics::median;

/// What a night came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NightSum {
    /// The night.
    pub night: Night,
    /// Runs.
    pub runs: u64,
    /// Cells.
    pub cells: u64,
    /// Those that could show a bug.
    pub storms: u64,
    /// How many cells had which verdict.
    pub verdicts: BTreeMap<SmolStr, u64>,
    /// Exposure of all together.
    pub exposure: Exposure,
    /// Bugs, each once.
    pub bugs: usize,
    /// Those that no night before has seen.
    pub new_bugs: usize,
}

/// What went wrong, of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// Its word: why a machine ended (`qemu-died`, `starved`, ...), or what failed before one ran (`build`, `infrastructure`, ...).
    pub kind: SmolStr,
    /// How often.
    pub count: u64,
    /// How often in the newest nights.
    pub newest: u64,
    /// The last night that had it.
    pub last: Night,
    /// Machines that led such runs.
    pub hosts: BTreeSet<String>,
    /// What the last such cells that say so had no answer for; may be empty.
    pub why: String,
}

/// A metric in one setting from night to night.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Course {
    /// The setting, with the profile's digest and the accelerator.
    pub setting: String,
    /// The metric.
    pub metric: &'static Metric,
    /// Its median in each night that has it, the earliest first; at least one.
    pub points: Vec<Point>,
}

/// A metric in a night.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Point {
    /// The night.
    pub night: Night,
    /// The median of its runs' medians.
    pub value: f64,
}

/// Gathers the rest while nights go by.
#[derive(Default)]
pub(super) struct Fold {
    pub(super) nights: Vec<NightSum>,
    bugs: BTreeSet<(bool, SmolStr)>,
    trouble: BTreeMap<SmolStr, (Trouble, Vec<(Night, u64)>)>,
    by_name: HashMap<String, usize>,
    /// A setting, and for each metric of the table its values in the order of the nights.
    courses: Vec<(String, Vec<Vec<Point>>)>,
}

impl Fold {
    /// A run of this night begins; none of an earlier one may follow.
    pub(super) fn begin(&mut self, night: Night) {
        if self.nights.last().is_none_or(|sum| sum.night != night) {
            self.close();
            self.nights.push(NightSum {
                night,
                runs: 0,
                cells: 0,
                storms: 0,
                verdicts: BTreeMap::new(),
                exposure: Exposure::default(),
                bugs: 0,
                new_bugs: 0,
            });
        }
        if let Some(sum) = self.nights.last_mut() {
            sum.runs += 1;
        }
    }

    fn close(&mut self) {
        if let Some(sum) = self.nights.last_mut() {
            sum.bugs = self.bugs.len();
        }
        self.bugs.clear();
    }

    /// Takes in cells of the run that has begun.
    pub(super) fn push(&mut self, run: &Run, cells: &Cells) {
        let Some(sum) = self.nights.last_mut() else { return };
        let night = sum.night;
        sum.cells += u64::from(cells.runs);
        sum.storms += u64::from(cells.storms);
        sum.exposure = sum.exposure + cells.exposure;
        for (word, n) in &cells.verdicts {
            *sum.verdicts.entry(word.clone()).or_default() += u64::from(*n);
        }
        for bug in &cells.bugs {
            let (is_of_rule, word) = bug.key();
            self.bugs.insert((is_of_rule, word.clone()));
        }
        for (kind, n) in &cells.trouble {
            let new = || (Trouble::new(kind, night), Vec::new());
            let (trouble, nights) = self.trouble.entry(kind.clone()).or_insert_with(new);
            trouble.count += u64::from(*n);
            trouble.last = night;
            trouble.hosts.insert(run.host.clone());
            if !cells.why.is_empty() {
                trouble.why.clone_from(&cells.why);
            }
            nights.push((night, u64::from(*n)));
        }
        if !cells.metrics.is_empty() {
            self.measure(night, cells);
        }
    }

    fn measure(&mut self, night: Night, cells: &Cells) {
        let name = cells.course();
        let at = match self.by_name.get(&name) {
            Some(at) => *at,
            None => {
                self.by_name.insert(name.clone(), self.courses.len());
                self.courses.push((name, vec![Vec::new(); METRICS.len()]));
                self.courses.len() - 1
            }
        };
        let Some((_, all)) = self.courses.get_mut(at) else { return };
        for (metric, points) in METRICS.iter().zip(all) {
            if let Some(value) = cells.metrics.get(metric.name) {
                points.push(Point { night, value: *value });
            }
        }
    }

    /// The nights, the troubles and the courses.
    pub(super) fn finish(
        mut self,
        newest_from: Option<Night>,
    ) -> (Vec<NightSum>, Vec<Trouble>, Vec<Course>) {
        self.close();
        let is_newest = |night: Night| newest_from.is_some_and(|from| night >= from);
        let mut troubles: Vec<Trouble> = Vec::new();
        for (mut trouble, nights) in self.trouble.into_values() {
            trouble.newest =
                nights.iter().filter(|(night, _)| is_newest(*night)).map(|(_, n)| n).sum();
            trouble.hosts.remove("");
            troubles.push(trouble);
        }
        troubles.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.kind.cmp(&b.kind)));
        let mut courses = Vec::new();
        self.courses.sort_by(|(a, _), (b, _)| a.cmp(b));
        for (setting, all) in self.courses {
            for (metric, points) in METRICS.iter().zip(all) {
                if !points.is_empty() {
                    let (setting, points) = (setting.clone(), by_night(&points));
                    courses.push(Course { setting, metric, points });
                }
            }
        }
        (self.nights, troubles, courses)
    }
}

impl Trouble {
    fn new(kind: &SmolStr, night: Night) -> Self {
        Self {
            kind: kind.clone(),
            count: 0,
            newest: 0,
            last: night,
            hosts: BTreeSet::new(),
            why: String::new(),
        }
    }
}

/// One point a night.
fn by_night(points: &[Point]) -> Vec<Point> {
    let night = |points: &[Point]| {
        let values: Vec<f64> = points.iter().map(|point| point.value).collect();
        Some(Point { night: points.first()?.night, value: median(&values)? })
    };
    points.chunk_by(|a, b| a.night == b.night).filter_map(night).collect()
}

impl Course {
    /// The newest value.
    pub fn newest(&self) -> f64 {
        self.points.last().map_or(f64::NAN, |point| point.value)
    }

    /// The median over all nights.
    pub fn median(&self) -> f64 {
        let values: Vec<f64> = self.points.iter().map(|point| point.value).collect();
        median(&values).unwrap_or(f64::NAN)
    }
}
