//! Which Landlock rights a sandbox handles, and which paths get which back.

use hotcell_policy::{Access, Accesses};
use hotcell_sys::landlock;

/// File system rights (linux/landlock.h).
pub mod fs {
    #![allow(missing_docs, reason = "the kernel's own names")]
    pub const EXECUTE: u64 = 1;
    pub const WRITE_FILE: u64 = 1 << 1;
    pub const READ_FILE: u64 = 1 << 2;
    pub const READ_DIR: u64 = 1 << 3;
    pub const REMOVE_DIR: u64 = 1 << 4;
    pub const REMOVE_FILE: u64 = 1 << 5;
    pub const MAKE_CHAR: u64 = 1 << 6;
    pub const MAKE_DIR: u64 = 1 << 7;
    pub const MAKE_REG: u64 = 1 << 8;
    pub const MAKE_SOCK: u64 = 1 << 9;
    pub const MAKE_FIFO: u64 = 1 << 10;
    pub const MAKE_BLOCK: u64 = 1 << 11;
    pub const MAKE_SYM: u64 = 1 << 12;
    pub const REFER: u64 = 1 << 13;
    pub const TRUNCATE: u64 = 1 << 14;
    pub const IOCTL_DEV: u64 = 1 << 15;
}

/// Connecting to a TCP port (linux/landlock.h).
pub(crate) const CONNECT_TCP: u64 = 1 << 1;

/// The interface version that covers everything that a sandbox asks of Landlock (Linux 6.12).
pub const WHOLE_ABI: u32 = 6;

/// Reading a tree.
pub const READ: u64 = fs::READ_FILE | fs::READ_DIR;
/// Reading and executing a tree.
pub const READ_EXECUTE: u64 = READ | fs::EXECUTE;
/// Everything in a tree but executing and devices.
pub const READ_WRITE: u64 = READ
    | fs::WRITE_FILE
    | fs::REMOVE_DIR
    | fs::REMOVE_FILE
    | fs::MAKE_DIR
    | fs::MAKE_REG
    | fs::MAKE_SOCK
    | fs::MAKE_FIFO
    | fs::MAKE_SYM
    | fs::REFER
    | fs::TRUNCATE;
/// What can be granted on a single file.
pub const FILE_RIGHTS: u64 = fs::EXECUTE | fs::WRITE_FILE | fs::READ_FILE | fs::TRUNCATE | fs::IOCTL_DEV;

/// What an access of the grant comes to, for a folder or for a file.
pub(crate) fn of_accesses(accesses: Accesses, is_dir: bool) -> u64 {
    let part = |access, rights| if accesses.has(access) { rights } else { 0 };
    let write = if is_dir { READ_WRITE & !READ } else { fs::WRITE_FILE };
    let rights = part(Access::Read, READ) | part(Access::Write, write) | part(Access::Execute, fs::EXECUTE);
    if is_dir { rights } else { rights & FILE_RIGHTS }
}

/// What this kernel can handle of all that could be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handled {
    /// Interface version.
    pub abi: u32,
    /// File system rights.
    pub fs: u64,
    /// TCP rights.
    pub net: u64,
    /// Scopes.
    pub scoped: u64,
}

impl Handled {
    /// Everything that an interface of this version knows.
    pub fn of_abi(abi: u32) -> Self {
        let fs = match abi {
            0 => 0,
            1 => (1 << 13) - 1,
            2 => (1 << 14) - 1,
            3 | 4 => (1 << 15) - 1,
            _ => (1 << 16) - 1,
        };
        Self { abi, fs, net: if abi >= 4 { 0b11 } else { 0 }, scoped: if abi >= 6 { 0b11 } else { 0 } }
    }

    /// What is missing of the whole, in words.
    pub fn missing(self) -> Vec<&'static str> {
        let mut missing = Vec::new();
        for (since, what) in [
            (2, "moving files between folders"),
            (3, "truncation"),
            (4, "TCP ports"),
            (5, "device controls"),
            (6, "signals and abstract sockets"),
        ] {
            if self.abi < since {
                missing.push(what);
            }
        }
        missing
    }
}

/// The kernel's interface version; 0 where it has none or it is switched off.
pub fn kernel_abi() -> u32 {
    landlock::abi().unwrap_or(0)
}
