// SPDX-License-Identifier: MIT OR Apache-2.0
use machine::Accel;
use workloads::profile::Clock;

use super::limits::{STOP_FACTOR, reached};
use super::*;

mod virtual_clock;

/// The agent's nonce.
pub(crate) const TOKEN: &str = "k3x9";
const RCU_WARNING: &str = "\
[    5.000000] ------------[ cut here ]------------\n\
[    5.000001] WARNING: CPU: 1 PID: 77 at kernel/rcu/tree_plugin.h:320 rcu_note_context_switch+0x4a/0x5e0\n\
[    5.000002] CPU: 1 PID: 77 Comm: worker Not tainted 6.1.192 #1\n\
[    5.000003] RIP: 0010:rcu_note_context_switch+0x4a/0x5e0\n\
[    5.000004] Call Trace:\n\
[    5.000005]  <TASK>\n\
[    5.000006]  __schedule+0x90/0xa00\n\
[    5.000007]  schedule+0x60/0xb0\n\
[    5.000008]  schedule_timeout+0x90/0x150\n\
[    5.000009]  msleep+0x30/0x40\n\
[    5.000010]  folio_example+0x0/0x20\n\
[    5.000011]  </TASK>\n\
[    5.000012] ---[ end trace 0000000000000000 ]---\n";

const SOFT_LOCKUP: &str = "\
[   35.000000] watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [swapstorm-loop:77]\n\
[   35.000001] CPU: 1 PID: 77 Comm: swapstorm-loop Not tainted 6.1.192 #1\n\
[   35.000002] RIP: 0010:try_to_unuse+0x4a/0x5e0\n\
[   35.000003] Call Trace:\n\
[   35.000004]  <TASK>\n\
[   35.000005]  __do_sys_swapoff+0x90/0xa00\n\
[   35.000006]  do_syscall_64+0x60/0xb0\n\
[   35.000007]  </TASK>\n";

/// A machine of no plan: any report ends its watch.
pub(crate) fn assignment() -> Assignment {
    Assignment {
        hunted: false,
        cell: "cell".to_owned(),
        boot: 1,
        token: TOKEN.to_owned(),
        kind: Kind::Qemu,
        expected: None,
        only_expected: false,
        wanted: None,
        budget: Some(Duration::from_secs(60)),
        clock: Clock::Wall,
        sampling: Duration::from_millis(500),
        points: Vec::new(),
        ready: None,
        timeouts: Timeouts::new(Accel::Kvm, Clock::Wall, 1.0),
    }
}

/// A judge and the host's clock.
struct Trial {
    judge: Judge,
    now: Instant,
    logged: Vec<What>,
    order: Option<Order>,
    /// The host's CPUs that the machine has while time passes.
    cpus: f64,
    /// CPU time that it has had.
    had: Duration,
}

impl Trial {
    fn new(job: Assignment) -> Self {
        let now = Instant::now();
        let (judge, logged) = (Judge::new(job, now, now), Vec::new());
        Self { judge, now, logged, order: None, cpus: 1.0, had: Duration::ZERO }
    }

    /// One whose storm has begun.
    fn ready(job: Assignment) -> Self {
        let mut trial = Self::new(job);
        trial.says("hello ms=0 protocol=1");
        trial.says("ready ms=0 disks=4");
        trial
    }

    fn prints(&mut self, text: &str) {
        self.judge.console(text.as_bytes(), self.now);
        self.settle();
    }

    fn says(&mut self, words: &str) {
        self.prints(&format!("swapstorm {TOKEN} {words}\n"));
    }

    /// A sample at `guest_ms` of the guest's time, with so many swapoffs done.
    fn sample(&mut self, seq: u64, guest_ms: u64, swapoffs: u64) {
        self.says(&format!("sample ms={guest_ms} seq={seq} swapon={swapoffs} swapoff={swapoffs}"));
    }

    /// Lets the host's time pass, tick by tick.
    fn passes(&mut self, seconds: f64) {
        let end = self.now + Duration::from_secs_f64(seconds);
        while self.now < end && self.order.is_none() {
            self.now += Duration::from_millis(100);
            self.had += Duration::from_millis(100).mul_f64(self.cpus);
            self.judge.had(Some(self.had));
            self.judge.tick(self.now);
            self.settle();
        }
    }

    /// A storm whose guest has its time and samples as often as it should, for so many seconds from `second` on.
    fn storms(&mut self, second: u64, seconds: u64) {
        for half in 2 * second..2 * (second + seconds) {
            self.passes(0.5);
            self.sample(half + 1, 500 * (half + 1), half + 1);
        }
    }

    /// This program does not run for a while: there is no tick.
    fn is_stopped(&mut self, seconds: f64) {
        self.now += Duration::from_secs_f64(seconds);
    }

    fn settle(&mut self) {
        self.logged.extend(self.judge.events());
        self.order = self.judge.order().or(self.order);
    }

    fn obeys(&mut self) -> Option<Order> {
        self.order.take()
    }

    fn ends(mut self, ending: Ending) -> (VmEnd, String, Vec<What>) {
        self.judge.finish(ending, "exit code 0");
        self.settle();
        match self.logged.pop() {
            Some(What::VmStopped { why, detail, .. }) => (why, detail, self.logged),
            other => panic!("the last event is {other:?}"),
        }
    }
}

/// `SOFT_LOCKUP` has an excuse where the host starved the guest. An invariant has none.
#[test]
fn an_invariant_that_does_not_hold_is_a_bug_on_a_starved_host_as_well() {
    let mut trial = Trial::ready(translated());
    trial.storms(0, 5);
    trial.cpus = 0.0;
    trial.passes(25.0);
    trial.cpus = 1.0;
    trial.says("violated ms=30000 check=memcg-gone what=x got=2 want=0 awake_ms=10000 phase=1");
    trial.storms(30, 3);
    let titles = |logged: &[What]| -> Vec<String> {
        let found = |what: &What| match what {
            What::Found { finding, starved: None, .. } => Some(finding.title.clone()),
            _ => None,
        };
        logged.iter().filter_map(found).collect()
    };
    assert_eq!(trial.obeys(), Some(Order::End(VmEnd::Enough)));
    let (why, _, logged) = trial.ends(Ending::Ended(VmEnd::Enough));
    assert_eq!(titles(&logged), ["INVARIANT: a memcg dies for ever"]);
    assert_eq!(why, VmEnd::Enough);
}

/// Whoever is slow to end when the storm stands still is gone when it goes on.
#[test]
fn one_who_was_slow_before_a_check_does_not_hang_at_the_end() {
    let slow = "slow ms=2000 what=worker worker=3 pid=40 comm=worker-3 state=D stop_ms=1000 guest_ms=1001 \
        awake_ms=0 quiet_ms=0 io_ms=0 tries=0 others=0 wchan= stack=do_swap_page+0x1/0x2";
    for (checked, hangs) in [(true, 0), (false, 1)] {
        let mut trial = Trial::ready(assignment());
        trial.storms(0, 2);
        trial.says(slow);
        if checked {
            trial.says("checked ms=2000 phase=1 took_ms=40 stored_pages=0");
        }
        trial.storms(2, 10);
        let (_, _, logged) = trial.ends(Ending::Ended(VmEnd::DidNotStop));
        let found = logged.iter().filter(|what| matches!(what, What::Found { .. })).count();
        assert_eq!(found, hangs, "{checked}");
    }
}

#[test]
fn a_check_that_finds_nothing_is_logged_and_the_storm_goes_on() {
    let mut trial = Trial::ready(assignment());
    trial.storms(0, 2);
    trial.says("checked ms=2000 phase=1 took_ms=40 stored_pages=0");
    trial.storms(2, 5);
    assert_eq!(trial.obeys(), None);
    let (_, _, logged) = trial.ends(Ending::Ended(VmEnd::Budget));
    let checked = |what: &&What| matches!(what, What::GuestChecked { phase: 1, detail, .. } if detail == "took_ms=40 stored_pages=0");
    assert_eq!(logged.iter().filter(checked).count(), 1);
}

#[test]
fn numbers_of_a_cgroup_are_logged_by_name_and_harm_no_sample() {
    let mut trial = Trial::ready(assignment());
    trial.storms(0, 2);
    trial.says("memcg_columns ms=2000 at=0 of=2 names=zswap,zswpwb");
    trial.says("memcg ms=2001 cgroup=w%1B v0=,7");
    trial.storms(2, 5);
    let (why, _, logged) = trial.ends(Ending::Ended(VmEnd::Budget));
    assert_eq!(why, VmEnd::Budget);
    let memcgs: Vec<&What> =
        logged.iter().filter(|what| matches!(what, What::Memcg { .. })).collect();
    let [What::Memcg { guest_ms, cgroup, numbers, .. }] = memcgs[..] else { panic!("{memcgs:?}") };
    // A guest may write what it likes.
    assert_eq!((*guest_ms, cgroup.as_str()), (2001, "w\\x1b"));
    assert_eq!(*numbers, [("zswap".to_owned(), 0), ("zswpwb".to_owned(), 7)].into());
}

#[test]
fn a_storms_length_is_the_guests() {
    let mut trial = Trial::ready(assignment());
    // A slow host: 100 s of its time are 50 s of the guest's.
    for tenth in 1..=10 {
        trial.passes(9.0);
        trial.sample(tenth, tenth * 5_000, tenth);
    }
    assert_eq!(trial.obeys(), None, "the guest has stormed for 50 s of 60");
    trial.sample(11, 60_000, 11);
    trial.passes(0.2);
    assert_eq!(trial.obeys(), Some(Order::AskToStop));
    trial.says("done ms=60100 reason=stop end=poweroff");
    trial.judge.guest_ended("guest-shutdown".to_owned());
    assert_eq!(trial.ends(Ending::ByItself).0, VmEnd::Budget);
}

#[test]
fn the_hosts_time_caps_a_storm_whose_clock_hardly_moves() {
    let mut trial = Trial::ready(assignment());
    for tenth in 1..100 {
        trial.sample(tenth, tenth * 100, tenth);
        trial.passes(5.0);
    }
    assert_eq!(trial.obeys(), Some(Order::AskToStop));
    trial.says("done ms=9900 reason=stop end=poweroff");
    assert_eq!(trial.ends(Ending::ByItself).0, VmEnd::HostBudget);
}

#[test]
fn a_guest_that_does_not_stop_when_asked_is_told_so() {
    let mut trial = Trial::ready(assignment());
    trial.sample(1, 1_000, 1);
    trial.judge.stop(VmEnd::Budget, trial.now);
    trial.settle();
    assert_eq!(trial.obeys(), Some(Order::AskToStop));
    // Its agent answers, and the kernel does not let it go.
    let patience = trial.judge.job.timeouts.stop * STOP_FACTOR;
    for second in 2..=patience.as_secs() {
        trial.passes(1.0);
        trial.sample(second, second * 1_000, 1);
    }
    assert_eq!(trial.obeys(), None);
    trial.passes(2.0);
    let Some(Order::End(why)) = trial.obeys() else { panic!("it is still waited for") };
    assert_eq!(why, VmEnd::DidNotStop);
    let (why, detail, _) = trial.ends(Ending::Ended(why));
    assert_eq!(why, VmEnd::DidNotStop);
    assert!(detail.contains("did not within"), "{detail}");
}

#[test]
fn a_guest_that_is_mute_when_asked_to_stop_is_waited_for_less() {
    let mut trial = Trial::ready(assignment());
    trial.sample(1, 1_000, 1);
    trial.passes(0.2);
    trial.judge.stop(VmEnd::Interrupted, trial.now);
    trial.settle();
    assert_eq!(trial.obeys(), Some(Order::AskToStop));
    let began = trial.now;
    trial.passes(60.0);
    assert_eq!(trial.obeys(), Some(Order::End(VmEnd::DidNotStop)));
    let waited = trial.now - began;
    let limits = trial.judge.job.timeouts;
    assert!(waited > limits.answer && waited < limits.stop, "{waited:?}");
}

#[test]
fn an_agent_that_gives_up_on_its_children_is_never_believed_to_be_done() {
    let mut trial = Trial::ready(assignment());
    trial.sample(1, 61_000, 1);
    trial.passes(0.2);
    assert_eq!(trial.obeys(), Some(Order::AskToStop));
    trial.says("warn ms=61100 what=stuck left=4");
    trial.says("done ms=61200 reason=stop end=poweroff");
    trial.judge.guest_ended("guest-shutdown".to_owned());
    assert_eq!(trial.ends(Ending::ByItself).0, VmEnd::DidNotStop);
}

#[test]
fn a_program_that_was_stopped_and_continued_loses_no_patience() {
    let mut trial = Trial::ready(assignment());
    trial.sample(1, 1_000, 1);
    trial.passes(1.0);
    trial.is_stopped(3600.0);
    trial.passes(0.5);
    assert_eq!(trial.obeys(), None, "an hour in which nobody looked is no silence");
    trial.sample(2, 2_000, 2);
    trial.passes(1.0);
    assert_eq!(trial.obeys(), None);
    trial.says("done ms=2000 reason=time end=poweroff");
    let (why, detail, _) = trial.ends(Ending::ByItself);
    assert_eq!(why, VmEnd::PoweredOff);
    assert!(detail.contains("kept from running for 36"), "{detail}");
}

#[test]
fn silence_and_standstill_are_told_apart_and_from_a_starved_host() {
    let mut silent = Trial::ready(assignment());
    silent.sample(1, 1_000, 1);
    silent.passes(11.0);
    assert_eq!(silent.obeys(), Some(Order::End(VmEnd::WentSilent)));

    let mut standing = Trial::ready(assignment());
    standing.sample(1, 1_000, 1);
    for second in 2..60 {
        standing.passes(1.0);
        standing.sample(second, second * 1_000, 1);
    }
    assert_eq!(standing.obeys(), Some(Order::End(VmEnd::NoProgress)));

    let mut starved = Trial::ready(assignment());
    starved.sample(1, 1_000, 1);
    for second in 2..60 {
        starved.passes(1.0);
        starved.sample(second, 1_000 + second * 20, 1);
    }
    assert_eq!(starved.obeys(), Some(Order::End(VmEnd::Starved)));
}

/// A translated guest: its limits let it be quiet for longer than its detectors need.
fn translated() -> Assignment {
    Assignment { timeouts: Timeouts::new(Accel::Tcg, Clock::Wall, 1.0), ..assignment() }
}

/// What became of the only report of a trial: the words by which it was the host's, the end, and whether the
/// kernel is said to have reported.
fn verdict(mut trial: Trial) -> (Option<String>, VmEnd, bool) {
    let why = match trial.obeys() {
        Some(Order::End(why)) => why,
        other => panic!("the order is {other:?}"),
    };
    let ended = trial.judge.finish(Ending::Ended(why), "");
    trial.settle();
    let mut found = trial.logged.into_iter().filter_map(|what| match what {
        What::Found { starved, .. } => Some(starved),
        _ => None,
    });
    let starved = found.next().expect("there was a report");
    assert_eq!(found.next(), None);
    (starved, ended.why, ended.reported)
}

#[test]
fn a_detector_that_spoke_because_the_host_starved_the_guest_is_no_kernel_bug() {
    let mut trial = Trial::ready(translated());
    trial.storms(0, 5);
    // QEMU is stopped, and the guest's clock runs on.
    trial.cpus = 0.0;
    trial.passes(25.0);
    trial.cpus = 1.0;
    trial.prints(SOFT_LOCKUP);
    trial.passes(0.3);
    trial.sample(11, 30_300, 11);
    trial.storms(31, 3);
    let (starved, why, reported) = verdict(trial);
    let words = "the agent was late for 25.3 s, in which QEMU had 0.3 s of CPU time";
    assert_eq!(starved.as_deref(), Some(words));
    assert_eq!((why, reported), (VmEnd::Starved, false));
}

/// A task that was running when the clock ran on is charged for it and has to wait, in the guest's own time.
#[test]
fn so_is_a_hang_that_the_agent_tells_of_soon_after() {
    let hung = "hung ms=52000 what=swapoff device=/dev/vda pid=31 comm=swap-vda state=D guest_ms=52000 awake_ms=21000 \
                quiet_ms=20100 io_ms=0 tries=0 others=40 switches=9 cpu_ms=3 stack=synchronize_rcu+0x1/0x2";
    let told = |starved: f64, after: u64| {
        let mut trial = Trial::ready(translated());
        trial.judge.job.budget = Some(Duration::from_secs(600));
        trial.storms(0, 5);
        trial.cpus = 1.0 - starved;
        trial.passes(25.0);
        trial.cpus = 1.0;
        trial.sample(11, 30_000, 11);
        trial.storms(30, after);
        trial.says(hung);
        trial.storms(30 + after, 4);
        let (starved, why, reported) = verdict(trial);
        (starved.is_some(), why, reported)
    };
    assert_eq!(told(1.0, 21), (true, VmEnd::Starved, false));
    assert_eq!(told(1.0, 70), (false, VmEnd::Enough, true));
    assert_eq!(told(0.0, 21), (false, VmEnd::Enough, true));
}

/// Who began last may hold what the others wait for, and is told of last.
#[test]
fn all_that_hang_are_told_of_before_the_machine_is_ended() {
    let hung = |ms: u64, what: &str, device: &str, pid: u32| {
        format!(
            "hung ms={ms} what={what} device={device} pid={pid} comm=swap state=D guest_ms=21000 awake_ms=21000 \
             quiet_ms=20100 io_ms=0 tries=0 others=0 switches=9 cpu_ms=3 stack=mutex_lock+0x1/0x2"
        )
    };
    let mut trial = Trial::ready(translated());
    trial.storms(0, 25);
    trial.says(&hung(25_000, "swapon", "/dev/vda", 31));
    // The stacks that it asked for are long, and then comes a look with a sample before it.
    trial.passes(3.0);
    trial.sample(51, 25_500, 50);
    trial.passes(0.5);
    assert_eq!(trial.obeys(), None);
    trial.says(&hung(26_000, "swapoff", "/dev/vdb", 32));
    trial.storms(27, 2);
    assert_eq!(trial.obeys(), Some(Order::End(VmEnd::Enough)));
    let (_, _, logged) = trial.ends(Ending::Ended(VmEnd::Enough));
    assert_eq!(logged.iter().filter(|what| matches!(what, What::Found { .. })).count(), 2);

    // One that says nothing more is not waited for much longer.
    let mut trial = Trial::ready(translated());
    trial.storms(0, 25);
    trial.says(&hung(25_000, "swapon", "/dev/vda", 31));
    trial.passes(25.0);
    assert_eq!(trial.obeys(), Some(Order::End(VmEnd::Enough)));
}

#[test]
fn a_report_is_whole_when_the_kernel_is_quiet_whatever_the_agent_says() {
    let mut trial = Trial::ready(translated());
    trial.storms(0, 2);
    trial.prints(SOFT_LOCKUP);
    trial.storms(2, 2);
    assert!(trial.logged.iter().any(|what| matches!(what, What::Found { .. })));
}

#[test]
fn the_same_report_of_a_guest_that_had_its_time_is_a_kernel_bug() {
    // The agent goes on beside it.
    let mut beside = Trial::ready(translated());
    beside.storms(0, 30);
    beside.prints(SOFT_LOCKUP);
    beside.storms(30, 3);
    assert_eq!(verdict(beside), (None, VmEnd::Enough, true));

    // So it does in an idle guest, which hardly takes any CPU time.
    let mut idle = Trial::ready(translated());
    idle.cpus = 0.05;
    idle.storms(0, 30);
    idle.prints(SOFT_LOCKUP);
    idle.storms(30, 3);
    assert_eq!(verdict(idle), (None, VmEnd::Enough, true));

    // The kernel spins with the agent's only CPU, and gets on in the end.
    let mut spinning = Trial::ready(translated());
    spinning.storms(0, 5);
    spinning.passes(25.0);
    spinning.prints(SOFT_LOCKUP);
    spinning.passes(1.2);
    spinning.sample(11, 31_200, 11);
    spinning.storms(32, 3);
    assert_eq!(verdict(spinning), (None, VmEnd::Enough, true));
}

#[test]
fn a_guest_that_does_not_go_on_was_not_starved() {
    let stopped = || {
        let mut trial = Trial::ready(translated());
        trial.storms(0, 5);
        trial.cpus = 0.02;
        trial.passes(25.0);
        trial.prints(SOFT_LOCKUP);
        trial
    };
    // It has its time again, and does not sample.
    let mut spinning = stopped();
    spinning.cpus = 1.0;
    let patience = spinning.judge.job.timeouts.answer.as_secs_f64();
    spinning.passes(patience - 1.0);
    assert!(!spinning.logged.iter().any(|what| matches!(what, What::Found { .. })), "held back");
    spinning.passes(4.0);
    assert_eq!(verdict(spinning), (None, VmEnd::Enough, true));
    // It is never heard of again, as if it had deadlocked.
    let mut silent = stopped();
    silent.passes(60.0);
    assert_eq!(verdict(silent), (None, VmEnd::WentSilent, true));
    // The machine under it died: it had no chance to go on.
    let mut dead = stopped();
    dead.passes(2.0);
    dead.judge.broken("a disk of the guest cannot be written".to_owned());
    dead.settle();
    let (starved, why, reported) = verdict(dead);
    assert!(starved.is_some());
    assert_eq!((why, reported), (VmEnd::QemuDied, false));
}

#[test]
fn a_guest_with_a_twentieth_of_its_time_is_starved() {
    let mut trial = Trial::ready(translated());
    trial.cpus = 0.05;
    for n in 1..=8 {
        trial.passes(5.0);
        trial.sample(n, n * 5_000, n);
    }
    trial.prints(SOFT_LOCKUP);
    trial.passes(3.0);
    trial.sample(9, 43_000, 9);
    trial.passes(3.0);
    let (starved, why, reported) = verdict(trial);
    assert!(starved.is_some());
    assert_eq!((why, reported), (VmEnd::Starved, false));
}

#[test]
fn what_starved_the_guest_long_ago_is_no_excuse() {
    let mut trial = Trial::ready(translated());
    trial.storms(0, 5);
    trial.cpus = 0.0;
    trial.passes(25.0);
    trial.cpus = 1.0;
    trial.sample(11, 30_000, 11);
    trial.judge.job.budget = Some(Duration::from_secs(600));
    trial.storms(30, 61);
    trial.prints(SOFT_LOCKUP);
    trial.storms(91, 3);
    assert_eq!(verdict(trial), (None, VmEnd::Enough, true));
}

#[test]
fn only_who_knows_what_the_machine_was_given_can_say_that_it_was_starved() {
    let mut trial = Trial::ready(translated());
    for second in 0..250 {
        trial.now += Duration::from_millis(100);
        trial.judge.tick(trial.now);
        assert_eq!(trial.judge.order(), None, "{second}");
    }
    trial.prints(SOFT_LOCKUP);
    trial.now += Duration::from_secs(1);
    trial.sample(1, 26_000, 1);
    for _ in 0..40 {
        trial.now += Duration::from_millis(100);
        trial.judge.tick(trial.now);
        trial.settle();
    }
    assert_eq!(verdict(trial), (None, VmEnd::Enough, true));
}

#[test]
fn a_starved_guest_may_have_a_bug_all_the_same() {
    let mut trial = Trial::ready(translated());
    trial.storms(0, 5);
    trial.cpus = 0.0;
    trial.passes(25.0);
    trial.cpus = 1.0;
    // A warning is not about time.
    trial.prints(RCU_WARNING);
    trial.storms(30, 3);
    assert_eq!(verdict(trial), (None, VmEnd::Enough, true));
}

#[test]
fn a_host_that_stood_still_starved_its_guest_and_a_stopped_watch_did_not() {
    for (ran, expected) in [(0, VmEnd::Starved), (30, VmEnd::Enough)] {
        let mut trial = Trial::ready(translated());
        trial.storms(0, 5);
        trial.is_stopped(30.0);
        trial.had += Duration::from_secs(ran);
        trial.judge.had(Some(trial.had));
        trial.prints(SOFT_LOCKUP);
        trial.sample(11, 35_000, 11);
        trial.storms(35, 4);
        let (starved, why, reported) = verdict(trial);
        assert_eq!((starved.is_some(), why), (expected == VmEnd::Starved, expected));
        assert_eq!(reported, expected == VmEnd::Enough);
    }
}

#[test]
fn a_starved_guest_that_ended_by_its_own_detector_is_started_again() {
    let mut trial = Trial::ready(translated());
    trial.storms(0, 5);
    trial.cpus = 0.0;
    trial.passes(25.0);
    trial.prints(SOFT_LOCKUP);
    trial.judge.guest_ended("guest-reset".to_owned());
    let (why, detail, logged) = trial.ends(Ending::ByItself);
    assert_eq!(why, VmEnd::Starved);
    assert!(detail.contains("BUG: soft lockup in swapoff: the agent was late"), "{detail}");
    assert!(logged.iter().any(|what| matches!(what, What::Found { starved: Some(_), .. })));
}

#[test]
fn ends_come_in_any_order() {
    // QEMU's word before the end of the console, and no word at all.
    for (said, done, expected) in [
        (Some("guest-shutdown"), true, VmEnd::PoweredOff),
        (None, true, VmEnd::PoweredOff),
        (Some("guest-shutdown"), false, VmEnd::PoweredOff),
        (Some("guest-reset"), false, VmEnd::Crashed),
        (None, false, VmEnd::QemuDied),
    ] {
        let mut trial = Trial::ready(assignment());
        if let Some(said) = said {
            trial.judge.guest_ended(said.to_owned());
        }
        if done {
            trial.says("done ms=10 reason=time end=poweroff");
        }
        let (why, _, logged) = trial.ends(Ending::ByItself);
        assert_eq!(why, expected, "{said:?}, done: {done}");
        let is_done = logged.iter().any(|what| matches!(what, What::GuestDone { .. }));
        assert_eq!(is_done, done, "a lost `done` is seen to be lost");
    }
}

#[test]
fn a_stretcher_that_broke_down_ends_the_machine_and_is_no_kernel_bug() {
    let mut trial = Trial::ready(assignment());
    trial.judge.stretcher_died("the stretcher broke down: task 7 panicked".to_owned());
    trial.settle();
    assert_eq!(trial.obeys(), Some(Order::End(VmEnd::StretcherDied)));
    let (why, detail, logged) = trial.ends(Ending::Ended(VmEnd::StretcherDied));
    assert_eq!(why, VmEnd::StretcherDied);
    assert!(detail.contains("panicked"), "{detail}");
    assert!(!logged.iter().any(|what| matches!(what, What::Found { .. })));
}

#[test]
fn a_warning_of_the_methods_own_is_not_the_kernels() {
    let point = |function: &str| PlacedPoint {
        id: format!("{function}:rcu_call:1"),
        functions: vec![function.to_owned()],
        bug: true,
        passed_over: Vec::new(),
    };
    let mut own = Trial::ready(Assignment { points: vec![point("folio_example")], ..assignment() });
    own.prints(RCU_WARNING);
    own.passes(2.0);
    assert_eq!(own.obeys(), Some(Order::End(VmEnd::MethodFault)));
    let ended = own.judge.finish(Ending::Ended(VmEnd::MethodFault), "");
    assert!(!ended.reported);

    // The same warning of a kernel in which nobody was put to sleep.
    let kernels = RCU_WARNING.replace("msleep+0x30/0x40", "swap_example+0x30/0x40");
    let mut real =
        Trial::ready(Assignment { points: vec![point("folio_example")], ..assignment() });
    real.prints(&kernels);
    real.passes(2.0);
    assert_eq!(real.obeys(), Some(Order::End(VmEnd::Enough)));
    assert!(real.judge.finish(Ending::Ended(VmEnd::Enough), "").reported);
}

#[test]
fn a_report_of_the_methods_own_names_the_point_whose_task_slept_last_on_its_cpu() {
    let point = |id: &str| PlacedPoint {
        id: id.to_owned(),
        functions: vec![format!("in_{id}")],
        bug: true,
        passed_over: Vec::new(),
    };
    let points = vec![point("a"), point("b")];
    // The frame of the function in which the task was diverted is lost; the report is of CPU 1.
    let lost = RCU_WARNING.replace("folio_example+0x0/0x20", "kernel_halt+0x0/0x40");
    let asleep = |all: &[(u32, &str)]| -> BTreeMap<u32, String> {
        all.iter().map(|(cpu, point)| (*cpu, (*point).to_owned())).collect()
    };
    for (asleep, named, diverted) in [
        (asleep(&[(0, "a"), (1, "b")]), "point b", Some("b")),
        (asleep(&[(0, "a")]), "point a or b", None),
    ] {
        let mut trial = Trial::ready(Assignment { points: points.clone(), ..assignment() });
        trial.judge.asleep(asleep);
        trial.prints(&lost);
        trial.passes(2.0);
        assert_eq!(trial.obeys(), Some(Order::End(VmEnd::MethodFault)));
        let (_, detail, logged) = trial.ends(Ending::Ended(VmEnd::MethodFault));
        assert!(detail.ends_with(named), "{detail}");
        let told = logged.iter().find_map(|what| match what {
            What::Found { diverted, .. } => Some(diverted.as_deref()),
            _ => None,
        });
        assert_eq!(told, Some(diverted));
    }
    // Where the stack tells, it is believed; and who sleeps where excuses nothing by itself.
    let seen = RCU_WARNING.replace("folio_example+0x0/0x20", "in_a+0x9/0x20");
    let kernels = RCU_WARNING.replace("msleep+0x30/0x40", "swap_example+0x30/0x40");
    for (text, end) in [(seen, VmEnd::MethodFault), (kernels, VmEnd::Enough)] {
        let mut trial = Trial::ready(Assignment { points: points.clone(), ..assignment() });
        trial.judge.asleep(asleep(&[(0, "b"), (1, "b")]));
        trial.prints(&text);
        trial.passes(2.0);
        assert_eq!(trial.obeys(), Some(Order::End(end)));
        assert!(trial.logged.iter().any(|w| matches!(w, What::Found { diverted: None, .. })));
    }
}

#[test]
fn only_windows_of_the_bug_are_exposure() {
    let point = |id: &str, bug| PlacedPoint {
        id: id.to_owned(),
        functions: Vec::new(),
        bug,
        passed_over: Vec::new(),
    };
    let points = vec![point("a", true), point("b", false)];
    let wanted = Some(Exposure { windows: 10, ..Exposure::default() });
    let mut trial = Trial::ready(Assignment { points, wanted, ..assignment() });
    let counts = |stretched| PointCounts { stretched, ..PointCounts::default() };
    let windows = |a, b| BTreeMap::from([("a".to_owned(), counts(a)), ("b".to_owned(), counts(b))]);
    trial.judge.windows(windows(9, 500));
    trial.passes(1.0);
    assert_eq!(trial.obeys(), None);
    trial.judge.windows(windows(10, 500));
    trial.passes(0.2);
    assert_eq!(trial.obeys(), Some(Order::AskToStop));
}

#[test]
fn enough_needs_every_counter_that_was_asked_for() {
    let wanted = Exposure { swapoffs: 10, windows: 3, ..Exposure::default() };
    let have = |swapoffs, windows| Exposure { swapoffs, windows, ..Exposure::default() };
    assert!(reached(&have(10, 3), &wanted));
    assert!(!reached(&have(10, 2), &wanted));
    assert!(!reached(&have(9, 30), &wanted));
}

#[test]
fn time_alone_is_no_progress() {
    let base = Exposure { guest_ms: 5, swapoffs: 2, ..Exposure::default() };
    assert!(!grew(&base, &Exposure { guest_ms: 500, swapons: 9, ..base }));
    assert!(grew(&base, &Exposure { swapoffs: 3, ..base }));
}
