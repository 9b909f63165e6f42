//! A snapshot of the states that the events give, so that nobody has to read ten million events to list the last task.
//!
//! A cache: it follows from the log, may be removed at any time, and is believed only if it is whole and the entry that
//! it says it ends with is there. What it holds of persons is sealed, as it is in the log.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use hotcell_crypto::sha256;
use hotcell_types::Digest;
use serde::{Deserialize, Serialize};

use crate::fold::States;
use crate::{Events, Filter, LogError, Place};

/// Events after which a snapshot is written anew: fewer are read as quickly as a snapshot is written.
const WORTH_A_SNAPSHOT: u64 = 20_000;

const FORMAT: &str = "hotcell states v1";

/// The states as of an entry of a log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// The states.
    pub states: States,
    /// The place after the last entry that they take in.
    pub place: Place,
    /// The leaf hash of that entry.
    last: Option<Digest>,
}

/// Its file: a line with format and SHA-256 of the rest, then this.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    index: u64,
    offset: u64,
    last: Option<Digest>,
    states: States,
}

impl Snapshot {
    /// The states as of now: from the last snapshot on, and from the beginning where there is none. Many events are kept
    /// as a new snapshot.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn current(log: &Path) -> Result<Self, LogError> {
        let mut snapshot = Self::read(log).unwrap_or_default();
        if snapshot.catch_up(log)? >= WORTH_A_SNAPSHOT {
            // Who may only read does without.
            let _ = snapshot.write(log);
        }
        Ok(snapshot)
    }

    /// Drops the snapshot and makes it again from the log. Says whether the one that was there said the same.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn rebuild(log: &Path) -> Result<(Self, Option<bool>), LogError> {
        let mut before = Self::read(log);
        let mut rebuilt = Self::default();
        rebuilt.catch_up(log)?;
        if let Some(before) = &mut before {
            // It took in fewer events, which is nothing to blame it for.
            before.catch_up(log)?;
        }
        let same = before.map(|before| before.states == rebuilt.states && before.place == rebuilt.place);
        let path = path(log);
        rebuilt.write(log).map_err(|source| LogError::File { operation: "write", path, source })?;
        Ok((rebuilt, same))
    }

    /// Takes in the events since, and says how many those were.
    fn catch_up(&mut self, log: &Path) -> Result<u64, LogError> {
        let mut events = Events::open_at(log, Filter::default(), self.place)?;
        let mut count = 0;
        for entry in events.by_ref() {
            self.states.apply(&entry?.event);
            count += 1;
        }
        self.place = events.place();
        self.last = events.last_leaf().or(self.last);
        Ok(count)
    }

    /// What is there, if it can be believed.
    fn read(log: &Path) -> Option<Self> {
        let bytes = fs::read(path(log)).ok()?;
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let (first, rest) = bytes.split_at_checked(end + 1)?;
        if first != first_line(rest).as_bytes() {
            return None;
        }
        let Stored { index, offset, last, states } = serde_json::from_slice(rest).ok()?;
        let place = Place { index, offset };
        let found = crate::events::leaf_before(log, place).ok().flatten();
        (found.is_some() && found == last).then_some(Self { states, place, last })
    }

    fn write(&self, log: &Path) -> io::Result<()> {
        let Place { index, offset } = self.place;
        let stored = Stored { index, offset, last: self.last, states: self.states.clone() };
        let rest = serde_json::to_vec(&stored)?;
        let path = path(log);
        let new = path.with_extension(format!("new-{}", std::process::id()));
        let write = || -> io::Result<()> {
            let mut to = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            to.write_all(first_line(&rest).as_bytes())?;
            to.write_all(&rest)?;
            // Not synced: of one that a loss of power tore, the digest tells.
            fs::rename(&new, &path)
        };
        write().inspect_err(|_| {
            let _ = fs::remove_file(&new);
        })
    }
}

fn first_line(rest: &[u8]) -> String {
    format!("{FORMAT} {}\n", sha256(rest).hex())
}

fn path(log: &Path) -> PathBuf {
    log.join("states")
}
