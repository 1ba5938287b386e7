// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is known of the shards: where they are, who waits for them, how they ended. It changes as winners come and as Slurm
//! answers, and does nothing itself.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tokio::sync::oneshot;

use super::controller::{Queued, named};
use super::layout::{Array, Outcome};
use crate::job::CellJob;
use crate::unit::Context;

/// Slurm keeps a task back for ever that a node could not start.
const HELD: &str = "launch_failed_requeued_held";
/// Why a task waits where all is well.
const USUAL_REASONS: &[&str] = &[
    "None",
    "Resources",
    "Priority",
    "Dependency",
    "JobArrayTaskLimit",
    "BeginTime",
    "Cleaning",
    "Prolog",
];
/// The highest index of a task that is believed.
const MOST_INDEX: u32 = 1_000_000;
/// A shard that Slurm did not know in so many looks in a row is lost: a network file system may show its winner late.
const MOST_MISSED: u32 = 2;

/// All shards of a run.
#[derive(Debug, Default)]
pub(super) struct State {
    /// By the cell's id. One that has ended and was asked for is no longer here.
    pub(super) shards: HashMap<String, Shard>,
    /// Arrays that were submitted, by number.
    pub(super) arrays: BTreeSet<u64>,
    /// The round that is next.
    pub(super) round: u32,
    /// What was said already, so that it is not said again.
    pub(super) said: BTreeSet<String>,
}

/// A cell in the cluster.
#[derive(Debug)]
pub(super) struct Shard {
    /// The cell.
    pub(super) job: CellJob,
    /// The array and the task's index in it, once it is submitted.
    pub(super) place: Option<(u64, u32)>,
    /// Submitted so often by us.
    pub(super) rounds: u32,
    /// Looks in a row in which Slurm did not know it.
    pub(super) missed: u32,
    /// Where it runs; empty: nowhere yet.
    pub(super) node: String,
    /// Why it need not begin any more, and whether the plan wants it so.
    pub(super) withdrawn: Option<(String, bool)>,
    /// How it ended, until somebody asks.
    pub(super) end: Option<End>,
    /// Who waits for its end.
    pub(super) waiter: Option<(oneshot::Sender<End>, Context)>,
}

/// How a shard ends.
#[derive(Debug, Clone)]
pub(super) enum End {
    /// An attempt came to its end.
    Won(Outcome),
    /// None will; why.
    Lost(String),
    /// Nobody needs it; why, and whether the plan wants it so.
    Withdrawn(String, bool),
}

/// What a look at the queue comes to.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Tasks that wait and that nobody needs.
    pub(super) withdrawn: Vec<String>,
    /// Tasks that Slurm keeps back for ever.
    pub(super) held: Vec<String>,
    /// Cells that Slurm does not know any more.
    pub(super) lost: Vec<String>,
}

impl State {
    /// Ends a shard: whoever waits for it hears how, now or when he asks.
    pub(super) fn end(&mut self, cell: &str, end: End) {
        let Some(shard) = self.shards.get_mut(cell) else { return };
        match shard.waiter.take() {
            Some((waiter, _)) => {
                // Whoever waited may have been dropped.
                let _ = waiter.send(end);
                self.shards.remove(cell);
            }
            None => shard.end = Some(end),
        }
    }

    /// A way to the event log.
    pub(super) fn context(&self) -> Option<Context> {
        self.shards.values().find_map(|shard| Some(shard.waiter.as_ref()?.1.clone()))
    }

    /// Something that a reader should know of the run, once.
    pub(super) fn notice(&mut self, text: String) {
        if let Some(context) = self.context()
            && self.said.insert(text.clone())
        {
            context.notice(text);
        }
    }

    /// Notes where the cells of an array are.
    pub(super) fn place(&mut self, array: &Array, job: u64) {
        self.arrays.insert(job);
        for (index, task) in (0_u32..).zip(&array.tasks) {
            if let Some(shard) = task.storm().and_then(|cell| self.shards.get_mut(cell)) {
                (shard.place, shard.node) = (Some((job, index)), String::new());
            }
        }
    }

    /// The tasks of this run that Slurm knows.
    pub(super) fn known<'q>(&self, queue: &'q [Queued]) -> HashMap<(u64, u32), &'q Queued> {
        let mut known = HashMap::new();
        for queued in queue.iter().filter(|queued| self.arrays.contains(&queued.job)) {
            for (first, last) in &queued.tasks {
                let tasks = *first..=(*last).min(MOST_INDEX);
                known.extend(tasks.map(|task| ((queued.job, task), queued)));
            }
        }
        known
    }

    /// Takes in what Slurm says of all tasks.
    pub(super) fn see(&mut self, queue: &[Queued]) -> Seen {
        let known = self.known(queue);
        let mut seen = Seen::default();
        let (mut withdrawn, mut held) = (BTreeMap::new(), BTreeMap::new());
        let mut ended = Vec::new();
        let mut reasons: BTreeSet<&str> = BTreeSet::new();
        for (cell, shard) in self.shards.iter_mut().filter(|(_, shard)| shard.end.is_none()) {
            let place =
                shard.place.and_then(|place| known.get(&place).map(|queued| (place, queued)));
            let Some(((job, index), queued)) = place else {
                shard.missed += 1;
                if shard.missed >= MOST_MISSED {
                    match &shard.withdrawn {
                        Some((why, planned)) => {
                            ended.push((cell.clone(), End::Withdrawn(why.clone(), *planned)));
                        }
                        None => seen.lost.push(cell.clone()),
                    }
                }
                continue;
            };
            shard.missed = 0;
            if !queued.is_pending() {
                if shard.node != queued.nodes {
                    shard.node.clone_from(&queued.nodes);
                    if let Some((_, context)) = &shard.waiter {
                        let stage = format!("on {} as {job}_{index}", shard.node);
                        context.stage(cell, "Slurm", stage);
                    }
                }
                continue;
            }
            shard.node.clear();
            if let Some((why, planned)) = &shard.withdrawn {
                withdrawn.entry(job).or_insert_with(Vec::new).push(index);
                ended.push((cell.clone(), End::Withdrawn(why.clone(), *planned)));
            } else if queued.reason.replace(' ', "_").contains(HELD) {
                held.entry(job).or_insert_with(Vec::new).push(index);
            } else if !USUAL_REASONS.contains(&queued.reason.as_str()) {
                reasons.insert(&queued.reason);
            }
        }
        let words: Vec<String> = reasons
            .into_iter()
            .map(|reason| format!("Slurm lets tasks of this run wait: {reason}"))
            .collect();
        words.into_iter().for_each(|text| self.notice(text));
        ended.into_iter().for_each(|(cell, end)| self.end(&cell, end));
        let names = |tasks: BTreeMap<u64, Vec<u32>>| {
            tasks.into_iter().map(|(job, tasks)| named(job, &tasks)).collect()
        };
        (seen.withdrawn, seen.held) = (names(withdrawn), names(held));
        seen
    }
}
