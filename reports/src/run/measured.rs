// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a machine's counters came to between its first sample and its last, in memory that does not grow.

use std::sync::Arc;

/// The counters of one machine over its storm.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Measured {
    /// Names, shared by nearly all machines.
    columns: Arc<Vec<String>>,
    counters: Vec<Counter>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counter {
    first: Option<u64>,
    last: Option<u64>,
    sum: u128,
    /// Samples that had it.
    samples: u64,
}

impl Measured {
    /// Takes in a sample.
    pub(crate) fn add(&mut self, columns: &Arc<Vec<String>>, row: &[Option<u64>]) {
        if self.columns != *columns {
            let known = |name: &String| self.counter(name).copied().unwrap_or_default();
            self.counters = columns.iter().map(known).collect();
            self.columns = Arc::clone(columns);
        }
        for (counter, value) in self.counters.iter_mut().zip(row) {
            let Some(value) = *value else { continue };
            counter.first.get_or_insert(value);
            counter.last = Some(value);
            counter.sum = counter.sum.saturating_add(value.into());
            counter.samples += 1;
        }
    }

    /// Names of the counters.
    pub(crate) fn names(&self) -> &[String] {
        &self.columns
    }

    /// What is known of a counter: first value, last value, sum of all (which saturates), number of samples that had it;
    /// `None` if the kernel does not have it.
    pub(crate) fn told(&self, name: &str) -> Option<[u64; 4]> {
        let Counter { first, last, sum, samples } = *self.counter(name)?;
        Some([first?, last?, u64::try_from(sum).unwrap_or(u64::MAX), samples])
    }

    /// Counters of which that is known.
    pub(crate) fn of(names: &Arc<Vec<String>>, told: &[Option<[u64; 4]>]) -> Self {
        let counter = |told: &Option<[u64; 4]>| {
            told.map_or_else(Counter::default, |[first, last, sum, samples]| Counter {
                first: Some(first),
                last: Some(last),
                sum: sum.into(),
                samples,
            })
        };
        Self { columns: Arc::clone(names), counters: told.iter().map(counter).collect() }
    }

    fn counter(&self, name: &str) -> Option<&Counter> {
        let at = self.columns.iter().position(|column| column == name)?;
        self.counters.get(at)
    }

    /// By how much a counter rose from the first sample to the last; `None` if the kernel does not have it. One that
    /// fell is a level, and rose by 0.
    pub fn rise(&self, name: &str) -> Option<u64> {
        let counter = self.counter(name)?;
        Some(counter.last?.saturating_sub(counter.first?))
    }

    /// What the last sample said.
    pub fn last(&self, name: &str) -> Option<u64> {
        self.counter(name)?.last
    }

    /// The mean of a level over the samples that had it; `None` if the kernel does not have it.
    pub fn mean(&self, name: &str) -> Option<f64> {
        let counter = self.counter(name)?;
        counter.last.map(|_| counter.sum as f64 / counter.samples as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Arc<Vec<String>> {
        Arc::new(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn counters_rise_levels_have_a_mean_and_what_is_missing_is_no_zero() {
        let columns = names(&["stored_pages", "zswpout", "zswpwb"]);
        let mut measured = Measured::default();
        for row in [[Some(10), Some(100), None], [Some(40), Some(150), None]] {
            measured.add(&columns, &row);
        }
        assert_eq!((measured.rise("zswpout"), measured.last("zswpout")), (Some(50), Some(150)));
        assert_eq!(measured.mean("stored_pages"), Some(25.0));
        assert_eq!((measured.rise("zswpwb"), measured.mean("zswpwb")), (None, None));
        assert_eq!(measured.rise("no_such"), None);
        // A level that fell did not rise, and a row that is cut says nothing of the rest.
        measured.add(&columns, &[Some(5)]);
        assert_eq!((measured.rise("stored_pages"), measured.rise("zswpout")), (Some(0), Some(50)));
        assert_eq!(
            (measured.mean("stored_pages"), measured.mean("zswpout")),
            (Some(55.0 / 3.0), Some(125.0))
        );
    }

    #[test]
    fn what_was_told_of_counters_makes_the_same_counters() {
        let columns = names(&["stored_pages", "zswpout", "zswpwb"]);
        let mut measured = Measured::default();
        measured.add(&columns, &[Some(10), Some(100), None]);
        measured.add(&columns, &[Some(41), Some(150), None]);
        let told: Vec<_> = measured.names().iter().map(|name| measured.told(name)).collect();
        assert_eq!(told, [Some([10, 41, 51, 2]), Some([100, 150, 250, 2]), None]);
        assert_eq!(Measured::of(&columns, &told), measured);
    }

    #[test]
    fn a_table_that_changes_under_way_keeps_what_is_known_by_name() {
        let mut measured = Measured::default();
        measured.add(&names(&["a", "b"]), &[Some(1), Some(10)]);
        measured.add(&names(&["b", "c"]), &[Some(12), Some(7)]);
        assert_eq!(
            (measured.rise("b"), measured.rise("c"), measured.rise("a")),
            (Some(2), Some(0), None)
        );
    }
}
