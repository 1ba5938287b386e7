// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where and how to stretch in one kernel.

use host::arch::Arch;
use kernels::vmlinux::{Call, CallPattern, FoundCall, RunningTask, Vmlinux, VmlinuxError};
use workloads::profile::{Candidate, Role, StretchPoint};

use super::abi::{self, Abi};

/// The function that sleeps for so many milliseconds.
pub(crate) const SLEEP: &str = "msleep";
/// A function that never runs in a guest of ours; its first byte is where sleepers return to. Not
/// `machine_halt`: where it is the same code as `machine_power_off`, compilers make one call the other.
pub(crate) const NEVER_RUNS: &str = "kernel_halt";

/// Why a profile's stretch points do not fit a kernel.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The kernel's image does not have what stretching needs.
    #[error(transparent)]
    Vmlinux(#[from] VmlinuxError),
    /// None of the calls at which a point may stand is there.
    #[error("a stretch point has no place in this kernel: {}\n  it is: {why}", reasons.join("\n  "))]
    NoPlace {
        /// The window that was to be stretched.
        why: String,
        /// What is wrong with each candidate.
        reasons: Vec<String>,
    },
}

/// Where and how to stretch in one kernel.
#[derive(Debug)]
pub struct StretchPlan {
    pub(super) abi: &'static Abi,
    pub(super) task: RunningTask,
    pub(super) points: Vec<Point>,
    pub(super) sleep: u64,
    pub(super) trap: u64,
    /// Points that this kernel does not have.
    pub left_out: Vec<LeftOut>,
    /// What a reader of the report should know of this kernel.
    pub notes: Vec<String>,
}

/// A stretch point that is not used in a kernel, or a candidate for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The candidate, of a point the first one: `function:call`.
    pub name: String,
    /// What is wrong with it, of a point with each of its candidates.
    pub why: String,
}

/// A stretch point that a kernel has.
#[derive(Debug, Clone)]
pub struct Point {
    /// `function:call#n`.
    pub name: String,
    /// Which window this is.
    pub why: String,
    /// The function in which it stands, by its name in the source.
    pub function: String,
    /// What a sleep here is worth.
    pub role: Role,
    /// The candidates before the one that was taken.
    pub passed_over: Vec<LeftOut>,
    pub(super) call: Call,
    pub(super) milliseconds: u64,
    pub(super) probability: f64,
    pub(super) most: usize,
}

impl StretchPlan {
    /// Finds the points in a kernel. Each stands at the first of its candidates that the kernel has.
    /// An optional point may be missing, but not all that are windows.
    pub fn resolve(
        arch: &Arch,
        vmlinux: &Vmlinux,
        points: &[StretchPoint],
    ) -> Result<Self, PlanError> {
        let mut found: Vec<Point> = Vec::new();
        let (mut left_out, mut lost) = (Vec::new(), None);
        for point in points {
            let name = || point.candidates.first().map_or_else(String::new, name_of);
            match place(vmlinux, point) {
                Ok(Placed { at, .. }) if found.iter().any(|f| f.call.at == at.call.at) => {
                    let why = format!("{} is a stretch point already", at.name);
                    left_out.push(LeftOut { name: name(), why });
                }
                Ok(Placed { function, at, passed_over }) => found.push(Point {
                    name: at.name,
                    why: point.why.clone(),
                    function,
                    role: point.role,
                    passed_over,
                    call: at.call,
                    milliseconds: point.ms,
                    probability: point.probability,
                    most: usize::try_from(point.most_at_a_time).unwrap_or(usize::MAX),
                }),
                Err(candidates) => {
                    let reasons: Vec<String> = candidates.into_iter().map(|c| c.why).collect();
                    if !point.optional {
                        return Err(PlanError::NoPlace { why: point.why.clone(), reasons });
                    }
                    left_out.push(LeftOut { name: name(), why: reasons.join("; ") });
                    if point.role == Role::Window {
                        lost = Some((point, reasons));
                    }
                }
            }
        }
        if let (Some((point, reasons)), true) = (lost, found.iter().all(|p| p.role == Role::Help)) {
            return Err(PlanError::NoPlace { why: point.why.clone(), reasons });
        }
        let task = vmlinux.running_task()?;
        let mut notes = Vec::new();
        if task.rcu_nesting.is_none() {
            notes.push(
                "this kernel has no CONFIG_PREEMPT_RCU: its RCU readers are told by preempt_count"
                    .to_owned(),
            );
        }
        Ok(Self {
            abi: abi::of(arch.isa),
            task,
            points: found,
            sleep: vmlinux.function(SLEEP)?.address,
            trap: vmlinux.function(NEVER_RUNS)?.address,
            left_out,
            notes,
        })
    }

    /// The points that this kernel has. Their order is that of [`Counts::get`](super::Counts::get).
    pub fn points(&self) -> &[Point] {
        &self.points
    }
}

/// The candidate that was taken.
struct Placed {
    function: String,
    at: FoundCall,
    passed_over: Vec<LeftOut>,
}

fn name_of(candidate: &Candidate) -> String {
    format!("{}:{}", candidate.function, candidate.call)
}

/// The first candidate that the kernel has, and those before it; else all of them.
fn place(vmlinux: &Vmlinux, point: &StretchPoint) -> Result<Placed, Vec<LeftOut>> {
    let mut passed_over = Vec::new();
    for candidate in &point.candidates {
        let Candidate { function, call, occurrence, after, before } = candidate;
        let pattern = CallPattern {
            function,
            call,
            occurrence: *occurrence,
            after: after.as_deref(),
            before: before.as_deref(),
        };
        match vmlinux.find_call(&pattern) {
            Ok(at) => return Ok(Placed { function: function.clone(), at, passed_over }),
            Err(error) => {
                passed_over.push(LeftOut { name: name_of(candidate), why: error.to_string() });
            }
        }
    }
    Err(passed_over)
}
