//! What leads from a place to the detectors that look at it.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

use super::words::Words;
use crate::scan::decode::compressed::{MAGIC, Packing};
use crate::scan::decode::fold;
use crate::scan::detector::{Anchor, Detector};

/// What is done where a word stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// A detector's pattern is tried.
    Try(usize),
    /// It speaks for the detectors of this number.
    Context(usize),
    /// An encoding begins there, perhaps.
    Decode(Mark),
}

/// Encodings that a sign or two give away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mark {
    Percent,
    Backslash,
    Entity,
    Fold,
    Packed(PackedMark),
}

/// [`Packing`] with an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PackedMark {
    Gzip,
    Zlib,
    Zstd,
    Zip,
}

impl PackedMark {
    pub(super) fn packing(self) -> Packing {
        match self {
            Self::Gzip => Packing::Gzip,
            Self::Zlib => Packing::Zlib,
            Self::Zstd => Packing::Zstd,
            Self::Zip => Packing::Zip,
        }
    }
}

/// All of it.
#[derive(Debug)]
pub(super) struct Index {
    words: Words,
    /// By word: what is done.
    actions: Vec<Vec<Action>>,
    /// By number of digits.
    digits: Vec<Vec<usize>>,
    /// By the widths of its groups: which detectors' number is written so; none for what only begins one.
    grouped: HashMap<Widths, Vec<usize>, BuildHasherDefault<Mixed>>,
    around: Vec<Vec<usize>>,
    /// By length.
    tokens: Vec<Vec<usize>>,
    /// The same for words of hexadecimal signs, whatever they have of letters and digits.
    hex_tokens: Vec<Vec<usize>>,
    /// By detector: the numbers of its words of context.
    contexts: Vec<Vec<usize>>,
}

/// The widths of the groups of a number, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Widths(u128);

impl Widths {
    /// The same and one more group.
    pub(super) fn and(self, width: usize) -> Self {
        Self(self.0 << 5 | width.min(31) as u128)
    }
}

/// Hashes widths, which nobody chooses to do harm: one multiplication.
#[derive(Debug, Default)]
struct Mixed(u64);

impl Hasher for Mixed {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u128(u128::from(*byte)));
    }

    fn write_u128(&mut self, number: u128) {
        let folded = self.0 ^ number as u64 ^ (number >> 64) as u64;
        self.0 = folded.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }
}

/// Longest number and longest token that any detector looks at.
const MAX_DIGITS: usize = 40;
const MAX_TOKEN: usize = 256;

impl Index {
    pub(super) fn of(detectors: &[Detector]) -> Self {
        let mut words: BTreeMap<Vec<u8>, Vec<Action>> = BTreeMap::new();
        let mut context_words: BTreeMap<&str, usize> = BTreeMap::new();
        let mut index = Self {
            words: Words::of(Vec::new()),
            actions: Vec::new(),
            digits: vec![Vec::new(); MAX_DIGITS + 1],
            grouped: HashMap::default(),
            around: vec![Vec::new(); MAX_DIGITS + 1],
            tokens: vec![Vec::new(); MAX_TOKEN + 1],
            hex_tokens: vec![Vec::new(); MAX_TOKEN + 1],
            contexts: Vec::new(),
        };
        let put = |table: &mut Vec<Vec<usize>>, place: usize, detector: usize| {
            if let Some(list) = table.get_mut(place) {
                list.push(detector);
            }
        };
        for (place, detector) in detectors.iter().enumerate() {
            match &detector.anchor {
                Anchor::Digits(counts) => {
                    counts.iter().for_each(|count| put(&mut index.digits, *count, place));
                    for widths in detector.groups.iter().filter(|widths| counts.contains(&widths.iter().sum())) {
                        index.put_grouped(widths, place);
                    }
                }
                Anchor::Around { digits, .. } => digits.iter().for_each(|count| put(&mut index.around, *count, place)),
                Anchor::Token { least, most, hex, .. } => {
                    let table = if *hex { &mut index.hex_tokens } else { &mut index.tokens };
                    (*least..=*most).for_each(|length| put(table, length, place));
                }
                Anchor::Words { words: own, .. } => {
                    for word in own {
                        words.entry(word.to_ascii_lowercase().into_bytes()).or_default().push(Action::Try(place));
                    }
                }
            }
            let numbers = detector.context.iter().map(|word| {
                let next = context_words.len();
                *context_words.entry(word).or_insert(next)
            });
            index.contexts.push(numbers.collect());
        }
        for (word, number) in context_words {
            words.entry(word.as_bytes().to_vec()).or_default().push(Action::Context(number));
        }
        let mut mark = |bytes: &[u8], mark: Mark| {
            words.entry(bytes.to_ascii_lowercase()).or_default().push(Action::Decode(mark));
        };
        mark(b"%", Mark::Percent);
        mark(b"\\", Mark::Backslash);
        mark(b"&#", Mark::Entity);
        fold::marks().iter().for_each(|bytes| mark(bytes, Mark::Fold));
        for (packing, magic) in MAGIC {
            let packed = match packing {
                Packing::Gzip => PackedMark::Gzip,
                Packing::Zlib => PackedMark::Zlib,
                Packing::Zstd => PackedMark::Zstd,
                Packing::Zip => PackedMark::Zip,
            };
            mark(magic, Mark::Packed(packed));
        }
        let (words, actions) = words.into_iter().unzip();
        index.words = Words::of(words);
        index.actions = actions;
        index
    }

    /// Tells of every word in `bytes` where it begins and ends, and what is done.
    pub(super) fn words(&self, bytes: &[u8], mut found: impl FnMut(usize, usize, &[Action])) {
        self.words.each(bytes, |start, end, word| {
            found(start, end, self.actions.get(word).map_or(&[][..], Vec::as_slice));
        });
    }

    pub(super) fn digits(&self, count: usize) -> &[usize] {
        self.digits.get(count).map_or(&[], Vec::as_slice)
    }

    fn put_grouped(&mut self, widths: &[usize], detector: usize) {
        // Longer ones are no number that is read.
        if widths.len() > 25 || widths.iter().any(|width| !(1..31).contains(width)) {
            return;
        }
        let mut key = Widths::default();
        for width in widths {
            key = key.and(*width);
            self.grouped.entry(key).or_default();
        }
        self.grouped.entry(key).or_default().push(detector);
    }

    /// The detectors whose number is written in groups of these widths; none where no number begins so.
    pub(super) fn grouped(&self, widths: Widths) -> Option<&[usize]> {
        self.grouped.get(&widths).map(Vec::as_slice)
    }

    pub(super) fn around(&self, count: usize) -> &[usize] {
        self.around.get(count).map_or(&[], Vec::as_slice)
    }

    pub(super) fn tokens(&self, length: usize) -> &[usize] {
        self.tokens.get(length).map_or(&[], Vec::as_slice)
    }

    pub(super) fn hex_tokens(&self, length: usize) -> &[usize] {
        self.hex_tokens.get(length).map_or(&[], Vec::as_slice)
    }

    pub(super) fn contexts(&self, detector: usize) -> &[usize] {
        self.contexts.get(detector).map_or(&[], Vec::as_slice)
    }
}
