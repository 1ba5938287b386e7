// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the stretcher must know of an instruction set: which registers carry a call,
//! how calls are written in machine code, and where the kernel keeps `preempt_count`.

use host::arch;
use iced_x86::{Decoder, DecoderOptions, Mnemonic, OpKind};

/// A direct call instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// Address of the instruction.
    pub at: u64,
    /// Address of the instruction after it.
    pub next: u64,
    /// Address that is called.
    pub target: u64,
}

/// One instruction set, described by its register names in the target description.
#[derive(Debug)]
pub struct Isa {
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
    /// Flags register and the bit that is set while interrupts are enabled.
    pub interrupts: (&'static str, u32),
    /// Where `preempt_count` of the running task is found.
    pub preempt_count: PreemptCount,
    /// Decodes the direct calls in `code`, whose first byte lies at the given address.
    pub calls: fn(code: &[u8], address: u64) -> Vec<Call>,
}

/// Where `preempt_count` of the running task is found.
#[derive(Debug)]
pub enum PreemptCount {
    /// In per-CPU memory: at the base register plus the symbol's value plus an offset. The
    /// first symbol that the kernel has is used.
    PerCpu {
        /// Register with the vCPU's per-CPU base.
        base: &'static str,
        /// Symbols and the offset of the counter in what they name.
        symbols: &'static [(&'static str, u64)],
        /// Bits of the counter that say something else.
        ignored: u32,
    },
}

static X86_64: Isa = Isa {
    pc: "rip",
    sp: "rsp",
    argument: "rdi",
    link: None,
    general: &[
        "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "r8", "r9", "r10", "r11", "r12", "r13",
        "r14", "r15", "eflags",
    ],
    interrupts: ("eflags", 9),
    preempt_count: PreemptCount::PerCpu {
        base: "gs_base",
        // Up to 6.1 and from 6.15 on a variable of its own; between, the second member of
        // struct pcpu_hot, behind the 8 bytes of current_task.
        symbols: &[("__preempt_count", 0), ("pcpu_hot", 8)],
        // PREEMPT_NEED_RESCHED, kept inverted in the top bit.
        ignored: 1 << 31,
    },
    calls: x86_calls,
};

/// The description of `isa`.
pub fn of(isa: arch::Isa) -> &'static Isa {
    match isa {
        arch::Isa::X86_64 => &X86_64,
    }
}

fn x86_calls(code: &[u8], address: u64) -> Vec<Call> {
    Decoder::with_ip(64, code, address, DecoderOptions::NONE)
        .into_iter()
        .filter(|i| i.mnemonic() == Mnemonic::Call && i.op0_kind() == OpKind::NearBranch64)
        .map(|i| Call { at: i.ip(), next: i.next_ip(), target: i.near_branch64() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn direct_calls_are_decoded_and_nothing_else() {
        // push rbp; call +0x10; nop; call rax; jmp +0; call -0xd
        let code =
            [0x55, 0xe8, 0x10, 0, 0, 0, 0x90, 0xff, 0xd0, 0xeb, 0x00, 0xe8, 0xf3, 0xff, 0xff, 0xff];
        let calls = x86_calls(&code, 0x1000);
        assert_eq!(
            calls,
            [
                Call { at: 0x1001, next: 0x1006, target: 0x1016 },
                Call { at: 0x100b, next: 0x1010, target: 0x1003 },
            ]
        );
    }
}
