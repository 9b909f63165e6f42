//! Fingerprints: a keyed index of inputs, against which everything that would leave is held.
//!
//! Two kinds of prints. **Stretches**: of every input, a keyed hash of a short window at each so-many-th byte; a copy of
//! [`Size::stretch`] bytes or more holds at least two such windows whole, wherever it begins, and a rolling hash finds them
//! at the same distance.
//! **Records**: of tables, the values of each row by keyed hashes, each with its rarity in bits; a record is recognised
//! by [`LEAST_FIELDS`] of its values near each other whose rarities sum up to [`LEAST_BITS`], in any order and format.
//!
//! Windows at fixed distances in the input, looked for at every byte of the output, need half the prints that winnowing
//! needs for the same promise. What that saves allows to ask for two in a row: neither chance nor a common turn of phrase
//! is taken for a copy.
//!
//! # Security
//! An index holds no content, but whoever has it can try guesses against it, as with any index that can be used without
//! asking anybody: it is as secret as short or guessable values of the input.

mod build;
mod index_file;
mod record;
mod stretch;
mod tables;
mod tokens;
mod watch;

pub use build::{BuildError, Builder};
pub use index_file::{IndexError, MAX_INDEX_BYTES};
pub use record::{LEAST_BITS, LEAST_FIELDS};
pub use watch::Watch;

use std::ops::Range;

use record::Records;
use stretch::Stretches;

/// How fine an index of stretches is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Size {
    /// Copies from 48 bytes on are found; at most 30% of the input.
    Fine,
    /// Copies from 256 bytes on are found; at most 5% of the input.
    Coarse,
}

impl Size {
    /// Bytes of a window.
    pub(crate) fn window(self) -> usize {
        match self {
            Self::Fine => 24,
            Self::Coarse => 113,
        }
    }

    /// From one window to the next.
    pub(crate) fn step(self) -> usize {
        // INVARIANT (two-windows): window + 2 steps - 1 is at most the stretch.
        (self.stretch() + 1 - self.window()) / 2
    }

    /// The shortest copy that is always found.
    pub fn stretch(self) -> usize {
        match self {
            Self::Fine => 48,
            Self::Coarse => 256,
        }
    }

    /// A window with fewer different bytes says nothing: lines of signs, zeros, columns of noughts and ones.
    pub(crate) fn least_different(self) -> u32 {
        match self {
            Self::Fine => 7,
            Self::Coarse => 12,
        }
    }
}

/// What was recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A verbatim stretch of an input.
    Stretch,
    /// A record of a table, with so many of its fields and the bits that they are worth together.
    Record {
        /// Different values of it that stand near each other.
        fields: u32,
        /// Their joint rarity.
        bits: u32,
    },
}

impl Kind {
    /// How sure it is, from 0 to 1.
    pub(crate) fn confidence(self) -> f32 {
        match self {
            Self::Stretch => 1.0,
            Self::Record { bits, .. } => 1.0 - 2.0 / bits.max(LEAST_BITS) as f32,
        }
    }

    /// Its name, as findings have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stretch => "input-stretch",
            Self::Record { .. } => "input-record",
        }
    }
}

/// Something of an input, and where it stands in what was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Print {
    pub(crate) kind: Kind,
    pub(crate) at: Range<usize>,
}

/// An index that is ready to be used. It may be shared by threads.
#[derive(Debug)]
pub struct Fingerprints {
    pub(crate) size: Size,
    pub(crate) key: [u8; KEY_BYTES],
    pub(crate) input_bytes: u64,
    pub(crate) stretches: Stretches,
    pub(crate) records: Records,
}

/// Bytes of the key of an index.
pub(crate) const KEY_BYTES: usize = 32;
/// Most prints that are told of one layer: after a few it is clear what leaves there.
const MAX_PRINTS: usize = 32;

impl Fingerprints {
    /// How fine it is.
    pub fn size(&self) -> Size {
        self.size
    }

    /// The bytes of input that it knows.
    pub fn input_bytes(&self) -> u64 {
        self.input_bytes
    }

    /// Prints of stretches, and the bytes that they take in a file.
    pub fn stretches(&self) -> (u64, u64) {
        (self.stretches.len() as u64, self.stretches.stored_bytes())
    }

    /// Records of tables, and the bytes that their prints take in a file.
    pub fn records(&self) -> (u64, u64) {
        (self.records.len(), self.records.stored_bytes())
    }

    /// Whether there is nothing that it could find.
    pub fn is_empty(&self) -> bool {
        self.stretches.len() == 0 && self.records.is_empty()
    }

    /// Whether something of an input stands in bytes as they are, with no encoding undone.
    pub fn recognises(&self, bytes: &[u8]) -> bool {
        self.knows(bytes) || !self.records.look(bytes, 1).is_empty()
    }

    /// All that is recognised in bytes as they stand.
    pub(crate) fn look(&self, bytes: &[u8]) -> Vec<Print> {
        let mut prints = self.stretches.look(bytes, MAX_PRINTS);
        prints.extend(self.records.look(bytes, MAX_PRINTS));
        prints
    }

    /// Whether a stretch stands in the bytes: that proves a decoding right, where they are no text.
    pub(crate) fn knows(&self, bytes: &[u8]) -> bool {
        !self.stretches.look(bytes, 1).is_empty()
    }

    /// Records in bytes as they stand.
    pub(crate) fn records_in(&self, bytes: &[u8]) -> Vec<Print> {
        self.records.look(bytes, MAX_PRINTS)
    }
}
