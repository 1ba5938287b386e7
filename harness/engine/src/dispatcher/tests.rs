// SPDX-License-Identifier: MIT OR Apache-2.0
//! Scheduling with a stand-in for the machine: instant, on a clock that jumps.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use machine::target::{Credentials, Target};
use reports::event::{RunEvent, VmEnd};
use reports::exit::Purpose;
use reports::run::CellReport;
use workloads::Profile;

use super::*;
use crate::job::{Ground as On, Place};
use crate::onlooker::Onlooker;
use crate::visit::Terms;
use workloads::profile::Technique;

struct Nobody;

impl Onlooker for Nobody {
    fn event(&self, _event: &RunEvent) {}

    fn building(&self, _cell: &str, _kernel: &str, _step: &BuildStep) {}
}

/// A machine that is played. Cells take a minute each.
#[derive(Default)]
struct StandIn {
    cpus: u64,
    /// Names of groups that cannot be prepared.
    broken: Vec<String>,
    /// Cells that panic.
    panics: Vec<String>,
    prepared: AtomicU32,
    /// Cells that run now, and the most that did so at once.
    now: Arc<Mutex<(u32, u32)>>,
}

impl Executor for StandIn {
    type Ready = ();

    fn room(&self) -> Room {
        Room { cpus: self.cpus, memory_mib: 1000, disk_mib: 1000 }
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
        async move {
            {
                let mut now = now.lock().unwrap();
                now.0 += 1;
                now.1 = now.1.max(now.0);
            }
            let (cell, boot) = (job.cell.id.clone(), 1);
            context.tell(What::GuestReady { cell: cell.clone(), boot, boot_ms: 1 }).await;
            assert!(!panics, "a mistake of ours");
            let why = tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(60)) => VmEnd::Budget,
                why = context.asked_to_stop() => why,
            };
            context.tell(What::VmStopped { cell, boot, why, detail: String::new() }).await;
            now.lock().unwrap().0 -= 1;
            Ok(())
        }
    }

    fn keep(&self, _: &CellJob, _: &(), _: &CellReport, _: &RunReport) -> io::Result<()> {
        Ok(())
    }
}

fn group(name: &str, cpus: u64) -> Arc<Group> {
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

fn jobs(group: &Arc<Group>, count: u32) -> Vec<CellJob> {
    let job = |number| {
        let id = format!("{}-{number}", group.profile.name);
        let cell = Cell { id, number, ..group.cell() };
        CellJob { cell, group: Arc::clone(group), budget: Duration::from_secs(60) }
    };
    (1..=count).map(job).collect()
}

/// Runs a campaign; gives the report and how long it took on the clock that jumps.
async fn run(
    machine: &StandIn,
    campaign: &mut impl Campaign,
    interrupt: CancellationToken,
) -> (RunReport, Duration) {
    let dir = tempfile::tempdir().unwrap();
    let mut log = EventLog::create(dir.path(), &Nobody).unwrap();
    log.run_started(1, Purpose::Search).unwrap();
    let began = Instant::now();
    let mut nothing = |_: &RunReport| Ok(());
    Dispatcher::new(machine, &mut log, interrupt, &mut nothing).run(campaign).await.unwrap();
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
