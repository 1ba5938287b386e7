// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether the stated confidence is kept, and what it costs, in short: `benches/search.rs` prints the tables of
//! `reports/SEARCH.md`.

use super::world::{Mean, Trouble, bound, check_bound, runs_a_step};

const RATES: [f64; 4] = [0.1, 0.3, 0.5, 1.0];

#[test]
fn stated_confidence_is_kept_in_trouble() {
    for (trouble, rate) in Trouble::ALL.into_iter().zip(RATES.iter().cycle()) {
        let got = Mean::search(100, 32, *rate, trouble, 20.0);
        // 95 of 100 are promised; fewer than 89 would come once in a hundred times.
        assert!(got.right >= 0.89, "{trouble:?} {rate}: {}", got.right);
    }
}

#[test]
fn runs_and_builds_stay_within_their_bounds() {
    for rate in [0.1, 0.3, 1.0] {
        let got = Mean::search(60, 32, rate, Trouble::None, 0.0);
        let times = got.runs / bound(32, rate, 0.95);
        assert!(times < 2.5, "{rate}: {times}");
        let got = Mean::search(60, 32, rate, Trouble::None, 20.0);
        assert!(got.builds < 8.0, "{rate}: {}", got.builds);
    }
}

#[test]
fn ten_runs_a_step_are_wrong_more_often_than_right_at_a_low_rate() {
    let usual = Mean::halve(500, 32, 0.1, 10, false);
    assert!((0.3..0.45).contains(&usual.right), "{}", usual.right);
    // So many as it takes are right, and one fewer is not enough.
    let k = runs_a_step(32, 0.1, 0.95);
    assert!(Mean::halve(2000, 32, 0.1, k, false).right > 0.94);
    assert!(Mean::halve(2000, 32, 0.1, k - 8, false).right < 0.94);
}

#[test]
fn telling_culprit_and_parent_apart_takes_a_part_of_what_a_search_takes_and_the_ends_another() {
    let (trials, commits, rate) = (40, 16, 0.3);
    let told = Mean::told(trials, commits, rate);
    let usual = Mean::search(trials, commits, rate, Trouble::None, 0.0);
    assert!(told.right >= 0.9, "{}", told.right);
    let least = check_bound(rate, 0.95).max(bound(commits, rate, 0.95));
    assert!(least < told.runs && told.runs < usual.runs, "{least} {} {}", told.runs, usual.runs);
}
