//! What a scan says: findings and what could not be looked at, with places and never with the value.

use std::ops::Range;

use super::engine::Bounds;

/// What a detector found: kind, place, confidence; never the value.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The detector, by its place among the scanner's.
    pub(crate) detector: usize,
    /// What was found, as `bank-card`.
    pub kind: String,
    /// Where it begins, in bytes of the original.
    pub start: u64,
    /// Where it ends.
    pub end: u64,
    /// How sure it is, from 0 to 1.
    pub confidence: f32,
    /// Whether a check digit was computed and fits.
    pub checksum: bool,
    /// Whether a word that speaks for it stands nearby.
    pub context: bool,
    /// Whether it stands on the same line.
    pub(crate) context_in_line: bool,
    /// The encodings it was found in, from the outermost.
    pub encodings: Vec<&'static str>,
}

impl Finding {
    /// What speaks for it, the strongest first.
    fn weight(&self) -> (bool, bool, f32) {
        (self.context_in_line, self.checksum, self.confidence)
    }
}

/// A place that was not looked at, or not to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unseen {
    /// Where it begins, in bytes of the original.
    pub start: u64,
    /// Where it ends.
    pub end: u64,
    /// Which bound it met.
    pub reason: Bound,
}

/// A bound of decoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bound {
    /// More encodings within each other than are undone.
    Depth,
    /// It becomes larger than is unpacked, or so much larger than it is that it must be a bomb.
    Size,
}

impl Bound {
    /// What was met, for people.
    pub fn what(self) -> &'static str {
        match self {
            Self::Depth => "encodings within each other deeper than is undone",
            Self::Size => "unpacks to more than is looked at",
        }
    }
}

/// What a scan says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// What was found, in the order of the places; where several detectors fit one place, the surest.
    pub findings: Vec<Finding>,
    /// Findings beyond those that are kept.
    pub more: u64,
    /// What fingerprints recognised, in the order in which it was met; never among the findings of detectors.
    pub prints: Vec<Finding>,
    /// What was not looked at.
    pub unseen: Vec<Unseen>,
}

impl Report {
    /// Whether everything was looked at and nothing was found.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty() && self.prints.is_empty() && self.more == 0 && self.unseen.is_empty()
    }
}

/// A report under construction.
#[derive(Debug)]
pub(crate) struct Tally {
    bounds: Bounds,
    findings: Vec<Finding>,
    more: u64,
    prints: Vec<Finding>,
    unseen: Vec<Unseen>,
    decoded_left: usize,
}

/// Most places that are told as unseen.
const MAX_UNSEEN: usize = 100;

impl Tally {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            findings: Vec::new(),
            more: 0,
            prints: Vec::new(),
            unseen: Vec::new(),
            decoded_left: bounds.decoded_bytes,
        }
    }

    pub(crate) fn add(&mut self, finding: Finding) {
        if finding.confidence < self.bounds.confidence {
            return;
        }
        // Room for what will be merged; then only the number grows.
        if self.findings.len() < self.bounds.findings.saturating_mul(2) {
            self.findings.push(finding);
        } else {
            self.more += 1;
        }
    }

    pub(crate) fn add_print(&mut self, print: Finding) {
        note_print(&mut self.prints, print);
    }

    pub(crate) fn unseen(&mut self, place: Range<u64>, reason: Bound) {
        let unseen = Unseen { start: place.start, end: place.end, reason };
        if self.unseen.len() < MAX_UNSEEN && !self.unseen.contains(&unseen) {
            self.unseen.push(unseen);
        }
    }

    /// What may still be decoded.
    pub(crate) fn decoded_left(&self) -> usize {
        self.decoded_left
    }

    /// Takes from what may be decoded; false when it is used up.
    pub(crate) fn spend(&mut self, bytes: usize) -> bool {
        let left = self.decoded_left.checked_sub(bytes);
        self.decoded_left = left.unwrap_or(0);
        left.is_some()
    }

    /// Whether a detector found something.
    pub(crate) fn found(&self, detector: usize) -> bool {
        self.findings.iter().any(|finding| finding.detector == detector)
    }

    pub(crate) fn finish(self) -> Report {
        let mut findings = surest(self.findings);
        let more = self.more + findings.len().saturating_sub(self.bounds.findings) as u64;
        findings.truncate(self.bounds.findings);
        Report { findings, more, prints: self.prints, unseen: self.unseen }
    }
}

/// Most places that are told of what fingerprints recognised.
const MAX_PRINTS: usize = 1000;
/// How many of them are looked at for one that goes on.
const LATEST: usize = 100;

/// Adds what fingerprints recognised; what only goes on is made longer.
pub(crate) fn note_print(prints: &mut Vec<Finding>, print: Finding) {
    let goes_on = |known: &&mut Finding| {
        known.kind == print.kind
            && known.encodings == print.encodings
            && known.start <= print.end
            && print.start <= known.end
    };
    let full = prints.len() >= MAX_PRINTS;
    match prints.iter_mut().rev().take(LATEST).find(goes_on) {
        Some(known) => (known.start, known.end) = (known.start.min(print.start), known.end.max(print.end)),
        None if full => {}
        None => prints.push(print),
    }
}

/// Of findings that overlap, one that a word on its line speaks for comes first, then one whose check digit fits, then the
/// surest; of equals, the longest.
pub(crate) fn surest(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by(|a, b| (a.start, b.end).cmp(&(b.start, a.end)).then(b.confidence.total_cmp(&a.confidence)));
    let mut kept: Vec<Finding> = Vec::new();
    for finding in findings {
        match kept.last_mut() {
            Some(last) if finding.start < last.end => {
                let same_whole =
                    last.encodings.iter().any(|name| is_whole(name)) && finding.encodings == last.encodings;
                if same_whole && finding.kind != last.kind {
                    // All of a compressed stream has one place: different kinds in it are different findings.
                    if !kept
                        .iter()
                        .rev()
                        .take_while(|known| known.end > finding.start)
                        .any(|known| known.kind == finding.kind)
                    {
                        kept.push(finding);
                    }
                } else if finding.weight() > last.weight() {
                    *last = finding;
                }
            }
            _ => kept.push(finding),
        }
    }
    kept
}

/// Encodings whose findings have the place of the whole stream.
fn is_whole(name: &str) -> bool {
    matches!(name, "gzip" | "zlib" | "zstd" | "zip" | "deflate" | "brotli")
}
