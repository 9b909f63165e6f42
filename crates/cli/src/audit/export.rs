//! `hotcell audit export`: events for others.

use clap::{Args, ValueEnum};
use hotcell_audit::export::{Cursor, ExportError, Format, Target, follow, hand_on};
use hotcell_types::Exit;
use serde_json::json;
use std::io::Write as _;
use std::time::Duration;

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
    /// Go on without an end: hand each event on as it is written. A target that is not there is tried again, after a
    /// second at first and a minute at last.
    #[arg(long)]
    follow: bool,
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
    let mut cursor = match &arguments.cursor {
        Some(name) => Cursor::open(&folder, name)?,
        None => Cursor::default(),
    };
    if arguments.follow {
        // Whoever reads standard output is gone for ever when it is.
        let may_return = !matches!(arguments.to, Target::Output);
        let mut wait = |error: &ExportError, times: u32| {
            if times == 1 && may_return {
                // That it cannot be told changes nothing.
                let _ = writeln!(
                    print::err(),
                    "{}; it is tried again until it does",
                    print::plain_line(&error.to_string())
                );
            }
            if may_return {
                std::thread::sleep(pause(times));
            }
            may_return
        };
        match follow(&folder, &filter, format, &arguments.to, &mut cursor, &mut wait)? {}
    }
    let count = hand_on(&folder, &filter, format, &arguments.to, &mut cursor)?;
    let next = arguments.cursor.as_ref().map(|_| cursor.next());
    match (&arguments.to, app.json) {
        // Standard output holds the events, which are JSON already.
        (Target::Output, _) => {}
        (to, true) => print::json(&json!({ "events": count, "to": to.to_string(), "next": next }))?,
        (to, false) => writeln!(print::out(), "{count} events went to `{}`", theirs(to))?,
    }
    Ok(Exit::Yes)
}

/// How long to leave a target alone that did not take the events so many times in a row.
fn pause(times: u32) -> Duration {
    Duration::from_secs(1 << times.saturating_sub(1).min(6)).min(Duration::from_secs(60))
}

fn target(text: &str) -> Result<Target, ExportError> {
    text.parse()
}
