// SPDX-License-Identifier: MIT OR Apache-2.0
//! How far a run of many cells is, and how long the rest will take.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use reports::run::CellReport;

/// From so many cells on, cells come and go without a word, and each is told once it has finished.
const MANY: usize = 12;

/// What is known of a run's cells.
#[derive(Debug, Default)]
pub struct Night {
    began: Option<Instant>,
    /// What each cell that is not done should take by earlier runs, alone on the machine.
    left: HashMap<String, Duration>,
    /// The same of those that are done.
    done: Duration,
    /// Guests that fit beside each other.
    side_by_side: u32,
    cells: u64,
    finished: u64,
    bugs: u64,
    known: u64,
    trouble: u64,
}

impl Night {
    /// Expects these cells, `side_by_side` at once.
    pub fn expect(&mut self, cells: HashMap<String, Duration>, side_by_side: u32) {
        self.began = Some(Instant::now());
        self.cells = cells.len() as u64;
        (self.left, self.side_by_side) = (cells, side_by_side.max(1));
    }

    /// Whether there are so many cells that nobody wants to hear of each step of each.
    pub fn is_long(&self) -> bool {
        self.cells as usize >= MANY
    }

    /// A cell has ended, or will not be run.
    pub fn ended(&mut self, id: &str) {
        if let Some(took) = self.left.remove(id) {
            self.finished += 1;
            self.done = self.done.saturating_add(took);
        }
    }

    /// A cell has its verdict.
    pub fn judged(&mut self, cell: &CellReport) {
        use reports::verdict::CellVerdict as Verdict;
        match &cell.verdict {
            Verdict::KernelBug { .. } => self.bugs += 1,
            Verdict::KnownBug { .. } => self.known += 1,
            Verdict::Clean { .. } | Verdict::LeftOut { .. } => {}
            _ => self.trouble += 1,
        }
    }

    /// Cells that are done, of how many.
    pub fn position(&self) -> (u64, u64) {
        (self.finished, self.cells)
    }

    /// `37 of 144 cells, 2 with bugs, 1 without an answer, about 1 h 20 min left`.
    pub fn words(&self) -> String {
        let mut words = format!("{} of {} cells", self.finished, self.cells);
        for (count, what) in [
            (self.bugs, "with bugs"),
            (self.known, "with known bugs"),
            (self.trouble, "without an answer"),
        ] {
            if count > 0 {
                words.push_str(&format!(", {count} {what}"));
            }
        }
        if let Some(left) = self.left(self.began.map_or(Duration::ZERO, |began| began.elapsed())) {
            words.push_str(&format!(", about {} left", rounded(left)));
        }
        words
    }

    /// What the rest will take, after `elapsed`: as earlier runs tell at first, and more and more as this one goes.
    fn left(&self, elapsed: Duration) -> Option<Duration> {
        let left: Duration = self.left.values().sum();
        if left.is_zero() {
            return None;
        }
        let all = left.saturating_add(self.done);
        let told = left / self.side_by_side.max(1);
        // How much of the run this one's own pace is known of.
        let share = self.done.as_secs_f64() / all.as_secs_f64();
        if share <= 0.0 {
            return Some(told.saturating_sub(elapsed).max(told / 10));
        }
        let by_pace = elapsed.as_secs_f64() * left.as_secs_f64() / self.done.as_secs_f64();
        let weight = (share * 4.0).min(1.0);
        Some(Duration::from_secs_f64(told.as_secs_f64() * (1.0 - weight) + by_pace * weight))
    }
}

/// A time as somebody would say it who does not know it exactly.
fn rounded(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..90 => format!("{} s", seconds.div_ceil(10) * 10),
        90..5400 => format!("{} min", (seconds + 30) / 60),
        _ => format!("{} h {:02} min", (seconds + 300) / 3600, (seconds + 300) / 600 % 6 * 10),
    }
}

/// A finished cell in a line: `arm64-mixed-1: clean, 312 swapoffs, 410 writebacks`.
pub fn told(cell: &CellReport) -> String {
    let reason = cell.verdict.reason().lines().next().unwrap_or_default();
    let verdict = match reason {
        "" => cell.verdict.word().to_owned(),
        reason => format!("{}: {reason}", cell.verdict.word()),
    };
    let exposure = &cell.exposure;
    match exposure.guest_ms {
        0 => format!("{}: {verdict}", cell.cell.id),
        ms => format!(
            "{}: {verdict}; {} swapoffs and {} writebacks in {} s",
            cell.cell.id,
            exposure.swapoffs,
            exposure.writebacks,
            ms / 1000
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn night(cells: u64, side_by_side: u32) -> Night {
        let mut night = Night::default();
        let minute = |n: u64| (n.to_string(), Duration::from_secs(60));
        night.expect((0..cells).map(minute).collect(), side_by_side);
        night
    }

    #[test]
    fn an_estimate_follows_earlier_runs_first_and_its_own_pace_later() {
        let mut night = night(100, 2);
        let secs =
            |night: &Night, elapsed| night.left(Duration::from_secs(elapsed)).unwrap().as_secs();
        assert_eq!(secs(&night, 0), 50 * 60);
        assert_eq!(secs(&night, 600), 40 * 60);
        // All takes twice as long as it used to.
        for id in 0..50 {
            night.ended(&id.to_string());
        }
        assert_eq!(secs(&night, 50 * 60), 50 * 60);
        for id in 50..100 {
            night.ended(&id.to_string());
        }
        assert_eq!((night.left(Duration::from_secs(9)), night.position()), (None, (100, 100)));
        // Who is told twice of a cell counts it once.
        night.ended("7");
        assert_eq!(night.position(), (100, 100));
    }

    #[test]
    fn times_are_as_exact_as_they_are_known() {
        let words = |s| rounded(Duration::from_secs(s));
        assert_eq!(
            [words(1), words(88), words(95), words(3000)],
            ["10 s", "90 s", "2 min", "50 min"]
        );
        assert_eq!(
            [words(5400), words(7200), words(86_400)],
            ["1 h 30 min", "2 h 00 min", "24 h 00 min"]
        );
    }
}
