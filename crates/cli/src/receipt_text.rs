//! A receipt in words, one subject a line.
//!
//! A receipt may come from anywhere: everything in it is made harmless to a terminal.

use std::fmt::Display;
use std::io::{self, Write};

use hotcell_types::{ImageRecord, ModelRecord, OutputRecord, ReceiptBody};

use crate::print::{plain_around, theirs};
use crate::receipt_words::{self, Walls};
use crate::rights;

/// Writes what the receipt says.
pub(crate) fn write(body: &ReceiptBody, to: &mut dyn Write) -> io::Result<()> {
    let mut lines = Lines { to };
    lines.add("task", body.task)?;
    lines.add("outcome", outcome(body))?;
    let purpose = if body.purpose.is_empty() { "no purpose named".to_owned() } else { theirs(&body.purpose) };
    lines.add("asked by", format!("{}, for: {purpose}", theirs(&body.principal)))?;
    lines.add("ran", receipt_words::times(body))?;
    lines.add("on", format!("Hotcell {}, isolation {}", body.hotcell_version, body.isolation))?;
    lines.add("profile", format!("{} ({})", theirs(&body.policy.profile), body.policy.profile_digest))?;
    lines.add("allowed by", format!("{} ({})", list(&body.policy.rules), body.policy.grant))?;
    lines.add("policy", body.policy.policy_digest)?;
    for line in rights::lines(&body.rights) {
        lines.add("right", line)?;
    }
    walls(body, &mut lines)?;
    for limit in &body.limits {
        let used = limit.used.as_ref().map(|used| format!(", used {used}")).unwrap_or_default();
        let reached = if limit.reached { ", REACHED" } else { "" };
        lines.add("limit", format!("{} {}{used}{reached} ({})", limit.name, limit.limit, limit.enforcement))?;
    }
    let digest = body.workload.digest.map(|digest| format!(" ({digest})")).unwrap_or_default();
    let command = match body.workload.command.as_slice() {
        [] => body.workload.kind.clone(),
        command => theirs(command.join(" ")),
    };
    lines.add("workload", format!("{command}{digest}"))?;
    if let Some(record) = &body.image {
        let left_out = match record.left_out {
            0 => String::new(),
            count => format!(", {count} devices and pipes left out"),
        };
        let ImageRecord { name, digest, config, user, .. } = record;
        lines.add(
            "image",
            format!("{} ({digest}), config {config}, made for user {}{left_out}", theirs(name), theirs(user)),
        )?;
    }
    if let Some(record) = &body.model {
        lines.add("model", model(record))?;
    }
    for input in &body.inputs {
        let commitment = input.commitment.map(|digest| format!(", commitment {digest}")).unwrap_or_default();
        lines.add(
            "input",
            format!("{}: {} files, {} bytes{commitment}", theirs(&input.name), input.files, input.bytes),
        )?;
    }
    left(body, &mut lines)?;
    for line in crate::receipt_words::egress(body) {
        lines.add("network", line)?;
    }
    for refusal in &body.refusals {
        lines.add("refused", format!("{} [{}]", refusal.what, refusal.code))?;
    }
    for gone in &body.destroyed {
        lines.add("destroyed", format!("{}: {}", gone.what, gone.how))?;
    }
    for caveat in &body.caveats {
        lines.add("caveat", caveat)?;
    }
    Ok(())
}

/// Lines with a label; one that repeats is not shown again.
struct Lines<'a> {
    to: &'a mut dyn Write,
}

impl Lines<'_> {
    fn add(&mut self, label: &str, text: impl Display) -> io::Result<()> {
        writeln!(self.to, "{label:<11} {}", plain_around(&text.to_string()))
    }
}

fn outcome(body: &ReceiptBody) -> String {
    let outcome = serde_json::to_value(body.outcome).ok();
    let outcome = outcome.as_ref().and_then(|outcome| outcome.as_str()).unwrap_or_default().to_owned();
    format!("{outcome}; {}", receipt_words::exit(body))
}

/// The walls that stand in a line, those that do not in one each.
fn walls(body: &ReceiptBody, lines: &mut Lines<'_>) -> io::Result<()> {
    let Walls { full, all, names, others } = receipt_words::walls(body);
    let count = format!("{full} of {all} observations saw a wall stand in full");
    lines.add("walls", if names.is_empty() { count } else { format!("{count}: {}", names.join(", ")) })?;
    for seen in others {
        let looked = format!("{}: expected {}, seen {}", seen.tried, seen.expected, seen.seen);
        lines.add("wall", format!("{} ({looked})", receipt_words::lacking(seen)))?;
    }
    if !body.best_effort.is_empty() {
        lines.add("given up", format!("{}, by --best-effort", list(&body.best_effort)))?;
    }
    Ok(())
}

fn model(record: &ModelRecord) -> String {
    let version = record.version.map(|version| format!(" version {version}")).unwrap_or_default();
    let sealed = if record.sealed { "sealed" } else { "plain" };
    let signer = record.signer.as_ref().map_or("unsigned".to_owned(), |signer| format!("signed by {}", theirs(signer)));
    format!("{}{version}, {sealed}, {signer}, {}", theirs(&record.id), record.digest)
}

/// What left, and how much it can carry.
fn left(body: &ReceiptBody, lines: &mut Lines<'_>) -> io::Result<()> {
    for record in &body.outputs {
        lines.add("left", output(record))?;
    }
    for stream in &body.streams {
        lines.add("stream", format!("{}: {} bytes, {}", stream.name, stream.bytes, stream.disposition))?;
    }
    match body.capacity.0 > 0.0 {
        true => lines.add("altogether", format!("at most {} left", body.capacity)),
        false => lines.add("altogether", "nothing left"),
    }
}

fn output(record: &OutputRecord) -> String {
    let rows = record.rows.map(|rows| format!(", {rows} rows")).unwrap_or_default();
    let sealed = match record.recipients.as_slice() {
        [] => "in plain".to_owned(),
        recipients => format!("sealed to {}", list(recipients)),
    };
    let (bytes, form, capacity) = (record.bytes, &record.form, record.capacity);
    format!("{}: {bytes} bytes{rows}, {form}, at most {capacity}, {sealed}, {}", theirs(&record.path), record.digest)
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { theirs(names.join(", ")) }
}
