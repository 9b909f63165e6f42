//! Prints of records: the values of each row, with the bits that each is worth.

use std::collections::HashMap;

use super::tokens::ValueHash;
use super::{KEY_BYTES, Kind, Print};

/// Fewer different values of a record are no record.
pub const LEAST_FIELDS: u32 = 4;
/// Their joint rarity, in bits, from which on they are one.
pub const LEAST_BITS: u32 = 40;

/// A cell of a table that is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cell {
    /// Its column among those of all tables.
    pub(crate) column: u32,
    pub(crate) hash: u64,
    pub(crate) record: u32,
    /// The most that its signs can say.
    pub(crate) sign_bits: u8,
}

/// The prints of records.
#[derive(Debug)]
pub(crate) struct Records {
    hash: ValueHash,
    records: u32,
    /// How many bytes of what is looked at may lie between the values of one record.
    span: u32,
    /// Hash in the upper bits, rarity in the lower [`RARITY_BITS`], and the record; sorted.
    entries: Vec<(u32, u32)>,
    /// In memory only: where the entries begin whose hashes begin so.
    starts: Vec<u32>,
    start_shift: u32,
    /// In memory only: which beginnings there are.
    filter: Vec<u64>,
    filter_shift: u32,
}

const RARITY_BITS: u32 = 6;
const HASH_BITS: u32 = 32 - RARITY_BITS;
/// Bytes of an entry in a file.
pub(crate) const ENTRY_BYTES: usize = 8;
/// A value is believed to be worth no more.
const MAX_RARITY: f64 = 30.0;
/// A value with less does not count.
const LEAST_RARITY: f64 = 4.0;
/// What a value is worth that stands once in its column, however short the table, if its signs allow it.
const ONCE: f64 = 10.0;
/// A value that more records share says too little of any of them.
const MAX_SHARED: usize = 32;
/// Bounds of [`Records::span`].
pub(crate) const SPANS: std::ops::RangeInclusive<u32> = 512..=16_384;
/// Records whose values were seen lately, before the older are forgotten.
const MAX_OPEN: usize = 4096;

impl Records {
    pub(crate) fn of(key: &[u8; KEY_BYTES], records: u32, span: u32, mut cells: Vec<Cell>) -> Self {
        cells.sort_unstable_by_key(|cell| (cell.column, cell.hash, cell.record));
        let mut entries = Vec::new();
        for column in cells.chunk_by(|a, b| a.column == b.column) {
            let count = column.len() as f64;
            let equal = |a: &Cell, b: &Cell| a.hash == b.hash;
            let pairs: f64 =
                column.chunk_by(equal).map(|same| (same.len() as f64) * (same.len() as f64 - 1.0) / 2.0).sum();
            // Two values of the column are equal once in so many pairs.
            let collision = ((count * (count - 1.0) / 2.0).max(1.0) / (pairs + 1.0)).log2();
            for same in column.chunk_by(equal).filter(|same| same.len() <= MAX_SHARED) {
                let shared = (count / same.len() as f64).log2();
                let rarity = if same.len() == 1 { shared.max(collision).max(ONCE) } else { shared };
                for cell in same {
                    let rarity = rarity.min(f64::from(cell.sign_bits)).min(MAX_RARITY);
                    if rarity >= LEAST_RARITY {
                        let hash = (cell.hash >> (64 - HASH_BITS)) as u32;
                        entries.push((hash << RARITY_BITS | rarity as u32, cell.record));
                    }
                }
            }
        }
        entries.sort_unstable();
        entries.dedup();
        Self::with(key, records, span, entries)
    }

    /// From what a file holds, which is sorted.
    pub(crate) fn with(key: &[u8; KEY_BYTES], records: u32, span: u32, entries: Vec<(u32, u32)>) -> Self {
        let bits = (entries.len() / 4).checked_ilog2().unwrap_or(0).clamp(1, HASH_BITS - 6);
        let (start_shift, filter_shift) = (HASH_BITS - bits, HASH_BITS - (bits + 6));
        let mut starts = vec![0; (1 << bits) + 1];
        let mut filter = vec![0u64; 1 << bits];
        for (value, _) in &entries {
            let hash = value >> RARITY_BITS;
            if let Some(count) = starts.get_mut((hash >> start_shift) as usize + 1) {
                *count += 1;
            }
            let place = hash >> filter_shift;
            if let Some(word) = filter.get_mut((place >> 6) as usize) {
                *word |= 1 << (place & 63);
            }
        }
        let mut sum = 0u32;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        Self { hash: ValueHash::of(key), records, span, entries, starts, start_shift, filter, filter_shift }
    }

    pub(crate) fn len(&self) -> u64 {
        u64::from(self.records)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn stored_bytes(&self) -> u64 {
        (self.entries.len() * ENTRY_BYTES) as u64
    }

    /// What a file holds of it.
    pub(crate) fn parts(&self) -> (u32, u32, &[(u32, u32)]) {
        (self.records, self.span, &self.entries)
    }

    /// Records in the bytes, at most so many.
    pub(crate) fn look(&self, bytes: &[u8], most: usize) -> Vec<Print> {
        let mut look = Look {
            records: self,
            open: HashMap::new(),
            most_open: MAX_OPEN,
            last: [(u32::MAX, 0); 4],
            prints: Vec::new(),
            most,
        };
        if !self.is_empty() {
            self.hash.each(bytes, |hash, start, end| {
                let hash = (hash >> (64 - HASH_BITS)) as u32;
                let place = hash >> self.filter_shift;
                if self.filter.get((place >> 6) as usize).is_some_and(|word| word >> (place & 63) & 1 == 1) {
                    look.value(hash, start, end);
                }
            });
        }
        look.prints
    }

    fn entries_of(&self, hash: u32) -> impl Iterator<Item = (u32, u32)> {
        let bucket = (hash >> self.start_shift) as usize;
        let range = self.starts.get(bucket).copied().unwrap_or(0) as usize
            ..self.starts.get(bucket + 1).copied().unwrap_or(0) as usize;
        let entries = self.entries.get(range).unwrap_or_default().iter();
        let of = entries.filter(move |(value, _)| value >> RARITY_BITS == hash);
        of.map(|(value, record)| (value & ((1 << RARITY_BITS) - 1), *record))
    }
}

/// A value of a record that was met.
#[derive(Debug, Clone, Copy)]
struct Met {
    hash: u32,
    bits: u32,
    start: usize,
}

/// A look at some bytes, from their beginning to their end.
struct Look<'a> {
    records: &'a Records,
    /// By record: its values that were met within the span.
    open: HashMap<u32, Vec<Met>>,
    most_open: usize,
    /// The last values and where they stood: one that is repeated at once says nothing new.
    last: [(u32, usize); 4],
    prints: Vec<Print>,
    most: usize,
}

impl Look<'_> {
    fn value(&mut self, hash: u32, start: usize, end: usize) {
        let span = self.records.span as usize;
        let slot = hash as usize % self.last.len();
        let repeated = self.last.get(slot).is_some_and(|(last, at)| *last == hash && start - at < span / 2);
        if repeated || self.prints.len() >= self.most {
            return;
        }
        self.last[slot] = (hash, start);
        if self.open.len() > self.most_open {
            self.open.retain(|_, met| met.last().is_some_and(|last| last.start + span >= start));
            // Where many are still near, it is not tried again at every value.
            self.most_open = (2 * self.open.len()).max(MAX_OPEN);
        }
        let records = self.records;
        for (bits, record) in records.entries_of(hash) {
            let met = self.open.entry(record).or_default();
            met.retain(|met| met.start + span >= start && met.hash != hash);
            met.push(Met { hash, bits, start });
            let joint: u32 = met.iter().map(|met| met.bits).sum();
            if met.len() as u32 >= LEAST_FIELDS && joint >= LEAST_BITS {
                let from = met.first().map_or(start, |first| first.start);
                let kind = Kind::Record { fields: met.len() as u32, bits: joint };
                met.clear();
                self.prints.push(Print { kind, at: from..end });
            }
        }
    }
}
