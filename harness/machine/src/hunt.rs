// SPDX-License-Identifier: MIT OR Apache-2.0
//! The hunter: makes tasks sleep at every call of chosen functions, one after the other, in one
//! live guest, while the other side of a race is driven past them.
//!
//! It is the stretcher's method ([`crate::stretch`]) where nobody knows the window. Calls are first
//! *mapped*: a breakpoint each, in batches, until somebody came by who may sleep there, or was refused.
//! Those that may be slept at are then *visited*: a few are armed at once, and the first task that comes
//! to one of them sleeps, alone. The guest's agent is asked for the other side (a swapoff of every device) at that
//! moment, and the task sleeps on, a slice of guest time at a time, until all of it has been
//! done, or too much time has passed: then the task may be what it waits for.
//!
//! Breakpoints are moved while the machine stands: at a hit or a return, or when it is asked to stop for that.
//! Nothing here knows what a report is; whoever watches the console has [`Note`]s of who slept where.

mod atlas;
mod note;
mod plan;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::random::Random;
use crate::stretch::StretchError;
use crate::stretch::divert::{Diverted, enter};
use crate::stretch::gdb::{Gdb, Registers, Stop};
use crate::stretch::refusal::refusal;

use atlas::Atlas;
pub use note::{Act, Actor, Cue, Learnt, Mapped, Met, Note, Outcome, Request, Sleep};
pub use plan::{HuntPlan, Place};

/// Milliseconds of guest time that a task sleeps before it is looked at what was done meanwhile.
pub const SLICE_MS: u64 = 20;
/// A task that sleeps is let go if nothing at all was done within this part of the time that the other side takes where
/// nobody is in its way; but not before so many slices.
const ALONE: f64 = 3.0;
/// The same for one beside which something was done.
const IN_ALL: f64 = 6.0;
/// See [`ALONE`].
const FEWEST_SLICES: u64 = 5;
/// Slices after which a task is let go in any case: the guest's own limits for a task that hangs are far above.
const MOST_SLICES: u64 = 150;
/// How long the other side is waited for where nobody sleeps.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a batch is mapped at least. It is until the other side has done something, too.
const MAPPING: Duration = Duration::from_millis(600);
/// How long an armed site is waited at for somebody to come by; where the other side takes longer, as long as that:
/// such a guest gets little done.
const VISIT: Duration = Duration::from_millis(1500);
/// So often a visit, or the map, has a task that must not sleep there, before it is given up.
const MOST_REFUSED: u32 = 3;
/// Sites that are armed at once: more breakpoints, though never hit, slow the guest down.
const ARMED: usize = 4;

/// What the hunter is about.
#[derive(Debug)]
enum Phase {
    /// Nothing: the storm has not begun, or ends.
    Idle,
    /// It looks who comes to these sites.
    Mapping(Vec<Armed>),
    /// The first task that comes to one of these sites sleeps.
    Visiting(Vec<Armed>),
}

/// A site with a breakpoint, as long as nobody sleeps.
#[derive(Debug)]
struct Armed {
    site: usize,
    /// How long it stays armed.
    left: Duration,
    refused: u32,
}

/// The task that sleeps.
#[derive(Debug)]
struct Sleeper {
    site: usize,
    task: Diverted,
    below: u64,
    slices: u64,
}

/// What the agent was asked for last.
#[derive(Debug)]
struct Asked {
    request: Request,
    /// Since when, or since when nobody is in its way.
    since: Instant,
    /// To what something was done since, be it begun before.
    done: BTreeSet<String>,
    /// To what it was done from beginning to end.
    whole: BTreeSet<String>,
}

/// The hunter in one virtual machine.
#[derive(Debug)]
pub struct Hunter {
    gdb: Gdb,
    plan: Arc<HuntPlan>,
    atlas: Atlas,
    phase: Phase,
    /// Since when the machine has been running with the breakpoints that it has.
    since: Instant,
    /// Breakpoints that are set, the trap left out.
    set: BTreeSet<u64>,
    sleeper: Option<Sleeper>,
    /// Swap devices.
    devices: usize,
    asked: Option<Asked>,
    requests: u32,
    /// By actor, how long a request takes where nobody is in its way, about; `None` until that was seen.
    pace: [Option<Duration>; Actor::ALL.len()],
    /// True from asking the machine to stop until it does.
    interrupted: bool,
    /// True once the guest is ending.
    ending: bool,
    cues: mpsc::Receiver<Cue>,
    notes: mpsc::Sender<Note>,
}

impl Hunter {
    /// Takes the machine behind `stream`, which runs from then on. The hunt begins with [`Cue::Storm`].
    ///
    /// # Errors
    /// Those of the gdbstub.
    pub async fn start(
        stream: UnixStream,
        plan: Arc<HuntPlan>,
        random: Random,
        cues: mpsc::Receiver<Cue>,
        notes: mpsc::Sender<Note>,
    ) -> Result<Self, StretchError> {
        let mut gdb = Gdb::connect(stream).await?;
        gdb.insert_breakpoint(plan.trap).await?;
        gdb.resume().await?;
        let atlas = Atlas::new(&plan, random);
        Ok(Self {
            gdb,
            plan,
            atlas,
            phase: Phase::Idle,
            since: Instant::now(),
            set: BTreeSet::new(),
            sleeper: None,
            devices: 0,
            asked: None,
            requests: 0,
            pace: [None; Actor::ALL.len()],
            interrupted: false,
            ending: false,
            cues,
            notes,
        })
    }

    /// Works until the machine is gone.
    pub async fn run(mut self) -> StretchError {
        loop {
            if let Err(error) = self.one_step().await {
                return error;
            }
        }
    }

    async fn one_step(&mut self) -> Result<(), StretchError> {
        let due = self.due().filter(|_| !self.interrupted);
        tokio::select! {
            stop = self.gdb.stopped() => {
                let stop = stop?;
                match stop.signal {
                    Stop::TRAP => {}
                    Stop::INTERRUPT if self.interrupted => {}
                    // The machine is being shut down, or somebody else has stopped it.
                    _ => return Ok(()),
                }
                // A stop that came by itself meanwhile is the answer, too.
                self.interrupted = false;
                self.pass(self.since.elapsed());
                // What was done is heard of by another way, which may be behind.
                while let Ok(cue) = self.cues.try_recv() {
                    self.heard(cue);
                }
                if stop.signal == Stop::TRAP {
                    self.hit(&stop).await?;
                }
                self.arrange().await?;
                self.gdb.resume().await?;
                self.since = Instant::now();
            }
            Some(cue) = self.cues.recv() => {
                if self.heard(cue) {
                    self.interrupt().await?;
                }
            }
            () = until(due), if due.is_some() => self.interrupt().await?,
        }
        Ok(())
    }

    /// Asks the machine to stop, so that breakpoints can be moved.
    async fn interrupt(&mut self) -> Result<(), StretchError> {
        if !std::mem::replace(&mut self.interrupted, true) {
            self.gdb.interrupt().await?;
        }
        Ok(())
    }

    /// When breakpoints are to be moved.
    fn due(&self) -> Option<Instant> {
        let armed = match &self.phase {
            Phase::Idle => return None,
            _ if self.sleeper.is_some() => return None,
            Phase::Mapping(armed) | Phase::Visiting(armed) => armed,
        };
        let left = armed.iter().map(|armed| armed.left).filter(|left| !left.is_zero()).min();
        let patience = self.asked.as_ref().filter(|_| self.waits()).map(|a| a.since + PATIENCE);
        match (&self.phase, patience) {
            (Phase::Visiting(_), Some(patience)) => Some(patience),
            (_, patience) => left.map(|left| self.since + left).or(patience),
        }
    }

    /// Whether something that was asked for is still to be done.
    fn waits(&self) -> bool {
        self.asked.as_ref().is_some_and(|asked| {
            asked.whole.len() < self.things(asked.request.actor) && asked.since.elapsed() < PATIENCE
        })
    }

    /// To how many things an actor does what it is asked for.
    fn things(&self, actor: Actor) -> usize {
        match actor {
            Actor::Swapoff => self.devices,
            Actor::Cpu | Actor::Zswap => 1,
        }
    }

    /// The machine has run for so long with the breakpoints that it has.
    fn pass(&mut self, ran: Duration) {
        if self.set.is_empty() {
            return;
        }
        if let Phase::Mapping(armed) | Phase::Visiting(armed) = &mut self.phase {
            for armed in armed {
                armed.left = armed.left.saturating_sub(ran);
            }
        }
    }

    /// True if the machine is to be stopped for it.
    fn heard(&mut self, cue: Cue) -> bool {
        match cue {
            Cue::Storm { devices } => {
                self.devices = devices;
                if !self.ending {
                    self.phase = Phase::Visiting(Vec::new());
                }
                !self.ending
            }
            Cue::Done(act) => {
                let things = self.things(act.actor);
                let Some(asked) = &mut self.asked else { return false };
                if act.request < asked.request.number
                    || act.actor != asked.request.actor
                    || asked.whole.len() >= things
                {
                    return false;
                }
                if act.since >= asked.request.number {
                    asked.whole.insert(act.to.clone());
                }
                asked.done.insert(act.to);
                let is_all = asked.whole.len() == things;
                if is_all && self.sleeper.is_none() {
                    let took = asked.since.elapsed();
                    let pace = &mut self.pace[asked.request.actor as usize];
                    *pace = Some(pace.map_or(took, |pace| (pace * 3 + took) / 4));
                }
                is_all && self.sleeper.is_none()
            }
            Cue::Ending => {
                self.ending = true;
                self.phase = Phase::Idle;
                true
            }
        }
    }

    /// A breakpoint was hit.
    async fn hit(&mut self, stop: &Stop) -> Result<(), StretchError> {
        let plan = Arc::clone(&self.plan);
        let registers = self.gdb.registers(&stop.thread).await?;
        let pc = self.gdb.get(&registers, plan.abi.pc)?;
        if pc == plan.trap {
            return self.came_back(&registers).await;
        }
        let site = plan.site_at(pc).filter(|_| self.set.contains(&pc));
        let Some(site) = site else { return Err(StretchError::Strange(pc)) };
        let sp = self.gdb.get(&registers, plan.abi.sp)?;
        let why = refusal(&mut self.gdb, plan.abi, &plan.task, &registers, sp).await?;
        self.atlas.reached(site, why);
        if let Phase::Mapping(armed) | Phase::Visiting(armed) = &mut self.phase {
            armed.retain_mut(|armed| {
                let is_it = armed.site == site;
                armed.refused += u32::from(is_it && why.is_some());
                !is_it || (why.is_some() && armed.refused < MOST_REFUSED)
            });
        }
        if let (Phase::Visiting(_), None, None) = (&self.phase, why, &self.sleeper) {
            return self.put_to_sleep(site, stop.cpu(), &registers).await;
        }
        let call = plan.sites[site].call;
        Ok(enter(&mut self.gdb, plan.abi, call.target, call.next, sp, Vec::new()).await?)
    }

    async fn put_to_sleep(
        &mut self,
        site: usize,
        cpu: Option<u32>,
        registers: &Registers,
    ) -> Result<(), StretchError> {
        let task = Diverted::save(&self.gdb, self.plan.abi, registers)?;
        let below = task.below();
        let actor = self.atlas.actor(site);
        self.tell(Note::Asleep { site: self.plan.sites[site].name.clone(), cpu, actor }).await;
        self.sleeper = Some(Sleeper { site, task, below, slices: 0 });
        self.ask(actor).await;
        self.sleep_on(below).await
    }

    /// Asks the agent for the other side.
    async fn ask(&mut self, actor: Actor) {
        self.requests = self.requests.wrapping_add(1);
        let request = Request { number: self.requests, actor };
        let (done, whole) = (BTreeSet::new(), BTreeSet::new());
        self.asked = Some(Asked { request, since: Instant::now(), done, whole });
        self.tell(Note::Ask(request)).await;
    }

    async fn sleep_on(&mut self, below: u64) -> Result<(), StretchError> {
        let HuntPlan { abi, sleep, trap, .. } = *self.plan;
        let argument = vec![(abi.argument, SLICE_MS)];
        Ok(enter(&mut self.gdb, abi, sleep, trap, below, argument).await?)
    }

    /// The sleeper has slept for a slice.
    async fn came_back(&mut self, registers: &Registers) -> Result<(), StretchError> {
        let sp = self.gdb.get(registers, self.plan.abi.sp)?;
        let Some(mut sleeper) = self.sleeper.take_if(|sleeper| sleeper.below == sp) else {
            return Err(StretchError::Lost(sp));
        };
        sleeper.slices += 1;
        let Some(outcome) = self.outcome(&sleeper) else {
            self.sleeper = Some(sleeper);
            return self.sleep_on(sp).await;
        };
        if let Some(asked) = &mut self.asked {
            let (actor, done) = (asked.request.actor, asked.done.len());
            // From here on nobody is in its way.
            asked.since = Instant::now();
            self.atlas.slept(sleeper.site, actor, outcome);
            let site = self.plan.sites[sleeper.site].name.clone();
            let ms = sleeper.slices * SLICE_MS;
            self.tell(Note::Awake(Sleep { site, actor, outcome, done, ms })).await;
        }
        let changed = sleeper.task.changed(&self.gdb, registers)?;
        let (call, abi) = (self.plan.sites[sleeper.site].call, self.plan.abi);
        Ok(enter(&mut self.gdb, abi, call.target, call.next, sleeper.task.sp, changed).await?)
    }

    /// What the sleep has come to; `None` if it is to go on.
    fn outcome(&self, sleeper: &Sleeper) -> Option<Outcome> {
        let asked = self.asked.as_ref();
        let done = asked.map_or(0, |asked| asked.done.len());
        let pace = asked.and_then(|asked| self.pace[asked.request.actor as usize]);
        let share = if done == 0 { ALONE } else { IN_ALL };
        let waited = asked.map_or(Duration::ZERO, |asked| asked.since.elapsed());
        let is_long = sleeper.slices >= FEWEST_SLICES
            && pace.is_some_and(|pace| waited > pace.mul_f64(share));
        if asked.is_some_and(|asked| asked.whole.len() >= self.things(asked.request.actor)) {
            Some(Outcome::Overlapped)
        } else if self.ending {
            Some(Outcome::Cut)
        } else if is_long || sleeper.slices >= MOST_SLICES {
            Some(if done == 0 { Outcome::Blocked } else { Outcome::Partly })
        } else {
            None
        }
    }

    /// While the machine stands: decides what is armed, and moves breakpoints there.
    async fn arrange(&mut self) -> Result<(), StretchError> {
        if self.sleeper.is_none() {
            self.choose().await;
        }
        let wanted: BTreeSet<u64> = match &self.phase {
            _ if self.sleeper.is_some() => BTreeSet::new(),
            // Who was in the other side's way lets it get on first.
            Phase::Visiting(_) if self.waits() => BTreeSet::new(),
            Phase::Mapping(armed) | Phase::Visiting(armed) => {
                armed.iter().map(|armed| self.plan.sites[armed.site].call.at).collect()
            }
            Phase::Idle => BTreeSet::new(),
        };
        let away: Vec<u64> = self.set.difference(&wanted).copied().collect();
        let put: Vec<u64> = wanted.difference(&self.set).copied().collect();
        self.gdb.move_breakpoints(&away, &put).await?;
        self.set = wanted;
        Ok(())
    }

    /// Decides what is armed from here on.
    async fn choose(&mut self) {
        let over = |armed: &Armed| armed.left.is_zero();
        let waits = self.waits();
        match &mut self.phase {
            Phase::Idle => return,
            Phase::Mapping(batch) => {
                let is_over = batch.iter().all(over);
                if !is_over || (waits && !batch.is_empty()) {
                    return;
                }
                self.phase = Phase::Visiting(Vec::new());
            }
            Phase::Visiting(_) if waits => return,
            Phase::Visiting(armed) => armed.retain(|armed| !over(armed)),
        }
        let Phase::Visiting(armed) = &mut self.phase else { return };
        let most = ARMED.min(self.plan.most_breakpoints.saturating_sub(1)).max(1);
        let left = self.pace[self.plan.beside[0] as usize].map_or(VISIT, |pace| pace.max(VISIT));
        while armed.len() < most {
            let Some(site) = self.atlas.next_visit() else { break };
            armed.push(Armed { site, left, refused: 0 });
        }
        if armed.is_empty() {
            let batch = self.atlas.next_batch(self.plan.most_breakpoints.saturating_sub(1).max(1));
            let armed = |site| Armed { site, left: MAPPING, refused: 0 };
            self.phase = Phase::Mapping(batch.into_iter().map(armed).collect());
            let first = self.plan.beside[0];
            self.ask(first).await;
        }
        let changed = self.atlas.changed();
        if !changed.is_empty() {
            self.tell(Note::Mapped(changed)).await;
        }
    }

    /// Nobody who listens is no reason to stop: the machine's end is.
    async fn tell(&self, note: Note) {
        let _ = self.notes.send(note).await;
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
