// SPDX-License-Identifier: MIT OR Apache-2.0
//! Applies a series to copies of the files it touches, away from any tree.

use std::io::{self, Seek, Write};
use std::path::Path;
use std::sync::LazyLock;

use host::process::Command;
use host::store::Store;
use regex::Regex;

use super::patch::Patch;
use super::types::Series;
use crate::error::{Conflict, HunkFailure, KernelError};
use crate::text::quote;

/// Failures named of one patch; a patch against another kernel fails everywhere.
const MOST_FAILURES: usize = 8;

/// Fills the empty folder `stage`, below `store`, with the files that `series` touches,
/// as they are after it. A file that is absent there afterwards is removed by the series.
///
/// `patch` sees copies only, so it can harm neither `pristine` nor what is hard-linked
/// to it, and a series that does not fit changes nothing.
pub(crate) async fn stage(
    series: &Series,
    pristine: &Path,
    stage: &Path,
    store: &Store,
) -> Result<(), KernelError> {
    let failed = |error| KernelError::Store(store.error(error));
    refuse_links(series, pristine)?;
    for file in series.files() {
        copy(&pristine.join(file), &stage.join(file)).map_err(failed)?;
    }
    for patch in &series.patches {
        let Err(said) = apply(patch, stage, store).await? else { continue };
        if said.contains("No space left on device") {
            return Err(store.full().into());
        }
        if patch.is_fixup && is_there(&said) {
            continue;
        }
        return Err(conflict(series, patch, failures(&said)).into());
    }
    Ok(())
}

/// Patches follow no links: one may lead anywhere.
pub(super) fn refuse_links(series: &Series, pristine: &Path) -> Result<(), KernelError> {
    for patch in &series.patches {
        for file in &patch.files {
            if let Some(link) = link_on_the_way(pristine, file) {
                let reason = format!("{link} is a symbolic link, which patches may not follow");
                let failure = HunkFailure { file: file.clone(), hunk: None, line: None, reason };
                return Err(conflict(series, patch, vec![failure]).into());
            }
        }
    }
    Ok(())
}

/// The first part of a file's path in the tree that is a link, if there is one.
fn link_on_the_way(tree: &Path, file: &str) -> Option<String> {
    let parts = Path::new(file).ancestors().filter(|part| !part.as_os_str().is_empty());
    let link = parts.filter(|part| tree.join(part).is_symlink()).last()?;
    Some(link.display().to_string())
}

/// Copies a file of the tree, if it is there.
pub(super) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if !from.is_file() {
        return Ok(());
    }
    if let Some(parent) = to.parent() {
        fs_err::create_dir_all(parent)?;
    }
    fs_err::copy(from, to).map(drop)
}

pub(super) fn conflict(series: &Series, patch: &Patch, failures: Vec<HunkFailure>) -> Conflict {
    Conflict {
        series: quote(&series.name).into(),
        patch: quote(&patch.name).into(),
        subject: patch.subject.clone().into(),
        failures: failures.into(),
        base: series.base.as_deref().map(Into::into),
        base_missing: false,
        prerequisites: series.prerequisites().into(),
        fits: None,
    }
}

/// Applies one patch to the copies; the inner error is what `patch` said.
async fn apply(
    patch: &Patch,
    stage: &Path,
    store: &Store,
) -> Result<Result<(), String>, KernelError> {
    let input = || {
        let mut input = tempfile::tempfile_in(stage)?;
        input.write_all(&patch.bytes)?;
        input.rewind()?;
        Ok(input)
    };
    let output = Command::new("patch")
        // Unified only: `patch` would also run ed scripts. No fuzz: context that moved may
        // mean that the change no longer does what it says.
        .args(["--unified", "--batch", "--forward", "-F0", "--no-backup-if-mismatch"])
        .args(["--reject-file=-", &format!("-p{}", patch.strip), "-d"])
        .arg(stage)
        .env("LC_ALL", "C")
        .env("QUOTING_STYLE", "literal")
        // A killed `patch` leaves its temporary files where they are removed.
        .env("TMPDIR", stage)
        .stdin(input().map_err(|error| store.error(error))?)
        .output()
        .await?;
    if output.code == 0 {
        return Ok(Ok(()));
    }
    Ok(Err(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()))
}

/// Whether the files have the whole change of a patch already, by the words of GNU patch.
fn is_there(said: &str) -> bool {
    let count = |start: &str| said.lines().filter(|line| line.starts_with(start)).count();
    let files = count("patching file ");
    files > 0 && count("Reversed (or previously applied)") == files && !said.contains("FAILED")
}

/// Finds what failed in the words of GNU patch.
fn failures(said: &str) -> Vec<HunkFailure> {
    static HUNK: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"^Hunk #(\d+) FAILED at (\d+)").ok());
    let mut failures: Vec<HunkFailure> = Vec::new();
    let mut file = String::new();
    for line in said.lines() {
        if let Some(name) = line.strip_prefix("patching file ") {
            file = quote(name.trim_matches('\''));
            continue;
        }
        let whole =
            |reason: String| HunkFailure { file: file.clone(), hunk: None, line: None, reason };
        let hunk = HUNK.as_ref().and_then(|regex| regex.captures(line));
        if let Some(hunk) = hunk {
            failures.push(HunkFailure {
                hunk: hunk[1].parse().ok(),
                line: hunk[2].parse().ok(),
                ..whole("the lines it expects are not there".into())
            });
        } else if line.starts_with("Reversed (or previously applied)") {
            failures.push(whole("the source already has this change".into()));
        } else if line.contains("which already exists!") {
            failures.push(whole(quote(line)));
        } else if line.starts_with("can't find file to patch") {
            failures.push(whole("a file it changes is not there".into()));
        }
        if failures.len() == MOST_FAILURES {
            break;
        }
    }
    if failures.is_empty() {
        let reason = said.lines().rev().find(|line| !line.trim().is_empty());
        let reason = quote(reason.unwrap_or("patch failed without a word"));
        failures.push(HunkFailure { file: "patch".into(), hunk: None, line: None, reason });
    }
    failures
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for sub in ["pristine/mm", "stage", "series"] {
            fs_err::create_dir_all(dir.path().join(sub)).unwrap();
        }
        let lines: String = (1..=40).map(|n| format!("line {n}\n")).collect();
        fs_err::write(dir.path().join("pristine/mm/zswap.c"), lines).unwrap();
        fs_err::write(dir.path().join("pristine/gone.c"), "bye\n").unwrap();
        std::os::unix::fs::symlink("mm", dir.path().join("pristine/link")).unwrap();
        dir
    }

    async fn run(dir: &Path, diffs: &[&str]) -> Result<(), KernelError> {
        let mut order = String::new();
        for (number, diff) in diffs.iter().enumerate() {
            let name = format!("{number}.patch");
            fs_err::write(dir.join("series").join(&name), format!("Subject: s\n\n{diff}")).unwrap();
            order.push_str(&format!("{name}\n"));
        }
        fs_err::write(dir.join("series/series"), order).unwrap();
        let series = dir.join("series");
        let series = crate::Library::default().series(series.to_str().unwrap()).unwrap();
        let store = Store::open(dir.join("store")).unwrap();
        stage(&series, &dir.join("pristine"), &dir.join("stage"), &store).await
    }

    fn change(line: u32, from: &str) -> String {
        format!("--- a/mm/zswap.c\n+++ b/mm/zswap.c\n@@ -{line} +{line} @@\n-{from}\n+new {line}\n")
    }

    const REMOVE: &str = "--- a/gone.c\n+++ /dev/null\n@@ -1 +0,0 @@\n-bye\n";
    const MAKE: &str = "--- /dev/null\n+++ b/sub/made.c\n@@ -0,0 +1 @@\n+hello\n";

    #[tokio::test]
    async fn a_fixup_is_left_out_where_its_change_is_there_and_fails_where_it_does_not_fit() {
        let dir = tree();
        let one = |diff: &str, is_there: bool| {
            let line = diff.to_owned();
            let dir = dir.path();
            async move {
                let stage = tempfile::tempdir_in(dir).unwrap();
                let file = tempfile::Builder::new().suffix(".patch").tempfile().unwrap();
                fs_err::write(file.path(), format!("Subject: s\n\n{line}")).unwrap();
                let series =
                    crate::Library::default().series(file.path().to_str().unwrap()).unwrap();
                let series = if is_there { series.as_fixup() } else { series };
                let store = Store::open(dir.join("store")).unwrap();
                super::stage(&series, &dir.join("pristine"), stage.path(), &store).await
            }
        };
        // The tree has what this one makes of it: `new 3` became `line 3`.
        let done = "--- a/mm/zswap.c\n+++ b/mm/zswap.c\n@@ -3 +3 @@\n-new 3\n+line 3\n";
        assert!(one(done, true).await.is_ok());
        assert!(one(done, false).await.is_err());
        assert!(one(&change(7, "line 7"), true).await.is_ok());
        assert!(one(&change(7, "another"), true).await.is_err());
        let half = format!("{done}--- a/gone.c\n+++ b/gone.c\n@@ -1 +1 @@\n-what\n+ever\n");
        assert!(one(&half, true).await.is_err());
    }

    #[tokio::test]
    async fn patches_apply_in_order_to_copies_only() {
        let dir = tree();
        let second = change(3, "new 3").replace("+new 3", "+newer 3");
        run(dir.path(), &[&change(3, "line 3"), &second, REMOVE, MAKE]).await.unwrap();
        let staged = fs_err::read_to_string(dir.path().join("stage/mm/zswap.c")).unwrap();
        assert!(staged.contains("newer 3\n"));
        assert!(!dir.path().join("stage/gone.c").exists());
        assert!(dir.path().join("stage/sub/made.c").exists());
        let pristine = fs_err::read_to_string(dir.path().join("pristine/mm/zswap.c")).unwrap();
        assert!(pristine.contains("line 3\n") && dir.path().join("pristine/gone.c").exists());
    }

    #[tokio::test]
    async fn a_conflict_names_patch_file_and_hunk() {
        let dir = tree();
        let two = format!("{}@@ -30 +30 @@\n-line thirty\n+x\n", change(3, "line 3"));
        let error = run(dir.path(), &[&change(9, "line 9"), &two]).await.unwrap_err();
        let KernelError::Conflict(conflict) = error else { panic!("{error}") };
        assert_eq!(&*conflict.patch, "1.patch");
        let failure = &conflict.failures[0];
        assert_eq!(
            (failure.file.as_str(), failure.hunk, failure.line),
            ("mm/zswap.c", Some(2), Some(30))
        );
        assert!(conflict.to_string().contains("mm/zswap.c:30: hunk 2"), "{conflict}");
    }

    #[tokio::test]
    async fn other_misfits_are_told_apart() {
        for (diff, says) in [
            (change(3, "line 3").replace("zswap", "nonsuch"), "not there"),
            (MAKE.replace("sub/made.c", "gone.c"), "already exists"),
            (
                change(3, "old").replace("-old\n+new 3", "-old 3\n+line 3"),
                "already has this change",
            ),
        ] {
            let dir = tree();
            let error = run(dir.path(), &[&diff]).await.unwrap_err().to_string();
            assert!(error.contains(says), "{says}: {error}");
        }
    }

    #[tokio::test]
    async fn links_are_not_followed() {
        let dir = tree();
        let diff = change(3, "line 3").replace("mm/", "link/");
        let error = run(dir.path(), &[&diff]).await.unwrap_err().to_string();
        assert!(error.contains("link is a symbolic link"), "{error}");
    }
}
