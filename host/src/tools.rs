// SPDX-License-Identifier: MIT OR Apache-2.0
//! The programs swapstorm calls, what each is for, and the package that brings it.

use crate::process::which;

/// A program (or header) that must be on the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tool {
    /// Program name, or an absolute path for something that is not on the PATH.
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

macro_rules! tools {
    ($($name:literal, $purpose:literal, $debian:literal, $fedora:literal, $arch:literal;)*) => {
        &[$(Tool { name: $name, purpose: $purpose, debian: $debian, fedora: $fedora, arch: $arch }),*]
    };
}

/// Everything that the x86_64 reproduction needs.
pub static TOOLS: &[Tool] = tools! {
    "qemu-system-x86_64", "run x86_64 guests", "qemu-system-x86", "qemu-system-x86-core", "qemu-system-x86";
    "gcc", "compile kernels and guest programs", "gcc", "gcc", "gcc";
    "make", "build kernels", "make", "make", "make";
    "flex", "build the kernel's configuration tools", "flex", "flex", "flex";
    "bison", "build the kernel's configuration tools", "bison", "bison", "bison";
    "bc", "build kernels", "bc", "bc", "bc";
    "perl", "build kernels", "perl", "perl", "perl";
    "patch", "apply patch series", "patch", "patch", "patch";
    "tar", "unpack sources", "tar", "tar", "tar";
    "xz", "unpack sources", "xz-utils", "xz", "xz";
    "cp", "lay out work trees", "coreutils", "coreutils", "coreutils";
    "apt-get", "fetch Debian's kernel sources", "apt", "apt", "apt";
    "apt-cache", "find the newest kernel source", "apt", "apt", "apt";
    "dpkg-deb", "unpack Debian's kernel sources", "dpkg", "dpkg", "dpkg";
};

/// Headers and libraries, by a file that shows they are there.
pub static LIBRARIES: &[Tool] = tools! {
    "/usr/include/gelf.h", "build objtool for x86_64 kernels", "libelf-dev", "elfutils-libelf-devel", "libelf";
    "libc.a", "link the guest agent statically", "libc6-dev", "glibc-static", "glibc";
};

/// One line that says how to get `program`.
pub fn install_hint(program: &str) -> String {
    match TOOLS.iter().chain(LIBRARIES).find(|tool| tool.name == program) {
        Some(tool) => format!(
            "it is needed to {}; install {} (Debian), {} (Fedora) or {} (Arch), or run `make setup`",
            tool.purpose, tool.debian, tool.fedora, tool.arch
        ),
        None => format!("install {program} or put it on the PATH"),
    }
}

/// Tools of [`TOOLS`] that are not on the PATH.
pub fn missing_tools() -> Vec<&'static Tool> {
    TOOLS.iter().filter(|tool| which(tool.name).is_none()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_names_the_package_and_the_purpose() {
        let hint = install_hint("qemu-system-x86_64");
        assert!(hint.contains("qemu-system-x86 (Debian)") && hint.contains("run x86_64 guests"));
        assert_eq!(install_hint("frobnicate"), "install frobnicate or put it on the PATH");
    }
}
