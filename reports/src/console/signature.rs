// SPDX-License-Identifier: MIT OR Apache-2.0
//! A hash by which the same bug is known in another run.

use super::skip::never_blamed;
use crate::finding::{Finding, Stack, StackRole};

/// Frames of a stack that count.
const FRAMES: usize = 3;

/// The signature of a finding: 16 hexadecimal digits.
///
/// It covers the kind of bug and the first few functions that mean something, and for a
/// use-after-free also those that freed the object. Offsets, addresses, tasks, CPUs,
/// entry code and the frames of the detector itself are left out, as they differ between
/// architectures and builds of the same bug.
pub fn of(finding: &Finding) -> String {
    let mut hash = Fnv::default();
    hash.add(&finding.kind);
    hash.add(&finding.frame);
    if finding.frame.is_empty() {
        hash.add(&finding.title);
    }
    if let Some(stack) = finding.stacks.iter().find(|s| s.role == StackRole::Access) {
        add_stack(&mut hash, stack, &finding.frame);
    }
    if finding.kind.contains("USE-AFTER-FREE")
        && let Some(stack) = finding.stacks.iter().find(|s| s.role == StackRole::FreedBy)
    {
        hash.add("freed by");
        add_stack(&mut hash, stack, "");
    }
    format!("{:016x}", hash.0)
}

/// Adds the frames from the blamed one on (or all, if it is not in the stack).
fn add_stack(hash: &mut Fnv, stack: &Stack, blamed: &str) {
    let from = stack.frames.iter().position(|f| f.function == blamed).unwrap_or(0);
    stack.frames[from..]
        .iter()
        // Whether a function was inlined differs from compiler to compiler, and so does
        // whether the report was symbolised.
        .filter(|f| !f.inlined)
        .map(|f| f.function.as_str())
        .filter(|name| !never_blamed(name) && !is_entry(name))
        .take(FRAMES)
        .for_each(|name| hash.add(name.trim_start_matches('_')));
}

/// What calls the code of a system call, a thread or a work item: the same bug has other names
/// there, and more or fewer of them, on another architecture or in the next kernel.
fn is_entry(name: &str) -> bool {
    const ENTRY: &[&str] = &[
        "entry_",
        "do_syscall",
        "__do_syscall",
        "do_fast_syscall",
        "__do_fast_syscall",
        "do_int80_",
        "x64_sys_call",
        "ia32_sys_call",
        "syscall_",
        "system_call",
        "__x64_",
        "__ia32_",
        "__arm64_",
        "__riscv_",
        "__s390",
        "__se_sys",
        "__do_sys",
        "el0",
        "el1",
        "do_el0",
        "ret_from",
        "ret_fast_syscall",
        "invoke_syscall",
        "do_trap_ecall",
        "handle_exception",
        "asm_",
        "kthread",
        "sysvec",
        "process_one_work",
        "process_scheduled_works",
        "worker_thread",
    ];
    ENTRY.iter().any(|entry| name.starts_with(entry))
}

/// FNV-1a, which is small, and stable across versions of everything.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn add(&mut self, text: &str) {
        // The zero tells "ab","c" from "a","bc".
        for byte in text.bytes().chain([0]) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}
