// SPDX-License-Identifier: MIT OR Apache-2.0
//! A task on a node: an attempt at a cell or at a kernel.

use std::io;
use std::path::PathBuf;

use fs_err as fs;
use kernels::SourceIdentity;

use super::layout::{Layout, Outcome, Task, commit};
use crate::executor::Failed;

/// Where a task runs, as Slurm tells it by variables of the environment.
#[derive(Debug, Clone, Default)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// The array's number, and the task's index in it.
    pub job: String,
    /// The number that this one task has.
    pub own_job: String,
    /// How often it was started before.
    pub restart: String,
}

impl Node {
    /// The node that we run on.
    pub fn here() -> Self {
        let word = |name: &str| {
            let word = std::env::var(name).unwrap_or_default();
            let is_plain = |c: &char| c.is_ascii_alphanumeric() || "-_.".contains(*c);
            word.chars().filter(is_plain).take(64).collect::<String>()
        };
        let or = |word: String, other: &str| if word.is_empty() { other.to_owned() } else { word };
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let (array, index) = (word("SLURM_ARRAY_JOB_ID"), word("SLURM_ARRAY_TASK_ID"));
        Self {
            name: or(word("SLURMD_NODENAME"), &host),
            job: format!("{array}_{index}"),
            own_job: or(word("SLURM_JOB_ID"), "0"),
            restart: or(word("SLURM_RESTART_COUNT"), "0"),
        }
    }
}

/// An attempt that is under way.
#[derive(Debug)]
pub struct Attempt {
    /// Its folder.
    pub dir: PathBuf,
    winner: PathBuf,
    outcome: Outcome,
}

impl Attempt {
    /// Begins one. `None`: another has won.
    ///
    /// # Errors
    /// Those of making its folder.
    pub fn begin(layout: &Layout, task: &Task, node: &Node) -> io::Result<Option<Self>> {
        let (attempts, winner) = layout.of_task(task);
        if winner.exists() {
            return Ok(None);
        }
        fs::create_dir_all(&attempts)?;
        let base = format!("attempt-{}-{}", node.restart, node.own_job);
        // An attempt never writes where another did, whatever Slurm calls it.
        for more in 0..1000 {
            let attempt = if more == 0 { base.clone() } else { format!("{base}-{more}") };
            let dir = attempts.join(&attempt);
            match std::fs::create_dir(&dir) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => {
                    made?;
                    let (host, job) = (node.name.clone(), node.job.clone());
                    let outcome = Outcome { attempt, host, job, failed: None, source: None };
                    return Ok(Some(Self { dir, winner, outcome }));
                }
            }
        }
        Err(io::Error::other(format!("{} holds too many attempts", attempts.display())))
    }

    /// Ends it. False if another was earlier, whose outcome counts.
    ///
    /// # Errors
    /// Those of writing.
    pub fn commit(self) -> io::Result<bool> {
        commit(&self.dir, &self.winner, &self.outcome)
    }

    /// Ends one that built a kernel from `source`, or found that nobody can.
    ///
    /// # Errors
    /// Those of writing.
    pub fn commit_build(mut self, came_to: Result<SourceIdentity, Failed>) -> io::Result<bool> {
        match came_to {
            Ok(source) => self.outcome.source = Some(source),
            Err(Failed { fault, detail }) => self.outcome.failed = Some((fault, detail)),
        }
        self.commit()
    }
}
