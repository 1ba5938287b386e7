// SPDX-License-Identifier: MIT OR Apache-2.0
//! riscv64: the running task is in `tp`. Encodings: RISC-V Unprivileged ISA, chapters 2, 5 and 16 (`C`).

use super::super::calls::{little_endian, signed};
use super::registers::{Base, Flow, Location, Registers, Store, Value, store};

const ZERO: usize = 0;
const TP: usize = 4;

/// What is known where a function begins.
pub(super) fn at_entry() -> Registers {
    let mut registers = Registers([Value::Unknown; 32]);
    registers.0[ZERO] = Value::Number(0);
    registers.0[TP] = Value::Address(Location { base: Base::TaskRegister, offset: 0 });
    registers
}

/// One instruction.
pub(super) fn step(
    code: &[u8],
    at: u64,
    registers: &mut Registers,
    found: &mut Vec<Store>,
) -> Option<(usize, Flow)> {
    // The two lowest bits of all compressed instructions differ from 11.
    let length = if code.first()? & 3 == 3 { 4 } else { 2 };
    let word = little_endian(code.get(..length)?);
    let flow = match length {
        4 => long(word, at, registers, found),
        _ => compressed(word, at, registers, found),
    };
    Some((length, flow))
}

fn set(registers: &mut Registers, register: usize, value: Value) {
    if register != ZERO {
        registers.0[register] = value;
    }
}

/// Bits `low` to `high` of a word, moved to begin at bit `to`.
fn bits(word: u32, high: u32, low: u32, to: u32) -> u32 {
    (word >> low & ((1 << (high - low + 1)) - 1)) << to
}

fn call(registers: &mut Registers) -> Flow {
    // ra, t0-t2, a0-a7, t3-t6.
    registers.clobber([1, 5, 6, 7].into_iter().chain(10..=17).chain(28..=31));
    Flow::default()
}

fn sum(a: Value, b: Value) -> Value {
    match (a, b) {
        (Value::Number(distance), other) | (other, Value::Number(distance)) => {
            other.plus(distance.cast_signed())
        }
        _ => Value::Unknown,
    }
}

fn long(word: u32, at: u64, registers: &mut Registers, found: &mut Vec<Store>) -> Flow {
    let register = |low: u32| bits(word, low + 4, low, 0) as usize;
    let (rd, rs1, rs2) = (register(7), register(15), register(20));
    let function = bits(word, 14, 12, 0);
    let immediate = signed(word >> 20, 12);
    let value = match (word & 0x7f, function) {
        (0x23, _) => {
            let offset = signed(bits(word, 31, 25, 5) | bits(word, 11, 7, 0), 12);
            store(found, registers.0[rs1], offset, 1 << (function & 3), registers.0[rs2]);
            return Flow::default();
        }
        (0x63, _) => {
            let distance = bits(word, 31, 31, 12)
                | bits(word, 7, 7, 11)
                | bits(word, 30, 25, 5)
                | bits(word, 11, 8, 1);
            let target = at.wrapping_add_signed(signed(distance, 13));
            return Flow { branch: Some(target), ends: false };
        }
        (0x6f, _) if rd == ZERO => {
            let distance = bits(word, 31, 31, 20)
                | bits(word, 19, 12, 12)
                | bits(word, 20, 20, 11)
                | bits(word, 30, 21, 1);
            let target = at.wrapping_add_signed(signed(distance, 21));
            return Flow { branch: Some(target), ends: true };
        }
        (0x67, _) if rd == ZERO => return Flow { branch: None, ends: true },
        (0x6f | 0x67, _) => return call(registers),
        // Fences, and stores of floating point and vector registers.
        (0x0f | 0x27, _) => return Flow::default(),
        (0x13, 0) => registers.0[rs1].plus(immediate),
        (0x1b, 0) => match registers.0[rs1].plus(immediate) {
            Value::Number(number) => Value::Number(i64::from(number as i32).cast_unsigned()),
            _ => Value::Unknown,
        },
        (0x37, _) => Value::Number(i64::from((word & !0xfff).cast_signed()).cast_unsigned()),
        (0x33, 0) if word >> 25 == 0 => sum(registers.0[rs1], registers.0[rs2]),
        _ => Value::Unknown,
    };
    set(registers, rd, value);
    Flow::default()
}

fn compressed(word: u32, at: u64, registers: &mut Registers, found: &mut Vec<Store>) -> Flow {
    let (rd, rs2) = (bits(word, 11, 7, 0) as usize, bits(word, 6, 2, 0) as usize);
    // Three bits name the registers from s0 on.
    let (high, low) = (8 + bits(word, 9, 7, 0) as usize, 8 + bits(word, 4, 2, 0) as usize);
    let immediate = signed(bits(word, 12, 12, 5) | bits(word, 6, 2, 0), 6);
    match (word & 3, word >> 13) {
        (0, 6) => {
            let offset = bits(word, 12, 10, 3) | bits(word, 6, 6, 2) | bits(word, 5, 5, 6);
            store(found, registers.0[high], i64::from(offset), 4, registers.0[low]);
        }
        (0, 7) => {
            let offset = bits(word, 12, 10, 3) | bits(word, 6, 5, 6);
            store(found, registers.0[high], i64::from(offset), 8, registers.0[low]);
        }
        (0, _) => set(registers, low, Value::Unknown),
        (1, 0) => set(registers, rd, registers.0[rd].plus(immediate)),
        (1, 2) => set(registers, rd, Value::Number(immediate.cast_unsigned())),
        (1, 3) if rd != 2 => set(registers, rd, Value::Number((immediate << 12).cast_unsigned())),
        (1, 4) => set(registers, high, Value::Unknown),
        (1, 5) => {
            let distance = bits(word, 12, 12, 11)
                | bits(word, 11, 11, 4)
                | bits(word, 10, 9, 8)
                | bits(word, 8, 8, 10)
                | bits(word, 7, 7, 6)
                | bits(word, 6, 6, 7)
                | bits(word, 5, 3, 1)
                | bits(word, 2, 2, 5);
            let target = at.wrapping_add_signed(signed(distance, 12));
            return Flow { branch: Some(target), ends: true };
        }
        (1, 6 | 7) => {
            let distance = bits(word, 12, 12, 8)
                | bits(word, 11, 10, 3)
                | bits(word, 6, 5, 6)
                | bits(word, 4, 3, 1)
                | bits(word, 2, 2, 5);
            let target = at.wrapping_add_signed(signed(distance, 9));
            return Flow { branch: Some(target), ends: false };
        }
        (2, 4) => match (bits(word, 12, 12, 0), rd, rs2) {
            (0, _, 0) => return Flow { branch: None, ends: true },
            (0, _, _) => set(registers, rd, registers.0[rs2]),
            (_, 0, 0) => {}
            (_, _, 0) => return call(registers),
            _ => set(registers, rd, sum(registers.0[rd], registers.0[rs2])),
        },
        // Stores on the stack.
        (2, 5..=7) => {}
        _ => set(registers, rd, Value::Unknown),
    }
    Flow::default()
}
