// SPDX-License-Identifier: MIT OR Apache-2.0
//! Functions that are never to blame.
//!
//! The top frames of a stack belong to whatever noticed the bug, or to a helper that
//! only did what its caller told it to. A frame that matches one of these words is
//! passed over, and the next one below it is blamed.

use std::sync::LazyLock;

/// Words of one kind. A word matches anywhere in a function's name; `^` ties it to the
/// name's beginning and `$` to its end.
struct Group {
    /// What these functions do.
    #[allow(dead_code, reason = "names the group for the reader of the table")]
    what: &'static str,
    words: &'static [&'static str],
}

const GROUPS: &[Group] = &[
    Group {
        what: "sanitizers noticing a bad access",
        words: &[
            "__sanitizer",
            "__asan",
            "__hwasan",
            "kasan",
            "__msan",
            "kmsan",
            "kcsan_",
            "__tsan",
            "check_memory_region",
            "check_region_inline",
            "check_heap_object",
            "check_object",
            "check_bytes_and_report",
            "check_poison_obj",
            "read_word_at_a_time",
            "print_address_description",
            "memory_is_poisoned",
            "ubsan",
            "instrument_",
        ],
    },
    Group {
        what: "printing the report",
        words: &[
            "panic",
            "print_report",
            "print_usage_bug",
            "print_circular_bug",
            "print_deadlock_bug",
            "print_bad_irq_dependency",
            "print_irq_inversion_bug",
            "print_unlock_imbalance_bug",
            "print_lock_invalid_wait_context",
            "print_lock_nested_lock_not_held",
            "print_freed_lock_bug",
            "report_bug",
            "fixup_bug",
            "warn_slowpath",
            "warn_alloc",
            "__warn",
            "^warn_",
            "dump_stack",
            "show_stack",
            "show_regs",
            "show_trace",
            "dump_backtrace",
            "dump_page",
            "bad_page",
            "end_report",
            "object_err",
            "slab_bug",
            "slab_err",
            "^die$",
            "^oops_",
            "^no_context",
            "^bad_area",
            "^__bad_area",
            "^error_entry",
            "^handle_bug",
            "__die",
            "die_kernel_fault",
            "__stack_chk_fail",
            "assertfail",
            "rust_begin_unwind",
            "core::panicking",
            "rust_panic",
        ],
    },
    Group {
        what: "x86 trap entry",
        words: &[
            "invalid_op",
            "do_error",
            "do_trap",
            "program_check_",
            "_trap$",
            "exc_general_protection",
            "exc_page_fault",
            "page_fault_oops",
            "^retint_",
        ],
    },
    Group {
        what: "arm and arm64 abort path",
        words: &[
            "do_mem_abort",
            "do_DataAbort",
            "do_PrefetchAbort",
            "dabt_",
            "do_translation_fault",
            "do_alignment_fault",
            "do_tag_check_fault",
            "do_sea",
            "__do_kernel_fault",
            "el1_abort",
            "el1_da",
            "el1h_64_sync",
            "el1_sync",
            "el1_irq",
            "el1_dbg",
            "el1_brk64",
            "do_undefinstr",
            "do_ptrauth_fault",
            "aarch64_insn",
        ],
    },
    Group {
        what: "stack walkers",
        words: &[
            "save_stack",
            "stack_trace",
            "walk_stackframe",
            "unwind_backtrace",
            "arch_stack_walk",
            "set_track",
            "trace_hardirqs",
            "tracer_hardirqs",
            "perf_trace_lock",
            "nmi_cpu_backtrace",
            "nmi_trigger",
            "trigger_cpumask",
        ],
    },
    Group {
        what: "lockdep and debug objects",
        words: &[
            "lockdep",
            "lock_acquire",
            "lock_release",
            "lock_class",
            "lock_is_held",
            "lock_contended",
            "mark_lock",
            "held_locks",
            "reacquire_held",
            "validate_chain",
            "check_noncircular",
            "check_prev_add",
            "check_wait_context",
            "check_deadlock",
            "check_locks_freed",
            "no_locks_freed",
            "no_locks_held",
            "debug_object",
            "debug_check_no_obj",
            "debug_print_object",
            "timer_is_static_object",
            "work_is_static_object",
            "look_up_lock_class",
            "assign_lock_key",
            "check_irq_usage",
            "^check_usage",
            "check_prevs_add",
            "add_lock_to_list",
            "^check_flags$",
            "^check_chain_key$",
            "^valid_state$",
        ],
    },
    Group {
        what: "memory and string helpers",
        words: &[
            "memcpy",
            "memcmp",
            "memset",
            "memchr",
            "memmove",
            "memscan",
            "memparse",
            "memdup",
            "strcmp",
            "strncmp",
            "strcasecmp",
            "strncasecmp",
            "strcpy",
            "strncpy",
            "strlcpy",
            "strscpy",
            "strcat",
            "strncat",
            "strlcat",
            "strlen",
            "strnlen",
            "strchr",
            "strnchr",
            "strrchr",
            "strstr",
            "strnstr",
            "strspn",
            "strcspn",
            "strpbrk",
            "strsep",
            "strdup",
            "strndup",
            "^string$",
            "^string_nocheck",
            "^pointer$",
            "^va_format$",
            "^format_decode$",
            "^widen_string$",
            "^symbol_string$",
            "^hex_string$",
            "printf",
            "hex_dump",
            "crc16",
            "crc32",
            "crc_ccitt",
            "crc_itu",
            "crc_t10dif",
            "^crc4",
            "^crc7",
            "^crc8",
            "crc64",
            "csum_partial",
        ],
    },
    Group {
        what: "copies to and from user space",
        words: &[
            "copy_to_user",
            "copy_from_user",
            "copy_user",
            "copy_to_iter",
            "copy_from_iter",
            "copy_page_to_iter",
            "copy_page_from_iter",
            "^copyin",
            "^copyout",
            "put_user",
            "get_user",
            "clear_user",
            "rep_movs_alternative",
            "rep_stos_alternative",
            "might_fault",
            "usercopy",
            "check_copy_size",
            "check_object_size",
            "check_stack_object",
            "csum_and_copy",
            "csum_partial_copy",
            "strnlen_user",
        ],
    },
    Group {
        what: "allocators",
        words: &[
            "kmalloc",
            "kzalloc",
            "kcalloc",
            "vmalloc",
            "vzalloc",
            "vcalloc",
            "krealloc",
            "kmem_cache",
            "allocate_slab",
            "new_slab",
            "slab_",
            "alloc_page",
            "alloc_pages",
            "alloc_frozen_pages",
            "get_free_page",
            "get_zeroed_page",
            "folio_alloc",
            "vma_alloc_folio",
        ],
    },
    Group { what: "frees", words: &["kfree", "kzfree", "kvfree", "vfree", "vunmap"] },
    Group {
        what: "page cache and its index",
        words: &[
            "find_get_entr",
            "find_get_page",
            "find_lock_page",
            "find_lock_entr",
            "pagecache_get_page",
            "filemap_get_folio",
            "filemap_get_entry",
            "filemap_get_pages",
            "^xas_",
            "folio_unlock",
            "folio_lock",
            "folio_wait",
            "truncate_inode_pages",
            "truncate_pagecache",
        ],
    },
    Group {
        what: "locks",
        words: &[
            "spin_lock",
            "spin_trylock",
            "spin_unlock",
            "spin_rq_lock",
            "spin_rq_unlock",
            "raw_read_lock",
            "raw_read_unlock",
            "raw_write_lock",
            "raw_write_unlock",
            "raw_read_trylock",
            "raw_write_trylock",
            "read_lock",
            "read_unlock",
            "write_lock",
            "write_unlock",
            "queued_read",
            "queued_write",
            "queued_spin",
            "pv_wait",
            "pv_hybrid",
            "^kvm_wait$",
            "rcu_read_",
            "down_read",
            "down_write",
            "down_trylock",
            "down_interruptible",
            "down_killable",
            "down_timeout",
            "^down$",
            "__down$",
            "__down_common",
            "up_read",
            "up_write",
            "^up$",
            "^__up$",
            "downgrade_write",
            "mutex_",
            "rt_mutex",
            "rtlock",
            "rwsem_",
            "rwbase_",
            "^ww_",
            "owner_on_cpu",
            "osq_lock",
            "osq_unlock",
            "percpu_down",
            "percpu_up",
            "percpu_rwsem",
            "local_bh_",
            "bh_enable",
            "bh_disable",
            "lock_page",
            "unlock_page",
            "lock_sock_nested",
            "preempt_count",
            "preempt_schedule",
            "spin_bug",
            "spin_dump",
            "rwlock_bug",
            "arch_local_irq",
        ],
    },
    Group {
        what: "atomics, bits and counters",
        words: &[
            "^atomic_",
            "^atomic64_",
            "^atomic_long_",
            "arch_atomic",
            "raw_atomic",
            "^__atomic",
            "^test_bit",
            "^set_bit",
            "^clear_bit",
            "^change_bit",
            "^__set_bit",
            "^__clear_bit",
            "^_test_bit",
            "^constant_test_bit",
            "^variable_test_bit",
            "^arch_test_bit",
            "^arch_set_bit",
            "^arch_clear_bit",
            "^arch___set_bit",
            "^arch___clear_bit",
            "test_and_",
            "find_next_bit",
            "find_first_bit",
            "find_next_zero",
            "find_first_zero",
            "find_last_bit",
            "seqcount",
            "seqbegin",
            "seqretry",
            "seqprop_",
            "seqlock",
            "refcount_",
            "kref_",
            "ref_tracker",
            "^xchg",
            "^cmpxchg",
            "__read_once",
            "__write_once",
        ],
    },
    Group {
        what: "lists and trees",
        words: &[
            "list_add",
            "list_del",
            "list_move",
            "list_replace",
            "list_splice",
            "^rb_",
            "__rb_",
            "rb_erase",
            "rb_insert",
            "rb_next",
            "rb_first",
            "^klist_",
            "rhashtable_lookup",
            "rhltable_lookup",
        ],
    },
    Group {
        what: "waiting",
        words: &[
            "wait_for_completion",
            "wait_for_common",
            "do_wait_for",
            "finish_wait",
            "prepare_to_wait",
            "__wake_up",
            "^complete$",
            "^complete_all",
            "^complete_with_flags$",
            "swake_up",
            "might_sleep",
            "might_resched",
            "_cond_resched",
            "^kthread_stop",
        ],
    },
    Group {
        what: "deferred work and timers",
        words: &[
            "flush_work",
            "flush_delayed_work",
            "flush_workqueue",
            "flush_scheduled_work",
            "__flush_work",
            "start_flush_work",
            "insert_wq_barrier",
            "queue_work",
            "queue_delayed_work",
            "insert_work",
            "cancel_work",
            "cancel_delayed_work",
            "try_to_grab_pending",
            "drain_workqueue",
            "destroy_workqueue",
            "get_work_pool",
            "mod_delayed_work",
            "schedule_work",
            "cleanup_srcu_struct",
            "add_timer",
            "mod_timer",
            "del_timer",
            "del_singleshot",
            "detach_timer",
            "detach_if_pending",
            "enqueue_timer",
            "timer_delete",
            "timer_shutdown",
            "internal_add_timer",
            "^hrtimer_start",
            "^hrtimer_cancel",
            "^hrtimer_try_to_cancel",
            "^hrtimer_init",
            "^hrtimer_active",
            "lock_timer_base",
            "lock_hrtimer_base",
            "debug_timer",
            "debug_hrtimer",
        ],
    },
    Group {
        what: "loggers",
        words: &[
            "printk",
            "^dev_err",
            "^dev_warn",
            "^dev_info",
            "^dev_notice",
            "^dev_crit",
            "^dev_alert",
            "^dev_emerg",
            "^_dev_",
            "__dev_printk",
            "__netdev_printk",
            "^netdev_err",
            "^netdev_warn",
            "^netdev_info",
            "^netdev_notice",
            "^netdev_crit",
            "^netdev_alert",
            "^netdev_emerg",
            "dynamic_dev_dbg",
            "dynamic_pr_debug",
            "dynamic_netdev",
            "vprintk",
            "devkmsg",
        ],
    },
    Group {
        what: "devices, sysfs and buses taking a device away",
        words: &[
            "kobject_",
            "device_add$",
            "device_register$",
            "device_create",
            "device_destroy",
            "device_release$",
            "devres_release",
            "get_device_parent",
            "tty_unregister_device",
            "add_uevent_var",
            "device_del$",
            "device_unregister$",
            "device_release_driver",
            "dpm_sysfs",
            "sysfs_remove",
            "sysfs_delete",
            "kernfs_remove_by_name",
            "^remove_files",
            "device_remove_",
            "^put_device$",
            "^get_device$",
            "dev_uevent",
            "bus_remove_device",
            "^usb_disconnect",
            "^usb_unbind_interface",
            "^usb_kill_urb",
            "^usb_poison_urb",
            "^usb_disable_device",
            "i2c_del_adapter",
            "__unregister_client",
            "hwrng_unregister",
            "unregister_netdev$",
            "free_netdev",
            "cdev_del",
        ],
    },
    Group {
        what: "device registers",
        words: &[
            "^readb$",
            "^readw$",
            "^readl$",
            "^readq$",
            "^writeb$",
            "^writew$",
            "^writel$",
            "^writeq$",
            "^readb_relaxed$",
            "^readw_relaxed$",
            "^readl_relaxed$",
            "^readq_relaxed$",
            "^writeb_relaxed$",
            "^writew_relaxed$",
            "^writel_relaxed$",
            "^writeq_relaxed$",
            "^__raw_read",
            "^__raw_write",
            "^logic_in",
            "^logic_out",
            "^inb$",
            "^inw$",
            "^inl$",
            "^outb$",
            "^outw$",
            "^outl$",
            "^ioread",
            "^iowrite",
        ],
    },
    Group {
        what: "inodes and dentries coming and going",
        words: &["^iput", "dput$", "^ihold", "^igrab", "drop_nlink", "inc_nlink"],
    },
    Group {
        what: "retpolines",
        words: &[
            "_indirect_thunk",
            "x86_retpoline",
            "__x86_return_thunk",
            "cfi_slowpath",
            "__cfi_",
        ],
    },
];

/// A word of a table without its anchors.
#[derive(Debug)]
struct Word {
    text: &'static [u8],
    at_start: bool,
    at_end: bool,
}

impl Word {
    fn new(word: &'static str) -> Self {
        let text = word.strip_prefix('^').unwrap_or(word);
        let at_start = text.len() != word.len();
        let at_end = text.ends_with('$');
        let text = text.strip_suffix('$').unwrap_or(text).as_bytes();
        Word { text, at_start, at_end }
    }

    /// True if the word matches at a place in a name.
    fn is_at(&self, at: usize, name: &[u8]) -> bool {
        (at == 0 || !self.at_start)
            && name[at..].starts_with(self.text)
            && (!self.at_end || at + self.text.len() == name.len())
    }
}

/// Words are found by their first bytes.
const KEY: usize = 4;
/// Enough slots that most are empty.
const SLOT_BITS: u32 = 12;

/// Words as a matcher. Names are short, and few of them hold the first bytes of any word, so a
/// look at each place in a name is quicker than an automaton.
#[derive(Debug)]
pub(super) struct WordSet {
    /// Those with a key, by slots.
    words: Vec<Word>,
    /// Where the words of each slot begin, and where the last ones end.
    slots: Vec<u16>,
    /// Those that are too short for a key.
    short: Vec<Word>,
}

impl WordSet {
    pub(super) fn new(words: impl IntoIterator<Item = &'static str>) -> Self {
        let slot_of = |word: &Word| word.text.first_chunk().map(slot);
        let (mut words, short): (Vec<Word>, Vec<Word>) =
            words.into_iter().map(Word::new).partition(|word| slot_of(word).is_some());
        words.sort_by_key(slot_of);
        let slots = (0..=1 << SLOT_BITS)
            .map(|slot| words.partition_point(|word| slot_of(word) < Some(slot)) as u16)
            .collect();
        WordSet { words, slots, short }
    }

    pub(super) fn matches(&self, name: &str) -> bool {
        let name = name.as_bytes();
        let mut short = self.short.iter();
        short.any(|word| {
            let places = if word.at_start { 1 } else { name.len() };
            (0..places).any(|at| word.is_at(at, name))
        }) || name.array_windows().enumerate().any(|(at, key)| {
            let slot = slot(key);
            let (from, to) = (self.slots[slot], self.slots[slot + 1]);
            self.words[from.into()..to.into()].iter().any(|word| word.is_at(at, name))
        })
    }
}

/// Where words are that begin with a key: the upper bits of Fibonacci hashing.
fn slot(key: &[u8; KEY]) -> usize {
    (u32::from_le_bytes(*key).wrapping_mul(0x9e37_79b1) >> (u32::BITS - SLOT_BITS)) as usize
}

/// True if a function is passed over whatever the report says.
pub(super) fn never_blamed(function: &str) -> bool {
    static WORDS: LazyLock<WordSet> =
        LazyLock::new(|| WordSet::new(GROUPS.iter().flat_map(|g| g.words.iter().copied())));
    WORDS.matches(function)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_match_where_their_anchors_allow() {
        let set = WordSet::new(["^ab$", "cd$", "^begin", "finish$", "^whole$", "anywhere"]);
        for name in ["ab", "xcd", "cd", "begins", "xfinish", "finish", "whole", "xanywherex"] {
            assert!(set.matches(name), "{name}");
        }
        for name in ["", "abc", "xab", "cdx", "xbegin", "finishx", "wholex", "xwhole", "anywher"] {
            assert!(!set.matches(name), "{name}");
        }
    }

    #[test]
    fn helpers_are_passed_over_and_their_callers_are_not() {
        let helpers = "unwind_backtrace assign_lock_key check_irq_usage check_usage_forwards print_freed_lock_bug \
            va_format crc_t10dif_generic rep_movs_alternative vma_alloc_folio_noprof __up \
            downgrade_write variable_test_bit arch___set_bit _find_first_zero_bit \
            try_to_grab_pending complete_with_flags dev_crit __raw_readq readl_relaxed logic_inb \
            _cond_resched __cond_resched __x86_retpoline_rax hwrng_unregister";
        for name in helpers.split_whitespace() {
            assert!(never_blamed(name), "{name}");
        }
        let callers = "bug_handler lock_downgrade __free_pages truncate_inode_partial_page \
            remove_wait_queue consume_skb input_unregister_device rtnl_lock __run_timers \
            kernfs_fop_read_iter video_valid_state foo_check_flags my__up_call";
        for name in callers.split_whitespace() {
            assert!(!never_blamed(name), "{name}");
        }
    }
}
