// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs the kernel's make: for the configuration, and for the kernel itself.

mod errors;
mod sparse;
mod warnings;

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};

use errors::ErrorLines;
use host::arch::Arch;
use host::lack::{KILLED, Lack};
use host::process::{Command, status_words, which};
use host::store::{KeyHasher, Store};
use serde::{Deserialize, Serialize};
use warnings::Warnings;

pub use self::sparse::SparseSaid;

use crate::config::{self, Absent, Fragment, KernelConfig};
use crate::error::{CompileError, KernelError, NoMemory};
use crate::progress::{OnProgress, Progress, Stage};
use crate::toolchain::{self, Toolchain};
use crate::worktree::{WorkTree, write_whole};

/// Programs that every kernel build calls; the compiler is looked for on its own.
const PROGRAMS: [&str; 5] = ["make", "flex", "bison", "bc", "perl"];

/// What ccache keeps at most.
const CCACHE_SIZE: &str = "2G";

/// A program that keeps what was compiled. It answers with what the same compiler made of the same
/// input, so it changes nothing but the time that a build takes.
#[derive(Debug, Clone)]
pub(crate) struct Ccache {
    pub(crate) program: String,
    /// Its folder.
    pub(crate) dir: PathBuf,
}

impl Ccache {
    /// The machine's, if it has one.
    pub(crate) fn find(store: &Store) -> Option<Self> {
        let program = "ccache";
        which(program)?;
        Some(Self { program: program.to_owned(), dir: store.path(program) })
    }
}

/// Everything that make is told on each of its runs.
pub(crate) struct Make<'a> {
    pub(crate) tree: &'a WorkTree,
    pub(crate) arch: &'static Arch,
    pub(crate) toolchain: &'a Toolchain,
    pub(crate) ccache: Option<&'a Ccache>,
    /// Settings of the manifest's: `NAME=value`.
    pub(crate) variables: &'a [String],
    pub(crate) jobs: usize,
    pub(crate) progress: OnProgress<'a>,
}

/// Objects that builds of a configuration made, for the next one's progress.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(default)]
struct Counts {
    full: Option<u64>,
    again: Option<u64>,
}

impl Make<'_> {
    /// A program in an environment of ours alone: kernels are shaped by a host of
    /// variables (KCFLAGS, LOCALVERSION, MAKEFLAGS, ...) that no key knows of.
    fn isolated(&self, program: &str) -> Command {
        let setting = |name: &str, value: OsString| {
            let mut setting = OsString::from(name);
            setting.push("=");
            setting.push(value);
            setting
        };
        let mut command = Command::new("env").arg("-i");
        for name in ["PATH", "HOME"] {
            command = command.args(std::env::var_os(name).map(|value| setting(name, value)));
        }
        command
            .arg(setting("TMPDIR", self.tree.temporary().into()))
            .arg("LC_ALL=C")
            // The same input gives the same kernel, whoever builds it, wherever, whenever.
            .arg("KBUILD_BUILD_TIMESTAMP=Thu Jan  1 00:00:00 UTC 1970")
            .args(["KBUILD_BUILD_USER=swapstorm", "KBUILD_BUILD_HOST=swapstorm"])
            .args(["KBUILD_BUILD_VERSION=1", "LOCALVERSION="])
            .args(self.ccache.iter().flat_map(|ccache| {
                // Neither the user's settings nor paths made relative, which __FILE__ would show.
                let dir = setting("CCACHE_DIR", ccache.dir.clone().into());
                let size = setting("CCACHE_MAXSIZE", CCACHE_SIZE.into());
                let check = setting("CCACHE_COMPILERCHECK", "content".into());
                [dir, size, check, setting("CCACHE_CONFIGPATH", "/dev/null".into())]
            }))
            .arg(program)
    }

    fn make(&self) -> Command {
        self.make_in(&self.tree.build())
    }

    /// Make in another folder than that of the kernel's build.
    fn make_in(&self, build: &Path) -> Command {
        self.isolated("make")
            .arg("-C")
            .arg(self.tree.source())
            .arg(format!("O={}", build.display()))
            .arg(format!("ARCH={}", self.arch.kernel_arch))
            .args(self.toolchain.variables(self.arch))
            .args(self.ccache.map(|ccache| {
                format!("CC={} {}", ccache.program, self.toolchain.compiler(self.arch))
            }))
            .args(self.variables)
            .arg(format!("-j{}", self.jobs))
    }

    /// Makes the configuration from the base target and the fragments, and checks it. The tree
    /// may lack some of what was asked for. Does nothing when the same was done before.
    pub(crate) async fn configure(
        &self,
        base: &str,
        fragments: &[&Fragment],
        shape: &str,
    ) -> Result<(KernelConfig, Vec<Absent>), KernelError> {
        toolchain::require(PROGRAMS)?;
        let (stamp, file) =
            (self.tree.build().join("configured"), self.tree.build().join(".config"));
        let lacks = self.tree.build().join("lacks.json");
        let stamp_for = |config: &str| {
            KeyHasher::new("configured", 1).field("shape", shape).field("config", config).finish()
        };
        if let (Ok(stamp), Ok(text)) =
            (fs_err::read_to_string(&stamp), fs_err::read_to_string(&file))
            && stamp == stamp_for(&text).as_str()
            && let Ok(absent) = fs_err::read(&lacks)
            && let Ok(absent) = serde_json::from_slice(&absent)
        {
            return Ok((KernelConfig::parse(text), absent));
        }
        (self.progress)(Progress::Stage(Stage::Configure));
        let folder = self.tree.build().join("fragments");
        let mut names = Vec::new();
        self.tree.io(|| {
            host::store::remove_tree(&stamp)?;
            host::store::remove_tree(&folder)?;
            fs_err::create_dir(&folder)?;
            for (number, fragment) in fragments.iter().enumerate() {
                // The script splits its arguments at blanks: names of our own choice.
                let name = format!("fragments/{number:02}.config");
                fs_err::write(self.tree.build().join(&name), fragment.text())?;
                names.push(name);
            }
            Ok(())
        })?;
        self.run(base, self.make().arg(base), &mut |_| {}).await?;
        let merge = self
            .isolated("sh")
            .arg(self.tree.source().join("scripts/kconfig/merge_config.sh"))
            .args(["-m", ".config"])
            .args(names)
            .cwd(self.tree.build());
        self.run("merge_config.sh", merge, &mut |_| {}).await?;
        self.run("olddefconfig", self.make().arg("olddefconfig"), &mut |_| {}).await?;
        let text = self.tree.io(|| fs_err::read_to_string(&file))?;
        let config = KernelConfig::parse(text);
        let absent = config::check(fragments, &config, &self.tree.source(), self.arch.kernel_arch)?;
        let stamp_text = stamp_for(config.text());
        self.tree.io(|| {
            write_whole(&lacks, &serde_json::to_vec(&absent)?)?;
            write_whole(&stamp, stamp_text.as_str().as_bytes())
        })?;
        Ok((config, absent))
    }

    /// Makes every image of the architecture. `counts` is where the numbers of objects
    /// are kept between builds. Returns what the compiler warns of in any file; `None` if that is not known, since what lies in the
    /// build folder was made by a version that kept no record, or by a build that was cut.
    pub(crate) async fn compile(
        &self,
        store: &Store,
        counts: &Path,
    ) -> Result<Option<Vec<String>>, KernelError> {
        (self.progress)(Progress::Stage(Stage::Compile));
        let again = self.tree.build().join("vmlinux").is_file();
        let mut kept: Counts = fs_err::read(counts)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        // How much of a build is left nobody knows, and what is left says nothing of the next.
        let whole = !self.tree.is_cut_short();
        let expected = if again { kept.again } else { kept.full }.filter(|_| whole);
        let mut targets: Vec<&str> = self.arch.images.iter().map(|image| image.target).collect();
        targets.dedup();
        let mut done = 0;
        let record = self.tree.build().join("warnings.json");
        let mut warnings = Warnings::read(&record, !again && whole).filter(|_| whole);
        // Whoever is cut leaves none, and so nothing that is wrong.
        self.tree.io(|| host::store::remove_tree(&record))?;
        let made = self
            .run(&targets.join(" "), self.make().args(&targets), &mut |line| {
                if let Some(warnings) = &mut warnings {
                    warnings.line(line);
                }
                if let Some(current) = object(line) {
                    done += 1;
                    (self.progress)(Progress::Objects { done, expected, current });
                }
            })
            .await;
        if let Some(warnings) = &warnings {
            self.tree.io(|| warnings.write(&record))?;
        }
        made?;
        if whole {
            *(if again { &mut kept.again } else { &mut kept.full }) = Some(done);
            let written = serde_json::to_vec(&kept)
                .map_err(std::io::Error::from)
                .and_then(|bytes| write_whole(counts, &bytes));
            written.map_err(|error| store.error(error))?;
        }
        Ok(warnings.map(Warnings::all))
    }

    /// Runs a step with its output in the log, and finds out why it failed if it did.
    async fn run(
        &self,
        what: &str,
        command: Command,
        each: &mut (dyn FnMut(&str) + Send),
    ) -> Result<(), KernelError> {
        let log = self.tree.log();
        let file = self.tree.io(|| fs_err::File::create(&log))?;
        let mut file = std::io::BufWriter::new(file);
        let mut errors = ErrorLines::default();
        let mut log_error = None;
        let code = self
            .tree
            .run(command, |line| {
                let written = file.write_all(line).and_then(|()| file.write_all(b"\n"));
                log_error = log_error.take().or(written.err());
                let line = String::from_utf8_lossy(line);
                errors.line(&line);
                each(&line);
            })
            .await?;
        let log_error = log_error.or(file.flush().err());
        if code == 0 {
            return Ok(());
        }
        // Nobody but the system kills make with this signal.
        let killed = (code == KILLED).then_some(Lack::Memory);
        match errors.lack.or(killed) {
            Some(Lack::Space) => {
                return self.tree.io(|| Err(std::io::ErrorKind::StorageFull.into()));
            }
            Some(Lack::Memory) => {
                return Err(
                    NoMemory { what: format!("make {what}"), said: errors.lacking() }.into()
                );
            }
            None => {}
        }
        // A log that could not be written explains the failure better than half of it.
        if let Some(error) = log_error {
            return self.tree.io(|| Err(error));
        }
        let (what, status) = (format!("make {what}"), status_words(code));
        Err(CompileError { what, status, errors: errors.finish(), log }.into())
    }
}

/// The object that a line of make's short output announces: `  CC      mm/zswap.o`.
pub(crate) fn object(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("  ")?;
    let (tag, object) = rest.split_once(' ')?;
    let tagged = !tag.is_empty() && tag.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    let object = object.trim_start().trim_start_matches("[M] ");
    (tagged && object.ends_with(".o") && !object.contains(' ')).then_some(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_told_from_other_lines() {
        assert_eq!(object("  CC      mm/zswap.o"), Some("mm/zswap.o"));
        assert_eq!(
            object("  AS      arch/x86/entry/entry_64.o"),
            Some("arch/x86/entry/entry_64.o")
        );
        for line in ["  AR      mm/built-in.a", "make: x.o", "  LD      vmlinux", "  cc x.o", ""] {
            assert_eq!(object(line), None, "{line}");
        }
    }
}
