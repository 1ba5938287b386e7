// SPDX-License-Identifier: MIT OR Apache-2.0
//! A cluster that is played, on a clock that jumps: nodes, tasks that die, orphans, a controller that is silent.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use kernels::{Digest, SourceIdentity};
use machine::Random;
use reports::event::{Fault, KernelFacts, RunEvent, VmEnd};
use reports::exit::Purpose;
use reports::verdict::CellVerdict;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::dispatcher::tests::{Nobody, group, jobs};
use crate::dispatcher::{Dispatcher, Fixed};
use crate::event_log::{EventLog, FILE_NAME};
use crate::limits::{Limits, StopRules};
use crate::slurm::controller::Queued;
use crate::slurm::layout::{Array, Task};
use crate::slurm::retell::events;
use crate::slurm::shard::{Attempt, Node};

/// What a played cluster does wrong: each one in so many tasks; 0: never.
#[derive(Debug, Clone, Copy, Default)]
struct Troubles {
    /// A task ends without a word, and Slurm forgets it.
    vanishes: u64,
    /// Its node dies: Slurm starts it anew.
    node_dies: u64,
    /// The same, but the first start goes on as an orphan, and ends later than the second.
    orphaned: u64,
    /// Every attempt at this cell ends without a word.
    cursed: Option<&'static str>,
    /// The controller answers nothing in so many of its first calls.
    silent: u64,
    /// The call of `sbatch`, from 1, that is refused; 0: none.
    refuses: u64,
}

/// A cluster.
#[derive(Debug, Clone)]
struct Played(Arc<World>);

#[derive(Debug)]
struct World {
    layout: Layout,
    nodes: usize,
    troubles: Troubles,
    tasks: Mutex<Tasks>,
    /// Calls of commands.
    submits: AtomicU64,
    looks: AtomicU64,
    cancels: AtomicU64,
    /// Storms that were begun.
    begun: AtomicU64,
}

#[derive(Debug, Default)]
struct Tasks {
    next_job: u64,
    waiting: VecDeque<(u64, u32, Arc<Array>, u32)>,
    running: Vec<Running>,
}

#[derive(Debug)]
struct Running {
    job: u64,
    index: u32,
    array: Arc<Array>,
    restart: u32,
    ends: Instant,
    /// Slurm does not know of it.
    is_orphan: bool,
}

/// Tasks storm for a minute.
const STORM: Duration = Duration::from_secs(60);

impl Played {
    fn new(layout: &Layout, nodes: usize, troubles: Troubles) -> Self {
        let world = World {
            layout: layout.clone(),
            nodes,
            troubles,
            tasks: Mutex::default(),
            submits: AtomicU64::new(0),
            looks: AtomicU64::new(0),
            cancels: AtomicU64::new(0),
            begun: AtomicU64::new(0),
        };
        let played = Self(Arc::new(world));
        let clock = Arc::downgrade(&played.0);
        tokio::spawn(async move {
            loop {
                sleep(Duration::from_secs(1)).await;
                let Some(world) = clock.upgrade() else { return };
                world.tick();
            }
        });
        played
    }
}

impl World {
    /// Ends what has had its time, and starts what there is a node for.
    fn tick(&self) {
        let now = Instant::now();
        let mut tasks = self.tasks.lock().unwrap();
        let (over, running) =
            std::mem::take(&mut tasks.running).into_iter().partition(|r| r.ends <= now);
        tasks.running = running;
        for task in over {
            self.end(task, &mut tasks);
        }
        let busy = |tasks: &Tasks| tasks.running.iter().filter(|task| !task.is_orphan).count();
        let mut later = VecDeque::new();
        while busy(&tasks) < self.nodes {
            let Some((job, index, array, restart)) = tasks.waiting.pop_front() else { break };
            let builds = |name: &String| {
                let is_of = |other: &Array| other.name == *name;
                tasks.running.iter().any(|task| is_of(&task.array))
                    || tasks.waiting.iter().any(|(_, _, other, _)| is_of(other))
            };
            if array.after.iter().any(builds) {
                later.push_back((job, index, array, restart));
                continue;
            }
            if matches!(array.tasks[index as usize], Task::Storm { .. }) {
                self.begun.fetch_add(1, Ordering::Relaxed);
            }
            tasks.running.push(Running {
                job,
                index,
                array,
                restart,
                ends: now + STORM,
                is_orphan: false,
            });
        }
        later.append(&mut tasks.waiting);
        tasks.waiting = later;
    }

    fn end(&self, task: Running, tasks: &mut Tasks) {
        let draw = || Random::new(task.job, &format!("{} {}", task.index, task.restart)).draw();
        let strikes = |one_in: u64| {
            one_in > 0 && draw() % one_in == 0 && task.restart == 0 && !task.is_orphan
        };
        let Troubles { vanishes, node_dies, orphaned, cursed, .. } = self.troubles;
        let own = &task.array.tasks[task.index as usize];
        let Task::Storm { cell, .. } = own else {
            if let Some(attempt) = Attempt::begin(&self.layout, own, &node(&task)).unwrap() {
                let (package, version) = ("linux-source".to_owned(), "6.1".to_owned());
                let digest = Digest::Sha256(String::new());
                attempt.commit_build(Ok(SourceIdentity { package, version, digest })).unwrap();
            }
            return;
        };
        if cursed == Some(cell) || strikes(vanishes) {
            return;
        }
        if strikes(node_dies) || strikes(orphaned) {
            tasks.waiting.push_front((
                task.job,
                task.index,
                Arc::clone(&task.array),
                task.restart + 1,
            ));
            if strikes(orphaned) {
                let ends = Instant::now() + 3 * STORM;
                tasks.running.push(Running { is_orphan: true, ends, ..task });
            }
            return;
        }
        self.attempt(own, cell, &task);
    }

    /// An attempt that comes to its end.
    fn attempt(&self, own: &Task, cell: &str, task: &Running) {
        // An orphan was begun when nobody had won.
        let winner = self.layout.dir("winners").join(cell);
        let hidden = winner.with_extension("hidden");
        let hides = task.is_orphan && fs::rename(&winner, &hidden).is_ok();
        let attempt = Attempt::begin(&self.layout, own, &node(task)).unwrap();
        if hides {
            fs::rename(&hidden, &winner).unwrap();
        }
        let Some(attempt) = attempt else { return };
        write_log(&attempt.dir, cell);
        let boot = attempt.dir.join(cell).join("boot-1");
        fs::create_dir_all(&boot).unwrap();
        fs::write(boot.join("console.log"), task.restart.to_string()).unwrap();
        assert_eq!(attempt.commit().unwrap(), !task.is_orphan);
    }
}

/// Where a task runs.
fn node(task: &Running) -> Node {
    Node {
        name: "n1".to_owned(),
        job: format!("{}_{}", task.job, task.index),
        own_job: format!("{}{}", task.job, task.index),
        restart: task.restart.to_string(),
    }
}

/// The log of an attempt at a cell, which took a minute.
fn write_log(dir: &Path, cell: &str) {
    let (cell, boot) = (cell.to_owned(), 1);
    let kernel = KernelFacts {
        release: "6.1".to_owned(),
        compiler: "gcc".to_owned(),
        key: "k".to_owned(),
        cached: false,
        ms: 1,
        source: "s".to_owned(),
        patches: Vec::new(),
        warnings: None,
        image: None,
    };
    let started = What::VmStarted {
        cell: cell.clone(),
        boot,
        accel: "tcg".to_owned(),
        accel_why: String::new(),
        seed: Some(1),
        host: String::new(),
        argv: Vec::new(),
        cmdline: String::new(),
    };
    let mut events = vec![
        (0, What::KernelReady { cell: cell.clone(), kernel, variant: None }),
        (10, started),
        (20, What::GuestReady { cell: cell.clone(), boot, boot_ms: 10_000 }),
    ];
    let (cgroup, numbers) = ("w0".to_owned(), BTreeMap::new());
    events.push((25, What::Memcg { cell: cell.clone(), boot, guest_ms: 5_000, cgroup, numbers }));
    if cell.starts_with("buggy") {
        let detail = "page 7".to_owned();
        events.push((30, What::Corruption { cell: cell.clone(), boot, detail }));
    }
    let (why, detail) = (VmEnd::Budget, String::new());
    events.push((60, What::VmStopped { cell: cell.clone(), boot, why, detail }));
    events.push((60, What::CellFinished { cell }));
    let line = |(seconds, what): (u64, What)| {
        let event = RunEvent { at_ms: seconds * 1000, run: None, what };
        serde_json::to_string(&event).unwrap() + "\n"
    };
    let lines: String = events.into_iter().map(line).collect();
    fs::write(dir.join(FILE_NAME), lines).unwrap();
}

impl Controller for Played {
    async fn submit(&self, _round: u32, array: &Array, _after: &[u64]) -> Result<u64, Error> {
        let call = self.0.submits.fetch_add(1, Ordering::Relaxed) + 1;
        if call == self.0.troubles.refuses {
            let words = "sbatch: error: QOSMaxSubmitJobPerUserLimit";
            return Err(Error::new(Fault::Infrastructure, words));
        }
        let mut tasks = self.0.tasks.lock().unwrap();
        tasks.next_job += 1;
        let (job, array) = (tasks.next_job, Arc::new(array.clone()));
        for index in 0..array.tasks.len() {
            tasks.waiting.push_back((job, u32::try_from(index).unwrap(), Arc::clone(&array), 0));
        }
        Ok(job)
    }

    async fn queue(&self) -> Result<Vec<Queued>, Error> {
        let looks = self.0.looks.fetch_add(1, Ordering::Relaxed);
        if looks < self.0.troubles.silent {
            return Err(Error::new(Fault::Infrastructure, "slurm_load_jobs error: no answer"));
        }
        let tasks = self.0.tasks.lock().unwrap();
        let queued = |job: u64, index: u32, array: &Array, state: &str| Queued {
            job,
            name: array.name.clone(),
            tasks: vec![(index, index)],
            state: state.to_owned(),
            reason: "None".to_owned(),
            nodes: if state == "RUNNING" { "n1".to_owned() } else { String::new() },
        };
        let waiting = tasks
            .waiting
            .iter()
            .map(|(job, index, array, _)| queued(*job, *index, array, "PENDING"));
        let known = tasks.running.iter().filter(|task| !task.is_orphan);
        let running = known.map(|task| queued(task.job, task.index, &task.array, "RUNNING"));
        Ok(waiting.chain(running).collect())
    }

    async fn cancel(&self, names: &[String], pending: bool) -> Result<(), Error> {
        self.0.cancels.fetch_add(1, Ordering::Relaxed);
        let mut tasks = self.0.tasks.lock().unwrap();
        for name in names {
            let (job, ranges) = name.split_once('_').unwrap_or((name, ""));
            let ranges: Vec<(u32, u32)> = ranges
                .trim_matches(['[', ']'])
                .split(',')
                .filter(|range| !range.is_empty())
                .map(|range| {
                    let (first, last) = range.split_once('-').unwrap_or((range, range));
                    (first.parse().unwrap(), last.parse().unwrap())
                })
                .collect();
            let is_named = |own: u64, index: u32| {
                own.to_string() == job
                    && (ranges.is_empty() || ranges.iter().any(|(a, b)| (*a..=*b).contains(&index)))
            };
            tasks.waiting.retain(|(own, index, ..)| !is_named(*own, *index));
            if !pending {
                tasks.running.retain(|task| task.is_orphan || !is_named(task.job, task.index));
            }
        }
        Ok(())
    }

    async fn most_tasks(&self) -> usize {
        1000
    }
}

/// A run's folder.
fn place() -> (tempfile::TempDir, Layout) {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(dir.path());
    layout.make().unwrap();
    (dir, layout)
}

async fn run(
    layout: &Layout,
    played: &Played,
    jobs: Vec<CellJob>,
    limits: Limits,
    interrupt: CancellationToken,
) -> RunReport {
    let opened = Cluster::open(layout.clone(), Terms::default(), played.clone(), "r", &jobs).await;
    let cluster = opened.unwrap();
    let mut log = EventLog::create(&layout.run, &Nobody).unwrap();
    log.run_started(1, Purpose::Search, 0.95).unwrap();
    let mut nothing = |_: &RunReport| Ok(());
    let dispatcher = Dispatcher::new(&cluster, &mut log, interrupt, &mut nothing).within(limits);
    dispatcher.run(&mut Fixed::new(jobs)).await.unwrap();
    cluster.cancel().await.unwrap();
    log.into_report()
}

fn is_answered(cell: &CellReport) -> bool {
    cell.finished && cell.boots.len() == 1 && cell.boots[0].end == Some(VmEnd::Budget)
}

#[tokio::test(start_paused = true)]
async fn each_cell_is_answered_once_whatever_happens_to_the_cluster() {
    let (_dir, layout) = place();
    let troubles =
        Troubles { vanishes: 10, node_dies: 12, orphaned: 15, silent: 8, ..Troubles::default() };
    let played = Played::new(&layout, 20, troubles);
    let all = jobs(&group("one", 1), 120);
    let report = run(&layout, &played, all, Limits::default(), CancellationToken::new()).await;
    assert_eq!(report.cells.len(), 120);
    let open: Vec<_> = report.cells.iter().filter(|cell| !is_answered(cell)).collect();
    assert!(open.is_empty(), "{open:#?}");
    // What is submitted again finds its kernel, and says so.
    let again = layout.rounds().unwrap().into_iter().skip(1).flat_map(|(_, round)| round.arrays);
    let mut tasks = again.flat_map(|array| array.tasks);
    let behind_first =
        |task| matches!(task, Task::Storm { kernel: Some(kernel), .. } if kernel == "one-1");
    assert!(tasks.all(behind_first));
    let resubmitted = |text: &String| text.starts_with("Slurm's jobs for tasks that were lost: ");
    assert!(report.runs[0].notices.iter().any(resubmitted), "{report:#?}");
    let Played(world) = &played;
    assert!(world.begun.load(Ordering::Relaxed) > 120, "nothing went wrong");
    assert!(report.runs[0].notices.iter().any(|text| text.contains("no answer")), "{report:#?}");
    for cell in &report.cells {
        // Times are those of the node, and the machine's files lie where they belong.
        assert_eq!(cell.boots[0].host, "n1");
        assert_eq!(cell.boots[0].boot_ms, Some(10_000));
        let console = layout.run.join(&cell.cell.id).join("boot-1/console.log");
        assert!(console.exists(), "{}", console.display());
    }
    // What was lost until a look is submitted at once.
    let (submits, looks) =
        (world.submits.load(Ordering::Relaxed), world.looks.load(Ordering::Relaxed));
    assert!(submits <= looks && looks < 200, "{submits} {looks}");
}

#[tokio::test(start_paused = true)]
async fn a_cell_that_no_node_brings_to_its_end_is_the_infrastructures_failure() {
    let (_dir, layout) = place();
    let troubles = Troubles { cursed: Some("one-2"), ..Troubles::default() };
    let played = Played::new(&layout, 2, troubles);
    let all = jobs(&group("one", 1), 3);
    let report = run(&layout, &played, all, Limits::default(), CancellationToken::new()).await;
    let lost = report.cell("one-2").unwrap();
    assert!(matches!(lost.verdict, CellVerdict::Infrastructure { .. }), "{lost:#?}");
    assert!(is_answered(report.cell("one-1").unwrap()));
    assert_eq!(played.0.begun.load(Ordering::Relaxed), 2 + u64::from(MOST_ROUNDS));
}

#[tokio::test(start_paused = true)]
async fn what_nobody_needs_any_more_is_not_begun() {
    let (_dir, layout) = place();
    let played = Played::new(&layout, 1, Troubles::default());
    let mut all = jobs(&group("buggy", 1), 1);
    all.extend(jobs(&group("one", 1), 8));
    let stop = StopRules { bugs: Some(1), ..StopRules::default() };
    let limits = Limits { stop, ..Limits::default() };
    let report = run(&layout, &played, all, limits, CancellationToken::new()).await;
    assert!(report.cell("buggy-1").unwrap().verdict.is_bug());
    let left_out = report.cells.iter().filter(|cell| cell.is_left_out()).count();
    let begun = played.0.begun.load(Ordering::Relaxed);
    assert!(left_out >= 6 && begun <= 3, "{left_out} {begun}");
    assert_eq!(report.cells.iter().filter(|cell| is_answered(cell)).count() + left_out, 9);
}

/// It ran already when it was withdrawn, and then its task ends without a word.
#[tokio::test(start_paused = true)]
async fn what_nobody_needs_any_more_is_not_tried_again() {
    let (_dir, layout) = place();
    let troubles = Troubles { cursed: Some("one-1"), ..Troubles::default() };
    let played = Played::new(&layout, 2, troubles);
    let mut all = jobs(&group("buggy", 1), 1);
    all.extend(jobs(&group("one", 1), 1));
    let stop = StopRules { bugs: Some(1), ..StopRules::default() };
    let limits = Limits { stop, ..Limits::default() };
    let report = run(&layout, &played, all, limits, CancellationToken::new()).await;
    assert!(report.cell("one-1").unwrap().is_left_out(), "{report:#?}");
    assert_eq!(played.0.begun.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_killed_is_followed_by_another() {
    let (_dir, layout) = place();
    let played = Played::new(&layout, 4, Troubles::default());
    let all = jobs(&group("one", 1), 12);
    let opened = Cluster::open(layout.clone(), Terms::default(), played.clone(), "r", &all).await;
    drop(opened.unwrap());
    // It was killed before it had noted what Slurm answered.
    for job in fs::read_dir(layout.dir("jobs")).unwrap() {
        let job = job.unwrap();
        if job.file_name().to_string_lossy().contains("storm") {
            fs::remove_file(job.path()).unwrap();
        }
    }
    sleep(Duration::from_secs(100)).await;
    let before = played.0.submits.load(Ordering::Relaxed);
    let report = run(&layout, &played, all, Limits::default(), CancellationToken::new()).await;
    assert!(report.cells.iter().all(is_answered), "{report:#?}");
    assert_eq!(played.0.submits.load(Ordering::Relaxed), before);
    assert_eq!(played.0.begun.load(Ordering::Relaxed), 12);
}

/// A limit of the user's quality of service, for example.
#[tokio::test(start_paused = true)]
async fn a_submission_that_slurm_refuses_leaves_nothing_behind_and_can_be_tried_again() {
    let (_dir, layout) = place();
    let troubles = Troubles { refuses: 2, ..Troubles::default() };
    let played = Played::new(&layout, 4, troubles);
    let all = jobs(&group("one", 1), 3);
    let open = Cluster::open(layout.clone(), Terms::default(), played.clone(), "r", &all).await;
    assert!(open.unwrap_err().to_string().contains("QOSMaxSubmitJobPerUserLimit"));
    assert!(played.0.tasks.lock().unwrap().waiting.is_empty(), "the kernel would be built");
    let report = run(&layout, &played, all, Limits::default(), CancellationToken::new()).await;
    assert!(report.cells.iter().all(is_answered), "{report:#?}");
    // The kernel that was not built then is built now.
    assert!(layout.round(2).unwrap().arrays[0].after.is_empty());
    assert_eq!(fs::read_dir(layout.dir("built")).unwrap().count(), 1);
}

/// Slurm has taken the array, but its answer was lost.
#[tokio::test(start_paused = true)]
async fn what_slurm_took_without_an_answer_is_withdrawn_too() {
    let (_dir, layout) = place();
    let played = Played::new(&layout, 4, Troubles::default());
    let all = jobs(&group("one", 1), 3);
    let cluster = Cluster::open(layout.clone(), Terms::default(), played.clone(), "r", &all).await;
    let cluster = cluster.unwrap();
    cluster.shared.state().arrays.clear();
    cluster.cancel().await.unwrap();
    let tasks = played.0.tasks.lock().unwrap();
    assert!(tasks.waiting.is_empty() && tasks.running.is_empty(), "{tasks:?}");
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_run_leaves_nothing_in_the_cluster() {
    let (_dir, layout) = place();
    let played = Played::new(&layout, 2, Troubles::default());
    let interrupt = CancellationToken::new();
    let token = interrupt.clone();
    tokio::spawn(async move {
        sleep(Duration::from_secs(90)).await;
        token.cancel();
    });
    let all = jobs(&group("one", 1), 9);
    let report = run(&layout, &played, all, Limits::default(), interrupt).await;
    let tasks = played.0.tasks.lock().unwrap();
    assert!(tasks.waiting.is_empty() && tasks.running.is_empty(), "{tasks:?}");
    assert!(report.cells.iter().any(|cell| cell.cancelled.as_deref() == Some(INTERRUPT)));
}

#[test]
fn machines_of_a_cell_that_is_run_again_get_new_numbers() {
    let dir = tempfile::tempdir().unwrap();
    write_log(dir.path(), "one-1");
    let mut job = jobs(&group("one", 1), 1).remove(0);
    job.first_boot = 3;
    let told = events(dir.path(), &job, "n7").unwrap();
    let mut boots = Vec::new();
    for (ago, mut what) in told {
        if let What::VmStarted { host, .. } = &what {
            assert_eq!((host.as_str(), ago.as_secs() / 10), ("n7", 5));
        }
        boots.extend(what.boot_mut().copied());
    }
    assert_eq!(boots, [3, 3, 3, 3]);
}

#[test]
fn a_damaged_log_is_no_answer() {
    let dir = tempfile::tempdir().unwrap();
    write_log(dir.path(), "one-1");
    let file = dir.path().join(FILE_NAME);
    let text = fs::read_to_string(&file).unwrap().replacen("kernel-ready", "kernel\"ready", 1);
    fs::write(&file, text).unwrap();
    let job = jobs(&group("one", 1), 1).remove(0);
    let error = events(dir.path(), &job, "n7").unwrap_err();
    assert!(error.to_string().contains("line 1"), "{error}");
}

/// `cargo test -p engine ten_thousand -- --ignored --nocapture` prints what grows with the number of shards.
#[tokio::test(start_paused = true)]
#[ignore = "a measurement"]
async fn ten_thousand_shards_on_five_hundred_nodes() {
    for shards in [1_000, 10_000] {
        let (_dir, layout) = place();
        let troubles = Troubles {
            vanishes: 100,
            node_dies: 50,
            orphaned: 100,
            silent: 8,
            ..Troubles::default()
        };
        let played = Played::new(&layout, 500, troubles);
        let all = jobs(&group("one", 1), shards);
        let (began, real) = (Instant::now(), std::time::Instant::now());
        let report = run(&layout, &played, all, Limits::default(), CancellationToken::new()).await;
        assert!(report.cells.iter().all(is_answered));
        let Played(world) = &played;
        let count = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let (mut files, mut bytes) = (0_u64, 0_u64);
        let mut folders = vec![layout.run.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let entry = entry.unwrap();
                let facts = entry.metadata().unwrap();
                match facts.is_dir() {
                    true => folders.push(entry.path()),
                    false => (files, bytes) = (files + 1, bytes + facts.len()),
                }
            }
        }
        println!(
            "{shards} shards on 500 nodes: {} s of the cluster, {} attempts, {} sbatch, {} squeue, {} scancel, {files} files, \
             {} KiB, {:.1} s to play and merge",
            began.elapsed().as_secs(),
            count(&world.begun),
            count(&world.submits),
            count(&world.looks),
            count(&world.cancels),
            bytes >> 10,
            real.elapsed().as_secs_f64()
        );
    }
}
