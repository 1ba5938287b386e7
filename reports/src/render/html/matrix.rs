// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tables of verdicts.

use std::collections::{BTreeMap, HashMap};

use super::{line, look, place};
use crate::exit::Purpose;
use crate::render::outcome::outcome;
use crate::run::{CellReport, RunReport};

/// A table; each field has the verdicts of its cells.
pub(super) struct Matrix {
    pub(super) caption: &'static str,
    pub(super) corner: &'static str,
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Row>,
}

pub(super) struct Row {
    pub(super) name: String,
    pub(super) fields: Vec<Field>,
}

/// The verdicts of one column's cells.
pub(super) struct Field {
    pub(super) column: String,
    pub(super) badges: Vec<Badge>,
}

/// A verdict, and how many cells have it.
#[derive(Clone)]
pub(super) struct Badge {
    pub(super) class: &'static str,
    pub(super) mark: &'static str,
    pub(super) word: &'static str,
    pub(super) count: usize,
    /// Place of the first of them.
    pub(super) cell: usize,
}

/// Kernels by architectures. Where cells differ in more, that is another column.
pub(super) fn verdicts(report: &RunReport, purpose: Purpose) -> Matrix {
    let first = report.cells.first();
    let same = |of: fn(&CellReport) -> &str| {
        report.cells.iter().all(|cell| first.is_some_and(|first| of(first) == of(cell)))
    };
    let told: Vec<fn(&CellReport) -> &str> = [
        (|cell| cell.cell.profile.as_str()) as fn(&CellReport) -> &str,
        |cell| cell.cell.technique.as_str(),
        |cell| cell.cell.toolchain.as_str(),
        |cell| cell.cell.kasan.as_str(),
    ]
    .into_iter()
    .filter(|of| !same(*of))
    .collect();
    let column = |cell: &CellReport| {
        let mut words = vec![cell.cell.arch.as_str()];
        words.extend(told.iter().map(|of| of(cell)).filter(|word| !word.is_empty()));
        words.join(", ")
    };
    let row = |cell: &CellReport| cell.cell.kernel_name();
    let caption = "Verdicts by kernel and architecture; each leads to its first cell";
    table(report, purpose, (caption, "kernel"), row, column, &[])
}

/// Kernels and architectures by runs, the earliest first.
pub(super) fn trend(report: &RunReport, purpose: Purpose) -> Matrix {
    let mut runs: Vec<_> = report.runs.iter().collect();
    runs.sort_by(|a, b| a.started.cmp(&b.started));
    let started: BTreeMap<&str, &str> =
        runs.iter().map(|run| (run.id.as_str(), run.started.as_str())).collect();
    let name = |run: &str| match started.get(run) {
        Some(started) if !started.is_empty() => format!("{started} ({run})"),
        _ => run.to_owned(),
    };
    let columns: Vec<String> = runs.iter().map(|run| name(&run.id)).collect();
    let column = |cell: &CellReport| name(&cell.run);
    let row = |cell: &CellReport| format!("{}, {}", cell.cell.kernel_name(), cell.cell.arch);
    let caption = "Verdicts by run, the earliest first; each leads to its first cell";
    table(report, purpose, (caption, "kernel and architecture"), row, column, &columns)
}

/// A table of all cells. Rows, and columns behind those given, come in the order of their first cells.
fn table(
    report: &RunReport,
    purpose: Purpose,
    (caption, corner): (&'static str, &'static str),
    row: impl Fn(&CellReport) -> String,
    column: impl Fn(&CellReport) -> String,
    columns: &[String],
) -> Matrix {
    let (mut rows, mut columns) = (Index::default(), Index::of(columns));
    let mut fields: HashMap<(usize, usize), Vec<Badge>> = HashMap::new();
    for (at, cell) in report.cells.iter().enumerate() {
        let field = fields.entry((rows.place(row(cell)), columns.place(column(cell)))).or_default();
        let (class, mark) = look(outcome(cell, purpose));
        let word = cell.verdict.word();
        match field.iter_mut().find(|badge| badge.word == word && badge.class == class) {
            Some(badge) => badge.count += 1,
            None => field.push(Badge { class, mark, word, count: 1, cell: place(at) }),
        }
    }
    let columns: Vec<String> = columns.names.iter().map(|name| line(name)).collect();
    let field = |row: usize, (at, column): (usize, &String)| Field {
        column: column.clone(),
        badges: fields.get(&(row, at)).cloned().unwrap_or_default(),
    };
    let row = |(at, name): (usize, &String)| Row {
        name: line(name),
        fields: columns.iter().enumerate().map(|column| field(at, column)).collect(),
    };
    let rows = rows.names.iter().enumerate().map(row).collect();
    Matrix { caption, corner, columns, rows }
}

/// Names in the order in which they came.
#[derive(Default)]
struct Index {
    names: Vec<String>,
    places: HashMap<String, usize>,
}

impl Index {
    fn of(names: &[String]) -> Self {
        let mut index = Self::default();
        for name in names {
            index.place(name.clone());
        }
        index
    }

    fn place(&mut self, name: String) -> usize {
        let Self { names, places } = self;
        *places.entry(name.clone()).or_insert_with(|| {
            names.push(name);
            names.len() - 1
        })
    }
}
