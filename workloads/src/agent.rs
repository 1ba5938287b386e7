// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guest agent: embedded C, compiled statically for the guest's architecture.

use std::io;
use std::path::{Path, PathBuf};

use host::arch::Arch;
use host::lack::lack_of;
use host::process::{Command, ProcessError};
use host::store::{Bucket, Check, Claim, Entry, Key, KeyHasher, Store, StoreError};
use host::tools::install_hint;

/// A program for guests. All sources but headers are handed to the compiler.
struct Program {
    /// Its name in messages and keys.
    what: &'static str,
    sources: &'static [(&'static str, &'static str)],
}

/// The init that only ends the machine.
const POWEROFF: Program = Program {
    what: "poweroff init",
    sources: &[("poweroff.c", include_str!("../guest/poweroff.c"))],
};

/// The guest agent.
const AGENT: Program = Program { what: "guest agent", sources: SOURCES };

/// What makes up the agent.
const SOURCES: &[(&str, &str)] = &[
    ("agent.h", include_str!("../guest/agent.h")),
    ("act.c", include_str!("../guest/act.c")),
    ("check.c", include_str!("../guest/check.c")),
    ("columns.c", include_str!("../guest/columns.c")),
    ("cpus.c", include_str!("../guest/cpus.c")),
    ("latency.c", include_str!("../guest/latency.c")),
    ("levels.c", include_str!("../guest/levels.c")),
    ("line.c", include_str!("../guest/line.c")),
    ("loop.c", include_str!("../guest/loop.c")),
    ("main.c", include_str!("../guest/main.c")),
    ("memcg.c", include_str!("../guest/memcg.c")),
    ("null.c", include_str!("../guest/null.c")),
    ("params.c", include_str!("../guest/params.c")),
    ("pattern.c", include_str!("../guest/pattern.c")),
    ("preempt.c", include_str!("../guest/preempt.c")),
    ("random.c", include_str!("../guest/random.c")),
    ("restore.c", include_str!("../guest/restore.c")),
    ("supervise.c", include_str!("../guest/supervise.c")),
    ("swap.c", include_str!("../guest/swap.c")),
    ("system.c", include_str!("../guest/system.c")),
    ("task.c", include_str!("../guest/task.c")),
    ("telemetry.c", include_str!("../guest/telemetry.c")),
    ("visit.c", include_str!("../guest/visit.c")),
    ("watch.c", include_str!("../guest/watch.c")),
    ("worker.c", include_str!("../guest/worker.c")),
    ("zswap.c", include_str!("../guest/zswap.c")),
];

/// Nothing in the output may depend on where or when it was compiled.
const FLAGS: &[&str] = &[
    "-std=gnu11",
    "-D_GNU_SOURCE",
    "-O2",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-static",
    "-s",
    "-ffunction-sections",
    "-fdata-sections",
    "-Wl,--gc-sections",
    "-Wl,--build-id=none",
];

/// Compiled agents in the store.
pub const AGENTS: Bucket = Bucket { name: "agents", check: Check::Digests };

/// Raise it when the way of compiling changes in a manner that the key does not see.
const FORMAT: u32 = 1;

/// The file by which the table of tools knows the machine's own C library.
const NATIVE_LIBC: &str = "/usr/include/string.h";

/// Name of the program within its entry.
const PROGRAM: &str = "agent";

/// A compiled agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentArtifact {
    /// The program, a static executable that serves as `/init`. In the store: read only.
    pub path: PathBuf,
    /// Its key in the store.
    pub key: Key,
}

/// Why there is no agent.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// There is no compiler for this architecture.
    #[error("no C compiler for {arch}: {compiler} is not installed\n  hint: {hint}")]
    NoCompiler {
        /// The guest's architecture.
        arch: &'static str,
        /// The program looked for.
        compiler: String,
        /// How to get it.
        hint: String,
    },
    /// There is a compiler, but no C library to link statically.
    #[error("no static C library for {arch}: {compiler} knows no libc.a\n  hint: {hint}")]
    NoLibrary {
        /// The guest's architecture.
        arch: &'static str,
        /// The compiler asked.
        compiler: String,
        /// How to get it.
        hint: String,
    },
    /// The compiler refused the agent.
    #[error("{compiler} cannot compile the guest agent (exit code {code}):\n{output}")]
    Compile {
        /// The compiler.
        compiler: String,
        /// Its exit code.
        code: i32,
        /// What it said, the first 4 KiB of it.
        output: String,
    },
    /// The compiler came to its end for want of memory or disk, which the sources are not to blame for.
    #[error(
        "the machine ran out of {what} while {compiler} compiled the guest agent:\n{output}\n  \
         hint: free some, and try again"
    )]
    Lack {
        /// What it lacks, in words.
        what: &'static str,
        /// The compiler.
        compiler: String,
        /// What it said, the first 4 KiB of it.
        output: String,
    },
    /// The compiler could not be run.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The store could not serve.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file could not be read or written.
    #[error(
        "the guest agent: {0}\n  hint: check the path's permissions and the space that is left"
    )]
    Io(#[from] io::Error),
}

/// A compiler, and what of it decides about the agent's bytes.
struct Compiler {
    program: String,
    version: String,
    library_digest: String,
}

/// The agent for `arch`: from the store, or compiled now (about a second).
///
/// Its key is made of the sources, the flags, the compiler's version and the C library that
/// is linked in. `prefix` of the compiler is the architecture's; on a machine of that
/// architecture there is none.
pub async fn build(arch: &'static Arch, store: &Store) -> Result<AgentArtifact, AgentError> {
    build_with(&AGENT, arch, store, arch.toolchain_prefix()).await
}

/// An init that only ends the machine, to measure the agent's start against.
pub async fn build_poweroff(
    arch: &'static Arch,
    store: &Store,
) -> Result<AgentArtifact, AgentError> {
    build_with(&POWEROFF, arch, store, arch.toolchain_prefix()).await
}

async fn build_with(
    program: &Program,
    arch: &'static Arch,
    store: &Store,
    prefix: &str,
) -> Result<AgentArtifact, AgentError> {
    let compiler = find_compiler(arch, prefix).await?;
    let key = key(program, arch, &compiler);
    let entry = match store.claim(AGENTS, &key, || ()).await? {
        Claim::Found(entry) => entry,
        Claim::Absent(slot) => {
            compile(program, &compiler.program, slot.dir()).await.map_err(|error| match error {
                AgentError::Io(error) => AgentError::Store(store.error(error)),
                other => other,
            })?;
            slot.publish().await?
        }
    };
    Ok(artifact(&entry))
}

fn artifact(entry: &Entry) -> AgentArtifact {
    AgentArtifact { path: entry.dir().join(PROGRAM), key: entry.key.clone() }
}

fn key(program: &Program, arch: &Arch, compiler: &Compiler) -> Key {
    let mut key = KeyHasher::new(program.what, FORMAT)
        .field("arch", arch.name)
        .field("compiler", &compiler.version)
        .field("library", &compiler.library_digest);
    for flag in FLAGS {
        key = key.field("flag", flag);
    }
    for (name, text) in program.sources {
        key = key.field(name, text);
    }
    key.finish()
}

async fn find_compiler(arch: &'static Arch, prefix: &str) -> Result<Compiler, AgentError> {
    let program = format!("{prefix}gcc");
    let missing = |error| match error {
        ProcessError::Missing { program, hint } => {
            AgentError::NoCompiler { arch: arch.name, compiler: program, hint }
        }
        other => AgentError::Process(other),
    };
    let version = Command::new(&program).arg("--version").success().await.map_err(missing)?;
    let version = String::from_utf8_lossy(&version.stdout);
    let version = version.lines().next().unwrap_or_default().to_owned();

    // A library that the compiler does not know comes back as the bare name.
    let library = Command::new(&program).arg("-print-file-name=libc.a").success().await?;
    let library = PathBuf::from(String::from_utf8_lossy(&library.stdout).trim_end());
    if !library.is_absolute() {
        let shown_by = if prefix.is_empty() { NATIVE_LIBC } else { &arch.cross_libc() };
        let (compiler, hint) = (program, install_hint(shown_by));
        return Err(AgentError::NoLibrary { arch: arch.name, compiler, hint });
    }
    let library_digest = blake3::hash(&fs_err::read(library)?).to_hex().to_string();
    Ok(Compiler { program, version, library_digest })
}

/// Leaves nothing but the program in `dir`.
async fn compile(program: &Program, compiler: &str, dir: &Path) -> Result<(), AgentError> {
    let sources = dir.join("sources");
    fs_err::create_dir(&sources)?;
    for (name, text) in program.sources {
        fs_err::write(sources.join(name), text)?;
    }
    let units = program.sources.iter().map(|(name, _)| *name).filter(|name| name.ends_with(".c"));
    let output = Command::new(compiler)
        .args(FLAGS)
        .args(units)
        .arg("-o")
        .arg(dir.join(PROGRAM))
        // Messages are shown to people, and looked at by nobody's program.
        .env("LC_ALL", "C")
        .cwd(&sources)
        .output()
        .await?;
    if output.code != 0 {
        let mut said = output.stderr;
        said.truncate(4096);
        let output_text = String::from_utf8_lossy(&said).into_owned();
        let (compiler, code) = (compiler.to_owned(), output.code);
        return Err(match lack_of(&output_text, code) {
            Some(lack) => AgentError::Lack { what: lack.words(), compiler, output: output_text },
            None => AgentError::Compile { compiler, code, output: output_text },
        });
    }
    fs_err::remove_dir_all(&sources)?;
    Ok(())
}

#[cfg(test)]
mod tests;
