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
//! `techniques` and `runs` may be left out: the kernel as it is, x86_64, natural, one run. What makes a matrix a night:
//!
//! ```yaml
//! toolchains: [gcc, clang]         # left out: as the manifests say
//! kasan: [generic, sw_tags]        # the same
//! include:                         # more cells: a matrix each, that takes what it leaves out from above;
//!   - {kernels: [debian-7.3], profiles: [mixed], storm: 10m}   # a cell that is there already is replaced
//! exclude:                         # cells of all these; a list that is left out means any
//!   - {kernels: [debian-6.12], arch: [riscv64]}
//! overrides:                       # the later one counts
//!   - {cells: {arch: [riscv64]}, storm: 30s, runs: 1, memory: 1024}
//! budget: {run: 8h, until: "06:00", cell: 30m}   # the host's time; what comes too late is left out
//! retries: 2                       # machines after the first, where this machine was at fault
//! stop: {bugs: 20, same_cell: 2, infrastructure: 10}
//! known:                           # no alarm, and said when they stay away
//!   - {rule: zswap-writeback-swapoff, cells: {series: [none]}, note: fixed in 6.9, since: 2024-01-30}
//!   - {title: "KASAN: *in foo_bar", note: reported, since: 2026-11-01, until: 2027-03-01}
//! ```

mod matrix;
mod name;

use std::fmt;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use host::arch::Arch;
use serde::Deserialize;
use serde::de::{Deserializer, Visitor};
use workloads::profile::Technique;

pub use matrix::Point;
use matrix::{Include, Override, Which};
pub use name::name_cells;

use crate::error::Error;
use crate::job::TRIES;
use crate::limits::{Limits, StopRules};
use crate::visit::{self, Terms};
use machine::target::Target;
use reports::event::{Fault, PlanFacts};
use reports::known::{KnownBug, NO_SERIES};

/// Plans that come with the program: name and text.
const BUILT_IN: &[(&str, &str)] = &[
    ("architectures", include_str!("../plans/architectures.yaml")),
    ("nightly", include_str!("../plans/nightly.yaml")),
];
/// What stands for "no series".
const NONE: &str = NO_SERIES;
/// Cells of a plan. More is a mistake, or work for several machines.
const MOST_CELLS: usize = 10_000;
/// More machines for one cell would not help either.
const MOST_RETRIES: u32 = 10;
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
    #[serde(default)]
    pub profiles: Vec<String>,
    /// Techniques.
    #[serde(default = "natural")]
    pub techniques: Vec<Technique>,
    /// Compilers; empty: the manifests'.
    #[serde(default)]
    toolchains: Vec<String>,
    /// Modes of KASAN; empty: the manifests'.
    #[serde(default)]
    kasan: Vec<String>,
    /// How often each cell is run.
    #[serde(default = "once")]
    pub runs: u32,
    /// How long each guest storms.
    #[serde(deserialize_with = "storm")]
    pub storm: Duration,
    /// More cells.
    #[serde(default)]
    include: Vec<Include>,
    /// Cells that are left out.
    #[serde(default)]
    exclude: Vec<Which>,
    /// What is different for some cells.
    #[serde(default)]
    overrides: Vec<Override>,
    /// How much of the host's time all of it may take.
    #[serde(default)]
    pub budget: Budget,
    /// Machines that are started after a cell's first one, where this machine was at fault.
    #[serde(default = "retries")]
    retries: u32,
    /// When enough was seen.
    #[serde(default)]
    pub stop: Stop,
    /// Bugs that raise no alarm.
    #[serde(default)]
    known: Vec<Known>,
}

/// How much of the host's time a run may take.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// The run, from its start.
    #[serde(deserialize_with = "some_time")]
    pub run: Option<Duration>,
    /// A cell, from the start of its first machine.
    #[serde(deserialize_with = "some_time")]
    pub cell: Option<Duration>,
    /// The time of day at which it is over, by this machine's clock: `06:00`.
    #[serde(deserialize_with = "time_of_day")]
    pub until: Option<jiff::civil::Time>,
}

/// When a run has seen enough: see [`crate::limits::StopRules`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Stop {
    /// Cells with bugs that are not known.
    pub bugs: Option<NonZeroU32>,
    /// Runs of one cell that showed a bug.
    pub same_cell: Option<NonZeroU32>,
    /// Cells in a row that this machine failed.
    pub infrastructure: Option<NonZeroU32>,
}

/// A bug that is known: see [`KnownBug`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    #[serde(default)]
    title: String,
    #[serde(default)]
    rule: String,
    note: String,
    #[serde(deserialize_with = "day")]
    since: String,
    #[serde(default, deserialize_with = "day")]
    until: String,
    #[serde(default)]
    cells: Which,
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

fn retries() -> u32 {
    TRIES - 1
}

/// A time of the host's.
fn some_time<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    from.deserialize_str(Checked(duration)).map(Some)
}

fn time_of_day<'de, D: Deserializer<'de>>(from: D) -> Result<Option<jiff::civil::Time>, D::Error> {
    let read = |text: &str| {
        text.parse().map_err(|_| "expected a time of day, such as \"06:00\"".to_owned())
    };
    from.deserialize_str(Checked(read)).map(Some)
}

fn day<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    from.deserialize_str(Checked(|text: &str| {
        let day: Result<jiff::civil::Date, _> = text.parse();
        day.map(|day| day.to_string()).map_err(|_| "expected a day, such as 2026-11-26".to_owned())
    }))
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

    /// The plan of a run's log.
    pub fn again(plan: &PlanFacts) -> Result<Self, Error> {
        Self::from_yaml(&plan.origin, plan.text.clone())
    }

    /// Reads a plan; `origin` is for messages.
    fn from_yaml(origin: &str, text: String) -> Result<Self, Error> {
        let plan: Self = host::yaml::read(origin, &text)
            .map_err(|error| Error::new(Fault::Configuration, error))?;
        let plan = Self { origin: origin.to_owned(), text, ..plan };
        plan.check_target()?;
        plan.check_lists()?;
        plan.check_known()?;
        if plan.retries > MOST_RETRIES {
            let words = format!("`retries` is more than {MOST_RETRIES}");
            return Err(plan.wrong("retries", words));
        }
        plan.points()?;
        Ok(plan)
    }

    /// Lists without a double, and none without anything in it.
    fn check_lists(&self) -> Result<(), Error> {
        let arches: Vec<String> = self.arch.iter().map(|arch| arch.0.name.to_owned()).collect();
        let techniques: Vec<String> = self.techniques.iter().map(Technique::to_string).collect();
        let places = self.places();
        let lists: [(&str, &[String]); 7] = [
            ("kernels", &places),
            ("series", &self.series),
            ("arch", &arches),
            ("profiles", &self.profiles),
            ("techniques", &techniques),
            ("toolchains", &self.toolchains),
            ("kasan", &self.kasan),
        ];
        for (key, list) in lists {
            let may_be_empty = match key {
                "toolchains" | "kasan" => true,
                "kernels" | "profiles" => !self.include.is_empty(),
                _ => false,
            };
            if list.is_empty() && !may_be_empty {
                return Err(self.wrong(key, format!("`{key}` is empty: there is nothing to run")));
            }
            let twice = list.iter().enumerate().find(|(at, one)| list[..*at].contains(one));
            if let Some((_, twice)) = twice {
                let words = format!("`{}` stands in `{key}` twice", twice.escape_debug());
                return Err(self.wrong(twice, words));
            }
        }
        Ok(())
    }

    /// Known bugs that say what they are.
    fn check_known(&self) -> Result<(), Error> {
        for known in &self.known {
            let words = match (known.title.as_str(), known.rule.as_str()) {
                ("", "") => "a known bug has a `title` or a `rule`".to_owned(),
                ("", _) => continue,
                (title, "") if title.chars().all(|c| "*? ".contains(c)) => {
                    format!("the title `{title}` is every bug's")
                }
                (_, "") => continue,
                _ => "a known bug has either a `title` or a `rule`".to_owned(),
            };
            return Err(self.wrong("known", words));
        }
        Ok(())
    }

    /// The bugs that it knows of.
    pub fn known(&self) -> impl Iterator<Item = KnownBug> {
        self.known.iter().cloned().map(|known| {
            let Known { title, rule, note, since, until, cells } = known;
            KnownBug { title, rule, note, since, until, cells: cells.into() }
        })
    }

    /// What the event log keeps of it; `folder`: where swapstorm was started.
    pub fn facts(&self, folder: &Path) -> PlanFacts {
        let (origin, text) = (self.origin.clone(), self.text.clone());
        PlanFacts { origin, folder: folder.display().to_string(), text }
    }

    /// When a run that begins now is to end, and what is enough.
    pub fn limits(&self) -> Limits {
        let until = self.budget.until.map(|time| {
            let wait = until(time, &jiff::Zoned::now());
            (wait, format!("it is {}", time.strftime("%H:%M")))
        });
        let number = |rule: Option<NonZeroU32>| rule.map(NonZeroU32::get);
        let Stop { bugs, same_cell, infrastructure } = self.stop;
        let stop = StopRules {
            bugs: number(bugs),
            same_cell: number(same_cell),
            infrastructure: number(infrastructure),
        };
        Limits { stop, ..Limits::within(self.budget.run, until) }
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

    /// The architectures.
    pub fn arches(&self) -> impl Iterator<Item = &'static Arch> {
        self.arch.iter().map(|arch| arch.0)
    }
}

/// How long it is until the clock shows `time` next. Where the clock is set forward over it, until then.
fn until(time: jiff::civil::Time, now: &jiff::Zoned) -> Duration {
    let today = now.date().to_datetime(time).to_zoned(now.time_zone().clone());
    let tomorrow =
        || now.date().tomorrow().ok()?.to_datetime(time).to_zoned(now.time_zone().clone()).ok();
    let next = today.ok().filter(|today| *today > *now).or_else(tomorrow);
    let wait = next.and_then(|next| Duration::try_from(now.duration_until(&next)).ok());
    wait.unwrap_or(Duration::from_secs(86_400))
}

#[cfg(test)]
mod tests;
