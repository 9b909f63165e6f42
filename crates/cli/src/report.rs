//! What a finished task is reported as, for people and for programs.

use std::io::{self, Write};
use std::path::Path;

use hotcell_task::{DryRun, Problem, TaskReport};
use hotcell_types::{ByteSize, LimitRecord, Outcome, OutputRecord};
use serde_json::{Map, Value, json};

use crate::explain;
use crate::print::{self, plain_line, theirs};
use crate::rights;
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
        "egress": body.egress,
        "egress_refused": done.egress_refused,
        "rights": body.rights,
        "walls": body.walls,
        "limits": body.limits,
        "destroyed": body.destroyed,
        "timings": timings,
    })
}

/// What is to be told of a finished task, on standard error; standard output is the workload's.
///
/// Why something went wrong is always told; what went well where somebody looks, or asked for it.
pub(crate) fn text(done: &TaskReport, output: Option<&Path>, verbose: bool) -> io::Result<()> {
    for stream in &done.streams {
        match stream.name.as_str() {
            "stdout" => io::stdout().lock().write_all(stream.text.as_bytes())?,
            _ => io::stderr().lock().write_all(stream.text.as_bytes())?,
        }
    }
    let mut to = print::err();
    let body = &done.body;
    if verbose {
        for record in &body.outputs {
            let notes = done.notes.iter().find(|(name, _)| record.path.starts_with(name.as_str()));
            writeln!(to, "{}", left(record, output, notes.map_or(&[], |(_, notes)| notes)))?;
        }
    }
    for stream in body.streams.iter().filter(|stream| stream.disposition == "withheld" && stream.bytes > 0) {
        writeln!(to, "{}: {} bytes withheld", stream.name, stream.bytes)?;
    }
    let told = done.problem.as_ref().map(|problem| problem.what.as_str()).unwrap_or_default();
    for refusal in body.refusals.iter().filter(|refusal| !told.contains(&refusal.what)) {
        writeln!(to, "refused: {} [{}]", plain_line(&refusal.what), refusal.code)?;
        if let Some(remedy) = explain::remedy(&refusal.code) {
            writeln!(to, "  to permit it: {remedy}")?;
        }
    }
    for refusal in &done.egress_refused {
        match &refusal.code {
            Some(code) => writeln!(to, "refused: {} [{code}]", plain_line(&refusal.what))?,
            None => writeln!(to, "refused: {}", plain_line(&refusal.what))?,
        }
        if let Some(permit) = &refusal.permit {
            writeln!(to, "  to permit it: {permit}")?;
        }
    }
    // A runner whose words passed live has said it itself.
    let said = body.streams.iter().any(|stream| stream.disposition == "live-uninspected" && stream.bytes > 0);
    let said = said && done.outcome == Outcome::WorkloadFailed;
    let of_runner = |problem: &Problem| problem.code.starts_with("MDL-");
    if let Some(problem) = done.problem.as_ref().filter(|problem| !(said && of_runner(problem))) {
        let Problem { code, what, remedy } = problem;
        writeln!(to, "hotcell: {} [{code}]\n  help: {}", plain_line(what), plain_line(remedy))?;
    }
    if verbose {
        for limit in body.limits.iter().filter(|limit| limit.reached || is_near(limit)) {
            writeln!(to, "{}", met(limit))?;
        }
        writeln!(to, "{}", closing(done))?;
    }
    Ok(())
}

/// The one line that closes a run: "1 file, 23 KB, 825 bits of capacity left · 0 findings · receipt: …".
fn closing(done: &TaskReport) -> String {
    let body = &done.body;
    let bytes: u64 = body.outputs.iter().map(|record| record.bytes).sum();
    let files = match body.outputs.len() {
        0 => "no file".to_owned(),
        1 => format!("1 file, {}", ByteSize(bytes)),
        count => format!("{count} files, {}", ByteSize(bytes)),
    };
    let live = body.streams.iter().filter(|stream| stream.disposition == "live-uninspected");
    let printed: u64 = live.map(|stream| stream.bytes).sum();
    let printed = if printed > 0 { format!(" and {} live, uninspected", ByteSize(printed)) } else { String::new() };
    let carried = if body.capacity.0 > 0.0 { format!(", {} of capacity", body.capacity) } else { String::new() };
    let findings = match body.refusals.len() {
        1 => "1 finding".to_owned(),
        count => format!("{count} findings"),
    };
    let ended = match done.outcome {
        Outcome::Released => String::new(),
        other => format!("{} · ", outcome(other)),
    };
    format!("{ended}{files}{printed}{carried} left · {findings} · receipt: hotcell show {}", done.task)
}

/// A limit that was met, with what raises it.
fn met(limit: &LimitRecord) -> String {
    let most = bare(&limit.limit);
    let used = limit.used.as_deref().unwrap_or(most);
    let name = &limit.name;
    let ample = ample(most).unwrap_or_else(|| "VALUE".to_owned());
    format!("{name}: {used} of {most}; more by --limit {name}={ample}")
}

/// Four times a limit, as `--limit` takes it.
fn ample(most: &str) -> Option<String> {
    let most = most.replace(' ', "");
    match most.parse::<u64>() {
        Ok(count) => Some((count * 4).to_string()),
        Err(_) => most.parse::<ByteSize>().ok().map(|size| ByteSize(size.0 * 4).to_string().replace(' ', "")),
    }
}

/// Whether scratch was all but full at the end, which programs seldom tell well.
fn is_near(limit: &LimitRecord) -> bool {
    let size = |text: &str| text.split(" at ").next().and_then(ByteSize::from_shown);
    match (limit.name.as_str(), limit.used.as_deref().and_then(size), size(bare(&limit.limit))) {
        ("scratch", Some(used), Some(most)) => used.bytes() >= most.bytes() - most.bytes() / 100,
        _ => false,
    }
}

/// A limit without what is said of how it is kept: `256 MiB` of `256 MiB, in memory`.
fn bare(limit: &str) -> &str {
    limit.split(',').next().unwrap_or(limit)
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
    let notes = if notes.is_empty() { String::new() } else { format!(" ({})", plain_line(&notes.join(", "))) };
    let form = plain_line(&record.form);
    format!(
        "{}: {} bytes{rows}, {form}, carries at most {}{sealed}{notes}",
        theirs(path.display()),
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
        Outcome::Withdrawn => "withdrawn by policy",
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
    let command = match dry.workload.command.as_slice() {
        [] => plain_line(&dry.workload.kind),
        command => theirs(command.join(" ")),
    };
    let list = |names: &[String]| if names.is_empty() { "none".to_owned() } else { theirs(names.join(", ")) };
    writeln!(to, "{} would run: {command}", theirs(&dry.principal))?;
    writeln!(to, "allowed by: {}", theirs(dry.rules.join(", ")))?;
    match &dry.image {
        Some(image) => {
            writeln!(to, "image: {} ({}), in place of the host's system", theirs(&image.name), image.digest)?
        }
        None => writeln!(to, "image: none, the host's system as `mounts.system_view` says")?,
    }
    writeln!(to, "model: {}", dry.model.as_ref().map_or("none".to_owned(), theirs))?;
    writeln!(to, "inputs: {}", list(&dry.inputs))?;
    writeln!(to, "declared outputs: {}", list(&dry.outputs))?;
    let reasons: Vec<_> = dry.stream_reasons.iter().map(|rule| rule.reason.clone()).collect();
    let why = if reasons.is_empty() { String::new() } else { format!(" ({})", plain_line(&reasons.join("; "))) };
    writeln!(to, "standard streams: {}{why}", plain_line(&dry.streams))?;
    writeln!(to, "rights:")?;
    for line in rights::lines(&dry.rights) {
        writeln!(to, "  {line}")?;
    }
    writeln!(to, "profile {}:", theirs(&dry.profile))?;
    for row in &dry.settings {
        writeln!(to, "  {:<28} {}  ({})", row.key, plain_line(&row.value), plain_line(&row.origin))?;
    }
    Ok(())
}
