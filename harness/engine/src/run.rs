// SPDX-License-Identifier: MIT OR Apache-2.0
//! A run: its folder, its event log, and the reports that are made from it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reports::check::CheckFacts;
use reports::event::{Cell, ProfileFacts, What};
use reports::exit::Purpose;
use reports::proof::DEFAULT_CONFIDENCE;
use reports::rule::Rule;
use reports::run::RunReport;
use reports::search::range::Range;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use workloads::Profile;

use crate::dispatcher::{Campaign, Dispatcher};
use crate::error::Error;
use crate::event_log::EventLog;
use crate::executor::{Executor, Failed};
use crate::folders::Folders;
use crate::job::{Group, profile_digest};
use crate::limits::Limits;
use crate::onlooker::Onlooker;
use crate::plan::Plan;
use crate::resume::Resumable;
use crate::run_folder;

/// The reports are written anew at most so often: each holds the whole run.
const REPORT_PERIOD: Duration = Duration::from_secs(10);

/// A run that is under way.
pub struct Run<'a> {
    /// Its folder.
    pub dir: PathBuf,
    log: EventLog<'a>,
    interrupt: CancellationToken,
    purpose: Purpose,
}

/// A run that has ended.
#[derive(Debug)]
pub struct Finished {
    /// What it came to.
    pub report: RunReport,
    /// What it was for.
    pub purpose: Purpose,
    /// Its folder.
    pub dir: PathBuf,
}

impl<'a> Run<'a> {
    /// Makes the folder of a run of `command` and begins its event log. `interrupt` ends it early.
    pub fn begin(
        command: &str,
        seed: u64,
        purpose: Purpose,
        folders: &Folders,
        onlooker: &'a dyn Onlooker,
        interrupt: CancellationToken,
    ) -> Result<Self, Error> {
        Self::begin_in(folders.new_run(command)?, seed, purpose, onlooker, interrupt)
    }

    /// The same for a run of `repro`, whose fixed kernel is to be called so with that confidence, from 0 to 1.
    pub fn begin_repro(
        seed: u64,
        confidence: f64,
        folders: &Folders,
        onlooker: &'a dyn Onlooker,
        interrupt: CancellationToken,
    ) -> Result<Self, Error> {
        let dir = folders.new_run("repro")?;
        Self::begun(dir, seed, Purpose::Repro, confidence, onlooker, interrupt)
    }

    /// The same in a folder that is there, and in which no run has begun.
    pub fn begin_in(
        dir: PathBuf,
        seed: u64,
        purpose: Purpose,
        onlooker: &'a dyn Onlooker,
        interrupt: CancellationToken,
    ) -> Result<Self, Error> {
        Self::begun(dir, seed, purpose, DEFAULT_CONFIDENCE, onlooker, interrupt)
    }

    fn begun(
        dir: PathBuf,
        seed: u64,
        purpose: Purpose,
        confidence: f64,
        onlooker: &'a dyn Onlooker,
        interrupt: CancellationToken,
    ) -> Result<Self, Error> {
        let mut log = EventLog::create(&dir, onlooker)?;
        log.run_started(seed, purpose, confidence)?;
        Ok(Self { dir, log, interrupt, purpose })
    }

    /// Goes on with a run that was killed or interrupted.
    pub fn resume(
        run: Resumable,
        onlooker: &'a dyn Onlooker,
        interrupt: CancellationToken,
    ) -> Result<Self, Error> {
        let (dir, purpose) = (run.dir.clone(), run.report.purpose());
        let log = EventLog::resume(run, onlooker)?;
        Ok(Self { dir, log, interrupt, purpose })
    }

    /// Logs a plan, and the bugs that it knows of.
    ///
    /// # Errors
    /// Those of writing the log.
    pub fn plan(&mut self, plan: &Plan, folder: &Path) -> io::Result<()> {
        self.log.emit(What::PlanLoaded { plan: plan.facts(folder) })?;
        self.know(plan)
    }

    /// Logs the bugs that a plan knows of and the log does not: lines that name them may be lost when a run is gone on with.
    ///
    /// # Errors
    /// Those of writing the log.
    pub fn know(&mut self, plan: &Plan) -> io::Result<()> {
        for bug in plan.known() {
            let mut runs = self.log.report().runs.iter();
            if !runs.any(|run| run.known.contains(&bug)) {
                self.log.emit(What::KnownLoaded { bug })?;
            }
        }
        Ok(())
    }

    /// Logs what is asked of a series.
    ///
    /// # Errors
    /// Those of writing the log.
    pub fn ask(&mut self, check: CheckFacts) -> io::Result<()> {
        self.log.emit(What::CheckLoaded { check })
    }

    /// Logs what is searched among kernels.
    ///
    /// # Errors
    /// Those of writing the log.
    pub fn search(&mut self, range: Range) -> io::Result<()> {
        self.log.emit(What::RangeLoaded { range })
    }

    /// Logs the texts of the rules and profiles that cells of these groups name, each once.
    ///
    /// # Errors
    /// Those of writing the log.
    pub fn introduce<'g>(&mut self, groups: impl Iterator<Item = &'g Group>) -> io::Result<()> {
        let mut rules: BTreeMap<&str, &Rule> = BTreeMap::new();
        let mut profiles: BTreeMap<String, &Profile> = BTreeMap::new();
        for group in groups {
            rules.extend(group.rule.as_ref().map(|rule| (rule.name.as_str(), rule)));
            profiles.insert(profile_digest(&group.profile), &group.profile);
        }
        for rule in rules.into_values() {
            self.log.emit(What::RuleLoaded { rule: rule.clone() })?;
        }
        for (digest, profile) in profiles {
            let (name, text) = (profile.name.clone(), profile.text.clone());
            let profile = ProfileFacts { name, digest, text };
            self.log.emit(What::ProfileLoaded { profile })?;
        }
        Ok(())
    }

    /// Logs cells that others will run.
    ///
    /// # Errors
    /// Those of writing the log.
    pub fn foretell<'c>(&mut self, cells: impl Iterator<Item = &'c Cell>) -> io::Result<()> {
        for cell in cells {
            self.log.emit(What::CellPlanned { cell: cell.clone() })?;
        }
        Ok(())
    }

    /// Logs something that a reader of the report should know.
    ///
    /// # Errors
    /// Those of writing the log.
    pub fn notice(&mut self, text: String) -> io::Result<()> {
        self.log.emit(What::Notice { cell: None, text })
    }

    /// Logs a cell that cannot be run.
    ///
    /// # Errors
    /// Those of writing the log.
    pub fn fail(&mut self, cell: &Cell, failed: Failed) -> io::Result<()> {
        let Failed { fault, detail } = failed;
        self.foretell(std::iter::once(cell))?;
        self.log.emit(What::CellFailed { cell: cell.id.clone(), fault, detail })?;
        self.log.emit(What::CellFinished { cell: cell.id.clone() })
    }

    /// What was seen so far.
    pub fn report(&self) -> &RunReport {
        self.log.report()
    }

    /// Whether the user has asked for its end.
    pub fn is_interrupted(&self) -> bool {
        self.interrupt.is_cancelled()
    }

    /// What tells it from all other runs.
    pub fn id(&self) -> &str {
        self.log.report().runs.first().map_or("", |run| run.id.as_str())
    }

    /// Runs a campaign to its end.
    ///
    /// # Errors
    /// Those of writing the log, or a file that is made from it.
    pub async fn carry_out<E: Executor>(
        &mut self,
        campaign: &mut impl Campaign,
        executor: &E,
    ) -> io::Result<()> {
        self.carry_out_within(Limits::default(), campaign, executor).await
    }

    /// The same, within limits.
    ///
    /// # Errors
    /// Those of writing the log, or a file that is made from it.
    pub async fn carry_out_within<E: Executor>(
        &mut self,
        limits: Limits,
        campaign: &mut impl Campaign,
        executor: &E,
    ) -> io::Result<()> {
        let (dir, purpose) = (&self.dir, self.purpose);
        let mut written: Option<Instant> = None;
        // What was learned so far survives whatever comes.
        let mut after_cell = |report: &RunReport| {
            if written.is_some_and(|at| at.elapsed() < REPORT_PERIOD) {
                return Ok(());
            }
            written = Some(Instant::now());
            run_folder::write_reports(dir, report, purpose)
        };
        let interrupt = self.interrupt.clone();
        let dispatcher = Dispatcher::new(executor, &mut self.log, interrupt, &mut after_cell);
        dispatcher.within(limits).run(campaign).await
    }

    /// Logs the end of the run and writes its reports.
    ///
    /// # Errors
    /// Those of writing.
    pub fn end(mut self) -> io::Result<Finished> {
        self.log.emit(What::RunFinished { interrupted: self.interrupt.is_cancelled() })?;
        let Self { dir, log, purpose, .. } = self;
        let report = log.into_report();
        run_folder::write_reports(&dir, &report, purpose)?;
        Ok(Finished { report, purpose, dir })
    }
}
