//! Signals: what a process does about them, which it holds back, and the ends of children as something to wait for.

use crate::call::syscall;
use crate::{Fd, Result};

/// Somebody hung up.
pub const SIGHUP: u32 = 1;
/// Ctrl-C.
pub const SIGINT: u32 = 2;
/// The end, asked for.
pub const SIGTERM: u32 = 15;
/// A child ended.
pub const SIGCHLD: u32 = 17;
/// The first that users give a meaning.
pub const SIGUSR1: u32 = 10;

const SIGKILL: u32 = 9;
const SIGSTOP: u32 = 19;
/// The last signal.
const LAST: u32 = 64;

/// The kernel's `struct sigaction`: handler, flags, restorer and mask, a word each.
type Action = [u64; 4];
const DEFAULT: Action = [0; 4];
const IGNORE: u64 = 1;
/// Bytes of the kernel's signal mask.
const MASK_BYTES: usize = size_of::<u64>();

/// Gives every signal its default effect again: what a caller ignores (`nohup`, Python, a shell's background job) is
/// ignored by every program that it executes, otherwise.
pub fn default_all() -> Result<()> {
    (1..=LAST).filter(|signal| ![SIGKILL, SIGSTOP].contains(signal)).try_for_each(default)
}

/// Gives a signal its default effect.
pub fn default(signal: u32) -> Result<()> {
    // SAFETY: the kernel reads one action, which is live; its handler is the default, so that no code of ours is named.
    unsafe { syscall!(rt_sigaction, signal, DEFAULT.as_ptr(), 0, MASK_BYTES) }.map(drop)
}

/// Whether this process ignores a signal.
pub fn is_ignored(signal: u32) -> Result<bool> {
    let mut action = DEFAULT;
    // SAFETY: no action is given; the kernel writes the present one to a live array of its size.
    unsafe { syscall!(rt_sigaction, signal, 0, action.as_mut_ptr(), MASK_BYTES) }?;
    Ok(action[0] == IGNORE)
}

/// Lets signals through that may have been held back.
pub fn unblock(signals: &[u32]) -> Result<()> {
    const SIG_UNBLOCK: i32 = 1;
    change_mask(SIG_UNBLOCK, signals.iter().fold(0, |mask, signal| mask | bit(*signal)))
}

/// Lets every signal through.
pub fn unblock_all() -> Result<()> {
    const SIG_SETMASK: i32 = 2;
    change_mask(SIG_SETMASK, 0)
}

/// Holds the ends of children back as signals, and makes them readable from the descriptor returned.
pub fn child_ends() -> Result<Fd> {
    const SIG_BLOCK: i32 = 0;
    const SFD_CLOEXEC: i32 = crate::file::O_CLOEXEC;
    let mask = bit(SIGCHLD);
    change_mask(SIG_BLOCK, mask)?;
    // SAFETY: the mask is 8 live bytes, as the kernel's sigset is.
    unsafe { syscall!(signalfd4, -1isize, &raw const mask, MASK_BYTES, SFD_CLOEXEC) }.map(|fd| Fd(fd as i32))
}

fn change_mask(how: i32, mask: u64) -> Result<()> {
    // SAFETY: the mask is 8 live bytes; no old mask is asked for.
    unsafe { syscall!(rt_sigprocmask, how, &raw const mask, 0, MASK_BYTES) }.map(drop)
}

const fn bit(signal: u32) -> u64 {
    1 << (signal - 1)
}
