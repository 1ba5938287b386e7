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
    /// How to see whether interrupts are enabled.
    pub interrupts: Interrupts,
    /// Where `preempt_count` of the running task is found.
    pub preempt_count: PreemptCount,
    /// Decodes the direct calls in `code`, whose first byte lies at the given address.
    pub calls: fn(code: &[u8], address: u64) -> Vec<Call>,
}

/// The bit that tells whether a vCPU takes interrupts.
#[derive(Debug)]
pub struct Interrupts {
    /// Register that holds it.
    pub register: &'static str,
    /// Number of the bit.
    pub bit: u32,
    /// Interrupts are enabled while the bit is set; else while it is clear.
    pub enabled_if_set: bool,
}

/// Where `preempt_count` of the running task is found: in 4 bytes at a register plus an offset.
#[derive(Debug)]
pub struct PreemptCount {
    /// Register with the vCPU's per-CPU base, or with the running task's `thread_info`.
    pub base: &'static str,
    /// What to add to it.
    pub place: Place,
    /// Bits of the counter that say something else.
    pub ignored: u32,
}

/// What leads from a base register to a variable.
#[derive(Debug)]
pub enum Place {
    /// The value of the first of these symbols that the kernel has, plus an offset.
    Symbol(&'static [(&'static str, u64)]),
    /// The same number of bytes in every kernel.
    Offset(u64),
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
    interrupts: Interrupts { register: "eflags", bit: 9, enabled_if_set: true },
    preempt_count: PreemptCount {
        base: "gs_base",
        // Up to 6.1 and from 6.15 on a variable of its own; between, the second member of
        // struct pcpu_hot, behind the 8 bytes of current_task.
        place: Place::Symbol(&[("__preempt_count", 0), ("pcpu_hot", 8)]),
        // PREEMPT_NEED_RESCHED, kept inverted in the top bit.
        ignored: 1 << 31,
    },
    calls: x86_calls,
};

static ARM64: Isa = Isa {
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
    preempt_count: PreemptCount {
        // The kernel keeps the running task, which begins with its thread_info, in the stack
        // pointer of user space.
        base: "SP_EL0",
        // Behind the 8 bytes of flags, unless CONFIG_ARM64_SW_TTBR0_PAN puts ttbr0 between: arm64.config
        // has it off. What would be read there is never 0, so no task would be sent to sleep.
        place: Place::Offset(8),
        ignored: 0,
    },
    calls: arm64_calls,
};

static RISCV64: Isa = Isa {
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
    preempt_count: PreemptCount {
        // The running task, which begins with its thread_info: 8 bytes of flags, then the counter.
        base: "tp",
        place: Place::Offset(8),
        ignored: 0,
    },
    calls: riscv_calls,
};

/// The description of `isa`.
pub fn of(isa: arch::Isa) -> &'static Isa {
    match isa {
        arch::Isa::X86_64 => &X86_64,
        arch::Isa::Arm64 => &ARM64,
        arch::Isa::Riscv64 => &RISCV64,
    }
}

fn x86_calls(code: &[u8], address: u64) -> Vec<Call> {
    Decoder::with_ip(64, code, address, DecoderOptions::NONE)
        .into_iter()
        .filter(|i| i.mnemonic() == Mnemonic::Call && i.op0_kind() == OpKind::NearBranch64)
        .map(|i| Call { at: i.ip(), next: i.next_ip(), target: i.near_branch64() })
        .collect()
}

/// `bl`: 0b100101 and 26 bits of distance in words. Arm Architecture Reference Manual, C6.2.
fn arm64_calls(code: &[u8], address: u64) -> Vec<Call> {
    let words = code.chunks_exact(4).map(little_endian).zip((address..).step_by(4));
    words
        .filter(|(word, _)| word >> 26 == 0b10_0101)
        .map(|(word, at)| {
            let target = at.wrapping_add_signed(signed(word, 26) * 4);
            Call { at, next: at + 4, target }
        })
        .collect()
}

/// `jal ra` and the pair `auipc ra; jalr ra, ra` that the linker leaves where the distance is
/// long. The breakpoint of a pair stands at its second instruction, which overwrites what the first
/// one left. RISC-V Unprivileged ISA, chapters 2.5 and 16 (`C`).
fn riscv_calls(code: &[u8], address: u64) -> Vec<Call> {
    const JAL_RA: u32 = 0x0ef;
    const AUIPC_RA: u32 = 0x097;
    const JALR_RA_RA: u32 = 0x80e7;
    let (mut found, mut position, mut upper) = (Vec::new(), 0, None);
    while let Some(&first) = code.get(position) {
        let at = address.wrapping_add(position as u64);
        // The two lowest bits of all compressed instructions differ from 11.
        let length = if first & 3 == 3 { 4 } else { 2 };
        let Some(bytes) = code.get(position..position + length) else { break };
        position += length;
        let word = little_endian(bytes);
        let before = upper.take();
        let target = if length == 2 {
            None
        } else if word & 0xfff == JAL_RA {
            // imm[20|10:1|11|19:12] in the bits from 31 to 12.
            let distance = (word >> 31 & 1) << 20
                | (word >> 21 & 0x3ff) << 1
                | (word >> 20 & 1) << 11
                | (word >> 12 & 0xff) << 12;
            Some(at.wrapping_add_signed(signed(distance, 21)))
        } else if word & 0xfff == AUIPC_RA {
            upper = Some(at.wrapping_add_signed(signed(word >> 12, 20) << 12));
            None
        } else if word & 0xf_ffff == JALR_RA_RA {
            before.map(|base: u64| base.wrapping_add_signed(signed(word >> 20, 12)))
        } else {
            None
        };
        found.extend(target.map(|target| Call { at, next: at + 4, target }));
    }
    found
}

fn little_endian(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte))
}

/// The lowest `bits` bits of `value` as a number in two's complement.
fn signed(value: u32, bits: u32) -> i64 {
    i64::from(value.cast_signed() << (32 - bits) >> (32 - bits))
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

    /// Words from binutils' assembler and linker.
    #[test]
    fn arm64_calls_are_told_from_other_branches() {
        let words: [u32; 6] = [
            0xa9bf_7bfd, // stp x29, x30, [sp, #-16]!
            0x9400_0005, // bl 0x1018
            0xd63f_00a0, // blr x5
            0x1400_0003, // b 0x1018
            0x97ff_fffc, // bl 0x1000
            0x5400_0020, // b.eq 0x1018
        ];
        let code: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let expected = [
            Call { at: 0x1004, next: 0x1008, target: 0x1018 },
            Call { at: 0x1010, next: 0x1014, target: 0x1000 },
        ];
        assert_eq!(arm64_calls(&code, 0x1000), expected);
        // Half a word at the end is none.
        assert_eq!(arm64_calls(&code[..0x12], 0x1000), expected[..1]);
    }

    /// Bytes from binutils' assembler and linker.
    #[test]
    fn riscv_calls_are_found_between_compressed_instructions() {
        let code = [
            0x41, 0x11, // addi sp, sp, -16
            0xef, 0x00, 0x20, 0x02, // jal ra, 0x80010024
            0x97, 0x00, 0xfe, 0x0f, // auipc ra, 0xffe0
            0xe7, 0x80, 0xa0, 0x7f, // jalr ra, 2042(ra)
            0x82, 0x97, // jalr a5
            0xef, 0x02, 0x40, 0x01, // jal t0, 0x80010024
            0x01, 0xa8, // j 0x80010024
            0x2e, 0x85, // mv a0, a1
            0xe7, 0x80, 0x00, 0x00, // jalr ra, 0(ra): no auipc before it
            0xb7, 0x05, 0x08, 0x00, // lui a1, 0x80
            0xef, 0xf0, 0x1f, 0xfe, // jal ra, 0x80010000
            0x82, 0x80, // ret
        ];
        let expected = [
            Call { at: 0x8001_0002, next: 0x8001_0006, target: 0x8001_0024 },
            Call { at: 0x8001_000a, next: 0x8001_000e, target: 0x8fff_0800 },
            Call { at: 0x8001_0020, next: 0x8001_0024, target: 0x8001_0000 },
        ];
        assert_eq!(riscv_calls(&code, 0x8001_0000), expected);
        // ret; auipc ra, 0xf0020; jalr ra, -2014(ra)
        let back = [0x82, 0x80, 0x97, 0x00, 0x02, 0xf0, 0xe7, 0x80, 0x20, 0x82];
        let expected = [Call { at: 0x8fff_0806, next: 0x8fff_080a, target: 0x8001_0024 }];
        assert_eq!(riscv_calls(&back, 0x8fff_0800), expected);
        // Cut off within the jalr.
        assert_eq!(riscv_calls(&back[..8], 0x8fff_0800), []);
    }

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
