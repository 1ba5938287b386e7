// SPDX-License-Identifier: MIT OR Apache-2.0
//! Before a run: in which order its cells are begun, and what it will take, as far as earlier runs tell.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use engine::job::{CellJob, Ground};
use engine::timings::{Timings, build_name};
use host::store::Store;
use reports::escape::printable;

/// A guest that was never run takes its storm and so much for its start.
const USUAL_START: Duration = Duration::from_secs(20);
/// A kernel that was never built, where no other of its architecture was, either.
const USUAL_BUILD: Duration = Duration::from_secs(600);
/// What a kernel and its work tree take in the store, and a cell's folder in the run's, in KiB, where none was measured yet.
const USUAL_BUILD_KIB: u64 = 700 << 10;
const USUAL_CELL_KIB: u64 = 1 << 10;

/// Gives cells their ranks: those that were not seen for longest first, of these the expensive ones first, and
/// architectures in turns.
pub fn rank(jobs: &mut [CellJob], timings: &Timings) {
    let mut order: Vec<usize> = (0..jobs.len()).collect();
    let day = |job: &CellJob| timings.last_seen(&job.cell).map_or(i64::MIN, |at| at / 86_400);
    order.sort_by_cached_key(|at| {
        let job = &jobs[*at];
        (day(job), Reverse(expected(job, timings)), *at)
    });
    // The n-th of each architecture stand together.
    let mut turns: HashMap<&'static str, u32> = HashMap::new();
    let turn = |turns: &mut HashMap<&'static str, u32>, job: &CellJob| {
        let turn = turns.entry(job.group.ground.arch().name).or_default();
        *turn += 1;
        *turn
    };
    let mut order: Vec<(u32, usize)> =
        order.into_iter().map(|at| (turn(&mut turns, &jobs[at]), at)).collect();
    order.sort_by_key(|(turn, _)| *turn);
    for (rank, (_, at)) in order.into_iter().enumerate() {
        jobs[at].rank = u32::try_from(rank).unwrap_or(u32::MAX);
    }
}

/// What each cell will take, by its id.
pub fn expected_cells(jobs: &[CellJob], timings: &Timings) -> HashMap<String, Duration> {
    jobs.iter().map(|job| (job.cell.id.clone(), expected(job, timings))).collect()
}

/// What a cell will take.
fn expected(job: &CellJob, timings: &Timings) -> Duration {
    let usual = || job.budget.saturating_add(USUAL_START);
    let took = timings.cell(&job.cell).unwrap_or_else(usual);
    job.time.map_or(took, |most| took.min(most))
}

/// One kernel of a run.
struct Kernel<'a> {
    cells: Vec<&'a CellJob>,
    /// What its build will take; `None` if it lies in the store.
    build: Option<Duration>,
}

/// What a run will take, for a person: a line for each kernel, and the sums.
pub fn outlook(jobs: &[CellJob], timings: &Timings, store: &Store, side_by_side: u32) -> String {
    let mut kernels: BTreeMap<String, Kernel<'_>> = BTreeMap::new();
    for job in jobs {
        let build = || missing_build(job, timings, store);
        let kernel = kernels.entry(build_name(&job.cell));
        kernel.or_insert_with(|| Kernel { cells: Vec::new(), build: build() }).cells.push(job);
    }
    let mut lines = vec![format!("{:>6}  {:>9}  {:>9}  kernel", "cells", "storm", "build")];
    for (name, kernel) in &kernels {
        let storm: Duration = kernel.cells.iter().map(|job| job.budget).sum();
        let build = kernel.build.map_or_else(|| "in store".to_owned(), words);
        let name = name.trim_end_matches('/');
        lines.push(format!(
            "{:>6}  {:>9}  {build:>9}  {}",
            kernel.cells.len(),
            words(storm),
            printable(name)
        ));
    }
    let builds: Vec<Duration> = kernels.values().filter_map(|kernel| kernel.build).collect();
    let building: Duration = builds.iter().sum();
    let guests: Duration = jobs.iter().map(|job| expected(job, timings)).sum();
    let guests = guests / side_by_side.max(1);
    let known = jobs.iter().filter(|job| timings.cell(&job.cell).is_some()).count();
    lines.push(String::new());
    lines.push(format!("{} cells, {} kernels to build", jobs.len(), builds.len()));
    lines.push(format!(
        "about {}: guests {} ({side_by_side} side by side), builds {} beside them; {known} cells have been run here before",
        words(guests.max(building)),
        words(guests),
        words(building)
    ));
    lines.push(disk(builds.len(), jobs.len(), timings));
    lines.join("\n") + "\n"
}

/// What a run will take on the disk, and how that is known.
fn disk(builds: usize, cells: usize, timings: &Timings) -> String {
    let mib = |kib: u64| kib.div_ceil(1 << 10);
    let (build, of_builds) = match (timings.usual_kernel_disk(), timings.usual_work_disk()) {
        (Some(kernel), Some(work)) => (
            kernel.kib + work.kib,
            format!("the medians of {} kernels and {} work trees here", kernel.of, work.of),
        ),
        _ => (USUAL_BUILD_KIB, "as usual: none was built here yet".to_owned()),
    };
    let (cell, of_cells) = match timings.usual_cell_disk() {
        Some(cell) => (cell.kib, format!("the median of {} that were run here", cell.of)),
        None => (USUAL_CELL_KIB, "as usual: none was run here yet".to_owned()),
    };
    format!(
        "about {} MiB more in the store for kernels that are to be built, {} MiB each ({of_builds})\n\
         about {} MiB in the run's folder, {cell} KiB a cell ({of_cells})",
        mib(build * builds as u64),
        mib(build),
        mib(cell * cells as u64),
    )
}

/// What the build of a cell's kernel will take; `None` if the last one is in the store.
fn missing_build(job: &CellJob, timings: &Timings, store: &Store) -> Option<Duration> {
    let Ground::Qemu(choice) = &job.group.ground else { return None };
    let usual = || timings.usual_build(choice.arch.name).unwrap_or(USUAL_BUILD);
    match timings.build(&job.cell) {
        // Keys are names of folders of ours.
        Some((key, _)) if store.path("kernels").join(key).is_dir() => None,
        Some((_, took)) => Some(took.unwrap_or_else(usual)),
        None => Some(usual()),
    }
}

/// A time in hours, minutes and seconds, of which it shows two.
fn words(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} m {s:02} s"),
        (h, m, _) => format!("{h} h {m:02} m"),
    }
}

/// The cells themselves, a line each.
pub fn listing(jobs: &[CellJob]) -> String {
    let mut sorted: Vec<&CellJob> = jobs.iter().collect();
    sorted.sort_by_key(|job| job.rank);
    let line = |job: &&CellJob| format!("{}  {}\n", words(job.budget), printable(&job.cell.id));
    sorted.iter().map(line).collect()
}
