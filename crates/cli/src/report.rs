//! What a finished task is reported as, for people and for programs.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use hotcell_task::{DryRun, TaskReport};
use hotcell_types::{Outcome, OutputRecord};
use serde_json::{Map, Value, json};

use crate::print;
use crate::watch::Watch;

/// One JSON object on standard output.
pub(crate) fn json(done: &TaskReport, watch: &Watch) -> io::Result<()> {
    let [stdout, stderr] = watch.live();
    let mut value = value(done);
    if let Value::Object(map) = &mut value {
        let texts = [("stdout", stdout), ("stderr", stderr)];
        for (name, live) in texts {
            let released = done.streams.iter().find(|stream| stream.name == name).map(|stream| stream.text.clone());
            map.insert(name.to_owned(), released.unwrap_or(live).into());
        }
    }
    print::json(&value)
}

/// The report as data.
pub(crate) fn value(done: &TaskReport) -> Value {
    let timings: Map<_, _> = done
        .timings
        .iter()
        .map(|(step, time)| (step.label().to_owned(), json!((time.as_secs_f64() * 1e6).round() / 1e3)))
        .collect();
    let notes: Map<_, _> = done.notes.iter().map(|(file, notes)| (file.clone(), json!(notes))).collect();
    let body = &done.body;
    json!({
        "task": done.task,
        "outcome": done.outcome,
        "exit_status": done.status,
        "problem": done.problem,
        "profile": body.policy.profile,
        "image": body.image,
        "outputs": body.outputs,
        "rewritten": notes,
        "streams": body.streams,
        "capacity_bits": body.capacity.0.ceil(),
        "refusals": body.refusals,
        "walls": body.walls,
        "limits": body.limits,
        "destroyed": body.destroyed,
        "timings": timings,
    })
}

/// A few lines on standard error; standard output is the workload's.
pub(crate) fn text(done: &TaskReport, output: Option<&Path>) -> io::Result<()> {
    for stream in &done.streams {
        match stream.name.as_str() {
            "stdout" => io::stdout().lock().write_all(stream.text.as_bytes())?,
            _ => io::stderr().lock().write_all(stream.text.as_bytes())?,
        }
    }
    let mut to = print::err();
    let body = &done.body;
    for record in &body.outputs {
        let notes = done.notes.iter().find(|(name, _)| record.path.starts_with(name.as_str()));
        writeln!(to, "{}", left(record, output, notes.map_or(&[], |(_, notes)| notes)))?;
    }
    for stream in body.streams.iter().filter(|stream| stream.disposition == "withheld" && stream.bytes > 0) {
        writeln!(to, "{}: {} bytes withheld", stream.name, stream.bytes)?;
    }
    let told = done.problem.as_ref().map(|problem| problem.what.as_str()).unwrap_or_default();
    for refusal in body.refusals.iter().filter(|refusal| !told.contains(&refusal.what)) {
        writeln!(to, "refused: {} [{}]", refusal.what, refusal.code)?;
    }
    // A runner whose words passed live has said it itself.
    let said = body.streams.iter().any(|stream| stream.disposition == "live-uninspected" && stream.bytes > 0);
    let said = said && done.outcome == Outcome::WorkloadFailed;
    if let Some(problem) = done.problem.as_ref().filter(|_| !said) {
        writeln!(to, "hotcell: {} [{}]\n  help: {}", problem.what, problem.code, problem.remedy)?;
    }
    let quiet = done.outcome == Outcome::Released && body.outputs.is_empty() && !io::stderr().is_terminal();
    if !quiet {
        let carried = match body.capacity.0 > 0.0 {
            true => format!(", at most {} left", body.capacity),
            false => String::new(),
        };
        writeln!(to, "task {}: {}{carried}; receipt: hotcell show {}", done.task, outcome(done.outcome), done.task)?;
    }
    Ok(())
}

/// One line about a file that left.
pub(crate) fn left(record: &OutputRecord, output: Option<&Path>, notes: &[String]) -> String {
    let path = output.map_or_else(|| Path::new(&record.path).to_owned(), |output| output.join(&record.path));
    let rows = record.rows.map(|rows| format!(", {rows} rows")).unwrap_or_default();
    let sealed = match record.recipients.len() {
        0 => String::new(),
        1 => ", sealed to 1 recipient".to_owned(),
        count => format!(", sealed to {count} recipients"),
    };
    let notes = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join(", ")) };
    let form = &record.form;
    format!(
        "{}: {} bytes{rows}, {form}, carries at most {}{sealed}{notes}",
        path.display(),
        record.bytes,
        record.capacity
    )
}

/// An outcome in words.
pub(crate) fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Released => "released",
        Outcome::WorkloadFailed => "the workload failed",
        Outcome::Refused => "refused",
        Outcome::Held => "held for approval",
        Outcome::HostLacks => "the host lacks a control",
        Outcome::IntegrityFailure => "an integrity check failed",
        Outcome::LimitReached => "a limit was reached",
        Outcome::Cancelled => "cancelled",
        Outcome::NotExecuted => "not executed",
        Outcome::Failed => "Hotcell failed",
        Outcome::Interrupted => "interrupted",
    }
}

/// What a run would be.
pub(crate) fn dry(dry: &DryRun, json: bool) -> io::Result<()> {
    if json {
        return print::json(dry);
    }
    let mut to = print::out();
    let command =
        if dry.workload.command.is_empty() { dry.workload.kind.clone() } else { dry.workload.command.join(" ") };
    writeln!(to, "{} would run: {command}", dry.principal)?;
    writeln!(to, "allowed by: {}", dry.rules.join(", "))?;
    let list = |names: &[String]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    match &dry.image {
        Some(image) => writeln!(to, "image: {} ({}), in place of the host's system", image.name, image.digest)?,
        None => writeln!(to, "image: none, the host's system as `mounts.system_view` says")?,
    }
    writeln!(to, "model: {}", dry.model.as_deref().unwrap_or("none"))?;
    writeln!(to, "inputs: {}", list(&dry.inputs))?;
    writeln!(to, "declared outputs: {}", list(&dry.outputs))?;
    let reasons: Vec<_> = dry.stream_reasons.iter().map(|rule| rule.reason.clone()).collect();
    let why = if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join("; ")) };
    writeln!(to, "standard streams: {}{why}", dry.streams)?;
    writeln!(to, "profile {}:", dry.profile)?;
    for row in &dry.settings {
        writeln!(to, "  {:<28} {}  ({})", row.key, row.value, row.origin)?;
    }
    Ok(())
}
