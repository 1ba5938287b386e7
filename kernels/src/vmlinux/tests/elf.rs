// SPDX-License-Identifier: MIT OR Apache-2.0
//! Small kernel images for tests: an ELF file of one section of code, and its symbols.
//! Source: System V ABI, "Object Files"; machine numbers from <https://www.sco.com/developers/gabi/>.

use host::arch::Isa;

/// The number of each section.
const TEXT: u16 = 1;
const STRINGS: u32 = 3;

/// An image of functions, whose code is given, and of marks without a size, with their addresses.
pub(crate) struct Image {
    pub functions: Vec<(&'static str, Vec<u8>)>,
    pub marks: Vec<(&'static str, u64)>,
}

impl Image {
    /// The file. The functions stand one behind the other, from address 0 on.
    pub(crate) fn bytes(&self, isa: Isa) -> Vec<u8> {
        let machine: u16 = match isa {
            Isa::X86_64 => 62,
            Isa::Arm64 => 183,
            Isa::Riscv64 => 243,
        };
        let mut text = Vec::new();
        let mut names = vec![0];
        let mut symbols = vec![0; 24];
        let mut symbol = |name: &str, address: u64, size: u64| {
            symbols.extend((names.len() as u32).to_le_bytes());
            symbols.extend([0x12, 0]); // global, function
            symbols.extend(TEXT.to_le_bytes());
            symbols.extend(address.to_le_bytes());
            symbols.extend(size.to_le_bytes());
            names.extend(name.bytes().chain([0]));
        };
        for (name, code) in &self.functions {
            symbol(name, text.len() as u64, code.len() as u64);
            text.extend(code);
        }
        for (name, address) in &self.marks {
            symbol(name, *address, 0);
        }
        // Name, type, contents, size of an entry; the names of sections are empty.
        let parts: [(u32, Vec<u8>, u64); 3] = [(1, text, 0), (2, symbols, 24), (3, names, 0)];
        let mut headers = vec![0; 64];
        let mut contents = Vec::new();
        for (kind, bytes, entry) in parts {
            let (link, locals) = if kind == 2 { (STRINGS, 1u32) } else { (0, 0) };
            headers.extend([0u32, kind].iter().flat_map(|word| word.to_le_bytes()));
            let place = 64 + contents.len() as u64;
            headers.extend(
                [6, 0, place, bytes.len() as u64].iter().flat_map(|w: &u64| w.to_le_bytes()),
            );
            headers.extend([link, locals].iter().flat_map(|word| word.to_le_bytes()));
            headers.extend([1, entry].iter().flat_map(|word: &u64| word.to_le_bytes()));
            contents.extend(bytes);
        }
        let mut file = b"\x7fELF\x02\x01\x01".to_vec();
        file.resize(16, 0);
        file.extend([2, machine].iter().flat_map(|half: &u16| half.to_le_bytes()));
        file.extend(1u32.to_le_bytes());
        let section_headers = 64 + contents.len() as u64;
        file.extend([0, 0, section_headers].iter().flat_map(|word: &u64| word.to_le_bytes()));
        file.extend(0u32.to_le_bytes());
        let sizes: [u16; 6] = [64, 0, 0, 64, 4, STRINGS as u16];
        file.extend(sizes.iter().flat_map(|half| half.to_le_bytes()));
        file.extend(contents);
        file.extend(headers);
        file
    }
}

/// x86_64: calls from `at` on, one behind the other, to these addresses.
pub(crate) fn calls(at: u64, targets: &[u64]) -> Vec<u8> {
    let next = (at..).step_by(5).skip(1);
    let call = |(target, next): (&u64, u64)| {
        let distance = target.wrapping_sub(next) as u32;
        [vec![0xe8], distance.to_le_bytes().to_vec()].concat()
    };
    targets.iter().zip(next).flat_map(call).collect()
}

/// x86_64: `mov %gs:0x40, %rax`, an instruction that stores through `rax`, `ret`.
pub(crate) fn through_current(store: &[u8]) -> Vec<u8> {
    [&[0x65, 0x48, 0x8b, 0x04, 0x25, 0x40, 0, 0, 0], store, &[0xc3]].concat()
}

/// What an x86_64 kernel with preemptible RCU has: the running task at `gs:0x40`, `preempt_count` at
/// `gs:0x48`, `__state` at 0x18, `rcu_read_lock_nesting` at 0x2c, stacks of 32 KiB.
pub(crate) fn preemptible() -> Image {
    let state = |value| through_current(&[0xc7, 0x40, 0x18, value, 0, 0, 0]);
    let nesting = |count: u8| through_current(&[0xff, count, 0x2c]);
    Image {
        functions: vec![
            ("_raw_spin_lock", vec![0x65, 0xff, 0x04, 0x25, 0x48, 0, 0, 0, 0xc3]),
            ("_raw_spin_unlock", vec![0x65, 0xff, 0x0c, 0x25, 0x48, 0, 0, 0, 0xc3]),
            ("schedule_timeout_interruptible", state(1)),
            ("schedule_timeout_uninterruptible", state(2)),
            ("__rcu_read_lock", nesting(0x40)),
            ("__rcu_read_unlock", nesting(0x48)),
        ],
        marks: vec![("__start_init_task", 0), ("__end_init_task", 0x8000)],
    }
}
