//! Files, folders and descriptors.

use core::ffi::CStr;

use crate::call::syscall;
use crate::{Errno, Fd, Result};

/// Open for reading.
pub const O_RDONLY: i32 = 0;
/// Open for writing.
pub const O_WRONLY: i32 = 0o1;
/// Open for both.
pub const O_RDWR: i32 = 0o2;
/// Create it.
pub const O_CREAT: i32 = 0o100;
/// It must not exist.
pub const O_EXCL: i32 = 0o200;
/// Do not wait.
pub const O_NONBLOCK: i32 = 0o4000;
/// Close at `execve`.
pub const O_CLOEXEC: i32 = 0o2000000;
/// A name only, no access.
pub const O_PATH: i32 = 0o10000000;
/// It must be a folder.
#[cfg(target_arch = "x86_64")]
pub const O_DIRECTORY: i32 = 0o200000;
/// It must be a folder.
#[cfg(target_arch = "aarch64")]
pub const O_DIRECTORY: i32 = 0o40000;
/// Do not follow a link at the end.
#[cfg(target_arch = "x86_64")]
pub const O_NOFOLLOW: i32 = 0o400000;
/// Do not follow a link at the end.
#[cfg(target_arch = "aarch64")]
pub const O_NOFOLLOW: i32 = 0o100000;
/// The descriptor itself instead of a path below it.
pub const AT_EMPTY_PATH: i32 = 0x1000;
/// Pages may be read.
pub const PROT_READ: i32 = 1;
/// Pages may be executed.
pub const PROT_EXEC: i32 = 4;

/// Opens a file.
pub fn open_at(dir: Fd, path: &CStr, flags: i32, mode: u32) -> Result<Fd> {
    // SAFETY: `path` is a live NUL-terminated string; the call touches no other memory of ours.
    unsafe { syscall!(openat, dir.0 as isize, path.as_ptr(), flags, mode) }.map(|fd| Fd(fd as i32))
}

/// Reads into a buffer.
pub fn read(fd: Fd, buffer: &mut [u8]) -> Result<usize> {
    // SAFETY: the kernel writes at most `buffer.len()` bytes into a slice that is ours alone.
    unsafe { syscall!(read, fd.0, buffer.as_mut_ptr(), buffer.len()) }
}

/// Writes from a buffer.
pub fn write(fd: Fd, bytes: &[u8]) -> Result<usize> {
    // SAFETY: the kernel reads at most `bytes.len()` bytes from a live slice.
    unsafe { syscall!(write, fd.0, bytes.as_ptr(), bytes.len()) }
}

/// Writes all of it, or errs.
pub fn write_all(fd: Fd, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        match write(fd, bytes) {
            Ok(0) => return Err(Errno::EIO),
            Ok(count) => bytes = bytes.get(count..).ok_or(Errno::EIO)?,
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Closes a descriptor. Nothing can be done about an error.
pub fn close(fd: Fd) {
    // SAFETY: closing a number touches no memory; descriptors here are owned by convention (see `Fd`).
    let _ = unsafe { syscall!(close, fd.0) };
}

/// Closes every descriptor from `first` to `last`, both included.
pub fn close_range(first: u32, last: u32) -> Result<()> {
    // SAFETY: closing numbers touches no memory.
    unsafe { syscall!(close_range, first, last, 0) }.map(drop)
}

/// Makes `target` another name for `fd`; it survives `execve`.
pub fn duplicate_to(fd: Fd, target: Fd) -> Result<()> {
    if fd == target {
        const F_SETFD: i32 = 2;
        // SAFETY: clears the close-on-exec flag; no memory is involved.
        return unsafe { syscall!(fcntl, fd.0, F_SETFD, 0) }.map(drop);
    }
    // SAFETY: numbers only.
    unsafe { syscall!(dup3, fd.0, target.0, 0) }.map(drop)
}

/// Makes a folder.
pub fn make_dir_at(dir: Fd, path: &CStr, mode: u32) -> Result<()> {
    // SAFETY: `path` is a live NUL-terminated string.
    unsafe { syscall!(mkdirat, dir.0 as isize, path.as_ptr(), mode) }.map(drop)
}

/// Makes a symbolic link at `path` to `target`.
pub fn symlink_at(target: &CStr, dir: Fd, path: &CStr) -> Result<()> {
    // SAFETY: both are live NUL-terminated strings.
    unsafe { syscall!(symlinkat, target.as_ptr(), dir.0 as isize, path.as_ptr()) }.map(drop)
}

/// Removes a file.
pub fn unlink_at(dir: Fd, path: &CStr) -> Result<()> {
    // SAFETY: `path` is a live NUL-terminated string.
    unsafe { syscall!(unlinkat, dir.0 as isize, path.as_ptr(), 0) }.map(drop)
}

/// Sets the access mode of an open file.
pub fn change_mode(fd: Fd, mode: u32) -> Result<()> {
    // SAFETY: numbers only.
    unsafe { syscall!(fchmod, fd.0, mode) }.map(drop)
}

/// Sets both times of a file to now: the least change that a writer can make.
pub fn touch(path: &CStr) -> Result<()> {
    // SAFETY: `path` is a live NUL-terminated string; a null time pointer means "now".
    unsafe { syscall!(utimensat, Fd::CWD.0 as isize, path.as_ptr(), 0, 0) }.map(drop)
}

/// Asks whether a path exists.
pub fn exists(path: &CStr) -> Result<()> {
    // SAFETY: `path` is a live NUL-terminated string.
    unsafe { syscall!(faccessat2, Fd::CWD.0 as isize, path.as_ptr(), 0, 0) }.map(drop)
}

/// Changes the working directory.
pub fn change_dir(path: &CStr) -> Result<()> {
    // SAFETY: `path` is a live NUL-terminated string.
    unsafe { syscall!(chdir, path.as_ptr()) }.map(drop)
}

/// Changes the working directory to an open one.
pub fn change_dir_to(fd: Fd) -> Result<()> {
    // SAFETY: numbers only.
    unsafe { syscall!(fchdir, fd.0) }.map(drop)
}

/// Sets the mask that new files' modes lose.
pub fn set_umask(mask: u32) {
    // SAFETY: numbers only.
    let _ = unsafe { syscall!(umask, mask) };
}

/// Reads where a link points to.
pub fn read_link<'b>(path: &CStr, buffer: &'b mut [u8]) -> Result<&'b [u8]> {
    // SAFETY: `path` is NUL-terminated; the kernel writes at most `buffer.len()` bytes into our slice.
    let count = unsafe { syscall!(readlinkat, Fd::CWD.0 as isize, path.as_ptr(), buffer.as_mut_ptr(), buffer.len()) }?;
    buffer.get(..count).ok_or(Errno::EFAULT)
}

/// Device and inode of an open file: what it is, whatever its name.
pub fn identity(fd: Fd) -> Result<(u64, u64)> {
    let stat = status(fd)?;
    // st_dev is the first field and st_ino the second on both architectures.
    Ok((stat.word(0), stat.word(8)))
}

/// What an open file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A link, a device, a pipe, a socket.
    Other,
}

/// The kind of an open file.
pub fn kind(fd: Fd) -> Result<Kind> {
    const S_IFMT: u64 = 0o170_000;
    // st_mode: 32 bits behind st_nlink (x86-64), or before it.
    let mode = status(fd)?.word(if cfg!(target_arch = "x86_64") { 24 } else { 16 });
    Ok(match mode & S_IFMT {
        0o100_000 => Kind::File,
        0o040_000 => Kind::Folder,
        _ => Kind::Other,
    })
}

/// `struct stat`, with room to spare.
#[repr(C, align(8))]
struct Stat([u8; 256]);

impl Stat {
    fn word(&self, at: usize) -> u64 {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.0[at..at + 8]);
        u64::from_ne_bytes(bytes)
    }
}

fn status(fd: Fd) -> Result<Stat> {
    let mut stat = Stat([0; 256]);
    // SAFETY: `struct stat` is 144 (x86-64) or 128 (AArch64) bytes, less than the buffer.
    unsafe { syscall!(fstat, fd.0, &raw mut stat) }?;
    Ok(stat)
}

/// Size in bytes of the file system behind a path (`f_bsize × f_blocks`).
pub fn file_system_size(path: &CStr) -> Result<u64> {
    let words = statfs(path)?;
    Ok(words[1].saturating_mul(words[2]))
}

/// The flags of the mount behind a path (`f_flags`: `ST_RDONLY` and its like).
pub fn mount_flags(path: &CStr) -> Result<u64> {
    // type, bsize, blocks, bfree, bavail, files, ffree, fsid, namelen, frsize, flags: a word each.
    Ok(statfs(path)?[10])
}

fn statfs(path: &CStr) -> Result<[u64; 32]> {
    let mut words = [0u64; 32];
    // SAFETY: `struct statfs` is 120 bytes on both architectures, less than the buffer.
    unsafe { syscall!(statfs, path.as_ptr(), words.as_mut_ptr()) }?;
    Ok(words)
}

/// Counts the entries of an open folder, without `.` and `..`.
pub fn count_entries(dir: Fd) -> Result<u64> {
    let mut buffer = [0u8; 4096];
    let mut count = 0;
    loop {
        // SAFETY: the kernel writes at most `buffer.len()` bytes into our array.
        let length = unsafe { syscall!(getdents64, dir.0, buffer.as_mut_ptr(), buffer.len()) }?;
        if length == 0 {
            return Ok(count);
        }
        let mut at = 0;
        while at + 19 < length {
            // struct linux_dirent64: ino 8, off 8, reclen 2, type 1, name.
            let entry_length = usize::from(u16::from_ne_bytes([buffer[at + 16], buffer[at + 17]]));
            let name = &buffer[at + 19..];
            let is_dot = name.starts_with(b".\0") || name.starts_with(b"..\0");
            count += u64::from(!is_dot);
            if entry_length == 0 {
                return Err(Errno::EIO);
            }
            at += entry_length;
        }
    }
}

/// Maps a whole read-only file; it stays mapped for the rest of the process.
pub fn map_for_ever(fd: Fd, length: usize) -> Result<&'static [u8]> {
    const MAP_PRIVATE: i32 = 2;
    // SAFETY: a new private read-only mapping at an address of the kernel's choice overlaps nothing.
    let start = unsafe { syscall!(mmap, 0, length, PROT_READ, MAP_PRIVATE, fd.0, 0) }?;
    // SAFETY: the mapping is `length` bytes long, readable, and never unmapped; the launcher's plan is in a
    // memfd sealed against writing and shrinking, so that the bytes cannot change or vanish.
    Ok(unsafe { core::slice::from_raw_parts(start as *const u8, length) })
}

/// Tries to map one page of a file as executable, and unmaps it again.
pub fn try_map_executable(fd: Fd) -> Result<()> {
    const MAP_PRIVATE: i32 = 2;
    // SAFETY: a new private mapping at an address of the kernel's choice overlaps nothing.
    let start = unsafe { syscall!(mmap, 0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd.0, 0) }?;
    // SAFETY: unmaps exactly the page that was mapped above and that nobody else knows.
    unsafe { syscall!(munmap, start, 4096) }.map(drop)
}

/// `ioctl` with a numeric argument.
pub fn ioctl_number(fd: Fd, request: u64, argument: u64) -> Result<usize> {
    // SAFETY: used only with requests whose argument is a number or is refused before it is read
    // (terminal injection in the preflight passes the address of nothing: 0).
    unsafe { syscall!(ioctl, fd.0, request, argument) }
}

/// A pipe: the end to read from and the end to write to.
pub fn pipe() -> Result<(Fd, Fd)> {
    let mut ends = [0i32; 2];
    // SAFETY: the kernel writes two numbers into our array.
    unsafe { syscall!(pipe2, ends.as_mut_ptr(), O_CLOEXEC) }?;
    let [read_end, write_end] = ends;
    Ok((Fd(read_end), Fd(write_end)))
}

/// Another name for a descriptor, at least `lowest`, closed at `execve`.
pub fn duplicate_above(fd: Fd, lowest: u32) -> Result<Fd> {
    const F_DUPFD_CLOEXEC: i32 = 1030;
    // SAFETY: numbers only.
    unsafe { syscall!(fcntl, fd.0, F_DUPFD_CLOEXEC, lowest) }.map(|fd| Fd(fd as i32))
}
