//! Names: what leads to an inode, and what becomes of one that nothing leads to.

use rustix::io::Errno;

use super::{Ino, NewKind, SET_GROUP_ID, Volume};
use crate::scratch::BLOCK_BYTES;
use crate::scratch::inode::{Content, Folder, Inode, Kind, Owner, Target, Time};

/// Takes an entry of a folder: its place in the order of listing, its name, what it stands for. Says whether to go on.
pub type TakeEntry<'a> = dyn FnMut(u64, &[u8], Ino, Kind) -> bool + 'a;

/// Longest name, as on other file systems.
const NAME_BYTES: usize = 255;
/// Longest target of a symbolic link.
const TARGET_BYTES: usize = 4095;
/// Longest target that lies in the inode. A longer one takes a block: memory for it would be the host's.
const INLINE_TARGET_BYTES: usize = 60;

const RENAME_NOREPLACE: u32 = 1;
const RENAME_EXCHANGE: u32 = 2;

impl Volume {
    /// What a name in a folder stands for.
    ///
    /// # Errors
    /// `ENOENT`, `ENOTDIR`, `ENAMETOOLONG`.
    pub fn lookup(&self, parent: Ino, name: &[u8]) -> Result<Ino, Errno> {
        check_name(name)?;
        self.folder(parent)?.find(name).ok_or(Errno::NOENT)
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
