// SPDX-License-Identifier: MIT OR Apache-2.0
//! The store's bare mirror of what was asked of a repository.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};

use host::lock::FileLock;
use host::process::{Command, Output};
use host::store::{KeyHasher, remove_tree};

use super::said;
use crate::error::KernelError;
use crate::git::{git, is_commit_id};
use crate::progress::{Progress, Stage};
use crate::source::fetcher::Fetcher;
use crate::source::kinds::GitRepository;
use crate::worktree::write_whole;

/// Where the mirror keeps commits that were asked for by their id.
const ASKED: &str = "refs/swapstorm";

/// Where the mirror notes the commit whose tree was written last.
const LAST: &str = "swapstorm-last";
/// Most bytes of names of files for which a tree is made from another one.
const MOST_CHANGES: usize = 1 << 20;

/// A mirror, which may not exist yet.
pub(super) struct Mirror<'a> {
    pub(super) fetcher: &'a Fetcher<'a>,
    pub(super) source: &'a GitRepository,
    dir: PathBuf,
    name: String,
}

impl<'a> Mirror<'a> {
    pub(super) fn of(fetcher: &'a Fetcher<'a>, source: &'a GitRepository) -> Self {
        let name =
            format!("git-{}", KeyHasher::new("mirror", 1).field("repo", &source.repo).finish());
        let dir = fetcher.store.path("git").join(name.trim_start_matches("git-"));
        Self { fetcher, source, dir, name }
    }

    /// Keeps other processes from writing to the mirror.
    pub(super) async fn lock(&self) -> Result<FileLock, KernelError> {
        let waiting = || (self.fetcher.progress)(Progress::Waiting("the same repository"));
        Ok(self.fetcher.store.lock(&self.name, waiting).await?)
    }

    pub(super) fn remove(&self) -> Result<(), KernelError> {
        Ok(remove_tree(&self.dir).map_err(|error| self.fetcher.store.error(error))?)
    }

    /// True if git complains of the mirror's own objects, not of the repository.
    pub(super) fn is_named_in(&self, said: &str) -> bool {
        said.contains(&*self.dir.join("objects").to_string_lossy())
    }

    pub(super) fn git(&self, env: &[OsString]) -> Result<Command, KernelError> {
        Ok(git(env)?.arg("--git-dir").arg(&self.dir))
    }

    /// The full names that the reference may have, the likeliest first.
    fn names(&self) -> Vec<String> {
        let name = &self.source.reference;
        if name == "HEAD" || name.starts_with("refs/") {
            return vec![name.clone()];
        }
        ["tags", "heads"].map(|kind| format!("refs/{kind}/{name}")).into()
    }

    /// The commit that a full name of ours is.
    async fn resolve(&self, name: &str) -> Result<Option<String>, KernelError> {
        if !self.dir.join("HEAD").is_file() {
            return Ok(None);
        }
        let commit = format!("{name}^{{commit}}");
        let output = self
            .git(&[])?
            .args(["rev-parse", "--verify", "--quiet", "--end-of-options", &commit])
            .output()
            .await?;
        let found = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok(Some(found).filter(|found| output.code == 0 && is_commit_id(found)))
    }

    /// The commit of the tag, if the mirror has it.
    pub(super) async fn known_tag(&self) -> Result<Option<String>, KernelError> {
        match self.names().first().filter(|name| name.starts_with("refs/tags/")) {
            Some(tag) => self.resolve(tag).await,
            None => Ok(None),
        }
    }

    /// The newest commit of the reference that the mirror has.
    pub(super) async fn known(&self) -> Result<Option<String>, KernelError> {
        for name in self.names() {
            if let Some(commit) = self.resolve(&ours(&name)).await? {
                return Ok(Some(commit));
            }
        }
        Ok(None)
    }

    /// The commit that the reference, taken for any revision, is in a repository on this machine.
    async fn revision(&self) -> Result<Option<String>, KernelError> {
        let Some(path) = self.source.path() else { return Ok(None) };
        let commit = format!("{}^{{commit}}", self.source.reference);
        let output = git(&[])?
            .arg("-C")
            .arg(path)
            .args(["rev-parse", "--verify", "--quiet", "--end-of-options", &commit])
            .output()
            .await?;
        let found = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok(Some(found).filter(|found| output.code == 0 && is_commit_id(found)))
    }

    /// The commit that the reference is in the repository now.
    pub(super) async fn ask(&self) -> Result<String, KernelError> {
        let names = self.names();
        // A tag may be an object of its own: `^{}` is the commit behind it.
        let peeled = names.iter().map(|name| format!("{name}^{{}}"));
        let patterns: Vec<String> = names.iter().cloned().chain(peeled).collect();
        let refs = self.list(&patterns).await?;
        let found = names.iter().find_map(|name| {
            let peeled = format!("{name}^{{}}");
            let of = |wanted: &str| refs.iter().find(|(_, name)| name == wanted);
            of(&peeled).or_else(|| of(name)).map(|(id, _)| (name, id.clone()))
        });
        match found {
            Some((name, commit)) => {
                self.remember(name, &commit).await?;
                Ok(commit)
            }
            None => match self.revision().await? {
                Some(commit) => Ok(commit),
                None => Err(said::unknown_ref(self.source, &self.list(&[]).await?)),
            },
        }
    }

    /// Notes what a ref is now, if the mirror has the commit: nobody may fetch it again.
    async fn remember(&self, name: &str, commit: &str) -> Result<(), KernelError> {
        if self.has(commit).await? {
            // Only a memory, and another process may write the same one.
            self.git(&[])?.args(["update-ref", &ours(name), commit]).output().await?;
        }
        Ok(())
    }

    /// Ids and names of the repository's refs.
    async fn list(&self, patterns: &[String]) -> Result<Vec<(String, String)>, KernelError> {
        let list = git(&[])?.args(["ls-remote", "--quiet", "--"]).arg(&self.source.repo);
        let output = self.checked(list.args(patterns).output().await?)?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = |line: &str| {
            let (id, name) = line.split_once('\t')?;
            is_commit_id(id).then(|| (id.to_owned(), name.to_owned()))
        };
        Ok(text.lines().filter_map(line).collect())
    }

    fn checked(&self, output: Output) -> Result<Output, KernelError> {
        if output.code == 0 {
            return Ok(output);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        if said.contains("No space left on device") {
            return Err(self.fetcher.store.full().into());
        }
        Err(said::explain(self.source, &said))
    }

    /// Makes sure that the mirror has the commit and its files. To be called under the lock.
    pub(super) async fn fetch(&self, commit: &str) -> Result<(), KernelError> {
        self.prepare(commit).await?;
        if self.has(commit).await? {
            return Ok(());
        }
        (self.fetcher.progress)(Progress::Stage(Stage::Fetch));
        if !is_commit_id(&self.source.reference) {
            // Under its name, so that the mirror knows it when the repository is out of reach.
            for name in self.names() {
                let output = self.fetch_one(&format!("+{name}:{}", ours(&name))).await?;
                let absent =
                    String::from_utf8_lossy(&output.stderr).contains("couldn't find remote ref");
                if !absent {
                    self.checked(output)?;
                    break;
                }
            }
        }
        // It may have moved on meanwhile.
        if self.has(commit).await? {
            return Ok(());
        }
        if !self.fetch_one_commit(commit).await? {
            // Servers may refuse what is no branch and no tag: its history may hold it.
            let all = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"];
            self.checked(self.fetch_command(&[])?.args(all).output().await?)?;
        }
        match self.has(commit).await? {
            true => Ok(()),
            false => Err(said::unknown_commit(self.source, commit)),
        }
    }

    /// Fetches a commit by its id; false if the repository does not give it.
    pub(super) async fn fetch_one_commit(&self, commit: &str) -> Result<bool, KernelError> {
        self.prepare(commit).await?;
        if self.has(commit).await? {
            return Ok(true);
        }
        let output = self.fetch_one(&format!("+{commit}:{ASKED}/{commit}")).await?;
        if said::is_refused_id(&String::from_utf8_lossy(&output.stderr)) {
            return Ok(false);
        }
        self.checked(output)?;
        self.has(commit).await
    }

    /// Fetches one ref or commit without its history, or with it from servers that know no better.
    async fn fetch_one(&self, refspec: &str) -> Result<Output, KernelError> {
        let output = self.fetch_command(&["--depth=1"])?.arg(refspec).output().await?;
        let dumb = output.code != 0 && String::from_utf8_lossy(&output.stderr).contains("shallow");
        if !dumb {
            return Ok(output);
        }
        Ok(self.fetch_command(&[])?.arg(refspec).output().await?)
    }

    fn fetch_command(&self, options: &[&str]) -> Result<Command, KernelError> {
        let fetch = self
            .git(&[])?
            .args(["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--update-shallow"])
            .args(["--no-recurse-submodules", "--no-auto-maintenance"]);
        Ok(fetch.args(options.to_vec()).arg("--").arg(&self.source.repo))
    }

    /// Paths that differ between two commits; `None` if they are too many to be worth it, or if
    /// the mirror does not have both.
    pub(super) async fn changes(
        &self,
        from: &str,
        to: &str,
    ) -> Result<Option<Vec<String>>, KernelError> {
        let diff =
            ["diff-tree", "-r", "-z", "--no-renames", "--name-only", "--end-of-options", from, to];
        let output = self.git(&[])?.args(diff).output().await?;
        if output.code != 0 || output.stdout.len() > MOST_CHANGES {
            return Ok(None);
        }
        let Ok(text) = String::from_utf8(output.stdout) else { return Ok(None) };
        Ok(Some(text.split_terminator('\0').map(str::to_owned).collect()))
    }

    /// The commit whose tree was written last.
    pub(super) fn last_checked_out(&self) -> Option<String> {
        let commit = fs_err::read_to_string(self.dir.join(LAST)).ok()?;
        is_commit_id(&commit).then_some(commit)
    }

    pub(super) fn note_checked_out(&self, commit: &str) -> Result<(), KernelError> {
        let written = write_whole(&self.dir.join(LAST), commit.as_bytes());
        Ok(written.map_err(|error| self.fetcher.store.error(error))?)
    }

    /// A file to read `text` from.
    pub(super) fn input(&self, text: &str) -> io::Result<File> {
        let mut file = tempfile::tempfile_in(self.fetcher.store.path("tmp"))?;
        file.write_all(text.as_bytes())?;
        file.rewind()?;
        Ok(file)
    }

    async fn has(&self, commit: &str) -> Result<bool, KernelError> {
        Ok(self.resolve(commit).await?.is_some())
    }

    /// Makes an empty mirror, or clears away what a killed git left in it.
    async fn prepare(&self, commit: &str) -> Result<(), KernelError> {
        let failed = |error| KernelError::Store(self.fetcher.store.error(error));
        if self.dir.join("HEAD").is_file() {
            return clear(&self.dir, &self.dir.join("objects")).map_err(failed);
        }
        remove_tree(&self.dir).map_err(failed)?;
        // A git that is killed leaves half of a repository, which would be taken for a whole one.
        let new = self.dir.with_extension("new");
        remove_tree(&new).and_then(|()| fs_err::create_dir_all(&new)).map_err(failed)?;
        let format = if commit.len() == 64 { "sha256" } else { "sha1" };
        let init = git(&[])?.args(["init", "--quiet", "--bare", "--template="]);
        let init = init.arg(format!("--object-format={format}")).arg(&new);
        self.checked(init.output().await?)?;
        fs_err::rename(&new, &self.dir).map_err(failed)
    }

    /// Writes the commit's files to the new folder `tree`. Returns git's words if the mirror
    /// does not have them whole.
    pub(super) async fn write_tree(
        &self,
        commit: &str,
        tree: &Path,
    ) -> Result<Option<String>, KernelError> {
        remove_tree(tree).map_err(|error| self.fetcher.store.error(error))?;
        self.write(commit, &[], tree).await
    }

    /// Like [`Mirror::write_tree`], for some files only, into a folder where none of them is;
    /// those that the commit does not have are left out.
    pub(super) async fn write_files(
        &self,
        commit: &str,
        files: &[&str],
        tree: &Path,
    ) -> Result<Option<String>, KernelError> {
        self.write(commit, files, tree).await
    }

    /// Writes the files, or all if there are none.
    async fn write(
        &self,
        commit: &str,
        files: &[&str],
        tree: &Path,
    ) -> Result<Option<String>, KernelError> {
        let failed = |error| KernelError::Store(self.fetcher.store.error(error));
        fs_err::create_dir_all(tree).map_err(failed)?;
        let index = tree.with_extension("index");
        let mut variable = OsString::from("GIT_INDEX_FILE=");
        variable.push(&index);
        let command = || -> Result<Command, KernelError> {
            Ok(self.git(&[variable.clone()])?.arg("--work-tree").arg(tree).cwd(tree))
        };
        let read = command()?.args(["read-tree", "--end-of-options", commit]).output().await?;
        let mut said = String::from_utf8_lossy(&read.stderr).into_owned();
        if read.code == 0 {
            let write = command()?.args(["checkout-index", "--quiet"]);
            let write = if files.is_empty() {
                write.arg("--all").output().await?
            } else {
                let list = self.input(&files.join("\0")).map_err(failed)?;
                let mut write = write.args(["-z", "--stdin"]).stdin(list).output().await?;
                // Quiet, it fails without a word for files that the commit does not have.
                write.code = i32::from(!write.stderr.is_empty());
                write
            };
            said = String::from_utf8_lossy(&write.stderr).into_owned();
            if write.code == 0 {
                remove_tree(&index).map_err(failed)?;
                return Ok(None);
            }
        }
        if said.contains("No space left on device") {
            return Err(self.fetcher.store.full().into());
        }
        Ok(Some(said))
    }
}

/// What the mirror calls a ref of the repository.
fn ours(name: &str) -> String {
    if name == "HEAD" { format!("{ASKED}/HEAD") } else { name.to_owned() }
}

/// Removes from a mirror, or a folder of it, locks and what is half written among the objects:
/// whoever made them is no more, since we hold the lock.
fn clear(dir: &Path, objects: &Path) -> io::Result<()> {
    let of_objects = dir.starts_with(objects);
    for entry in fs_err::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_dir() {
            // Loose objects are many, and appear by renames.
            if !of_objects || name.len() != 2 {
                clear(&entry.path(), objects)?;
            }
        } else if name.ends_with(".lock") || (of_objects && name.starts_with("tmp_")) {
            fs_err::remove_file(entry.path())?;
        }
    }
    Ok(())
}
