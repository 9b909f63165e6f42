//! `hotcell audit export`: events for others.

use clap::{Args, ValueEnum};
use hotcell_audit::export::{Cursor, ExportError, Format, Target, hand_on};
use hotcell_types::Exit;
use serde_json::json;
use std::io::Write as _;

use super::{Show, folder};
use crate::app::App;
use crate::failure::Failure;
use crate::print::{self, theirs};

/// What goes where.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    which: Show,
    /// The form: our own in JSON lines, or OCSF.
    #[arg(long, value_enum, default_value_t = Form::Jsonl)]
    format: Form,
    /// Where to: `-`, a file to which is appended, syslog:unix:PATH, syslog:udp:HOST:PORT, syslog:tcp:HOST:PORT (RFC
    /// 5424), or nats://HOST:PORT/SUBJECT.
    #[arg(long, value_name = "TARGET", default_value = "-", value_parser = target)]
    to: Target,
    /// Name of the subscriber: the next export of this name goes on after the last event that was taken, so that each
    /// is handed on at least once. Default: none; everything is handed on.
    #[arg(long, value_name = "NAME")]
    cursor: Option<String>,
}

/// The forms.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Form {
    /// An object with `index` and `event` per line.
    Jsonl,
    /// Class API Activity of the Open Cybersecurity Schema Framework 1.3.
    Ocsf,
}

pub(crate) fn run(arguments: &Arguments, app: &App) -> Result<Exit, Failure> {
    let folder = folder(app)?;
    let filter = arguments.which.filter(app)?;
    let format = match arguments.format {
        Form::Jsonl => Format::JsonLines,
        Form::Ocsf => Format::Ocsf,
    };
    let mut cursor = arguments.cursor.as_deref().map(|name| Cursor::open(&folder, name)).transpose()?;
    let count = hand_on(&folder, &filter, format, &arguments.to, cursor.as_mut())?;
    let next = cursor.as_ref().map(Cursor::next);
    match (&arguments.to, app.json) {
        // Standard output holds the events, which are JSON already.
        (Target::Output, _) => {}
        (to, true) => print::json(&json!({ "events": count, "to": to.to_string(), "next": next }))?,
        (to, false) => writeln!(print::out(), "{count} events went to `{}`", theirs(to))?,
    }
    Ok(Exit::Yes)
}

fn target(text: &str) -> Result<Target, ExportError> {
    text.parse()
}
