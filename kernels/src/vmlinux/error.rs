// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why an image, or something in it, could not be used.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why an image, or something in it, could not be used.
#[derive(Debug, thiserror::Error)]
pub enum VmlinuxError {
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The file is not a kernel with symbols.
    #[error("{}: {why}\n  hint: name the vmlinux of the kernel's build folder", file.display())]
    NotAKernel {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// No function of that name.
    #[error(
        "this kernel has no function {function} (inlined, or not built in?){}",
        hint(near, "; it has ")
    )]
    NoFunction {
        /// The name asked for.
        function: String,
        /// Names that hold it, or begin alike.
        near: Vec<String>,
    },
    /// The function does not make that call, or not so often, or not there.
    #[error("{function} makes no {wanted}; its calls are, in order: {}", calls.join(", "))]
    NoCall {
        /// The function.
        function: String,
        /// The call asked for, in words.
        wanted: String,
        /// Names of what it does call, in order of address.
        calls: Vec<String>,
    },
    /// The machine code does not show where something is kept.
    #[error("cannot tell where this kernel keeps {what}: {why}")]
    Undecoded {
        /// What was looked for.
        what: &'static str,
        /// The functions that were read, and what they show.
        why: String,
    },
}

fn hint(names: &[String], lead: &str) -> String {
    if names.is_empty() { String::new() } else { format!("{lead}{}", names.join(", ")) }
}

pub(super) fn not_a_kernel(file: &Path, why: impl fmt::Display) -> VmlinuxError {
    VmlinuxError::NotAKernel { file: file.to_owned(), why: why.to_string() }
}

/// Marks of the assembler's (`$x`: code begins, `.L0`: a label) name nothing.
pub(super) fn is_name(symbol: &str) -> bool {
    !symbol.is_empty() && !symbol.starts_with(['$', '.'])
}
