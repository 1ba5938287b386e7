// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the stretcher must know of an instruction set: which registers carry a call, and
//! which one leads to the running task.

use host::arch::Isa;

/// One instruction set, described by its register names in the target description.
#[derive(Debug)]
pub(crate) struct Abi {
    /// Program counter.
    pub pc: &'static str,
    /// Stack pointer.
    pub sp: &'static str,
    /// First argument of a function.
    pub argument: &'static str,
    /// Register that holds the return address; `None`: calls push it on the stack.
    pub link: Option<&'static str>,
    /// Registers that belong to the task and are put back after a diversion, `pc` and `sp` left out.
    pub general: &'static [&'static str],
    /// How to see whether interrupts are enabled.
    pub interrupts: Interrupts,
    /// Register with the base of the vCPU's per-CPU area, or, where no task is found by that, with
    /// the running task itself.
    pub kernel_base: &'static str,
    /// The top bit of `preempt_count` is PREEMPT_NEED_RESCHED, inverted, and forbids nothing.
    pub resched_in_count: bool,
}

/// The bit that tells whether a vCPU takes interrupts.
#[derive(Debug)]
pub(crate) struct Interrupts {
    /// Register that holds it.
    pub register: &'static str,
    /// Number of the bit.
    pub bit: u32,
    /// Interrupts are enabled while the bit is set; else while it is clear.
    pub enabled_if_set: bool,
}

static X86_64: Abi = Abi {
    pc: "rip",
    sp: "rsp",
    argument: "rdi",
    link: None,
    general: &[
        "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "r8", "r9", "r10", "r11", "r12", "r13",
        "r14", "r15", "eflags",
    ],
    interrupts: Interrupts { register: "eflags", bit: 9, enabled_if_set: true },
    kernel_base: "gs_base",
    resched_in_count: true,
};

static ARM64: Abi = Abi {
    pc: "pc",
    sp: "sp",
    argument: "x0",
    link: Some("x30"),
    general: &[
        "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13",
        "x14", "x15", "x16", "x17", "x18", "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26",
        "x27", "x28", "x29", "x30", "cpsr",
    ],
    // PSTATE.I masks interrupts.
    interrupts: Interrupts { register: "cpsr", bit: 7, enabled_if_set: false },
    // The kernel keeps the running task in the stack pointer of user space.
    kernel_base: "SP_EL0",
    resched_in_count: false,
};

static RISCV64: Abi = Abi {
    pc: "pc",
    sp: "sp",
    argument: "a0",
    link: Some("ra"),
    general: &[
        "ra", "gp", "tp", "t0", "t1", "t2", "fp", "s1", "a0", "a1", "a2", "a3", "a4", "a5", "a6",
        "a7", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6",
    ],
    // sstatus.SIE.
    interrupts: Interrupts { register: "sstatus", bit: 1, enabled_if_set: true },
    kernel_base: "tp",
    resched_in_count: false,
};

/// The description of `isa`.
pub(crate) fn of(isa: Isa) -> &'static Abi {
    match isa {
        Isa::X86_64 => &X86_64,
        Isa::Arm64 => &ARM64,
        Isa::Riscv64 => &RISCV64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_diversion_touches_is_put_back() {
        for isa in [&X86_64, &ARM64, &RISCV64] {
            for register in [Some(isa.argument), isa.link].into_iter().flatten() {
                assert!(isa.general.contains(&register), "{register}");
            }
            assert!(!isa.general.contains(&isa.pc) && !isa.general.contains(&isa.sp));
        }
    }
}
