//! Resource limits of a process.

use crate::Result;
use crate::call::syscall;

/// Largest core dump.
pub const CORE: u32 = 4;
/// Private writable memory.
pub const DATA: u32 = 2;
/// Number of processes of the user id, counted in the user namespace.
pub const NPROC: u32 = 6;
/// Number of open descriptors.
pub const NOFILE: u32 = 7;
/// Locked memory.
pub const MEMLOCK: u32 = 8;
/// Address space.
pub const AS: u32 = 9;
/// Largest file.
pub const FSIZE: u32 = 1;
/// Bytes in POSIX message queues.
pub const MSGQUEUE: u32 = 12;
/// How far a priority may be raised.
pub const NICE: u32 = 13;
/// The highest priority in real time.
pub const RTPRIO: u32 = 14;

/// Sets soft and hard limit of this process.
pub fn set(resource: u32, value: u64) -> Result<()> {
    let limit = [value, value];
    // SAFETY: the kernel reads one `struct rlimit64` (two words) from a live array.
    unsafe { syscall!(prlimit64, 0, resource, limit.as_ptr(), 0) }.map(drop)
}

/// Sets the soft limit of this process.
pub fn set_soft(resource: u32, value: u64) -> Result<()> {
    let limit = [value, hard(resource)?];
    // SAFETY: the kernel reads one `struct rlimit64` (two words) from a live array.
    unsafe { syscall!(prlimit64, 0, resource, limit.as_ptr(), 0) }.map(drop)
}

/// The hard limit of this process.
pub fn hard(resource: u32) -> Result<u64> {
    let mut limit = [0u64; 2];
    // SAFETY: the kernel writes one `struct rlimit64` (two words) into our array.
    unsafe { syscall!(prlimit64, 0, resource, 0, limit.as_mut_ptr()) }?;
    Ok(limit[1])
}
