//! The files of a model: one, or all below a folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::path::check_name;

/// A file of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name below the model's folder, with `/` between parts.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
}

/// A model whose files cannot be listed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// A link, a pipe, a device.
    #[error("`{}` is a link, or neither a file nor a folder", path.display())]
    NotPlain {
        /// Which.
        path: PathBuf,
    },
    /// A name that is not plain.
    #[error("`{}`: {why}", path.display())]
    Name {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// More files, or deeper.
    #[error("the model has more than {limit} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The most.
        limit: usize,
    },
    /// It cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The files of a model, by name. No link is followed, not even to the model itself; what is neither file nor folder is
/// refused.
///
/// # Errors
/// [`TreeError`].
pub fn list(model: &Path) -> Result<Vec<Entry>, TreeError> {
    let read = |source| TreeError::Read { path: model.to_owned(), source };
    let found = fs::symlink_metadata(model).map_err(read)?;
    let mut entries = Vec::new();
    if found.is_dir() {
        folder(model, "", 0, &mut entries)?;
    } else if found.is_file() {
        let name = model.file_name().unwrap_or_default();
        entries.push(Entry { name: plain(model, name, "")?, path: model.to_owned(), bytes: found.len() });
    } else {
        return Err(TreeError::NotPlain { path: model.to_owned() });
    }
    entries.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(entries)
}

fn folder(path: &Path, prefix: &str, depth: usize, into: &mut Vec<Entry>) -> Result<(), TreeError> {
    if depth > MAX_DEPTH {
        return Err(TreeError::TooMany { what: "folders within each other", limit: MAX_DEPTH });
    }
    let read = |source| TreeError::Read { path: path.to_owned(), source };
    for entry in fs::read_dir(path).map_err(read)? {
        let entry = entry.map_err(read)?;
        let (path, kind) = (entry.path(), entry.file_type().map_err(read)?);
        let name = plain(&path, &entry.file_name(), prefix)?;
        if kind.is_dir() {
            folder(&path, &format!("{name}/"), depth + 1, into)?;
        } else if kind.is_file() {
            let bytes = entry.metadata().map_err(read)?.len();
            into.push(Entry { name, path, bytes });
        } else {
            return Err(TreeError::NotPlain { path });
        }
        if into.len() > MAX_FILES {
            return Err(TreeError::TooMany { what: "files", limit: MAX_FILES });
        }
    }
    Ok(())
}

fn plain(path: &Path, name: &std::ffi::OsStr, prefix: &str) -> Result<String, TreeError> {
    let wrong = |why| TreeError::Name { path: path.to_owned(), why };
    let name = name.to_str().ok_or_else(|| wrong("its name is not UTF-8".to_owned()))?;
    let name = format!("{prefix}{name}");
    check_name(&name).map(|()| name).map_err(wrong)
}

const MAX_DEPTH: usize = 24;
const MAX_FILES: usize = 100_000;
