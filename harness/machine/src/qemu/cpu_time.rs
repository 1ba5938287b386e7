// SPDX-License-Identifier: MIT OR Apache-2.0
//! How much of the host's processors a process has had.

use std::time::Duration;

use fs_err as fs;

/// Ticks of a second in `/proc`: USER_HZ, the same on each architecture that we run on.
const TICKS: u32 = 100;
/// Where the fields of `/proc/PID/stat` stand behind the process's name: see proc_pid_stat(5).
const UTIME: usize = 11;

/// The CPU time of all threads of a process; `None` if there is no such process.
pub fn of(process: i32) -> Option<Duration> {
    read(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
}

/// Reads `/proc/PID/stat`. The name in it may hold anything, blanks and brackets included.
fn read(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(UTIME).map(str::parse::<u32>);
    let (user, system) = (times.next()?.ok()?, times.next()?.ok()?);
    Some(Duration::from_secs(1) * user.saturating_add(system) / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_times_are_read_behind_whatever_name() {
        let stat = "77 (qemu) x) (y) S 1 77 77 0 -1 4194560 11 12 13 14 1203 97 0 0 20 0 6 0 9 8";
        assert_eq!(read(stat), Some(Duration::from_secs(13)));
        assert_eq!(read("77 (qemu) S 1 77"), None);
    }

    #[test]
    fn a_process_that_works_gets_more_and_one_that_is_not_there_nothing() {
        let own = i32::try_from(std::process::id()).unwrap();
        let before = of(own).unwrap();
        while of(own).unwrap() == before {
            std::hint::spin_loop();
        }
        assert_eq!(of(i32::MAX), None);
    }
}
