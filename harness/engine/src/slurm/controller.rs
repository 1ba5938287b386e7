// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whoever starts arrays: Slurm's commands, or a test's stand-in.

use std::future::Future;
use std::path::{Path, PathBuf};

use host::process::Command;
use reports::escape::printable;
use reports::event::Fault;
use reports::shell::quote;
use rustix::fs::Mode;

use super::layout::{Array, Class, Layout, Terms};
use crate::error::Error;

/// Tasks that an array may have where Slurm does not say: its own default (`MaxArraySize` in slurm.conf(5)).
const USUAL_ARRAY: usize = 1000;

/// Tasks of an array that Slurm still knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queued {
    /// The array's number.
    pub job: u64,
    /// Its name.
    pub name: String,
    /// First and last index of each range of tasks; none if it is no array.
    pub tasks: Vec<(u32, u32)>,
    /// Slurm's word: `PENDING`, `RUNNING`, ...
    pub state: String,
    /// Why it waits.
    pub reason: String,
    /// Where it runs.
    pub nodes: String,
}

impl Queued {
    /// Whether it has not begun.
    pub fn is_pending(&self) -> bool {
        self.state == "PENDING"
    }
}

/// Starts arrays and says what became of them.
pub trait Controller: Send + Sync + 'static {
    /// Submits an array, to begin after the jobs `after` have ended. The result is its number.
    fn submit(
        &self,
        round: u32,
        array: &Array,
        after: &[u64],
    ) -> impl Future<Output = Result<u64, Error>> + Send;

    /// What Slurm knows of the user's tasks that have not ended.
    fn queue(&self) -> impl Future<Output = Result<Vec<Queued>, Error>> + Send;

    /// Ends tasks, named as `job`, or `job_[2,5-7]`; `pending`: only those that have not begun.
    fn cancel(
        &self,
        tasks: &[String],
        pending: bool,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Tasks that an array may have.
    fn most_tasks(&self) -> impl Future<Output = usize> + Send;
}

/// Slurm's commands.
#[derive(Debug, Clone)]
pub struct Slurm {
    /// The run's files.
    pub layout: Layout,
    /// What the plan says of the cluster.
    pub terms: Terms,
    /// Words for the nodes' command line: where the store is that they share, for example.
    pub places: Vec<String>,
    /// Where nodes that share no store have theirs, unless a node's environment (`TaskProlog` in slurm.conf(5), for example)
    /// names another place.
    pub own_cache: Option<PathBuf>,
    /// The folder that the tasks begin in.
    pub cwd: PathBuf,
}

impl Slurm {
    /// Words of an array's `sbatch`.
    fn words(&self, array: &Array, after: &[u64]) -> Vec<String> {
        let Class { cpus, memory_mib, minutes, constraint, gres, .. } = &array.class;
        let Terms { partition, account, qos, most, .. } = &self.terms;
        let last = array.tasks.len().saturating_sub(1);
        let most = most.map(|most| format!("%{most}")).unwrap_or_default();
        let after: Vec<String> = after.iter().map(u64::to_string).collect();
        let after = (!after.is_empty()).then(|| format!("afterany:{}", after.join(":")));
        let log = self.layout.dir("log").join(format!("{}.%a", array.name));
        let mut words = vec![
            "--parsable".to_owned(),
            // A node that dies costs its tasks a new start, whose output follows the old one's.
            "--requeue".to_owned(),
            "--open-mode=append".to_owned(),
            "--export=ALL".to_owned(),
            "--nodes=1".to_owned(),
            "--ntasks=1".to_owned(),
            format!("--job-name={}", array.name),
            format!("--array=0-{last}{most}"),
            format!("--cpus-per-task={cpus}"),
            format!("--mem={memory_mib}M"),
            format!("--chdir={}", self.cwd.display()),
            // Slurm has words of its own behind a percent sign.
            format!("--output={}", log.display()),
        ];
        let mut optional = |option: &str, word: &str| {
            if !word.is_empty() {
                words.push(format!("--{option}={word}"));
            }
        };
        optional("time", &minutes.map(|minutes| minutes.to_string()).unwrap_or_default());
        optional("constraint", constraint);
        optional("gres", gres);
        optional("partition", partition);
        optional("account", account);
        optional("qos", qos);
        optional("dependency", &after.unwrap_or_default());
        words
    }

    /// The script that each task of an array runs.
    fn script(&self, round: u32, array: &Array) -> String {
        let program = self.layout.dir("swapstorm");
        let mut words = vec![
            quote(&program.display().to_string()),
            "shard".to_owned(),
            quote(&self.layout.run.display().to_string()),
            round.to_string(),
            quote(&array.name),
            "\"$SLURM_ARRAY_TASK_ID\"".to_owned(),
        ];
        words.extend(self.places.iter().map(|word| quote(word)));
        let own_cache = self.own_cache.as_ref().map(|dir| {
            let dir = quote(&dir.display().to_string());
            format!("[ \"$SWAPSTORM_CACHE\" ] || export SWAPSTORM_CACHE={dir}\n")
        });
        format!("#!/bin/sh\n{}exec {}\n", own_cache.unwrap_or_default(), words.join(" "))
    }
}

impl Controller for Slurm {
    async fn submit(&self, round: u32, array: &Array, after: &[u64]) -> Result<u64, Error> {
        let script = self.layout.dir("log").join(format!("{}.sh", array.name));
        fs_err::write(&script, self.script(round, array))?;
        let command = Command::new("sbatch").args(self.words(array, after));
        let output = command.arg(script).success().await.map_err(refused)?;
        let said = String::from_utf8_lossy(&output.stdout);
        job_number(&said).ok_or_else(|| {
            let words =
                format!("sbatch did not say a job's number, but: {}", printable(said.trim()));
            Error::new(Fault::Infrastructure, words)
        })
    }

    async fn queue(&self) -> Result<Vec<Queued>, Error> {
        let squeue = Command::new("squeue").env("SLURM_BITSTR_LEN", "0");
        let words = ["--noheader", "--me", "--format=%F|%K|%T|%r|%N|%j"];
        let output = squeue.args(words).success().await?;
        Ok(String::from_utf8_lossy(&output.stdout).lines().filter_map(queued).collect())
    }

    async fn cancel(&self, tasks: &[String], pending: bool) -> Result<(), Error> {
        let state = pending.then_some("--state=PENDING");
        Command::new("scancel").args(state).args(tasks).success().await?;
        Ok(())
    }

    async fn most_tasks(&self) -> usize {
        let asked = Command::new("scontrol").args(["show", "config"]).success().await;
        let said = asked.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        said.ok().and_then(|said| array_size(&said)).unwrap_or(USUAL_ARRAY)
    }
}

/// What sbatch says when it will not have an array is most often the plan's to mend.
fn refused(error: host::process::ProcessError) -> Error {
    match &error {
        host::process::ProcessError::Failed { .. } => Error::new(
            Fault::Infrastructure,
            format!(
                "{error}\n  hint: the plan's `slurm:` says what each task asks for; `swapstorm doctor --engine slurm` \
                 says what the cluster has"
            ),
        ),
        _ => error.into(),
    }
}

/// What `sbatch --parsable` prints: `12`, or `12;cluster` where there are several clusters.
fn job_number(said: &str) -> Option<u64> {
    said.trim().split(';').next()?.parse().ok()
}

/// `MaxArraySize` is one more than the highest index.
fn array_size(config: &str) -> Option<usize> {
    let line = config.lines().find(|line| line.starts_with("MaxArraySize"))?;
    let size: usize = line.split_once('=')?.1.trim().parse().ok()?;
    size.checked_sub(1).filter(|most| *most > 0)
}

/// Reads a line of squeue: `12|3-7,9%2|PENDING|Resources||name`.
fn queued(line: &str) -> Option<Queued> {
    let mut fields = line.splitn(6, '|').map(str::trim);
    let job = fields.next()?.parse().ok()?;
    let tasks = ranges(fields.next()?);
    let mut word = || fields.next().map(printable).map(|word| word.to_string());
    let (state, reason, nodes, name) = (word()?, word()?, word()?, word()?);
    Some(Queued { job, name, tasks, state, reason, nodes })
}

/// Reads indices: `3`, `3-7,9%2`, also in brackets.
fn ranges(text: &str) -> Vec<(u32, u32)> {
    let text = text.trim_start_matches('[').trim_end_matches(']');
    let text = text.split('%').next().unwrap_or_default().trim_end_matches(']');
    let range = |one: &str| {
        let (first, last) = one.split_once('-').unwrap_or((one, one));
        Some((first.parse().ok()?, last.parse().ok()?))
    };
    text.split(',').filter_map(range).collect()
}

/// Names tasks of an array in one word: `12_[3-5,9]`.
pub(super) fn named(job: u64, tasks: &[u32]) -> String {
    let mut tasks = tasks.to_vec();
    tasks.sort_unstable();
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for task in tasks {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 >= task => *last = task,
            _ => ranges.push((task, task)),
        }
    }
    let range = |(first, last): &(u32, u32)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    let ranges: Vec<String> = ranges.iter().map(range).collect();
    format!("{job}_[{}]", ranges.join(","))
}

/// Gives the running program a second name in the run's folder: nodes run what submitted them.
///
/// # Errors
/// Those of copying.
pub fn keep_program(layout: &Layout) -> std::io::Result<()> {
    let kept = layout.dir("swapstorm");
    if kept.exists() {
        return Ok(());
    }
    let own = Path::new("/proc/self/exe");
    let new = kept.with_extension("new");
    std::fs::copy(own, &new)?;
    rustix::fs::chmod(&new, Mode::from_raw_mode(0o755))?;
    fs_err::rename(new, kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slurm::layout::Task;

    #[test]
    fn lines_of_squeue_are_read_whatever_they_say() {
        let line = "12|3-7,9%2|PENDING|Resources||swapstorm-1-storm2";
        let expected = Queued {
            job: 12,
            name: "swapstorm-1-storm2".to_owned(),
            tasks: vec![(3, 7), (9, 9)],
            state: "PENDING".to_owned(),
            reason: "Resources".to_owned(),
            nodes: String::new(),
        };
        assert_eq!(queued(line), Some(expected));
        assert_eq!(queued("7|[0-4]|PENDING|x||n").unwrap().tasks, [(0, 4)]);
        // A job that is no array, and names with anything in them.
        assert_eq!(queued("7|N/A|RUNNING|None|n[1-2]|a|b\u{1b}[2J").unwrap().tasks, []);
        assert!(!queued("7|0|RUNNING|None|n1|a\u{1b}[2J").unwrap().name.contains('\u{1b}'));
        for line in ["", "slurm_load_jobs error", "x|1|RUNNING|None|n|j", "7|1|RUNNING"] {
            assert_eq!(queued(line), None, "{line}");
        }
    }

    #[test]
    fn tasks_are_named_by_ranges() {
        assert_eq!(named(12, &[9, 3, 4, 5]), "12_[3-5,9]");
        assert_eq!(named(12, &[0]), "12_[0]");
    }

    #[test]
    fn the_number_of_an_array_is_read_with_and_without_a_cluster() {
        assert_eq!(job_number("12\n"), Some(12));
        assert_eq!(job_number("12;north\n"), Some(12));
        assert_eq!(job_number("Submitted batch job 12\n"), None);
    }

    #[test]
    fn the_longest_array_is_read_from_the_configuration() {
        assert_eq!(array_size("A = 1\nMaxArraySize            = 1001\n"), Some(1000));
        assert_eq!(array_size("MaxArraySize = 0\n"), None);
        assert_eq!(array_size(""), None);
    }

    #[test]
    fn an_array_asks_for_what_the_plan_says() {
        let class = Class {
            arch: "arm64".to_owned(),
            cpus: 2,
            memory_mib: 700,
            minutes: Some(61),
            constraint: "arm64".to_owned(),
            gres: "kvm:1".to_owned(),
        };
        let task = Task::Build { cell: "c".to_owned() };
        let array = Array { name: "n".into(), class, after: Vec::new(), tasks: vec![task; 3] };
        let slurm = Slurm {
            layout: Layout::new(Path::new("/net/out/it's run")),
            terms: Terms { partition: "mm".into(), most: Some(2), ..Terms::default() },
            places: vec!["--cache".into(), "/net/cache".into()],
            own_cache: None,
            cwd: "/net".into(),
        };
        let words = slurm.words(&array, &[4, 5]);
        for word in [
            "--array=0-2%2",
            "--cpus-per-task=2",
            "--mem=700M",
            "--time=61",
            "--constraint=arm64",
            "--gres=kvm:1",
            "--partition=mm",
            "--dependency=afterany:4:5",
            "--requeue",
        ] {
            assert!(words.iter().any(|one| one == word), "{word}: {words:?}");
        }
        assert!(!words.iter().any(|word| word.starts_with("--account")), "{words:?}");
        let own = Slurm { own_cache: Some("/scratch/it's".into()), ..slurm.clone() };
        let script = own.script(2, &array);
        let default = "[ \"$SWAPSTORM_CACHE\" ] || export SWAPSTORM_CACHE='/scratch/it'\\''s'\n";
        assert!(script.contains(default), "{script}");
        assert_eq!(
            slurm.script(2, &array),
            "#!/bin/sh\nexec '/net/out/it'\\''s run/slurm/swapstorm' shard '/net/out/it'\\''s run' 2 n \
             \"$SLURM_ARRAY_TASK_ID\" --cache /net/cache\n"
        );
    }
}
