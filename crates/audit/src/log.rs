//! The log: opening, appending, making durable, signing, proving.
//!
//! Security properties: an entry whose durable append was acknowledged is never lost by a crash, and no
//! checkpoint is ever signed that is not an extension of the one signed before.
//!
//! [`commit`] appends and syncs, [`opening`] finds out where a log stands, [`proving`] signs and proves.
//!
//! Three locks, each a mutex between threads and an advisory file lock between processes, are taken in
//! this order and never the other way round: checkpoint, sync (on the head file), state (on the journal).

mod commit;
mod opening;
mod proving;

use std::fs::File;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hotcell_crypto::SigningKey;
use hotcell_types::{Digest, Timestamp};

use self::commit::{Group, Sync};
use crate::LogError;
use crate::files::{Folder, open_to_write};
use crate::head::Head;
use crate::note::{Origin, TreeHead};

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
    /// The tree that a head states.
    pub(crate) fn of(head: &TreeHead) -> Self {
        Self { first: 0, size: head.size, root: head.root, offset: 0 }
    }

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
    group: Mutex<Group>,
    sync: Mutex<Sync>,
    signing: Mutex<()>,
}

/// What is known of the journal: all lines before `head.offset` are in the tree.
struct State {
    head: Head,
    /// The time of the last entry.
    latest: Option<Timestamp>,
    cut: Option<Cut>,
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
            state: Mutex::new(State { head: Head::empty(0), latest: None, cut: None }),
            group: Mutex::default(),
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
}

/// A panic while a lock is held leaves the state as of its last complete step, so it can be used further.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
