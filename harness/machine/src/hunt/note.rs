// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a hunter says, and what it is told.

use std::collections::BTreeMap;
use std::fmt;

use crate::stretch::Refusal;

/// Whoever may overtake a task that sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Actor {
    /// Each swap device is swapped off, and on again.
    Swapoff,
    /// A CPU is taken away, and comes back.
    Cpu,
    /// zswap is switched off, and on again.
    Zswap,
}

impl Actor {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Swapoff, Self::Cpu, Self::Zswap];

    /// Its name in the agent's protocol and in event logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Swapoff => "swapoff",
            Self::Cpu => "cpu",
            Self::Zswap => "zswap",
        }
    }

    /// The actor of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|actor| actor.as_str() == name)
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the guest's agent is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Requests are numbered from 1.
    pub number: u32,
    /// Who is to act now.
    pub actor: Actor,
}

/// The agent says that it has done what it was asked for, to one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// Number of the newest request that it had heard when it was done.
    pub request: u32,
    /// The same when it began; 0: none.
    pub since: u32,
    /// Who acted.
    pub actor: Actor,
    /// To which device; the actor's name where there is only one thing.
    pub to: String,
}

/// What a hunter is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cue {
    /// The storm has begun, with so many devices: so many acts make a request done.
    Storm {
        /// Number of devices.
        devices: usize,
    },
    /// Something was done.
    Done(Act),
    /// The guest is ending: nobody is to sleep any more.
    Ending,
}

/// What a sleep has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All that was asked for was done while the task slept.
    Overlapped,
    /// Some of it was.
    Partly,
    /// Nothing of it was: it may have waited for the task.
    Blocked,
    /// The guest's end cut it short.
    Cut,
}

impl Outcome {
    /// Its name in event logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Overlapped => "overlapped",
            Self::Partly => "partly",
            Self::Blocked => "blocked",
            Self::Cut => "cut",
        }
    }
}

/// A sleep that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sleep {
    /// Where: `function:callee#n`.
    pub site: String,
    /// Who was to overtake it.
    pub actor: Actor,
    /// What it came to.
    pub outcome: Outcome,
    /// To how many things something was done meanwhile, be it begun before.
    pub done: usize,
    /// Milliseconds of guest time that were asked for.
    pub ms: u64,
}

/// What is known of a site from the tasks that came by while it was armed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mapped {
    /// So many tasks came by, refused or not; only the first few are counted in each visit.
    pub reached: u64,
    /// Those that must not sleep there, by reason.
    pub refused: BTreeMap<Refusal, u64>,
}

/// Sleeps at a site beside one actor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Met {
    /// The actor did something meanwhile.
    pub passed: u64,
    /// It did nothing.
    pub blocked: u64,
}

/// What an earlier hunt in the same kernel learnt of a site.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Learnt {
    /// Who came by.
    pub mapped: Mapped,
    /// Sleeps there.
    pub met: BTreeMap<Actor, Met>,
}

/// What a hunter says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// What is known of these sites has changed, to this; in the order of the plan.
    Mapped(Vec<(String, Mapped)>),
    /// A task was put to sleep.
    Asleep {
        /// Where: `function:callee#n`.
        site: String,
        /// On which CPU.
        cpu: Option<u32>,
        /// Who is to overtake it.
        actor: Actor,
    },
    /// The agent is to be asked for this now.
    Ask(Request),
    /// It goes on.
    Awake(Sleep),
}
