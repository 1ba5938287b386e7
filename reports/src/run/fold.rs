// SPDX-License-Identifier: MIT OR Apache-2.0
//! Takes in events, one after the other.

use std::collections::BTreeMap;
use std::sync::Arc;

use smol_str::{SmolStr, format_smolstr};

use super::{
    Boot, Bug, Building, CellReport, Corruption, Failure, Moment, PointReport, RunFacts, RunReport,
    Standing,
};
use crate::event::{
    Cell, Exposure, Fault, LeftOutPoint, PlacedPoint, PointCounts, RunEvent, SampleTable, VmEnd,
    What,
};
use crate::exit::Purpose;
use crate::finding::Finding;
use crate::known::KnownBug;
use crate::log::LogProblem;
use crate::method;
use crate::proof::DEFAULT_CONFIDENCE;
use crate::rule::{self, Match, Rule};
use crate::starved::is_about_time;
use crate::verdict::{self, CellVerdict};

/// Most distinct bugs kept of a cell. More only come from a guest that forges them.
pub(super) const MAX_BUGS: usize = 256;
/// Bytes of reports' texts kept of a run. What goes beyond is cut to [`CUT_TEXT`]: the consoles have it.
const TEXT_BUDGET: usize = 16 << 20;
/// Bytes kept of a report's text once the budget is used up.
const CUT_TEXT: usize = 1 << 10;
/// Most data corruptions kept of a cell; the rest is counted.
const MAX_CORRUPTIONS: usize = 16;
/// Most distinct warnings, and notices, kept of a cell or a run.
const MAX_WORDS: usize = 32;
/// Most known bugs kept of a run.
const MAX_KNOWN: usize = 256;
/// Most problems kept.
const MAX_PROBLEMS: usize = 100;

/// What the fold needs beside the report itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct State {
    /// The run that events without one belong to.
    current: Option<usize>,
    /// True while the events of a run that is known already are passed over.
    skipping: bool,
    /// Name of the log that is being read.
    log: String,
    /// By run: places of its cells by id, and its rules.
    runs: Vec<RunState>,
    /// Bytes of reports' texts kept so far.
    texts: usize,
    /// The newest table of columns: nearly all machines have the same.
    columns: Arc<Vec<String>>,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct RunState {
    cells: BTreeMap<String, usize>,
    known: Vec<Arc<KnownBug>>,
    /// Whether a cell that should show the expected bug has shown it.
    shown: bool,
    rules: BTreeMap<String, Arc<Rule>>,
}

impl RunReport {
    /// Says that the events that follow come from another log, whose run may not be named: `name`
    /// then stands for it. Needed only where several logs are read.
    pub fn begin_log(&mut self, name: &str) {
        self.state.current = None;
        self.state.skipping = false;
        name.clone_into(&mut self.state.log);
    }

    /// Takes note of a line that could not be read.
    pub fn lost(&mut self, problem: &LogProblem) {
        if problem.is_damage() {
            self.damaged += 1;
        }
        match self.state.log.as_str() {
            "" => self.problem(problem.to_string()),
            log => self.problem(format!("{log}: {problem}")),
        }
    }

    /// The cell of this id in the run of this id.
    pub fn cell_of(&self, run: &str, id: &str) -> Option<&CellReport> {
        let run = self.runs.iter().position(|known| known.id == run)?;
        self.state.runs.get(run)?.cells.get(id).map(|at| &self.cells[*at])
    }

    /// Takes in the next event. Its cost does not grow with what came before.
    pub fn push(&mut self, event: &RunEvent) {
        if let What::RunStarted { .. } = &event.what {
            return self.run_started(event);
        }
        let Some(run) = self.run(event.run.as_deref()) else { return };
        let at_ms = event.at_ms;
        self.runs[run].ms = self.runs[run].ms.max(at_ms);
        let cell = match &event.what {
            // Dealt with above.
            What::RunStarted { .. } => return,
            What::RuleLoaded { rule } => {
                let name = rule.name.as_str().to_owned();
                self.state.runs[run].rules.insert(name, Arc::new(rule.clone()));
                return;
            }
            What::ProfileLoaded { profile } => {
                self.runs[run].profiles.insert(profile.name.clone(), profile.clone());
                return;
            }
            What::PlanLoaded { plan } => {
                self.runs[run].plan = Some(plan.clone());
                return;
            }
            What::KnownLoaded { bug } => {
                let known = &self.runs[run].known;
                if known.len() < MAX_KNOWN && !known.contains(bug) {
                    self.runs[run].known.push(bug.clone());
                    self.state.runs[run].known.push(Arc::new(bug.clone()));
                }
                return;
            }
            What::RunResumed { again, healed, .. } => return self.resumed(run, again, *healed),
            What::Notice { cell: None, text } => {
                keep(&mut self.runs[run].notices, text);
                return;
            }
            What::CancelRequested { by, .. } => {
                self.runs[run].cancelled_by.get_or_insert_with(|| by.clone());
                return;
            }
            What::RunFinished { interrupted } => {
                let run = &mut self.runs[run];
                run.finished = true;
                run.interrupted |= interrupted;
                return;
            }
            What::CellPlanned { cell } => return self.plan(run, cell),
            What::Columns { cell, columns, .. } => {
                if *self.state.columns != *columns {
                    self.state.columns = Arc::new(columns.clone());
                }
                cell
            }
            what => match what.cell() {
                Some(cell) => cell,
                None => return,
            },
        };
        let at = self.place(run, cell);
        let State { texts, columns, .. } = &mut self.state;
        let cell = &mut self.cells[at];
        cell.push(at_ms, &event.what, texts, columns);
        cell.settle();
        if cell.cell.should_show == Some(true)
            && cell.showed_expected()
            && !std::mem::replace(&mut self.state.runs[run].shown, true)
        {
            let cells = self.state.runs[run].cells.values();
            for at in cells.copied().collect::<Vec<_>>() {
                self.cells[at].others_showed = true;
            }
        }
    }

    /// Somebody goes on with a run: what its last life left open begins anew.
    fn resumed(&mut self, run: usize, again: &[String], healed: u64) {
        self.damaged = self.damaged.saturating_sub(healed);
        let facts = &mut self.runs[run];
        facts.resumed += 1;
        (facts.finished, facts.interrupted, facts.cancelled_by) = (false, false, None);
        for id in again {
            let Some(at) = self.state.runs[run].cells.get(id) else { continue };
            let cell = &mut self.cells[*at];
            (cell.finished, cell.left_out_by_plan) = (false, false);
            (cell.cancelled, cell.building, cell.failure) = (None, None, None);
            for boot in &mut cell.boots {
                boot.end = Some(VmEnd::Orphaned);
                boot.columns = Arc::default();
            }
            cell.settle();
        }
    }

    fn run_started(&mut self, event: &RunEvent) {
        let What::RunStarted {
            format,
            id,
            version,
            command,
            started,
            seed,
            purpose,
            confidence,
            host_name,
            host,
            minor: _,
        } = &event.what
        else {
            return;
        };
        let id = match id.as_str() {
            "" => format_smolstr!("{started}/{seed}"),
            id => SmolStr::from(id),
        };
        // A run may be known by events that came before its start in a log that was sorted or damaged.
        let known = self.runs.iter().position(|run| run.id == id);
        if known.is_some_and(|at| self.runs[at].format > 0) {
            self.state.skipping = true;
            return self.problem(format!("run {id} is there twice: it is counted once"));
        }
        let of_command = || match command.first().map(String::as_str) {
            Some("repro") => Purpose::Repro,
            _ => Purpose::Search,
        };
        let at = known.unwrap_or_else(|| self.add_run(id.clone()));
        self.state.current = Some(at);
        self.state.skipping = false;
        let run = &mut self.runs[at];
        run.format = *format;
        (run.version, run.command, run.started) =
            (version.clone(), command.clone(), started.clone());
        (run.seed, run.host_name, run.host) = (*seed, host_name.clone(), host.clone());
        run.purpose = purpose.unwrap_or_else(of_command);
        run.confidence =
            confidence.filter(|c| (0.0..1.0).contains(c)).unwrap_or(DEFAULT_CONFIDENCE);
        run.ms = run.ms.max(event.at_ms);
    }

    /// The run that an event belongs to; `None` if it is to be passed over.
    fn run(&mut self, named: Option<&str>) -> Option<usize> {
        if let Some(id) = named {
            let known = self.runs.iter().position(|run| run.id == id);
            return Some(known.unwrap_or_else(|| self.add_run(id.into())));
        }
        if self.state.skipping {
            return None;
        }
        if self.state.current.is_none() {
            let name = match self.state.log.as_str() {
                "" => "unnamed".to_owned(),
                log => log.to_owned(),
            };
            self.problem(format!("{name}: the log does not begin with the start of its run"));
            let at = self.add_run(name.into());
            self.state.current = Some(at);
        }
        self.state.current
    }

    fn add_run(&mut self, id: SmolStr) -> usize {
        let confidence = DEFAULT_CONFIDENCE;
        self.runs.push(RunFacts { id, confidence, ..RunFacts::default() });
        self.state.runs.push(RunState::default());
        self.runs.len() - 1
    }

    fn problem(&mut self, words: String) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(words);
        }
    }

    fn plan(&mut self, run: usize, cell: &Cell) {
        let state = &self.state.runs[run];
        let rule = cell.expect.as_ref().and_then(|name| {
            state.rules.get(name).cloned().or_else(|| Rule::built_in(name).map(Arc::new))
        });
        if let (Some(name), Some(rule)) = (&cell.expect, &rule) {
            self.state.runs[run].rules.insert(name.clone(), Arc::clone(rule));
        } else if let Some(name) = &cell.expect {
            let words = "so every report counts as another bug";
            self.problem(format!("cell {}: the log has no rule `{name}`, {words}", cell.id));
        }
        let mut cell = cell.clone();
        if cell.key.is_empty() {
            cell.key = cell.stable_key();
        }
        match self.state.runs[run].cells.get(&cell.id) {
            // The line that planned it was lost, and the run resumed.
            Some(at) if self.cells[*at].cell == unplanned(&cell.id) => {
                let known = &mut self.cells[*at];
                (known.cell, known.rule) = (cell, rule);
                return known.settle();
            }
            Some(_) => return self.problem(format!("cell {} was planned twice", cell.id)),
            None => {}
        }
        self.add_cell(run, cell, rule);
    }

    fn add_cell(&mut self, run: usize, cell: Cell, rule: Option<Arc<Rule>>) -> usize {
        let at = self.cells.len();
        self.state.runs[run].cells.insert(cell.id.clone(), at);
        let RunFacts { id, format, started, .. } = &self.runs[run];
        let mut report = CellReport::new(id.clone(), *format, cell, rule);
        let known = self.state.runs[run].known.iter();
        let may_show = |bug: &&Arc<KnownBug>| bug.holds(started) && bug.cells.has(&report.cell);
        report.known = known.filter(may_show).cloned().collect();
        report.others_showed = self.state.runs[run].shown;
        report.settle();
        self.cells.push(report);
        at
    }

    /// Where the cell of this id is. One that was never planned is shown too, or its bugs would be lost.
    fn place(&mut self, run: usize, id: &str) -> usize {
        if let Some(at) = self.state.runs[run].cells.get(id) {
            return *at;
        }
        self.problem(format!("cell {id} was never planned"));
        self.add_cell(run, unplanned(id), None)
    }
}

fn unplanned(id: &str) -> Cell {
    Cell { id: id.to_owned(), kernel: "unknown".to_owned(), number: 1, ..Cell::default() }
}

/// Keeps words once each, and not without end.
fn keep(kept: &mut Vec<String>, words: &str) {
    if kept.len() < MAX_WORDS && !kept.iter().any(|known| known == words) {
        kept.push(words.to_owned());
    }
}

impl CellReport {
    fn new(run: SmolStr, format: u32, cell: Cell, rule: Option<Arc<Rule>>) -> Self {
        Self {
            run,
            cell,
            rule,
            verdict: CellVerdict::Inconclusive { reason: String::new() },
            time_to_bug: None,
            exposure: Exposure::default(),
            building: None,
            kernel: None,
            points: Vec::new(),
            variant: None,
            left_out: Vec::new(),
            bugs: Vec::new(),
            corruptions: Vec::new(),
            corruption_count: 0,
            checks: 0,
            warnings: Vec::new(),
            notices: Vec::new(),
            failure: None,
            cancelled: None,
            left_out_by_plan: false,
            known: Vec::new(),
            others_showed: false,
            finished_ms: 0,
            boots: Vec::new(),
            finished: false,
            format,
        }
    }

    /// Takes in an event that names this cell.
    fn push(&mut self, at_ms: u64, what: &What, texts: &mut usize, names: &Arc<Vec<String>>) {
        match what {
            What::CellCancelled { why, planned, .. } => {
                self.cancelled = Some(why.clone());
                self.left_out_by_plan = *planned;
            }
            What::Building { stage, done, expected, .. } => {
                let (stage, done, expected) = (stage.clone(), *done, *expected);
                self.building = Some(Building { stage, done, expected });
            }
            What::KernelReady { kernel, variant, .. } => {
                self.retried();
                self.building = None;
                self.kernel = Some(kernel.clone());
                self.variant = variant.clone();
            }
            What::PointsPlaced { points, left_out, .. } => self.place_points(points, left_out),
            What::VmStarted { boot, accel, accel_why, seed, host, argv, cmdline, .. } => {
                self.retried();
                let boot = self.boot(*boot);
                (boot.accel, boot.accel_why) = (accel.clone(), accel_why.clone());
                (boot.seed, boot.host) = (*seed, host.clone());
                (boot.argv, boot.cmdline) = (argv.clone(), cmdline.clone());
                boot.started_ms = at_ms;
            }
            What::GuestReady { boot, boot_ms, .. } => {
                let boot = self.boot(*boot);
                (boot.boot_ms, boot.times.ready) = (Some(*boot_ms), at_ms);
            }
            What::Columns { boot, .. } => self.boot(*boot).columns = Arc::clone(names),
            What::Sample { boot, row, .. } => self.boot(*boot).sampled(at_ms, row),
            What::Windows { boot, points, .. } => {
                self.boot(*boot).points.clone_from(points);
                self.count_windows(*boot);
            }
            What::Exposure { boot, exposure, .. } => {
                let boot = self.boot(*boot);
                if boot.exposure.guest_ms != exposure.guest_ms {
                    boot.times.sample = at_ms;
                }
                boot.exposure = *exposure;
            }
            What::TelemetryChecked { boot, health, .. } => self.boot(*boot).health = Some(*health),
            What::Digested { boot, digest, .. } => self.boot(*boot).digest = Some(digest.clone()),
            What::Found { boot, guest_ms, diverted, starved, finding, .. } => {
                let moment = Moment { boot: *boot, run_ms: at_ms, vm_ms: 0, guest_ms: *guest_ms };
                let starved = starved.as_ref().filter(|_| is_about_time(finding));
                self.found(moment, diverted.as_deref(), starved, finding, texts);
            }
            What::Corruption { boot, detail, .. } => {
                self.corruption_count += 1;
                if self.corruptions.len() < MAX_CORRUPTIONS {
                    let rule = self.rule.as_deref().and_then(|rule| rule.corruption);
                    let standing = match rule {
                        Some(rule::Corruption::Related) if self.cell.should_show == Some(true) => {
                            Standing::Related
                        }
                        _ => Standing::Another,
                    };
                    let (boot, run_ms, detail) = (*boot, at_ms, detail.clone());
                    let known = self.known_note(&format!("data corruption: {detail}"), standing);
                    let corruption = Corruption { boot, standing, run_ms, detail, known };
                    self.corruptions.push(corruption);
                }
            }
            What::GuestChecked { .. } => self.checks += 1,
            What::GuestWarned { boot, detail, .. } => {
                if detail.split(' ').next() == Some("stuck") {
                    self.boot(*boot).stuck = true;
                }
                keep(&mut self.warnings, detail);
            }
            What::GuestDone { boot, reason, .. } => self.boot(*boot).done = Some(reason.clone()),
            What::VmStopped { boot, why, detail, .. } => {
                let boot = self.boot(*boot);
                (boot.end, boot.end_detail) = (Some(*why), detail.clone());
                boot.columns = Arc::default();
            }
            What::CellFailed { fault, detail, .. } => {
                self.failure = Some(Failure { fault: *fault, detail: detail.clone() });
            }
            What::CellFinished { .. } => {
                self.finished = true;
                self.finished_ms = at_ms;
            }
            What::Notice { text, .. } => keep(&mut self.notices, text),
            What::RunStarted { .. }
            | What::RuleLoaded { .. }
            | What::ProfileLoaded { .. }
            | What::PlanLoaded { .. }
            | What::KnownLoaded { .. }
            | What::RunResumed { .. }
            | What::CellPlanned { .. }
            | What::CancelRequested { .. }
            | What::RunFinished { .. }
            | What::Unknown => {}
        }
    }

    /// Brings up to date what follows from the rest.
    fn settle(&mut self) {
        let counting = || self.boots.iter().filter(|boot| boot.counts());
        self.exposure = counting().fold(Exposure::default(), |sum, boot| sum + boot.exposure);
        let mut points = std::mem::take(&mut self.points);
        for point in &mut points {
            point.counts = PointCounts::default();
            for counts in counting().filter_map(|boot| boot.points.get(&point.point.id)) {
                point.counts.add(counts);
            }
        }
        self.points = points;
        self.verdict = verdict::judge(self);
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

    fn place_points(&mut self, points: &[PlacedPoint], left_out: &[LeftOutPoint]) {
        let counts = PointCounts::default;
        self.points =
            points.iter().map(|p| PointReport { point: p.clone(), counts: counts() }).collect();
        self.left_out = left_out.to_vec();
        for number in self.boots.iter().map(|boot| boot.number).collect::<Vec<_>>() {
            self.count_windows(number);
        }
    }

    /// Windows of points that are the bug's count as exposure. A point of which the log does not say
    /// what it is does, too.
    fn count_windows(&mut self, number: u32) {
        let others: Vec<&str> = self
            .points
            .iter()
            .filter(|point| !point.point.bug)
            .map(|point| point.point.id.as_str())
            .collect();
        let boot = self.boots.iter_mut().find(|boot| boot.number == number);
        let Some(boot) = boot.filter(|boot| !boot.points.is_empty()) else { return };
        let mut sum = PointCounts::default();
        for (_, counts) in boot.points.iter().filter(|(id, _)| !others.contains(&id.as_str())) {
            sum.add(counts);
        }
        boot.exposure.windows = sum.stretched;
        boot.exposure.refused = sum.refused.values().fold(0, |sum, n| sum.saturating_add(*n));
    }

    fn found(
        &mut self,
        mut first: Moment,
        diverted: Option<&str>,
        starved: Option<&String>,
        finding: &Finding,
        texts: &mut usize,
    ) {
        let rule = self.rule.as_deref();
        let matched = rule.map(|rule| rule.matches(finding));
        let same_code = rule.is_some_and(|rule| rule.is_about_the_same_code(finding));
        let cut = rule.is_some_and(|rule| rule.lacks_evidence(finding));
        let related = self.cell.should_show == Some(true)
            && rule.is_some_and(|rule| rule.is_related(finding));
        let points = self.points.iter().map(|point| &point.point);
        let fault = method::own_report(finding, points, diverted);
        let is_virtual = self.cell.is_virtual();
        let boot = self.boot(first.boot);
        boot.findings += 1;
        first.vm_ms = first.run_ms.saturating_sub(boot.started_ms);
        let after_expected = boot.showed_expected;
        let consequence = boot.struck && (same_code || finding.scene.died_before());
        let (standing, why_not) = match (fault, matched) {
            (Some(fault), _) => {
                boot.method_fault.get_or_insert(fault.point);
                (Standing::Method, Some(fault.why))
            }
            (None, _) if boot.method_fault.is_some() && method::may_follow(finding) => {
                let why = "the method had brought about a report before it in the same boot";
                (Standing::Method, Some(why.to_owned()))
            }
            (None, _) if let Some(why) = starved => {
                boot.starved.get_or_insert_with(|| why.clone());
                let why = format!("the host gave the guest too little time ({why})");
                (Standing::Starved, Some(why))
            }
            (None, None) => (Standing::Another, None),
            (None, Some(Match::Yes)) => (Standing::Expected, None),
            (None, Some(Match::No(why))) if related && !after_expected => {
                (Standing::Related, Some(why))
            }
            (None, Some(Match::No(why))) if consequence => (Standing::FollowUp, Some(why)),
            (None, Some(Match::No(why))) if after_expected && cut => (Standing::Cut, Some(why)),
            (None, Some(Match::No(why))) => (Standing::Another, Some(why)),
        };
        boot.struck |= matches!(standing, Standing::Expected | Standing::Related);
        if standing == Standing::Expected && !boot.showed_expected {
            boot.showed_expected = true;
            boot.times.bug = Some(first.run_ms);
            // Since the newest sample the guest's clock went on by as much as the host's at most: rather too long than too
            // short. A virtual one has nothing to do with the host's.
            let known = boot.times.sample.max(boot.times.ready);
            let since = if is_virtual { 0 } else { first.run_ms.saturating_sub(known) };
            boot.times.bug_guest = boot.exposure.guest_ms.saturating_add(since);
        }
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
            let mut finding = finding.clone();
            *texts += finding.text.len();
            if *texts > TEXT_BUDGET {
                finding.text.truncate(finding.text.floor_char_boundary(CUT_TEXT));
                finding.text.shrink_to_fit();
            }
            let known = self.known_note(&finding.title, standing);
            let bug = Bug { standing, why_not, known, after_expected, count: 1, first, finding };
            self.bugs.push(bug);
        }
    }

    /// What the plan says of a report that would raise an alarm, if it knows of it.
    fn known_note(&self, title: &str, standing: Standing) -> Option<String> {
        let alarms = matches!(standing, Standing::Expected | Standing::Related | Standing::Another);
        let bug = self.known.iter().find(|bug| alarms && bug.is(self, title, standing))?;
        Some(bug.note.clone())
    }
}

impl Boot {
    fn sampled(&mut self, at_ms: u64, row: &[Option<u64>]) {
        self.times.sample = at_ms;
        self.measured.add(&self.columns, row);
        let sample = SampleTable::sample(&self.columns, row);
        sample.apply(&mut self.exposure);
        self.counters = Some(sample.counters);
        self.samples += 1;
    }
}
