//! Appending and making durable: one write and one sync for all who wait (group commit).
//!
//! Threads that append durably gather in a batch while another batch is being written and synced; one of
//! them then leads: it writes the lines of all and syncs once. Between processes the lock on the head file
//! does the same: who holds it takes in what the others have written, syncs, and leaves in the head file
//! how far that reached; who finds its entries covered does not sync.

use std::sync::{Arc, Condvar};

use hotcell_types::{Digest, Event, Timestamp};

use super::{Cut, Durability, Log, Position, State, lock};
use crate::canonical::canonical;
use crate::edge::{Edge, TILE_WIDTH};
use crate::files::{Held, failed, read_at};
use crate::head::{Head, WATERMARK_BYTES};
use crate::journal::{self, Line, Lines};
use crate::{LogError, clock, tile};

/// The lines of one append, hashed before any lock is taken.
#[derive(Default)]
struct Draft {
    bytes: Vec<u8>,
    /// Length and leaf hash of each line.
    lines: Vec<(u64, Digest)>,
    /// The times of the first and of the last event.
    times: Option<(Timestamp, Timestamp)>,
}

impl Draft {
    fn new(events: &[Event]) -> Result<Self, LogError> {
        let mut draft = Self::default();
        for event in events {
            if let Some(jump) = draft.times.and_then(|(_, before)| clock::jump(before, event.time)) {
                draft.push(&jump)?;
            }
            draft.push(event)?;
        }
        Ok(draft)
    }

    fn push(&mut self, event: &Event) -> Result<(), LogError> {
        let (line, leaf) = journal::encode(&canonical(event)?);
        self.lines.push((line.len() as u64, leaf));
        self.bytes.extend_from_slice(&line);
        self.times = Some((self.times.map_or(event.time, |(first, _)| first), event.time));
        Ok(())
    }

    /// What has to be written before it, where the log has an entry of this time already.
    fn jump(&self, latest: Option<Timestamp>) -> Result<Option<Self>, LogError> {
        let jump = latest.zip(self.times).and_then(|(latest, (first, _))| clock::jump(latest, first));
        jump.map(|event| Self::new(&[event])).transpose()
    }
}

/// Appends that are written and synced together.
#[derive(Default)]
struct Batch {
    done: Condvar,
    outcome: std::sync::OnceLock<Result<Vec<Position>, Arc<LogError>>>,
}

/// The batch that gathers, and whether another one is under way.
#[derive(Default)]
pub(super) struct Group {
    led: bool,
    batch: Arc<Batch>,
    drafts: Vec<Draft>,
}

/// How far the journal is known to be durable.
pub(super) struct Sync {
    pub(super) through: u64,
    pub(super) failed: bool,
}

impl Log {
    /// Appends events, in order and without others between them.
    ///
    /// # Errors
    /// [`LogError`]. After an error the events may be in the log or not; none was acknowledged.
    pub fn append(&self, events: &[Event], durability: Durability) -> Result<Position, LogError> {
        let draft = Draft::new(events)?;
        match durability {
            Durability::Durable => self.commit(draft),
            Durability::Lazy => first(self.write(&[draft])?.pop()),
        }
    }

    /// The end of the log now, entries of other processes included.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn end(&self) -> Result<Position, LogError> {
        first(self.write(&[Draft::default()])?.pop())
    }

    /// Joins the batch that gathers, and leads it unless another thread does.
    fn commit(&self, draft: Draft) -> Result<Position, LogError> {
        let mut group = lock(&self.group);
        let batch = group.batch.clone();
        let place = group.drafts.len();
        group.drafts.push(draft);
        while group.led && batch.outcome.get().is_none() {
            group = batch.done.wait(group).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        if batch.outcome.get().is_none() {
            group.led = true;
            group.batch = Arc::default();
            let drafts = std::mem::take(&mut group.drafts);
            drop(group);
            let outcome = self.write_durably(&drafts).map_err(Arc::new);
            let mut group = lock(&self.group);
            // Nobody but the leader of a batch sets its outcome.
            let _ = batch.outcome.set(outcome);
            group.led = false;
            // One of those that gathered meanwhile leads next.
            group.batch.done.notify_one();
            drop(group);
            batch.done.notify_all();
        }
        match batch.outcome.get() {
            Some(Ok(positions)) => first(positions.get(place).cloned()),
            Some(Err(error)) => Err(LogError::Shared(error.clone())),
            None => first(None),
        }
    }

    fn write_durably(&self, drafts: &[Draft]) -> Result<Vec<Position>, LogError> {
        let positions = self.write(drafts)?;
        if let Some(last) = positions.last() {
            self.sync_through(last.offset)?;
        }
        Ok(positions)
    }

    /// Writes drafts one after the other.
    fn write(&self, drafts: &[Draft]) -> Result<Vec<Position>, LogError> {
        let path = self.folder.journal();
        let mut state = lock(&self.state);
        let _held = Held::exclusive(&self.journal).map_err(failed("lock", &path))?;
        self.catch_up(&mut state)?;
        // INVARIANT (no-silent-return): an entry that lies before the one before it has an event between them that says so.
        let mut latest = state.latest;
        let mut jumps = Vec::new();
        for draft in drafts {
            jumps.push(draft.jump(latest)?);
            latest = draft.times.map(|(_, last)| last).or(latest);
        }
        let gathered: Vec<u8>;
        let bytes = match (drafts, jumps.as_slice()) {
            ([draft], [None]) => &draft.bytes,
            _ => {
                let all = jumps.iter().zip(drafts).flat_map(|(jump, draft)| jump.iter().chain([draft]));
                gathered = all.flat_map(|draft| draft.bytes.as_slice()).copied().collect();
                &gathered
            }
        };
        if let Err(error) = self.write_bytes(bytes, state.head.offset) {
            // What was written of it is cut off again; should that fail too, whoever opens the log next
            // takes the whole lines as entries and cuts the rest.
            let _ = self.journal.set_len(state.head.offset);
            return Err(failed("append to", &path)(error));
        }
        state.latest = latest;
        let head = &mut state.head;
        let enter = |(draft, jump): (&Draft, &Option<Draft>)| {
            if let Some(jump) = jump {
                self.enter_draft(head, jump);
            }
            self.enter_draft(head, draft)
        };
        Ok(drafts.iter().zip(&jumps).map(enter).collect())
    }

    fn write_bytes(&self, bytes: &[u8], offset: u64) -> std::io::Result<()> {
        use std::os::unix::fs::FileExt as _;
        self.journal.write_all_at(bytes, offset)
    }

    fn enter_draft(&self, head: &mut Head, draft: &Draft) -> Position {
        let first = head.edge.size();
        for (length, leaf) in &draft.lines {
            self.enter(head, *length, *leaf);
        }
        Position { first, size: head.edge.size(), root: head.edge.root(), offset: head.offset }
    }

    /// Takes in the lines that other processes have written since. Needs the journal's lock.
    pub(super) fn catch_up(&self, state: &mut State) -> Result<(), LogError> {
        self.read_lines(state, |_| {})
    }

    /// Takes in all further lines and cuts a torn end off. Needs the journal's lock: nobody is writing,
    /// so that a line that is not whole was left by somebody who died.
    pub(super) fn read_lines(&self, state: &mut State, mut after_each: impl FnMut(&Edge)) -> Result<(), LogError> {
        let path = self.folder.journal();
        let end = self.journal.metadata().map_err(failed("read", &path))?.len();
        let before = state.head.offset;
        if end == before {
            return Ok(());
        }
        if end < before {
            return Err(LogError::Shrank { before, now: end });
        }
        let copy = self.journal.try_clone().map_err(failed("read", &path))?;
        let mut lines = Lines::new(copy, before, end).map_err(failed("read", &path))?;
        loop {
            match lines.next().map_err(failed("read", &path))? {
                Line::End => return Ok(()),
                Line::Entry { length, leaf, entry, .. } => {
                    state.latest = journal::time_of(entry).or(state.latest);
                    self.enter(&mut state.head, length, leaf);
                    after_each(&state.head.edge);
                }
                Line::Bad { offset, hole } => {
                    let entries = state.head.edge.size();
                    // INVARIANT (no-loss): what was durable or signed is never cut off, nor what has entries after
                    // it, unless a hole tells that these were written before it was durable.
                    let was_kept = offset < self.watermark()? || entries < self.stored_checkpoint()?.head().size;
                    if was_kept || (!hole && lines.any_entry_follows().map_err(failed("read", &path))?) {
                        return Err(LogError::Damaged { index: entries, offset });
                    }
                    // Durable at once, so that no later loss of power mixes what is cut with what is written there.
                    let cut = self.journal.set_len(offset).and_then(|()| self.journal.sync_data());
                    cut.map_err(failed("cut", &path))?;
                    state.cut = Some(Cut { entries, bytes: end - offset });
                    return Ok(());
                }
            }
        }
    }

    /// Takes a line into the tree and writes the tiles that it completes.
    fn enter(&self, head: &mut Head, length: u64, leaf: Digest) {
        head.last_offset = head.offset;
        head.last_leaf = leaf;
        head.offset += length;
        for full in head.edge.push(leaf) {
            // A tile that cannot be written now is made again from the journal when a proof needs it.
            let below = tile::hash_path(full.level, full.index, TILE_WIDTH);
            let _ = tile::put(self.folder.dir(), &below, &tile::hash_bytes(&full.hashes), ".new");
        }
    }

    /// Waits until the journal is durable up to `target`; one sync serves all who wait.
    pub(super) fn sync_through(&self, target: u64) -> Result<(), LogError> {
        let mut sync = lock(&self.sync);
        if sync.through >= target && !sync.failed {
            return Ok(()); // a thread that synced before us covered our entries
        }
        self.sync_now(&mut sync, Some(target))
    }

    /// Makes the journal durable, unless another process has done so up to `target`, and renews the head file.
    pub(super) fn sync_now(&self, sync: &mut Sync, target: Option<u64>) -> Result<(), LogError> {
        if sync.failed {
            return Err(LogError::SyncFailed { path: self.folder.journal() });
        }
        let _held = Held::exclusive(&self.head).map_err(failed("lock", &self.folder.head()))?;
        let elsewhere = self.watermark()?;
        if target.is_some_and(|target| elsewhere >= target) {
            sync.through = elsewhere;
            return Ok(());
        }
        let (covered, head) = self.known_end()?;
        if let Err(source) = self.journal.sync_data() {
            // The kernel marks what it could not write as clean: a second try would succeed and prove nothing.
            sync.failed = true;
            return Err(failed("make durable", &self.folder.journal())(source));
        }
        sync.through = covered;
        self.write_head(&head);
        Ok(())
    }

    /// The end of the journal, what other processes have written included: our sync serves them too.
    fn known_end(&self) -> Result<(u64, Vec<u8>), LogError> {
        let path = self.folder.journal();
        let mut state = lock(&self.state);
        if self.journal.metadata().map_err(failed("read", &path))?.len() > state.head.offset {
            let _held = Held::exclusive(&self.journal).map_err(failed("lock", &path))?;
            self.catch_up(&mut state)?;
        }
        Ok((state.head.offset, state.head.encode()))
    }

    /// A head file that cannot be written costs the next open its shortcut, nothing else.
    fn write_head(&self, head: &[u8]) {
        use std::os::unix::fs::FileExt as _;
        let _ = self.head.write_all_at(head, 0);
    }

    /// How far the journal is durable according to the head file.
    pub(super) fn watermark(&self) -> Result<u64, LogError> {
        let start = read_at(&self.head, 0, WATERMARK_BYTES).map_err(failed("read", &self.folder.head()))?;
        Ok(Head::watermark(&start).unwrap_or(0))
    }
}

/// The position of a draft: `write` gives one for each, so that there is one.
fn first(position: Option<Position>) -> Result<Position, LogError> {
    position.ok_or(LogError::NoCheckpoint)
}
