//! Making proofs: which subtrees' hashes a proof consists of (RFC 6962, sections 2.1.1 and 2.1.2).
//!
//! Where the hashes come from is the caller's affair: it answers for complete subtrees only,
//! those of `2^height` entries that start at a multiple of `2^height`.

use hotcell_types::Digest;

use crate::merkle::{empty_root, node_hash};

/// Answers with the hash of the `index`-th complete subtree of `2^height` entries.
pub(crate) trait Nodes {
    /// What can go wrong when a hash is fetched.
    type Error;
    /// Fetches the hash.
    fn node(&mut self, height: u32, index: u64) -> Result<Digest, Self::Error>;
}

/// The hash over entries `start..end`, where `start` is a multiple of the span of that range.
pub(crate) fn range_hash<N: Nodes>(start: u64, end: u64, nodes: &mut N) -> Result<Digest, N::Error> {
    let length = end - start;
    if length == 0 {
        return Ok(empty_root());
    }
    if length.is_power_of_two() {
        return nodes.node(length.trailing_zeros(), start / length);
    }
    let middle = start + split(length);
    let left = range_hash(start, middle, nodes)?;
    let right = range_hash(middle, end, nodes)?;
    Ok(node_hash(&left, &right))
}

/// The inclusion proof of entry `index` in the tree of `size` entries, from the leaf's sibling upward.
pub(crate) fn inclusion<N: Nodes>(index: u64, size: u64, nodes: &mut N) -> Result<Vec<Digest>, N::Error> {
    let (mut start, mut end) = (0, size);
    let mut proof = Vec::new();
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            proof.push(range_hash(middle, end, nodes)?);
            end = middle;
        } else {
            proof.push(range_hash(start, middle, nodes)?);
            start = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// The proof that the tree of `new` entries begins with the tree of `old` entries, where `0 < old <= new`.
pub(crate) fn consistency<N: Nodes>(old: u64, new: u64, nodes: &mut N) -> Result<Vec<Digest>, N::Error> {
    let (mut start, mut end) = (0, new);
    let mut proof = Vec::new();
    // `old` lies in `start..end` and, as long as it is not the end, inside one half of it.
    while old != end {
        let middle = start + split(end - start);
        if old <= middle {
            proof.push(range_hash(middle, end, nodes)?);
            end = middle;
        } else {
            proof.push(range_hash(start, middle, nodes)?);
            start = middle;
        }
    }
    // The verifier knows the old root already when it is this very subtree.
    if start > 0 {
        proof.push(range_hash(start, end, nodes)?);
    }
    proof.reverse();
    Ok(proof)
}

/// The largest power of two smaller than `length`, which is at least 2.
fn split(length: u64) -> u64 {
    1 << (u64::BITS - 1 - (length - 1).leading_zeros())
}
