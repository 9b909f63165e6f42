//! Error numbers.

use core::fmt;

/// A Linux error number.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(pub i32);

macro_rules! errnos {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        impl Errno {
            $($(#[$doc])* pub const $name: Errno = Errno($number);)*

            /// The symbol, such as `EPERM`, or `errno` where this table does not have it.
            pub fn name(self) -> &'static str {
                match self.0 { $($number => stringify!($name),)* _ => "errno" }
            }
        }
    };
}

errnos! {
    /// Operation not permitted.
    EPERM = 1,
    /// No such file or directory.
    ENOENT = 2,
    /// No such process.
    ESRCH = 3,
    /// Interrupted.
    EINTR = 4,
    /// Input/output error.
    EIO = 5,
    /// No such device or address.
    ENXIO = 6,
    /// Argument list too long.
    E2BIG = 7,
    /// Not an executable format.
    ENOEXEC = 8,
    /// Bad descriptor.
    EBADF = 9,
    /// No child.
    ECHILD = 10,
    /// Try again.
    EAGAIN = 11,
    /// Out of memory.
    ENOMEM = 12,
    /// Permission denied.
    EACCES = 13,
    /// Bad address.
    EFAULT = 14,
    /// Busy.
    EBUSY = 16,
    /// Exists.
    EEXIST = 17,
    /// On another file system.
    EXDEV = 18,
    /// No such device.
    ENODEV = 19,
    /// Not a directory.
    ENOTDIR = 20,
    /// Is a directory.
    EISDIR = 21,
    /// Invalid argument.
    EINVAL = 22,
    /// Too many open files in the system.
    ENFILE = 23,
    /// Too many open files in the process.
    EMFILE = 24,
    /// Not a terminal.
    ENOTTY = 25,
    /// A program that runs cannot be written.
    ETXTBSY = 26,
    /// Larger than files may be.
    EFBIG = 27,
    /// No space left.
    ENOSPC = 28,
    /// Read-only file system.
    EROFS = 30,
    /// Broken pipe.
    EPIPE = 32,
    /// Name too long.
    ENAMETOOLONG = 36,
    /// No such system call.
    ENOSYS = 38,
    /// Too many links on the way.
    ELOOP = 40,
    /// No data.
    ENODATA = 61,
    /// Not a socket.
    ENOTSOCK = 88,
    /// No such protocol.
    EPROTONOSUPPORT = 93,
    /// No such kind of socket.
    ESOCKTNOSUPPORT = 94,
    /// Not supported.
    EOPNOTSUPP = 95,
    /// No such address family.
    EAFNOSUPPORT = 97,
    /// Address in use.
    EADDRINUSE = 98,
    /// No such address here.
    EADDRNOTAVAIL = 99,
    /// Network unreachable.
    ENETUNREACH = 101,
    /// Timed out.
    ETIMEDOUT = 110,
    /// Nobody listens there.
    ECONNREFUSED = 111,
    /// Host unreachable.
    EHOSTUNREACH = 113,
    /// Not the same file that was checked before.
    ESTALE = 116,
    /// Over quota.
    EDQUOT = 122,
    /// No such key.
    ENOKEY = 126,
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.0)
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
