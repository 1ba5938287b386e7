// SPDX-License-Identifier: MIT OR Apache-2.0
//! The programs and libraries swapstorm needs, what each is for, and the package that
//! brings it. The table is `host/tools.tsv`, which `make setup` reads too.

use std::path::Path;
use std::sync::LazyLock;

use crate::process::which;

/// A program or library that must be on the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tool {
    /// Program name, or the absolute path of a file that shows that a library is there.
    pub name: &'static str,
    /// What it is for, to follow "needed to".
    pub purpose: &'static str,
    /// Package on Debian and its descendants.
    pub debian: &'static str,
    /// Package on Fedora.
    pub fedora: &'static str,
    /// Package on Arch.
    pub arch: &'static str,
}

/// Every row of the table.
pub static TOOLS: LazyLock<Vec<Tool>> =
    LazyLock::new(|| include_str!("../tools.tsv").lines().filter_map(row).collect());

fn row(line: &'static str) -> Option<Tool> {
    let mut columns = line.split('\t');
    let mut next = || columns.next();
    let tool =
        Tool { name: next()?, purpose: next()?, debian: next()?, fedora: next()?, arch: next()? };
    (!tool.name.starts_with('#')).then_some(tool)
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
}

/// One line that says how to get `program`.
pub fn install_hint(program: &str) -> String {
    match TOOLS.iter().find(|tool| tool.name == program) {
        Some(tool) => format!(
            "it is needed to {}; install {} (Debian), {} (Fedora) or {} (Arch), or run `make setup`",
            tool.purpose, tool.debian, tool.fedora, tool.arch
        ),
        None => format!("install {program} or put it on the PATH"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    }

    #[test]
    fn presence_knows_programs_and_files() {
        let tool = |name| Tool { name, ..TOOLS[0] };
        assert!(tool("sh").is_present() && tool("/proc/self").is_present());
        assert!(!tool("no-such-program-here").is_present() && !tool("/no/such/file").is_present());
    }
}
