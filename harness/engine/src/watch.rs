// SPDX-License-Identifier: MIT OR Apache-2.0
//! Drives one running machine and its judge: reads the console, keeps it, carries out orders.

use std::future::{Future, poll_fn};
use std::io::{self, Write};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use fs_err::File;
use machine::hunt::Note;
use machine::stretch::{Counts, StretchError};
use machine::{Machine, News};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::hunt::Line;
use crate::judge::{Assignment, Ended, Ending, Judge, Order};
use crate::unit::Context;

/// Name of the console log in a machine's folder.
pub const CONSOLE_LOG: &str = "console.log";
/// A guest may fill so many bytes of disk with its console; the rest is read but not kept.
const CONSOLE_LIMIT: u64 = 64 << 20;
/// How often limits are looked at.
const TICK: Duration = Duration::from_millis(100);
/// Bytes read at once: as many as a pipe holds.
const CHUNK: usize = 64 << 10;
/// Reads before a look at the limits: what lay in the pipe when the first began is read by then.
const MOST_READS: usize = 4;

/// The stretcher, or a hunter, at work beside a machine.
#[derive(Debug)]
pub struct Stretching {
    /// Its counters; a hunter has none.
    pub counts: Option<Arc<Counts>>,
    /// The way to and from a hunter; `None` of a stretcher.
    line: Option<Line>,
    /// Its task, which ends with the machine; `None` once its end was heard.
    task: Option<JoinHandle<StretchError>>,
}

impl Stretching {
    /// Lets a stretcher that counts into `counts` work in a task of its own.
    pub fn start(
        counts: Arc<Counts>,
        work: impl Future<Output = StretchError> + Send + 'static,
    ) -> Self {
        Self { counts: Some(counts), line: None, task: Some(tokio::spawn(work)) }
    }

    /// The same for a hunter, at the other end of `line`.
    pub fn hunt(line: Line, work: impl Future<Output = StretchError> + Send + 'static) -> Self {
        Self { counts: None, line: Some(line), task: Some(tokio::spawn(work)) }
    }

    /// Waits for what it says next, which it may do as long as it works.
    async fn heard(&mut self) -> Heard {
        let Some(line) = &mut self.line else { return Heard::End(self.end().await) };
        if let Some(note) = line.notes.recv().await {
            return Heard::Note(note);
        }
        Heard::End(self.end().await)
    }

    /// Waits for its end, which is told once: why it was too early, or `None` at the machine's own.
    async fn end(&mut self) -> Option<String> {
        let Some(task) = &mut self.task else { return std::future::pending().await };
        let ended = task.await;
        self.task = None;
        match ended {
            Ok(error) if error.is_end_of_machine() => None,
            Ok(error) => Some(format!("stretching ended: {error}")),
            Err(error) => Some(format!("the stretcher broke down: {error}")),
        }
    }
}

impl Drop for Stretching {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// A console's copy on disk.
struct ConsoleLog {
    file: File,
    room: u64,
}

impl ConsoleLog {
    fn keep(&mut self, bytes: &[u8]) -> io::Result<()> {
        let kept = usize::try_from(self.room).unwrap_or(usize::MAX).min(bytes.len());
        self.room -= kept as u64;
        self.file.write_all(&bytes[..kept])
    }
}

/// Watches `machine` to its end; its console is kept in the folder `dir`. Errors are those of writing there.
pub async fn watch<M: Machine>(
    machine: &mut M,
    mut stretching: Option<Stretching>,
    job: Assignment,
    dir: &Path,
    context: &Context,
) -> io::Result<Ended> {
    let patience = job.timeouts.stop;
    let mut judge = Judge::new(job, machine.started(), Instant::now());
    let mut log = ConsoleLog { file: File::create(dir.join(CONSOLE_LOG))?, room: CONSOLE_LIMIT };
    let mut buffer = vec![0; CHUNK];
    let mut tick = tokio::time::interval(TICK);
    // After a pause there is one tick to make up for, not many.
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut asked = false;
    let ending = 'watch: loop {
        let mut due = false;
        tokio::select! {
            // The tick comes first: a guest that prints without end does not put it off.
            biased;
            _ = tick.tick() => due = true,
            why = context.asked_to_stop(), if !asked => {
                asked = true;
                judge.stop(why, Instant::now());
            }
            heard = beside(&mut stretching) => match heard {
                Heard::Note(note) => hunted(note, machine, &mut judge).await,
                Heard::End(Some(detail)) => judge.stretcher_died(detail),
                Heard::End(None) => {}
            },
            news = machine.news(&mut buffer) => {
                if take(news?, &buffer, &mut judge, &mut log)? {
                    break Ending::ByItself;
                }
            }
        }
        if due {
            // What came before what is read now, and before the limits.
            while let Some(note) = note(&mut stretching) {
                hunted(note, machine, &mut judge).await;
            }
            count(machine, &stretching, &mut judge);
            // Everything that lies in the pipes comes before the limits.
            for _ in 0..MOST_READS {
                let Some(news) = at_once(machine.news(&mut buffer)).await else { break };
                if take(news?, &buffer, &mut judge, &mut log)? {
                    break 'watch Ending::ByItself;
                }
            }
            judge.tick(Instant::now());
        }
        for cue in judge.cues() {
            if let Some(line) = stretching.as_ref().and_then(|s| s.line.as_ref()) {
                // A hunter that does not listen waits for this very loop, or has ended.
                let _ = line.cues.try_send(cue);
            }
        }
        tell(&mut judge, context).await;
        match judge.order() {
            Some(Order::AskToStop) => machine.ask_to_stop().await,
            Some(Order::End(why)) => break Ending::Ended(why),
            None => {}
        }
    };
    let said = match ending {
        Ending::Ended(_) => {
            let (rest, said) = machine.end().await;
            log.keep(&rest)?;
            judge.console(&rest, Instant::now());
            said
        }
        Ending::ByItself => machine.last_words(patience).await,
    };
    while let Some(note) = note(&mut stretching) {
        judge.hunted(note);
    }
    count(machine, &stretching, &mut judge);
    let ended = judge.finish(ending, &said);
    tell(&mut judge, context).await;
    Ok(ended)
}

/// Hands news to the judge; true at the console's end.
fn take(news: News, buffer: &[u8], judge: &mut Judge, log: &mut ConsoleLog) -> io::Result<bool> {
    match news {
        News::Console(count) => {
            log.keep(&buffer[..count])?;
            judge.console(&buffer[..count], Instant::now());
        }
        News::End => return Ok(true),
        News::GuestEnded(reason) => judge.guest_ended(reason),
        News::Broken(detail) => judge.broken(detail),
        News::Nothing => {}
    }
    Ok(false)
}

/// Hands the readings of what has been going on beside the console to the judge.
fn count<M: Machine>(machine: &M, stretching: &Option<Stretching>, judge: &mut Judge) {
    judge.had(machine.cpu_time());
    if let Some(counts) = stretching.as_ref().and_then(|stretching| stretching.counts.as_ref()) {
        judge.windows(crate::points::counts(counts));
        judge.asleep(counts.asleep());
    }
}

async fn tell(judge: &mut Judge, context: &Context) {
    for event in judge.events() {
        context.tell(event).await;
    }
}

/// The result of a future that has it already.
async fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(result) => Poll::Ready(Some(result)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// What is heard of a stretcher, or a hunter.
enum Heard {
    /// The hunter says something.
    Note(Note),
    /// It has ended: too early, for this reason, or with its machine.
    End(Option<String>),
}

async fn beside(stretching: &mut Option<Stretching>) -> Heard {
    match stretching {
        Some(stretching) => stretching.heard().await,
        None => std::future::pending().await,
    }
}

/// A note that has come by now.
fn note(stretching: &mut Option<Stretching>) -> Option<Note> {
    stretching.as_mut()?.line.as_mut()?.notes.try_recv().ok()
}

/// A hunter's note is for the judge, and what it asks for is for the agent.
async fn hunted<M: Machine>(note: Note, machine: &mut M, judge: &mut Judge) {
    match note {
        Note::Ask(request) => machine.say(&crate::hunt::words(request)).await,
        note => judge.hunted(note),
    }
}

#[cfg(test)]
mod tests;
