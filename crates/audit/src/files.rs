//! The log's folder: which files it has, how they are opened, locked and read.
//!
//! Files are opened without following links and closed on exec; they belong to their owner alone.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags, flock};

use crate::LogError;

/// The paths of a log's files.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    dir: PathBuf,
}

impl Folder {
    pub(crate) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.dir.join("journal")
    }

    pub(crate) fn head(&self) -> PathBuf {
        self.dir.join("head")
    }

    pub(crate) fn checkpoint(&self) -> PathBuf {
        self.dir.join("checkpoint")
    }

    /// Makes the folder, for its owner alone, if it is not there.
    pub(crate) fn create(&self) -> Result<(), LogError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.dir);
        made.map_err(failed("create", &self.dir))
    }

    /// Makes the names in the folder, and its own, durable.
    pub(crate) fn sync_names(&self) -> Result<(), LogError> {
        for dir in [Some(self.dir.as_path()), self.dir.parent()].into_iter().flatten() {
            let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
            File::open(dir).and_then(|open| open.sync_all()).map_err(failed("make durable", dir))?;
        }
        Ok(())
    }
}

/// Opens a file of the log to read and write, making it if it is not there.
pub(crate) fn open_to_write(path: &Path) -> Result<File, LogError> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR);
    opened.map(File::from).map_err(|error| failed("open", path)(error.into()))
}

/// Opens a file of the log to read.
pub(crate) fn open_to_read(path: &Path) -> Result<File, LogError> {
    let opened = rustix::fs::open(path, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
    opened.map(File::from).map_err(|error| failed("open", path)(error.into()))
}

/// Reads at most `limit` bytes from an offset.
pub(crate) fn read_at(file: &File, offset: u64, limit: usize) -> io::Result<Vec<u8>> {
    // What is not there needs no room: fresh memory costs more than asking.
    let there = usize::try_from(file.metadata()?.len().saturating_sub(offset)).unwrap_or(usize::MAX);
    let mut bytes = vec![0; limit.min(there)];
    let mut filled = 0;
    while let Some(room) = bytes.get_mut(filled..).filter(|room| !room.is_empty()) {
        match file.read_at(room, offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// An advisory lock on a whole file, across processes; given back on drop.
///
/// Threads that share the open file share the lock: between them a mutex is needed as well.
pub(crate) struct Held<'a>(&'a File);

impl<'a> Held<'a> {
    pub(crate) fn exclusive(file: &'a File) -> io::Result<Self> {
        Self::lock(file, FlockOperation::LockExclusive)
    }

    pub(crate) fn shared(file: &'a File) -> io::Result<Self> {
        Self::lock(file, FlockOperation::LockShared)
    }

    fn lock(file: &'a File, operation: FlockOperation) -> io::Result<Self> {
        loop {
            match flock(file, operation) {
                Ok(()) => return Ok(Self(file)),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // Unlocking an open file cannot fail; if it did, closing the file gives the lock back.
        let _ = flock(self.0, FlockOperation::Unlock);
    }
}

/// Turns an operating system error into one that names operation and file.
pub(crate) fn failed(operation: &'static str, path: &Path) -> impl Fn(io::Error) -> LogError {
    let path = path.to_owned();
    move |source| LogError::File { operation, path: path.clone(), source }
}
