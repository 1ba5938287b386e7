// SPDX-License-Identifier: MIT OR Apache-2.0
//! The executor: every cell is a shard, which ends when it has a winner.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fs_err as fs;
use reports::event::What;
use reports::run::{CellReport, RunReport};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::controller::{Controller, Queued};
use super::layout::{Layout, Outcome, Round, Terms};
use super::retell::{lost, retell};
use super::shards::{End, Shard, State};
use crate::dispatcher::INTERRUPT;
use crate::error::Error;
use crate::executor::{Executor, Failed};
use crate::job::{CellJob, Group, Room};
use crate::run_folder;
use crate::unit::Context;

/// Winners are looked for so often: a look reads one folder.
const WINNERS_PERIOD: Duration = Duration::from_secs(1);
/// Slurm is asked so often.
pub const QUEUE_PERIOD: Duration = Duration::from_secs(10);
/// A shard is submitted at most so often by one leader.
pub const MOST_ROUNDS: u32 = 3;

/// A cluster that runs the cells of one run.
#[derive(Debug)]
pub struct Cluster<C: Controller> {
    shared: Arc<Shared<C>>,
    collector: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared<C> {
    layout: Layout,
    terms: Terms,
    controller: C,
    /// Begins the names of all arrays.
    name: String,
    most_tasks: usize,
    state: Mutex<State>,
}

impl<C> Shared<C> {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: Controller> Cluster<C> {
    /// Submits what was not submitted before, and begins to look for winners. `run` tells the run from all others of the
    /// cluster.
    ///
    /// # Errors
    /// Those of writing the run's files, and Slurm's, after which nothing of the run goes on.
    pub async fn open(
        layout: Layout,
        terms: Terms,
        controller: C,
        run: &str,
        jobs: &[CellJob],
    ) -> Result<Self, Error> {
        layout.make()?;
        let most_tasks = controller.most_tasks().await;
        let shared = Shared {
            layout,
            terms,
            controller,
            name: format!("swapstorm-{run}"),
            most_tasks,
            state: Mutex::default(),
        };
        let shared = Arc::new(shared);
        shared.recall(jobs).await?;
        let has_winner: BTreeSet<String> = shared.layout.winners()?.into_iter().collect();
        let new = |job: &&CellJob| {
            let state = shared.state();
            let placed = state.shards.get(&job.cell.id).is_some_and(|s| s.place.is_some());
            !placed && !has_winner.contains(&job.cell.id)
        };
        let new: Vec<CellJob> = jobs.iter().filter(new).cloned().collect();
        if !new.is_empty()
            && let Err(error) = shared.submit(&new).await
        {
            let _ = shared.cancel().await;
            return Err(error);
        }
        let collector = tokio::spawn(Arc::clone(&shared).collect());
        Ok(Self { shared, collector })
    }

    /// Ends all that Slurm still runs for this run.
    ///
    /// # Errors
    /// Slurm's.
    pub async fn cancel(&self) -> Result<(), Error> {
        self.shared.cancel().await
    }

    /// The arrays that were submitted, by Slurm's numbers.
    pub fn arrays(&self) -> Vec<u64> {
        self.shared.state().arrays.iter().copied().collect()
    }
}

impl<C: Controller> Drop for Cluster<C> {
    fn drop(&mut self) {
        self.collector.abort();
    }
}

impl<C: Controller> Shared<C> {
    /// Finds out what an earlier leader has submitted.
    async fn recall(&self, jobs: &[CellJob]) -> Result<(), Error> {
        let rounds = self.layout.rounds()?;
        let queue = match rounds.is_empty() {
            true => Vec::new(),
            false => self.controller.queue().await?,
        };
        for array in rounds.iter().flat_map(|(_, round)| &round.arrays) {
            // The leader was killed between Slurm's answer and its own note.
            if self.layout.job(&array.name).is_none()
                && let Some(queued) = queue.iter().find(|queued| queued.name == array.name)
            {
                self.layout.write_job(&queued.name, queued.job)?;
            }
        }
        let mut state = self.state();
        state.round = u32::try_from(rounds.len()).unwrap_or(u32::MAX);
        for job in jobs {
            let shard = Shard {
                job: job.clone(),
                place: None,
                rounds: 0,
                missed: 0,
                node: String::new(),
                withdrawn: None,
                end: None,
                waiter: None,
            };
            state.shards.insert(job.cell.id.clone(), shard);
        }
        for array in rounds.iter().flat_map(|(_, round)| &round.arrays) {
            if let Some(job) = self.layout.job(&array.name) {
                state.place(array, job);
            }
        }
        let known = state.known(&queue);
        let is_known = |place: &(u64, u32)| known.contains_key(place);
        for shard in state.shards.values_mut() {
            shard.place = shard.place.filter(is_known);
        }
        Ok(())
    }

    /// Submits cells as a new round.
    async fn submit(&self, jobs: &[CellJob]) -> Result<(), Error> {
        let number = {
            let mut state = self.state();
            state.round += 1;
            state.round
        };
        let name = format!("{}-{number}", self.name);
        let built = self.layout.with_kernel()?;
        let round = Round::new(jobs, &self.terms, &name, self.most_tasks, &built);
        self.layout.write_round(number, &round)?;
        let mut numbers: BTreeMap<&str, u64> = BTreeMap::new();
        for array in &round.arrays {
            let after: Vec<u64> =
                array.after.iter().filter_map(|name| numbers.get(name.as_str()).copied()).collect();
            let job = self.controller.submit(number, array, &after).await?;
            self.layout.write_job(&array.name, job)?;
            numbers.insert(&array.name, job);
            self.state().place(array, job);
        }
        let mut state = self.state();
        for job in jobs {
            if let Some(shard) = state.shards.get_mut(&job.cell.id) {
                (shard.rounds, shard.missed) = (shard.rounds + 1, 0);
            }
        }
        Ok(())
    }

    /// Looks for winners and lost shards for ever.
    async fn collect(self: Arc<Self>) {
        let mut look = Instant::now() + QUEUE_PERIOD;
        loop {
            sleep(WINNERS_PERIOD).await;
            self.take_winners().await;
            if Instant::now() >= look {
                self.look_at_queue().await;
                look = Instant::now() + QUEUE_PERIOD;
            }
        }
    }

    async fn take_winners(&self) {
        let layout = self.layout.clone();
        let waited: BTreeSet<String> = {
            let state = self.state();
            let open = state.shards.iter().filter(|(_, shard)| shard.end.is_none());
            open.map(|(cell, _)| cell.clone()).collect()
        };
        let read = move || -> io::Result<Vec<(String, io::Result<Outcome>)>> {
            let mut winners = layout.winners()?;
            winners.retain(|cell| waited.contains(cell));
            Ok(winners.into_iter().map(|cell| (cell.clone(), layout.winner(&cell))).collect())
        };
        let found = tokio::task::spawn_blocking(read).await.map_err(io::Error::other);
        let mut state = self.state();
        match found.flatten() {
            Ok(winners) => {
                for (cell, outcome) in winners {
                    let end = match outcome {
                        Ok(outcome) => End::Won(outcome),
                        Err(error) => End::Lost(error.to_string()),
                    };
                    state.end(&cell, end);
                }
            }
            // A network file system may come back.
            Err(error) => state.notice(format!("the winners cannot be read: {error}")),
        }
    }

    async fn look_at_queue(&self) {
        let queue = match self.controller.queue().await {
            Ok(queue) => queue,
            Err(error) => {
                // Shards go on without the controller, and it comes back one day.
                return self.state().notice(format!("Slurm does not answer: {error}"));
            }
        };
        let seen = self.state().see(&queue);
        for (tasks, pending) in [(&seen.withdrawn, true), (&seen.held, false)] {
            if !tasks.is_empty()
                && let Err(error) = self.controller.cancel(tasks, pending).await
            {
                self.state().notice(error.to_string());
            }
        }
        if seen.lost.is_empty() {
            return;
        }
        // A winner may have come since Slurm forgot its task.
        self.take_winners().await;
        let mut again = Vec::new();
        {
            let mut state = self.state();
            for cell in seen.lost {
                let Some(shard) = state.shards.get(&cell).filter(|s| s.end.is_none()) else {
                    continue;
                };
                if shard.rounds < MOST_ROUNDS {
                    again.push(shard.job.clone());
                } else {
                    let times = shard.rounds;
                    let words = format!(
                        "the cluster has not run this cell to its end, {times} times\n  hint: {} has what its tasks printed; \
                         if they printed nothing, `swapstorm doctor --engine slurm --out {}` says which nodes do not see that folder",
                        self.layout.dir("log").display(),
                        self.layout.run.parent().unwrap_or(&self.layout.run).display()
                    );
                    state.end(&cell, End::Lost(words));
                }
            }
        }
        if again.is_empty() {
            return;
        }
        let before = self.state().arrays.clone();
        let submitted = self.submit(&again).await;
        let mut state = self.state();
        let new: Vec<String> = state.arrays.difference(&before).map(u64::to_string).collect();
        if !new.is_empty() {
            state.notice(format!("Slurm's jobs for tasks that were lost: {}", new.join(", ")));
        }
        if let Err(error) = submitted {
            for job in again {
                state.end(&job.cell.id, End::Lost(error.to_string()));
            }
        }
    }

    async fn cancel(&self) -> Result<(), Error> {
        let (own, round) = {
            let state = self.state();
            (state.arrays.clone(), state.round)
        };
        if round == 0 {
            return Ok(());
        }
        let queue = self.controller.queue().await?;
        // Slurm may have taken an array whose number never came back.
        let names = format!("{}-", self.name);
        let is_own =
            |queued: &&Queued| own.contains(&queued.job) || queued.name.starts_with(&names);
        let left: BTreeSet<u64> = queue.iter().filter(is_own).map(|queued| queued.job).collect();
        if left.is_empty() {
            return Ok(());
        }
        let left: Vec<String> = left.iter().map(u64::to_string).collect();
        self.controller.cancel(&left, false).await
    }
}

impl<C: Controller> Executor for Cluster<C> {
    type Ready = ();

    /// Slurm knows what there is room for.
    fn room(&self) -> Room {
        Room { cpus: u64::MAX, memory_mib: u64::MAX, disk_mib: u64::MAX }
    }

    fn needs(&self, _job: &CellJob, _ready: &()) -> Room {
        Room::NONE
    }

    /// Shards find what the builds have made, or make it themselves.
    fn prepare(
        &self,
        _group: Arc<Group>,
        _cell: String,
        _context: Context,
    ) -> impl Future<Output = Result<Option<()>, Failed>> + Send + 'static {
        std::future::ready(Ok(Some(())))
    }

    fn run(
        &self,
        job: CellJob,
        _ready: (),
        context: Context,
    ) -> impl Future<Output = Result<(), Failed>> + Send + 'static {
        let shared = Arc::clone(&self.shared);
        async move {
            let cell = job.cell.id.clone();
            let (sender, end) = oneshot::channel();
            {
                let mut state = shared.state();
                match state.shards.get_mut(&cell) {
                    Some(shard) => {
                        let end = shard.end.take();
                        shard.waiter = Some((sender, context.clone()));
                        if let Some(end) = end {
                            state.end(&cell, end);
                        }
                    }
                    None => return Err(lost("it was not submitted")),
                }
            }
            let end = tokio::select! {
                biased;
                end = end => end,
                () = context.interrupt.cancelled() => {
                    let (why, planned) = (INTERRUPT.to_owned(), false);
                    context.tell(What::CellCancelled { cell, why, planned }).await;
                    return Ok(());
                }
            };
            match end {
                Ok(End::Won(outcome)) => {
                    let attempt = shared.layout.won(&cell, &outcome);
                    let attempt = attempt.map_err(|error| lost(&error.to_string()))?;
                    retell(attempt, job, outcome.host, &context).await
                }
                Ok(End::Lost(why)) => {
                    // What attempts saw is evidence, whatever became of them.
                    if let Some(attempt) = shared.layout.last_attempt(&cell) {
                        let _ = retell(attempt, job, String::new(), &context).await;
                    }
                    Err(lost(&why))
                }
                Ok(End::Withdrawn(why, planned)) => {
                    context.tell(What::CellCancelled { cell, why, planned }).await;
                    Ok(())
                }
                Err(_) => Err(lost("nobody looked for its winner any more")),
            }
        }
    }

    fn withdraw(&self, cells: &[&str], why: &str, planned: bool) {
        let mut state = self.shared.state();
        for cell in cells {
            if let Some(shard) = state.shards.get_mut(*cell) {
                shard.withdrawn.get_or_insert_with(|| (why.to_owned(), planned));
            }
        }
    }

    /// Gives the machines of a cell, and its bundle, the place that they have in a run on one machine.
    fn keep(
        &self,
        job: &CellJob,
        _ready: &(),
        cell: &CellReport,
        report: &RunReport,
    ) -> io::Result<()> {
        let Layout { run, .. } = &self.shared.layout;
        let id = &job.cell.id;
        let won = self.shared.layout.winner(id).and_then(|won| self.shared.layout.won(id, &won));
        let attempt = won.ok().or_else(|| self.shared.layout.last_attempt(id));
        let Some(attempt) = attempt else { return Ok(()) };
        let machines = attempt.join(id);
        for (number, folder) in boots(&machines)? {
            fs::create_dir_all(run.join(id))?;
            let place = run.join(id).join(format!("boot-{}", number + job.first_boot - 1));
            if !place.exists() {
                fs::rename(folder, place)?;
            }
        }
        let bundle = run_folder::bundle_dir(&attempt, id);
        if bundle.exists() && run_folder::is_first_of_its_bug(run, cell, report) {
            fs::rename(bundle, run_folder::bundle_dir(run, id))?;
        }
        Ok(())
    }
}

/// The machines' folders of a cell, by number.
fn boots(machines: &Path) -> io::Result<Vec<(u32, PathBuf)>> {
    let mut boots = Vec::new();
    if machines.is_dir() {
        for entry in fs::read_dir(machines)? {
            let entry = entry?;
            let name = entry.file_name().into_string().unwrap_or_default();
            let number = name.strip_prefix("boot-").and_then(|number| number.parse().ok());
            boots.extend(number.map(|number| (number, entry.path())));
        }
    }
    Ok(boots)
}

#[cfg(test)]
mod tests;
