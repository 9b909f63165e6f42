//! Seccomp filters.

use crate::call::syscall;
use crate::{Errno, Result};

/// Bytes of one `struct sock_filter`: code 2, jump-true 1, jump-false 1, constant 4.
pub const INSTRUCTION_BYTES: usize = 8;

/// Puts a filter over this thread, for good. `program` is an array of `struct sock_filter` in native order.
pub fn load(program: &[u8]) -> Result<()> {
    /// `struct sock_fprog`.
    #[repr(C)]
    struct Program {
        length: u16,
        filter: *const u8,
    }
    const SET_MODE_FILTER: u32 = 1;
    let length = u16::try_from(program.len() / INSTRUCTION_BYTES).map_err(|_| Errno::E2BIG)?;
    if !program.len().is_multiple_of(INSTRUCTION_BYTES) || length == 0 {
        return Err(Errno::EINVAL);
    }
    let header = Program { length, filter: program.as_ptr() };
    // SAFETY: the kernel copies `length` instructions of 8 bytes (checked above) from a live slice, byte by
    // byte, so that alignment does not matter.
    unsafe { syscall!(seccomp, SET_MODE_FILTER, 0, &raw const header) }.map(drop)
}
