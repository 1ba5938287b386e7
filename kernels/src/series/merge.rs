// SPDX-License-Identifier: MIT OR Apache-2.0
//! Brings a series from the commit it was made for to another one: what the series makes of
//! each file there is merged with what the file is here, as a rebase would.

use std::io;
use std::path::Path;

use host::store::{Store, remove_tree};

use super::apply::{conflict, copy, refuse_links, stage};
use super::types::Series;
use crate::error::{HunkFailure, KernelError};
use crate::git::git;
use crate::listing::absent;

/// Fills the empty folder `stage_dir`, below `store`, with the files that `series` touches, as
/// they are after it. `base` holds those files as they are in the commit that the series was
/// made for; `scratch` may be written to, and is removed.
pub(crate) async fn merge(
    series: &Series,
    base: &Path,
    pristine: &Path,
    stage_dir: &Path,
    scratch: &Path,
    store: &Store,
) -> Result<(), KernelError> {
    let failed = |error| KernelError::Store(store.error(error));
    refuse_links(series, pristine)?;
    remove_tree(scratch).and_then(|()| fs_err::create_dir_all(scratch)).map_err(failed)?;
    stage(series, base, scratch, store).await?;
    let mut changes = false;
    for patch in &series.patches {
        for file in &patch.files {
            let staged = stage_dir.join(file);
            let (base, theirs) = (base.join(file), scratch.join(file));
            let (was, is) = (read(&base).map_err(failed)?, read(&theirs).map_err(failed)?);
            let ours = read(&pristine.join(file)).map_err(failed)?;
            let clean = if was == ours {
                copy(&theirs, &staged).map_err(failed)?;
                true
            } else {
                copy(&pristine.join(file), &staged).map_err(failed)?;
                match (&was, &ours, &is) {
                    _ if is == was || is == ours => true,
                    (Some(_), Some(_), Some(_)) => {
                        let files = [&staged, &base, &theirs];
                        let merge = git(&[])?.args(["merge-file", "--quiet", "--"]).args(files);
                        merge.cwd(stage_dir).output().await?.code == 0
                    }
                    _ => false,
                }
            };
            if !clean {
                let reason =
                    "it changed since the commit that the series was made for, in the same place";
                let failure = HunkFailure {
                    file: file.clone(),
                    hunk: None,
                    line: None,
                    reason: reason.into(),
                };
                let mut conflict = conflict(series, patch, vec![failure]);
                conflict.fits = conflict.base.clone();
                return Err(conflict.into());
            }
            changes |= read(&staged).map_err(failed)? != ours;
        }
    }
    if let (false, Some(patch)) = (changes, series.patches.first()) {
        // A kernel that only seems to carry the series would be compared with itself.
        let reason = "the source already has all changes of the series".to_owned();
        let file = patch.files.first().cloned().unwrap_or_default();
        let failure = HunkFailure { file, hunk: None, line: None, reason };
        return Err(conflict(series, patch, vec![failure]).into());
    }
    remove_tree(scratch).map_err(failed)
}

fn read(file: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs_err::read(file) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if absent(&error) => Ok(None),
        Err(error) => Err(error),
    }
}
