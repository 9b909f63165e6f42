//! A folder or a tar of this machine that holds an image's files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

use crate::archive;
use crate::blob::read_bounded;
use crate::{Bounds, OciError};

/// Where an image's files are.
#[derive(Debug)]
pub(crate) enum Place {
    Folder { path: PathBuf, folder: OwnedFd },
    Tar { path: PathBuf, file: File, parts: BTreeMap<String, Option<Part>> },
}

/// Where in a tar a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) start: u64,
    pub(crate) length: u64,
}

impl Place {
    /// Opens a folder or a tar.
    pub(crate) fn open(path: &Path, bounds: &Bounds) -> Result<Self, OciError> {
        let unusable = |error: Errno| match error {
            Errno::NOENT => OciError::Unknown { what: format!("image at `{}`", shown(path)) },
            error => OciError::file("open", path)(error.into()),
        };
        // Not waiting: a pipe is no image.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut file = File::from(openat(CWD, path, flags, Mode::empty()).map_err(unusable)?);
        let found = file.metadata().map_err(OciError::file("look at", path))?;
        if found.is_dir() {
            return Ok(Self::Folder { path: path.to_owned(), folder: file.into() });
        }
        if !found.is_file() {
            return Err(OciError::malformed(format!("`{}`", shown(path)), "it is neither a folder nor a file"));
        }
        let parts = archive::parts(&mut file, path, found.len(), bounds)?;
        Ok(Self::Tar { path: path.to_owned(), file, parts })
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Folder { path, .. } | Self::Tar { path, .. } => path,
        }
    }

    /// A file by its name, and where in it the content is.
    ///
    /// A link is none: a layout that was handed over could lead anywhere.
    pub(crate) fn find(&self, name: &str) -> Result<Option<(File, Part)>, OciError> {
        match self {
            Self::Folder { path, folder } => {
                let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let within = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
                let path = path.join(name);
                let file = match openat2(folder, name, flags, Mode::empty(), within) {
                    Ok(file) => File::from(file),
                    Err(Errno::NOENT) => return Ok(None),
                    Err(Errno::LOOP) => {
                        let what = format!("`{}`", shown(&path));
                        return Err(OciError::Unsupported { what, why: "it is a link, or lies behind one" });
                    }
                    Err(error) => return Err(OciError::file("open", &path)(error.into())),
                };
                let found = file.metadata().map_err(OciError::file("look at", &path))?;
                if !found.is_file() {
                    return Err(OciError::malformed(format!("`{}`", shown(&path)), "it is no file"));
                }
                Ok(Some((file, Part { start: 0, length: found.len() })))
            }
            Self::Tar { path, file, parts } => {
                let Some(part) = parts.get(name) else { return Ok(None) };
                let Some(part) = part else {
                    let what = format!("`{}` of the archive", name.escape_debug());
                    return Err(OciError::Unsupported { what, why: "it is a link or of another special kind" });
                };
                let file = file.try_clone().map_err(OciError::file("open", path))?;
                Ok(Some((file, *part)))
            }
        }
    }

    /// A small document by its name.
    pub(crate) fn read(&self, name: &str, limit: u64, what: &'static str) -> Result<Option<Vec<u8>>, OciError> {
        let Some((mut file, part)) = self.find(name)? else { return Ok(None) };
        let unreadable = |error| OciError::out_of(error, OciError::file("read", &self.path().join(name)));
        file.seek(SeekFrom::Start(part.start)).map_err(unreadable)?;
        read_bounded(&mut file.take(part.length), limit, what).map(Some).map_err(unreadable)
    }
}

/// A path for an error.
pub(crate) fn shown(path: &Path) -> String {
    path.display().to_string().escape_debug().to_string()
}
