//! A folder for the time of a command, which the next command removes where this one was killed.
//!
//! Before it is made, its path is noted in a file in `temporary/` of the state folder; whoever uses it holds the lock of
//! that file. A file that can be locked belongs to a command that was killed.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use hotcell_selftest::Surroundings;
use rustix::fs::{FlockOperation, flock};

use crate::failure::Failure;

/// A folder that is gone when the command is.
pub(crate) struct Temporary {
    path: PathBuf,
    /// A random text, the end of its name.
    token: String,
    /// The note, and its lock; none where there is no state folder.
    note: Option<(PathBuf, File)>,
    /// Folders for the note that were not there before.
    made: Vec<PathBuf>,
}

impl Temporary {
    /// Makes it; `what` is part of its name. What commands that were killed have left is removed first.
    pub(crate) fn new(what: &str, state: &Path) -> Result<Self, Failure> {
        sweep(state);
        let token = format!("{:016x}", u64::from_le_bytes(hotcell_crypto::random()));
        let path = std::env::temp_dir().join(format!("{PREFIX}{what}-{token}"));
        let made = [state.to_owned(), notes(state)].into_iter().filter(|folder| !folder.exists()).collect();
        let note = if state.as_os_str().is_empty() { None } else { Some(notes(state).join(&token)) };
        let note = note.map(|note| match write_note(&note, &path) {
            Ok(lock) => Ok((note, lock)),
            Err(source) => Err(Failure::file("write", &note, source)),
        });
        let note = note.transpose()?;
        // Fails when it exists: nobody can have put anything there.
        DirBuilder::new().mode(0o700).create(&path).map_err(|source| Failure::file("make", &path, source))?;
        Ok(Self { path, token, note, made })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A random text by which things that belong to it may be called: they are found by it should we be killed.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let removed = fs::remove_dir_all(&self.path);
        // What stays is tried again by the next command.
        if let (Ok(()), Some((note, _))) = (removed, &self.note) {
            let _ = fs::remove_file(note);
            // Where nobody else has put anything there meanwhile.
            for folder in self.made.iter().rev() {
                let _ = fs::remove_dir(folder);
            }
        }
    }
}

/// Removes what commands that were killed have left: folders, and what a selftest puts up outside of them. What cannot
/// be removed now stays noted.
pub(crate) fn sweep(state: &Path) {
    if state.as_os_str().is_empty() {
        return;
    }
    for note in fs::read_dir(notes(state)).into_iter().flatten().flatten() {
        let (note, token) = (note.path(), note.file_name().to_string_lossy().into_owned());
        let Ok(mut file) = File::open(&note) else { continue };
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            continue;
        }
        let mut text = Vec::new();
        if file.read_to_end(&mut text).is_err() {
            continue;
        }
        let path = PathBuf::from(std::ffi::OsString::from_vec(text));
        if is_ours(&path, &token) {
            Surroundings::take_down(&token);
            match fs::remove_dir_all(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => continue,
                _ => {}
            }
        }
        let _ = fs::remove_file(&note);
    }
}

/// Whether a note says what such a note says; one that was cut short was written before anything was made.
fn is_ours(path: &Path, token: &str) -> bool {
    let name = path.file_name().map(|name| name.as_bytes()).unwrap_or_default();
    path.is_absolute() && name.starts_with(PREFIX.as_bytes()) && name.ends_with(format!("-{token}").as_bytes())
}

fn notes(state: &Path) -> PathBuf {
    state.join("temporary")
}

/// Notes a path, and holds the note. A sweeper that meets it before it is locked may remove it, and whoever is done the
/// empty folder: then once more.
fn write_note(note: &Path, path: &Path) -> io::Result<File> {
    loop {
        if let Some(folder) = note.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let mut file = match OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(note) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened?,
        };
        flock(&file, FlockOperation::LockExclusive)?;
        if file.metadata()?.nlink() > 0 {
            file.write_all(path.as_os_str().as_bytes())?;
            return Ok(file);
        }
    }
}

/// How the names of all these folders begin.
const PREFIX: &str = "hotcell-";
