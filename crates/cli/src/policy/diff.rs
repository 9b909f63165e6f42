//! `hotcell policy diff`: what another policy would answer otherwise.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use hotcell_policy::{Answer, Comparison, Difference, Outcome, compare_generated, compare_history};
use hotcell_types::{Exit, Timestamp};
use serde_json::json;

use super::{folder, history};
use crate::app::App;
use crate::date;
use crate::failure::Failure;
use crate::print::{self, theirs};

/// Which policies, and of which history.
#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// A policy folder or bundle; `-` is the policy in force.
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// A policy folder or bundle; `-` is the policy in force.
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// Public key of whoever signed a bundle, or its file.
    #[arg(long, value_name = "KEY")]
    trust: Vec<String>,
    /// Only tasks from this date on (RFC 3339, as 2027-01-31 or 2027-01-31T12:00:00Z). Default: from the
    /// beginning.
    #[arg(long, value_name = "DATE", value_parser = date::parse)]
    since: Option<Timestamp>,
}

/// Most changes that are shown of each kind; with --json all are.
const SHOWN: usize = 20;

pub(crate) fn run(arguments: &Diff, app: &App) -> Result<Exit, Failure> {
    let trust = folder::keys(&arguments.trust)?;
    let engine = |path: &PathBuf| folder::engine((path.as_os_str() != "-").then_some(path.as_path()), &trust, app);
    let (old, new) = (engine(&arguments.old)?, engine(&arguments.new)?);
    let history = history::read(arguments.since, app)?;
    let recorded = compare_history(&old, &new, &history.tasks);
    let generated = compare_generated(&old, &new);
    let same = recorded.changed.is_empty() && generated.changed.is_empty();
    if app.json {
        let history = json!({ "tasks": history.tasks.len(), "unreadable": history.unreadable, "asked": recorded.asked, "changed": recorded.changed });
        print::json(&json!({ "history": history, "generated": generated }))?;
    } else {
        let mut to = print::out();
        let (tasks, asked, changed) = (history.tasks.len(), recorded.asked, recorded.changed.len());
        writeln!(to, "of the history: {changed} of {asked} questions of {tasks} tasks change")?;
        if history.unreadable > 0 {
            writeln!(to, "{} tasks cannot be read: erased, or recorded by an earlier version", history.unreadable)?;
        }
        tell(&recorded, &mut to)?;
        writeln!(to, "of the generated set: {} of {} questions change", generated.changed.len(), generated.asked)?;
        tell(&generated, &mut to)?;
    }
    Ok(if same { Exit::Yes } else { Exit::No })
}

fn tell(comparison: &Comparison, to: &mut dyn Write) -> io::Result<()> {
    for Difference { task, ask, old, new } in comparison.changed.iter().take(SHOWN) {
        let who = theirs(&ask.principal);
        let what = theirs(format!("{} {}", ask.action, ask.resource));
        let task = task.as_ref().map(|task| format!(" (task {})", theirs(task))).unwrap_or_default();
        writeln!(to, "  {who} {what}{task}: {} -> {}", words(old), words(new))?;
    }
    let more = comparison.changed.len().saturating_sub(SHOWN);
    if more > 0 {
        writeln!(to, "  and {more} more: --json shows all")?;
    }
    Ok(())
}

fn words(outcome: &Outcome) -> String {
    let rules = theirs(outcome.rules.join(", "));
    let demands = match outcome.obligations.is_none() {
        true => "",
        false => ", with obligations",
    };
    match outcome.answer {
        Answer::Allow => format!("allowed by {rules}{demands}"),
        Answer::Deny => format!("denied by {rules}"),
    }
}
