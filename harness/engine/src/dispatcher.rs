// SPDX-License-Identifier: MIT OR Apache-2.0
//! The dispatcher: owns the queue, the event log and what is free of the machine.
//!
//! It asks a [`Campaign`] what to run, has the [`Executor`] make what each group of cells needs, and starts cells
//! side by side as far as there is room. Units tell it what happens; it writes that down, in the order in which it
//! comes, and nobody else writes.

mod patience;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use reports::event::{Cell, Fault, What};
use reports::run::RunReport;
use tokio::sync::mpsc;
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::patience::{Held, at};
use crate::event_log::EventLog;
use crate::executor::{Executor, Failed};
use crate::job::{CellJob, Group, Room};
use crate::limits::{Limits, Tally, Verdict, is_same};
use crate::unit::{BuildStep, Context, Message, channel};

/// The log hears of a build's progress at most so often.
const BUILD_PERIOD: Duration = Duration::from_secs(5);

/// Who ends a run in the log if it is the user.
pub const INTERRUPT: &str = "Ctrl-C";

/// What to run: decides from what was seen.
pub trait Campaign {
    /// The cells to begin with.
    fn begin(&mut self) -> Vec<CellJob>;

    /// Groups of which cells may come later, each with the id of its first one: what they need is made
    /// meanwhile.
    fn foresee(&self) -> Vec<(Arc<Group>, String)> {
        Vec::new()
    }

    /// What a foreseen group needs cannot be made. A cell that is returned is logged as failed for it, and all
    /// that have not begun are cancelled: without that group they would be for nothing.
    fn missed(&mut self, _group: &Arc<Group>) -> Option<CellJob> {
        None
    }

    /// More cells, now that one has finished. Nothing, once all was asked for.
    fn more(&mut self, report: &RunReport) -> Vec<CellJob>;
}

/// Units that run, by number.
#[derive(Debug)]
enum Running {
    /// Makes what a group needs, until it is told to stop.
    Preparing(usize, CancellationToken),
    /// Runs a cell.
    Cell(Box<CellJob>, Room, Overtime),
}

/// When a cell's time is used up, and how it is told.
#[derive(Debug)]
struct Overtime {
    at: Option<Instant>,
    token: CancellationToken,
}

/// What is known of a group.
#[derive(Debug)]
struct Ground<R> {
    group: Arc<Group>,
    state: State<R>,
}

#[derive(Debug)]
enum State<R> {
    Unknown,
    Preparing,
    Ready(R),
    Failed(Failed),
}

/// What a unit's future comes to.
enum Outcome<R> {
    Prepared(Result<Option<R>, Failed>),
    Ran(Result<(), Failed>),
}

/// Runs everything that a campaign asks for.
pub struct Dispatcher<'a, 'log, E: Executor> {
    executor: &'a E,
    log: &'a mut EventLog<'log>,
    interrupt: CancellationToken,
    /// Called after each cell, with what the run has come to.
    after_cell: &'a mut (dyn FnMut(&RunReport) -> io::Result<()> + Send),
    grounds: Vec<Ground<E::Ready>>,
    /// Places in `grounds`, by the address of the group, which they keep alive.
    places: HashMap<usize, usize>,
    limits: Limits,
    tally: Tally,
    /// True once the run's time is used up, or it has seen enough.
    closed: bool,
    /// Whether something has changed since it was last looked at what can be started.
    changed: bool,
    /// The machine's trouble, while it has one.
    held: Option<Held>,
    queue: VecDeque<CellJob>,
    foreseen: VecDeque<(Arc<Group>, String)>,
    running: BTreeMap<u64, Running>,
    units: JoinSet<(u64, Outcome<E::Ready>)>,
    numbers: BTreeMap<Id, u64>,
    next_unit: u64,
    taken: Room,
    teller: mpsc::Sender<Message>,
    told: mpsc::Receiver<Message>,
    /// When the log last heard of each build, and of which stage.
    builds: BTreeMap<String, (Instant, String)>,
}

impl<'a, 'log, E: Executor> Dispatcher<'a, 'log, E> {
    /// A dispatcher that writes into `log` until `interrupt`.
    pub fn new(
        executor: &'a E,
        log: &'a mut EventLog<'log>,
        interrupt: CancellationToken,
        after_cell: &'a mut (dyn FnMut(&RunReport) -> io::Result<()> + Send),
    ) -> Self {
        let (teller, told) = channel();
        Self {
            executor,
            log,
            interrupt,
            after_cell,
            grounds: Vec::new(),
            places: HashMap::new(),
            limits: Limits::default(),
            tally: Tally::default(),
            closed: false,
            changed: true,
            held: None,
            queue: VecDeque::new(),
            foreseen: VecDeque::new(),
            running: BTreeMap::new(),
            units: JoinSet::new(),
            numbers: BTreeMap::new(),
            next_unit: 0,
            taken: Room::NONE,
            teller,
            told,
            builds: BTreeMap::new(),
        }
    }

    /// The same, within limits.
    #[must_use]
    pub fn within(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Runs the campaign to its end.
    ///
    /// # Errors
    /// Those of writing the event log, after which all units are dropped: nobody's report depends on what
    /// did not reach the disk.
    pub async fn run(mut self, campaign: &mut impl Campaign) -> io::Result<()> {
        let begin = campaign.begin();
        self.plan(begin)?;
        self.foreseen = campaign.foresee().into();
        let mut interrupted = false;
        loop {
            if self.interrupt.is_cancelled() {
                if !std::mem::replace(&mut interrupted, true) {
                    self.log
                        .emit(What::CancelRequested { by: INTERRUPT.into(), at_once: false })?;
                }
                self.cancel_queue(INTERRUPT, false)?;
            } else {
                self.check_time()?;
                if !self.closed && std::mem::take(&mut self.changed) {
                    self.start(campaign)?;
                }
            }
            if self.running.is_empty() && self.queue.is_empty() {
                return Ok(());
            }
            let next = self.next_look();
            tokio::select! {
                () = at(next), if next.is_some() => {}
                Some(message) = self.told.recv() => self.hear(message)?,
                Some(done) = self.units.join_next_with_id() => {
                    // All that the unit said lies in the channel by now.
                    while let Ok(message) = self.told.try_recv() {
                        self.hear(message)?;
                    }
                    match done {
                        Ok((id, (unit, outcome))) => {
                            self.numbers.remove(&id);
                            self.ended(unit, outcome, campaign)?;
                        }
                        Err(error) => self.broke_down(error, campaign)?,
                    }
                }
                () = self.interrupt.cancelled(), if !interrupted => {}
            }
        }
    }

    /// Puts cells into the queue, and all of them into the log: a run that is cut short shows what it did
    /// not come to.
    fn plan(&mut self, jobs: Vec<CellJob>) -> io::Result<()> {
        for job in jobs {
            // A run that is resumed knows its cells.
            if !self.is_planned(&job.cell.id) {
                self.log.emit(What::CellPlanned { cell: job.cell.clone() })?;
            }
            self.ground_of(&job.group);
            self.queue.push_back(job);
            self.changed = true;
        }
        self.queue.make_contiguous().sort_by_key(|job| job.rank);
        Ok(())
    }

    /// Starts what can be started.
    fn start(&mut self, campaign: &mut impl Campaign) -> io::Result<()> {
        if self.is_held()? {
            return Ok(());
        }
        let mut waiting = VecDeque::new();
        while let Some(job) = self.queue.pop_front() {
            let index = self.ground_of(&job.group);
            match &self.grounds[index].state {
                State::Failed(failed) => {
                    let failed = failed.clone();
                    self.log_failure(&job.cell, &failed)?;
                    self.finish(&job.cell, campaign)?;
                    continue;
                }
                State::Ready(ready) => {
                    let needs = self.executor.needs(&job, ready);
                    // A cell that is larger than the machine runs alone.
                    let alone = self.taken == Room::NONE;
                    if alone || self.executor.room().fits(&self.taken, &needs) {
                        let ready = ready.clone();
                        self.start_cell(job, ready, needs);
                        continue;
                    }
                }
                // A build takes all processors: one at a time.
                State::Unknown if !self.is_preparing() => {
                    self.start_preparing(index, job.cell.id.clone());
                }
                State::Unknown | State::Preparing => {}
            }
            waiting.push_back(job);
        }
        self.queue.append(&mut waiting);
        if !self.is_preparing()
            && let Some((group, cell)) = self.foreseen.pop_front()
        {
            let index = self.ground_of(&group);
            if matches!(self.grounds[index].state, State::Unknown) {
                self.start_preparing(index, cell);
            }
        }
        Ok(())
    }

    /// Where the state of a group is; one that is new is unknown.
    fn ground_of(&mut self, group: &Arc<Group>) -> usize {
        let next = self.grounds.len();
        let place = *self.places.entry(Arc::as_ptr(group).addr()).or_insert(next);
        if place == next {
            self.grounds.push(Ground { group: Arc::clone(group), state: State::Unknown });
        }
        place
    }

    fn is_preparing(&self) -> bool {
        self.running.values().any(|unit| matches!(unit, Running::Preparing(..)))
    }

    fn start_preparing(&mut self, index: usize, cell: String) {
        let ground = &mut self.grounds[index];
        ground.state = State::Preparing;
        let token = self.interrupt.child_token();
        let context = Context::new(self.teller.clone(), token.clone());
        let work = self.executor.prepare(Arc::clone(&ground.group), cell, context);
        self.spawn(Running::Preparing(index, token), async { Outcome::Prepared(work.await) });
    }

    fn start_cell(&mut self, job: CellJob, ready: E::Ready, needs: Room) {
        let context = Context::new(self.teller.clone(), self.interrupt.child_token());
        let at = job.time.and_then(|time| Instant::now().checked_add(time));
        let overtime = Overtime { at, token: context.overtime.clone() };
        let work = self.executor.run(job.clone(), ready, context);
        self.taken = self.taken.plus(&needs);
        let running = Running::Cell(Box::new(job), needs, overtime);
        self.spawn(running, async { Outcome::Ran(work.await) });
    }

    fn spawn(
        &mut self,
        running: Running,
        work: impl Future<Output = Outcome<E::Ready>> + Send + 'static,
    ) {
        let unit = self.next_unit;
        self.next_unit += 1;
        self.running.insert(unit, running);
        let task = self.units.spawn(async move { (unit, work.await) });
        self.numbers.insert(task.id(), unit);
    }

    fn hear(&mut self, message: Message) -> io::Result<()> {
        match message {
            // What is made ahead is for a cell that the log does not know yet.
            Message::Event(What::Notice { cell: Some(cell), text }) if !self.is_planned(&cell) => {
                self.log.emit(What::Notice { cell: None, text })
            }
            Message::Event(what) => self.log.emit(what),
            Message::Past(what, ago) => self.log.emit_past(what, ago),
            Message::Building { cell, kernel, step } => self.building(cell, &kernel, &step),
        }
    }

    fn is_planned(&self, cell: &str) -> bool {
        self.log.report().cell(cell).is_some()
    }

    fn building(&mut self, cell: String, kernel: &str, step: &BuildStep) -> io::Result<()> {
        self.log.onlooker().building(&cell, kernel, step);
        if !self.is_planned(&cell) {
            return Ok(());
        }
        let now = Instant::now();
        let fresh = self.builds.get(&cell).is_some_and(|(at, stage)| {
            *stage == step.stage && now.saturating_duration_since(*at) < BUILD_PERIOD
        });
        if fresh {
            return Ok(());
        }
        self.builds.insert(cell.clone(), (now, step.stage.clone()));
        let (stage, done, expected) = (step.stage.clone(), step.done, step.expected);
        self.log.emit(What::Building { cell, stage, done, expected })
    }

    fn ended(
        &mut self,
        unit: u64,
        outcome: Outcome<E::Ready>,
        campaign: &mut impl Campaign,
    ) -> io::Result<()> {
        let Some(running) = self.running.remove(&unit) else { return Ok(()) };
        self.changed = true;
        match (running, outcome) {
            (Running::Preparing(index, _), Outcome::Prepared(made)) => {
                let ground = &mut self.grounds[index];
                let group = Arc::clone(&ground.group);
                ground.state = match made {
                    Ok(Some(ready)) => State::Ready(ready),
                    Ok(None) => State::Unknown,
                    Err(failed) => State::Failed(failed),
                };
                let wanted = self.queue.iter().any(|job| Arc::ptr_eq(&job.group, &group));
                if let State::Failed(_) = &self.grounds[index].state
                    && !wanted
                    && let Some(missed) = campaign.missed(&group)
                {
                    self.cancel_queue("what it was to be compared with cannot be made", false)?;
                    self.plan(vec![missed])?;
                }
                Ok(())
            }
            (Running::Cell(job, needs, _), outcome) => {
                self.release(&needs);
                if let Outcome::Ran(Err(failed)) = outcome {
                    self.log_failure(&job.cell, &failed)?;
                }
                self.finish(&job.cell, campaign)?;
                self.keep(&job)
            }
            (Running::Preparing(..), Outcome::Ran(_)) => Ok(()),
        }
    }

    fn release(&mut self, needs: &Room) {
        let Room { cpus, memory_mib, disk_mib } = &mut self.taken;
        *cpus -= needs.cpus;
        *memory_mib -= needs.memory_mib;
        *disk_mib -= needs.disk_mib;
    }

    /// A unit that broke down is ours to blame, never the kernel's.
    fn broke_down(
        &mut self,
        error: tokio::task::JoinError,
        campaign: &mut impl Campaign,
    ) -> io::Result<()> {
        let Some(unit) = self.numbers.remove(&error.id()) else { return Ok(()) };
        let failed = Failed {
            fault: Fault::Infrastructure,
            detail: format!("swapstorm broke down here; please report it: {error}"),
        };
        self.changed = true;
        match self.running.remove(&unit) {
            Some(Running::Preparing(index, _)) => self.grounds[index].state = State::Failed(failed),
            Some(Running::Cell(job, needs, _)) => {
                self.release(&needs);
                self.log_failure(&job.cell, &failed)?;
                self.finish(&job.cell, campaign)?;
            }
            None => {}
        }
        Ok(())
    }

    fn log_failure(&mut self, cell: &Cell, failed: &Failed) -> io::Result<()> {
        let Failed { fault, detail } = failed.clone();
        self.log.emit(What::CellFailed { cell: cell.id.clone(), fault, detail })
    }

    fn finish(&mut self, cell: &Cell, campaign: &mut impl Campaign) -> io::Result<()> {
        self.log.emit(What::CellFinished { cell: cell.id.clone() })?;
        (self.after_cell)(self.log.report())?;
        if self.interrupt.is_cancelled() || self.closed {
            return Ok(());
        }
        let more = campaign.more(self.log.report());
        self.plan(more)?;
        let report = self.log.report();
        let Some(finished) = report.cell(&cell.id) else { return Ok(()) };
        match self.tally.finished(finished, report, &self.limits.stop) {
            Verdict::GoOn => Ok(()),
            Verdict::Stop { why, planned } => self.close(&why, planned),
            Verdict::LeaveOut(why) => {
                self.withdraw(|other| is_same(other, cell), &why, true);
                let queue = std::mem::take(&mut self.queue);
                let (same, others) = queue.into_iter().partition(|job| is_same(&job.cell, cell));
                self.queue = others;
                self.cancel(same, &why, true)
            }
        }
    }

    /// Tells the executor that nobody needs the cells of this kind that it was given.
    fn withdraw(&self, unneeded: impl Fn(&Cell) -> bool, why: &str, planned: bool) {
        let cells = self.running.values().filter_map(|unit| match unit {
            Running::Cell(job, ..) if unneeded(&job.cell) => Some(job.cell.id.as_str()),
            _ => None,
        });
        self.executor.withdraw(&cells.collect::<Vec<_>>(), why, planned);
    }

    fn keep(&mut self, job: &CellJob) -> io::Result<()> {
        let index = self.ground_of(&job.group);
        let report = self.log.report();
        match (&self.grounds[index].state, report.cell(&job.cell.id)) {
            (State::Ready(ready), Some(cell)) => self.executor.keep(job, ready, cell, report),
            _ => Ok(()),
        }
    }

    fn cancel_queue(&mut self, why: &str, planned: bool) -> io::Result<()> {
        let queue = std::mem::take(&mut self.queue);
        self.cancel(queue, why, planned)
    }

    fn cancel(&mut self, jobs: VecDeque<CellJob>, why: &str, planned: bool) -> io::Result<()> {
        for job in jobs {
            let (cell, why) = (job.cell.id, why.to_owned());
            self.log.emit(What::CellCancelled { cell, why, planned })?;
        }
        Ok(())
    }
}

/// A campaign that knows all its cells beforehand.
#[derive(Debug)]
pub struct Fixed(Vec<CellJob>);

impl Fixed {
    /// Runs these cells.
    pub fn new(jobs: Vec<CellJob>) -> Self {
        Self(jobs)
    }
}

impl Campaign for Fixed {
    fn begin(&mut self) -> Vec<CellJob> {
        std::mem::take(&mut self.0)
    }

    fn more(&mut self, _report: &RunReport) -> Vec<CellJob> {
        Vec::new()
    }
}

#[cfg(test)]
pub(crate) mod tests;
