// SPDX-License-Identifier: MIT OR Apache-2.0
//! arm64: the running task is in `SP_EL0`. Encodings: Arm Architecture Reference Manual, C4.1 and C6.2.

use super::super::calls::{little_endian, signed};
use super::registers::{Base, Flow, Location, Registers, Store, Value, store};

/// The stack pointer or zero, by instruction.
const ZERO: usize = 31;

/// One instruction.
pub(super) fn step(
    code: &[u8],
    at: u64,
    registers: &mut Registers,
    found: &mut Vec<Store>,
) -> Option<(usize, Flow)> {
    let word = little_endian(code.get(..4)?);
    let next = |flow| Some((4, flow));
    let to = |distance: u32, bits: u32| at.wrapping_add_signed(signed(distance, bits) * 4);
    // Branches, exceptions and system instructions.
    if word >> 26 == 0b00_0101 {
        return next(Flow { branch: Some(to(word, 26)), ends: true });
    }
    if word >> 26 == 0b10_0101 || word & 0xffff_fc1f == 0xd63f_0000 {
        // x18 belongs to the platform; x30 is the link.
        registers.clobber((0..=17).chain([30]));
        return next(Flow::default());
    }
    if word & 0xfe00_0000 == 0xd600_0000 {
        return next(Flow { branch: None, ends: true });
    }
    if word & 0xff00_0000 == 0x5400_0000 || word & 0x7e00_0000 == 0x3400_0000 {
        return next(Flow { branch: Some(to(word >> 5, 19)), ends: false });
    }
    if word & 0x7e00_0000 == 0x3600_0000 {
        return next(Flow { branch: Some(to(word >> 5, 14)), ends: false });
    }
    // Loads and stores; all others have one result at most.
    if word & 0x0a00_0000 == 0x0800_0000 {
        memory(word, registers, found);
    } else {
        let value = result(word, registers);
        set(registers, field(word, 0), value);
    }
    next(Flow::default())
}

/// The five bits of a register's number that begin at `bit`.
fn field(word: u32, bit: u32) -> usize {
    (word >> bit & 31) as usize
}

fn set(registers: &mut Registers, register: usize, value: Value) {
    if register != ZERO {
        registers.0[register] = value;
    }
}

fn data(registers: &Registers, register: usize) -> Value {
    if register == ZERO { Value::Number(0) } else { registers.0[register] }
}

fn memory(word: u32, registers: &mut Registers, found: &mut Vec<Store>) {
    let (rt, rn, rt2, rs) = (field(word, 0), field(word, 5), field(word, 10), field(word, 16));
    let base = if rn == ZERO { Value::Unknown } else { registers.0[rn] };
    let bytes = 1usize << (word >> 30);
    let floating = word >> 26 & 1 == 1;
    let load = word >> 22 & 3 != 0;
    if word & 0x3b00_0000 == 0x3900_0000 && !floating {
        // An unsigned offset in units of the size.
        if load {
            set(registers, rt, Value::Unknown);
        } else {
            let offset = i64::from(word >> 10 & 0xfff) * bytes as i64;
            store(found, base, offset, bytes, data(registers, rt));
        }
    } else if word & 0x3b20_0000 == 0x3800_0000 && !floating {
        // An offset in bytes, with the base unchanged (0), changed after (1) or before (3).
        let mode = word >> 10 & 3;
        if load {
            set(registers, rt, Value::Unknown);
        } else {
            let offset = if mode == 1 { 0 } else { signed(word >> 12, 9) };
            store(found, base, offset, bytes, data(registers, rt));
        }
        if mode & 1 == 1 {
            set(registers, rn, Value::Unknown);
        }
    } else if word & 0x3a00_0000 == 0x2800_0000 && !floating {
        // A pair; the base unchanged unless bit 23 is set.
        if word >> 22 & 1 == 1 {
            registers.clobber([rt, rt2].into_iter().filter(|&r| r != ZERO));
        } else {
            let bytes = if word >> 31 == 1 { 8 } else { 4 };
            let after = word >> 23 & 3 == 1;
            let offset = if after { 0 } else { signed(word >> 15, 7) * bytes as i64 };
            store(found, base, offset, bytes, data(registers, rt));
            store(found, base, offset + bytes as i64, bytes, data(registers, rt2));
        }
        if word >> 23 & 1 == 1 {
            set(registers, rn, Value::Unknown);
        }
    } else {
        // Exclusives, atomics, register offsets, vectors: whatever they may write.
        registers.clobber([rt, rt2, rs, rn].into_iter().filter(|&r| r != ZERO));
    }
}

fn result(word: u32, registers: &Registers) -> Value {
    const TASK: Location = Location { base: Base::TaskRegister, offset: 0 };
    let (rn, rm) = (field(word, 5), field(word, 16));
    if word & 0xffff_ffe0 == 0xd538_4100 {
        Value::Address(TASK) // mrs Xd, sp_el0
    } else if word & 0xffe0_ffe0 == 0xaa00_03e0 {
        data(registers, rm) // mov Xd, Xm
    } else if word & 0xffe0_ffe0 == 0x2a00_03e0 {
        data(registers, rm).number().map_or(Value::Unknown, Value::Number) // mov Wd, Wm
    } else if word & 0xff80_0000 == 0x9100_0000 && rn != ZERO {
        registers.0[rn].plus(immediate(word)) // add Xd, Xn, #imm
    } else if word & 0xff80_0000 == 0xd100_0000 && rn != ZERO {
        registers.0[rn].plus(-immediate(word)) // sub Xd, Xn, #imm
    } else if word & 0x7f80_0000 == 0x5280_0000 {
        Value::Number(u64::from(word >> 5 & 0xffff) << (16 * (word >> 21 & 3))) // movz
    } else {
        Value::Unknown
    }
}

/// The immediate of an addition: 12 bits, shifted left by 12 if bit 22 is set.
fn immediate(word: u32) -> i64 {
    i64::from(word >> 10 & 0xfff) << (12 * (word >> 22 & 1))
}
