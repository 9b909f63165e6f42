//! `hotcell policy learn`: rules of what was done.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use hotcell_policy::learn;
use hotcell_types::{Exit, Timestamp};
use serde_json::json;

use super::{folder, history, write};
use crate::app::App;
use crate::date;
use crate::failure::Failure;
use crate::print::{self, theirs};

/// Of what, and where to.
#[derive(Debug, Args)]
pub(crate) struct Learn {
    /// Folder for the policy; it must not exist.
    #[arg(long, value_name = "FOLDER")]
    output: PathBuf,
    /// Only tasks from this date on (RFC 3339, as 2027-01-31 or 2027-01-31T12:00:00Z). Default: from the
    /// beginning.
    #[arg(long, value_name = "DATE", value_parser = date::parse)]
    since: Option<Timestamp>,
}

pub(crate) fn run(arguments: &Learn, app: &App) -> Result<Exit, Failure> {
    let name = write::name(&arguments.output)?;
    let engine = folder::engine(None, &[], app)?;
    let history = history::read(arguments.since, app)?;
    if history.tasks.is_empty() {
        return Err(Failure::not_found(
            "the audit log holds no task to learn from",
            "run the tasks that the policy shall permit, then learn",
        ));
    }
    let files = learn(&engine, &history.tasks, &name);
    let rules = folder::tested(&files)?.rules();
    write::folder(&arguments.output, &files)?;
    let (tasks, unreadable) = (history.tasks.len(), history.unreadable);
    if app.json {
        let folder = arguments.output.display().to_string();
        print::json(&json!({ "folder": folder, "tasks": tasks, "unreadable": unreadable, "rules": rules }))?;
    } else {
        let mut to = print::out();
        writeln!(to, "{} rules, learnt from {tasks} tasks", rules.len())?;
        if unreadable > 0 {
            writeln!(to, "{unreadable} tasks cannot be read: erased, or recorded by an earlier version")?;
        }
        for rule in &rules {
            writeln!(to, "  {}: {}", theirs(&rule.id), theirs(&rule.reason))?;
        }
        let folder = theirs(arguments.output.display());
        writeln!(to, "read {folder}, then put it into force: hotcell policy install {folder}")?;
    }
    Ok(Exit::Yes)
}
