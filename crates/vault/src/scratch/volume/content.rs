//! The bytes of files: blocks by their number in the file, holes where there is none.

use std::collections::BTreeMap;
use std::ops::Range;

use rustix::io::Errno;

use super::{BLOCK, Ino, Volume};
use crate::scratch::BLOCK_BYTES;
use crate::scratch::blocks::Slot;
use crate::scratch::inode::{Content, Inode, Kind, Time};

/// Largest size of a file, as the kernel has it.
const FILE_BYTES: u64 = i64::MAX as u64;

const FALLOC_KEEP_SIZE: u32 = 0x01;
const FALLOC_PUNCH_HOLE: u32 = 0x02;
const FALLOC_ZERO_RANGE: u32 = 0x10;

impl Volume {
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

    pub(super) fn set_size(&mut self, ino: Ino, size: u64, now: Time) -> Result<(), Errno> {
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
    pub(super) fn free_blocks(&mut self, ino: Ino, first: u64, last: u64) -> Result<(), Errno> {
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

    pub(super) fn map(&self, ino: Ino) -> Result<&BTreeMap<u64, Slot>, Errno> {
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
}

fn wrong_kind(inode: &Inode) -> Errno {
    if inode.kind() == Kind::Folder { Errno::ISDIR } else { Errno::INVAL }
}
