//! Prints of verbatim stretches: taken at fixed distances, looked for at every byte.
//!
//! A cyclic polynomial over secret random words for each byte value rolls over the bytes; nobody without the key can say
//! what it gives, so nobody can write bytes that are taken for a print or that make the search slow. What passes its
//! bits is held against a keyed SHA-256 of the window.

use hotcell_crypto::Sha256Stream;

use super::{KEY_BYTES, Kind, Print, Size};

/// The rolling hash.
#[derive(Debug)]
pub(crate) struct Roller {
    enter: Box<[u64; 256]>,
    leave: Box<[u64; 256]>,
    mix: u64,
}

impl Roller {
    pub(crate) fn of(key: &[u8; KEY_BYTES], size: Size) -> Self {
        let (mut enter, mut leave) = (Box::new([0; 256]), Box::new([0; 256]));
        // As often as the first byte of a window has been turned when the last one is in.
        let turns = ((size.window() - 1) % 64) as u32;
        for (place, block) in (0..64u8).zip(enter.chunks_exact_mut(4)) {
            let digest = keyed(key, b"roll", &[place]);
            for (word, bytes) in block.iter_mut().zip(digest.chunks_exact(8)) {
                *word = u64_of(bytes);
            }
        }
        for (left, entered) in leave.iter_mut().zip(enter.iter()) {
            *left = entered.rotate_left(turns);
        }
        let mix = u64_of(&keyed(key, b"mix", &[])) | 1;
        Self { enter, leave, mix }
    }

    fn push(&self, hash: u64, byte: u8) -> u64 {
        hash.rotate_left(1) ^ self.enter[usize::from(byte)]
    }

    fn mixed(&self, hash: u64) -> u64 {
        let hash = hash ^ hash >> 29;
        hash.wrapping_mul(self.mix)
    }

    /// The hash of one window.
    fn of_window(&self, window: &[u8]) -> u64 {
        self.mixed(window.iter().fold(0, |hash, byte| self.push(hash, *byte)))
    }
}

/// The prints of stretches.
#[derive(Debug)]
pub(crate) struct Stretches {
    size: Size,
    key: [u8; KEY_BYTES],
    roller: Roller,
    /// log2 of the number of buckets.
    bits: u32,
    /// Where each bucket begins, and the end of the last.
    starts: Vec<u32>,
    /// The prints, sorted, [`ENTRY_BYTES`] each: two of the rolling hash, one of the keyed one.
    entries: Vec<u8>,
    /// In memory only: what passes it is perhaps there.
    filter: Vec<u64>,
}

/// Bytes of an entry.
pub(crate) const ENTRY_BYTES: usize = 3;
/// Most buckets, as a power of two.
pub(crate) const MAX_BUCKET_BITS: u32 = 24;
/// Windows that stand in the input more often are its form, not its content.
const COMMON: usize = 16;
/// The bits of the keyed hash that are kept.
const TAG_BITS: u32 = 8;
const TAG: u64 = (1 << TAG_BITS) - 1;

impl Stretches {
    /// From the hashes of [`Sampler`]s, in any order.
    pub(crate) fn of(size: Size, key: [u8; KEY_BYTES], mut hashes: Vec<u64>) -> Self {
        hashes.sort_unstable();
        let mut kept: Vec<u64> = Vec::with_capacity(hashes.len());
        kept.extend(hashes.chunk_by(|a, b| a == b).filter(|same| same.len() <= COMMON).filter_map(|same| same.first()));
        drop(hashes);
        // From 8 to 16 for each bucket.
        let bits = (kept.len() / 8).checked_ilog2().unwrap_or(0).min(MAX_BUCKET_BITS);
        let mut starts = Vec::with_capacity((1 << bits) + 1);
        let mut entries = Vec::with_capacity(kept.len() * ENTRY_BYTES);
        for (place, hash) in kept.iter().enumerate() {
            let (bucket, rest) = part(*hash, bits);
            while starts.len() <= bucket {
                starts.push(place as u32); // INVARIANT: no more prints than fit; the builder has a limit.
            }
            let entry = u64::from(rest) << TAG_BITS | hash & TAG;
            entries.extend_from_slice(entry.to_be_bytes().get(8 - ENTRY_BYTES..).unwrap_or_default());
        }
        while starts.len() <= 1 << bits {
            starts.push(kept.len() as u32);
        }
        Self::with(size, key, bits, starts, entries)
    }

    /// From what a file holds, which is checked already: `starts` never falls and ends at the number of entries.
    pub(crate) fn with(size: Size, key: [u8; KEY_BYTES], bits: u32, starts: Vec<u32>, entries: Vec<u8>) -> Self {
        let mut filter = vec![0; 1 << (bits + 2)];
        for bucket in 0..1usize << bits {
            let (Some(from), Some(to)) = (starts.get(bucket), starts.get(bucket + 1)) else { break };
            let range = *from as usize * ENTRY_BYTES..*to as usize * ENTRY_BYTES;
            for entry in entries.get(range).unwrap_or_default().chunks_exact(ENTRY_BYTES) {
                let rest = u64::from(u16::from_be_bytes([entry[0], entry[1]]));
                let (word, mask) = filter_place((bucket as u64) << 16 | rest);
                if let Some(word) = filter.get_mut(word) {
                    *word |= mask;
                }
            }
        }
        Self { size, key, roller: Roller::of(&key, size), bits, starts, entries, filter }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len() / ENTRY_BYTES
    }

    pub(crate) fn stored_bytes(&self) -> u64 {
        (self.starts.len() * 4 + self.entries.len()) as u64
    }

    /// What a file holds of it.
    pub(crate) fn parts(&self) -> (u32, &[u32], &[u8]) {
        (self.bits, &self.starts, &self.entries)
    }

    /// Stretches in the bytes, at most so many; such as touch each other are one.
    pub(crate) fn look(&self, bytes: &[u8], most: usize) -> Vec<Print> {
        let window = self.size.window();
        let mut prints: Vec<Print> = Vec::new();
        if self.len() == 0 || bytes.len() < window {
            return prints;
        }
        let (head, tail) = bytes.split_at(window - 1);
        let mut hash = head.iter().fold(0, |hash, byte| self.roller.push(hash, *byte));
        let shift = 64 - self.bits - 16;
        // Where the last print was found, by the place's rest of a division by the step: two in a row are a stretch.
        let step = self.size.step();
        let mut found = vec![usize::MAX; step];
        let mut slot = 0;
        for (place, (enters, leaves)) in tail.iter().zip(bytes).enumerate() {
            hash = self.roller.push(hash, *enters);
            let mixed = self.roller.mixed(hash);
            let (word, mask) = filter_place(mixed >> shift);
            if self.filter.get(word).is_some_and(|word| word & mask == mask) && self.holds(mixed, bytes, place) {
                let last = found.get_mut(slot).map(|last| std::mem::replace(last, place));
                if let Some(from) = last.filter(|last| last.checked_add(step) == Some(place)) {
                    let at = from..place + window;
                    let full = prints.len() == most;
                    match prints.last_mut().filter(|last| at.start <= last.at.end) {
                        Some(last) => last.at.end = at.end,
                        None if full => return prints,
                        None => prints.push(Print { kind: Kind::Stretch, at }),
                    }
                }
            }
            hash ^= self.roller.leave[usize::from(*leaves)];
            slot = if slot + 1 == step { 0 } else { slot + 1 };
        }
        prints
    }

    /// Whether the window at `place`, whose hash this is, is one of the input.
    fn holds(&self, mixed: u64, bytes: &[u8], place: usize) -> bool {
        let (bucket, rest) = part(mixed, self.bits);
        let (Some(from), Some(to)) = (self.starts.get(bucket), self.starts.get(bucket + 1)) else { return false };
        let entries = self.entries.get(*from as usize * ENTRY_BYTES..*to as usize * ENTRY_BYTES).unwrap_or_default();
        let mut same =
            entries.chunks_exact(ENTRY_BYTES).filter(|entry| entry.starts_with(&rest.to_be_bytes())).peekable();
        if same.peek().is_none() {
            return false;
        }
        let Some(window) = bytes.get(place..place + self.size.window()) else { return false };
        let tag = tag(&self.key, window).to_be_bytes();
        same.any(|entry| entry.get(2..) == tag.get(7..))
    }
}

/// Takes the prints of bytes that come in pieces.
#[derive(Debug)]
pub(crate) struct Sampler {
    size: Size,
    key: [u8; KEY_BYTES],
    roller: Roller,
    /// Bytes of the window that is being gathered.
    held: Vec<u8>,
    /// Bytes until the next window begins.
    skip: usize,
    pub(crate) hashes: Vec<u64>,
}

impl Sampler {
    pub(crate) fn new(size: Size, key: [u8; KEY_BYTES]) -> Self {
        let roller = Roller::of(&key, size);
        Self { size, key, roller, held: Vec::new(), skip: 0, hashes: Vec::new() }
    }

    /// Begins another input, whose first bytes are none of its content.
    pub(crate) fn begin(&mut self, skip: usize) {
        self.held.clear();
        self.skip = skip;
    }

    pub(crate) fn push(&mut self, mut bytes: &[u8]) {
        let window = self.size.window();
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = bytes.get(skipped..).unwrap_or_default();
            let taken = (window - self.held.len()).min(bytes.len());
            let (now, later) = bytes.split_at(taken);
            self.held.extend_from_slice(now);
            bytes = later;
            if self.held.len() == window {
                if different(&self.held) >= self.size.least_different() {
                    self.hashes.push(self.roller.of_window(&self.held) & !TAG | tag(&self.key, &self.held));
                }
                let step = self.size.step();
                self.skip = step.saturating_sub(window);
                self.held.drain(..step.min(window));
            }
        }
    }
}

/// The bucket of a hash, and the next 16 bits.
fn part(hash: u64, bits: u32) -> (usize, u16) {
    let both = hash >> (64 - bits - 16);
    ((both >> 16) as usize, both as u16)
}

/// Word and bits of the filter, for bucket and 16 bits more.
fn filter_place(both: u64) -> (usize, u64) {
    ((both >> 14) as usize, 1 << (both >> 8 & 63) | 1 << (both >> 2 & 63))
}

/// How many byte values there are.
fn different(window: &[u8]) -> u32 {
    let mut seen = [0u64; 4];
    for byte in window {
        seen[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }
    seen.iter().map(|word| word.count_ones()).sum()
}

/// What of the keyed hash of a window is kept.
fn tag(key: &[u8; KEY_BYTES], window: &[u8]) -> u64 {
    u64_of(&keyed(key, b"window", window)) & TAG
}

/// SHA-256 over key, purpose and bytes, each of a length that is known.
pub(crate) fn keyed(key: &[u8; KEY_BYTES], purpose: &[u8], bytes: &[u8]) -> [u8; 32] {
    let mut hash = Sha256Stream::new();
    hash.update(key);
    hash.update(&[purpose.len() as u8]);
    hash.update(purpose);
    hash.update(bytes);
    hash.finish().0
}

pub(crate) fn u64_of(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
}
