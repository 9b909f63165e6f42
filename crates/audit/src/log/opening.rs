//! Opening: where the log stands, from the head file if it can be believed, else from the journal.

use std::os::unix::fs::FileExt as _;

use hotcell_types::Timestamp;

use super::{Log, State, lock};
use crate::LogError;
use crate::files::{Held, failed, read_at};
use crate::head::{Head, MAX_HEAD_BYTES};
use crate::journal::{self, MAX_LINE_BYTES};
use crate::merkle::empty_root;
use crate::note::{Checkpoint, TreeHead};

/// A first line with the longest origin fits.
const MAX_HEADER_BYTES: usize = 256;

impl Log {
    /// Finds out where the log stands, from the head file if it can be believed, else from the journal.
    pub(super) fn load(&self) -> Result<(), LogError> {
        let path = self.folder.journal();
        let header_bytes = self.read_header()?;
        let known = self.read_head(header_bytes)?;
        let rebuild = known.is_none();
        if let Some((head, latest)) = known {
            lock(&self.sync).through = head.offset;
            let mut state = lock(&self.state);
            (state.head, state.latest) = (head, latest);
        }
        // Taken in the order that the module states: the checkpoint, then the journal.
        let _signing = Held::shared(&self.checkpoint).map_err(failed("lock", &self.folder.checkpoint()))?;
        let stored = self.stored_checkpoint()?;
        let signed = stored.head();
        {
            let mut state = lock(&self.state);
            let _held = Held::exclusive(&self.journal).map_err(failed("lock", &path))?;
            if rebuild {
                stored.verify(&self.key.verifying())?;
                (state.head, state.latest) = (Head::empty(header_bytes), None);
                self.read_all(&mut state, signed)?;
            } else {
                self.catch_up(&mut state)?;
            }
            let entries = state.head.edge.size();
            if entries < signed.size {
                return Err(LogError::Truncated { entries, signed: signed.size });
            }
        }
        if rebuild { self.sync_now(&mut lock(&self.sync), None) } else { Ok(()) }
    }

    /// Checks the journal's first line, writing it if the log is new, and gives its length.
    fn read_header(&self) -> Result<u64, LogError> {
        let path = self.folder.journal();
        let header = journal::header(&self.origin);
        let read = || read_at(&self.journal, 0, MAX_HEADER_BYTES).map_err(failed("read", &path));
        let mut start = read()?;
        if start.len() < header.len() || is_hole(&start) {
            let _held = Held::exclusive(&self.journal).map_err(failed("lock", &path))?;
            start = read()?;
            if start.len() < header.len() && header.as_bytes().starts_with(&start) || is_hole(&start) {
                self.begin(&header)?;
                start = header.into_bytes();
            }
        }
        match journal::parse_header(&start) {
            None => Err(LogError::NotAJournal { path }),
            Some((found, length)) if found == self.origin => Ok(length),
            Some((found, _)) => {
                let expected = self.origin.to_string();
                Err(LogError::OtherOrigin { path, found: found.to_string(), expected })
            }
        }
    }

    /// Begins a log: first the checkpoint of the empty log, then the journal's first line, both durable.
    /// A log that has a first line therefore has a checkpoint, and one without was tampered with.
    fn begin(&self, header: &str) -> Result<(), LogError> {
        let text = self.read_checkpoint()?;
        if let Ok(stored) = text.parse::<Checkpoint>()
            && stored.head().size > 0
        {
            return Err(LogError::Truncated { entries: 0, signed: stored.head().size });
        }
        let empty = TreeHead { origin: self.origin.clone(), size: 0, root: empty_root() }.sign(&self.key);
        self.store_checkpoint(&empty)?;
        self.checkpoint.sync_all().map_err(failed("make durable", &self.folder.checkpoint()))?;
        // Its name too, before there is a first line: otherwise a loss of power could leave the line alone.
        self.folder.sync_names()?;
        let path = self.folder.journal();
        self.journal.write_all_at(header.as_bytes(), 0).map_err(failed("write", &path))?;
        self.journal.sync_all().map_err(failed("make durable", &path))?;
        self.folder.sync_names()
    }

    /// The head file's content, if it is whole and the line that it says is last is there; and the time of that line.
    fn read_head(&self, header_bytes: u64) -> Result<Option<(Head, Option<Timestamp>)>, LogError> {
        let read = || read_at(&self.head, 0, MAX_HEAD_BYTES).map_err(failed("read", &self.folder.head()));
        let mut head = Head::decode(&read()?);
        if head.is_none() {
            // It may have been caught in the middle of being written.
            let _held = Held::shared(&self.head).map_err(failed("lock", &self.folder.head()))?;
            head = Head::decode(&read()?);
        }
        let Some(head) = head else { return Ok(None) };
        if head.edge.size() == 0 {
            return Ok((head == Head::empty(header_bytes)).then_some((head, None)));
        }
        let length = head.offset.saturating_sub(head.last_offset).min(MAX_LINE_BYTES as u64) as usize;
        let line = read_at(&self.journal, head.last_offset, length).map_err(failed("read", &self.folder.journal()))?;
        let last = journal::decode(&line).filter(|(_, leaf)| line.len() == length && *leaf == head.last_leaf);
        Ok(last.map(|(entry, _)| journal::time_of(entry)).map(|latest| (head, latest)))
    }

    /// Reads the whole journal and checks it against what was signed. Needs the journal's lock.
    fn read_all(&self, state: &mut State, signed: &TreeHead) -> Result<(), LogError> {
        let mut root_then = (signed.size == 0).then(empty_root);
        self.read_lines(state, |edge| {
            if edge.size() == signed.size {
                root_then = Some(edge.root());
            }
        })?;
        match root_then {
            Some(root) if root != signed.root => Err(LogError::Forked { size: signed.size }),
            _ => Ok(()),
        }
    }
}

/// Whether a loss of power kept the length of a first line and not the line itself.
fn is_hole(start: &[u8]) -> bool {
    (1..MAX_HEADER_BYTES).contains(&start.len()) && start.iter().all(|byte| *byte == 0)
}
