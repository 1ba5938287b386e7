// SPDX-License-Identifier: MIT OR Apache-2.0
//! `swapstorm run PLAN`: every cell of a plan, one after another.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::PathBuf;
use std::rc::Rc;

use clap::Args;
use reports::event::{Cell, What};
use reports::exit::Purpose;
use reports::rule::Rule;
use workloads::Profile;

use super::machine::Machine;
use super::{seed_from_clock, usage};
use crate::cli::Places;
use crate::error::Error;
use crate::plan::{Plan, Technique, name_cells};
use crate::printer::Printer;
use crate::progress::View;
use crate::remote::Credentials;
use crate::session::{Cut, Failed, Place, Platform, Session, Settings};
use crate::timeouts::Timeouts;
use crate::workshop::{KernelChoice, Workshop};

/// Options of `run`.
#[derive(Debug, Args)]
pub struct Options {
    /// The plan: a YAML file, or the name of a shipped one (`architectures`)
    #[arg(value_name = "PLAN")]
    plan: String,
    /// Seed of everything random [default: from the clock]
    #[arg(long)]
    seed: Option<u64>,
    /// Leave the guests' disks in the run's folder
    #[arg(long)]
    keep: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    /// Private key for a plan's target, tried before ssh-agent's; may be repeated [default: ~/.ssh/id_*,
    /// after them]
    #[arg(long = "identity", value_name = "FILE", help_heading = "Target")]
    identities: Vec<PathBuf>,
    /// Known hosts for a plan's target [default: ~/.ssh/known_hosts]
    #[arg(long, value_name = "FILE", help_heading = "Target")]
    known_hosts: Option<PathBuf>,
    #[command(flatten)]
    machine: Machine,
}

/// What a cell runs on.
#[derive(Clone)]
enum Ground {
    /// A kernel of ours, in QEMU.
    Qemu(Rc<KernelChoice>),
    /// A machine that runs its kernel already.
    Target(Rc<Place>),
}

/// Cells that share a kernel, a profile and a technique, and so everything but the seed.
struct Group {
    ground: Ground,
    profile: Profile,
    rule: Option<Rule>,
    technique: Technique,
    cells: Vec<Cell>,
}

/// Runs the command.
pub async fn run(options: &Options, places: &Places, printer: &Printer) -> Result<u8, Error> {
    let workshop = Workshop::open(places)?;
    let own = places.own("harness").map(|dir| dir.join("plans"));
    let plan = Plan::find(&options.plan, own.as_deref())?;
    let seed = options.seed.unwrap_or_else(seed_from_clock);
    let groups = groups(&plan, seed, &workshop, options).await?;
    let view = View::new(printer);
    view.line(&format!("{}: {}", plan.origin, plan.about));
    let settings = Settings {
        purpose: Purpose::Search,
        machine: &options.machine,
        scale: Timeouts::scale_from_env().map_err(usage)?,
        budget: plan.storm,
        keep_disks: options.keep,
    };
    let mut session = Session::begin("run", seed, &workshop, places, &view, settings)?;
    if let Err(Cut::Log(error)) = work(&groups, &mut session).await {
        return Err(error.into());
    }
    session.end(options.json, printer)
}

/// Everything that the plan asks for, read and checked before anything is made.
async fn groups(
    plan: &Plan,
    seed: u64,
    workshop: &Workshop,
    options: &Options,
) -> Result<Vec<Group>, Error> {
    let placed = |word: &str, error: Error| plan.wrong(word, error);
    let mut series = Vec::new();
    for name in plan.series() {
        series.push(match name {
            // Whose fault it is differs here (a thread that cannot be fetched, say).
            Some(name) => Some(workshop.library.obtain_series(name).await?),
            None => None,
        });
    }
    let mut profiles = Vec::new();
    for name in &plan.profiles {
        let mut profile = workshop.profile(name).map_err(|error| placed(name, error))?;
        options.machine.change(&mut profile);
        let rule = profile.expect.as_ref().map(|expect| workshop.rule(expect)).transpose()?;
        profiles.push((profile, rule));
    }
    let mut grounds = Vec::new();
    if let Some(target) = &plan.target {
        let credentials = Credentials {
            identities: options.identities.clone(),
            known_hosts: options.known_hosts.clone(),
        };
        let (target, terms) = (target.clone(), plan.terms());
        for arch in plan.arches() {
            let (target, credentials, terms) = (target.clone(), credentials.clone(), terms.clone());
            grounds.push(Ground::Target(Rc::new(Place { target, arch, credentials, terms })));
        }
    }
    for name in &plan.kernels {
        let manifest =
            workshop.library.manifest(name).map_err(|error| placed(name, error.into()))?;
        for series in &series {
            for arch in plan.arches() {
                manifest.require(arch).map_err(|error| placed(arch.name, error.into()))?;
                let choice = KernelChoice {
                    manifest: manifest.clone(),
                    series: series.clone(),
                    fragments: Vec::new(),
                    arch,
                };
                grounds.push(Ground::Qemu(Rc::new(choice)));
            }
        }
    }
    let mut groups = Vec::new();
    for ground in &grounds {
        for (profile, rule) in &profiles {
            for technique in &plan.techniques {
                groups.push(Group {
                    ground: ground.clone(),
                    profile: profile.clone(),
                    rule: rule.clone(),
                    technique: *technique,
                    cells: Vec::new(),
                });
            }
        }
    }
    let mut cells = Vec::new();
    let mut numbers = Vec::new();
    for group in &groups {
        for number in 1..=plan.runs {
            cells.push(group.unnamed_cell());
            numbers.push(number);
        }
    }
    name_cells(&mut cells, &numbers, seed);
    let mut cells = cells.into_iter();
    for group in &mut groups {
        group.cells = cells.by_ref().take(plan.runs as usize).collect();
    }
    Ok(groups)
}

impl Group {
    fn unnamed_cell(&self) -> Cell {
        let (kernel, series, arch) = match &self.ground {
            Ground::Qemu(choice) => {
                let series = choice.series.as_ref().map(|series| series.name.clone());
                (choice.manifest.name.clone(), series, choice.arch)
            }
            Ground::Target(place) => (place.target.to_string(), None, place.arch),
        };
        Cell {
            id: String::new(),
            kernel,
            series,
            arch: arch.name.to_owned(),
            profile: self.profile.name.clone(),
            technique: self.technique.to_string(),
            seed: 0,
            expect: self.profile.expect.clone(),
            should_show: None,
            wanted: None,
        }
    }
}

/// Runs all cells. One that fails does not keep the others from being run.
async fn work(groups: &[Group], session: &mut Session<'_>) -> Result<(), Cut> {
    let rules: BTreeMap<&str, &Rule> =
        groups.iter().filter_map(|g| g.rule.as_ref()).map(|r| (r.name.as_str(), r)).collect();
    for rule in rules.into_values() {
        session.log.emit(What::RuleLoaded { rule: rule.clone() })?;
    }
    // All of them at once: a run that is cut short shows what it did not come to.
    for cell in groups.iter().flat_map(|group| &group.cells) {
        session.log.emit(What::CellPlanned { cell: cell.clone() })?;
    }
    let mut platforms = BTreeMap::new();
    for group in groups {
        match run_group(group, session, &mut platforms).await {
            Ok(()) => {}
            Err(Cut::Failed(failed)) => fail_rest(group, &failed, session)?,
            Err(cut) => return Err(cut),
        }
        session.write_reports()?;
    }
    Ok(())
}

/// `platforms` keeps what was found out for machines of a kind.
async fn run_group(
    group: &Group,
    session: &mut Session<'_>,
    platforms: &mut BTreeMap<(&'static str, &'static str), Platform>,
) -> Result<(), Cut> {
    let Group { ground, profile, rule, technique, cells } = group;
    let Some(first) = cells.first() else { return Ok(()) };
    let choice = match ground {
        Ground::Qemu(choice) => choice,
        Ground::Target(place) => {
            for cell in cells {
                session.visit(cell, place, profile, rule.as_ref()).await?;
            }
            return Ok(());
        }
    };
    let initramfs = session.initramfs(first, choice.arch).await?;
    let stretch = *technique == Technique::Stretch;
    let side = session.side(first, choice, profile, stretch).await?;
    let platform = match platforms.entry(side.platform_key()) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(unknown) => {
            unknown.insert(session.platform(first, &side, profile, initramfs).await?)
        }
    };
    for cell in cells {
        session.boot(cell, &side, profile, rule.as_ref(), platform).await?;
        session.bundle(&cell.id, &side, profile, platform)?;
    }
    Ok(())
}

/// What the first cell of a group failed at, the others would fail at as well.
fn fail_rest(group: &Group, failed: &Failed, session: &mut Session<'_>) -> Result<(), Cut> {
    for cell in group.cells.iter().skip(1) {
        session.fail(cell, failed)?;
    }
    Ok(())
}
