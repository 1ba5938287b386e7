// SPDX-License-Identifier: MIT OR Apache-2.0
use super::*;
use crate::event::{Cell, Fault, What};
use crate::sample::events::{BUGGY, Log, cell};
use crate::sample::race_6_1;

const PROFILE: &str = "zswap-writeback-swapoff";

fn planned(log: Log, id: &str, profile: &str, technique: &str) -> Log {
    let (id, profile, technique) = (id.to_owned(), profile.to_owned(), technique.to_owned());
    log.then(What::CellPlanned { cell: Cell { id, profile, technique, ..cell(BUGGY) } })
}

fn had(guest_ms: u64, swapoffs: u64) -> Exposure {
    Exposure { guest_ms, swapoffs, ..Exposure::default() }
}

/// Three trials by load alone, of which one shows the bug, one stretched, one of whose profile a part was left out, and a
/// cell that came to nothing.
fn measured() -> RunReport {
    let mut log = Log::new();
    for id in ["n-1", "n-2", "n-3"] {
        log = planned(log, id, PROFILE, "natural");
    }
    log = planned(log, "s-1", PROFILE, "stretch");
    log = planned(log, "d-1", &without(PROFILE, "many-disks"), "stretch");
    log = planned(log, "s-2", PROFILE, "stretch");
    // The sample comes 400 ms after `ready`, the report 300 ms after the sample.
    log = log.kernel("n-1").started("n-1", 1).ready("n-1", 1).exposure("n-1", 1, had(390, 5));
    log = log.found("n-1", 1, 700, race_6_1()).exposure("n-1", 1, had(2_000, 9));
    log = log.stopped("n-1", 1, VmEnd::Enough).finished("n-1");
    for id in ["n-2", "n-3"] {
        log = log.kernel(id).started(id, 1).ready(id, 1).exposure(id, 1, had(60_000, 100));
        log = log.stopped(id, 1, VmEnd::Budget).finished(id);
    }
    // Before its first sample, in its second guest: the first one derailed.
    log = log.kernel("s-1").started("s-1", 1).ready("s-1", 1).exposure("s-1", 1, had(1_000, 3));
    log = log.ended("s-1", 1, VmEnd::Derailed).started("s-1", 2).ready("s-1", 2);
    log = log.found("s-1", 2, 300, race_6_1()).stopped("s-1", 2, VmEnd::Enough).finished("s-1");
    log = log.kernel("d-1").started("d-1", 1).ready("d-1", 1).exposure("d-1", 1, had(500, 3));
    log = log.ended("d-1", 1, VmEnd::WentSilent).finished("d-1");
    log.failed("s-2", Fault::Build, "no compiler").finished("s-2").end(false).report()
}

#[test]
fn each_trial_ends_with_the_bug_or_is_censored() {
    let ttr = measure(&measured(), PROFILE, 60_000);
    let names: Vec<&str> = ttr.arms.iter().map(|arm| arm.name.as_str()).collect();
    assert_eq!(names, ["natural", "stretch", "stretch without many-disks"]);
    let natural = &ttr.arms[0];
    let times: Vec<(u64, u64, bool)> =
        natural.trials.iter().map(|run| (run.guest_ms, run.host_ms, run.shown)).collect();
    // The guest's clock fell 10 ms behind by the sample, and went on with the host's since.
    assert_eq!(times, [(690, 700, true), (60_000, 400, false), (60_000, 400, false)]);
    assert_eq!((natural.shown, natural.failed, natural.exposure.swapoffs), (1, 0, 209));
    assert_eq!(natural.guest.median, None, "two of three took longer than they were watched");
    let rate = natural.rate.unwrap();
    assert!((rate.estimate - 3_600_000.0 / 120_690.0).abs() < 1e-9, "{rate:?}");
    assert_eq!((ttr.release.as_str(), ttr.accel.as_str()), ("6.1.192", "tcg"));
}

#[test]
fn guests_that_were_started_again_count_and_what_went_wrong_is_said() {
    let ttr = measure(&measured(), PROFILE, 60_000);
    let stretch = &ttr.arms[1];
    assert_eq!((stretch.trials.len(), stretch.failed, stretch.trials[0].guests), (1, 1, 2));
    assert_eq!((stretch.trials[0].guest_ms, stretch.trials[0].host_ms), (1_300, 700));
    assert_eq!(stretch.guest.median, Some(1_300.0));
    let silent = &ttr.arms[2];
    assert_eq!(silent.without.as_deref(), Some("many-disks"));
    assert_eq!((silent.shown, silent.trials[0].end), (0, Some(VmEnd::WentSilent)));
    let says = |words: &str| ttr.notes.iter().any(|note| note.contains(words));
    assert!(says("stretch: 1 runs came to nothing"), "{:?}", ttr.notes);
    assert!(says("stretch: 1 guests were started again"), "{:?}", ttr.notes);
    assert!(says("d-1 was censored early (went-silent)"), "{:?}", ttr.notes);
    assert!(says("s-2: no compiler"), "{:?}", ttr.notes);
    assert_eq!(ttr.notes.len(), 4, "{:?}", ttr.notes);
}

#[test]
fn another_bug_is_no_success_and_is_said() {
    let mut other = race_6_1();
    other.title = "WARNING in elsewhere".to_owned();
    other.kind = "WARNING".to_owned();
    other.frame = "elsewhere".to_owned();
    other.stacks.clear();
    let log = planned(Log::new(), "n-1", PROFILE, "natural").kernel("n-1").started("n-1", 1);
    let log = log.ready("n-1", 1).found("n-1", 1, 300, other).exposure("n-1", 1, had(9_000, 9));
    let report = log.stopped("n-1", 1, VmEnd::Budget).finished("n-1").end(false).report();
    let ttr = measure(&report, PROFILE, 60_000);
    assert_eq!((ttr.arms[0].shown, ttr.arms[0].trials.len()), (0, 1));
    assert_eq!(ttr.notes, ["n-1: another bug showed: WARNING in elsewhere"]);
}

#[test]
fn a_related_report_does_not_count_and_is_said() {
    let mut related = race_6_1();
    related.title = "KASAN: null-ptr-deref Write in zswap_writeback_entry".to_owned();
    related.kind = "KASAN-NULL-POINTER-DEREFERENCE-WRITE".to_owned();
    related.stacks.truncate(1);
    let log = planned(Log::new(), "n-1", PROFILE, "natural").kernel("n-1").started("n-1", 1);
    let log = log.ready("n-1", 1).exposure("n-1", 1, had(9_000, 9)).found("n-1", 1, 300, related);
    let report = log.ended("n-1", 1, VmEnd::Derailed).finished("n-1").end(false).report();
    let ttr = measure(&report, PROFILE, 60_000);
    assert_eq!((ttr.arms[0].shown, ttr.arms[0].trials[0].guest_ms), (0, 9_000));
    let title = "KASAN: null-ptr-deref Write in zswap_writeback_entry";
    let early = "natural: n-1 was censored early (derailed)".to_owned();
    let said = format!("n-1: a related report came, which does not count: {title}");
    assert_eq!(ttr.notes, [early, said]);
}

#[test]
fn of_nothing_there_is_nothing_to_tell() {
    let ttr = measure(&RunReport::default(), PROFILE, 60_000);
    assert_eq!((ttr.arms.len(), ttr.notes.len(), ttr.release.as_str()), (0, 0, ""));
}
