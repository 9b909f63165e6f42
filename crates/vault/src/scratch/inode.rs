//! Inodes: what a name stands for.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::blocks::Slot;
use super::volume::Ino;

/// A moment, as files have it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time {
    /// Seconds since 1970.
    pub seconds: i64,
    /// And nanoseconds.
    pub nanoseconds: u32,
}

/// Who owns a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// User id.
    pub user: u32,
    /// Group id.
    pub group: u32,
}

/// What something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// A named pipe.
    Pipe,
    /// A socket.
    Socket,
}

impl Kind {
    /// The bits of `st_mode` that say so.
    pub(crate) fn mode_bits(self) -> u32 {
        match self {
            Self::Pipe => 0o010_000,
            Self::Folder => 0o040_000,
            Self::File => 0o100_000,
            Self::Link => 0o120_000,
            Self::Socket => 0o140_000,
        }
    }
}

/// What `stat` tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// Number.
    pub ino: Ino,
    /// What it is.
    pub kind: Kind,
    /// Permissions, with set-id and sticky bits.
    pub mode: u32,
    /// Owner.
    pub owner: Owner,
    /// Number of names.
    pub links: u32,
    /// Size in bytes.
    pub size: u64,
    /// Blocks of [`BLOCK_BYTES`](super::BLOCK_BYTES) that it takes.
    pub blocks: u64,
    /// Last read.
    pub accessed: Time,
    /// Last change of content.
    pub modified: Time,
    /// Last change of anything.
    pub changed: Time,
}

/// One inode.
#[derive(Debug)]
pub(crate) struct Inode {
    pub(crate) content: Content,
    pub(crate) mode: u32,
    pub(crate) owner: Owner,
    pub(crate) links: u32,
    /// How often the kernel was told of it and has not forgotten it yet: files that are open count here.
    pub(crate) known: u64,
    pub(crate) size: u64,
    pub(crate) accessed: Time,
    pub(crate) modified: Time,
    pub(crate) changed: Time,
}

/// What is in it.
#[derive(Debug)]
pub(crate) enum Content {
    /// Blocks by their number in the file; one that is absent is a hole.
    File(BTreeMap<u64, Slot>),
    Folder(Folder),
    Link(Target),
    Pipe,
    Socket,
}

/// Where a symbolic link points to.
#[derive(Debug)]
pub(crate) enum Target {
    /// A short target, in the inode.
    Inline(Box<[u8]>),
    /// A long one, in a block as contents are; its length is the inode's size.
    Block(Slot),
}

impl Inode {
    pub(crate) fn kind(&self) -> Kind {
        match &self.content {
            Content::File(_) => Kind::File,
            Content::Folder(_) => Kind::Folder,
            Content::Link(_) => Kind::Link,
            Content::Pipe => Kind::Pipe,
            Content::Socket => Kind::Socket,
        }
    }
}

/// A folder: names, each with a place in the order of listing that stays while others come and go.
#[derive(Debug)]
pub(crate) struct Folder {
    pub(crate) parent: Ino,
    by_name: HashMap<Arc<[u8]>, Entry>,
    by_place: BTreeMap<u64, (Arc<[u8]>, Ino)>,
    next_place: u64,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    place: u64,
    ino: Ino,
}

/// The places of `.` and `..` come before.
const FIRST_PLACE: u64 = 3;

impl Folder {
    pub(crate) fn new(parent: Ino) -> Self {
        Self { parent, by_name: HashMap::new(), by_place: BTreeMap::new(), next_place: FIRST_PLACE }
    }

    pub(crate) fn find(&self, name: &[u8]) -> Option<Ino> {
        self.by_name.get(name).map(|entry| entry.ino)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Adds a name, or lets it stand for something else.
    pub(crate) fn put(&mut self, name: &[u8], ino: Ino) {
        if let Some(entry) = self.by_name.get_mut(name) {
            entry.ino = ino;
            if let Some(listed) = self.by_place.get_mut(&entry.place) {
                listed.1 = ino;
            }
            return;
        }
        let name: Arc<[u8]> = name.into();
        let place = self.next_place;
        self.next_place += 1;
        self.by_name.insert(Arc::clone(&name), Entry { place, ino });
        self.by_place.insert(place, (name, ino));
    }

    pub(crate) fn remove(&mut self, name: &[u8]) {
        if let Some(entry) = self.by_name.remove(name) {
            self.by_place.remove(&entry.place);
        }
    }

    /// The entries behind a place, in order.
    pub(crate) fn after(&self, place: u64) -> impl Iterator<Item = (u64, &[u8], Ino)> {
        let from = place.saturating_add(1);
        self.by_place.range(from..).map(|(place, (name, ino))| (*place, name.as_ref(), *ino))
    }
}
