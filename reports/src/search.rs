// SPDX-License-Identifier: MIT OR Apache-2.0
//! The search for the commit that brought a bug which only sometimes shows.
//!
//! A clean run of a kernel proves little, so the search keeps a probability for each commit ([`posterior`]), and each
//! run changes it. It asks for the build or the runs that tell most for their cost ([`choice`]), and ends when one
//! commit is as probable as was asked for, and has been run again beside its parent.
//!
//! A search is a function over an oracle, and knows neither kernels nor clocks: [`Search::next`] says what to do, and
//! whoever does it says by [`Search::seen`] what came of it. The same sequence of outcomes gives the same search, so
//! one that was interrupted is had again from its log.
//!
//! History is linear: a range of git is walked by first parents, and a merge is one commit. "The bug is at a commit and
//! all behind it" would be "at all that descend from it" in a graph, where no sums from the end exist. Where a merge is the
//! culprit, a search of its own follows in the branch ([`branch`]).
//!
//! A *fix* is searched in the range reversed: the fixed end is its good end, and the kernels with the bug lie behind it. The
//! change between the culprit and its parent there is the fix.

pub mod answer;
pub mod branch;
mod choice;
pub mod diffstat;
pub mod evidence;
pub mod git;
pub mod level;
pub mod posterior;
pub mod range;
pub mod rate;
mod statistic;
#[cfg(test)]
mod tests;
pub mod told;
pub mod weight;

use std::ops::RangeInclusive;

use self::answer::{Answer, Verdict};
use self::choice::{Chooser, Price, Signal};
use self::level::Shift;
use self::posterior::{Posterior, Tally, entropy};
use self::rate::RatePrior;
use crate::statistics::rule::{self, Assessment, LOOKS};

/// No commit's prior is below this share of an even one, so that a wrong prior costs 4.3 bits at most.
const LEAST_PRIOR: f64 = 1.0 / 20.0;
/// A kernel of which so many runs said nothing, and none anything, cannot be tested.
const MOST_BARREN: u32 = 10;
/// A culprit this probable is run again beside its parent: runs that the search would ask for, too.
const HANDOVER: f64 = 0.5;
/// The search ends at this share of the doubt that is allowed, since what it assumes of rates is not what they are.
const MARGIN: f64 = 0.8;
/// The parent's rate is taken to be known by no more than so many sights of the bug: it need not be the same everywhere. Of
/// this and the two above, and of what [`Options::default`] has, others were simulated, and were wrong more often or longer.
const SIGHTS_NEXT_DOOR: f64 = 2.2;
/// Below this the two are left for the search.
const TAKEN_BACK: f64 = 0.3;
/// So many silent runs of the bad end make one wonder whether the ends are the wrong way round.
const WONDER: f64 = 32.0;
/// The good end gets one run for so many silent ones of the bad end.
const WONDER_SHARE: f64 = 4.0;
/// Share of neighbours of an untestable commit that are untestable, too.
const BROKEN_NEIGHBOUR: f64 = 0.5;
/// Distance, in commits, at which that has fallen by half.
const BROKEN_DISTANCE: f64 = 2.0;

/// How to search.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// Probability that the answer must have; above 0.5 and below 1.
    pub confidence: f64,
    /// What is believed of the bug's rate.
    pub rate: RatePrior,
    /// Chance that a kernel without the bug gives the same report in a run. Not 0, or one stray crash could not be undone.
    pub false_alarm: f64,
    /// Probability, before anything is run, that no commit of the range is the culprit. Half of it is that the good end has
    /// the bug, half that the bad end does not.
    pub absent: f64,
    /// So often the bug is to be seen at the bad end before the search begins, unless its first run showed it.
    pub sights: u32,
    /// So many runs of the bad end may go by before it is taken not to have the bug.
    pub patience: u32,
    /// Whether runs are measured by a number ([`Outcome::Measured`]), and do not show something or not.
    pub is_measured: bool,
    /// What a run costs, in seconds.
    pub run: f64,
    /// What all of it may cost, in seconds.
    pub budget: f64,
}

impl Default for Options {
    /// For a bug that may show hardly ever.
    fn default() -> Self {
        Self {
            confidence: 0.95,
            rate: RatePrior::SOMETIMES,
            false_alarm: 3e-4,
            absent: 0.02,
            sights: 2,
            patience: 500,
            is_measured: false,
            run: 1.0,
            budget: f64::INFINITY,
        }
    }
}

impl Options {
    /// For what a kernel answers alike each time: whether it compiles, whether it boots.
    pub fn certain() -> Self {
        Self { rate: RatePrior::ALWAYS, sights: 1, patience: 3, ..Self::default() }
    }

    /// For a statistic that regressed. A test has to say first that both ends differ: what it leaves is all the doubt of that.
    pub fn measured() -> Self {
        let usual = Self::default();
        Self { is_measured: true, absent: usual.absent * rule::LEVEL, ..usual }
    }
}

/// A commit of the range.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Commit {
    /// How probable it is as the culprit, beside others; above 0 and finite.
    pub weight: f64,
    /// What its kernel is expected to cost, in seconds; 0 if it is there.
    pub build: f64,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Make the kernel of a position.
    Build {
        /// The position: 0 is the good end, then come the commits.
        at: usize,
    },
    /// Run the kernel of a position, which has been made, until it shows the bug.
    Run {
        /// The position.
        at: usize,
        /// At most so often.
        times: u32,
    },
    /// Run both ends, whose kernels are there or not, so often each, in turns and with the same seeds.
    Ends {
        /// How many pairs.
        pairs: u32,
    },
    /// Nothing: this is the answer.
    Done(Box<Answer>),
}

/// What came of a step. Of several runs each one counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outcome {
    /// There is a kernel.
    Built,
    /// The kernel is that of another position, bit by bit.
    SameAs(usize),
    /// There can be no kernel, or it does not come up. The commit may be the culprit all the same.
    Untestable,
    /// A run showed the bug.
    Hit,
    /// A run did not, over this share of a run's usual exposure.
    Clean(f64),
    /// A run came to this number.
    Measured(f64),
    /// A run said nothing: another crash, or a fault of the machine.
    Barren,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kernel {
    Unknown,
    Ready,
    Untestable,
}

/// A likely culprit and the last kernel before it that can be run, with what both showed since they were chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Check {
    culprit: usize,
    parent: usize,
    of_culprit: Tally,
    of_parent: Tally,
}

/// A search, as far as it has come.
#[derive(Debug, Clone)]
pub struct Search {
    options: Options,
    /// Of each position: what its kernel costs.
    build: Vec<f64>,
    kernels: Vec<Kernel>,
    /// Of each position: the one that is run in its place.
    stands_for: Vec<usize>,
    seen: Vec<Tally>,
    /// Of each hypothesis.
    prior: Vec<f64>,
    /// What the weights say, in bits.
    prior_bits: f64,
    posterior: Posterior,
    check: Option<Check>,
    /// How the ends compare, by so many pairs.
    ends: Option<(u32, Assessment)>,
    spent: f64,
}

impl Search {
    /// A search among `commits`, the first of which stands behind the good end, and the last of which is the bad end.
    /// `good_build` is what the good end's kernel costs. `None` if there is no commit, or a number is not what it must be.
    pub fn new(options: Options, good_build: f64, commits: &[Commit]) -> Option<Self> {
        let in_range = |value: f64, low: f64, high: f64| value > low && value < high;
        let is_sound = in_range(options.confidence, 0.5, 1.0)
            && in_range(options.false_alarm, 0.0, 1.0)
            && in_range(options.absent, 0.0, 1.0)
            && options.rate.hits > 0.0
            && options.rate.misses > 0.0
            && (0.0..1.0).contains(&options.rate.always)
            && options.run > 0.0
            && good_build >= 0.0
            && commits.iter().all(|c| in_range(c.weight, 0.0, f64::INFINITY) && c.build >= 0.0);
        if commits.is_empty() || !is_sound {
            return None;
        }
        let shares = shares(commits);
        let prior_bits = (shares.len() as f64).log2() - entropy(&shares);
        let ends = options.absent / 2.0;
        let mut prior = vec![ends];
        prior.extend(shares.iter().map(|share| share * (1.0 - options.absent)));
        prior.push(ends);
        let positions = commits.len() + 1;
        let seen = vec![Tally::default(); positions];
        let posterior = Posterior::new(&prior, &seen, &options.rate, options.false_alarm);
        Some(Self {
            options,
            build: [good_build].into_iter().chain(commits.iter().map(|c| c.build)).collect(),
            kernels: vec![Kernel::Unknown; positions],
            stands_for: (0..positions).collect(),
            seen,
            prior,
            prior_bits,
            posterior,
            check: None,
            ends: None,
            spent: 0.0,
        })
    }

    /// How likely each hypothesis is by now.
    pub fn posterior(&self) -> &Posterior {
        &self.posterior
    }

    /// By how many bits the weights of the commits narrow the range.
    pub fn prior_bits(&self) -> f64 {
        self.prior_bits
    }

    /// What was seen at each position; what was seen at one with the same kernel stands at the first of them that was run.
    pub fn tallies(&self) -> &[Tally] {
        &self.seen
    }

    /// Whether there can be no kernel of a position, or none that says anything.
    pub fn is_untestable(&self, at: usize) -> bool {
        self.stands_for.get(at).is_some_and(|at| self.kernels[*at] == Kernel::Untestable)
    }

    /// Something took so many seconds.
    pub fn spend(&mut self, seconds: f64) {
        self.spent += seconds.max(0.0);
    }

    /// By so many pairs of runs, the ends compare like this: the bad one is measured by the good one.
    pub fn compare_ends(&mut self, pairs: u32, assessment: Assessment) {
        self.ends = Some((pairs, assessment));
        self.choose_check();
    }

    /// Whether runs are measured by a number.
    pub fn is_measured(&self) -> bool {
        self.options.is_measured
    }

    /// Something came of what was asked for. A position that does not exist is passed over.
    pub fn seen(&mut self, at: usize, outcome: Outcome) {
        let Some(&at) = self.stands_for.get(at) else { return };
        match outcome {
            Outcome::Built => self.made(at),
            Outcome::SameAs(other) => self.unite(at, other),
            Outcome::Untestable => self.kernels[at] = Kernel::Untestable,
            Outcome::Hit => self.count(at, |tally| tally.hits += 1),
            Outcome::Clean(share) if share > 0.0 => self.count(at, |tally| tally.clean += share),
            Outcome::Measured(value) if value.is_finite() => {
                self.count(at, |tally| tally.values.add(value));
            }
            Outcome::Clean(_) | Outcome::Measured(_) | Outcome::Barren => {
                self.count(at, |tally| tally.barren += 1)
            }
        }
        let Options { rate, false_alarm, .. } = &self.options;
        self.posterior = Posterior::new(&self.prior, &self.seen, rate, *false_alarm);
        self.choose_check();
    }

    fn made(&mut self, at: usize) {
        self.kernels[at] = Kernel::Ready;
        self.build[at] = 0.0;
    }

    fn count(&mut self, at: usize, add: impl Fn(&mut Tally)) {
        self.made(at);
        add(&mut self.seen[at]);
        if let Some(check) = &mut self.check {
            if at == self.stands_for[check.culprit] {
                add(&mut check.of_culprit);
            } else if at == self.stands_for[check.parent] {
                add(&mut check.of_parent);
            }
        }
        if !self.seen[at].is_evidence() && self.seen[at].barren >= MOST_BARREN {
            self.kernels[at] = Kernel::Untestable;
        }
    }

    /// Two positions with one kernel: nothing between them can be the culprit.
    fn unite(&mut self, at: usize, other: usize) {
        let Some(&other) = self.stands_for.get(other) else { return };
        self.made(at);
        self.stands_for.iter_mut().filter(|to| **to == at).for_each(|to| *to = other);
        let (first, last) = (at.min(other), at.max(other));
        self.prior[first + 1..=last].fill(0.0);
        let moved = std::mem::take(&mut self.seen[at]);
        self.seen[other] = self.seen[other].plus(&moved);
    }

    fn can_be_run(&self, at: usize) -> bool {
        self.kernels[self.stands_for[at]] != Kernel::Untestable
    }

    /// The bad end.
    fn bad(&self) -> usize {
        self.kernels.len() - 1
    }

    /// Runs of hypotheses that no kernel tells apart, each with its probability. A run ends with a position that can be
    /// tested; the last one is the hypothesis that no kernel has the bug.
    fn classes(&self) -> Vec<(RangeInclusive<usize>, f64)> {
        let mut first = 0;
        let mut classes = Vec::new();
        for at in 0..=self.bad() + 1 {
            if at > self.bad() || self.can_be_run(at) {
                classes.push((first..=at, self.posterior.of(first..=at)));
                first = at + 1;
            }
        }
        classes
    }

    /// The most probable of them.
    fn best_class(&self) -> (RangeInclusive<usize>, f64) {
        let best = self.classes().into_iter().max_by(|a, b| a.1.total_cmp(&b.1));
        best.unwrap_or((0..=self.bad() + 1, 1.0))
    }

    /// Whether the bug was seen often enough for the search to begin.
    fn is_opened(&self) -> bool {
        if self.options.is_measured {
            let verdict = self.ends.as_ref().map(|(_, assessment)| assessment.verdict);
            return verdict == Some(rule::Verdict::Regression);
        }
        let bad = self.seen[self.bad()];
        let enough = bad.hits >= self.options.sights
            || bad.hits > 0 && bad.clean == 0.0
            || bad.hits > 0 && bad.runs() >= f64::from(self.options.patience);
        // A stray report at the bad end must not be all there is.
        enough || self.seen[..self.bad()].iter().any(|tally| tally.hits > 0) && bad.hits > 0
    }

    /// Keeps the likely culprit, or takes another.
    fn choose_check(&mut self) {
        let (class, probability) = self.best_class();
        let (first, culprit) = (*class.start(), *class.end());
        if !self.is_opened() || first == 0 || culprit > self.bad() || probability < TAKEN_BACK {
            self.check = None;
            return;
        }
        let parent = first - 1;
        let is_same = self.check.is_some_and(|c| (c.culprit, c.parent) == (culprit, parent));
        if !is_same {
            let (of_culprit, of_parent) = (Tally::default(), Tally::default());
            self.check = (probability >= HANDOVER).then_some(Check {
                culprit,
                parent,
                of_culprit,
                of_parent,
            });
        }
    }

    /// What to do next.
    pub fn next(&self) -> Step {
        if self.prior[1..=self.bad()].iter().sum::<f64>() <= 0.0 {
            return self.done(Verdict::SameKernel);
        }
        if !self.can_be_run(self.bad()) {
            return self.done(Verdict::BadEndUntestable);
        }
        if self.spent >= self.options.budget {
            return self.done(Verdict::OutOfBudget);
        }
        if !self.is_opened() {
            return self.open();
        }
        let (class, probability) = self.best_class();
        let is_sure = 1.0 - probability <= MARGIN * (1.0 - self.options.confidence);
        if is_sure && *class.start() > self.bad() {
            return self.done(Verdict::NoBugAtBadEnd);
        }
        if is_sure && *class.start() == 0 {
            return match *class.end() {
                0 if self.seen[self.stands_for[0]].hits > 0 => self.done(Verdict::BugAtGoodEnd),
                0 => self.run(0, 1),
                last => self.done(Verdict::GoodEndUntestable { last }),
            };
        }
        match self.again() {
            Some(step) => step,
            None if is_sure && self.check.is_some() => {
                self.done(Verdict::Culprit { first: *class.start(), last: *class.end() })
            }
            None => self.learn(),
        }
    }

    /// Until the bug was seen at the bad end; the good end, where one begins to wonder.
    fn open(&self) -> Step {
        if self.options.is_measured {
            return self.open_measured();
        }
        let [good, bad] = [0, self.bad()].map(|at| self.seen[self.stands_for[at]]);
        let batch = *choice::BATCHES.last().unwrap_or(&1);
        let patience = f64::from(self.options.patience);
        let is_suspect = bad.hits == 0 && bad.clean >= WONDER && self.can_be_run(0);
        let luck = 1.0 - self.options.confidence;
        let silence = self.options.rate.silence(f64::from(good.hits), good.clean, bad.clean);
        if bad.hits == 0 && good.hits >= self.options.sights.max(1) && silence <= luck {
            return self.done(Verdict::WrongWayRound);
        }
        if is_suspect && (good.hits > 0 && good.hits < self.options.sights) {
            return self.run(0, batch);
        }
        if bad.runs() + f64::from(bad.barren) >= 2.0 * patience || bad.clean >= patience {
            return self.done(Verdict::NoBugAtBadEnd);
        }
        if is_suspect && good.clean * WONDER_SHARE < bad.clean && good.barren < MOST_BARREN {
            return self.run(0, (WONDER / WONDER_SHARE) as u32);
        }
        self.run(self.bad(), batch)
    }

    /// Until a test says whether the ends differ.
    fn open_measured(&self) -> Step {
        if !self.can_be_run(0) {
            return self.done(Verdict::GoodEndUntestable { last: self.bad() });
        }
        let (have, verdict) = match &self.ends {
            Some((have, assessment)) => (*have as usize, assessment.verdict),
            None => (0, rule::Verdict::TooFew { more: 0 }),
        };
        let look = LOOKS.iter().find(|look| look.pairs > have);
        let most_barren = LOOKS.last().map_or(0, |look| look.pairs as u32);
        let lost = [0, self.bad()].map(|at| self.seen[self.stands_for[at]].barren);
        match (verdict, look) {
            (rule::Verdict::Improvement, _) => self.done(Verdict::WrongWayRound),
            (rule::Verdict::TooFew { .. }, Some(look)) if lost.iter().all(|n| *n < most_barren) => {
                Step::Ends { pairs: u32::try_from(look.pairs - have).unwrap_or(1) }
            }
            _ => self.done(Verdict::EndsAlike),
        }
    }

    /// A run, or the build that it takes. Where runs are measured, no kernel is run more often than the ends, by which its level is
    /// told: as long as theirs are hardly known, more runs of it would say nothing.
    fn run(&self, at: usize, times: u32) -> Step {
        let at = self.stands_for[at];
        if self.options.is_measured {
            let ends = [0, self.bad()].map(|end| self.stands_for[end]);
            let fewest = ends.map(|end| self.seen[end].values.count).into_iter().min();
            if !ends.contains(&at) && Some(self.seen[at].values.count) >= fewest {
                return Step::Ends { pairs: times.max(1) };
            }
        }
        match self.kernels[at] {
            Kernel::Ready => Step::Run { at, times: times.max(1) },
            Kernel::Unknown | Kernel::Untestable => Step::Build { at },
        }
    }

    /// The likely culprit and its parent, in turns; `None` if they have shown enough, or there is none.
    fn again(&self) -> Option<Step> {
        let check = self.check?;
        let Check { culprit, parent, of_culprit, of_parent } = check;
        if let Some(shift) = self.shift_of_ends() {
            let wanted = shift.runs_for(self.options.confidence);
            let lack = |tally: &Tally| wanted.saturating_sub(tally.values.count);
            let lot = wanted.div_ceil(2);
            return match (lack(&of_parent), lack(&of_culprit)) {
                (0, 0) => None,
                (of_parent, of_culprit) if of_parent >= of_culprit => {
                    Some(self.run(parent, of_parent.min(lot)))
                }
                (_, of_culprit) => Some(self.run(culprit, of_culprit.min(lot))),
            };
        }
        let rate = &self.options.rate;
        let (hits, clean) = self.behind(culprit);
        let share = SIGHTS_NEXT_DOOR.min(hits) / hits.max(1.0);
        let silence = rate.silence(hits * share, clean * share, of_parent.clean);
        let parent_lacks = silence > 1.0 - self.options.confidence;
        let culprit_lacks = of_culprit.hits == 0;
        let is_parents_turn = of_parent.runs() <= of_culprit.runs();
        let lot = (hits + clean) / hits.max(1.0);
        // A float becomes the nearest integer below it.
        let lot = (lot / 2.0).clamp(1.0, f64::from(choice::BATCHES[5])) as u32;
        match (parent_lacks, culprit_lacks) {
            (true, true) if is_parents_turn => Some(self.run(parent, lot)),
            (_, true) => Some(self.run(culprit, lot)),
            (true, false) => Some(self.run(parent, lot)),
            (false, false) => None,
        }
    }

    /// How far the ends are apart; `None` if runs are not measured by a number.
    fn shift_of_ends(&self) -> Option<Shift> {
        let [good, bad] = [0, self.bad()].map(|at| self.seen[self.stands_for[at]].values);
        self.options.is_measured.then(|| Shift::between(&good, &bad)).flatten()
    }

    /// Runs with the bug, and clean ones, at a position and behind it.
    fn behind(&self, at: usize) -> (f64, f64) {
        let segment = self.posterior.segments().iter().find(|segment| segment.last >= at);
        segment.map_or((0.0, 0.0), |segment| (segment.hits, segment.clean))
    }

    /// What tells most for its cost.
    fn learn(&self) -> Step {
        let shift = self.shift_of_ends();
        let Options { rate, false_alarm, .. } = &self.options;
        let signal = match &shift {
            Some(shift) => Signal::Level(shift),
            None => Signal::Sight { rate, false_alarm: *false_alarm },
        };
        let chooser = Chooser::new(&self.posterior, signal);
        let broken = self.broken();
        let price = |at: usize| {
            let kernel = self.kernels[at];
            if self.stands_for[at] != at || kernel == Kernel::Untestable {
                return None;
            }
            let tally = self.seen[at];
            let builds = if kernel == Kernel::Ready { 1.0 } else { 1.0 - broken[at] };
            let telling = (tally.runs() + 2.0) / (tally.runs() + f64::from(tally.barren) + 2.0);
            Some(Price { build: self.build[at], builds, telling })
        };
        match chooser.best(self.options.run, price, |at| self.kernels[at] == Kernel::Ready) {
            Some(choice) if choice.worth > 0.0 => self.run(choice.at, choice.times),
            _ => self.done(Verdict::Undecided),
        }
    }

    /// How probable it is that a position cannot be tested: what was met so far, and more beside one that cannot, for
    /// builds break over stretches of history.
    fn broken(&self) -> Vec<f64> {
        let of = |kernel: Kernel| self.kernels.iter().filter(|k| **k == kernel).count() as f64;
        let (untestable, ready) = (of(Kernel::Untestable), of(Kernel::Ready));
        let usual = (untestable + 0.5) / (untestable + ready + 10.0);
        let mut broken = vec![usual; self.kernels.len()];
        let mut sweep = |positions: &mut dyn Iterator<Item = usize>| {
            let mut near = 0.0;
            for at in positions {
                near = match self.kernels[at] {
                    Kernel::Untestable => BROKEN_NEIGHBOUR,
                    Kernel::Ready => 0.0,
                    Kernel::Unknown => near * (-std::f64::consts::LN_2 / BROKEN_DISTANCE).exp(),
                };
                broken[at] = broken[at].max(usual + near * (1.0 - usual));
            }
        };
        sweep(&mut (0..self.kernels.len()));
        sweep(&mut (0..self.kernels.len()).rev());
        broken
    }
}

/// The weights as shares of 1, none of them too small.
fn shares(commits: &[Commit]) -> Vec<f64> {
    let sum: f64 = commits.iter().map(|commit| commit.weight).sum();
    let least = LEAST_PRIOR / commits.len() as f64;
    let raised = |commit: &Commit| (commit.weight / sum).max(least);
    let raised: Vec<f64> = commits.iter().map(raised).collect();
    let sum: f64 = raised.iter().sum();
    raised.iter().map(|share| share / sum).collect()
}
