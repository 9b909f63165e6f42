//! `hotcell receipt`: what a receipt says, and whether it can be relied on.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use hotcell_audit::receipt::{MAX_RECEIPT_BYTES, ReceiptError, Verified, verify, verify_witnessed};
use hotcell_crypto::keyfile;
use hotcell_types::Exit;
use serde_json::{Value, json};

use crate::app::App;
use crate::audit::own_key;
use crate::failure::{self, Failure};
use crate::new_file::NewFile;
use crate::print::{self, theirs};
use crate::{receipt_page, receipt_text};

/// Check receipts.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check a receipt, offline, and print what it says.
    ///
    /// Exits with 0 when it is intact and signed by the trusted key, 123 when it was altered or is signed by another
    /// key, 1 when it is intact but no key was given to trust.
    Verify {
        /// The public key of the Hotcell that ran the task, or its file. Default: none, so that the signer stays
        /// unknown.
        #[arg(long, value_name = "KEY_OR_FILE")]
        trust: Option<String>,
        /// The public key of a witness, or its file: one of those that are named must have countersigned the log, or the
        /// answer is no. May be repeated. Default: none.
        #[arg(long = "witness", value_name = "KEY_OR_FILE", requires = "trust")]
        witnesses: Vec<String>,
        /// Write the receipt as a page of A4 paper as well; `-` is standard output, in place of the text.
        #[arg(long, value_name = "PAGE")]
        html: Option<PathBuf>,
        /// The receipt; `-` is standard input.
        file: PathBuf,
    },
}

pub(crate) fn run(arguments: &Arguments, app: &App) -> Result<Exit, Failure> {
    let Command::Verify { trust, witnesses, html, file } = &arguments.command;
    let trusted = trust.as_deref().map(keyfile::read_verifying).transpose()?;
    let witnesses: Vec<_> = witnesses.iter().map(|key| keyfile::read_verifying(key)).collect::<Result<_, _>>()?;
    let bytes = read(file)?;
    match verify_witnessed(&bytes, trusted.as_ref(), &witnesses) {
        Ok(verified) => tell(&verified, true, html.as_deref(), app)?,
        Err(ReceiptError::SignerUnknown { verified }) => return signer_unknown(verified, html.as_deref(), app),
        // Of what was altered there is no page: nothing in it can be believed.
        Err(error) => return Err(error.into()),
    }
    Ok(Exit::Yes)
}

/// A receipt of this machine's own, checked with this machine's key.
pub(crate) fn own(bytes: &[u8], app: &App) -> Result<Verified, Failure> {
    Ok(verify(bytes, Some(&own_key(app)?))?)
}

/// All is well, but whose word it is nobody knows: everything is shown, and the answer is no.
fn signer_unknown(verified: Box<Verified>, html: Option<&Path>, app: &App) -> Result<Exit, Failure> {
    tell(&verified, false, html, app)?;
    match app.json {
        true => Ok(Exit::No),
        false => Err(ReceiptError::SignerUnknown { verified }.into()),
    }
}

/// Says what the receipt says, and how far it can be relied on.
pub(crate) fn tell(verified: &Verified, trusted: bool, html: Option<&Path>, app: &App) -> Result<(), Failure> {
    if let Some(path) = html {
        let page = receipt_page::page(verified, trusted);
        if path == Path::new("-") {
            return Ok(io::stdout().lock().write_all(page.as_bytes())?);
        }
        let mut file = NewFile::create(path, 0o644, false)?;
        file.write_all(page.as_bytes()).map_err(|source| Failure::file("write", path, source))?;
        file.publish()?;
    }
    if app.json {
        return Ok(print::json(&as_json(verified, trusted))?);
    }
    let mut to = print::out();
    receipt_text::write(&verified.body, &mut to)?;
    let signer = if trusted { "the trusted key" } else { "unknown signer" };
    writeln!(to)?;
    for check in &verified.checks {
        writeln!(to, "checked: {check}")?;
    }
    writeln!(to, "signed {} by {} ({signer})", verified.signed, verified.signer)?;
    let Verified { origin, index, size, .. } = verified;
    writeln!(to, "entry {index} of {size} in the log {}, {}", theirs(origin), theirs_if_named(verified))?;
    Ok(())
}

/// The word alone is ours, and translated; names are others'.
fn theirs_if_named(verified: &Verified) -> String {
    let text = verified.witnesses();
    if verified.witnessed.is_empty() { text } else { theirs(text).to_string() }
}

pub(crate) fn as_json(verified: &Verified, trusted: bool) -> Value {
    let mut value = json!({
        "trusted": trusted,
        "signer": verified.signer.to_string(),
        "signed": verified.signed.to_string(),
        "log": { "origin": verified.origin.to_string(), "index": verified.index, "size": verified.size },
        "witnessed": verified.witnesses(),
        "countersigners": verified.countersigners,
        "checks": verified.checks,
        "receipt": verified.body,
    });
    if let (false, Value::Object(fields)) = (trusted, &mut value) {
        let error = ReceiptError::SignerUnknown { verified: Box::new(verified.clone()) };
        fields.insert("error".to_owned(), failure::error_json(&error));
    }
    value
}

/// The file, or so much of it that it is seen to be too long.
fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let most = MAX_RECEIPT_BYTES as u64 + 1;
    match path == Path::new("-") {
        true => io::stdin().lock().take(most).read_to_end(&mut bytes),
        false => File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes)),
    }
    .map_err(|source| Failure::file("read", path, source))?;
    Ok(bytes)
}
