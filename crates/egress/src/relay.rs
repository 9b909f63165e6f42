//! Bytes that pass unopened, both ways at once.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::count::Counts;

/// Bytes that are under way in one direction: all the memory that a connection takes.
const BUFFER: usize = 32 << 10;

/// Bytes on their way from one end to the other.
struct Way {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// The source has ended.
    ended: bool,
    /// The target has been told.
    told: bool,
}

impl Way {
    fn new() -> Self {
        Self { buffer: vec![0; BUFFER], start: 0, end: 0, ended: false, told: false }
    }

    fn wants_to_read(&self) -> bool {
        !self.ended && self.start == self.end
    }

    fn wants_to_write(&self) -> bool {
        self.start < self.end
    }

    /// Reads what there is, and counts it.
    fn fill(&mut self, mut from: &TcpStream, count_it: impl FnOnce(usize)) -> io::Result<()> {
        match from.read(&mut self.buffer) {
            Ok(0) => self.ended = true,
            Ok(count) => {
                (self.start, self.end) = (0, count);
                count_it(count);
            }
            Err(error) if is_nothing(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Writes what can be taken, and tells the end once all is written.
    fn drain(&mut self, mut to: &TcpStream) -> io::Result<()> {
        if let Some(bytes) = self.buffer.get(self.start..self.end).filter(|bytes| !bytes.is_empty()) {
            match to.write(bytes) {
                Ok(count) => self.start += count,
                Err(error) if is_nothing(&error) => {}
                Err(error) => return Err(error),
            }
        }
        if self.ended && !self.told && self.start == self.end {
            self.told = true;
            to.shutdown(Shutdown::Write)?;
        }
        Ok(())
    }
}

fn is_nothing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// Carries bytes both ways until both ends have ended, one fails, or nothing moved for as long as `idle`.
pub(crate) fn carry(inside: &TcpStream, outside: &TcpStream, idle: Duration, counts: &Counts) {
    // However it ends, it has ended.
    let _ = try_to_carry(inside, outside, idle, counts);
}

fn try_to_carry(inside: &TcpStream, outside: &TcpStream, idle: Duration, counts: &Counts) -> io::Result<()> {
    let (mut out, mut back) = (Way::new(), Way::new());
    for socket in [inside, outside] {
        // By `fcntl`: the library would ask for the right to `ioctl`.
        rustix::fs::fcntl_setfl(socket, rustix::fs::fcntl_getfl(socket)? | rustix::fs::OFlags::NONBLOCK)?;
    }
    let timeout =
        Timespec { tv_sec: i64::try_from(idle.as_secs()).unwrap_or(i64::MAX), tv_nsec: idle.subsec_nanos().into() };
    while !(out.told && back.told) {
        let flags = |reads: bool, writes: bool| {
            let none = PollFlags::empty();
            (if reads { PollFlags::IN } else { none }) | (if writes { PollFlags::OUT } else { none })
        };
        let wanted = [
            (inside, flags(out.wants_to_read(), back.wants_to_write())),
            (outside, flags(back.wants_to_read(), out.wants_to_write())),
        ];
        // An end of which nothing is wanted would report its hang-up again and again.
        let mut fds: Vec<_> = wanted
            .iter()
            .filter(|(_, flags)| !flags.is_empty())
            .map(|(socket, flags)| PollFd::from_borrowed_fd(socket.as_fd(), *flags))
            .collect();
        match poll(&mut fds, Some(&timeout)) {
            Err(rustix::io::Errno::INTR) => continue,
            ready if ready? == 0 => return Err(ErrorKind::TimedOut.into()),
            _ => {}
        }
        if out.wants_to_read() {
            out.fill(inside, |bytes| counts.goes_out(bytes))?;
        }
        out.drain(outside)?;
        if back.wants_to_read() {
            back.fill(outside, |bytes| counts.comes_in(bytes))?;
        }
        back.drain(inside)?;
    }
    Ok(())
}
