//! One end of an exchange: its stream, and what was read of it and not used yet.

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use super::Stream;
use crate::inspection::Reason;

/// Longest head of a request or answer, and all that is kept of a body.
pub(super) const BUFFER: usize = 32 << 10;
/// Longest line within a chunked body: a size, or a trailer.
const MAX_LINE: usize = 4 << 10;

/// Why something was not carried to its end.
#[derive(Debug)]
pub(super) enum Fault {
    /// It could be read in two ways, or in none.
    Malformed(&'static str),
    /// Where it came from ended or failed.
    Source(io::Error),
    /// Where it went ended or failed.
    Target(io::Error),
    /// It may not pass.
    Refused(Reason),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(why) => f.write_str(why),
            Self::Source(error) | Self::Target(error) => error.fmt(f),
            Self::Refused(why) => f.write_str(&why.what),
        }
    }
}

/// One end.
pub(super) struct Peer<S> {
    stream: S,
    /// How long a head may take from its first byte to its last.
    head_time: Duration,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl<S: Stream> Peer<S> {
    pub(super) fn new(stream: S, head_time: Duration) -> Self {
        Self { stream, head_time, buffer: vec![0; BUFFER], start: 0, end: 0 }
    }

    /// What was read and not used yet.
    fn unused(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Reads more; 0 at the end.
    fn fill(&mut self) -> io::Result<usize> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        loop {
            match self.stream.read(self.buffer.get_mut(self.end..).unwrap_or_default()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Ended without saying so by TLS: whether something is missing, its length tells.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                read => {
                    let count = read?;
                    self.end += count;
                    return Ok(count);
                }
            }
        }
    }

    /// A head, with the empty line at its end; none where the peer ended in order.
    pub(super) fn head(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        const END: &[u8] = b"\r\n\r\n";
        let mut searched = 0usize;
        let mut begun = None;
        loop {
            let unused = self.unused();
            let from = searched.saturating_sub(END.len() - 1);
            let place = unused.get(from..).and_then(|bytes| bytes.windows(END.len()).position(|window| window == END));
            if let Some(place) = place {
                let length = from + place + END.len();
                let head = unused.get(..length).unwrap_or_default().to_vec();
                self.start += length;
                return Ok(Some(head));
            }
            // A client that ends its lines otherwise would wait for ever.
            if unused.windows(2).any(|pair| pair == b"\n\n") || unused.starts_with(b"\n") {
                return Err(Fault::Malformed("its head has lines that do not end in CR LF"));
            }
            searched = unused.len();
            // Time begins with the first byte: between two requests a connection may wait.
            if searched > 0 && begun.get_or_insert_with(Instant::now).elapsed() >= self.head_time {
                return Err(Fault::Malformed("its head did not come whole within its time"));
            }
            if searched >= BUFFER {
                return Err(Fault::Malformed("its head is longer than 32 KiB"));
            }
            match self.fill() {
                Ok(0) if searched == 0 => return Ok(None),
                Ok(0) => return Err(Fault::Source(io::ErrorKind::UnexpectedEof.into())),
                Ok(_) => {}
                Err(error) => return Err(Fault::Source(error)),
            }
        }
    }

    /// One line of a chunked body, without its end.
    pub(super) fn line(&mut self) -> Result<Vec<u8>, Fault> {
        loop {
            let unused = self.unused();
            if let Some(place) = unused.iter().position(|byte| *byte == b'\n') {
                let line = unused.get(..place).unwrap_or_default();
                let Some(line) = line.strip_suffix(b"\r").filter(|line| !line.contains(&b'\r')) else {
                    return Err(Fault::Malformed("a line of its body does not end in CR LF"));
                };
                let line = line.to_vec();
                self.start += place + 1;
                return Ok(line);
            }
            if unused.len() > MAX_LINE {
                return Err(Fault::Malformed("a line of its body is longer than 4 KiB"));
            }
            self.need_more()?;
        }
    }

    fn need_more(&mut self) -> Result<(), Fault> {
        match self.fill() {
            Ok(0) => Err(Fault::Source(io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => Ok(()),
            Err(error) => Err(Fault::Source(error)),
        }
    }

    /// Some bytes, at most so many; none at the end.
    pub(super) fn some(&mut self, most: u64) -> Result<&[u8], Fault> {
        if self.start == self.end {
            self.fill().map_err(Fault::Source)?;
        }
        let count = self.unused().len().min(usize::try_from(most).unwrap_or(usize::MAX));
        let from = self.start;
        self.start += count;
        Ok(self.buffer.get(from..from + count).unwrap_or_default())
    }

    /// Writes all of it, and lets it go at once.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }
}
