//! `hotcell model scan`.

use std::io::{self, Write};
use std::path::PathBuf;

use hotcell_models::scan::{Report, list};
use hotcell_models::scan_model;
use hotcell_types::Exit;
use serde_json::{Value, json};

use super::files;
use crate::app::App;
use crate::bar;
use crate::failure::Failure;
use crate::print::{self, theirs};

/// Looks at each model, and tells of each file.
pub(super) fn scan(paths: &[PathBuf], app: &App) -> Result<Exit, Failure> {
    let (mut all, mut looked, mut refused) = (Vec::new(), 0, 0);
    for path in paths {
        let entries = list(path).map_err(files)?;
        let bar = bar::bar(entries.iter().map(|entry| entry.bytes).sum(), "looking", bar::BYTES);
        let progress = |bytes: u64| {
            if let Some(bar) = &bar {
                bar.inc(bytes);
            }
        };
        let reports = scan_model(&entries, &progress).map_err(|source| Failure::file("read", path, source))?;
        if let Some(bar) = &bar {
            bar.finish_and_clear();
        }
        for (entry, report) in entries.iter().zip(&reports) {
            let name = entry.path.display().to_string();
            looked += 1;
            refused += report.refused.len();
            match app.json {
                true => all.push(as_json(&name, report)),
                false => {
                    let kind = report.kind.map(|kind| kind.to_string()).unwrap_or_else(|| "unknown".to_owned());
                    let verdict = if report.is_clean() { "clean" } else { "refused" };
                    writeln!(print::out(), "{verdict:<8}  {kind:<16}  {}", theirs(&name))?;
                    tell_refusals(report)?;
                }
            }
        }
    }
    match app.json {
        true => print::json(&all)?,
        false => writeln!(print::err(), "scanned {looked} files: {refused} refusals")?,
    }
    Ok(if refused == 0 { Exit::Yes } else { Exit::No })
}

/// What a scan says of a file.
pub(super) fn as_json(name: &str, report: &Report) -> Value {
    json!({
        "path": name, "kind": report.kind, "bytes": report.bytes, "clean": report.is_clean(), "refused": report.refused,
    })
}

/// Why a file is refused.
pub(super) fn tell_refusals(report: &Report) -> io::Result<()> {
    let mut to = print::out();
    for refusal in &report.refused {
        writeln!(to, "  {}  {}: {}", refusal.kind, theirs(&refusal.place), theirs(&refusal.reason))?;
        writeln!(to, "  help: {}", refusal.remedy)?;
    }
    Ok(())
}
