// SPDX-License-Identifier: MIT OR Apache-2.0
//! Small images, made here, and what is found in them.

mod elf;

use host::arch::Isa;
use tempfile::TempDir;

use super::*;
use elf::{Image, calls, preemptible, through_current};

impl Image {
    fn open(&self, isa: Isa) -> Vmlinux {
        let dir = TempDir::new().unwrap();
        let file = dir.path().join("vmlinux");
        fs_err::write(&file, self.bytes(isa)).unwrap();
        Vmlinux::open(&file).unwrap()
    }

    fn without(mut self, name: &str) -> Self {
        self.functions.retain(|(function, _)| *function != name);
        self.marks.retain(|(mark, _)| *mark != name);
        self
    }

    fn with(mut self, name: &'static str, code: Vec<u8>) -> Self {
        self = self.without(name);
        self.functions.push((name, code));
        self
    }

    fn refusal(&self) -> String {
        self.open(Isa::X86_64).running_task().unwrap_err().to_string()
    }
}

fn pattern(call: &'static str) -> CallPattern<'static> {
    CallPattern { function: "f", call, occurrence: 1, after: None, before: None }
}

#[test]
fn a_call_is_found_by_what_stands_around_it() {
    let stub = vec![0xc3];
    // unlock, claim, lock, unlock, lock
    let image = Image {
        functions: vec![
            ("lock", stub.clone()),
            ("unlock.isra.0", stub.clone()),
            ("claim", stub),
            ("f", calls(3, &[1, 2, 0, 1, 0])),
        ],
        // A mark at the address of a function does not take its name.
        marks: vec![("locks_begin", 0)],
    };
    let image = image.open(Isa::X86_64);
    let found = |pattern: CallPattern<'_>| {
        image.find_call(&pattern).map(|found| (found.name, found.call.at - 3))
    };
    let name = |name: &str, at| (name.to_owned(), at);
    assert_eq!(found(pattern("lock")).unwrap(), name("f:lock#1", 10));
    assert_eq!(
        found(CallPattern { occurrence: 2, ..pattern("lock") }).unwrap(),
        name("f:lock#2", 20)
    );
    let after = CallPattern { after: Some("unlock"), ..pattern("lock") };
    assert_eq!(found(after).unwrap(), name("f:lock#1", 10));
    let after = CallPattern { after: Some("lock"), ..pattern("lock") };
    assert_eq!(found(after).unwrap(), name("f:lock#2", 20));
    let between = CallPattern { after: Some("claim"), before: Some("unlock"), ..pattern("lock") };
    assert_eq!(found(between).unwrap(), name("f:lock#1", 10));

    let refusals = [
        (CallPattern { occurrence: 3, ..pattern("lock") }, "f makes no call number 3 to lock;"),
        (
            CallPattern { before: Some("claim"), ..pattern("lock") },
            "f makes no call number 1 to lock before the first one to claim;",
        ),
        // What is not called has no before and no behind.
        (CallPattern { before: Some("gone"), ..pattern("lock") }, "f makes no call number 1"),
        (CallPattern { after: Some("gone"), ..pattern("lock") }, "f makes no call number 1"),
        (CallPattern { function: "g", ..pattern("lock") }, "this kernel has no function g"),
    ];
    for (pattern, expected) in refusals {
        let words = found(pattern).unwrap_err().to_string();
        assert!(words.starts_with(expected), "{words}");
    }
    let words = found(pattern("no")).unwrap_err().to_string();
    assert!(
        words.ends_with("in order: unlock.isra.0, claim, lock, unlock.isra.0, lock"),
        "{words}"
    );
}

#[test]
fn the_sites_of_functions_come_by_what_they_promise() {
    let stub = vec![0xc3];
    // f: unlock, lock, kasan, lock, claim; g.isra.0: claim; f.cold: claim
    let image = Image {
        functions: vec![
            ("spin_lock", stub.clone()),
            ("spin_unlock", stub.clone()),
            ("__asan_load8", stub.clone()),
            ("claim", stub),
            ("f", calls(4, &[1, 0, 2, 0, 3])),
            ("g.isra.0", calls(29, &[3])),
            ("f.cold", calls(34, &[3])),
        ],
        marks: vec![("f_mark", 4)],
    };
    let image = image.open(Isa::X86_64);
    let told = |patterns: &[&str]| -> Vec<(String, Promise, u64)> {
        let sites = image.sites(patterns).unwrap().into_iter();
        sites.map(|site| (site.name(), site.promise, site.call.at)).collect()
    };
    let site = |name: &str, promise, at| (name.to_owned(), promise, at);
    let all = [
        site("f:spin_lock#1", Promise::BetweenLocks, 9),
        site("f:spin_unlock#1", Promise::Unknown, 4),
        site("g.isra.0:claim#1", Promise::Unknown, 29),
        site("f:spin_lock#2", Promise::Locked, 19),
        site("f:claim#1", Promise::Locked, 24),
    ];
    assert_eq!(told(&["f*", "g*", "f"]), all);
    // Of those that promise the same, the first pattern's come first.
    let mut other = all.clone();
    other.swap(1, 2);
    assert_eq!(told(&["g*", "f*", "f"]), other);
    assert_eq!(told(&["f"]).len(), 4);
    assert_eq!(told(&["g"]), all[2..3]);
    assert_eq!(told(&["nothing_*"]), []);
    let words = image.sites(&["h"]).unwrap_err().to_string();
    assert!(words.starts_with("this kernel has no function h"), "{words}");
}

#[test]
fn the_running_tasks_state_is_read_from_the_code_that_changes_it() {
    let expected = RunningTask {
        current: CurrentTask::PerCpu(0x40),
        preempt_count: PreemptCount::PerCpu(0x48),
        preempt_count_bytes: 4,
        state: 0x18,
        rcu_nesting: Some(0x2c),
        stack_bytes: 0x8000,
    };
    let read = |image: Image| image.open(Isa::X86_64).running_task().unwrap();
    assert_eq!(read(preemptible()), expected);
    // What the unlocking does besides is not in common.
    let special = through_current(&[0xff, 0x48, 0x2c, 0xff, 0x40, 0x30]);
    assert_eq!(read(preemptible().with("__rcu_read_unlock", special)), expected);
    // Newer ones count with `incq` and `decq`.
    let long = |number: u8| vec![0x65, 0x48, 0xff, number, 0x25, 0x48, 0, 0, 0, 0xc3];
    let image =
        preemptible().with("_raw_spin_lock", long(0x04)).with("_raw_spin_unlock", long(0x0c));
    assert_eq!(read(image), RunningTask { preempt_count_bytes: 8, ..expected.clone() });
    // Newer kernels call the stack's ends otherwise.
    let mut newer = preemptible().without("__end_init_task");
    newer.marks = vec![("__start_init_stack", 0x1000), ("__end_init_stack", 0x5000)];
    assert_eq!(read(newer), RunningTask { stack_bytes: 0x4000, ..expected.clone() });
    // Readers that cannot be preempted nest nowhere.
    let inlined = preemptible().without("__rcu_read_lock").without("__rcu_read_unlock");
    assert_eq!(read(inlined), RunningTask { rcu_nesting: None, ..expected });
}

#[test]
fn what_the_code_does_not_show_is_named_and_not_guessed() {
    let other_task = {
        let mut code = through_current(&[0xff, 0x40, 0x2c]);
        code[5] = 0x50;
        code
    };
    let counter = |at| [0x65, 0xff, 0x04, 0x25, at, 0, 0, 0];
    let two_counters = [counter(0x48), counter(0x50)].concat();
    let cases = [
        (
            preemptible().with("__rcu_read_lock", vec![0xc3]),
            "cannot tell where this kernel keeps rcu_read_lock_nesting of a task: __rcu_read_lock and",
        ),
        (
            preemptible().without("__rcu_read_unlock"),
            "cannot tell where this kernel keeps rcu_read_lock_nesting of a task: this kernel has no \
             function __rcu_read_unlock",
        ),
        (
            preemptible()
                .with("__rcu_read_lock", other_task.clone())
                .with("__rcu_read_unlock", other_task),
            "cannot tell where this kernel keeps the running task: ",
        ),
        (
            preemptible().with(
                "schedule_timeout_interruptible",
                through_current(&[0xc7, 0x40, 0x18, 2, 0, 0, 0]),
            ),
            "cannot tell where this kernel keeps __state of a task: ",
        ),
        (
            preemptible().with("_raw_spin_lock", vec![0xc3]),
            "cannot tell where this kernel keeps preempt_count: _raw_spin_lock and _raw_spin_unlock count nothing",
        ),
        (
            preemptible()
                .with("_raw_spin_lock", two_counters.clone())
                .with("_raw_spin_unlock", two_counters),
            "cannot tell where this kernel keeps preempt_count: _raw_spin_lock and _raw_spin_unlock have several",
        ),
        (
            preemptible().without("__end_init_task"),
            "cannot tell where this kernel keeps a task's stack: it has none of the symbols",
        ),
    ];
    for (image, expected) in cases {
        let words = image.refusal();
        assert!(words.starts_with(expected), "{words}\n   expected {expected}");
    }
}
