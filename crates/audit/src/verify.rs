//! Verifying a whole log: everything is computed again from the journal and held against what was signed.

use std::collections::BTreeMap;
use std::path::Path;

use hotcell_crypto::VerifyingKey;
use hotcell_types::{Digest, EventKind, Exit, Explain, TaskId, Timestamp};
use serde::de::IgnoredAny;

use crate::edge::{Edge, TILE_WIDTH};
use crate::files::{Folder, Held, failed, open_to_read, read_at};
use crate::head::{Head, MAX_HEAD_BYTES};
use crate::journal::{self, Line, Lines};
use crate::merkle::empty_root;
use crate::note::{Checkpoint, MAX_NOTE_BYTES, Origin, TreeHead, note_of};
use crate::{LogError, clock, tile};

/// What a log was found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The log's name.
    pub origin: Origin,
    /// Number of entries.
    pub entries: u64,
    /// Root hash over them.
    pub root: Digest,
    /// What the checkpoint states; entries after its size are not signed yet.
    pub signed: TreeHead,
    /// Bytes of a torn or unfinished line at the end; the next start cuts them off.
    pub torn_bytes: u64,
    /// Size of the largest of the checkpoints that were kept elsewhere; 0 without one.
    pub kept: u64,
    /// How often the clock of the events was set back, as the log itself says. The order of entries is that of their
    /// writing, whatever the clock says.
    pub clock_went_back: u64,
}

/// Why a log does not verify.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The first entry that is not what was written.
    #[error("entry {index} at byte {offset} of the journal {why}")]
    BadEntry {
        /// Which, from 0.
        index: u64,
        /// Where its line begins.
        offset: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The entries are not those that were signed, and nothing is left that tells which one differs.
    #[error("the first {size} entries do not give the root hash that was signed for them")]
    OtherRoot {
        /// How many were signed.
        size: u64,
    },
    /// The entries are right, but a tile is not.
    #[error("tile `{path}` does not fit the journal")]
    BadTile {
        /// The tile, below the log's folder.
        path: String,
    },
    /// The log cannot be read, is cut below its checkpoint, or the checkpoint is refused.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl Explain for VerifyError {
    fn code(&self) -> &'static str {
        match self {
            Self::BadEntry { .. } => "AUD-301",
            Self::OtherRoot { .. } => "AUD-302",
            Self::BadTile { .. } => "AUD-303",
            Self::Log(error) => error.code(),
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::BadEntry { .. } | Self::OtherRoot { .. } => {
                "take the log for altered: keep the folder as evidence, compare it with a backup and with receipts handed out".to_owned()
            }
            Self::BadTile { .. } => "delete that file: it is made again from the journal when a proof needs it".to_owned(),
            Self::Log(error) => error.remedy(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Log(error) => error.exit(),
            _ => Exit::Integrity,
        }
    }
}

/// Verifies the log in a folder against the key that signs it. Writes nothing.
///
/// # Errors
/// [`VerifyError`], naming the first bad entry where that can be known.
///
/// # Security
/// A folder that was replaced as a whole by an older copy of itself verifies: only receipts handed out
/// and witnesses tell that.
pub fn verify(dir: &Path, key: &VerifyingKey) -> Result<Report, VerifyError> {
    verify_against(dir, key, &[])
}

/// Verifies the log in a folder, and that it extends each of these checkpoints, which were kept elsewhere.
///
/// # Errors
/// As [`verify`]; [`LogError::Truncated`] when the log is shorter than one of them.
pub fn verify_against(dir: &Path, key: &VerifyingKey, kept: &[Checkpoint]) -> Result<Report, VerifyError> {
    let snapshot = Snapshot::take(&Folder::new(dir))?;
    let signed = snapshot.checkpoint.head().clone();
    let mut expected = BTreeMap::from([(0, empty_root())]);
    for checkpoint in kept.iter().chain([&snapshot.checkpoint]) {
        checkpoint.verify(key).map_err(LogError::from)?;
        let head = checkpoint.head();
        if head.origin != snapshot.origin {
            let (path, found) = (snapshot.folder.checkpoint(), head.origin.to_string());
            return Err(LogError::OtherOrigin { path, found, expected: snapshot.origin.to_string() }.into());
        }
        if *expected.entry(head.size).or_insert(head.root) != head.root {
            return Err(VerifyError::OtherRoot { size: head.size });
        }
    }
    Walk {
        expected,
        recorded: Recorded { snapshot: &snapshot, tile: None },
        edge: Edge::default(),
        suspect: None,
        bad_tile: None,
        latest: None,
        untold: None,
        clock_went_back: 0,
    }
    .run(signed)
    .map(|report| Report { kept: kept.iter().map(|checkpoint| checkpoint.head().size).max().unwrap_or(0), ..report })
}

/// The log's files as of one moment.
struct Snapshot {
    folder: Folder,
    origin: Origin,
    checkpoint: Checkpoint,
    head: Option<Head>,
    header_bytes: u64,
    end: u64,
}

impl Snapshot {
    /// Reads the small files and the journal's length while nobody appends.
    fn take(folder: &Folder) -> Result<Self, LogError> {
        let path = folder.journal();
        let journal = open_to_read(&path)?;
        let checkpoint = match open_to_read(&folder.checkpoint()) {
            Err(LogError::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                return Err(LogError::NoCheckpoint);
            }
            other => other?,
        };
        // The checkpoint is read first: entries that it covers were written before it.
        let signing = Held::shared(&checkpoint).map_err(failed("lock", &folder.checkpoint()))?;
        let note = read_at(&checkpoint, 0, MAX_NOTE_BYTES).map_err(failed("read", &folder.checkpoint()))?;
        drop(signing);
        let _appending = Held::shared(&journal).map_err(failed("lock", &path))?;
        let start = read_at(&journal, 0, 256).map_err(failed("read", &path))?;
        let end = journal.metadata().map_err(failed("read", &path))?.len();
        let head = open_to_read(&folder.head()).ok().and_then(|file| read_at(&file, 0, MAX_HEAD_BYTES).ok());
        let Some((origin, header_bytes)) = journal::parse_header(&start) else {
            return Err(LogError::NotAJournal { path });
        };
        if note.is_empty() {
            return Err(LogError::NoCheckpoint);
        }
        let checkpoint = note_of(&note).parse()?;
        let head = head.and_then(|bytes| Head::decode(&bytes));
        Ok(Self { folder: folder.clone(), origin, checkpoint, head, header_bytes, end })
    }
}

/// The leaf hashes that tiles and head file recorded when the entries were written.
struct Recorded<'a> {
    snapshot: &'a Snapshot,
    tile: Option<(u64, Option<Vec<Digest>>)>,
}

impl Recorded<'_> {
    fn leaf(&mut self, index: u64) -> Option<Digest> {
        let (number, place) = (index / TILE_WIDTH, (index % TILE_WIDTH) as usize);
        if let Some(head) = self.snapshot.head.as_ref().filter(|head| head.edge.size() / TILE_WIDTH == number) {
            return head.edge.tile(0).get(place).copied();
        }
        if !matches!(self.tile, Some((there, _)) if there == number) {
            self.tile = Some((number, tile::read_full(self.snapshot.folder.dir(), 0, number).ok().flatten()));
        }
        self.tile.as_ref()?.1.as_ref()?.get(place).copied()
    }
}

/// One pass over the journal.
struct Walk<'a> {
    /// The root hashes that were signed, by size.
    expected: BTreeMap<u64, Digest>,
    recorded: Recorded<'a>,
    edge: Edge,
    /// The first entry that differs from what was recorded of it.
    suspect: Option<(u64, u64)>,
    /// The first tile above the leaves that differs.
    bad_tile: Option<String>,
    /// The time of the entry before.
    latest: Option<Timestamp>,
    /// The first entry that lies before its predecessor, without an event that says that the clock was set back.
    untold: Option<(u64, u64)>,
    clock_went_back: u64,
}

impl Walk<'_> {
    fn run(mut self, signed: TreeHead) -> Result<Report, VerifyError> {
        let snapshot = self.recorded.snapshot;
        let path = snapshot.folder.journal();
        let file = open_to_read(&path)?;
        let mut lines = Lines::new(file, snapshot.header_bytes, snapshot.end).map_err(failed("read", &path))?;
        // The first size at which the entries do not give the root that was signed.
        let mut differs = None;
        let last = self.expected.keys().next_back().copied().unwrap_or(0);
        let mut torn_bytes = 0;
        loop {
            match lines.next().map_err(failed("read", &path))? {
                Line::End => break,
                Line::Entry { offset, entry, leaf, .. } => {
                    self.enter(offset, entry, leaf)?;
                    let size = self.edge.size();
                    if size <= last && self.expected.get(&size).is_some_and(|root| *root != self.edge.root()) {
                        differs.get_or_insert(size);
                    }
                }
                Line::Bad { offset, hole } => {
                    let index = self.edge.size();
                    let durable = snapshot.head.as_ref().is_some_and(|head| offset < head.offset);
                    let kept = durable || index < last;
                    if kept || (!hole && lines.any_entry_follows().map_err(failed("read", &path))?) {
                        return Err(self.first_bad(index, offset, "is damaged or was altered"));
                    }
                    torn_bytes = snapshot.end - offset;
                    break;
                }
            }
        }
        let entries = self.edge.size();
        if let Some(size) = differs {
            return Err(self.other_root(size));
        }
        if entries < last {
            return Err(match self.suspect {
                Some(_) => self.other_root(last),
                None => LogError::Truncated { entries, signed: last }.into(),
            });
        }
        if let Some((index, offset)) = self.suspect.filter(|(index, _)| *index >= last) {
            return Err(VerifyError::BadEntry { index, offset, why: DIFFERS });
        }
        if let Some((index, _)) = self.suspect {
            // The signature covers this entry, so it is the record of it that was altered.
            let path = tile::hash_path(0, index / TILE_WIDTH, TILE_WIDTH).display().to_string();
            return Err(VerifyError::BadTile { path });
        }
        if let Some(path) = self.bad_tile {
            return Err(VerifyError::BadTile { path });
        }
        // Last: an entry that is not the one that was recorded or signed tells more than its time.
        if let Some((index, offset)) = self.untold {
            return Err(VerifyError::BadEntry { index, offset, why: UNTOLD });
        }
        Ok(Report {
            origin: snapshot.origin.clone(),
            entries,
            root: self.edge.root(),
            signed,
            torn_bytes,
            kept: 0,
            clock_went_back: self.clock_went_back,
        })
    }

    fn enter(&mut self, offset: u64, entry: &[u8], leaf: Digest) -> Result<(), VerifyError> {
        let index = self.edge.size();
        let Some(time) = journal::time_of(entry).filter(|_| serde_json::from_slice::<Outline>(entry).is_ok()) else {
            return Err(self.first_bad(index, offset, "is no event"));
        };
        if let Some(latest) = self.latest.filter(|latest| clock::back(*latest, time).is_some()) {
            if self.untold.is_none() && !serde_json::from_slice(entry).is_ok_and(|event| clock::is_told(latest, &event))
            {
                self.untold = Some((index, offset));
            }
            self.clock_went_back += 1;
        }
        self.latest = Some(time);
        if self.suspect.is_none() && self.recorded.leaf(index).is_some_and(|recorded| recorded != leaf) {
            self.suspect = Some((index, offset));
        }
        for full in self.edge.push(leaf) {
            let there = tile::read_full(self.recorded.snapshot.folder.dir(), full.level, full.index).ok().flatten();
            let differs = there.is_some_and(|hashes| hashes != full.hashes);
            if full.level > 0 && differs && self.bad_tile.is_none() {
                self.bad_tile = Some(tile::hash_path(full.level, full.index, TILE_WIDTH).display().to_string());
            }
        }
        Ok(())
    }

    /// A bad line, unless an entry before it already differs from its record.
    fn first_bad(&self, index: u64, offset: u64, why: &'static str) -> VerifyError {
        match self.suspect {
            Some((index, offset)) => VerifyError::BadEntry { index, offset, why: DIFFERS },
            None => VerifyError::BadEntry { index, offset, why },
        }
    }

    fn other_root(&self, size: u64) -> VerifyError {
        match self.suspect {
            Some((index, offset)) => VerifyError::BadEntry { index, offset, why: DIFFERS },
            None => VerifyError::OtherRoot { size },
        }
    }
}

/// What an entry must have to be an event, read without keeping any of it.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Outline {
    #[serde(rename = "time")]
    _time: Timestamp,
    #[serde(rename = "task", default)]
    _task: Option<TaskId>,
    #[serde(rename = "kind")]
    _kind: EventKind,
    #[serde(rename = "data", default)]
    _data: Particulars,
}

/// An object, whatever its members.
#[derive(Default)]
struct Particulars;

impl<'de> serde::Deserialize<'de> for Particulars {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Self)
    }
}

impl<'de> serde::de::Visitor<'de> for Particulars {
    type Value = Self;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(self)
    }
}

const UNTOLD: &str = "lies before the entry before it, and no event says that the clock was set back";

const DIFFERS: &str = "is not the one that was recorded there";
