// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reports that the stretcher brings about itself.
//!
//! The stretcher makes a task sleep in the middle of a function. Where the kernel did not allow that after all
//! (in an RCU reader of a preemptible kernel, say), the kernel notices and warns: `WARNING in
//! rcu_note_context_switch`. Such a report says something about the method and nothing about the kernel, so it
//! must never count as a bug. What gives it away is the sleep on its stack: an `msleep()` that nobody called.
//!
//! Only reports about *sleeping* can be the method's. What a sanitizer says about memory is the kernel's,
//! whoever slept where: holding a window open is what the stretcher is for.

use crate::event::PlacedPoint;
use crate::finding::{Finding, Frame, StackRole};

/// The function that the stretcher diverts tasks into.
pub const SLEEP: &str = "msleep";
/// The function that never runs, in whose first byte sleepers return.
pub const TRAP: &str = "kernel_halt";
/// Types of reports that a sleep in the wrong place can bring about.
const KINDS: &[&str] = &["WARNING", "ATOMIC_SLEEP", "LOCKDEP", "HANG"];
/// Titles of reports that it can bring about because it needs room on the stack.
const STACK_TITLES: &[&str] = &["kernel panic: corrupted stack end", "kernel stack overflow"];

/// A report of the method's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnReport {
    /// Id of the stretch point at which the task was put to sleep; all that it may have been, with
    /// ` or ` between them, where the stack does not tell; `unknown` if the kernel has none.
    pub point: String,
    /// Why it is the method's, for a person.
    pub why: String,
}

/// Whether a report is of a type that a sleep in the wrong place can bring about. Behind a report of the
/// method's own, in the same boot, such a report may be its consequence.
pub fn may_follow(finding: &Finding) -> bool {
    KINDS.contains(&finding.kind.as_str())
        || STACK_TITLES.iter().any(|title| finding.title.starts_with(title))
}

/// Whether `finding` is the method's own; `None` if it is the kernel's.
///
/// It is, if it [may be](may_follow) and the stack of where it was made holds a [`SLEEP`] that
/// * was called from nowhere: behind it stands [`TRAP`], the very end of another function (where an unwinder
///   looks up the trap's address), or nothing;
/// * was called by a function of one of `points`, which call no such thing; or
/// * belongs to a task of which the stretcher knows that it was asleep: `diverted` is the point.
pub fn own_report<'a>(
    finding: &Finding,
    points: impl Iterator<Item = &'a PlacedPoint>,
    diverted: Option<&str>,
) -> Option<OwnReport> {
    if !may_follow(finding) {
        return None;
    }
    let stacks = || {
        let made = finding.stacks.iter();
        made.filter(|stack| matches!(stack.role, StackRole::Access | StackRole::Other))
    };
    let own = |point: &str, why: &str| {
        let why = format!("the stretcher had put the task to sleep ({why})");
        Some(OwnReport { point: point.to_owned(), why })
    };
    let callers: Vec<&[Frame]> = stacks()
        .filter_map(|stack| {
            let frames = &stack.frames;
            let sleep = frames.iter().rposition(|frame| frame.function == SLEEP)?;
            Some(&frames[sleep + 1..])
        })
        .collect();
    if let Some(point) = diverted
        && (!callers.is_empty() || stacks().all(|stack| stack.frames.is_empty()))
    {
        return own(point, "it says so");
    }
    let points: Vec<&PlacedPoint> = points.collect();
    for caller in &callers {
        let within = |frame: &Frame| {
            let function = frame.function.as_str();
            points.iter().find(|point| point.functions.iter().any(|name| name == function))
        };
        if let Some(point) = caller.first().and_then(within) {
            return own(&point.id, &format!("{SLEEP} stands below {}", point.functions[0]));
        }
        if caller.first().is_none_or(is_nowhere) {
            // Where frames are found by their pointers, the one of the diverted function is lost: what follows
            // is its caller.
            let point = match caller.iter().find_map(within) {
                Some(point) => point.id.clone(),
                None if points.is_empty() => "unknown".to_owned(),
                None => {
                    points.iter().map(|point| point.id.as_str()).collect::<Vec<_>>().join(" or ")
                }
            };
            return own(&point, &format!("{SLEEP} was called from nowhere"));
        }
    }
    None
}

/// Whether a return address belongs to no call: the trap, or, since unwinders look up the byte before a return
/// address, the end of the function that lies before it.
fn is_nowhere(frame: &Frame) -> bool {
    frame.function == TRAP || frame.offset.is_some_and(|(offset, size)| size > 0 && offset >= size)
}

#[cfg(test)]
mod tests;
