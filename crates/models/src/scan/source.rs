//! Bytes of a file, or of a part of one, read where they lie.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::refusal::{Bad, Why};

/// A stretch of a file or of memory. Copies share it.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    inner: Arc<Inner>,
    start: u64,
    length: u64,
}

#[derive(Debug)]
enum Inner {
    File(File),
    Memory(Vec<u8>),
}

impl Source {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        Ok(Self { inner: Arc::new(Inner::File(file)), start: 0, length })
    }

    pub(crate) fn memory(bytes: Vec<u8>) -> Self {
        let length = bytes.len() as u64;
        Self { inner: Arc::new(Inner::Memory(bytes)), start: 0, length }
    }

    pub(crate) fn len(&self) -> u64 {
        self.length
    }

    /// A part of it; what lies beyond its end is an error.
    pub(crate) fn part(&self, offset: u64, length: u64) -> Result<Self, Bad> {
        match offset.checked_add(length).filter(|end| *end <= self.length) {
            Some(_) => Ok(Self { inner: Arc::clone(&self.inner), start: self.start + offset, length }),
            None => Err(Bad::malformed("it ends before what its own lengths say").at(offset)),
        }
    }

    /// Fills as much of `into` as there is from `offset` on.
    pub(crate) fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<usize, Bad> {
        let there = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX).min(into.len());
        let Some(into) = into.get_mut(..there) else { return Ok(0) };
        let start = self.start + offset;
        match &*self.inner {
            Inner::Memory(bytes) => {
                let start = usize::try_from(start).unwrap_or(usize::MAX);
                let from = bytes.get(start..).and_then(|rest| rest.get(..there)).unwrap_or_default();
                into.get_mut(..from.len()).unwrap_or_default().copy_from_slice(from);
                Ok(from.len())
            }
            Inner::File(file) => {
                file.read_exact_at(into, start)
                    .map_err(|error| Bad::malformed(format!("it cannot be read: {error}")).at(offset))?;
                Ok(there)
            }
        }
    }

    /// Its first bytes, at most so many.
    pub(crate) fn head(&self, most: usize) -> Result<Vec<u8>, Bad> {
        self.bytes(0, most)
    }

    /// Its last bytes, at most so many.
    pub(crate) fn tail(&self, most: usize) -> Result<Vec<u8>, Bad> {
        self.bytes(self.length.saturating_sub(most as u64), most)
    }

    /// Bytes from a place on, fewer where it ends.
    pub(crate) fn bytes(&self, offset: u64, most: usize) -> Result<Vec<u8>, Bad> {
        // Never more than there is: a length in the file cannot ask for memory.
        let there = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX).min(most);
        let mut bytes = vec![0; there];
        let read = self.read_at(offset, &mut bytes)?;
        bytes.truncate(read);
        Ok(bytes)
    }

    /// All of it, of what is small enough to be held.
    pub(crate) fn whole(&self, most: u64) -> Result<Vec<u8>, Bad> {
        if self.length > most {
            let reason = format!("it has {} bytes, and at most {most} of its kind are looked at", self.length);
            return Err(Bad::new(Why::TooLarge, reason));
        }
        self.bytes(0, usize::try_from(most).unwrap_or(usize::MAX))
    }
}
