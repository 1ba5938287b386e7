// SPDX-License-Identifier: MIT OR Apache-2.0
//! A plan as it is written. Its JSON Schema follows from these types.

use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use document::{inline_schema, schema};
use host::arch::{self, Arch};
use machine::target::Target;
use reports::known::{KnownBug, NO_SERIES, Selection};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{Deserializer, Visitor};
use workloads::profile::Technique;

use super::duration;
use crate::job::TRIES;
use crate::slurm::layout::{BuildTerms, Terms};

/// More machines for one cell would not help either.
const MOST_RETRIES: u32 = 10;
/// What a time has to be.
const TIME: &str = "a time from 1s to 24h, such as 90s or 10m";

/// Which cells a run has, and when it ends.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "A plan of swapstorm")]
pub(super) struct File {
    /// One line for people.
    pub about: String,
    /// Names of kernel manifests, or trees: a folder, a tarball, REPO:REF.
    #[serde(default)]
    pub kernels: Vec<String>,
    /// A machine that runs its kernel already, in place of QEMU's: ssh://user@host:port.
    #[serde(default, deserialize_with = "target")]
    #[schemars(with = "Option<String>")]
    pub target: Option<Target>,
    /// The target's serial log on this machine; left out: the kernel's log over SSH.
    #[serde(default)]
    pub console: Option<PathBuf>,
    /// What the storm may use although it is in use on the target.
    #[serde(default)]
    pub allow: Vec<Allowed>,
    /// The target's devices to swap on. They are overwritten! Left out: loop devices on files.
    #[serde(default)]
    pub disks: Vec<Disk>,
    /// Series as a command line would name them; `none` for the kernel as it is.
    #[serde(default = "no_series")]
    pub series: Vec<String>,
    /// Architectures.
    #[serde(default = "x86_64")]
    pub arch: Vec<ArchName>,
    /// Compilers; left out: the manifests'.
    #[serde(default)]
    pub toolchains: Vec<String>,
    /// Modes of KASAN; left out: the manifests'.
    #[serde(default)]
    pub kasan: Vec<String>,
    /// Names of profiles.
    #[serde(default)]
    pub profiles: Vec<String>,
    /// Techniques.
    #[serde(default = "natural")]
    pub techniques: Vec<Technique>,
    /// How often each cell is run, every time with a seed of its own.
    #[serde(default = "once")]
    #[schemars(range(min = 0, max = 10_000))]
    pub runs: u32,
    /// How long each guest storms, in its own time, unless a bug ends it.
    pub storm: Time,
    /// More cells: a matrix each, that takes what it leaves out from the plan. A cell that is there already is replaced.
    #[serde(default)]
    pub include: Vec<Include>,
    /// Cells that are left out.
    #[serde(default)]
    pub exclude: Vec<Which>,
    /// What is different for some cells; the later entry counts.
    #[serde(default)]
    pub overrides: Vec<Override>,
    /// How much of this machine's time it may take.
    #[serde(default)]
    pub budget: Budget,
    /// Machines that are started after a cell's first one, where this machine was at fault.
    #[serde(default = "retries")]
    #[schemars(range(max = MOST_RETRIES))]
    pub retries: u32,
    /// When enough was seen.
    #[serde(default)]
    pub stop: Stop,
    /// Bugs that raise no alarm.
    #[serde(default)]
    pub known: Vec<Known>,
    /// What a cluster has to know: `run --engine slurm`.
    #[serde(default)]
    pub slurm: Slurm,
}

/// What tasks ask of a cluster that Slurm manages. What is left out is the cluster's default.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Slurm {
    /// Partition.
    pub partition: Word,
    /// Who is charged.
    pub account: Word,
    /// Quality of service.
    pub qos: Word,
    /// Nodes that can run guests of an architecture, by their features.
    pub features: Features,
    /// What each guest's task asks for beside CPUs and memory: `kvm:1`.
    pub gres: Word,
    /// Tasks of an array that run at the same time.
    pub most: Option<NonZeroU32>,
    /// Longest time of a task.
    pub time: Option<Time>,
    /// What the build of a kernel takes.
    pub build: SlurmBuild,
    /// Whether all nodes share the cache, or each has its own and kernels are handed on through the run's folder.
    pub store: SlurmStore,
}

/// Features of nodes, as `sbatch --constraint` takes them.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Features {
    /// Of nodes for x86_64 guests.
    pub x86_64: Word,
    /// Of nodes for arm64 guests.
    pub arm64: Word,
    /// Of nodes for riscv64 guests.
    pub riscv64: Word,
}

/// What the build of a kernel takes of a node.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct SlurmBuild {
    /// CPUs.
    #[schemars(range(min = 1, max = 1024))]
    pub cpus: Option<u64>,
    /// Memory in MiB.
    #[schemars(range(min = 1024, max = 1_048_576))]
    pub memory: Option<u64>,
    /// Longest time.
    pub time: Option<Time>,
}

/// How a kernel comes from the node that has built it to the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum SlurmStore {
    /// In the cache, a folder that all nodes share.
    #[default]
    Cache,
    /// Through the run's folder.
    Run,
}

impl From<Slurm> for Terms {
    fn from(slurm: Slurm) -> Self {
        let Slurm { partition, account, qos, features, gres, most, time, build, store } = slurm;
        let Features { x86_64, arm64, riscv64 } = features;
        let features = [("x86_64", x86_64), ("arm64", arm64), ("riscv64", riscv64)];
        let usual = BuildTerms::default();
        Self {
            partition: partition.0,
            account: account.0,
            qos: qos.0,
            features: features.map(|(arch, word)| (arch.to_owned(), word.0)).into(),
            gres: gres.0,
            most: most.map(NonZeroU32::get),
            time: time.map(|time| time.0),
            build: BuildTerms {
                cpus: build.cpus.unwrap_or(usual.cpus),
                memory_mib: build.memory.unwrap_or(usual.memory_mib),
                time: build.time.map(|time| time.0),
            },
            hands_on: store == SlurmStore::Run,
        }
    }
}

/// A word of Slurm's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Word(pub String);

inline_schema!(
    Word,
    schema::string(
        "^[A-Za-z0-9_][A-Za-z0-9_.,:&|*()\\[\\]-]*$",
        "a word as Slurm's options take it"
    )
);

/// How much of this machine's time a run may take.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Budget {
    /// The run, from its start.
    pub run: Option<Time>,
    /// A cell, from the start of its first machine.
    pub cell: Option<Time>,
    /// The time of day at which it is over, by this machine's clock: "06:00".
    pub until: Option<TimeOfDay>,
}

/// When a run has seen enough.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Stop {
    /// Cells with bugs that are not known, before nothing more is begun.
    pub bugs: Option<NonZeroU32>,
    /// Runs of one cell that showed a bug, before its others are left out.
    pub same_cell: Option<NonZeroU32>,
    /// Cells in a row that this machine failed, before nothing more is begun.
    pub infrastructure: Option<NonZeroU32>,
}

/// A bug that is known. It is counted and raises no alarm, and it is said when it stays away.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Known {
    /// Its title, in which `*` stands for any text and `?` for one character; or `rule`.
    #[serde(default)]
    pub title: String,
    /// The rule whose expected bug it is; or `title`.
    #[serde(default)]
    pub rule: String,
    /// Why it is no news.
    pub note: String,
    /// The day from which on it is known.
    pub since: Day,
    /// The last day on which it raises no alarm; left out: without end.
    #[serde(default)]
    pub until: Option<Day>,
    /// The cells in which it may show; left out: all.
    #[serde(default)]
    pub cells: Which,
}

impl From<Known> for KnownBug {
    fn from(known: Known) -> Self {
        let Known { title, rule, note, since, until, cells } = known;
        let until = until.map(|day| day.0).unwrap_or_default();
        Self { title, rule, note, since: since.0, until, cells: cells.into() }
    }
}

/// More cells. What is left out is the plan's.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Include {
    /// As in the plan.
    pub kernels: Option<Vec<String>>,
    /// As in the plan.
    pub series: Option<Vec<String>>,
    /// As in the plan.
    pub arch: Option<Vec<ArchName>>,
    /// As in the plan.
    pub toolchains: Option<Vec<String>>,
    /// As in the plan.
    pub kasan: Option<Vec<String>>,
    /// As in the plan.
    pub profiles: Option<Vec<String>>,
    /// As in the plan.
    pub techniques: Option<Vec<Technique>>,
    /// As in the plan.
    #[schemars(range(min = 0, max = 10_000))]
    pub runs: Option<u32>,
    /// As in the plan.
    pub storm: Option<Time>,
}

/// Some cells: those of all these. A list that is left out means any.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Which {
    /// Names of manifests, or trees.
    pub kernels: Vec<String>,
    /// Names of series; `none`: the kernel as it is.
    pub series: Vec<String>,
    /// Architectures.
    pub arch: Vec<ArchName>,
    /// Compilers.
    pub toolchains: Vec<String>,
    /// Modes of KASAN.
    pub kasan: Vec<String>,
    /// Names of profiles.
    pub profiles: Vec<String>,
    /// Techniques.
    pub techniques: Vec<Technique>,
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
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Override {
    /// Which cells.
    pub cells: Which,
    /// How often each is run.
    #[schemars(range(min = 0, max = 10_000))]
    pub runs: Option<u32>,
    /// How long each guest storms.
    pub storm: Option<Time>,
    /// How much of this machine's time each may take.
    pub budget: Option<Time>,
    /// Machines after the first.
    #[schemars(range(max = MOST_RETRIES))]
    pub retries: Option<u32>,
    /// CPUs of each guest.
    #[schemars(range(min = 1, max = 8))]
    pub cpus: Option<u64>,
    /// Memory of each guest in MiB.
    #[schemars(range(min = 32, max = 1_048_576))]
    pub memory: Option<u64>,
}

/// What belongs to a machine that is not ours, and can be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Allowed {
    /// It has swap.
    Swap,
    /// Its zswap is in use.
    Zswap,
    /// Its CPUs are taken off and on.
    Cpus,
}

/// The row of an architecture, read from its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ArchName(pub &'static Arch);

inline_schema!(ArchName, schema::word(arch::ALL.iter().map(|arch| arch.name)));

impl<'de> Deserialize<'de> for ArchName {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // The schema has the message for whoever writes another.
        let read =
            |name: &str| Arch::by_name(name).map(Self).ok_or_else(|| "no architecture".into());
        from.deserialize_str(Checked(read))
    }
}

/// A time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Time(pub Duration);

inline_schema!(Time, schema::string("^[0-9.]+ *[a-zA-Z]+( *[0-9.]+ *[a-zA-Z]+)*$", TIME));

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_str(Checked(duration)).map(Self)
    }
}

/// A time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TimeOfDay(pub jiff::civil::Time);

inline_schema!(
    TimeOfDay,
    schema::string("^([01][0-9]|2[0-3]):[0-5][0-9]$", "a time of day, such as \"06:00\"")
);

impl<'de> Deserialize<'de> for TimeOfDay {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let read = |text: &str| text.parse().map(Self).map_err(|error| error.to_string());
        from.deserialize_str(Checked(read))
    }
}

/// A day: `2026-11-26`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Day(pub String);

inline_schema!(Day, schema::string("^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "a day, such as 2026-11-26"));

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let read = |text: &str| {
            let day: Result<jiff::civil::Date, _> = text.parse();
            day.map(|day| Self(day.to_string())).map_err(|error| error.to_string())
        };
        from.deserialize_str(Checked(read))
    }
}

/// A device.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Disk(pub String);

inline_schema!(Disk, schema::string("^/dev/[A-Za-z0-9/_.-]+$", "a device, such as /dev/sdb"));

/// A text that passes a check, which is made while it is read: so the message has its place.
struct Checked<F>(F);

impl<T, F: FnOnce(&str) -> Result<T, String>> Visitor<'_> for Checked<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        self.0(text).map_err(E::custom)
    }
}

fn target<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Target>, D::Error> {
    from.deserialize_str(Checked(|text: &str| Target::parse(text))).map(Some)
}

pub(super) fn no_series() -> Vec<String> {
    vec![NO_SERIES.to_owned()]
}

fn x86_64() -> Vec<ArchName> {
    vec![ArchName(&arch::X86_64)]
}

fn natural() -> Vec<Technique> {
    vec![Technique::Natural]
}

fn once() -> u32 {
    1
}

fn retries() -> u32 {
    TRIES - 1
}
