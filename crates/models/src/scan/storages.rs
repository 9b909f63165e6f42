//! The storages of PyTorch's tensors: what the pickle says of them, and the bytes that are there.

use std::collections::BTreeMap;

use super::cursor::Cursor;
use super::refusal::{Bad, Why};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Storage {
    pub(crate) bytes: u64,
    pub(crate) element: u64,
}

/// By their keys.
#[derive(Debug, Clone, Default)]
pub(crate) struct Storages {
    by_key: BTreeMap<String, Storage>,
}

impl Storages {
    pub(crate) fn add(&mut self, key: &str, storage: Storage) -> Result<(), Bad> {
        if self.by_key.len() >= MAX_STORAGES {
            return Err(Bad::new(Why::TooLarge, "it names too many storages"));
        }
        match self.by_key.insert(key.to_owned(), storage) {
            Some(before) if before.bytes != storage.bytes => {
                Err(Bad::new(Why::Ambiguous, "one storage is named with two lengths"))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn join(&mut self, other: Self) {
        self.by_key.extend(other.by_key);
    }

    pub(crate) fn get(&self, key: &str) -> Option<Storage> {
        self.by_key.get(key).copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }
}

/// Bytes of one element of a storage class.
pub(crate) fn element_bytes(class: &str) -> Option<u64> {
    Some(match class {
        "CharStorage" | "ByteStorage" | "BoolStorage" | "UntypedStorage" => 1,
        "HalfStorage" | "BFloat16Storage" | "ShortStorage" => 2,
        "FloatStorage" | "IntStorage" => 4,
        "DoubleStorage" | "LongStorage" | "ComplexFloatStorage" => 8,
        "ComplexDoubleStorage" => 16,
        _ => return None,
    })
}

/// The storages after the pickles of an older file: for each its count, then its elements. Their order is that of a list of
/// keys which is not looked into, so that it is their lengths that have to fit: in all, and each to one of them.
pub(crate) fn legacy_tail(cursor: &mut Cursor<'_>, storages: &Storages) -> Result<(), Bad> {
    let mut waiting: Vec<Storage> = storages.by_key.values().copied().collect();
    while cursor.rest() > 0 {
        let count = cursor.u64()?;
        let fits = |storage: &Storage| count.checked_mul(storage.element) == Some(storage.bytes);
        // Of two that both fit, the one that leaves the rest to fit is not known; the shorter is tried with what remains.
        let place = waiting.iter().position(fits);
        let place = place.ok_or_else(|| Bad::new(Why::Ambiguous, "a storage has a length that nothing names"))?;
        let storage = waiting.remove(place);
        let same_count = waiting.iter().any(|other| fits(other) && other.element != storage.element);
        if same_count {
            return legacy_total(cursor, &waiting, storage);
        }
        cursor.skip(storage.bytes)?;
    }
    match waiting.is_empty() {
        true => Ok(()),
        false => Err(Bad::malformed("a storage that it names is not there")),
    }
}

/// Where counts alone do not tell which storage is which: what is left has to be as long as all of them.
fn legacy_total(cursor: &mut Cursor<'_>, waiting: &[Storage], first: Storage) -> Result<(), Bad> {
    let lengths = waiting.iter().map(|storage| storage.bytes.checked_add(8));
    let total = lengths.chain([Some(first.bytes)]).try_fold(0u64, |sum, bytes| sum.checked_add(bytes?));
    match total == Some(cursor.rest()) {
        true => cursor.skip(cursor.rest()),
        false => Err(Bad::new(Why::Ambiguous, "its storages are not as long as it says")),
    }
}

/// Of one file.
const MAX_STORAGES: usize = 1 << 20;
