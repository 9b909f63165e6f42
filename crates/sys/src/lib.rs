//! The only home of `unsafe`: thin wrappers over system calls, without a C library.
//!
//! One wrapper is one call; none decides anything. The crate is `no_std`, so that the launcher, which
//! links no C library, is made of exactly these calls. Where [`rustix`](https://docs.rs/rustix) wraps a
//! call, programs with a standard library use that instead.
#![no_std]

mod call;
#[cfg(not(hotcell_rt))]
mod entry;
mod errno;
mod number;

pub mod attempt;
pub mod file;
pub mod harden;
pub mod landlock;
pub mod limit;
pub mod memory;
pub mod mount;
pub mod process;
pub mod seccomp;
pub mod signal;
pub mod socket;
pub mod terminal;

#[cfg(hotcell_rt)]
mod rt;

pub use errno::Errno;

/// What a system call gives: its value, or the error number.
pub type Result<T> = core::result::Result<T, Errno>;

/// A descriptor by number.
///
/// The launcher is single-threaded and ends in `execve` or `exit`, so it needs no ownership; whoever
/// holds owned descriptors borrows their number for the time of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fd(pub i32);

impl Fd {
    /// "Relative to the working directory", for the `*at` calls.
    pub const CWD: Fd = Fd(-100);
}
