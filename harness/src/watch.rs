// SPDX-License-Identifier: MIT OR Apache-2.0
//! Watches one running machine: reads its console, counts its exposure, and decides when it
//! has been watched enough. What it saw goes into the event log; it judges nothing.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fs_err::File;
use reports::console::{Options, Reader, Seen};
use reports::event::{Exposure, VmEnd, What};
use reports::finding::Finding;
use reports::rule::{Match, Rule};
use reports::telemetry::{Done, Telemetry, TelemetryReader};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::event_log::EventLog;
use crate::interrupt::Interrupt;
use crate::stretch::{Counts, StretchError};
use crate::timeouts::Timeouts;

/// Name of the console log in a machine's folder.
pub const CONSOLE_LOG: &str = "console.log";
/// A guest may fill so many bytes of disk with its console; the rest is read but not kept.
const CONSOLE_LIMIT: u64 = 64 << 20;
/// Counters are written to the event log at most so often.
const EXPOSURE_PERIOD: Duration = Duration::from_millis(900);
/// A guest that reports without end is not written down without end.
const MOST_FINDINGS: u32 = 200;
/// How often limits are looked at.
const TICK: Duration = Duration::from_millis(100);

/// What one machine is watched for.
#[derive(Debug, Clone)]
pub struct Assignment<'a> {
    /// Cell id.
    pub cell: &'a str,
    /// Which machine of the cell, from 1.
    pub boot: u32,
    /// The agent's nonce.
    pub token: &'a str,
    /// The machine's folder.
    pub dir: &'a Path,
    /// The bug that ends the watch when it is seen.
    pub expected: Option<&'a Rule>,
    /// True: only the expected bug ends the watch; false: any report does.
    pub only_expected: bool,
    /// Exposure that suffices.
    pub wanted: Option<Exposure>,
    /// Longest storm, from the moment the agent is ready.
    pub budget: Duration,
    /// Limits of patience.
    pub timeouts: Timeouts,
    /// Told when there is nothing more to watch for, if that is not for the watch to see.
    pub done: Option<&'a Notify>,
}

/// News from a machine.
#[derive(Debug)]
pub enum News {
    /// So many bytes of the console are in the buffer.
    Console(usize),
    /// The console has ended, and the machine with it.
    End,
    /// The guest ended by itself, in this way; the rest of its console follows.
    GuestEnded(String),
    /// The machine can no longer be watched: the machine under us, whatever it says.
    Broken(String),
    /// Nothing that matters.
    Nothing,
}

/// A machine that can be watched.
pub trait Machine {
    /// How it ends when nobody meant it to.
    const LOST: VmEnd;

    /// When it was started.
    fn started(&self) -> Instant;

    /// Waits for news. Dropping the future loses nothing.
    async fn news(&mut self, buffer: &mut [u8]) -> io::Result<News>;

    /// Asks the agent to stop; one that does not listen is no error.
    async fn ask_to_stop(&mut self);

    /// Makes it end now. Returns what it still printed, and what a person should know.
    async fn end(&mut self) -> (Vec<u8>, String);

    /// After [`News::End`]: what its end looked like.
    async fn last_words(&mut self, patience: Duration) -> String;

    /// What it means that the agent ended unasked, by the reason that it gave.
    fn left(&self, reason: &str) -> VmEnd;
}

/// How a watch ended.
#[derive(Debug)]
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

/// The stretcher at work beside a machine.
#[derive(Debug)]
pub struct Stretching {
    /// Its counters.
    pub counts: Arc<Counts>,
    /// Its task, which ends with the machine.
    pub task: JoinHandle<StretchError>,
}

/// Why the watch is being ended although the guest still runs.
#[derive(Debug)]
struct Stopping {
    why: VmEnd,
    deadline: Instant,
}

struct Watch<'a, 'log> {
    job: &'a Assignment<'a>,
    log: &'a mut EventLog<'log>,
    console_log: File,
    console_bytes: u64,
    reader: Reader,
    telemetry: TelemetryReader,
    counts: Option<Arc<Counts>>,
    started: Instant,
    ready: Option<Instant>,
    last_byte: Instant,
    last_growth: Instant,
    exposure: Exposure,
    written: Exposure,
    written_at: Instant,
    findings: u32,
    corruptions: u32,
    agent_done: Option<Done>,
    guest_ended: Option<String>,
    enough: Option<Instant>,
    derailed: Option<Instant>,
    last_sample: Instant,
    stopping: Option<Stopping>,
}

/// Watches `machine` to its end.
pub async fn watch(
    machine: &mut impl Machine,
    mut stretching: Option<Stretching>,
    job: &Assignment<'_>,
    log: &mut EventLog<'_>,
    interrupt: &mut Interrupt,
) -> io::Result<Ended> {
    let now = Instant::now();
    let mut watch = Watch {
        console_log: File::create(job.dir.join(CONSOLE_LOG))?,
        console_bytes: 0,
        reader: Reader::new(Options::default()),
        telemetry: TelemetryReader::new(job.token),
        counts: stretching.as_ref().map(|s| Arc::clone(&s.counts)),
        started: machine.started(),
        ready: None,
        last_byte: now,
        last_growth: now,
        exposure: Exposure::default(),
        written: Exposure::default(),
        written_at: now,
        findings: 0,
        corruptions: 0,
        agent_done: None,
        guest_ended: None,
        enough: None,
        derailed: None,
        last_sample: now,
        stopping: None,
        job,
        log,
    };
    let mut buffer = vec![0; 64 << 10];
    let mut tick = tokio::time::interval(TICK);
    let mut lost_stretcher = None;
    let cut_short = loop {
        tokio::select! {
            news = machine.news(&mut buffer) => match news? {
                News::Console(n) => watch.console(&buffer[..n])?,
                News::End => break None,
                News::GuestEnded(reason) => watch.guest_ended = Some(reason),
                News::Broken(detail) => return watch.broken(machine, &detail).await,
                News::Nothing => {}
            },
            error = stretcher_end(&mut stretching), if lost_stretcher.is_none() => {
                lost_stretcher = Some(error);
            }
            () = interrupt.wait(), if watch.stopping.is_none() => {
                watch.stop(VmEnd::Interrupted, machine).await;
            }
            () = told(job.done), if watch.stopping.is_none() => {
                watch.stop(VmEnd::Enough, machine).await;
            }
            _ = tick.tick() => {}
        }
        if let Some(error) = lost_stretcher.take_if(|e| !e.is_end_of_machine()) {
            return watch.broken(machine, &format!("stretching ended: {error}")).await;
        }
        if let Some(why) = watch.limits(machine).await? {
            break Some(why);
        }
    };
    let detail = match (&watch.guest_ended, &watch.stopping) {
        (Some(reason), _) => format!("QEMU says {reason}"),
        (None, Some(_)) if cut_short.is_some() => {
            format!("the guest did not stop within {} s", job.timeouts.stop.as_secs_f64())
        }
        _ => String::new(),
    };
    let why = watch.finish(machine, cut_short, &detail).await?;
    Ok(watch.ended(why))
}

async fn told(done: Option<&Notify>) {
    match done {
        Some(done) => done.notified().await,
        None => std::future::pending().await,
    }
}

async fn stretcher_end(stretching: &mut Option<Stretching>) -> StretchError {
    match stretching {
        Some(stretching) => match (&mut stretching.task).await {
            Ok(error) => error,
            Err(_) => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}

impl Watch<'_, '_> {
    /// Ends a machine that can no longer be watched.
    async fn broken<M: Machine>(mut self, machine: &mut M, detail: &str) -> io::Result<Ended> {
        self.finish(machine, Some(M::LOST), detail).await?;
        Ok(self.ended(M::LOST))
    }

    fn ended(&self, why: VmEnd) -> Ended {
        Ended {
            why,
            spoke: self.reader.stats().bytes > 0,
            reported: self.findings + self.corruptions > 0,
            derailed: self.derailed.is_some() && self.enough.is_none(),
            done: self.agent_done.clone(),
        }
    }

    /// Takes in what the guest printed.
    fn console(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.last_byte = Instant::now();
        let room = CONSOLE_LIMIT.saturating_sub(self.console_bytes);
        let kept = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len());
        self.console_log.write_all(&bytes[..kept])?;
        self.console_bytes += kept as u64;
        let seen = self.reader.push(bytes);
        self.saw(seen)?;
        for line in self.telemetry.push(bytes) {
            self.told(line)?;
        }
        Ok(())
    }

    /// Notes are counted by whoever reads the console log; only reports decide anything here.
    fn saw(&mut self, seen: Vec<Seen>) -> io::Result<()> {
        for seen in seen {
            if let Seen::Report(finding) = seen {
                self.found(*finding)?;
            }
        }
        Ok(())
    }

    fn found(&mut self, finding: Finding) -> io::Result<()> {
        self.findings += 1;
        if self.findings > MOST_FINDINGS {
            return Ok(());
        }
        let rule = self.job.expected;
        let expected = rule.is_some_and(|rule| rule.matches(&finding) == Match::Yes);
        if self.job.only_expected && rule.is_some_and(|rule| rule.is_related(&finding)) {
            // Anew with each one: an oops that follows a sanitizer's report should be read to its end.
            self.derailed = Some(Instant::now());
        }
        self.write_exposure()?;
        let (cell, boot) = self.whose();
        let guest_ms = self.ready.map_or(0, |ready| millis(ready.elapsed()));
        self.log.emit(What::Found { cell, boot, guest_ms, finding })?;
        if expected || !self.job.only_expected {
            self.enough.get_or_insert_with(Instant::now);
        }
        Ok(())
    }

    fn told(&mut self, line: Telemetry) -> io::Result<()> {
        match line {
            Telemetry::Hello(_) => {}
            Telemetry::Ready(_) => {
                self.ready = Some(Instant::now());
                self.last_growth = Instant::now();
                let (cell, boot) = self.whose();
                let boot_ms = millis(self.started.elapsed());
                self.log.emit(What::GuestReady { cell, boot, boot_ms })?;
            }
            Telemetry::Sample(sample) => {
                self.last_sample = Instant::now();
                let before = self.exposure;
                sample.apply(&mut self.exposure);
                if grew(&before, &self.exposure) {
                    self.last_growth = Instant::now();
                }
            }
            Telemetry::Corrupt(corrupt) => {
                self.corruptions += 1;
                if self.corruptions > MOST_FINDINGS {
                    return Ok(());
                }
                let (cell, boot) = self.whose();
                self.log.emit(What::Corruption { cell, boot, detail: corrupt.detail() })?;
                if !self.job.only_expected {
                    self.enough.get_or_insert_with(Instant::now);
                }
            }
            Telemetry::Warn(warn) => {
                let (cell, boot) = self.whose();
                self.log.emit(What::GuestWarned { cell, boot, detail: warn.detail() })?;
            }
            Telemetry::Done(done) => self.agent_done = Some(done),
        }
        Ok(())
    }

    fn whose(&self) -> (String, u32) {
        (self.job.cell.to_owned(), self.job.boot)
    }

    fn write_exposure(&mut self) -> io::Result<()> {
        if let Some(counts) = &self.counts {
            (self.exposure.windows, self.exposure.refused) = counts.get();
        }
        if self.exposure == self.written {
            return Ok(());
        }
        self.written = self.exposure;
        self.written_at = Instant::now();
        let (cell, boot) = self.whose();
        self.log.emit(What::Exposure { cell, boot, exposure: self.exposure })
    }

    /// Asks the guest to stop; a guest that does not is killed at the deadline.
    async fn stop(&mut self, why: VmEnd, machine: &mut impl Machine) {
        machine.ask_to_stop().await;
        let deadline = Instant::now() + self.job.timeouts.stop;
        self.stopping = Some(Stopping { why, deadline });
    }

    /// Looks at the clock and the counters; `Some` ends the watch at once.
    async fn limits(&mut self, machine: &mut impl Machine) -> io::Result<Option<VmEnd>> {
        let limits = self.job.timeouts;
        if self.last_byte.elapsed() > limits.report_tail {
            let seen = self.reader.idle();
            self.saw(seen)?;
        }
        if self.written_at.elapsed() > EXPOSURE_PERIOD {
            self.write_exposure()?;
        }
        // One more sample, if the guest still can, says how much exposure the bug took.
        if let Some(seen) = self.enough
            && (self.last_sample > seen || seen.elapsed() > limits.report_tail)
        {
            return Ok(Some(VmEnd::Enough));
        }
        if self.enough.is_none() && self.derailed.is_some_and(|d| d.elapsed() > limits.report_tail)
        {
            return Ok(Some(VmEnd::Derailed));
        }
        if let Some(stopping) = &self.stopping {
            return Ok((Instant::now() > stopping.deadline).then_some(stopping.why));
        }
        let running = self.started.elapsed();
        let Some(ready) = self.ready else {
            return Ok(if self.reader.stats().bytes == 0 {
                (running > limits.first_byte).then_some(VmEnd::NeverSpoke)
            } else {
                (running > limits.ready).then_some(VmEnd::NeverReady)
            });
        };
        if self.last_byte.elapsed() > limits.silence {
            return Ok(Some(VmEnd::WentSilent));
        }
        if self.last_growth.elapsed() > limits.progress {
            return Ok(Some(VmEnd::NoProgress));
        }
        if self.job.wanted.is_some_and(|wanted| reached(&self.exposure, &wanted)) {
            self.write_exposure()?;
            self.stop(VmEnd::Enough, machine).await;
        } else if ready.elapsed() > self.job.budget {
            self.stop(VmEnd::Budget, machine).await;
        }
        Ok(None)
    }

    /// Ends the machine, reads what is left, and writes the last events.
    async fn finish<M: Machine>(
        &mut self,
        machine: &mut M,
        cut_short: Option<VmEnd>,
        detail: &str,
    ) -> io::Result<VmEnd> {
        let mut last_words = String::new();
        if cut_short.is_some() {
            let (rest, words) = machine.end().await;
            self.console(&rest)?;
            last_words = words;
        }
        let seen = self.reader.finish();
        self.saw(seen)?;
        self.write_exposure()?;
        let (cell, boot) = self.whose();
        let health = *self.telemetry.health();
        self.log.emit(What::TelemetryChecked { cell, boot, health })?;
        let why = match (cut_short, &self.stopping, &self.agent_done) {
            (Some(why), ..) => why,
            (None, Some(stopping), Some(_)) => stopping.why,
            (None, None, Some(done)) => machine.left(&done.reason),
            (None, _, None) if self.guest_ended.is_some() => VmEnd::Crashed,
            (None, _, None) => M::LOST,
        };
        if cut_short.is_none() {
            let words = machine.last_words(self.job.timeouts.stop).await;
            if why == M::LOST && detail.is_empty() {
                last_words = words;
            }
        }
        let parts = [detail, &last_words].into_iter().filter(|words| !words.is_empty());
        let detail = parts.collect::<Vec<_>>().join("; ");
        let (cell, boot) = self.whose();
        self.log.emit(What::VmStopped { cell, boot, why, detail })?;
        Ok(why)
    }
}

/// True if a counter that only work can raise has risen.
fn grew(before: &Exposure, after: &Exposure) -> bool {
    let work = |e: &Exposure| [e.swapoffs, e.stores, e.writebacks, e.verified];
    work(before).iter().zip(work(after)).any(|(before, after)| after > *before)
}

/// True if every counter that was asked for has been reached.
fn reached(have: &Exposure, wanted: &Exposure) -> bool {
    have.swapoffs >= wanted.swapoffs
        && have.windows >= wanted.windows
        && have.writebacks >= wanted.writebacks
        && have.guest_ms >= wanted.guest_ms
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enough_needs_every_counter_that_was_asked_for() {
        let wanted = Exposure { swapoffs: 10, windows: 3, ..Exposure::default() };
        let have = |swapoffs, windows| Exposure { swapoffs, windows, ..Exposure::default() };
        assert!(reached(&have(10, 3), &wanted));
        assert!(!reached(&have(10, 2), &wanted));
        assert!(!reached(&have(9, 30), &wanted));
    }

    #[test]
    fn time_alone_is_no_progress() {
        let base = Exposure { guest_ms: 5, swapoffs: 2, ..Exposure::default() };
        assert!(!grew(&base, &Exposure { guest_ms: 500, swapons: 9, ..base }));
        assert!(grew(&base, &Exposure { swapoffs: 3, ..base }));
    }
}
