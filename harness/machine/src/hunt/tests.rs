// SPDX-License-Identifier: MIT OR Apache-2.0
//! The hunter against a fake guest, with a test in the agent's place.

use std::collections::{BTreeMap, HashMap};

use host::arch::Isa;
use kernels::vmlinux::{Call, CurrentTask, PreemptCount, RunningTask};
use tokio::sync::Semaphore;

use super::*;
use crate::stretch::Refusal;
use crate::stretch::abi::{self, Abi};
use crate::stretch::tests::fake::{Fake, SLEEP, Set, Step, TRAP};

/// Where tasks have their struct, and in it these.
const TASK: u64 = 0xffff_8880_0010_0000;
const COUNT: u64 = 8;
const STATE: u64 = 0x18;
const NESTING: u64 = 0x2c;
const STACK: u64 = 0x8000;
const LEFT: u64 = 0x6008;

/// arm64: the running task is found by a register, and calls have a link.
fn arm() -> &'static Abi {
    abi::of(Isa::Arm64)
}

/// A plan of so many sites, at 0x1000, 0x1100, ..., and a guest with so many breakpoints.
fn plan(sites: u64, most_breakpoints: usize) -> Arc<HuntPlan> {
    let place = |number: u64| {
        let at = 0x1000 + number * 0x100;
        let call = Call { at, next: at + 4, target: at + 0x10_0000 };
        Place { name: format!("f:g#{number}"), function: "f".to_owned(), call, rank: number as u32 }
    };
    let sites: Vec<Place> = (0..sites).map(place).collect();
    let by_address: HashMap<u64, usize> =
        sites.iter().enumerate().map(|(index, site)| (site.call.at, index)).collect();
    let task = RunningTask {
        current: CurrentTask::Register,
        preempt_count: PreemptCount::Task(COUNT),
        preempt_count_bytes: 4,
        state: STATE,
        rcu_nesting: Some(NESTING),
        stack_bytes: STACK,
    };
    let (abi, sleep, trap) = (arm(), SLEEP, TRAP);
    let beside = vec![Actor::Swapoff];
    let learnt = HashMap::new();
    Arc::new(HuntPlan {
        abi,
        task,
        sites,
        sleep,
        trap,
        most_breakpoints,
        beside,
        by_address,
        learnt,
    })
}

/// A task that comes to a site on the first vCPU; each has a stack of its own.
fn come(site: u64, task: u64) -> Step {
    let abi = arm();
    let numbered = (task * 100..).zip(abi.general);
    let mut set: Set = numbered.map(|(value, name)| (*name, value)).collect();
    set.insert(abi.interrupts.register, 0);
    set.insert(abi.kernel_base, TASK + task * 0x1_0000);
    set.insert(abi.sp, 0xffff_c900_0000_0000 + task * STACK + LEFT);
    set.insert(abi.pc, 0x1000 + site * 0x100);
    Step::Run(vec![(0, set)])
}

struct Played {
    guest: Fake,
    end: StretchError,
    notes: Vec<Note>,
}

impl Played {
    /// Sites at which tasks slept, by what that came to.
    fn sleeps(&self) -> Vec<(&str, Outcome)> {
        let sleeps = self.notes.iter().filter_map(|note| match note {
            Note::Awake(sleep) => Some((sleep.site.as_str(), sleep.outcome)),
            _ => None,
        });
        sleeps.collect()
    }

    /// What is known of a site in the end.
    fn mapped(&self, site: &str) -> Option<Mapped> {
        let all = self.notes.iter().filter_map(|note| match note {
            Note::Mapped(sites) => Some(sites),
            _ => None,
        });
        let mut of_site = all.flatten().filter(|(name, _)| name == site);
        of_site.next_back().map(|(_, mapped)| mapped.clone())
    }
}

/// Runs a script in a guest with two devices. The agent swaps all off when it is asked and nobody sleeps, and `answers` of them when
/// somebody does; each time it opens the gate once.
async fn play(
    plan: Arc<HuntPlan>,
    answers: usize,
    gate: Arc<Semaphore>,
    change: impl FnOnce(&mut Fake),
    script: Vec<Step>,
) -> Played {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut fake = Fake::new(arm(), &[0, 0], Some(arm().kernel_base), script);
    change(&mut fake);
    let guest = tokio::spawn(fake.serve(theirs));
    let (to_hunter, cues) = mpsc::channel(16);
    let (from_hunter, mut notes) = mpsc::channel(1);
    to_hunter.send(Cue::Storm { devices: 2 }).await.unwrap();
    let agent = tokio::spawn(async move {
        let mut heard = Vec::new();
        while let Some(note) = notes.recv().await {
            let asleep = matches!(heard.last(), Some(Note::Asleep { .. }));
            if let Note::Ask(request) = &note {
                for device in 0..if asleep { answers } else { 2 } {
                    let to = format!("vd{device}");
                    let act = Act {
                        request: request.number,
                        since: request.number,
                        actor: request.actor,
                        to,
                    };
                    to_hunter.send(Cue::Done(act)).await.unwrap();
                }
                gate.add_permits(1);
            }
            heard.push(note);
        }
        heard
    });
    let random = Random::new(1, "hunt");
    let end = match Hunter::start(ours, plan, random, cues, from_hunter).await {
        Ok(hunter) => hunter.run().await,
        Err(error) => error,
    };
    Played { guest: guest.await.unwrap(), end, notes: agent.await.unwrap() }
}

fn gate() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(0))
}

#[tokio::test]
async fn a_site_is_mapped_and_then_a_task_sleeps_there_until_all_devices_were_swapped_off() {
    let gate = gate();
    // Mapped by task 5; task 6 sleeps, and comes back on the other vCPU.
    let opened = || Step::Gate(Arc::clone(&gate));
    let script = vec![Step::Busy, opened(), come(0, 5), come(0, 6), opened(), Step::Wake(0, 1)];
    let played = play(plan(1, 33), 2, gate, |_| (), script).await;
    assert!(played.end.is_end_of_machine(), "{}", played.end);
    assert_eq!(played.sleeps(), [("f:g#0", Outcome::Overlapped)]);
    assert_eq!(played.guest.asleep[0][arm().argument], SLICE_MS);
    // Both went on as if nothing had been: at the callee, with their own registers.
    let went_on = &played.guest.went_on;
    assert_eq!(went_on.iter().map(|(vcpu, _)| *vcpu).collect::<Vec<_>>(), [0, 1]);
    for ((_, now), task) in went_on.iter().zip([5, 6]) {
        let Step::Run(then) = come(0, task) else { panic!() };
        for (name, value) in &then[0].1 {
            let expected = match *name {
                "pc" => 0x1000 + 0x10_0000,
                "x30" => 0x1004,
                _ => *value,
            };
            assert_eq!(now[name], expected, "{name} of task {task}");
        }
    }
    assert_eq!(played.mapped("f:g#0").unwrap().reached, 2);
}

#[tokio::test]
async fn nobody_sleeps_where_sleeping_is_not_allowed_and_the_map_says_why() {
    let forbid = |guest: &mut Fake| guest.put(TASK + 5 * 0x1_0000 + NESTING, 4, 1);
    let gate = gate();
    let mut script = vec![Step::Busy];
    // After three refusals it is given up; in the next round it comes again.
    for _ in 0..2 {
        script.extend([Step::Gate(Arc::clone(&gate)), come(0, 5), come(0, 5), come(0, 5)]);
    }
    let played = play(plan(1, 33), 2, gate, forbid, script).await;
    assert!(played.end.is_end_of_machine(), "{}", played.end);
    assert_eq!(played.sleeps(), []);
    assert_eq!(played.guest.asleep.len(), 0);
    let mapped = played.mapped("f:g#0").unwrap();
    assert_eq!(mapped.refused.keys().collect::<Vec<_>>(), [&crate::stretch::Refusal::RcuReader]);
    assert_eq!((mapped.refused.values().sum::<u64>(), mapped.reached), (6, 6));
}

// The clock stands unless all wait: how long the host takes for it decides nothing.
#[tokio::test(start_paused = true)]
async fn nobody_sleeps_for_ever_whose_other_side_does_not_get_on() {
    for (answers, outcome) in [(0, Outcome::Blocked), (1, Outcome::Partly)] {
        let gate = gate();
        let opened = || Step::Gate(Arc::clone(&gate));
        let mut script = vec![Step::Busy, opened(), come(0, 5), come(0, 6), opened()];
        script.extend((0..MOST_SLICES as usize).map(|slice| Step::Wake(slice, 0)));
        let played = play(plan(1, 33), answers, gate, |_| (), script).await;
        assert!(played.end.is_end_of_machine(), "{}", played.end);
        assert_eq!(played.sleeps(), [("f:g#0", outcome)]);
        assert_eq!(played.guest.asleep.len() as u64, MOST_SLICES);
        assert_eq!(played.guest.went_on.len(), 2);
    }
}

#[tokio::test]
async fn while_one_sleeps_only_the_trap_is_armed_and_there_are_never_more_than_the_cpu_has() {
    let gate = gate();
    let opened = || Step::Gate(Arc::clone(&gate));
    // Of nine sites three are armed at a time; while one sleeps nobody else is stopped.
    let mut script = vec![Step::Busy, opened()];
    script.extend((0..3).map(|site| come(site, 5)));
    script.extend([come(1, 6), opened(), come(0, 7), come(2, 7), Step::Wake(0, 0)]);
    let played = play(plan(9, 4), 2, gate, |_| (), script).await;
    assert!(played.end.is_end_of_machine(), "{}", played.end);
    assert_eq!(played.guest.most_breakpoints, 4);
    assert_eq!(played.sleeps(), [("f:g#1", Outcome::Overlapped)]);
    assert_eq!(played.guest.asleep.len(), 1);
}

#[tokio::test]
async fn a_sleeper_that_nobody_knows_ends_the_hunt() {
    let mut script = vec![Step::Busy];
    let Step::Run(mut stray) = come(0, 9) else { panic!() };
    stray[0].1.insert(arm().pc, TRAP);
    script.push(Step::Run(stray));
    let played = play(plan(1, 33), 2, gate(), |_| (), script).await;
    assert!(matches!(played.end, StretchError::Lost(_)), "{}", played.end);
}

#[test]
fn a_hunt_that_goes_on_begins_where_nobody_has_slept_and_forgets_nothing() {
    let mut plan = Arc::into_inner(plan(4, 33)).unwrap();
    let learnt = |passed, blocked| Learnt {
        mapped: Mapped { reached: 5, refused: BTreeMap::from([(Refusal::Stack, 2)]) },
        met: BTreeMap::from([(Actor::Swapoff, Met { passed, blocked })]),
    };
    let named = |(site, passed, blocked)| (format!("f:g#{site}"), learnt(passed, blocked));
    plan.learn([(0, 3, 0), (2, 0, 2), (9, 1, 0)].map(named));
    let mut atlas = Atlas::new(&plan, Random::new(1, "hunt"));
    assert_eq!(atlas.next_batch(4), [1, 3, 2, 0]);
    // Where nothing ever passed a sleeper, nobody is put to sleep again.
    for site in [2, 0] {
        atlas.reached(site, None);
    }
    assert_eq!((atlas.next_visit(), atlas.next_visit()), (Some(0), None));
    let changed: Vec<_> = atlas.changed().into_iter().map(|(_, mapped)| mapped.reached).collect();
    assert_eq!(changed, [6, 6]);
}
