// SPDX-License-Identifier: MIT OR Apache-2.0
//! Looks for the tag or branch that a series was made for, when it does not say it.

use std::collections::BTreeMap;

use host::process::Command;

use super::mirror::Mirror;
use crate::error::KernelError;
use crate::git::git;
use crate::series::{Series, preimages};

/// Most tags and branches that are looked at: each costs a few milliseconds.
const MOST: usize = 300;

impl Mirror<'_> {
    /// The tag or branch nearest to `commit` in time in which the files that the series
    /// touches are those that it was made from. A repository on this machine is looked
    /// through, and of a server's what the mirror has.
    pub(super) async fn nearest(
        &self,
        series: &Series,
        commit: &str,
    ) -> Result<Option<String>, KernelError> {
        let Some(wanted) = preimages(series) else { return Ok(None) };
        let date = ["show", "--no-patch", "--format=%ct", "--end-of-options", commit];
        let date: i64 = self.lines(&date).await?.first().and_then(|d| d.parse().ok()).unwrap_or(0);
        let format = "--format=%(creatordate:unix) %(refname:short)";
        let refs = self.lines(&["for-each-ref", format, "refs/tags", "refs/heads"]).await?;
        let mut refs: Vec<(i64, &str)> = refs
            .iter()
            .filter_map(|line| line.split_once(' '))
            .map(|(when, name)| ((when.parse().unwrap_or(0) - date).abs(), name))
            .collect();
        refs.sort_unstable();
        for (_, name) in refs.into_iter().take(MOST) {
            if self.holds(name, &wanted).await? {
                return Ok(Some(name.to_owned()));
            }
        }
        Ok(None)
    }

    /// Whether the files are those, by their blobs' ids.
    async fn holds(
        &self,
        name: &str,
        wanted: &BTreeMap<String, String>,
    ) -> Result<bool, KernelError> {
        let mut args = vec!["ls-tree", "-r", "--end-of-options", name, "--"];
        args.extend(wanted.keys().map(String::as_str));
        // MODE blob ID<tab>PATH
        let there: Vec<String> = self.lines(&args).await?;
        let there: BTreeMap<&str, &str> = there
            .iter()
            .filter_map(|line| line.split_once('\t'))
            .filter_map(|(facts, path)| Some((path, facts.rsplit(' ').next()?)))
            .collect();
        Ok(wanted.iter().all(|(path, old)| match there.get(path.as_str()) {
            Some(id) => id.starts_with(old.as_str()),
            None => old.bytes().all(|b| b == b'0'),
        }))
    }

    /// A git that sees all that there is: a repository on this machine, or the mirror of a server's.
    pub(super) fn all(&self) -> Result<Command, KernelError> {
        match self.source.path() {
            Some(path) => Ok(git(&[])?.arg("-C").arg(path)),
            None => self.git(&[]),
        }
    }

    async fn lines(&self, args: &[&str]) -> Result<Vec<String>, KernelError> {
        let output = self.all()?.arg("--literal-pathspecs").args(args.to_vec()).output().await?;
        Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
    }
}
