//! `hotcell audit`: what happened, and whether the record of it is whole.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use hotcell_audit::{Entry, Events, Filter, Report, verify};
use hotcell_crypto::{VerifyingKey, keyfile};
use hotcell_types::{EventKind, Exit, TaskId, Timestamp};
use serde_json::{Value, json};

use crate::app::App;
use crate::date;
use crate::failure::{self, Failure};
use crate::print::{self, theirs};

/// Show and verify the audit log.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the events of the audit log, oldest first.
    ///
    /// With --json, prints an array of objects with `index` and `event`.
    Show(Show),
    /// Verify the audit log: everything is computed again from its entries and held against what was signed.
    ///
    /// Exits with 0 when it is whole, 123 when it was altered or cut, naming the first bad entry where that can be
    /// known.
    Verify {
        /// The public key that the log must be signed by, or its file. Default: this machine's own,
        /// keys/signing.key.pub in the state folder.
        #[arg(long, value_name = "KEY_OR_FILE")]
        trust: Option<String>,
    },
}

/// Which events are shown.
#[derive(Debug, Args)]
struct Show {
    /// Only events of this task. Default: of all tasks.
    #[arg(long, value_name = "ID")]
    task: Option<TaskId>,
    /// Only events of this kind, as task-submitted or output-refused. May be repeated. Default: of every kind.
    #[arg(long = "kind", value_name = "KIND", value_parser = kind)]
    kinds: Vec<EventKind>,
    /// Only events from this date on (RFC 3339, as 2027-01-31 or 2027-01-31T12:00:00Z). Default: from the
    /// beginning.
    #[arg(long, value_name = "DATE", value_parser = date::parse)]
    since: Option<Timestamp>,
}

pub(crate) fn run(arguments: &Arguments, app: &App) -> Result<Exit, Failure> {
    match &arguments.command {
        Command::Show(arguments) => show(arguments, app),
        Command::Verify { trust } => check(trust.as_deref(), app),
    }
}

fn show(arguments: &Show, app: &App) -> Result<Exit, Failure> {
    let kinds = (!arguments.kinds.is_empty()).then(|| arguments.kinds.clone());
    let filter = Filter { task: arguments.task, kinds, since: arguments.since };
    let events = Events::open(&folder(app)?, filter)?;
    match app.json {
        true => {
            let mut to = BufWriter::new(io::stdout().lock());
            let exit = as_json(events, &mut to)?;
            to.flush()?;
            Ok(exit)
        }
        false => as_lines(events, &mut print::out()),
    }
}

fn as_lines(events: Events, to: &mut dyn Write) -> Result<Exit, Failure> {
    for entry in events {
        let Entry { index, event } = entry.inspect_err(|_| {
            // What was read before the damage is shown before the error.
            let _ = to.flush();
        })?;
        let task = event.task.map_or_else(|| "-".to_owned(), |task| task.to_string());
        write!(to, "{index:>6}  {}  {:<18}  {task:<20}", event.time, kind_text(event.kind))?;
        for (name, value) in &event.data {
            write!(to, " {}", theirs(format!("{name}={value}")))?;
        }
        writeln!(to)?;
    }
    Ok(Exit::Yes)
}

/// An array, one entry after the other, in constant memory. Damage is told by its last element.
fn as_json(events: Events, to: &mut dyn Write) -> Result<Exit, Failure> {
    let mut exit = Exit::Yes;
    let mut separator = "[";
    for entry in events {
        let value = match entry {
            Ok(Entry { index, event }) => json!({ "index": index, "event": event }),
            Err(error) => {
                exit = hotcell_types::Explain::exit(&error);
                failure::as_json(&error)
            }
        };
        write!(to, "{separator}\n  {value}")?;
        separator = ",";
    }
    writeln!(to, "{}", if separator == "[" { "[]" } else { "\n]" })?;
    Ok(exit)
}

fn check(trust: Option<&str>, app: &App) -> Result<Exit, Failure> {
    let folder = folder(app)?;
    let key = match trust {
        Some(trust) => keyfile::read_verifying(trust)?,
        None => own_key(app)?,
    };
    let report = verify(&folder, &key)?;
    match app.json {
        true => print::json(&json!({
            "origin": report.origin.to_string(),
            "entries": report.entries,
            "root": report.root,
            "signed_entries": report.signed.size,
            "torn_bytes": report.torn_bytes,
            "clock_went_back": report.clock_went_back,
            "witnessed": report.witnessed,
            "key": key.to_string(),
            "own_key": trust.is_none(),
        }))?,
        false => tell(&report, &key, trust.is_none())?,
    }
    Ok(Exit::Yes)
}

fn tell(report: &Report, key: &VerifyingKey, own: bool) -> io::Result<()> {
    let mut to = print::out();
    writeln!(to, "the log {} is whole: {} entries, root {}", theirs(&report.origin), report.entries, report.root)?;
    writeln!(to, "its checkpoint over {} entries is signed by {key}", report.signed.size)?;
    if report.entries > report.signed.size {
        writeln!(to, "{} entries after it are not signed yet", report.entries - report.signed.size)?;
    }
    if report.torn_bytes > 0 {
        writeln!(to, "{} bytes of an unfinished entry at the end count for nothing", report.torn_bytes)?;
    }
    if report.clock_went_back > 0 {
        let times = report.clock_went_back;
        writeln!(to, "the host's clock went back {times} times; the order of the entries is that of their writing")?;
    }
    if own {
        writeln!(to, "that key is this machine's own: whoever holds it could have written all of this anew;")?;
        writeln!(to, "to check against a key that you kept elsewhere, add --trust KEY")?;
    }
    writeln!(to, "{}: only receipts handed out tell whether this is an older copy", report.witnessed)
}

/// The folder of the log, if there is one.
fn folder(app: &App) -> Result<PathBuf, Failure> {
    let folder = app.state.join("log");
    match folder.is_dir() {
        true => Ok(folder),
        false => Err(Failure::not_found(
            format!("there is no audit log in `{}`", app.state.display()),
            "it begins with the first task; name another state folder with --state DIR",
        )),
    }
}

/// The public part of the key that signs the log and the receipts of this state folder.
pub(crate) fn own_key(app: &App) -> Result<VerifyingKey, Failure> {
    let path = app.state.join("keys/signing.key.pub");
    match (path.exists(), path.to_str()) {
        (true, Some(path)) => Ok(keyfile::read_verifying(path)?),
        _ => Err(Failure::not_found(
            format!("there is no signing key in `{}`", app.state.display()),
            "give the public key with --trust KEY, or name another state folder with --state DIR",
        )),
    }
}

fn kind(text: &str) -> Result<EventKind, String> {
    serde_json::from_value(Value::from(text)).map_err(|error| error.to_string())
}

/// The kind's name in the log.
fn kind_text(kind: EventKind) -> String {
    serde_json::to_value(kind).ok().and_then(|kind| kind.as_str().map(str::to_owned)).unwrap_or_default()
}
