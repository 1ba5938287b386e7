// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is known of a series, for a terminal.

use super::words::{bug, headline, nothing_found, of_sparse};
use crate::check::{Build, Check, Standing, Statistics, Verdict};
use crate::render::Look;
use crate::render::comparison;
use crate::render::layout::{Line, Style, wrapped, write};

/// Widest text.
const WIDTH: usize = 100;
/// So many words of a tool are shown.
const MOST_LINES: usize = 40;

/// The check as text that ends with a line feed.
pub fn render(check: &Check, look: Look) -> String {
    let width = look.width.clamp(40, WIDTH);
    let mut lines = wrapped(style(check.verdict), &headline(check), width);
    for reason in &check.reasons {
        lines.extend(marked("*", reason, width));
    }
    lines.push(Line::blank());
    for found in &check.bugs {
        let (what, sentences) = bug(found, check);
        let style = match found.standing {
            Standing::Fixed(_) => Style::Good,
            Standing::Introduced { .. } | Standing::New { .. } => Style::Bad,
            Standing::Silent(_) | Standing::Unchanged => Style::Doubtful,
        };
        lines.push(Line::new(style, what).and(Style::Plain, ": ").and(Style::Bold, &found.title));
        if let Standing::Introduced { first, last, .. } = found.standing {
            lines.extend(subjects(check, first, last, width));
        }
        for sentence in sentences {
            lines.extend(marked("", &sentence, width));
        }
    }
    if check.guests[1] > 0 {
        lines.extend(wrapped(Style::Plain, &nothing_found(check), width));
    }
    lines.extend(patches(check, width));
    lines.extend(compiler(check, width));
    lines.extend(sparse(check, width));
    lines.extend(checkpatch(check, width));
    let mut text = write(&lines, look.colour);
    match &check.statistics {
        Statistics::NotAsked | Statistics::NotMeasured { .. } => {}
        Statistics::Compared(of_both) => {
            text.push_str("\nwriteback, A the base and B the tip\n");
            text.push_str(&comparison::text(of_both, look));
        }
    }
    text
}

fn style(verdict: Verdict) -> Style {
    match verdict {
        Verdict::Good => Style::Good,
        Verdict::Bad => Style::Bad,
        _ => Style::Doubtful,
    }
}

/// Words behind a mark, set in.
fn marked(mark: &str, words: &str, width: usize) -> Vec<Line> {
    let lines = words.lines().flat_map(|words| wrapped(Style::Plain, words, width - 4));
    let with_mark = |(at, line): (usize, Line)| {
        let mark = if at == 0 { mark } else { "" };
        Line::plain(&format!("  {mark:<2}")).followed_by(line)
    };
    lines.enumerate().map(with_mark).collect()
}

fn subjects(check: &Check, first: usize, last: usize, width: usize) -> Vec<Line> {
    let named = (first..=last).filter_map(|at| {
        let subject = check.facts.subjects.get(at.checked_sub(1)?)?;
        Some(format!("{}: {subject}", check.facts.patches(at, at)))
    });
    named.flat_map(|words| marked("", &words, width)).collect()
}

/// Whether each patch builds and boots, where that was asked or is not so.
fn patches(check: &Check, width: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    for (at, build) in check.builds.iter().enumerate() {
        let (what, why) = match build {
            Build::Untried => continue,
            Build::Works if !check.facts.each => continue,
            Build::Works => ("builds and boots", ""),
            Build::DoesNotBuild(why) => ("does not build", why.as_str()),
            Build::DoesNotBoot(why) => ("does not boot", why.as_str()),
        };
        if lines.is_empty() {
            lines.push(Line::blank());
        }
        lines.push(Line::plain(&format!("{}: {what}", check.facts.name(at))));
        lines.extend(why.lines().take(MOST_LINES).flat_map(|line| marked("|", line, width)));
    }
    lines
}

fn compiler(check: &Check, width: usize) -> Vec<Line> {
    match check.warnings.as_deref() {
        None => {
            vec![Line::new(Style::Dim, "The compiler's warnings of base or tip are not known.")]
        }
        Some([]) => vec![Line::plain("The compiler has no new warning.")],
        Some(new) => {
            let head = format!("New warnings of the compiler: {}", new.len());
            let mut lines = vec![Line::new(Style::Doubtful, &head)];
            lines.extend(new.iter().take(MOST_LINES).flat_map(|line| marked("|", line, width)));
            lines
        }
    }
}

fn sparse(check: &Check, width: usize) -> Vec<Line> {
    let Some(facts) = &check.facts.sparse else { return Vec::new() };
    let mut lines = wrapped(Style::Plain, &of_sparse(facts), width);
    lines.extend(facts.new.iter().take(MOST_LINES).flat_map(|line| marked("|", line, width)));
    lines
}

fn checkpatch(check: &Check, width: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    for (at, said) in check.facts.checkpatch.iter().flatten().enumerate() {
        let patch = check.facts.patches(at + 1, at + 1);
        if said.is_empty() {
            lines.push(Line::plain(&format!("checkpatch has nothing to say of {patch}.")));
            continue;
        }
        lines.push(Line::new(Style::Doubtful, &format!("checkpatch on {patch}:")));
        lines.extend(said.iter().take(MOST_LINES).flat_map(|line| marked("|", line, width)));
    }
    lines
}
