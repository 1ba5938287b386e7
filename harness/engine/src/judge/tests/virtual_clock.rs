// SPDX-License-Identifier: MIT OR Apache-2.0
//! On the virtual clock the agent ends the storm, and what a machine does is told in a digest.

use super::*;
use reports::event::Digest;

fn virtual_clock() -> Assignment {
    let timeouts = Timeouts::new(Accel::Tcg, Clock::Virtual, 1.0);
    Assignment { clock: Clock::Virtual, timeouts, ..assignment() }
}

/// The digest of a storm of which a third sample says `swapoffs`, and whose console comes in pieces of so many bytes.
fn digest_of(swapoffs: u64, piece: usize, windows: u64) -> Option<Digest> {
    let mut trial = Trial::ready(virtual_clock());
    let said = format!(
        "swapstorm {TOKEN} sample ms=500 seq=1 swapoff=3\n{SOFT_LOCKUP}\
         swapstorm {TOKEN} sample ms=1000 seq=2 swapoff={swapoffs}\nswapstorm {TOKEN} done ms=1001 reason=time end=reboot\n"
    );
    for piece in said.as_bytes().chunks(piece) {
        trial.passes(0.1);
        trial.prints(std::str::from_utf8(piece).unwrap());
    }
    let counts = PointCounts { stretched: windows, ..PointCounts::default() };
    trial.judge.windows(BTreeMap::from([("folio_example".to_owned(), counts)]));
    trial.judge.guest_ended("guest-reset".to_owned());
    let (why, _, logged) = trial.ends(Ending::ByItself);
    assert_eq!(why, VmEnd::PoweredOff);
    digest_in(&logged)
}

fn digest_in(logged: &[What]) -> Option<Digest> {
    logged.iter().find_map(|what| match what {
        What::Digested { digest, .. } => Some(digest.clone()),
        _ => None,
    })
}

#[test]
fn nothing_but_the_agent_ends_the_storm() {
    let wanted = Some(Exposure { swapoffs: 1, ..Exposure::default() });
    let mut trial = Trial::ready(Assignment { wanted, ..virtual_clock() });
    trial.prints(SOFT_LOCKUP);
    trial.prints(RCU_WARNING);
    // A report, the exposure that was wanted, a budget that is used up, a host that gives the guest hardly any time.
    trial.cpus = 0.01;
    for minute in 1..=5 {
        trial.passes(60.0);
        trial.sample(minute, minute * 30_000, minute);
    }
    assert_eq!(trial.obeys(), None);
    trial.says("done ms=150000 reason=time end=reboot");
    trial.judge.guest_ended("guest-reset".to_owned());
    let (why, _, logged) = trial.ends(Ending::ByItself);
    assert_eq!(why, VmEnd::PoweredOff);
    assert!(digest_in(&logged).is_some());
    let starved = |what: &What| matches!(what, What::Found { starved: Some(_), .. });
    assert!(!logged.iter().any(starved), "no host can starve such a guest: {logged:?}");
}

#[test]
fn patience_ends_all_the_same_and_there_is_no_digest_then() {
    let mut trial = Trial::ready(virtual_clock());
    trial.passes(3_600.0);
    let Some(Order::End(why)) = trial.obeys() else { panic!("it is still waited for") };
    assert_eq!(why, VmEnd::WentSilent);
    let (_, _, logged) = trial.ends(Ending::Ended(why));
    assert_eq!(digest_in(&logged), None);
}

#[test]
fn who_was_asked_to_stop_has_no_digest_since_that_came_at_a_time_of_the_hosts() {
    let mut trial = Trial::ready(virtual_clock());
    trial.judge.stop(VmEnd::Interrupted, trial.now);
    trial.settle();
    assert_eq!(trial.obeys(), Some(Order::AskToStop));
    trial.says("done ms=700 reason=stop end=reboot");
    let (why, _, logged) = trial.ends(Ending::ByItself);
    assert_eq!((why, digest_in(&logged)), (VmEnd::Interrupted, None));
}

#[test]
fn a_digest_sees_console_counters_and_windows_and_not_how_they_came() {
    let digest = digest_of(9, 1 << 20, 2).unwrap();
    assert_eq!(digest_of(9, 7, 2).as_ref(), Some(&digest));
    let other = digest_of(8, 7, 2).unwrap();
    assert!(other.console != digest.console && other.counters != digest.counters);
    assert_eq!(other.console_bytes, digest.console_bytes);
    let other = digest_of(9, 7, 3).unwrap();
    assert!(other.console == digest.console && other.counters != digest.counters);
    // The host's clock has none.
    let mut trial = Trial::ready(assignment());
    trial.says("done ms=700 reason=time end=reboot");
    assert_eq!(digest_in(&trial.ends(Ending::ByItself).2), None);
}
