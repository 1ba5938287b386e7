// SPDX-License-Identifier: MIT OR Apache-2.0
//! Takes the digest of a machine on the virtual clock.

use std::collections::BTreeMap;

use reports::event::{Digest, PointCounts, What};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// A digest in the making.
#[derive(Debug, Default)]
pub(super) struct Digester {
    console: Sha256,
    bytes: u64,
    counters: Sha256,
}

impl Digester {
    /// What the machine printed.
    pub(super) fn console(&mut self, bytes: &[u8]) {
        self.console.update(bytes);
        self.bytes += bytes.len() as u64;
    }

    /// An event of the machine's, of which only counters matter.
    pub(super) fn event(&mut self, event: &What) {
        match event {
            What::Columns { columns, .. } => self.line(columns),
            What::Sample { row, .. } => self.line(row),
            _ => {}
        }
    }

    fn line(&mut self, numbers: &impl Serialize) {
        // Lists of texts and numbers, and maps with texts for keys, are JSON; nothing can fail.
        self.counters.update(serde_json::to_vec(numbers).unwrap_or_default());
        self.counters.update(b"\n");
    }

    /// The digest, with what happened at the stretch points.
    pub(super) fn finish(mut self, windows: &BTreeMap<String, PointCounts>) -> Digest {
        self.line(windows);
        let (console, counters) = (hex(self.console), hex(self.counters));
        Digest { console, console_bytes: self.bytes, counters }
    }
}

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
