//! A folder for the time of a command.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// A folder that is gone when the command is.
pub(crate) struct Temporary(PathBuf);

impl Temporary {
    /// Makes it; `what` is part of its name.
    pub(crate) fn new(what: &str) -> Result<Self, Failure> {
        let name = format!("hotcell-{what}-{:016x}", u64::from_le_bytes(hotcell_crypto::random()));
        let path = std::env::temp_dir().join(name);
        // Fails when it exists: nobody can have put anything there.
        fs::DirBuilder::new().mode(0o700).create(&path).map_err(|source| Failure::file("make", &path, source))?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
