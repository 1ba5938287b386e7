// SPDX-License-Identifier: MIT OR Apache-2.0
//! Findings as real kernels print them and runs as real logs tell them, for tests.

pub(crate) mod events;
pub(crate) mod rich;

use serde_json::{Value, json};

use crate::finding::Finding;

/// The race on Linux 6.1 as a console shows it.
pub(crate) const RACE_6_1_TEXT: &str = include_str!("../../testdata/race-6.1.txt");

/// A stack from `function+0xoffset/0xsize` words.
fn stack(role: &str, task: &str, frames: &str) -> Value {
    let frames: Vec<Value> = frames
        .split_whitespace()
        .map(|frame| match frame.split_once('+') {
            Some((function, place)) => {
                let (offset, size) = place.split_once('/').expect("offset/size");
                let hex = |text: &str| {
                    u64::from_str_radix(text.trim_start_matches("0x"), 16).expect("hexadecimal")
                };
                json!({ "function": function, "offset": [hex(offset), hex(size)] })
            }
            None => json!({ "function": frame }),
        })
        .collect();
    json!({ "role": role, "task": task, "frames": frames })
}

/// By way of JSON, so that facts added to a finding later do not matter here.
fn finding(finding: Value) -> Finding {
    serde_json::from_value(finding).expect("a finding")
}

/// The race on unmodified Linux 6.1.
pub(crate) fn race_6_1() -> Finding {
    finding(json!({
        "title": "KASAN: use-after-free Write in zswap_writeback_entry",
        "alt_titles": ["bad-access in zswap_writeback_entry"],
        "type": "KASAN-USE-AFTER-FREE-WRITE",
        "frame": "zswap_writeback_entry",
        "head": "BUG: KASAN: use-after-free in _raw_spin_lock+0x60/0xb0",
        "stacks": [
            stack(
                "access",
                "kworker/1:1/21",
                "dump_stack_lvl+0x3a/0x4c print_report+0x162/0x454 kasan_report+0xc7/0x100
                 kasan_check_range+0x13f/0x1c0 __kasan_check_write+0x14/0x20
                 _raw_spin_lock+0x60/0xb0 zswap_writeback_entry+0x1dd/0x1070
                 zbud_zpool_evict+0x86/0xd0 zbud_zpool_shrink+0x463/0x970 zpool_shrink+0x78/0xc0
                 shrink_worker+0x35/0x90 process_one_work+0x74e/0x1170 worker_thread+0xdc/0x1310
                 kthread+0x26a/0x310 ret_from_fork+0x1f/0x30",
            ),
            stack(
                "allocated-by",
                "35",
                "kasan_save_stack+0x39/0x60 kasan_set_track+0x25/0x30
                 kasan_save_alloc_info+0x1e/0x30 __kasan_kmalloc+0x93/0xa0 kmalloc_trace+0x34/0x40
                 zswap_frontswap_init+0x40/0x100 frontswap_init+0xa6/0xe0
                 __x64_sys_swapon+0x318f/0x37a0 x64_sys_call+0x50d/0x9a0 do_syscall_64+0x2f/0x50
                 entry_SYSCALL_64_after_hwframe+0x4b/0xb5",
            ),
            stack(
                "freed-by",
                "35",
                "kasan_save_stack+0x39/0x60 kasan_set_track+0x25/0x30
                 kasan_save_free_info+0x2e/0x50 __kasan_slab_free+0xfb/0x150
                 __kmem_cache_free+0x146/0x250 kfree+0x5b/0x80
                 zswap_frontswap_invalidate_area+0xb3/0x110 __frontswap_invalidate_area+0xa3/0x190
                 __x64_sys_swapoff+0x2347/0x2870 x64_sys_call+0x506/0x9a0 do_syscall_64+0x2f/0x50
                 entry_SYSCALL_64_after_hwframe+0x4b/0xb5",
            ),
        ],
        "text": RACE_6_1_TEXT,
        "offset": 17408,
    }))
}

/// The race as Linux 6.8 and 6.12 with the bug put back show it.
pub(crate) fn race_6_8() -> Finding {
    finding(json!({
        "title": "KASAN: slab-use-after-free Write in shrink_memcg_cb",
        "type": "KASAN-USE-AFTER-FREE-WRITE",
        "frame": "shrink_memcg_cb",
        "head": "BUG: KASAN: slab-use-after-free in _raw_spin_lock+0x7a/0xd0",
        "stacks": [
            stack(
                "access",
                "kworker/u8:2/41",
                "_raw_spin_lock+0x7a/0xd0 shrink_memcg_cb+0x2c1/0x8e0 __list_lru_walk_one+0x182/0x400
                 list_lru_walk_one+0x5e/0x90 shrink_memcg+0x1a4/0x2c0 shrink_worker+0x1de/0x350
                 process_one_work+0x5b2/0xd90 worker_thread+0x4c1/0xb30 kthread+0x2a3/0x370",
            ),
            stack(
                "freed-by",
                "57",
                "kfree+0x9e/0x280 zswap_swapoff+0x1b2/0x210 __do_sys_swapoff+0xe21/0x1520
                 do_syscall_64+0x4b/0xf0",
            ),
        ],
        "text": "BUG: KASAN: slab-use-after-free in _raw_spin_lock+0x7a/0xd0\n",
        "offset": 21020,
    }))
}

/// A kernel bug that has nothing to do with zswap.
pub(crate) fn bug_elsewhere() -> Finding {
    finding(json!({
        "title": "kernel BUG in ext4_writepages",
        "type": "BUG",
        "frame": "ext4_writepages",
        "head": "kernel BUG at fs/ext4/inode.c:2721!",
        "stacks": [stack(
            "access",
            "62",
            "ext4_writepages+0x12f/0x3b10 do_writepages+0x181/0x610 __writeback_single_inode+0xfb/0xd40",
        )],
        "text": "kernel BUG at fs/ext4/inode.c:2721!\ninvalid opcode: 0000 [#1] PREEMPT SMP KASAN\n"
            ,
        "offset": 9001,
    }))
}
