//! A file system without a kernel: inodes in memory, contents in [`Blocks`].
//!
//! Here are the inodes; [`names`] has folders and what leads to an inode, [`content`] the bytes of files.

mod content;
mod names;

use rustix::io::Errno;

use super::BLOCK_BYTES;
use super::blocks::{Blocks, Slot};
use super::inode::{Attributes, Content, Folder, Inode, Owner, Target, Time};
pub use names::TakeEntry;

/// The number of an inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ino(pub u64);

impl Ino {
    /// The root folder.
    pub const ROOT: Self = Self(1);
}

/// What a volume holds at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of content, in whole blocks; a long target of a link is content too.
    pub bytes: u64,
    /// Inodes, and names beyond the first of each.
    pub inodes: u64,
}

/// What a volume holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Blocks in use.
    pub blocks: u64,
    /// Blocks that there may be.
    pub blocks_limit: u64,
    /// The most blocks that were in use at once.
    pub blocks_peak: u64,
    /// Inodes in use, with names beyond the first of each.
    pub inodes: u64,
    /// Inodes that there may be.
    pub inodes_limit: u64,
}

/// What to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewKind<'a> {
    /// A file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link to this.
    Link(&'a [u8]),
    /// A named pipe.
    Pipe,
    /// A socket.
    Socket,
}

/// What to change of an inode.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changes {
    /// Permissions.
    pub mode: Option<u32>,
    /// User id.
    pub user: Option<u32>,
    /// Group id.
    pub group: Option<u32>,
    /// Size.
    pub size: Option<u64>,
    /// Last read.
    pub accessed: Option<Time>,
    /// Last change of content.
    pub modified: Option<Time>,
}

/// The volume.
///
/// The caller has checked permissions (the kernel does); the volume checks everything that could harm itself. What its
/// own limits refuse is `EDQUOT` here, to be told from a full disk, which is `ENOSPC`.
#[derive(Debug)]
pub struct Volume {
    blocks: Blocks,
    usage: Usage,
    inodes: Vec<Option<Inode>>,
    free: Vec<usize>,
}

/// Set-user-id and set-group-id.
const SET_ID_BITS: u32 = 0o6000;
const SET_GROUP_ID: u32 = 0o2000;

const BLOCK: u64 = BLOCK_BYTES as u64;
impl Volume {
    /// An empty volume; its root folder, of mode 1777, belongs to `owner`.
    pub fn new(blocks: Blocks, limits: Limits, owner: Owner, now: Time) -> Self {
        let usage = Usage {
            blocks_limit: (limits.bytes / BLOCK).min(u64::from(u32::MAX)),
            inodes: 1,
            inodes_limit: limits.inodes.max(1),
            ..Usage::default()
        };
        let root = Inode {
            content: Content::Folder(Folder::new(Ino::ROOT)),
            mode: 0o1777,
            owner,
            links: 2,
            // The kernel never forgets the root.
            known: 1,
            size: 0,
            accessed: now,
            modified: now,
            changed: now,
        };
        Self { blocks, usage, inodes: vec![Some(root)], free: Vec::new() }
    }

    /// What it holds.
    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// The block store.
    pub fn blocks(&self) -> &Blocks {
        &self.blocks
    }

    /// What `stat` tells.
    ///
    /// # Errors
    /// `ENOENT` for a number that is none.
    pub fn attributes(&self, ino: Ino) -> Result<Attributes, Errno> {
        let inode = self.inode(ino)?;
        Ok(Attributes {
            ino,
            kind: inode.kind(),
            mode: inode.mode,
            owner: inode.owner,
            links: inode.links,
            size: inode.size,
            blocks: match &inode.content {
                Content::File(map) => map.len() as u64,
                Content::Link(Target::Block(_)) => 1,
                _ => 0,
            },
            accessed: inode.accessed,
            modified: inode.modified,
            changed: inode.changed,
        })
    }

    /// The kernel knows this inode once more.
    pub fn remember(&mut self, ino: Ino) {
        if let Ok(inode) = self.inode_mut(ino) {
            inode.known = inode.known.saturating_add(1);
        }
    }

    /// The kernel forgets this inode so often; one without a name that nobody knows is gone.
    pub fn forget(&mut self, ino: Ino, times: u64) {
        if let Ok(inode) = self.inode_mut(ino) {
            inode.known = inode.known.saturating_sub(times);
        }
        self.remove_if_unused(ino);
    }

    /// Changes attributes.
    ///
    /// # Errors
    /// `EFBIG` for a size that cannot be, `EINVAL` for the size of what is no file, `EIO` from the disk.
    pub fn set_attributes(&mut self, ino: Ino, changes: &Changes, now: Time) -> Result<(), Errno> {
        if let Some(size) = changes.size {
            self.set_size(ino, size, now)?;
        }
        let inode = self.inode_mut(ino)?;
        inode.mode = changes.mode.map_or(inode.mode, |mode| mode & 0o7777);
        inode.owner.user = changes.user.unwrap_or(inode.owner.user);
        inode.owner.group = changes.group.unwrap_or(inode.owner.group);
        inode.accessed = changes.accessed.unwrap_or(inode.accessed);
        inode.modified = changes.modified.unwrap_or(inode.modified);
        inode.changed = now;
        Ok(())
    }

    /// A file that was written to has no set-id bits any more.
    pub fn clear_set_id(&mut self, ino: Ino) {
        if let Ok(inode) = self.inode_mut(ino) {
            // Set-group-id without execution by the group once meant mandatory locking.
            let group = if inode.mode & 0o010 == 0 { inode.mode & SET_GROUP_ID } else { 0 };
            inode.mode = inode.mode & !SET_ID_BITS | group;
        }
    }

    fn inode(&self, ino: Ino) -> Result<&Inode, Errno> {
        place(ino).and_then(|place| self.inodes.get(place)).and_then(Option::as_ref).ok_or(Errno::NOENT)
    }

    fn inode_mut(&mut self, ino: Ino) -> Result<&mut Inode, Errno> {
        place(ino).and_then(|place| self.inodes.get_mut(place)).and_then(Option::as_mut).ok_or(Errno::NOENT)
    }

    fn folder(&self, ino: Ino) -> Result<&Folder, Errno> {
        match &self.inode(ino)?.content {
            Content::Folder(folder) => Ok(folder),
            _ => Err(Errno::NOTDIR),
        }
    }

    fn folder_mut(&mut self, ino: Ino) -> Result<&mut Folder, Errno> {
        match &mut self.inode_mut(ino)?.content {
            Content::Folder(folder) => Ok(folder),
            _ => Err(Errno::NOTDIR),
        }
    }

    fn keep(&mut self, inode: Inode) -> Ino {
        let place = match self.free.pop() {
            Some(place) => place,
            None => {
                self.inodes.push(None);
                self.inodes.len() - 1
            }
        };
        if let Some(free) = self.inodes.get_mut(place) {
            *free = Some(inode);
        }
        Ino(place as u64 + 1)
    }

    fn remove_if_unused(&mut self, ino: Ino) {
        if ino == Ino::ROOT || !self.inode(ino).is_ok_and(|inode| inode.links == 0 && inode.known == 0) {
            return;
        }
        if matches!(self.map(ino), Ok(map) if !map.is_empty()) {
            // It is a file, which is all that this can fail for.
            let _ = self.free_blocks(ino, 0, u64::MAX);
        }
        if let Ok(Content::Link(Target::Block(slot))) = self.inode(ino).map(|inode| &inode.content) {
            self.blocks.give_back_counted(*slot, &mut self.usage);
        }
        if let Some((number, place)) = place(ino).and_then(|number| Some((number, self.inodes.get_mut(number)?))) {
            *place = None;
            self.free.push(number);
            self.usage.inodes = self.usage.inodes.saturating_sub(1);
        }
    }
}

impl Blocks {
    fn take_counted(&mut self, usage: &mut Usage) -> Result<Slot, Errno> {
        if usage.blocks >= usage.blocks_limit {
            return Err(Errno::DQUOT);
        }
        let slot = self.take()?;
        usage.blocks += 1;
        usage.blocks_peak = usage.blocks_peak.max(usage.blocks);
        Ok(slot)
    }

    fn give_back_counted(&mut self, slot: Slot, usage: &mut Usage) {
        self.give_back(slot);
        usage.blocks = usage.blocks.saturating_sub(1);
    }
}

fn place(ino: Ino) -> Option<usize> {
    usize::try_from(ino.0).ok()?.checked_sub(1)
}
