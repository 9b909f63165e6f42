//! `hotcell audit prove | witness | anchor`: what others can hold the log against.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use hotcell_audit::receipt::renew;
use hotcell_audit::witness::{MAX_REQUEST_BYTES, Request, Witness, countersignature, keep, kept};
use hotcell_audit::{Checkpoint, Log, Origin};
use hotcell_crypto::keyfile;
use hotcell_types::{Clock as _, Exit, TaskId};
use serde_json::json;

use super::folder;
use crate::app::App;
use crate::failure::Failure;
use crate::print::{self, theirs};

/// What is to be proven.
#[derive(Debug, Args)]
pub(crate) struct Prove {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// That an entry is in the log: prints a C2SP tlog-proof with the last signed checkpoint, or with the last one that
    /// a witness countersigned.
    Entry {
        /// Index of the entry, as `audit show` tells it.
        index: u64,
        /// Prove from the checkpoint that a witness countersigned last.
        #[arg(long)]
        witnessed: bool,
    },
    /// That the log extends what a witness saw: prints the request to the witness (C2SP tlog-witness).
    Consistency {
        /// How many entries the witness saw. Default: as many as were countersigned last.
        #[arg(long, value_name = "ENTRIES")]
        since: Option<u64>,
    },
    /// A receipt anew, from the checkpoint that a witness countersigned last: prints the receipt.
    Receipt {
        /// The task.
        task: TaskId,
    },
}

/// Countersign, or keep what was countersigned.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// On the witness: countersign the checkpoint of a request, if it extends the last one that was seen of that log.
    /// Prints the countersigned checkpoint.
    ///
    /// Exits with 123 when entries were cut off or rewritten, 1 when the request begins elsewhere than at what was
    /// seen last.
    Sign {
        /// The request, from `audit prove consistency`; `-` is standard input.
        request: PathBuf,
        /// The public key of the log, or its file.
        #[arg(long, value_name = "KEY_OR_FILE")]
        trust: String,
        /// The name under which this machine signs, as `witness.example.org`. Default: one made from its key.
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
    },
    /// On the log's machine: keep a countersigned checkpoint, for receipts and proofs.
    Add {
        /// The countersigned checkpoint; `-` is standard input.
        checkpoint: PathBuf,
        /// The public key of the witness, or its file.
        #[arg(long, value_name = "KEY_OR_FILE")]
        trust: String,
    },
}

pub(crate) fn prove(arguments: &Prove, app: &App) -> Result<Exit, Failure> {
    let folder = folder(app)?;
    let log = open(app)?;
    let text = match &arguments.what {
        What::Entry { index, witnessed } => {
            let checkpoint = if *witnessed { countersigned(&folder)? } else { log.last_checkpoint()? };
            log.prove_entry(*index, &checkpoint)?
        }
        What::Consistency { since } => {
            let seen = match since {
                Some(since) => *since,
                None => kept(&folder)?.map_or(0, |checkpoint| checkpoint.head().size),
            };
            log.request(seen)?.text()
        }
        What::Receipt { task } => {
            let receipt = hotcell_task::read_receipt(&app.state, *task)?;
            let renewed = renew(&receipt, &log, &countersigned(&folder)?)?;
            // A receipt is JSON already.
            io::stdout().lock().write_all(renewed.as_bytes())?;
            return Ok(Exit::Yes);
        }
    };
    tell("proof", &text, app)
}

pub(crate) fn run(arguments: &Arguments, app: &App) -> Result<Exit, Failure> {
    match &arguments.command {
        Command::Sign { request, trust, name } => sign(request, trust, name.as_deref(), app),
        Command::Add { checkpoint, trust } => add(checkpoint, trust, app),
    }
}

pub(crate) fn anchor(file: &Path, app: &App) -> Result<Exit, Failure> {
    folder(app)?;
    let checkpoint = open(app)?.last_checkpoint()?;
    hotcell_audit::witness::anchor(file, &checkpoint)?;
    let size = checkpoint.head().size;
    match app.json {
        true => print::json(&json!({ "entries": size, "file": file }))?,
        false => writeln!(print::out(), "the checkpoint over {size} entries is in `{}`", theirs(file.display()))?,
    }
    Ok(Exit::Yes)
}

fn sign(request: &Path, trust: &str, name: Option<&str>, app: &App) -> Result<Exit, Failure> {
    let log_key = keyfile::read_verifying(trust)?;
    let request = Request::parse(&read(request)?)?;
    let key = hotcell_task::read_or_create_signing_key(&app.state, app.clock.now())?;
    let own = || format!("hotcell.local/witness-{}", key.verifying().key_id());
    let name = Origin::parse(&name.map_or_else(own, str::to_owned))?;
    let witness = Witness::new(name, key, &app.state.join("witness"));
    let signed = witness.countersign(&request, &log_key, app.clock.now())?;
    tell("checkpoint", signed.text(), app)
}

fn add(checkpoint: &Path, trust: &str, app: &App) -> Result<Exit, Failure> {
    let folder = folder(app)?;
    let checkpoint: Checkpoint = read(checkpoint)?.parse()?;
    let log_key = super::own_key(app)?;
    let seen = countersignature(&checkpoint, &log_key, &keyfile::read_verifying(trust)?)?;
    keep(&folder, &checkpoint)?;
    let size = checkpoint.head().size;
    match app.json {
        true => print::json(&json!({ "entries": size, "witness": seen.witness, "time": seen.time.to_string() }))?,
        false => writeln!(print::out(), "{} countersigned the first {size} entries", theirs(&seen.witness))?,
    }
    Ok(Exit::Yes)
}

fn tell(name: &str, text: &str, app: &App) -> Result<Exit, Failure> {
    match app.json {
        true => print::json(&json!({ name: text }))?,
        // To the byte: it is for programs.
        false => io::stdout().lock().write_all(text.as_bytes())?,
    }
    Ok(Exit::Yes)
}

fn open(app: &App) -> Result<Log, Failure> {
    Ok(hotcell_task::open_log(&app.state, env!("CARGO_PKG_VERSION"), app.clock.now())?)
}

fn countersigned(folder: &Path) -> Result<Checkpoint, Failure> {
    kept(folder)?.ok_or_else(|| {
        Failure::not_found(
            "no witness has countersigned this log",
            "ask one: hotcell audit prove consistency here, audit witness sign there, audit witness add here",
        )
    })
}

/// A short file, or standard input.
fn read(path: &Path) -> Result<String, Failure> {
    let most = MAX_REQUEST_BYTES as u64 + 1;
    let mut text = String::new();
    match path == Path::new("-") {
        true => io::stdin().lock().take(most).read_to_string(&mut text),
        false => File::open(path).and_then(|file| file.take(most).read_to_string(&mut text)),
    }
    .map_err(|source| Failure::file("read", path, source))?;
    Ok(text)
}
