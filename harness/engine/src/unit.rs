// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a unit has of the run that it belongs to.
//!
//! A unit owns the state of one cell, or of one kernel that is made. It tells what happens and hears when it
//! is to stop; it sees neither the event log nor the terminal. The dispatcher owns those.

use std::future::Future;
use std::time::Duration;

use kernels::{Progress, Stage};
use reports::event::{Fault, VmEnd, What};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::error::Error;

/// Messages that may wait for the dispatcher; a unit that has more to say waits.
const BACKLOG: usize = 1024;

/// What a unit says.
#[derive(Debug)]
pub enum Message {
    /// Something for the event log.
    Event(What),
    /// Something for the event log that happened so long ago, elsewhere.
    Past(What, Duration),
    /// News from a build, of which the log keeps a part.
    Building {
        /// The cell for which it is made.
        cell: String,
        /// The kernel's name, for people.
        kernel: String,
        /// How far it is.
        step: BuildStep,
    },
}

/// How far a build is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildStep {
    /// What is being done, for people.
    pub stage: String,
    /// Objects compiled so far.
    pub done: u64,
    /// Objects in all, where an earlier build tells.
    pub expected: Option<u64>,
    /// The file that was compiled last.
    pub current: String,
}

impl BuildStep {
    /// How far a build is by its own word. A notice is no step: its text is the stage.
    pub fn of(progress: Progress<'_>) -> Self {
        let stage = match progress {
            Progress::Objects { done, expected, current } => {
                let (stage, current) = (Stage::Compile.to_string(), current.to_owned());
                return Self { stage, done, expected, current };
            }
            Progress::Stage(stage) => stage.to_string(),
            Progress::Notice(text) => text.to_owned(),
            Progress::Waiting(thing) => format!("waiting for another swapstorm: {thing}"),
            Progress::Download { percent } => format!("{}, {percent:.0} %", Stage::Fetch),
        };
        Self { stage, done: 0, expected: None, current: String::new() }
    }
}

/// The way from units to their dispatcher.
pub fn channel() -> (mpsc::Sender<Message>, mpsc::Receiver<Message>) {
    mpsc::channel(BACKLOG)
}

/// What a unit has of its run.
#[derive(Debug, Clone)]
pub struct Context {
    teller: mpsc::Sender<Message>,
    /// The user wants everything to end.
    pub interrupt: CancellationToken,
    /// Nobody needs more of this unit.
    pub enough: CancellationToken,
    /// Its time on this machine is used up: what it has shown by then counts.
    pub overtime: CancellationToken,
}

impl Context {
    /// For a unit that tells `teller`, and that `interrupt` stops.
    pub fn new(teller: mpsc::Sender<Message>, interrupt: CancellationToken) -> Self {
        let (enough, overtime) = (CancellationToken::new(), CancellationToken::new());
        Self { teller, interrupt, enough, overtime }
    }

    /// Tells what happened. A dispatcher that is gone has nobody to tell.
    pub async fn tell(&self, what: What) {
        let _ = self.teller.send(Message::Event(what)).await;
    }

    /// Tells what happened so long ago, elsewhere.
    pub async fn tell_of(&self, what: What, ago: Duration) {
        let _ = self.teller.send(Message::Past(what, ago)).await;
    }

    /// Tells what is being done for a cell whose machine has not begun: `stage` of `what`, both for people.
    pub fn stage(&self, cell: &str, what: &str, stage: String) {
        let step = BuildStep { stage, done: 0, expected: None, current: String::new() };
        let (cell, kernel) = (cell.to_owned(), what.to_owned());
        let _ = self.teller.try_send(Message::Building { cell, kernel, step });
    }

    /// Tells what a reader of the run's report should know. It is left out if nobody has time for it.
    pub fn notice(&self, text: String) {
        let _ = self.teller.try_send(Message::Event(What::Notice { cell: None, text }));
    }

    /// Whether the unit is to stop.
    pub fn is_to_stop(&self) -> bool {
        let tokens = [&self.interrupt, &self.enough, &self.overtime];
        tokens.into_iter().any(CancellationToken::is_cancelled)
    }

    /// Waits until the unit is to stop, and says why.
    pub async fn asked_to_stop(&self) -> VmEnd {
        tokio::select! {
            biased;
            () = self.interrupt.cancelled() => VmEnd::Interrupted,
            () = self.enough.cancelled() => VmEnd::Enough,
            () = self.overtime.cancelled() => VmEnd::HostBudget,
        }
    }

    /// Tells how the build of `kernel` gets on. News that nobody has time for are left out; notices are not.
    pub fn building(&self, cell: &str, kernel: &str, progress: Progress<'_>) {
        if let Progress::Notice(text) = progress {
            let text = format!("{kernel}: {text}");
            let what = What::Notice { cell: Some(cell.to_owned()), text };
            let _ = self.teller.try_send(Message::Event(what));
            return;
        }
        let step = BuildStep::of(progress);
        let (cell, kernel) = (cell.to_owned(), kernel.to_owned());
        let _ = self.teller.try_send(Message::Building { cell, kernel, step });
    }
}

/// Runs `work` on a thread of its own, which may hash, copy and parse as long as it likes: watches go on
/// meanwhile. `None` if `interrupt` came first; `work` is dropped then, which kills what it has started.
///
/// # Errors
/// Those of `work`; and of the system, where no thread can be had.
pub async fn on_a_thread<T, W, F>(interrupt: CancellationToken, work: W) -> Option<Result<T, Error>>
where
    T: Send + 'static,
    W: FnOnce() -> F + Send + 'static,
    F: Future<Output = Result<T, Error>>,
{
    let (sender, receiver) = oneshot::channel();
    let body = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let done = match runtime {
            Ok(runtime) => runtime.block_on(async {
                tokio::select! {
                    done = work() => Some(done),
                    () = interrupt.cancelled() => None,
                }
            }),
            Err(error) => Some(Err(error.into())),
        };
        // Whoever waits may have been dropped.
        let _ = sender.send(done);
    };
    if let Err(error) = std::thread::Builder::new().name("worker".to_owned()).spawn(body) {
        return Some(Err(error.into()));
    }
    match receiver.await {
        Ok(done) => done,
        Err(_) => Some(Err(Error::new(Fault::Infrastructure, "a worker thread broke down"))),
    }
}
