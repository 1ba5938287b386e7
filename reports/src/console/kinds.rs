// SPDX-License-Identifier: MIT OR Apache-2.0
//! Type words: the family a title belongs to.

/// Titles that begin so are of this type; the first that fits counts. A `*` stands for
/// any text, and is only looked for where it is written.
const KINDS: &[(&str, &str)] = &[
    ("KASAN: null-ptr-deref Read", "KASAN-NULL-POINTER-DEREFERENCE-READ"),
    ("KASAN: null-ptr-deref Write", "KASAN-NULL-POINTER-DEREFERENCE-WRITE"),
    ("KASAN: *use-after-free Read", "KASAN-USE-AFTER-FREE-READ"),
    ("KASAN: *use-after-free Write", "KASAN-USE-AFTER-FREE-WRITE"),
    ("KASAN: invalid-free", "KASAN-INVALID-FREE"),
    ("KASAN: * Read", "KASAN-READ"),
    ("KASAN: * Write", "KASAN-WRITE"),
    // Reports that lost the line with the direction of the access.
    ("KASAN: use-after-free", "KASAN-USE-AFTER-FREE-READ"),
    ("KASAN: slab-use-after-free", "KASAN-USE-AFTER-FREE-READ"),
    ("KASAN: slab-out-of-bounds", "KASAN-READ"),
    ("KASAN: stack-out-of-bounds", "KASAN-READ"),
    ("KASAN: wild-memory-access", "KASAN-READ"),
    ("KASAN: ", "KASAN-UNKNOWN"),
    ("KFENCE: use-after-free read", "KFENCE-USE-AFTER-FREE-READ"),
    ("KFENCE: use-after-free write", "KFENCE-USE-AFTER-FREE-WRITE"),
    ("KFENCE: invalid free", "KFENCE-INVALID-FREE"),
    ("KFENCE: memory corruption", "KFENCE-MEMORY-CORRUPTION"),
    ("KFENCE: * read", "KFENCE-READ"),
    ("KFENCE: invalid read", "KFENCE-READ"),
    ("KFENCE: * write", "KFENCE-WRITE"),
    ("KFENCE: ", "KFENCE-UNKNOWN"),
    ("KMSAN: kernel-usb-infoleak-after-free", "KMSAN-USE-AFTER-FREE-READ"),
    ("KMSAN: kernel-infoleak-after-free", "KMSAN-USE-AFTER-FREE-READ"),
    ("KMSAN: *infoleak", "KMSAN-INFO-LEAK"),
    ("KMSAN: uninit-value", "KMSAN-UNINIT-VALUE"),
    ("KMSAN: use-after-free", "KMSAN-USE-AFTER-FREE-READ"),
    ("KMSAN: ", "KMSAN-UNKNOWN"),
    ("KCSAN: data-race", "KCSAN-DATARACE"),
    ("KCSAN: assert", "KCSAN-ASSERT"),
    ("KCSAN: ", "KCSAN-UNKNOWN"),
    ("UBSAN: array-index-out-of-bounds", "MEMORY_SAFETY_UBSAN"),
    ("UBSAN: ", "UBSAN"),
    ("BUG: unable to handle kernel NULL pointer dereference in", "NULL-POINTER-DEREFERENCE"),
    ("BUG: corrupted list", "MEMORY_SAFETY_BUG"),
    ("BUG: Poison overwritten", "MEMORY_SAFETY_BUG"),
    ("BUG: Redzone overwritten", "MEMORY_SAFETY_BUG"),
    ("BUG: Left Redzone overwritten", "MEMORY_SAFETY_BUG"),
    ("BUG: Right Redzone overwritten", "MEMORY_SAFETY_BUG"),
    ("BUG: unable to handle kernel pointer dereference", "MEMORY_SAFETY_BUG"),
    ("BUG: unable to handle kernel paging request", "MEMORY_SAFETY_BUG"),
    ("BUG: bad usercopy", "BUG"),
    ("kernel BUG", "BUG"),
    ("BUG: bad unlock balance in", "LOCKDEP"),
    ("BUG: held lock freed in", "LOCKDEP"),
    ("BUG: still has locks held in", "LOCKDEP"),
    ("BUG: spinlock", "LOCKDEP"),
    ("BUG: rwlock", "LOCKDEP"),
    ("BUG: using ", "LOCKDEP"),
    ("BUG: sleeping function called from invalid context", "ATOMIC_SLEEP"),
    ("BUG: scheduling while atomic", "ATOMIC_SLEEP"),
    ("BUG: soft lockup", "HANG"),
    ("BUG: Object already free", "DoS"),
    ("INFO: rcu detected stall", "HANG"),
    ("INFO: task hung", "HANG"),
    ("INFO: task can't die", "HANG"),
    ("WARNING: bad unlock balance in", "LOCKDEP"),
    ("WARNING: held lock freed in", "LOCKDEP"),
    ("WARNING: still has locks held in", "LOCKDEP"),
    ("WARNING: locking bug in", "LOCKDEP"),
    ("WARNING: lock held when returning to user space in", "LOCKDEP"),
    ("WARNING: nested lock was not taken in", "LOCKDEP"),
    ("WARNING: suspicious RCU usage in", "LOCKDEP"),
    ("possible deadlock in", "LOCKDEP"),
    ("inconsistent lock state in", "LOCKDEP"),
    ("WARNING: refcount bug in", "REFCOUNT_WARNING"),
    ("WARNING: corrupted", "UNKNOWN"),
    ("WARNING: kernel stack regs", "UNKNOWN"),
    ("WARNING: kernel stack frame pointer", "UNKNOWN"),
    ("WARNING in ", "WARNING"),
    ("WARNING: ", "WARNING"),
    ("memory leak in", "LEAK"),
    ("general protection fault", "DoS"),
    ("stack segment fault", "DoS"),
    ("kernel panic: ", "DoS"),
    ("kernel stack overflow", "DoS"),
    ("PANIC: double fault", "DoS"),
    ("divide error", "DoS"),
    ("invalid opcode", "DoS"),
    ("int3 in", "DoS"),
    ("Internal error", "DoS"),
    ("Unhandled fault", "DoS"),
    ("Alignment trap", "DoS"),
    ("unregister_netdevice: waiting for", "DoS"),
    ("VFS: ", "DoS"),
    ("trusty: ", "DoS"),
    ("go runtime error", "DoS"),
    ("panic: ", "DoS"),
    ("unexpected kernel reboot", "REBOOT"),
    ("SYZFAIL", "SYZ_FAILURE"),
    ("SYZFATAL", "SYZ_FAILURE"),
];

/// The type word of a title.
pub(super) fn of(title: &str) -> &'static str {
    KINDS.iter().find(|(pattern, _)| begins(title, pattern)).map_or("UNKNOWN", |(_, kind)| kind)
}

fn begins(title: &str, pattern: &str) -> bool {
    // Most patterns differ from a title in one of their first bytes.
    if title.as_bytes().first() != pattern.as_bytes().first() {
        return false;
    }
    let same = title.bytes().zip(pattern.bytes()).take_while(|(t, p)| t == p && *p != b'*').count();
    same == pattern.len()
        || pattern.as_bytes()[same] == b'*' && title[same..].contains(&pattern[same + 1..])
}
