//! A file system without a kernel: inodes in memory, contents in [`Blocks`].

use std::collections::BTreeMap;
use std::ops::Range;

use rustix::io::Errno;

use super::BLOCK_BYTES;
use super::blocks::{Blocks, Slot};
use super::inode::{Attributes, Content, Folder, Inode, Kind, Owner, Target, Time};

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

/// Takes an entry of a folder: its place in the order of listing, its name, what it stands for. Says whether to go on.
pub type TakeEntry<'a> = dyn FnMut(u64, &[u8], Ino, Kind) -> bool + 'a;

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

/// Longest name, as on other file systems.
const NAME_BYTES: usize = 255;
/// Longest target of a symbolic link.
const TARGET_BYTES: usize = 4095;
/// Longest target that lies in the inode. A longer one takes a block: memory for it would be the host's.
const INLINE_TARGET_BYTES: usize = 60;
/// Largest size of a file, as the kernel has it.
const FILE_BYTES: u64 = i64::MAX as u64;
/// Set-user-id and set-group-id.
const SET_ID_BITS: u32 = 0o6000;
const SET_GROUP_ID: u32 = 0o2000;

const RENAME_NOREPLACE: u32 = 1;
const RENAME_EXCHANGE: u32 = 2;

const FALLOC_KEEP_SIZE: u32 = 0x01;
const FALLOC_PUNCH_HOLE: u32 = 0x02;
const FALLOC_ZERO_RANGE: u32 = 0x10;

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

    /// What a name in a folder stands for.
    ///
    /// # Errors
    /// `ENOENT`, `ENOTDIR`, `ENAMETOOLONG`.
    pub fn lookup(&self, parent: Ino, name: &[u8]) -> Result<Ino, Errno> {
        check_name(name)?;
        self.folder(parent)?.find(name).ok_or(Errno::NOENT)
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

    /// Makes something new under a free name.
    ///
    /// # Errors
    /// `EEXIST`, `ENOENT`, `ENOTDIR`, `ENAMETOOLONG`; `EDQUOT` when there are as many inodes as there may be, or no
    /// block for a long target of a link; `ENOSPC` and `EIO` from the disk.
    pub fn make(
        &mut self,
        parent: Ino,
        name: &[u8],
        kind: NewKind<'_>,
        mode: u32,
        owner: Owner,
        now: Time,
    ) -> Result<Ino, Errno> {
        check_new_name(name)?;
        if self.folder(parent)?.find(name).is_some() {
            return Err(Errno::EXIST);
        }
        let above = self.inode(parent)?;
        if above.links == 0 {
            return Err(Errno::NOENT);
        }
        let (mut mode, mut owner) = (mode & 0o7777, owner);
        if above.mode & SET_GROUP_ID != 0 {
            owner.group = above.owner.group;
            if kind == NewKind::Folder {
                mode |= SET_GROUP_ID;
            }
        }
        self.check_inode_quota()?;
        let (content, size) = match kind {
            NewKind::File => (Content::File(Default::default()), 0),
            NewKind::Folder => (Content::Folder(Folder::new(parent)), 0),
            NewKind::Link(target) => (Content::Link(self.keep_target(target)?), target.len() as u64),
            NewKind::Pipe => (Content::Pipe, 0),
            NewKind::Socket => (Content::Socket, 0),
        };
        let is_folder = kind == NewKind::Folder;
        self.usage.inodes += 1;
        let links = if is_folder { 2 } else { 1 };
        let inode = Inode { content, mode, owner, links, known: 0, size, accessed: now, modified: now, changed: now };
        let ino = self.keep(inode);
        self.put_name(parent, name, ino, now)?;
        if is_folder {
            self.inode_mut(parent)?.links += 1;
        }
        Ok(ino)
    }

    /// Gives a file one more name.
    ///
    /// # Errors
    /// `EPERM` for a folder, `EEXIST`, `EDQUOT`.
    pub fn link(&mut self, ino: Ino, parent: Ino, name: &[u8], now: Time) -> Result<(), Errno> {
        check_new_name(name)?;
        if self.folder(parent)?.find(name).is_some() {
            return Err(Errno::EXIST);
        }
        let inode = self.inode(ino)?;
        match inode.content {
            Content::Folder(_) => return Err(Errno::PERM),
            _ if inode.links == 0 || self.inode(parent)?.links == 0 => return Err(Errno::NOENT),
            _ => {}
        }
        self.check_inode_quota()?;
        self.usage.inodes += 1;
        let inode = self.inode_mut(ino)?;
        inode.links += 1;
        inode.changed = now;
        self.put_name(parent, name, ino, now)
    }

    /// Removes a name of something that is no folder.
    ///
    /// # Errors
    /// `ENOENT`, `EISDIR`.
    pub fn unlink(&mut self, parent: Ino, name: &[u8], now: Time) -> Result<(), Errno> {
        let ino = self.lookup(parent, name)?;
        if matches!(self.inode(ino)?.content, Content::Folder(_)) {
            return Err(Errno::ISDIR);
        }
        self.take_name(parent, name, now)?;
        self.drop_link(ino, now);
        Ok(())
    }

    /// Removes an empty folder.
    ///
    /// # Errors
    /// `ENOENT`, `ENOTDIR`, `ENOTEMPTY`.
    pub fn remove_folder(&mut self, parent: Ino, name: &[u8], now: Time) -> Result<(), Errno> {
        let ino = self.lookup(parent, name)?;
        if !self.folder(ino)?.is_empty() {
            return Err(Errno::NOTEMPTY);
        }
        self.take_name(parent, name, now)?;
        self.bury_folder(ino, parent, now)
    }

    /// Renames, as `renameat2` does; `flags` are its own.
    ///
    /// # Errors
    /// As `renameat2`.
    pub fn rename(&mut self, from: (Ino, &[u8]), to: (Ino, &[u8]), flags: u32, now: Time) -> Result<(), Errno> {
        check_new_name(to.1)?;
        let moved = self.lookup(from.0, from.1)?;
        let target = self.folder(to.0)?.find(to.1);
        if self.inode(to.0)?.links == 0 {
            return Err(Errno::NOENT);
        }
        self.check_not_below(moved, to.0)?;
        match (flags, target) {
            (RENAME_EXCHANGE, Some(target)) => {
                self.check_not_below(target, from.0)?;
                return self.exchange((from.0, from.1, moved), (to.0, to.1, target), now);
            }
            (RENAME_EXCHANGE, None) => return Err(Errno::NOENT),
            (RENAME_NOREPLACE, Some(_)) => return Err(Errno::EXIST),
            (0 | RENAME_NOREPLACE, _) => {}
            _ => return Err(Errno::INVAL),
        }
        let is_folder = self.inode(moved)?.kind() == Kind::Folder;
        if let Some(target) = target {
            if target == moved {
                return Ok(());
            }
            match &self.inode(target)?.content {
                Content::Folder(_) if !is_folder => return Err(Errno::ISDIR),
                Content::Folder(folder) if !folder.is_empty() => return Err(Errno::NOTEMPTY),
                Content::Folder(_) => {}
                _ if is_folder => return Err(Errno::NOTDIR),
                _ => {}
            }
        }
        self.take_name(from.0, from.1, now)?;
        match target {
            Some(target) if is_folder => {
                self.take_name(to.0, to.1, now)?;
                self.bury_folder(target, to.0, now)?;
            }
            Some(target) => {
                self.take_name(to.0, to.1, now)?;
                self.drop_link(target, now);
            }
            None => {}
        }
        self.put_name(to.0, to.1, moved, now)?;
        self.inode_mut(moved)?.changed = now;
        if is_folder {
            self.adopt(moved, from.0, to.0)?;
        }
        Ok(())
    }

    /// Where a symbolic link points to.
    ///
    /// # Errors
    /// `EINVAL` when it is none; `EIO` where the disk fails or the block is not the one that was written.
    pub fn target(&mut self, ino: Ino) -> Result<Vec<u8>, Errno> {
        let inode = self.inode(ino)?;
        let (slot, size) = match &inode.content {
            Content::Link(Target::Inline(target)) => return Ok(target.to_vec()),
            Content::Link(Target::Block(slot)) => (*slot, inode.size),
            _ => return Err(Errno::INVAL),
        };
        let mut target = vec![0; BLOCK_BYTES];
        self.blocks.read(&[slot], &mut target)?;
        // At most TARGET_BYTES.
        target.truncate(size as usize);
        Ok(target)
    }

    /// Calls `take` for the entries of a folder behind a place, with the place of each, until it says `false`.
    ///
    /// # Errors
    /// `ENOTDIR`.
    pub fn entries(&self, ino: Ino, after: u64, take: &mut TakeEntry<'_>) -> Result<(), Errno> {
        let folder = self.folder(ino)?;
        for (place, name, ino) in [(1, &b"."[..], ino), (2, &b".."[..], folder.parent)] {
            if place > after && !take(place, name, ino, Kind::Folder) {
                return Ok(());
            }
        }
        for (place, name, ino) in folder.after(after) {
            let Ok(inode) = self.inode(ino) else { continue };
            if !take(place, name, ino, inode.kind()) {
                return Ok(());
            }
        }
        Ok(())
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

    /// Reads; gives the number of bytes, fewer than asked for at the end of the file.
    ///
    /// # Errors
    /// `EIO` where the disk fails or a block is not the one that was written.
    pub fn read(&mut self, ino: Ino, offset: u64, out: &mut [u8]) -> Result<usize, Errno> {
        let inode = self.inode(ino)?;
        let Content::File(map) = &inode.content else { return Err(wrong_kind(inode)) };
        // At most `out.len()`, a usize.
        let length = inode.size.saturating_sub(offset).min(out.len() as u64) as usize;
        let Some(out) = out.get_mut(..length).filter(|out| !out.is_empty()) else { return Ok(0) };
        let blocks = offset / BLOCK..(offset + length as u64).div_ceil(BLOCK);
        let found: Vec<(u64, Slot)> = map.range(blocks.clone()).map(|(block, slot)| (*block, *slot)).collect();
        let is_whole = offset.is_multiple_of(BLOCK) && length.is_multiple_of(BLOCK_BYTES);
        if is_whole && found.len() == length / BLOCK_BYTES {
            let slots: Vec<Slot> = found.into_iter().map(|(_, slot)| slot).collect();
            self.blocks.read(&slots, out)?;
            return Ok(length);
        }
        if found.len() as u64 != blocks.end - blocks.start {
            out.fill(0);
        }
        // Neighbours go together, into the output where they lie in it as a whole.
        for run in found.chunk_by(|one, next| one.0 + 1 == next.0) {
            self.read_neighbours(run, offset, out)?;
        }
        Ok(length)
    }

    fn read_neighbours(&mut self, run: &[(u64, Slot)], offset: u64, out: &mut [u8]) -> Result<(), Errno> {
        let end = offset + out.len() as u64;
        let is_inside = |block: u64| block * BLOCK >= offset && (block + 1) * BLOCK <= end;
        for part in run.chunk_by(|one, next| is_inside(one.0) && is_inside(next.0)) {
            let Some((first, slot)) = part.first().copied() else { continue };
            if is_inside(first) {
                let start = (first * BLOCK - offset) as usize;
                let place = out.get_mut(start..start + part.len() * BLOCK_BYTES).ok_or(Errno::INVAL)?;
                let slots: Vec<Slot> = part.iter().map(|(_, slot)| *slot).collect();
                self.blocks.read(&slots, place)?;
                continue;
            }
            let mut whole = [0; BLOCK_BYTES];
            self.blocks.read(&[slot], &mut whole)?;
            let from = (first * BLOCK).max(offset);
            let to = ((first + 1) * BLOCK).min(end);
            let inside = whole.get((from - first * BLOCK) as usize..(to - first * BLOCK) as usize);
            let place = out.get_mut((from - offset) as usize..(to - offset) as usize);
            if let (Some(place), Some(inside)) = (place, inside) {
                place.copy_from_slice(inside);
            }
            whole.fill(0);
        }
        Ok(())
    }

    /// Writes; `data` is overwritten. Gives the number of bytes written: fewer than there were where the room ends
    /// and `may_be_short`.
    ///
    /// # Errors
    /// `EDQUOT` where there is no room for the first byte, or for all where it may not be short; `data` is as it was then.
    /// `ENOSPC` where the disk is full.
    pub fn write(
        &mut self,
        ino: Ino,
        offset: u64,
        data: &mut [u8],
        may_be_short: bool,
        now: Time,
    ) -> Result<usize, Errno> {
        let inode = self.inode(ino)?;
        let Content::File(map) = &inode.content else { return Err(wrong_kind(inode)) };
        let end = offset.checked_add(data.len() as u64).filter(|end| *end <= FILE_BYTES).ok_or(Errno::FBIG)?;
        if data.is_empty() {
            return Ok(0);
        }
        let blocks = offset / BLOCK..end.div_ceil(BLOCK);
        let wanted = blocks.end - blocks.start - map.range(blocks.clone()).count() as u64;
        let mut data = data;
        if wanted > self.room() {
            let fits = Self::fitting(map, blocks, self.room());
            // Up to the first block that has no room.
            let fitting_bytes = (fits * BLOCK).saturating_sub(offset).min(data.len() as u64) as usize;
            if fitting_bytes == 0 || !may_be_short {
                return Err(Errno::DQUOT);
            }
            data = data.get_mut(..fitting_bytes).ok_or(Errno::INVAL)?;
        }
        let length = data.len();
        if let Err(error) = self.write_pieces(ino, offset, data) {
            self.cut_behind_the_end(ino, offset);
            return Err(error);
        }
        let inode = self.inode_mut(ino)?;
        inode.size = inode.size.max(offset + length as u64);
        (inode.modified, inode.changed) = (now, now);
        Ok(length)
    }

    /// What a failed write left behind the end of the file must not show should it grow again.
    fn cut_behind_the_end(&mut self, ino: Ino, written_from: u64) {
        let Ok(size) = self.inode(ino).map(|inode| inode.size) else { return };
        // It is a file; and a block that cannot be zeroed is lost, and reads as `EIO`.
        let _ = self.free_blocks(ino, size.div_ceil(BLOCK), u64::MAX);
        let edge = size.next_multiple_of(BLOCK);
        if written_from < edge {
            let _ = self.zero_within(ino, size, edge);
        }
    }

    /// The first block of a range for which there is no room.
    fn fitting(map: &BTreeMap<u64, Slot>, blocks: Range<u64>, mut room: u64) -> u64 {
        for block in blocks.clone() {
            if !map.contains_key(&block) {
                match room.checked_sub(1) {
                    Some(less) => room = less,
                    None => return block,
                }
            }
        }
        blocks.end
    }

    /// Writes a first piece up to a block's edge, whole blocks, and a last piece.
    fn write_pieces(&mut self, ino: Ino, offset: u64, data: &mut [u8]) -> Result<(), Errno> {
        let to_edge = (offset.next_multiple_of(BLOCK) - offset).min(data.len() as u64) as usize;
        let (head, rest) = data.split_at_mut_checked(to_edge).ok_or(Errno::INVAL)?;
        if !head.is_empty() {
            self.write_within(ino, offset, head)?;
        }
        let offset = offset + to_edge as u64;
        let whole = rest.len() / BLOCK_BYTES * BLOCK_BYTES;
        let (middle, tail) = rest.split_at_mut_checked(whole).ok_or(Errno::INVAL)?;
        if !middle.is_empty() {
            self.write_whole(ino, offset / BLOCK, middle)?;
        }
        if !tail.is_empty() {
            self.write_within(ino, offset + whole as u64, tail)?;
        }
        Ok(())
    }

    /// Writes a part of one block: the rest of it stays as it is.
    fn write_within(&mut self, ino: Ino, offset: u64, part: &[u8]) -> Result<(), Errno> {
        let block = offset / BLOCK;
        let start = (offset % BLOCK) as usize;
        let mut whole = [0; BLOCK_BYTES];
        if let Some(slot) = self.map(ino)?.get(&block).copied() {
            self.blocks.read(&[slot], &mut whole)?;
        }
        whole.get_mut(start..start + part.len()).ok_or(Errno::INVAL)?.copy_from_slice(part);
        self.write_whole(ino, block, &mut whole)
    }

    /// Writes whole blocks, taking slots for those that are holes.
    fn write_whole(&mut self, ino: Ino, first: u64, data: &mut [u8]) -> Result<(), Errno> {
        let count = (data.len() / BLOCK_BYTES) as u64;
        let mut taken = Vec::new();
        let mut slots = Vec::with_capacity(data.len() / BLOCK_BYTES);
        let known: Vec<_> = self.map(ino)?.range(first..first + count).map(|(block, slot)| (*block, *slot)).collect();
        let mut known = known.into_iter().peekable();
        for block in first..first + count {
            match known.next_if(|(there, _)| *there == block) {
                Some((_, slot)) => slots.push(slot),
                None => {
                    let slot = self.blocks.take_counted(&mut self.usage)?;
                    taken.push((block, slot));
                    slots.push(slot);
                }
            }
        }
        if let Err(error) = self.blocks.write(&slots, data) {
            for (_, slot) in taken.into_iter().rev() {
                self.blocks.give_back_counted(slot, &mut self.usage);
            }
            return Err(error);
        }
        self.map_mut(ino)?.extend(taken);
        Ok(())
    }

    /// As `fallocate`: reserves, or frees, or zeroes.
    ///
    /// # Errors
    /// `EDQUOT`, `EFBIG`, `EOPNOTSUPP` for what it does not know.
    pub fn allocate(&mut self, ino: Ino, mode: u32, offset: u64, length: u64, now: Time) -> Result<(), Errno> {
        let end = offset.checked_add(length).filter(|end| *end <= FILE_BYTES).ok_or(Errno::FBIG)?;
        let inode = self.inode(ino)?;
        if !matches!(inode.content, Content::File(_)) {
            return Err(wrong_kind(inode));
        }
        match mode {
            0 | FALLOC_KEEP_SIZE => self.reserve(ino, offset, end)?,
            mode if mode == FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE => self.punch(ino, offset, end)?,
            mode if mode & !FALLOC_KEEP_SIZE == FALLOC_ZERO_RANGE => {
                self.punch(ino, offset, end)?;
                self.reserve(ino, offset, end)?;
            }
            _ => return Err(Errno::OPNOTSUPP),
        }
        let inode = self.inode_mut(ino)?;
        if mode & FALLOC_KEEP_SIZE == 0 {
            inode.size = inode.size.max(end);
        }
        (inode.modified, inode.changed) = (now, now);
        Ok(())
    }

    /// The next byte that is content, or hole.
    ///
    /// # Errors
    /// `ENXIO` beyond the end, or where no content follows.
    pub fn seek(&self, ino: Ino, offset: u64, for_hole: bool) -> Result<u64, Errno> {
        let inode = self.inode(ino)?;
        let map = self.map(ino)?;
        if offset >= inode.size {
            return Err(Errno::NXIO);
        }
        let first = offset / BLOCK;
        if for_hole {
            let mut block = first;
            for there in map.range(first..).map(|(there, _)| *there) {
                if there != block {
                    break;
                }
                block += 1;
            }
            return Ok((block * BLOCK).max(offset).min(inode.size));
        }
        let (block, _) = map.range(first..).next().ok_or(Errno::NXIO)?;
        let at = (block * BLOCK).max(offset);
        if at < inode.size { Ok(at) } else { Err(Errno::NXIO) }
    }

    fn set_size(&mut self, ino: Ino, size: u64, now: Time) -> Result<(), Errno> {
        let old = self.inode(ino)?;
        if !matches!(old.content, Content::File(_)) {
            return Err(wrong_kind(old));
        }
        if size > FILE_BYTES {
            return Err(Errno::FBIG);
        }
        if size < old.size {
            // What lies behind the end, up to the block's edge, reads as zeros should the file grow again.
            let edge = size.next_multiple_of(BLOCK);
            self.zero_within(ino, size, edge)?;
        }
        // Also what was reserved behind the old end.
        self.free_blocks(ino, size.div_ceil(BLOCK), u64::MAX)?;
        let inode = self.inode_mut(ino)?;
        inode.size = size;
        (inode.modified, inode.changed) = (now, now);
        Ok(())
    }

    fn punch(&mut self, ino: Ino, offset: u64, end: u64) -> Result<(), Errno> {
        if end <= offset {
            return Ok(());
        }
        let (first, last) = (offset.div_ceil(BLOCK), end / BLOCK);
        if first > last {
            return self.zero_within(ino, offset, end);
        }
        self.zero_within(ino, offset, first * BLOCK)?;
        self.zero_within(ino, last * BLOCK, end)?;
        self.free_blocks(ino, first, last)
    }

    /// Zeroes a part of one block, where it was ever written.
    fn zero_within(&mut self, ino: Ino, from: u64, to: u64) -> Result<(), Errno> {
        let Some(slot) = self.map(ino)?.get(&(from / BLOCK)).copied() else { return Ok(()) };
        if from == to || self.blocks.is_unwritten(slot) {
            return Ok(());
        }
        let zeros = [0; BLOCK_BYTES];
        self.write_within(ino, from, zeros.get(..(to - from) as usize).ok_or(Errno::INVAL)?)
    }

    fn reserve(&mut self, ino: Ino, offset: u64, end: u64) -> Result<(), Errno> {
        let blocks = offset / BLOCK..end.div_ceil(BLOCK);
        let map = self.map(ino)?;
        let there = map.range(blocks.clone()).count() as u64;
        if (blocks.end - blocks.start).saturating_sub(there) > self.room() {
            return Err(Errno::DQUOT);
        }
        let missing: Vec<u64> = blocks.filter(|block| !map.contains_key(block)).collect();
        for block in missing {
            let slot = self.blocks.take_counted(&mut self.usage)?;
            self.map_mut(ino)?.insert(block, slot);
        }
        Ok(())
    }

    /// Gives back the slots of the blocks from `first` on, before `last`.
    fn free_blocks(&mut self, ino: Ino, first: u64, last: u64) -> Result<(), Errno> {
        let map = self.map_mut(ino)?;
        let freed: Vec<(u64, Slot)> = if first == 0 && last == u64::MAX {
            std::mem::take(map).into_iter().collect()
        } else {
            let mut cut = map.split_off(&first);
            let mut kept = cut.split_off(&last);
            map.append(&mut kept);
            cut.into_iter().collect()
        };
        // Backwards, so that they are taken again in the order in which they lie in the file.
        for (_, slot) in freed.into_iter().rev() {
            self.blocks.give_back_counted(slot, &mut self.usage);
        }
        Ok(())
    }

    fn room(&self) -> u64 {
        self.usage.blocks_limit.saturating_sub(self.usage.blocks)
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

    fn map(&self, ino: Ino) -> Result<&BTreeMap<u64, Slot>, Errno> {
        match &self.inode(ino)?.content {
            Content::File(map) => Ok(map),
            _ => Err(Errno::INVAL),
        }
    }

    fn map_mut(&mut self, ino: Ino) -> Result<&mut BTreeMap<u64, Slot>, Errno> {
        match &mut self.inode_mut(ino)?.content {
            Content::File(map) => Ok(map),
            _ => Err(Errno::INVAL),
        }
    }

    fn check_inode_quota(&self) -> Result<(), Errno> {
        if self.usage.inodes < self.usage.inodes_limit { Ok(()) } else { Err(Errno::DQUOT) }
    }

    fn keep_target(&mut self, target: &[u8]) -> Result<Target, Errno> {
        if target.len() > TARGET_BYTES {
            return Err(Errno::NAMETOOLONG);
        }
        if target.len() <= INLINE_TARGET_BYTES {
            return Ok(Target::Inline(target.into()));
        }
        let slot = self.blocks.take_counted(&mut self.usage)?;
        let mut block = target.to_vec();
        block.resize(BLOCK_BYTES, 0);
        match self.blocks.write(&[slot], &mut block) {
            Ok(()) => Ok(Target::Block(slot)),
            Err(error) => {
                self.blocks.give_back_counted(slot, &mut self.usage);
                Err(error)
            }
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

    fn put_name(&mut self, parent: Ino, name: &[u8], ino: Ino, now: Time) -> Result<(), Errno> {
        self.folder_mut(parent)?.put(name, ino);
        self.touch_folder(parent, now)
    }

    fn take_name(&mut self, parent: Ino, name: &[u8], now: Time) -> Result<(), Errno> {
        self.folder_mut(parent)?.remove(name);
        self.touch_folder(parent, now)
    }

    fn touch_folder(&mut self, ino: Ino, now: Time) -> Result<(), Errno> {
        let inode = self.inode_mut(ino)?;
        (inode.modified, inode.changed) = (now, now);
        Ok(())
    }

    /// One name less for what is no folder.
    fn drop_link(&mut self, ino: Ino, now: Time) {
        if let Ok(inode) = self.inode_mut(ino) {
            inode.links = inode.links.saturating_sub(1);
            inode.changed = now;
            // The last name's place in the quota is the inode's own, which stays as long as it is open.
            if inode.links > 0 {
                self.usage.inodes = self.usage.inodes.saturating_sub(1);
            }
        }
        self.remove_if_unused(ino);
    }

    /// A folder whose name is gone.
    fn bury_folder(&mut self, ino: Ino, parent: Ino, now: Time) -> Result<(), Errno> {
        let inode = self.inode_mut(ino)?;
        inode.links = 0;
        inode.changed = now;
        let above = self.inode_mut(parent)?;
        above.links = above.links.saturating_sub(1);
        self.remove_if_unused(ino);
        Ok(())
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

    /// A folder came from one parent to another.
    fn adopt(&mut self, ino: Ino, from: Ino, to: Ino) -> Result<(), Errno> {
        self.folder_mut(ino)?.parent = to;
        if from != to {
            let old = self.inode_mut(from)?;
            old.links = old.links.saturating_sub(1);
            self.inode_mut(to)?.links += 1;
        }
        Ok(())
    }

    fn exchange(&mut self, one: (Ino, &[u8], Ino), other: (Ino, &[u8], Ino), now: Time) -> Result<(), Errno> {
        self.put_name(one.0, one.1, other.2, now)?;
        self.put_name(other.0, other.1, one.2, now)?;
        for (ino, from, to) in [(one.2, one.0, other.0), (other.2, other.0, one.0)] {
            self.inode_mut(ino)?.changed = now;
            if self.inode(ino)?.kind() == Kind::Folder {
                self.adopt(ino, from, to)?;
            }
        }
        Ok(())
    }

    /// Refuses to put a folder below itself. The kernel does so too.
    fn check_not_below(&self, moved: Ino, mut folder: Ino) -> Result<(), Errno> {
        loop {
            if folder == moved {
                return Err(Errno::INVAL);
            }
            if folder == Ino::ROOT {
                return Ok(());
            }
            folder = self.folder(folder)?.parent;
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

fn wrong_kind(inode: &Inode) -> Errno {
    if inode.kind() == Kind::Folder { Errno::ISDIR } else { Errno::INVAL }
}

fn check_name(name: &[u8]) -> Result<(), Errno> {
    if name.len() > NAME_BYTES { Err(Errno::NAMETOOLONG) } else { Ok(()) }
}

fn check_new_name(name: &[u8]) -> Result<(), Errno> {
    check_name(name)?;
    match name {
        b"" | b"." | b".." => Err(Errno::INVAL),
        name if name.contains(&b'/') || name.contains(&0) => Err(Errno::INVAL),
        _ => Ok(()),
    }
}
