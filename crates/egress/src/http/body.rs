//! Bodies: copied piece by piece, in constant memory.

use std::io;

use super::Stream;
use super::peer::{Fault, Peer};

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

/// Copies a body; each piece is looked at before it is written.
pub(super) fn copy<A: Stream, B: Stream>(
    from: &mut Peer<A>,
    to: &mut Peer<B>,
    framing: Framing,
    look: &mut dyn FnMut(&[u8]) -> Result<(), String>,
) -> Copied {
    let mut bytes = 0;
    let result = match framing {
        Framing::Nothing => Ok(()),
        Framing::Length(length) => piece(from, to, length, look, &mut bytes, false),
        Framing::Chunked => chunks(from, to, look, &mut bytes),
        Framing::UntilEnd => until_end(from, to, look, &mut bytes),
    };
    Copied { bytes, result }
}

/// So many bytes; as chunks where they are `chunked`.
fn piece<A: Stream, B: Stream>(
    from: &mut Peer<A>,
    to: &mut Peer<B>,
    mut left: u64,
    look: &mut dyn FnMut(&[u8]) -> Result<(), String>,
    count: &mut u64,
    chunked: bool,
) -> Result<(), Fault> {
    while left > 0 {
        let bytes = from.some(left)?;
        if bytes.is_empty() {
            return Err(Fault::Source(io::ErrorKind::UnexpectedEof.into()));
        }
        look(bytes).map_err(Fault::Refused)?;
        let written = match chunked {
            true => to.write(&[format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()),
            false => to.write(bytes),
        };
        written.map_err(Fault::Target)?;
        left -= bytes.len() as u64;
        *count += bytes.len() as u64;
    }
    Ok(())
}

fn chunks<A: Stream, B: Stream>(
    from: &mut Peer<A>,
    to: &mut Peer<B>,
    look: &mut dyn FnMut(&[u8]) -> Result<(), String>,
    count: &mut u64,
) -> Result<(), Fault> {
    loop {
        let size = size(&from.line()?)?;
        if size == 0 {
            break;
        }
        piece(from, to, size, look, count, true)?;
        if !from.line()?.is_empty() {
            return Err(Fault::Malformed("a chunk of its body does not end where it says"));
        }
    }
    // What stands behind the last chunk is let go: nothing in it may change what the head said.
    for _ in 0..MAX_TRAILERS {
        if from.line()?.is_empty() {
            return to.write(b"0\r\n\r\n").map_err(Fault::Target);
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

fn until_end<A: Stream, B: Stream>(
    from: &mut Peer<A>,
    to: &mut Peer<B>,
    look: &mut dyn FnMut(&[u8]) -> Result<(), String>,
    count: &mut u64,
) -> Result<(), Fault> {
    loop {
        let bytes = from.some(u64::MAX)?;
        if bytes.is_empty() {
            return Ok(());
        }
        look(bytes).map_err(Fault::Refused)?;
        to.write(bytes).map_err(Fault::Target)?;
        *count += bytes.len() as u64;
    }
}
