// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which accelerator to use: KVM only if a kernel has printed through it.
//!
//! `/dev/kvm` may open, create machines, and still run no ordinary kernel (nested hosts with
//! a paravirtual KVM do so). The proof costs one boot and is remembered for this host and QEMU.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err as fs;
use host::process::{Command, ProcessError};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;

use super::{Accel, Vm, VmSpec};

/// A kernel that printed nothing through KVM for so long never will.
const PROOF_LIMIT: Duration = Duration::from_secs(10);

/// What is known of the accelerators of this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The one to use.
    pub accel: Accel,
    /// Why, in words.
    pub why: String,
}

/// The first line of `qemu --version`.
pub async fn qemu_version(qemu: &str) -> Result<String, ProcessError> {
    let output = Command::new(qemu).arg("--version").success().await?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

/// Where the proof for this host and QEMU is remembered below `cache`.
fn memory(cache: &Path, qemu: &str, version: &str) -> PathBuf {
    let system = rustix::system::uname();
    let name: String = format!(
        "{qemu} {version} {} {}",
        system.release().to_string_lossy(),
        system.machine().to_string_lossy()
    )
    .chars()
    .map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' })
    .take(200)
    .collect();
    cache.join("accelerators").join(format!("{name}.json"))
}

/// What an earlier proof has shown, if there was one.
pub fn remembered(cache: &Path, qemu: &str, version: &str) -> Option<Proof> {
    let text = fs::read(memory(cache, qemu, version)).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Chooses for `spec`, whose kernel serves as the probe.
pub async fn choose(cache: &Path, spec: &VmSpec, version: &str) -> io::Result<Proof> {
    let tcg = |why: &str| Proof { accel: Accel::Tcg, why: why.to_owned() };
    if !spec.arch.is_native() {
        return Ok(tcg("the guest is of another architecture than this machine"));
    }
    if let Some(kasan) = spec.kasan.filter(|kasan| !kasan.kvm) {
        return Ok(tcg(&format!("KASAN's {} do not work in QEMU's guests under KVM", kasan.mode)));
    }
    if fs::OpenOptions::new().read(true).write(true).open("/dev/kvm").is_err() {
        return Ok(tcg("/dev/kvm is missing or may not be used by this user"));
    }
    if let Some(proof) = remembered(cache, spec.arch.qemu, version) {
        return Ok(proof);
    }
    let proof = probe(spec).await;
    let file = memory(cache, spec.arch.qemu, version);
    let dir = file.parent().unwrap_or(cache);
    fs::create_dir_all(dir)?;
    let mut temporary = tempfile::NamedTempFile::new_in(dir)?;
    serde_json::to_writer(&mut temporary, &proof)?;
    temporary.persist(&file).map_err(|error| error.error)?;
    Ok(proof)
}

/// Boots once through KVM and waits for the kernel's first line.
async fn probe(spec: &VmSpec) -> Proof {
    let spec = VmSpec { accel: Accel::Kvm, gdb: false, ..spec.clone() };
    let mut vm = match Vm::start(&spec, PROOF_LIMIT).await {
        Ok(vm) => vm,
        Err(error) => {
            let why = error.to_string();
            let why = format!("with KVM, {}", why.lines().next().unwrap_or_default());
            return Proof { accel: Accel::Tcg, why };
        }
    };
    let spoke = tokio::time::timeout(PROOF_LIMIT, kernel_spoke(&mut vm)).await;
    vm.child.kill().await;
    match spoke {
        Ok(true) => Proof { accel: Accel::Kvm, why: "a kernel has printed through it".to_owned() },
        _ => {
            let why = format!(
                "/dev/kvm is there, but a kernel printed nothing through it within {} s",
                PROOF_LIMIT.as_secs()
            );
            Proof { accel: Accel::Tcg, why }
        }
    }
}

/// True when the banner of a kernel has come; firmware may print before it.
async fn kernel_spoke(vm: &mut Vm) -> bool {
    let mut seen = Vec::new();
    while seen.len() < 64 << 10 {
        match vm.console.read_buf(&mut seen).await {
            Ok(0) | Err(_) => return false,
            Ok(_) if memchr::memmem::find(&seen, b"Linux version").is_some() => return true,
            Ok(_) => {}
        }
    }
    false
}
