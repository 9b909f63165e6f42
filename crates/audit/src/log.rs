//! The log: opening, appending, making durable, signing, proving.
//!
//! Security properties: an entry whose durable append was acknowledged is never lost by a crash, and no
//! checkpoint is ever signed that is not an extension of the one signed before.
//!
//! Three locks, each a mutex between threads and an advisory file lock between processes, are taken in
//! this order and never the other way round: checkpoint, sync (on the head file), state (on the journal).

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hotcell_crypto::SigningKey;
use hotcell_types::{Digest, Event};

use crate::canonical::canonical;
use crate::edge::{Edge, TILE_WIDTH};
use crate::files::{Folder, Held, failed, open_to_write, read_at};
use crate::head::{Head, MAX_HEAD_BYTES, WATERMARK_BYTES};
use crate::journal::{self, Line, Lines, MAX_LINE_BYTES};
use crate::merkle::{empty_root, verify_consistency, verify_inclusion};
use crate::note::{Checkpoint, MAX_NOTE_BYTES, Origin, TreeHead};
use crate::prove::{self, Nodes};
use crate::{LogError, ProofError, tile};

/// When an append returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Once the entries will survive a loss of power.
    Durable,
    /// Once they are written; they become durable with the next durable append of anyone. They survive
    /// the death of this process, but not a loss of power before that.
    Lazy,
}

/// Where appended entries stand, and the tree as of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    first: u64,
    size: u64,
    root: Digest,
    offset: u64,
}

impl Position {
    /// Index of the first of the entries, from 0.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Number of entries of the log up to and with these.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Root hash of the tree of that size.
    pub fn root(&self) -> Digest {
        self.root
    }
}

/// The end of a write that a crash tore, which was cut off: nothing in it had been acknowledged as durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Number of entries before it.
    pub entries: u64,
    /// Number of bytes cut off.
    pub bytes: u64,
}

/// An open log. Many threads may share one; many processes may have the same log open.
pub struct Log {
    folder: Folder,
    origin: Origin,
    key: SigningKey,
    journal: File,
    head: File,
    checkpoint: File,
    state: Mutex<State>,
    sync: Mutex<Sync>,
    signing: Mutex<()>,
}

/// What is known of the journal: all lines before `head.offset` are in the tree.
struct State {
    head: Head,
    cut: Option<Cut>,
}

/// How far the journal is known to be durable.
struct Sync {
    through: u64,
    failed: bool,
}

impl Log {
    /// Opens the log in a folder, or begins one there; what a crash tore is cut off.
    ///
    /// The cost does not grow with the log, save when the head file was lost.
    ///
    /// # Errors
    /// Any [`LogError`]; those with exit status 123 mean that the log was altered.
    ///
    /// # Security
    /// Checks the end of the journal and that no signed entry is missing; only [`crate::verify`] reads all.
    pub fn open(dir: &Path, key: SigningKey, origin: Origin) -> Result<Self, LogError> {
        let folder = Folder::new(dir);
        let journal = match open_to_write(&folder.journal()) {
            Err(LogError::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                folder.create()?;
                open_to_write(&folder.journal())?
            }
            other => other?,
        };
        let log = Self {
            head: open_to_write(&folder.head())?,
            checkpoint: open_to_write(&folder.checkpoint())?,
            state: Mutex::new(State { head: Head::empty(0), cut: None }),
            sync: Mutex::new(Sync { through: 0, failed: false }),
            signing: Mutex::new(()),
            folder,
            origin,
            key,
            journal,
        };
        log.load()?;
        Ok(log)
    }

    /// The log's name.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The key that signs checkpoints and receipts.
    pub(crate) fn key(&self) -> &SigningKey {
        &self.key
    }

    /// What had to be cut off the end since the last call, if anything.
    pub fn take_cut(&self) -> Option<Cut> {
        lock(&self.state).cut.take()
    }

    /// Appends events, in order and without others between them.
    ///
    /// # Errors
    /// [`LogError`]. After an error the events may be in the log or not; none was acknowledged.
    pub fn append(&self, events: &[Event], durability: Durability) -> Result<Position, LogError> {
        let entries = events.iter().map(canonical).collect::<Result<Vec<_>, _>>()?;
        let position = self.write(&entries)?;
        if durability == Durability::Durable {
            self.sync_through(position.offset)?;
        }
        Ok(position)
    }

    /// The end of the log now, entries of other processes included.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn end(&self) -> Result<Position, LogError> {
        self.write(&[])
    }

    /// Signs the tree as of a position, after making its entries durable, and stores the checkpoint
    /// unless a later one is stored.
    ///
    /// Signed are: the empty log when it is begun, and whatever a caller asks for (each receipt does).
    ///
    /// # Errors
    /// [`LogError::Forked`] when the log is no extension of the stored checkpoint; nothing is signed then.
    pub fn checkpoint(&self, at: &Position) -> Result<Checkpoint, LogError> {
        let _one_thread = lock(&self.signing);
        let _one_process = Held::exclusive(&self.checkpoint).map_err(failed("lock", &self.folder.checkpoint()))?;
        self.sync_through(at.offset)?;
        let stored = self.stored_checkpoint()?;
        let before = stored.head();
        // INVARIANT (one-history): what is signed extends what was signed before.
        let consistent = if before.size <= at.size {
            self.root_at(before.size)? == before.root
        } else {
            stored.verify(&self.key.verifying()).is_ok()
        };
        if !consistent {
            return Err(LogError::Forked { size: before.size });
        }
        let signed = TreeHead { origin: self.origin.clone(), size: at.size, root: at.root }.sign(&self.key);
        if before.size <= at.size {
            self.store_checkpoint(&signed)?;
        }
        Ok(signed)
    }

    /// The proof that entry `index` is in the tree as of a position, from the leaf's sibling upward.
    ///
    /// # Errors
    /// [`ProofError::OutOfRange`] in [`LogError::Proof`]; [`LogError::Damaged`] when the journal no
    /// longer gives the tree of that position.
    pub fn inclusion_proof(&self, index: u64, at: &Position) -> Result<Vec<Digest>, LogError> {
        if index >= at.size {
            return Err(ProofError::OutOfRange { index, size: at.size }.into());
        }
        self.proved(at, |nodes| {
            let leaf = nodes.node(0, index)?;
            let proof = prove::inclusion(index, at.size, nodes)?;
            Ok(verify_inclusion(index, at.size, &leaf, &proof, &at.root).is_ok().then_some(proof))
        })
    }

    /// The proof that the tree as of a position begins with the tree of an earlier head.
    ///
    /// # Errors
    /// [`ProofError::NoSubtree`] in [`LogError::Proof`] when the earlier head is empty or the later one;
    /// [`LogError::Forked`] when it is no earlier head of this log.
    pub fn consistency_proof(&self, earlier: &TreeHead, at: &Position) -> Result<Vec<Digest>, LogError> {
        if earlier.size == 0 || earlier.size > at.size {
            return Err(ProofError::NoSubtree { start: 0, end: earlier.size, size: at.size }.into());
        }
        if self.proved(at, |nodes| prove::range_hash(0, earlier.size, nodes).map(Some))? != earlier.root {
            return Err(LogError::Forked { size: earlier.size });
        }
        self.proved(at, |nodes| {
            let proof = prove::consistency(earlier.size, at.size, nodes)?;
            let holds = verify_consistency(earlier.size, at.size, &earlier.root, &at.root, &proof).is_ok();
            Ok(holds.then_some(proof))
        })
    }

    /// Writes all tiles and bundles of entries that belong to the stored checkpoint, as C2SP tlog-tiles
    /// has them, so that the folder can be served or copied. Reads the whole journal.
    ///
    /// # Errors
    /// [`LogError::Forked`] when the journal does not give the checkpoint's root.
    pub fn publish(&self) -> Result<Checkpoint, LogError> {
        let _one_thread = lock(&self.signing);
        let _one_process = Held::exclusive(&self.checkpoint).map_err(failed("lock", &self.folder.checkpoint()))?;
        let stored = self.stored_checkpoint()?;
        self.write_tiles(stored.head().size, &stored.head().root)?;
        Ok(stored)
    }
}

/// Opening.
impl Log {
    /// Finds out where the log stands, from the head file if it can be believed, else from the journal.
    fn load(&self) -> Result<(), LogError> {
        let path = self.folder.journal();
        let header_bytes = self.read_header()?;
        let known = self.read_head(header_bytes)?;
        let rebuild = known.is_none();
        if let Some(head) = known {
            lock(&self.sync).through = head.offset;
            lock(&self.state).head = head;
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
                state.head = Head::empty(header_bytes);
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
        if start.len() < header.len() {
            let _held = Held::exclusive(&self.journal).map_err(failed("lock", &path))?;
            start = read()?;
            if start.len() < header.len() && header.as_bytes().starts_with(&start) {
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
        let path = self.folder.journal();
        self.journal.write_all_at(header.as_bytes(), 0).map_err(failed("write", &path))?;
        self.journal.sync_all().map_err(failed("make durable", &path))?;
        self.folder.sync_names()
    }

    /// The head file's content, if it is whole and the line that it says is last is there.
    fn read_head(&self, header_bytes: u64) -> Result<Option<Head>, LogError> {
        let read = || read_at(&self.head, 0, MAX_HEAD_BYTES).map_err(failed("read", &self.folder.head()));
        let mut head = Head::decode(&read()?);
        if head.is_none() {
            // It may have been caught in the middle of being written.
            let _held = Held::shared(&self.head).map_err(failed("lock", &self.folder.head()))?;
            head = Head::decode(&read()?);
        }
        let Some(head) = head else { return Ok(None) };
        if head.edge.size() == 0 {
            return Ok((head == Head::empty(header_bytes)).then_some(head));
        }
        let length = head.offset.saturating_sub(head.last_offset).min(MAX_LINE_BYTES as u64) as usize;
        let line = read_at(&self.journal, head.last_offset, length).map_err(failed("read", &self.folder.journal()))?;
        let fits = line.len() == length && journal::decode(&line).is_some_and(|(_, leaf)| leaf == head.last_leaf);
        Ok(fits.then_some(head))
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

/// Appending.
impl Log {
    fn write(&self, entries: &[Vec<u8>]) -> Result<Position, LogError> {
        let path = self.folder.journal();
        let mut state = lock(&self.state);
        let _held = Held::exclusive(&self.journal).map_err(failed("lock", &path))?;
        self.catch_up(&mut state)?;
        let first = state.head.edge.size();
        let mut bytes = Vec::new();
        let mut lines = Vec::with_capacity(entries.len());
        for entry in entries {
            let (line, leaf) = journal::encode(entry);
            lines.push((line.len() as u64, leaf));
            bytes.extend_from_slice(&line);
        }
        if let Err(error) = self.journal.write_all_at(&bytes, state.head.offset) {
            // What was written of it is cut off again; should that fail too, whoever opens the log next
            // takes the whole lines as entries and cuts the rest.
            let _ = self.journal.set_len(state.head.offset);
            return Err(failed("append to", &path)(error));
        }
        for (length, leaf) in lines {
            self.enter(&mut state.head, length, leaf);
        }
        let Head { edge, offset, .. } = &state.head;
        Ok(Position { first, size: edge.size(), root: edge.root(), offset: *offset })
    }

    /// Takes in the lines that other processes have written since. Needs the journal's lock.
    fn catch_up(&self, state: &mut State) -> Result<(), LogError> {
        self.read_lines(state, |_| {})
    }

    /// Takes in all further lines and cuts a torn end off. Needs the journal's lock: nobody is writing,
    /// so that a line that is not whole was left by somebody who died.
    fn read_lines(&self, state: &mut State, mut after_each: impl FnMut(&Edge)) -> Result<(), LogError> {
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
                Line::Entry { length, leaf, .. } => {
                    self.enter(&mut state.head, length, leaf);
                    after_each(&state.head.edge);
                }
                Line::Bad { offset } => {
                    let entries = state.head.edge.size();
                    // INVARIANT (no-loss): what was durable, or has entries after it, is never cut off.
                    if offset < self.watermark()? || lines.any_entry_follows().map_err(failed("read", &path))? {
                        return Err(LogError::Damaged { index: entries, offset });
                    }
                    self.journal.set_len(offset).map_err(failed("cut", &path))?;
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
    fn sync_through(&self, target: u64) -> Result<(), LogError> {
        let mut sync = lock(&self.sync);
        if sync.through >= target && !sync.failed {
            return Ok(()); // a thread that synced before us covered our entries
        }
        self.sync_now(&mut sync, Some(target))
    }

    /// Makes the journal durable, unless another process has done so up to `target`, and renews the head file.
    fn sync_now(&self, sync: &mut Sync, target: Option<u64>) -> Result<(), LogError> {
        if sync.failed {
            return Err(LogError::SyncFailed { path: self.folder.journal() });
        }
        let _held = Held::exclusive(&self.head).map_err(failed("lock", &self.folder.head()))?;
        let elsewhere = self.watermark()?;
        if target.is_some_and(|target| elsewhere >= target) {
            sync.through = elsewhere;
            return Ok(());
        }
        let (covered, head) = {
            let state = lock(&self.state);
            (state.head.offset, state.head.encode())
        };
        if let Err(source) = self.journal.sync_data() {
            // The kernel marks what it could not write as clean: a second try would succeed and prove nothing.
            sync.failed = true;
            return Err(failed("make durable", &self.folder.journal())(source));
        }
        sync.through = covered;
        // A head file that cannot be written costs the next open its shortcut, nothing else.
        let _ = self.head.write_all_at(&head, 0);
        Ok(())
    }

    /// How far the journal is durable according to the head file.
    fn watermark(&self) -> Result<u64, LogError> {
        let start = read_at(&self.head, 0, WATERMARK_BYTES).map_err(failed("read", &self.folder.head()))?;
        Ok(Head::watermark(&start).unwrap_or(0))
    }
}

/// Signing and proving.
impl Log {
    fn read_checkpoint(&self) -> Result<String, LogError> {
        let bytes = read_at(&self.checkpoint, 0, MAX_NOTE_BYTES).map_err(failed("read", &self.folder.checkpoint()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn stored_checkpoint(&self) -> Result<Checkpoint, LogError> {
        let text = self.read_checkpoint()?;
        if text.is_empty() {
            return Err(LogError::NoCheckpoint);
        }
        let stored: Checkpoint = text.parse()?;
        if stored.head().origin != self.origin {
            return Err(LogError::OtherOrigin {
                path: self.folder.checkpoint(),
                found: stored.head().origin.to_string(),
                expected: self.origin.to_string(),
            });
        }
        Ok(stored)
    }

    /// Overwrites the checkpoint in one write that fits a sector: an origin is at most 128 bytes long and
    /// sizes only grow, so that a later text is never shorter.
    fn store_checkpoint(&self, signed: &Checkpoint) -> Result<(), LogError> {
        let written = self.checkpoint.write_all_at(signed.text().as_bytes(), 0);
        written
            .and_then(|()| self.checkpoint.set_len(signed.text().len() as u64))
            .map_err(failed("write", &self.folder.checkpoint()))
    }

    fn root_at(&self, size: u64) -> Result<Digest, LogError> {
        let state = lock(&self.state);
        if size == state.head.edge.size() {
            return Ok(state.head.edge.root());
        }
        let now = Position { first: 0, size: state.head.edge.size(), root: state.head.edge.root(), offset: 0 };
        drop(state);
        self.proved(&now, |nodes| prove::range_hash(0, size, nodes).map(Some))
    }

    /// Makes something from the tree; when a tile is missing or leads elsewhere, all tiles are made again
    /// from the journal, once.
    fn proved<T>(
        &self,
        at: &Position,
        make: impl Fn(&mut TreeReader<'_>) -> Result<Option<T>, Missing>,
    ) -> Result<T, LogError> {
        let attempt = || -> Result<Option<T>, LogError> {
            let state = lock(&self.state);
            let mut nodes = TreeReader { dir: self.folder.dir(), edge: &state.head.edge, last: None };
            if at.size > nodes.edge.size() {
                return Err(ProofError::OutOfRange { index: at.size, size: nodes.edge.size() }.into());
            }
            Ok(make(&mut nodes).ok().flatten())
        };
        if let Some(made) = attempt()? {
            return Ok(made);
        }
        self.write_tiles(at.size, &at.root)?;
        attempt()?.ok_or(LogError::Forked { size: at.size })
    }

    /// Makes the tiles and bundles of the tree of `size` entries from the journal.
    fn write_tiles(&self, size: u64, root: &Digest) -> Result<(), LogError> {
        let path = self.folder.journal();
        let start = journal::header(&self.origin).len() as u64;
        // A file of its own, as its position must not be shared with other threads.
        let file = crate::files::open_to_read(&path)?;
        let end = file.metadata().map_err(failed("read", &path))?.len();
        let mut lines = Lines::new(file, start, end).map_err(failed("read", &path))?;
        let mut writer = crate::publish::Publisher::new(self.folder.dir());
        while writer.size() < size {
            match lines.next().map_err(failed("read", &path))? {
                Line::Entry { entry, leaf, .. } => {
                    writer.push(entry, leaf).map_err(failed("write a tile of", &path))?
                }
                Line::Bad { offset } => return Err(LogError::Damaged { index: writer.size(), offset }),
                Line::End => return Err(LogError::Truncated { entries: writer.size(), signed: size }),
            }
        }
        if writer.root() != *root {
            return Err(LogError::Forked { size });
        }
        writer.finish().map_err(failed("write a tile of", &path))
    }
}

/// A tile that a proof needs is not there.
struct Missing;

/// Hashes from the right edge in memory and the full tiles on disk.
struct TreeReader<'a> {
    dir: &'a Path,
    edge: &'a Edge,
    last: Option<(u32, u64, Vec<Digest>)>,
}

impl Nodes for TreeReader<'_> {
    type Error = Missing;

    fn node(&mut self, height: u32, index: u64) -> Result<Digest, Missing> {
        let (level, above) = (height / 8, height % 8);
        let first = index << above;
        let (tile, from) = (first / TILE_WIDTH, (first % TILE_WIDTH) as usize);
        let hashes = self.tile(level, tile)?.get(from..from + (1 << above)).ok_or(Missing)?;
        Ok(fold(hashes))
    }
}

impl TreeReader<'_> {
    fn tile(&mut self, level: u32, index: u64) -> Result<&[Digest], Missing> {
        // The unfinished tile of a level has the index that the next full one will have.
        if index == self.edge.size().checked_shr(8 * (level + 1)).unwrap_or(0) {
            return Ok(self.edge.tile(level));
        }
        if !matches!(&self.last, Some((l, i, _)) if (*l, *i) == (level, index)) {
            let hashes = tile::read_full(self.dir, level, index).ok().flatten().ok_or(Missing)?;
            self.last = Some((level, index, hashes));
        }
        self.last.as_ref().map(|(_, _, hashes)| hashes.as_slice()).ok_or(Missing)
    }
}

/// The root of a complete subtree with these leaves, a power of two in number.
fn fold(hashes: &[Digest]) -> Digest {
    let mut level = hashes.to_vec();
    while level.len() > 1 {
        level = level.as_chunks::<2>().0.iter().map(|[left, right]| crate::merkle::node_hash(left, right)).collect();
    }
    level.first().copied().unwrap_or_else(empty_root)
}

/// A first line with the longest origin fits.
const MAX_HEADER_BYTES: usize = 256;

/// A panic while a lock is held leaves the state as of its last complete step, so it can be used further.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
