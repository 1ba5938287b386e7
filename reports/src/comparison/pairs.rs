// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which storms are pairs, and why some cannot be.

use std::collections::BTreeMap;

use super::metric::Lack;
use super::select::{selector_of, words};
use super::storm::{Conditions, Storm};
use super::{Condition, KernelSide, Outcome, Refusal, Request, Row, Selector, Side};
use crate::event::WALL;
use crate::run::{CellReport, RunReport};

/// Storms whose lengths differ by no more than this factor are equally long.
const SAME_LENGTH: f64 = 1.1;
/// Storms that are left out are named up to this number.
const MOST_NAMED: usize = 20;

/// One storm on each kernel.
#[derive(Debug, Clone)]
pub(super) struct Pair<'a> {
    /// Number of the run.
    pub(super) number: u32,
    pub(super) a: Storm<'a>,
    pub(super) b: Storm<'a>,
}

/// All pairs.
#[derive(Debug)]
pub(super) struct Pairs<'a> {
    pub(super) a: KernelSide,
    pub(super) b: KernelSide,
    pub(super) conditions: Vec<Condition>,
    pub(super) pairs: Vec<Pair<'a>>,
    pub(super) left_out: Vec<String>,
    pub(super) notes: Vec<String>,
}

/// A side's storms, and what is left out.
struct Found<'a> {
    kernel: String,
    /// Storms by their number, and which one of those with this number it is.
    storms: BTreeMap<(u32, usize), Result<Storm<'a>, String>>,
}

impl<'a> Pairs<'a> {
    /// Finds the pairs that are meant.
    pub(super) fn find(report: &'a RunReport, request: &Request) -> Result<Self, Refusal> {
        let (of_a, of_b) = cells(report, request)?;
        let mut a = Found::new(report, 'A', &of_a)?;
        let mut b = Found::new(report, 'B', &of_b)?;
        let conditions = common_conditions(&mut a, &mut b, request.force)?;
        let mut pairs = Vec::new();
        let mut left_out = Vec::new();
        for (key, storm) in &a.storms {
            let number = key.0;
            match (storm, b.storms.get(key)) {
                (Ok(a), Some(Ok(b))) => {
                    pairs.push(Pair { number, a: a.clone(), b: b.clone() });
                }
                (Err(why), _) => left_out.push(format!("pair {number}: A: {why}")),
                (Ok(_), Some(Err(why))) => left_out.push(format!("pair {number}: B: {why}")),
                (Ok(_), None) => left_out.push(format!("pair {number}: B has no such run")),
            }
        }
        let lone = b.storms.keys().filter(|key| !a.storms.contains_key(key));
        left_out.extend(lone.map(|(number, _)| format!("pair {number}: A has no such run")));
        if pairs.is_empty() {
            left_out.truncate(MOST_NAMED);
            let words =
                format!("there is no pair of finished storms:\n    {}", left_out.join("\n    "));
            return Err(Refusal::new(words, "run both kernels with the same `runs` of a plan"));
        }
        let notes = Vec::new();
        let side =
            |found: &Found, side: fn(&Pair<'a>) -> Storm<'a>| kernel_side(found, &pairs, side);
        let (a, b) = (side(&a, |pair| pair.a.clone()), side(&b, |pair| pair.b.clone()));
        let mut found = Self { a, b, conditions, pairs, left_out, notes };
        found.compare_lengths(request.force)?;
        found.note_conditions();
        found.note_order();
        Ok(found)
    }

    /// Adds a note.
    pub(super) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// The text of the profile that all storms used.
    pub(super) fn profile_text<'r>(&self, report: &'r RunReport) -> Option<&'r str> {
        let cell = self.pairs.first()?.a.cell;
        let profile = report.run_of(cell)?.profiles.get(&cell.cell.profile)?;
        Some(&profile.text)
    }

    /// What lacks a counter, in words.
    pub(super) fn lacks(&self, lack: Lack) -> String {
        let Lack { counter, in_a, in_b } = lack;
        match (in_a, in_b) {
            (true, false) => format!("A has no {counter}"),
            (false, true) => format!("B has no {counter}"),
            _ => format!("neither side has {counter}"),
        }
    }

    /// Storms of unequal length are not the same storm.
    fn compare_lengths(&mut self, force: bool) -> Result<(), Refusal> {
        let length = |side: fn(&Pair<'a>) -> u64| {
            let lengths: Vec<f64> = self.pairs.iter().map(|pair| side(pair) as f64).collect();
            crate::statistics::median(&lengths).unwrap_or(0.0) / 1000.0
        };
        let a = length(|pair| pair.a.boot.exposure.guest_ms);
        let b = length(|pair| pair.b.boot.exposure.guest_ms);
        let shown = |seconds: f64| format!("{seconds:.0} s");
        if a.max(b) > SAME_LENGTH * a.min(b) {
            if !force {
                let words = format!("A's storms last {a:.1} s and B's {b:.1} s");
                return Err(Refusal::new(words, "run both with the same `storm`, or use --force"));
            }
            self.conditions.push(Condition { name: "storm", a: shown(a), b: shown(b) });
        } else {
            self.conditions.push(Condition { name: "storm", a: shown(a), b: shown(a) });
        }
        Ok(())
    }

    fn note_conditions(&mut self) {
        for Condition { name, a, b } in self.conditions.iter().filter(|c| c.a != c.b) {
            self.notes.push(format!("forced: {name} differs, {a} in A and {b} in B"));
        }
    }

    /// On the host's clock the host is part of what is measured.
    fn note_order(&mut self) {
        let is_wall = |c: &Condition| c.name == "clock" && (c.a == WALL || c.b == WALL);
        if !self.conditions.iter().any(is_wall) {
            return;
        }
        let runs = |pair: &Pair| pair.a.cell.run == pair.b.cell.run;
        let a = self.pairs.iter().map(|pair| pair.a.began());
        let b = self.pairs.iter().map(|pair| pair.b.began());
        let apart = a.clone().max() < b.clone().min() || b.max() < a.min();
        if self.pairs.len() > 1 && (apart || !self.pairs.iter().all(runs)) {
            self.notes.push(
                "the clock is the host's, and one kernel's storms were all before the other's: a host that \
                 changed meanwhile looks like a kernel that changed"
                    .to_owned(),
            );
        }
    }

    /// Equal numbers in every pair are no evidence of anything but that the same thing ran twice.
    pub(super) fn note_if_identical(&mut self, rows: &[Row]) {
        let is_shown = |row: &&Row| !matches!(row.outcome, Outcome::Never | Outcome::Absent { .. });
        let mut shown = rows.iter().filter(is_shown).peekable();
        if shown.peek().is_some() && shown.all(|row| row.a == row.b) {
            self.note("every pair has the same numbers, bit for bit: A and B are one kernel, or differ in nothing \
                       that these storms run"
                .to_owned());
        } else if !self.a.key.is_empty() && self.a.key == self.b.key {
            self.note("A and B are the same kernel".to_owned());
        }
    }
}

fn kernel_side<'a>(
    found: &Found,
    pairs: &[Pair<'a>],
    side: fn(&Pair<'a>) -> Storm<'a>,
) -> KernelSide {
    let storms: Vec<Storm> = pairs.iter().map(side).collect();
    let mut runs: Vec<_> = storms.iter().map(|storm| storm.cell.run.clone()).collect();
    runs.dedup();
    let facts = storms.first().and_then(|storm| storm.cell.kernel.as_ref());
    KernelSide {
        kernel: found.kernel.clone(),
        release: facts.map_or_else(String::new, |kernel| kernel.release.clone()),
        key: facts.map_or_else(String::new, |kernel| kernel.key.clone()),
        runs,
    }
}

/// The cells of both sides.
type Sides<'a> = (Vec<&'a CellReport>, Vec<&'a CellReport>);

fn cells<'a>(report: &'a RunReport, request: &Request) -> Result<Sides<'a>, Refusal> {
    let Request { a, b, .. } = request;
    let nothing = Selector::default();
    let of = |side: &Side| {
        let own = report.cells.iter().filter(|cell| side.runs.iter().any(|run| *run == cell.run));
        own.filter(|cell| side.selector.selects(&cell.cell)).collect::<Vec<_>>()
    };
    let (mut of_a, mut of_b) = (of(a), of(b));
    for (cells, side, name) in [(&of_a, a, 'A'), (&of_b, b, 'B')] {
        if cells.is_empty() {
            let all = of(&Side { selector: nothing.clone(), ..side.clone() });
            let words = match all.is_empty() {
                true => format!("there is no cell of {name}"),
                false => format!("no cell of {name} answers to `{}`", side.selector),
            };
            return Err(Refusal::new(words, format!("there are {}", known_words(&all))));
        }
    }
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

impl<'a> Found<'a> {
    fn new(report: &RunReport, name: char, cells: &[&'a CellReport]) -> Result<Self, Refusal> {
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
        Ok(Self { kernel: kernel.clone(), storms })
    }

    /// The different conditions of its storms.
    fn conditions(&self) -> Vec<Conditions> {
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
fn common_conditions(a: &mut Found, b: &mut Found, force: bool) -> Result<Vec<Condition>, Refusal> {
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
        (*name, a.clone(), b.map_or_else(|| "none".to_owned(), |(_, b)| b.clone()))
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
        let differs = |(name, value): &&(&str, String)| {
            all.iter().any(|other| other.iter().any(|(n, v)| n == name && v != value))
        };
        let values = conditions.iter().filter(differs).map(|(_, value)| value.as_str());
        values.collect::<Vec<_>>().join(", ")
    };
    all.iter().map(line).collect::<Vec<_>>().join("\n    ")
}
