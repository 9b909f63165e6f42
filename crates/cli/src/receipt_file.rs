//! The file that a run's receipt is also written to, where its caller names one.
//!
//! INVARIANT (nothing-lost): a file that is there is replaced only if it is empty, or a receipt that the state folder
//! keeps byte for byte. So a script may write to the same name again and again, and no task file of somebody else
//! destroys a file of yours.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use hotcell_audit::receipt::{MAX_RECEIPT_BYTES, ReceiptError, verify};
use hotcell_task::read_receipt;
use hotcell_types::{Exit, Explain};

use crate::app::App;
use crate::failure::Failure;
use crate::new_file::NewFile;

/// Where it goes.
pub(crate) struct ReceiptFile {
    path: PathBuf,
    state: PathBuf,
}

/// Something else has its name.
#[derive(Debug, thiserror::Error)]
#[error("the receipt would replace `{}`, which is no receipt that this state folder keeps", path.display())]
pub(crate) struct Taken {
    path: PathBuf,
}

impl ReceiptFile {
    /// Sees that nothing would be lost, before there is a task. Its folder may be that of the outputs, still to be made.
    pub(crate) fn at(path: PathBuf, outputs: Option<&Path>, app: &App) -> Result<Self, Failure> {
        let file = Self { path, state: app.state.clone() };
        let absolute = |path: &Path| std::path::absolute(path).ok();
        let folder = file.path.parent().and_then(absolute);
        if folder.is_none() || folder != outputs.and_then(absolute) {
            file.has_folder()?;
        }
        file.there()?;
        Ok(file)
    }

    /// Writes it, whole or not at all. What has appeared there in the meantime is not lost either.
    pub(crate) fn write(&self, receipt: &[u8]) -> Result<(), Failure> {
        let failed = |source| Failure::file("write the receipt to", &self.path, source);
        // That of the outputs, where none left.
        if let Some(folder) = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        let there = match self.there()? {
            // A pipe, a terminal, /dev/null: nothing that could be lost.
            Some(there) if !there.is_file() => {
                let written = OpenOptions::new().write(true).open(&self.path);
                return written.and_then(|mut file| file.write_all(receipt)).map_err(failed);
            }
            there => there,
        };
        // The name may be that of a link: the file that it leads to is the one that was looked at.
        let path = match &there {
            Some(_) => fs::canonicalize(&self.path).map_err(failed)?,
            None => self.path.clone(),
        };
        let mode = there.as_ref().map_or(0o666, |there| there.mode() & 0o777);
        let mut file = NewFile::create(&path, mode, there.is_some())?;
        file.write_all(receipt).map_err(failed)?;
        Ok(file.publish()?)
    }

    /// Without a folder to write it into, it would be lost when the task is over.
    fn has_folder(&self) -> Result<(), Failure> {
        match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => Err(Failure::usage(
                format!("there is no folder `{}` for the receipt", folder.display()),
                "make it, or name another place for the receipt",
            )),
            _ => Ok(()),
        }
    }

    /// What is there, if anything, and may be replaced or written to.
    fn there(&self) -> Result<Option<Metadata>, Failure> {
        let failed = |source| Failure::file("look at", &self.path, source);
        let there = match fs::metadata(&self.path) {
            Ok(there) => there,
            // A link that leads nowhere is somebody's all the same.
            Err(error) if error.kind() == io::ErrorKind::NotFound && fs::symlink_metadata(&self.path).is_err() => {
                return Ok(None);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(self.taken()),
            Err(error) => return Err(failed(error)),
        };
        match there.is_file() && there.len() > 0 && !self.is_kept().map_err(failed)? || there.is_dir() {
            true => Err(self.taken()),
            false => Ok(Some(there)),
        }
    }

    /// Whether the state folder has this very receipt.
    fn is_kept(&self) -> io::Result<bool> {
        let mut bytes = Vec::new();
        File::open(&self.path)?.take(MAX_RECEIPT_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        let verified = match verify(&bytes, None) {
            Ok(verified) => verified,
            Err(ReceiptError::SignerUnknown { verified }) => *verified,
            Err(_) => return Ok(false),
        };
        Ok(read_receipt(&self.state, verified.body.task).is_ok_and(|kept| kept == bytes))
    }

    fn taken(&self) -> Failure {
        Taken { path: self.path.clone() }.into()
    }
}

impl Explain for Taken {
    fn code(&self) -> &'static str {
        "CLI-013"
    }

    fn remedy(&self) -> String {
        "name another file, or move that one away; the state folder keeps each receipt: hotcell show TASK".to_owned()
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }
}
