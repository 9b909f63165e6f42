//! `hotcell ps`, `show`, `logs`: tasks that run and tasks that ran.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, IsTerminal, Write};

use clap::Args;
use hotcell_audit::{Events, Filter};
use hotcell_inspect::Neutralizer;
use hotcell_task::{TaskFolder, read_receipt, running_tasks};
use hotcell_types::{EventKind, Exit, TaskId, Timestamp};
use serde::Serialize;

use crate::app::App;
use crate::failure::Failure;
use crate::print;

/// List the tasks that run.
#[derive(Debug, Args)]
pub(crate) struct Ps {
    /// List those that are over as well, as the audit log tells them.
    #[arg(long)]
    all: bool,
}

/// Show what is known of a task: its receipt, or how far it came.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The task.
    task: TaskId,
}

/// Print what a task wrote to its standard streams, as far as it was let out.
#[derive(Debug, Args)]
pub(crate) struct Logs {
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
        writeln!(to, "{}  {}  {:<28}  {}", line.task, line.submitted, line.state, line.what.escape_debug())?;
    }
    Ok(Exit::Yes)
}

/// The tasks of the log, each with what its last event says.
fn ended(app: &App) -> Result<BTreeMap<TaskId, Line>, Failure> {
    let mut lines: BTreeMap<TaskId, Line> = BTreeMap::new();
    if !app.state.join("log").exists() {
        return Ok(lines);
    }
    for entry in Events::open(&app.state.join("log"), Filter::default())? {
        let event = entry?.event;
        let Some(task) = event.task else { continue };
        let text = |name: &str| event.data.get(name).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
        let state = match event.kind {
            EventKind::TaskSubmitted => {
                let line = Line { task, submitted: event.time, state: "not finished".into(), what: text("workload") };
                lines.insert(task, line);
                continue;
            }
            EventKind::GrantDenied => format!("denied {}", text("code")),
            EventKind::TaskFailed => format!("failed {}", text("code")),
            EventKind::TaskInterrupted => "interrupted".to_owned(),
            EventKind::SandboxDestroyed => text("outcome"),
            _ => continue,
        };
        if let Some(line) = lines.get_mut(&task) {
            line.state = state;
        }
    }
    Ok(lines)
}

pub(crate) fn show(arguments: &Show, app: &App) -> Result<Exit, Failure> {
    let task = arguments.task;
    if TaskFolder::of(&app.state, task).receipt().exists() {
        let bytes = read_receipt(&app.state, task)?;
        return crate::receipt::show(&bytes, app);
    }
    let filter = Filter { task: Some(task), ..Filter::default() };
    let mut events = Vec::new();
    if app.state.join("log").exists() {
        for entry in Events::open(&app.state.join("log"), filter)? {
            events.push(entry?.event);
        }
    }
    if events.is_empty() {
        return Err(Failure::not_found(
            format!("no task `{task}` in `{}`", app.state.display()),
            "list the tasks with `hotcell ps --all`; name another state folder with --state DIR",
        ));
    }
    if app.json {
        print::json(&events)?;
        return Ok(Exit::Yes);
    }
    let mut to = print::out();
    for event in events {
        let kind = serde_json::to_value(event.kind).ok();
        let kind = kind.as_ref().and_then(|kind| kind.as_str()).unwrap_or_default();
        writeln!(to, "{}  {kind:<20} {}", event.time, serde_json::to_string(&event.data).unwrap_or_default())?;
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
