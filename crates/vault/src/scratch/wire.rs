//! The kernel's FUSE protocol (linux/fuse.h, 7.31 and later): requests read, answers written.
//!
//! Every number is in the machine's order. The kernel wrote the request; names, offsets and contents in it are the
//! workload's. Nothing is read beyond the request's end.

use super::buffer::PageBuffer;
use super::inode::{Attributes, Kind, Time};
use super::volume::{Changes, Usage};

/// Bytes of a request's head.
pub(crate) const HEAD_BYTES: usize = 40;
/// Bytes of an answer's head.
pub(crate) const ANSWER_HEAD_BYTES: usize = 16;
/// Where the content of a write request begins.
pub(crate) const WRITE_DATA: usize = HEAD_BYTES + 40;

/// The version spoken; 7.31 (Linux 5.4) is the oldest that has all that is used.
pub(crate) const MAJOR: u32 = 7;
pub(crate) const MINOR: u32 = 31;

/// What is agreed on at the beginning.
pub(crate) mod init {
    pub(crate) const ASYNC_READ: u32 = 1;
    pub(crate) const BIG_WRITES: u32 = 1 << 5;
    pub(crate) const NO_OPEN_SUPPORT: u32 = 1 << 17;
    pub(crate) const PARALLEL_DIROPS: u32 = 1 << 18;
    pub(crate) const MAX_PAGES: u32 = 1 << 22;
    pub(crate) const CACHE_SYMLINKS: u32 = 1 << 23;
    pub(crate) const NO_OPENDIR_SUPPORT: u32 = 1 << 24;
}

/// A write that the kernel makes from its page cache, by itself.
pub(crate) const WRITE_CACHE: u32 = 1;
/// A write after which set-id bits are to go.
pub(crate) const WRITE_KILL_SET_ID: u32 = 1 << 2;

/// How long the kernel may believe what it was told: for ever, because every change comes by way of it.
const VALID_SECONDS: u64 = 365 * 86_400;

/// The head of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    pub(crate) opcode: u32,
    pub(crate) unique: u64,
    pub(crate) node: u64,
    pub(crate) user: u32,
    pub(crate) group: u32,
}

/// The names of requests that are answered.
pub(crate) mod op {
    pub(crate) const LOOKUP: u32 = 1;
    pub(crate) const FORGET: u32 = 2;
    pub(crate) const GETATTR: u32 = 3;
    pub(crate) const SETATTR: u32 = 4;
    pub(crate) const READLINK: u32 = 5;
    pub(crate) const SYMLINK: u32 = 6;
    pub(crate) const MKNOD: u32 = 8;
    pub(crate) const MKDIR: u32 = 9;
    pub(crate) const UNLINK: u32 = 10;
    pub(crate) const RMDIR: u32 = 11;
    pub(crate) const RENAME: u32 = 12;
    pub(crate) const LINK: u32 = 13;
    pub(crate) const READ: u32 = 15;
    pub(crate) const WRITE: u32 = 16;
    pub(crate) const STATFS: u32 = 17;
    pub(crate) const INIT: u32 = 26;
    pub(crate) const READDIR: u32 = 28;
    pub(crate) const CREATE: u32 = 35;
    pub(crate) const BATCH_FORGET: u32 = 42;
    pub(crate) const FALLOCATE: u32 = 43;
    pub(crate) const RENAME2: u32 = 45;
    pub(crate) const LSEEK: u32 = 46;
}

/// Reads numbers and names off the front of a request.
pub(crate) struct Body<'a>(pub(crate) &'a [u8]);

impl<'a> Body<'a> {
    pub(crate) fn u32(&mut self) -> Option<u32> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_ne_bytes(*number))
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_ne_bytes(*number))
    }

    /// A name, up to its NUL.
    pub(crate) fn name(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|byte| *byte == 0)?;
        let (name, rest) = self.0.split_at_checked(end)?;
        self.0 = rest.get(1..)?;
        Some(name)
    }
}

impl Head {
    /// Reads a head; `None` where there is no whole one.
    pub(crate) fn read(request: &[u8]) -> Option<Self> {
        let mut body = Body(request);
        let length = body.u32()?;
        if length as usize != request.len() || request.len() < HEAD_BYTES {
            return None;
        }
        let (opcode, unique, node) = (body.u32()?, body.u64()?, body.u64()?);
        Some(Self { opcode, unique, node, user: body.u32()?, group: body.u32()? })
    }
}

/// Where answers are written: one after the other, in the same place.
#[derive(Debug)]
pub(crate) struct Outgoing {
    buffer: PageBuffer,
    length: usize,
}

impl Outgoing {
    /// Room for an answer with so much content.
    pub(crate) fn new(content: usize) -> Self {
        Self { buffer: PageBuffer::new(ANSWER_HEAD_BYTES, content), length: 0 }
    }

    /// The answer.
    pub(crate) fn get(&self) -> &[u8] {
        self.buffer.get().get(..self.length).unwrap_or_default()
    }

    fn write_head(&mut self, error: i32, unique: u64) {
        let length = self.length as u32;
        let head = self.buffer.get_mut();
        for (place, bytes) in [(0, &length.to_ne_bytes()[..]), (4, &error.to_ne_bytes()), (8, &unique.to_ne_bytes())] {
            if let Some(target) = head.get_mut(place..place + bytes.len()) {
                target.copy_from_slice(bytes);
            }
        }
    }
}

/// An answer that is being written.
pub(crate) struct Answer<'a>(&'a mut Outgoing);

impl<'a> Answer<'a> {
    /// Begins one.
    pub(crate) fn new(outgoing: &'a mut Outgoing) -> Self {
        outgoing.length = ANSWER_HEAD_BYTES;
        Self(outgoing)
    }

    /// Writes the head: all is well.
    pub(crate) fn finish(self, unique: u64) {
        self.0.write_head(0, unique);
    }

    /// There is room for every answer: the longest are contents and lists of folders, which know their bounds.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        for (place, byte) in self.content(bytes.len()).iter_mut().zip(bytes) {
            *place = *byte;
        }
    }

    pub(crate) fn u16(&mut self, number: u16) {
        self.bytes(&number.to_ne_bytes());
    }

    pub(crate) fn u32(&mut self, number: u32) {
        self.bytes(&number.to_ne_bytes());
    }

    pub(crate) fn u64(&mut self, number: u64) {
        self.bytes(&number.to_ne_bytes());
    }

    /// Room for content of this length, to be filled; then cut to what was filled. What an earlier answer left is in it.
    pub(crate) fn content(&mut self, length: usize) -> &mut [u8] {
        let start = self.0.length;
        self.0.length += length;
        self.0.buffer.get_mut().get_mut(start..start + length).unwrap_or_default()
    }

    pub(crate) fn cut_content(&mut self, length: usize) {
        self.0.length = ANSWER_HEAD_BYTES + length;
    }

    pub(crate) fn content_bytes(&self) -> usize {
        self.0.length - ANSWER_HEAD_BYTES
    }

    /// `struct fuse_entry_out`; without attributes: there is nothing of that name.
    pub(crate) fn entry(&mut self, attributes: Option<&Attributes>) {
        self.u64(attributes.map_or(0, |attributes| attributes.ino.0));
        self.u64(0);
        self.u64(VALID_SECONDS);
        self.u64(VALID_SECONDS);
        self.u64(0);
        match attributes {
            Some(attributes) => self.attr(attributes),
            None => self.bytes(&[0; 88]),
        }
    }

    /// `struct fuse_attr_out`.
    pub(crate) fn attr_out(&mut self, attributes: &Attributes) {
        self.u64(VALID_SECONDS);
        self.u64(0);
        self.attr(attributes);
    }

    /// `struct fuse_attr`.
    fn attr(&mut self, attributes: &Attributes) {
        let times = [attributes.accessed, attributes.modified, attributes.changed];
        self.u64(attributes.ino.0);
        self.u64(attributes.size);
        // In units of 512 bytes.
        self.u64(attributes.blocks * (super::BLOCK_BYTES as u64 / 512));
        for time in times {
            self.u64(time.seconds.cast_unsigned());
        }
        for time in times {
            self.u32(time.nanoseconds);
        }
        self.u32(attributes.kind.mode_bits() | attributes.mode);
        self.u32(attributes.links);
        self.u32(attributes.owner.user);
        self.u32(attributes.owner.group);
        self.u32(0);
        self.u32(super::BLOCK_BYTES as u32);
        self.u32(0);
    }

    /// `struct fuse_kstatfs`.
    pub(crate) fn statfs(&mut self, usage: &Usage) {
        let free = usage.blocks_limit.saturating_sub(usage.blocks);
        for number in [usage.blocks_limit, free, free, usage.inodes_limit] {
            self.u64(number);
        }
        self.u64(usage.inodes_limit.saturating_sub(usage.inodes));
        for number in [super::BLOCK_BYTES as u32, 255, super::BLOCK_BYTES as u32] {
            self.u32(number);
        }
        self.bytes(&[0; 28]);
    }

    /// `struct fuse_dirent`, if it fits into `room` bytes of content.
    pub(crate) fn dirent(&mut self, room: usize, place: u64, name: &[u8], ino: u64, kind: Kind) -> bool {
        let length = (24 + name.len()).next_multiple_of(8);
        if self.content_bytes() + length > room {
            return false;
        }
        self.u64(ino);
        self.u64(place);
        self.u32(name.len() as u32);
        self.u32(kind.mode_bits() >> 12);
        self.bytes(name);
        let padding = length - 24 - name.len();
        self.bytes([0; 8].get(..padding).unwrap_or_default());
        true
    }
}

/// An answer that is an error.
pub(crate) fn error(outgoing: &mut Outgoing, unique: u64, errno: i32) {
    outgoing.length = ANSWER_HEAD_BYTES;
    outgoing.write_head(-errno, unique);
}

/// `struct fuse_setattr_in`.
pub(crate) fn changes(body: &mut Body<'_>, now: Time) -> Option<Changes> {
    const MODE: u32 = 1;
    const USER: u32 = 1 << 1;
    const GROUP: u32 = 1 << 2;
    const SIZE: u32 = 1 << 3;
    const ACCESSED: u32 = 1 << 4;
    const MODIFIED: u32 = 1 << 5;
    const ACCESSED_NOW: u32 = 1 << 7;
    const MODIFIED_NOW: u32 = 1 << 8;
    let (valid, _, _) = (body.u32()?, body.u32()?, body.u64()?);
    let (size, _) = (body.u64()?, body.u64()?);
    let seconds = [body.u64()?, body.u64()?, body.u64()?];
    let nanoseconds = [body.u32()?, body.u32()?, body.u32()?];
    let (mode, _, user, group) = (body.u32()?, body.u32()?, body.u32()?, body.u32()?);
    let when = |flag: u32, now_flag: u32, place: usize| {
        let given = Time { seconds: seconds.get(place)?.cast_signed(), nanoseconds: *nanoseconds.get(place)? };
        (valid & flag != 0).then_some(if valid & now_flag != 0 { now } else { given })
    };
    Some(Changes {
        mode: (valid & MODE != 0).then_some(mode),
        user: (valid & USER != 0).then_some(user),
        group: (valid & GROUP != 0).then_some(group),
        size: (valid & SIZE != 0).then_some(size),
        accessed: when(ACCESSED, ACCESSED_NOW, 0),
        modified: when(MODIFIED, MODIFIED_NOW, 1),
    })
}
