//! What the tests share: a log in a fresh folder, events, seeded randomness, a naive Merkle tree.

use std::fs;
use std::path::Path;

use hotcell_audit::merkle::{empty_root, leaf_hash, node_hash};
use hotcell_audit::{Durability, Log, Origin};
use hotcell_crypto::{SigningKey, VerifyingKey};
use hotcell_types::{Digest, Event, EventKind, TaskId, Timestamp};

pub(crate) fn origin() -> Origin {
    Origin::parse("example.org/hotcell").unwrap()
}

/// A signing key and the text to make it again, as keys are not copied.
pub(crate) struct Key(pub(crate) String);

impl Key {
    pub(crate) fn new() -> Self {
        Self(SigningKey::generate().expose_text().to_string())
    }
    pub(crate) fn signing(&self) -> SigningKey {
        SigningKey::from_text(&self.0).unwrap()
    }
    pub(crate) fn verifying(&self) -> VerifyingKey {
        self.signing().verifying()
    }
}

pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(hotcell_testkit::data_dir()).unwrap()
}

pub(crate) fn open(dir: &Path, key: &Key) -> Log {
    Log::open(dir, key.signing(), origin()).unwrap()
}

pub(crate) fn event(number: u64) -> Event {
    let task = TaskId::from_bytes([(number % 7) as u8; 10]);
    Event::of_task(Timestamp(number), task, EventKind::TaskSubmitted).with("number", number)
}

/// A log of `count` entries whose end is signed.
pub(crate) fn signed_log(dir: &Path, key: &Key, count: u64) {
    let log = open(dir, key);
    let events: Vec<_> = (0..count).map(event).collect();
    let at = log.append(&events, Durability::Durable).unwrap();
    log.checkpoint(&at).unwrap();
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => assert!(fs::copy(entry.path(), target).is_ok()),
        }
    }
}

/// RFC 6962, section 2.1, word for word.
pub(crate) fn naive_root(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let mut split = 1;
            while split * 2 < leaves.len() {
                split *= 2;
            }
            node_hash(&naive_root(&leaves[..split]), &naive_root(&leaves[split..]))
        }
    }
}

pub(crate) fn leaf(number: u64) -> Digest {
    leaf_hash(&hotcell_audit::canonical(&event(number)).unwrap())
}

/// Splitmix64: a seed gives the same run everywhere.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    /// Flips, cuts, inserts or repeats some bytes.
    pub(crate) fn mutate(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.below(3) {
            let place = self.below(bytes.len() as u64 + 1) as usize;
            match self.below(4) {
                0 if place < bytes.len() => bytes[place] ^= 1 << self.below(8),
                1 => bytes.truncate(place),
                2 => bytes.insert(place, self.below(256) as u8),
                _ => bytes.extend_from_within(place..),
            }
        }
        bytes
    }
}
