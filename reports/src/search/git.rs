// SPDX-License-Identifier: MIT OR Apache-2.0
//! A search of commits in the words of `git bisect log`, so that `git bisect replay` goes on where it ended.

use std::fmt::Write;

use super::Search;
use super::posterior::Tally;
use super::range::{Position, Range};
use super::told::Label;
use crate::escape::printable;

/// Letters of a commit id: SHA-1's, and SHA-256's.
const ID: [usize; 2] = [40, 64];

/// The log of searches of which each but the first is in the branch of a merge that the one before it named; `None` if what was
/// searched are no commits, or not both ends have been run. A commit that was run is marked if its mark is as probable as the
/// search's answer must be, and one that cannot be tested is skipped.
pub fn log(searches: &[(&Range, Search)]) -> Option<String> {
    let all: Vec<Marks> =
        searches.iter().map(|(range, search)| Marks::of(range, search)).collect::<Option<_>>()?;
    let is_fix = searches.first()?.0.is_fix;
    // Where a fix is searched, the newest commit comes first.
    let [old, new] = if is_fix { ["broken", "fixed"] } else { ["good", "bad"] };
    // git leaves out whatever of its own log is not quoted.
    let terms = if is_fix { " '--term-new=fixed' '--term-old=broken'" } else { "" };
    let mut text = "# made by swapstorm bisect log: git bisect replay takes it\n".to_owned();
    let way = if all.len() == 1 { " '--first-parent'" } else { "" };
    let _ = writeln!(text, "git bisect start{terms}{way}");
    // The newest one that is marked in a branch has only what the branch has behind it: what was marked outside of it is no
    // ancestor of it, and git would ask for a commit that both have. The merge has both sides behind it.
    let nearest = all.iter().rposition(|marks| marks.new.len() > 1).unwrap_or(0);
    let (all, searches) = (&all[nearest..], &searches[nearest..]);
    // git keeps one newest mark, the last that it is told: so those that are nearest to the culprit come last.
    let newest = all.first()?.new.iter().map(|at| (0, *at));
    let of = |pick: fn(&Marks) -> &Vec<usize>| {
        let marks = all.iter().enumerate();
        marks.flat_map(|(search, marks)| pick(marks).iter().map(move |at| (search, *at))).collect()
    };
    let mut told: Vec<(&str, Vec<(usize, usize)>)> = vec![
        (old, of(|marks| &marks.old)),
        ("skip", of(|marks| &marks.skipped)),
        (new, newest.collect()),
    ];
    if is_fix {
        told.reverse();
    }
    for (mark, at) in told {
        for (search, at) in at {
            let position = searches[search].0.positions.get(at);
            let words = position.map_or("", |position| position.label.change.as_str());
            let id = &all[search].ids[at];
            let _ = writeln!(text, "# {mark}: [{id}] {}", printable(words));
            let _ = writeln!(text, "git bisect {mark} {id}");
        }
    }
    Some(text)
}

/// What a search is sure of, as positions.
struct Marks {
    ids: Vec<String>,
    /// Those that are new in git's words, from the newest to the one nearest to the culprit.
    new: Vec<usize>,
    old: Vec<usize>,
    skipped: Vec<usize>,
}

impl Marks {
    fn of(range: &Range, search: &Search) -> Option<Self> {
        let id = |position: &Position| id(&position.label).map(str::to_owned);
        let ids: Vec<String> = range.positions.iter().map(id).collect::<Option<_>>()?;
        let last = ids.len().checked_sub(1).filter(|last| *last > 0)?;
        let mass = search.posterior().mass();
        let (mut firsts, mut lasts, mut skipped) = (vec![0], vec![last], Vec::new());
        for at in 1..last {
            // Probability that the bug is in this one.
            let has: f64 = mass.get(..=at)?.iter().sum();
            let was_run = search.tallies().get(at).is_some_and(Tally::is_evidence);
            if search.is_untestable(at) {
                skipped.push(at);
            } else if was_run && has >= range.confidence {
                lasts.push(at);
            } else if was_run && 1.0 - has >= range.confidence {
                firsts.push(at);
            }
        }
        lasts.sort_unstable_by(|a, b| b.cmp(a));
        let (new, old) = if range.is_fix { (firsts, lasts) } else { (lasts, firsts) };
        Some(Self { ids, new, old, skipped })
    }
}

/// The commit id at the end of a kernel's name, `REPO:ID`.
fn id(label: &Label) -> Option<&str> {
    let (_, id) = label.kernel.rsplit_once(':')?;
    let is_id = ID.contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::evidence::Predicate;
    use crate::search::{Commit, Options, Outcome};

    fn range(commits: usize, is_fix: bool) -> Range {
        let position = |at: usize| Position {
            population: at.to_string(),
            label: Label {
                kernel: format!("../linux:{at:040x}"),
                change: format!("c{at}\ngit bisect bad evil"),
                ..Label::default()
            },
            weight: 1.0,
        };
        Range {
            positions: (0..=commits).map(position).collect(),
            predicate: Predicate::Expected,
            confidence: 0.95,
            budget: None,
            storm_ms: 1,
            is_fix,
            merge: None,
        }
    }

    fn searched() -> Search {
        let commits = [Commit { weight: 1.0, build: 1.0 }; 6];
        let mut search = Search::new(Options::default(), 1.0, &commits).unwrap();
        search.seen(3, Outcome::Untestable);
        for _ in 0..9 {
            search.seen(6, Outcome::Hit);
            search.seen(4, Outcome::Hit);
            search.seen(0, Outcome::Clean(1.0));
            search.seen(2, Outcome::Clean(1.0));
        }
        // One clean run says little.
        search.seen(5, Outcome::Barren);
        search
    }

    /// The commands of a log.
    fn commands(log: &str) -> Vec<String> {
        let lines = log.lines().filter(|line| !line.starts_with('#'));
        lines.map(|line| line.replace(&"0".repeat(39), "")).collect()
    }

    #[test]
    fn what_is_sure_is_marked_and_what_cannot_be_tested_is_skipped() {
        let log = log(&[(&range(6, false), searched())]).unwrap();
        let expected = [
            "git bisect start '--first-parent'",
            "git bisect good 0",
            "git bisect good 2",
            "git bisect skip 3",
            "git bisect bad 6",
            "git bisect bad 4",
        ];
        assert_eq!(commands(&log), expected);
        let fix = super::log(&[(&range(6, true), searched())]).unwrap();
        assert_eq!(
            commands(&fix)[..3],
            [
                "git bisect start '--term-new=fixed' '--term-old=broken' '--first-parent'",
                "git bisect fixed 0",
                "git bisect fixed 2"
            ]
        );
    }

    /// A search in the branch of `6`, which has `a` to `d` and the merge behind it; those from `first` on have the bug.
    fn in_branch(first: usize, is_fix: bool) -> (Range, Search) {
        let commits = [Commit { weight: 1.0, build: 1.0 }; 4];
        let mut search = Search::new(Options::certain(), 1.0, &commits).unwrap();
        for at in 0..=4 {
            (0..5).for_each(|_| {
                search.seen(at, if at >= first { Outcome::Hit } else { Outcome::Clean(1.0) })
            });
        }
        let merge = Some(super::super::branch::Merge { change: String::new(), probability: 0.99 });
        let mut range = Range { merge, ..range(4, is_fix) };
        for (at, position) in range.positions.iter_mut().enumerate() {
            let is_merge = at == if is_fix { 0 } else { 4 };
            let id = if is_merge { usize::from(!is_fix) * 6 } else { at + 10 };
            position.label.kernel = format!("../linux:{id:040x}");
        }
        (range, search)
    }

    #[test]
    fn of_a_branch_only_what_its_newest_mark_has_behind_it_is_marked() {
        let first = range(6, false);
        let logged = |(branch, inner): &(Range, Search)| {
            commands(&log(&[(&first, searched()), (branch, inner.clone())]).unwrap())
        };
        // A commit of the branch has the bug.
        let found = ["start", "good a", "good b", "bad 6", "bad d", "bad c"];
        assert_eq!(logged(&in_branch(2, false)), found.map(|words| format!("git bisect {words}")));
        // The merge itself has it: both sides are behind it.
        let found = [
            "start", "good 0", "good 2", "good a", "good b", "good c", "good d", "skip 3", "bad 6",
            "bad 4",
        ];
        assert_eq!(logged(&in_branch(4, false)), found.map(|words| format!("git bisect {words}")));
        // Of a fix the merge is the newest of the branch, too.
        let (branch, inner) = in_branch(2, true);
        let log = log(&[(&range(6, true), searched()), (&branch, inner)]).unwrap();
        let found = [
            "start '--term-new=fixed' '--term-old=broken'",
            "fixed 0",
            "fixed b",
            "broken e",
            "broken d",
            "broken c",
        ];
        assert_eq!(commands(&log), found.map(|words| format!("git bisect {words}")));
    }

    #[test]
    fn patches_are_no_commits() {
        let mut range = range(6, false);
        range.positions[2].label.kernel = "debian-6.1 + x[1/2]".to_owned();
        assert_eq!(log(&[(&range, searched())]), None);
    }
}
