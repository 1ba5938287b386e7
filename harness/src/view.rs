// SPDX-License-Identifier: MIT OR Apache-2.0
//! Progress on stderr: a line for each cell that runs on a terminal, plain lines elsewhere.

mod night;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use engine::Onlooker;
use engine::dispatcher::INTERRUPT;
use engine::unit::BuildStep;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use kernels::Progress;
use reports::escape::printable_lines;
use reports::event::{Exposure, RunEvent, SampleTable, VmEnd, What};
use reports::run::{CellReport, REMOTE};

use self::night::Night;

use crate::printer::Printer;

/// How often a bar is drawn anew.
const TICK: Duration = Duration::from_millis(250);

/// Shows what a command is doing.
#[derive(Debug)]
pub struct View {
    printer: Printer,
    bars: MultiProgress,
    /// How far all of it is; there from [`View::expect`] on.
    overall: OnceLock<ProgressBar>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By the cell's id, or the name of what is made.
    bars: BTreeMap<String, Bar>,
    /// Cells and titles of reports that were shown: a bug often strikes many times.
    shown: HashSet<(String, String)>,
    /// Why a cell failed, and which it was: one missing tool fails many.
    failed: HashMap<String, String>,
    night: Night,
}

#[derive(Debug)]
struct Bar {
    bar: ProgressBar,
    /// What it says is being done.
    stage: String,
    exposure: Exposure,
    findings: u64,
    /// Names of its machine's counters.
    columns: Vec<String>,
}

impl View {
    /// A view on the printer's stderr.
    pub fn new(printer: &Printer) -> Self {
        let target = match printer.bars {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let bars = MultiProgress::with_draw_target(target);
        Self { printer: *printer, bars, overall: OnceLock::new(), state: Mutex::default() }
    }

    /// Shows how far the run is whose cells should take so long each, `side_by_side` at once.
    pub fn expect(&self, cells: HashMap<String, Duration>, side_by_side: u32) {
        if cells.len() > 1 {
            let bar = self.overall.get_or_init(|| self.bars.add(ProgressBar::new(0)));
            bar.set_length(cells.len() as u64);
            bar.set_style(style("{bar:24} {wide_msg}"));
            bar.enable_steady_tick(TICK);
        }
        self.state().night.expect(cells, side_by_side);
        self.advance();
    }

    fn advance(&self) {
        let state = self.state();
        if let Some(bar) = self.overall.get() {
            bar.set_position(state.night.position().0);
            bar.set_message(state.night.words());
        }
    }

    /// A line on a step of a cell: of many cells only with `--verbose`.
    fn step_line(&self, text: &str) {
        if self.printer.verbose || !self.state().night.is_long() {
            self.line(text);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A line that stays. It may hold words of others.
    pub fn line(&self, text: &str) {
        self.bars.suspend(|| self.printer.say(&printable_lines(text)));
    }

    /// Says what is being done about `name` now: on its bar, or in a line where there are no bars.
    pub fn begin(&self, name: &str, stage: &str) {
        let mut state = self.state();
        let bar = self.bar(&mut state, name);
        if bar.stage == stage {
            return;
        }
        stage.clone_into(&mut bar.stage);
        bar.bar.set_style(style("{spinner} {prefix}: {msg} ({elapsed})"));
        bar.bar.reset_elapsed();
        bar.bar.set_message(stage.to_owned());
        if !self.printer.bars && (self.printer.verbose || !state.night.is_long()) {
            self.printer.say(&format!("{name}: {stage}"));
        }
    }

    fn bar<'s>(&self, state: &'s mut State, name: &str) -> &'s mut Bar {
        state.bars.entry(name.to_owned()).or_insert_with(|| {
            // The overall bar stays the last.
            let bar = match self.overall.get() {
                Some(last) => self.bars.insert_before(last, ProgressBar::new_spinner()),
                None => self.bars.add(ProgressBar::new_spinner()),
            };
            bar.set_prefix(name.to_owned());
            bar.enable_steady_tick(TICK);
            Bar {
                bar,
                stage: String::new(),
                exposure: Exposure::default(),
                findings: 0,
                columns: Vec::new(),
            }
        })
    }

    /// Removes the bar of `name`.
    fn end(&self, name: &str) {
        if let Some(bar) = self.state().bars.remove(name) {
            bar.bar.finish_and_clear();
            self.bars.remove(&bar.bar);
        }
    }

    /// Removes all bars.
    pub fn clear(&self) {
        for bar in std::mem::take(&mut self.state().bars).into_values() {
            bar.bar.finish_and_clear();
        }
        if let Some(bar) = self.overall.get() {
            bar.finish_and_clear();
        }
    }

    /// News from the build of the kernel `name`, outside any run.
    pub fn kernel(&self, name: &str, progress: Progress<'_>) {
        match progress {
            Progress::Notice(text) => self.line(&format!("{name}: {text}")),
            progress => self.step(name, &BuildStep::of(progress)),
        }
    }

    fn step(&self, name: &str, step: &BuildStep) {
        self.begin(name, &step.stage);
        if step.done == 0 {
            return;
        }
        let mut state = self.state();
        let bar = &self.bar(&mut state, name).bar;
        match step.expected {
            Some(expected) => {
                bar.set_style(style(
                    "{spinner} {prefix}: compiling {bar:24} {pos}/{len} {wide_msg}",
                ));
                bar.set_length(expected.max(step.done));
                bar.set_position(step.done);
                bar.set_message(step.current.clone());
            }
            None => {
                let BuildStep { stage, done, current, .. } = step;
                bar.set_message(format!("{stage}, {done} objects, {current}"));
            }
        }
    }

    /// Shows the counters of a cell on its bar.
    fn exposure(&self, cell: &str, change: impl FnOnce(&mut Exposure)) {
        let mut state = self.state();
        let bar = self.bar(&mut state, cell);
        change(&mut bar.exposure);
        let Exposure { swapoffs, writebacks, windows, .. } = bar.exposure;
        let mut words = format!("storms, {swapoffs} swapoffs, {writebacks} writebacks");
        if windows > 0 {
            words.push_str(&format!(", {windows} windows"));
        }
        if bar.findings > 0 {
            words.push_str(&format!(", {} reports", bar.findings));
        }
        bar.bar.set_message(words);
    }

    /// Names of a machine's counters, as far as they were told.
    fn columns(&self, cell: &str) -> Vec<String> {
        self.state().bars.get(cell).map(|bar| bar.columns.clone()).unwrap_or_default()
    }

    fn failed(&self, cell: &str, detail: &str) {
        let first = self.state().failed.get(detail).cloned();
        match first {
            Some(first) => self.line(&format!("{cell}: the same as {first}")),
            None => {
                self.state().failed.insert(detail.to_owned(), cell.to_owned());
                self.line(&format!("{cell}: {detail}"));
            }
        }
    }

    fn found(&self, cell: &str, title: &str) {
        if let Some(bar) = self.state().bars.get_mut(cell) {
            bar.findings += 1;
        }
        let fresh = self.state().shown.insert((cell.to_owned(), title.to_owned()));
        if fresh {
            self.line(&format!("{cell}: {title}"));
        }
    }
}

impl Onlooker for View {
    fn finished(&self, cell: &CellReport) {
        let is_long = {
            let mut state = self.state();
            state.night.ended(&cell.cell.id);
            state.night.judged(cell);
            state.night.is_long()
        };
        if is_long || self.printer.verbose {
            self.line(&night::told(cell));
        }
        self.advance();
    }

    fn building(&self, cell: &str, kernel: &str, step: &BuildStep) {
        self.step(&format!("{kernel} ({cell})"), step);
    }

    fn event(&self, event: &RunEvent) {
        match &event.what {
            What::KernelReady { cell, kernel, .. } => {
                let how = if kernel.key.is_empty() {
                    "runs there"
                } else if kernel.cached {
                    "from the store"
                } else {
                    "built"
                };
                self.step_line(&format!("{cell}: Linux {} {how}", kernel.release));
            }
            What::PointsPlaced { cell, left_out, .. } => {
                for point in left_out {
                    self.step_line(&format!("{cell}: a stretch point is left out: {}", point.why));
                }
            }
            What::VmStarted { cell, boot, accel, .. } => {
                let again = if *boot == 1 { String::new() } else { format!(" (boot {boot})") };
                self.begin(
                    cell,
                    &match accel.as_str() {
                        REMOTE => "the agent is started".to_owned(),
                        _ => format!("booting under {accel}{again}"),
                    },
                );
            }
            What::GuestReady { cell, boot_ms, .. } => {
                self.step_line(&format!(
                    "{cell}: guest up after {:.1} s",
                    *boot_ms as f64 / 1000.0
                ));
            }
            What::Columns { cell, columns, .. } => {
                let mut state = self.state();
                self.bar(&mut state, cell).columns.clone_from(columns);
            }
            What::Sample { cell, row, .. } => {
                let columns = self.columns(cell);
                self.exposure(cell, |exposure| SampleTable::expose(&columns, row, exposure));
            }
            What::Windows { cell, points, .. } => {
                let windows = points.values().map(|point| point.stretched).sum();
                self.exposure(cell, |exposure| exposure.windows = windows);
            }
            // The machine's end tells of it.
            What::Found { starved: Some(_), .. } => {}
            What::Found { cell, finding, .. } => self.found(cell, &finding.title),
            What::Corruption { cell, detail, .. } => {
                self.line(&format!("{cell}: data corruption: {detail}"));
            }
            What::GuestWarned { cell, detail, .. } => {
                self.line(&format!("{cell}: the guest agent warns: {detail}"));
            }
            What::VmStopped { cell, why, detail, .. } => match why {
                VmEnd::QemuDied => self.line(&format!("{cell}: QEMU ended: {detail}")),
                VmEnd::Starved => {
                    self.line(&format!("{cell}: the host gave the guest too little time: {detail}"))
                }
                VmEnd::ConnectionLost => self.line(&format!("{cell}: {detail}")),
                VmEnd::Derailed => {
                    self.line(&format!("{cell}: related to the expected bug, but not it"));
                }
                _ => {}
            },
            What::CellFailed { cell, detail, .. } => self.failed(cell, detail),
            What::Notice { cell, text } => match cell {
                Some(cell) => self.step_line(&format!("{cell}: {text}")),
                None => self.line(text),
            },
            What::CellFinished { cell } => self.end(cell),
            What::CellCancelled { cell, .. } => {
                self.state().night.ended(cell);
                self.advance();
            }
            What::CancelRequested { by, .. } if by == INTERRUPT => {
                self.line("stopping; once more to stop at once");
            }
            What::CancelRequested { by, .. } => self.line(&format!("stopping: {by}")),
            What::RunFinished { .. } => self.clear(),
            _ => {}
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    // A template that does not parse would be a mistake of ours; the default bar still shows it.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
