// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a report should say of the machine it was made on.

use std::collections::BTreeMap;

use fs_err as fs;

/// CPUs and their model, memory and kernel of this machine.
pub fn gather() -> BTreeMap<String, String> {
    let mut facts = BTreeMap::new();
    let mut add = |name: &str, value: String| facts.insert(name.to_owned(), value);
    add("cpus", cpus().to_string());
    if let Some(model) = cpu_model() {
        add("cpu", model);
    }
    if let Some(mib) = memory_mib() {
        add("memory_mib", mib.to_string());
    }
    add("kernel", rustix::system::uname().release().to_string_lossy().into_owned());
    facts
}

/// CPUs that this process may use.
pub fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// What the first CPU calls itself; `None` where the kernel does not tell, as on arm64.
fn cpu_model() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    let (_, model) = line.split_once(':')?;
    Some(model.split_whitespace().collect::<Vec<_>>().join(" ")).filter(|model| !model.is_empty())
}

/// The machine's memory in MiB.
pub fn memory_mib() -> Option<u64> {
    meminfo_mib("MemTotal:")
}

/// Memory in MiB that programs can still have without swapping.
pub fn available_mib() -> Option<u64> {
    meminfo_mib("MemAvailable:")
}

fn meminfo_mib(name: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024)
}
