//! What lies in a folder: names and first lines, nothing that would have to be parsed.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// What a task could be made of.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// ONNX files and sealed packages.
    pub(crate) models: Vec<String>,
    /// CSV and JSON lines.
    pub(crate) tables: Vec<String>,
    /// Python and shell scripts, the likeliest first.
    pub(crate) scripts: Vec<String>,
    /// Whether `requirements.txt` asks for packages of Python.
    pub(crate) requirements: bool,
    /// Whether `.venv/bin/python3` is there.
    pub(crate) environment: bool,
    /// The names in the first line of the first table.
    pub(crate) columns: Vec<String>,
}

/// Entries that are looked at; a folder with more is no project.
const MAX_ENTRIES: usize = 10_000;
/// Bytes of a table's first line.
const MAX_HEADER_BYTES: u64 = 64 * 1024;
/// Names of scripts that are usually the one to start.
const MAIN: &[&str] = &["main.py", "run.py", "app.py", "main.sh", "run.sh"];

pub(crate) fn look(folder: &Path) -> io::Result<Found> {
    let mut found = Found::default();
    for entry in std::fs::read_dir(folder)?.take(MAX_ENTRIES) {
        let entry = entry?;
        // Links too: what they lead to is shown in their place.
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
        if name.starts_with('.') || !std::fs::metadata(entry.path()).is_ok_and(|metadata| metadata.is_file()) {
            continue;
        }
        match name.rsplit_once('.').map(|(_, ending)| ending) {
            Some("onnx" | "sealed") => found.models.push(name),
            Some("csv" | "jsonl" | "ndjson") => found.tables.push(name),
            Some("py" | "sh") => found.scripts.push(name),
            Some("txt") if name == "requirements.txt" => found.requirements = true,
            _ => {}
        }
    }
    found.models.sort();
    found.tables.sort();
    let rank = |name: &String| MAIN.iter().position(|main| main == name).unwrap_or(MAIN.len());
    found.scripts.sort_by_key(|name| (rank(name), name.clone()));
    found.environment = folder.join(".venv/bin/python3").exists();
    if let Some(table) = found.tables.first().filter(|name| name.ends_with(".csv")) {
        let mut line = String::new();
        // What is no text has no columns; the run will say so.
        let _ = BufReader::new(File::open(folder.join(table))?.take(MAX_HEADER_BYTES)).read_line(&mut line);
        found.columns = line.trim().split(',').map(|name| name.trim_matches('"').to_owned()).collect();
    }
    Ok(found)
}
