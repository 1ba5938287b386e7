// SPDX-License-Identifier: MIT OR Apache-2.0
//! A run as one HTML page that needs nothing else: no network, no script, no other file.
//!
//! The template is `templates/run.html`. Its escapes keep guests' words from being markup; what reorders, hides or is endless is
//! dealt with here, before. Only pictures are put in as they are, and they escape their own words. A policy in the
//! page itself forbids scripts and anything from elsewhere.

mod matrix;
mod plots;
mod sites;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use askama::Template;

use self::matrix::Matrix;
use self::plots::Figure;
use super::outcome::{Outcome, outcome};
use super::safe::{self, MAX_BLOCK, MAX_LINE};
use super::search;
use super::text::{Look, answers};
use super::words::{
    VIRTUAL_CLOCK, boot_words, common_rule, duration, elsewhere, exposure_rows, head_lines,
    headline, proof_sentences, shown_frames, stack_title, standing_words, telling_stacks,
    verdict_lines,
};
use super::{hunt, night};
use crate::exit::{ExitCode, Purpose};
use crate::finding::Stack;
use crate::rule::Rule;
use crate::run::{Bug, CellReport, REMOTE, RunFacts, RunReport, Standing};
use crate::shell;

/// Most cells that are told one by one, findings, and cells named with a finding.
const MOST_CELLS: usize = 500;
const MOST_FINDINGS: usize = 64;
const MOST_NAMES: usize = 16;
/// Most bytes of all reports' texts together.
const TEXTS: usize = 1 << 20;
/// Most hunts that are drawn.
const MOST_HUNTS: usize = 8;
/// Columns of commands.
const WIDTH: usize = 72;

#[derive(Template)]
#[template(path = "run.html")]
struct Page {
    title: String,
    class: &'static str,
    answer: String,
    proofs: Vec<String>,
    /// What a check or a search came to, as text.
    asked: String,
    /// Pictures of searches; their words are escaped.
    searches: Vec<String>,
    matrix: Matrix,
    trend: Option<Matrix>,
    findings: Vec<FindingView>,
    more_findings: usize,
    hunts: Vec<HuntView>,
    figures: Vec<Figure>,
    figures_left_out: usize,
    cells: Vec<CellView>,
    more_cells: usize,
    runs: Vec<RunView>,
    problems: Vec<String>,
}

/// Reports with one title and one standing, of all cells.
struct FindingView {
    class: &'static str,
    standing: &'static str,
    title: String,
    words: String,
    cells: Vec<CellName>,
    more_cells: usize,
    notes: Vec<String>,
    head: String,
    stacks: Vec<StackView>,
    text: String,
    bundle: Option<String>,
}

/// What a hunt has seen.
struct HuntView {
    name: String,
    sentences: Vec<String>,
    figures: Vec<Figure>,
    left_out: String,
    table: String,
}

struct CellName {
    number: usize,
    name: String,
}

struct StackView {
    title: String,
    frames: Vec<FrameView>,
    left_out: usize,
}

struct FrameView {
    function: String,
    place: String,
    marked: bool,
}

struct CellView {
    number: usize,
    name: String,
    class: &'static str,
    mark: &'static str,
    verdict: &'static str,
    lines: Vec<String>,
    facts: Vec<(String, String)>,
    exposure: Vec<(String, String)>,
    notes: Vec<String>,
    command_name: &'static str,
    command: String,
}

struct RunView {
    command: String,
    facts: Vec<(String, String)>,
    notices: Vec<String>,
}

/// The run as an HTML page. Of several runs there is also a table of verdicts run by run.
pub fn render(report: &RunReport, purpose: Purpose) -> String {
    let rule = common_rule(report);
    let title = rule.map_or("swapstorm report", |rule| rule.title.as_str());
    let class = match report.exit_code(purpose) {
        ExitCode::Clean => "good",
        ExitCode::KernelBug => "bad",
        _ => "doubt",
    };
    let (findings, more_findings) = findings(report, purpose);
    let (figures, figures_left_out) = plots::figures(report, purpose);
    let numbered = report.cells.iter().enumerate().take(MOST_CELLS);
    let page = Page {
        title: line(title),
        class,
        answer: line(&headline(report, purpose)),
        proofs: night::sentences(report, purpose)
            .iter()
            .chain(&proof_sentences(report))
            .map(|words| line(words))
            .collect(),
        asked: safe::block(&answers(report, Look { width: WIDTH, colour: false }), MAX_BLOCK),
        searches: report.searches().iter().map(|(_, search)| search::plot(search)).collect(),
        matrix: matrix::verdicts(report, purpose),
        trend: report.is_merged().then(|| matrix::trend(report, purpose)),
        findings,
        more_findings,
        hunts: report
            .cells
            .iter()
            .filter_map(|cell| hunted(report, cell))
            .take(MOST_HUNTS)
            .collect(),
        figures,
        figures_left_out,
        cells: numbered.map(|(at, cell)| self::cell(report, at, cell, purpose)).collect(),
        more_cells: report.cells.len().saturating_sub(MOST_CELLS),
        runs: report.runs.iter().map(|run| self::run(report, run)).collect(),
        problems: report.problems.iter().map(|problem| line(problem)).collect(),
    };
    // The template's values are text and numbers, and writing to memory does not fail.
    page.render().expect("memory takes all")
}

/// The hunt in a cell; `None` if there was none.
fn hunted(report: &RunReport, cell: &CellReport) -> Option<HuntView> {
    let map = cell.hunt.as_ref()?;
    let (figures, left_out) = sites::figures(map);
    Some(HuntView {
        name: line(&report.name_of(cell)),
        sentences: hunt::sentences(map).iter().map(|words| line(words)).collect(),
        figures,
        left_out: sites::left_out(left_out),
        table: safe::block(&hunt::table(map, usize::MAX).join("\n"), MAX_BLOCK),
    })
}

fn line(text: &str) -> String {
    safe::line(text, MAX_LINE)
}

/// Class and sign of an outcome.
fn look(outcome: Outcome) -> (&'static str, &'static str) {
    match outcome {
        Outcome::Passed => ("good", "✓"),
        Outcome::Failed => ("bad", "✗"),
        Outcome::Error => ("doubt", "!"),
        Outcome::Skipped => ("skip", "–"),
    }
}

/// The number behind `c` of the place in the page that tells of the cell.
fn place(at: usize) -> usize {
    at.min(MOST_CELLS)
}

/// Bugs of one title and one standing: the first of them, how often they were reported, and their cells.
struct Group<'a> {
    bug: &'a Bug,
    count: u64,
    cells: Vec<usize>,
}

/// Bugs by what they are and by title, the gravest first; how many there are beyond [`MOST_FINDINGS`].
fn findings(report: &RunReport, purpose: Purpose) -> (Vec<FindingView>, usize) {
    let mut groups: Vec<Group> = Vec::new();
    let mut places = HashMap::new();
    for (at, cell) in report.cells.iter().enumerate() {
        for bug in &cell.bugs {
            let key = (standing_words(bug), bug.finding.title.as_str());
            let place = *places.entry(key).or_insert_with(|| {
                groups.push(Group { bug, count: 0, cells: Vec::new() });
                groups.len() - 1
            });
            if let Some(group) = groups.get_mut(place) {
                group.count = group.count.saturating_add(bug.count);
                group.cells.push(at);
            }
        }
    }
    groups.sort_by_key(|group| match group.bug.standing {
        Standing::Another => 0,
        Standing::Expected => 1,
        Standing::Related => 2,
        Standing::FollowUp | Standing::Cut => 3,
        Standing::Method | Standing::Starved => 4,
    });
    let more = groups.len().saturating_sub(MOST_FINDINGS);
    let mut room = TEXTS;
    let shown = groups.iter().take(MOST_FINDINGS);
    let views = shown.map(|group| finding(report, group, purpose, &mut room)).collect();
    (views, more)
}

fn finding(report: &RunReport, group: &Group, purpose: Purpose, room: &mut usize) -> FindingView {
    let Group { bug, count, cells } = group;
    let first = cells.first().and_then(|at| report.cells.get(*at));
    let rule = first.and_then(|cell| cell.rule.as_deref());
    let is_passed = first.is_some_and(|cell| outcome(cell, purpose) == Outcome::Passed);
    let class = match bug.standing {
        _ if bug.known.is_some() => "skip",
        Standing::Expected if is_passed => "good",
        Standing::Another | Standing::Expected | Standing::Related => "bad",
        Standing::FollowUp | Standing::Cut => "doubt",
        Standing::Method | Standing::Starved => "skip",
    };
    let times = match count {
        1 => "Reported once".to_owned(),
        n => format!("Reported {n} times"),
    };
    let words = format!(
        "{times}; first in boot {}, {} after the guest was ready and {} after QEMU's start.",
        bug.first.boot,
        duration(bug.first.guest_ms),
        duration(bug.first.vm_ms),
    );
    let mut notes = Vec::new();
    if let Some(note) = &bug.known {
        notes.push(line(&format!("The plan knows of it: {note}.")));
    }
    if let Some(why) = &bug.why_not {
        notes.push(line(&format!("It does not count as the expected bug: {why}.")));
    }
    if bug.after_expected && bug.standing == Standing::Another {
        notes.push("Memory was already damaged by the expected bug in the same boot.".to_owned());
    }
    if let Some(why) = &bug.finding.corrupted {
        notes.push(line(&format!("The report is damaged: {why}.")));
    }
    let text = safe::block(&bug.finding.text, MAX_BLOCK.min(*room));
    *room -= text.len().min(*room);
    let heads: Vec<String> = head_lines(&bug.finding).into_iter().map(line).collect();
    let decided = |at: &&usize| {
        let cell = report.cells.get(**at);
        let title = cell.and_then(CellReport::deciding_bug).map(|bug| &bug.finding.title);
        title == Some(&bug.finding.title)
    };
    let names = cells.iter().take(MOST_NAMES).map(|at| CellName {
        number: place(*at),
        name: report.cells.get(*at).map_or_else(String::new, |cell| line(&report.name_of(cell))),
    });
    FindingView {
        class,
        standing: standing_words(bug),
        title: line(&bug.finding.title),
        words,
        cells: names.collect(),
        more_cells: cells.len().saturating_sub(MOST_NAMES),
        notes,
        head: heads.join("\n"),
        stacks: telling_stacks(&bug.finding).into_iter().map(|s| stack(s, bug, rule)).collect(),
        text,
        bundle: cells.iter().find(decided).and_then(|at| bundle(report.cells.get(*at)?)),
    }
}

/// The command that boots the machine of a cell's bundle. There is one for the first cell of a kernel that shows a bug, if its
/// machine was QEMU's.
fn bundle(cell: &CellReport) -> Option<String> {
    cell.deciding_boot().filter(|boot| boot.accel != REMOTE)?;
    let folder = format!("bundle-{}/replay.sh", cell.cell.id);
    Some(line(&shell::command(&["sh".to_owned(), folder], WIDTH)))
}

fn stack(stack: &Stack, bug: &Bug, rule: Option<&Rule>) -> StackView {
    let (frames, left_out) = shown_frames(stack, rule);
    let frames = frames.into_iter().map(|frame| FrameView {
        function: line(&frame.function),
        place: line(&frame.place),
        marked: frame.marked,
    });
    StackView { title: line(&stack_title(stack, &bug.finding)), frames: frames.collect(), left_out }
}

fn cell(report: &RunReport, at: usize, cell: &CellReport, purpose: Purpose) -> CellView {
    let (class, mark) = look(outcome(cell, purpose));
    let mut facts = Vec::new();
    let mut fact = |name: &str, value: &str| {
        if !value.is_empty() {
            facts.push((line(name), line(value)));
        }
    };
    fact("kernel", &cell.cell.kernel_name());
    fact("architecture", &cell.cell.arch);
    fact("profile", &cell.cell.profile);
    fact("technique", &cell.cell.technique);
    if cell.cell.is_virtual() {
        fact("clock", VIRTUAL_CLOCK);
    }
    fact("seed", &cell.cell.seed.to_string());
    if let Some(kernel) = &cell.kernel {
        fact("release", &kernel.release);
        fact("compiler", &kernel.compiler);
        fact("source", &kernel.source);
        fact("build key", &kernel.key);
        for patch in &kernel.patches {
            fact("patch", patch);
        }
    }
    fact("variant", cell.variant.as_deref().unwrap_or_default());
    for boot in cell.boots.iter().take(MOST_NAMES) {
        fact(&format!("boot {}", boot.number), &boot_words(boot));
    }
    let boot = cell.deciding_boot();
    let command = boot.map_or_else(String::new, |boot| shell::command(&boot.argv, WIDTH));
    let is_remote = boot.is_some_and(|boot| boot.accel == REMOTE);
    CellView {
        number: at,
        name: line(&report.name_of(cell)),
        class,
        mark,
        verdict: cell.verdict.word(),
        lines: verdict_lines(cell).iter().map(|words| line(words)).collect(),
        facts,
        exposure: if cell.boots.is_empty() { Vec::new() } else { exposure(cell) },
        notes: notes(cell),
        command_name: if is_remote { "The machine's command" } else { "QEMU's command line" },
        command: safe::block(&command, MAX_BLOCK),
    }
}

fn exposure(cell: &CellReport) -> Vec<(String, String)> {
    let rows = exposure_rows(cell);
    rows.into_iter().map(|(name, value)| (line(name.trim()), value)).collect()
}

/// What else a reader should know of a cell.
fn notes(cell: &CellReport) -> Vec<String> {
    let mut notes: Vec<String> = Vec::new();
    notes.extend(cell.corruptions.iter().map(|c| format!("data corruption: {}", c.detail)));
    notes.extend(cell.warnings.iter().map(|warning| format!("the guest warns: {warning}")));
    notes.extend(cell.points.iter().filter_map(|point| elsewhere(&point.point)));
    let left_out = cell.left_out.iter();
    notes.extend(left_out.map(|p| format!("the stretch point {} is left out: {}", p.id, p.why)));
    notes.extend(cell.notices.iter().cloned());
    notes.iter().map(|note| line(note)).collect()
}

fn run(report: &RunReport, run: &RunFacts) -> RunView {
    let mut facts = vec![
        ("run".to_owned(), run.id.to_string()),
        ("started".to_owned(), run.started.clone()),
        ("took".to_owned(), duration(run.ms)),
        ("seed".to_owned(), run.seed.to_string()),
        ("swapstorm".to_owned(), run.version.clone()),
        ("host".to_owned(), run.host_name.clone()),
    ];
    facts.extend(run.host.clone());
    facts.retain(|(_, value)| !value.is_empty());
    RunView {
        command: safe::block(&shell::command(&report.repeat_command_of(run), WIDTH), MAX_BLOCK),
        facts: facts.iter().map(|(name, value)| (line(name), line(value))).collect(),
        notices: run.notices.iter().map(|notice| line(notice)).collect(),
    }
}
