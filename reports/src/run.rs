// SPDX-License-Identifier: MIT OR Apache-2.0
//! The fold over the event log: what a run showed.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::event::{Cell, Exposure, Fault, KernelFacts, RunEvent, VmEnd, What};
use crate::finding::Finding;
use crate::rule::{Match, Rule};
use crate::telemetry::Health;
use crate::verdict::{self, CellVerdict};

/// What stands for the accelerator of a machine that already ran and was reached over SSH.
pub const REMOTE: &str = "ssh";
/// Most distinct bugs kept of a cell. More only come from a guest that forges them.
const MAX_BUGS: usize = 256;
/// The technique of a cell that provokes nothing: its guest belongs to whoever logs in to it.
pub const NO_TECHNIQUE: &str = "none";
/// Most data corruptions kept of a cell; the rest is counted.
const MAX_CORRUPTIONS: usize = 16;
/// Most distinct warnings kept of a cell.
const MAX_WARNINGS: usize = 32;

/// A run as its log tells it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct RunReport {
    /// Program version.
    pub version: String,
    /// The command line, program name left out.
    pub command: Vec<String>,
    /// Wall-clock start, RFC 3339, UTC.
    pub started: String,
    /// The run's seed.
    pub seed: u64,
    /// Facts about the machine.
    pub host: BTreeMap<String, String>,
    /// Milliseconds from the run's start to its last event.
    pub ms: u64,
    /// False if the log has no last line: the run goes on or was killed.
    pub finished: bool,
    /// True after Ctrl-C.
    pub interrupted: bool,
    /// The cells, in the order in which they were planned.
    pub cells: Vec<CellReport>,
    /// What could not be understood, for a person: a rule that is missing, a cell never planned.
    pub problems: Vec<String>,
}

/// A cell as the log tells it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CellReport {
    /// What was to be run.
    pub cell: Cell,
    /// The expected-bug rule that judged its findings.
    #[serde(skip)]
    pub rule: Option<Rule>,
    /// Whose fault it is.
    #[serde(flatten)]
    pub verdict: CellVerdict,
    /// When the expected bug first showed.
    pub time_to_bug: Option<Moment>,
    /// Exposure of all boots together.
    pub exposure: Exposure,
    /// The kernel, once it was built or found.
    pub kernel: Option<KernelFacts>,
    /// Bugs by title, in the order in which they first showed.
    pub bugs: Vec<Bug>,
    /// The first data corruptions.
    pub corruptions: Vec<Corruption>,
    /// How many there were.
    pub corruption_count: u64,
    /// What the guest could not do as it was asked to, each once.
    pub warnings: Vec<String>,
    /// The last failure that no retry has made good.
    pub failure: Option<Failure>,
    /// The virtual machines.
    pub boots: Vec<Boot>,
    /// Whether the log says that the cell is finished.
    pub finished: bool,
}

/// One virtual machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Boot {
    /// From 1.
    pub number: u32,
    /// `tcg` or `kvm`.
    pub accel: String,
    /// QEMU's argument vector.
    pub argv: Vec<String>,
    /// The kernel command line.
    pub cmdline: String,
    /// When QEMU was started, in milliseconds of the run.
    pub started_ms: u64,
    /// Milliseconds from there until the guest agent was ready; `None` if it never was.
    pub boot_ms: Option<u64>,
    /// The newest counters.
    pub exposure: Exposure,
    /// How far the counters can be trusted.
    pub health: Option<Health>,
    /// Reports read from its console.
    pub findings: u64,
    /// Whether one of them is the expected bug.
    pub showed_expected: bool,
    /// Why it ended; `None` if the log does not say.
    pub end: Option<VmEnd>,
    /// More words on that.
    pub end_detail: String,
}

impl Boot {
    /// Whether the guest agent has spoken.
    pub fn ready(&self) -> bool {
        self.boot_ms.is_some()
    }
}

/// What a bug is to the cell's rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// The expected bug.
    Expected,
    /// A consequence of the expected bug: the same code, later in the same boot.
    FollowUp,
    /// A report that was cut, of the expected type and later in the same boot: which bug it is
    /// cannot be told. The end of a machine that had shown what was waited for cuts reports so.
    Cut,
    /// Not the expected bug but [related](Rule::is_related) to it, in a cell that should show it.
    Related,
    /// Another bug.
    Another,
}

/// Reports with one title.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bug {
    /// What it is to the cell's rule.
    pub standing: Standing,
    /// Why it is not the expected bug; `None` if it is, or none is expected.
    pub why_not: Option<String>,
    /// True if the expected bug had struck before in the same boot, so memory was damaged already.
    pub after_expected: bool,
    /// How often it was reported.
    pub count: u64,
    /// When first.
    pub first: Moment,
    /// The first report.
    pub finding: Finding,
}

/// A moment by every clock that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Moment {
    /// Virtual machine.
    pub boot: u32,
    /// Milliseconds since the run began.
    pub run_ms: u64,
    /// Milliseconds since QEMU was started.
    pub vm_ms: u64,
    /// Milliseconds since the guest agent was ready.
    pub guest_ms: u64,
}

/// A page that came back with wrong contents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Corruption {
    /// Virtual machine.
    pub boot: u32,
    /// Milliseconds since the run began.
    pub run_ms: u64,
    /// The agent's words.
    pub detail: String,
}

/// A failure of a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Which kind.
    pub fault: Fault,
    /// The error and its hint.
    pub detail: String,
}

impl RunReport {
    /// Folds a log, complete or not, into what it shows.
    pub fn fold(events: impl IntoIterator<Item = RunEvent>) -> Self {
        let mut fold = Fold::default();
        for event in events {
            fold.push(event);
        }
        fold.finish()
    }

    /// The words of a command that repeats the run: the same one, with the seed that it had if
    /// anything was drawn from it.
    pub fn repeat_command(&self) -> Vec<String> {
        let mut words = vec!["swapstorm".to_owned()];
        if self.cells.iter().any(|cell| cell.cell.technique == NO_TECHNIQUE) {
            words.extend(self.command.iter().cloned());
            return words;
        }
        let mut rest = self.command.iter();
        while let Some(word) = rest.next() {
            if word == "--seed" {
                rest.next();
            } else if !word.starts_with("--seed=") {
                words.push(word.clone());
            }
        }
        words.extend(["--seed".to_owned(), self.seed.to_string()]);
        words
    }

    /// The cell of this id.
    pub fn cell(&self, id: &str) -> Option<&CellReport> {
        self.cells.iter().find(|cell| cell.cell.id == id)
    }
}

#[derive(Default)]
struct Fold {
    report: RunReport,
    rules: BTreeMap<String, Rule>,
}

impl Fold {
    fn push(&mut self, event: RunEvent) {
        let at_ms = event.at_ms;
        self.report.ms = self.report.ms.max(at_ms);
        match event.what {
            What::RunStarted { version, command, started, seed, host, format: _ } => {
                // Of a log merged from several machines the first start is shown.
                if self.report.started.is_empty() {
                    let report = &mut self.report;
                    (report.version, report.command, report.started) = (version, command, started);
                    (report.seed, report.host) = (seed, host);
                }
            }
            What::RuleLoaded { rule } => {
                self.rules.insert(rule.name.as_str().to_owned(), rule);
            }
            What::CellPlanned { cell } => self.plan(cell),
            What::KernelReady { cell, kernel } => {
                let cell = self.cell(&cell);
                cell.retried();
                cell.kernel = Some(kernel);
            }
            What::VmStarted { cell, boot, accel, argv, cmdline } => {
                let cell = self.cell(&cell);
                cell.retried();
                let boot = cell.boot(boot);
                (boot.accel, boot.argv, boot.cmdline) = (accel, argv, cmdline);
                boot.started_ms = at_ms;
            }
            What::GuestReady { cell, boot, boot_ms } => {
                self.cell(&cell).boot(boot).boot_ms = Some(boot_ms);
            }
            What::Exposure { cell, boot, exposure } => {
                self.cell(&cell).boot(boot).exposure = exposure;
            }
            What::TelemetryChecked { cell, boot, health } => {
                self.cell(&cell).boot(boot).health = Some(health);
            }
            What::Found { cell, boot, guest_ms, finding } => {
                self.cell(&cell).found(boot, at_ms, guest_ms, finding);
            }
            What::Corruption { cell, boot, detail } => {
                let cell = self.cell(&cell);
                cell.corruption_count += 1;
                if cell.corruptions.len() < MAX_CORRUPTIONS {
                    cell.corruptions.push(Corruption { boot, run_ms: at_ms, detail });
                }
            }
            What::GuestWarned { cell, detail, .. } => {
                let warnings = &mut self.cell(&cell).warnings;
                if warnings.len() < MAX_WARNINGS && !warnings.contains(&detail) {
                    warnings.push(detail);
                }
            }
            What::VmStopped { cell, boot, why, detail } => {
                let boot = self.cell(&cell).boot(boot);
                (boot.end, boot.end_detail) = (Some(why), detail);
            }
            What::CellFailed { cell, fault, detail } => {
                self.cell(&cell).failure = Some(Failure { fault, detail });
            }
            What::CellFinished { cell } => self.cell(&cell).finished = true,
            What::RunFinished { interrupted } => {
                self.report.finished = true;
                self.report.interrupted |= interrupted;
            }
        }
    }

    fn plan(&mut self, cell: Cell) {
        let rule = cell
            .expect
            .as_ref()
            .and_then(|name| self.rules.get(name).cloned().or_else(|| Rule::built_in(name)));
        if let (Some(name), None) = (&cell.expect, &rule) {
            self.report.problems.push(format!(
                "cell {}: the log has no rule `{name}`, so every report counts as another bug",
                cell.id
            ));
        }
        if self.report.cell(&cell.id).is_some() {
            self.report.problems.push(format!("cell {} was planned twice", cell.id));
        } else {
            self.report.cells.push(CellReport::new(cell, rule));
        }
    }

    /// The cell of this id. One that was never planned is shown too, or its bugs would be lost.
    fn cell(&mut self, id: &str) -> &mut CellReport {
        let cells = &mut self.report.cells;
        let at = cells.iter().position(|cell| cell.cell.id == id).unwrap_or_else(|| {
            self.report.problems.push(format!("cell {id} was never planned"));
            cells.push(CellReport::new(unplanned(id), None));
            cells.len() - 1
        });
        &mut cells[at]
    }

    fn finish(mut self) -> RunReport {
        for cell in &mut self.report.cells {
            cell.exposure = cell.boots.iter().fold(Exposure::default(), |sum, b| sum + b.exposure);
            cell.verdict = verdict::judge(cell);
        }
        self.report
    }
}

fn unplanned(id: &str) -> Cell {
    Cell {
        id: id.to_owned(),
        kernel: "unknown".to_owned(),
        series: None,
        arch: String::new(),
        profile: String::new(),
        technique: String::new(),
        seed: 0,
        expect: None,
        should_show: None,
        wanted: None,
    }
}

impl CellReport {
    fn new(cell: Cell, rule: Option<Rule>) -> Self {
        Self {
            cell,
            rule,
            verdict: CellVerdict::Inconclusive { reason: String::new() },
            time_to_bug: None,
            exposure: Exposure::default(),
            kernel: None,
            bugs: Vec::new(),
            corruptions: Vec::new(),
            corruption_count: 0,
            warnings: Vec::new(),
            failure: None,
            boots: Vec::new(),
            finished: false,
        }
    }

    /// The first report of the bug that decided the verdict, if one did.
    pub fn deciding_bug(&self) -> Option<&Bug> {
        let CellVerdict::KernelBug { expected, .. } = &self.verdict else { return None };
        let first = |standing| self.bugs.iter().find(|bug| bug.standing == standing);
        if *expected {
            first(Standing::Expected)
        } else {
            first(Standing::Another).or_else(|| first(Standing::Related))
        }
    }

    /// The machine that decided the verdict, or else the last one.
    pub fn deciding_boot(&self) -> Option<&Boot> {
        let number = self.deciding_bug().map(|bug| bug.first.boot);
        self.boots.iter().find(|boot| Some(boot.number) == number).or(self.boots.last())
    }

    /// Whether the expected bug showed, whatever else did.
    pub fn showed_expected(&self) -> bool {
        self.time_to_bug.is_some()
    }

    fn boot(&mut self, number: u32) -> &mut Boot {
        let at = self.boots.iter().position(|boot| boot.number == number).unwrap_or_else(|| {
            self.boots.push(Boot { number, ..Boot::default() });
            self.boots.len() - 1
        });
        &mut self.boots[at]
    }

    /// A stage that follows has begun, so an infrastructure fault before it was made good.
    fn retried(&mut self) {
        self.failure.take_if(|failure| failure.fault == Fault::Infrastructure);
    }

    fn found(&mut self, number: u32, run_ms: u64, guest_ms: u64, finding: Finding) {
        let matched = self.rule.as_ref().map(|rule| rule.matches(&finding));
        let same_code = self.rule.as_ref().is_some_and(|r| r.is_about_the_same_code(&finding));
        let cut = self.rule.as_ref().is_some_and(|rule| rule.lacks_evidence(&finding));
        let related = self.cell.should_show == Some(true)
            && self.rule.as_ref().is_some_and(|rule| rule.is_related(&finding));
        let boot = self.boot(number);
        boot.findings += 1;
        let after_expected = boot.showed_expected;
        let (standing, why_not) = match matched {
            None => (Standing::Another, None),
            Some(Match::Yes) => (Standing::Expected, None),
            Some(Match::No(why)) if after_expected && same_code => (Standing::FollowUp, Some(why)),
            Some(Match::No(why)) if after_expected && cut => (Standing::Cut, Some(why)),
            Some(Match::No(why)) if related => (Standing::Related, Some(why)),
            Some(Match::No(why)) => (Standing::Another, Some(why)),
        };
        boot.showed_expected |= standing == Standing::Expected;
        let vm_ms = run_ms.saturating_sub(boot.started_ms);
        let first = Moment { boot: number, run_ms, vm_ms, guest_ms };
        if standing == Standing::Expected && self.time_to_bug.is_none() {
            self.time_to_bug = Some(first);
        }
        let known = self
            .bugs
            .iter_mut()
            .find(|bug| bug.standing == standing && bug.finding.title == finding.title);
        if let Some(bug) = known {
            bug.count += 1;
        } else if self.bugs.len() < MAX_BUGS || self.bugs.iter().all(|b| b.standing != standing) {
            self.bugs.push(Bug { standing, why_not, after_expected, count: 1, first, finding });
        }
    }
}

#[cfg(test)]
mod tests;
