//! `hotcell open`: decrypt an age file.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use clap::Args;
use hotcell_crypto::{age_seal, keyfile};
use hotcell_types::{Exit, Explain};
use hotcell_vault::Package;
use serde_json::json;

use crate::app::App;
use crate::failure::Failure;
use crate::new_file::NewFile;
use crate::print;
use crate::source::Source;

/// Decrypt a file that was sealed to your key: by `hotcell seal`, by `hotcell run --recipient`, or by `age`.
///
/// The opened file is for you alone (mode 0600). A file that was changed or cut leaves nothing behind. Sealed models
/// are opened by `hotcell run --model` only.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Your secret key (`hotcell keygen` or `age-keygen`).
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// File to write. An existing one is not overwritten.
    #[arg(long, value_name = "PATH")]
    output: PathBuf,
    /// Replace the output if it exists.
    #[arg(long)]
    force: bool,
    /// The sealed file; `-` is standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// A sealed model is no file to be opened.
#[derive(Debug, thiserror::Error)]
#[error("`{}` is a sealed model: its vendor's terms let only the listed runners open it, inside a sandbox", file.display())]
pub(crate) struct SealedModel {
    file: PathBuf,
}

pub(crate) fn run(arguments: &Arguments, app: &App) -> Result<Exit, Failure> {
    let mut from = Source::open(&arguments.file, "opening", app.json)?;
    let start = start(&mut from).map_err(|source| Failure::file("read", &arguments.file, source))?;
    if Package::is_package(&start) {
        return Err(SealedModel { file: arguments.file.clone() }.into());
    }
    let key = keyfile::read_encryption(&arguments.key)?;
    let mut to = NewFile::create(&arguments.output, OPENED_MODE, arguments.force)?;
    let bytes = age_seal::open(&key, start.chain(from), &mut to)?;
    to.publish()?;
    let output = arguments.output.display();
    match app.json {
        true => print::json(&json!({ "output": output.to_string(), "plain_bytes": bytes }))?,
        false => writeln!(print::out(), "{}: {bytes} bytes opened", print::theirs(&output))?,
    }
    Ok(Exit::Yes)
}

/// Enough of the file to tell what it claims to be.
fn start(from: &mut Source) -> io::Result<Vec<u8>> {
    let mut start = Vec::with_capacity(MAGIC_BYTES);
    from.by_ref().take(MAGIC_BYTES as u64).read_to_end(&mut start)?;
    Ok(start)
}

impl Explain for SealedModel {
    fn code(&self) -> &'static str {
        "CLI-012"
    }

    fn remedy(&self) -> String {
        format!("use it without opening it: hotcell run --model {} --key FILE", self.file.display())
    }

    fn exit(&self) -> Exit {
        Exit::Refused
    }
}

/// What sealed packages begin with has this length.
const MAGIC_BYTES: usize = 8;
/// What was secret stays its owner's.
const OPENED_MODE: u32 = 0o600;
