//! Memory that stays in memory.

use crate::Result;
use crate::call::syscall;

/// Locks all memory of this process, what it has and what it will have, from the moment that it is first used.
///
/// # Requires
/// The right to lock that much (`RLIMIT_MEMLOCK`, or `CAP_IPC_LOCK`).
pub fn lock_all() -> Result<()> {
    const CURRENT: i32 = 1;
    const FUTURE: i32 = 2;
    const ON_FAULT: i32 = 4;
    // SAFETY: numbers only; locking changes nothing that a program can see.
    unsafe { syscall!(mlockall, CURRENT | FUTURE | ON_FAULT) }.map(drop)
}

/// Locks the pages of a range of addresses, which must be mapped.
pub fn lock_range(start: usize, length: usize) -> Result<()> {
    // SAFETY: the kernel checks that the range is mapped, and locking changes nothing that a program can see.
    unsafe { syscall!(mlock, start, length) }.map(drop)
}
