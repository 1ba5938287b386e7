// SPDX-License-Identifier: MIT OR Apache-2.0
//! x86_64: the per-CPU area begins at the base of `gs`.

use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess,
    OpKind, Register,
};

use super::registers::{Base, Flow, Location, Registers, Store, Value, store};

/// `rax, rcx, rdx, rsi, rdi` and `r8` to `r11`, by number. System V ABI, AMD64 supplement, 3.2.3.
const CALLER_SAVED: [usize; 9] = [0, 1, 2, 6, 7, 8, 9, 10, 11];

/// One instruction.
pub(super) fn step(
    code: &[u8],
    at: u64,
    registers: &mut Registers,
    found: &mut Vec<Store>,
) -> Option<(usize, Flow)> {
    let instruction = Decoder::with_ip(64, code, at, DecoderOptions::NONE).decode();
    if instruction.is_invalid() {
        return None;
    }
    let mut factory = InstructionInfoFactory::new();
    let info = factory.info(&instruction);
    let writes = |access: OpAccess| matches!(access, OpAccess::Write | OpAccess::ReadWrite);
    if instruction.op0_kind() == OpKind::Memory && writes(info.op0_access()) {
        let value = if instruction.mnemonic() == Mnemonic::Mov {
            operand(&instruction, 1, registers)
        } else {
            Value::Unknown
        };
        let bytes = instruction.memory_size().size();
        store(found, address(&instruction, registers), 0, bytes, value);
    }
    let result = result(&instruction, registers);
    for used in info.used_registers() {
        let gone = !matches!(used.access(), OpAccess::Read | OpAccess::CondRead);
        if let (true, Some(number)) = (gone, general(used.register())) {
            registers.0[number] = Value::Unknown;
        }
    }
    if let Some((number, value)) = result {
        registers.0[number] = value;
    }
    let flow = match instruction.flow_control() {
        FlowControl::ConditionalBranch => {
            Flow { branch: Some(instruction.near_branch_target()), ends: false }
        }
        FlowControl::UnconditionalBranch => {
            Flow { branch: Some(instruction.near_branch_target()), ends: true }
        }
        FlowControl::IndirectBranch | FlowControl::Return => Flow { branch: None, ends: true },
        FlowControl::Call | FlowControl::IndirectCall => {
            registers.clobber(CALLER_SAVED);
            Flow::default()
        }
        // A warning's `ud2` is stepped over by the kernel.
        _ => Flow::default(),
    };
    Some((instruction.len(), flow))
}

/// Number of a general register or of a part of it.
fn general(register: Register) -> Option<usize> {
    let full = register.full_register();
    full.is_gpr64().then(|| full.number())
}

/// The address that the memory operand stands for.
fn address(instruction: &Instruction, registers: &Registers) -> Value {
    if instruction.memory_index() != Register::None {
        return Value::Unknown;
    }
    // Relative to the instruction pointer, this is the address itself.
    let displacement = instruction.memory_displacement64().cast_signed();
    let base = instruction.memory_base();
    let absolute = matches!(base, Register::None | Register::RIP | Register::EIP);
    match instruction.memory_segment() {
        Register::GS if absolute => {
            Value::Address(Location { base: Base::PerCpu, offset: displacement })
        }
        Register::GS => Value::Unknown,
        _ => general(base).map_or(Value::Unknown, |n| registers.0[n].plus(displacement)),
    }
}

/// What operand `index` holds, if it is an immediate or a register.
fn operand(instruction: &Instruction, index: u32, registers: &Registers) -> Value {
    match instruction.op_kind(index) {
        OpKind::Register => {
            general(instruction.op_register(index)).map_or(Value::Unknown, |n| registers.0[n])
        }
        OpKind::Memory => Value::Unknown,
        _ => instruction.try_immediate(index).map_or(Value::Unknown, Value::Number),
    }
}

/// The register that gets a value of which something is known.
fn result(instruction: &Instruction, registers: &Registers) -> Option<(usize, Value)> {
    let to = general(instruction.op0_register())?;
    let whole = instruction.op0_register().size() >= 4;
    let value = match instruction.mnemonic() {
        Mnemonic::Mov if instruction.op1_kind() == OpKind::Memory => {
            let pointer = instruction.op0_register().is_gpr64();
            match address(instruction, registers) {
                Value::Address(Location { base: Base::PerCpu, offset }) if pointer => {
                    let base = Base::PerCpuPointer(offset.cast_unsigned());
                    Value::Address(Location { base, offset: 0 })
                }
                _ => Value::Unknown,
            }
        }
        Mnemonic::Mov => operand(instruction, 1, registers),
        Mnemonic::Lea => address(instruction, registers),
        Mnemonic::Add if instruction.op1_kind() != OpKind::Memory => {
            let distance = operand(instruction, 1, registers).number()?;
            registers.0[to].plus(distance.cast_signed())
        }
        _ => return None,
    };
    // Half a pointer is none.
    let pointer = instruction.op0_register().is_gpr64();
    let fits = whole && (pointer || !matches!(value, Value::Address(_)));
    fits.then_some((to, value))
}
