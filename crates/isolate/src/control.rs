//! The host's end of the control socket, and the start of the launcher.

use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use hotcell_launcher::message::{self, GO, MAX_PROBES, Message};
use hotcell_sys::socket::MAX_FDS;
use hotcell_sys::{Errno, Fd, process};
use hotcell_types::Wall;
use rustix::fs::{MemfdFlags, SealFlags, memfd_create};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use rustix::process::{Pid, WaitOptions, waitpid};

use crate::LAUNCHER;
use crate::error::IsolateError;

/// Bytes of the largest message: a report of the preflight.
const MAX_MESSAGE: usize = message::BYTES + 8 * MAX_PROBES;

/// The control socket.
#[derive(Debug)]
pub(crate) struct Control {
    socket: OwnedFd,
}

impl Control {
    /// A socket that was handed over.
    pub(crate) fn of(socket: OwnedFd) -> Self {
        Self { socket }
    }

    /// Starts the launcher and hands it the plan.
    pub(crate) fn start(plan: &[u8]) -> Result<(Self, Launcher), IsolateError> {
        let (control, mut launcher) = Self::begin(None)?;
        launcher.take_plan(&control, plan)?;
        Ok((control, launcher))
    }

    /// Starts the launcher on another processor than this one, if there is one, to wait for its plan; the plan says what
    /// processors it may use from then on.
    ///
    /// A kernel that has them all idle would leave parent and child to one.
    pub(crate) fn begin_elsewhere() -> Result<(Self, Launcher), IsolateError> {
        Self::begin(crate::host::other_processors().as_ref())
    }

    fn begin(processors: Option<&[u64; 16]>) -> Result<(Self, Launcher), IsolateError> {
        let host = |what| move |error: rustix::io::Errno| IsolateError::Host { what, source: error.into() };
        let program = sealed(c"hotcell-launcher", LAUNCHER)?;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map_err(host("making the control socket"))?;
        let started =
            process::start(Fd(program.as_raw_fd()), Fd(theirs.as_raw_fd()), processors).map_err(not_started)?;
        Ok((Self { socket: ours }, Launcher { pid: Pid::from_raw(started) }))
    }

    /// Hands over a plan and what comes along with it; its places count from 1.
    pub(crate) fn hand(&self, plan: &[u8], along: &[BorrowedFd<'_>]) -> Result<(), IsolateError> {
        let plan_file = sealed(c"hotcell-plan", plan)?;
        let fds: Vec<_> = std::iter::once(plan_file.as_fd()).chain(along.iter().copied()).collect();
        self.send(&(plan.len() as u64).to_le_bytes(), &fds)
    }

    /// Tells the sandbox to go on.
    pub(crate) fn go(&self) -> Result<(), IsolateError> {
        self.send(&[GO], &[])
    }

    fn send(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), IsolateError> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(IsolateError::Launcher { what: "was given too many descriptors" });
        }
        sendmsg(&self.socket, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL)
            .map_err(|error| IsolateError::Host { what: "speaking to the launcher", source: error.into() })?;
        Ok(())
    }

    /// The next message, with a descriptor if one comes along and the answers of a report.
    pub(crate) fn receive(&self) -> Result<Received, IsolateError> {
        let mut bytes = [0u8; MAX_MESSAGE];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            match recvmsg(&self.socket, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
                // A launcher that ended before it read what we sent says so once, ahead of its last words.
                Err(rustix::io::Errno::INTR | rustix::io::Errno::CONNRESET) => {}
                Err(error) => {
                    return Err(IsolateError::Host { what: "listening to the launcher", source: error.into() });
                }
                Ok(received) => break received,
            }
        };
        if received.bytes == 0 {
            return Err(IsolateError::Launcher { what: "ended without a word" });
        }
        let fd = ancillary.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
            _ => None,
        });
        let bytes = bytes.get(..received.bytes).unwrap_or_default();
        let message = Message::decode(bytes).ok_or(IsolateError::Launcher { what: "said something unknown" })?;
        let answers = bytes
            .get(message::BYTES..)
            .unwrap_or_default()
            .chunks_exact(8)
            .filter_map(|word| word.try_into().ok().map(i64::from_le_bytes))
            .collect();
        Ok(Received { message, fd, answers })
    }
}

/// The launcher's process, which ends by itself.
#[derive(Debug)]
pub(crate) struct Launcher {
    /// None once it was waited for.
    pid: Option<Pid>,
}

impl Launcher {
    /// Hands it the plan that it waits for. Where it is gone already, why.
    pub(crate) fn take_plan(&mut self, control: &Control, plan: &[u8]) -> Result<(), IsolateError> {
        control.hand(plan, &[]).or_else(|error| self.wait().and(Err(error)))
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// When it could not be executed in the first place.
    pub(crate) fn wait(&mut self) -> Result<(), IsolateError> {
        let Some(pid) = self.pid.take() else { return Ok(()) };
        let ended = loop {
            match waitpid(Some(pid), WaitOptions::empty()) {
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => {
                    return Err(IsolateError::Host { what: "waiting for the launcher", source: error.into() });
                }
                Ok(ended) => break ended,
            }
        };
        match ended.and_then(|(_, status)| status.exit_status()) {
            // It ends with 0 or 125, and what failed it tells by a message; else it is the number of `execveat`'s error.
            None | Some(0 | 125) => Ok(()),
            Some(errno) => Err(not_started(Errno(errno))),
        }
    }
}

/// Where the kernel does not let a program in memory be executed, the host lacks what every wall is made of.
fn not_started(errno: Errno) -> IsolateError {
    let source = std::io::Error::from_raw_os_error(errno.0);
    match source.kind() {
        std::io::ErrorKind::PermissionDenied => IsolateError::HostLacks {
            wall: Wall::UserNamespace,
            why: format!("the launcher, a program in memory, may not be executed: {source}"),
            remedy: crate::host::NAMESPACE_REMEDY.into(),
        },
        std::io::ErrorKind::Unsupported => IsolateError::HostLacks {
            wall: Wall::UserNamespace,
            why: format!("processes cannot be made with namespaces of their own: {source}"),
            remedy: crate::host::NAMESPACE_REMEDY.into(),
        },
        _ => IsolateError::not_started("the launcher", "starting the launcher")(source),
    }
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// One message of the launcher.
pub(crate) struct Received {
    pub(crate) message: Message,
    pub(crate) fd: Option<OwnedFd>,
    pub(crate) answers: Vec<i64>,
}

/// Bytes in memory that nobody can change any more.
fn sealed(name: &std::ffi::CStr, bytes: &[u8]) -> Result<OwnedFd, IsolateError> {
    let wrap = |source| IsolateError::Host { what: "sealing the launcher", source };
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Kernels before 6.3 do not know that a file may be asked to be executable, and allow it.
    let fd = memfd_create(name, flags | MemfdFlags::EXEC)
        .or_else(|_| memfd_create(name, flags))
        .map_err(|error| wrap(error.into()))?;
    let mut file = File::from(fd);
    file.write_all(bytes).map_err(wrap)?;
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&file, seals).map_err(|error| wrap(error.into()))?;
    Ok(file.into())
}
