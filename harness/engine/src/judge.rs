// SPDX-License-Identifier: MIT OR Apache-2.0
//! Judges one running machine: a state machine without input and output of its own.
//!
//! Observations and clock readings go in; events to log, and at most one [`Order`], come out. Whoever
//! drives it (`watch.rs`) reads everything that lies in the pipes before [`Judge::tick`], so that no limit
//! is found passed while the answer waits to be read.
//!
//! There are two clocks. The *guest's* comes with its samples and measures what the guest went
//! through: the storm's length and its budget. The *host's* measures patience. Time in which this program
//! itself did not run (it was stopped, the machine slept) is on neither.

mod clock;
mod digest;
mod ends;
mod found;
mod given;
mod hunt;
mod limits;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use machine::hunt::Cue;
use machine::{Kind, Timeouts};
use memchr::memchr_iter;
use reports::console::{Options, Reader};
use reports::escape::printable;
use reports::event::{Exposure, Meaning, PlacedPoint, PointCounts, SampleTable, VmEnd, What};
use reports::rule::Rule;
use reports::telemetry::{Done, Hung, Telemetry, TelemetryReader};
use tokio::sync::Notify;
use tokio::time::Instant;
use workloads::profile::Clock;

use clock::HostClock;
use digest::Digester;
use ends::lost;
use found::{Held, MOST_FINDINGS};
use given::Given;
use hunt::Hunt;

/// Tasks that are remembered of those that were slow to end.
const MOST_SLOW: usize = 32;
/// What one machine is watched for.
#[derive(Debug, Clone)]
pub struct Assignment {
    /// Cell id.
    pub cell: String,
    /// Which machine of the cell, from 1.
    pub boot: u32,
    /// The agent's nonce.
    pub token: String,
    /// What kind of machine it is.
    pub kind: Kind,
    /// The bug that ends the watch when it is seen.
    pub expected: Option<Rule>,
    /// True: only the expected bug ends the watch; false: any report does.
    pub only_expected: bool,
    /// Exposure that suffices.
    pub wanted: Option<Exposure>,
    /// Longest storm in guest time, from the moment the agent is ready; `None`: until it is told to stop.
    pub budget: Option<Duration>,
    /// The clock by which the machine lives. On [`Clock::Virtual`] the agent ends the storm itself, after the budget, and
    /// nothing that depends on the host's time, or on when a report is noticed, ends it earlier: limits of patience are a
    /// safety net.
    pub clock: Clock,
    /// The agent samples so often, in guest time.
    pub sampling: Duration,
    /// Where the machine is stretched.
    pub points: Vec<PlacedPoint>,
    /// Whether it is hunted in.
    pub hunted: bool,
    /// Told once the agent is ready, for whoever waits to come in.
    pub ready: Option<Arc<Notify>>,
    /// Limits of patience.
    pub timeouts: Timeouts,
}

/// What is to be done with the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Ask the agent to stop.
    AskToStop,
    /// End the machine at once.
    End(VmEnd),
}

/// How the machine came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The console ended by itself.
    ByItself,
    /// We ended it, for this reason.
    Ended(VmEnd),
}

/// What whoever started the machine must know.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Why.
    pub why: VmEnd,
    /// Whether the kernel has printed anything.
    pub spoke: bool,
    /// Whether a kernel report was seen.
    pub reported: bool,
    /// Whether a report related to the expected bug was seen, but not the expected bug.
    pub derailed: bool,
    /// What the agent said last.
    pub done: Option<Done>,
}

/// Why the machine is being stopped, and since when.
#[derive(Debug, Clone, Copy)]
struct Stopping {
    why: VmEnd,
    asked: Duration,
}

/// The judge of one machine. All moments are readings of its [`HostClock`].
pub struct Judge {
    job: Assignment,
    clock: HostClock,
    now: Duration,
    events: Vec<What>,
    order: Option<Order>,
    reader: Reader,
    telemetry: TelemetryReader,
    table: SampleTable,
    ready: Option<Duration>,
    /// The machine's start to the first reading of the clock.
    before: Duration,
    last_byte: Duration,
    /// When the kernel last ended a line: what the agent says belongs to no report.
    last_kernel_line: Duration,
    last_growth: Growth,
    last_sample: Option<Duration>,
    exposure: Exposure,
    windows: BTreeMap<String, PointCounts>,
    windows_logged: (Duration, BTreeMap<String, PointCounts>),
    /// By CPU, the stretch point of the task that was put to sleep there last and sleeps still.
    asleep: BTreeMap<u32, String>,
    hunt: Hunt,
    given: Given,
    /// Of a machine on the virtual clock.
    digester: Option<Digester>,
    held: Vec<Held>,
    /// When the first report came that was the host's, and by what measure.
    starved: Option<(Duration, String)>,
    /// How many there were.
    starved_reports: u32,
    findings: u32,
    corruptions: u32,
    done: Option<Done>,
    guest_ended: Option<String>,
    /// When the reports came that end the watch.
    enough: Option<Duration>,
    /// Until when, by the guest's clock, the agent may tell of others that hang with the one that it told of.
    others_hang_ms: Option<u64>,
    derailed: Option<Duration>,
    method_fault: Option<(Duration, String)>,
    /// Who had not ended yet when the agent was stopping.
    slow: Vec<Hung>,
    /// Why a task that does not get on is no bug, and no clean result, either.
    excused: Option<String>,
    /// The agent has given up on processes that do not end.
    stuck: bool,
    stopping: Option<Stopping>,
    /// Words for a person that belong to the end.
    detail: String,
}

/// When a counter that only work can raise last rose.
#[derive(Debug, Clone, Copy)]
struct Growth {
    at: Duration,
    guest_ms: u64,
}

impl Ended {
    /// A machine that ended before it said anything.
    pub(crate) fn without_a_word(why: VmEnd) -> Self {
        Self { why, spoke: false, reported: false, derailed: false, done: None }
    }
}

impl Judge {
    /// Begins to judge a machine that was started at `started`.
    pub fn new(job: Assignment, started: Instant, now: Instant) -> Self {
        let zero = Duration::ZERO;
        Self {
            telemetry: TelemetryReader::new(&job.token),
            given: Given::new(job.sampling, now),
            digester: job.clock.is_virtual().then(Digester::default),
            job,
            clock: HostClock::new(now),
            now: zero,
            events: Vec::new(),
            order: None,
            reader: Reader::new(Options::default()),
            table: SampleTable::default(),
            ready: None,
            before: now.saturating_duration_since(started),
            last_byte: zero,
            last_kernel_line: zero,
            last_growth: Growth { at: zero, guest_ms: 0 },
            last_sample: None,
            exposure: Exposure::default(),
            windows: BTreeMap::new(),
            windows_logged: (zero, BTreeMap::new()),
            asleep: BTreeMap::new(),
            hunt: Hunt::default(),
            held: Vec::new(),
            starved: None,
            starved_reports: 0,
            findings: 0,
            corruptions: 0,
            done: None,
            guest_ended: None,
            enough: None,
            others_hang_ms: None,
            derailed: None,
            method_fault: None,
            slow: Vec::new(),
            excused: None,
            stuck: false,
            stopping: None,
            detail: String::new(),
        }
    }

    /// The events since the last call, in order.
    pub fn events(&mut self) -> Vec<What> {
        std::mem::take(&mut self.events)
    }

    /// What is to be done now, said once.
    pub fn order(&mut self) -> Option<Order> {
        self.order.take()
    }

    /// What the guest printed.
    pub fn console(&mut self, bytes: &[u8], now: Instant) {
        self.now = self.clock.read(now);
        self.last_byte = self.now;
        if self.ready.is_none() {
            self.given.lives(now);
        }
        if let Some(digester) = &mut self.digester {
            digester.console(bytes);
        }
        let seen = self.reader.push(bytes);
        self.saw(seen);
        let believed = self.telemetry.health().believed;
        let told = self.telemetry.push(bytes);
        let agents = self.telemetry.health().believed - believed;
        if memchr_iter(b'\n', bytes).count() as u64 > agents {
            self.last_kernel_line = self.now;
        }
        for line in told {
            self.told(line);
        }
    }

    /// What has happened at the stretch points so far.
    pub fn windows(&mut self, points: BTreeMap<String, PointCounts>) {
        self.windows = points;
        let counts = |id: &str| self.job.points.iter().any(|point| point.id == id && point.bug);
        let bugs = self.windows.iter().filter(|(id, _)| counts(id));
        self.exposure.windows = bugs.map(|(_, counts)| counts.stretched).sum();
        let refused = |counts: &PointCounts| counts.refused.values().sum::<u64>();
        self.exposure.refused = self.windows.values().map(refused).sum();
    }

    /// By CPU, the stretch point of the task that was put to sleep there last and sleeps still.
    pub fn asleep(&mut self, points: BTreeMap<u32, String>) {
        self.asleep = points;
    }

    /// The CPU time that the machine has had since its start; `None` if nobody knows.
    pub fn had(&mut self, cpu_time: Option<Duration>) {
        self.given.had(cpu_time);
    }

    /// The guest ended by itself, in QEMU's word for it; the rest of its console follows.
    pub fn guest_ended(&mut self, reason: String) {
        self.guest_ended = Some(reason);
    }

    /// The machine can no longer be watched.
    pub fn broken(&mut self, detail: String) {
        self.detail = detail;
        self.order = Some(Order::End(lost(self.job.kind)));
    }

    /// The stretcher ended before the machine did.
    pub fn stretcher_died(&mut self, detail: String) {
        self.detail = detail;
        self.order = Some(Order::End(VmEnd::StretcherDied));
    }

    /// Nobody needs more of this machine: it is asked to stop, unless it was already.
    pub fn stop(&mut self, why: VmEnd, now: Instant) {
        self.now = self.clock.read(now);
        self.ask_to_stop(why);
    }

    fn ask_to_stop(&mut self, why: VmEnd) {
        if self.stopping.is_none() {
            self.cue(Cue::Ending);
            self.stopping = Some(Stopping { why, asked: self.now });
            self.order.get_or_insert(Order::AskToStop);
        }
    }

    fn told(&mut self, line: Telemetry) {
        let (cell, boot) = self.whose();
        match line {
            Telemetry::Hello(_) | Telemetry::Columns(_) => {}
            Telemetry::Ready(ready) => {
                self.release(true);
                let devices = usize::try_from(ready.disks).unwrap_or(usize::MAX);
                self.cue(Cue::Storm { devices });
                self.ready = Some(self.now);
                self.last_growth = Growth { at: self.now, guest_ms: 0 };
                let boot_ms = millis(self.before + self.now);
                self.events.push(What::GuestReady { cell, boot, boot_ms });
                if let Some(waiting) = &self.job.ready {
                    waiting.notify_one();
                }
            }
            Telemetry::Sample(sample) => {
                self.release(true);
                self.given.lives(self.clock.last());
                self.last_sample = Some(self.now);
                let before = self.exposure;
                sample.apply(&mut self.exposure);
                if grew(&before, &self.exposure) {
                    self.last_growth = Growth { at: self.now, guest_ms: self.exposure.guest_ms };
                }
                let events = self.table.events(&cell, boot, &sample);
                if let Some(digester) = &mut self.digester {
                    events.iter().for_each(|event| digester.event(event));
                }
                self.events.extend(events);
            }
            Telemetry::Memcg(memcg) => {
                let cgroup = printable(&memcg.cgroup).into_owned();
                let (guest_ms, numbers) = (memcg.since_ready_ms, memcg.numbers);
                self.events.push(What::Memcg { cell, boot, guest_ms, cgroup, numbers });
            }
            Telemetry::Corrupt(corrupt) => {
                self.corruptions += 1;
                if self.corruptions <= MOST_FINDINGS {
                    let detail = corrupt.detail();
                    self.events.push(What::Corruption { cell, boot, detail });
                }
                if !self.job.only_expected {
                    self.enough.get_or_insert(self.now);
                }
            }
            Telemetry::Acted(acted) => self.acted(&acted),
            Telemetry::Violated(violation) => self.violated(&violation),
            Telemetry::Checked(checked) => self.checked(&checked),
            Telemetry::Hung(hung) => self.hung(*hung),
            Telemetry::Slow(hung) => {
                if self.slow.len() < MOST_SLOW {
                    self.slow.push(*hung);
                }
            }
            Telemetry::Warn(warn) => {
                match warn.what.as_str() {
                    "stuck" => self.stuck = true,
                    "hung-ended" => self.excused = None,
                    "check" | "checker-died" => self.slow.clear(),
                    _ => {}
                }
                let detail = warn.detail();
                self.events.push(What::GuestWarned { cell, boot, detail });
            }
            Telemetry::Done(done) => {
                let reason = done.reason.clone();
                self.events.push(What::GuestDone { cell, boot, reason });
                self.done = Some(done);
            }
        }
    }

    fn whose(&self) -> (String, u32) {
        (self.job.cell.clone(), self.job.boot)
    }

    fn log_windows(&mut self) {
        if self.windows_logged.1 != self.windows {
            self.windows_logged = (self.now, self.windows.clone());
            let (cell, boot) = self.whose();
            self.events.push(What::Windows { cell, boot, points: self.windows.clone() });
        }
    }

    /// The machine is gone, and everything that it printed was handed in. Logs the rest; `said` are
    /// words for a person, such as its exit status, which only an unmeant end needs.
    pub fn finish(&mut self, ending: Ending, said: &str) -> Ended {
        let seen = self.reader.finish();
        self.saw(seen);
        // A machine that ended by itself, or that the host lost, had no chance to go on.
        self.release(match ending {
            Ending::ByItself => true,
            Ending::Ended(why) => why.meaning() == Meaning::Host,
        });
        let why = match ending {
            Ending::Ended(why) => why,
            Ending::ByItself => self.own_end(),
        };
        let why = self.amend(why);
        self.log_windows();
        let (cell, boot) = self.whose();
        let health = *self.telemetry.health();
        self.events.push(What::TelemetryChecked { cell, boot, health });
        let by_itself = matches!(ending, Ending::ByItself) && self.stopping.is_none();
        if let Some(digester) =
            self.digester.take().filter(|_| by_itself && why.meaning() != Meaning::Host)
        {
            let (cell, boot) = self.whose();
            let digest = digester.finish(&self.windows);
            self.events.push(What::Digested { cell, boot, digest });
        }
        let detail = self.end_detail(why, said);
        let (cell, boot) = self.whose();
        self.events.push(What::VmStopped { cell, boot, why, detail });
        Ended {
            why,
            spoke: self.reader.stats().bytes > 0,
            reported: self.findings + self.corruptions > 0,
            derailed: self.derailed.is_some() && self.enough.is_none(),
            done: self.done.clone(),
        }
    }
}

/// True if a counter that only work can raise has risen.
fn grew(before: &Exposure, after: &Exposure) -> bool {
    let work = |e: &Exposure| [e.swapoffs, e.stores, e.writebacks, e.verified];
    work(before).iter().zip(work(after)).any(|(before, after)| after > *before)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
pub(crate) mod tests;
