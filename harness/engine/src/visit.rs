// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs one cell on a machine that already runs its kernel: `ssh://user@host`.
//!
//! The agent is pushed into a folder of its own and started as a program
//! (workloads/guest/PROTOCOL.md says what it refuses and restores). The console is the kernel's log,
//! or a serial log on this machine. What the console said is judged first: only a machine that
//! was lost without a report is the infrastructure's fault.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::read::GzDecoder;
use fs_err as fs;
use host::store::Store;
use host::version::KernelVersion;
use reports::event::{Cell, Fault, KernelFacts, What};
use reports::rule::Rule;
use reports::run::REMOTE;
use workloads::Profile;
use workloads::profile::{Clock, KernelUnderTest};

use machine::target::{Commands, Connection, Remote};
use machine::{Kind, Random, Timeouts};

use crate::error::Error;
use crate::executor::Failed;
use crate::fit::{fit, variant};
use crate::job::Place;
use crate::judge::{Assignment, Ended};
use crate::unit::Context;
use crate::watch::watch;

/// The only technique without a gdbstub.
const NATURAL: &str = "natural";
/// A machine is restored in this time, times the user's scale: swapoff reads back all pages.
const RESTORING: Duration = Duration::from_secs(75);
/// An agent that hears nothing for so long takes the connection for lost, in seconds.
const HEARTBEAT_S: u64 = 60;
/// The agent ends by itself so long after we should have ended it, in seconds.
const SPARE_S: u64 = 120;
/// A kernel configuration has no reason to be larger.
const CONFIG_LIMIT: u64 = 4 << 20;

/// What gzip's files begin with (RFC 1952).
const GZIP: &[u8] = b"\x1f\x8b\x08";

/// What the user allows on the machine, and where its console and its swap are.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// A serial log on this machine that is the console; `None`: the kernel's log over SSH.
    pub console: Option<PathBuf>,
    /// Run although the machine has swap.
    pub beside_swap: bool,
    /// Run although zswap is in use, and set it as the profile says.
    pub retune_zswap: bool,
    /// Take CPUs off and on, where the profile says so.
    pub switch_cpus: bool,
    /// Devices to swap on, which are overwritten; none: loop devices on files.
    pub disks: Vec<String>,
}

/// The unit of one cell on a machine that already runs its kernel.
#[derive(Debug)]
pub struct Visit<'a> {
    /// The cell as it stands in the event log.
    pub cell: &'a Cell,
    /// The machine, how to log in, and what is allowed there.
    pub place: &'a Place,
    /// The cell's profile.
    pub profile: &'a Profile,
    /// The expected bug.
    pub rule: Option<&'a Rule>,
    /// Limits of patience.
    pub timeouts: Timeouts,
    /// Longest storm, in the machine's time.
    pub budget: Duration,
    /// The cell's folder.
    pub dir: PathBuf,
    /// Where compiled agents are.
    pub store: &'a Store,
}

/// What a machine says of itself.
#[derive(Debug)]
struct Identity {
    machine: String,
    release: String,
    version: String,
    /// What to put before a command that needs root.
    sudo: &'static str,
}

impl Visit<'_> {
    /// Runs the cell to its end.
    pub async fn run(&self, context: &Context) -> Result<(), Failed> {
        let ended = storm(self, context).await?;
        match ended.done.and_then(|done| refusal(&done.reason)) {
            Some((fault, detail)) => Err(Failed { fault, detail }),
            None => Ok(()),
        }
    }
}

/// Why the agent did nothing, in words.
fn refusal(reason: &str) -> Option<(Fault, String)> {
    let words = match reason {
        "existing-swap" => {
            "the machine has swap, which the storm would slow down and could harm\n  \
             hint: switch it off there, or write `allow: [swap]` into the plan"
        }
        "existing-zswap" => {
            "zswap is in use on the machine, or was configured when it was started\n  \
             hint: write `allow: [zswap]` into the plan: it is set anew and restored at the end"
        }
        "cpus-in-use" => {
            "the storm takes CPUs off and on, whatever else runs on the machine\n  \
             hint: write `allow: [cpus]` into the plan: all are on again at the end"
        }
        "no-cgroup2" => {
            "the machine has no cgroup2 at /sys/fs/cgroup, in which the workers are held\n  \
             hint: boot it with systemd.unified_cgroup_hierarchy=1"
        }
        "no-disks" => {
            "no swap device could be used; the warnings say why\n  \
             hint: `modprobe loop` there, make room in /var/tmp, or name `disks`"
        }
        _ => return None,
    };
    Some((Fault::Configuration, words.to_owned()))
}

async fn storm(job: &Visit<'_>, context: &Context) -> Result<Ended, Error> {
    let wrong = |words: String| Error::new(Fault::Configuration, words);
    let cell = &job.cell.id;
    if job.cell.technique != NATURAL {
        return Err(wrong(format!(
            "{} is stormed by load alone, and not by the technique {}\n  hint: use the technique natural",
            job.place.target, job.cell.technique
        )));
    }
    fs::create_dir_all(&job.dir)?;
    let (target, credentials) = (job.place.target.clone(), job.place.credentials.clone());
    let patience = job.timeouts.ready;
    let asked = blocking(move || {
        let connection = Connection::open(&target, &credentials, patience)?;
        let identity = identity(&connection)?;
        let config = config(&connection, &identity);
        Ok((connection, identity, config))
    });
    let (connection, identity, config) = tokio::select! {
        asked = asked => asked?,
        () = context.interrupt.cancelled() => {
            return Err(Error::new(Fault::Infrastructure, "interrupted before the storm"));
        }
    };
    if identity.machine != job.place.arch.rust {
        return Err(wrong(format!(
            "{} is {}, and the plan says {}\n  hint: correct `arch`",
            job.place.target,
            reports::escape::printable(&identity.machine),
            job.place.arch.name
        )));
    }
    let profile = suited(job.profile, &identity, config.as_deref());
    let variant = profile.as_ref().ok().and_then(|profile| profile.variant.clone());
    let (id, kernel) = (cell.clone(), kernel_facts(&identity));
    context.tell(What::KernelReady { cell: id, kernel, variant }).await;
    let profile = profile?;
    let boot = 1;
    if config.is_none() {
        let detail = "the kernel's configuration can be read neither in /proc nor in /boot: \
                      whether the expected bug can show is not known";
        let (cell, detail) = (cell.clone(), detail.to_owned());
        context.tell(What::GuestWarned { cell, boot, detail }).await;
    }
    let agent = workloads::agent::build(job.place.arch, job.store).await?;
    let agent = fs::read(&agent.path)?;
    let token = format!("{:016x}", Random::new(job.cell.seed, "token").draw());
    let words = words(job, &profile, &token);
    let pushed = words.clone();
    let (connection, folder) = blocking(move || {
        let folder = push(&connection, &agent, &pushed)?;
        Ok((connection, folder))
    })
    .await?;
    context
        .tell(What::VmStarted {
            cell: cell.clone(),
            boot,
            accel: REMOTE.to_owned(),
            accel_why: String::new(),
            seed: Some(job.cell.seed),
            host: String::new(),
            argv: vec![
                "ssh".to_owned(),
                "-p".to_owned(),
                job.place.target.port.to_string(),
                format!("{}@{}", job.place.target.user, job.place.target.host),
            ],
            cmdline: words,
        })
        .await;
    let restoring = RESTORING.max(job.timeouts.stop);
    let serial = job.place.terms.console.as_deref().map(|path| (path, job.timeouts.silence));
    let commands = commands(&folder, identity.sudo);
    let mut machine = Remote::start(connection, commands, &token, serial, restoring).await?;
    let dir = job.dir.join(format!("boot-{boot}"));
    fs::create_dir_all(&dir)?;
    let assignment = Assignment {
        hunted: false,
        cell: cell.clone(),
        boot,
        token,
        kind: Kind::Target,
        expected: job.rule.cloned(),
        only_expected: job.cell.should_show == Some(true),
        wanted: job.cell.wanted,
        budget: Some(job.budget),
        clock: Clock::Wall,
        sampling: profile.storm.sampling(),
        points: Vec::new(),
        ready: None,
        // What the console says comes later than from QEMU; an end is a restored machine.
        timeouts: Timeouts {
            stop: restoring,
            report_tail: job.timeouts.report_tail * 4,
            first_byte: job.timeouts.ready,
            ..job.timeouts
        },
    };
    Ok(watch(&mut machine, None, assignment, &dir, context).await?)
}

/// The profile as the machine's kernel wants it. Without a configuration nobody knows whether the bug can show.
fn suited(profile: &Profile, identity: &Identity, config: Option<&str>) -> Result<Profile, Error> {
    let option = |name: &str| config_value(config?, name);
    let version = KernelVersion::of_release(&identity.release);
    let kernel = KernelUnderTest { version, option: &option };
    if config.is_some() { fit(profile, &kernel) } else { variant(profile, &kernel) }
}

/// Runs what blocks in a thread of its own.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

fn identity(connection: &Connection) -> Result<Identity, Error> {
    // Start-up files of shells may talk, too: only what comes behind the mark is the answer.
    let command = "echo swapstorm:; uname -m; uname -r; id -u; cat /proc/version";
    let said = connection.must("say what it is", command, b"")?;
    let (_, answer) = said.split_once("swapstorm:\n").unwrap_or(("", &said));
    let mut lines = answer.lines().map(|line| line.trim().to_owned());
    let mut line = || lines.next().unwrap_or_default();
    let (machine, release, user, version) = (line(), line(), line(), line());
    let sudo = match user.as_str() {
        "0" => "",
        _ if connection.run("sudo -n true", b"")?.status == 0 => "sudo -n ",
        _ => {
            let words = "the user of the target is not root and may not use sudo without a password\n  \
                         hint: log in as root, or let sudo do without (NOPASSWD)";
            return Err(Error::new(Fault::Configuration, words));
        }
    };
    Ok(Identity { machine, release, version, sudo })
}

fn kernel_facts(identity: &Identity) -> KernelFacts {
    let cut = |text: &str| text.chars().take(400).collect::<String>();
    // Linux version 6.1.0-37-amd64 (who@where) (gcc-12 (Debian 12.2.0) 12.2.0, GNU ld 2.40) #1 SMP
    let compiler = identity.version.split_once(") (").map_or("unknown", |(_, rest)| rest);
    let compiler = compiler.rsplit_once(") #").map_or(compiler, |(compiler, _)| compiler);
    KernelFacts {
        release: cut(&identity.release),
        compiler: cut(compiler),
        key: String::new(),
        cached: false,
        ms: 0,
        source: format!("not built by swapstorm: {}", cut(&identity.version)),
        patches: Vec::new(),
        warnings: None,
        image: None,
    }
}

/// The configuration of the kernel that runs, if it can be read.
fn config(connection: &Connection, identity: &Identity) -> Option<String> {
    let packed = connection.run("cat /proc/config.gz", b"").ok()?;
    if let Some(config) = (packed.status == 0).then(|| unpacked(&packed.stdout)).flatten() {
        return Some(config);
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._+-~".contains(&b);
    if !identity.release.bytes().all(plain) {
        return None;
    }
    let command = format!("{}cat /boot/config-{}", identity.sudo, identity.release);
    let output = connection.run(&command, b"").ok()?;
    (output.status == 0).then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Text that gzip has packed, cut at its bound, whatever a start-up file said before it; `None` if
/// there is none.
fn unpacked(said: &[u8]) -> Option<String> {
    let mut text = String::new();
    let packed = &said[memchr::memmem::find(said, GZIP)?..];
    GzDecoder::new(packed).take(CONFIG_LIMIT).read_to_string(&mut text).ok()?;
    Some(text)
}

fn config_value(config: &str, option: &str) -> Option<String> {
    config.lines().find_map(|line| {
        let value = line.strip_prefix(option)?.strip_prefix('=')?;
        Some(value.trim_matches('"').to_owned())
    })
}

/// The agent's words. The kernel's own of the profile are of no use to a kernel that runs.
fn words(job: &Visit<'_>, profile: &Profile, token: &str) -> String {
    let seed = Random::new(job.cell.seed, "guest").draw();
    let seconds = (job.budget.as_secs() + SPARE_S).min(86_400);
    let guest = &profile.guest;
    let mut words: Vec<String> = profile
        .cmdline(seed, token, seconds)
        .split(' ')
        .filter(|word| word.starts_with("swapstorm."))
        .map(str::to_owned)
        .collect();
    words.push(format!("swapstorm.heartbeat={HEARTBEAT_S}"));
    words.push(format!("swapstorm.loops={}", guest.disks));
    words.push(format!("swapstorm.loop_mib={}", guest.disk_mib));
    if !job.place.terms.disks.is_empty() {
        words.push(format!("swapstorm.disks={}", job.place.terms.disks.join(",")));
    }
    let allowed = [
        ("beside_swap", job.place.terms.beside_swap),
        ("retune_zswap", job.place.terms.retune_zswap),
        ("switch_cpus", job.place.terms.switch_cpus),
    ];
    words.extend(
        allowed.iter().filter(|(_, on)| *on).map(|(word, _)| format!("swapstorm.{word}=on")),
    );
    words.join(" ")
}

/// Writes the agent and its words into a new folder of the machine, and returns its path.
fn push(connection: &Connection, agent: &[u8], words: &str) -> Result<String, Error> {
    // On disk rather than in memory, where there is a choice: swap may come to lie in it.
    let make = "umask 077; mktemp -d /var/tmp/swapstorm.XXXXXX 2>/dev/null || \
                mktemp -d /tmp/swapstorm.XXXXXX";
    let said = connection.must("make a folder", &sh(make), b"")?;
    let folder = said.lines().next_back().unwrap_or_default().trim().to_owned();
    let name = ["/var/tmp/swapstorm.", "/tmp/swapstorm."]
        .iter()
        .find_map(|start| folder.strip_prefix(start));
    if !name.is_some_and(|name| name.bytes().all(|b| b.is_ascii_alphanumeric())) {
        return Err(Error::new(
            Fault::Infrastructure,
            "the target names a folder that was not asked for",
        ));
    }
    let files = || {
        let agent_to = sh(&format!("cat > {folder}/agent && chmod 700 {folder}/agent"));
        connection.must("take the agent", &agent_to, agent)?;
        connection.must("take its words", &sh(&format!("cat > {folder}/words")), words.as_bytes())
    };
    if let Err(error) = files() {
        let _ = connection.run(&sh(&format!("rm -rf {folder}")), b"");
        return Err(error.into());
    }
    Ok(folder)
}

/// A command for a POSIX shell, whatever the login shell is; `script` has no single quote in it.
fn sh(script: &str) -> String {
    format!("sh -c '{script}'")
}

fn commands(folder: &str, sudo: &str) -> Commands {
    // The shell outlives a lost connection, and so the folder goes in any case.
    let agent = sh(&format!(
        "trap \"\" HUP; cd {folder} && {sudo}./agent words; s=$?; cd /; rm -rf {folder}; exit $s"
    ));
    // Busybox has a dmesg that cannot follow. A reader of /dev/kmsg that was overtaken gets an
    // error once, at which cat ends: it begins anew, and `Kmsg` passes over what it has seen. What
    // follows ends with our side of the connection.
    let follow = "if dmesg --help 2>&1 | grep -q -e --follow; then dmesg --follow & \
                  else (trap \"kill \\$c; exit\" TERM; while :; do cat /dev/kmsg & c=$!; \
                  wait $c; sleep 1; done) & fi; cat >/dev/null; kill $!";
    Commands { agent, kernel_log: format!("{sudo}{}", sh(follow)) }
}

/// Checks a serial log's path when a plan is read, rather than hours later.
pub fn check_console(path: &Path) -> Result<(), String> {
    fs::File::open(path).map(drop).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_that_we_did_not_build_is_called_so() {
        let facts = Identity {
            machine: "x86_64".to_owned(),
            release: "6.1.0-37-amd64".to_owned(),
            version:
                "Linux version 6.1.0-37-amd64 (a@b) (gcc-12 (Debian 12.2.0-14) 12.2.0, GNU ld \
                      2.40) #1 SMP PREEMPT_DYNAMIC"
                    .to_owned(),
            sudo: "",
        };
        let kernel = kernel_facts(&facts);
        assert_eq!(kernel.compiler, "gcc-12 (Debian 12.2.0-14) 12.2.0, GNU ld 2.40");
        assert!(kernel.source.starts_with("not built by swapstorm: Linux version"));
        assert_eq!(kernel.key, "");
        assert_eq!(
            kernel_facts(&Identity { version: "odd".to_owned(), ..facts }).compiler,
            "unknown"
        );
    }

    #[test]
    fn a_packed_configuration_is_read_and_nothing_else() {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut packed, b"CONFIG_SWAP=y\n").unwrap();
        let packed = packed.finish().unwrap();
        for noise in [&b""[..], b"hello\n"] {
            let config = unpacked(&[noise, &packed].concat()).unwrap();
            assert_eq!(config_value(&config, "CONFIG_SWAP").as_deref(), Some("y"));
        }
        assert_eq!(unpacked(&packed[..packed.len() - 9]), None);
        assert_eq!(unpacked(b"CONFIG_SWAP=y\n"), None);
    }

    #[test]
    fn options_are_read_whole() {
        let config = "# CONFIG_A is not set\nCONFIG_AB=y\nCONFIG_B=\"x\"\n";
        assert_eq!(config_value(config, "CONFIG_A"), None);
        assert_eq!(config_value(config, "CONFIG_AB").as_deref(), Some("y"));
        assert_eq!(config_value(config, "CONFIG_B").as_deref(), Some("x"));
    }
}
