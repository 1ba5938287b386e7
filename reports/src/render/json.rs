// SPDX-License-Identifier: MIT OR Apache-2.0
//! A run for a program: `report.json`.

use serde::Serialize;

use crate::exit::Purpose;
use crate::run::RunReport;

/// Version of `report.json`. It changes when a field changes its meaning or goes away; fields
/// may be added at any time.
pub const FORMAT: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    format: u32,
    exit_code: u8,
    #[serde(flatten)]
    report: &'a RunReport,
}

/// The run as one JSON object that ends with a line feed. Its fields are those of
/// [`RunReport`], with `format` and `exit_code` before them.
pub fn render(report: &RunReport, purpose: Purpose) -> String {
    let exit_code = report.exit_code(purpose).code();
    let document = Document { format: FORMAT, exit_code, report };
    // serde_json fails on maps whose keys are no strings, and on a writer's errors: none is here.
    let mut text = serde_json::to_string_pretty(&document).expect("plain data is JSON");
    text.push('\n');
    text
}
