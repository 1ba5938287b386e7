// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which storms are pairs, and why some cannot be.

use smol_str::SmolStr;

use super::found::{Found, common_conditions};
use super::storm::{Storm, are_equally_long, median_length};
use super::{Condition, KernelSide, Outcome, Refusal, Row};
use crate::event::WALL;
use crate::run::RunReport;

/// Storms that are left out are named up to this number.
const MOST_NAMED: usize = 20;

/// One storm on each kernel.
#[derive(Debug, Clone)]
pub(super) struct Pair {
    /// Number of the run.
    pub(super) number: u32,
    pub(super) a: Storm,
    pub(super) b: Storm,
}

/// All pairs.
#[derive(Debug)]
pub(super) struct Pairs {
    pub(super) a: KernelSide,
    pub(super) b: KernelSide,
    pub(super) conditions: Vec<Condition>,
    pub(super) pairs: Vec<Pair>,
    pub(super) left_out: Vec<String>,
    pub(super) notes: Vec<String>,
}

impl Pairs {
    /// The pairs that storms of both sides make.
    pub(super) fn of(mut a: Found, mut b: Found, force: bool) -> Result<Self, Refusal> {
        let conditions = common_conditions(&mut a, &mut b, force)?;
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
        let notes = a.notes.iter().chain(&b.notes).cloned().collect();
        let (a, b) =
            (kernel_side(&a, &pairs, |pair| &pair.a), kernel_side(&b, &pairs, |pair| &pair.b));
        let mut found = Self { a, b, conditions, pairs, left_out, notes };
        found.compare_lengths(force)?;
        found.note_conditions();
        found.note_order();
        Ok(found)
    }

    /// Adds a note.
    pub(super) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// The text of the profile that all storms used. Of two it is A's, unless A's log is not at hand.
    pub(super) fn profile_text<'r>(&self, report: &'r RunReport) -> Option<&'r str> {
        let pair = self.pairs.first()?;
        [&pair.a, &pair.b].into_iter().find_map(|storm| {
            let run = report.runs.iter().find(|run| run.id == storm.run)?;
            Some(run.profiles.get(&storm.profile)?.text.as_str())
        })
    }

    /// Storms of unequal length are not the same storm.
    fn compare_lengths(&mut self, force: bool) -> Result<(), Refusal> {
        let a = median_length(self.pairs.iter().map(|pair| pair.a.guest_ms));
        let b = median_length(self.pairs.iter().map(|pair| pair.b.guest_ms));
        let shown = |seconds: f64| format!("{seconds:.0} s");
        if !are_equally_long(a, b) && !force {
            let words = format!("A's storms last {a:.1} s and B's {b:.1} s");
            return Err(Refusal::new(words, "run both with the same `storm`, or use --force"));
        }
        let b = if are_equally_long(a, b) { a } else { b };
        let name = SmolStr::new_static("storm");
        self.conditions.push(Condition { name, a: shown(a), b: shown(b) });
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
        let runs = |pair: &Pair| pair.a.run == pair.b.run;
        let a = self.pairs.iter().map(|pair| pair.a.began_ms);
        let b = self.pairs.iter().map(|pair| pair.b.began_ms);
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

fn kernel_side(found: &Found, pairs: &[Pair], side: fn(&Pair) -> &Storm) -> KernelSide {
    let mut runs: Vec<_> = pairs.iter().map(|pair| side(pair).run.clone()).collect();
    runs.dedup();
    let first = pairs.first().map(side);
    let of_first =
        |what: fn(&Storm) -> &String| first.map_or_else(String::new, |s| what(s).clone());
    KernelSide {
        kernel: found.kernel.clone(),
        release: of_first(|storm| &storm.release),
        key: of_first(|storm| &storm.kernel_key),
        baseline: found.baseline.clone(),
        runs,
    }
}
