// SPDX-License-Identifier: MIT OR Apache-2.0
//! Cells that are alike, put together.

use std::collections::BTreeMap;

use super::{Boot, CellReport, RunReport, Times};
use crate::event::{Cell, Exposure};
use crate::proof::{Evidence, Proof};
use crate::verdict::{self, CellVerdict};

impl RunReport {
    /// What all machines of the kernel with the bug, in the setting of `cell`, tell of the bug's rate.
    /// `cell` itself need not have run, or be planned.
    pub fn evidence_for(&self, cell: &Cell) -> Evidence {
        let setting = cell.setting();
        let mut evidence = Evidence::default();
        for other in self.cells.iter().filter(|other| other.cell.setting() == setting) {
            other.add_evidence(&mut evidence);
        }
        evidence
    }

    /// For each kernel that should be fixed how far its proof has come. One with a bug, or with
    /// cells that failed, has none: [`CellReport::verdict`] says all there is to say.
    pub fn proofs(&self) -> Vec<Proof> {
        let mut buggy: BTreeMap<(String, &str), Evidence> = BTreeMap::new();
        let mut fixed: BTreeMap<(String, &str), Vec<&CellReport>> = BTreeMap::new();
        for cell in &self.cells {
            match cell.cell.should_show {
                Some(true) => {
                    cell.add_evidence(
                        buggy.entry((cell.cell.setting(), cell.release())).or_default(),
                    );
                }
                Some(false) => {
                    fixed.entry((cell.cell.population(), cell.release())).or_default().push(cell);
                }
                None => {}
            }
        }
        let proof = |((population, release), cells): ((String, &str), Vec<&CellReport>)| {
            let first = cells.first()?;
            if cells.iter().any(|cell| !verdict::adds_to_proof(cell)) {
                return None;
            }
            let evidence = buggy.get(&(first.cell.setting(), release)).copied().unwrap_or_default();
            let machines = cells.iter().flat_map(|cell| cell.sound_boots()).count() as u64;
            let exposure = cells.iter().fold(Exposure::default(), |sum, cell| sum + cell.exposure);
            Some(Proof::new(population, evidence, machines, exposure, self.confidence()))
        };
        fixed.into_iter().filter_map(proof).collect()
    }

    /// Clean cells of the same kernel in the same setting, where there are several and nothing but
    /// clean ones: leaving out a cell with a bug would make the bound of the others a lie. With
    /// each goes the exposure of all.
    pub fn clean_together(&self) -> Vec<(Vec<&CellReport>, Exposure)> {
        let mut alike: BTreeMap<(String, &str), Vec<&CellReport>> = BTreeMap::new();
        for cell in &self.cells {
            alike.entry((cell.cell.population(), cell.release())).or_default().push(cell);
        }
        alike.retain(|_, cells| {
            let is_clean = |cell: &&CellReport| matches!(cell.verdict, CellVerdict::Clean { .. });
            cells.len() > 1 && cells.iter().all(is_clean)
        });
        let mut together = Vec::new();
        for cells in alike.into_values() {
            let exposure = cells.iter().fold(Exposure::default(), |sum, c| sum + c.exposure);
            together.push((cells, exposure));
        }
        together
    }
}

impl CellReport {
    /// The kernel's release: of merged runs, those of another night may have built a newer one.
    fn release(&self) -> &str {
        self.kernel.as_ref().map_or("", |kernel| kernel.release.as_str())
    }

    /// Machines whose exposure counts.
    pub(crate) fn sound_boots(&self) -> impl Iterator<Item = &Boot> {
        self.boots.iter().filter(|boot| boot.ready() && boot.counts())
    }

    /// Adds the machines of a cell that should show the bug. One of which no sample came tells
    /// nothing of the bug's rate.
    fn add_evidence(&self, evidence: &mut Evidence) {
        if self.cell.should_show == Some(true) {
            for boot in self.sound_boots().filter(|boot| boot.exposure.guest_ms > 0) {
                evidence.add(boot.exposure_until(boot.times.bug), boot.showed_expected);
            }
        }
    }
}

impl Boot {
    /// How long its storm went until the expected bug first showed, or else as far as samples tell: in milliseconds by
    /// the guest's clock, and by the host's.
    pub fn storm_ms(&self) -> (u64, u64) {
        let Times { ready, sample, bug, bug_guest } = self.times;
        match bug {
            Some(bug) => (bug_guest, bug.saturating_sub(ready)),
            None => (self.exposure.guest_ms, sample.saturating_sub(ready)),
        }
    }

    /// The exposure that a bug took which first showed at `bug`, in milliseconds of the run, rather more than less: all there
    /// was, and if the last sample came before the bug, as much more as the guest may have done until then.
    pub(crate) fn exposure_until(&self, bug: Option<u64>) -> Exposure {
        let Times { ready, sample, .. } = self.times;
        let sampled = sample.saturating_sub(ready).max(1);
        let shown = bug.unwrap_or(0).saturating_sub(ready);
        if shown <= sampled {
            return self.exposure;
        }
        // Counts of a guest fit in a float's digits.
        let by_then = |n: u64| (n as f64 * shown as f64 / sampled as f64).ceil() as u64;
        let Exposure { swapoffs, cpu_offs, .. } = self.exposure;
        Exposure { swapoffs: by_then(swapoffs), cpu_offs: by_then(cpu_offs), ..self.exposure }
    }
}
