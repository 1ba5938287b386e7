// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a task must not sleep where it is.

use std::fmt;

use kernels::vmlinux::{CurrentTask, PreemptCount, RunningTask};

use super::abi::Abi;
use super::gdb::{Gdb, GdbError, Registers};

/// Where a kernel forbids to sleep, and where it would not be told from a mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// Interrupts are off.
    Interrupts,
    /// `preempt_count` is above 0: a spinlock is held, or this is an interrupt.
    PreemptCount,
    /// The task is an RCU reader, which with CONFIG_PREEMPT does not show in `preempt_count`.
    RcuReader,
    /// The task has said that it is about to wait for something; sleeping here would undo that.
    TaskState,
    /// The rest of the task's stack is too short for the functions that sleep.
    Stack,
}

impl Refusal {
    /// All of them, in the order in which they are looked for.
    pub const ALL: [Self; 5] =
        [Self::Interrupts, Self::PreemptCount, Self::RcuReader, Self::TaskState, Self::Stack];

    /// One word for logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Interrupts => "interrupts-off",
            Self::PreemptCount => "preempt-count",
            Self::RcuReader => "rcu-reader",
            Self::TaskState => "task-state",
            Self::Stack => "stack",
        }
    }
}

impl Refusal {
    /// The reason that logs call so.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|why| why.as_str() == name)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A quarter of the stack is kept for the sleep and for an interrupt in it: 8 KiB of the 32 KiB that
/// stacks have with KASAN, whose functions need the most.
const STACK_SHARE: u64 = 4;

/// Why the task that stands at a breakpoint with stack pointer `sp` must not sleep there.
pub(crate) async fn refusal(
    gdb: &mut Gdb,
    abi: &Abi,
    task: &RunningTask,
    registers: &Registers,
    sp: u64,
) -> Result<Option<Refusal>, GdbError> {
    let flags = gdb.value(registers, abi.interrupts.register).await?;
    if (flags >> abi.interrupts.bit & 1 == 1) != abi.interrupts.enabled_if_set {
        return Ok(Some(Refusal::Interrupts));
    }
    let base = gdb.value(registers, abi.kernel_base).await?;
    let current = match task.current {
        CurrentTask::Register => base,
        CurrentTask::PerCpu(pointer) => gdb.read(&[(base.wrapping_add(pointer), 8)]).await?[0],
    };
    let count = match task.preempt_count {
        PreemptCount::PerCpu(at) => base.wrapping_add(at),
        PreemptCount::Task(at) => current.wrapping_add(at),
    };
    let mut places = vec![(count, task.preempt_count_bytes), (current.wrapping_add(task.state), 4)];
    places.extend(task.rcu_nesting.map(|at| (current.wrapping_add(at), 4)));
    let values = gdb.read(&places).await?;
    let (count, state, nesting) = (values[0], values[1], values.get(2).copied().unwrap_or(0));
    let resched = u64::from(abi.resched_in_count) << (8 * task.preempt_count_bytes - 1);
    let left = sp & (task.stack_bytes - 1);
    let refusals = [
        (count & !resched != 0, Refusal::PreemptCount),
        (nesting != 0, Refusal::RcuReader),
        (state != 0, Refusal::TaskState),
        (left < task.stack_bytes / STACK_SHARE, Refusal::Stack),
    ];
    Ok(refusals.into_iter().find(|(refused, _)| *refused).map(|(_, why)| why))
}
