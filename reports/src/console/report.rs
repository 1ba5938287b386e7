// SPDX-License-Identifier: MIT OR Apache-2.0
//! Putting a [`Finding`] together from what was read.

use super::escaped::{escaped, escaped_lines};
use super::open::Open;
use super::{guilty, scene, signature, stacks, starts};
use crate::finding::Finding;

/// Longest first line kept.
const MAX_HEAD: usize = 512;

/// Reads a report whose lines are all there.
pub(super) fn assemble(open: Open) -> Finding {
    let own = open.own();
    let starts = starts::all(own);
    let titled = &own[..open.titled.unwrap_or(own.len())];
    let reading = open.detector.read(titled, own, &starts);
    let head = own.split(|&b| b == b'\n').next().unwrap_or_default();
    // Not the report is at fault, but what stands before its lines.
    let corrupted = match reading.corrupted {
        Some(_) if open.is_alone() => Some("no line behind the first one begins as it does"),
        other => other,
    };
    let mut finding = Finding {
        title: reading.title,
        alt_titles: reading.alt_titles,
        kind: reading.kind.to_owned(),
        frame: reading.frame,
        corrupted: corrupted.map(str::to_owned),
        head: escaped(head, MAX_HEAD),
        stacks: stacks::read(open.lines_before_next(), &starts),
        text: String::new(),
        offset: open.offset,
        line: open.line,
        signature: String::new(),
        executor: scene::executor(own).unwrap_or_default(),
        guilty_file: guilty::of_report(open.before_next(), own).unwrap_or_default(),
        scene: scene::read(open.lines_before_next().map(|(_, line)| line)),
        follow_ups: open.follow_ups,
    };
    finding.signature = signature::of(&finding);
    finding.text = escaped_lines(&open.text);
    finding
}
