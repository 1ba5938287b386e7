// SPDX-License-Identifier: MIT OR Apache-2.0
//! The exit codes of every command, in one table.

use serde::{Deserialize, Serialize};

use crate::proof::Proof;
use crate::run::{CellReport, RunReport};
use crate::verdict::CellVerdict;

/// How the program ends. The number is the process's exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// Nothing found; for `repro`: shown on the buggy kernel, and the fixed one stayed clean.
    Clean = 0,
    /// A kernel bug or a regression was found; for `repro`: one that it was not to find.
    KernelBug = 1,
    /// Usage or configuration, the kernel's included: it does not build, a patch does not apply.
    Usage = 2,
    /// The machine under us: disk, network, a missing tool, QEMU.
    Infrastructure = 3,
    /// No answer: unreachable, exposure too small, the kernel never got so far.
    Inconclusive = 4,
    /// Ctrl-C.
    Interrupted = 130,
}

impl ExitCode {
    /// Every code, in the order of the table.
    pub const ALL: [Self; 6] = [
        Self::Clean,
        Self::KernelBug,
        Self::Usage,
        Self::Infrastructure,
        Self::Inconclusive,
        Self::Interrupted,
    ];

    /// The number.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// What it means, for help texts.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Clean => {
                "clean (repro: the race was shown on the buggy kernel and the fixed one stayed clean)"
            }
            Self::KernelBug => "kernel bug or regression found",
            Self::Usage => {
                "usage or configuration, also: the kernel does not build, a patch does not apply"
            }
            Self::Infrastructure => "infrastructure: disk, network, a missing tool, QEMU",
            Self::Inconclusive => "inconclusive or unreachable",
            Self::Interrupted => "interrupted",
        }
    }
}

/// What a run was for: it decides what is good news.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// `repro`: where the expected bug should show, showing it is success.
    Repro,
    /// Everything else: any bug is a bug.
    #[default]
    Search,
}

impl RunReport {
    /// The exit code that this run's verdicts come to; the worst cell decides, in the order
    /// kernel bug, configuration, infrastructure, inconclusive. An interrupted run is
    /// [`ExitCode::Interrupted`] whatever it had found: the report says what. A run without
    /// its last event, or one of which other lines are lost, is never [`ExitCode::Clean`]: what
    /// is missing may be a report. Nor is a `repro` whose fixed kernel may have been lucky.
    pub fn exit_code(&self, purpose: Purpose) -> ExitCode {
        if self.interrupted() {
            return ExitCode::Interrupted;
        }
        match self.deciding_cell(purpose).map(|cell| cell_code(cell, purpose)) {
            Some(ExitCode::Clean) if !self.is_whole() => ExitCode::Inconclusive,
            // The plan's time was used up before anything was run.
            Some(ExitCode::Clean) if self.cells.iter().all(CellReport::is_left_out) => {
                ExitCode::Inconclusive
            }
            Some(ExitCode::Clean) if purpose == Purpose::Repro && self.unproven().is_some() => {
                ExitCode::Inconclusive
            }
            Some(code) => code,
            // A run without a cell has judged nothing.
            None => ExitCode::Inconclusive,
        }
    }

    /// The proof that lacks most of the confidence that was asked for, if one lacks any.
    pub fn unproven(&self) -> Option<Proof> {
        let short = self.proofs().into_iter().filter(|proof| !proof.is_reached());
        short.max_by(|a, b| a.pass_probability.total_cmp(&b.pass_probability))
    }

    /// The cell that decides the exit code: the first of the worst.
    pub fn deciding_cell(&self, purpose: Purpose) -> Option<&CellReport> {
        self.cells.iter().min_by_key(|cell| match cell_code(cell, purpose) {
            ExitCode::KernelBug => 0,
            ExitCode::Usage => 1,
            ExitCode::Infrastructure => 2,
            ExitCode::Inconclusive => 3,
            ExitCode::Interrupted => 4,
            ExitCode::Clean => 5,
        })
    }
}

impl CellReport {
    /// Whether the plan itself left it out.
    pub fn is_left_out(&self) -> bool {
        matches!(self.verdict, CellVerdict::LeftOut { .. })
    }

    /// The exit code that this cell alone comes to.
    pub(crate) fn exit_code(&self, purpose: Purpose) -> ExitCode {
        cell_code(self, purpose)
    }
}

fn cell_code(cell: &CellReport, purpose: Purpose) -> ExitCode {
    let wanted = purpose == Purpose::Repro && cell.cell.should_show == Some(true);
    match &cell.verdict {
        CellVerdict::Clean { .. } | CellVerdict::KnownBug { .. } | CellVerdict::LeftOut { .. } => {
            ExitCode::Clean
        }
        CellVerdict::KernelBug { expected: true, .. } if wanted => ExitCode::Clean,
        // One of several that did not show it lowers the bug's rate, with which the fixed kernel is measured.
        CellVerdict::NotShown { .. } if wanted && cell.others_showed => ExitCode::Clean,
        CellVerdict::KernelBug { .. } => ExitCode::KernelBug,
        CellVerdict::BuildFailure { .. }
        | CellVerdict::PatchConflict { .. }
        | CellVerdict::Configuration { .. } => ExitCode::Usage,
        CellVerdict::Infrastructure { .. } => ExitCode::Infrastructure,
        CellVerdict::NotShown { .. }
        | CellVerdict::Unreachable { .. }
        | CellVerdict::BootFailure { .. }
        | CellVerdict::Inconclusive { .. } => ExitCode::Inconclusive,
    }
}
