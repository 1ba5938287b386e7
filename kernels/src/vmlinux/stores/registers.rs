// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is known of registers while a function's code is followed, and what it stores.

/// What an address is measured from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in super::super) enum Base {
    /// The per-CPU area of this CPU.
    PerCpu,
    /// What the pointer at this offset in the per-CPU area points to.
    PerCpuPointer(u64),
    /// The running task, whose address is in a register: `SP_EL0` on arm64, `tp` on riscv64.
    TaskRegister,
}

/// A place in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in super::super) struct Location {
    pub base: Base,
    pub offset: i64,
}

/// A store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Store {
    pub to: Location,
    /// How many bytes are stored.
    pub bytes: usize,
    /// What is stored, where the code says so.
    pub value: Option<u64>,
}

/// What is known of the contents of a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value {
    Unknown,
    Number(u64),
    Address(Location),
}

impl Value {
    pub(super) fn plus(self, distance: i64) -> Self {
        match self {
            Self::Unknown => Self::Unknown,
            Self::Number(number) => Self::Number(number.wrapping_add_signed(distance)),
            Self::Address(Location { base, offset }) => {
                Self::Address(Location { base, offset: offset.wrapping_add(distance) })
            }
        }
    }

    pub(super) fn number(self) -> Option<u64> {
        if let Self::Number(number) = self { Some(number) } else { None }
    }
}

/// The general registers, by their number in the instruction set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Registers(pub(super) [Value; 32]);

impl Registers {
    /// A function was called: it keeps all but these.
    pub(super) fn clobber(&mut self, registers: impl IntoIterator<Item = usize>) {
        for register in registers {
            self.0[register] = Value::Unknown;
        }
    }

    pub(super) fn meet(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            if mine != theirs {
                *mine = Value::Unknown;
            }
        }
    }
}

/// Where control goes behind an instruction.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Flow {
    /// It may go there.
    pub(super) branch: Option<u64>,
    /// It does not go to the next instruction.
    pub(super) ends: bool,
}

/// A store through `base`, if that is known.
pub(super) fn store(found: &mut Vec<Store>, base: Value, offset: i64, bytes: usize, value: Value) {
    if let Value::Address(to) = base.plus(offset) {
        found.push(Store { to, bytes, value: value.number() });
    }
}
