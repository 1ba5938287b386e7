// SPDX-License-Identifier: MIT OR Apache-2.0
//! A run for a program: `report.json`.

use serde::Serialize;

use super::words::proof_sentence;
use crate::check::Check;
use crate::exit::Purpose;
use crate::proof::Proof;
use crate::run::RunReport;
use crate::search::Search;
use crate::search::range::Range;
use crate::search::told::value;

/// Version of `report.json`. It changes when a field changes its meaning or goes away; fields
/// may be added at any time.
pub const FORMAT: u32 = 2;

#[derive(Serialize)]
struct Document<'a> {
    format: u32,
    exit_code: u8,
    finished: bool,
    interrupted: bool,
    proofs: Vec<ProofDocument>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    searches: Vec<serde_json::Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    checks: Vec<Check>,
    #[serde(flatten)]
    report: &'a RunReport,
}

#[derive(Serialize)]
struct ProofDocument {
    #[serde(flatten)]
    proof: Proof,
    reached: bool,
    sentence: String,
}

/// The run as one JSON object that ends with a line feed. Its fields are those of
/// [`RunReport`], with `format`, `exit_code`, `finished`, `interrupted`, [`RunReport::proofs`], and the searches and checks of series
/// among its runs before them.
pub fn render(report: &RunReport, purpose: Purpose) -> String {
    let exit_code = report.exit_code(purpose).code();
    let proof = |proof: Proof| {
        let (reached, sentence) = (proof.is_reached(), proof_sentence(&proof));
        ProofDocument { proof, reached, sentence }
    };
    let proofs = report.proofs().into_iter().map(proof).collect();
    let (finished, interrupted) = (report.finished(), report.interrupted());
    let told = |(range, search): &(&Range, Search)| value(search, &search.conclusion(), range);
    let searches = report.searches().iter().map(told).collect();
    let checks = report.checks();
    let document = Document {
        format: FORMAT,
        exit_code,
        finished,
        interrupted,
        proofs,
        searches,
        checks,
        report,
    };
    // serde_json fails on maps whose keys are no strings, and on a writer's errors: none is here.
    let mut text = serde_json::to_string_pretty(&document).expect("plain data is JSON");
    text.push('\n');
    text
}
