//! What a command reads: a file or standard input, with a bar where it takes long.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::Path;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

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
        let bar = (is_long && !json && io::stderr().is_terminal()).then(|| bytes_bar(bytes.unwrap_or_default(), doing));
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

/// A bar over bytes, on standard error.
pub(crate) fn bytes_bar(bytes: u64, doing: &'static str) -> ProgressBar {
    let form = "{msg} {bar:40} {percent}%  {binary_bytes}/{binary_total_bytes}  {binary_bytes_per_sec}  (still {eta})";
    let style = ProgressStyle::with_template(form).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr()).with_style(style).with_message(doing)
}

/// From here on a bar is worth its while.
const LONG_BYTES: u64 = 16 << 20;
