// SPDX-License-Identifier: MIT OR Apache-2.0
//! How much the bug had a chance to show: samples, windows, and the exposure that they come to.

use std::collections::BTreeMap;
use std::ops::Add;

use serde::{Deserialize, Serialize};

use super::What;
use crate::telemetry::Sample;

/// Counters that say how much the bug had a chance to show.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Exposure {
    /// Guest milliseconds since the agent was ready.
    pub guest_ms: u64,
    /// Completed swapon calls.
    pub swapons: u64,
    /// Completed swapoff calls.
    pub swapoffs: u64,
    /// Pages that zswap stored.
    pub stores: u64,
    /// Pages that zswap wrote back.
    pub writebacks: u64,
    /// Windows stretched to their end or not yet ended.
    pub windows: u64,
    /// Stretch points reached where sleeping was not allowed.
    pub refused: u64,
    /// Pages read back and verified.
    pub verified: u64,
    /// Workers killed for lack of memory and started again.
    pub oom_kills: u64,
    /// CPUs taken off.
    pub cpu_offs: u64,
}

impl Add for Exposure {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            guest_ms: self.guest_ms.saturating_add(other.guest_ms),
            swapons: self.swapons.saturating_add(other.swapons),
            swapoffs: self.swapoffs.saturating_add(other.swapoffs),
            stores: self.stores.saturating_add(other.stores),
            writebacks: self.writebacks.saturating_add(other.writebacks),
            windows: self.windows.saturating_add(other.windows),
            refused: self.refused.saturating_add(other.refused),
            verified: self.verified.saturating_add(other.verified),
            oom_kills: self.oom_kills.saturating_add(other.oom_kills),
            cpu_offs: self.cpu_offs.saturating_add(other.cpu_offs),
        }
    }
}

/// What has happened at one stretch point of one virtual machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PointCounts {
    /// Windows stretched, to their end or not yet ended.
    pub stretched: u64,
    /// Windows that have ended.
    pub returned: u64,
    /// Times that the point was passed because of its probability or its limit.
    #[serde(skip_serializing_if = "is_zero")]
    pub passed: u64,
    /// Times that it was reached where sleeping is not allowed, by the reason in a word:
    /// `preempt-count`, `interrupts-off`, `rcu-reader`, ...
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub refused: BTreeMap<String, u64>,
}

impl PointCounts {
    /// Adds what happened at the same point of another machine.
    pub fn add(&mut self, other: &Self) {
        self.stretched = self.stretched.saturating_add(other.stretched);
        self.returned = self.returned.saturating_add(other.returned);
        self.passed = self.passed.saturating_add(other.passed);
        for (reason, n) in &other.refused {
            let sum = self.refused.entry(reason.clone()).or_default();
            *sum = sum.saturating_add(*n);
        }
    }
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// Writes the samples of one virtual machine as a table: names once, then rows.
#[derive(Debug, Clone, Default)]
pub struct SampleTable {
    columns: Vec<String>,
}

/// Columns before the counters.
const TIME: [&str; 2] = ["guest_ms", "seq"];

impl SampleTable {
    /// The events for `sample`: its row, and `columns` before it if they are not the last ones'.
    /// Keys that this program does not know are columns too, where they hold numbers.
    pub fn events(&mut self, cell: &str, boot: u32, sample: &Sample) -> Vec<What> {
        let known = sample.counters.each();
        let extra: Vec<(&str, u64)> = sample
            .extra
            .iter()
            .filter_map(|(key, value)| Some((key.as_str(), value.parse().ok()?)))
            .collect();
        let names = TIME
            .into_iter()
            .chain(known.iter().map(|(name, _)| *name))
            .chain(extra.iter().map(|(name, _)| *name));
        let mut events = Vec::new();
        if !names.clone().eq(self.columns.iter().map(String::as_str)) {
            self.columns = names.map(str::to_owned).collect();
            let columns = self.columns.clone();
            events.push(What::Columns { cell: cell.to_owned(), boot, columns });
        }
        let row = [Some(sample.since_ready_ms), Some(sample.seq)]
            .into_iter()
            .chain(known.iter().map(|(_, value)| *value))
            .chain(extra.iter().map(|(_, value)| Some(*value)))
            .collect();
        events.push(What::Sample { cell: cell.to_owned(), boot, row });
        events
    }

    /// Brings exposure up to date with a row of numbers under `columns`.
    pub fn expose(columns: &[String], row: &[Option<u64>], exposure: &mut Exposure) {
        Self::sample(columns, row).apply(exposure);
    }

    /// The sample that a row stands for; what is no counter is `extra`.
    pub(crate) fn sample(columns: &[String], row: &[Option<u64>]) -> Sample {
        let mut sample = Sample::default();
        for (name, value) in columns.iter().zip(row) {
            let Some(value) = *value else { continue };
            match name.as_str() {
                "guest_ms" => sample.since_ready_ms = value,
                "seq" => sample.seq = value,
                counter if sample.counters.set(counter, value) => {}
                unknown => {
                    sample.extra.insert(unknown.to_owned(), value.to_string());
                }
            }
        }
        sample
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Counters;

    #[test]
    fn a_sample_comes_back_from_its_row() {
        let sample = |seq, new: bool| {
            let counters = Counters {
                swapon: 3,
                swapoff: 2,
                zswpwb: Some(7),
                written_back_pages: Some(9),
                ..Counters::default()
            };
            let extra = if new {
                BTreeMap::from([("newer".to_owned(), "5".to_owned())])
            } else {
                BTreeMap::new()
            };
            Sample { since_ready_ms: 500 * seq, seq, counters, extra, ..Sample::default() }
        };
        let mut table = SampleTable::default();
        let mut columns = Vec::new();
        let mut tables = 0;
        for (seq, new) in [(1, false), (2, false), (3, true)] {
            for what in table.events("c", 1, &sample(seq, new)) {
                match what {
                    What::Columns { columns: names, .. } => {
                        tables += 1;
                        columns = names;
                    }
                    What::Sample { row, .. } => {
                        assert_eq!(SampleTable::sample(&columns, &row), sample(seq, new));
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        assert_eq!(tables, 2, "the names are written once, and again when they change");
    }

    #[test]
    fn a_row_of_any_length_is_read_as_far_as_it_has_names() {
        let columns = ["guest_ms", "seq", "swapoff"].map(str::to_owned);
        let long = SampleTable::sample(&columns, &[Some(1), None, Some(3), Some(4)]);
        assert_eq!((long.since_ready_ms, long.seq, long.counters.swapoff), (1, 0, 3));
        assert_eq!(SampleTable::sample(&columns, &[]), Sample::default());
    }
}
