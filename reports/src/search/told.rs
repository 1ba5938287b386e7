// SPDX-License-Identifier: MIT OR Apache-2.0
//! A search for a person: what was run, what is known, and the answer.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::Search;
use super::answer::{Answer, Verdict};
use super::branch::Merge;
use super::diffstat::DiffStat;
use super::evidence::Predicate;
use super::posterior::Tally;
use super::range::Range;
use super::rate::Rate;
use crate::escape::printable;
use crate::statistics::{relative, rule};

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
    /// The same file by file; `None` in a log of before there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diffstat: Option<DiffStat>,
    /// Of a merge, the command by which its branch is searched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
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

/// Searches as text, each ending with a newline, and parted by empty lines: behind one that named a merge stands that of its branch.
pub fn text(searches: &[(&Range, Search)]) -> String {
    let told = searches.iter().enumerate().map(|(at, (range, search))| {
        let is_followed = searches.get(at + 1).is_some_and(|(next, _)| next.merge.is_some());
        one(search, &search.conclusion(), range, is_followed)
    });
    told.collect::<Vec<_>>().join("\n")
}

/// A search as text; `is_followed`: that of its merge's branch stands behind it.
fn one(search: &Search, answer: &Answer, range: &Range, is_followed: bool) -> String {
    let (labels, is_fix) = (&range.labels()[..], range.is_fix);
    let mut text = String::new();
    if let Some(merge) = &range.merge {
        let _ = writeln!(text, "In the branch that was merged by {}:", printable(&merge.change));
    }
    text += &path(search, labels);
    let rows = labels.len();
    let name = |at: usize| match labels.get(at) {
        Some(label) if at > 0 => printable(&label.change).into_owned(),
        Some(_) => "in the good end already".to_owned(),
        None if at == rows => "in none of the kernels".to_owned(),
        None => at.to_string(),
    };
    let per_cent = 100.0 * answer.probability;
    let ends = if is_fix { ["fixed", "unfixed"] } else { ["good", "bad"] };
    let _ = writeln!(text, "\n{}", headline(answer, &name, ends, range));
    if let Verdict::Culprit { first, last } = answer.verdict {
        let _ = writeln!(text, "  probability:   {per_cent:.2} %");
        if let Some(merge) = &range.merge {
            let both = per_cent * merge.probability;
            let _ = writeln!(text, "                 {both:.2} % together with the merge");
        }
        for label in labels.get(first..=last).unwrap_or_default() {
            if let Some(author) = &label.author {
                let _ = writeln!(text, "  author:        {}", printable(author));
            }
            match (&label.diffstat, &label.stat) {
                (Some(files), _) => {
                    let _ = writeln!(text, "  changes:");
                    text += &files.text("    ");
                }
                (None, Some(stat)) => {
                    let _ = writeln!(text, "  changes:       {}", printable(stat));
                }
                (None, None) => {}
            }
            if let Some(branch) = label.branch.as_ref().filter(|_| !is_followed) {
                let _ =
                    writeln!(text, "  merge:         {} searches its branch", printable(branch));
            }
            if let Some(fixes) = label.fixes.as_ref().filter(|_| !is_fix) {
                let _ = writeln!(text, "  Fixes: {}", printable(fixes));
            }
        }
    }
    if search.is_measured() {
        text += &of_statistic(answer, range, ends);
    } else if let Verdict::Culprit { .. } = answer.verdict {
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
    // Where a test of the ends found nothing to search, no commit is likelier than another.
    let is_searched = answer.shift.is_some() || !search.is_measured();
    if is_searched {
        let _ = writeln!(text, "  with 95 %:     {}{more}", named.join(", "));
    }
    if search.prior_bits() >= 0.05 {
        let _ = writeln!(
            text,
            "  prior:         the weights of the commits narrowed the range by {:.1} bits",
            search.prior_bits()
        );
    }
    text
}

/// The first of these searches for a program, with those of merges' branches in it: JSON that ends with a line feed.
pub fn json(searches: &[(&Range, Search)]) -> String {
    let told = |(range, search): &(&Range, Search)| value(search, &search.conclusion(), range);
    let mut told: Vec<serde_json::Value> = searches.iter().map(told).collect();
    let branches = told.split_off(told.len().min(1));
    let mut first = told.pop().unwrap_or_default();
    if let (Some(object), false) = (first.as_object_mut(), branches.is_empty()) {
        object.insert("branches".to_owned(), branches.into());
    }
    let mut text = serde_json::to_string_pretty(&first).unwrap_or_default();
    text.push('\n');
    text
}

/// The same as a part of something larger.
pub(crate) fn value(search: &Search, answer: &Answer, range: &Range) -> serde_json::Value {
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
        predicate: &'a Predicate,
        #[serde(skip_serializing_if = "Option::is_none")]
        merge: Option<&'a Merge>,
        is_fix: bool,
        confidence: f64,
        answer: &'a Answer,
        prior_bits: f64,
        positions: Vec<Position<'a>>,
    }
    let labels = range.labels();
    let mut positions = Vec::new();
    for (at, (label, tally)) in labels.iter().zip(search.tallies()).enumerate() {
        let (untestable, probability) = (search.is_untestable(at), search.posterior().mass()[at]);
        positions.push(Position { label, tally: *tally, untestable, probability });
    }
    let Range { predicate, is_fix, confidence, .. } = range;
    let (is_fix, confidence, prior_bits) = (*is_fix, *confidence, search.prior_bits());
    let merge = range.merge.as_ref();
    let told = Told { predicate, merge, is_fix, confidence, answer, prior_bits, positions };
    serde_json::to_value(&told).unwrap_or_default()
}

/// How a statistic differs, in lines.
fn of_statistic(answer: &Answer, range: &Range, [good, bad]: [&str; 2]) -> String {
    let mut text = String::new();
    let Predicate::Regression(metric) = &range.predicate else { return text };
    let change = |log: f64| format!("{:+.1} %", 100.0 * relative(log));
    if let Some(shift) = &answer.shift {
        let [before, behind] = shift.runs;
        let _ = writeln!(
            text,
            "  {metric}: {} from it on (95 %: {} to {}), by {behind} storms beside {before} before it; a storm's spread is {:.1} %",
            change(shift.shift),
            change(shift.shift - shift.reach),
            change(shift.shift + shift.reach),
            100.0 * shift.spread
        );
    }
    match &answer.ends {
        None => {
            let _ = writeln!(text, "  ends:          no pair of storms can be compared");
        }
        Some(ends) => {
            let interval = ends.interval.map_or_else(String::new, |interval| {
                format!(" (95 %: {} to {})", change(interval.low), change(interval.high))
            });
            let shift = ends.shift.map_or_else(|| "not known".to_owned(), change);
            let _ = writeln!(
                text,
                "  ends:          {metric} of the {bad} end by the {good} one: {shift}{interval}"
            );
        }
    }
    text
}

/// The answer in a sentence.
fn headline(
    answer: &Answer,
    name: &impl Fn(usize) -> String,
    [good, bad]: [&str; 2],
    range: &Range,
) -> String {
    let (thing, metric) = match &range.predicate {
        Predicate::Regression(metric) => ("regression", metric.as_str()),
        _ => ("bug", ""),
    };
    let came = format!("The {thing} {} with", if range.is_fix { "went" } else { "came" });
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
        Verdict::WrongWayRound if thing == "regression" => {
            format!("The ends are the wrong way round: {metric} is better at the {bad} one")
        }
        Verdict::EndsAlike => {
            let tested = answer.ends.as_ref().map(|ends| (ends.verdict, ends.interval));
            let by = match tested {
                Some((rule::Verdict::NoChangeLargerThan { share }, _)) => {
                    format!(
                        "the ends do not differ in {metric} by more than {:.1} %",
                        100.0 * share
                    )
                }
                Some((rule::Verdict::SmallShift, _)) => {
                    format!("the ends differ in {metric}, but by less than matters")
                }
                Some((_, Some(interval))) => format!(
                    "the ends were not found to differ in {metric}; they do not by more than {:.1} %",
                    100.0 * relative(interval.reach())
                ),
                _ => format!("{metric} could not be measured at both ends"),
            };
            format!("No culprit in the range: {by}")
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
    let heading = match search.is_measured() {
        true => "  storms   by good end  said nothing  probability  kernel\n",
        false => "  with bug    clean  said nothing  probability  kernel\n",
    };
    let mut text = heading.to_owned();
    let good_end = search.tallies().first().and_then(|tally| tally.values.mean()).unwrap_or(0.0);
    let mut left_out = 0;
    for (at, (label, tally)) in labels.iter().zip(search.tallies()).enumerate() {
        let mass = search.posterior().mass()[at];
        let is_seen = tally.is_evidence() || tally.barren > 0 || search.is_untestable(at);
        if !is_seen && mass < LEAST_LISTED {
            left_out += 1;
            continue;
        }
        let note = if search.is_untestable(at) { " (cannot be tested)" } else { "" };
        let seen = match tally.values.mean() {
            Some(mean) => {
                format!("{:6} {:+11.1} %", tally.values.count, 100.0 * relative(mean - good_end))
            }
            None if search.is_measured() => format!("{:6} {:>13}", 0, "-"),
            None => format!("{:8} {:8.1}", tally.hits, tally.clean),
        };
        let _ = writeln!(
            text,
            "  {seen} {:13} {:10.2} %  {}{note}",
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
    use crate::search::range::Position;
    use crate::search::{Commit, Options, Outcome, Step};

    fn labels() -> Vec<Label> {
        let label = |at: usize| Label {
            kernel: format!("k{at}"),
            change: format!("c{at}"),
            author: Some("A <a@example.org>\u{1b}[31m".to_owned()),
            fixes: Some(format!("00{at} (\"mm: c{at}\")")),
            stat: stat(["mm/zswap.c"; 8], (12, 3)),
            diffstat: None,
            branch: (at == 4).then(|| "swapstorm bisect --good r:a --bad r:b".to_owned()),
        };
        (0..=4).map(label).collect()
    }

    /// Four commits of which the third is the culprit; `hit` says which kernels show the bug.
    fn told(hit: impl Fn(usize) -> bool, is_fix: bool) -> String {
        let commits = [Commit { weight: 1.0, build: 1.0 }; 4];
        let mut search = Search::new(Options::default(), 1.0, &commits).unwrap();
        let position = |label| Position { population: String::new(), label, weight: 1.0 };
        let range = Range {
            positions: labels().into_iter().map(position).collect(),
            predicate: Predicate::Expected,
            confidence: 0.95,
            budget: None,
            storm_ms: 1,
            is_fix,
            merge: None,
        };
        loop {
            match search.next() {
                Step::Build { at } if at == 2 => search.seen(at, Outcome::Untestable),
                Step::Build { at } => search.seen(at, Outcome::Built),
                Step::Run { at, .. } if hit(at) => search.seen(at, Outcome::Hit),
                Step::Run { at, .. } => search.seen(at, Outcome::Clean(1.0)),
                Step::Ends { .. } => panic!("nothing is measured"),
                Step::Done(_) => return text(&[(&range, search)]),
            }
        }
    }

    #[test]
    fn a_culprit_is_told_with_its_evidence_and_nothing_reaches_the_terminal_raw() {
        let told = told(|at| at >= 4, false);
        assert!(told.contains("The bug came with c4\n"), "{told}");
        assert!(told.contains("  Fixes: 004 (\"mm: c4\")\n") && !told.contains('\u{1b}'), "{told}");
        assert!(told.contains("with 95 %:     c4\n"), "{told}");
        assert!(
            told.contains("  merge:         swapstorm bisect --good r:a --bad r:b searches"),
            "{told}"
        );
        let changes = "  changes:       8 files, 12 lines added and 3 removed: mm/zswap.c, ";
        assert!(told.contains(changes) && told.contains("mm/zswap.c and 2 more\n"), "{told}");
    }

    #[test]
    fn a_search_in_a_merges_branch_stands_behind_the_one_that_named_the_merge() {
        let searched = || {
            let commits = [Commit { weight: 1.0, build: 1.0 }; 4];
            let mut search = Search::new(Options::certain(), 1.0, &commits).unwrap();
            loop {
                match search.next() {
                    Step::Build { at } => search.seen(at, Outcome::Built),
                    Step::Run { at: 4, .. } => search.seen(4, Outcome::Hit),
                    Step::Run { at, .. } => search.seen(at, Outcome::Clean(1.0)),
                    Step::Ends { .. } => panic!("nothing is measured"),
                    Step::Done(_) => return search,
                }
            }
        };
        let position = |label| Position { population: String::new(), label, weight: 1.0 };
        let first = Range {
            positions: labels().into_iter().map(position).collect(),
            predicate: Predicate::BuildFailure,
            confidence: 0.95,
            budget: None,
            storm_ms: 1,
            is_fix: false,
            merge: None,
        };
        let merge = Merge { change: "c4\u{1b}".to_owned(), probability: 0.9 };
        let mut second = Range { merge: Some(merge), ..first.clone() };
        second.positions[4].label.branch = None;
        let both = [(&first, searched()), (&second, searched())];
        let told = text(&both);
        assert!(!told.contains("searches its branch") && !told.contains('\u{1b}'), "{told}");
        let (_, branch) = told.split_once("In the branch that was merged by c4").unwrap();
        let both_are_it =
            format!("{:.2} % together with the merge", 90.0 * both[1].1.conclusion().probability);
        assert!(
            branch.contains("The bug came with c4") && branch.contains(&both_are_it),
            "{branch}"
        );
        let json: serde_json::Value = serde_json::from_str(&json(&both)).unwrap();
        assert_eq!(json["branches"][0]["merge"]["probability"], 0.9, "{json:#}");
        assert!(
            json.get("merge").is_none() && json["answer"]["verdict"]["what"] == "culprit",
            "{json:#}"
        );
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

    #[test]
    fn ends_that_do_not_differ_in_a_statistic_are_told_with_how_much_they_do_not() {
        let commits = [Commit { weight: 1.0, build: 1.0 }; 4];
        let mut search = Search::new(Options::measured(), 1.0, &commits).unwrap();
        for value in [0.1, 0.12, 0.09] {
            search.seen(0, Outcome::Measured(value));
            search.seen(4, Outcome::Measured(value + 0.01));
        }
        let verdict = rule::Verdict::NoChangeLargerThan { share: 0.031 };
        let (shift, interval, p, look) = (Some(0.01), None, None, None);
        let tested = rule::Assessment { verdict, shift, interval, spread: 0.1, p, look };
        search.compare_ends(16, tested);
        let position = |label| Position { population: String::new(), label, weight: 1.0 };
        let range = Range {
            positions: labels().into_iter().map(position).collect(),
            predicate: Predicate::Regression("swapoff-p99".to_owned()),
            confidence: 0.95,
            budget: None,
            storm_ms: 1,
            is_fix: false,
            merge: None,
        };
        let told = text(&[(&range, search)]);
        let wanted = "the ends do not differ in swapoff-p99 by more than 3.1 %\n";
        assert!(told.contains(wanted), "{told}");
        assert!(told.contains("       3        +0.0 %") && told.contains("+1.0 %"), "{told}");
        assert!(!told.contains("c4"), "{told}");
    }
}
