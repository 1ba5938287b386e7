// SPDX-License-Identifier: MIT OR Apache-2.0
//! Progress on stderr: a line for each cell that runs on a terminal, plain lines elsewhere.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engine::Onlooker;
use engine::unit::BuildStep;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use kernels::Progress;
use reports::escape::printable_lines;
use reports::event::{Exposure, RunEvent, VmEnd, What};
use reports::run::REMOTE;

use crate::printer::Printer;

/// How often a bar is drawn anew.
const TICK: Duration = Duration::from_millis(250);

/// Shows what a command is doing.
#[derive(Debug)]
pub struct View {
    printer: Printer,
    bars: MultiProgress,
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
}

#[derive(Debug)]
struct Bar {
    bar: ProgressBar,
    /// What it says is being done.
    stage: String,
    exposure: Exposure,
}

impl View {
    /// A view on the printer's stderr.
    pub fn new(printer: &Printer) -> Self {
        let target = match printer.bars {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let bars = MultiProgress::with_draw_target(target);
        Self { printer: *printer, bars, state: Mutex::default() }
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
        if !self.printer.bars {
            self.printer.say(&format!("{name}: {stage}"));
        }
    }

    fn bar<'s>(&self, state: &'s mut State, name: &str) -> &'s mut Bar {
        state.bars.entry(name.to_owned()).or_insert_with(|| {
            let bar = self.bars.add(ProgressBar::new_spinner());
            bar.set_prefix(name.to_owned());
            bar.enable_steady_tick(TICK);
            Bar { bar, stage: String::new(), exposure: Exposure::default() }
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
        let words = format!("{swapoffs} swapoffs, {writebacks} writebacks, {windows} windows");
        bar.bar.set_message(words);
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
        let fresh = self.state().shown.insert((cell.to_owned(), title.to_owned()));
        if fresh {
            self.line(&format!("{cell}: {title}"));
        }
    }
}

impl Onlooker for View {
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
                self.line(&format!("{cell}: Linux {} {how}", kernel.release));
            }
            What::PointsPlaced { cell, left_out, .. } => {
                for point in left_out {
                    self.line(&format!("{cell}: a stretch point is left out: {}", point.why));
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
                self.line(&format!("{cell}: guest up after {:.1} s", *boot_ms as f64 / 1000.0));
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
                Some(cell) => self.line(&format!("{cell}: {text}")),
                None => self.line(text),
            },
            What::CellFinished { cell } => self.end(cell),
            What::CancelRequested { .. } => {
                self.line("stopping; once more to stop at once");
            }
            What::RunFinished { .. } => self.clear(),
            _ => {}
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    // A template that does not parse would be a mistake of ours; the default bar still shows it.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
