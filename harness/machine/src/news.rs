// SPDX-License-Identifier: MIT OR Apache-2.0
//! What all machines have in common: they print, can be asked to stop, and end.

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::time::Instant;

/// News from a machine.
#[derive(Debug, PartialEq, Eq)]
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

/// What kind of machine it is. The kinds end in different ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A virtual machine of ours.
    Qemu,
    /// A machine that runs its kernel already, over SSH.
    Target,
}

/// A machine that can be watched.
pub trait Machine {
    /// What kind it is.
    fn kind(&self) -> Kind;

    /// When it was started.
    fn started(&self) -> Instant;

    /// The CPU time that it has had of this host since its start; `None` where that is not known.
    fn cpu_time(&self) -> Option<Duration> {
        None
    }

    /// Waits for news. Dropping the future loses nothing.
    fn news(&mut self, buffer: &mut [u8]) -> impl Future<Output = io::Result<News>> + Send;

    /// Asks the agent to stop; one that does not listen is no error.
    fn ask_to_stop(&mut self) -> impl Future<Output = ()> + Send;

    /// Says a line to the agent; one that does not listen is no error, and a machine to which nobody can speak so does
    /// not hear it.
    fn say(&mut self, line: &str) -> impl Future<Output = ()> + Send;

    /// Makes it end now. Returns what it still printed, and what a person should know.
    fn end(&mut self) -> impl Future<Output = (Vec<u8>, String)> + Send;

    /// After [`News::End`]: what its end looked like.
    fn last_words(&mut self, patience: Duration) -> impl Future<Output = String> + Send;
}
