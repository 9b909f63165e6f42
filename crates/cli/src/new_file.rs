//! A file that appears whole or not at all.
//!
//! INVARIANT (whole-or-nothing): until [`NewFile::publish`], nothing has the name that was asked for. Where the file
//! system can do it, the content has no name at all until then, so that not even a kill leaves something behind.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};

use hotcell_types::{Exit, Explain};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, linkat, openat, renameat, renameat_with, unlinkat};

/// A file in the making.
pub(crate) struct NewFile {
    file: File,
    /// The name it will have.
    path: PathBuf,
    /// The name it has meanwhile, if any. Removed on drop.
    temporary: Option<PartName>,
    /// Whether it may replace a file of its name.
    replace: bool,
}

/// Why a file cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NewFileError {
    /// There is one already.
    #[error("`{}` exists", path.display())]
    Exists { path: PathBuf },
    /// It cannot be written.
    #[error("cannot write `{}`", path.display())]
    Write { path: PathBuf, source: io::Error },
}

impl NewFile {
    /// Begins a file with these rights (less the umask). Nothing is at `path` yet; its folder must exist.
    pub(crate) fn create(path: &Path, mode: u32, replace: bool) -> Result<Self, NewFileError> {
        let failed = |source: io::Error| NewFileError::Write { path: path.to_owned(), source };
        if path.file_name().is_none() {
            return Err(failed(ErrorKind::IsADirectory.into()));
        }
        match fs::symlink_metadata(path) {
            Ok(there) if there.is_dir() => return Err(failed(ErrorKind::IsADirectory.into())),
            Ok(_) if !replace => return Err(NewFileError::Exists { path: path.to_owned() }),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        let mode = Mode::from_raw_mode(mode);
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        match openat(CWD, folder(path), flags | OFlags::TMPFILE, mode) {
            Ok(file) => Ok(Self { file: file.into(), path: path.to_owned(), temporary: None, replace }),
            // File systems without unnamed files say the one; kernels without them the other.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::ISDIR) => {
                let temporary = PartName::beside(path);
                let file = openat(CWD, &temporary.0, flags | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW, mode);
                let file = file.map_err(|error| failed(error.into()))?;
                Ok(Self { file: file.into(), path: path.to_owned(), temporary: Some(temporary), replace })
            }
            Err(error) => Err(failed(error.into())),
        }
    }

    /// Makes the content durable and gives it its name.
    pub(crate) fn publish(mut self) -> Result<(), NewFileError> {
        let result = self.file.sync_all().and_then(|()| match self.temporary.take() {
            None if self.replace => {
                let temporary = PartName::beside(&self.path);
                self.link_to(&temporary.0)?;
                temporary.replace(&self.path)
            }
            None => self.link_to(&self.path),
            Some(temporary) if self.replace => temporary.replace(&self.path),
            Some(temporary) => temporary.rename_to_free(&self.path),
        });
        // The name is durable when its folder is. Where a folder cannot be opened or synced, the file is still whole.
        let _ = File::open(folder(&self.path)).and_then(|folder| folder.sync_all());
        result.map_err(|source| match source.kind() {
            ErrorKind::AlreadyExists => NewFileError::Exists { path: self.path.clone() },
            _ => NewFileError::Write { path: self.path.clone(), source },
        })
    }

    /// Gives a name to a file that has none.
    fn link_to(&self, path: &Path) -> io::Result<()> {
        let own = format!("/proc/self/fd/{}", self.file.as_fd().as_raw_fd());
        Ok(linkat(CWD, own.as_str(), CWD, path, AtFlags::SYMLINK_FOLLOW)?)
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// The name of a part beside the final one, taken away on drop.
struct PartName(PathBuf);

impl PartName {
    fn beside(path: &Path) -> Self {
        let random: [u8; 8] = hotcell_crypto::random();
        let mut name = OsString::from(format!(".hotcell-{:016x}", u64::from_ne_bytes(random)));
        name.push(".part");
        Self(folder(path).join(name))
    }

    fn replace(self, path: &Path) -> io::Result<()> {
        renameat(CWD, &self.0, CWD, path)?;
        Ok(())
    }

    /// Renames, unless something has that name.
    fn rename_to_free(self, path: &Path) -> io::Result<()> {
        match renameat_with(CWD, &self.0, CWD, path, RenameFlags::NOREPLACE) {
            // Some network file systems cannot rename so, but can link.
            Err(rustix::io::Errno::INVAL) => linkat(CWD, &self.0, CWD, path, AtFlags::empty())?,
            other => other?,
        }
        Ok(())
    }
}

impl Drop for PartName {
    fn drop(&mut self) {
        // Gone already when it was renamed; the name is random, so that it can be nobody else's.
        let _ = unlinkat(CWD, &self.0, AtFlags::empty());
    }
}

/// The folder of a path: `.` for a bare name.
fn folder(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

impl Explain for NewFileError {
    fn code(&self) -> &'static str {
        match self {
            Self::Exists { .. } => "CLI-010",
            Self::Write { .. } => "CLI-011",
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::Exists { .. } => {
                "choose another name, or replace it with --force where the command has that option".to_owned()
            }
            Self::Write { source, .. } => match source.kind() {
                ErrorKind::IsADirectory => "name a file: this is a folder",
                ErrorKind::NotFound => "make the folder first",
                _ => "check that the folder exists, has room, and that you may write there",
            }
            .to_owned(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Exists { .. } => Exit::Usage,
            Self::Write { .. } => Exit::Failed,
        }
    }
}
