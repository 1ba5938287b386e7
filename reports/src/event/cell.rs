// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is run: a cell, its kernel and its profile.

use serde::{Deserialize, Serialize};

use super::Exposure;

/// One point of the matrix.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// Short unique name within the run, fit for a file name.
    pub id: String,
    /// [`Cell::stable_key`]; empty in format 1.
    #[serde(default)]
    pub key: String,
    /// Manifest name, e.g. `debian-6.1`, or the tree that was named instead.
    pub kernel: String,
    /// Series name; `None` for the kernel as it is.
    pub series: Option<String>,
    /// Architecture name.
    pub arch: String,
    /// Compiler family as it was asked for: `gcc`, `clang`, `clang-16`. Empty in format 1, and of a
    /// kernel that we did not build.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub toolchain: String,
    /// Mode of KASAN: `generic`, `sw_tags`, ... Empty where it is off or not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kasan: String,
    /// Profile name.
    pub profile: String,
    /// Digest of the profile as it was used; empty in format 1. [`ProfileFacts::digest`].
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub profile_digest: String,
    /// `natural`, `stretch`, `preempt` or `preempt+stretch`; [`crate::run::NO_TECHNIQUE`] for a guest to log in to.
    pub technique: String,
    /// By which clock its guests live: [`WALL`] or [`VIRTUAL`]. Logs from before there were two have the first.
    #[serde(default = "wall")]
    pub clock: String,
    /// Which of several runs of the same, from 1.
    #[serde(default = "first")]
    pub number: u32,
    /// The cell's seed.
    pub seed: u64,
    /// Name of the expected-bug rule, if the cell has one.
    pub expect: Option<String>,
    /// Whether the expected bug should show (`Some(true)`), must not (`Some(false)`), or is not known.
    pub should_show: Option<bool>,
    /// Exposure that a clean result must reach, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<Exposure>,
}

/// A kernel for a person: `debian-6.1` or `debian-6.1 + the-series`.
pub(crate) fn kernel_name(kernel: &str, series: Option<&str>) -> String {
    match series {
        Some(series) => format!("{kernel} + {series}"),
        None => kernel.to_owned(),
    }
}

/// A plan as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanFacts {
    /// The name or file that it was found by.
    pub origin: String,
    /// The folder in which swapstorm was started: relative paths of the plan and the command line begin there.
    pub folder: String,
    /// Its text.
    pub text: String,
}

/// The host's clock: a guest gets as far as the host lets it.
pub const WALL: &str = "wall";
/// The guest's own instructions: what it does depends on nothing outside.
pub const VIRTUAL: &str = "virtual";

fn wall() -> String {
    WALL.to_owned()
}

fn first() -> u32 {
    1
}

impl Cell {
    /// Names the cell in every run that has it, whatever other cells are planned beside it:
    /// `debian-6.1+SERIES/x86_64/gcc/kasan-generic/PROFILE@DIGEST/stretch/1`, on the virtual clock
    /// `.../stretch/virtual/1`. The seed is no part of it.
    pub fn stable_key(&self) -> String {
        format!("{}/{}", self.population(), self.number)
    }

    /// The key without the number of the run: exposure of cells that share it may be added up.
    pub fn population(&self) -> String {
        let series = self.series.as_ref().map_or(String::new(), |series| format!("+{series}"));
        self.key_with(&series)
    }

    /// The key without number and series. The kernel with the bug and the fixed one, run side by
    /// side, share it.
    pub fn setting(&self) -> String {
        self.key_with("")
    }

    fn key_with(&self, series: &str) -> String {
        let or = |word: &str, absent: &str| match word {
            "" => absent.to_owned(),
            word => word.to_owned(),
        };
        let digest = self.profile_digest.get(..12).unwrap_or(&self.profile_digest);
        let profile = match digest {
            "" => self.profile.clone(),
            digest => format!("{}@{digest}", self.profile),
        };
        let kasan = or(&self.kasan, "as-configured");
        let toolchain = or(&self.toolchain, "any");
        let Self { kernel, arch, technique, .. } = self;
        let clock = if self.is_virtual() { format!("/{VIRTUAL}") } else { String::new() };
        format!("{kernel}{series}/{arch}/{toolchain}/kasan-{kasan}/{profile}/{technique}{clock}")
    }

    /// Its kernel for a person: `debian-6.1` or `debian-6.1 + the-series`.
    pub fn kernel_name(&self) -> String {
        kernel_name(&self.kernel, self.series.as_deref())
    }

    /// Whether its guests' tasks are made to sleep.
    pub fn stretches(&self) -> bool {
        self.technique.split('+').any(|part| part == "stretch")
    }

    /// Whether its guests live by the virtual clock.
    pub fn is_virtual(&self) -> bool {
        self.clock == VIRTUAL
    }
}

/// A storm profile as cells of the run use it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileFacts {
    /// Name.
    pub name: String,
    /// Hash of everything in it that a guest can notice, hexadecimal; changes made by the command
    /// line included.
    pub digest: String,
    /// The file's text.
    pub text: String,
}

/// What is known of a kernel. One that we did not build has no `key`, and its `source` says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelFacts {
    /// `6.1.192`.
    pub release: String,
    /// First line of `gcc --version`.
    pub compiler: String,
    /// Store key, hexadecimal.
    pub key: String,
    /// Hash of its image, hexadecimal; `None` if that is not known. Kernels that were made of different sources may have the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// True if the store had it.
    pub cached: bool,
    /// Milliseconds spent on it in this run.
    pub ms: u64,
    /// Source identity: package, version and the digest of what was fetched.
    pub source: String,
    /// Subjects of the patches, in order.
    #[serde(default)]
    pub patches: Vec<String>,
    /// What the compiler warned of in any of its files, each as `mm/zswap.c:12:3: warning: ...`; `None` if that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warnings: Option<Vec<String>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::What;
    use crate::exit::Purpose;
    use crate::render;
    use crate::sample::events::{BUGGY, Log, cell};

    #[test]
    fn cells_of_two_clocks_are_never_added_up_and_each_report_tells_them_apart() {
        let on = |clock: &str| Cell { clock: clock.to_owned(), ..cell(BUGGY) };
        let (wall, own) = (on(WALL), on(VIRTUAL));
        assert!(own.stable_key().ends_with("/stretch/virtual/1"), "{}", own.stable_key());
        assert!(wall.stable_key().ends_with("/stretch/1"), "{}", wall.stable_key());
        assert!(wall.population() != own.population() && wall.setting() != own.setting());
        for (cell, is_told) in [(own, true), (wall, false)] {
            let log = Log::new().then(What::CellPlanned { cell }).started(BUGGY, 1);
            let report = log.report();
            let look = render::Look { width: 80, colour: false };
            let text = render::text(&report, Purpose::Search, look);
            let markdown = render::markdown(&report, Purpose::Search);
            for rendering in [text, markdown] {
                assert_eq!(rendering.contains("guest time is virtual"), is_told, "{rendering}");
            }
            let json = render::json(&report, Purpose::Search);
            assert_eq!(json.contains("\"clock\": \"virtual\""), is_told);
        }
    }

    #[test]
    fn a_technique_may_have_parts() {
        let stretches =
            |technique: &str| Cell { technique: technique.to_owned(), ..cell(BUGGY) }.stretches();
        assert!(stretches("stretch") && stretches("preempt+stretch"));
        assert!(!stretches("preempt") && !stretches("natural") && !stretches("outstretched"));
    }

    #[test]
    fn a_log_from_before_there_were_two_clocks_has_the_hosts() {
        let mut old = serde_json::to_value(cell(BUGGY)).unwrap();
        old.as_object_mut().unwrap().remove("clock");
        assert_eq!(serde_json::from_value::<Cell>(old).unwrap(), cell(BUGGY));
    }
}
