//! A running workload: its streams, its limits, its end, and the removal of everything.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use hotcell_launcher::message::Message;
use hotcell_types::{Destroyed, Enforcement, LimitRecord, Wall};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};

use crate::error::IsolateError;
use crate::sandbox::{Live, Parts};
use crate::scratch::{ScratchKind, ScratchReport, Server};
use crate::watch;

/// Where the workload's output goes, and what can end it early.
pub struct Io<'a> {
    /// Takes what the workload writes to standard output.
    pub stdout: &'a mut dyn FnMut(&[u8]),
    /// Takes what it writes to standard error.
    pub stderr: &'a mut dyn FnMut(&[u8]),
    /// Becomes readable when the task is cancelled.
    pub cancel: Option<BorrowedFd<'a>>,
}

/// How the workload's process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// With a status.
    Code(u8),
    /// By a signal.
    Signal(u8),
}

impl Exit {
    /// The status that a shell would show: 128 + n for a signal.
    pub fn status(self) -> u8 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128u8.saturating_add(signal),
        }
    }
}

/// Why it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// By itself.
    Itself,
    /// Its time was up.
    WallLimit,
    /// It wanted more memory than it may have.
    MemoryLimit,
    /// The server of its encrypted scratch ended, and with it the scratch.
    ScratchLost,
    /// The task was cancelled.
    Cancelled,
    /// It could not be executed: the error number.
    NotExecuted(i32),
}

/// A workload that runs.
#[derive(Debug)]
pub struct Running {
    parts: Parts,
    outputs: OwnedFd,
    stdout: OwnedFd,
    stderr: OwnedFd,
    started: Instant,
}

/// A sandbox in which every process is dead.
#[derive(Debug)]
pub struct Ended {
    parts: Parts,
    outputs: OwnedFd,
    /// How the workload's process ended.
    pub exit: Exit,
    /// Why.
    pub cause: Cause,
    /// Bytes it wrote to standard output.
    pub stdout_bytes: u64,
    /// Bytes it wrote to standard error.
    pub stderr_bytes: u64,
    elapsed: Duration,
    memory_peak: Option<u64>,
    pids_refused: u64,
    scratch: Option<ScratchReport>,
}

/// Bytes read from a stream at once.
const CHUNK: usize = 64 * 1024;

impl Running {
    pub(crate) fn new(parts: Parts, outputs: OwnedFd, stdout: OwnedFd, stderr: OwnedFd) -> Self {
        Self { parts, outputs, stdout, stderr, started: Instant::now() }
    }

    /// Carries the streams until the workload has ended, and kills what is left of the sandbox.
    ///
    /// # Errors
    /// When the host's own calls fail; the sandbox is killed then.
    pub fn wait(mut self, io: &mut Io<'_>) -> Result<Ended, IsolateError> {
        let deadline = self.started + self.parts.limits.wall();
        let memory_limit = self.parts.limits.memory().bytes();
        let mut state = Carried { stdout_open: true, stderr_open: true, stdout_bytes: 0, stderr_bytes: 0 };
        let mut buffer = vec![0u8; CHUNK];
        let mut ended: Option<(Exit, Cause)> = None;
        let mut watched_peak = 0;
        while ended.is_none() {
            let now = Instant::now();
            if now >= deadline {
                ended = Some((Exit::Signal(9), Cause::WallLimit));
                break;
            }
            let mut pause = deadline - now;
            if self.parts.memory_watched {
                pause = pause.min(Duration::from_millis(watch::INTERVAL_MS));
            }
            let ready = self.poll(&state, io.cancel, pause)?;
            if ready.stdout {
                state.carry_stdout(&self.stdout, &mut buffer, io.stdout)?;
            }
            if ready.stderr {
                state.carry_stderr(&self.stderr, &mut buffer, io.stderr)?;
            }
            if ready.cancel {
                ended = Some((Exit::Signal(9), Cause::Cancelled));
            } else if ready.control {
                ended = Some(self.hear()?);
            } else if ready.scratch {
                ended = Some((Exit::Signal(9), Cause::ScratchLost));
            } else if self.parts.memory_watched {
                let resident = watch::resident_bytes(self.parts.live.pid);
                watched_peak = watched_peak.max(resident);
                if resident > memory_limit {
                    ended = Some((Exit::Signal(9), Cause::MemoryLimit));
                }
            }
        }
        let (exit, mut cause) = ended.unwrap_or((Exit::Signal(9), Cause::WallLimit));
        self.parts.live.kill();
        // What is under way in scratch ends with its server, and nothing of it need be written any more.
        if let Some(server) = &self.parts.scratch.server {
            server.tell_to_end();
        }
        self.parts.live.kill_all()?;
        // Every writer is dead: what is still in the pipes is all there will be.
        while state.stdout_open {
            state.carry_stdout(&self.stdout, &mut buffer, io.stdout)?;
        }
        while state.stderr_open {
            state.carry_stderr(&self.stderr, &mut buffer, io.stderr)?;
        }
        let group = self.parts.group.as_ref();
        if cause == Cause::Itself && exit != Exit::Code(0) && group.is_some_and(|group| group.memory_was_exhausted()) {
            cause = Cause::MemoryLimit;
        }
        let memory_peak = group.and_then(|group| group.memory_peak()).or((watched_peak > 0).then_some(watched_peak));
        let pids_refused = group.map_or(0, |group| group.pids_refused());
        Ok(Ended {
            exit,
            cause,
            stdout_bytes: state.stdout_bytes,
            stderr_bytes: state.stderr_bytes,
            elapsed: self.started.elapsed(),
            memory_peak,
            pids_refused,
            scratch: self.parts.scratch.server.take().map(Server::finish),
            parts: self.parts,
            outputs: self.outputs,
        })
    }

    fn poll(&self, state: &Carried, cancel: Option<BorrowedFd<'_>>, pause: Duration) -> Result<Ready, IsolateError> {
        let control = self.parts.live.control.as_fd();
        let open = |is_open: bool| if is_open { PollFlags::IN } else { PollFlags::empty() };
        let scratch = self.parts.scratch.server.as_ref().map(Server::control);
        // A descriptor that need not be looked at is replaced by the control socket without events.
        let stdout = if state.stdout_open { self.stdout.as_fd() } else { control };
        let stderr = if state.stderr_open { self.stderr.as_fd() } else { control };
        let mut fds = [
            PollFd::from_borrowed_fd(control, PollFlags::IN),
            PollFd::from_borrowed_fd(stdout, open(state.stdout_open)),
            PollFd::from_borrowed_fd(stderr, open(state.stderr_open)),
            PollFd::from_borrowed_fd(cancel.unwrap_or(control), open(cancel.is_some())),
            PollFd::from_borrowed_fd(scratch.unwrap_or(control), open(scratch.is_some())),
        ];
        let timeout = Timespec {
            tv_sec: i64::try_from(pause.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: pause.subsec_nanos().into(),
        };
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(IsolateError::Host { what: "waiting for the workload", source: error.into() }),
        }
        let [control, stdout, stderr, cancelled, lost] = fds.map(|fd| !fd.revents().is_empty());
        Ok(Ready {
            control,
            stdout: stdout && state.stdout_open,
            stderr: stderr && state.stderr_open,
            cancel: cancelled && cancel.is_some(),
            scratch: lost && scratch.is_some(),
        })
    }

    fn hear(&self) -> Result<(Exit, Cause), IsolateError> {
        match self.parts.live.control.receive() {
            Ok(received) => match received.message {
                Message::Ended { status } => Ok((exit_of(status), Cause::Itself)),
                Message::NotExecuted { errno } => Ok((
                    Exit::Code(if errno == 2 { 127 } else { 126 }),
                    Cause::NotExecuted(i32::try_from(errno).unwrap_or(0)),
                )),
                message => Err(self.parts.names.error(message)),
            },
            // The first process died without a word: killed, by the kernel for want of memory or from outside.
            Err(_) => Ok((Exit::Signal(9), Cause::Itself)),
        }
    }
}

struct Ready {
    control: bool,
    stdout: bool,
    stderr: bool,
    cancel: bool,
    scratch: bool,
}

struct Carried {
    stdout_open: bool,
    stderr_open: bool,
    stdout_bytes: u64,
    stderr_bytes: u64,
}

impl Carried {
    fn carry_stdout(
        &mut self,
        from: &OwnedFd,
        buffer: &mut [u8],
        to: &mut dyn FnMut(&[u8]),
    ) -> Result<(), IsolateError> {
        let count = carry(from, buffer, to)?;
        self.stdout_open = count > 0;
        self.stdout_bytes += count;
        Ok(())
    }

    fn carry_stderr(
        &mut self,
        from: &OwnedFd,
        buffer: &mut [u8],
        to: &mut dyn FnMut(&[u8]),
    ) -> Result<(), IsolateError> {
        let count = carry(from, buffer, to)?;
        self.stderr_open = count > 0;
        self.stderr_bytes += count;
        Ok(())
    }
}

fn carry(from: &OwnedFd, buffer: &mut [u8], to: &mut dyn FnMut(&[u8])) -> Result<u64, IsolateError> {
    loop {
        match rustix::io::read(from, &mut *buffer) {
            Ok(count) => {
                to(buffer.get(..count).unwrap_or_default());
                return Ok(count as u64);
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(IsolateError::Host { what: "reading a stream", source: error.into() }),
        }
    }
}

/// A raw wait status (wait(2)): the low seven bits are a signal, else the next byte is the status.
fn exit_of(status: i64) -> Exit {
    match status & 0x7f {
        0 => Exit::Code(((status >> 8) & 0xff) as u8),
        signal => Exit::Signal(signal as u8),
    }
}

impl Ended {
    /// The output folder. Every process that could change it is dead.
    pub fn outputs(&self) -> BorrowedFd<'_> {
        self.outputs.as_fd()
    }

    /// The limits, how they were enforced, and how much was used.
    pub fn limits(&self) -> Vec<LimitRecord> {
        let limits = &self.parts.limits;
        let record = |name: &str, wall: Wall, limit: String, used: Option<String>, reached: bool| LimitRecord {
            name: name.to_owned(),
            limit,
            used,
            enforcement: match self.parts.host.limit(wall) {
                Enforcement::Full => "full".to_owned(),
                Enforcement::Partial { missing } => format!("partial: {missing}"),
                Enforcement::Absent { why } => format!("absent: {why}"),
            },
            reached,
        };
        let size = |bytes: u64| hotcell_types::ByteSize(bytes).to_string();
        vec![
            record(
                "memory",
                Wall::MemoryLimit,
                limits.memory().to_string(),
                self.memory_peak.map(size),
                self.cause == Cause::MemoryLimit,
            ),
            record("pids", Wall::PidsLimit, limits.pids().to_string(), None, self.pids_refused > 0),
            record("cpu", Wall::CpuLimit, format!("{} processors", limits.cpu_millis() as f64 / 1000.0), None, false),
            record(
                "wall",
                Wall::WallLimit,
                format!("{:?}", limits.wall()),
                Some(format!("{:?}", self.elapsed)),
                self.cause == Cause::WallLimit,
            ),
            record(
                "scratch",
                Wall::StorageLimit,
                format!("{}, {}{}", limits.scratch(), self.parts.scratch.kind.label(), self.names_caveat()),
                self.scratch.map(|report| size(report.peak_bytes)),
                false,
            ),
        ]
    }

    fn names_caveat(&self) -> &'static str {
        match self.scratch {
            Some(report) if report.names_swappable => ", names of files not kept out of the host's swap",
            _ => "",
        }
    }

    /// Where scratch lived.
    pub fn scratch_kind(&self) -> ScratchKind {
        self.parts.scratch.kind
    }

    /// What the server of an encrypted scratch told at its end.
    pub fn scratch_report(&self) -> Option<ScratchReport> {
        self.scratch
    }

    /// Removes what is left: the control groups, the output and scratch memory, the id.
    ///
    /// # Errors
    /// When a control group stays; the next start removes it.
    pub fn destroy(self) -> Result<Vec<Destroyed>, IsolateError> {
        let Parts { group, outer, copied, .. } = self.parts;
        let mut destroyed = vec![
            Destroyed { what: "processes".into(), how: "killed with the process namespace and reaped".into() },
            Destroyed { what: "mounts".into(), how: "gone with the mount namespace".into() },
            Destroyed { what: "scratch".into(), how: how_scratch_ended(self.scratch).into() },
        ];
        drop(self.outputs);
        destroyed.push(Destroyed { what: "output".into(), how: "memory freed, not key-wiped".into() });
        if copied {
            let how = "gone with the last mount of them; memory freed, not key-wiped".to_owned();
            destroyed.push(Destroyed { what: "copies of inputs".into(), how });
        }
        if let Some(group) = group {
            group.remove().map_err(|source| IsolateError::Host { what: "removing the control group", source })?;
            destroyed.push(Destroyed { what: "control groups".into(), how: "removed".into() });
        }
        if outer.is_some() {
            destroyed.push(Destroyed { what: "user id outside".into(), how: "given back".into() });
        }
        Ok(destroyed)
    }
}

fn how_scratch_ended(report: Option<ScratchReport>) -> &'static str {
    match report {
        None => "memory freed, not key-wiped",
        Some(ScratchReport { wiped: true, .. }) => "key wiped, encrypted file freed",
        Some(_) => "server killed, its key gone with its memory, encrypted file freed",
    }
}

impl Live {
    /// Kills the first process, with which the kernel kills all others.
    fn kill(&self) {
        // Where it is gone there is nothing to kill.
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
    }

    /// Kills the first process, with which the kernel kills all others, and waits until it is gone.
    pub(crate) fn kill_all(&self) -> Result<(), IsolateError> {
        self.kill();
        loop {
            match waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED) {
                Ok(_) | Err(rustix::io::Errno::CHILD) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(IsolateError::Host { what: "reaping the sandbox", source: error.into() }),
            }
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ = self.kill_all();
    }
}
