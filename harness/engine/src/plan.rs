// SPDX-License-Identifier: MIT OR Apache-2.0
//! Plans: which cells a run has.
//!
//! ```yaml
//! about: one line for people
//! kernels: [debian-6.1]            # manifests, or trees: a folder, a tarball, REPO:REF
//! series: [none, ./fix.patch]      # as --series takes them; `none`: the kernel as it is
//! arch: [x86_64, arm64, riscv64]
//! profiles: [zswap-writeback-swapoff]
//! techniques: [natural, stretch]
//! runs: 1                          # of each, every one with a seed of its own
//! storm: 60s                       # how long each guest storms, unless a bug ends it
//! ```
//!
//! A plan for a machine that already runs its kernel has, in place of `kernels` and `series`:
//!
//! ```yaml
//! target: ssh://root@box.example   # or ssh://user@host:port; the user is root or may use sudo
//! console: /var/log/box.serial     # a serial log here; without it the kernel's log over SSH
//! allow: [swap, zswap, cpus]       # run although it has swap, its zswap is in use, its CPUs are to go off
//! disks: [/dev/sdb]                # overwritten! Without it: loop devices on files
//! ```
//!
//! Every kernel is run with every series on every architecture, and so on. `series`, `arch`,
//! `techniques` and `runs` may be left out: the kernel as it is, x86_64, natural, one run.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use host::arch::Arch;
use serde::Deserialize;
use serde::de::{Deserializer, Visitor};
use workloads::profile::Technique;

use crate::error::Error;
use crate::visit::{self, Terms};
use machine::Random;
use machine::target::Target;
use reports::event::{Cell, Fault};

/// Plans that come with the program: name and text.
const BUILT_IN: &[(&str, &str)] = &[("architectures", include_str!("../plans/architectures.yaml"))];
/// What stands for "no series".
const NONE: &str = "none";
/// Cells of a plan. More is a mistake, or work for several machines.
const MOST_CELLS: usize = 10_000;
/// A plan has no reason to be larger than this many bytes.
const MOST_BYTES: u64 = 256 << 10;

/// Reads a storm's length.
///
/// # Errors
/// Says what is expected.
pub fn duration(text: &str) -> Result<Duration, String> {
    let parsed: Result<jiff::SignedDuration, _> = text.parse();
    let duration = parsed.ok().and_then(|d| Duration::try_from(d).ok());
    duration
        .filter(|d| (Duration::from_secs(1)..=Duration::from_secs(86_400)).contains(d))
        .ok_or_else(|| "expected a time from 1s to 24h, such as 90s or 10m".to_owned())
}

/// A plan as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The name or file that the plan was found by.
    #[serde(skip)]
    pub origin: String,
    /// The text, for places of what turns out wrong later.
    #[serde(skip)]
    text: String,
    /// One line for people.
    pub about: String,
    /// Names of kernel manifests.
    #[serde(default)]
    pub kernels: Vec<String>,
    /// A machine that runs its kernel already, in place of QEMU's.
    #[serde(default, deserialize_with = "target")]
    pub target: Option<Target>,
    /// Its serial log on this machine.
    #[serde(default)]
    console: Option<PathBuf>,
    /// What the storm may use although it is in use there.
    #[serde(default)]
    allow: Vec<Allowed>,
    /// Its devices to swap on.
    #[serde(default)]
    disks: Vec<String>,
    /// Series as a command line would name them; `none` for the kernel as it is.
    #[serde(default = "no_series")]
    series: Vec<String>,
    /// Architectures.
    #[serde(default = "x86_64")]
    arch: Vec<ArchName>,
    /// Names of profiles.
    pub profiles: Vec<String>,
    /// Techniques.
    #[serde(default = "natural")]
    pub techniques: Vec<Technique>,
    /// How often each cell is run.
    #[serde(default = "once")]
    pub runs: u32,
    /// How long each guest storms.
    #[serde(deserialize_with = "storm")]
    pub storm: Duration,
}

/// What belongs to a machine that is not ours, and can be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Allowed {
    Swap,
    Zswap,
    Cpus,
}

/// The row of an architecture, read from its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ArchName(&'static Arch);

impl<'de> Deserialize<'de> for ArchName {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_str(Checked(|name: &str| {
            Arch::by_name(name).map(Self).ok_or_else(|| {
                let known: Vec<&str> = host::arch::ALL.iter().map(|arch| arch.name).collect();
                let name = name.escape_debug();
                format!("there is no architecture `{name}`, expected one of {}", known.join(", "))
            })
        }))
    }
}

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

fn no_series() -> Vec<String> {
    vec![NONE.to_owned()]
}

fn x86_64() -> Vec<ArchName> {
    vec![ArchName(&host::arch::X86_64)]
}

fn natural() -> Vec<Technique> {
    vec![Technique::Natural]
}

fn once() -> u32 {
    1
}

fn target<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Target>, D::Error> {
    from.deserialize_str(Checked(|text: &str| Target::parse(text))).map(Some)
}

fn storm<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    from.deserialize_str(Checked(duration))
}

impl Plan {
    /// Finds a plan: a path with a slash or `.yaml` in it, a file `NAME.yaml` in the folder `own`,
    /// or a built-in one.
    pub fn find(name: &str, own: Option<&Path>) -> Result<Self, Error> {
        let wrong = |words: String| Error::new(Fault::Configuration, words);
        let is_path = name.contains('/') || name.ends_with(".yaml");
        let file = match is_path {
            true => Some(Path::new(name).to_owned()),
            false => own.map(|dir| dir.join(format!("{name}.yaml"))).filter(|file| file.exists()),
        };
        let known = BUILT_IN.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        if let Some(file) = file {
            if !file.exists() {
                let file = file.display();
                return Err(wrong(format!(
                    "{file}: there is no such file\n  hint: name a plan's file, or one of {known}"
                )));
            }
            let length = fs_err::metadata(&file).map_err(|error| wrong(error.to_string()))?.len();
            if length > MOST_BYTES {
                let file = file.display();
                return Err(wrong(format!(
                    "{file}: {length} bytes are more than the {MOST_BYTES} that a plan may have"
                )));
            }
            let text = fs_err::read_to_string(&file).map_err(|error| wrong(error.to_string()))?;
            return Self::from_yaml(&file.display().to_string(), text);
        }
        match BUILT_IN.iter().find(|(built_in, _)| *built_in == name) {
            Some((_, text)) => {
                Self::from_yaml(&format!("{name}.yaml (built in)"), (*text).to_owned())
            }
            None => Err(wrong(format!(
                "there is no plan `{}`\n  hint: name a file, as ./{0}.yaml, or one of {known}",
                name.escape_debug(),
            ))),
        }
    }

    /// Reads a plan; `origin` is for messages.
    fn from_yaml(origin: &str, text: String) -> Result<Self, Error> {
        let plan: Self = host::yaml::read(origin, &text)
            .map_err(|error| Error::new(Fault::Configuration, error))?;
        let plan = Self { origin: origin.to_owned(), text, ..plan };
        plan.check_target()?;
        let lists = [
            ("kernels", plan.places()),
            ("series", plan.series.clone()),
            ("arch", plan.arch.iter().map(|arch| arch.0.name.to_owned()).collect()),
            ("profiles", plan.profiles.clone()),
            ("techniques", plan.techniques.iter().map(Technique::to_string).collect()),
        ];
        let mut cells = plan.runs as usize;
        for (key, list) in lists {
            if list.is_empty() {
                return Err(plan.wrong(key, format!("`{key}` is empty: there is nothing to run")));
            }
            let twice = list.iter().enumerate().find(|(at, one)| list[..*at].contains(one));
            if let Some((_, twice)) = twice {
                let words = format!("`{}` stands in `{key}` twice", twice.escape_debug());
                return Err(plan.wrong(twice, words));
            }
            cells = cells.saturating_mul(list.len());
        }
        if !(1..=MOST_CELLS).contains(&cells) {
            let words = format!("these are {cells} cells, expected 1 to {MOST_CELLS}");
            return Err(plan.wrong("runs", words));
        }
        Ok(plan)
    }

    /// What there is to be run on: kernels, or a machine.
    fn places(&self) -> Vec<String> {
        match &self.target {
            Some(target) => vec![target.to_string()],
            None => self.kernels.clone(),
        }
    }

    /// Keys that go with a target, and those that do not.
    fn check_target(&self) -> Result<(), Error> {
        if self.target.is_none() {
            let lone = [
                ("console", self.console.is_some()),
                ("allow", !self.allow.is_empty()),
                ("disks", !self.disks.is_empty()),
            ];
            return match lone.into_iter().find(|(_, is_there)| *is_there) {
                Some((key, _)) => Err(self.wrong(key, format!("`{key}` belongs to a `target`"))),
                None => Ok(()),
            };
        }
        if !self.kernels.is_empty() || self.series != no_series() {
            let key = if self.kernels.is_empty() { "series" } else { "kernels" };
            return Err(
                self.wrong(key, format!("a `target` runs its own kernel: leave out `{key}`"))
            );
        }
        if self.arch.len() > 1 {
            return Err(self.wrong("arch", "a `target` has one architecture"));
        }
        for technique in &self.techniques {
            let words = match technique {
                technique if technique.stretches() => {
                    "a `target` cannot be stretched: that takes QEMU's gdbstub"
                }
                technique if technique.preempts() => {
                    "a `target` keeps its processors: `preempt` takes them away, which only a guest can bear"
                }
                _ => continue,
            };
            return Err(self.wrong(technique.name(), words));
        }
        if let Some(console) = &self.console {
            visit::check_console(console).map_err(|error| self.wrong("console", error))?;
        }
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"/_-.".contains(&b);
        match self.disks.iter().find(|d| !d.starts_with("/dev/") || !d.bytes().all(plain)) {
            Some(disk) => {
                Err(self.wrong("disks", format!("`{}` is no device", disk.escape_debug())))
            }
            None => Ok(()),
        }
    }

    /// What the user allows on the target.
    pub fn terms(&self) -> Terms {
        Terms {
            console: self.console.clone(),
            beside_swap: self.allow.contains(&Allowed::Swap),
            retune_zswap: self.allow.contains(&Allowed::Zswap),
            switch_cpus: self.allow.contains(&Allowed::Cpus),
            disks: self.disks.clone(),
        }
    }

    /// The error for something that is wrong where `word` stands.
    pub fn wrong(&self, word: &str, message: impl fmt::Display) -> Error {
        let (line, column) = host::yaml::find_word(&self.text, word);
        let origin = &self.origin;
        Error::new(Fault::Configuration, format!("{origin}:{line}:{column}: {message}"))
    }

    /// The series, `None` for the kernel as it is.
    pub fn series(&self) -> impl Iterator<Item = Option<&str>> {
        self.series.iter().map(|name| Some(name.as_str()).filter(|name| *name != NONE))
    }

    /// The architectures.
    pub fn arches(&self) -> impl Iterator<Item = &'static Arch> {
        self.arch.iter().map(|arch| arch.0)
    }
}

/// Gives cells their ids and seeds: ids are what is not the same in all of them, fit for file
/// names; the seed of a cell follows from the run's and from what the cell is, whatever other
/// cells there are.
pub fn name_cells(cells: &mut [Cell], numbers: &[u32], seed: u64) {
    let parts = |cell: &Cell, number: u32| -> [String; 6] {
        let series = cell.series.as_deref().unwrap_or("plain");
        let number = number.to_string();
        [&cell.kernel, series, &cell.arch, &cell.profile, &cell.technique, &number].map(file_word)
    };
    let all: Vec<[String; 6]> =
        cells.iter().zip(numbers).map(|(cell, number)| parts(cell, *number)).collect();
    let varies: Vec<bool> =
        (0..6).map(|at| all.iter().any(|parts| parts[at] != all[0][at])).collect();
    let mut taken: HashMap<String, u32> = HashMap::new();
    for ((cell, parts), number) in cells.iter_mut().zip(&all).zip(numbers) {
        let telling: Vec<&str> =
            parts.iter().zip(&varies).filter(|(_, v)| **v).map(|(part, _)| part.as_str()).collect();
        let id = telling.join("-");
        let id = if id.is_empty() { "guest".to_owned() } else { id };
        // Names that differ may read alike as file names.
        let same = taken.entry(id.clone()).or_default();
        *same += 1;
        cell.id = if *same == 1 { id } else { format!("{id}.{same}") };
        let what = [&cell.kernel, "/", cell.series.as_deref().unwrap_or(""), "/", &cell.arch]
            .concat()
            + &["/", &cell.profile, "/", &cell.technique].concat();
        cell.number = *number;
        cell.key = cell.stable_key();
        // Not `seed + number`: the second run of one seed would be the first one of the next.
        cell.seed = Random::new(seed, &format!("{what}/{number}")).draw();
    }
}

/// A text as a part of a file name; never one that means another folder.
fn file_word(text: &str) -> String {
    let good = |c: char| c.is_ascii_alphanumeric() || "._".contains(c);
    let text = text.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    text.chars().take(60).map(|c| if good(c) { c } else { '-' }).collect()
}

#[cfg(test)]
mod tests;
