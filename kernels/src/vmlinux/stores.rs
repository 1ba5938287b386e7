// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a function stores in the running task and in the per-CPU area, read from its machine code.
//!
//! The code is followed once from top to bottom, with what is known of each register. What
//! reaches an instruction over several ways is kept if all ways that come from above agree. A store
//! through a register of which nothing is known is not reported.

mod arm64;
mod registers;
mod riscv;
mod x86;

use std::collections::HashMap;

use host::arch::Isa;

use registers::{Flow, Registers, Value};

pub(super) use registers::{Base, Location, Store};

/// One instruction: its length, what it does to the registers, and where control goes.
type Step = fn(&[u8], u64, &mut Registers, &mut Vec<Store>) -> Option<(usize, Flow)>;

/// The stores of `code`, whose first byte lies at `address`, that the way above can tell, in
/// order of address.
pub(super) fn decode(isa: Isa, code: &[u8], address: u64) -> Vec<Store> {
    let (step, unknown): (Step, Registers) = match isa {
        Isa::X86_64 => (x86::step, Registers([Value::Unknown; 32])),
        Isa::Arm64 => (arm64::step, Registers([Value::Unknown; 32])),
        Isa::Riscv64 => (riscv::step, riscv::at_entry()),
    };
    let mut found = Vec::new();
    let mut reached: HashMap<u64, Registers> = HashMap::new();
    let (mut position, mut registers) = (0, Some(unknown));
    while let Some(rest) = code.get(position..).filter(|rest| !rest.is_empty()) {
        let at = address.wrapping_add(position as u64);
        let mut now = match (registers, reached.remove(&at)) {
            (Some(mut above), Some(branched)) => {
                above.meet(&branched);
                above
            }
            (Some(only), None) | (None, Some(only)) => only,
            // Only ways from below lead here.
            (None, None) => unknown,
        };
        let Some((length, flow)) = step(rest, at, &mut now, &mut found) else { break };
        if let Some(target) = flow.branch.filter(|&target| target > at) {
            reached.entry(target).and_modify(|known| known.meet(&now)).or_insert(now);
        }
        registers = (!flow.ends).then_some(now);
        position += length;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: u64 = 0x1000;

    fn stored(base: Base, offset: i64, value: Option<u64>) -> Store {
        Store { to: Location { base, offset }, bytes: 4, value }
    }

    /// Bytes from binutils' assembler and linker, as those below.
    #[test]
    fn x86_stores_are_followed_to_the_pointer_that_they_go_through() {
        #[rustfmt::skip]
        let code = [
            0x65, 0x48, 0x8b, 0x1c, 0x25, 0x00, 0x6c, 0x02, 0x00, // mov %gs:0x26c00,%rbx
            0x48, 0x8d, 0xbb, 0xec, 0x02, 0x00, 0x00, // lea 0x2ec(%rbx),%rdi
            0x48, 0x89, 0xf8, // mov %rdi,%rax
            0x48, 0xc1, 0xe8, 0x03, // shr $0x3,%rax
            0x80, 0x38, 0x00, // cmpb $0x0,(%rax)
            0x75, 0x1b, // jne 1037
            0x65, 0x4c, 0x8b, 0x24, 0x25, 0x00, 0x6c, 0x02, 0x00, // mov %gs:0x26c00,%r12
            0x8b, 0x8b, 0xec, 0x02, 0x00, 0x00, // mov 0x2ec(%rbx),%ecx
            0x83, 0xc1, 0x01, // add $0x1,%ecx
            0x41, 0x89, 0x8c, 0x24, 0xec, 0x02, 0x00, 0x00, // mov %ecx,0x2ec(%r12)
            0xc3, // ret
            0xe8, 0x02, 0x00, 0x00, 0x00, // call 103e
            0xeb, 0xde, // jmp 101c
            0x65, 0x48, 0x8b, 0x15, 0x00, 0x6c, 0x02, 0x00, // mov %gs:0x26c00(%rip),%rdx
            0xc7, 0x42, 0x18, 0x02, 0x00, 0x00, 0x00, // movl $0x2,0x18(%rdx)
            0xc7, 0x07, 0x03, 0x00, 0x00, 0x00, // movl $0x3,(%rdi)
            0x65, 0xff, 0x05, 0x10, 0x00, 0x00, 0x00, // incl %gs:0x10(%rip)
            0x65, 0xff, 0x0c, 0x25, 0x10, 0x6c, 0x02, 0x00, // decl %gs:0x26c10
            0x89, 0xd0, // mov %edx,%eax
            0xc7, 0x40, 0x20, 0x04, 0x00, 0x00, 0x00, // movl $0x4,0x20(%rax)
            0x48, 0x85, 0xf6, // test %rsi,%rsi
            0x75, 0x03, // jne 1073
            0x48, 0x89, 0xf2, // mov %rsi,%rdx
            0xc7, 0x42, 0x18, 0x05, 0x00, 0x00, 0x00, // movl $0x5,0x18(%rdx)
        ];
        let task = Base::PerCpuPointer(0x26c00);
        let expected = [
            stored(task, 0x2ec, None),
            stored(Base::PerCpuPointer(0x27c46), 0x18, Some(2)),
            stored(Base::PerCpu, 0x106a, None),
            stored(Base::PerCpu, 0x26c10, None),
            // The last one may go through two pointers, and is not told; nor is one through `rdi`, which
            // calls do not keep, or through half a pointer.
        ];
        assert_eq!(decode(Isa::X86_64, &code, AT), expected);
        // Cut off within an instruction.
        assert_eq!(decode(Isa::X86_64, &code[..0x34], AT), expected[..0]);
    }

    #[test]
    fn arm64_stores_are_followed_to_the_running_task() {
        #[rustfmt::skip]
        let words: [u32; 26] = [
            0xd538_4113, // mrs x19, sp_el0
            0x910b_b260, // add x0, x19, #0x2ec
            0x3940_0001, // ldrb w1, [x0]
            0x3500_01e1, // cbnz w1, 1048
            0xd538_4114, // mrs x20, sp_el0
            0xb942_ee61, // ldr w1, [x19, #748]
            0x1100_0421, // add w1, w1, #0x1
            0xb902_ee81, // str w1, [x20, #748]
            0x5280_0042, // mov w2, #0x2
            0xaa14_03e3, // mov x3, x20
            0x2903_7c62, // stp w2, wzr, [x3, #24]
            0xb801_8c62, // str w2, [x3, #24]!
            0xb900_0062, // str w2, [x3]
            0xd538_4104, // mrs x4, sp_el0
            0x885f_7c85, // ldxr w5, [x4]
            0x8804_7c85, // stxr w4, w5, [x4]
            0xb900_0885, // str w5, [x4, #8]
            0xd65f_03c0, // ret
            0x9400_0002, // bl 1050
            0x17ff_fff1, // b 1010
            0xd538_4115, // mrs x21, sp_el0
            0x97ff_ffff, // bl 1050
            0xb900_0abf, // str wzr, [x21, #8]
            0xd538_4100, // mrs x0, sp_el0
            0x97ff_fffc, // bl 1050
            0xb900_101f, // str wzr, [x0, #16]
        ];
        let code: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let task = Base::TaskRegister;
        let expected = [
            stored(task, 0x2ec, None),
            stored(task, 24, Some(2)),
            stored(task, 28, Some(0)),
            stored(task, 24, Some(2)),
            // x21 outlives a call; x0 does not, nor x3 its write-back, nor x4 what `stxr` leaves there.
            stored(task, 8, Some(0)),
        ];
        assert_eq!(decode(Isa::Arm64, &code, AT), expected);
    }

    #[test]
    fn riscv_stores_are_followed_to_the_running_task() {
        #[rustfmt::skip]
        let code = [
            0x13, 0x05, 0xc2, 0x32, // addi a0,tp,812
            0x92, 0x84, // c.mv s1,tp
            0x83, 0x07, 0x05, 0x00, // lb a5,0(a0)
            0x85, 0xe7, // c.bnez a5,1032
            0x83, 0xa7, 0xc4, 0x32, // lw a5,812(s1)
            0x85, 0x27, // c.addiw a5,1
            0x23, 0xa6, 0xf4, 0x32, // sw a5,812(s1)
            0x09, 0x47, // c.li a4,2
            0x98, 0xd4, // c.sw a4,40(s1)
            0x85, 0x66, // c.lui a3,0x1
            0x92, 0x96, // c.add a3,tp
            0x23, 0xac, 0xe6, 0xfe, // sw a4,-8(a3)
            0x83, 0x27, 0x82, 0x00, // lw a5,8(tp)
            0x85, 0x07, // c.addi a5,1
            0x23, 0x24, 0xf2, 0x00, // sw a5,8(tp)
            0xba, 0x84, // c.mv s1,a4
            0x98, 0xd4, // c.sw a4,40(s1)
            0x82, 0x80, // c.jr ra
            0xef, 0x00, 0x60, 0x00, // jal ra,1038
            0xd9, 0xbf, // c.j 100c
            0x12, 0x85, // c.mv a0,tp
            0xef, 0xf0, 0xff, 0xff, // jal ra,1038
            0x18, 0xc9, // c.sw a4,16(a0)
        ];
        let task = Base::TaskRegister;
        let expected = [
            stored(task, 812, None),
            stored(task, 40, Some(2)),
            stored(task, 0xff8, Some(2)),
            stored(task, 8, None),
        ];
        assert_eq!(decode(Isa::Riscv64, &code, AT), expected);
    }
}
