// SPDX-License-Identifier: MIT OR Apache-2.0

use super::*;
use crate::job::tests::debian_6_1;
use workloads::profile::Technique;

fn jobs() -> Vec<CellJob> {
    let fixed = Some("zswap-writeback-swapoff-6.1");
    let mut jobs = Vec::new();
    for (series, profile) in
        [(None, "zswap-writeback-swapoff"), (fixed, "zswap-writeback-swapoff"), (None, "mixed")]
    {
        let group = debian_6_1(series, profile, Technique::Natural);
        for number in 1..=3 {
            let id = format!("{}-{profile}-{number}", series.unwrap_or("none"));
            let cell = Cell { id: id.clone(), number, key: format!("key of {id}"), ..group.cell() };
            jobs.push(CellJob::new(cell, group.clone(), Duration::from_secs(60)));
        }
    }
    jobs
}

#[test]
fn each_kernel_is_built_once_and_each_cell_run_once_behind_it() {
    let round = Round::new(&jobs(), &Terms::default(), "x", 1000, &BTreeMap::new());
    let builds: Vec<&Array> = round.arrays.iter().filter(|array| array.after.is_empty()).collect();
    let built = |cell: &str| Task::Build { cell: cell.to_owned() };
    assert_eq!(builds.len(), 1);
    assert_eq!(
        builds[0].tasks,
        [
            built("none-zswap-writeback-swapoff-1"),
            built("zswap-writeback-swapoff-6.1-zswap-writeback-swapoff-1")
        ]
    );
    let mut storms = Vec::new();
    for array in round.arrays.iter().filter(|array| !array.after.is_empty()) {
        assert_eq!(array.after, [builds[0].name.clone()]);
        storms.extend(&array.tasks);
    }
    let mut cells: Vec<&str> = storms.iter().filter_map(|task| task.storm()).collect();
    cells.sort_unstable();
    let all = jobs();
    let mut wanted: Vec<&str> = all.iter().map(|job| job.cell.id.as_str()).collect();
    wanted.sort_unstable();
    assert_eq!(cells, wanted);
    // A profile of another size is another class, of the same kernel.
    let of = |cell: &str| storms.iter().find(|task| task.storm() == Some(cell)).unwrap();
    let Task::Storm { kernel, .. } = of("none-mixed-2") else { panic!("no storm") };
    assert_eq!(kernel.as_deref(), Some("none-zswap-writeback-swapoff-1"));
}

#[test]
fn an_array_is_no_longer_than_the_cluster_allows() {
    let built = jobs().iter().map(|job| (job.cell.id.clone(), "first".to_owned())).collect();
    let round = Round::new(&jobs(), &Terms::default(), "x", 2, &built);
    assert!(round.arrays.iter().all(|array| array.tasks.len() <= 2 && array.after.is_empty()));
    assert_eq!(round.arrays.iter().map(|array| array.tasks.len()).sum::<usize>(), 9);
    let mut names: Vec<&str> = round.arrays.iter().map(|array| array.name.as_str()).collect();
    names.dedup();
    assert_eq!(names.len(), round.arrays.len());
}

#[test]
fn of_two_attempts_one_wins() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(dir.path());
    layout.make().unwrap();
    let task = Task::Storm { cell: "c".into(), key: String::new(), kernel: None };
    let (attempts, winner) = layout.of_task(&task);
    let outcome = |attempt: &str| Outcome {
        attempt: attempt.to_owned(),
        host: "n1".to_owned(),
        job: "1_2".to_owned(),
        failed: None,
        source: None,
    };
    for (name, wins) in [("attempt-1-7", true), ("attempt-0-7", false)] {
        let attempt = attempts.join(name);
        fs::create_dir_all(&attempt).unwrap();
        assert_eq!(commit(&attempt, &winner, &outcome(name)).unwrap(), wins);
    }
    assert_eq!(layout.winners().unwrap(), ["c"]);
    let won = layout.winner("c").unwrap();
    assert_eq!(layout.won("c", &won).unwrap(), attempts.join("attempt-1-7"));
    let stray = Outcome { attempt: "../../..".to_owned(), ..won };
    assert!(layout.won("c", &stray).is_err());
}
