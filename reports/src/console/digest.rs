// SPDX-License-Identifier: MIT OR Apache-2.0
//! All that was seen in one log, bounded, and as JSON.

use std::collections::BTreeMap;

use serde::Serialize;

use super::facts::Facts;
use super::notes::{Note, NoteKind};
use super::reader::{Seen, Stats};
use crate::finding::{Finding, Scene, Stack};

/// Version of the JSON form; `schema/parse.schema.json` describes it.
pub const FORMAT: u32 = 1;
/// What the reports that are kept may weigh, in bytes.
const BUDGET: usize = 5 << 20;
/// Titles that are counted after that.
const MAX_TITLES: usize = 1000;

/// What was seen in one log.
#[derive(Debug, Default)]
pub struct Digest {
    reports: Vec<Finding>,
    weight: usize,
    more: BTreeMap<String, u64>,
    more_reports: u64,
    notes: BTreeMap<NoteKind, NoteCount>,
}

/// Notes of a kind that are kept.
const MAX_NOTES: usize = 100;

/// How often something was noted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NoteCount {
    /// How often.
    pub count: u64,
    /// The first one.
    pub first: Note,
    /// All of them, up to the first hundred.
    pub each: Vec<Note>,
}

impl Digest {
    /// Takes one thing seen. Reports beyond the budget are only counted by title.
    pub fn add(&mut self, seen: Seen) {
        match seen {
            Seen::Note(note) => {
                let all = self.notes.entry(note.kind).or_insert_with(|| NoteCount {
                    count: 0,
                    first: note.clone(),
                    each: Vec::new(),
                });
                all.count += 1;
                if all.each.len() < MAX_NOTES {
                    all.each.push(note);
                }
            }
            Seen::Report(finding) => {
                let weight = weight(&finding);
                if self.weight + weight <= BUDGET {
                    self.weight += weight;
                    self.reports.push(*finding);
                    return;
                }
                self.more_reports += 1;
                if self.more.len() < MAX_TITLES || self.more.contains_key(&finding.title) {
                    *self.more.entry(finding.title).or_default() += 1;
                }
            }
        }
    }

    /// The reports that were kept, in the order in which they begin in the log.
    pub fn reports(&mut self) -> &mut [Finding] {
        self.reports.sort_by_key(|finding| finding.offset);
        &mut self.reports
    }

    /// How many reports were only counted.
    pub fn more_reports(&self) -> u64 {
        self.more_reports
    }

    /// What was noted.
    pub fn notes(&self) -> &BTreeMap<NoteKind, NoteCount> {
        &self.notes
    }

    /// The digest as one JSON object. `expected` names the rule that expects a finding.
    pub fn json<'a>(
        &'a mut self,
        file: &'a str,
        facts: Facts,
        stats: Stats,
        expected: impl Fn(&Finding) -> Option<String>,
    ) -> LogJson<'a> {
        self.reports();
        LogJson {
            format: FORMAT,
            file,
            bytes: stats.bytes,
            lines: stats.lines,
            facts,
            reports: self.reports.iter().map(|f| ReportJson::new(f, facts, expected(f))).collect(),
            more_reports: self.more_reports,
            more_titles: &self.more,
            notes: &self.notes,
        }
    }
}

fn weight(finding: &Finding) -> usize {
    let frames: usize = finding.stacks.iter().map(|stack| 128 + 96 * stack.frames.len()).sum();
    1024 + finding.text.len() + frames
}

/// One log.
#[derive(Debug, Serialize)]
pub struct LogJson<'a> {
    format: u32,
    file: &'a str,
    bytes: u64,
    lines: u64,
    #[serde(flatten)]
    facts: Facts,
    reports: Vec<ReportJson<'a>>,
    more_reports: u64,
    more_titles: &'a BTreeMap<String, u64>,
    notes: &'a BTreeMap<NoteKind, NoteCount>,
}

/// One report.
#[derive(Debug, Serialize)]
struct ReportJson<'a> {
    title: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    corrupted: bool,
    corrupted_reason: &'a str,
    frame: &'a str,
    alt_titles: &'a [String],
    suppressed: bool,
    panicked: bool,
    executor: &'a str,
    guilty_file: &'a str,
    signature: &'a str,
    expected_by: Option<String>,
    offset: u64,
    line: u64,
    head: &'a str,
    scene: &'a Scene,
    stacks: &'a [Stack],
    follow_ups: &'a [String],
    text: &'a str,
}

impl<'a> ReportJson<'a> {
    fn new(finding: &'a Finding, facts: Facts, expected_by: Option<String>) -> Self {
        let reason = finding.corrupted.as_deref();
        let reason = reason.or(facts.disconnected.then_some("the console broke off"));
        ReportJson {
            title: &finding.title,
            kind: &finding.kind,
            corrupted: reason.is_some(),
            corrupted_reason: reason.unwrap_or_default(),
            frame: &finding.frame,
            alt_titles: &finding.alt_titles,
            suppressed: facts.suppressed,
            panicked: facts.panicked,
            executor: &finding.executor,
            guilty_file: &finding.guilty_file,
            signature: &finding.signature,
            expected_by,
            offset: finding.offset,
            line: finding.line,
            head: &finding.head,
            scene: &finding.scene,
            stacks: &finding.stacks,
            follow_ups: &finding.follow_ups,
            text: &finding.text,
        }
    }
}
