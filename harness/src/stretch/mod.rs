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

mod gdb;
mod isa;
mod symbols;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use host::arch::Arch;
use tokio::net::UnixStream;
use workloads::profile::StretchPoint;

use crate::random::Random;
use gdb::{Gdb, GdbError, Registers, Stop};
use isa::{Call, Isa, Place};
pub use symbols::SymbolError;
use symbols::Symbols;

/// The function that sleeps for so many milliseconds.
const SLEEP: &str = "msleep";
/// A function that never runs in a guest of ours; its first byte is where sleepers return to. Not
/// `machine_halt`: where it is the same code as `machine_power_off`, compilers make one call the other.
const NEVER_RUNS: &str = "kernel_halt";
/// Bytes left free below the task's stack pointer: a red zone, were there one, and some room.
const STACK_GAP: u64 = 512;

/// Why stretching ended.
#[derive(Debug, thiserror::Error)]
pub enum StretchError {
    /// The gdbstub failed or is gone.
    #[error(transparent)]
    Gdb(#[from] GdbError),
    /// A task came back from its sleep with a stack pointer that nobody left with.
    #[error("a sleeping task came back with an unknown stack pointer {0:#x}")]
    Lost(u64),
    /// The gdbstub spoke of a stop that no breakpoint of ours explains, again and again.
    #[error("the guest stops at {0:#x}, where no breakpoint is")]
    Strange(u64),
}

/// What has happened at the stretch points of one virtual machine.
#[derive(Debug, Default)]
pub struct Counts {
    /// Windows that were stretched, ended or not.
    pub stretched: AtomicU64,
    /// Sleepers that came back.
    pub returned: AtomicU64,
    /// Times that a point was reached where sleeping is not allowed.
    pub refused: AtomicU64,
    /// Times that a point was passed because of its probability or its limit.
    pub passed: AtomicU64,
}

impl Counts {
    fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Windows stretched and points refused so far.
    pub fn get(&self) -> (u64, u64) {
        (self.stretched.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed))
    }
}

/// Where and how to stretch in one kernel.
#[derive(Debug)]
pub struct StretchPlan {
    isa: &'static Isa,
    points: Vec<Point>,
    sleep: u64,
    trap: u64,
    /// What to add to the base register for the address of `preempt_count`.
    preempt_count: u64,
    /// Optional points that this kernel does not have, each with the reason.
    pub left_out: Vec<String>,
}

#[derive(Debug, Clone)]
struct Point {
    call: Call,
    milliseconds: u64,
    probability: f64,
    most: usize,
}

impl StretchPlan {
    /// Finds the points in a kernel. An optional point may be missing, but not all of them.
    pub fn resolve(
        arch: &Arch,
        vmlinux: &Path,
        points: &[StretchPoint],
    ) -> Result<Self, SymbolError> {
        let isa = isa::of(arch.isa);
        let symbols = Symbols::read(vmlinux, points.iter().map(|point| point.function.as_str()))?;
        let (mut found, mut left_out, mut last) = (Vec::new(), Vec::new(), None);
        for point in points {
            match symbols.call(isa, &point.function, &point.call, point.occurrence) {
                Ok(call) => found.push(Point {
                    call,
                    milliseconds: point.ms,
                    probability: point.probability,
                    most: usize::try_from(point.most_at_a_time).unwrap_or(usize::MAX),
                }),
                Err(error) if point.optional => {
                    left_out.push(error.to_string());
                    last = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        if let (true, Some(error)) = (found.is_empty(), last) {
            return Err(error);
        }
        let preempt_count = match isa.preempt_count.place {
            Place::Offset(offset) => offset,
            Place::Symbol(counters) => counters
                .iter()
                .find_map(|(name, offset)| Some(symbols.address(name)? + offset))
                .ok_or_else(|| SymbolError::NoFunction {
                    function: counters[0].0.to_owned(),
                    near: Vec::new(),
                })?,
        };
        Ok(Self {
            isa,
            points: found,
            sleep: symbols.function_address(SLEEP)?,
            trap: symbols.function_address(NEVER_RUNS)?,
            preempt_count,
            left_out,
        })
    }
}

/// A task that sleeps in a window.
#[derive(Debug)]
struct Sleeper {
    point: usize,
    registers: Vec<(&'static str, u64)>,
    sp: u64,
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
        for address in plan.points.iter().map(|point| point.call.at).chain([plan.trap]) {
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
        let pc = self.gdb.get(&registers, self.plan.isa.pc)?;
        if pc == self.plan.trap {
            self.put_back(&registers).await?;
        } else if let Some(index) = self.plan.points.iter().position(|p| p.call.at == pc) {
            self.reached(index, &registers).await?;
        } else {
            return Err(StretchError::Strange(pc));
        }
        Ok(self.gdb.resume().await?)
    }

    /// A task stands before the call that ends a window.
    async fn reached(&mut self, index: usize, registers: &Registers) -> Result<(), StretchError> {
        let plan = Arc::clone(&self.plan);
        let point = &plan.points[index];
        let asleep = self.sleepers.values().filter(|sleeper| sleeper.point == index).count();
        let sp = self.gdb.get(registers, plan.isa.sp)?;
        if self.random.chance(point.probability) && asleep < point.most {
            if self.may_sleep(registers).await? {
                Counts::add(&self.counts.stretched);
                return self.divert(index, registers, sp).await;
            }
            Counts::add(&self.counts.refused);
        } else {
            Counts::add(&self.counts.passed);
        }
        self.make_call(point.call, sp).await
    }

    /// Sleeping is allowed where interrupts are on and `preempt_count` is 0.
    async fn may_sleep(&mut self, registers: &Registers) -> Result<bool, StretchError> {
        let (interrupts, counter) = (&self.plan.isa.interrupts, &self.plan.isa.preempt_count);
        let flags = self.gdb.value(registers, interrupts.register).await?;
        if (flags >> interrupts.bit & 1 == 1) != interrupts.enabled_if_set {
            return Ok(false);
        }
        let base = self.gdb.value(registers, counter.base).await?;
        let bytes = self.gdb.read(base.wrapping_add(self.plan.preempt_count)).await?;
        Ok(u32::from_le_bytes(bytes) & !counter.ignored == 0)
    }

    /// Sends the task to sleep; it will come back to the trap.
    async fn divert(
        &mut self,
        index: usize,
        registers: &Registers,
        sp: u64,
    ) -> Result<(), StretchError> {
        let isa = self.plan.isa;
        let mut saved = Vec::with_capacity(isa.general.len());
        for &name in isa.general {
            saved.push((name, self.gdb.get(registers, name)?));
        }
        let below = sp.wrapping_sub(STACK_GAP) & !15;
        self.sleepers.insert(below, Sleeper { point: index, registers: saved, sp });
        let (trap, sleep) = (self.plan.trap, self.plan.sleep);
        let milliseconds = self.plan.points[index].milliseconds;
        self.gdb.set(isa.argument, milliseconds).await?;
        self.call_to(sleep, trap, below).await
    }

    /// The sleeper whose stack this is gets its registers back, and makes its call.
    async fn put_back(&mut self, registers: &Registers) -> Result<(), StretchError> {
        let sp = self.gdb.get(registers, self.plan.isa.sp)?;
        let sleeper = self.sleepers.remove(&sp).ok_or(StretchError::Lost(sp))?;
        for (name, value) in sleeper.registers {
            if self.gdb.get(registers, name)? != value {
                self.gdb.set(name, value).await?;
            }
        }
        Counts::add(&self.counts.returned);
        self.make_call(self.plan.points[sleeper.point].call, sleeper.sp).await
    }

    /// Does what the call instruction under the breakpoint would have done.
    async fn make_call(&mut self, call: Call, sp: u64) -> Result<(), StretchError> {
        self.call_to(call.target, call.next, sp).await
    }

    /// Enters the function at `target` as a call would that returns to `back` with stack pointer `sp`.
    async fn call_to(&mut self, target: u64, back: u64, sp: u64) -> Result<(), StretchError> {
        let isa = self.plan.isa;
        match isa.link {
            Some(link) => {
                self.gdb.set(link, back).await?;
                self.gdb.set(isa.sp, sp).await?;
            }
            None => {
                let pushed = sp.wrapping_sub(8);
                self.gdb.write(pushed, &back.to_le_bytes()).await?;
                self.gdb.set(isa.sp, pushed).await?;
            }
        }
        Ok(self.gdb.set(isa.pc, target).await?)
    }
}

impl StretchError {
    /// True if this only says that the machine has ended.
    pub fn is_end_of_machine(&self) -> bool {
        matches!(self, Self::Gdb(GdbError::Closed | GdbError::Io(_)))
    }
}
