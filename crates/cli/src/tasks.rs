//! `hotcell ps`, `show`, `logs`: tasks that run and tasks that ran.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use clap::Args;
use hotcell_audit::fold::{Stage, Task};
use hotcell_audit::personal::PersonalKeys;
use hotcell_audit::{Events, Filter, Snapshot};
use hotcell_inspect::Neutralizer;
use hotcell_task::{TaskFolder, cancel_task, read_receipt, running_tasks};
use hotcell_types::{Event, Exit, ReceiptBody, TaskId, Timestamp};
use serde::Serialize;
use serde_json::Value;

use crate::app::App;
use crate::failure::Failure;
use crate::{audit, pool, print, receipt};

/// List the tasks that run, and the pool.
#[derive(Debug, Args)]
pub(crate) struct Ps {
    /// List those that are over as well, as the audit log tells them.
    #[arg(long)]
    all: bool,
}

/// Show what is known of a task: its receipt, checked with this machine's key, and every event on its way.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The task.
    task: TaskId,
    /// Write the receipt as a page of A4 paper as well; `-` is standard output, in place of the text.
    #[arg(long, value_name = "PAGE")]
    html: Option<PathBuf>,
}

/// Print what a task wrote to its standard streams, as far as it was let out.
#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// The task.
    task: TaskId,
}

/// End a task that runs, in order: its processes are killed, everything is destroyed, and the receipt says so.
#[derive(Debug, Args)]
pub(crate) struct Cancel {
    /// The task.
    task: TaskId,
}

/// One line of `ps`.
#[derive(Debug, Serialize)]
struct Line {
    task: TaskId,
    submitted: Timestamp,
    state: String,
    what: String,
}

pub(crate) fn ps(arguments: &Ps, app: &App) -> Result<Exit, Failure> {
    let mut lines = BTreeMap::new();
    if arguments.all {
        lines = ended(app)?;
    }
    for running in running_tasks(&app.state)? {
        let line = Line {
            task: running.task,
            submitted: running.submitted,
            state: format!("running, process {}", running.process),
            what: running.what,
        };
        lines.insert(running.task, line);
    }
    let mut lines: Vec<_> = lines.into_values().collect();
    lines.sort_by_key(|line| line.submitted);
    if app.json {
        print::json(&lines)?;
        return Ok(Exit::Yes);
    }
    let mut to = print::out();
    for line in lines {
        writeln!(
            to,
            "{}  {}  {:<28}  {}",
            line.task,
            line.submitted,
            print::plain_line(&line.state),
            print::theirs(&line.what)
        )?;
    }
    if let Some(pool) = pool::Told::line(&app.state) {
        writeln!(to, "{pool}")?;
    }
    Ok(Exit::Yes)
}

/// The tasks of the log, each as its events say.
fn ended(app: &App) -> Result<BTreeMap<TaskId, Line>, Failure> {
    if !app.state.join("log").exists() {
        return Ok(BTreeMap::new());
    }
    let keys = audit::keys(app);
    let tasks = Snapshot::current(&app.state.join("log"))?.states.tasks;
    tasks.into_iter().map(|(id, task)| Ok((id, line(id, &task, &keys)?))).collect()
}

fn line(id: TaskId, task: &Task, keys: &PersonalKeys) -> Result<Line, Failure> {
    let what = match task.what.as_str() {
        Some(plain) => plain.to_owned(),
        None => keys.opened(&task.what)?.unwrap_or_else(|| "(erased)".to_owned()),
    };
    let state = match task.stage {
        Stage::Denied | Stage::Failed => format!("{} {}", task.stage.label(), task.outcome),
        Stage::Destroyed | Stage::Finished => task.outcome.clone(),
        Stage::Interrupted => task.stage.label().to_owned(),
        Stage::Submitted | Stage::Granted | Stage::Running | Stage::Ended => "not finished".to_owned(),
    };
    Ok(Line { task: id, submitted: task.submitted, state, what })
}

pub(crate) fn show(arguments: &Show, app: &App) -> Result<Exit, Failure> {
    let task = arguments.task;
    let events = events_of(task, app)?;
    let receipt = match TaskFolder::of(&app.state, task).receipt().exists() {
        true => Some(receipt::own(&read_receipt(&app.state, task)?, app)?),
        false => None,
    };
    if events.is_empty() && receipt.is_none() {
        return Err(Failure::not_found(
            format!("no task `{task}` in `{}`", app.state.display()),
            "list the tasks with `hotcell ps --all`; name another state folder with --state DIR",
        ));
    }
    match (&receipt, &arguments.html) {
        (None, Some(_)) => Err(Failure::not_found(
            format!("the task `{task}` has no receipt, of which a page could be made"),
            "look at its events: hotcell show without --html",
        )),
        (Some(verified), Some(html)) => {
            receipt::tell(verified, true, Some(html), app)?;
            Ok(Exit::Yes)
        }
        (Some(verified), None) if app.json => {
            let mut value = receipt::as_json(verified, true);
            if let Some(fields) = value.as_object_mut() {
                fields.insert("events".to_owned(), serde_json::to_value(&events).unwrap_or_default());
            }
            print::json(&value)?;
            Ok(Exit::Yes)
        }
        (None, None) if app.json => {
            print::json(&events)?;
            Ok(Exit::Yes)
        }
        (receipt, None) => {
            if let Some(verified) = receipt {
                receipt::tell(verified, true, None, app)?;
                writeln!(print::out())?;
                tell_egress(&verified.body)?;
            }
            tell_events(&events)?;
            Ok(Exit::Yes)
        }
    }
}

/// What the log says of a task, in order.
fn events_of(task: TaskId, app: &App) -> Result<Vec<Event>, Failure> {
    let mut events = Vec::new();
    let keys = audit::keys(app);
    if app.state.join("log").exists() {
        let filter = Filter { task: Some(task), ..Filter::default() };
        for entry in Events::open(&app.state.join("log"), filter)? {
            let mut event = entry?.event;
            keys.reveal(&mut event)?;
            events.push(event);
        }
    }
    Ok(events)
}

/// What went over the network, a row for each host that it might reach; nothing where there was none.
fn tell_egress(body: &ReceiptBody) -> io::Result<()> {
    let Some(egress) = &body.egress else { return Ok(()) };
    let mut table = print::table(&["host", "form", "requests", "bytes out", "bytes in", "refused"]);
    for host in &egress.hosts {
        let form = if host.requests_limited { "opened, limited" } else { host.form.as_str() };
        let counts = [host.requests, host.bytes_out, host.bytes_in, host.refused];
        let counts = counts.iter().map(u64::to_string);
        table.add_row([print::theirs(&host.host), form.to_owned()].into_iter().chain(counts));
    }
    writeln!(print::out(), "{table}\n")
}

/// The way of a task, a line for each event: how long after the first, what, and what is known of it.
fn tell_events(events: &[Event]) -> io::Result<()> {
    let mut to = print::out();
    let Timestamp(first) = events.first().map_or(Timestamp(0), |event| event.time);
    for event in events {
        let kind = serde_json::to_value(event.kind).ok();
        let kind = kind.as_ref().and_then(|kind| kind.as_str()).unwrap_or_default();
        let data: Vec<_> = event.data.iter().map(|(name, value)| format!("{name}: {}", brief(value))).collect();
        let after = event.time.0.saturating_sub(first);
        writeln!(to, "{} {after:>8} ms  {kind:<20} {}", event.time, print::theirs(data.join(", ")))?;
    }
    Ok(())
}

/// A value of an event, without the marks of JSON.
fn brief(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(brief).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

/// Asks, and waits until the task is over.
pub(crate) fn cancel(arguments: &Cancel, app: &App) -> Result<Exit, Failure> {
    let task = arguments.task;
    if !cancel_task(&app.state, task)? {
        return Err(Failure::not_found(
            format!("no task `{task}` runs in `{}`", app.state.display()),
            "list the tasks that run with `hotcell ps`; name another state folder with --state DIR",
        ));
    }
    // It may have ended by itself in the meantime: the log has the truth.
    let state = ended(app)?.remove(&task).map(|line| line.state).unwrap_or_default();
    match app.json {
        true => print::json(&serde_json::json!({ "task": task, "state": state }))?,
        false => writeln!(print::out(), "{task}: {}", print::plain_line(&state))?,
    }
    Ok(Exit::Yes)
}

pub(crate) fn logs(arguments: &Logs, app: &App) -> Result<Exit, Failure> {
    let folder = TaskFolder::of(&app.state, arguments.task);
    if !folder.receipt().exists() {
        return Err(Failure::not_found(
            format!("no finished task `{}` in `{}`", arguments.task, app.state.display()),
            "list the tasks with `hotcell ps --all`; name another state folder with --state DIR",
        ));
    }
    let read = |name: &str| match fs::read(folder.stream(name)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other.map_err(|source| Failure::file("read", &folder.stream(name), source)),
    };
    let (stdout, stderr) = (read("stdout")?, read("stderr")?);
    if app.json {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        print::json(&serde_json::json!({ "stdout": text(&stdout), "stderr": text(&stderr) }))?;
        return Ok(Exit::Yes);
    }
    io::stdout().lock().write_all(&shown(stdout, io::stdout().is_terminal()))?;
    io::stderr().lock().write_all(&shown(stderr, io::stderr().is_terminal()))?;
    Ok(Exit::Yes)
}

/// On a terminal, without control sequences.
fn shown(bytes: Vec<u8>, is_terminal: bool) -> Vec<u8> {
    if !is_terminal {
        return bytes;
    }
    let (mut neutralizer, mut text) = (Neutralizer::new(), Vec::new());
    neutralizer.push(&bytes, &mut text);
    neutralizer.finish(&mut text);
    text
}
