// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a plan's lists to its cells: the matrix, what is included, excluded and different.

use std::collections::HashMap;
use std::time::Duration;

use document::{Path, Problem};
use host::arch::Arch;
use reports::event::{Cell, Fault};
use reports::known::{NO_SERIES, Selection};
use workloads::profile::Technique;

use super::file::{ArchName, File, Override, Time};
use super::{MOST_CELLS, Plan};
use crate::error::Error;

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
    fn multiply(&self, plan: &File, points: &mut Vec<Point>) {
        for profile in self.profiles {
            for kernel in self.kernels {
                for series in self.series {
                    for arch in self.arch {
                        for toolchain in each(self.toolchains) {
                            for kasan in each(self.kasan) {
                                for technique in self.techniques {
                                    points.push(Point {
                                        kernel: kernel.clone(),
                                        series: Some(series.clone())
                                            .filter(|name| name != NO_SERIES),
                                        arch: arch.0,
                                        toolchain: toolchain.cloned(),
                                        kasan: kasan.cloned(),
                                        profile: profile.clone(),
                                        technique: *technique,
                                        runs: self.runs,
                                        storm: self.storm,
                                        time: plan.budget.cell.map(|time| time.0),
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
    /// No cells or too many; entries of `exclude` and `overrides` that are about none of them.
    pub fn points(&self) -> Result<Vec<Point>, Error> {
        let mut problems = Vec::new();
        let points = self.all_points(&mut problems);
        let refused = self.document.refuse(problems);
        refused.map_err(|problems| Error::new(Fault::Configuration, problems))?;
        Ok(points)
    }

    fn all_points(&self, problems: &mut Vec<Problem>) -> Vec<Point> {
        let (file, kernels) = (&self.file, self.places());
        let own = Lists {
            kernels: &kernels,
            series: &file.series,
            arch: &file.arch,
            toolchains: &file.toolchains,
            kasan: &file.kasan,
            profiles: &file.profiles,
            techniques: &file.techniques,
            runs: file.runs,
            storm: file.storm.0,
        };
        let mut all = vec![own];
        for more in &file.include {
            all.push(Lists {
                kernels: more.kernels.as_ref().unwrap_or(&kernels),
                series: more.series.as_ref().unwrap_or(&file.series),
                arch: more.arch.as_ref().unwrap_or(&file.arch),
                toolchains: more.toolchains.as_ref().unwrap_or(&file.toolchains),
                kasan: more.kasan.as_ref().unwrap_or(&file.kasan),
                profiles: more.profiles.as_ref().unwrap_or(&file.profiles),
                techniques: more.techniques.as_ref().unwrap_or(&file.techniques),
                runs: more.runs.unwrap_or(file.runs),
                storm: more.storm.map_or(file.storm.0, |time| time.0),
            });
        }
        let combinations = all.iter().map(Lists::count).fold(0, usize::saturating_add);
        if combinations > MOST_CELLS {
            problems.push(self.number(combinations));
            return Vec::new();
        }
        let mut points: Vec<Point> = Vec::new();
        for lists in &all {
            lists.multiply(file, &mut points);
        }
        let mut points = without_doubles(points);
        for (at, which) in file.exclude.iter().enumerate() {
            let selection = Selection::from(which.clone());
            let before = points.len();
            points.retain(|point| !selection.has(&point.cell()));
            if points.len() == before {
                let place = Path::of("exclude").item(at);
                problems.push(self.document.problem(&place, "this is about no cell"));
            }
        }
        for (at, change) in file.overrides.iter().enumerate() {
            if !change.apply(&mut points) {
                let place = Path::of("overrides").item(at);
                problems.push(self.document.problem(&place, "this is about no cell"));
            }
        }
        let cells = points.iter().map(|point| point.runs as usize);
        let cells = cells.fold(0, usize::saturating_add);
        if !(1..=MOST_CELLS).contains(&cells) {
            problems.push(self.number(cells));
        }
        points
    }

    fn number(&self, cells: usize) -> Problem {
        let words = format!("these are {cells} cells, expected 1 to {MOST_CELLS}");
        self.document.problem_of_key(&Path::of("runs"), words)
    }
}

impl Override {
    /// Changes the points that it is about; false if there are none.
    fn apply(&self, points: &mut [Point]) -> bool {
        let selection = Selection::from(self.cells.clone());
        let mut any = false;
        let time = |time: Option<Time>| time.map(|time| time.0);
        for point in points.iter_mut().filter(|point| selection.has(&point.cell())) {
            any = true;
            point.runs = self.runs.unwrap_or(point.runs);
            point.storm = time(self.storm).unwrap_or(point.storm);
            point.time = time(self.budget).or(point.time);
            point.tries = self.retries.map_or(point.tries, |retries| retries.saturating_add(1));
            point.cpus = self.cpus.or(point.cpus);
            point.memory_mib = self.memory.or(point.memory_mib);
        }
        any
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
