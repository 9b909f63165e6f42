//! Reading events back, one at a time, in constant memory.

use std::collections::BTreeMap;
use std::path::Path;

use hotcell_types::{Event, EventKind, TaskId, Timestamp};

use crate::LogError;
use crate::files::{Folder, failed, open_to_read, read_at};
use crate::journal::{self, Line, Lines};

/// Which events are wanted; an absent condition admits all.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only events about this task.
    pub task: Option<TaskId>,
    /// Only events of these kinds.
    pub kinds: Option<Vec<EventKind>>,
    /// Only events of this time or later.
    pub since: Option<Timestamp>,
}

impl Filter {
    /// Whether an event is wanted.
    pub fn admits(&self, event: &Event) -> bool {
        self.task.is_none_or(|task| event.task == Some(task))
            && self.kinds.as_ref().is_none_or(|kinds| kinds.contains(&event.kind))
            && self.since.is_none_or(|since| event.time >= since)
    }
}

/// An event with its place in the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Index, from 0.
    pub index: u64,
    /// The event.
    pub event: Event,
}

/// Reads the events of a log that are there when it is opened; needs no key and takes no lock.
///
/// # Security
/// Each line is checked against its own hash, which finds damage but not forgery: that is [`crate::verify`].
pub struct Events {
    lines: Lines,
    path: std::path::PathBuf,
    filter: Filter,
    next: u64,
    done: bool,
}

impl Events {
    /// Reads the log in a folder.
    ///
    /// # Errors
    /// [`LogError::File`] and [`LogError::NotAJournal`].
    pub fn open(dir: &Path, filter: Filter) -> Result<Self, LogError> {
        let path = Folder::new(dir).journal();
        let file = open_to_read(&path)?;
        let start = read_at(&file, 0, 256).map_err(failed("read", &path))?;
        let Some((_, header)) = journal::parse_header(&start) else { return Err(LogError::NotAJournal { path }) };
        let end = file.metadata().map_err(failed("read", &path))?.len();
        let lines = Lines::new(file, header, end).map_err(failed("read", &path))?;
        Ok(Self { lines, path, filter, next: 0, done: false })
    }

    fn step(&mut self) -> Result<Option<Entry>, LogError> {
        loop {
            let index = self.next;
            let (offset, entry) = match self.lines.next().map_err(failed("read", &self.path))? {
                Line::End => return Ok(None),
                Line::Entry { offset, entry, .. } => (offset, entry),
                Line::Bad { offset, hole } => {
                    // A last line that is not whole is being written, or was torn: it is no entry yet.
                    let follows = !hole && self.lines.any_entry_follows().map_err(failed("read", &self.path))?;
                    return if follows { Err(LogError::Damaged { index, offset }) } else { Ok(None) };
                }
            };
            self.next += 1;
            let event: Event = serde_json::from_slice(entry).map_err(|_| LogError::Damaged { index, offset })?;
            if self.filter.admits(&event) {
                return Ok(Some(Entry { index, event }));
            }
        }
    }
}

impl Iterator for Events {
    type Item = Result<Entry, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let step = self.step().transpose();
        self.done = !matches!(step, Some(Ok(_)));
        step
    }
}

/// The tasks among these events that were about to run and have not ended, with when they were.
pub fn unfinished_tasks(events: impl IntoIterator<Item = Event>) -> BTreeMap<TaskId, Timestamp> {
    let mut running = BTreeMap::new();
    for event in events {
        let Some(task) = event.task else { continue };
        match event.kind {
            EventKind::TaskStarting => {
                running.insert(task, event.time);
            }
            EventKind::ReceiptSigned | EventKind::TaskFailed | EventKind::TaskInterrupted => {
                running.remove(&task);
            }
            _ => {}
        }
    }
    running
}
