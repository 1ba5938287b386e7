// SPDX-License-Identifier: MIT OR Apache-2.0
//! How direct calls are written in machine code.

use host::arch::Isa;
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

/// The direct calls in `code`, whose first byte lies at `address`, in order of address.
pub(super) fn decode(isa: Isa, code: &[u8], address: u64) -> Vec<Call> {
    match isa {
        Isa::X86_64 => x86_calls(code, address),
        Isa::Arm64 => arm64_calls(code, address),
        Isa::Riscv64 => riscv_calls(code, address),
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

pub(super) fn little_endian(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte))
}

/// The lowest `bits` bits of `value` as a number in two's complement.
pub(super) fn signed(value: u32, bits: u32) -> i64 {
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
}
