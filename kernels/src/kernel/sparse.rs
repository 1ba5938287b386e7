// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which files of a series `sparse` is asked about, and the asking.

use host::process::{Command, ProcessError};
use host::tools::install_hint;

use crate::compile::SparseSaid;
use crate::error::KernelError;
use crate::progress::{OnProgress, Progress, Stage};
use crate::series::Series;
use crate::text::quote;

use super::{Kernels, Request};

/// The program.
const SPARSE: &str = "sparse";
/// Most files that are asked about.
const MOST_FILES: usize = 100;

/// The version of the machine's sparse, as it calls itself: `v0.6.4`.
///
/// # Errors
/// It is not installed, or does not say.
pub async fn sparse_version() -> Result<String, ProcessError> {
    if host::process::which(SPARSE).is_none() {
        let (program, hint) = (SPARSE.to_owned(), install_hint(SPARSE));
        return Err(ProcessError::Missing { program, hint });
    }
    let output = Command::new(SPARSE).arg("--version").success().await?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(quote(text.lines().next().unwrap_or_default()))
}

impl Series {
    /// The C files that it touches.
    pub fn c_files(&self) -> Vec<String> {
        self.files().into_iter().filter(|file| file.ends_with(".c")).map(str::to_owned).collect()
    }
}

impl Kernels {
    /// What sparse says of those of `files` that the kernel asked for has. Nothing is built but what that takes; the first
    /// hundred are looked at, and the others left out.
    ///
    /// # Errors
    /// Those of getting source and configuration; sparse is missing, or does not work.
    pub async fn sparse(
        &self,
        request: Request<'_>,
        files: &[String],
        progress: OnProgress<'_>,
    ) -> Result<SparseSaid, KernelError> {
        self.sparse_by(SPARSE, request, files, progress).await
    }

    /// The same with another program.
    pub(super) async fn sparse_by(
        &self,
        program: &str,
        request: Request<'_>,
        files: &[String],
        progress: OnProgress<'_>,
    ) -> Result<SparseSaid, KernelError> {
        let plan = self.plan(request, progress).await?;
        let (tree, ..) = self.prepare(&plan, progress).await?;
        progress(Progress::Stage(Stage::Sparse));
        let (files, beyond) = files.split_at(files.len().min(MOST_FILES));
        let source = tree.source();
        let files: Vec<String> =
            files.iter().filter(|file| source.join(file).is_file()).cloned().collect();
        let mut said = self.make(&plan, &tree, progress).sparse(program, &files).await?;
        said.left_out.extend(beyond.iter().cloned());
        Ok(said)
    }
}
