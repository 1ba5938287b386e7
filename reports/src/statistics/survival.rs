// SPDX-License-Identifier: MIT OR Apache-2.0
//! How long something takes that was not waited for to the end in every trial.
//!
//! A trial whose watch ended before the event came is *censored*: it took longer than it was watched. To leave such
//! trials out, or to take their length for the time to the event, would make whatever is slow look quick.
//!
//! * [`Curve`]: the share of trials without the event as a function of time, without any assumption on its shape. E. L.
//!   Kaplan and P. Meier, "Nonparametric estimation from incomplete observations", Journal of the American Statistical
//!   Association 53 (1958), 457-481. Its variance is M. Greenwood's (1926); the interval of the median holds the times at
//!   which the curve's band, on the scale of the logarithm, covers one half: R. Brookmeyer and J. Crowley, "A confidence
//!   interval for the median survival time", Biometrics 38 (1982), 29-41. It is an approximation, and a rough one for
//!   fewer than ten trials.
//! * [`rate`]: events per unit of time if they come without memory, as races do in a steady storm. The estimate is that
//!   of the exponential distribution, events by time watched. Its interval is exact where the watch has a fixed length in
//!   all: F. Garwood, "Fiducial limits for the Poisson distribution", Biometrika 28 (1936), 437-442. With `d` events in
//!   the time `T` it reaches from `chi2(0.025; 2 d) / 2 T` to `chi2(0.975; 2 d + 2) / 2 T`; without an event the lower
//!   end is 0.

use serde::Serialize;

/// Probability with which an interval misses on either side.
const TAIL: f64 = 0.025;
/// Quantile of the normal distribution for that probability.
const NORMAL: f64 = 1.959_963_985;
/// Halvings after which a float has no digits left to gain.
const HALVINGS: u32 = 200;

/// How long a trial was watched.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Trial {
    /// To the event, or to the end of the watch. In any unit, the same for all.
    pub time: f64,
    /// Whether the event came; if not, the trial is censored.
    pub shown: bool,
}

/// What is known at the time of an event.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Step {
    /// When.
    pub time: f64,
    /// Trials that were watched up to then, those included that were censored at that very time.
    pub at_risk: u64,
    /// Events at that time.
    pub events: u64,
    /// Share of all trials that go on without the event, behind this time.
    pub survival: f64,
    /// Its standard error; `None` where no trial goes on.
    pub error: Option<f64>,
}

/// The share of trials without the event as a function of time.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Curve {
    /// Where it falls, in the order of time. Before the first step it is 1.
    pub steps: Vec<Step>,
}

/// An interval, as far as it has ends.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Between {
    /// Lower end; `None`: the trials do not tell.
    pub low: Option<f64>,
    /// Upper end; `None`: the trials do not tell.
    pub high: Option<f64>,
}

impl Curve {
    /// The curve of these trials.
    pub fn of(trials: &[Trial]) -> Self {
        let mut times: Vec<f64> =
            trials.iter().filter(|trial| trial.shown).map(|trial| trial.time).collect();
        times.sort_by(f64::total_cmp);
        times.dedup();
        let (mut survival, mut sum) = (1.0, 0.0);
        let mut steps = Vec::new();
        for time in times {
            let at_risk = trials.iter().filter(|trial| trial.time >= time).count();
            let events = trials.iter().filter(|trial| trial.shown && trial.time == time).count();
            let (n, d) = (at_risk as f64, events as f64);
            survival *= 1.0 - d / n;
            sum += d / (n * (n - d));
            let error = (events < at_risk).then(|| survival * f64::sqrt(sum));
            let (at_risk, events) = (at_risk as u64, events as u64);
            steps.push(Step { time, at_risk, events, survival, error });
        }
        Self { steps }
    }

    /// The first time by which half of the trials, or more, have shown the event; `None` if the watch ended before.
    pub fn median(&self) -> Option<f64> {
        self.first(|step| step.survival <= 0.5 + f64::EPSILON)
    }

    /// The 95 % interval of the median.
    pub fn median_interval(&self) -> Between {
        let band = |step: &Step, sign: f64| {
            step.error.map(|error| step.survival * (sign * NORMAL * error / step.survival).exp())
        };
        // Where nothing is left, the lower band is as low, and the upper one is not known.
        let low = self.first(|step| band(step, -1.0).is_none_or(|low| low <= 0.5));
        let high = self.first(|step| band(step, 1.0).is_some_and(|high| high <= 0.5));
        Between { low, high }
    }

    fn first(&self, is_there: impl Fn(&Step) -> bool) -> Option<f64> {
        self.steps.iter().find(|step| is_there(step)).map(|step| step.time)
    }
}

/// Events per unit of time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Rate {
    /// Events by the time that all trials were watched.
    pub estimate: f64,
    /// Lower end of the 95 % interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// The rate of events that come without memory; `None` if nothing was watched for any time.
pub fn rate(trials: &[Trial]) -> Option<Rate> {
    let watched: f64 = trials.iter().map(|trial| trial.time).sum();
    let events = trials.iter().filter(|trial| trial.shown).count();
    let (low, high) = poisson_interval(events);
    (watched > 0.0).then(|| Rate {
        estimate: events as f64 / watched,
        low: low / watched,
        high: high / watched,
    })
}

/// The 95 % interval for the mean of a Poisson distribution that gave `events`.
pub fn poisson_interval(events: usize) -> (f64, f64) {
    // The probability of so many or fewer falls as the mean grows.
    let mean_for = |events: usize, probability: f64| {
        let (mut low, mut high) = (0.0, 10.0 + 4.0 * events as f64);
        for _ in 0..HALVINGS {
            let middle = f64::midpoint(low, high);
            if at_most(events, middle) > probability {
                low = middle;
            } else {
                high = middle;
            }
        }
        f64::midpoint(low, high)
    };
    let low = events.checked_sub(1).map_or(0.0, |fewer| mean_for(fewer, 1.0 - TAIL));
    (low, mean_for(events, TAIL))
}

/// Probability that a Poisson variable of this mean, above 0, is at most `events`. It is summed from its largest term to both
/// sides, since a float has no place for the smallest ones.
fn at_most(events: usize, mean: f64) -> f64 {
    // A float becomes the nearest integer below it.
    let largest = events.min(mean as usize);
    let factorial: f64 = (1..=largest).map(|i| (i as f64).ln()).sum();
    let term = (largest as f64 * mean.ln() - mean - factorial).exp();
    let mut sum = term;
    let mut below = term;
    for i in (1..=largest).rev() {
        below *= i as f64 / mean;
        sum += below;
    }
    let mut above = term;
    for i in largest + 1..=events {
        above *= mean / i as f64;
        sum += above;
    }
    sum
}
