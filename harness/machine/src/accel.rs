// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which accelerator to use: KVM only if a kernel has printed through it.
//!
//! `/dev/kvm` may open, create machines, and still run no ordinary kernel (nested hosts with
//! a paravirtual KVM do so). The proof costs one boot and is remembered for this host and QEMU.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err as fs;
use host::process::{Command, ProcessError};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;

use crate::qemu::{Vm, VmSpec};

/// A kernel that printed nothing through KVM for so long never will, times the user's scale.
const PROOF_LIMIT: Duration = Duration::from_secs(10);
/// A proof that KVM does not work is believed for so long: hosts are repaired.
const REFUTED_FOR: Duration = Duration::from_secs(24 * 3600);

/// What carries out the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accel {
    /// The host's CPU.
    Kvm,
    /// QEMU's translator.
    Tcg,
}

impl Accel {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Kvm, Self::Tcg];

    /// Its name, as QEMU has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        }
    }
}

impl fmt::Display for Accel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

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

/// Where the proof for this host and QEMU is remembered below `cache`, which several hosts may share.
fn memory(cache: &Path, qemu: &str, version: &str) -> PathBuf {
    let system = rustix::system::uname();
    let machine = fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let name: String = format!(
        "{qemu} {version} {} {} {} {}",
        system.release().to_string_lossy(),
        system.machine().to_string_lossy(),
        system.nodename().to_string_lossy(),
        machine.trim(),
    )
    .chars()
    .map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' })
    .take(200)
    .collect();
    cache.join("accelerators").join(format!("{name}.json"))
}

/// What an earlier proof has shown, if there was one that still holds.
pub fn remembered(cache: &Path, qemu: &str, version: &str) -> Option<Proof> {
    let file = memory(cache, qemu, version);
    let proof: Proof = serde_json::from_slice(&fs::read(&file).ok()?).ok()?;
    let age = fs::metadata(&file).ok()?.modified().ok()?.elapsed().unwrap_or_default();
    (proof.accel == Accel::Kvm || age < REFUTED_FOR).then_some(proof)
}

/// Chooses for `spec`, whose kernel serves as the probe; `scale` is the user's factor on patience.
///
/// That KVM works is remembered. That it does not is remembered only if nothing but KVM can be the reason:
/// if `has_spoken`, so the kernel is known to print, and no CPU model was asked for.
pub async fn choose(
    cache: &Path,
    spec: &VmSpec,
    version: &str,
    scale: f64,
    has_spoken: bool,
) -> io::Result<Proof> {
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
    let proof = probe(spec, PROOF_LIMIT.mul_f64(scale)).await;
    if proof.accel == Accel::Tcg && (spec.cpu.is_some() || !has_spoken) {
        return Ok(proof);
    }
    let file = memory(cache, spec.arch.qemu, version);
    let dir = file.parent().unwrap_or(cache);
    fs::create_dir_all(dir)?;
    let mut temporary = tempfile::NamedTempFile::new_in(dir)?;
    serde_json::to_writer(&mut temporary, &proof)?;
    temporary.persist(&file).map_err(|error| error.error)?;
    Ok(proof)
}

/// Boots once through KVM and waits for the kernel's first line.
async fn probe(spec: &VmSpec, limit: Duration) -> Proof {
    let spec = VmSpec { accel: Accel::Kvm, gdb: false, ..spec.clone() };
    let mut vm = match Vm::start(&spec, limit).await {
        Ok(vm) => vm,
        Err(error) => {
            let why = error.to_string();
            let why = format!("with KVM, {}", why.lines().next().unwrap_or_default());
            return Proof { accel: Accel::Tcg, why };
        }
    };
    let spoke = tokio::time::timeout(limit, kernel_spoke(&mut vm)).await;
    vm.child.kill().await;
    match spoke {
        Ok(true) => Proof { accel: Accel::Kvm, why: "a kernel has printed through it".to_owned() },
        _ => {
            let why = format!(
                "/dev/kvm is there, but a kernel printed nothing through it within {} s",
                limit.as_secs()
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

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn a_proof_against_kvm_is_not_believed_for_ever() {
        let cache = tempfile::tempdir().unwrap();
        let file = memory(cache.path(), "qemu", "7.2");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let remember = |accel, age| {
            let proof = Proof { accel, why: "said so".to_owned() };
            fs::write(&file, serde_json::to_vec(&proof).unwrap()).unwrap();
            let written = SystemTime::now() - age;
            fs::File::options().write(true).open(&file).unwrap().set_modified(written).unwrap();
            remembered(cache.path(), "qemu", "7.2").is_some()
        };
        assert!(remember(Accel::Tcg, Duration::ZERO));
        assert!(!remember(Accel::Tcg, REFUTED_FOR + Duration::from_secs(1)));
        assert!(remember(Accel::Kvm, REFUTED_FOR * 100));
    }
}
