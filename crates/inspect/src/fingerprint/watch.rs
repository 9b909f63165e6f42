//! The small interface for bytes that pass by.

use crate::scan::{Report, Scanner, StreamScanner};

/// Holds a stream against fingerprints, through every encoding that the scanner undoes, in bounded memory.
///
/// One watch may be fed what goes to one place in several requests: then a copy that is split over them is whole.
///
/// ```
/// use std::sync::Arc;
/// use hotcell_inspect::fingerprint::{Builder, Size, Watch};
/// use hotcell_inspect::scan::Scanner;
///
/// let mut index = Builder::new(Size::Fine);
/// index.add("note", &b"The patient was seen on Tuesday for a persistent cough; she is allergic to penicillin."[..])?;
/// let scanner = Scanner::without_detectors().with_fingerprints(Arc::new(index.finish()));
/// let mut watch = Watch::new(&scanner);
/// watch.feed(b"q=seen+on+Tuesday+for+a+persi");
/// watch.feed(b"stent+cough%3B+she+is+allergic+to");
/// assert!(watch.found());
/// let report = watch.finish();
/// assert_eq!(report.prints[0].kind, "input-stretch");
/// # Ok::<(), hotcell_inspect::fingerprint::BuildError>(())
/// ```
#[derive(Debug)]
pub struct Watch<'a> {
    stream: StreamScanner<'a>,
}

/// Bytes that are looked at together: what a copy and its encoding may be spread over, several times.
const WINDOW_BYTES: usize = 1 << 20;

impl<'a> Watch<'a> {
    /// At the beginning of a stream, with a scanner that has fingerprints.
    pub fn new(scanner: &'a Scanner) -> Self {
        Self { stream: StreamScanner::with_window(scanner, WINDOW_BYTES) }
    }

    /// Takes the next piece.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.stream.push(bytes);
    }

    /// Whether something of an input was recognised so far: to be asked before a piece goes on its way.
    pub fn found(&mut self) -> bool {
        !self.stream.prints_so_far().is_empty()
    }

    /// Ends the stream: what was recognised is in [`Report::prints`], what detectors found in [`Report::findings`].
    pub fn finish(self) -> Report {
        self.stream.finish()
    }
}
