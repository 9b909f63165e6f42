//! Fingerprints of a task's inputs and of its sealed model, made while it is prepared and runs.

use std::fs::File;
use std::io::{self, Seek as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use hotcell_inspect::fingerprint::{Builder, Fingerprints, IndexError, Size};

use rustix::fs::{MemfdFlags, memfd_create};

use crate::TaskError;
use crate::inputs::Input;

/// Fingerprints in the making.
#[derive(Debug)]
pub(crate) struct Prints {
    inputs: Inputs,
    /// Of the sealed model, while it is opened.
    pub(crate) model: Builder,
}

#[derive(Debug)]
enum Inputs {
    /// From an index that was made ahead.
    Ready(Box<Fingerprints>),
    /// Beside the workload.
    Building(JoinHandle<Result<Fingerprints, TaskError>>),
    /// Made, and those of the model with them.
    Made(Vec<Arc<Fingerprints>>),
}

/// Inputs of more bytes together are indexed coarsely: memory is bounded.
const MAX_FINE_BYTES: u64 = 256 << 20;

impl Prints {
    /// Begins. With an index that was made ahead, that is read, and must be of these inputs.
    ///
    /// # Errors
    /// When an input cannot be listed, or the index is none, or of other inputs.
    pub(crate) fn begin(inputs: &[Input], ahead: Option<&Path>) -> Result<Self, TaskError> {
        let mut files = Vec::new();
        for input in inputs {
            files.extend(input.files()?);
        }
        let inputs = match ahead {
            Some(index) => Inputs::Ready(Box::new(read(index, files.iter().map(|(_, bytes)| bytes).sum())?)),
            None => Inputs::Building(thread::spawn(move || build(&files))),
        };
        Ok(Self { inputs, model: Builder::new(Size::Coarse) })
    }

    /// Waits until they are made, and keeps them: the sealed model is open already.
    ///
    /// # Errors
    /// As [`Prints::finish`].
    pub(crate) fn make(self) -> Result<Self, TaskError> {
        Ok(Self { inputs: Inputs::Made(self.finish()?), model: Builder::new(Size::Coarse) })
    }

    /// Those that are made, as indexes in memory.
    ///
    /// # Errors
    /// When there is no memory for them.
    pub(crate) fn files(&self) -> Result<Vec<OwnedFd>, TaskError> {
        let Inputs::Made(made) = &self.inputs else { return Ok(Vec::new()) };
        let file = |prints: &Arc<Fingerprints>| {
            let mut file = File::from(memfd_create("fingerprints", MemfdFlags::CLOEXEC)?);
            prints.write(&file)?;
            file.rewind()?;
            Ok(file.into())
        };
        let made = made.iter().map(file).collect::<io::Result<_>>();
        made.map_err(TaskError::file("keep the fingerprints in", Path::new("memory")))
    }

    /// Waits until they are made.
    ///
    /// # Errors
    /// When an input cannot be read, or there is more than an index holds: then nothing leaves.
    pub(crate) fn finish(self) -> Result<Vec<Arc<Fingerprints>>, TaskError> {
        let inputs = match self.inputs {
            Inputs::Made(prints) => return Ok(prints),
            Inputs::Ready(prints) => *prints,
            Inputs::Building(thread) => thread.join().map_err(|_| TaskError::Spec {
                what: "the fingerprints of the inputs could not be made".to_owned(),
                remedy: "make them ahead (hotcell fingerprint), and give them with --fingerprints",
            })??,
        };
        Ok([inputs, self.model.finish()].into_iter().filter(|prints| !prints.is_empty()).map(Arc::new).collect())
    }
}

fn build(files: &[(PathBuf, u64)]) -> Result<Fingerprints, TaskError> {
    // On this thread alone, and in vain at worst: the workload beside it goes first.
    let _ = rustix::process::nice(10);
    let total: u64 = files.iter().map(|(_, bytes)| bytes).sum();
    let mut builder = Builder::new(if total <= MAX_FINE_BYTES { Size::Fine } else { Size::Coarse });
    for (path, _) in files {
        let file = File::open(path).map_err(TaskError::file("read the input", path))?;
        builder.add(&path.to_string_lossy(), file).map_err(TaskError::part)?;
    }
    Ok(builder.finish())
}

fn read(index: &Path, input_bytes: u64) -> Result<Fingerprints, TaskError> {
    let file = File::open(index).map_err(TaskError::file("read the index of fingerprints", index))?;
    let prints = Fingerprints::read(file).map_err(TaskError::part)?;
    match prints.input_bytes() == input_bytes {
        true => Ok(prints),
        false => Err(TaskError::part(IndexError::OtherInputs { indexed: prints.input_bytes(), there: input_bytes })),
    }
}
