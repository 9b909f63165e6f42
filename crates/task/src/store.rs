//! What is kept of a finished task: `tasks/ID/` in the state folder.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use hotcell_types::TaskId;

use crate::TaskError;

/// The folder of one task: its receipt, the salt of its commitments, what its streams released.
#[derive(Debug, Clone)]
pub struct TaskFolder(PathBuf);

impl TaskFolder {
    /// Where it is, whether it exists or not.
    pub fn of(state: &Path, task: TaskId) -> Self {
        Self(state.join("tasks").join(task.to_string()))
    }

    /// The receipt.
    pub fn receipt(&self) -> PathBuf {
        self.0.join("receipt.json")
    }

    /// The salt of the inputs' commitments, which lets their owner prove what they were.
    pub fn salt(&self) -> PathBuf {
        self.0.join("salt")
    }

    /// What left by a standard stream, `stdout` or `stderr`.
    pub fn stream(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Makes it.
    pub(crate) fn make(&self) -> Result<(), TaskError> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.0).map_err(TaskError::file("make", &self.0))
    }

    /// Removes it again, where nothing came into it: of a task whose workload was never started.
    pub(crate) fn remove_if_empty(&self) {
        // What stays is an empty folder, which nobody takes for a receipt.
        let _ = fs::remove_dir(&self.0);
    }

    /// Writes one of its files.
    pub(crate) fn write(&self, path: &Path, content: &[u8]) -> Result<(), TaskError> {
        write_private(path, content).map_err(TaskError::file("write", path))
    }
}

/// The receipt of a task that this state folder knows.
///
/// # Errors
/// When there is none, or it cannot be read.
pub fn read_receipt(state: &Path, task: TaskId) -> Result<Vec<u8>, TaskError> {
    let path = TaskFolder::of(state, task).receipt();
    fs::read(&path).map_err(TaskError::file("read the receipt", &path))
}

fn write_private(path: &Path, content: &[u8]) -> std::io::Result<()> {
    OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path)?.write_all(content)
}
