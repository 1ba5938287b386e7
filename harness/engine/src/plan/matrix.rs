// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a plan's lists to its cells: the matrix, what is included, excluded and different.

use std::collections::HashMap;
use std::time::Duration;

use host::arch::Arch;
use reports::event::Cell;
use reports::known::Selection;
use serde::Deserialize;
use workloads::profile::Technique;

use super::{ArchName, MOST_CELLS, NONE, Plan, some_time};
use crate::error::Error;

/// More cells: what is left out is the plan's.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Include {
    kernels: Option<Vec<String>>,
    series: Option<Vec<String>>,
    arch: Option<Vec<ArchName>>,
    toolchains: Option<Vec<String>>,
    kasan: Option<Vec<String>>,
    profiles: Option<Vec<String>>,
    techniques: Option<Vec<Technique>>,
    runs: Option<u32>,
    #[serde(default, deserialize_with = "some_time")]
    storm: Option<Duration>,
}

/// Some cells: those of all these. A list that is left out means any.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Which {
    kernels: Vec<String>,
    series: Vec<String>,
    arch: Vec<ArchName>,
    toolchains: Vec<String>,
    kasan: Vec<String>,
    profiles: Vec<String>,
    techniques: Vec<Technique>,
}

impl From<Which> for Selection {
    fn from(which: Which) -> Self {
        let Which { kernels, series, arch, toolchains, kasan, profiles, techniques } = which;
        let arch = arch.into_iter().map(|arch| arch.0.name.to_owned()).collect();
        let techniques = techniques.iter().map(Technique::to_string).collect();
        Self { kernels, series, arch, toolchains, kasan, profiles, techniques }
    }
}

/// What is different for some cells.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Override {
    cells: Which,
    runs: Option<u32>,
    #[serde(default, deserialize_with = "some_time")]
    storm: Option<Duration>,
    #[serde(default, deserialize_with = "some_time")]
    budget: Option<Duration>,
    retries: Option<u32>,
    cpus: Option<u64>,
    memory: Option<u64>,
}

/// Cells of a plan that differ in number and seed only.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Name of a manifest, or a tree; of a target its address.
    pub kernel: String,
    /// A series as a command line would name it; `None`: the kernel as it is.
    pub series: Option<String>,
    /// Architecture.
    pub arch: &'static Arch,
    /// Compiler; `None`: the manifest's.
    pub toolchain: Option<String>,
    /// Mode of KASAN; `None`: the manifest's.
    pub kasan: Option<String>,
    /// Name of a profile.
    pub profile: String,
    /// Technique.
    pub technique: Technique,
    /// How many cells these are.
    pub runs: u32,
    /// How long each guest storms, in its own time.
    pub storm: Duration,
    /// How long each cell may take, in the host's time.
    pub time: Option<Duration>,
    /// Machines that are started at most.
    pub tries: u32,
    /// CPUs of its guests; `None`: the profile's.
    pub cpus: Option<u64>,
    /// Memory of its guests in MiB; `None`: the profile's.
    pub memory_mib: Option<u64>,
}

impl Point {
    /// A cell that has what lists of a plan can name.
    fn cell(&self) -> Cell {
        let named = |name: &Option<String>| name.clone().unwrap_or_default();
        Cell {
            kernel: self.kernel.clone(),
            series: self.series.clone(),
            arch: self.arch.name.to_owned(),
            toolchain: named(&self.toolchain),
            kasan: named(&self.kasan),
            profile: self.profile.clone(),
            technique: self.technique.to_string(),
            ..Cell::default()
        }
    }
}

/// Lists that are multiplied.
struct Lists<'a> {
    kernels: &'a [String],
    series: &'a [String],
    arch: &'a [ArchName],
    toolchains: &'a [String],
    kasan: &'a [String],
    profiles: &'a [String],
    techniques: &'a [Technique],
    runs: u32,
    storm: Duration,
}

/// Each of a list; of an empty one, nothing once.
fn each(list: &[String]) -> Vec<Option<&String>> {
    if list.is_empty() { vec![None] } else { list.iter().map(Some).collect() }
}

impl Lists<'_> {
    /// How many points these are.
    fn count(&self) -> usize {
        let lengths = [
            self.kernels.len(),
            self.series.len(),
            self.arch.len(),
            self.toolchains.len().max(1),
            self.kasan.len().max(1),
            self.profiles.len(),
            self.techniques.len(),
        ];
        lengths.into_iter().fold(1, usize::saturating_mul)
    }

    /// Every combination.
    fn multiply(&self, plan: &Plan, points: &mut Vec<Point>) {
        for profile in self.profiles {
            for kernel in self.kernels {
                for series in self.series {
                    for arch in self.arch {
                        for toolchain in each(self.toolchains) {
                            for kasan in each(self.kasan) {
                                for technique in self.techniques {
                                    points.push(Point {
                                        kernel: kernel.clone(),
                                        series: Some(series.clone()).filter(|name| name != NONE),
                                        arch: arch.0,
                                        toolchain: toolchain.cloned(),
                                        kasan: kasan.cloned(),
                                        profile: profile.clone(),
                                        technique: *technique,
                                        runs: self.runs,
                                        storm: self.storm,
                                        time: plan.budget.cell,
                                        tries: plan.retries.saturating_add(1),
                                        cpus: None,
                                        memory_mib: None,
                                    });
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

impl Plan {
    /// The cells of this plan, those that differ in number and seed only as one.
    ///
    /// # Errors
    /// No cells or too many; an entry of `exclude` or `overrides` that is about none of them.
    pub fn points(&self) -> Result<Vec<Point>, Error> {
        let kernels = match &self.target {
            Some(target) => vec![target.to_string()],
            None => self.kernels.clone(),
        };
        let own = Lists {
            kernels: &kernels,
            series: &self.series,
            arch: &self.arch,
            toolchains: &self.toolchains,
            kasan: &self.kasan,
            profiles: &self.profiles,
            techniques: &self.techniques,
            runs: self.runs,
            storm: self.storm,
        };
        let mut all = vec![own];
        for more in &self.include {
            all.push(Lists {
                kernels: more.kernels.as_ref().unwrap_or(&kernels),
                series: more.series.as_ref().unwrap_or(&self.series),
                arch: more.arch.as_ref().unwrap_or(&self.arch),
                toolchains: more.toolchains.as_ref().unwrap_or(&self.toolchains),
                kasan: more.kasan.as_ref().unwrap_or(&self.kasan),
                profiles: more.profiles.as_ref().unwrap_or(&self.profiles),
                techniques: more.techniques.as_ref().unwrap_or(&self.techniques),
                runs: more.runs.unwrap_or(self.runs),
                storm: more.storm.unwrap_or(self.storm),
            });
        }
        let mut points: Vec<Point> = Vec::new();
        for lists in &all {
            self.check_number(lists.count())?;
            lists.multiply(self, &mut points);
            self.check_number(points.len())?;
        }
        let mut points = without_doubles(points);
        for which in &self.exclude {
            let selection = Selection::from(which.clone());
            let before = points.len();
            points.retain(|point| !selection.has(&point.cell()));
            if points.len() == before {
                return Err(self.wrong("exclude", "an entry of `exclude` is about no cell"));
            }
        }
        for change in &self.overrides {
            self.change(change, &mut points)?;
        }
        let cells = points.iter().map(|point| point.runs as usize);
        let cells = cells.fold(0, usize::saturating_add);
        if cells == 0 {
            return Err(
                self.wrong("runs", format!("these are 0 cells, expected 1 to {MOST_CELLS}"))
            );
        }
        self.check_number(cells)?;
        Ok(points)
    }

    fn check_number(&self, cells: usize) -> Result<(), Error> {
        if cells <= MOST_CELLS {
            return Ok(());
        }
        Err(self.wrong("runs", format!("these are {cells} cells, expected 1 to {MOST_CELLS}")))
    }

    fn change(&self, change: &Override, points: &mut [Point]) -> Result<(), Error> {
        let wrong = |words: &str| Err(self.wrong("overrides", words));
        if change.cpus.is_some_and(|cpus| !(1..=8).contains(&cpus)) {
            return wrong("`cpus` of `overrides` is not from 1 to 8");
        }
        if change.memory.is_some_and(|memory| !(32..=1_048_576).contains(&memory)) {
            return wrong("`memory` of `overrides` is not from 32 to 1048576 (MiB)");
        }
        let selection = Selection::from(change.cells.clone());
        let mut any = false;
        for point in points.iter_mut().filter(|point| selection.has(&point.cell())) {
            any = true;
            point.runs = change.runs.unwrap_or(point.runs);
            point.storm = change.storm.unwrap_or(point.storm);
            point.time = change.budget.or(point.time);
            point.tries = change.retries.map_or(point.tries, |retries| retries.saturating_add(1));
            point.cpus = change.cpus.or(point.cpus);
            point.memory_mib = change.memory.or(point.memory_mib);
        }
        if any { Ok(()) } else { wrong("an entry of `overrides` is about no cell") }
    }
}

/// The points without those that a later one replaces; it takes the earlier one's place.
fn without_doubles(points: Vec<Point>) -> Vec<Point> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut kept: Vec<Point> = Vec::new();
    for point in points {
        match places.get(&point.cell().population()) {
            Some(at) => kept[*at] = point,
            None => {
                places.insert(point.cell().population(), kept.len());
                kept.push(point);
            }
        }
    }
    kept
}
