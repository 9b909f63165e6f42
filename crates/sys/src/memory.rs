//! Memory that stays in memory, and memory that is there before it is used.

use core::mem::MaybeUninit;

use crate::Result;
use crate::call::syscall;

/// Bytes of a page. Where pages are larger, less is fetched.
const PAGE: usize = 4096;

/// Fetches the whole pages of a room at once, each of which would else be fetched by a fault of its own when it is first
/// written to. Its contents stay.
///
/// # Requires
/// Linux 5.14; without it, nothing is fetched and nothing lost.
pub fn fetch(room: &mut [MaybeUninit<u8>]) -> Result<()> {
    let start = room.as_ptr().addr().next_multiple_of(PAGE);
    let end = (room.as_ptr().addr() + room.len()) & !(PAGE - 1);
    fetch_range(start, end.saturating_sub(start))
}

fn fetch_range(start: usize, length: usize) -> Result<()> {
    const MADV_POPULATE_WRITE: i32 = 23;
    if length == 0 {
        return Ok(());
    }
    // SAFETY: fetching pages to be written to changes nothing that a program can see; the kernel checks that they are mapped.
    unsafe { syscall!(madvise, start, length, MADV_POPULATE_WRITE) }.map(drop)
}

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
