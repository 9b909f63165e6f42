//! `hotcell seal`: encrypt a file, or a model under the vendor's terms.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use hotcell_crypto::{PublicKey, age_seal, keyfile};
use hotcell_types::{Digest, Exit, Timestamp};
use hotcell_vault::{Custody, Isolation, Runners, SealSpec, Terms, seal_model};
use serde_json::json;

use crate::app::App;
use crate::date;
use crate::failure::Failure;
use crate::new_file::NewFile;
use crate::print;
use crate::source::Source;

/// Encrypt a file to recipients, in the age format; or, with --model, a model as a sealed package under your terms.
///
/// What the first makes, `hotcell open` and the `age` program open. What the second makes is opened by
/// `hotcell run --model` only, inside a sandbox, by the runners that the terms allow.
#[derive(Debug, Args)]
#[command(override_usage = "hotcell seal --recipient KEY_OR_FILE... --output FILE [OPTIONS] PATH")]
pub(crate) struct Arguments {
    /// Seal to this public key, or to the one in this file. Several keys may follow, and the option may be repeated.
    #[arg(long = "recipient", value_name = "KEY_OR_FILE", required = true, num_args = 1..)]
    recipients: Vec<String>,
    /// File to write. An existing one is not overwritten.
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// Replace the output if it exists.
    #[arg(long)]
    force: bool,
    /// Make a sealed package of a model with this id: letters, digits and `._-/`.
    #[arg(long, value_name = "ID", requires_all = ["model_version", "sign"])]
    model: Option<String>,
    /// The model's version, from 1; customers never go back to a lower one.
    #[arg(long, value_name = "N", requires = "model", value_parser = clap::value_parser!(u64).range(1..))]
    model_version: Option<u64>,
    /// The vendor's signing key (`hotcell keygen --signing`).
    #[arg(long, value_name = "KEYFILE", requires = "model")]
    sign: Option<PathBuf>,
    /// Term: this program too may open the model. Default: the built-in runner only. No command is identified yet, so
    /// that it opens for none of them.
    #[arg(long = "allow-runner", value_name = "sha256:HEX", requires = "model")]
    allow_runners: Vec<Digest>,
    /// Term: from this date on (RFC 3339, as 2027-01-31 or 2027-01-31T12:00:00Z) it may no longer be opened. Default:
    /// no end.
    #[arg(long, value_name = "DATE", requires = "model", value_parser = date::parse)]
    expires: Option<Timestamp>,
    /// Term: who may hold the opened model in memory. Default: any.
    #[arg(long, value_enum, requires = "model")]
    custody: Option<CustodyTerm>,
    /// Term: the weakest isolation in which it may be opened. Default: process.
    #[arg(long, value_enum, requires = "model")]
    isolation: Option<IsolationTerm>,
    /// Term: the output schema that must be in force, by its digest. Default: the customer's choice.
    #[arg(long, value_name = "sha256:HEX", requires = "model")]
    output_schema: Option<Digest>,
    /// File to seal; `-` is standard input (not for models).
    #[arg(value_name = "PATH")]
    path: Option<PathBuf>,
}

/// Who may hold the opened model.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum CustodyTerm {
    /// Also a Hotcell that runs as the user who asks, and who could read its memory.
    Any,
    /// Only a Hotcell that runs as a service under an account of its own.
    Service,
}

/// How far the sandbox must be apart from its host.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum IsolationTerm {
    /// Namespaces and filters of the host's kernel.
    Process,
    /// A kernel of its own under KVM.
    Microvm,
    /// Attested hardware.
    Tee,
}

pub(crate) fn run(mut arguments: Arguments, app: &App) -> Result<Exit, Failure> {
    let path = path(&mut arguments)?;
    let recipients: Vec<PublicKey> =
        arguments.recipients.iter().map(|key| keyfile::read_recipient(key)).collect::<Result<_, _>>()?;
    match arguments.model.clone() {
        Some(id) => package(&arguments, &id, &path, &recipients, app),
        None => age_file(&arguments, &path, &recipients, app),
    }
}

/// The file to seal. `--recipient` takes several values, so that a path right after them was taken for one.
fn path(arguments: &mut Arguments) -> Result<PathBuf, Failure> {
    if let Some(path) = arguments.path.take() {
        return Ok(path);
    }
    let last = if arguments.recipients.len() > 1 { arguments.recipients.pop() } else { None };
    last.map(PathBuf::from).ok_or_else(|| {
        Failure::usage("no file to seal is named", "name it last: hotcell seal --recipient KEY --output FILE PATH")
    })
}

fn age_file(arguments: &Arguments, path: &Path, recipients: &[PublicKey], app: &App) -> Result<Exit, Failure> {
    let from = Source::open(path, "sealing", app.json)?;
    let mut to = NewFile::create(&arguments.output, SEALED_MODE, arguments.force)?;
    let bytes = age_seal::seal(recipients, from, &mut to)?;
    to.publish()?;
    match app.json {
        true => print::json(&json!({
            "form": "age",
            "output": arguments.output.display().to_string(),
            "plain_bytes": bytes,
            "recipients": texts(recipients),
        }))?,
        false => {
            let output = print::theirs(arguments.output.display());
            writeln!(print::out(), "{output}: {bytes} bytes sealed to {}", people(recipients))?;
        }
    }
    Ok(Exit::Yes)
}

fn package(arguments: &Arguments, id: &str, path: &Path, recipients: &[PublicKey], app: &App) -> Result<Exit, Failure> {
    let (Some(version), Some(sign)) = (arguments.model_version, &arguments.sign) else {
        return Err(Failure::usage("a model needs a version and a signature", "add --model-version N --sign KEYFILE"));
    };
    let vendor = keyfile::read_signing(sign)?;
    let from = Source::open(path, "sealing", app.json)?;
    let (Some(file_bytes), Some(file_name)) = (from.bytes(), path.file_name().and_then(|name| name.to_str())) else {
        return Err(Failure::usage(
            "a model cannot be sealed from a stream",
            "name a file: its size and its name stand in the package",
        ));
    };
    let terms = terms(arguments);
    let spec = SealSpec { model_id: id, version, file_name, file_bytes, terms, recipients, vendor: &vendor };
    let mut to = NewFile::create(&arguments.output, SEALED_MODE, arguments.force)?;
    let report = seal_model(from, &mut to, &spec)?;
    to.publish()?;
    match app.json {
        true => print::json(&json!({
            "form": "package",
            "output": arguments.output.display().to_string(),
            "model": id,
            "version": version,
            "digest": report.digest,
            "bytes": report.bytes,
            "plain_bytes": file_bytes,
            "vendor": vendor.verifying().to_string(),
            "recipients": texts(recipients),
            "terms": spec.terms,
        }))?,
        false => {
            let output = print::theirs(arguments.output.display());
            let mut to = print::out();
            writeln!(to, "{output}: model {} version {version}, sealed to {}", print::theirs(id), people(recipients))?;
            writeln!(to, "package {}, signed by {}", report.digest, vendor.verifying())?;
        }
    }
    Ok(Exit::Yes)
}

fn terms(arguments: &Arguments) -> Terms {
    Terms {
        runners: match arguments.allow_runners.as_slice() {
            [] => Runners::BuiltinOnly,
            digests => Runners::Digests(digests.to_vec()),
        },
        custody: match arguments.custody {
            Some(CustodyTerm::Service) => Custody::Service,
            Some(CustodyTerm::Any) | None => Custody::Any,
        },
        isolation: match arguments.isolation {
            Some(IsolationTerm::Tee) => Isolation::Tee,
            Some(IsolationTerm::Microvm) => Isolation::Microvm,
            Some(IsolationTerm::Process) | None => Isolation::Process,
        },
        expires: arguments.expires,
        output_schema: arguments.output_schema,
    }
}

fn texts(recipients: &[PublicKey]) -> Vec<String> {
    recipients.iter().map(ToString::to_string).collect()
}

fn people(recipients: &[PublicKey]) -> String {
    match recipients.len() {
        1 => "1 recipient".to_owned(),
        count => format!("{count} recipients"),
    }
}

/// What is sealed may be handed on: an ordinary file, less the umask.
const SEALED_MODE: u32 = 0o666;
