//! The server: answers the kernel's requests for one volume, one after the other.
//!
//! One thread is enough, and nothing in it races: a request takes some microseconds, one of 1 MiB half a millisecond,
//! and the kernel waits with others beside it.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::buffer::PageBuffer;
use super::inode::{Kind, Owner, Time};
use super::volume::{Changes, Ino, NewKind, Volume};
use super::wire::{self, Answer, Body, HEAD_BYTES, Head, Outgoing, WRITE_DATA, init, op};

/// Serves a volume over a FUSE descriptor.
pub struct Server<'a> {
    fuse: File,
    volume: Volume,
    clock: &'a dyn Fn() -> Time,
    request: PageBuffer,
    answer: Outgoing,
    /// For other requests while one waits for room.
    spare: PageBuffer,
}

/// Why a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Nothing mounts the volume any more.
    Unmounted,
    /// The other end of the control socket is gone, or said something.
    Told,
}

/// Largest content of one request: 1 MiB, which is the most that kernels allow without a setting.
const MAX_WRITE: u32 = 1 << 20;
/// The same in pages.
const MAX_PAGES: u16 = 256;
/// Requests that the kernel makes ahead by itself.
const MAX_BACKGROUND: u16 = 32;

impl<'a> Server<'a> {
    /// A server of a volume. `fuse` is the device that was mounted; `clock` tells the time of changes.
    ///
    /// # Errors
    /// When the descriptor cannot be made one that does not wait.
    pub fn new(fuse: OwnedFd, volume: Volume, clock: &'a dyn Fn() -> Time) -> std::io::Result<Self> {
        rustix::fs::fcntl_setfl(&fuse, rustix::fs::OFlags::NONBLOCK)?;
        Ok(Self {
            fuse: File::from(fuse),
            volume,
            clock,
            request: PageBuffer::new(WRITE_DATA, MAX_WRITE as usize + REQUEST_ROOM),
            answer: Outgoing::new(MAX_WRITE as usize + REQUEST_ROOM),
            spare: PageBuffer::new(WRITE_DATA, MAX_WRITE as usize + REQUEST_ROOM),
        })
    }

    /// The volume.
    pub fn volume(&self) -> &Volume {
        &self.volume
    }

    /// Serves until the volume is not mounted any more, or `control` has something to read.
    ///
    /// # Errors
    /// When the device fails.
    pub fn serve(&mut self, control: BorrowedFd<'_>) -> std::io::Result<Ended> {
        loop {
            match self.receive()? {
                Received::Request(length) => self.serve_one(length, true)?,
                Received::Nothing if self.sleep(control)? => return Ok(Ended::Told),
                Received::Nothing => {}
                Received::Unmounted => return Ok(Ended::Unmounted),
            }
        }
    }

    fn receive(&mut self) -> std::io::Result<Received> {
        loop {
            match self.fuse.read(self.request.get_mut()) {
                Ok(length) => return Ok(Received::Request(length)),
                Err(error) => match error.raw_os_error().map(Errno::from_raw_os_error) {
                    Some(Errno::AGAIN) => return Ok(Received::Nothing),
                    // A request that was withdrawn before it was read.
                    Some(Errno::INTR | Errno::NOENT) => {}
                    Some(Errno::NODEV) => return Ok(Received::Unmounted),
                    _ => return Err(error),
                },
            }
        }
    }

    /// Waits for a request; `true` when `control` has something.
    fn sleep(&self, control: BorrowedFd<'_>) -> std::io::Result<bool> {
        let mut fds =
            [PollFd::from_borrowed_fd(self.fuse.as_fd(), PollFlags::IN), PollFd::new(&control, PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) => Ok(fds.get(1).is_some_and(|fd| !fd.revents().is_empty())),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Serves one request. One that finds no room `may_wait` for what others have just given back.
    fn serve_one(&mut self, length: usize, may_wait: bool) -> std::io::Result<()> {
        let Some(request) = self.request.get_mut().get_mut(..length) else { return Ok(()) };
        let Some(head) = Head::read(request) else {
            return Err(std::io::Error::other("the kernel sent what is no request"));
        };
        let mut handler = Handler { volume: &mut self.volume, head, now: (self.clock)() };
        match handler.handle(request, &mut self.answer) {
            Ok(Done::Answered) => {}
            Ok(Done::Silent) => return Ok(()),
            Err(Errno::DQUOT) if may_wait => {
                self.serve_others()?;
                return self.serve_one(length, false);
            }
            Err(Errno::DQUOT) => wire::error(&mut self.answer, head.unique, Errno::NOSPC.raw_os_error()),
            Err(errno) => wire::error(&mut self.answer, head.unique, errno.raw_os_error()),
        }
        match rustix::io::write(&self.fuse, self.answer.get()) {
            // Whoever asked is gone: killed, or the volume is not mounted any more.
            Ok(_) | Err(Errno::NOENT | Errno::NODEV | Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Serves what waits at the device, while one request waits in its buffer: the kernel tells by the way, and late,
    /// that a removed file is not open any more.
    fn serve_others(&mut self) -> std::io::Result<()> {
        std::mem::swap(&mut self.request, &mut self.spare);
        let mut served = Ok(());
        for _ in 0..MOST_OTHERS {
            match self.receive() {
                Ok(Received::Request(length)) => served = self.serve_one(length, false),
                Ok(Received::Nothing | Received::Unmounted) => break,
                Err(error) => served = Err(error),
            }
            if served.is_err() {
                break;
            }
        }
        std::mem::swap(&mut self.request, &mut self.spare);
        served
    }
}

/// What came of reading the device.
enum Received {
    /// A request of that length.
    Request(usize),
    Nothing,
    Unmounted,
}

/// Requests that are served before one that waits for room: others may not starve it.
const MOST_OTHERS: u32 = 256;
/// Room in a buffer beside the content.
const REQUEST_ROOM: usize = 4096;

/// Whether an answer was written.
enum Done {
    Answered,
    /// The kernel waits for none.
    Silent,
}

/// One request on its way.
struct Handler<'a> {
    volume: &'a mut Volume,
    head: Head,
    now: Time,
}

impl Handler<'_> {
    fn handle(&mut self, request: &mut [u8], outgoing: &mut Outgoing) -> Result<Done, Errno> {
        if self.head.opcode == op::WRITE {
            return self.write(request, outgoing);
        }
        let mut body = Body(request.get(HEAD_BYTES..).unwrap_or_default());
        let ino = Ino(self.head.node);
        let answer = Answer::new(outgoing);
        match self.head.opcode {
            op::FORGET | op::BATCH_FORGET => {
                self.forget(&mut body);
                Ok(Done::Silent)
            }
            op::INIT => self.init(&mut body, answer),
            op::LOOKUP => self.lookup(&mut body, answer),
            op::GETATTR => self.attributes(ino, answer),
            op::SETATTR => self.set_attributes(&mut body, answer),
            op::READLINK => self.read_link(answer),
            op::SYMLINK => self.symlink(&mut body, answer),
            op::MKNOD => self.make_node(&mut body, answer),
            op::MKDIR => self.make_folder(&mut body, answer),
            op::CREATE => self.create(&mut body, answer),
            op::UNLINK => {
                self.volume.unlink(ino, name(&mut body)?, self.now)?;
                self.empty(answer)
            }
            op::RMDIR => {
                self.volume.remove_folder(ino, name(&mut body)?, self.now)?;
                self.empty(answer)
            }
            op::RENAME | op::RENAME2 => self.rename(&mut body, answer),
            op::LINK => self.link(&mut body, answer),
            op::READ => self.read(&mut body, answer),
            op::READDIR => self.read_folder(&mut body, answer),
            op::STATFS => {
                let mut answer = answer;
                answer.statfs(&self.volume.usage());
                self.finish(answer)
            }
            op::FALLOCATE => self.allocate(&mut body, answer),
            op::LSEEK => self.seek(&mut body, answer),
            // What the kernel then does by itself, or without: open, flush, fsync, locks, extended attributes and more.
            _ => Err(Errno::NOSYS),
        }
    }

    fn finish(&self, answer: Answer<'_>) -> Result<Done, Errno> {
        answer.finish(self.head.unique);
        Ok(Done::Answered)
    }

    fn empty(&self, answer: Answer<'_>) -> Result<Done, Errno> {
        self.finish(answer)
    }

    fn owner(&self) -> Owner {
        Owner { user: self.head.user, group: self.head.group }
    }

    fn init(&mut self, body: &mut Body<'_>, mut answer: Answer<'_>) -> Result<Done, Errno> {
        let (major, minor) = (word(body)?, word(body)?);
        if major != wire::MAJOR || minor < wire::MINOR {
            return Err(Errno::PROTO);
        }
        let (read_ahead, offered) = (word(body)?, word(body)?);
        let wanted = init::ASYNC_READ
            | init::BIG_WRITES
            | init::NO_OPEN_SUPPORT
            | init::PARALLEL_DIROPS
            | init::MAX_PAGES
            | init::CACHE_SYMLINKS
            | init::NO_OPENDIR_SUPPORT;
        for number in [wire::MAJOR, wire::MINOR, read_ahead, wanted & offered] {
            answer.u32(number);
        }
        answer.u16(MAX_BACKGROUND);
        answer.u16(MAX_BACKGROUND / 4 * 3);
        answer.u32(MAX_WRITE);
        answer.u32(1); // nanoseconds in a step of time
        answer.u16(MAX_PAGES);
        answer.bytes(&[0; 34]);
        self.finish(answer)
    }

    fn lookup(&mut self, body: &mut Body<'_>, mut answer: Answer<'_>) -> Result<Done, Errno> {
        match self.volume.lookup(Ino(self.head.node), name(body)?) {
            Ok(ino) => self.entry(ino, answer),
            Err(Errno::NOENT) => {
                answer.entry(None);
                self.finish(answer)
            }
            Err(error) => Err(error),
        }
    }

    /// Answers with an inode, which the kernel then knows once more.
    fn entry(&mut self, ino: Ino, mut answer: Answer<'_>) -> Result<Done, Errno> {
        answer.entry(Some(&self.volume.attributes(ino)?));
        self.volume.remember(ino);
        self.finish(answer)
    }

    fn forget(&mut self, body: &mut Body<'_>) {
        if self.head.opcode == op::FORGET {
            if let Some(times) = body.u64() {
                self.volume.forget(Ino(self.head.node), times);
            }
            return;
        }
        let (Some(count), Some(_)) = (body.u32(), body.u32()) else { return };
        for _ in 0..count {
            let (Some(node), Some(times)) = (body.u64(), body.u64()) else { return };
            self.volume.forget(Ino(node), times);
        }
    }

    fn attributes(&mut self, ino: Ino, mut answer: Answer<'_>) -> Result<Done, Errno> {
        answer.attr_out(&self.volume.attributes(ino)?);
        self.finish(answer)
    }

    fn set_attributes(&mut self, body: &mut Body<'_>, answer: Answer<'_>) -> Result<Done, Errno> {
        let changes: Changes = wire::changes(body, self.now).ok_or(Errno::INVAL)?;
        let ino = Ino(self.head.node);
        self.volume.set_attributes(ino, &changes, self.now)?;
        self.attributes(ino, answer)
    }

    fn read_link(&mut self, mut answer: Answer<'_>) -> Result<Done, Errno> {
        answer.bytes(&self.volume.target(Ino(self.head.node))?);
        self.finish(answer)
    }

    fn make(&mut self, name: &[u8], kind: NewKind<'_>, mode: u32) -> Result<Ino, Errno> {
        self.volume.make(Ino(self.head.node), name, kind, mode, self.owner(), self.now)
    }

    fn symlink(&mut self, body: &mut Body<'_>, answer: Answer<'_>) -> Result<Done, Errno> {
        let (name, target) = (name(body)?, name(body)?);
        let ino = self.make(name, NewKind::Link(target), 0o777)?;
        self.entry(ino, answer)
    }

    fn make_node(&mut self, body: &mut Body<'_>, answer: Answer<'_>) -> Result<Done, Errno> {
        let (mode, _, _, _) = (word(body)?, word(body)?, word(body)?, word(body)?);
        let kind = match mode & 0o170_000 {
            bits if bits == Kind::File.mode_bits() || bits == 0 => NewKind::File,
            bits if bits == Kind::Pipe.mode_bits() => NewKind::Pipe,
            bits if bits == Kind::Socket.mode_bits() => NewKind::Socket,
            _ => return Err(Errno::PERM),
        };
        let ino = self.make(name(body)?, kind, mode)?;
        self.entry(ino, answer)
    }

    fn make_folder(&mut self, body: &mut Body<'_>, answer: Answer<'_>) -> Result<Done, Errno> {
        let (mode, _) = (word(body)?, word(body)?);
        let ino = self.make(name(body)?, NewKind::Folder, mode)?;
        self.entry(ino, answer)
    }

    fn create(&mut self, body: &mut Body<'_>, mut answer: Answer<'_>) -> Result<Done, Errno> {
        let (_, mode, _, _) = (word(body)?, word(body)?, word(body)?, word(body)?);
        let ino = self.make(name(body)?, NewKind::File, mode)?;
        answer.entry(Some(&self.volume.attributes(ino)?));
        self.volume.remember(ino);
        // `struct fuse_open_out`: no handle; the page cache is kept.
        const KEEP_CACHE: u32 = 1 << 1;
        answer.u64(0);
        answer.u32(KEEP_CACHE);
        answer.u32(0);
        self.finish(answer)
    }

    fn rename(&mut self, body: &mut Body<'_>, answer: Answer<'_>) -> Result<Done, Errno> {
        let folder = Ino(long(body)?);
        let flags = if self.head.opcode == op::RENAME2 {
            let flags = word(body)?;
            word(body)?;
            flags
        } else {
            0
        };
        let (from, to) = (name(body)?, name(body)?);
        self.volume.rename((Ino(self.head.node), from), (folder, to), flags, self.now)?;
        self.empty(answer)
    }

    fn link(&mut self, body: &mut Body<'_>, answer: Answer<'_>) -> Result<Done, Errno> {
        let ino = Ino(long(body)?);
        self.volume.link(ino, Ino(self.head.node), name(body)?, self.now)?;
        self.entry(ino, answer)
    }

    fn read(&mut self, body: &mut Body<'_>, mut answer: Answer<'_>) -> Result<Done, Errno> {
        let (_, offset, size) = (long(body)?, long(body)?, word(body)?);
        let content = answer.content(size.min(MAX_WRITE) as usize);
        let length = self.volume.read(Ino(self.head.node), offset, content)?;
        answer.cut_content(length);
        self.finish(answer)
    }

    fn write(&mut self, request: &mut [u8], outgoing: &mut Outgoing) -> Result<Done, Errno> {
        let (head, data) = request.split_at_mut_checked(WRITE_DATA).ok_or(Errno::INVAL)?;
        let mut body = Body(head.get(HEAD_BYTES..).unwrap_or_default());
        let (_, offset, size, flags) = (long(&mut body)?, long(&mut body)?, word(&mut body)?, word(&mut body)?);
        let data = data.get_mut(..size as usize).ok_or(Errno::INVAL)?;
        let ino = Ino(self.head.node);
        // What comes from the page cache was promised to the writer long ago: all of it, or an error.
        let may_be_short = flags & wire::WRITE_CACHE == 0;
        let written = self.volume.write(ino, offset, data, may_be_short, self.now)?;
        if flags & wire::WRITE_KILL_SET_ID != 0 {
            self.volume.clear_set_id(ino);
        }
        let mut answer = Answer::new(outgoing);
        answer.u32(u32::try_from(written).map_err(|_| Errno::INVAL)?);
        answer.u32(0);
        self.finish(answer)
    }

    fn read_folder(&mut self, body: &mut Body<'_>, mut answer: Answer<'_>) -> Result<Done, Errno> {
        let (_, after, size) = (long(body)?, long(body)?, word(body)?);
        let room = size.min(MAX_WRITE) as usize;
        self.volume.entries(Ino(self.head.node), after, &mut |place, name, ino, kind| {
            answer.dirent(room, place, name, ino.0, kind)
        })?;
        self.finish(answer)
    }

    fn allocate(&mut self, body: &mut Body<'_>, answer: Answer<'_>) -> Result<Done, Errno> {
        let (_, offset, length, mode) = (long(body)?, long(body)?, long(body)?, word(body)?);
        self.volume.allocate(Ino(self.head.node), mode, offset, length, self.now)?;
        self.empty(answer)
    }

    fn seek(&mut self, body: &mut Body<'_>, mut answer: Answer<'_>) -> Result<Done, Errno> {
        const SEEK_DATA: u32 = 3;
        const SEEK_HOLE: u32 = 4;
        let (_, offset, whence) = (long(body)?, long(body)?, word(body)?);
        let for_hole = match whence {
            SEEK_DATA => false,
            SEEK_HOLE => true,
            _ => return Err(Errno::INVAL),
        };
        answer.u64(self.volume.seek(Ino(self.head.node), offset, for_hole)?);
        self.finish(answer)
    }
}

fn name<'b>(body: &mut Body<'b>) -> Result<&'b [u8], Errno> {
    body.name().ok_or(Errno::INVAL)
}

fn word(body: &mut Body<'_>) -> Result<u32, Errno> {
    body.u32().ok_or(Errno::INVAL)
}

fn long(body: &mut Body<'_>) -> Result<u64, Errno> {
    body.u64().ok_or(Errno::INVAL)
}
