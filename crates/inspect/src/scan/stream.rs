//! Bytes that come in pieces.

use super::Scanner;
use super::report::{Finding, Report, Unseen, note_print, surest};

/// Scans a stream in bounded memory: what a cut between two pieces parts is put together.
///
/// Findings that lie within [`StreamScanner::OVERLAP`] bytes are found wherever the stream is cut.
#[derive(Debug)]
pub struct StreamScanner<'a> {
    scanner: &'a Scanner,
    held: Vec<u8>,
    window: usize,
    /// Where the held bytes begin in the stream.
    at: u64,
    findings: Vec<Finding>,
    more: u64,
    prints: Vec<Finding>,
    unseen: Vec<Unseen>,
}

impl<'a> StreamScanner<'a> {
    /// How far back each look reaches again.
    pub const OVERLAP: usize = 128 << 10;
    /// Bytes that are looked at together, at most.
    pub const WINDOW: usize = 16 << 20;

    /// At the beginning of a stream.
    pub fn new(scanner: &'a Scanner) -> Self {
        Self::with_window(scanner, Self::WINDOW)
    }

    /// The same with less memory, at least twice the overlap.
    pub fn with_window(scanner: &'a Scanner, window: usize) -> Self {
        let window = window.max(2 * Self::OVERLAP);
        Self {
            scanner,
            held: Vec::new(),
            window,
            at: 0,
            findings: Vec::new(),
            more: 0,
            prints: Vec::new(),
            unseen: Vec::new(),
        }
    }

    /// Takes the next piece.
    pub fn push(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() {
            let room = self.window - self.held.len();
            let (now, later) = piece.split_at(room.min(piece.len()));
            self.held.extend_from_slice(now);
            piece = later;
            if self.held.len() == self.window {
                self.look();
                let keep = self.held.len() - Self::OVERLAP;
                self.held.drain(..keep);
                self.at += keep as u64;
            }
        }
    }

    /// What fingerprints recognise in what has come so far.
    pub fn prints_so_far(&mut self) -> &[Finding] {
        self.look();
        &self.prints
    }

    /// Ends the stream.
    pub fn finish(mut self) -> Report {
        self.look();
        let kept = self.scanner.bounds().findings;
        let mut findings = surest(self.findings);
        let more = self.more + findings.len().saturating_sub(kept) as u64;
        findings.truncate(kept);
        Report { findings, more, prints: self.prints, unseen: self.unseen }
    }

    fn look(&mut self) {
        let report = self.scanner.scan(&self.held);
        let room = (2 * self.scanner.bounds().findings).saturating_sub(self.findings.len());
        let moved = report.findings.into_iter().map(|mut finding| {
            finding.start += self.at;
            finding.end += self.at;
            finding
        });
        let before = self.findings.len();
        let mut beyond = 0;
        for finding in moved {
            // What lies wholly in the overlap was told by the last look too.
            if self
                .findings
                .iter()
                .rev()
                .take(1000)
                .any(|known| known.kind == finding.kind && known.start == finding.start && known.end == finding.end)
            {
                continue;
            }
            if self.findings.len() - before < room {
                self.findings.push(finding);
            } else {
                beyond += 1;
            }
        }
        for mut print in report.prints {
            print.start += self.at;
            print.end += self.at;
            note_print(&mut self.prints, print);
        }
        self.more += report.more + beyond;
        for mut unseen in report.unseen {
            unseen.start += self.at;
            unseen.end += self.at;
            if self.unseen.len() < 100 && !self.unseen.contains(&unseen) {
                self.unseen.push(unseen);
            }
        }
    }
}
