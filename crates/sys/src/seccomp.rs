//! Seccomp filters.

use crate::call::syscall;
use crate::{Errno, Fd, Result};

/// Bytes of one `struct sock_filter`: code 2, jump-true 1, jump-false 1, constant 4.
pub const INSTRUCTION_BYTES: usize = 8;

/// Puts a filter over this thread, for good. `program` is an array of `struct sock_filter` in native order.
pub fn load(program: &[u8]) -> Result<()> {
    set(program, 0).map(drop)
}

/// The same, and gives the descriptor at which the kernel tells of calls that the filter answers with
/// `SECCOMP_RET_USER_NOTIF`. Such a call waits for its answer.
pub fn load_listening(program: &[u8]) -> Result<Fd> {
    const NEW_LISTENER: u32 = 1 << 3;
    set(program, NEW_LISTENER).map(|fd| Fd(fd as i32))
}

fn set(program: &[u8], flags: u32) -> Result<usize> {
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
    unsafe { syscall!(seccomp, SET_MODE_FILTER, flags, &raw const header) }
}

/// A call that waits for its answer: `struct seccomp_notif`.
#[repr(C)]
#[derive(Debug, Default, Clone, Copy)]
pub struct Notice {
    /// What the answer has to name.
    pub id: u64,
    /// The thread that calls, in the numbers of whoever listens.
    pub pid: u32,
    flags: u32,
    /// Number of the call.
    pub number: i32,
    /// `AUDIT_ARCH_…`.
    pub architecture: u32,
    instruction: u64,
    /// Its arguments, which point into the caller's memory and may change under the reader.
    pub arguments: [u64; 6],
}

/// The next call that waits. `ENOENT` when its thread was killed meanwhile.
pub fn next_notice(listener: Fd) -> Result<Notice> {
    const SECCOMP_IOCTL_NOTIF_RECV: u64 = 0xc050_2100;
    let mut notice = Notice::default();
    // SAFETY: the kernel writes the 80 bytes of a live structure of its own layout, which has to be zero before.
    unsafe { syscall!(ioctl, listener.0, SECCOMP_IOCTL_NOTIF_RECV, &raw mut notice) }?;
    Ok(notice)
}

/// Lets a call that waits fail with this error. `ENOENT` when nobody waits any more.
pub fn refuse(listener: Fd, id: u64, error: Errno) -> Result<()> {
    /// `struct seccomp_notif_resp`.
    #[repr(C)]
    struct Answer {
        id: u64,
        value: i64,
        error: i32,
        flags: u32,
    }
    const SECCOMP_IOCTL_NOTIF_SEND: u64 = 0xc018_2101;
    let answer = Answer { id, value: 0, error: -error.0, flags: 0 };
    // SAFETY: the kernel reads the 24 bytes of a live structure of its own layout.
    unsafe { syscall!(ioctl, listener.0, SECCOMP_IOCTL_NOTIF_SEND, &raw const answer) }.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_have_the_kernels_size() {
        assert_eq!(size_of::<Notice>(), 80);
    }
}
