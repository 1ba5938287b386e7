// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a cell makes of the events that name it.

use std::sync::Arc;

use smol_str::SmolStr;

use super::keep;
use crate::event::{
    Cell, Exposure, Fault, LeftOutPoint, PlacedPoint, PointCounts, SampleTable, VmEnd, What,
};
use crate::finding::Finding;
use crate::hunt;
use crate::known::KnownBug;
use crate::method;
use crate::rule::{self, Match, Rule};
use crate::run::{
    Boot, Bug, Building, CellReport, Corruption, Failure, Moment, PointReport, Standing,
};
use crate::starved::is_about_time;
use crate::verdict::{self, CellVerdict};

/// Most distinct bugs kept of a cell. More only come from a guest that forges them.
pub(in crate::run) const MAX_BUGS: usize = 256;
/// Bytes of reports' texts kept of a run. What goes beyond is cut to [`CUT_TEXT`]: the consoles have it.
const TEXT_BUDGET: usize = 16 << 20;
/// Bytes kept of a report's text once the budget is used up.
const CUT_TEXT: usize = 1 << 10;
/// Most data corruptions kept of a cell; the rest is counted.
const MAX_CORRUPTIONS: usize = 16;

impl CellReport {
    pub(super) fn new(run: SmolStr, format: u32, cell: Cell, rule: Option<Arc<Rule>>) -> Self {
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
            hunt: None,
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
            command: None,
            known: Vec::new(),
            others_showed: false,
            finished_ms: 0,
            boots: Vec::new(),
            last_boot: 0,
            finished: false,
            format,
        }
    }

    /// Takes in an event that names this cell.
    pub(super) fn push(
        &mut self,
        at_ms: u64,
        what: &What,
        texts: &mut usize,
        names: &Arc<Vec<String>>,
    ) {
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
            What::SitesChosen { sites, functions, .. } => {
                self.hunt.get_or_insert_default().chosen(*sites, *functions);
            }
            What::SitesKnown { after, sites, .. } => {
                self.hunt.get_or_insert_default().known(after, sites);
            }
            What::SitesMapped { sites, .. } => self.hunt.get_or_insert_default().mapped(sites),
            What::Slept { boot, sleep, .. } => {
                self.boot(*boot).exposure.windows += u64::from(sleep.outcome.is_overtaken());
                self.hunt.get_or_insert_default().slept(sleep);
            }
            What::Suspected { title, suspect, .. } => {
                self.hunt.get_or_insert_default().suspected(title, suspect.as_ref());
            }
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
            What::CommandEnded { status, .. } => self.command = Some(*status),
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
            | What::Memcg { .. }
            | What::CheckLoaded { .. }
            | What::RangeLoaded { .. }
            | What::Unknown => {}
        }
    }

    /// Brings up to date what follows from the rest.
    pub(super) fn settle(&mut self) {
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

    /// The harness was killed, and the cell begins anew. Machines without a report leave no trace, as if the run had not been
    /// disturbed; what the others saw stays, but their exposure does not count.
    pub(super) fn orphaned(&mut self) {
        let corruptions = &self.corruptions;
        self.boots.retain(|boot| {
            boot.findings > 0 || corruptions.iter().any(|corruption| corruption.boot == boot.number)
        });
        for boot in &mut self.boots {
            boot.end = Some(VmEnd::Orphaned);
            boot.columns = Arc::default();
        }
        if self.boots.is_empty() {
            self.checks = 0;
            self.warnings.clear();
            self.notices.clear();
        }
    }

    /// Takes note of a bug that the plan knows of, also where it was reported already.
    pub(super) fn learn(&mut self, known: &Arc<KnownBug>) {
        if !known.cells.has(&self.cell) {
            return;
        }
        self.known.push(Arc::clone(known));
        let mut bugs = std::mem::take(&mut self.bugs);
        for bug in bugs.iter_mut().filter(|bug| bug.known.is_none()) {
            bug.known = self.known_note(&bug.finding.title, bug.standing);
        }
        let mut corruptions = std::mem::take(&mut self.corruptions);
        for one in corruptions.iter_mut().filter(|one| one.known.is_none()) {
            one.known = self.known_note(&format!("data corruption: {}", one.detail), one.standing);
        }
        (self.bugs, self.corruptions) = (bugs, corruptions);
        self.settle();
    }

    fn boot(&mut self, number: u32) -> &mut Boot {
        self.last_boot = self.last_boot.max(number);
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
        let fault = method::own_report(finding, points, diverted).or_else(|| {
            let suspects = &self.hunt.as_ref()?.suspects;
            hunt::artefact(finding, suspects.get(&finding.title)?.as_ref())
        });
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
