// SPDX-License-Identifier: MIT OR Apache-2.0
//! Scheduling with a stand-in for the machine: instant, on a clock that jumps.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use machine::target::{Credentials, Target};
use reports::event::{KernelFacts, RunEvent, VmEnd};
use reports::exit::Purpose;
use reports::run::CellReport;
use workloads::Profile;

use super::*;
use crate::job::{Ground as On, Place};
use crate::limits::StopRules;
use crate::onlooker::Onlooker;
use crate::trouble::Trouble;
use crate::visit::Terms;
use workloads::profile::Technique;

pub(crate) struct Nobody;

impl Onlooker for Nobody {
    fn event(&self, _event: &RunEvent) {}

    fn building(&self, _cell: &str, _kernel: &str, _step: &BuildStep) {}
}

impl StandIn {
    /// A machine with so many CPUs.
    pub(crate) fn with_cpus(cpus: u64) -> Self {
        Self { cpus, ..Self::default() }
    }
}

/// A machine that is played. Cells take a minute each.
#[derive(Default)]
pub(crate) struct StandIn {
    cpus: u64,
    /// Names of groups that cannot be prepared.
    broken: Vec<String>,
    /// Cells that panic.
    panics: Vec<String>,
    prepared: AtomicU32,
    /// Answers about its trouble, one after the other; then it has none.
    troubles: Mutex<Vec<Option<Trouble>>>,
    /// Cells in the order in which they were begun.
    begun: Arc<Mutex<Vec<String>>>,
    /// Cells that show a bug.
    buggy: Vec<String>,
    /// Cells that run now, and the most that did so at once.
    now: Arc<Mutex<(u32, u32)>>,
}

impl Executor for StandIn {
    type Ready = ();

    fn room(&self) -> Room {
        Room { cpus: self.cpus, memory_mib: 1000, disk_mib: 1000 }
    }

    fn trouble(&self) -> Option<Trouble> {
        let mut troubles = self.troubles.lock().unwrap();
        if troubles.is_empty() { None } else { troubles.remove(0) }
    }

    fn needs(&self, job: &CellJob, _ready: &()) -> Room {
        Room { cpus: job.group.profile.guest.cpus, memory_mib: 1, disk_mib: 1 }
    }

    fn prepare(
        &self,
        group: Arc<Group>,
        cell: String,
        context: Context,
    ) -> impl Future<Output = Result<Option<()>, Failed>> + Send + 'static {
        self.prepared.fetch_add(1, Ordering::Relaxed);
        let broken = self.broken.contains(&group.profile.name);
        async move {
            context.building(&cell, "kernel", kernels::Progress::Stage(kernels::Stage::Compile));
            context.building(&cell, "kernel", kernels::Progress::Notice("an option is absent"));
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(300)) => {}
                () = context.interrupt.cancelled() => return Ok(None),
            }
            let failed = || Failed { fault: Fault::Build, detail: "no kernel".to_owned() };
            if broken { Err(failed()) } else { Ok(Some(())) }
        }
    }

    fn run(
        &self,
        job: CellJob,
        _ready: (),
        context: Context,
    ) -> impl Future<Output = Result<(), Failed>> + Send + 'static {
        let now = Arc::clone(&self.now);
        let panics = self.panics.contains(&job.cell.id);
        let buggy = self.buggy.contains(&job.cell.id);
        self.begun.lock().unwrap().push(job.cell.id.clone());
        async move {
            {
                let mut now = now.lock().unwrap();
                now.0 += 1;
                now.1 = now.1.max(now.0);
            }
            let (cell, boot) = (job.cell.id.clone(), job.first_boot);
            let (kernel, variant) = (facts(), None);
            context.tell(What::KernelReady { cell: cell.clone(), kernel, variant }).await;
            context.tell(What::GuestReady { cell: cell.clone(), boot, boot_ms: 1 }).await;
            assert!(!panics, "a mistake of ours");
            if buggy {
                let detail = "page 7".to_owned();
                context.tell(What::Corruption { cell: cell.clone(), boot, detail }).await;
            }
            let why = tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(60)) => VmEnd::Budget,
                why = context.asked_to_stop() => why,
            };
            let (id, reason) = (cell.clone(), "stop".to_owned());
            context.tell(What::GuestDone { cell: id, boot, reason }).await;
            context.tell(What::VmStopped { cell, boot, why, detail: String::new() }).await;
            now.lock().unwrap().0 -= 1;
            Ok(())
        }
    }

    fn keep(&self, _: &CellJob, _: &(), _: &CellReport, _: &RunReport) -> io::Result<()> {
        Ok(())
    }
}

fn facts() -> KernelFacts {
    KernelFacts {
        release: "6.1.192".to_owned(),
        compiler: "gcc".to_owned(),
        key: "k".to_owned(),
        cached: false,
        ms: 300_000,
        source: "s".to_owned(),
        patches: Vec::new(),
        warnings: None,
        image: None,
    }
}

pub(crate) fn group(name: &str, cpus: u64) -> Arc<Group> {
    let mut profile = Profile::load("zswap-writeback-swapoff", None).unwrap();
    profile.name = name.to_owned();
    profile.guest.cpus = cpus;
    let place = Place {
        target: Target::parse("ssh://root@box").unwrap(),
        arch: &host::arch::X86_64,
        credentials: Credentials::default(),
        terms: Terms::default(),
    };
    let technique = Technique::Natural;
    Arc::new(Group::new(On::Target(place), profile, None, technique))
}

pub(crate) fn jobs(group: &Arc<Group>, count: u32) -> Vec<CellJob> {
    let job = |number| {
        let id = format!("{}-{number}", group.profile.name);
        let cell = Cell { id, number, ..group.cell() };
        CellJob::new(cell, Arc::clone(group), Duration::from_secs(60))
    };
    (1..=count).map(job).collect()
}

/// Runs a campaign; gives the report and how long it took on the clock that jumps.
async fn run(
    machine: &StandIn,
    campaign: &mut impl Campaign,
    interrupt: CancellationToken,
) -> (RunReport, Duration) {
    run_within(Limits::default(), machine, campaign, interrupt).await
}

async fn run_within(
    limits: Limits,
    machine: &StandIn,
    campaign: &mut impl Campaign,
    interrupt: CancellationToken,
) -> (RunReport, Duration) {
    let dir = tempfile::tempdir().unwrap();
    let mut log = EventLog::create(dir.path(), &Nobody).unwrap();
    log.run_started(1, Purpose::Search, 0.95).unwrap();
    let began = Instant::now();
    let mut nothing = |_: &RunReport| Ok(());
    let dispatcher = Dispatcher::new(machine, &mut log, interrupt, &mut nothing).within(limits);
    dispatcher.run(campaign).await.unwrap();
    (log.into_report(), began.elapsed())
}

#[tokio::test(start_paused = true)]
async fn cells_run_side_by_side_as_far_as_there_is_room() {
    let machine = StandIn { cpus: 8, ..StandIn::default() };
    let all = jobs(&group("two", 2), 8);
    let (report, took) = run(&machine, &mut Fixed::new(all), CancellationToken::new()).await;
    assert!(report.cells.iter().all(|cell| cell.finished));
    assert_eq!(machine.now.lock().unwrap().1, 4);
    // One preparation, then two rounds of a minute.
    assert_eq!((machine.prepared.load(Ordering::Relaxed), took.as_secs()), (1, 420));
}

#[tokio::test(start_paused = true)]
async fn a_cell_larger_than_the_machine_runs_alone() {
    let machine = StandIn { cpus: 1, ..StandIn::default() };
    let all = jobs(&group("large", 4), 2);
    let (report, _) = run(&machine, &mut Fixed::new(all), CancellationToken::new()).await;
    assert!(report.cells.iter().all(|cell| cell.finished));
    assert_eq!(machine.now.lock().unwrap().1, 1);
}

#[tokio::test(start_paused = true)]
async fn guests_run_while_the_next_kernel_is_made() {
    let machine = StandIn { cpus: 2, ..StandIn::default() };
    let all = [jobs(&group("a", 2), 5), jobs(&group("b", 2), 1)].concat();
    let (_, took) = run(&machine, &mut Fixed::new(all), CancellationToken::new()).await;
    // 300 s for the first kernel; 300 s of cells beside the second; a minute for its cell.
    assert_eq!(took.as_secs(), 660);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_cells_that_cannot_be_built_end_at_once() {
    let broken = vec!["broken".to_owned()];
    let machine = StandIn { cpus: 2, broken, ..StandIn::default() };
    let all = [jobs(&group("broken", 2), 10_000), jobs(&group("good", 2), 1)].concat();
    let (report, took) = run(&machine, &mut Fixed::new(all), CancellationToken::new()).await;
    let failed = report.cells.iter().filter(|cell| cell.failure.is_some()).count();
    assert_eq!((failed, report.cells.len()), (10_000, 10_001));
    assert!(report.cell("good-1").unwrap().failure.is_none());
    assert_eq!(took.as_secs(), 660);
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_breaks_down_costs_its_cell_and_no_other() {
    let machine = StandIn { cpus: 4, panics: vec!["two-1".to_owned()], ..StandIn::default() };
    let all = jobs(&group("two", 2), 3);
    let (report, _) = run(&machine, &mut Fixed::new(all), CancellationToken::new()).await;
    let failure = report.cell("two-1").unwrap().failure.clone().unwrap();
    assert_eq!(failure.fault, Fault::Infrastructure);
    assert!(report.cells.iter().all(|cell| cell.finished));
    assert_eq!(report.cells.iter().filter(|cell| cell.failure.is_some()).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_ends_what_runs_and_names_what_did_not() {
    let machine = StandIn { cpus: 2, ..StandIn::default() };
    let interrupt = CancellationToken::new();
    let later = interrupt.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(330)).await;
        later.cancel();
    });
    let all = jobs(&group("two", 2), 100);
    let (report, took) = run(&machine, &mut Fixed::new(all), interrupt).await;
    assert_eq!(took.as_secs(), 330);
    assert_eq!(report.cell("two-1").unwrap().boots[0].end, Some(VmEnd::Interrupted));
    assert!(report.cell("two-100").unwrap().boots.is_empty());
}

/// Compares `0` with `1`, of which it knows beforehand.
struct Compared(Arc<Group>, Arc<Group>);

impl Campaign for Compared {
    fn begin(&mut self) -> Vec<CellJob> {
        jobs(&self.0, 9)
    }

    fn foresee(&self) -> Vec<(Arc<Group>, String)> {
        vec![(Arc::clone(&self.1), "other-1".to_owned())]
    }

    fn missed(&mut self, group: &Arc<Group>) -> Option<CellJob> {
        assert!(Arc::ptr_eq(group, &self.1));
        jobs(&self.1, 1).pop()
    }

    fn more(&mut self, _report: &RunReport) -> Vec<CellJob> {
        Vec::new()
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_nothing_to_be_compared_with_is_not_run_to_its_end() {
    let broken = vec!["other".to_owned()];
    let machine = StandIn { cpus: 2, broken, ..StandIn::default() };
    let mut campaign = Compared(group("one", 2), group("other", 2));
    let (report, _) = run(&machine, &mut campaign, CancellationToken::new()).await;
    let failure = report.cell("other-1").unwrap().failure.clone().unwrap();
    assert_eq!(failure.fault, Fault::Build);
    let run = report.cells.iter().filter(|cell| !cell.boots.is_empty()).count();
    // It takes five minutes to know, and a cell takes one.
    assert!((5..=6).contains(&run), "{run}");
    assert_eq!(report.cells.iter().filter(|cell| cell.cancelled.is_some()).count(), 9 - run);
}

/// Asks for one cell more after each, three in all.
struct OneMore(Arc<Group>, u32);

impl Campaign for OneMore {
    fn begin(&mut self) -> Vec<CellJob> {
        jobs(&self.0, 1)
    }

    fn foresee(&self) -> Vec<(Arc<Group>, String)> {
        vec![(Arc::clone(&self.0), "to come".to_owned())]
    }

    fn more(&mut self, _report: &RunReport) -> Vec<CellJob> {
        self.1 += 1;
        if self.1 < 3 { jobs(&self.0, self.1 + 1).pop().into_iter().collect() } else { Vec::new() }
    }
}

#[tokio::test(start_paused = true)]
async fn a_campaign_goes_on_from_what_it_saw() {
    let machine = StandIn { cpus: 2, ..StandIn::default() };
    let mut campaign = OneMore(group("two", 2), 0);
    let (report, _) = run(&machine, &mut campaign, CancellationToken::new()).await;
    assert_eq!(report.cells.len(), 3);
    assert_eq!(report.problems, Vec::<String>::new(), "what is made ahead is of no cell");
    assert_eq!(machine.prepared.load(Ordering::Relaxed), 1);
}

fn words(report: &RunReport) -> Vec<&'static str> {
    report.cells.iter().map(|cell| cell.verdict.word()).collect()
}

#[tokio::test(start_paused = true)]
async fn the_end_of_its_time_ends_a_run_and_what_it_did_not_come_to_is_left_out() {
    let machine = StandIn { cpus: 2, ..StandIn::default() };
    let limits = Limits::within(Some(Duration::from_secs(390)), None);
    let mut all = Fixed::new(jobs(&group("two", 2), 4));
    let (report, took) = run_within(limits, &machine, &mut all, CancellationToken::new()).await;
    assert_eq!(took.as_secs(), 390);
    let ends: Vec<_> =
        report.cells.iter().map(|cell| cell.boots.first().and_then(|b| b.end)).collect();
    assert_eq!(ends, [Some(VmEnd::Budget), Some(VmEnd::HostBudget), None, None]);
    assert_eq!(words(&report)[2..], ["left out"; 2]);
    assert!(!report.interrupted());
}

#[tokio::test(start_paused = true)]
async fn a_build_does_not_outlast_the_run() {
    let machine = StandIn { cpus: 2, ..StandIn::default() };
    let limits = Limits::within(Some(Duration::from_secs(100)), None);
    let mut all = Fixed::new(jobs(&group("two", 2), 1));
    let (report, took) = run_within(limits, &machine, &mut all, CancellationToken::new()).await;
    assert_eq!((took.as_secs(), words(&report)), (100, vec!["left out"]));
    // Nothing was run, which is no good news.
    assert_eq!(report.exit_code(Purpose::Search).code(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_slow_cell_does_not_hold_up_the_others() {
    let machine = StandIn { cpus: 2, ..StandIn::default() };
    let mut all = jobs(&group("two", 2), 2);
    all[0].time = Some(Duration::from_secs(20));
    let (report, took) = run(&machine, &mut Fixed::new(all), CancellationToken::new()).await;
    assert_eq!(took.as_secs(), 300 + 20 + 60);
    assert_eq!(report.cells[0].boots[0].end, Some(VmEnd::HostBudget));
    assert_eq!(report.cells[1].boots[0].end, Some(VmEnd::Budget));
}

#[tokio::test(start_paused = true)]
async fn a_machine_in_trouble_begins_nothing_until_it_is_over() {
    let trouble = |is_slowness| Some(Trouble { why: "the disk is full".to_owned(), is_slowness });
    let full = StandIn { cpus: 2, ..StandIn::default() };
    *full.troubles.lock().unwrap() = vec![trouble(false); 100];
    let all = || Fixed::new(jobs(&group("two", 2), 1));
    let waits = || Limits { waits: true, ..Limits::default() };
    let (report, took) = run_within(waits(), &full, &mut all(), CancellationToken::new()).await;
    assert_eq!(took.as_secs(), 100 * 10 + 300 + 60);
    assert_eq!(report.runs[0].notices.len(), 2, "{:?}", report.runs[0].notices);
    // Slowness is not waited for without end.
    let slow = StandIn { cpus: 2, ..StandIn::default() };
    *slow.troubles.lock().unwrap() = vec![trouble(true); 61];
    let (_, took) = run_within(waits(), &slow, &mut all(), CancellationToken::new()).await;
    assert_eq!(took.as_secs(), 600 + 300 + 60);
    // Nor does it outlast the run.
    let forever = StandIn { cpus: 2, ..StandIn::default() };
    *forever.troubles.lock().unwrap() = vec![trouble(false); 1000];
    let limits = Limits { waits: true, ..Limits::within(Some(Duration::from_secs(95)), None) };
    let (report, took) = run_within(limits, &forever, &mut all(), CancellationToken::new()).await;
    assert_eq!((took.as_secs(), words(&report)), (95, vec!["left out"]));
    // A disk that stays full ends it, and that is no answer.
    let full = StandIn { cpus: 2, ..StandIn::default() };
    *full.troubles.lock().unwrap() = vec![trouble(false); 1000];
    let (report, took) = run_within(waits(), &full, &mut all(), CancellationToken::new()).await;
    assert_eq!((took.as_secs(), words(&report)), (3600, vec!["inconclusive"]));
    // Who does not wait begins, and hears what comes of it.
    let full = StandIn { cpus: 2, ..StandIn::default() };
    *full.troubles.lock().unwrap() = vec![trouble(false); 1000];
    let (_, took) = run(&full, &mut all(), CancellationToken::new()).await;
    assert_eq!(took.as_secs(), 360);
}

#[tokio::test(start_paused = true)]
async fn what_has_its_answer_is_not_run_again_and_again() {
    let buggy = vec!["two-1".to_owned(), "two-2".to_owned()];
    let machine = StandIn { cpus: 2, buggy, ..StandIn::default() };
    let all = || [jobs(&group("two", 2), 4), jobs(&group("other", 2), 2)].concat();
    let stop = StopRules { same_cell: Some(2), ..StopRules::default() };
    let limits = Limits { stop, ..Limits::default() };
    let (report, _) =
        run_within(limits, &machine, &mut Fixed::new(all()), CancellationToken::new()).await;
    assert_eq!(words(&report)[..4], ["another bug", "another bug", "left out", "left out"]);
    assert!(report.cells[4..].iter().all(|cell| cell.boots.len() == 1));
    let stop = StopRules { bugs: Some(1), ..StopRules::default() };
    let limits = Limits { stop, ..Limits::default() };
    let (report, _) =
        run_within(limits, &machine, &mut Fixed::new(all()), CancellationToken::new()).await;
    assert_eq!(report.cells.iter().filter(|cell| cell.boots.is_empty()).count(), 5);
    assert_eq!(report.exit_code(Purpose::Search).code(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_fails_every_cell_is_not_given_more() {
    let panics = ["two-2", "two-3"].map(str::to_owned).to_vec();
    let machine = StandIn { cpus: 2, panics, ..StandIn::default() };
    let stop = StopRules { infrastructure: Some(2), ..StopRules::default() };
    let limits = Limits { stop, ..Limits::default() };
    let mut all = Fixed::new(jobs(&group("two", 2), 5));
    let (report, _) = run_within(limits, &machine, &mut all, CancellationToken::new()).await;
    assert_eq!(report.cells.iter().filter(|cell| cell.boots.is_empty()).count(), 2);
    assert_eq!(report.exit_code(Purpose::Search).code(), 3);
    let why = report.cells[4].cancelled.clone().unwrap();
    assert!(why.contains("2 cells in a row failed"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn cells_are_begun_by_rank_and_told_in_the_plans_order() {
    let machine = StandIn { cpus: 2, ..StandIn::default() };
    let mut all = jobs(&group("two", 2), 3);
    for (job, rank) in all.iter_mut().zip([2, 0, 1]) {
        job.rank = rank;
    }
    let (report, _) = run(&machine, &mut Fixed::new(all), CancellationToken::new()).await;
    assert_eq!(*machine.begun.lock().unwrap(), ["two-2", "two-3", "two-1"]);
    let told: Vec<&str> = report.cells.iter().map(|cell| cell.cell.id.as_str()).collect();
    assert_eq!(told, ["two-1", "two-2", "two-3"]);
}
