//! What is held where a profile asks for it: written memory that never becomes code, and hardening against side channels.

use super::*;
use crate::attack::Class::{Between, Execution};
use crate::attack::Demand::{Hardened, WriteXorExecute};
use crate::attack::Need;

/// The filter refuses it, and without the filter the kernel's own rule.
const NO_CODE: Expected = &[(EPERM, SECCOMP), (EACCES, "write-xor-execute")];

pub(super) static ATTACKS: &[Attack] = &[
    Attack::new("map-writable-code", Execution, NO_CODE, &["mmap"], |_| {
        make(Sysno::mmap, &mut [n(0), n(PAGE), n(READ | WRITE | EXECUTE), n(PRIVATE | ANONYMOUS), n(-1), n(0)])
    })
    .where_asked(WriteXorExecute),
    Attack::new("map-shared-writable-code", Execution, NO_CODE, &["mmap"], |_| {
        make(Sysno::mmap, &mut [n(0), n(PAGE), n(READ | WRITE | EXECUTE), n(SHARED | ANONYMOUS), n(-1), n(0)])
    })
    .like("map-writable-code")
    .where_asked(WriteXorExecute),
    // As a compiler does that writes code while a program runs.
    Attack::new("make-code-of-written-memory", Execution, NO_CODE, &["mprotect"], |_| {
        with_page(|page| make(Sysno::mprotect, &mut [w(page), n(PAGE), n(READ | EXECUTE)]))
    })
    .where_asked(WriteXorExecute),
    Attack::new("make-writable-code-of-memory", Execution, NO_CODE, &["mprotect"], |_| {
        with_page(|page| make(Sysno::mprotect, &mut [w(page), n(PAGE), n(READ | WRITE | EXECUTE)]))
    })
    .like("make-code-of-written-memory")
    .where_asked(WriteXorExecute),
    // PR_SET_MDWE with nothing: to be rid of the kernel's own rule.
    Attack::new("lift-the-rule-on-code", Execution, &[(EPERM, "write-xor-execute")], &["prctl"], |_| {
        make(Sysno::prctl, &mut [n(65), n(0), n(0), n(0), n(0)])
    })
    .where_asked(WriteXorExecute),
    // MADV_MERGEABLE: whether another has the same page is told by the time of a write.
    Attack::new("merge-own-pages", Between, BY_FILTER, &["madvise"], |_| {
        with_page(|page| make(Sysno::madvise, &mut [w(page), n(PAGE), n(12)]))
    })
    .needs(Need::Path("/sys/kernel/mm/ksm"))
    .where_asked(Hardened("page-sharing")),
    Attack::new("speculate-over-stores", Between, SHUT, &["prctl"], |_| speculates(0))
        .where_asked(Hardened("speculation")),
    Attack::new("speculate-over-branches", Between, SHUT, &["prctl"], |_| speculates(1))
        .where_asked(Hardened("speculation")),
    // PR_SET_SPECULATION_CTRL, PR_SCHED_CORE, PR_SET_MEMORY_MERGE: nobody is to undo what was done against side channels.
    Attack::new("speculate-again", Between, BY_FILTER, &["prctl"], |_| {
        make(Sysno::prctl, &mut [n(53), n(0), n(2), n(0), n(0)])
    }),
    Attack::new("share-the-core", Between, BY_FILTER, &["prctl"], |_| {
        make(Sysno::prctl, &mut [n(62), n(2), own(), n(0), n(0)])
    }),
    Attack::new("merge-all-pages", Between, BY_FILTER, &["prctl"], |_| {
        make(Sysno::prctl, &mut [n(67), n(1), n(0), n(0), n(0)])
    }),
];

/// The kernel says that this way of speculation is shut, or that the processor does not have it.
const SHUT: Expected = &[(Seen::Nothing, "speculation")];

// linux/mman.h and asm-generic/mman-common.h.
const PAGE: i32 = 4096;
const READ: i32 = 1;
const WRITE: i32 = 2;
const EXECUTE: i32 = 4;
const SHARED: i32 = 1;
const PRIVATE: i32 = 2;
const ANONYMOUS: i32 = 0x20;

/// A page of one's own that was written to. What it lies in is never used again: it may not be writable any more.
fn with_page(attack: impl FnOnce(&mut [u8]) -> Seen) -> Seen {
    let mut memory = vec![1u8; 64 * PAGE as usize];
    let start = memory.as_ptr().align_offset(PAGE as usize);
    let seen = memory.get_mut(start..start + PAGE as usize).map_or(Seen::Lacking, attack);
    std::mem::forget(memory);
    seen
}

/// Whether the kernel lets the processor speculate so: PR_GET_SPECULATION_CTRL.
fn speculates(way: i32) -> Seen {
    const SHUT: usize = 4 | 8;
    match raw(Sysno::prctl, &mut [n(52), n(way), n(0), n(0), n(0)]) {
        Ok(state) if state == 0 || state & SHUT != 0 => Seen::Nothing,
        // A kernel or processor that does not know of it has no switch for it.
        other => Seen::call(other),
    }
}
