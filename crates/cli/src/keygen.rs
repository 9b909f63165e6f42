//! `hotcell keygen`: a new key pair.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use hotcell_crypto::keyfile::{KeyPair, write_pair};
use hotcell_crypto::{SecretKey, SigningKey};
use hotcell_types::{Clock, Exit};
use serde_json::json;

use crate::app::App;
use crate::failure::Failure;
use crate::print;

/// Make a new key pair: FILE holds the secret key (mode 0600), FILE.pub the public one.
///
/// Prints the public key. Existing files are never overwritten.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// File for the secret key; the public key goes to the same name with `.pub`.
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// Make a key that signs models. Default: a key that opens what is sealed to it, in the form of age.
    #[arg(long)]
    signing: bool,
}

pub(crate) fn run(arguments: &Arguments, app: &App) -> Result<Exit, Failure> {
    let (kind, pair) = match arguments.signing {
        true => ("signing", KeyPair::Signing(SigningKey::generate())),
        false => ("encryption", KeyPair::Encryption(SecretKey::generate())),
    };
    let public_path = write_pair(&arguments.output, &pair, app.clock.now())?;
    let public = pair.public_text();
    match app.json {
        true => print::json(&json!({
            "kind": kind,
            "public_key": public,
            "file": arguments.output.display().to_string(),
            "public_file": public_path.display().to_string(),
        }))?,
        false => writeln!(io::stdout().lock(), "{public}")?,
    }
    Ok(Exit::Yes)
}
