// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a plan to cells that can be run: everything that it names is found and checked before anything is made.

use std::collections::HashMap;
use std::sync::Arc;

use engine::Error;
use engine::job::{CellJob, Ground, Group, Place};
use engine::plan::{Plan, Point, name_cells};
use engine::workshop::{KernelChoice, Workshop};
use kernels::Series;
use machine::target::Credentials;
use reports::event::Cell;

use super::Options;
use crate::commands::kernel::KernelOptions;

/// Every cell of the plan, in its order.
pub async fn cells(
    plan: &Plan,
    seed: u64,
    workshop: &Workshop,
    options: &Options,
) -> Result<Vec<CellJob>, Error> {
    let mut finder =
        Finder { plan, workshop, options, series: HashMap::new(), grounds: HashMap::new() };
    let mut of_cell: Vec<(Point, Arc<Group>)> = Vec::new();
    let mut cells: Vec<Cell> = Vec::new();
    let mut numbers = Vec::new();
    for point in plan.points()? {
        let group = Arc::new(finder.group(&point).await?);
        for number in 1..=point.runs {
            cells.push(group.cell());
            numbers.push(number);
            of_cell.push((point.clone(), Arc::clone(&group)));
        }
    }
    name_cells(&mut cells, &numbers, seed);
    let job = |(cell, (point, group)): (Cell, (Point, Arc<Group>))| CellJob {
        time: point.time,
        tries: point.tries,
        ..CellJob::new(cell, group, point.storm)
    };
    Ok(cells.into_iter().zip(of_cell).map(job).collect())
}

/// Finds what points name, each once.
struct Finder<'a> {
    plan: &'a Plan,
    workshop: &'a Workshop,
    options: &'a Options,
    series: HashMap<String, Series>,
    grounds: HashMap<String, Ground>,
}

impl Finder<'_> {
    async fn group(&mut self, point: &Point) -> Result<Group, Error> {
        let plan = self.plan;
        let ground = self.ground(point).await?;
        let name = &point.profile;
        let profile = self.workshop.profile(name);
        let mut profile = profile.map_err(|error| plan.wrong("profiles", name, error))?;
        let mut guest = self.options.guest(plan);
        guest.cpus = guest.cpus.or(point.cpus);
        guest.memory_mib = guest.memory_mib.or(point.memory_mib);
        guest.change(&mut profile);
        guest.suits_clock(&profile)?;
        let rule = profile.expect.as_ref().map(|expect| self.workshop.rule(expect)).transpose()?;
        Ok(Group::new(ground, profile, rule, point.technique))
    }

    async fn ground(&mut self, point: &Point) -> Result<Ground, Error> {
        let Point { kernel, series, arch, toolchain, kasan, .. } = point;
        let name = format!("{kernel}\n{series:?}\n{arch}\n{toolchain:?}\n{kasan:?}");
        if let Some(known) = self.grounds.get(&name) {
            return Ok(known.clone());
        }
        let ground = match self.plan.target() {
            Some(target) => Ground::Target(Place {
                target: target.clone(),
                arch,
                credentials: Credentials {
                    identities: self.options.identities.clone(),
                    known_hosts: self.options.known_hosts.clone(),
                },
                terms: self.plan.terms(),
            }),
            None => Ground::Qemu(self.kernel(point).await?),
        };
        self.grounds.insert(name, ground.clone());
        Ok(ground)
    }

    async fn kernel(&mut self, point: &Point) -> Result<KernelChoice, Error> {
        let plan = self.plan;
        let library = &self.workshop.library;
        let Point { kernel, series, arch, toolchain, kasan, .. } = point;
        let read =
            |name: &String| name.parse().map_err(|error| plan.wrong("toolchains", name, error));
        let built = KernelOptions {
            toolchain: toolchain.as_ref().map(read).transpose()?,
            kasan: kasan.clone(),
        };
        let manifest = library.manifest(kernel);
        let mut manifest =
            manifest.map_err(|error| plan.wrong("kernels", kernel, Error::from(error)))?;
        manifest
            .require(arch)
            .map_err(|error| plan.wrong("arch", arch.name, Error::from(error)))?;
        built.change(&mut manifest);
        let mode = kasan.as_deref().unwrap_or_default();
        let fragments = built.fragments(arch, library);
        let fragments = fragments.map_err(|error| plan.wrong("kasan", mode, error))?;
        let series = match series {
            // Whose fault it is differs here (a thread that cannot be fetched, say).
            Some(name) => Some(self.series(name).await?),
            None => None,
        };
        Ok(KernelChoice { manifest, series, fragments, kasan: built.kasan_mode(), arch })
    }

    async fn series(&mut self, name: &str) -> Result<Series, Error> {
        if let Some(known) = self.series.get(name) {
            return Ok(known.clone());
        }
        let series = self.workshop.library.obtain_series(name).await?;
        self.series.insert(name.to_owned(), series.clone());
        Ok(series)
    }
}
