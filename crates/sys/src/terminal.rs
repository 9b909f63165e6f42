//! Pseudo-terminals.

use crate::call::syscall;
use crate::file::{self, ioctl_number};
use crate::{Fd, Result};

/// Do not make it the controlling terminal by opening it.
pub const O_NOCTTY: i32 = 0o400;

/// Opens the controlling end of a new pseudo-terminal by the multiplexer at `path`, ready to be used.
pub fn open_controller(path: &core::ffi::CStr) -> Result<Fd> {
    const TIOCSPTLCK: u64 = 0x4004_5431;
    let fd = file::open_at(Fd::CWD, path, file::O_RDWR | O_NOCTTY | file::O_CLOEXEC, 0)?;
    let unlocked = 0i32;
    // SAFETY: the kernel reads one live `int`.
    unsafe { syscall!(ioctl, fd.0, TIOCSPTLCK, &raw const unlocked) }?;
    Ok(fd)
}

/// Makes an open terminal the controlling one of this session, whose leader the caller is.
pub fn make_controlling(terminal: Fd) -> Result<()> {
    const TIOCSCTTY: u64 = 0x540e;
    ioctl_number(terminal, TIOCSCTTY, 0).map(drop)
}
