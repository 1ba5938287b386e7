// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs that are killed at any moment, on a clock that jumps and with a stand-in for the machine.

use std::time::Duration;

use reports::exit::Purpose;
use reports::render::{self, Look};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::dispatcher::tests::{Nobody, StandIn, group, jobs};
use crate::dispatcher::{Dispatcher, Fixed};
use crate::event_log::EventLog;
use crate::job::CellJob;

fn plan() -> PlanFacts {
    PlanFacts { origin: "p.yaml".into(), folder: "/".into(), text: "about: a".into() }
}

fn cells() -> Vec<CellJob> {
    [jobs(&group("two", 2), 6), jobs(&group("other", 2), 6)].concat()
}

/// Begins a run in `dir`.
fn begin(dir: &Path) -> EventLog<'static> {
    let mut log = EventLog::create(dir, &Nobody).unwrap();
    log.run_started(1, Purpose::Search, 0.95).unwrap();
    log.emit(What::PlanLoaded { plan: plan() }).unwrap();
    log
}

/// Runs cells until they are done, or the harness is killed after `life`.
async fn live(log: &mut EventLog<'_>, all: Vec<CellJob>, life: Duration) -> bool {
    let machine = StandIn::with_cpus(4);
    let mut nothing = |_: &RunReport| Ok(());
    let dispatcher = Dispatcher::new(&machine, log, CancellationToken::new(), &mut nothing);
    let ended = tokio::time::timeout(life, dispatcher.run(&mut Fixed::new(all))).await;
    let is_done = ended.is_ok();
    if is_done {
        log.emit(What::RunFinished { interrupted: false }).unwrap();
    }
    is_done
}

/// Goes on with the run, killed again after `life`; true once it is done.
async fn go_on(dir: &Path, life: Duration) -> bool {
    let run = Resumable::open(dir).unwrap();
    let left = cells().into_iter().filter(|job| {
        run.report.cell(&job.cell.id).is_none() || run.again.contains_key(&job.cell.id)
    });
    let first_boot = |id: &str| run.again.get(id).copied().unwrap_or(1);
    let left = left.map(|job| CellJob { first_boot: first_boot(&job.cell.id), ..job });
    let left: Vec<CellJob> = left.collect();
    let mut log = EventLog::resume(run, &Nobody).unwrap();
    let done = live(&mut log, left, life).await;
    // What the program shows is what the log says.
    let told = log.into_report();
    let folded = read(dir);
    assert_eq!((told.cells, told.runs), (folded.cells, folded.runs));
    done
}

fn read(dir: &Path) -> RunReport {
    let mut reading = Reading::default();
    reading.log(&dir.join(FILE_NAME)).unwrap();
    reading.report
}

/// The reports of a run, but for what differs from run to run anyhow: when and by which process it was begun, times by the
/// host's clock, numbers of machines, that it was resumed, and what is said of a kernel that a life finds or makes anew.
fn rendered(mut report: RunReport) -> [String; 4] {
    for run in &mut report.runs {
        (run.id, run.started, run.ms, run.resumed) = ("run".into(), String::new(), 0, 0);
    }
    for cell in &mut report.cells {
        cell.run = "run".into();
        cell.notices.clear();
        for boot in &mut cell.boots {
            (boot.number, boot.started_ms) = (1, 0);
        }
    }
    let look = Look { width: 100, colour: false };
    let purpose = Purpose::Search;
    [
        render::text(&report, purpose, look),
        render::markdown(&report, purpose),
        render::json(&report, purpose),
        render::html(&report, purpose),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_killed_again_and_again_comes_to_the_same() {
    let undisturbed = tempfile::tempdir().unwrap();
    assert!(live(&mut begin(undisturbed.path()), cells(), Duration::from_secs(100_000)).await);
    let undisturbed = rendered(read(undisturbed.path()));
    for life in [1, 299, 301, 330, 359, 361, 400, 470] {
        let dir = tempfile::tempdir().unwrap();
        let life = Duration::from_secs(life);
        let mut done = live(&mut begin(dir.path()), cells(), life).await;
        let mut lives = 1;
        while !done {
            // A life in which nothing can be made, or no cell be run, would go on for ever.
            done = go_on(dir.path(), Duration::from_secs(450 + 10 * lives)).await;
            lives += 1;
            assert!(lives < 100);
        }
        let report = read(dir.path());
        assert_eq!(report.cells.len(), 12);
        for cell in &report.cells {
            let whole = cell.boots.iter().filter(|boot| boot.end == Some(VmEnd::Budget)).count();
            assert!(cell.finished && whole == 1, "{life:?}: {cell:?}");
        }
        assert_eq!(report.runs[0].resumed, lives - 1);
        assert!(report.finished() && report.problems.is_empty(), "{:?}", report.problems);
        for (told, undisturbed) in rendered(report).iter().zip(&undisturbed) {
            assert_eq!(told, undisturbed, "{life:?}");
        }
        let times: Vec<u64> = events(dir.path()).iter().map(|event| event.at_ms).collect();
        assert!(times.is_sorted());
    }
}

fn events(dir: &Path) -> Vec<RunEvent> {
    reports::log::read_log(&fs::read(dir.join(FILE_NAME)).unwrap()).0
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_cut_is_taken_away_and_what_follows_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    live(&mut begin(dir.path()), cells(), Duration::from_secs(400)).await;
    let file = dir.path().join(FILE_NAME);
    let text = fs::read(&file).unwrap();
    for cut in [1, 2, 40] {
        fs::write(&file, &text[..text.len() - cut]).unwrap();
        assert!(go_on(dir.path(), Duration::from_secs(10_000)).await);
        let report = read(dir.path());
        assert_eq!((report.damaged, report.problems.len()), (0, 0), "{:?}", report.problems);
        assert!(report.cells.iter().all(|cell| cell.finished));
    }
}

#[tokio::test(start_paused = true)]
async fn a_damaged_line_costs_the_cells_that_it_may_have_been_about() {
    let dir = tempfile::tempdir().unwrap();
    assert!(live(&mut begin(dir.path()), cells(), Duration::from_secs(100_000)).await);
    let file = dir.path().join(FILE_NAME);
    let text = fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    // The run's start and its plan cannot be done without.
    for at in 2..lines.len() {
        let damaged: String = lines
            .iter()
            .enumerate()
            .map(
                |(n, line)| {
                    if n == at { "{\"at_ms\":1,\"eve\n".into() } else { format!("{line}\n") }
                },
            )
            .collect();
        fs::write(&file, damaged).unwrap();
        let lost: RunEvent = serde_json::from_str(lines[at]).unwrap();
        let run = Resumable::open(dir.path()).unwrap();
        let harmless = matches!(lost.what, What::Building { .. } | What::Notice { .. });
        if let Some(cell) = lost.what.cell().filter(|_| !harmless) {
            let is_planned = matches!(lost.what, What::CellPlanned { .. });
            assert!(run.again.contains_key(cell) || is_planned, "line {at}: {}", lines[at]);
            assert!(run.again.len() <= 4, "line {at}: {:?}", run.again);
        }
        drop(run);
        assert!(go_on(dir.path(), Duration::from_secs(100_000)).await);
        let report = read(dir.path());
        assert_eq!((report.cells.len(), report.damaged), (12, 0), "line {at}: {}", lines[at]);
        assert!(report.cells.iter().all(|cell| cell.finished), "line {at}: {}", lines[at]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_gone_on_with_says_why() {
    let says = |dir: &Path| Resumable::open(dir).unwrap_err().to_string();
    let dir = tempfile::tempdir().unwrap();
    assert!(says(dir.path()).contains("no such event log"));

    let mut log = begin(dir.path());
    assert!(says(dir.path()).contains("another swapstorm is at work"));
    live(&mut log, cells(), Duration::from_secs(100_000)).await;
    drop(log);
    assert!(says(dir.path()).contains("all its cells have their answers"));

    let other = tempfile::tempdir().unwrap();
    let mut log = EventLog::create(other.path(), &Nobody).unwrap();
    log.run_started(1, Purpose::Repro, 0.95).unwrap();
    drop(log);
    assert!(says(other.path()).contains("only `swapstorm run` can be resumed"));

    let damaged = tempfile::tempdir().unwrap();
    fs::write(
        damaged.path().join(FILE_NAME),
        "{\"nothing\n{\"at_ms\":1,\"event\":\"run-finished\",\"interrupted\":false}\n",
    )
    .unwrap();
    assert!(says(damaged.path()).contains("does not begin with the start"));
}
