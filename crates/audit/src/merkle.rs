//! The RFC 6962 Merkle tree: hashing, and checking proofs that somebody else made.
//!
//! Security property: an inclusion proof that passes here cannot be made for an entry that is not in
//! the tree, nor a consistency proof for a tree that is not an extension, short of a SHA-256 collision.

use hotcell_crypto::sha256;
use hotcell_types::{Digest, Exit, Explain};

/// Why a Merkle proof does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The entry lies outside the tree.
    #[error("entry {index} lies outside a tree of {size} entries")]
    OutOfRange {
        /// Index of the entry, from 0.
        index: u64,
        /// Number of entries.
        size: u64,
    },
    /// The range is not one that the tree has a subtree for.
    #[error("entries {start} to {end} are no subtree of a tree of {size} entries")]
    NoSubtree {
        /// First entry.
        start: u64,
        /// One past the last entry.
        end: u64,
        /// Number of entries of the tree.
        size: u64,
    },
    /// The proof has too few or too many hashes.
    #[error("the proof has {found} hashes, which is too {}", if *.too_many { "many" } else { "few" })]
    WrongLength {
        /// How many it has.
        found: usize,
        /// Whether that is more than needed (otherwise fewer).
        too_many: bool,
    },
    /// The proof leads to another root.
    #[error("the proof leads to another root hash")]
    RootDiffers,
}

impl Explain for ProofError {
    fn code(&self) -> &'static str {
        match self {
            Self::OutOfRange { .. } => "AUD-101",
            Self::NoSubtree { .. } => "AUD-102",
            Self::WrongLength { .. } => "AUD-103",
            Self::RootDiffers => "AUD-104",
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::OutOfRange { .. } | Self::NoSubtree { .. } => {
                "ask for a proof of entries that the tree has".to_owned()
            }
            Self::WrongLength { .. } | Self::RootDiffers => {
                "take what carries this proof for altered; get it again from its source".to_owned()
            }
        }
    }

    fn exit(&self) -> Exit {
        Exit::Integrity
    }
}

/// The hash of a leaf: SHA-256 over a zero byte and the entry.
pub fn leaf_hash(entry: &[u8]) -> Digest {
    let mut input = Vec::with_capacity(entry.len() + 1);
    input.push(0);
    input.extend_from_slice(entry);
    sha256(&input)
}

/// The hash of a node: SHA-256 over a one byte and the hashes of its two children.
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    let mut input = [1; 65];
    let (_, children) = input.split_at_mut(1);
    let (first, second) = children.split_at_mut(32);
    first.copy_from_slice(&left.0);
    second.copy_from_slice(&right.0);
    sha256(&input)
}

/// The root of a tree without entries: SHA-256 over nothing.
pub fn empty_root() -> Digest {
    sha256(&[])
}

/// Checks that the leaf stands at `index` in the tree of `size` entries that has this root.
///
/// # Errors
/// [`ProofError`] when it does not follow from the proof.
pub fn verify_inclusion(
    index: u64,
    size: u64,
    leaf: &Digest,
    proof: &[Digest],
    root: &Digest,
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::OutOfRange { index, size });
    }
    // RFC 9162, section 2.1.3.2: `node` and `last` walk from the leaf level to the root.
    let (mut node, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in proof {
        if last == 0 {
            return Err(ProofError::WrongLength { found: proof.len(), too_many: true });
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(ProofError::WrongLength { found: proof.len(), too_many: false });
    }
    if hash == *root { Ok(()) } else { Err(ProofError::RootDiffers) }
}

/// Checks that the tree of `new_size` entries begins with all entries of the tree of `old_size`.
///
/// A tree of no entries proves nothing about another, so it is consistent with itself only.
///
/// # Errors
/// [`ProofError`] when it does not follow from the proof.
pub fn verify_consistency(
    old_size: u64,
    new_size: u64,
    old_root: &Digest,
    new_root: &Digest,
    proof: &[Digest],
) -> Result<(), ProofError> {
    if old_size == 0 && new_size != 0 {
        return Err(ProofError::NoSubtree { start: 0, end: 0, size: new_size });
    }
    verify_subtree(0, old_size, new_size, old_root, new_root, proof)?;
    if old_size != new_size || old_root == new_root { Ok(()) } else { Err(ProofError::RootDiffers) }
}

/// Checks that the subtree over entries `start..end` with this hash is part of the tree of `size`
/// entries with this root; with `start` 0 this is RFC 6962 consistency.
///
/// A subtree starts at a multiple of its length rounded up to a power of two. The empty one is part of
/// any tree and has the hash of a tree without entries.
///
/// # Errors
/// [`ProofError`] when it does not follow from the proof.
pub fn verify_subtree(
    start: u64,
    end: u64,
    size: u64,
    subtree: &Digest,
    root: &Digest,
    proof: &[Digest],
) -> Result<(), ProofError> {
    if start == end && end <= size {
        return match proof {
            [] if *subtree == empty_root() => Ok(()),
            [] => Err(ProofError::RootDiffers),
            _ => Err(ProofError::WrongLength { found: proof.len(), too_many: true }),
        };
    }
    if !is_subtree(start, end) || end > size {
        return Err(ProofError::NoSubtree { start, end, size });
    }
    let few = ProofError::WrongLength { found: proof.len(), too_many: false };
    // `first`, `last` and `rightmost` walk up from the leaf level: the edges of the subtree, and of the tree.
    let (mut first, mut last, mut rightmost) = (start, end - 1, size - 1);
    while first != last && (last == rightmost || last & 1 == 1) {
        (first, last, rightmost) = (first >> 1, last >> 1, rightmost >> 1);
    }
    let mut rest = proof.iter();
    let begin = if first == last { subtree } else { rest.next().ok_or(few.clone())? };
    let (mut old, mut new) = (*begin, *begin);
    for sibling in rest {
        if rightmost == 0 {
            return Err(ProofError::WrongLength { found: proof.len(), too_many: true });
        }
        if last & 1 == 1 || last == rightmost {
            if first < last {
                old = node_hash(sibling, &old);
            }
            new = node_hash(sibling, &new);
            while last & 1 == 0 && last != 0 {
                (first, last, rightmost) = (first >> 1, last >> 1, rightmost >> 1);
            }
        } else {
            new = node_hash(&new, sibling);
        }
        (first, last, rightmost) = (first >> 1, last >> 1, rightmost >> 1);
    }
    if rightmost != 0 {
        return Err(few);
    }
    if old == *subtree && new == *root { Ok(()) } else { Err(ProofError::RootDiffers) }
}

/// Whether the tree shape knows `start..end` as one node (or, at the right edge, as the root of a smaller tree).
fn is_subtree(start: u64, end: u64) -> bool {
    end > start && (end - start).checked_next_power_of_two().is_some_and(|span| start.is_multiple_of(span))
}
