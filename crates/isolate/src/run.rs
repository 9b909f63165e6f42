//! A running workload: its streams, its limits, its end, and the removal of everything.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use hotcell_launcher::message::Message;
use hotcell_types::{Destroyed, LimitRecord};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};

use crate::error::IsolateError;
use crate::refusals::{Listener, RefusedCall};
use crate::sandbox::{Live, Parts, Writable};
use crate::scratch::{ScratchKind, ScratchReport, Server};
use crate::streams::{Carried, Streams};
use crate::usage::Usage;
use crate::watch;

/// Where the workload's output goes, and what can end it early.
pub struct Io<'a> {
    /// Takes what the workload writes to standard output.
    pub stdout: &'a mut dyn FnMut(&[u8]),
    /// Takes what it writes to standard error.
    pub stderr: &'a mut dyn FnMut(&[u8]),
    /// Where these two pass it on to: nothing is read from a stream while its place cannot be written to, so that
    /// a reader that pauses holds up the workload, and neither its limits nor its cancellation.
    pub onwards: [Option<BorrowedFd<'a>>; 2],
    /// Becomes readable when the task is cancelled.
    pub cancel: Option<BorrowedFd<'a>>,
}

/// Something beside the workload that may end it.
pub struct Withdrawal<'a> {
    /// Becomes readable when it is time to ask.
    pub happened: BorrowedFd<'a>,
    /// Answers what it is asked.
    pub ask: &'a mut dyn FnMut(Ask) -> bool,
}

/// What is asked of a withdrawal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// Whether something happened at all. The workload goes on meanwhile.
    Happened,
    /// Whether it has to end for it; then that is noted. The workload stands still meanwhile where a control group lets
    /// it be frozen.
    Ends,
}

/// Something that is looked after while the workload runs.
pub struct Beside<'a> {
    /// Becomes readable when there is something to do.
    pub happened: BorrowedFd<'a>,
    /// Does it; whether there may be more.
    pub attend: &'a mut dyn FnMut() -> bool,
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
    /// Policy allows it no longer.
    Withdrawn,
    /// It could not be executed: the error number.
    NotExecuted(i32),
}

/// A workload that runs.
#[derive(Debug)]
pub struct Running {
    parts: Parts,
    writable: Writable,
    streams: Streams,
    refusals: Option<Listener>,
    started: Instant,
}

/// A sandbox in which every process is dead.
#[derive(Debug)]
pub struct Ended {
    parts: Parts,
    writable: Writable,
    /// How the workload's process ended.
    pub exit: Exit,
    /// Why.
    pub cause: Cause,
    /// Bytes it wrote to standard output.
    pub stdout_bytes: u64,
    /// Bytes it wrote to standard error.
    pub stderr_bytes: u64,
    usage: Usage,
    scratch: Option<ScratchReport>,
    refused_calls: Vec<RefusedCall>,
}

impl Running {
    pub(crate) fn new(parts: Parts, writable: Writable, streams: Streams, refusals: Option<Listener>) -> Self {
        Self { parts, writable, streams, refusals, started: Instant::now() }
    }

    /// Carries the streams until the workload has ended, and kills what is left of the sandbox.
    ///
    /// # Errors
    /// When the host's own calls fail; the sandbox is killed then.
    pub fn wait(self, io: &mut Io<'_>) -> Result<Ended, IsolateError> {
        self.wait_unless_withdrawn(io, None)
    }

    /// As [`Running::wait`], and ends the workload where the withdrawal says so.
    ///
    /// # Errors
    /// When the host's own calls fail; the sandbox is killed then.
    pub fn wait_unless_withdrawn(
        self,
        io: &mut Io<'_>,
        withdrawal: Option<Withdrawal<'_>>,
    ) -> Result<Ended, IsolateError> {
        self.wait_beside(io, withdrawal, None)
    }

    /// As [`Running::wait_unless_withdrawn`], and looks after something else meanwhile.
    ///
    /// # Errors
    /// When the host's own calls fail; the sandbox is killed then.
    pub fn wait_beside(
        self,
        io: &mut Io<'_>,
        mut withdrawal: Option<Withdrawal<'_>>,
        mut beside: Option<Beside<'_>>,
    ) -> Result<Ended, IsolateError> {
        let Self { mut parts, writable, streams, refusals, started } = self;
        let deadline = started + parts.limits.wall();
        let memory_limit = parts.limits.memory().bytes();
        let (stdout, stderr, follower) = match streams {
            Streams::Pipes { stdout, stderr } => (stdout, Some(stderr), None),
            Streams::Terminal { controller, follower } => (controller, None, Some(follower)),
        };
        let [stdout_onwards, stderr_onwards] = io.onwards;
        let mut carried =
            [Carried::new(Some(stdout), io.stdout, stdout_onwards), Carried::new(stderr, io.stderr, stderr_onwards)];
        let mut pending = [false; 2];
        let mut ended: Option<(Exit, Cause)> = None;
        let mut watched_peak = 0;
        while ended.is_none() {
            let now = Instant::now();
            if now >= deadline {
                ended = Some((Exit::Signal(9), Cause::WallLimit));
                break;
            }
            let mut pause = deadline - now;
            if parts.memory_watched {
                pause = pause.min(Duration::from_millis(watch::INTERVAL_MS));
            }
            let happened = withdrawal.as_ref().map(|withdrawal| withdrawal.happened);
            let attended = beside.as_ref().map(|beside| beside.happened);
            let ready = wait_for(&parts, &carried, pending, [io.cancel, happened, attended], pause)?;
            if ready.beside && beside.as_mut().is_some_and(|beside| !(beside.attend)()) {
                beside = None;
            }
            for ((stream, is_ready), pending) in carried.iter_mut().zip(ready.streams).zip(&mut pending) {
                match is_ready {
                    true if stream.has_onwards() && !*pending => *pending = true,
                    // The other stream may have filled what both lead to.
                    true if !stream.can_pass_on() => {}
                    true => {
                        stream.carry()?;
                        *pending = false;
                    }
                    false => {}
                }
            }
            if ready.cancel {
                ended = Some((Exit::Signal(9), Cause::Cancelled));
            } else if let (true, Some(withdrawal)) = (ready.happened, &mut withdrawal)
                && (withdrawal.ask)(Ask::Happened)
                && parts.while_frozen(&mut || (withdrawal.ask)(Ask::Ends))
            {
                ended = Some((Exit::Signal(9), Cause::Withdrawn));
            } else if ready.control {
                ended = Some(hear(&parts)?);
            } else if ready.scratch {
                ended = Some((Exit::Signal(9), Cause::ScratchLost));
            } else if parts.memory_watched {
                let resident = watch::resident_bytes(parts.live.pid);
                watched_peak = watched_peak.max(resident);
                if resident > memory_limit {
                    ended = Some((Exit::Signal(9), Cause::MemoryLimit));
                }
            }
        }
        let (exit, mut cause) = ended.unwrap_or((Exit::Signal(9), Cause::WallLimit));
        parts.live.kill();
        // What is under way in scratch ends with its server, and nothing of it need be written any more.
        if let Some(server) = &parts.scratch.server {
            if let Some(group) = &parts.group {
                group.let_server_end();
            }
            server.tell_to_end();
        }
        parts.live.kill_all()?;
        // Every writer is dead: what is still on its way is all there will be.
        drop(follower);
        for stream in &mut carried {
            stream.drain(cause == Cause::Itself)?;
        }
        let group = parts.group.as_ref();
        if cause == Cause::Itself && exit != Exit::Code(0) && group.is_some_and(|group| group.memory_was_exhausted()) {
            cause = Cause::MemoryLimit;
        }
        let usage = Usage::of(&parts, &writable, started.elapsed(), (watched_peak > 0).then_some(watched_peak));
        let [stdout_bytes, stderr_bytes] = carried.map(|stream| stream.bytes);
        let scratch = parts.scratch.server.take().map(Server::finish);
        let refused_calls = refusals.map(Listener::finish).unwrap_or_default();
        Ok(Ended { exit, cause, stdout_bytes, stderr_bytes, usage, scratch, refused_calls, parts, writable })
    }
}

/// Waits until something happens, or for the time given.
fn wait_for(
    parts: &Parts,
    carried: &[Carried<'_>; 2],
    pending: [bool; 2],
    [cancel, happened, beside]: [Option<BorrowedFd<'_>>; 3],
    pause: Duration,
) -> Result<Ready, IsolateError> {
    let control = parts.live.control.as_fd();
    // A descriptor that need not be looked at is replaced by the control socket without events.
    let nothing = (control, PollFlags::empty());
    let wanted = [0, 1].map(|at| carried[at].wanted(pending[at]));
    let scratch = parts.scratch.server.as_ref().map(Server::control);
    let looked_at = [
        Some((control, PollFlags::IN)),
        wanted[0],
        wanted[1],
        cancel.map(|cancel| (cancel, PollFlags::IN)),
        scratch.map(|server| (server, PollFlags::IN)),
        happened.map(|happened| (happened, PollFlags::IN)),
        beside.map(|beside| (beside, PollFlags::IN)),
    ];
    let mut fds = looked_at.map(|wanted| {
        let (fd, events) = wanted.unwrap_or(nothing);
        PollFd::from_borrowed_fd(fd, events)
    });
    let timeout =
        Timespec { tv_sec: i64::try_from(pause.as_secs()).unwrap_or(i64::MAX), tv_nsec: pause.subsec_nanos().into() };
    match poll(&mut fds, Some(&timeout)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(IsolateError::Host { what: "waiting for the workload", source: error.into() }),
    }
    let [control, stdout, stderr, cancelled, lost, other, attended] = fds.map(|fd| !fd.revents().is_empty());
    Ok(Ready {
        control,
        streams: [stdout && wanted[0].is_some(), stderr && wanted[1].is_some()],
        cancel: cancelled && cancel.is_some(),
        scratch: lost && scratch.is_some(),
        happened: other && happened.is_some(),
        beside: attended && beside.is_some(),
    })
}

fn hear(parts: &Parts) -> Result<(Exit, Cause), IsolateError> {
    match parts.live.control.receive() {
        Ok(received) => match received.message {
            Message::Ended { status } => Ok((exit_of(status), Cause::Itself)),
            Message::NotExecuted { errno } => Ok((
                Exit::Code(if errno == 2 { 127 } else { 126 }),
                Cause::NotExecuted(i32::try_from(errno).unwrap_or(0)),
            )),
            message => Err(parts.names.error(message)),
        },
        // The first process died without a word: killed, by the kernel for want of memory or from outside.
        Err(_) => Ok((Exit::Signal(9), Cause::Itself)),
    }
}

struct Ready {
    control: bool,
    streams: [bool; 2],
    cancel: bool,
    scratch: bool,
    happened: bool,
    beside: bool,
}

impl Parts {
    /// Does something while the workload stands still, where a control group can do that. A workload that is to end is
    /// thawed as well: a frozen process of version 1 takes no signal.
    fn while_frozen(&self, act: &mut dyn FnMut() -> bool) -> bool {
        let frozen = self.group.as_ref().is_some_and(|group| group.freeze(true));
        let ends = act();
        if ends {
            self.live.kill();
        }
        if frozen && let Some(group) = &self.group {
            group.freeze(false);
        }
        ends
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
        self.writable.outputs.as_fd()
    }

    /// The limits, how they were enforced, and how much was used.
    pub fn limits(&self) -> Vec<LimitRecord> {
        self.usage.records(&self.parts, self.cause, self.scratch)
    }

    /// The calls that the filter refused, where the task asked to be told; else none.
    pub fn refused_calls(&self) -> &[RefusedCall] {
        &self.refused_calls
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
        drop(self.writable);
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
                Ok(_) => return Ok(()),
                // A child of whoever handed its shell over, or reaped by another: its descriptor tells its end.
                Err(rustix::io::Errno::CHILD) => return self.watch_the_end(),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(IsolateError::Host { what: "reaping the sandbox", source: error.into() }),
            }
        }
    }
}

impl Live {
    /// Waits until the first process is gone, and with it everything in its namespace, whoever's child it is.
    fn watch_the_end(&self) -> Result<(), IsolateError> {
        loop {
            match poll(&mut [PollFd::new(&self.pidfd, PollFlags::IN)], None) {
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => {
                    return Err(IsolateError::Host { what: "watching the sandbox's end", source: error.into() });
                }
            }
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if !self.handed_over {
            let _ = self.kill_all();
        }
    }
}
