// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line.

use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use engine::Folders;

use crate::commands;

/// Exit codes, the same for every command.
const EXIT_CODES: &str = "\
Exit codes:
  0    clean; for `repro`: the race was shown on the kernel as it is, and the fixed one stayed clean; for `bisect`: the
       change was found
  1    a kernel bug or a regression was found; for `check`: the series brought it, or did not fix what it was to fix; for
       `replay`: the machine did not do the same
  2    usage or configuration, also: a patch does not apply, a kernel does not compile; for `bisect`: the ends are the wrong
       way round, or the same
  3    infrastructure: a missing tool, the disk, the network, QEMU
  4    inconclusive, or this configuration cannot show the bug
  130  interrupted";

/// Drives Linux kernels into swap and zswap races and reads what their consoles say.
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_CODES, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// How to talk.
    #[command(flatten)]
    pub output: Output,
    /// Where things lie.
    #[command(flatten)]
    pub places: Places,
}

impl Cli {
    /// Reads the command line; where it is wrong, or asks for help, the program ends.
    pub fn read() -> Self {
        let matches = Self::command().get_matches();
        let mut cli = Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        let out = matches.subcommand().and_then(|(_, command)| command.value_source("out"));
        cli.places.out_is_named = out == Some(ValueSource::CommandLine);
        cli
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the zswap writeback/swapoff race on a kernel as it is, and the fixed kernel clean
    Repro(commands::repro::Options),
    /// Look for races that nobody has told of: tasks sleep everywhere, and the other side is driven past them
    Hunt(commands::hunt::Options),
    /// Run every cell of a plan: kernels, series, architectures, profiles, techniques
    Run(commands::run::Options),
    /// Go on with a run that a cluster carries out, and print its report
    Attach(commands::attach::Options),
    /// Do a task of a run on a node of a cluster
    #[command(hide = true)]
    Shard(commands::shard::Options),
    /// Run a machine of a run on the virtual clock again, and say whether it did the same, byte for byte
    Replay(commands::replay::Options),
    /// Render what runs showed, killed and merged ones included, from their event logs alone
    Report(commands::report::Options),
    /// Say whether a kernel's writeback regressed against another's
    Compare(commands::compare::Options),
    /// Say whether a series is good: what it fixed, what it broke and with which patch, and whether writeback shifted
    Check(commands::check::Options),
    /// Find the commit, patch or kernel that brought, or fixed, a bug which only sometimes shows
    Bisect(commands::bisect::Options),
    /// Keep what storms came to, for later ones to be compared with
    Baseline(commands::baseline::Options),
    /// Say what came and went over the nights: bugs, flakes, troubles, numbers
    History(commands::history::Options),
    /// Build a kernel, or find it in the store, and say where it is
    Build(commands::build::Options),
    /// Measure swapstorm itself
    Bench(commands::bench::Options),
    /// Find kernel bug reports in console logs
    Parse(commands::parse::Options),
    /// Log in to a guest; the shell's exit status is ours
    Shell(commands::login::Guest),
    /// Run a command in a guest, with our stdin, stdout and stderr; its exit status is ours
    Exec(commands::login::Exec),
    /// Say what this machine can do, and what to install
    Doctor(commands::doctor::Options),
    /// Say what the store holds, and remove what nobody needs
    Cache(commands::cache::Options),
    /// Print the JSON Schema of a format that is read as YAML
    Schema(commands::schema::Options),
    /// Print what a shell needs to complete this command line
    Completions(commands::completions::Options),
    /// Print manual pages, or write them to a folder
    Man(commands::man::Options),
}

/// How to talk.
#[derive(Debug, Clone, Copy, Args)]
pub struct Output {
    /// Say only what was asked for, and errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Tell of every step of every cell, also where there are many
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub verbose: bool,
}

/// Where things lie.
#[derive(Debug, Clone, Args)]
pub struct Places {
    /// Folder for sources, kernels and images [default: ~/.cache/swapstorm]
    #[arg(long, global = true, value_name = "DIR", env = "SWAPSTORM_CACHE")]
    pub cache: Option<PathBuf>,
    /// Folder for the results of runs; with `parse --dir`, the file for the reports
    #[arg(long, global = true, value_name = "DIR", env = "SWAPSTORM_OUT", default_value = "out")]
    pub out: PathBuf,
    /// True if it was named by the option itself.
    #[arg(skip)]
    pub out_is_named: bool,
    /// Your own kernels/, workloads/, reports/ and harness/ data, used before the built-in ones
    #[arg(long, global = true, value_name = "DIR", env = "SWAPSTORM_DATA")]
    pub data: Option<PathBuf>,
    /// Debian mirror for packages of guests and of suites [default: the one of this machine's apt]
    #[arg(long, global = true, value_name = "URL", env = "SWAPSTORM_MIRROR")]
    pub mirror: Option<String>,
}

impl Places {
    /// The folders that were named.
    pub fn folders(&self) -> Folders {
        let Self { cache, out, data, mirror, .. } = self.clone();
        Folders { cache, out, data, mirror }
    }
}
