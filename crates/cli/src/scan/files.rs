//! The files of a scan: which there are, looked at by as many threads as there are processors, told in their order.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use hotcell_inspect::scan::{Report, Scanner, StreamScanner};

use crate::bar;
use crate::failure::Failure;

/// One file that was looked at.
#[derive(Debug)]
pub(super) struct Looked {
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    pub(super) report: Report,
    /// For each finding its line, from 1; empty where the file was too large to be held.
    pub(super) lines: Vec<u64>,
}

/// Files up to this size are held in memory, one for each thread; larger ones pass by.
const MAX_HELD_BYTES: u64 = 32 << 20;
/// Deepest nesting of folders.
const MAX_DEPTH: usize = 128;

/// Every regular file at or below a path, in the order of their names, with its size. Links are not followed, but
/// for the path itself.
pub(super) fn list(path: &Path) -> Result<Vec<(PathBuf, u64)>, Failure> {
    let found = fs::metadata(path).map_err(|error| Failure::file("read", path, error))?;
    let mut files = Vec::new();
    match found.is_dir() {
        true => list_folder(path, 0, &mut files)?,
        false => files.push((path.to_owned(), found.len())),
    }
    Ok(files)
}

fn list_folder(folder: &Path, depth: usize, files: &mut Vec<(PathBuf, u64)>) -> Result<(), Failure> {
    let unreadable = |error| Failure::file("read", folder, error);
    let mut entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>).map_err(unreadable)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let kind = entry.file_type().map_err(unreadable)?;
        if kind.is_dir() && depth < MAX_DEPTH {
            list_folder(&entry.path(), depth + 1, files)?;
        } else if kind.is_file() {
            files.push((entry.path(), entry.metadata().map_err(unreadable)?.len()));
        }
    }
    Ok(())
}

/// Looks at all of them; `tell` gets each in the order of the list.
pub(super) fn look(
    scanner: &Scanner,
    files: Vec<(PathBuf, u64)>,
    mut tell: impl FnMut(Result<Looked, Failure>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let bar = bar::bar(files.iter().map(|(_, bytes)| bytes).sum(), "looking", bar::BYTES);
    let next = AtomicUsize::new(0);
    let workers = thread::available_parallelism().map_or(1, usize::from).min(files.len().max(1));
    let (sender, receiver) = mpsc::sync_channel(QUEUE);
    let outcome = thread::scope(|scope| {
        for _ in 0..workers {
            let (sender, next, files) = (sender.clone(), &next, &files);
            scope.spawn(move || {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some((path, _)) = files.get(place) else { return };
                    if sender.send((place, look_at(scanner, path))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut waiting = BTreeMap::new();
        let mut told = 0;
        for (place, looked) in receiver {
            waiting.insert(place, looked);
            while let Some(looked) = waiting.remove(&told) {
                if let (Some(bar), Ok(looked)) = (&bar, &looked) {
                    bar.inc(looked.bytes);
                }
                tell(looked)?;
                told += 1;
            }
        }
        Ok(())
    });
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    outcome
}

/// Reports that wait to be told.
const QUEUE: usize = 256;

fn look_at(scanner: &Scanner, path: &Path) -> Result<Looked, Failure> {
    let read = || -> io::Result<Looked> {
        let mut file = File::open(path)?;
        let mut held = Vec::new();
        file.by_ref().take(MAX_HELD_BYTES).read_to_end(&mut held)?;
        if (held.len() as u64) < MAX_HELD_BYTES {
            let report = scanner.scan(&held);
            let lines = lines_of(&held, &report);
            return Ok(Looked { path: path.to_owned(), bytes: held.len() as u64, report, lines });
        }
        let mut stream = StreamScanner::new(scanner);
        stream.push(&held);
        let mut bytes = held.len() as u64;
        held.truncate(1 << 20);
        loop {
            match file.read(&mut held)? {
                0 => break,
                count => {
                    bytes += count as u64;
                    stream.push(held.get(..count).unwrap_or_default());
                }
            }
        }
        Ok(Looked { path: path.to_owned(), bytes, report: stream.finish(), lines: Vec::new() })
    };
    read().map_err(|error| Failure::file("read", path, error))
}

/// The line of each finding.
fn lines_of(bytes: &[u8], report: &Report) -> Vec<u64> {
    let (mut at, mut line) = (0, 1);
    let mut lines = Vec::new();
    for finding in &report.findings {
        let start = usize::try_from(finding.start).unwrap_or(usize::MAX).min(bytes.len());
        line += bytes.get(at..start).unwrap_or_default().iter().filter(|byte| **byte == b'\n').count() as u64;
        at = at.max(start);
        lines.push(line);
    }
    lines
}
