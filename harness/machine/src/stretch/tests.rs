// SPDX-License-Identifier: MIT OR Apache-2.0
//! The stretcher against a fake guest: what a real one does once in a thousand hours, in milliseconds.

pub(crate) mod fake;
#[path = "../../../../kernels/src/vmlinux/tests/elf.rs"]
mod image;

use std::collections::BTreeMap;
use std::sync::Arc;

use host::arch::{Arch, Isa};
use kernels::vmlinux::{Call, CurrentTask, PreemptCount, RunningTask, Vmlinux};
use tokio::net::UnixStream;
use workloads::profile::{Candidate, Role, StretchPoint};

use super::abi::{self, Abi};
use super::*;
use fake::{Fake, SLEEP, Set, Step, TRAP};
use image::Image;

/// Two stretch points, at whose calls tasks arrive.
const CALLS: [Call; 2] = [
    Call { at: 0x1000, next: 0x1005, target: 0x2000 },
    Call { at: 0x1100, next: 0x1104, target: 0x2100 },
];
const STACK: u64 = 0x8000;
/// How much of its stack a task has left at a point.
const LEFT: u64 = 0x6008;
const STATE: u64 = 0x18;
const NESTING: u64 = 0x2ec;
const MILLISECONDS: u64 = 200;

/// Where the tasks' structs are.
const TASKS: u64 = 0xffff_8880_0010_0000;
/// Offsets in the per-CPU area, or in the task.
const CURRENT: u64 = 0x26c00;
const COUNT: u64 = 8;

struct Scene {
    abi: &'static Abi,
    plan: StretchPlan,
}

impl Scene {
    fn new(isa: Isa) -> Self {
        let abi = abi::of(isa);
        let point = |call: &Call| Point {
            name: format!("f:g#{:x}", call.at),
            why: String::new(),
            function: "f".to_owned(),
            role: Role::Window,
            passed_over: Vec::new(),
            call: *call,
            milliseconds: MILLISECONDS,
            probability: 1.0,
            most: 8,
        };
        let per_cpu = isa == Isa::X86_64;
        let task = RunningTask {
            current: if per_cpu { CurrentTask::PerCpu(CURRENT) } else { CurrentTask::Register },
            preempt_count: match per_cpu {
                true => PreemptCount::PerCpu(COUNT),
                false => PreemptCount::Task(COUNT),
            },
            preempt_count_bytes: 4,
            state: STATE,
            rcu_nesting: Some(NESTING),
            stack_bytes: STACK,
        };
        let plan = StretchPlan {
            abi,
            task,
            points: CALLS.iter().map(point).collect(),
            sleep: SLEEP,
            trap: TRAP,
            left_out: Vec::new(),
            notes: Vec::new(),
        };
        Self { abi, plan }
    }

    /// What a vCPU's base register holds while a task runs on it.
    fn base(&self, vcpu: usize, task: u64) -> u64 {
        match self.plan.task.current {
            CurrentTask::PerCpu(_) => 0xffff_8880_2000_0000 + vcpu as u64 * 0x100_0000,
            CurrentTask::Register => TASKS + task * 0x10000,
        }
    }

    /// Where task 0 has its struct, and its `preempt_count` while it runs on vCPU 0.
    fn task_0(&self) -> (u64, u64) {
        (TASKS, self.base(0, 0) + COUNT)
    }

    /// A guest of two vCPUs. On x86_64, task 0 is always the one that runs on both.
    fn guest(&self, script: Vec<Step>) -> Fake {
        let bases = [self.base(0, 0), self.base(1, 0)];
        let task_register = match self.plan.task.current {
            CurrentTask::Register => Some(self.abi.kernel_base),
            CurrentTask::PerCpu(_) => None,
        };
        let mut fake = Fake::new(self.abi, &bases, task_register, script);
        if let CurrentTask::PerCpu(at) = self.plan.task.current {
            for base in bases {
                fake.put(base + at, 8, TASKS);
                // PREEMPT_NEED_RESCHED is kept inverted, and says nothing here.
                fake.put(base + COUNT, 4, 1 << 31);
            }
        }
        fake
    }

    /// Registers of a task at a stretch point, all different; each task has a stack of its own.
    fn at(&self, point: usize, task: u64) -> Set {
        let numbered = (task * 100..).zip(self.abi.general);
        let mut set: Set = numbered.map(|(value, name)| (*name, value)).collect();
        let interrupts = &self.abi.interrupts;
        set.insert(interrupts.register, u64::from(interrupts.enabled_if_set) << interrupts.bit);
        if let CurrentTask::Register = self.plan.task.current {
            set.insert(self.abi.kernel_base, self.base(0, task));
        }
        set.insert(self.abi.sp, 0xffff_c900_0000_0000 + task * STACK + LEFT);
        set.insert(self.abi.pc, CALLS[point].at);
        set
    }

    fn come(&self, vcpu: usize, point: usize, task: u64) -> Step {
        Step::Run(vec![(vcpu, self.at(point, task))])
    }

    /// Runs the script to its end.
    async fn play(self, fake: Fake) -> Played {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let plan = Arc::new(self.plan);
        let counts = Arc::new(Counts::of(&plan));
        let guest = tokio::spawn(fake.serve(theirs));
        let random = Random::new(1, "stretch");
        let started = Stretcher::start(ours, Arc::clone(&plan), Arc::clone(&counts), random).await;
        let end = match started {
            Ok(stretcher) => stretcher.run().await,
            Err(error) => error,
        };
        let (guest, asleep) = (guest.await.unwrap(), counts.asleep());
        Played { guest, end, counts: counts.get(), sum: counts.sum(), asleep }
    }
}

struct Played {
    guest: Fake,
    end: StretchError,
    counts: Vec<PointCounts>,
    sum: (u64, u64),
    asleep: BTreeMap<u32, String>,
}

impl Played {
    /// The task went on over there as if it had made its call by itself.
    fn called(&self, scene: &Scene, which: usize, vcpu: usize, point: usize, task: u64) {
        let (on, now) = &self.guest.went_on[which];
        assert_eq!(*on, vcpu);
        let (abi, call) = (scene.abi, CALLS[point]);
        let mut expected = scene.at(point, task);
        expected.insert(abi.pc, call.target);
        match abi.link {
            Some(link) => drop(expected.insert(link, call.next)),
            None => {
                let sp = expected[abi.sp] - 8;
                expected.insert(abi.sp, sp);
                assert_eq!(self.guest.memory(sp), call.next);
            }
        }
        // What belongs to the vCPU stays with it.
        expected.insert(abi.kernel_base, scene.base(vcpu, task));
        if !abi.general.contains(&abi.interrupts.register) {
            expected.remove(abi.interrupts.register);
        }
        for (name, value) in expected {
            assert_eq!(now[name], value, "{name}");
        }
    }

    fn closed(&self) {
        assert!(self.end.is_end_of_machine(), "{}", self.end);
    }
}

/// What a point of one task, that has slept and come back, counts.
fn once(name: &str) -> PointCounts {
    PointCounts {
        name: name.to_owned(),
        role: Role::Window,
        stretched: 1,
        returned: 1,
        passed: 0,
        refused: Vec::new(),
    }
}

#[tokio::test]
async fn a_sleeper_that_comes_back_on_another_vcpu_makes_its_call_there() {
    for isa in [Isa::X86_64, Isa::Arm64, Isa::Riscv64] {
        for in_pieces in [false, true] {
            let scene = Scene::new(isa);
            let guest = scene.guest(vec![scene.come(0, 0, 5), Step::Wake(0, 1)]);
            let guest = if in_pieces { guest.in_pieces() } else { guest };
            let played = Scene::new(isa).play(guest).await;
            played.closed();
            assert_eq!(played.guest.asleep[0][scene.abi.argument], MILLISECONDS);
            played.called(&scene, 0, 1, 0, 5);
            assert_eq!(played.guest.went_on.len(), 1);
            assert_eq!(played.counts[0], once("f:g#1000"));
            assert_eq!(played.counts[1].stretched, 0);
            assert_eq!(played.sum, (1, 0));
        }
    }
}

#[tokio::test]
async fn two_vcpus_at_one_point_at_the_same_time_both_sleep() {
    for isa in [Isa::X86_64, Isa::Arm64, Isa::Riscv64] {
        let scene = Scene::new(isa);
        let both = Step::Run(vec![(0, scene.at(0, 5)), (1, scene.at(0, 6))]);
        // The stub tells of vCPU 1 first, so task 6 is the first to sleep. They come back crosswise.
        let script = vec![both, Step::Wake(1, 1), Step::Wake(0, 0)];
        let played = Scene::new(isa).play(scene.guest(script)).await;
        played.closed();
        played.called(&scene, 0, 1, 0, 5);
        played.called(&scene, 1, 0, 0, 6);
        assert_eq!(played.counts[0], PointCounts { stretched: 2, returned: 2, ..once("f:g#1000") });
    }
}

#[tokio::test]
async fn sleepers_of_several_points_make_their_own_calls() {
    let scene = Scene::new(Isa::X86_64);
    let script = vec![scene.come(0, 1, 5), scene.come(0, 0, 6), Step::Wake(1, 0), Step::Wake(0, 0)];
    let played = Scene::new(Isa::X86_64).play(scene.guest(script)).await;
    played.called(&scene, 0, 0, 0, 6);
    played.called(&scene, 1, 0, 1, 5);
    assert_eq!(played.counts, [once("f:g#1000"), once("f:g#1100")]);
}

#[tokio::test]
async fn of_each_cpu_it_is_known_where_the_last_one_sleeps() {
    let scene = Scene::new(Isa::X86_64);
    let come = [scene.come(0, 1, 5), scene.come(0, 0, 6), scene.come(1, 1, 7)];
    let asleep = async |back: &[Step]| {
        let script = come.iter().chain(back).cloned().collect();
        Scene::new(Isa::X86_64).play(scene.guest(script)).await.asleep
    };
    let named = |all: &[(u32, &str)]| -> BTreeMap<u32, String> {
        all.iter().map(|(cpu, name)| (*cpu, (*name).to_owned())).collect()
    };
    assert_eq!(asleep(&[]).await, named(&[(0, "f:g#1000"), (1, "f:g#1100")]));
    // Who was put to sleep before on that CPU did not come to speak there last.
    assert_eq!(asleep(&[Step::Wake(1, 1)]).await, named(&[(1, "f:g#1100")]));
    assert_eq!(asleep(&[Step::Wake(0, 1)]).await.len(), 2);
}

#[tokio::test]
async fn a_sleeper_with_an_unknown_stack_pointer_ends_the_stretching() {
    let scene = Scene::new(Isa::X86_64);
    let mut stranger = scene.at(0, 9);
    stranger.insert("rip", TRAP);
    let script = vec![scene.come(0, 0, 5), Step::Run(vec![(1, stranger)])];
    let played = Scene::new(Isa::X86_64).play(scene.guest(script)).await;
    let sp = 0xffff_c900_0000_0000 + 9 * STACK + LEFT;
    assert!(matches!(played.end, StretchError::Lost(lost) if lost == sp), "{}", played.end);
    assert!(!played.end.is_end_of_machine());
}

/// A task at the first point; `forbid` changes its registers and the guest's memory.
async fn refused(isa: Isa, forbid: impl Fn(&Scene, &mut Set, &mut Fake)) -> Vec<(Refusal, u64)> {
    let scene = Scene::new(isa);
    let mut guest = scene.guest(Vec::new());
    let mut task = scene.at(0, 0);
    forbid(&scene, &mut task, &mut guest);
    guest.append(Step::Run(vec![(0, task.clone())]));
    let played = Scene::new(isa).play(guest).await;
    played.closed();
    if played.counts[0].stretched == 0 {
        // It went on at once.
        let (_, now) = &played.guest.went_on[0];
        assert_eq!(now[scene.abi.pc], CALLS[0].target);
    }
    let refused = played.counts[0].refused.clone();
    assert_eq!(played.sum, (played.counts[0].stretched, refused.len() as u64));
    assert_eq!(played.counts[0].stretched + played.sum.1, 1);
    refused
}

#[tokio::test]
async fn nobody_sleeps_where_sleeping_is_not_allowed() {
    for isa in [Isa::X86_64, Isa::Arm64, Isa::Riscv64] {
        let nothing = refused(isa, |_, _, _| {}).await;
        assert_eq!(nothing, [], "the control");
        let off = refused(isa, |scene, task, _| {
            let interrupts = &scene.abi.interrupts;
            task.insert(
                interrupts.register,
                u64::from(!interrupts.enabled_if_set) << interrupts.bit,
            );
        });
        assert_eq!(off.await, [(Refusal::Interrupts, 1)]);
        let locked = refused(isa, |scene, _, guest| guest.put(scene.task_0().1, 4, 1 | 1 << 31));
        if isa == Isa::X86_64 {
            assert_eq!(locked.await, [(Refusal::PreemptCount, 1)]);
        }
        let locked = refused(isa, |scene, _, guest| guest.put(scene.task_0().1, 4, 1));
        assert_eq!(locked.await, [(Refusal::PreemptCount, 1)]);
        let reader = refused(isa, |scene, _, guest| guest.put(scene.task_0().0 + NESTING, 4, 1));
        assert_eq!(reader.await, [(Refusal::RcuReader, 1)]);
        let waiting = refused(isa, |scene, _, guest| guest.put(scene.task_0().0 + STATE, 4, 2));
        assert_eq!(waiting.await, [(Refusal::TaskState, 1)]);
        let stack = |left: u64| {
            refused(isa, move |scene, task, _| {
                task.insert(scene.abi.sp, 0xffff_c900_0000_0000 + left);
            })
        };
        assert_eq!(stack(STACK / 4 - 16).await, [(Refusal::Stack, 1)]);
        assert_eq!(stack(STACK / 4).await, []);
    }
}

#[tokio::test]
async fn a_long_preempt_count_has_its_mark_in_another_bit() {
    for (count, sum) in [(1 << 63, (1, 0)), (1 << 63 | 1 << 31, (0, 1)), (1, (0, 1))] {
        let mut scene = Scene::new(Isa::X86_64);
        scene.plan.task.preempt_count_bytes = 8;
        let mut guest = scene.guest(vec![scene.come(0, 0, 0)]);
        guest.put(scene.task_0().1, 8, count);
        assert_eq!(scene.play(guest).await.sum, sum, "{count:#x}");
    }
}

#[tokio::test]
async fn a_kernel_without_preemptible_rcu_has_no_nesting_to_look_at() {
    let mut scene = Scene::new(Isa::X86_64);
    scene.plan.task.rcu_nesting = None;
    let mut guest = scene.guest(vec![scene.come(0, 0, 0)]);
    guest.put(TASKS + NESTING, 4, 1);
    assert_eq!(scene.play(guest).await.sum, (1, 0));
}

#[tokio::test]
async fn a_point_lets_tasks_go_that_are_too_many_or_not_drawn() {
    let mut scene = Scene::new(Isa::X86_64);
    scene.plan.points[0].most = 1;
    scene.plan.points[1].probability = 0.0;
    scene.plan.points[1].role = Role::Help;
    let script = vec![
        scene.come(0, 0, 5),
        scene.come(0, 0, 6),
        scene.come(0, 1, 7),
        Step::Wake(0, 0),
        scene.come(0, 0, 6),
    ];
    let guest = scene.guest(script);
    let played = scene.play(guest).await;
    let scene = Scene::new(Isa::X86_64);
    played.called(&scene, 0, 0, 0, 6);
    played.called(&scene, 1, 0, 1, 7);
    played.called(&scene, 2, 0, 0, 5);
    let first = PointCounts { stretched: 2, passed: 1, ..once("f:g#1000") };
    assert_eq!(played.counts[0], first);
    assert_eq!((played.counts[1].stretched, played.counts[1].passed), (0, 1));
}

#[tokio::test]
async fn a_sleep_that_is_only_a_help_is_no_exposure() {
    let mut scene = Scene::new(Isa::X86_64);
    scene.plan.points[1].role = Role::Help;
    let guest = scene.guest(vec![scene.come(0, 0, 5), scene.come(0, 1, 6)]);
    let played = scene.play(guest).await;
    assert_eq!(played.counts.iter().map(|p| p.stretched).collect::<Vec<_>>(), [1, 1]);
    assert_eq!(played.sum, (1, 0));
}

#[tokio::test]
async fn a_connection_that_ends_in_the_middle_ends_the_stretching() {
    for start in ["vCont", "Hg", "g", "m", "M", "P"] {
        let scene = Scene::new(Isa::X86_64);
        let script = vec![Step::HangUpAt(start), scene.come(0, 0, 5), Step::Wake(0, 1)];
        let guest = scene.guest(script);
        let played = scene.play(guest).await;
        played.closed();
        assert_eq!(played.counts[0].returned, 0, "{start}");
    }
    // Before anything was asked.
    let (ours, _) = UnixStream::pair().unwrap();
    let plan = Arc::new(Scene::new(Isa::X86_64).plan);
    let counts = Arc::new(Counts::of(&plan));
    let error = Stretcher::start(ours, plan, counts, Random::new(1, "stretch")).await.unwrap_err();
    assert!(error.is_end_of_machine(), "{error}");
}

#[tokio::test]
async fn a_stop_with_another_signal_is_not_the_stretchers() {
    let scene = Scene::new(Isa::X86_64);
    // Somebody pauses the machine and lets it go on: SIGINT.
    let script = vec![Step::Signal(2), scene.come(0, 0, 5), Step::Signal(2), Step::Wake(0, 0)];
    let played = Scene::new(Isa::X86_64).play(scene.guest(script)).await;
    played.closed();
    assert_eq!(played.counts[0], once("f:g#1000"));
    // It is shut down: SIGQUIT.
    let played = Scene::new(Isa::X86_64).play(scene.guest(vec![Step::Shutdown(3)])).await;
    played.closed();
    assert_eq!(played.sum, (0, 0));
    // A breakpoint where none was put.
    let played = Scene::new(Isa::X86_64).play(scene.guest(vec![Step::Stop(Stop::TRAP)])).await;
    assert!(matches!(played.end, StretchError::Strange(0)), "{}", played.end);
}

/// An x86_64 kernel whose `f` makes these calls: 0 `lock`, 1 `unlock`, 2 `claim`.
fn kernel(calls: &[u64], rcu: bool) -> Vmlinux {
    let mut functions = vec![
        ("lock", vec![0xc3]),
        ("unlock", vec![0xc3]),
        ("claim", vec![0xc3]),
        ("f", image::calls(3, calls)),
        ("msleep", vec![0xc3]),
        ("kernel_halt", vec![0xc3]),
    ];
    let Image { functions: rest, marks } = image::preemptible();
    functions.extend(rest.into_iter().filter(|(name, _)| rcu || !name.contains("rcu")));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("vmlinux");
    fs_err::write(&file, Image { functions, marks }.bytes(Isa::X86_64)).unwrap();
    Vmlinux::open(&file).unwrap()
}

fn resolve(vmlinux: &Vmlinux, points: &[StretchPoint]) -> Result<StretchPlan, PlanError> {
    StretchPlan::resolve(Arch::by_name("x86_64").unwrap(), vmlinux, points)
}

/// A point before the claim: at the lock taken there, else at the claim.
fn window() -> StretchPoint {
    let lock = Candidate {
        function: "f".to_owned(),
        call: "lock".to_owned(),
        occurrence: 1,
        after: Some("unlock".to_owned()),
        before: Some("claim".to_owned()),
    };
    let claim = Candidate { call: "claim".to_owned(), after: None, before: None, ..lock.clone() };
    StretchPoint {
        why: "the window".to_owned(),
        candidates: vec![lock, claim],
        role: Role::Window,
        ms: 300,
        probability: 1.0,
        most_at_a_time: 8,
        optional: false,
    }
}

#[test]
fn a_point_stands_at_the_first_candidate_that_the_kernel_has() {
    let buggy = resolve(&kernel(&[1, 0, 1, 2, 0], true), &[window()]).unwrap();
    assert_eq!((&*buggy.points()[0].name, buggy.points()[0].call.at), ("f:lock#1", 3 + 5));
    assert_eq!(buggy.points()[0].passed_over, Vec::new());

    let fixed = resolve(&kernel(&[1, 2, 0, 1], true), &[window()]).unwrap();
    assert_eq!((&*fixed.points()[0].name, fixed.points()[0].call.at), ("f:claim#1", 3 + 5));
    let passed_over = &fixed.points()[0].passed_over[..];
    let why = "f makes no call number 1 to lock behind the first one to unlock before";
    assert_eq!((passed_over.len(), &*passed_over[0].name), (1, "f:lock"));
    assert!(passed_over[0].why.starts_with(why), "{passed_over:?}");
    assert_eq!((fixed.left_out.len(), fixed.notes.len()), (0, 0));
    assert_eq!(fixed.task.rcu_nesting, Some(0x2c));

    let other = resolve(&kernel(&[1, 1], true), &[window()]).unwrap_err().to_string();
    assert!(
        other.contains("before the first one to claim; its calls are, in order: unlock, unlock\n")
            && other.ends_with("it is: the window"),
        "{other}"
    );
}

#[test]
fn optional_points_may_be_missing_but_not_every_window() {
    let gone = StretchPoint {
        candidates: vec![Candidate { function: "g".to_owned(), ..window().candidates[1].clone() }],
        optional: true,
        ..window()
    };
    let help = StretchPoint { role: Role::Help, ..window() };
    let vmlinux = kernel(&[1, 2], true);
    let plan = resolve(&vmlinux, &[gone.clone(), window()]).unwrap();
    assert_eq!(plan.points().len(), 1);
    assert_eq!(plan.left_out[0].name, "g:claim");
    assert!(plan.left_out[0].why.starts_with("this kernel has no function g"), "{plan:?}");
    // The same call twice is one breakpoint.
    let plan = resolve(&vmlinux, &[window(), help.clone()]).unwrap();
    assert_eq!((plan.points().len(), plan.points()[0].role), (1, Role::Window));
    let why = "f:claim#1 is a stretch point already".to_owned();
    assert_eq!(plan.left_out, [LeftOut { name: "f:lock".to_owned(), why }]);

    let error = resolve(&vmlinux, &[gone.clone(), help]).unwrap_err().to_string();
    assert!(error.contains("this kernel has no function g"), "{error}");
    let error = resolve(&vmlinux, &[gone]).unwrap_err().to_string();
    assert!(error.contains("this kernel has no function g"), "{error}");
}

#[test]
fn a_kernel_without_preemptible_rcu_is_told_in_the_plan() {
    let plan = resolve(&kernel(&[1, 2], false), &[window()]).unwrap();
    assert_eq!(plan.task.rcu_nesting, None);
    assert!(plan.notes[0].contains("no CONFIG_PREEMPT_RCU"), "{:?}", plan.notes);
}
