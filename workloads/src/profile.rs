// SPDX-License-Identifier: MIT OR Apache-2.0
//! Storm profiles: what a guest is given, what runs in it, and what can be expected of it.

mod need;
mod scalar;
mod storm;
#[cfg(test)]
pub(crate) mod tests;

use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use need::{Alternative, Need, Unmet};
pub use storm::{Misbehaviour, Push, Span, Storm};

use host::yaml::{self, YamlError};

/// Profiles that come with the program: name and text.
const BUILT_IN: &[(&str, &str)] = &[
    ("zswap-writeback-swapoff", include_str!("../profiles/zswap-writeback-swapoff.yaml")),
    ("zswap-writeback-swapoff-6.12", include_str!("../profiles/zswap-writeback-swapoff-6.12.yaml")),
];

/// A profile has no reason to be larger than this many bytes.
const MOST_BYTES: u64 = 256 << 10;

/// Words that the agent's lines depend on: they must reach the console, and unthrottled.
/// Level 6 shows notices (the agent's lines) and all that is worse, every part of an oops
/// included, but not a line for each swapon.
const TELEMETRY_WORDS: &str = "loglevel=6 printk.devkmsg=on";

/// What a guest is given, what runs in it, and what can be expected of it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The file's name without `.yaml`.
    #[serde(deserialize_with = "scalar::name")]
    pub name: String,
    /// For people who choose a profile.
    pub description: String,
    /// The virtual machine.
    pub guest: Guest,
    /// What the agent does; an absent value is the agent's default.
    #[serde(default)]
    pub storm: Storm,
    /// Further words for the kernel command line.
    #[serde(default, deserialize_with = "scalar::cmdline_words")]
    pub cmdline: Vec<String>,
    /// Name of the rule (`reports/rules/`) for the bug that this storm is made to show.
    #[serde(default, deserialize_with = "scalar::optional_name")]
    pub expect: Option<String>,
    /// Kernel options without which that bug cannot show.
    #[serde(default)]
    pub needs: Vec<Need>,
    /// Where the window of the bug can be stretched from outside.
    #[serde(default)]
    pub stretch: Vec<StretchPoint>,
}

/// The virtual machine.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guest {
    /// Memory in MiB.
    #[serde(deserialize_with = "scalar::number::<_, 64, 65536>")]
    pub memory_mib: u64,
    /// Virtual CPUs.
    #[serde(deserialize_with = "scalar::number::<_, 1, 64>")]
    pub cpus: u64,
    /// Swap disks.
    #[serde(deserialize_with = "scalar::number::<_, 1, 16>")]
    pub disks: u64,
    /// Size of each disk in MiB.
    #[serde(deserialize_with = "scalar::number::<_, 1, 65536>")]
    pub disk_mib: u64,
}

/// An instruction at which a task is put to sleep: a call, named by where it is.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StretchPoint {
    /// The kernel function that holds the window.
    #[serde(deserialize_with = "scalar::symbol")]
    pub function: String,
    /// The function whose call ends the window.
    #[serde(deserialize_with = "scalar::symbol")]
    pub call: String,
    /// Which of the calls of `call` in `function`, by address, from 1.
    #[serde(deserialize_with = "scalar::number::<_, 1, 64>")]
    pub occurrence: u64,
    /// How long the task sleeps, in milliseconds.
    #[serde(deserialize_with = "scalar::number::<_, 1, 10000>")]
    pub ms: u64,
    /// Which share of the tasks that come by is put to sleep, above 0 and up to 1.
    #[serde(default = "always", deserialize_with = "scalar::probability")]
    pub probability: f64,
    /// So many tasks may sleep here at the same time.
    #[serde(default = "one", deserialize_with = "scalar::number::<_, 1, 64>")]
    pub most_at_a_time: u64,
    /// A point that only some kernels have: its absence is no error.
    #[serde(default)]
    pub optional: bool,
    /// Which window this is.
    pub why: String,
}

fn always() -> f64 {
    1.0
}

fn one() -> u64 {
    1
}

/// Why there is no profile.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// Nobody knows this name.
    #[error("there is no profile {name:?}\n  hint: known are {}", known.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The file cannot be read.
    #[error("cannot read the profile {}: {source}", path.display())]
    Read {
        /// The user's file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file is not a profile.
    #[error(transparent)]
    Yaml(#[from] YamlError),
    /// A profile is found by its file's name, so it must not carry another.
    #[error(
        "{file}: the profile calls itself {name:?}\n  hint: make it `name: {expected}`, or rename the file"
    )]
    OtherName {
        /// The file.
        file: String,
        /// The name in it.
        name: String,
        /// The name that it must have.
        expected: String,
    },
}

impl Profile {
    /// The profile of this name: the user's own (`NAME.yaml` in `own`) before a built-in one.
    pub fn load(name: &str, own: Option<&Path>) -> Result<Self, ProfileError> {
        if let Some(path) = own.map(|folder| folder.join(format!("{name}.yaml")))
            && scalar::is_name(name)
            && path.exists()
        {
            return Self::from_yaml(name, &path.display().to_string(), &read_bounded(&path)?);
        }
        match BUILT_IN.iter().find(|(built_in, _)| *built_in == name) {
            Some((_, text)) => Self::from_yaml(name, &format!("{name}.yaml (built in)"), text),
            None => Err(ProfileError::Unknown { name: name.to_owned(), known: names(own) }),
        }
    }

    /// Reads the profile `name` from `text`; `file` is only for messages.
    pub fn from_yaml(name: &str, file: &str, text: &str) -> Result<Self, ProfileError> {
        let profile: Self = yaml::read(file, text)?;
        if profile.name == name {
            return Ok(profile);
        }
        let (file, expected) = (file.to_owned(), name.to_owned());
        Err(ProfileError::OtherName { file, name: profile.name, expected })
    }

    /// The words that this profile puts on the kernel command line, telemetry included.
    /// `seconds` is the length of the storm, 0 for one that ends when it is told to. What
    /// the machine needs (console, `swapstorm.end`) is not among them.
    pub fn cmdline(&self, seed: u64, token: &str, seconds: u64) -> String {
        let mut words = vec![TELEMETRY_WORDS.to_owned()];
        words.extend(self.cmdline.iter().cloned());
        words.push(format!("swapstorm.token={token}"));
        words.push(format!("swapstorm.seed={seed}"));
        words.push(format!("swapstorm.seconds={seconds}"));
        words.extend(
            self.storm.words().into_iter().map(|(name, value)| format!("swapstorm.{name}={value}")),
        );
        words.join(" ")
    }

    /// What the kernel's configuration lacks for the expected bug to be reachable.
    /// `option` answers with the value of an option (`CONFIG_PREEMPT`), `None` if it is not set.
    pub fn unmet(&self, option: impl Fn(&str) -> Option<String>) -> Vec<Unmet<'_>> {
        self.needs.iter().filter_map(|need| need.unmet(&option)).collect()
    }
}

/// Names of all profiles, sorted: built-in ones and those in the user's folder.
pub fn names(own: Option<&Path>) -> Vec<String> {
    let mut names: Vec<String> = BUILT_IN.iter().map(|(name, _)| (*name).to_owned()).collect();
    let files = own.and_then(|folder| fs_err::read_dir(folder).ok()).into_iter().flatten();
    for file in files.flatten() {
        let file = file.file_name();
        let stem = file.to_str().and_then(|file| file.strip_suffix(".yaml"));
        names.extend(stem.filter(|stem| scalar::is_name(stem)).map(str::to_owned));
    }
    names.sort();
    names.dedup();
    names
}

fn read_bounded(path: &Path) -> Result<String, ProfileError> {
    let fail = |source| ProfileError::Read { path: path.to_owned(), source };
    let length = fs_err::metadata(path).map_err(fail)?.len();
    if length > MOST_BYTES {
        let why = format!("{length} bytes are more than the {MOST_BYTES} that a profile may have");
        return Err(fail(io::Error::new(io::ErrorKind::FileTooLarge, why)));
    }
    fs_err::read_to_string(path).map_err(fail)
}
