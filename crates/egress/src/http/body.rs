//! Bodies: copied piece by piece, in constant memory.

use std::io;

use super::Stream;
use super::peer::{Fault, Peer};
use crate::inspection::Reason;

/// How the end of a body is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is none.
    Nothing,
    /// By its length.
    Length(u64),
    /// By chunks.
    Chunked,
    /// By the end of the connection; answers only.
    UntilEnd,
}

/// What was copied.
pub(super) struct Copied {
    /// Bytes of the body.
    pub(super) bytes: u64,
    /// Whether all of it.
    pub(super) result: Result<(), Fault>,
}

/// Most lines behind the last chunk.
const MAX_TRAILERS: usize = 32;

/// What looks at a body on its way.
pub(super) trait Look {
    /// Looks at what is about to be written, or says why it may not be.
    fn look(&mut self, bytes: &[u8]) -> Result<(), Reason>;

    /// How many bytes it wants to see at once; fewer wait for more, or for the end of the body.
    fn patience(&self) -> usize {
        0
    }
}

/// Most bytes that wait to be looked at together, beside the piece that came last.
const MAX_HELD: usize = 32 << 10;

/// The way of a body: what waits to be looked at, and where it goes then.
struct Way<'w, B> {
    to: &'w mut Peer<B>,
    look: &'w mut dyn Look,
    chunked: bool,
    held: Vec<u8>,
    written: u64,
}

impl<B: Stream> Way<'_, B> {
    fn take(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let patience = self.look.patience().min(MAX_HELD);
        if self.held.is_empty() && bytes.len() >= patience {
            return self.write(bytes);
        }
        self.held.extend_from_slice(bytes);
        match self.held.len() >= patience {
            true => self.let_go(),
            false => Ok(()),
        }
    }

    /// Has what waits looked at and written.
    fn let_go(&mut self) -> Result<(), Fault> {
        let held = std::mem::take(&mut self.held);
        match held.is_empty() {
            true => Ok(()),
            false => self.write(&held),
        }
    }

    /// INVARIANT (looked-at-before-it-leaves): the only place that writes bytes of a body.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.look.look(bytes).map_err(Fault::Refused)?;
        let written = match self.chunked {
            true => self.to.write(&[format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()),
            false => self.to.write(bytes),
        };
        written.map_err(Fault::Target)?;
        self.written += bytes.len() as u64;
        Ok(())
    }
}

/// Copies a body; each piece is looked at before it is written.
pub(super) fn copy<A: Stream, B: Stream>(
    from: &mut Peer<A>,
    to: &mut Peer<B>,
    framing: Framing,
    look: &mut dyn Look,
) -> Copied {
    let mut way = Way { to, look, chunked: framing == Framing::Chunked, held: Vec::new(), written: 0 };
    let result = match framing {
        Framing::Nothing => Ok(()),
        Framing::Length(length) => piece(from, &mut way, length),
        Framing::Chunked => chunks(from, &mut way),
        Framing::UntilEnd => until_end(from, &mut way),
    };
    let result = result.and_then(|()| way.let_go());
    let result = match (framing, result) {
        (Framing::Chunked, Ok(())) => way.to.write(b"0\r\n\r\n").map_err(Fault::Target),
        (_, result) => result,
    };
    Copied { bytes: way.written, result }
}

/// So many bytes.
fn piece<A: Stream, B: Stream>(from: &mut Peer<A>, way: &mut Way<'_, B>, mut left: u64) -> Result<(), Fault> {
    while left > 0 {
        let bytes = from.some(left)?;
        if bytes.is_empty() {
            return Err(Fault::Source(io::ErrorKind::UnexpectedEof.into()));
        }
        left -= bytes.len() as u64;
        way.take(bytes)?;
    }
    Ok(())
}

fn chunks<A: Stream, B: Stream>(from: &mut Peer<A>, way: &mut Way<'_, B>) -> Result<(), Fault> {
    loop {
        let size = size(&from.line()?)?;
        if size == 0 {
            break;
        }
        piece(from, way, size)?;
        if !from.line()?.is_empty() {
            return Err(Fault::Malformed("a chunk of its body does not end where it says"));
        }
    }
    // What stands behind the last chunk is let go: nothing in it may change what the head said.
    for _ in 0..MAX_TRAILERS {
        if from.line()?.is_empty() {
            return Ok(());
        }
    }
    Err(Fault::Malformed("more than 32 lines stand behind its last chunk"))
}

/// The size of a chunk: hexadecimal digits, and nothing else.
fn size(line: &[u8]) -> Result<u64, Fault> {
    const MAX_DIGITS: usize = 15;
    let text = std::str::from_utf8(line)
        .ok()
        .filter(|text| (1..=MAX_DIGITS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let wrong = Fault::Malformed("the size of a chunk is not a plain hexadecimal number");
    text.and_then(|text| u64::from_str_radix(text, 16).ok()).ok_or(wrong)
}

fn until_end<A: Stream, B: Stream>(from: &mut Peer<A>, way: &mut Way<'_, B>) -> Result<(), Fault> {
    loop {
        let bytes = from.some(u64::MAX)?;
        if bytes.is_empty() {
            return Ok(());
        }
        way.take(bytes)?;
    }
}
