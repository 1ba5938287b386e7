// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a run's report to its line.

use std::collections::HashMap;

use smol_str::SmolStr;

use super::line::{MOST_BUGS, bounded, is_measured};
use super::{Cells, Run, Sighting};
use crate::comparison::{Levels, Storm, Storms};
use crate::console::signature;
use crate::event::{Fault, Meaning, VmEnd};
use crate::run::{Boot, Bug, CellReport, NO_TECHNIQUE, RunFacts, RunReport, Standing};
use crate::statistics::median;

/// Signature of pages that came back with wrong contents: no report tells where that happened.
const CORRUPTION: &str = "data-corruption";
/// Digits of a profile's digest that are kept, as in a cell's key.
const DIGEST: usize = 12;

impl Run {
    /// What a run of the report came to. Guests to log in to are left out: nobody stormed there.
    pub fn of(report: &RunReport, run: &RunFacts) -> Self {
        let mut groups: Vec<(Cells, Vec<Storm>)> = Vec::new();
        let mut places = HashMap::new();
        let own = |cell: &&CellReport| cell.run == run.id && cell.cell.technique != NO_TECHNIQUE;
        for cell in report.cells.iter().filter(own) {
            let at = *places.entry(cell.cell.population()).or_insert_with(|| {
                groups.push((Cells::like(cell), Vec::new()));
                groups.len() - 1
            });
            let Some((cells, storms)) = groups.get_mut(at) else { continue };
            cells.add(cell);
            storms.extend(Storm::of(report, cell));
        }
        let with_medians = |(mut cells, storms): (Cells, Vec<Storm>)| {
            cells.measure(storms);
            cells
        };
        Self {
            run: bounded(&run.id).into(),
            started: bounded(&run.started),
            host: bounded(&run.host_name),
            version: bounded(&run.version),
            interrupted: run.interrupted,
            cells: groups.into_iter().map(with_medians).collect(),
        }
    }
}

impl Cells {
    /// Cells like this one, and none of them yet.
    fn like(cell: &CellReport) -> Self {
        let own = &cell.cell;
        let word = |text: &str| SmolStr::from(bounded(text));
        let digest = own.profile_digest.get(..DIGEST).unwrap_or(&own.profile_digest);
        Self {
            kernel: word(&own.kernel),
            series: own.series.as_deref().map(word),
            arch: word(&own.arch),
            toolchain: word(&own.toolchain),
            kasan: word(&own.kasan),
            profile: word(&own.profile),
            digest: word(digest),
            technique: word(&own.technique),
            clock: word(&own.clock),
            ..Self::default()
        }
    }

    fn add(&mut self, cell: &CellReport) {
        if let Some(kernel) = cell.kernel.as_ref().filter(|_| self.release.is_empty()) {
            self.release = bounded(&kernel.release).into();
        }
        if let Some(boot) = cell.boots.last().filter(|_| self.accel.is_empty()) {
            self.accel = bounded(&boot.accel).into();
        }
        self.runs += 1;
        *self.verdicts.entry(cell.verdict.word().into()).or_default() += 1;
        self.exposure = self.exposure + cell.exposure;
        let has_answer = cell.verdict.is_clean() || cell.verdict.is_bug();
        if self.why.is_empty() && !has_answer {
            self.why = bounded(cell.verdict.reason().lines().next().unwrap_or_default());
        }
        for word in troubles(cell) {
            *self.trouble.entry(word).or_default() += 1;
        }
        let seen = sightings(cell);
        if !seen.is_empty() || cell.boots.iter().any(|boot| boot.ready() && boot.counts()) {
            self.storms += 1;
        }
        for one in seen {
            let has_room = self.bugs.len() < MOST_BUGS;
            match self.bugs.iter_mut().find(|bug| bug.is_same(&one)) {
                Some(known) => known.storms += 1,
                None if has_room => self.bugs.push(one),
                None => self.more_bugs += 1,
            }
        }
    }

    /// Takes the metrics' medians over these storms.
    fn measure(&mut self, storms: Vec<Storm>) {
        if storms.is_empty() {
            return;
        }
        let storms = Storms {
            kernel: String::new(),
            series: None,
            baseline: String::new(),
            notes: Vec::new(),
            storms,
        };
        for (metric, levels) in storms.metrics() {
            let Levels::Values(values) = levels else { continue };
            if let Some(middle) = median(&values).filter(|middle| is_measured(*middle)) {
                self.metrics.insert(SmolStr::new_static(metric.name), rounded(middle));
            }
        }
    }
}

/// Six digits are more than storms scatter by, and a year of nights is read sooner.
fn rounded(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}

/// Bugs of a cell, each once, the gravest first. Consequences of others, and what the method or the host brought about, are none.
fn sightings(cell: &CellReport) -> Vec<Sighting> {
    const GRAVE: [(Standing, &str); 3] = [
        (Standing::Another, "another"),
        (Standing::Related, "related"),
        (Standing::Expected, "expected"),
    ];
    let mut seen: Vec<Sighting> = Vec::new();
    for (standing, word) in GRAVE {
        let rule = cell.rule.as_deref().filter(|_| standing == Standing::Expected);
        let sighting = |signature, title: &str| Sighting {
            signature,
            rule: rule.map_or_else(SmolStr::default, |rule| bounded(rule.name.as_str()).into()),
            title: bounded(rule.map_or(title, |rule| &rule.title)),
            standing: word.into(),
            storms: 1,
        };
        let bugs = cell.bugs.iter().filter(|bug| bug.standing == standing);
        let of_bugs = bugs.map(|bug| sighting(signature(bug), &bug.finding.title));
        let corruption = cell.corruptions.iter().find(|one| one.standing == standing);
        let corruption =
            corruption.map(|_| sighting(SmolStr::new_static(CORRUPTION), "data corruption"));
        for one in of_bugs.chain(corruption) {
            if !seen.iter().any(|known| known.is_same(&one)) {
                seen.push(one);
            }
        }
    }
    seen
}

/// Logs from before there were signatures have none.
fn signature(bug: &Bug) -> SmolStr {
    match bug.finding.signature.as_str() {
        "" => signature::of(&bug.finding).into(),
        known => bounded(known).into(),
    }
}

/// What went wrong in a cell that is no bug, a word for each time.
fn troubles(cell: &CellReport) -> Vec<SmolStr> {
    let of_boot = |boot: &Boot| {
        if boot.starved.is_some() {
            return Some(SmolStr::new_static("starved"));
        }
        if boot.method_fault.is_some() {
            return Some(SmolStr::new_static("method-fault"));
        }
        let end = boot.end?;
        let is_trouble = matches!(end.meaning(), Meaning::Host | Meaning::Method)
            || matches!(end, VmEnd::NeverSpoke | VmEnd::NeverReady);
        is_trouble.then(|| word_of(&end))
    };
    let of_cell = cell.failure.as_ref().and_then(|failure| match failure.fault {
        // It is known beforehand, and nothing went wrong.
        Fault::Unreachable => None,
        fault => Some(word_of(&fault)),
    });
    cell.boots.iter().filter_map(of_boot).chain(of_cell).collect()
}

/// The word that the event log has for it.
fn word_of(what: &impl serde::Serialize) -> SmolStr {
    match serde_json::to_value(what) {
        Ok(serde_json::Value::String(word)) => word.into(),
        _ => SmolStr::default(),
    }
}
