// SPDX-License-Identifier: MIT OR Apache-2.0
//! What lies in a run's folder for its cluster, below `slurm/`:
//!
//! | name | |
//! |---|---|
//! | `swapstorm` | the program that submitted it, which is what nodes run |
//! | `rounds/N.json` | a [`Round`]: what was to be submitted, written before it is |
//! | `jobs/NAME` | the number that Slurm gave to the array of that name |
//! | `attempts/CELL/attempt-R-J/` | a run's folder: restart R of job J |
//! | `winners/CELL` | an [`Outcome`]: the attempt that counts |
//! | `built/CELL`, `building/CELL/` | the same for the kernel that this cell is the first to need |
//! | `log/` | what tasks print |
//! | `store/` | kernels on their way from the node that has built them to the others, where nodes share no store |
//!
//! Files are written under another name and then given theirs, so nobody ever reads a part of one.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err as fs;
use kernels::SourceIdentity;
use serde::{Deserialize, Serialize};

use crate::executor::Failed;
use crate::job::{CellJob, Group, Room};
use crate::run_folder;
use reports::event::{Cell, Fault};

/// Longest file of these that is read, in bytes.
const MOST_BYTES: u64 = 64 << 20;

/// What a plan says of the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terms {
    /// Slurm's partition; empty: the cluster's default one. So are the following two.
    pub partition: String,
    /// Who is charged.
    pub account: String,
    /// Quality of service.
    pub qos: String,
    /// The nodes that can run guests of an architecture, as `sbatch --constraint` takes it; any, where none is named.
    pub features: BTreeMap<String, String>,
    /// What each guest's task asks for, as `sbatch --gres` takes it: `kvm:1`.
    pub gres: String,
    /// Tasks of an array that run at the same time; `None`: as many as there is room for.
    pub most: Option<u32>,
    /// Longest time of a task; `None`: the partition's.
    pub time: Option<Duration>,
    /// What the build of a kernel takes.
    pub build: BuildTerms,
    /// Nodes share no cache: each has its own, and kernels are handed on through the run's folder.
    pub hands_on: bool,
}

/// What the build of a kernel takes of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildTerms {
    /// CPUs.
    pub cpus: u64,
    /// MiB of memory.
    pub memory_mib: u64,
    /// Longest time; `None`: the partition's.
    pub time: Option<Duration>,
}

impl Default for BuildTerms {
    fn default() -> Self {
        Self { cpus: 2, memory_mib: 3072, time: None }
    }
}

/// Tasks that ask for the same of the cluster go into one array.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Class {
    /// Architecture of the guests, or of the kernels.
    pub arch: String,
    /// CPUs of a task.
    pub cpus: u64,
    /// MiB of memory of a task.
    pub memory_mib: u64,
    /// Longest time of a task, in minutes.
    pub minutes: Option<u64>,
    /// `--constraint`, if any.
    pub constraint: String,
    /// `--gres`, if any.
    pub gres: String,
}

impl Class {
    /// The class of a storm.
    pub fn of_storm(job: &CellJob, terms: &Terms) -> Self {
        let arch = job.group.ground.arch();
        let Room { cpus, memory_mib, .. } = Room::of_guest(&job.group.profile, arch);
        Self {
            cpus,
            memory_mib: memory_mib + OWN_MIB,
            minutes: terms.time.map(minutes),
            gres: terms.gres.clone(),
            ..Self::of_arch(arch.name, terms)
        }
    }

    /// The class of the builds of an architecture's kernels.
    pub fn of_build(group: &Group, terms: &Terms) -> Self {
        let BuildTerms { cpus, memory_mib, time } = terms.build;
        let arch = group.ground.arch().name;
        Self { cpus, memory_mib, minutes: time.map(minutes), ..Self::of_arch(arch, terms) }
    }

    fn of_arch(arch: &str, terms: &Terms) -> Self {
        let constraint = terms.features.get(arch).cloned().unwrap_or_default();
        let (arch, gres) = (arch.to_owned(), String::new());
        Self { arch, cpus: 1, memory_mib: 0, minutes: None, constraint, gres }
    }
}

/// What swapstorm itself takes beside a guest, in MiB, the agent's compiler included.
const OWN_MIB: u64 = 300;

/// Whole minutes, as Slurm counts; at least one.
fn minutes(time: Duration) -> u64 {
    time.as_secs().div_ceil(60).max(1)
}

/// What a task of an array does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// Builds the kernel of a cell.
    Build {
        /// The cell, the first one that needs this kernel.
        cell: String,
    },
    /// Runs a cell.
    Storm {
        /// The cell's id.
        cell: String,
        /// [`Cell::key`]: a node that finds another cell under that id must not run it.
        key: String,
        /// The cell for which its kernel is built.
        kernel: Option<String>,
    },
}

impl Task {
    /// The cell that it runs.
    pub fn storm(&self) -> Option<&str> {
        match self {
            Self::Storm { cell, .. } => Some(cell),
            Self::Build { .. } => None,
        }
    }
}

/// A job array.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Array {
    /// The job's name: no other job of the cluster has it, so that it is found again if its number was lost.
    pub name: String,
    /// What its tasks ask for.
    pub class: Class,
    /// The names of arrays that have to end before, however they end.
    pub after: Vec<String>,
    /// What each task does, by its index.
    pub tasks: Vec<Task>,
}

/// What is submitted at once. It never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Round {
    /// The arrays, in the order in which they are submitted.
    pub arrays: Vec<Array>,
}

impl Round {
    /// Arrays for these cells, each class in one as far as `most_tasks` allow, in the cells' order. Kernels are built before,
    /// each once, but for those that an earlier round has built: `built`, from [`Layout::with_kernel`]. `name` begins the names
    /// of all arrays.
    pub fn new<'j>(
        jobs: impl IntoIterator<Item = &'j CellJob>,
        terms: &Terms,
        name: &str,
        most_tasks: usize,
        built: &BTreeMap<String, String>,
    ) -> Self {
        let mut storms: BTreeMap<Class, Vec<Task>> = BTreeMap::new();
        let mut kernels: BTreeMap<Class, Vec<Task>> = BTreeMap::new();
        let mut first: BTreeMap<String, String> = BTreeMap::new();
        for job in jobs {
            let Cell { id, key, .. } = &job.cell;
            let kernel = built.get(id).cloned().unwrap_or_else(|| {
                let first = first.entry(kernel(&job.cell)).or_insert_with(|| {
                    let tasks = kernels.entry(Class::of_build(&job.group, terms)).or_default();
                    tasks.push(Task::Build { cell: id.clone() });
                    id.clone()
                });
                first.clone()
            });
            let tasks = storms.entry(Class::of_storm(job, terms)).or_default();
            tasks.push(Task::Storm { cell: id.clone(), key: key.clone(), kernel: Some(kernel) });
        }
        let mut arrays: Vec<Array> = Vec::new();
        let mut add = |kind: &str, class: Class, tasks: &[Task], after: &[String]| {
            for tasks in tasks.chunks(most_tasks.max(1)) {
                let name = format!("{name}-{kind}{}", arrays.len() + 1);
                let (class, after, tasks) = (class.clone(), after.to_owned(), tasks.to_owned());
                arrays.push(Array { name, class, after, tasks });
            }
            arrays.iter().filter(|array| array.after.is_empty()).map(|a| a.name.clone()).collect()
        };
        let mut built: Vec<String> = Vec::new();
        for (class, tasks) in kernels {
            built = add("build", class, &tasks, &[]);
        }
        for (class, tasks) in storms {
            add("storm", class, &tasks, &built);
        }
        Self { arrays }
    }
}

/// What tells kernels apart before they are built.
fn kernel(cell: &Cell) -> String {
    let Cell { kernel, series, arch, toolchain, kasan, .. } = cell;
    format!("{kernel}\n{series:?}\n{arch}\n{toolchain}\n{kasan}")
}

/// What an attempt came to. The first one of a task is its winner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Name of the attempt's folder.
    pub attempt: String,
    /// The node.
    pub host: String,
    /// Slurm's job, with the task's index: `12_3`.
    pub job: String,
    /// Why there is no kernel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<(Fault, String)>,
    /// Of a build: what the kernel's source was found to be. Nobody else asks again, so that all cells of a run are of the same
    /// commit, also when a branch moves on meanwhile, and also when apt knows of a newer package on some nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceIdentity>,
}

impl Outcome {
    /// Why there is no kernel, as the event log has it.
    pub fn failure(self) -> Option<Failed> {
        self.failed.map(|(fault, detail)| Failed { fault, detail })
    }
}

/// The files of a run's cluster.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The run's folder.
    pub run: PathBuf,
}

impl Layout {
    /// Those of the run in `run`.
    pub fn new(run: &Path) -> Self {
        Self { run: run.to_owned() }
    }

    /// Whether the run is on a cluster.
    pub fn is_there(&self) -> bool {
        self.dir("rounds").is_dir()
    }

    /// Makes the folders.
    ///
    /// # Errors
    /// Those of making them.
    pub fn make(&self) -> io::Result<()> {
        for name in ["jobs", "attempts", "winners", "built", "building", "log", "rounds"] {
            fs::create_dir_all(self.dir(name))?;
        }
        Ok(())
    }

    /// One of the folders.
    pub fn dir(&self, name: &str) -> PathBuf {
        self.run.join("slurm").join(name)
    }

    /// The folder of a task's attempts, and the name that its winner gets.
    pub fn of_task(&self, task: &Task) -> (PathBuf, PathBuf) {
        match task {
            Task::Build { cell } => (self.dir("building").join(cell), self.dir("built").join(cell)),
            Task::Storm { cell, .. } => (self.attempts(cell), self.dir("winners").join(cell)),
        }
    }

    /// The folder of a cell's attempts.
    pub fn attempts(&self, cell: &str) -> PathBuf {
        self.dir("attempts").join(cell)
    }

    /// The rounds that were submitted, or were about to be, with their numbers.
    ///
    /// # Errors
    /// Those of reading; a file that is no round.
    pub fn rounds(&self) -> io::Result<Vec<(u32, Round)>> {
        let mut rounds = Vec::new();
        for number in 1.. {
            let file = self.dir("rounds").join(format!("{number}.json"));
            if !file.exists() {
                break;
            }
            rounds.push((number, read(&file)?));
        }
        Ok(rounds)
    }

    /// One of them.
    ///
    /// # Errors
    /// Those of reading; a file that is no round.
    pub fn round(&self, number: u32) -> io::Result<Round> {
        read(&self.dir("rounds").join(format!("{number}.json")))
    }

    /// Keeps a round.
    ///
    /// # Errors
    /// Those of writing.
    pub fn write_round(&self, number: u32, round: &Round) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(round)?;
        run_folder::replace(&self.dir("rounds"), format!("{number}.json"), &text)
    }

    /// Slurm's number of an array, if it was kept.
    pub fn job(&self, array: &str) -> Option<u64> {
        fs::read_to_string(self.dir("jobs").join(array)).ok()?.trim().parse().ok()
    }

    /// Keeps it.
    ///
    /// # Errors
    /// Those of writing.
    pub fn write_job(&self, array: &str, job: u64) -> io::Result<()> {
        run_folder::replace(&self.dir("jobs"), array, format!("{job}\n").as_bytes())
    }

    /// Ids of the cells that have a winner.
    ///
    /// # Errors
    /// Those of reading the folder.
    pub fn winners(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.dir("winners"))? {
            names.extend(entry?.file_name().into_string().ok());
        }
        Ok(names)
    }

    /// The winner of a cell.
    ///
    /// # Errors
    /// Those of reading; a file that is none.
    pub fn winner(&self, cell: &str) -> io::Result<Outcome> {
        read(&self.dir("winners").join(cell))
    }

    /// What the build of the kernel for `cell` came to, if it ended.
    pub fn built(&self, cell: &str) -> Option<Outcome> {
        read(&self.dir("built").join(cell)).ok()
    }

    /// Cells whose kernel an earlier round has built, or found that nobody can, each with the cell for which it did.
    ///
    /// # Errors
    /// Those of [`Layout::rounds`].
    pub fn with_kernel(&self) -> io::Result<BTreeMap<String, String>> {
        let mut cells = BTreeMap::new();
        let arrays = self.rounds()?.into_iter().flat_map(|(_, round)| round.arrays);
        for task in arrays.flat_map(|array| array.tasks) {
            if let Task::Storm { cell, kernel: Some(kernel), .. } = task {
                cells.insert(cell, kernel);
            }
        }
        let kernels: BTreeSet<String> = cells.values().cloned().collect();
        let built: BTreeSet<String> =
            kernels.into_iter().filter(|kernel| self.built(kernel).is_some()).collect();
        cells.retain(|_, kernel| built.contains(kernel));
        Ok(cells)
    }

    /// The folder of the attempt that won. It lies below the run's folder, whatever the file says.
    ///
    /// # Errors
    /// A file that names no attempt.
    pub fn won(&self, cell: &str, outcome: &Outcome) -> io::Result<PathBuf> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if outcome.attempt.is_empty() || !outcome.attempt.chars().all(is_plain) {
            let words = format!("slurm/winners/{cell} does not name an attempt");
            return Err(io::Error::new(io::ErrorKind::InvalidData, words));
        }
        Ok(self.attempts(cell).join(&outcome.attempt))
    }

    /// The newest attempt at a cell that left an event log.
    pub fn last_attempt(&self, cell: &str) -> Option<PathBuf> {
        let attempts = fs::read_dir(self.attempts(cell)).ok()?.flatten();
        let logs = attempts.map(|entry| entry.path().join(crate::event_log::FILE_NAME));
        let newest =
            logs.filter_map(|log| Some((log.metadata().ok()?.modified().ok()?, log))).max();
        Some(newest?.1.parent()?.to_owned())
    }
}

/// Makes `outcome` the winner under the name `winner`, unless there is one. `attempt` is its folder.
///
/// # Errors
/// Those of writing.
pub fn commit(attempt: &Path, winner: &Path, outcome: &Outcome) -> io::Result<bool> {
    let own = attempt.join("outcome.json");
    fs::write(&own, serde_json::to_vec(outcome)?)?;
    // The name must not be there before the words are on the disk.
    fs::File::open(&own)?.sync_all()?;
    match fs::hard_link(&own, winner) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

fn read<T: for<'de> Deserialize<'de>>(file: &Path) -> io::Result<T> {
    use io::Read as _;
    let mut text = Vec::new();
    fs::File::open(file)?.take(MOST_BYTES).read_to_end(&mut text)?;
    serde_json::from_slice(&text).map_err(|error| {
        io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", file.display()))
    })
}

#[cfg(test)]
mod tests;
