//! What a command reads: a file or standard input, with a bar where it takes long.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use indicatif::ProgressBar;

use crate::bar;
use crate::failure::Failure;

/// A file that is read, or standard input.
pub(crate) struct Source {
    from: Box<dyn Read>,
    /// The size, of a plain file.
    bytes: Option<u64>,
    bar: Option<ProgressBar>,
}

impl Source {
    /// Opens a file, or standard input for `-`; `doing` stands before the bar.
    pub(crate) fn open(path: &Path, doing: &'static str, json: bool) -> Result<Self, Failure> {
        if path == Path::new("-") {
            return Ok(Self { from: Box::new(io::stdin().lock()), bytes: None, bar: None });
        }
        let unreadable = |source| Failure::file("read", path, source);
        let file = File::open(path).map_err(unreadable)?;
        let there = file.metadata().map_err(unreadable)?;
        if there.is_dir() {
            return Err(unreadable(io::ErrorKind::IsADirectory.into()));
        }
        let bytes = there.is_file().then_some(there.len());
        let is_long = bytes.is_some_and(|bytes| bytes > LONG_BYTES);
        let wants_bar = is_long && !json;
        let bar = wants_bar.then(|| bar::bar(bytes.unwrap_or_default(), doing, bar::BYTES)).flatten();
        Ok(Self { from: Box::new(file), bytes, bar })
    }

    /// The size, of a plain file.
    pub(crate) fn bytes(&self) -> Option<u64> {
        self.bytes
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        if let Some(bar) = &self.bar {
            bar.inc(count as u64);
        }
        Ok(count)
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// From here on a bar is worth its while.
const LONG_BYTES: u64 = 16 << 20;
