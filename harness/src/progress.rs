// SPDX-License-Identifier: MIT OR Apache-2.0
//! Progress on stderr: bars on a terminal, plain lines elsewhere.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use kernels::{Progress, Stage};
use reports::event::{Exposure, RunEvent, VmEnd, What};

use reports::run::REMOTE;

use crate::printer::Printer;

/// Shows what a command is doing.
#[derive(Debug)]
pub struct View {
    printer: Printer,
    bar: ProgressBar,
    /// Cells and titles of reports that were shown: a bug often strikes many times.
    shown: Mutex<HashSet<(String, String)>>,
}

impl View {
    /// A view on the printer's stderr.
    pub fn new(printer: &Printer) -> Self {
        let bar = if printer.bars { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        Self { printer: *printer, bar, shown: Mutex::default() }
    }

    /// A line that stays.
    pub fn line(&self, text: &str) {
        self.bar.suspend(|| self.printer.say(text));
    }

    /// Begins a task that takes a while.
    pub fn begin(&self, text: &str) {
        self.bar.set_style(style("{spinner} {msg} ({elapsed})"));
        self.bar.set_message(text.to_owned());
        self.bar.reset_elapsed();
        self.bar.enable_steady_tick(Duration::from_millis(250));
        if self.bar.is_hidden() {
            self.printer.say(text);
        }
    }

    /// Removes the bar.
    pub fn clear(&self) {
        self.bar.disable_steady_tick();
        self.bar.finish_and_clear();
    }

    /// News from a kernel build.
    pub fn kernel(&self, name: &str, progress: Progress<'_>) {
        match progress {
            Progress::Stage(Stage::Compile) => self.begin(&format!("{name}: compiling")),
            Progress::Stage(stage) => self.begin(&format!("{name}: {stage}")),
            Progress::Waiting(thing) => {
                self.begin(&format!("{name}: waiting for another swapstorm: {thing}"));
            }
            Progress::Notice(text) => self.line(&format!("{name}: {text}")),
            Progress::Download { percent } => {
                self.bar.set_message(format!("{name}: fetching the source, {percent:.0} %"));
            }
            Progress::Objects { done, expected: Some(expected), current } => {
                self.bar.set_style(style("{spinner} {prefix} {bar:24} {pos}/{len} {wide_msg}"));
                self.bar.set_prefix(format!("{name}: compiling"));
                self.bar.set_length(expected.max(done));
                self.bar.set_position(done);
                self.bar.set_message(current.to_owned());
            }
            Progress::Objects { done, expected: None, current } => {
                self.bar.set_message(format!("{name}: compiling, {done} objects, {current}"));
            }
        }
    }

    /// News from a run.
    pub fn event(&self, event: &RunEvent) {
        match &event.what {
            What::KernelReady { cell, kernel } => {
                let how = if kernel.key.is_empty() {
                    "runs there"
                } else if kernel.cached {
                    "from the store"
                } else {
                    "built"
                };
                self.line(&format!("{cell}: Linux {} {how}", kernel.release));
            }
            What::VmStarted { cell, boot, accel, .. } => {
                let again = if *boot == 1 { String::new() } else { format!(" (boot {boot})") };
                self.begin(&match accel.as_str() {
                    REMOTE => format!("{cell}: the agent is started"),
                    _ => format!("{cell}: booting under {accel}{again}"),
                });
            }
            What::GuestReady { cell, boot_ms, .. } => {
                self.line(&format!("{cell}: guest up after {:.1} s", *boot_ms as f64 / 1000.0));
            }
            What::Exposure { cell, exposure, .. } => {
                self.bar.set_message(format!("{cell}: {}", exposure_words(exposure)));
            }
            What::Found { cell, finding, .. } => {
                let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
                if shown.insert((cell.clone(), finding.title.clone())) {
                    self.line(&format!("{cell}: {}", finding.title));
                }
            }
            What::Corruption { cell, detail, .. } => {
                self.line(&format!("{cell}: data corruption: {detail}"));
            }
            What::GuestWarned { cell, detail, .. } => {
                self.line(&format!("{cell}: the guest agent warns: {detail}"));
            }
            What::VmStopped { cell, why: VmEnd::QemuDied, detail, .. } => {
                self.line(&format!("{cell}: QEMU ended: {detail}"));
            }
            What::VmStopped { cell, why: VmEnd::ConnectionLost, detail, .. } => {
                self.line(&format!("{cell}: {detail}"));
            }
            What::VmStopped { cell, why: VmEnd::Derailed, .. } => {
                self.line(&format!("{cell}: related to the expected bug, but not it"));
            }
            What::CellFailed { cell, detail, .. } => self.line(&format!("{cell}: {detail}")),
            What::CellFinished { .. } | What::RunFinished { .. } => self.clear(),
            _ => {}
        }
    }
}

fn exposure_words(e: &Exposure) -> String {
    format!("{} swapoffs, {} writebacks, {} windows stretched", e.swapoffs, e.writebacks, e.windows)
}

fn style(template: &str) -> ProgressStyle {
    // A template that does not parse would be a mistake of ours; the default bar still shows it.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
