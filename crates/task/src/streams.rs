//! Standard output and error: passed live, or captured, bounded and judged.

use hotcell_inspect::scan::Scanner;
use hotcell_inspect::{SensitiveValues, StreamRule, StreamVerdict, inspect_stream};
use hotcell_types::{Bits, StreamRecord};

/// What was kept of one stream.
#[derive(Debug)]
pub(crate) struct Captured {
    pub(crate) name: &'static str,
    kept: Vec<u8>,
    limit: usize,
    written: u64,
}

impl Captured {
    pub(crate) fn new(name: &'static str, limit: u64) -> Self {
        Self { name, kept: Vec::new(), limit: usize::try_from(limit).unwrap_or(usize::MAX), written: 0 }
    }

    /// Takes bytes; beyond the limit they are counted and let go.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.written += bytes.len() as u64;
        let room = self.limit.saturating_sub(self.kept.len());
        self.kept.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    /// What was kept.
    pub(crate) fn kept(&self) -> &[u8] {
        &self.kept
    }

    /// The record of a stream that passed live.
    pub(crate) fn passed(&self) -> StreamVerdict {
        StreamVerdict {
            record: StreamRecord {
                name: self.name.to_owned(),
                bytes: self.written,
                disposition: "live-uninspected".to_owned(),
            },
            text: None,
            capacity: Bits(8.0 * self.written as f64),
            findings: Vec::new(),
        }
    }

    /// Judges a stream that was captured.
    pub(crate) fn judge(&self, release: bool, sensitive: &SensitiveValues, scanner: Option<&Scanner>) -> StreamVerdict {
        let rule = match release {
            true => StreamRule::Release { max_bytes: self.limit as u64 },
            false => StreamRule::Withhold,
        };
        inspect_stream(self.name, &self.kept, self.written, rule, sensitive, scanner)
    }
}
