// SPDX-License-Identifier: MIT OR Apache-2.0
//! What cells and builds took on this machine, in time and on the disk, and when they were last run: for an estimate, and for
//! their order.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err as fs;
use host::store::Store;
use reports::event::Cell;
use reports::run::RunReport;
use serde::{Deserialize, Serialize};

use crate::run_folder::bundle_dir;

/// Name of the file below the store.
const FILE: &str = "timings.json";
/// Most cells, and most builds, that are remembered; the oldest go.
const MOST: usize = 20_000;
/// A file that is larger is not ours.
const MOST_BYTES: u64 = 64 << 20;

/// A cell's or a build's last time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// What it took, in milliseconds; 0: not known, it was in the store whenever it was wanted.
    pub ms: u64,
    /// When, in seconds since 1970.
    pub at: i64,
    /// Key of the kernel that was built or found; empty for a cell.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// What it took on the disk, in KiB: a cell's folder and bundle, or a kernel; 0: not known.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub kib: u64,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// What things usually took on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsualDisk {
    /// The median, in KiB.
    pub kib: u64,
    /// Of how many.
    pub of: usize,
}

impl UsualDisk {
    /// The median of what is known; `None` if nothing is.
    fn of(kib: impl Iterator<Item = u64>) -> Option<Self> {
        let mut kib: Vec<u64> = kib.filter(|kib| *kib > 0).collect();
        kib.sort_unstable();
        kib.get(kib.len() / 2).map(|median| Self { kib: *median, of: kib.len() })
    }
}

/// All that is remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Timings {
    /// By [`Cell::population`].
    cells: BTreeMap<String, Timing>,
    /// By [`build_name`].
    builds: BTreeMap<String, Timing>,
    /// What work trees take on the disk, in KiB, by their keys.
    work: BTreeMap<String, u64>,
}

/// Names a cell's kernel: `debian-6.1 + SERIES/x86_64/gcc/generic`.
pub fn build_name(cell: &Cell) -> String {
    format!("{}/{}/{}/{}", cell.kernel_name(), cell.arch, cell.toolchain, cell.kasan)
}

impl Timings {
    /// What the store remembers. What cannot be read is nothing: it is an estimate.
    pub fn load(store: &Store) -> Self {
        let file = path(store);
        let is_ours = fs::metadata(&file).is_ok_and(|facts| facts.len() <= MOST_BYTES);
        let text = is_ours.then(|| fs::read(&file).ok()).flatten();
        text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
    }

    /// Learns from a run that ends now, whose folder is `dir`. Where it has built a kernel, work trees are measured, which reads
    /// their folders.
    pub fn learn(&mut self, report: &RunReport, dir: &Path, store: &Store) {
        let now = jiff::Timestamp::now().as_second();
        for cell in &report.cells {
            if let Some(ms) = cell.took_ms() {
                // What is linked is the store's.
                let id = &cell.cell.id;
                let kib = kib(&dir.join(id), false) + kib(&bundle_dir(dir, id), false);
                let timing = Timing { ms, at: now, key: String::new(), kib };
                self.cells.insert(cell.cell.population(), timing);
            }
            if let Some(kernel) = &cell.kernel {
                let known = self.builds.entry(build_name(&cell.cell)).or_insert(Timing {
                    ms: 0,
                    at: now,
                    key: String::new(),
                    kib: 0,
                });
                // What came from the store says nothing of a build's time.
                known.ms = if kernel.cached { known.ms } else { kernel.ms };
                if known.kib == 0 || known.key != kernel.key {
                    // Keys are names of folders of ours.
                    known.kib = self::kib(&store.path("kernels").join(&kernel.key), true);
                }
                (known.at, known.key) = (now, kernel.key.clone());
            }
        }
        if report.cells.iter().any(|cell| cell.kernel.as_ref().is_some_and(|made| !made.cached)) {
            let trees = fs::read_dir(store.path("work")).into_iter().flatten().flatten();
            let tree = |entry: fs::DirEntry| {
                (entry.file_name().to_string_lossy().into_owned(), kib(&entry.path(), true))
            };
            self.work = trees.map(tree).collect();
        }
        forget(&mut self.cells);
        forget(&mut self.builds);
    }

    /// Remembers all for the next run. Of two runs that end at once, one is remembered.
    ///
    /// # Errors
    /// Those of writing.
    pub fn save(&self, store: &Store) -> io::Result<()> {
        let file = path(store);
        let dir = file.parent().unwrap_or(store.root());
        crate::run_folder::replace(dir, FILE, &serde_json::to_vec(self)?)
    }

    /// What a cell takes.
    pub fn cell(&self, cell: &Cell) -> Option<Duration> {
        self.cells.get(&cell.population()).map(|timing| Duration::from_millis(timing.ms))
    }

    /// When a cell was last run, in seconds since 1970; `None`: never.
    pub fn last_seen(&self, cell: &Cell) -> Option<i64> {
        self.cells.get(&cell.population()).map(|timing| timing.at)
    }

    /// The key of a kernel that was built or found, and what it took when it was last built, if that is known.
    pub fn build(&self, cell: &Cell) -> Option<(&str, Option<Duration>)> {
        let timing = self.builds.get(&build_name(cell))?;
        let took = Some(timing.ms).filter(|ms| *ms > 0).map(Duration::from_millis);
        Some((&timing.key, took))
    }

    /// What the folders of cells take on the disk.
    pub fn usual_cell_disk(&self) -> Option<UsualDisk> {
        UsualDisk::of(self.cells.values().map(|cell| cell.kib))
    }

    /// What kernels take on the disk.
    pub fn usual_kernel_disk(&self) -> Option<UsualDisk> {
        UsualDisk::of(self.builds.values().map(|build| build.kib))
    }

    /// What the trees take in which kernels are built.
    pub fn usual_work_disk(&self) -> Option<UsualDisk> {
        UsualDisk::of(self.work.values().copied())
    }

    /// What the builds of an architecture take, on average.
    pub fn usual_build(&self, arch: &str) -> Option<Duration> {
        let of_arch = |name: &str| name.split('/').rev().nth(2) == Some(arch);
        let builds = self.builds.iter().filter(|(name, timing)| of_arch(name) && timing.ms > 0);
        let builds = builds.map(|(_, timing)| timing.ms);
        let (count, sum) = builds.fold((0, 0_u64), |(n, sum), ms| (n + 1, sum.saturating_add(ms)));
        sum.checked_div(count).map(Duration::from_millis)
    }
}

/// What a folder takes on the disk, in KiB, with files that have other names elsewhere or without. What cannot be read takes nothing: it
/// is an estimate.
fn kib(dir: &Path, with_linked: bool) -> u64 {
    let mut sum = 0_u64;
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(facts) = entry.metadata() else { continue };
            if facts.is_dir() {
                folders.push(entry.path());
            } else if with_linked || facts.nlink() == 1 {
                sum = sum.saturating_add(facts.blocks().div_ceil(2));
            }
        }
    }
    sum
}

fn path(store: &Store) -> PathBuf {
    store.path(FILE)
}

fn forget(timings: &mut BTreeMap<String, Timing>) {
    let Some(surplus) = timings.len().checked_sub(MOST).filter(|surplus| *surplus > 0) else {
        return;
    };
    let mut times: Vec<i64> = timings.values().map(|timing| timing.at).collect();
    times.sort_unstable();
    let newest_to_go = times[surplus - 1];
    timings.retain(|_, timing| timing.at > newest_to_go);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timing(ms: u64, at: i64) -> Timing {
        Timing { ms, at, key: String::new(), kib: 0 }
    }

    #[test]
    fn what_is_remembered_is_there_again_and_damage_is_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(Timings::load(&store), Timings::default());
        let mut timings = Timings::default();
        timings.builds.insert("k/arm64/gcc/".to_owned(), timing(60_000, 5));
        timings.builds.insert("l/arm64/gcc/".to_owned(), timing(0, 5));
        timings.save(&store).unwrap();
        assert_eq!(Timings::load(&store), timings);
        // One that was never built here says nothing of builds.
        assert_eq!(timings.usual_build("arm64"), Some(Duration::from_secs(60)));
        assert_eq!(timings.usual_build("riscv64"), None);
        fs::write(path(&store), "{\"cells\":7").unwrap();
        assert_eq!(Timings::load(&store), Timings::default());
    }

    #[test]
    fn what_is_usual_on_the_disk_is_a_median_of_what_was_measured() {
        let of = |kib: &[u64]| UsualDisk::of(kib.iter().copied());
        assert_eq!(of(&[0, 0]), None);
        assert_eq!(of(&[900, 0, 7, 8]), Some(UsualDisk { kib: 8, of: 3 }));
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("boot-1")).unwrap();
        let console = dir.path().join("boot-1/console");
        fs::write(&console, vec![7; 300 << 10]).unwrap();
        let own = kib(dir.path(), false);
        assert!((300..400).contains(&own), "{own}");
        // A link to a kernel of the store takes no room.
        fs::hard_link(&console, dir.path().join("vmlinux")).unwrap();
        assert_eq!(kib(dir.path(), false), 0);
        assert_eq!(kib(&dir.path().join("nothing"), true), 0);
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let time = |n: usize| (n.to_string(), timing(1, n as i64));
        let mut timings: BTreeMap<String, Timing> = (0..MOST + 7).map(time).collect();
        forget(&mut timings);
        assert_eq!(timings.len(), MOST);
        assert!(!timings.contains_key("6") && timings.contains_key("7"));
    }
}
