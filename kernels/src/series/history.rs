// SPDX-License-Identifier: MIT OR Apache-2.0
//! The commits between two of a git repository on this machine, which is only read.

use std::collections::{HashMap, HashSet};

use super::range::Range;
use super::types::{FileChange, SeriesError};
use crate::git::is_commit_id;
use crate::text::quote;

/// More commits than this are a mistake.
const MOST_COMMITS: usize = 20_000;

/// A commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommitFacts {
    /// Its id, hexadecimal.
    pub id: String,
    /// Name and address of the author, fit for a terminal.
    pub author: String,
    /// First line of its message, fit for a terminal.
    pub subject: String,
    /// Files that it changed against its first parent, as git names them.
    pub files: Vec<FileChange>,
    /// Lines that it adds there, and those that it removes.
    pub lines: (u64, u64),
    /// Of a merge of two: the branch that it merged, from the commit at which it left to its tip. `None` of any other commit, and
    /// of a merge of what has nothing in common.
    pub branch: Option<(String, String)>,
}

impl CommitFacts {
    /// Names of the files.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|file| file.name.as_str())
    }
}

/// The ids of all commits of `REPO:A..B`: those that are in B and not in A.
///
/// # Errors
/// The repository cannot be read, or a commit is not known.
pub async fn commits_in(words: &str) -> Result<HashSet<String>, SeriesError> {
    let range = parsed(words)?;
    let (from, to) = range.ends().await?;
    let listed = range.output(&["rev-list", "--end-of-options", &format!("{from}..{to}")]).await?;
    Ok(listed.lines().map(str::to_owned).collect())
}

fn parsed(words: &str) -> Result<Range<'_>, SeriesError> {
    Range::parse(words).ok_or_else(|| {
        let what = "it is no range of commits".to_owned();
        let next_step = "expected REPO:A..B, as in ../linux:v6.8..topic".to_owned();
        SeriesError::Range { range: quote(words), what, next_step }
    })
}

/// The commits of `REPO:A..B` that follow A up to B by first parents, oldest first; A's own facts come first, without files.
///
/// # Errors
/// The repository cannot be read, a commit is not known, or A is not on the way.
pub async fn first_parents(words: &str) -> Result<Vec<CommitFacts>, SeriesError> {
    let range = parsed(words)?;
    let (from, to) = range.ends().await?;
    let walk = Walk::new(&range, &from, &to).await?;
    // The walk of a branch that left the way before A does not end at A, nor does that of a clone without history.
    if walk.start() == Some(&from) {
        return walk.facts(from).await;
    }
    let back = ["rev-list", "--count", "--end-of-options", &format!("{to}..{from}")];
    let shallow = range.output(&["rev-parse", "--is-shallow-repository"]).await?;
    let next_step = match range.output(&back).await?.trim() {
        _ if shallow.trim() == "true" => {
            "the repository is shallow: fetch its history there, by `git fetch --unshallow`"
        }
        _ if from == to => "name two different commits",
        "0" => "name a commit on the branch's own way (git log --first-parent), or its start",
        _ if walk.lines.is_empty() => "the older commit comes first: swap the two",
        _ => "name the commit at which the branch left, by git merge-base",
    };
    let what = "its first commit is not on the way of first parents to its last".to_owned();
    Err(range.fail(what, next_step.to_owned()))
}

/// The branch that `REPO:MERGE` merged: the commits that its second parent has and its first has not, by first parents, oldest
/// first. The one that they follow comes first, without files; the other side has that, too, also where it was merged into the
/// branch meanwhile. `None` of what is no merge of two, and of a branch that follows nothing of the other side.
///
/// # Errors
/// The repository cannot be read, or the commit is not known.
pub async fn merged_branch(words: &str) -> Result<Option<Vec<CommitFacts>>, SeriesError> {
    let Some((repo, merge)) = words.rsplit_once(':') else { return Ok(None) };
    let own = format!("{repo}:{merge}..{merge}");
    let range = parsed(&own)?;
    let (id, _) = range.ends().await?;
    let line = ["rev-list", "--parents", "--max-count=1", "--end-of-options", &id];
    let line = range.output(&line).await?;
    let [_, first, second] = line.trim().split(' ').collect::<Vec<_>>()[..] else {
        return Ok(None);
    };
    let walk = Walk::new(&range, first, second).await?;
    match walk.start().cloned() {
        Some(start) => walk.facts(start).await.map(Some),
        None => Ok(None),
    }
}

/// Commits that follow each other by first parents, oldest first.
struct Walk<'r> {
    range: &'r Range<'r>,
    /// Arguments of git's that name them.
    words: String,
    /// Ids of each one and its parents.
    lines: Vec<Vec<String>>,
}

impl<'r> Walk<'r> {
    /// Those that `to` has and `from` has not.
    async fn new(range: &'r Range<'r>, from: &str, to: &str) -> Result<Self, SeriesError> {
        let words = format!("{from}..{to}");
        let list =
            ["rev-list", "--first-parent", "--reverse", "--parents", "--end-of-options", &words];
        let listed = range.output(&list).await?;
        let ids = |line: &str| line.split(' ').map(str::to_owned).collect();
        let lines: Vec<Vec<String>> = listed.lines().map(ids).collect();
        if lines.len() > MOST_COMMITS {
            let what = format!("{} commits, more than {MOST_COMMITS}", lines.len());
            return Err(range.fail(what, "name a later start".to_owned()));
        }
        Ok(Self { range, words, lines })
    }

    /// What the first one follows.
    fn start(&self) -> Option<&String> {
        self.lines.first()?.get(1)
    }

    /// All that is to be known of them, with `start` before them.
    async fn facts(&self, start: String) -> Result<Vec<CommitFacts>, SeriesError> {
        let Self { range, words: walk, lines } = self;
        let mut commits = vec![CommitFacts { id: start, ..CommitFacts::default() }];
        let commit = |line: &Vec<String>| CommitFacts { id: line[0].clone(), ..Default::default() };
        commits.extend(lines.iter().map(commit));
        for line in lines {
            // `COMMIT FIRST-PARENT SECOND-PARENT`
            let [id, first, second] = &line[..] else { continue };
            let base = range.output(&["merge-base", "--end-of-options", first, second]).await;
            let base =
                base.ok().map(|base| base.trim().to_owned()).filter(|base| is_commit_id(base));
            if let Some(commit) = commits.iter_mut().find(|commit| commit.id == *id) {
                commit.branch = base.map(|base| (base, second.clone()));
            }
        }
        let places: HashMap<String, usize> =
            commits.iter().enumerate().map(|(at, commit)| (commit.id.clone(), at)).collect();
        let log = ["log", "-z", "--first-parent", "--no-show-signature"];
        // No message holds a zero byte.
        let mut said = log.to_vec();
        said.extend(["--format=%H%x00%an <%ae>%x00%s", "--end-of-options", walk]);
        let said = range.output(&said).await?;
        let words: Vec<&str> = said.split('\0').collect();
        for [id, author, subject] in words.as_chunks::<3>().0 {
            if let Some(at) = places.get(*id) {
                commits[*at].author = quote(author);
                commits[*at].subject = quote(subject);
            }
        }
        let mut named = log.to_vec();
        named.extend(["--diff-merges=first-parent", "--no-renames", "--numstat", "--no-ext-diff"]);
        named.extend(["--format=%H", "--end-of-options", walk]);
        let named = range.output(&named).await?;
        let mut at = None;
        for word in
            named.split('\0').flat_map(|word| word.split('\n')).filter(|word| !word.is_empty())
        {
            match places.get(word).filter(|_| is_commit_id(word)) {
                Some(place) => at = Some(*place),
                None => {
                    // `12<TAB>3<TAB>mm/zswap.c`; of what is no text `-<TAB>-<TAB>`.
                    let mut parts = word.splitn(3, '\t');
                    let mut number = || parts.next().and_then(|n| n.parse::<u64>().ok());
                    let lines = number().zip(number());
                    let Some(name) = parts.next() else { continue };
                    let commit = &mut commits[at.unwrap_or(0)];
                    let (added, removed) = lines.unwrap_or_default();
                    commit.lines = (commit.lines.0 + added, commit.lines.1 + removed);
                    commit.files.push(FileChange { name: name.to_owned(), lines });
                }
            }
        }
        (commits[0].files, commits[0].lines) = (Vec::new(), (0, 0));
        Ok(commits)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::series::range::tests::{commit, git_in, repository};

    async fn walk(dir: &Path, range: &str) -> Result<Vec<CommitFacts>, String> {
        let words = format!("{}:{range}", dir.display());
        first_parents(&words).await.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn commits_come_oldest_first_and_a_merge_is_one() {
        let repo = repository();
        let dir = repo.path();
        git_in(dir, &["switch", "-q", "-c", "side", "v6.8"]);
        commit(dir, "side.c", b"1\n", "side 1");
        commit(dir, "mm.c", b"2\n", "side\x01 2");
        git_in(dir, &["switch", "-q", "main"]);
        git_in(dir, &["merge", "-q", "--no-ff", "-m", "merge", "side"]);
        let commits = walk(dir, "v6.8..main").await.unwrap();
        assert_eq!(commits.len(), 4);
        assert_eq!(commits[0].id, git_in(dir, &["rev-parse", "v6.8"]));
        let names = |at: usize| commits[at].names().collect::<Vec<_>>();
        assert_eq!((commits[2].subject.as_str(), names(2)), ("[RFC] second", vec!["b.c"]));
        assert_eq!((commits[2].lines, commits[3].lines.0), ((1, 0), 2));
        assert_eq!(commits[2].author, "Ä Hacker <a@example.org>");
        assert_eq!((commits[3].subject.as_str(), names(3)), ("merge", vec!["mm.c", "side.c"]));
        assert_eq!(commits[3].files[0].lines, Some((1, 0)));
        let fork = git_in(dir, &["rev-parse", "v6.8"]);
        let tip = git_in(dir, &["rev-parse", "side"]);
        assert_eq!(commits[3].branch, Some((fork, tip)));
        assert!(commits[..3].iter().all(|commit| commit.branch.is_none()));
        let branch = commits_in(&format!("{}:v6.8..side", dir.display())).await.unwrap();
        assert!(branch.len() == 2 && branch.contains(&commits[3].branch.as_ref().unwrap().1));
        let merge = format!("{}:main", dir.display());
        let merged = merged_branch(&merge).await.unwrap().unwrap();
        let subjects: Vec<&str> = merged.iter().map(|commit| commit.subject.as_str()).collect();
        assert_eq!((subjects, &merged[0].id), (vec!["", "side 1", "side 2"], &commits[0].id));
        assert_eq!(merged[2].files[0].name, "mm.c");
        let side = walk(dir, "v6.8..side").await.unwrap();
        assert!(!side[2].subject.contains('\x01'), "{:?}", side[2]);
    }

    #[tokio::test]
    async fn a_branch_is_known_from_where_it_left_also_if_the_other_side_was_merged_into_it() {
        let repo = repository();
        let dir = repo.path();
        let id = |name: &str| git_in(dir, &["rev-parse", name]);
        let merged =
            async |name: &str| merged_branch(&format!("{}:{name}", dir.display())).await.unwrap();
        git_in(dir, &["switch", "-q", "-c", "side", "v6.8"]);
        commit(dir, "side.c", b"1\n", "side 1");
        git_in(dir, &["merge", "-q", "--no-ff", "-m", "back", "main"]);
        commit(dir, "side.c", b"2\n", "side 2");
        git_in(dir, &["switch", "-q", "main"]);
        commit(dir, "main.c", b"1\n", "main");
        git_in(dir, &["merge", "-q", "--no-ff", "-m", "merge", "side"]);
        let branch = merged("main").await.unwrap();
        let ids: Vec<&str> = branch.iter().map(|commit| commit.id.as_str()).collect();
        assert_eq!(ids, [id("v6.8"), id("side~2"), id("side~1"), id("side")]);
        // What was merged into it is a branch, too, and a commit has none.
        assert_eq!(merged("side~1").await.unwrap()[0].id, id("v6.8"));
        assert_eq!(merged("main~1").await, None);
        // Of three at once, and of what has nothing in common, none is told.
        for branch in ["one", "two"] {
            git_in(dir, &["switch", "-q", "-c", branch, "v6.8"]);
            commit(dir, branch, b"1\n", branch);
        }
        git_in(dir, &["merge", "-q", "--no-ff", "-m", "octopus", "one", "main"]);
        assert_eq!(merged("two").await, None);
        git_in(dir, &["switch", "-q", "--orphan", "alone"]);
        commit(dir, "alone.c", b"1\n", "alone");
        git_in(dir, &["switch", "-q", "main"]);
        let with = ["merge", "-q", "--allow-unrelated-histories", "-m", "alone", "alone"];
        git_in(dir, &with);
        assert_eq!(merged("main").await, None);
    }

    #[tokio::test]
    async fn a_start_that_is_not_on_the_way_is_refused_with_what_to_do() {
        let repo = repository();
        let dir = repo.path();
        let turned = walk(dir, "main..v6.8").await.unwrap_err();
        assert!(turned.contains("the older commit comes first"), "{turned}");
        assert!(walk(dir, "main..main").await.unwrap_err().contains("two different commits"));
        git_in(dir, &["switch", "-q", "-c", "side", "v6.8"]);
        commit(dir, "side.c", b"1\n", "side");
        let beside = walk(dir, "main..side").await.unwrap_err();
        assert!(beside.contains("git merge-base"), "{beside}");
        assert!(walk(dir, "v6.8..nowhere").await.unwrap_err().contains("there is no commit"));
        let clone = tempfile::tempdir().unwrap();
        let from = format!("file://{}", dir.display());
        git_in(clone.path(), &["clone", "-q", "--depth", "1", "-b", "main", &from, "."]);
        git_in(clone.path(), &["fetch", "-q", "--depth", "1", "origin", "tag", "v6.8"]);
        let shallow = walk(clone.path(), "v6.8..main").await.unwrap_err();
        assert!(shallow.contains("--unshallow"), "{shallow}");
    }
}
