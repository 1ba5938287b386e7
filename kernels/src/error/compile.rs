// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a kernel does not compile.

use std::path::PathBuf;

/// make ended with an error.
#[derive(Debug, thiserror::Error)]
#[error("the kernel does not build: {what} failed ({status}){}\n  log: {}", lines(.errors), log.display())]
pub struct CompileError {
    /// What was made: `make vmlinux`.
    pub what: String,
    /// How make ended.
    pub status: String,
    /// The first real errors in its output, with file and line where there are some.
    pub errors: Vec<String>,
    /// All of its output.
    pub log: PathBuf,
}

/// The machine ran out of memory while a kernel was compiled. The kernel is not to blame.
#[derive(Debug, thiserror::Error)]
#[error("{what} ran out of memory, or the system killed it{}\n  hint: leave it more memory, or let fewer compilers run at once by fewer processors: taskset -c 0 swapstorm ...", lines(.said))]
pub struct NoMemory {
    /// What was made: `make vmlinux`.
    pub what: String,
    /// The lines of its output that say so.
    pub said: Vec<String>,
}

fn lines(errors: &[String]) -> String {
    errors.iter().map(|line| format!("\n  {line}")).collect()
}
