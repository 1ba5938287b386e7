// SPDX-License-Identifier: MIT OR Apache-2.0
//! The programs and libraries swapstorm needs, what each is for, and the package that
//! brings it. The table is `host/tools.tsv`, which `make setup` reads too.

use std::path::Path;
use std::sync::LazyLock;

use crate::arch::Arch;
use crate::process::which;

/// A program or library that must be on the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tool {
    /// Program name, or the absolute path of a file that shows that a library is there.
    pub name: &'static str,
    /// The guests that it is for.
    pub scope: Scope,
    /// What it is for, to follow "needed to".
    pub purpose: &'static str,
    /// Package on Debian and its descendants.
    pub debian: &'static str,
    /// Package on Fedora; `-` if there is none.
    pub fedora: &'static str,
    /// Package on Arch; `-` if there is none.
    pub arch: &'static str,
}

/// The guests that a tool is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Every guest.
    All,
    /// Guests of one architecture.
    Guests(&'static Arch),
    /// Guests of one architecture, on machines of another.
    Cross(&'static Arch),
    /// Nobody who does not ask for it.
    Optional,
    /// Whoever runs the tests of swapstorm.
    Tests,
}

/// Every row of the table.
pub static TOOLS: LazyLock<Vec<Tool>> =
    LazyLock::new(|| include_str!("../tools.tsv").lines().filter_map(row).collect());

fn row(line: &'static str) -> Option<Tool> {
    if line.starts_with('#') {
        return None;
    }
    let mut columns = line.split('\t');
    let mut next = || columns.next();
    Some(Tool {
        name: next()?,
        scope: scope(next()?)?,
        purpose: next()?,
        debian: next()?,
        fedora: next()?,
        arch: next()?,
    })
}

fn scope(text: &str) -> Option<Scope> {
    match text.split_once(' ') {
        None if text == "all" => Some(Scope::All),
        None if text == "optional" => Some(Scope::Optional),
        None if text == "tests" => Some(Scope::Tests),
        None => Arch::by_name(text).map(Scope::Guests),
        Some((arch, "cross")) => Arch::by_name(arch).map(Scope::Cross),
        Some(_) => None,
    }
}

impl Tool {
    /// True if this machine has it.
    pub fn is_present(&self) -> bool {
        if self.name.starts_with('/') {
            Path::new(self.name).exists()
        } else {
            which(self.name).is_some()
        }
    }

    /// True if guests of `arch` need it on this machine.
    pub fn is_for(&self, arch: &Arch) -> bool {
        match self.scope {
            Scope::All => true,
            Scope::Guests(own) => own == arch,
            Scope::Cross(own) => own == arch && !arch.is_native(),
            Scope::Optional | Scope::Tests => false,
        }
    }

    /// The packages by distribution: `gcc (Debian), gcc (Fedora) or gcc (Arch)`.
    pub fn packages(&self) -> String {
        let all = [(self.debian, "Debian"), (self.fedora, "Fedora"), (self.arch, "Arch")];
        let named = all.into_iter().filter(|(package, _)| *package != "-");
        let named: Vec<String> =
            named.map(|(package, where_from)| format!("{package} ({where_from})")).collect();
        match &named[..] {
            [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
            _ => named.concat(),
        }
    }
}

/// One line that says how to get `program`.
pub fn install_hint(program: &str) -> String {
    let find = |name: &str| TOOLS.iter().find(|tool| tool.name == name);
    // Debian has several versions of some programs beside each other: `clang-16`, `ld.lld-16`.
    let versioned = program.rsplit_once('-').filter(|(_, v)| v.bytes().all(|b| b.is_ascii_digit()));
    if let Some((name, version)) = versioned
        && let Some(tool) = find(name).filter(|tool| tool.scope == Scope::Optional)
    {
        return format!(
            "it is needed to {}; install {}-{version} (Debian)",
            tool.purpose, tool.debian
        );
    }
    let Some(tool) = find(program) else {
        return format!("install {program} or put it on the PATH");
    };
    let setup = match tool.scope {
        Scope::All => "make setup".to_owned(),
        Scope::Tests => "make setup ARCH=tests".to_owned(),
        Scope::Guests(arch) | Scope::Cross(arch) => format!("make setup ARCH={arch}"),
        Scope::Optional => {
            return format!("it is needed to {}; install {}", tool.purpose, tool.packages());
        }
    };
    format!("it is needed to {}; install {}, or run `{setup}`", tool.purpose, tool.packages())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::{self, ARM64, X86_64};

    #[test]
    fn every_line_of_the_table_is_a_comment_or_a_whole_row() {
        let text = include_str!("../tools.tsv");
        let rows = text.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(TOOLS.len(), rows);
        assert!(rows > 10);
    }

    #[test]
    fn a_hint_names_the_package_and_the_purpose() {
        let hint = install_hint("qemu-system-x86_64");
        assert!(hint.contains("qemu-system-x86 (Debian)") && hint.contains("run x86_64 guests"));
        assert_eq!(install_hint("frobnicate"), "install frobnicate or put it on the PATH");
        let hint = install_hint("ld.lld");
        assert!(hint.contains("install lld (Debian)") && !hint.contains("make setup"), "{hint}");
        assert!(install_hint("llvm-ar-16").ends_with("install llvm-16 (Debian)"));
        let hint = install_hint("/usr/aarch64-linux-gnu/lib/libc.a");
        assert!(
            hint.ends_with(
                "install libc6-dev-arm64-cross (Debian) or aarch64-linux-gnu-glibc (Arch), or run `make setup ARCH=arm64`"
            ),
            "{hint}"
        );
    }

    #[test]
    fn each_architecture_has_its_emulator_and_its_compiler_in_the_table() {
        for arch in arch::ALL {
            let find = |name: &str| TOOLS.iter().find(|tool| tool.name == name).copied();
            assert_eq!(find(arch.qemu).unwrap().scope, Scope::Guests(arch));
            for name in [format!("{}gcc", arch.cross_prefix), arch.cross_libc()] {
                assert_eq!(find(&name).unwrap().scope, Scope::Cross(arch));
            }
        }
    }

    #[test]
    fn an_architecture_needs_its_own_tools_and_everybodys() {
        let needs = |arch: &Arch, name: &str| {
            TOOLS.iter().any(|tool| tool.name == name && tool.is_for(arch))
        };
        assert!(needs(&X86_64, "make") && needs(&ARM64, "make"));
        assert!(needs(&ARM64, "qemu-system-aarch64") && !needs(&X86_64, "qemu-system-aarch64"));
        for arch in arch::ALL {
            assert_eq!(needs(arch, &format!("{}gcc", arch.cross_prefix)), !arch.is_native());
        }
    }

    #[test]
    fn presence_knows_programs_and_files() {
        let tool = |name| Tool { name, ..TOOLS[0] };
        assert!(tool("sh").is_present() && tool("/proc/self").is_present());
        assert!(!tool("no-such-program-here").is_present() && !tool("/no/such/file").is_present());
    }
}
