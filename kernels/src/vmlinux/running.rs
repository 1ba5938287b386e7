// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where a kernel keeps what says whether the running task may sleep.
//!
//! Kernels are built without debug information, and these offsets differ between versions and
//! configurations. They are read from machine code that cannot but use them: small functions that
//! exist in every kernel, two for each value, whose stores must have exactly one place in common.

use std::collections::HashSet;

use super::error::VmlinuxError;
use super::image::Vmlinux;
use super::stores::{self, Base, Location, Store};

/// How the running task is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CurrentTask {
    /// By the pointer at this distance from the base of the per-CPU area (x86_64).
    PerCpu(u64),
    /// By a register (arm64: `SP_EL0`, riscv64: `tp`).
    Register,
}

/// Where `preempt_count` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PreemptCount {
    /// At this distance from the base of the per-CPU area.
    PerCpu(u64),
    /// At this offset in the running task.
    Task(u64),
}

/// What the kernel knows of the running task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningTask {
    /// The task itself, a `struct task_struct`.
    pub current: CurrentTask,
    /// `preempt_count`: above 0 while the task may not be preempted, in interrupts too.
    pub preempt_count: PreemptCount,
    /// Its length: 4 bytes, or 8 (x86_64 in newer kernels).
    pub preempt_count_bytes: usize,
    /// Offset of `__state` (4 bytes) in the task: 0 while it runs and means to go on.
    pub state: u64,
    /// Offset of `rcu_read_lock_nesting` (4 bytes) in the task. `None` without CONFIG_PREEMPT_RCU: there
    /// RCU readers cannot be preempted, and `preempt_count` counts them.
    pub rcu_nesting: Option<u64>,
    /// Length of a task's stack in bytes, a power of two. Stacks begin at multiples of it.
    pub stack_bytes: u64,
}

/// The constants of `__state`, include/linux/sched.h.
const TASK_INTERRUPTIBLE: u64 = 1;
const TASK_UNINTERRUPTIBLE: u64 = 2;
/// Stacks outside of these bounds are none.
const STACK: std::ops::RangeInclusive<u64> = 4 << 10..=1 << 20;

impl Vmlinux {
    /// Where this kernel keeps what says whether the running task may sleep.
    ///
    /// # Errors
    /// Names what the machine code does not show. Nothing is guessed.
    pub fn running_task(&self) -> Result<RunningTask, VmlinuxError> {
        let (preempt_count, preempt_count_bytes) = self.preempt_count()?;
        let state = self.state()?;
        let nesting = self.rcu_nesting()?;
        if let Some(nesting) = nesting.filter(|nesting| nesting.base != state.base) {
            let why = format!(
                "__state is found by {:?}, rcu_read_lock_nesting by {:?}",
                state.base, nesting.base
            );
            return Err(VmlinuxError::Undecoded { what: "the running task", why });
        }
        let current = match state.base {
            Base::PerCpuPointer(variable) => CurrentTask::PerCpu(variable),
            _ => CurrentTask::Register,
        };
        Ok(RunningTask {
            current,
            preempt_count,
            preempt_count_bytes,
            state: state.offset.cast_unsigned(),
            rcu_nesting: nesting.map(|nesting| nesting.offset.cast_unsigned()),
            stack_bytes: self.stack_bytes()?,
        })
    }

    /// `preempt_count` is what spinlocks count up and down.
    fn preempt_count(&self) -> Result<(PreemptCount, usize), VmlinuxError> {
        let what = "preempt_count";
        // With CONFIG_DEBUG_PREEMPT and preemption tracers, functions of their own do it.
        let pairs =
            [["preempt_count_add", "preempt_count_sub"], ["_raw_spin_lock", "_raw_spin_unlock"]];
        let pair = pairs.iter().find(|pair| self.function(pair[0]).is_ok()).unwrap_or(&pairs[1]);
        let found = self.common(what, pair, |_, store| {
            let counts = store.value.is_none() && [4, 8].contains(&store.bytes);
            counts && !matches!(store.to.base, Base::PerCpuPointer(_))
        });
        let (location, bytes) = found?.ok_or_else(|| VmlinuxError::Undecoded {
            what,
            why: format!(
                "{} and {} count nothing (a kernel without CONFIG_PREEMPT_COUNT does not tell \
                 where sleeping is forbidden)",
                pair[0], pair[1]
            ),
        })?;
        let count = match location {
            Location { base: Base::PerCpu, offset } => PreemptCount::PerCpu(offset.cast_unsigned()),
            Location { offset, .. } => PreemptCount::Task(offset.cast_unsigned()),
        };
        Ok((count, bytes))
    }

    /// `__state` is what these functions set before they wait.
    fn state(&self) -> Result<Location, VmlinuxError> {
        let what = "__state of a task";
        let setters = ["schedule_timeout_interruptible", "schedule_timeout_uninterruptible"];
        let found = self.common(what, &setters, |which, store| {
            store.value == Some([TASK_INTERRUPTIBLE, TASK_UNINTERRUPTIBLE][which])
                && store.bytes == 4
                && store.to.base != Base::PerCpu
        });
        found?.map(|(location, _)| location).ok_or_else(|| VmlinuxError::Undecoded {
            what,
            why: format!("{} and {} set nothing in common", setters[0], setters[1]),
        })
    }

    /// `rcu_read_lock_nesting` is what these functions count up and down.
    fn rcu_nesting(&self) -> Result<Option<Location>, VmlinuxError> {
        let what = "rcu_read_lock_nesting of a task";
        let counters = ["__rcu_read_lock", "__rcu_read_unlock"];
        // Without preemptible RCU both are inlined everywhere.
        if counters.iter().all(|name| self.address(name).is_none()) {
            return Ok(None);
        }
        let found = self.common(what, &counters, |_, store| {
            store.value.is_none() && store.bytes == 4 && store.to.base != Base::PerCpu
        });
        let why = || format!("{} and {} count nothing in common", counters[0], counters[1]);
        found?
            .map(|(location, _)| Some(location))
            .ok_or_else(|| VmlinuxError::Undecoded { what, why: why() })
    }

    /// The only place in which all of `functions` make a store of one length that is `wanted` of the
    /// function with that index, and the length; `None` if there is none.
    fn common(
        &self,
        what: &'static str,
        functions: &[&str],
        wanted: impl Fn(usize, &Store) -> bool,
    ) -> Result<Option<(Location, usize)>, VmlinuxError> {
        let Some(isa) = self.isa else {
            let why = "the code of this architecture cannot be decoded".to_owned();
            return Err(VmlinuxError::Undecoded { what, why });
        };
        let mut common: Option<HashSet<(Location, usize)>> = None;
        for (which, name) in functions.iter().enumerate() {
            let function = self
                .function(name)
                .map_err(|error| VmlinuxError::Undecoded { what, why: error.to_string() })?;
            let stores = stores::decode(isa, &self.code(&function)?, function.address);
            let places: HashSet<(Location, usize)> = stores
                .iter()
                .filter(|store| wanted(which, store))
                .map(|store| (store.to, store.bytes))
                .collect();
            common = Some(match common {
                None => places,
                Some(before) => before.intersection(&places).copied().collect(),
            });
        }
        let mut common = common.into_iter().flatten();
        match (common.next(), common.next()) {
            (Some(_), Some(_)) => {
                let why = format!("{} have several stores in common", functions.join(" and "));
                Err(VmlinuxError::Undecoded { what, why })
            }
            (Some((Location { base, offset }, _)), None) if base != Base::PerCpu && offset < 0 => {
                let why = format!("{} store before it, at {offset}", functions.join(" and "));
                Err(VmlinuxError::Undecoded { what, why })
            }
            (only, _) => Ok(only),
        }
    }

    /// The first task's stack lies between two symbols of the linker script.
    fn stack_bytes(&self) -> Result<u64, VmlinuxError> {
        let what = "a task's stack";
        let ends =
            [("__start_init_stack", "__end_init_stack"), ("__start_init_task", "__end_init_task")];
        let length = ends
            .iter()
            .find_map(|(start, end)| self.address(end)?.checked_sub(self.address(start)?));
        let why = match length {
            Some(length) if length.is_power_of_two() && STACK.contains(&length) => {
                return Ok(length);
            }
            Some(length) => format!("the first one has {length} bytes"),
            None => format!("it has none of the symbols {} and {}", ends[0].0, ends[1].0),
        };
        Err(VmlinuxError::Undecoded { what, why })
    }
}
