// SPDX-License-Identifier: MIT OR Apache-2.0
//! Takes a task that stands at a breakpoint out of what it does, and puts it back.

use super::abi::Abi;
use super::gdb::{Gdb, GdbError, Registers};

/// Bytes left free below the task's stack pointer: a red zone, were there one, and some room.
const STACK_GAP: u64 = 512;

/// A task that was taken out of what it did.
#[derive(Debug)]
pub(crate) struct Diverted {
    registers: Vec<(&'static str, u64)>,
    /// Its stack pointer.
    pub(crate) sp: u64,
}

impl Diverted {
    /// Keeps what belongs to the task that stands there.
    pub(crate) fn save(gdb: &Gdb, abi: &Abi, registers: &Registers) -> Result<Self, GdbError> {
        let kept = abi.general.iter().map(|&name| Ok((name, gdb.get(registers, name)?)));
        let kept = kept.collect::<Result<_, GdbError>>()?;
        Ok(Self { registers: kept, sp: gdb.get(registers, abi.sp)? })
    }

    /// The stack pointer with which it does something else meanwhile, by which it is known again.
    pub(crate) fn below(&self) -> u64 {
        self.sp.wrapping_sub(STACK_GAP) & !15
    }

    /// What has to be written for it to have its registers again.
    pub(crate) fn changed(
        &self,
        gdb: &Gdb,
        now: &Registers,
    ) -> Result<Vec<(&'static str, u64)>, GdbError> {
        let mut changed = Vec::new();
        for &(name, value) in &self.registers {
            if gdb.get(now, name)? != value {
                changed.push((name, value));
            }
        }
        Ok(changed)
    }
}

/// Sets `registers`, and enters the function at `target` as a call would that returns to `back`
/// and is made with stack pointer `sp`. With a point's own target and return address this
/// does what the instruction under the breakpoint would have done.
pub(crate) async fn enter(
    gdb: &mut Gdb,
    abi: &Abi,
    target: u64,
    back: u64,
    sp: u64,
    mut registers: Vec<(&'static str, u64)>,
) -> Result<(), GdbError> {
    let pushed = match abi.link {
        Some(link) => {
            registers.extend([(link, back), (abi.sp, sp)]);
            None
        }
        None => {
            let below = sp.wrapping_sub(8);
            registers.push((abi.sp, below));
            Some((below, back))
        }
    };
    registers.push((abi.pc, target));
    gdb.write(pushed, &registers).await
}
