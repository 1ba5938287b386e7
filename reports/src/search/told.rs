// SPDX-License-Identifier: MIT OR Apache-2.0
//! A search for a person: what was run, what is known, and the answer.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::Search;
use super::answer::{Answer, Verdict};
use super::posterior::Tally;
use super::rate::Rate;
use crate::escape::printable;

/// Commits less probable than this, of which nothing was run, are not listed.
const LEAST_LISTED: f64 = 0.005;
/// So many files of a change are named.
const MOST_FILES: usize = 6;
/// So many commits of a credible set are named.
const MOST_NAMED: usize = 12;

/// Words for a position.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// The kernel.
    pub kernel: String,
    /// What changed from the kernel before; empty for the good end.
    pub change: String,
    /// Who changed it.
    pub author: Option<String>,
    /// Commit id and subject as a `Fixes:` line has them.
    pub fixes: Option<String>,
    /// What it touches, in a line: `2 files, 12 lines added and 3 removed: mm/zswap.c, mm/page_io.c`.
    #[serde(default)]
    pub stat: Option<String>,
}

/// A change's files, and the lines that it adds and removes, in a line; `None` of one without files.
pub fn stat<'a>(files: impl IntoIterator<Item = &'a str>, lines: (u64, u64)) -> Option<String> {
    let files: Vec<&str> = files.into_iter().collect();
    let (named, more) = files.split_at(files.len().min(MOST_FILES));
    let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    let ((added, removed), n) = (lines, files.len());
    let s = if n == 1 { "" } else { "s" };
    let names = named.join(", ");
    (n > 0)
        .then(|| format!("{n} file{s}, {added} lines added and {removed} removed: {names}{more}"))
}

/// The search as text, which ends with a newline. `labels` has the words of each position; `is_fix` says that the fix was
/// searched, in the range reversed.
pub fn text(search: &Search, answer: &Answer, labels: &[Label], is_fix: bool) -> String {
    let mut text = path(search, labels);
    let rows = labels.len();
    let name = |at: usize| match labels.get(at) {
        Some(label) if at > 0 => printable(&label.change).into_owned(),
        Some(_) => "in the good end already".to_owned(),
        None if at == rows => "in none of the kernels".to_owned(),
        None => at.to_string(),
    };
    let per_cent = 100.0 * answer.probability;
    let ends = if is_fix { ["fixed", "unfixed"] } else { ["good", "bad"] };
    let _ = writeln!(text, "\n{}", headline(answer, &name, ends, is_fix));
    if let Verdict::Culprit { first, last } = answer.verdict {
        let _ = writeln!(text, "  probability:   {per_cent:.2} %");
        for label in labels.get(first..=last).unwrap_or_default() {
            if let Some(author) = &label.author {
                let _ = writeln!(text, "  author:        {}", printable(author));
            }
            if let Some(stat) = &label.stat {
                let _ = writeln!(text, "  changes:       {}", printable(stat));
            }
            if let Some(fixes) = label.fixes.as_ref().filter(|_| !is_fix) {
                let _ = writeln!(text, "  Fixes: {}", printable(fixes));
            }
        }
        let _ = writeln!(text, "  rate:          {}", rate(&answer.rate));
        // Silent is the kernel before what brought the bug, or the one that has the fix.
        let (silent, still) =
            if is_fix { ("with it:  ", "without a fix") } else { ("before it:", "with the bug") };
        let _ = writeln!(
            text,
            "  {silent}     {}; {still}, that kernel would have been as silent with a probability of {:.2} %",
            rate(&answer.before),
            100.0 * answer.silence
        );
    } else {
        let _ = writeln!(text, "  {} end:      {}", ends[0], rate(&answer.good_end));
        let _ = writeln!(text, "  {} end:      {}", ends[1], rate(&answer.bad_end));
        if answer.verdict == Verdict::BugAtGoodEnd && answer.rates_differ > 20.0 {
            let _ = writeln!(
                text,
                "  The rates of both ends differ: a commit may have made the bug show more often, or less."
            );
        }
    }
    let named: Vec<String> = answer.credible.iter().take(MOST_NAMED).map(|at| name(*at)).collect();
    let more = match answer.credible.len() {
        n if n > MOST_NAMED => format!(", and {} more", n - MOST_NAMED),
        _ => String::new(),
    };
    let _ = writeln!(text, "  with 95 %:     {}{more}", named.join(", "));
    if search.prior_bits() >= 0.05 {
        let _ = writeln!(
            text,
            "  prior:         the weights of the commits narrowed the range by {:.1} bits",
            search.prior_bits()
        );
    }
    text
}

/// The same for a program.
pub fn json(search: &Search, answer: &Answer, labels: &[Label]) -> String {
    #[derive(Serialize)]
    struct Position<'a> {
        #[serde(flatten)]
        label: &'a Label,
        #[serde(flatten)]
        tally: Tally,
        untestable: bool,
        probability: f64,
    }
    #[derive(Serialize)]
    struct Told<'a> {
        answer: &'a Answer,
        prior_bits: f64,
        positions: Vec<Position<'a>>,
    }
    let mut positions = Vec::new();
    for (at, (label, tally)) in labels.iter().zip(search.tallies()).enumerate() {
        let (untestable, probability) = (search.is_untestable(at), search.posterior().mass()[at]);
        positions.push(Position { label, tally: *tally, untestable, probability });
    }
    let told = Told { answer, prior_bits: search.prior_bits(), positions };
    let mut text = serde_json::to_string_pretty(&told).unwrap_or_default();
    text.push('\n');
    text
}

/// The answer in a sentence.
fn headline(
    answer: &Answer,
    name: &impl Fn(usize) -> String,
    [good, bad]: [&str; 2],
    is_fix: bool,
) -> String {
    let came = if is_fix { "The bug went with" } else { "The bug came with" };
    match answer.verdict {
        Verdict::Culprit { first, last } if first == last => format!("{came} {}", name(last)),
        Verdict::Culprit { first, last } => {
            let names: Vec<String> = (first..=last).map(name).collect();
            format!(
                "{came} one of these, of which all but the last cannot be tested: {}",
                names.join(", ")
            )
        }
        Verdict::BugAtGoodEnd => {
            format!("No culprit in the range: the {good} end has the bug, too")
        }
        Verdict::NoBugAtBadEnd => {
            format!("No culprit in the range: the {bad} end did not show the bug")
        }
        Verdict::WrongWayRound => {
            format!(
                "The ends are the wrong way round: the {good} one has the bug, the {bad} one does not"
            )
        }
        Verdict::SameKernel => "All kernels of the range are the same".to_owned(),
        Verdict::BadEndUntestable => format!("The {bad} end cannot be tested"),
        Verdict::GoodEndUntestable { .. } => {
            format!("The {good} end cannot be tested, and all that can be have the bug")
        }
        Verdict::OutOfBudget | Verdict::Undecided => {
            let (first, last) = answer.likeliest;
            let names = if first == last {
                name(last)
            } else {
                format!("{} to {}", name(first), name(last))
            };
            let why = match answer.verdict {
                Verdict::OutOfBudget => "The budget is used up",
                _ => "No answer yet",
            };
            format!("{why}; likeliest, with {:.0} %: {names}", 100.0 * answer.probability)
        }
    }
}

fn rate(rate: &Rate) -> String {
    let runs = f64::from(rate.hits) + rate.clean;
    if runs <= 0.0 {
        return "not run".to_owned();
    }
    format!(
        "{} of {runs:.0} runs showed it (a rate of {:.2} to {:.2} % with 95 %)",
        rate.hits,
        100.0 * rate.low,
        100.0 * rate.high
    )
}

/// A row for each position that was run, cannot be tested, or is probable.
fn path(search: &Search, labels: &[Label]) -> String {
    let mut text = "  with bug    clean  said nothing  probability  kernel\n".to_owned();
    let mut left_out = 0;
    for (at, (label, tally)) in labels.iter().zip(search.tallies()).enumerate() {
        let mass = search.posterior().mass()[at];
        let is_seen = tally.is_evidence() || tally.barren > 0 || search.is_untestable(at);
        if !is_seen && mass < LEAST_LISTED {
            left_out += 1;
            continue;
        }
        let note = if search.is_untestable(at) { " (cannot be tested)" } else { "" };
        let _ = writeln!(
            text,
            "  {:8} {:8.1} {:13} {:10.2} %  {}{note}",
            tally.hits,
            tally.clean,
            tally.barren,
            100.0 * mass,
            printable(&label.kernel)
        );
    }
    if left_out > 0 {
        let _ = writeln!(text, "  ({left_out} more that were not run, each improbable)");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::{Commit, Options, Outcome, Step};

    fn labels() -> Vec<Label> {
        let label = |at: usize| Label {
            kernel: format!("k{at}"),
            change: format!("c{at}"),
            author: Some("A <a@example.org>\u{1b}[31m".to_owned()),
            fixes: Some(format!("00{at} (\"mm: c{at}\")")),
            stat: stat(["mm/zswap.c"; 8], (12, 3)),
        };
        (0..=4).map(label).collect()
    }

    /// Four commits of which the third is the culprit; `hit` says which kernels show the bug.
    fn told(hit: impl Fn(usize) -> bool, is_fix: bool) -> String {
        let commits = [Commit { weight: 1.0, build: 1.0 }; 4];
        let mut search = Search::new(Options::default(), 1.0, &commits).unwrap();
        loop {
            match search.next() {
                Step::Build { at } if at == 2 => search.seen(at, Outcome::Untestable),
                Step::Build { at } => search.seen(at, Outcome::Built),
                Step::Run { at, .. } if hit(at) => search.seen(at, Outcome::Hit),
                Step::Run { at, .. } => search.seen(at, Outcome::Clean(1.0)),
                Step::Done(answer) => return text(&search, &answer, &labels(), is_fix),
            }
        }
    }

    #[test]
    fn a_culprit_is_told_with_its_evidence_and_nothing_reaches_the_terminal_raw() {
        let told = told(|at| at >= 4, false);
        assert!(told.contains("The bug came with c4\n"), "{told}");
        assert!(told.contains("  Fixes: 004 (\"mm: c4\")\n") && !told.contains('\u{1b}'), "{told}");
        assert!(told.contains("with 95 %:     c4\n"), "{told}");
        let changes = "  changes:       8 files, 12 lines added and 3 removed: mm/zswap.c, ";
        assert!(told.contains(changes) && told.contains("mm/zswap.c and 2 more\n"), "{told}");
    }

    #[test]
    fn what_cannot_be_told_apart_is_named_together() {
        let told = told(|at| at >= 3, true);
        assert!(
            told.contains("The bug went with one of these, of which all but the last"),
            "{told}"
        );
        assert!(told.contains(": c2, c3\n") && told.contains("k2 (cannot be tested)"), "{told}");
        assert!(!told.contains("Fixes:"), "{told}");
    }

    #[test]
    fn no_culprit_is_told_with_what_the_ends_showed() {
        let everywhere = told(|_| true, false);
        assert!(everywhere.contains("the good end has the bug, too"), "{everywhere}");
        let nowhere = told(|_| false, false);
        assert!(nowhere.contains("the bad end did not show the bug"), "{nowhere}");
        assert!(nowhere.contains("bad end:      0 of 5"), "{nowhere}");
    }
}
