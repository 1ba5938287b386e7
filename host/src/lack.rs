// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tells a machine that ran out of memory or disk from a source that does not compile.
//!
//! Only what a program says of itself counts: `PROGRAM: words`, or what a compiler says of its
//! files. What it says of a source, `FILE:LINE: error: words`, and the line of it that
//! is shown below may hold any words.

/// What the machine lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    /// A system call failed for want of memory, or the system killed a program.
    Memory,
    /// The disk is full, or the user's share of it.
    Space,
}

impl Lack {
    /// `memory` or `disk space`.
    pub fn words(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Space => "disk space",
        }
    }
}

/// Exit code of a program that SIGKILL ended, which nobody sends to a compiler but a system without memory.
pub const KILLED: i32 = 128 + 9;

/// What the output of a program that failed, and its exit code, say that the machine lacks. A full disk comes
/// before want of memory, since more of that would not help.
pub fn lack_of(output: &str, code: i32) -> Option<Lack> {
    let said = || output.lines().filter_map(lack);
    said()
        .find(|lack| *lack == Lack::Space)
        .or_else(|| said().next())
        .or((code == KILLED).then_some(Lack::Memory))
}

/// What a line of a build's output says that the machine lacks.
pub fn lack(line: &str) -> Option<Lack> {
    let line = line.trim_end().trim_end_matches("  Stop.");
    let said = line.trim_end_matches(['\'', '"', '.']);
    let space = ["No space left on device", "Disk quota exceeded"]
        .iter()
        .any(|words| said.ends_with(words));
    // Written by compilers with the place in the source that they had come to.
    let files = [
        ": fatal error: error writing to ",
        ": fatal error: error closing ",
        ": fatal error: opening dependency file ",
        ": Fatal error: can't write ",
        ": Fatal error: can't close ",
    ];
    if space && (speaker(line).is_some() || files.iter().any(|words| line.contains(words))) {
        return Some(Lack::Space);
    }
    // LLVM's and C++'s own words, and Perl's.
    let whole = [
        "virtual memory exhausted",
        "LLVM ERROR: out of memory",
        "terminate called after throwing an instance of 'std::bad_alloc'",
        "Out of memory!",
    ];
    if whole.iter().any(|words| line.starts_with(words)) {
        return Some(Lack::Memory);
    }
    let said = said.strip_prefix(speaker(said)?)?.trim_start_matches([':', ' ']);
    let begins = [
        "out of memory allocating ",
        "fatal error: Killed signal terminated program ",
        "internal compiler error: Killed (program ",
        "error: unable to execute command: Killed",
        "fatal error: ld terminated with signal 9",
    ];
    let ends = ["Cannot allocate memory", "memory exhausted", "Cannot fork", "out of memory"];
    // make, of a recipe whose shell was killed, or which says that a program below it was.
    let killed = said.starts_with("*** [")
        && (said.ends_with("] Error 137")
            || said.ends_with("] Killed")
            || said.ends_with("] Error 9"));
    let memory = begins.iter().any(|words| said.starts_with(words))
        || ends.iter().any(|words| said.ends_with(words))
        || killed;
    memory.then_some(Lack::Memory)
}

/// The program that speaks in this line, if one does: `gcc` in `gcc: words`, `make[2]`, `/bin/sh`.
fn speaker(line: &str) -> Option<&str> {
    let (name, _) = line.split_once(": ")?;
    let llvm = ["fatal error", "error", "LLVM ERROR"].contains(&name);
    let program = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"/_.+-[]".contains(&b));
    let source = [".c", ".h", ".S", ".s", ".rs"].iter().any(|suffix| name.ends_with(suffix));
    (llvm || (program && !source && !name.is_empty())).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_that_lack_memory_are_heard() {
        for line in [
            "gcc: fatal error: Killed signal terminated program cc1",
            "x86_64-linux-gnu-gcc-12: fatal error: Killed signal terminated program as",
            "gcc: internal compiler error: Killed (program cc1)",
            "cc1: out of memory allocating 65536 bytes after a total of 1310720 bytes",
            "gcc: fatal error: cannot execute 'cc1': vfork: Cannot allocate memory",
            "virtual memory exhausted: Cannot allocate memory",
            "/usr/bin/ld: final link failed: memory exhausted",
            "ld: final link failed: Cannot allocate memory",
            "collect2: fatal error: ld terminated with signal 9 [Killed]",
            "clang: error: unable to execute command: Killed",
            "ld.lld: error: cannot open mm/zswap.o: Cannot allocate memory",
            "LLVM ERROR: out of memory",
            "terminate called after throwing an instance of 'std::bad_alloc'",
            "make[3]: *** [../source/scripts/Makefile.build:250: mm/zswap.o] Error 137",
            "make[1]: *** [/tmp/source/Makefile:1180: vmlinux] Killed",
            "make: *** fork: Cannot allocate memory",
            "make: *** virtual memory exhausted.  Stop.",
            "/bin/sh: 1: Cannot fork",
            "sh: fork: Cannot allocate memory",
            "bison: memory exhausted",
            "Out of memory!",
        ] {
            assert_eq!(lack(line), Some(Lack::Memory), "{line}");
        }
    }

    #[test]
    fn programs_that_lack_disk_are_heard() {
        for line in [
            "mm/zswap.c:1500:1: fatal error: error writing to /tmp/ccZ.s: No space left on device",
            "fatal error: error writing to /tmp/x.s: No space left on device",
            "/tmp/ccZ.s: Fatal error: can't write 24 bytes to section .text of mm/zswap.o: 'No space left on device'",
            "as: mm/zswap.o: No space left on device",
            "ld: final link failed: No space left on device",
            "cat: write error: No space left on device",
            "/bin/sh: 1: cannot create mm/.zswap.o.cmd: No space left on device",
            "error: unable to open output file 'mm/zswap.o': 'No space left on device'",
            "ar: mm/built-in.a: Disk quota exceeded",
        ] {
            assert_eq!(lack(line), Some(Lack::Space), "{line}");
        }
    }

    #[test]
    fn a_source_that_holds_such_words_is_not_believed() {
        for line in [
            "../source/mm/zswap.c:3:2: error: #error Cannot allocate memory",
            "../source/mm/zswap.c:3:2: error: #error gcc: fatal error: Killed signal terminated program cc1",
            "    3 | #error No space left on device",
            "    3 |  pr_err(\"gcc: fatal error: Killed signal terminated program cc1\");",
            "mm/zswap.c:9:1: error: static assertion failed: \"No space left on device\"",
            "mm/zswap.c:9:9: note: '#pragma message: virtual memory exhausted: Cannot allocate memory'",
            "mm/zswap.c:9:10: fatal error: Killed signal terminated program.h: No such file or directory",
            "mm/zswap.c:9:13: error: 'Killed' undeclared (first use in this function)",
            "arch/x86/x.S:3: Error: out of memory",
            "zswap.c: out of memory",
            "Makefile:12: *** Cannot allocate memory.  Stop.",
            // Failures of other kinds.
            "make[3]: *** [../source/scripts/Makefile.build:250: mm/zswap.o] Error 1",
            "make[3]: *** [../source/scripts/Makefile.build:250: mm/137] Error 2",
            "make[1]: *** No rule to make target 'Killed'.  Stop.",
            "ld: mm/zswap.o: in function `f': undefined reference to `memory_exhausted'",
            "ERROR: modpost: \"Killed\" [x.ko] undefined!",
            "cc1: all warnings being treated as errors",
            "Killed",
        ] {
            assert_eq!(lack(line), None, "{line}");
        }
    }

    #[test]
    fn a_compiler_that_was_killed_lacked_memory_whatever_it_said() {
        assert_eq!(lack_of("", KILLED), Some(Lack::Memory));
        assert_eq!(lack_of("main.c:1:1: error: no\n", 1), None);
        assert_eq!(lack_of("", 1), None);
        let killed = "gcc: fatal error: Killed signal terminated program cc1\n";
        assert_eq!(lack_of(killed, 1), Some(Lack::Memory));
        let both = format!("{killed}as: x.o: No space left on device\n");
        assert_eq!(lack_of(&both, 1), Some(Lack::Space));
    }
}
