// SPDX-License-Identifier: MIT OR Apache-2.0
//! A kernel's storms apart from the log that told of them, and what they may be compared with.

use std::collections::BTreeMap;
use std::fmt;

use super::found::{Found, selected};
use super::metric::{METRICS, Metric};
use super::storm::{Conditions, Storm, are_equally_long, median_length};
use super::{Refusal, Side};
use crate::event::kernel_name;
use crate::run::{Measured, RunReport};

/// Storms of one kernel under the same conditions.
#[derive(Debug, Clone, PartialEq)]
pub struct Storms {
    /// Manifest, or the tree that was named instead.
    pub kernel: String,
    /// Series; `None` for the kernel as it is.
    pub series: Option<String>,
    /// Id of the baseline that keeps them; empty if none does.
    pub baseline: String,
    /// What a reader of a comparison with them should know.
    pub notes: Vec<String>,
    /// The storms: at least one.
    pub(crate) storms: Vec<Storm>,
}

/// A metric in storms of one kernel.
#[derive(Debug, Clone, PartialEq)]
pub enum Levels {
    /// Its value in each storm.
    Values(Vec<f64>),
    /// What it counts never happened.
    Never,
    /// The kernel does not have its counters.
    Absent,
}

/// What two kernels' storms have in common if they are to be compared as one kernel at two times: the kernel by its name,
/// the conditions, and the storms' length.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// Manifest or tree, and series.
    pub kernel: String,
    pub(crate) conditions: Conditions,
    /// Median length of the storms, in seconds of guest time.
    pub seconds: f64,
}

impl Storms {
    /// What they may be compared with.
    pub fn key(&self) -> Key {
        let conditions = self.storms.first().map_or_else(Vec::new, |s| s.conditions.clone());
        let lengths = self.storms.iter().map(|storm| storm.guest_ms);
        Key::new(&self.kernel, self.series.as_deref(), conditions, lengths)
    }

    /// Every metric of these storms, in the order of the table.
    pub fn metrics(&self) -> Vec<(&'static Metric, Levels)> {
        let storms: Vec<&Measured> = self.storms.iter().map(|storm| &storm.measured).collect();
        let levels = |metric: &'static Metric| match metric.measure(&storms, &[]) {
            Ok(values) if values.happened => Levels::Values(values.a),
            Ok(_) => Levels::Never,
            Err(_) => Levels::Absent,
        };
        METRICS.iter().map(|metric| (metric, levels(metric))).collect()
    }

    /// As one side of a comparison.
    pub(super) fn as_found(&self) -> Found {
        let mut storms: BTreeMap<(u32, usize), _> = BTreeMap::new();
        for storm in &self.storms {
            let number = storm.number;
            let same = storms.range((number, 0)..=(number, usize::MAX)).count();
            storms.insert((number, same), Ok(storm.clone()));
        }
        let baseline = Some(self.baseline.clone()).filter(|id| !id.is_empty());
        Found { kernel: self.key().kernel, baseline, storms, notes: self.notes.clone() }
    }
}

/// The storms of a side, by kernel and conditions in the order in which they were planned, and what is left out.
///
/// # Errors
/// No cell is selected.
pub fn gather(report: &RunReport, side: &Side) -> Result<(Vec<Storms>, Vec<String>), Refusal> {
    let (mut all, mut left_out): (Vec<Storms>, _) = (Vec::new(), Vec::new());
    for cell in selected(report, side, None)? {
        let storm = match Storm::of(report, cell) {
            Ok(storm) => storm,
            Err(why) => {
                left_out.push(format!("{}: {why}", report.name_of(cell)));
                continue;
            }
        };
        let (kernel, series) = (&cell.cell.kernel, &cell.cell.series);
        let of_these = |known: &&mut Storms| {
            let conditions = known.storms.first().map(|storm| &storm.conditions);
            known.kernel == *kernel
                && known.series == *series
                && conditions == Some(&storm.conditions)
        };
        match all.iter_mut().find(of_these) {
            Some(known) => known.storms.push(storm),
            None => all.push(Storms {
                kernel: kernel.clone(),
                series: series.clone(),
                baseline: String::new(),
                notes: Vec::new(),
                storms: vec![storm],
            }),
        }
    }
    Ok((all, left_out))
}

impl Key {
    /// The key of storms on this kernel, under these conditions, of these lengths in milliseconds of guest time.
    pub(crate) fn new(
        kernel: &str,
        series: Option<&str>,
        conditions: Conditions,
        lengths: impl Iterator<Item = u64>,
    ) -> Self {
        Self { kernel: kernel_name(kernel, series), conditions, seconds: median_length(lengths) }
    }

    /// Whether storms of both keys may be compared.
    pub fn fits(&self, other: &Self) -> bool {
        self.kernel == other.kernel
            && self.conditions == other.conditions
            && are_equally_long(self.seconds, other.seconds)
    }

    /// What differs from the key of a run: `clock: virtual in the baseline, wall in the run`. Empty if storms of both may be
    /// compared.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let differs = |name: &str, here: &str, there: &str| {
            format!("{name}: {here} in the baseline, {there} in the run")
        };
        let value = |key: &Self, name: &str| {
            let found = key.conditions.iter().find(|(known, _)| known == name);
            found.map_or_else(|| "none".to_owned(), |(_, value)| value.clone())
        };
        let mut all = Vec::new();
        if self.kernel != other.kernel {
            all.push(differs("kernel", &self.kernel, &other.kernel));
        }
        let only_there = other
            .conditions
            .iter()
            .filter(|(name, _)| self.conditions.iter().all(|(n, _)| n != name));
        for (name, _) in self.conditions.iter().chain(only_there) {
            let (here, there) = (value(self, name), value(other, name));
            if here != there {
                all.push(differs(name, &here, &there));
            }
        }
        if !are_equally_long(self.seconds, other.seconds) {
            let (here, there) =
                (format!("{:.0} s", self.seconds), format!("{:.0} s", other.seconds));
            all.push(differs("storm", &here, &there));
        }
        all
    }

    /// The value of a condition (`architecture`, `clock`, ...); empty if there is none.
    pub fn condition(&self, name: &str) -> &str {
        let found = self.conditions.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = self.conditions.iter().filter(|(_, value)| value != "none");
        let words: Vec<String> = told.map(|(name, value)| in_words(name, value)).collect();
        let (kernel, seconds) = (&self.kernel, self.seconds);
        write!(f, "{kernel}: {}, {seconds:.0} s of storm", words.join(", "))
    }
}

/// A condition in the middle of others.
pub(crate) fn in_words(name: &str, value: &str) -> String {
    match name {
        "clock" => format!("{value} clock"),
        "KASAN" => format!("KASAN {value}"),
        "storm" => format!("{value} of storm"),
        "host" => format!("host of {value}"),
        "variant" => format!("variant {value}"),
        _ => value.to_owned(),
    }
}
