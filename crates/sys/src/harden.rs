//! What a process asks of the kernel against its own mistakes and against its neighbours: `prctl` options that, once
//! set, hold for it and everything that it becomes.

use crate::call::syscall;
use crate::process::control;
use crate::{Errno, Result};

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hardening {
    /// Memory that is written to never becomes executable (`PR_SET_MDWE`, Linux 6.3).
    WriteXorExecute,
    /// No speculative store bypass.
    StoreBypass,
    /// No speculation over indirect branches that others have trained.
    IndirectBranch,
    /// The data cache is flushed whenever another process comes next.
    CacheFlush,
    /// A core is shared with nobody else at the same time.
    Core,
    /// No page is merged with one of another process.
    Pages,
}

const PR_SET_MDWE: i32 = 65;
const PR_GET_MDWE: i32 = 66;
const PR_GET_SPECULATION: i32 = 52;
const PR_SET_SPECULATION: i32 = 53;
const PR_SCHED_CORE: i32 = 62;
const PR_SET_MEMORY_MERGE: i32 = 67;
const PR_GET_MEMORY_MERGE: i32 = 68;
const PR_GET_TSC: i32 = 25;
const PR_SET_TSC: i32 = 26;
/// Speculation by itself, which the kernel calls so.
const PR_SPEC_ENABLE: u64 = 2;
const PR_SPEC_FORCE_DISABLE: u64 = 8;

impl Hardening {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::WriteXorExecute, Self::StoreBypass, Self::IndirectBranch, Self::CacheFlush, Self::Core, Self::Pages];

    /// The one of a number, counted in the order of [`Hardening::ALL`].
    pub fn from_number(number: u64) -> Option<Self> {
        Self::ALL.get(usize::try_from(number).ok()?).copied()
    }

    /// Sets it for this process.
    ///
    /// # Requires
    /// A kernel and a processor that have it: `EINVAL`, `ENXIO`, `ENODEV` or `EPERM` else.
    pub fn set(self) -> Result<()> {
        match self {
            Self::WriteXorExecute => control(PR_SET_MDWE, 1, 0, 0, 0),
            Self::StoreBypass => control(PR_SET_SPECULATION, 0, PR_SPEC_FORCE_DISABLE, 0, 0),
            Self::IndirectBranch => control(PR_SET_SPECULATION, 1, PR_SPEC_FORCE_DISABLE, 0, 0),
            // Here the kernel's word for "on" is the same as for "speculate".
            Self::CacheFlush => control(PR_SET_SPECULATION, 2, PR_SPEC_ENABLE, 0, 0),
            // A new cookie for this thread, which what it forks inherits.
            Self::Core => control(PR_SCHED_CORE, 1, 0, 0, 0),
            Self::Pages => control(PR_SET_MEMORY_MERGE, 0, 0, 0, 0),
        }
        .map(drop)
    }

    /// What the kernel says of it: 1 or 0 for `WriteXorExecute`, `Core` and `Pages` (1: merged), the kernel's own bits for
    /// the others.
    pub fn read(self) -> Result<i64> {
        match self {
            Self::WriteXorExecute => control(PR_GET_MDWE, 0, 0, 0, 0).map(|set| (set & 1) as i64),
            Self::StoreBypass => control(PR_GET_SPECULATION, 0, 0, 0, 0).map(|state| state as i64),
            Self::IndirectBranch => control(PR_GET_SPECULATION, 1, 0, 0, 0).map(|state| state as i64),
            Self::CacheFlush => control(PR_GET_SPECULATION, 2, 0, 0, 0).map(|state| state as i64),
            Self::Core => {
                let mut cookie = 0u64;
                // SAFETY: the kernel writes one word to a live variable.
                unsafe { syscall!(prctl, PR_SCHED_CORE, 0, 0, 0, &raw mut cookie) }?;
                Ok(i64::from(cookie != 0))
            }
            Self::Pages => match control(PR_GET_MEMORY_MERGE, 0, 0, 0, 0) {
                // A kernel that cannot merge merges nothing.
                Err(Errno::EINVAL) => Ok(0),
                other => other.map(|merges| merges as i64),
            },
        }
    }
}

/// The cycle counter faults from here on, and with it every clock that is read without a system call.
///
/// Programs with a C library do not survive being started so; it is for one that has started already.
pub fn without_cycle_counter() -> Result<()> {
    const PR_TSC_SIGSEGV: u64 = 2;
    control(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0).map(drop)
}

/// Makes the cycle counter readable again: what a locked-in process must be refused.
pub fn with_cycle_counter() -> Result<()> {
    const PR_TSC_ENABLE: u64 = 1;
    control(PR_SET_TSC, PR_TSC_ENABLE, 0, 0, 0).map(drop)
}

/// Whether the cycle counter can be read.
pub fn has_cycle_counter() -> Result<bool> {
    let mut state = 0i32;
    // SAFETY: the kernel writes one `int` to a live variable.
    unsafe { syscall!(prctl, PR_GET_TSC, &raw mut state, 0, 0, 0) }?;
    Ok(state == 1)
}

/// Asks for the time by a system call, as a process without clocks must not.
pub fn try_clock() -> Result<()> {
    let mut time = [0i64; 2];
    // SAFETY: the kernel writes one `struct timespec` (two words) into our array.
    unsafe { syscall!(clock_gettime, 1, time.as_mut_ptr()) }.map(drop)
}

/// Maps a page that is writable and executable at once.
pub fn try_map_writable_code() -> Result<()> {
    const PAGE: usize = 4096;
    const ALL_PROTECTIONS: usize = 7;
    const PRIVATE_ANONYMOUS: usize = 0x22;
    // SAFETY: the kernel chooses a place that nothing uses.
    let page = unsafe { syscall!(mmap, 0, PAGE, ALL_PROTECTIONS, PRIVATE_ANONYMOUS, usize::MAX, 0) }?;
    // SAFETY: the page just mapped, of which nobody has an address.
    unsafe { syscall!(munmap, page, PAGE) }.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hardening_has_the_number_of_its_place() {
        for (number, hardening) in Hardening::ALL.iter().enumerate() {
            assert_eq!(Hardening::from_number(number as u64), Some(*hardening));
        }
        assert_eq!(Hardening::from_number(Hardening::ALL.len() as u64), None);
    }

    #[test]
    fn what_is_not_set_is_read_as_such() {
        assert!(Hardening::WriteXorExecute.read().unwrap_or(0) == 0);
        assert_eq!(Hardening::Pages.read(), Ok(0));
        assert_eq!(try_map_writable_code(), Ok(()));
        assert_eq!(try_clock(), Ok(()));
    }
}
