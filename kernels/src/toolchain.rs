// SPDX-License-Identifier: MIT OR Apache-2.0
//! Compilers that kernels can be built with, as kbuild takes them (Documentation/kbuild/llvm.rst).

use std::fmt;
use std::str::FromStr;

use host::arch::Arch;
use host::process::{Command, ProcessError, which};
use host::tools::install_hint;

use crate::error::KernelError;
use crate::text::quote;

/// What kbuild calls with `LLVM=`, compiler and linker first.
const LLVM: [&str; 8] = [
    "clang",
    "ld.lld",
    "llvm-ar",
    "llvm-nm",
    "llvm-objcopy",
    "llvm-objdump",
    "llvm-readelf",
    "llvm-strip",
];

/// A compiler with its linker and binary utilities.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Toolchain {
    /// GCC and GNU binutils; a cross compiler for another architecture than the machine's.
    #[default]
    Gcc,
    /// LLVM, which compiles for every architecture.
    Clang {
        /// What the programs' names end with, such as `-16`; often nothing.
        suffix: String,
    },
}

impl FromStr for Toolchain {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let version = |s: &str| matches!(s.len(), 1..=3) && s.bytes().all(|b| b.is_ascii_digit());
        match text.strip_prefix("clang") {
            None if text == "gcc" => Ok(Self::Gcc),
            Some(suffix) if suffix.is_empty() || suffix.strip_prefix('-').is_some_and(version) => {
                Ok(Self::Clang { suffix: suffix.to_owned() })
            }
            _ => Err(format!(
                "`{}` is no toolchain: expected gcc, clang, or a version of it like clang-16",
                quote(text)
            )),
        }
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gcc => f.write_str("gcc"),
            Self::Clang { suffix } => write!(f, "clang{suffix}"),
        }
    }
}

impl Toolchain {
    /// The compiler's program.
    pub(crate) fn compiler(&self, arch: &Arch) -> String {
        match self {
            Self::Gcc => format!("{}gcc", arch.toolchain_prefix()),
            Self::Clang { suffix } => format!("clang{suffix}"),
        }
    }

    /// What kbuild will call for the architecture, compiler and linker first.
    fn programs(&self, arch: &Arch) -> Vec<String> {
        match self {
            Self::Gcc => ["gcc", "ld"].map(|name| arch.toolchain_prefix().to_owned() + name).into(),
            Self::Clang { suffix } => {
                LLVM.iter().map(|program| format!("{program}{suffix}")).collect()
            }
        }
    }

    /// Fails if one of the programs that kbuild will call is missing.
    pub fn require(&self, arch: &Arch) -> Result<(), KernelError> {
        Ok(require(self.programs(arch))?)
    }

    /// Versions of compiler and linker: what a kernel's key is made from. Fails if one of the
    /// programs that kbuild will call is missing.
    pub(crate) async fn versions(&self, arch: &Arch) -> Result<String, KernelError> {
        self.require(arch)?;
        let mut versions = Vec::new();
        for program in self.programs(arch).into_iter().take(2) {
            let output =
                Command::new(program).arg("--version").env("LC_ALL", "C").success().await?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            versions.push(quote(text.lines().next().unwrap_or_default()));
        }
        Ok(versions.join(", "))
    }

    /// What make is told. With `LLVM=`, kbuild finds the target by itself.
    pub(crate) fn variables(&self, arch: &Arch) -> Vec<String> {
        match self {
            Self::Gcc => vec![format!("CROSS_COMPILE={}", arch.toolchain_prefix())],
            Self::Clang { suffix } if suffix.is_empty() => vec!["LLVM=1".to_owned()],
            Self::Clang { suffix } => vec![format!("LLVM={suffix}")],
        }
    }
}

/// Fails for the first of the programs that is missing.
pub(crate) fn require(
    programs: impl IntoIterator<Item = impl Into<String>>,
) -> Result<(), ProcessError> {
    let mut programs = programs.into_iter().map(Into::into);
    match programs.find(|program: &String| which(program).is_none()) {
        None => Ok(()),
        Some(program) => {
            let hint = install_hint(&program);
            Err(ProcessError::Missing { program, hint })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use host::arch::{ALL, X86_64};

    #[test]
    fn toolchains_are_read_as_they_are_shown_and_nothing_else_is() {
        for name in ["gcc", "clang", "clang-16"] {
            assert_eq!(name.parse::<Toolchain>().unwrap().to_string(), name);
        }
        for name in ["", "gcc-12", "clang-", "clang-x", "clang-16 -v", "clang-1234", "tcc"] {
            let error = name.parse::<Toolchain>().unwrap_err();
            assert!(error.contains("expected gcc, clang"), "{error}");
        }
    }

    #[test]
    fn make_is_told_of_a_cross_compiler_or_of_llvm_never_of_both() {
        let clang: Toolchain = "clang-16".parse().unwrap();
        for arch in ALL {
            assert_eq!(clang.variables(arch), ["LLVM=-16"]);
            let prefix = if arch.is_native() { "" } else { arch.cross_prefix };
            assert_eq!(Toolchain::Gcc.variables(arch), [format!("CROSS_COMPILE={prefix}")]);
        }
        let newest: Toolchain = "clang".parse().unwrap();
        assert_eq!(newest.variables(&X86_64), ["LLVM=1"]);
    }

    #[tokio::test]
    async fn a_missing_program_of_llvm_is_named_with_its_package() {
        let none: Toolchain = "clang-999".parse().unwrap();
        let error = none.versions(&X86_64).await.unwrap_err();
        assert!(matches!(error, KernelError::Process(ProcessError::Missing { .. })), "{error}");
        let error = error.to_string();
        assert!(error.contains("clang-999") && error.contains("clang-999 (Debian)"), "{error}");
    }
}
