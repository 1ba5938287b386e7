// SPDX-License-Identifier: MIT OR Apache-2.0
//! The storms of each side: which cells are meant, and under which conditions all of them ran.

use std::collections::BTreeMap;

use smol_str::SmolStr;

use super::select::{selector_of, words};
use super::storm::{Conditions, Storm};
use super::{Condition, Refusal, Request, Selector, Side};
use crate::run::{CellReport, RunReport};

/// Words that a selector might hold are named up to this number.
const MOST_NAMED: usize = 20;

/// A side's storms, and what is left out.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) kernel: String,
    /// Id of the baseline that they are from, if they are from one.
    pub(super) baseline: Option<String>,
    /// Storms by their number, and which one of those with this number it is.
    pub(super) storms: BTreeMap<(u32, usize), Result<Storm, String>>,
    /// What a reader should know.
    pub(super) notes: Vec<String>,
}

/// The storms of both sides.
pub(super) fn both(report: &RunReport, request: &Request) -> Result<(Found, Found), Refusal> {
    let (of_a, of_b) = cells(report, request)?;
    Ok((Found::new(report, 'A', &of_a)?, Found::new(report, 'B', &of_b)?))
}

/// The storms of B alone.
pub(super) fn of_b(report: &RunReport, side: &Side) -> Result<Found, Refusal> {
    Found::new(report, 'B', &selected(report, side, Some('B'))?)
}

/// The cells of both sides.
pub(super) type Sides<'a> = (Vec<&'a CellReport>, Vec<&'a CellReport>);

pub(super) fn cells<'a>(report: &'a RunReport, request: &Request) -> Result<Sides<'a>, Refusal> {
    let Request { a, b, .. } = request;
    let nothing = Selector::default();
    let (mut of_a, mut of_b) = (selected(report, a, Some('A'))?, selected(report, b, Some('B'))?);
    if a.runs == b.runs {
        match (a.selector == nothing, b.selector == nothing) {
            (true, false) => of_a.retain(|cell| !b.selector.selects(&cell.cell)),
            (false, true) => of_b.retain(|cell| !a.selector.selects(&cell.cell)),
            (true, true) => split(&mut of_a, &mut of_b)?,
            (false, false) => {}
        }
    }
    Ok((of_a, of_b))
}

/// The cells of the side of this name, if it has one: at least one cell.
pub(super) fn selected<'a>(
    report: &'a RunReport,
    side: &Side,
    name: Option<char>,
) -> Result<Vec<&'a CellReport>, Refusal> {
    let of = |side: &Side| {
        let own = report.cells.iter().filter(|cell| side.runs.iter().any(|run| *run == cell.run));
        own.filter(|cell| side.selector.selects(&cell.cell)).collect::<Vec<_>>()
    };
    let cells = of(side);
    if cells.is_empty() {
        let all = of(&Side { selector: Selector::default(), ..side.clone() });
        let of = name.map_or_else(String::new, |name| format!(" of {name}"));
        let words = match all.is_empty() {
            true => format!("there is no cell{of}"),
            false => format!("no cell{of} answers to `{}`", side.selector),
        };
        return Err(Refusal::new(words, format!("there are {}", known_words(&all))));
    }
    Ok(cells)
}

/// Of the cells of two kernels, A gets those of the kernel as it is, or else of the one that was planned first.
fn split<'a>(a: &mut Vec<&'a CellReport>, b: &mut Vec<&'a CellReport>) -> Result<(), Refusal> {
    let kernels = kernels(a);
    let [first, second] = &kernels[..] else {
        let words = match kernels.len() {
            1 => format!(
                "the run has one kernel, {}: there is nothing to compare it with",
                kernels[0].0
            ),
            n => format!("the run has {n} kernels:\n    {}", listed(&kernels)),
        };
        let hint = "name a run for each kernel, or say by --a and --b which two";
        return Err(Refusal::new(words, hint));
    };
    let is_plain =
        |kernel: &str| a.iter().any(|c| c.cell.kernel_name() == kernel && c.cell.series.is_none());
    let swapped = is_plain(&second.0) && !is_plain(&first.0);
    let of_a = if swapped { &second.0 } else { &first.0 };
    a.retain(|cell| cell.cell.kernel_name() == *of_a);
    b.retain(|cell| cell.cell.kernel_name() != *of_a);
    Ok(())
}

/// Names of kernels in the order in which they were planned, and what selects them.
fn kernels(cells: &[&CellReport]) -> Vec<(String, String)> {
    let mut kernels: Vec<(String, String)> = Vec::new();
    for cell in cells {
        let name = cell.cell.kernel_name();
        if !kernels.iter().any(|(known, _)| *known == name) {
            kernels.push((name, selector_of(&cell.cell)));
        }
    }
    kernels
}

fn listed(kernels: &[(String, String)]) -> String {
    kernels.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join("\n    ")
}

fn known_words(cells: &[&CellReport]) -> String {
    let mut known: Vec<String> = Vec::new();
    for word in cells.iter().flat_map(|cell| words(&cell.cell)) {
        if !word.is_empty() && !known.contains(&word) && known.len() < MOST_NAMED {
            known.push(word);
        }
    }
    if known.is_empty() {
        "none at all: were these runs read?".to_owned()
    } else {
        known.join(", ")
    }
}

impl Found {
    pub(super) fn new(
        report: &RunReport,
        name: char,
        cells: &[&CellReport],
    ) -> Result<Self, Refusal> {
        let kernels = kernels(cells);
        let [(kernel, _)] = &kernels[..] else {
            let words = match kernels.is_empty() {
                true => format!("nothing is left for {name}"),
                false => format!("{name} would be several kernels:\n    {}", listed(&kernels)),
            };
            let one = kernels.first().map_or("debian-6.1,none", |(_, selector)| selector);
            let option = name.to_ascii_lowercase();
            return Err(Refusal::new(words, format!("choose one, such as --{option} '{one}'")));
        };
        let mut storms = BTreeMap::new();
        for cell in cells {
            let number = cell.cell.number;
            let same = storms.range((number, 0)..=(number, usize::MAX)).count();
            storms.insert((number, same), Storm::of(report, cell));
        }
        Ok(Self { kernel: kernel.clone(), baseline: None, storms, notes: Vec::new() })
    }

    /// Takes another kernel than its own for what it is: another condition, which has to be forced.
    pub(super) fn allow_for_kernel(&mut self, other: &Self, force: bool) -> Result<(), Refusal> {
        let (a, b) = (&self.kernel, &other.kernel);
        if a == b {
            return Ok(());
        }
        if !force {
            let words = format!("A and B are not the same kernel: {a} in A, {b} in B");
            let hint =
                "choose a baseline of this kernel, or compare them all the same with --force";
            return Err(Refusal::new(words, hint));
        }
        self.notes.push(format!("forced: kernel differs, {a} in A and {b} in B"));
        Ok(())
    }

    /// The different conditions of its storms.
    pub(super) fn conditions(&self) -> Vec<Conditions> {
        let mut all: Vec<Conditions> = Vec::new();
        for storm in self.storms.values().flatten() {
            if !all.contains(&storm.conditions) {
                all.push(storm.conditions.clone());
            }
        }
        all
    }

    /// Leaves the storms under these conditions, and numbers them anew where a number was there for several conditions.
    fn keep(&mut self, conditions: &Conditions) {
        let storms = std::mem::take(&mut self.storms);
        for ((number, _), storm) in storms {
            if storm.as_ref().map_or(true, |storm| storm.conditions == *conditions) {
                let same = self.storms.range((number, 0)..=(number, usize::MAX)).count();
                self.storms.insert((number, same), storm);
            }
        }
    }
}

/// The conditions of all pairs. Storms under others are dropped.
pub(super) fn common_conditions(
    a: &mut Found,
    b: &mut Found,
    force: bool,
) -> Result<Vec<Condition>, Refusal> {
    let (of_a, of_b) = (a.conditions(), b.conditions());
    let common: Vec<&Conditions> = of_a.iter().filter(|one| of_b.contains(one)).collect();
    let (in_a, in_b) = match (&common[..], &of_a[..], &of_b[..]) {
        ([one], ..) => ((*one).clone(), (*one).clone()),
        ([], [in_a], [in_b]) if force => (in_a.clone(), in_b.clone()),
        ([], [], _) | ([], _, []) => (Vec::new(), Vec::new()),
        ([], ..) => return Err(differ(&of_a, &of_b)),
        _ => {
            let words = format!(
                "A and B have {} settings in common:\n    {}",
                common.len(),
                settings(&common)
            );
            let hint = "choose one by words that are in one of them only, such as --a WORD,WORD";
            return Err(Refusal::new(words, hint));
        }
    };
    a.keep(&in_a);
    b.keep(&in_b);
    let pairs = in_a.iter().map(|(name, a)| {
        let b = in_b.iter().find(|(other, _)| other == name);
        (name.clone(), a.clone(), b.map_or_else(|| "none".to_owned(), |(_, b)| b.clone()))
    });
    Ok(pairs.map(|(name, a, b)| Condition { name, a, b }).collect())
}

/// What is different in the two settings that are most alike.
fn differ(a: &[Conditions], b: &[Conditions]) -> Refusal {
    let differences = |a: &Conditions, b: &Conditions| {
        let other = |name: &str| b.iter().find(|(other, _)| *other == name).map(|(_, value)| value);
        let differing = a.iter().filter(|(name, value)| other(name) != Some(value));
        differing
            .map(|(name, value)| {
                let other = other(name).map_or("none", String::as_str);
                format!("{name}: {value} in A, {other} in B")
            })
            .collect::<Vec<_>>()
    };
    let all = a.iter().flat_map(|a| b.iter().map(move |b| differences(a, b)));
    let nearest = all.min_by_key(Vec::len).unwrap_or_default();
    let words = format!("A and B ran under different conditions:\n    {}", nearest.join("\n    "));
    Refusal::new(words, "run them alike, or compare them all the same with --force")
}

fn settings(all: &[&Conditions]) -> String {
    let line = |conditions: &&Conditions| {
        let differs = |(name, value): &&(SmolStr, String)| {
            all.iter().any(|other| other.iter().any(|(n, v)| n == name && v != value))
        };
        let values = conditions.iter().filter(differs).map(|(_, value)| value.as_str());
        values.collect::<Vec<_>>().join(", ")
    };
    all.iter().map(line).collect::<Vec<_>>().join("\n    ")
}
