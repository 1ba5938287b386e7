// SPDX-License-Identifier: MIT OR Apache-2.0
//! Storm profiles: what a guest is given, what runs in it, and what can be expected of it.

mod ablation;
mod clock;
mod fix;
mod need;
mod pool;
mod preempt;
mod scalar;
mod schemas;
mod storm;
mod stretch;
mod technique;
#[cfg(test)]
pub(crate) mod tests;
mod variant;

use std::io;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

pub use ablation::Part;
pub use clock::Clock;
pub use fix::Fix;
pub use need::{Alternative, Need, Needed, Unmet};
pub use preempt::Preempt;
pub use storm::{Misbehaviour, Order, Push, Span, Storm};
pub use stretch::{Candidate, Role, StretchPoint};
pub use technique::Technique;
pub use variant::{Condition, NoVariant, Variant};

use document::Problems;
use host::version::KernelVersion;

/// Profiles that come with the program: name and text.
const BUILT_IN: &[(&str, &str)] = &[
    ("hotplug", include_str!("../profiles/hotplug.yaml")),
    ("hunt", include_str!("../profiles/hunt.yaml")),
    ("memcg-offline", include_str!("../profiles/memcg-offline.yaml")),
    ("mixed", include_str!("../profiles/mixed.yaml")),
    ("shmem", include_str!("../profiles/shmem.yaml")),
    ("shmem-exit", include_str!("../profiles/shmem-exit.yaml")),
    ("swapin-threads", include_str!("../profiles/swapin-threads.yaml")),
    ("writeback-steady", include_str!("../profiles/writeback-steady.yaml")),
    ("zswap-limit", include_str!("../profiles/zswap-limit.yaml")),
    ("zswap-writeback-swapoff", include_str!("../profiles/zswap-writeback-swapoff.yaml")),
    (
        "zswap-writeback-swapoff-virtual",
        include_str!("../profiles/zswap-writeback-swapoff-virtual.yaml"),
    ),
];

/// Other names of built-in profiles.
const ALIASES: &[(&str, &str)] = &[("race", "zswap-writeback-swapoff")];

/// Built-in profiles of former times, and what each is part of now.
const MERGED: &[(&str, &str)] = &[("zswap-writeback-swapoff-6.12", "zswap-writeback-swapoff")];

/// A profile has no reason to be larger than this many bytes.
const MOST_BYTES: u64 = 256 << 10;

/// Words that the agent's lines depend on: they must reach the console, and unthrottled.
/// Level 6 shows notices (the agent's lines) and all that is worse, every part of an oops
/// included, but not a line for each swapon.
const TELEMETRY_WORDS: &str = "loglevel=6 printk.devkmsg=on";

/// Nobody ends a guest on the virtual clock when it has reported, since that would be at a moment of the host's. So
/// its kernel does, before a damaged one hangs or reports for ever.
const END_BY_ITSELF: &str = "kasan.fault=panic oops=panic softlockup_panic=1";

/// What a guest is given, what runs in it, and what can be expected of it.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The file's name without `.yaml`.
    #[serde(deserialize_with = "scalar::name")]
    #[schemars(schema_with = "schemas::name")]
    pub name: String,
    /// For people who choose a profile.
    pub description: String,
    /// The virtual machine.
    pub guest: Guest,
    /// By which clock it lives where nothing else is asked for.
    #[serde(default)]
    pub clock: Clock,
    /// What the agent does; an absent value is the agent's default.
    #[serde(default)]
    pub storm: Storm,
    /// Further words for the kernel command line.
    #[serde(default, deserialize_with = "scalar::cmdline_words")]
    #[schemars(schema_with = "schemas::cmdline_words")]
    pub cmdline: Vec<String>,
    /// Name of the rule (`reports/rules/`) for the bug that this storm is made to show.
    #[serde(default, deserialize_with = "scalar::optional_name")]
    #[schemars(schema_with = "schemas::name")]
    pub expect: Option<String>,
    /// Metrics that `swapstorm compare` tests, by their names in `reports/src/comparison/metric.rs`; empty: those
    /// that it tests by default. No guest notices them.
    #[serde(default)]
    pub metrics: Vec<String>,
    /// How it is provoked: what `swapstorm repro` does where it is not told, and of a guest's own profile what is done
    /// to it.
    #[serde(default)]
    pub technique: Technique,
    /// How the guest takes its processors away from tasks, where the technique does.
    #[serde(default)]
    pub preempt: Preempt,
    /// Series that fix that bug. [`Profile::fix_for`] chooses.
    #[serde(default)]
    pub fixes: Vec<Fix>,
    /// What a kernel must have for that bug to show.
    #[serde(default)]
    #[schemars(with = "Vec<need::NeedFile>")]
    pub needs: Vec<Need>,
    /// Where the window of the bug can be stretched from outside.
    #[serde(default)]
    pub stretch: Vec<StretchPoint>,
    /// The file as it was read.
    #[serde(skip)]
    pub text: String,
    /// What differs between kernels. [`Profile::for_kernel`] chooses.
    #[serde(default)]
    pub variants: Vec<Variant>,
    /// Name of the variant that was chosen.
    #[serde(skip)]
    pub variant: Option<String>,
}

/// What a profile has to know of a kernel.
#[derive(Clone, Copy)]
pub struct KernelUnderTest<'a> {
    /// Its version, if it is known.
    pub version: Option<KernelVersion>,
    /// Answers with the value of an option (`CONFIG_PREEMPT`) in its configuration, `None` if
    /// it is not set.
    pub option: &'a dyn Fn(&str) -> Option<String>,
}

impl KernelUnderTest<'_> {
    /// The value of an option, `n` if it is not set.
    fn value(&self, option: &str) -> String {
        (self.option)(option).unwrap_or_else(|| "n".to_owned())
    }
}

/// The virtual machine.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Guest {
    /// Memory in MiB.
    #[serde(deserialize_with = "scalar::number::<_, 64, 65536>")]
    #[schemars(schema_with = "schemas::number::<64, 65536>")]
    pub memory_mib: u64,
    /// Virtual CPUs.
    #[serde(deserialize_with = "scalar::number::<_, 1, 64>")]
    #[schemars(schema_with = "schemas::number::<1, 64>")]
    pub cpus: u64,
    /// Swap disks.
    #[serde(deserialize_with = "scalar::number::<_, 1, 16>")]
    #[schemars(schema_with = "schemas::number::<1, 16>")]
    pub disks: u64,
    /// Size of each disk in MiB.
    #[serde(deserialize_with = "scalar::number::<_, 1, 65536>")]
    #[schemars(schema_with = "schemas::number::<1, 65536>")]
    pub disk_mib: u64,
}

/// Why there is no profile.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// Nobody knows this name.
    #[error(
        "there is no profile {name:?}{}\n  hint: known are {}",
        document::did_you_mean(name, known.iter().map(String::as_str)),
        known.join(", ")
    )]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// There was such a profile once.
    #[error(
        "the profile {name} is part of {now} now, which does by itself what each kernel wants\n  hint: use {now}"
    )]
    Merged {
        /// What was asked for.
        name: String,
        /// What it is part of.
        now: String,
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
    Document(#[from] Problems),
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
    /// The profile of this name: the user's own (`NAME.yaml` in `own`) before a built-in one. One of a built-in profile's
    /// other names gives that profile, under its own name.
    pub fn load(name: &str, own: Option<&Path>) -> Result<Self, ProfileError> {
        if let Some(path) = own.map(|folder| folder.join(format!("{name}.yaml")))
            && scalar::is_name(name)
            && path.exists()
        {
            return Self::from_yaml(name, &path.display().to_string(), &read_bounded(&path)?);
        }
        if let Some((_, name)) = ALIASES.iter().find(|(alias, _)| *alias == name) {
            return Self::load(name, own);
        }
        match BUILT_IN.iter().find(|(built_in, _)| *built_in == name) {
            Some((_, text)) => Self::from_yaml(name, &format!("{name}.yaml (built in)"), text),
            None => Err(match MERGED.iter().find(|(former, _)| *former == name) {
                Some((name, now)) => {
                    ProfileError::Merged { name: (*name).to_owned(), now: (*now).to_owned() }
                }
                None => ProfileError::Unknown { name: name.to_owned(), known: names(own) },
            }),
        }
    }

    /// Reads the profile `name` from `text`; `file` is only for messages.
    pub fn from_yaml(name: &str, file: &str, text: &str) -> Result<Self, ProfileError> {
        let profile: Self = document::read(file, text)?;
        if profile.name == name {
            return Ok(Self { text: text.to_owned(), ..profile });
        }
        let (file, expected) = (file.to_owned(), name.to_owned());
        Err(ProfileError::OtherName { file, name: profile.name, expected })
    }

    /// The JSON Schema of a profile, as the text of a file.
    pub fn schema() -> String {
        document::schema::text::<Self>()
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
        if self.clock.is_virtual() {
            // A disk of the host's would answer by the host's time.
            let Guest { disks, disk_mib, .. } = self.guest;
            words.push(format!("swapstorm.null_disks={disks}"));
            words.push(format!("swapstorm.null_mib={disk_mib}"));
            words.push(END_BY_ITSELF.to_owned());
        }
        let mut own = self.storm.words();
        if self.technique.preempts() {
            // Of a word that is said twice, the last one counts.
            own.extend(self.preempt.words());
        }
        words.extend(own.into_iter().map(|(name, value)| format!("swapstorm.{name}={value}")));
        words.join(" ")
    }

    /// What `kernel` lacks for the expected bug to be reachable by this storm. Of a profile with
    /// variants, ask the one that [`Profile::for_kernel`] gives.
    pub fn unmet(&self, kernel: &KernelUnderTest<'_>) -> Vec<Unmet<'_>> {
        self.needs.iter().filter_map(|need| need.unmet(&self.storm, kernel)).collect()
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
