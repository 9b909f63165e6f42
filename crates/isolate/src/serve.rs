//! The server's end of an encrypted scratch: what it is told, and how it locks itself in.
//!
//! It parses what a hostile workload makes the kernel say, so it is a process that can do nothing but read and write
//! the descriptors that it has: no file, no socket, no program, no other process.

use std::fs::File;
use std::io::{self, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use hotcell_sys::{Fd, landlock as sys_landlock, limit, memory, process, seccomp};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use crate::filter::{Filter, FilterRules};
use crate::landlock::{self, Handled};

/// What the host wants of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// Size of the volume.
    pub bytes: u64,
    /// Its inodes.
    pub inodes: u64,
    /// Whether the host could swap in plain, so that keys and contents must be locked in memory.
    pub must_lock: bool,
}

/// What of a server's memory stays in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locked {
    /// Nothing.
    Nothing,
    /// The key and the buffers of contents; not the names of files.
    KeyAndContents,
    /// All of it.
    All,
}

/// What a server says to the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Word {
    Ready(Locked),
    Failed(String),
    Ended { peak_bytes: u64, tampered: u64, failed: u64 },
}

impl Order {
    const BYTES: usize = 17;

    pub(crate) fn encode(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.bytes.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.inodes.to_le_bytes());
        bytes[16] = self.must_lock.into();
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (size, rest) = bytes.split_first_chunk()?;
        let (inodes, rest) = rest.split_first_chunk()?;
        let [must_lock] = rest else { return None };
        let (bytes, inodes) = (u64::from_le_bytes(*size), u64::from_le_bytes(*inodes));
        Some(Self { bytes, inodes, must_lock: *must_lock != 0 })
    }
}

impl Word {
    pub(crate) const MAX_BYTES: usize = 512;

    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Ready(locked) => vec![b'r', *locked as u8],
            Self::Failed(why) => [b"f", why.as_bytes()].concat().into_iter().take(Self::MAX_BYTES).collect(),
            Self::Ended { peak_bytes, tampered, failed } => {
                let numbers = [peak_bytes, tampered, failed].map(|number| number.to_le_bytes());
                [&b"e"[..], numbers.as_flattened()].concat()
            }
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let number = |place: usize| {
            let bytes = bytes.get(1 + 8 * place..)?.first_chunk()?;
            Some(u64::from_le_bytes(*bytes))
        };
        match bytes.first()? {
            b'r' => [Locked::Nothing, Locked::KeyAndContents, Locked::All]
                .into_iter()
                .find(|locked| bytes.get(1) == Some(&(*locked as u8)))
                .map(Self::Ready),
            b'f' => Some(Self::Failed(String::from_utf8_lossy(bytes.get(1..)?).into_owned())),
            b'e' => Some(Self::Ended { peak_bytes: number(0)?, tampered: number(1)?, failed: number(2)? }),
            _ => None,
        }
    }
}

/// A server that was told what to do.
#[derive(Debug)]
pub struct Service {
    control: File,
    /// The file by which it joins the control group that counts its processor time.
    group: Option<File>,
    /// What the host wants.
    pub order: Order,
}

impl Service {
    /// Hears what to do: the service, the backing file and the FUSE device. `control` is standard input.
    ///
    /// # Errors
    /// When `control` is not the control socket of a host, or the host is gone.
    pub fn hear(control: BorrowedFd<'_>) -> io::Result<(Self, File, OwnedFd)> {
        // First of all: it has nothing of its parent's, nobody looks into it, and it does not outlive the host.
        hotcell_sys::file::close_range(3, u32::MAX).map_err(from_sys)?;
        let control = control.try_clone_to_owned()?;
        // A session of its own: an interruption at the terminal is for the host, which ends the sandbox in order.
        process::new_session().map_err(from_sys)?;
        process::not_dumpable().map_err(from_sys)?;
        process::die_with_parent().map_err(from_sys)?;
        limit::set(limit::CORE, 0).map_err(from_sys)?;
        let mut bytes = [0; Order::BYTES];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC;
        let received = recvmsg(&control, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, flags)?;
        let mut fds = ancillary.drain().flat_map(|message| match message {
            RecvAncillaryMessage::ScmRights(fds) => fds.collect::<Vec<_>>(),
            _ => Vec::new(),
        });
        let order = bytes.get(..received.bytes).and_then(Order::decode);
        match (order, fds.next(), fds.next()) {
            (Some(order), Some(backing), Some(fuse)) => {
                let group = fds.next().map(File::from);
                Ok((Self { control: control.into(), group, order }, backing.into(), fuse))
            }
            _ => Err(io::Error::other("this is for the use of a sandbox only")),
        }
    }

    /// The control socket, which has something to read when the host wants an end.
    pub fn control(&self) -> BorrowedFd<'_> {
        self.control.as_fd()
    }

    /// Locks memory, then the process, and tells the host that it is ready; or why it is not.
    ///
    /// Everything that the server needs must be there by then: it can open nothing any more.
    ///
    /// # Errors
    /// Whatever could not be done; the host was told.
    pub fn lock_in(&mut self) -> io::Result<()> {
        match self.try_to_lock_in() {
            Ok(locked) => self.say(&Word::Ready(locked)),
            Err(error) => {
                self.say(&Word::Failed(error.to_string()))?;
                Err(error)
            }
        }
    }

    fn try_to_lock_in(&mut self) -> io::Result<Locked> {
        // A process that moves itself does not wait for the kernel; one that is moved does.
        if let Some(mut group) = self.group.take() {
            group.write_all(b"0")?;
        }
        let may_lock_all = drop_capabilities().map_err(from_sys)?;
        let locked = lock_memory(may_lock_all);
        if self.order.must_lock && locked == Locked::Nothing {
            return Err(io::Error::other("its key cannot be kept out of the host's swap"));
        }
        process::no_new_privileges().map_err(from_sys)?;
        let handled = Handled::of_abi(landlock::kernel_abi().min(landlock::WHOLE_ABI));
        if handled.abi > 0 {
            // Handled and nothing granted: nothing can be opened.
            let rights = sys_landlock::Handled { fs: handled.fs, net: handled.net, scoped: handled.scoped };
            let ruleset = sys_landlock::create(&rights, handled.abi).map_err(from_sys)?;
            sys_landlock::restrict(ruleset).map_err(from_sys)?;
            hotcell_sys::file::close(Fd(ruleset.0));
        }
        let rules = FilterRules {
            allowed: CALLS,
            inet: false,
            write_xor_execute: true,
            unmerged: false,
            tsc: false,
            told: false,
        };
        let filter = Filter::compile(&rules).map_err(|error| io::Error::other(error.to_string()))?;
        seccomp::load(filter.bytes()).map_err(from_sys)?;
        Ok(locked)
    }

    /// Tells the host how it went.
    ///
    /// # Errors
    /// When the host is gone.
    pub fn report(&mut self, peak_bytes: u64, tampered: u64, failed: u64) -> io::Result<()> {
        self.say(&Word::Ended { peak_bytes, tampered, failed })
    }

    fn say(&mut self, word: &Word) -> io::Result<()> {
        self.control.write_all(&word.encode())
    }
}

/// How a process of ours that parses foreign bytes locks itself in.
#[derive(Debug, Clone, Copy)]
pub struct Confinement<'a> {
    /// The system calls that it may make.
    pub calls: &'a [&'a str],
    /// Whether it may open sockets of IPv4 and IPv6.
    pub inet: bool,
    /// Files and folders that it may read, where they are there.
    pub read: &'a [&'a str],
    /// How much of the host it may use.
    pub bounds: Bounds,
}

/// How much of the host such a process may use; it writes no file in any case. A bound of the host that is lower stays.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Bytes of private memory that it may write. Beyond, it ends.
    pub memory: u64,
    /// Open descriptors.
    pub files: u64,
}

/// The first act of such a process: it has nothing of its parent's but standard input, its control socket, which is given
/// back; nobody looks into it, and it does not outlive its parent.
///
/// # Errors
/// When one of the calls fails.
pub fn begin(control: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    hotcell_sys::file::close_range(3, u32::MAX).map_err(from_sys)?;
    let control = control.try_clone_to_owned()?;
    process::new_session().map_err(from_sys)?;
    process::not_dumpable().map_err(from_sys)?;
    process::die_with_parent().map_err(from_sys)?;
    limit::set(limit::CORE, 0).map_err(from_sys)?;
    Ok(control)
}

/// Locks the process in, for good. It has one thread until then; those to come inherit everything.
///
/// # Errors
/// When a lock cannot be turned; where the kernel has no Landlock, that one is left out.
pub fn confine(confinement: &Confinement<'_>) -> io::Result<()> {
    process::keep_capabilities(0).map_err(from_sys)?;
    process::no_new_privileges().map_err(from_sys)?;
    let Bounds { memory, files } = confinement.bounds;
    for (resource, most) in [(limit::DATA, memory), (limit::NOFILE, files), (limit::FSIZE, 0), (limit::MSGQUEUE, 0)] {
        let host = limit::hard(resource).map_err(from_sys)?;
        limit::set(resource, most.min(host)).map_err(from_sys)?;
    }
    let handled = Handled::of_abi(landlock::kernel_abi().min(landlock::WHOLE_ABI));
    if handled.abi > 0 {
        let net = if confinement.inet { 0 } else { handled.net };
        let rights = sys_landlock::Handled { fs: handled.fs, net, scoped: handled.scoped };
        let ruleset = sys_landlock::create(&rights, handled.abi).map_err(from_sys)?;
        for path in confinement.read {
            let Ok(file) = File::open(path) else { continue };
            let wanted = landlock::READ_EXECUTE & handled.fs;
            let rights = if file.metadata()?.is_dir() { wanted } else { wanted & landlock::FILE_RIGHTS };
            sys_landlock::allow_beneath(ruleset, rights, Fd(file.as_raw_fd())).map_err(from_sys)?;
        }
        sys_landlock::restrict(ruleset).map_err(from_sys)?;
        hotcell_sys::file::close(Fd(ruleset.0));
    }
    let Confinement { calls: allowed, inet, .. } = *confinement;
    let rules = FilterRules { allowed, inet, write_xor_execute: true, unmerged: false, tsc: false, told: false };
    let filter = Filter::compile(&rules).map_err(|error| io::Error::other(error.to_string()))?;
    seccomp::load(filter.bytes()).map_err(from_sys)
}

/// What a server calls. It has its descriptors, and memory.
const CALLS: &[&str] = &[
    "read",          // requests
    "write",         // answers, and words to the host
    "pread64",       // encrypted blocks
    "pwrite64",      // the same
    "poll",          // waiting for requests
    "ppoll",         // the same, where there is no poll
    "clock_gettime", // the time of changes, where the kernel does not map it
    "brk",           // memory
    "mmap",          // memory, never executable
    "mremap",        // memory
    "munmap",        // memory
    "madvise",       // memory that is given back
    "futex",         // the C library's own locks
    "close",         // at the end
    "sigaltstack",   // at the end
    "rt_sigreturn",  // from handlers of the runtime
    "exit",
    "exit_group",
];

/// Drops all capabilities; says whether memory can be locked without a limit, also memory to come.
///
/// Where root lacks the right to raise its limit (`CAP_SYS_RESOURCE`, in some containers), it keeps the one to lock
/// memory beyond it, and no other.
fn drop_capabilities() -> hotcell_sys::Result<bool> {
    if limit::set(limit::MEMLOCK, u64::MAX).is_ok() {
        process::keep_capabilities(0)?;
        return Ok(true);
    }
    // Under a limit of nothing, only a capability that counts on this host locks: one of a user namespace does not.
    let page = [0u8; 1];
    limit::set_soft(limit::MEMLOCK, 0)?;
    let counts = process::keep_capabilities(process::CAP_IPC_LOCK).is_ok()
        && memory::lock_range(page.as_ptr().addr(), page.len()).is_ok();
    limit::set_soft(limit::MEMLOCK, limit::hard(limit::MEMLOCK)?)?;
    if !counts {
        process::keep_capabilities(0)?;
    }
    Ok(counts)
}

/// Locks as much memory as this user may. Memory to come only where there is no limit, at which the server would end.
fn lock_memory(may_lock_all: bool) -> Locked {
    if may_lock_all && memory::lock_all().is_ok() {
        return Locked::All;
    }
    let Ok(maps) = std::fs::read_to_string("/proc/self/maps") else { return Locked::Nothing };
    let ranges: Vec<_> = maps.lines().filter_map(private_range).collect();
    match ranges.iter().all(|(start, end)| memory::lock_range(*start, end - start).is_ok()) {
        true if !ranges.is_empty() => Locked::KeyAndContents,
        _ => Locked::Nothing,
    }
}

/// The range of a line of `/proc/self/maps`, where it is heap, stack or another place for data that has no file.
fn private_range(line: &str) -> Option<(usize, usize)> {
    let mut words = line.split_whitespace();
    let (range, rights) = (words.next()?, words.next()?);
    let path = words.nth(3).unwrap_or("");
    let (start, end) = range.split_once('-')?;
    let is_data = rights.starts_with("rw") && (path.is_empty() || path == "[heap]" || path == "[stack]");
    let number = |text| usize::from_str_radix(text, 16).ok();
    is_data.then_some((number(start)?, number(end)?))
}

fn from_sys(error: hotcell_sys::Errno) -> io::Error {
    io::Error::from_raw_os_error(error.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_and_words_read_back_as_written() {
        let order = Order { bytes: 7 << 40, inodes: 9, must_lock: true };
        assert_eq!(Order::decode(&order.encode()), Some(order));
        assert_eq!(Order::decode(&order.encode()[1..]), None);
        for word in [
            Word::Ready(Locked::Nothing),
            Word::Ready(Locked::All),
            Word::Failed("no".into()),
            Word::Ended { peak_bytes: 1 << 50, tampered: 2, failed: 3 },
        ] {
            assert_eq!(Word::decode(&word.encode()), Some(word));
        }
        for bytes in [&b""[..], b"x", b"r", b"r9", b"e1234567"] {
            assert_eq!(Word::decode(bytes), None);
        }
    }

    #[test]
    fn only_data_without_a_file_is_locked() {
        for (line, range) in [
            ("7f00-8000 rw-p 00000000 00:00 0 ", Some((0x7f00, 0x8000))),
            ("7f00-8000 rw-p 00000000 00:00 0                          [heap]", Some((0x7f00, 0x8000))),
            ("7f00-8000 rw-p 00001000 08:01 17   /usr/lib/libc.so.6", None),
            ("7f00-8000 r-xp 00000000 00:00 0                          [vdso]", None),
            ("nonsense", None),
        ] {
            assert_eq!(private_range(line), range, "{line}");
        }
    }
}
