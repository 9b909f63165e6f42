//! Scratch: in memory or on an encrypted volume, and the server of the latter, seen from the host.
//!
//! The server is this very program under another name, a process of its own for each sandbox, outside of it. It gets
//! the FUSE device that the sandbox mounted and a backing file without a name, locks itself in ([`serve`](crate::serve))
//! and answers until the host lets go of the control socket, however that comes about.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hotcell_policy::{Profile, ScratchRule};
use hotcell_types::ByteSize;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, Shutdown,
    SocketFlags, SocketType, recvmsg, sendmsg, shutdown, socketpair,
};

use crate::cgroup::Group;
use crate::error::IsolateError;
use crate::host::Host;
use crate::serve::{Locked, Order, Word};

/// The name under which this program serves a scratch.
pub const SERVER_NAME: &str = "hotcell-scratch";
/// And its only argument: any other program refuses it.
pub const SERVER_ARGUMENT: &str = "--serve-one-sandbox-and-nothing-else";

/// Inodes of a scratch or an output of this size: one for each 4 KiB, within bounds, so that a flood of empty files
/// ends before it takes much more of the host's memory than the size says.
pub(crate) fn inodes(size: ByteSize) -> u64 {
    (size.bytes() / 4096).clamp(1024, 65536)
}

/// Where a sandbox's scratch lives, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScratchKind {
    /// In memory.
    Memory,
    /// On an encrypted volume.
    Encrypted,
}

impl ScratchKind {
    /// In words, for receipts.
    pub fn label(self) -> &'static str {
        match self {
            Self::Memory => "in memory",
            Self::Encrypted => "encrypted volume (AES-256-GCM, key in memory only)",
        }
    }
}

/// What a host could do with memory that it has no room for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Swap {
    /// Nothing: no swap, or in memory, or encrypted.
    NotInPlain,
    /// Write it to this device or file as it is.
    InPlain(String),
}

impl Swap {
    /// Looks at this host.
    pub fn of_this_host() -> Self {
        if rustix::system::sysinfo().totalswap == 0 {
            return Self::NotInPlain;
        }
        match std::fs::read_to_string("/proc/swaps") {
            Ok(text) => Self::find(&text, &|file| std::fs::read_to_string(file)),
            Err(error) => Self::InPlain(format!("unknown swap (/proc/swaps: {error})")),
        }
    }

    /// The same from the text of `/proc/swaps`; `read` reads a file of `/sys/block`.
    ///
    /// A compressed device in memory (zram) without a backing device and an encrypted one (dm-crypt) do not count.
    /// What cannot be told counts, as does a file, whatever it lies on.
    pub fn find(swaps: &str, read: &dyn Fn(&str) -> io::Result<String>) -> Self {
        for line in swaps.lines().skip(1) {
            let path = line.split_whitespace().next().unwrap_or("");
            let device = path.strip_prefix("/dev/").unwrap_or("");
            let is_safe = if device.starts_with("zram") {
                match read(&format!("/sys/block/{device}/backing_dev")) {
                    Ok(backing) => backing.trim() == "none",
                    // A kernel that knows no backing devices, where the device itself can be looked at.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        read(&format!("/sys/block/{device}/disksize")).is_ok()
                    }
                    Err(_) => false,
                }
            } else if device.starts_with("dm-") {
                read(&format!("/sys/block/{device}/dm/uuid")).is_ok_and(|uuid| uuid.starts_with("CRYPT-"))
            } else {
                false
            };
            if !is_safe && !path.is_empty() {
                return Self::InPlain(path.to_owned());
            }
        }
        Self::NotInPlain
    }
}

/// Chooses where a sandbox's scratch lives.
pub(crate) fn choose(profile: &Profile, host: &Host) -> Result<ScratchKind, IsolateError> {
    let kind = decide(profile.scratch(), profile.limits().scratch(), &Swap::of_this_host(), memory_of_host())?;
    match (kind, host.fuse()) {
        (ScratchKind::Encrypted, Err(why)) => Err(IsolateError::Scratch {
            why: format!("an encrypted volume is needed, and {why}"),
            remedy: FUSE_REMEDY.into(),
        }),
        _ => Ok(kind),
    }
}

/// How to get FUSE.
pub(crate) const FUSE_REMEDY: &str = "load the kernel's module and let users open its device: modprobe fuse, \
     chmod 666 /dev/fuse (most distributions do both)";

fn decide(rule: ScratchRule, size: ByteSize, swap: &Swap, memory: u64) -> Result<ScratchKind, IsolateError> {
    match (rule, swap) {
        (ScratchRule::Encrypted, _) | (ScratchRule::Auto, Swap::InPlain(_)) => Ok(ScratchKind::Encrypted),
        (ScratchRule::Auto, _) if size.bytes() > memory / 4 => Ok(ScratchKind::Encrypted),
        (ScratchRule::Auto | ScratchRule::Memory, Swap::NotInPlain) => Ok(ScratchKind::Memory),
        (ScratchRule::Memory, Swap::InPlain(path)) => Err(IsolateError::Scratch {
            why: format!("scratch was to be in memory, which the host could write to `{path}` in plain"),
            remedy: "leave `scratch.kind` at \"auto\", or swap to an encrypted device".into(),
        }),
    }
}

fn memory_of_host() -> u64 {
    let info = rustix::system::sysinfo();
    info.totalram.saturating_mul(info.mem_unit.into())
}

/// The server of one sandbox's volume. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    control: OwnedFd,
    backing: Option<File>,
    /// The file by which it joins the control group that counts its processor time.
    group: Option<File>,
    order: Order,
    locked: Locked,
}

/// What a server tells at its end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScratchReport {
    /// The most bytes that were in use.
    pub peak_bytes: u64,
    /// Blocks that were not what had been written.
    pub tampered: u64,
    /// Reads and writes that the disk refused.
    pub failed: u64,
    /// Whether the server wiped its key by itself; else it was killed.
    pub wiped: bool,
    /// Whether the host could have swapped out names of files in plain; contents and key never.
    pub names_swappable: bool,
}

/// How long a server may take to say that it is ready, or that it has ended.
const PATIENCE: Duration = Duration::from_secs(10);

impl Server {
    /// Starts a server; it comes up while the sandbox is built. Its processor time is the sandbox's, where that is counted.
    pub(crate) fn start(
        host: &Host,
        state: &Path,
        size: ByteSize,
        group: Option<&Group>,
    ) -> Result<Self, IsolateError> {
        let wrap = |what| move |source| IsolateError::Host { what, source };
        let joined = group.and_then(Group::of_server).map(|path| OpenOptions::new().write(true).open(path)).transpose();
        let joined = joined.map_err(wrap("opening the control group of scratch"))?;
        let backing = backing_file(&state.join("scratch")).map_err(wrap("making the backing file of scratch"))?;
        let (control, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map_err(|error| wrap("making a socket for scratch")(error.into()))?;
        let child = Command::new(&host.executable)
            .arg0(SERVER_NAME)
            .arg(SERVER_ARGUMENT)
            .env_clear()
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(IsolateError::not_started("the server of scratch", "starting the server of scratch"))?;
        let must_lock = Swap::of_this_host() != Swap::NotInPlain;
        let order = Order { bytes: size.bytes(), inodes: inodes(size), must_lock };
        Ok(Self { child, control, backing: Some(backing), group: joined, order, locked: Locked::Nothing })
    }

    /// Hands it the device that the sandbox mounted.
    pub(crate) fn hand(&mut self, fuse: OwnedFd) -> Result<(), IsolateError> {
        let Some(backing) = self.backing.take() else {
            return Err(IsolateError::Launcher { what: "handed over two devices" });
        };
        let group = self.group.take();
        let mut fds = vec![backing.as_fd(), fuse.as_fd()];
        fds.extend(group.as_ref().map(AsFd::as_fd));
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        ancillary.push(SendAncillaryMessage::ScmRights(&fds));
        let order = self.order.encode();
        sendmsg(&self.control, &[IoSlice::new(&order)], &mut ancillary, SendFlags::NOSIGNAL)
            .map(drop)
            .map_err(|error| IsolateError::Host { what: "speaking to the server of scratch", source: error.into() })
    }

    /// Waits until it has locked itself in.
    pub(crate) fn await_ready(&mut self) -> Result<(), IsolateError> {
        let why = match self.receive(PATIENCE) {
            Some(Word::Ready(locked)) => {
                self.locked = locked;
                return Ok(());
            }
            Some(Word::Failed(why)) => why,
            Some(Word::Ended { .. }) | None => "it ended without a word".to_owned(),
        };
        Err(IsolateError::Scratch {
            why: format!("the server of the encrypted volume did not come up: {why}"),
            remedy: "let the user lock more memory (ulimit -l), or run as root".into(),
        })
    }

    /// Becomes readable when it has ended by itself, which it never should.
    pub(crate) fn control(&self) -> BorrowedFd<'_> {
        self.control.as_fd()
    }

    /// Tells it to end. What waits for it in the sandbox gets an error and can die.
    pub(crate) fn tell_to_end(&self) {
        // Where it is gone there is nobody to tell.
        let _ = shutdown(&self.control, Shutdown::Write);
    }

    /// Waits for its end and its report; kills it when that takes too long.
    pub(crate) fn finish(mut self) -> ScratchReport {
        self.tell_to_end();
        let names_swappable = self.order.must_lock && self.locked != Locked::All;
        let report = match self.receive(PATIENCE) {
            Some(Word::Ended { peak_bytes, tampered, failed }) => {
                ScratchReport { peak_bytes, tampered, failed, wiped: true, names_swappable }
            }
            _ => ScratchReport { names_swappable, ..ScratchReport::default() },
        };
        if !report.wiped {
            let _ = self.child.kill();
        }
        // Its memory and the backing file are freed by then.
        let _ = self.child.wait();
        report
    }

    fn receive(&self, patience: Duration) -> Option<Word> {
        let mut fds = [PollFd::new(&self.control, PollFlags::IN)];
        let timeout = Timespec { tv_sec: patience.as_secs().try_into().ok()?, tv_nsec: 0 };
        while let Err(error) = poll(&mut fds, Some(&timeout)) {
            if error != rustix::io::Errno::INTR {
                return None;
            }
        }
        let mut bytes = [0; Word::MAX_BYTES];
        let mut ancillary = RecvAncillaryBuffer::default();
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let received = recvmsg(&self.control, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, flags).ok()?;
        Word::decode(bytes.get(..received.bytes)?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An empty file without a name on the disk of this folder.
fn backing_file(folder: &Path) -> io::Result<File> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    match options.clone().custom_flags(rustix::fs::OFlags::TMPFILE.bits().cast_signed()).open(folder) {
        Err(error) if error.kind() != io::ErrorKind::PermissionDenied => {
            // A file system without such files: it has a name for a moment, and nothing in it.
            let named = folder.join(format!("{}-{:?}", std::process::id(), std::thread::current().id()));
            let file = options.create_new(true).open(&named)?;
            match std::fs::remove_file(&named) {
                // A sweeper was quicker.
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(file),
            }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "Filename\tType\tSize\tUsed\tPriority\n";

    #[test]
    fn swap_in_memory_and_encrypted_swap_are_not_plain() {
        let sys = |file: &str| match file {
            "/sys/block/zram0/backing_dev" => Ok("none\n".to_owned()),
            "/sys/block/zram1/backing_dev" => Ok("/dev/sda3\n".to_owned()),
            "/sys/block/zram2/disksize" | "/sys/block/zram4/disksize" => Ok("8589934592\n".to_owned()),
            "/sys/block/zram4/backing_dev" => Err(io::ErrorKind::PermissionDenied.into()),
            "/sys/block/dm-0/dm/uuid" => Ok("CRYPT-PLAIN-swap\n".to_owned()),
            "/sys/block/dm-1/dm/uuid" => Ok("LVM-abc\n".to_owned()),
            _ => Err(io::ErrorKind::NotFound.into()),
        };
        for (line, plain) in [
            ("", false),
            ("/dev/zram0 partition 8388604 0 100\n", false),
            ("/dev/zram2 partition 8388604 0 100\n", false),
            ("/dev/zram1 partition 8388604 0 100\n", true),
            ("/dev/zram3 partition 8388604 0 100\n", true),
            ("/dev/zram4 partition 8388604 0 100\n", true),
            ("/dev/dm-0 partition 8388604 0 -2\n", false),
            ("/dev/dm-1 partition 8388604 0 -2\n", true),
            ("/dev/dm-2 partition 8388604 0 -2\n", true),
            ("/dev/sda2 partition 8388604 0 -2\n", true),
            ("/swapfile file 8388604 0 -2\n", true),
            ("/dev/zram0 partition 1 0 100\n/swapfile file 8388604 0 -2\n", true),
        ] {
            let found = Swap::find(&format!("{HEAD}{line}"), &sys);
            assert_eq!(found != Swap::NotInPlain, plain, "{line}");
        }
    }

    #[test]
    fn memory_is_chosen_only_where_nothing_is_swapped_in_plain_and_it_is_small() {
        const GIB: u64 = 1 << 30;
        let plain = || Swap::InPlain("/dev/sda2".into());
        let choose = |rule, size, swap| decide(rule, ByteSize(size), &swap, 8 * GIB).ok();
        use ScratchKind::{Encrypted, Memory};
        assert_eq!(choose(ScratchRule::Auto, GIB, Swap::NotInPlain), Some(Memory));
        assert_eq!(choose(ScratchRule::Auto, 2 * GIB, Swap::NotInPlain), Some(Memory));
        assert_eq!(choose(ScratchRule::Auto, 3 * GIB, Swap::NotInPlain), Some(Encrypted));
        assert_eq!(choose(ScratchRule::Auto, GIB, plain()), Some(Encrypted));
        assert_eq!(choose(ScratchRule::Encrypted, GIB, Swap::NotInPlain), Some(Encrypted));
        assert_eq!(choose(ScratchRule::Memory, 3 * GIB, Swap::NotInPlain), Some(Memory));
        assert_eq!(choose(ScratchRule::Memory, GIB, plain()), None, "never a silent downgrade");
    }

    #[test]
    fn the_number_of_inodes_follows_the_size_within_bounds() {
        for (size, expected) in [(1, 1024), (4 << 20, 1024), (40 << 20, 10240), (256 << 20, 65536), (1 << 40, 65536)] {
            assert_eq!(inodes(ByteSize(size)), expected, "{size}");
        }
    }

    #[test]
    fn a_backing_file_has_no_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = backing_file(&folder.path().join("scratch")).unwrap();
        use std::os::unix::fs::MetadataExt as _;
        assert_eq!((file.metadata().unwrap().nlink(), file.metadata().unwrap().mode() & 0o777), (0, 0o600));
        assert_eq!(std::fs::read_dir(folder.path().join("scratch")).unwrap().count(), 0);
    }
}
