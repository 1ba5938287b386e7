// SPDX-License-Identifier: MIT OR Apache-2.0
//! `swapstorm run PLAN --engine slurm`: hands the cells over to a cluster.

use engine::job::CellJob;
use engine::plan::Plan;
use engine::slurm::controller::keep_program;
use engine::slurm::layout::Layout;
use engine::slurm::{Cluster, Slurm};
use engine::{Error, Folders, Run};

/// Submits what was not submitted before. The cells that come back are what the run waits for: how long each may take is
/// its node's to watch.
pub async fn open(
    run: &mut Run<'_>,
    plan: &Plan,
    mut jobs: Vec<CellJob>,
    folders: &Folders,
) -> Result<(Cluster<Slurm>, Vec<CellJob>), Error> {
    let layout = Layout::new(&run.dir);
    layout.make()?;
    keep_program(&layout)?;
    let terms = plan.slurm();
    let mut places = Vec::new();
    let own_cache = match terms.hands_on {
        true => folders.cache.as_deref().map(std::path::absolute).transpose()?,
        false => {
            places.extend(["--cache".to_owned(), folders.cache_dir()?.display().to_string()]);
            None
        }
    };
    if let Some(data) = &folders.data {
        let data = std::path::absolute(data)?;
        places.extend(["--data".to_owned(), data.display().to_string()]);
    }
    places.extend(folders.mirror.iter().flat_map(|url| ["--mirror".to_owned(), url.clone()]));
    let cwd = std::env::current_dir()?;
    let slurm = Slurm { layout: layout.clone(), terms: terms.clone(), places, own_cache, cwd };
    jobs.sort_by_key(|job| job.rank);
    for job in &mut jobs {
        job.time = None;
    }
    let cluster = Cluster::open(layout, terms, slurm, run.id(), &jobs).await?;
    let arrays: Vec<String> = cluster.arrays().iter().map(u64::to_string).collect();
    run.notice(format!("Slurm's jobs: {}", arrays.join(", ")))?;
    Ok((cluster, jobs))
}
