// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether base, tip and the kernels between them build and boot.

use serde::Serialize;

use super::{Cells, Check};
use crate::run::CellReport;
use crate::verdict::CellVerdict;

/// What is known of a kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "what", content = "why", rename_all = "kebab-case")]
pub enum Build {
    /// It was not tried, or nothing came of it that the kernel is to blame for.
    Untried,
    /// It builds, and its guest came up.
    Works,
    /// A patch does not apply, or it does not compile: the error.
    DoesNotBuild(String),
    /// It builds, and no guest came up: how the last one ended.
    DoesNotBoot(String),
}

impl Cells<'_> {
    pub(super) fn builds(&self) -> Vec<Build> {
        let of = |at: usize| {
            let cells: Vec<&CellReport> = self.at(at).collect();
            if cells.iter().any(|cell| cell.boots.iter().any(|boot| boot.ready())) {
                return Build::Works;
            }
            let finished = cells.iter().rev().filter(|cell| cell.finished);
            let mut states = finished.map(|cell| state(cell));
            states.find(|state| *state != Build::Untried).unwrap_or(Build::Untried)
        };
        (0..self.facts.positions.len()).map(of).collect()
    }
}

/// What a cell says whose guests never came up.
fn state(cell: &CellReport) -> Build {
    let reason = || cell.verdict.reason().to_owned();
    match &cell.verdict {
        CellVerdict::BuildFailure { .. } | CellVerdict::PatchConflict { .. } => {
            Build::DoesNotBuild(reason())
        }
        // A kernel that reports a bug on its way up does not come up.
        CellVerdict::BootFailure { .. } | CellVerdict::KernelBug { .. } => {
            Build::DoesNotBoot(reason())
        }
        _ => Build::Untried,
    }
}

impl Check {
    /// Kernels that cannot be built, in sentences.
    pub(super) fn not_built(&self) -> Vec<String> {
        self.told(|build| match build {
            Build::DoesNotBuild(why) => Some(("does not build", why)),
            _ => None,
        })
    }

    /// Kernels of the series that do not boot although the base does, in sentences.
    pub(super) fn broken_boots(&self) -> Vec<String> {
        if self.builds.first() != Some(&Build::Works) {
            return Vec::new();
        }
        self.told(|build| match build {
            Build::DoesNotBoot(why) => Some(("does not boot", why)),
            _ => None,
        })
    }

    fn told<'b>(
        &'b self,
        what: impl Fn(&'b Build) -> Option<(&'b str, &'b String)>,
    ) -> Vec<String> {
        let all = self.builds.iter().enumerate();
        let told = all.filter_map(|(at, build)| {
            let (what, why) = what(build)?;
            let first = why.lines().next().unwrap_or_default();
            Some(format!("{} {what}: {first}", self.facts.name(at)))
        });
        told.collect()
    }
}

impl super::CheckFacts {
    /// A position for a person: `the base`, `the tip`, `the series up to patch 2/3`.
    pub fn name(&self, at: usize) -> String {
        match at {
            0 => "the base".to_owned(),
            _ if at == self.tip() => "the tip".to_owned(),
            _ => format!("the series up to {}", self.patches(at, at)),
        }
    }
}
