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
//!
//! What a cluster has to know (`run --engine slurm`; all of it may be left out):
//!
//! ```yaml
//! slurm:
//!   partition: mm                  # also account, qos
//!   features: {arm64: aarch64}     # nodes for guests of an architecture, as `sbatch --constraint` takes it
//!   gres: kvm:1                    # what each guest asks for, as `sbatch --gres` takes it
//!   most: 200                      # tasks of an array at the same time
//!   time: 1h                       # a task's limit
//!   build: {cpus: 8, memory: 8192, time: 1h}
//!   store: run                     # nodes share no cache, so sources and kernels lie in the run's folder
//! ```

mod file;
mod matrix;
mod name;

use std::fmt;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use document::{Document, Problem};
use machine::target::Target;
use reports::event::{Fault, PlanFacts};
use reports::known::KnownBug;
use workloads::profile::Technique;

use self::file::{Allowed, File};
pub use self::matrix::Point;
pub use self::name::name_cells;
use crate::error::Error;
use crate::limits::{Limits, StopRules};
use crate::slurm;
use crate::visit::{self, Terms};

/// Plans that come with the program: name and text.
const BUILT_IN: &[(&str, &str)] = &[
    ("architectures", include_str!("../plans/architectures.yaml")),
    ("nightly", include_str!("../plans/nightly.yaml")),
    ("soak", include_str!("../plans/soak.yaml")),
];
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

/// A plan that was read.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The name or file that it was found by.
    pub origin: String,
    text: String,
    document: Document,
    file: File,
}

/// Where in a plan something stands.
type Place = document::Path;

impl Plan {
    /// Finds a plan: a path with a slash or `.yaml` in it, a file `NAME.yaml` in the folder `own`,
    /// or a built-in one.
    ///
    /// # Errors
    /// No such plan; every mistake in it.
    pub fn find(name: &str, own: Option<&Path>) -> Result<Self, Error> {
        let wrong = |words: String| Error::new(Fault::Configuration, words);
        let is_path = name.contains('/') || name.ends_with(".yaml");
        let file = match is_path {
            true => Some(PathBuf::from(name)),
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
                "there is no plan `{}`{}\n  hint: name a file, as ./{0}.yaml, or one of {known}",
                name.escape_debug(),
                document::did_you_mean(name, BUILT_IN.iter().map(|(name, _)| *name)),
            ))),
        }
    }

    /// The plan of a run's log.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn again(plan: &PlanFacts) -> Result<Self, Error> {
        Self::from_yaml(&plan.origin, plan.text.clone())
    }

    /// The JSON Schema of a plan, as the text of a file.
    pub fn schema() -> String {
        document::schema::text::<File>()
    }

    /// Reads a plan; `origin` is for messages.
    fn from_yaml(origin: &str, text: String) -> Result<Self, Error> {
        let wrong = |problems| Error::new(Fault::Configuration, problems);
        let document = Document::parse(origin, &text).map_err(wrong)?;
        let file: File = document.read().map_err(wrong)?;
        let plan = Self { origin: origin.to_owned(), text, document, file };
        let mut problems = Vec::new();
        plan.check_target(&mut problems);
        plan.check_lists(&mut problems);
        plan.check_known(&mut problems);
        plan.document.refuse(problems).map_err(wrong)?;
        plan.points()?;
        Ok(plan)
    }

    /// One line for people.
    pub fn about(&self) -> &str {
        &self.file.about
    }

    /// A machine that runs its kernel already, in place of QEMU's.
    pub fn target(&self) -> Option<&Target> {
        self.file.target.as_ref()
    }

    /// What there is to be run on: kernels, or a machine.
    fn places(&self) -> Vec<String> {
        match &self.file.target {
            Some(target) => vec![target.to_string()],
            None => self.file.kernels.clone(),
        }
    }

    /// Lists without a double, and none without anything in it.
    fn check_lists(&self, problems: &mut Vec<Problem>) {
        let file = &self.file;
        let arches: Vec<String> = file.arch.iter().map(|arch| arch.0.name.to_owned()).collect();
        let techniques: Vec<String> = file.techniques.iter().map(Technique::to_string).collect();
        let places = self.places();
        let lists: [(&str, &[String]); 7] = [
            ("kernels", &places),
            ("series", &file.series),
            ("arch", &arches),
            ("profiles", &file.profiles),
            ("techniques", &techniques),
            ("toolchains", &file.toolchains),
            ("kasan", &file.kasan),
        ];
        for (key, list) in lists {
            let may_be_empty = match key {
                "toolchains" | "kasan" => true,
                "kernels" | "profiles" => !file.include.is_empty(),
                _ => false,
            };
            if list.is_empty() && !may_be_empty {
                let words = format!("`{key}` is empty: there is nothing to run");
                problems.push(self.document.problem_of_key(&Place::of(key), words));
            }
            for (at, one) in list.iter().enumerate().filter(|(at, one)| list[..*at].contains(one)) {
                let words = format!("`{}` stands in `{key}` twice", one.escape_debug());
                problems.push(self.document.problem(&Place::of(key).item(at), words));
            }
        }
    }

    /// Known bugs that say what they are.
    fn check_known(&self, problems: &mut Vec<Problem>) {
        for (at, known) in self.file.known.iter().enumerate() {
            let words = match (known.title.as_str(), known.rule.as_str()) {
                ("", "") => "a known bug has a `title` or a `rule`".to_owned(),
                ("", _) => continue,
                (title, "") if title.chars().all(|c| "*? ".contains(c)) => {
                    format!("the title `{title}` is every bug's")
                }
                (_, "") => continue,
                _ => "a known bug has either a `title` or a `rule`".to_owned(),
            };
            problems.push(self.document.problem(&Place::of("known").item(at), words));
        }
    }

    /// Keys that go with a target, and those that do not.
    fn check_target(&self, problems: &mut Vec<Problem>) {
        let file = &self.file;
        let mut wrong = |key: &str, words: String| {
            problems.push(self.document.problem_of_key(&Place::of(key), words));
        };
        if file.target.is_none() {
            for (key, is_there) in [
                ("console", file.console.is_some()),
                ("allow", !file.allow.is_empty()),
                ("disks", !file.disks.is_empty()),
            ] {
                if is_there {
                    wrong(key, format!("`{key}` belongs to a `target`"));
                }
            }
            return;
        }
        for (key, is_there) in [
            ("kernels", !file.kernels.is_empty()),
            ("series", file.series != file::no_series()),
            ("toolchains", !file.toolchains.is_empty()),
            ("kasan", !file.kasan.is_empty()),
        ] {
            if is_there {
                wrong(key, format!("a `target` runs its own kernel: leave out `{key}`"));
            }
        }
        if file.arch.len() > 1 {
            wrong("arch", "a `target` has one architecture".to_owned());
        }
        if let Some(console) = &file.console
            && let Err(error) = visit::check_console(console)
        {
            wrong("console", error.to_string());
        }
        for (at, technique) in file.techniques.iter().enumerate() {
            let words = match technique {
                technique if technique.stretches() => {
                    "a `target` cannot be stretched: that takes QEMU's gdbstub"
                }
                technique if technique.preempts() => {
                    "a `target` keeps its processors: `preempt` takes them away, which only a guest can bear"
                }
                _ => continue,
            };
            problems.push(self.document.problem(&Place::of("techniques").item(at), words));
        }
    }

    /// What the user allows on the target.
    pub fn terms(&self) -> Terms {
        let File { console, allow, disks, .. } = &self.file;
        Terms {
            console: console.clone(),
            beside_swap: allow.contains(&Allowed::Swap),
            retune_zswap: allow.contains(&Allowed::Zswap),
            switch_cpus: allow.contains(&Allowed::Cpus),
            disks: disks.iter().map(|disk| disk.0.clone()).collect(),
        }
    }

    /// What it says of a cluster.
    pub fn slurm(&self) -> slurm::Terms {
        self.file.slurm.clone().into()
    }

    /// The bugs that it knows of.
    pub fn known(&self) -> impl Iterator<Item = KnownBug> {
        self.file.known.iter().cloned().map(KnownBug::from)
    }

    /// What the event log keeps of it; `folder`: where swapstorm was started.
    pub fn facts(&self, folder: &Path) -> PlanFacts {
        let (origin, text) = (self.origin.clone(), self.text.clone());
        PlanFacts { origin, folder: folder.display().to_string(), text }
    }

    /// What is enough.
    pub fn stop(&self) -> StopRules {
        let number = |rule: Option<NonZeroU32>| rule.map(NonZeroU32::get);
        let file::Stop { bugs, same_cell, infrastructure } = self.file.stop;
        StopRules {
            bugs: number(bugs),
            same_cell: number(same_cell),
            infrastructure: number(infrastructure),
        }
    }

    /// When a run that begins now is to end, and what is enough.
    pub fn limits(&self) -> Limits {
        let until = self.file.budget.until.map(|time| {
            let wait = until(time.0, &jiff::Zoned::now());
            (wait, format!("it is {}", time.0.strftime("%H:%M")))
        });
        let run = self.file.budget.run.map(|time| time.0);
        Limits { stop: self.stop(), waits: true, ..Limits::within(run, until) }
    }

    /// The error for something that is wrong with the value of a key, or, of a list, with its entry `name`, also where
    /// that was included.
    pub fn wrong(&self, key: &str, name: &str, message: impl fmt::Display) -> Error {
        let included =
            (0..self.file.include.len()).map(|at| Place::of("include").item(at).key(key));
        let place = [Place::of(key)].into_iter().chain(included).find_map(|list| {
            let entries = 0..self.document.length(&list);
            entries.map(|at| list.item(at)).find(|entry| self.document.word(entry) == Some(name))
        });
        let place = place.unwrap_or_else(|| Place::of(key));
        let problem = self.document.problem(&place, message);
        Error::new(Fault::Configuration, self.document.problems(vec![problem]))
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
