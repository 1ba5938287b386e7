// SPDX-License-Identifier: MIT OR Apache-2.0
//! Looks for the patches that a series wants applied before it among the commits of its source.
//!
//! `git format-patch --base` writes `prerequisite-patch-id: ID` with the ids of git-patch-id(1).

use std::collections::BTreeMap;
use std::process::Stdio;

use super::mirror::Mirror;
use crate::error::{Found, KernelError, MOST_COMMITS, Prerequisite};
use crate::series::Series;

impl Mirror<'_> {
    /// What the series wants, with what is known of it: its patches' ids are looked for among the
    /// newest commits below `commit`. Of a server no more than that commit is there.
    pub(super) async fn prerequisites(
        &self,
        series: &Series,
        commit: &str,
    ) -> Result<Vec<Prerequisite>, KernelError> {
        let mut all = series.prerequisites();
        if !self.source.is_local() || all.iter().all(|one| one.patch_id().is_none()) {
            return Ok(all);
        }
        let Some(ids) = self.patch_ids(commit).await? else { return Ok(all) };
        for one in &mut all {
            let Some(id) = one.patch_id() else { continue };
            one.found = ids.get(id).cloned().map_or(Found::Missing, Found::Commit);
        }
        Ok(all)
    }

    /// Commits by the ids of their patches; `None` if git does not say.
    async fn patch_ids(
        &self,
        commit: &str,
    ) -> Result<Option<BTreeMap<String, String>>, KernelError> {
        let most = format!("--max-count={MOST_COMMITS}");
        let list = ["rev-list", "--no-merges", &most, "--end-of-options", commit];
        let list = self.all()?.args(list).output().await?;
        let failed = |error| KernelError::Store(self.fetcher.store.error(error));
        let commits = self.input(&String::from_utf8_lossy(&list.stdout)).map_err(failed)?;
        let (reader, writer) = std::io::pipe().map_err(failed)?;
        // A commit without a parent shows nothing; in a shallow clone it would show the whole tree.
        let diff = ["diff-tree", "--stdin", "-p", "--no-renames", "--no-ext-diff", "--no-textconv"];
        let mut diff = self.all()?.args(diff).stdin(commits).spawn(writer, Stdio::null())?;
        let ids = self.all()?.args(["patch-id", "--stable"]).stdin(reader).output().await?;
        if list.code != 0 || diff.wait().await? != 0 || ids.code != 0 {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&ids.stdout);
        let pairs = text.lines().filter_map(|line| line.split_once(' '));
        Ok(Some(pairs.map(|(id, commit)| (id.to_owned(), commit.to_owned())).collect()))
    }
}
