// SPDX-License-Identifier: MIT OR Apache-2.0
//! The agent's table of counters: columns that are named once, rows of numbers.

use std::collections::BTreeMap;

use smol_str::SmolStr;

use super::Counters;
use crate::event::Exposure;

/// Most columns of a table.
const MAX_COLUMNS: usize = 512;
/// Longest name of a column, in bytes.
const MAX_NAME: usize = 40;

/// The names of all counters of one guest, in the order of [`super::Sample::row`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Columns {
    /// `swapoff`, `zswpout`, `swapoff.vda`, ...: printable ASCII without blanks and commas.
    pub names: Vec<SmolStr>,
}

impl Columns {
    /// The counters of a row that a verdict rests on. Those without a column are 0, or `None` if
    /// they are the kernel's.
    pub fn counters(&self, row: &[u64]) -> Counters {
        let mut counters = Counters::default();
        for (name, value) in self.names.iter().zip(row) {
            // All others are for whoever reads the row.
            let _ = counters.set(name, *value);
        }
        counters
    }

    /// The counters of a row that have no place in [`Counters`]: `reject_compress_poor`, `swapoff.vda`, ...
    pub(super) fn others(&self, row: &[u64]) -> BTreeMap<String, String> {
        let mut known = Counters::default();
        let others = self.names.iter().zip(row).filter(|(name, value)| !known.set(name, **value));
        others.map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    /// The guest's part of the exposure that a row stands for. `ms` is guest milliseconds since the
    /// agent was ready.
    pub fn exposure(&self, row: &[u64], ms: u64) -> Exposure {
        let mut exposure = Exposure { guest_ms: ms, ..Exposure::default() };
        self.counters(row).apply(&mut exposure);
        exposure
    }
}

/// A table in the making, as several lines bring it.
#[derive(Debug, Default)]
pub(super) struct Table {
    columns: Columns,
    /// How many columns it is to have.
    of: usize,
}

/// What a line did to a table.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// It is complete now, and was not before.
    Complete,
    /// Nothing that anybody has to be told of.
    Nothing,
    /// It is at odds with itself or with the table.
    Refused,
}

impl Table {
    /// The columns, once all are named.
    pub(super) fn columns(&self) -> Option<&Columns> {
        (self.of > 0 && self.columns.names.len() == self.of).then_some(&self.columns)
    }

    /// Takes a line: names of the columns from number `at` on, of a table with `of` columns.
    pub(super) fn add(&mut self, at: u64, of: u64, names: &str) -> Added {
        let (Ok(at), Ok(of)) = (usize::try_from(at), usize::try_from(of)) else {
            return Added::Refused;
        };
        let names: Vec<SmolStr> = names.split(',').map(SmolStr::new).collect();
        let fits = of <= MAX_COLUMNS && at + names.len() <= of && names.iter().all(is_name);
        // The agent names them again and again; what was named stays as it was.
        if !fits || self.of > 0 && of != self.of {
            return Added::Refused;
        }
        let known = &self.columns.names;
        if at > known.len() {
            // The lines before were lost. They will come again.
            return Added::Nothing;
        }
        let again = (known.len() - at).min(names.len());
        if known[at..at + again] != names[..again]
            || names[again..].iter().any(|name| known.contains(name))
        {
            return Added::Refused;
        }
        let before = self.columns().is_some();
        self.of = of;
        self.columns.names.extend_from_slice(&names[again..]);
        if !before && self.columns().is_some() { Added::Complete } else { Added::Nothing }
    }
}

fn is_name(name: &SmolStr) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._:@+-".contains(&b);
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(plain)
}

/// Reads one group of a row into `row`: values from number `at` on, nothing stands for 0. False if
/// it does not fit into the row, or a value is no number.
pub(super) fn read_group(row: &mut [u64], at: &str, values: &str) -> bool {
    let Ok(mut at) = at.parse::<usize>() else { return false };
    for value in values.split(',') {
        let Some(place) = row.get_mut(at) else { return false };
        *place = match value {
            "" => 0,
            value => match value.parse() {
                Ok(value) => value,
                Err(_) => return false,
            },
        };
        at += 1;
    }
    true
}
