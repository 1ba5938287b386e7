// SPDX-License-Identifier: MIT OR Apache-2.0
//! Prints the tables of `reports/SEARCH.md`: searches in ranges of which the truth is known. It takes half an hour of an idle machine.
//!
//! `SEARCHES` says how many searches are behind each number (2000), `COMMITS` how long the ranges are (`32,16,256,4096`; what is
//! longer than 32 gets a fifth of the searches). With `TOLD=1` it prints what is to be had at best in place of them.

use std::io::{self, Write as _};

// What it shares with the tests, which names things by their places in the crate.
use reports::search;
#[allow(dead_code, reason = "the tests draw more than these searches do")]
#[path = "../src/statistics/tests/random.rs"]
mod random;
#[path = "../src/search/tests/world.rs"]
mod world;
mod statistics {
    pub(crate) mod tests {
        pub(crate) use crate::random;
    }
}

use world::{Mean, Trouble, bound, check_bound, runs_a_step};

const RATES: [f64; 6] = [0.02, 0.05, 0.1, 0.3, 0.5, 1.0];
/// Searches behind each number of the tables, unless `SEARCHES` says otherwise.
const MANY: u64 = 2000;
/// Long ranges get so many times fewer.
const FEWER: u64 = 5;
/// Lengths of the ranges, unless `COMMITS` says otherwise.
const LENGTHS: [usize; 4] = [32, 16, 256, 4096];

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    let lengths = std::env::var("COMMITS").unwrap_or_default();
    let lengths: Vec<usize> = lengths.split(',').filter_map(|n| n.parse().ok()).collect();
    let lengths = if lengths.is_empty() { LENGTHS.to_vec() } else { lengths };
    let many = std::env::var("SEARCHES").ok().and_then(|n| n.parse().ok()).unwrap_or(MANY);
    let fewer = (many / FEWER).max(1);
    if std::env::var_os("TOLD").is_some() {
        return told(&mut out, &lengths, many);
    }
    writeln!(out, "Right at a stated 0.95, {many} searches: 32 commits, a build costs 20 runs\n")?;
    writeln!(out, "| | 0.02 | 0.05 | 0.1 | 0.3 | 0.5 | 1 |\n|---|---|---|---|---|---|---|")?;
    for trouble in Trouble::ALL {
        let of = |rate| Mean::search(many, 32, rate, trouble, 20.0).right;
        let row: Vec<String> = RATES.iter().map(|rate| format!("{:.3}", of(*rate))).collect();
        writeln!(out, "| {trouble:?} | {} |", row.join(" | "))?;
    }
    for commits in lengths {
        let trials = if commits > 32 { fewer } else { many };
        writeln!(out, "\n{commits} commits, {trials} searches for each number\n")?;
        writeln!(
            out,
            "| rate | bound | runs, build 0 | right | runs, build 20 | builds | right | cost / fixed rule, build 0 | 20 | \
             100 | fixed rule's right | ten runs a step: right |\n|---|---|---|---|---|---|---|---|---|---|---|---|"
        )?;
        for rate in RATES {
            let limit = bound(commits, rate, 0.95);
            let k = runs_a_step(commits, rate, 0.95);
            let bare = Mean::halve(trials, commits, rate, k, false);
            let checked = Mean::halve(trials, commits, rate, k, true);
            let usual = Mean::halve(trials, commits, rate, 10, false);
            let costs = [0.0, 20.0, 100.0];
            let got = costs.map(|c| Mean::search(trials, commits, rate, Trouble::None, c));
            let ratio = |at: usize| {
                let cost = |mean: &Mean| mean.runs + costs[at] * mean.builds;
                let got = cost(&got[at]);
                format!("{:.2} ({:.2})", got / cost(&checked), got / cost(&bare))
            };
            let [cheap, usually, _] = &got;
            writeln!(
                out,
                "| {rate} | {limit:.1} | {:.1} = {:.2} x | {:.3} | {:.1} | {:.1} | {:.3} | {} | {} | {} | {:.3} | {:.3} |",
                cheap.runs,
                cheap.runs / limit,
                cheap.right,
                usually.runs,
                usually.builds,
                usually.right,
                ratio(0),
                ratio(1),
                ratio(2),
                bare.right,
                usual.right,
            )?;
        }
    }
    Ok(())
}

/// What nobody can do without, and what this search takes if it is told what it has to find out otherwise.
fn told(out: &mut impl io::Write, lengths: &[usize], many: u64) -> io::Result<()> {
    for commits in lengths {
        writeln!(out, "\n{commits} commits, {many} searches for each number\n")?;
        writeln!(
            out,
            "| rate | bound | culprit and parent | runs | told rate and ends | right |\n|---|---|---|---|---|---|"
        )?;
        for rate in RATES {
            let limit = bound(*commits, rate, 0.95);
            let check = check_bound(rate, 0.95);
            let usual = Mean::search(many, *commits, rate, Trouble::None, 0.0);
            let told = Mean::told(many, *commits, rate);
            let of_limit = |runs: f64| format!("{runs:.1} = {:.2} x", runs / limit);
            writeln!(
                out,
                "| {rate} | {limit:.1} | {} | {} | {} | {:.3} |",
                of_limit(check),
                of_limit(usual.runs),
                of_limit(told.runs),
                told.right
            )?;
        }
    }
    Ok(())
}
