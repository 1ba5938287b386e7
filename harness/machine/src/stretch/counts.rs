// SPDX-License-Identifier: MIT OR Apache-2.0
//! What has happened at the stretch points of one machine, and who sleeps there.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use workloads::profile::Role;

use super::plan::StretchPlan;
use super::refusal::Refusal;

/// Counters for each point of a plan. The stretcher raises them, anybody reads them.
#[derive(Debug, Default)]
pub struct Counts {
    points: Vec<Counters>,
    /// By CPU, the task that was put to sleep there last, if it sleeps still.
    asleep: Mutex<BTreeMap<u32, Asleep>>,
}

/// A task that sleeps, by the stack pointer that it sleeps with.
#[derive(Debug)]
struct Asleep {
    sp: u64,
    point: usize,
}

#[derive(Debug)]
struct Counters {
    name: String,
    role: Role,
    stretched: AtomicU64,
    returned: AtomicU64,
    passed: AtomicU64,
    refused: [AtomicU64; Refusal::ALL.len()],
}

/// What has happened at one stretch point so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PointCounts {
    /// The point: `function:call#n`.
    pub name: String,
    /// What a sleep here is worth.
    pub role: Role,
    /// Windows that were stretched, ended or not.
    pub stretched: u64,
    /// Sleepers that came back.
    pub returned: u64,
    /// Times that a task was let go because of the point's probability or limit.
    pub passed: u64,
    /// Times that a task came by where sleeping is not allowed, for each reason that occurred.
    pub refused: Vec<(Refusal, u64)>,
}

impl Counts {
    /// Counters for the points of a plan, in their order; all are 0.
    pub fn of(plan: &StretchPlan) -> Self {
        let counters = |point: &super::Point| Counters {
            name: point.name.clone(),
            role: point.role,
            stretched: AtomicU64::new(0),
            returned: AtomicU64::new(0),
            passed: AtomicU64::new(0),
            refused: Default::default(),
        };
        Self { points: plan.points().iter().map(counters).collect(), asleep: Mutex::default() }
    }

    /// By CPU, the name of the point at which the task sleeps that was put to sleep there last; nothing
    /// of a CPU whose last one has come back. A kernel that objects to a sleep does so on that CPU,
    /// before another task runs there.
    pub fn asleep(&self) -> BTreeMap<u32, String> {
        let asleep = self.asleep.lock().unwrap_or_else(PoisonError::into_inner);
        asleep.iter().map(|(cpu, task)| (*cpu, self.points[task.point].name.clone())).collect()
    }

    /// The counts of each point, in the order of the plan.
    pub fn get(&self) -> Vec<PointCounts> {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let refused = |counters: &Counters| {
            let all = Refusal::ALL.iter().zip(&counters.refused);
            all.map(|(&why, counter)| (why, read(counter))).filter(|(_, n)| *n > 0).collect()
        };
        let point = |counters: &Counters| PointCounts {
            name: counters.name.clone(),
            role: counters.role,
            stretched: read(&counters.stretched),
            returned: read(&counters.returned),
            passed: read(&counters.passed),
            refused: refused(counters),
        };
        self.points.iter().map(point).collect()
    }

    /// Windows of the bug stretched so far, and refusals at any point.
    pub fn sum(&self) -> (u64, u64) {
        let points = self.get();
        let windows = points.iter().filter(|p| p.role == Role::Window).map(|p| p.stretched).sum();
        let refused = points.iter().flat_map(|p| &p.refused).map(|(_, n)| n).sum();
        (windows, refused)
    }

    /// A task is put to sleep on a CPU, with this stack pointer.
    pub(super) fn stretched(&self, point: usize, cpu: Option<u32>, sp: u64) {
        add(&self.points[point].stretched);
        if let Some(cpu) = cpu {
            let mut asleep = self.asleep.lock().unwrap_or_else(PoisonError::into_inner);
            asleep.insert(cpu, Asleep { sp, point });
        }
    }

    /// The task that slept with this stack pointer has come back, on whichever CPU.
    pub(super) fn returned(&self, point: usize, sp: u64) {
        add(&self.points[point].returned);
        let mut asleep = self.asleep.lock().unwrap_or_else(PoisonError::into_inner);
        asleep.retain(|_, task| task.sp != sp);
    }

    pub(super) fn passed(&self, point: usize) {
        add(&self.points[point].passed);
    }

    pub(super) fn refused(&self, point: usize, why: Refusal) {
        add(&self.points[point].refused[why as usize]);
    }
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
