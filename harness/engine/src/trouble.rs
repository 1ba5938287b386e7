// SPDX-License-Identifier: MIT OR Apache-2.0
//! What keeps this machine from taking one more guest or build for now.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use fs_err as fs;

/// Free disk in MiB below which nothing more is begun: what runs still has consoles and objects to write.
const LEAST_DISK_MIB: u64 = 512;
/// Share of the last 10 s, in percent, in which every task waited for memory (`full avg10` of the kernel's
/// Documentation/accounting/psi.rst). A machine that swaps is above it; guests there are judged by a wrong clock.
const MOST_PRESSURE: f64 = 20.0;

/// A trouble, for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What it is.
    pub why: String,
    /// Whether one goes on some time later even so: it is slow, but not impossible.
    pub is_slowness: bool,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

/// Looks at this machine.
#[derive(Debug)]
pub struct Lookout {
    /// Folders that are written to.
    folders: Vec<PathBuf>,
    /// How often processors had been throttled at the last look.
    throttled: Mutex<Option<u64>>,
}

impl Lookout {
    /// Looks at the file systems of these folders, and at memory and processors.
    pub fn new(folders: Vec<PathBuf>) -> Self {
        Self { folders, throttled: Mutex::default() }
    }

    /// What is wrong now. What cannot be read is not wrong.
    pub fn look(&self) -> Option<Trouble> {
        let full = self.folders.iter().find_map(|folder| full(folder));
        full.or_else(|| pressed(&fs::read_to_string("/proc/pressure/memory").ok()?))
            .or_else(|| self.hot(throttle_count()))
    }

    fn hot(&self, count: Option<u64>) -> Option<Trouble> {
        let mut last = self.throttled.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *last, count)?;
        (count? > before).then(|| Trouble {
            why: "the processors are too hot and run slower".to_owned(),
            is_slowness: true,
        })
    }
}

fn full(folder: &Path) -> Option<Trouble> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize) >> 20;
    (free < LEAST_DISK_MIB).then(|| Trouble {
        why: format!("only {free} MiB of disk are free at {}", folder.display()),
        is_slowness: false,
    })
}

/// Reads /proc/pressure/memory.
fn pressed(text: &str) -> Option<Trouble> {
    let line = text.lines().find_map(|line| line.strip_prefix("full "))?;
    let share = line.split(' ').find_map(|word| word.strip_prefix("avg10="))?;
    let share: f64 = share.parse().ok()?;
    (share > MOST_PRESSURE).then(|| Trouble {
        why: format!("memory is short: for {share:.0} % of the last 10 s nothing could run"),
        is_slowness: true,
    })
}

/// How often all processors together have been throttled; `None` where the machine does not say.
fn throttle_count() -> Option<u64> {
    let cpus = fs::read_dir("/sys/devices/system/cpu").ok()?;
    let counts = cpus.filter_map(|cpu| {
        let file = cpu.ok()?.path().join("thermal_throttle/core_throttle_count");
        // Not all entries are processors.
        std::fs::read_to_string(file).ok()?.trim().parse::<u64>().ok()
    });
    counts.fold(None, |sum, count| Some(sum.unwrap_or(0_u64).saturating_add(count)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_waits_for_memory_is_in_trouble() {
        let text = |full: &str| {
            format!(
                "some avg10=93.00 avg60=1.00 avg300=0.00 total=5\nfull avg10={full} avg60=0.00 avg300=0.00 total=3\n"
            )
        };
        assert_eq!(pressed(&text("19.99")), None);
        assert!(pressed(&text("63.20")).unwrap().is_slowness);
        assert_eq!(pressed("nothing of the kind"), None);
    }

    #[test]
    fn heat_is_what_has_come_since_the_last_look() {
        let lookout = Lookout::new(Vec::new());
        assert_eq!(lookout.hot(Some(7)), None);
        assert_eq!(lookout.hot(Some(7)), None);
        assert!(lookout.hot(Some(8)).is_some());
        assert_eq!(lookout.hot(None), None);
        assert_eq!(lookout.hot(Some(9)), None);
    }

    #[test]
    fn a_folder_that_is_not_there_is_not_full() {
        assert_eq!(full(Path::new("/no/such/folder")), None);
    }
}
