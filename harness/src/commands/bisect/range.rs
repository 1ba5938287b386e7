// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is bisected: a list of kernels, the patches of a series, or commits.

use std::collections::HashSet;
use std::sync::Arc;

use engine::Error;
use engine::job::{Ground, Group};
use engine::workshop::{KernelChoice, Workshop};
use kernels::{CommitFacts, FileChange, Series, commits_in, first_parents, merged_branch};
use reports::search::diffstat::DiffStat;
use reports::search::evidence::Predicate;
use reports::search::range::Position;
use reports::search::told::{Label, stat};
use reports::search::weight::of_files;

use workloads::profile::Technique;

use super::Options;
use crate::commands::usage;

/// Letters of a commit id in a `Fixes:` line.
const SHORT_ID: usize = 12;

/// A kernel of the range, in the order of the search: the one without the bug first.
pub struct Entry {
    /// The kernel.
    pub choice: KernelChoice,
    /// Words for it, and for what changed from the one before.
    pub label: Label,
    /// How probable that change is as the culprit.
    pub weight: f64,
}

/// What changed from one kernel to the next one of history.
#[derive(Debug, Default)]
struct Change {
    words: String,
    author: Option<String>,
    fixes: Option<String>,
    stat: Option<String>,
    diffstat: Option<DiffStat>,
    branch: Option<String>,
    weight: f64,
}

/// Reads and checks everything that was asked for, before anything is made.
pub async fn entries(options: &Options, workshop: &Workshop) -> Result<Vec<Entry>, Error> {
    let mut history = match (&options.good, &options.bad) {
        (Some(good), Some(bad)) => {
            let walk = first_parents(&range_of(good, bad)?).await?;
            let fixups = Fixups::read(&options.fixups, repository(good), workshop).await?;
            commits(options, repository(good), &walk, &fixups, workshop)?
        }
        _ => match (&options.kernels[..], &options.series) {
            ([kernel], Some(series)) => {
                let series = workshop.library.obtain_series(series).await?;
                let choice = options.build.choice(kernel, &options.arch, &workshop.library)?;
                patches(&choice, &series)
            }
            ([] | [_], _) => {
                return Err(usage(
                    "this is no range\n  hint: name two kernels or more, a --kernel and a --series on it, or --good and \
                     --bad",
                ));
            }
            (_, Some(_)) => {
                return Err(usage(
                    "a series is bisected on one kernel, and several are named\n  hint: name one --kernel",
                ));
            }
            (kernels, None) => list(options, kernels, workshop)?,
        },
    };
    if options.fixed {
        history = reversed(history);
    }
    Ok(history.into_iter().map(entry).collect())
}

/// The branch that was merged by `merge`, a kernel of the range with its label: the commit that it follows, its own ones, and the
/// merge itself; the other way round where a fix is searched. `None` if nothing is known of the branch.
pub async fn of_branch(
    options: &Options,
    merge: &KernelChoice,
    label: &Label,
    workshop: &Workshop,
) -> Result<Option<Vec<Entry>>, Error> {
    let repo = repository(options.good.as_deref().unwrap_or_default());
    let Some(walk) = merged_branch(&merge.manifest.name).await? else { return Ok(None) };
    let fixups = Fixups::read(&options.fixups, repo, workshop).await?;
    let mut history = commits(options, repo, &walk, &fixups, workshop)?;
    let itself = Change {
        words: format!("the merge itself, and neither of its sides: {}", label.change),
        author: label.author.clone(),
        fixes: label.fixes.clone(),
        // As any commit that touches no file of swap: most merges change nothing of their own.
        weight: 1.0,
        ..Change::default()
    };
    history.push((merge.clone(), itself));
    if options.fixed {
        history = reversed(history);
    }
    Ok(Some(history.into_iter().map(entry).collect()))
}

/// The kernel as it is, and with one more patch each time.
pub fn of_series(choice: &KernelChoice, series: &Series) -> Vec<Entry> {
    patches(choice, series).into_iter().map(entry).collect()
}

fn entry((choice, change): (KernelChoice, Change)) -> Entry {
    let Change { words, author, fixes, stat, diffstat, branch, weight } = change;
    // A commit that needs a fix-up is that commit.
    let is_fixup = |series: &Series| series.patches.iter().all(|patch| patch.is_fixup);
    let kernel = match &choice.series {
        Some(series) if is_fixup(series) => choice.manifest.name.clone(),
        _ => choice.name(),
    };
    let label = Label { kernel, change: words, author, fixes, stat, diffstat, branch };
    Entry { choice, label, weight }
}

/// The positions of a range whose kernels storm so.
pub fn positions(entries: &[Entry], groups: &[Arc<Group>]) -> Vec<Position> {
    let position = |(entry, group): (&Entry, &Arc<Group>)| Position {
        population: group.cell().population(),
        label: entry.label.clone(),
        weight: entry.weight,
    };
    entries.iter().zip(groups).map(position).collect()
}

/// The kernels with their storm.
pub fn groups(
    options: &Options,
    entries: &[Entry],
    workshop: &Workshop,
) -> Result<Vec<Arc<Group>>, Error> {
    let mut profile = workshop.profile(options.profile())?;
    options.guest().change(&mut profile);
    options.guest().suits_clock(&profile)?;
    let predicate = options.what.predicate();
    let rule = profile.expect.as_ref().map(|expect| workshop.rule(expect)).transpose()?;
    if rule.is_none() && predicate == Predicate::Expected {
        let name = &profile.name;
        return Err(usage(format!(
            "the profile {name} expects no bug\n  hint: name another --profile, or search for --any-crash"
        )));
    }
    // Whoever need only come up is neither refused nor changed for what a bug needs.
    let (rule, technique) = match predicate {
        Predicate::BuildFailure | Predicate::BootFailure | Predicate::Command(_) => {
            (None, Technique::Natural)
        }
        Predicate::Regression(_) => (rule, Technique::Natural),
        _ => (rule, options.technique.unwrap_or(profile.technique)),
    };
    let group = |entry: &Entry| {
        let ground = Ground::Qemu(entry.choice.clone());
        Arc::new(Group::new(ground, profile.clone(), rule.clone(), technique))
    };
    let groups: Vec<Arc<Group>> = entries.iter().map(group).collect();
    let mut names: Vec<String> = groups.iter().map(|group| group.cell().population()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(usage(format!(
            "a kernel is named twice: {}\n  hint: name each of them once, oldest first",
            pair[0]
        ))),
        None => Ok(groups),
    }
}

/// The other way round: the change between two kernels stays between them.
fn reversed<K>(mut history: Vec<(K, Change)>) -> Vec<(K, Change)> {
    history.reverse();
    let mut before = Change::default();
    for (_, change) in &mut history {
        std::mem::swap(change, &mut before);
    }
    history
}

/// Series that some commits need.
struct Fixups(Vec<(Series, Option<HashSet<String>>)>);

impl Fixups {
    /// Reads each `SERIES` or `SERIES@A..B`.
    async fn read(all: &[String], repo: &str, workshop: &Workshop) -> Result<Self, Error> {
        let mut fixups = Vec::new();
        for words in all {
            let split = words.rsplit_once('@').filter(|(_, range)| range.contains(".."));
            let (name, range) = split.map_or((words.as_str(), None), |(n, range)| (n, Some(range)));
            let series = workshop.library.obtain_series(name).await?.as_fixup();
            let commits = match range {
                Some(range) => Some(commits_in(&format!("{repo}:{range}")).await?),
                None => None,
            };
            fixups.push((series, commits));
        }
        Ok(Self(fixups))
    }

    /// What a commit needs, in the order in which it was named.
    fn of(&self, commit: &str) -> Option<Series> {
        let of_all = |commits: &Option<HashSet<String>>| {
            commits.as_ref().is_none_or(|commits| commits.contains(commit))
        };
        let own = self.0.iter().filter(|(_, commits)| of_all(commits)).map(|(series, _)| series);
        own.cloned().reduce(|all, more| Series {
            name: format!("{}, {}", all.name, more.name),
            patches: [all.patches, more.patches].concat(),
            ..all
        })
    }
}

/// The repository of `REPO:REF`.
fn repository(end: &str) -> &str {
    end.rsplit_once(':').map_or(end, |(repo, _)| repo)
}

/// `REPO:A` and `REPO:B` as a range.
fn range_of(good: &str, bad: &str) -> Result<String, Error> {
    let split = |end: &str| {
        let split = end.rsplit_once(':').map(|(repo, name)| (repo.to_owned(), name.to_owned()));
        split.ok_or_else(|| {
            let end = end.escape_debug();
            usage(format!("`{end}` is no commit\n  hint: expected REPO:REF, as in ../linux:v6.8"))
        })
    };
    let ((repo, from), (other, to)) = (split(good)?, split(bad)?);
    if repo != other {
        return Err(usage(
            "--good and --bad are in different repositories\n  hint: name the same one twice, by the same path",
        ));
    }
    Ok(format!("{repo}:{from}..{to}"))
}

/// Each commit's kernel.
fn commits(
    options: &Options,
    repo: &str,
    walk: &[CommitFacts],
    fixups: &Fixups,
    workshop: &Workshop,
) -> Result<Vec<(KernelChoice, Change)>, Error> {
    let one = |commit: &CommitFacts| {
        let name = format!("{repo}:{}", commit.id);
        let choice = options.build.choice(&name, &options.arch, &workshop.library)?;
        let choice = KernelChoice { series: fixups.of(&commit.id), ..choice };
        let short = commit.id.get(..SHORT_ID).unwrap_or(&commit.id);
        let change = Change {
            words: format!("{short} (\"{}\")", commit.subject),
            author: Some(commit.author.clone()),
            fixes: Some(format!("{short} (\"{}\")", commit.subject)),
            stat: stat(commit.names(), commit.lines),
            diffstat: diffstat(&commit.files),
            branch: commit.branch.as_ref().map(|(from, tip)| {
                let short = |id: &String| id.get(..SHORT_ID).unwrap_or(id).to_owned();
                format!(
                    "swapstorm bisect --good {repo}:{} --bad {repo}:{}",
                    short(from),
                    short(tip)
                )
            }),
            weight: of_files(commit.names()),
        };
        Ok((choice, change))
    };
    walk.iter().map(one).collect()
}

/// The kernel as it is, and with one more patch each time.
fn patches(choice: &KernelChoice, series: &Series) -> Vec<(KernelChoice, Change)> {
    let all = series.patches.len();
    let mut history = vec![(choice.clone(), Change::default())];
    for (at, patch) in series.patches.iter().enumerate() {
        let number = at + 1;
        let first = Series {
            name: format!("{}[{number}/{all}]", series.name),
            patches: series.patches[..number].to_vec(),
            ..series.clone()
        };
        let change = Change {
            words: format!("patch {number}/{all}, {}", patch.subject),
            author: patch.author.clone(),
            fixes: None,
            stat: stat(patch.files.iter().map(String::as_str), patch.lines),
            diffstat: diffstat(&patch.changes()),
            branch: None,
            weight: of_files(patch.files.iter().map(String::as_str)),
        };
        history.push((KernelChoice { series: Some(first), ..choice.clone() }, change));
    }
    history
}

fn diffstat(files: &[FileChange]) -> Option<DiffStat> {
    DiffStat::of(files.iter().map(|file| (file.name.as_str(), file.lines)))
}

/// The kernels that were named.
fn list(
    options: &Options,
    kernels: &[String],
    workshop: &Workshop,
) -> Result<Vec<(KernelChoice, Change)>, Error> {
    let one = |(at, name): (usize, &String)| {
        let choice = options.build.choice(name, &options.arch, &workshop.library)?;
        let words = match at.checked_sub(1).and_then(|at| kernels.get(at)) {
            Some(before) => format!("what changed from {before} to {name}"),
            None => String::new(),
        };
        Ok((choice, Change { words, weight: 1.0, ..Change::default() }))
    };
    kernels.iter().enumerate().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_stays_between_its_kernels_when_a_fix_is_searched() {
        let change = |words: &str| Change { words: words.to_owned(), ..Change::default() };
        let history = vec![(0, change("")), (1, change("0 to 1")), (2, change("1 to 2"))];
        let told: Vec<(i32, String)> =
            reversed(history).into_iter().map(|(kernel, change)| (kernel, change.words)).collect();
        let expected = [(2, ""), (1, "1 to 2"), (0, "0 to 1")];
        assert_eq!(told, expected.map(|(kernel, words)| (kernel, words.to_owned())));
    }

    #[test]
    fn ends_of_one_repository_are_a_range() {
        assert_eq!(
            range_of("/a:b/linux:v6.8", "/a:b/linux:topic^").unwrap(),
            "/a:b/linux:v6.8..topic^"
        );
        assert!(range_of("/linux:v6.8", "/other:v6.9").is_err());
        assert!(range_of("v6.8", "/other:v6.9").is_err());
    }
}
