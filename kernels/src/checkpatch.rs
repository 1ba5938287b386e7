// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a tree's own `checkpatch.pl` says of the patches of a series.

use host::process::Command;

use crate::error::KernelError;
use crate::kernel::{Kernels, Request};
use crate::progress::OnProgress;
use crate::text::quote;

/// Most lines that are kept of a patch.
const MOST: usize = 50;

impl Kernels {
    /// What is said of each patch of the request's series, a line each: `12: WARNING: ...`. The patches need not apply.
    ///
    /// # Errors
    /// Those of getting the source; a tree without the script; perl is missing.
    pub async fn checkpatch(
        &self,
        request: Request<'_>,
        progress: OnProgress<'_>,
    ) -> Result<Vec<Vec<String>>, KernelError> {
        let tree = self.source_tree(request, progress).await?;
        let script = tree.join("scripts/checkpatch.pl");
        if !script.is_file() {
            return Err(KernelError::Request(format!(
                "{} has no scripts/checkpatch.pl\n  hint: leave out --checkpatch",
                tree.display()
            )));
        }
        let own = |error| KernelError::from(self.store().error(error));
        // It may leave a file where it runs, and the tree is the store's.
        let dir = tempfile::tempdir().map_err(own)?;
        let mut said = Vec::new();
        for patch in request.series.iter().flat_map(|series| &series.patches) {
            const NAME: &str = "one.patch";
            fs_err::write(dir.path().join(NAME), &patch.bytes).map_err(own)?;
            let perl = Command::new("perl")
                .arg(&script)
                .args(["--strict", "--terse", "--no-summary", "--root"])
                .arg(&tree)
                .arg(NAME)
                .cwd(dir.path());
            let output = perl.output().await?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let lines = text.lines().filter(|line| !line.trim().is_empty()).take(MOST);
            let own =
                lines.map(|line| quote(line.trim_start_matches(NAME).trim_start_matches(':')));
            said.push(own.collect());
        }
        Ok(said)
    }
}
