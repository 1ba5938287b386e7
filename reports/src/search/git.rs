// SPDX-License-Identifier: MIT OR Apache-2.0
//! A search of commits in the words of `git bisect log`, so that `git bisect replay` goes on where it ended.

use std::fmt::Write;

use super::Search;
use super::posterior::Tally;
use super::range::Range;
use super::told::Label;
use crate::escape::printable;

/// Letters of a commit id: SHA-1's, and SHA-256's.
const ID: [usize; 2] = [40, 64];

/// The log; `None` if what was searched are no commits, or not both ends have been run. A commit that was run is marked if its
/// mark is as probable as the search's answer must be, and one that cannot be tested is skipped.
pub fn log(range: &Range, search: &Search) -> Option<String> {
    let ids: Vec<&str> = range.positions.iter().map(|p| id(&p.label)).collect::<Option<_>>()?;
    let last = ids.len().checked_sub(1).filter(|last| *last > 0)?;
    // Where a fix is searched, the newest commit comes first.
    let [old, new] = if range.is_fix { ["broken", "fixed"] } else { ["good", "bad"] };
    let [first_mark, last_mark] = if range.is_fix { [new, old] } else { [old, new] };
    let terms = if range.is_fix { " --term-new=fixed --term-old=broken" } else { "" };
    let mut text = "# made by swapstorm bisect log: git bisect replay takes it\n".to_owned();
    let _ = writeln!(text, "git bisect start{terms} --first-parent");
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
    // git keeps one newest mark, the last that it is told: so those that are nearest to the culprit come last.
    lasts.sort_unstable_by(|a, b| b.cmp(a));
    for (mark, at) in [(first_mark, firsts), ("skip", skipped), (last_mark, lasts)] {
        for at in at {
            let words = range.positions.get(at).map_or("", |p| p.label.change.as_str());
            let _ = writeln!(text, "# {mark}: [{}] {}", ids[at], printable(words));
            let _ = writeln!(text, "git bisect {mark} {}", ids[at]);
        }
    }
    Some(text)
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
    use crate::search::range::Position;
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
        let log = log(&range(6, false), &searched()).unwrap();
        let expected = [
            "git bisect start --first-parent",
            "git bisect good 0",
            "git bisect good 2",
            "git bisect skip 3",
            "git bisect bad 6",
            "git bisect bad 4",
        ];
        assert_eq!(commands(&log), expected);
        let fix = super::log(&range(6, true), &searched()).unwrap();
        assert_eq!(
            commands(&fix)[..3],
            [
                "git bisect start --term-new=fixed --term-old=broken --first-parent",
                "git bisect fixed 0",
                "git bisect fixed 2"
            ]
        );
    }

    #[test]
    fn patches_are_no_commits() {
        let mut range = range(6, false);
        range.positions[2].label.kernel = "debian-6.1 + x[1/2]".to_owned();
        assert_eq!(log(&range, &searched()), None);
    }
}
