//! Reads a source from front to back. Nothing it gives is longer than what is there.

use super::refusal::{Bad, Why};
use super::source::Source;

#[derive(Debug)]
pub(crate) struct Cursor<'a> {
    source: &'a Source,
    at: u64,
    window: Vec<u8>,
    window_start: u64,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(source: &'a Source) -> Self {
        Self { source, at: 0, window: Vec::new(), window_start: 0 }
    }

    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    pub(crate) fn rest(&self) -> u64 {
        self.source.len().saturating_sub(self.at)
    }

    pub(crate) fn source(&self) -> &'a Source {
        self.source
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Bad> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Bad> {
        let mut bytes = [0; N];
        let window = self.window(N)?;
        bytes.copy_from_slice(window.get(..N).unwrap_or(&[0; N]));
        self.at += N as u64;
        Ok(bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Bad> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Bad> {
        self.array().map(u64::from_le_bytes)
    }

    /// So many bytes, of which at most `most` may be held.
    pub(crate) fn take(&mut self, length: u64, most: u64) -> Result<Vec<u8>, Bad> {
        if length > self.rest() {
            return Err(self.short(length));
        }
        if length > most {
            let reason = format!("a text of {length} bytes where at most {most} are looked at");
            return Err(Bad::new(Why::TooLarge, reason).at(self.at));
        }
        let bytes = self.source.bytes(self.at, usize::try_from(length).unwrap_or(usize::MAX))?;
        self.at += length;
        Ok(bytes)
    }

    /// Passes over so many bytes, which have to be there.
    pub(crate) fn skip(&mut self, length: u64) -> Result<(), Bad> {
        if length > self.rest() {
            return Err(self.short(length));
        }
        self.at += length;
        Ok(())
    }

    /// The bytes up to a line's end, which is passed over.
    pub(crate) fn line(&mut self, most: usize) -> Result<Vec<u8>, Bad> {
        let mut line = Vec::new();
        loop {
            match self.byte()? {
                b'\n' => return Ok(line),
                byte if line.len() < most => line.push(byte),
                _ => return Err(Bad::new(Why::TooLarge, "a line is longer than is looked at").at(self.at)),
            }
        }
    }

    fn short(&self, length: u64) -> Bad {
        Bad::malformed(format!("it says that {length} bytes follow, and {} do", self.rest())).at(self.at)
    }

    /// At least so many bytes from here on.
    fn window(&mut self, needed: usize) -> Result<&[u8], Bad> {
        if self.rest() < needed as u64 {
            return Err(Bad::malformed("it ends in the middle").at(self.at));
        }
        let end = self.window_start + self.window.len() as u64;
        if self.at < self.window_start || self.at + needed as u64 > end {
            self.window = self.source.bytes(self.at, WINDOW.max(needed))?;
            self.window_start = self.at;
        }
        let from = usize::try_from(self.at - self.window_start).unwrap_or(usize::MAX);
        self.window.get(from..).ok_or_else(|| Bad::malformed("it ends in the middle").at(self.at))
    }
}

/// Read at once.
const WINDOW: usize = 64 * 1024;
