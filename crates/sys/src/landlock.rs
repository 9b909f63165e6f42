//! Landlock (Documentation/userspace-api/landlock.rst).

use crate::call::syscall;
use crate::{Fd, Result};

/// `struct landlock_ruleset_attr`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct Handled {
    /// File system rights that are denied unless a rule grants them.
    pub fs: u64,
    /// TCP rights that are denied unless a rule grants them (ABI 4).
    pub net: u64,
    /// What is confined to the sandbox: abstract sockets, signals (ABI 6).
    pub scoped: u64,
}

/// The version of the interface that this kernel has.
pub fn abi() -> Result<u32> {
    const VERSION: u32 = 1;
    // SAFETY: with this flag the attribute must be null and of size zero.
    unsafe { syscall!(landlock_create_ruleset, 0, 0, VERSION) }.map(|abi| abi as u32)
}

/// Begins a ruleset. `abi` tells how much of the structure the kernel knows.
pub fn create(handled: &Handled, abi: u32) -> Result<Fd> {
    let size = match abi {
        0..=3 => 8,
        4..=5 => 16,
        _ => size_of::<Handled>(),
    };
    // SAFETY: the structure is live and at least `size` bytes long.
    unsafe { syscall!(landlock_create_ruleset, handled as *const Handled, size, 0) }.map(|fd| Fd(fd as i32))
}

/// Grants rights over everything beneath an open file or folder.
pub fn allow_beneath(ruleset: Fd, rights: u64, parent: Fd) -> Result<()> {
    /// `struct landlock_path_beneath_attr`, which is packed.
    #[repr(C, packed)]
    struct PathBeneath {
        rights: u64,
        parent: i32,
    }
    const PATH_BENEATH: u32 = 1;
    let rule = PathBeneath { rights, parent: parent.0 };
    // SAFETY: the structure has the kernel's layout and is live.
    unsafe { syscall!(landlock_add_rule, ruleset.0, PATH_BENEATH, &raw const rule, 0) }.map(drop)
}

/// Grants rights over a TCP port (ABI 4).
pub fn allow_port(ruleset: Fd, rights: u64, port: u64) -> Result<()> {
    /// `struct landlock_net_port_attr`.
    #[repr(C)]
    struct NetPort {
        rights: u64,
        port: u64,
    }
    const NET_PORT: u32 = 2;
    let rule = NetPort { rights, port };
    // SAFETY: the structure has the kernel's layout and is live.
    unsafe { syscall!(landlock_add_rule, ruleset.0, NET_PORT, &raw const rule, 0) }.map(drop)
}

/// Puts the ruleset over this thread, for good.
pub fn restrict(ruleset: Fd) -> Result<()> {
    // SAFETY: numbers only.
    unsafe { syscall!(landlock_restrict_self, ruleset.0, 0) }.map(drop)
}
