//! What a model's files are, and whether one of them could do more than hold numbers.
//!
//! Every file is told by its content and not by its name, read with hard bounds, and never loaded: a pickle is
//! *interpreted symbolically* ([`pickle`]), so that what it would call is known without calling anything.
//!
//! INVARIANT (unknown-is-refused): what no reader here knows through and through is refused. A reader accounts for every
//! byte of its file; two readings of one file that programs could choose between are refused too.
//!
//! Deliberately absent: lists of what is dangerous (new dangerous things are found every month), execution of anything,
//! a way to let one finding pass.

mod archive;
mod archive_entry;
mod cursor;
mod gguf;
mod jinja;
mod json;
mod kind;
mod numpy;
mod onnx;
mod path;
mod pickle;
mod refusal;
mod safetensors;
mod source;
mod storages;
mod tar;
mod text;
mod walk;
mod zip;

use std::io;
use std::path::Path;

pub use kind::Kind;
pub use path::check_name;
pub use refusal::{Refusal, Why};
pub use walk::{Entry, TreeError, list};

use kind::Scanner;
use source::Source;

/// What a scan says of one file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// What the file is; none where nothing here knows it.
    pub kind: Option<Kind>,
    /// Its length.
    pub bytes: u64,
    /// Why it is refused; nothing: it is not.
    pub refused: Vec<Refusal>,
    /// Files beside it whose bytes it names as its data.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub data_files: Vec<String>,
}

impl Report {
    /// Whether nothing was refused.
    pub fn is_clean(&self) -> bool {
        self.refused.is_empty()
    }
}

/// Looks at one file of this name.
///
/// # Errors
/// When the file cannot be read. A file that is not what it says is no error but a [`Refusal`].
pub fn scan_file(path: &Path, name: &str) -> io::Result<Report> {
    Ok(scan(&Source::open(path)?, name))
}

/// Looks at bytes, as those of a file of this name.
pub fn scan_bytes(bytes: &[u8], name: &str) -> Report {
    scan(&Source::memory(bytes.to_vec()), name)
}

fn scan(source: &Source, name: &str) -> Report {
    let mut scanner = Scanner::default();
    let kind = scanner.file(source, name);
    let Scanner { refused, data_files, .. } = scanner;
    Report { kind, bytes: source.len(), refused, data_files }
}
