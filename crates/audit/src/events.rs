//! Reading events back, one at a time, in constant memory.

use std::collections::BTreeMap;
use std::path::Path;

use hotcell_types::{AuditLevel, Digest, Event, EventKind, TaskId, Timestamp};

use crate::LogError;
use crate::files::{Folder, failed, open_to_read, read_at};
use crate::journal::{self, Line, Lines, MAX_LINE_BYTES};
use crate::note::Origin;

/// Which events are wanted; an absent condition admits all.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only events about this task.
    pub task: Option<TaskId>,
    /// Only events of these kinds.
    pub kinds: Option<Vec<EventKind>>,
    /// Only events of this time or later.
    pub since: Option<Timestamp>,
    /// Only events before this time.
    pub until: Option<Timestamp>,
    /// Only events that are recorded up to this level.
    pub level: Option<AuditLevel>,
    /// Only events whose principal stands in the log so: by one of these keyed hashes, or by name.
    pub principals: Option<Vec<String>>,
}

impl Filter {
    /// Whether an event is wanted.
    pub fn admits(&self, event: &Event) -> bool {
        self.task.is_none_or(|task| event.task == Some(task))
            && self.kinds.as_ref().is_none_or(|kinds| kinds.contains(&event.kind))
            && self.since.is_none_or(|since| event.time >= since)
            && self.until.is_none_or(|until| event.time < until)
            && self.level.is_none_or(|level| event.kind.level() <= level)
            && self.principals.as_ref().is_none_or(|wanted| {
                let there = event.data.get("principal").and_then(|value| value.get("id").unwrap_or(value).as_str());
                there.is_some_and(|there| wanted.iter().any(|id| id == there))
            })
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

/// A place between two entries of the journal; the default is its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// Index of the entry after it.
    pub index: u64,
    /// Where that entry's line begins; 0 for the first.
    pub offset: u64,
}

/// Reads the events of a log that are there when it is opened; needs no key and takes no lock.
///
/// # Security
/// Each line is checked against its own hash, which finds damage but not forgery: that is [`crate::verify`].
pub struct Events {
    lines: Lines,
    path: std::path::PathBuf,
    filter: Filter,
    origin: Origin,
    next: Place,
    last: Option<Digest>,
    done: bool,
}

impl Events {
    /// Reads the log in a folder.
    ///
    /// # Errors
    /// [`LogError::File`] and [`LogError::NotAJournal`].
    pub fn open(dir: &Path, filter: Filter) -> Result<Self, LogError> {
        Self::open_at(dir, filter, Place::default())
    }

    /// Reads the log in a folder from a place on.
    ///
    /// # Errors
    /// [`LogError::Shrank`] when the journal ends before it, which only an alteration can bring about.
    pub fn open_at(dir: &Path, filter: Filter, place: Place) -> Result<Self, LogError> {
        let path = Folder::new(dir).journal();
        let file = open_to_read(&path)?;
        let start = read_at(&file, 0, 256).map_err(failed("read", &path))?;
        let Some((origin, header)) = journal::parse_header(&start) else { return Err(LogError::NotAJournal { path }) };
        let end = file.metadata().map_err(failed("read", &path))?.len();
        let next = Place { offset: place.offset.max(header), ..place };
        if next.offset > end {
            return Err(LogError::Shrank { before: next.offset, now: end });
        }
        let lines = Lines::new(file, next.offset, end).map_err(failed("read", &path))?;
        Ok(Self { lines, path, filter, origin, next, last: None, done: false })
    }

    /// The log's name.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The place after the last entry that was read.
    pub fn place(&self) -> Place {
        self.next
    }

    /// The leaf hash of the last entry that was read.
    pub(crate) fn last_leaf(&self) -> Option<Digest> {
        self.last
    }

    fn step(&mut self) -> Result<Option<Entry>, LogError> {
        loop {
            let index = self.next.index;
            let (offset, length, entry, leaf) = match self.lines.next().map_err(failed("read", &self.path))? {
                Line::End => return Ok(None),
                Line::Entry { offset, length, entry, leaf } => (offset, length, entry, leaf),
                Line::Bad { offset, hole } => {
                    // A last line that is not whole is being written, or was torn: it is no entry yet.
                    let follows = !hole && self.lines.any_entry_follows().map_err(failed("read", &self.path))?;
                    return if follows { Err(LogError::Damaged { index, offset }) } else { Ok(None) };
                }
            };
            let event: Event = serde_json::from_slice(entry).map_err(|_| LogError::Damaged { index, offset })?;
            self.next = Place { index: index + 1, offset: offset + length };
            self.last = Some(leaf);
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

/// The leaf hash of the entry that ends at a place, if one does.
pub(crate) fn leaf_before(dir: &Path, place: Place) -> Result<Option<Digest>, LogError> {
    let path = Folder::new(dir).journal();
    let file = open_to_read(&path)?;
    let from = place.offset.saturating_sub(MAX_LINE_BYTES as u64);
    let length = usize::try_from(place.offset - from).unwrap_or(0);
    let bytes = read_at(&file, from, length).map_err(failed("read", &path))?;
    let Some(line) = bytes.strip_suffix(b"\n").filter(|_| bytes.len() == length) else { return Ok(None) };
    let start = line.iter().rposition(|byte| *byte == b'\n').map_or(0, |before| before + 1);
    Ok(bytes.get(start..).and_then(journal::decode).map(|(_, leaf)| leaf))
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
