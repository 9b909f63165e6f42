//! The folder that an image unpacks to: every change is made beneath its root, by descriptors and without links.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Timespec, Timestamps, fchmod, futimens, linkat, mkdirat,
    openat, openat2, statat, symlinkat, unlinkat,
};
use rustix::io::Errno;

/// Folders can be entered by everyone and changed by their owner.
const FOLDER_MODE: u32 = 0o755;
/// Files can be read by everyone and written by nobody.
const FILE_MODE: u32 = 0o444;
const PROGRAM_MODE: u32 = 0o555;

/// The root of an image, while it is made and when it is read.
#[derive(Debug)]
pub(crate) struct Tree {
    root: OwnedFd,
}

/// What is at a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum There {
    Nothing,
    Folder,
    File,
    Link,
    Other,
}

impl Tree {
    /// Opens the root.
    pub(crate) fn open(path: &Path) -> Result<Self, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Self { root: openat(rustix::fs::CWD, path, flags, Mode::empty())? })
    }

    /// A folder beneath the root; the root itself for nothing.
    ///
    /// `ELOOP` where a link is on the way, `ENOTDIR` where something else is, `ENOENT` where nothing is.
    pub(crate) fn folder(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        let path = if path.is_empty() { OsStr::new(".") } else { OsStr::from_bytes(path) };
        openat2(&self.root, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty(), WITHIN)
    }

    /// The same, making what is missing; gives the number of folders made.
    pub(crate) fn make_folder(&self, path: &[u8]) -> Result<(OwnedFd, u64), Errno> {
        match self.folder(path) {
            Err(Errno::NOENT) => {}
            other => return other.map(|folder| (folder, 0)),
        }
        let (above, name) = split(path);
        let (above, made) = self.make_folder(above)?;
        mkdir(above.as_fd(), name)?;
        Ok((self.folder(path)?, made + 1))
    }

    /// Reads a small file, no link among its folders nor itself.
    pub(crate) fn read(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>, std::io::Error> {
        use std::io::Read as _;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file: File = match openat2(&self.root, path, flags, Mode::empty(), WITHIN) {
            Ok(file) => file.into(),
            Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if !file.metadata()?.is_file() {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        file.take(limit).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }
}

/// Beneath the root, through no link, onto no other file system.
const WITHIN: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);

/// Splits `a/b/c` into `a/b` and `c`.
pub(crate) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (path.get(..at).unwrap_or_default(), path.get(at + 1..).unwrap_or_default()),
        None => (&[], path),
    }
}

/// What is at a name of a folder.
pub(crate) fn there(folder: impl AsFd, name: &[u8]) -> Result<There, Errno> {
    let kind = match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) => FileType::from_raw_mode(found.st_mode),
        Err(Errno::NOENT) => return Ok(There::Nothing),
        Err(error) => return Err(error),
    };
    Ok(match kind {
        FileType::Directory => There::Folder,
        FileType::RegularFile => There::File,
        FileType::Symlink => There::Link,
        _ => There::Other,
    })
}

/// Makes a folder.
pub(crate) fn mkdir(folder: impl AsFd, name: &[u8]) -> Result<(), Errno> {
    mkdirat(folder.as_fd(), name, Mode::from_raw_mode(FOLDER_MODE))?;
    // The umask may have taken away what others need; the folder was made just now and is no link.
    rustix::fs::chmodat(folder, name, Mode::from_raw_mode(FOLDER_MODE), AtFlags::empty())
}

/// Begins a new file, which only [`finish_file`] makes readable for others.
pub(crate) fn new_file(folder: impl AsFd, name: &[u8]) -> Result<File, Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(folder, name, flags, Mode::from_raw_mode(0o600))?.into())
}

/// Gives a file its rights, of which the image decides one bit, and its time.
pub(crate) fn finish_file(file: &File, is_program: bool, mtime: i64) -> Result<(), Errno> {
    let time = Timespec { tv_sec: mtime, tv_nsec: 0 };
    futimens(file, &Timestamps { last_access: time, last_modification: time })?;
    fchmod(file, Mode::from_raw_mode(if is_program { PROGRAM_MODE } else { FILE_MODE }))
}

/// Makes a symbolic link: a text that nobody here follows.
pub(crate) fn symlink(folder: impl AsFd, name: &[u8], target: &[u8]) -> Result<(), Errno> {
    symlinkat(target, folder, name)
}

/// Makes a second name of a file or a link, not following the latter.
pub(crate) fn hard_link(from: impl AsFd, old: &[u8], to: impl AsFd, new: &[u8]) -> Result<(), Errno> {
    linkat(from, old, to, new, AtFlags::empty())
}

/// Removes what is at a name, whatever it is, and all below it.
pub(crate) fn remove(folder: impl AsFd, name: &[u8]) -> Result<(), Errno> {
    match there(folder.as_fd(), name)? {
        There::Nothing => return Ok(()),
        There::Folder => {}
        _ => return unlinkat(folder, name, AtFlags::empty()),
    }
    let opened = openat(folder.as_fd(), name, OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    for entry in names(opened.as_fd())? {
        remove(opened.as_fd(), &entry)?;
    }
    unlinkat(folder, name, AtFlags::REMOVEDIR)
}

/// The names in a folder, without `.` and `..`.
pub(crate) fn names(folder: impl AsFd) -> Result<Vec<Vec<u8>>, Errno> {
    // A descriptor of its own: one that was opened as a path cannot be read.
    let readable = openat(folder, c".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut names = Vec::new();
    for entry in Dir::new(readable)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(name);
        }
    }
    Ok(names)
}
