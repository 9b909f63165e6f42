//! `hotcell policy bundle`: a policy folder, signed.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use hotcell_crypto::keyfile;
use hotcell_task::{bundle_policy, read_policy_folder};
use hotcell_types::Exit;
use serde_json::json;

use super::folder::tested;
use crate::app::App;
use crate::failure::Failure;
use crate::new_file::NewFile;
use crate::print::{self, theirs};

/// What is signed, by whom.
#[derive(Debug, Args)]
pub(crate) struct Bundle {
    /// A policy folder.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// The secret key to sign with (`hotcell keygen --signing`).
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// File for the bundle. An existing file is never overwritten.
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
}

pub(crate) fn run(arguments: &Bundle, app: &App) -> Result<Exit, Failure> {
    let key = keyfile::read_signing(&arguments.key)?;
    let files = read_policy_folder(&arguments.folder)?;
    let policy = tested(&files)?;
    let mut file = NewFile::create(&arguments.output, 0o644, false)?;
    let written = file.write_all(&bundle_policy(&files, &key));
    written.map_err(|source| Failure::file("write", &arguments.output, source))?;
    file.publish()?;
    let (manifest, signer) = (policy.manifest(), key.verifying().to_string());
    if app.json {
        let output = arguments.output.display().to_string();
        let (name, version) = (&manifest.name, manifest.version);
        print::json(&json!({ "name": name, "version": version, "signer": signer, "file": output }))?;
    } else {
        let name = theirs(&manifest.name);
        writeln!(print::out(), "policy {name}, version {}, is signed by {signer}", manifest.version)?;
    }
    Ok(Exit::Yes)
}
