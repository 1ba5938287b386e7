// SPDX-License-Identifier: MIT OR Apache-2.0
//! The window stretcher: makes a guest task sleep at a chosen call, in an unmodified kernel.
//!
//! A race window of a few instructions becomes one of 200 ms. At a hardware breakpoint on
//! the call that ends the window, the task is diverted into `msleep()` with a return address
//! that is a second breakpoint, on a function that never runs. The *task* is descheduled, so
//! RCU, swapoff and the other vCPUs go on; stalling a vCPU instead would stall the grace
//! period that the bug needs. When the second breakpoint is reached, the task's registers are
//! found by its stack pointer (it may have woken on another vCPU), put back, and the call is made.
//!
//! Both breakpoints stay where they are: the call under the first one is carried out by
//! the stretcher itself, which spares a single step and two flushes of translated code.

pub(crate) mod abi;
mod counts;
pub(crate) mod divert;
pub(crate) mod gdb;
mod plan;
pub(crate) mod refusal;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use kernels::vmlinux::Call;
use tokio::net::UnixStream;

use crate::random::Random;
use divert::{Diverted, enter};
use gdb::{Gdb, Registers, Stop};

pub use counts::{Counts, PointCounts};
pub use gdb::GdbError;
pub use plan::{LeftOut, PlanError, Point, StretchPlan};
pub(crate) use plan::{NEVER_RUNS, SLEEP};
pub use refusal::Refusal;

/// Why stretching ended.
#[derive(Debug, thiserror::Error)]
pub enum StretchError {
    /// The gdbstub failed or is gone.
    #[error(transparent)]
    Gdb(#[from] GdbError),
    /// A task came back from its sleep with a stack pointer that nobody left with.
    #[error("a sleeping task came back with an unknown stack pointer {0:#x}")]
    Lost(u64),
    /// The gdbstub spoke of a stop that no breakpoint of ours explains.
    #[error("the guest stops at {0:#x}, where no breakpoint is")]
    Strange(u64),
}

/// A task that sleeps in a window.
#[derive(Debug)]
struct Sleeper {
    point: usize,
    task: Diverted,
}

/// The stretcher of one virtual machine.
#[derive(Debug)]
pub struct Stretcher {
    gdb: Gdb,
    plan: Arc<StretchPlan>,
    counts: Arc<Counts>,
    random: Random,
    sleepers: HashMap<u64, Sleeper>,
}

impl Stretcher {
    /// Stops the machine behind `stream`, sets the breakpoints and lets it run.
    pub async fn start(
        stream: UnixStream,
        plan: Arc<StretchPlan>,
        counts: Arc<Counts>,
        random: Random,
    ) -> Result<Self, StretchError> {
        let mut gdb = Gdb::connect(stream).await?;
        for address in plan.points().iter().map(|point| point.call.at).chain([plan.trap]) {
            gdb.insert_breakpoint(address).await?;
        }
        gdb.resume().await?;
        Ok(Self { gdb, plan, counts, random, sleepers: HashMap::new() })
    }

    /// Works until the machine is gone, which is reported as [`GdbError::Closed`].
    pub async fn run(mut self) -> StretchError {
        loop {
            if let Err(error) = self.one_stop().await {
                return error;
            }
        }
    }

    async fn one_stop(&mut self) -> Result<(), StretchError> {
        let stop = self.gdb.stopped().await?;
        if stop.signal != Stop::TRAP {
            // The machine is being shut down: what comes next is the end of the connection.
            return Ok(());
        }
        let registers = self.gdb.registers(&stop.thread).await?;
        let pc = self.gdb.get(&registers, self.plan.abi.pc)?;
        if pc == self.plan.trap {
            self.put_back(&registers).await?;
        } else if let Some(index) = self.plan.points().iter().position(|p| p.call.at == pc) {
            self.reached(index, stop.cpu(), &registers).await?;
        } else {
            return Err(StretchError::Strange(pc));
        }
        Ok(self.gdb.resume().await?)
    }

    /// A task stands before the call that ends a window.
    async fn reached(
        &mut self,
        index: usize,
        cpu: Option<u32>,
        registers: &Registers,
    ) -> Result<(), StretchError> {
        let plan = Arc::clone(&self.plan);
        let point = &plan.points()[index];
        let asleep = self.sleepers.values().filter(|sleeper| sleeper.point == index).count();
        let sp = self.gdb.get(registers, plan.abi.sp)?;
        if !self.random.chance(point.probability) || asleep >= point.most {
            self.counts.passed(index);
            return self.make_call(point.call, sp, Vec::new()).await;
        }
        let (abi, task) = (plan.abi, &plan.task);
        if let Some(why) = refusal::refusal(&mut self.gdb, abi, task, registers, sp).await? {
            self.counts.refused(index, why);
            return self.make_call(point.call, sp, Vec::new()).await;
        }
        self.divert(index, cpu, registers).await
    }

    /// Sends the task to sleep; it will come back to the trap.
    async fn divert(
        &mut self,
        index: usize,
        cpu: Option<u32>,
        registers: &Registers,
    ) -> Result<(), StretchError> {
        let abi = self.plan.abi;
        let task = Diverted::save(&self.gdb, abi, registers)?;
        let below = task.below();
        self.counts.stretched(index, cpu, below);
        self.sleepers.insert(below, Sleeper { point: index, task });
        let argument = (abi.argument, self.plan.points()[index].milliseconds);
        let (sleep, trap) = (self.plan.sleep, self.plan.trap);
        Ok(enter(&mut self.gdb, abi, sleep, trap, below, vec![argument]).await?)
    }

    /// The sleeper whose stack this is gets its registers back, and makes its call.
    async fn put_back(&mut self, registers: &Registers) -> Result<(), StretchError> {
        let sp = self.gdb.get(registers, self.plan.abi.sp)?;
        let sleeper = self.sleepers.remove(&sp).ok_or(StretchError::Lost(sp))?;
        let changed = sleeper.task.changed(&self.gdb, registers)?;
        self.counts.returned(sleeper.point, sp);
        let call = self.plan.points()[sleeper.point].call;
        self.make_call(call, sleeper.task.sp, changed).await
    }

    /// Does what the instruction under the breakpoint would have done, with other `registers`.
    async fn make_call(
        &mut self,
        Call { target, next, .. }: Call,
        sp: u64,
        registers: Vec<(&'static str, u64)>,
    ) -> Result<(), StretchError> {
        Ok(enter(&mut self.gdb, self.plan.abi, target, next, sp, registers).await?)
    }
}

impl StretchError {
    /// True if this only says that the machine has ended.
    pub fn is_end_of_machine(&self) -> bool {
        matches!(self, Self::Gdb(GdbError::Closed | GdbError::Io(_)))
    }
}
