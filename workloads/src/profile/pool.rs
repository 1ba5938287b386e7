// SPDX-License-Identifier: MIT OR Apache-2.0
//! zswap's pools: which one a storm will use on a kernel, and whether it can write back.

use host::version::KernelVersion;

use super::{KernelUnderTest, Storm};

/// What is known of a pool.
struct Pool {
    name: &'static str,
    option: &'static str,
    /// The first version in which zswap can write back from it. zsmalloc has it since
    /// 9997bc017549 ("zsmalloc: implement writeback mechanism for zsmalloc").
    writes_back_from: KernelVersion,
}

const POOLS: &[Pool] = &[
    Pool { name: "zbud", option: "CONFIG_ZBUD", writes_back_from: KernelVersion::new(3, 11) },
    Pool { name: "z3fold", option: "CONFIG_Z3FOLD", writes_back_from: KernelVersion::new(4, 8) },
    Pool {
        name: "zsmalloc",
        option: "CONFIG_ZSMALLOC",
        writes_back_from: KernelVersion::new(6, 3),
    },
];

/// Why zswap could not write back under `storm`; `None` if it can.
pub(super) fn obstacle(storm: &Storm, kernel: &KernelUnderTest<'_>) -> Option<String> {
    if storm.zswap == Some(false) {
        return Some("the storm switches zswap off".to_owned());
    }
    let (name, chosen) = match &storm.zpool {
        Some(name) => (name.clone(), "the storm's pool"),
        None => (default_pool(kernel), "the kernel's default pool"),
    };
    let Some(pool) = POOLS.iter().find(|pool| pool.name == name) else {
        return Some(format!("{chosen}, {name}, is not known to"));
    };
    if kernel.value(pool.option) != "y" {
        return Some(format!("{chosen} is {name}, and {} is not y", pool.option));
    }
    let version = kernel.version.filter(|version| *version < pool.writes_back_from)?;
    let since = pool.writes_back_from;
    Some(format!("{chosen}, {name}, can from Linux {since} on, and this is {version}"))
}

/// Kernels without a choice have zsmalloc alone.
fn default_pool(kernel: &KernelUnderTest<'_>) -> String {
    match kernel.value("CONFIG_ZSWAP_ZPOOL_DEFAULT").trim_matches('"') {
        "n" | "" => "zsmalloc".to_owned(),
        name => name.to_owned(),
    }
}
