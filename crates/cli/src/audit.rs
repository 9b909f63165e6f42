//! `hotcell audit`: what happened, and whether the record of it is whole.

mod export;
mod witness;

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use hotcell_audit::personal::PersonalKeys;
use hotcell_audit::witness::{countersignature, read_anchors};
use hotcell_audit::{Durability, Entry, Events, Filter, Report, Snapshot, verify_against};
use hotcell_crypto::{VerifyingKey, keyfile};
use hotcell_types::{AuditLevel, Clock as _, Event, EventKind, Exit, Explain, TaskId, Timestamp};
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
    /// Prove that an entry is in the log, that the log extends what a witness saw, or a receipt anew.
    Prove(witness::Prove),
    /// Countersign the log of another machine, or keep what a witness countersigned.
    Witness(witness::Arguments),
    /// Append the last signed checkpoint to a file that is kept elsewhere, against which `audit verify` can hold the
    /// log.
    Anchor {
        /// The file; it is made if it is not there.
        file: PathBuf,
    },
    /// Hand events on, to a file, syslog or NATS. Personal particulars leave sealed, as they stand in the log.
    Export(export::Arguments),
    /// Drop what was made from the log to list tasks quickly, and make it again. Says whether it was the same.
    ///
    /// Exits with 1 when what was there said something else than the log.
    Rebuild,
    /// Destroy the keys of a tenant's personal particulars: in the log, and in all that was made from it, nobody can
    /// read them any more. The log still verifies.
    Erase {
        /// The tenant. Default: the local one.
        #[arg(long, value_name = "NAME", default_value = "local")]
        tenant: String,
        /// Only epochs up to this one; what is sealed later stays readable. Default: all.
        #[arg(long, value_name = "EPOCH")]
        up_to: Option<u64>,
        /// Destroy nothing: begin a new epoch, so that those before it can be erased by themselves later.
        #[arg(long, conflicts_with = "up_to")]
        begin: bool,
    },
    /// Verify the audit log: everything is computed again from its entries and held against what was signed.
    ///
    /// Exits with 0 when it is whole, 123 when it was altered or cut, naming the first bad entry where that can be
    /// known.
    Verify {
        /// The public key that the log must be signed by, or its file. Default: this machine's own,
        /// keys/signing.key.pub in the state folder.
        #[arg(long, value_name = "KEY_OR_FILE")]
        trust: Option<String>,
        /// A file with checkpoints that were kept elsewhere (by `audit anchor` or a witness): the log must extend each.
        /// May be repeated. Default: none.
        #[arg(long = "kept", value_name = "FILE")]
        kept: Vec<PathBuf>,
        /// The public key of a witness, or its file: the last checkpoint that was kept must be countersigned by it.
        #[arg(long, value_name = "KEY_OR_FILE", requires = "kept")]
        witness: Option<String>,
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
    /// Only events before this date. Default: to the end.
    #[arg(long, value_name = "DATE", value_parser = date::parse)]
    until: Option<Timestamp>,
    /// Only events that are recorded up to this level: normal (what every task leaves), high (what was read and written,
    /// too) or very-high. Which of them a task leaves is up to the policy. Default: all.
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    level: Option<AuditLevel>,
    /// Only events of this principal, as `local:1000`. Found as long as its key was not destroyed. Default: of
    /// everybody.
    #[arg(long, value_name = "NAME")]
    principal: Option<String>,
}

impl Show {
    fn filter(&self, app: &App) -> Result<Filter, Failure> {
        let kinds = (!self.kinds.is_empty()).then(|| self.kinds.clone());
        let principals = match &self.principal {
            None => None,
            Some(name) => {
                let mut ids = keys(app).ids(hotcell_audit::fold::LOCAL, "principal", name)?;
                // Logs of earlier versions name it plainly.
                ids.push(name.clone());
                Some(ids)
            }
        };
        Ok(Filter { task: self.task, kinds, since: self.since, until: self.until, level: self.level, principals })
    }
}

/// The keys of personal particulars of this state folder.
pub(crate) fn keys(app: &App) -> PersonalKeys {
    PersonalKeys::of(&hotcell_task::personal_keys(&app.state))
}

pub(crate) fn run(arguments: &Arguments, app: &App) -> Result<Exit, Failure> {
    match &arguments.command {
        Command::Show(arguments) => show(arguments, app),
        Command::Verify { trust, kept, witness } => check(trust.as_deref(), kept, witness.as_deref(), app),
        Command::Prove(arguments) => witness::prove(arguments, app),
        Command::Witness(arguments) => witness::run(arguments, app),
        Command::Anchor { file } => witness::anchor(file, app),
        Command::Export(arguments) => export::run(arguments, app),
        Command::Rebuild => rebuild(app),
        Command::Erase { tenant, up_to, begin } => erase(tenant, *up_to, *begin, app),
    }
}

fn show(arguments: &Show, app: &App) -> Result<Exit, Failure> {
    let filter = arguments.filter(app)?;
    let keys = keys(app);
    let events = Events::open(&folder(app)?, filter)?;
    let events = events.map(|entry| -> Shown {
        let mut entry = entry.map_err(|error| Box::new(error) as Box<dyn Explain + Send + Sync>)?;
        let revealed = keys.reveal(&mut entry.event);
        revealed.map_err(|error| Box::new(error) as Box<dyn Explain + Send + Sync>)?;
        Ok(entry)
    });
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

/// An entry with its particulars as far as their keys are there.
type Shown = Result<Entry, Box<dyn Explain + Send + Sync>>;

fn as_lines(events: impl Iterator<Item = Shown>, to: &mut dyn Write) -> Result<Exit, Failure> {
    for entry in events {
        let entry = entry.inspect_err(|_| {
            // What was read before the damage is shown before the error.
            let _ = to.flush();
        });
        let Entry { index, event } = entry.map_err(Failure::Explained)?;
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
fn as_json(events: impl Iterator<Item = Shown>, to: &mut dyn Write) -> Result<Exit, Failure> {
    let mut exit = Exit::Yes;
    let mut separator = "[";
    for entry in events {
        let value = match entry {
            Ok(Entry { index, event }) => json!({ "index": index, "event": event }),
            Err(error) => {
                exit = error.exit();
                failure::as_json(error.as_ref())
            }
        };
        write!(to, "{separator}\n  {value}")?;
        separator = ",";
    }
    writeln!(to, "{}", if separator == "[" { "[]" } else { "\n]" })?;
    Ok(exit)
}

fn check(trust: Option<&str>, kept: &[PathBuf], witness: Option<&str>, app: &App) -> Result<Exit, Failure> {
    let folder = folder(app)?;
    let key = match trust {
        Some(trust) => keyfile::read_verifying(trust)?,
        None => own_key(app)?,
    };
    let mut checkpoints = Vec::new();
    for path in kept {
        checkpoints.append(&mut read_anchors(path)?);
    }
    let report = verify_against(&folder, &key, &checkpoints)?;
    let mut witnessed = "unwitnessed".to_owned();
    if let Some(witness) = witness {
        let witness = keyfile::read_verifying(witness)?;
        let last = checkpoints.iter().max_by_key(|checkpoint| checkpoint.head().size);
        let seen = last.map(|last| countersignature(last, &key, &witness)).transpose()?;
        if let Some(seen) = seen {
            witnessed = format!("witnessed by {} at {}", seen.witness, seen.time);
        }
    }
    match app.json {
        true => print::json(&json!({
            "origin": report.origin.to_string(),
            "entries": report.entries,
            "root": report.root,
            "signed_entries": report.signed.size,
            "torn_bytes": report.torn_bytes,
            "clock_went_back": report.clock_went_back,
            "kept_entries": report.kept,
            "witnessed": witnessed,
            "key": key.to_string(),
            "own_key": trust.is_none(),
        }))?,
        false => tell(&report, &witnessed, &key, trust.is_none())?,
    }
    Ok(Exit::Yes)
}

fn erase(tenant: &str, up_to: Option<u64>, begin: bool, app: &App) -> Result<Exit, Failure> {
    folder(app)?;
    let keys = keys(app);
    if begin {
        let epoch = keys.rotate(tenant)?;
        match app.json {
            true => print::json(&json!({ "tenant": tenant, "epoch": epoch }))?,
            false => writeln!(print::out(), "epoch {epoch} of the tenant {} has begun", theirs(tenant))?,
        }
        return Ok(Exit::Yes);
    }
    // The intent first: a log that says so and keys that are still there are better than the other way round.
    let doomed: Vec<_> =
        keys.epochs(tenant)?.into_iter().filter(|epoch| up_to.is_none_or(|last| *epoch <= last)).collect();
    if !doomed.is_empty() {
        let log = hotcell_task::open_log(&app.state, env!("CARGO_PKG_VERSION"), app.clock.now())?;
        let event =
            Event { time: app.clock.now(), task: None, kind: EventKind::PersonalErased, data: Default::default() };
        let event = event.with("tenant", tenant).with("epochs", doomed);
        log.append(&[event], Durability::Durable)?;
    }
    let epochs = keys.destroy(tenant, up_to)?;
    match app.json {
        true => print::json(&json!({ "tenant": tenant, "erased_epochs": epochs }))?,
        false => writeln!(
            print::out(),
            "{} keys of the tenant {} were destroyed: what they sealed cannot be read any more",
            epochs.len(),
            theirs(tenant)
        )?,
    }
    Ok(Exit::Yes)
}

fn rebuild(app: &App) -> Result<Exit, Failure> {
    let (snapshot, same) = Snapshot::rebuild(&folder(app)?)?;
    let (events, tasks) = (snapshot.place.index, snapshot.states.tasks.len());
    match app.json {
        true => print::json(&json!({ "events": events, "tasks": tasks, "same": same }))?,
        false => {
            let mut to = print::out();
            writeln!(to, "{tasks} tasks were made from {events} events")?;
            match same {
                Some(true) => writeln!(to, "what was there said the same")?,
                Some(false) => writeln!(to, "what was there said something else: it was replaced")?,
                None => writeln!(to, "there was nothing to compare it with")?,
            }
        }
    }
    Ok(if same == Some(false) { Exit::No } else { Exit::Yes })
}

fn tell(report: &Report, witnessed: &str, key: &VerifyingKey, own: bool) -> io::Result<()> {
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
        writeln!(to, "the host's clock was set back {times} times; the order of the entries is that of their writing")?;
    }
    if own {
        writeln!(to, "that key is this machine's own: whoever holds it could have written all of this anew;")?;
        writeln!(to, "to check against a key that you kept elsewhere, add --trust KEY")?;
    }
    if report.kept > 0 {
        writeln!(to, "it extends the checkpoint over {} entries that was kept elsewhere", report.kept)?;
    }
    match witnessed {
        "unwitnessed" => writeln!(to, "unwitnessed: only receipts handed out tell whether this is an older copy"),
        by => writeln!(to, "{}", theirs(by)),
    }
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

fn level(text: &str) -> Result<AuditLevel, String> {
    serde_json::from_value(Value::from(text)).map_err(|error| error.to_string())
}

/// The kind's name in the log.
fn kind_text(kind: EventKind) -> String {
    serde_json::to_value(kind).ok().and_then(|kind| kind.as_str().map(str::to_owned)).unwrap_or_default()
}
