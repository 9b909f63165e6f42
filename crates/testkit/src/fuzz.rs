//! Parsers of foreign bytes, tried on the stable toolchain: a kept corpus is replayed, then each of its pieces is
//! mutated so many times, from a seed.
//!
//! ```no_run
//! hotcell_testkit::fuzz::Target::new(env!("CARGO_MANIFEST_DIR"), "profile").run(1000, |bytes| {
//!     let _ = String::from_utf8_lossy(bytes); // the parser: it may refuse, and must not panic
//! });
//! ```
//!
//! The corpus lies in `tests/corpus/NAME/` of the crate. What makes a parser fail is written to the folder of test
//! data, to be put there. Longer, by hand: `HOTCELL_FUZZ=100` mutates a hundred times as often,
//! `HOTCELL_FUZZ_SEED=7` from another seed.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::{env, fs};

/// One parser.
#[derive(Debug)]
pub struct Target {
    name: &'static str,
    corpus: Vec<Vec<u8>>,
}

impl Target {
    /// The parser of this name, with the corpus that the crate keeps for it.
    ///
    /// # Panics
    /// When the corpus is there and cannot be read.
    pub fn new(manifest_dir: &str, name: &'static str) -> Self {
        let folder = PathBuf::from(manifest_dir).join("tests/corpus").join(name);
        let mut paths: Vec<_> =
            fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        // The same order everywhere, so that a seed means the same.
        paths.sort();
        let read = |path: &PathBuf| {
            fs::read(path).unwrap_or_else(|error| crate::stop(&format!("{}: {error}", path.display())))
        };
        Self { name, corpus: paths.iter().map(read).collect() }
    }

    /// With one more piece, which is made and not kept.
    #[must_use]
    pub fn with(mut self, piece: impl Into<Vec<u8>>) -> Self {
        self.corpus.push(piece.into());
        self
    }

    /// Replays the corpus, then mutates each piece `mutations` times.
    ///
    /// # Panics
    /// When the parser does, or when there is no corpus.
    pub fn run(self, mutations: u64, mut parse: impl FnMut(&[u8])) {
        assert!(!self.corpus.is_empty(), "{} has no corpus", self.name);
        let number =
            |name: &str, default: u64| env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
        let (seed, times) = (number("HOTCELL_FUZZ_SEED", SEED), number("HOTCELL_FUZZ", 1));
        let mut random = Random(seed);
        for (place, piece) in self.corpus.iter().enumerate() {
            self.once(piece, &format!("piece {place}"), &mut parse);
            for round in 0..mutations * times {
                let altered = random.mutate(piece);
                self.once(&altered, &format!("piece {place}, seed {seed}, mutation {round}"), &mut parse);
            }
        }
    }

    fn once(&self, bytes: &[u8], what: &str, parse: &mut impl FnMut(&[u8])) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| parse(bytes))) {
            let path = crate::data_dir().join(format!("fuzz-{}", self.name));
            let kept = fs::write(&path, bytes).map(|()| path.display().to_string());
            eprintln!("{}: {what} failed; its bytes: {kept:?}; keep them in tests/corpus/{}/", self.name, self.name);
            resume_unwind(panic);
        }
    }
}

const SEED: u64 = 6962;

/// A stream of numbers from a seed (splitmix64).
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap_or(0)
    }

    /// Flips, sets, cuts, inserts, removes or repeats some bytes.
    fn mutate(&mut self, piece: &[u8]) -> Vec<u8> {
        let mut bytes = piece.to_vec();
        for _ in 0..=self.below(4) {
            let place = self.below(bytes.len() + 1);
            let end = place + self.below((bytes.len() - place).min(MOST_REPEATED) + 1);
            match self.below(7) {
                0 => bytes.truncate(place),
                1 => bytes.insert(place, self.below(256) as u8),
                2 => drop(bytes.drain(place..end)),
                3 => bytes.extend_from_within(place..end),
                4 => bytes.insert(place, EDGES[self.below(EDGES.len())]),
                5 if place < bytes.len() => bytes[place] = EDGES[self.below(EDGES.len())],
                _ if place < bytes.len() => bytes[place] ^= 1 << self.below(8),
                _ => {}
            }
        }
        bytes
    }
}

/// Bytes at which parsers turn.
const EDGES: &[u8] = b"\0\x01\x7f\x80\xff\n\r\t \"'\\/{}[](),;:=#-+.09aZ";

/// Repeated pieces are no longer, so that nothing grows without bound.
const MOST_REPEATED: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_mutations_and_most_of_them_differ_from_the_piece() {
        let piece = b"name = \"strict\"\n";
        let mutations = |seed: u64| {
            let mut random = Random(seed);
            (0..200).map(|_| random.mutate(piece)).collect::<Vec<_>>()
        };
        assert_eq!(mutations(1), mutations(1));
        assert_ne!(mutations(1), mutations(2));
        assert!(mutations(1).iter().filter(|altered| *altered != piece).count() > 150);
    }

    #[test]
    fn a_parser_that_panics_is_found_and_its_bytes_are_kept() {
        let found = catch_unwind(|| {
            Target::new("/nowhere", "self").with(*b"abc").run(2000, |bytes| assert!(!bytes.contains(&0)));
        });
        assert!(found.is_err());
        let path = crate::data_dir().join("fuzz-self");
        assert!(fs::read(&path).unwrap().contains(&0));
        fs::remove_file(path).unwrap();
    }
}
