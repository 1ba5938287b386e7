// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where a task of some part of the kernel can be overtaken: the direct calls of its functions, the
//! most promising first.
//!
//! Kernels have no debug information, so a part of the kernel is a list of names of its functions
//! ([`PARTS`]), over all versions that are known. How much a call promises follows from the names
//! of the calls around it: what was looked up may be gone before it is used, and what a lock
//! protected may have changed before the next one is taken.

use super::calls::Call;
use super::error::VmlinuxError;
use super::image::{Vmlinux, glob, stem};

/// A file of the kernel's source, and patterns of the names of its functions (`*` stands for any
/// characters).
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// The file, as in the kernel's tree.
    pub file: &'static str,
    /// Patterns of names.
    pub functions: &'static [&'static str],
}

/// The parts of the kernel that swap and zswap consist of, those first that are worth a look first. All names are patterns, since no
/// kernel has them all; a file may come twice.
pub const PARTS: &[Part] = &[
    Part {
        file: "mm/zswap.c",
        functions: &["zswap_*", "__zswap_*", "shrink_memcg*", "shrink_worker*"],
    },
    Part { file: "mm/zbud.c", functions: &["zbud_*"] },
    Part { file: "mm/z3fold.c", functions: &["z3fold_*"] },
    Part { file: "mm/zsmalloc.c", functions: &["zs_*"] },
    Part {
        file: "mm/swapfile.c",
        functions: &[
            "get_swap_*",
            "put_swap_*",
            "swap_free*",
            "swap_put_*",
            "swap_dup_*",
            "swap_duplicate*",
            "__swap_duplicate*",
            "__swap_entry_*",
            "swap_entry_*",
            "swap_entries_*",
            "swap_range_*",
            "swapcache_*",
            "free_swap_*",
            "folio_free_swap*",
            "scan_swap_map*",
            "cluster_*",
            "swap_cluster_*",
            "swap_alloc_*",
            "alloc_swap_*",
            "swap_discard_work*",
            "swap_do_scheduled_discard*",
            "swap_reclaim_*",
            "__try_to_reclaim_swap*",
        ],
    },
    Part {
        file: "mm/swap_slots.c",
        functions: &["*_swap_slots_cache*", "free_swap_slot*", "folio_alloc_swap*"],
    },
    Part {
        file: "mm/swap_state.c",
        functions: &[
            "swap_cache_*",
            "__swap_cache_*",
            "*add_to_swap*",
            "*delete_from_swap_cache",
            "read_swap_cache_*",
            "__read_swap_cache_*",
            "swap_vma_readahead*",
            "swapin_*",
            "free_swap_cache*",
            "clear_shadow_from_swap_cache*",
            "exit_swap_address_space*",
        ],
    },
    Part {
        file: "mm/page_io.c",
        functions: &[
            "swap_writepage*",
            "__swap_writepage*",
            "swap_writeout*",
            "swap_readpage*",
            "swap_read_folio*",
            "swap_write_*",
            "end_swap_bio_*",
            "__end_swap_bio_*",
        ],
    },
    Part { file: "mm/memory.c", functions: &["do_swap_page*"] },
    Part {
        file: "mm/shmem.c",
        functions: &[
            "shmem_swap*",
            "shmem_unuse*",
            "shmem_write*",
            "shmem_undo_range*",
            "shmem_free_swap*",
            "shmem_get_folio*",
            "shmem_add_to_page_cache*",
            "shmem_delete_from_page_cache*",
            "shmem_replace_*",
        ],
    },
    Part {
        file: "mm/memcontrol.c",
        functions: &["*obj_cgroup_*zswap", "mem_cgroup_*zswap*", "*mem_cgroup_*swap*"],
    },
    // Whoever sleeps in a swapoff is not overtaken by that swapoff.
    Part {
        file: "mm/swapfile.c",
        functions: &["__do_sys_swapo*", "__*_sys_swapo*", "try_to_unuse*", "unuse_*"],
    },
];

/// The compiler's and the sanitizers' own calls, counters and messages: nothing is used there that
/// could be gone.
const IDLE_CALLS: &[&str] = &[
    "?",
    "__asan_*",
    "__kasan_*",
    "kasan_*",
    "__ubsan_*",
    "__sanitizer_*",
    "__stack_chk_*",
    "__x86_*",
    "__fentry__",
    "*printk*",
    "__warn*",
    "dump_*",
    "panic",
    "*preempt_schedule*",
    "__might_*",
    "*mod_*state*",
    "*count_*event*",
];

/// A direct call at which a task can be made to wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// The function that makes the call.
    pub function: String,
    /// The function that is called.
    pub callee: String,
    /// Which of the calls to that callee in the function, from 1, by address.
    pub number: u64,
    /// The instruction.
    pub call: Call,
    /// What waiting there promises.
    pub promise: Promise,
    /// Which of the patterns that were asked for its function fits, from 0; the first one counts.
    pub pattern: usize,
}

impl Site {
    /// `function:callee#n`, as a stretch point there would be named.
    pub fn name(&self) -> String {
        format!("{}:{}#{}", self.function, self.callee, self.number)
    }
}

/// What waiting at a call promises; the larger, the earlier it is worth a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// The call before it takes a lock: others probably cannot overtake.
    Locked,
    /// Nothing is known.
    Unknown,
    /// Something that others may change by now was let go before it.
    Released,
    /// What the function was given, or has looked up, is about to be used, or locked.
    LookedUp,
    /// One lock, or reference, was let go and the next one is about to be taken: what was read under the first
    /// may hold no longer.
    BetweenLocks,
}

/// What a callee's name says that it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Release,
    Lock,
    LookUp,
    Other,
}

impl Deed {
    fn of(callee: &str) -> Self {
        let has = |words: &[&str]| words.iter().any(|word| callee.contains(word));
        if has(&["unlock", "unmap", "put_", "_put", "release", "up_read", "up_write"]) {
            Self::Release
        } else if has(&["_lock", "trylock", "down_read", "down_write"]) {
            Self::Lock
        } else if has(&["get", "find", "lookup", "load", "walk", "search"]) {
            Self::LookUp
        } else {
            Self::Other
        }
    }
}

/// What waiting before `deed` promises, `before` being the last call above it that tells something.
fn promise(before: Option<Deed>, deed: Deed) -> Promise {
    match (before, deed) {
        (Some(Deed::Release), Deed::Lock | Deed::LookUp) => Promise::BetweenLocks,
        (Some(Deed::LookUp), Deed::Lock | Deed::Other) | (None, Deed::Lock | Deed::LookUp) => {
            Promise::LookedUp
        }
        (Some(Deed::Release), _) => Promise::Released,
        (Some(Deed::Lock), _) => Promise::Locked,
        _ => Promise::Unknown,
    }
}

impl Vmlinux {
    /// The sites of all functions whose name fits one of `patterns`, the most promising first, then in the order of the patterns,
    /// then by address. Functions that the compiler made for what is unlikely (`f.cold`)
    /// are left out.
    ///
    /// # Errors
    /// [`VmlinuxError::NoFunction`] for a pattern without `*` that names no function, and those of reading the
    /// image.
    pub fn sites(&self, patterns: &[impl AsRef<str>]) -> Result<Vec<Site>, VmlinuxError> {
        let mut functions = Vec::new();
        for (at, pattern) in patterns.iter().map(AsRef::as_ref).enumerate() {
            if pattern.contains('*') {
                functions.extend(self.functions_like(pattern).into_iter().map(|f| (f, at)));
            } else {
                functions.push((self.function(pattern)?, at));
            }
        }
        functions.sort_by_key(|(function, pattern)| (function.address, *pattern));
        functions.dedup_by_key(|(function, _)| function.address);
        let mut sites = Vec::new();
        for (function, pattern) in functions {
            let mut before = None;
            let mut calls = self.calls(&function)?;
            calls.retain(|made| !IDLE_CALLS.iter().any(|idle| glob(idle, &made.callee)));
            for (index, made) in calls.iter().enumerate() {
                let same = calls[..=index]
                    .iter()
                    .filter(|other| stem(&other.callee) == stem(&made.callee));
                let deed = Deed::of(&made.callee);
                sites.push(Site {
                    function: function.name.clone(),
                    callee: stem(&made.callee).to_owned(),
                    number: same.count() as u64,
                    call: made.call,
                    promise: promise(before, deed),
                    pattern,
                });
                before = Some(deed).filter(|deed| *deed != Deed::Other).or(before);
            }
        }
        sites.sort_by_key(|site| (std::cmp::Reverse(site.promise), site.pattern, site.call.at));
        Ok(sites)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_call_promises_follows_from_the_one_that_tells_something_before_it() {
        let after = |before: &str, call| promise(Some(Deed::of(before)), Deed::of(call));
        assert_eq!(after("zpool_unmap_handle", "_raw_spin_lock"), Promise::BetweenLocks);
        assert_eq!(after("_raw_spin_unlock", "xa_load"), Promise::BetweenLocks);
        assert_eq!(after("filemap_get_folio", "_raw_spin_lock"), Promise::LookedUp);
        assert_eq!(after("mutex_unlock", "kfree"), Promise::Released);
        assert_eq!(after("_raw_spin_lock", "rb_erase"), Promise::Locked);
        assert_eq!(after("mutex_lock", "_raw_spin_lock"), Promise::Locked);
        assert_eq!(promise(None, Deed::of("_raw_spin_lock")), Promise::LookedUp);
        assert_eq!(promise(None, Deed::of("kfree")), Promise::Unknown);
        assert!(Promise::BetweenLocks > Promise::Locked);
    }

    #[test]
    fn locks_and_what_lets_them_go_are_told_apart() {
        let names = [
            ("_raw_spin_lock_irqsave", Deed::Lock),
            ("mutex_trylock", Deed::Lock),
            ("__rcu_read_unlock", Deed::Release),
            ("folio_put_refs", Deed::Release),
            ("__folio_put", Deed::Release),
            ("get_swap_device", Deed::LookUp),
            ("xas_load", Deed::LookUp),
            ("crypto_acomp_decompress", Deed::Other),
        ];
        for (name, deed) in names {
            assert_eq!(Deed::of(name), deed, "{name}");
        }
    }
}
