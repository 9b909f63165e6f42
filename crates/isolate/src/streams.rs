//! The host's ends of a workload's standard streams, and how they are carried.
//!
//! They are pipes of ours, or a terminal of the sandbox's own; never a descriptor of the caller's.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::FileType;
use rustix::io::Errno;

use crate::error::IsolateError;

/// The host's ends.
#[derive(Debug)]
pub(crate) enum Streams {
    /// Standard output and error, apart.
    Pipes {
        /// Reading end of standard output.
        stdout: OwnedFd,
        /// Reading end of standard error.
        stderr: OwnedFd,
    },
    /// All three in one.
    Terminal {
        /// Shows what the workload writes, takes what is typed.
        controller: OwnedFd,
        /// Held as long as the workload lives, so that one that closes its streams has not ended its terminal.
        follower: OwnedFd,
    },
}

/// A pipe for standard output and one for standard error, and the sandbox's ends of all three streams.
pub(crate) fn pipes(stdin: Option<OwnedFd>) -> Result<(Streams, [OwnedFd; 3]), IsolateError> {
    let pipe = |what| {
        let made = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).and_then(|(reader, writer)| {
            // INVARIANT (never-waits): whoever may open the pipe anew can take bytes back that were seen to be
            // there; then there is nothing to read, and nothing to wait for.
            rustix::fs::fcntl_setfl(&reader, rustix::fs::OFlags::NONBLOCK)?;
            Ok((reader, writer))
        });
        made.map_err(|error| IsolateError::Host { what, source: error.into() })
    };
    let (stdout, stdout_writer) = pipe("making a pipe for standard output")?;
    let (stderr, stderr_writer) = pipe("making a pipe for standard error")?;
    let stdin = match stdin {
        Some(stdin) => stdin,
        None => null()?,
    };
    Ok((Streams::Pipes { stdout, stderr }, [stdin, stdout_writer, stderr_writer]))
}

/// Streams that lead nowhere, until the sandbox opens its terminal.
pub(crate) fn nothing() -> Result<[OwnedFd; 3], IsolateError> {
    Ok([null()?, null()?, null()?])
}

fn null() -> Result<OwnedFd, IsolateError> {
    let opened = File::options().read(true).write(true).open("/dev/null");
    opened.map(OwnedFd::from).map_err(|source| IsolateError::Host { what: "opening /dev/null", source })
}

/// Bytes read from a stream at once.
const CHUNK: usize = 64 * 1024;
/// As many as whoever takes them can take without waiting once it is ready: a page, for a pipe.
const PAGE: usize = 4096;

/// Where a sink passes bytes on to.
#[derive(Debug, Clone, Copy)]
struct Onwards<'a> {
    fd: BorrowedFd<'a>,
    /// What it takes at once whenever it is ready.
    at_once: usize,
    /// What it takes at once when it is empty, if that can be seen.
    when_empty: Option<usize>,
}

impl<'a> Onwards<'a> {
    fn of(fd: BorrowedFd<'a>) -> Self {
        let kind = rustix::fs::fstat(fd).map(|stat| FileType::from_raw_mode(stat.st_mode));
        let (at_once, when_empty) = match kind {
            Ok(FileType::RegularFile) => (CHUNK, None),
            Ok(FileType::Fifo) => (PAGE, rustix::pipe::fcntl_getpipe_size(fd).ok()),
            _ => (PAGE, None),
        };
        Self { fd, at_once, when_empty }
    }

    /// How much it takes now, as it is ready.
    fn room(&self) -> usize {
        match self.when_empty {
            Some(all) if matches!(rustix::io::ioctl_fionread(self.fd), Ok(0)) => all.clamp(PAGE, CHUNK),
            _ => self.at_once,
        }
    }
}

/// One stream on its way from the workload to a sink.
pub(crate) struct Carried<'a> {
    from: Option<OwnedFd>,
    sink: &'a mut dyn FnMut(&[u8]),
    /// Where the sink passes bytes on to: nothing is read as long as that cannot be written to.
    onwards: Option<Onwards<'a>>,
    buffer: Vec<u8>,
    pub(crate) bytes: u64,
}

impl<'a> Carried<'a> {
    pub(crate) fn new(from: Option<OwnedFd>, sink: &'a mut dyn FnMut(&[u8]), onwards: Option<BorrowedFd<'a>>) -> Self {
        Self { from, sink, onwards: onwards.map(Onwards::of), buffer: Vec::new(), bytes: 0 }
    }

    /// What to wait for: that there is something to read, or, once there is, that it can be passed on.
    pub(crate) fn wanted(&self, pending: bool) -> Option<(BorrowedFd<'_>, PollFlags)> {
        let from = self.from.as_ref()?;
        match self.onwards.filter(|_| pending) {
            Some(onwards) => Some((onwards.fd, PollFlags::OUT)),
            None => Some((from.as_fd(), PollFlags::IN)),
        }
    }

    /// Whether the sink has to be asked before something is read.
    pub(crate) fn has_onwards(&self) -> bool {
        self.onwards.is_some()
    }

    /// Whether what is read now can be passed on without waiting.
    pub(crate) fn can_pass_on(&self) -> bool {
        self.onwards.is_none_or(|onwards| can_be_written_to(onwards.fd))
    }

    /// Carries what is there, at most a buffer of it, and tells whether there was anything. At the end of the stream,
    /// closes it.
    pub(crate) fn carry(&mut self) -> Result<bool, IsolateError> {
        let Some(from) = &self.from else { return Ok(false) };
        // Programs that say little need little memory for it.
        self.buffer.resize(if self.bytes == 0 { PAGE } else { CHUNK }, 0);
        let room = self.onwards.map_or(CHUNK, |onwards| onwards.room()).min(self.buffer.len());
        let buffer = self.buffer.get_mut(..room).unwrap_or_default();
        loop {
            match rustix::io::read(from, &mut *buffer) {
                // A terminal whose last user has left says EIO.
                Ok(0) | Err(Errno::IO) => {
                    self.from = None;
                    return Ok(false);
                }
                Ok(count) => {
                    (self.sink)(buffer.get(..count).unwrap_or_default());
                    self.bytes += count as u64;
                    return Ok(true);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(false),
                Err(error) => return Err(IsolateError::Host { what: "reading a stream", source: error.into() }),
            }
        }
    }

    /// Carries all that is left. Every writer must be dead. Without patience, what cannot be passed on at once is let
    /// go: nobody waits for the reader of a workload that was stopped.
    pub(crate) fn drain(&mut self, is_patient: bool) -> Result<(), IsolateError> {
        while (is_patient || self.can_pass_on()) && self.carry()? {}
        self.from = None;
        Ok(())
    }
}

fn can_be_written_to(fd: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::OUT)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(poll(&mut fds, Some(&at_once)), Ok(1..))
}
