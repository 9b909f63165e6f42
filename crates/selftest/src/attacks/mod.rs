//! The table of attacks, by class.

mod between;
mod bombs;
mod demand;
mod descriptors;
mod devices;
mod execution;
mod inputs;
mod kernel;
mod memory;
mod mounts;
mod namespaces;
mod network;
mod output;
mod priorities;
mod proc_sys;
mod residue;
mod rights;
mod signals;
mod terminal;
mod tracing;
#[cfg(target_arch = "x86_64")]
mod x86;

use hotcell_sys::attempt::{Entry, Word, attempt};
use syscalls::Sysno;

use crate::attack::{Attack, Expected};
use crate::{Facts, Seen};

/// Every attack, by class.
pub fn attacks() -> impl Iterator<Item = &'static Attack> {
    GROUPS.iter().copied().flatten()
}

static GROUPS: &[&[Attack]] = &[
    #[cfg(target_arch = "x86_64")]
    x86::ATTACKS,
    namespaces::ATTACKS,
    mounts::ATTACKS,
    kernel::ATTACKS,
    memory::ATTACKS,
    tracing::ATTACKS,
    signals::ATTACKS,
    network::ATTACKS,
    terminal::ATTACKS,
    proc_sys::ATTACKS,
    descriptors::ATTACKS,
    devices::ATTACKS,
    rights::ATTACKS,
    inputs::ATTACKS,
    execution::ATTACKS,
    output::ATTACKS,
    between::ATTACKS,
    bombs::ATTACKS,
    priorities::ATTACKS,
    residue::ATTACKS,
    demand::ATTACKS,
];

const EPERM: Seen = Seen::Errno(1);
const ENOENT: Seen = Seen::Errno(2);
const ESRCH: Seen = Seen::Errno(3);
const EAGAIN: Seen = Seen::Errno(11);
const ENOMEM: Seen = Seen::Errno(12);
const EACCES: Seen = Seen::Errno(13);
const EXDEV: Seen = Seen::Errno(18);
const EINVAL: Seen = Seen::Errno(22);
const EMFILE: Seen = Seen::Errno(24);
const EFBIG: Seen = Seen::Errno(27);
const ENOSPC: Seen = Seen::Errno(28);
const EROFS: Seen = Seen::Errno(30);
const ENOSYS: Seen = Seen::Errno(38);
const ENETUNREACH: Seen = Seen::Errno(101);
const ECONNREFUSED: Seen = Seen::Errno(111);
const EDQUOT: Seen = Seen::Errno(122);

const SECCOMP: &str = "seccomp";
const LANDLOCK: &str = "landlock";
const MOUNTS: &str = "mount-namespace";
const PIDS: &str = "pid-namespace";
const USERS: &str = "user-namespace";
const READ_ONLY: &str = "read-only";
const CAPABILITIES: &str = "capabilities";

/// The filter refuses it.
const BY_FILTER: Expected = &[(EPERM, SECCOMP)];
/// The path is not there, or Landlock does not let it be used.
const NOT_THERE: Expected = &[(ENOENT, MOUNTS), (EACCES, LANDLOCK)];
/// No such process is in sight.
const NO_PROCESS: Expected = &[(ESRCH, PIDS), (EPERM, LANDLOCK)];

/// A number of a call.
const fn n(number: i32) -> Word<'static> {
    Word::Number(number)
}

/// Bytes that a call reads; texts with their NUL.
const fn b(bytes: &[u8]) -> Word<'_> {
    Word::Bytes(bytes)
}

/// Bytes that a call may write.
const fn w(bytes: &mut [u8]) -> Word<'_> {
    Word::Buffer(bytes)
}

/// Makes a call.
fn raw(call: Sysno, words: &mut [Word<'_>]) -> hotcell_sys::Result<usize> {
    attempt(Entry::Native, call.id() as u32, words)
}

/// Makes a call, and gives what was seen.
fn make(call: Sysno, words: &mut [Word<'_>]) -> Seen {
    Seen::call(raw(call, words))
}

/// This process's id, as a number of a call.
fn own() -> Word<'static> {
    n(hotcell_sys::process::id())
}

/// The number of a descriptor.
fn raw_fd(file: &impl std::os::fd::AsRawFd) -> hotcell_sys::Fd {
    hotcell_sys::Fd(file.as_raw_fd())
}

/// The number of a descriptor, as one of a call.
fn fd(file: &impl std::os::fd::AsRawFd) -> Word<'static> {
    n(file.as_raw_fd())
}

/// A text with its NUL.
fn c(text: &str) -> Vec<u8> {
    [text.as_bytes(), b"\0"].concat()
}

/// Tries the reading of a file of the host: through when it has content.
fn read(path: &str) -> Seen {
    Seen::io_where(std::fs::read(path), |content| !content.is_empty())
}

/// Tries the opening of an existing file for writing.
fn write(path: &str) -> Seen {
    Seen::io(std::fs::OpenOptions::new().write(true).open(path).map(drop))
}

/// The first that is through, else what the last one saw.
fn any(tries: impl IntoIterator<Item = Seen>) -> Seen {
    let mut last = Seen::NoAnswer;
    for seen in tries {
        last = seen;
        if seen == Seen::Through {
            break;
        }
    }
    last
}

/// A forbidden call, which the filter refuses whatever its arguments are.
macro_rules! forbidden {
    ($class:ident, $call:ident $(, $word:expr)* $(,)?) => {
        $crate::attack::Attack::new(
            stringify!($call),
            $crate::attack::Class::$class,
            $crate::attacks::BY_FILTER,
            &[stringify!($call)],
            |_| $crate::attacks::make(::syscalls::Sysno::$call, &mut [$($word),*]),
        )
        .call(::syscalls::Sysno::$call)
        .needs($crate::attack::Need::Call(::syscalls::Sysno::$call))
    };
}
use forbidden;

#[cfg(test)]
mod tests;
