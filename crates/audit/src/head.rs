//! The head file: a cache that lets a log of any size open at once.
//!
//! It is written after each sync and covers what that sync made durable. It holds nothing that the
//! journal does not give; one that is torn, stale or of another journal is not believed, and the
//! journal is read from its start instead.

use hotcell_crypto::sha256;
use hotcell_types::Digest;

use crate::edge::Edge;

/// What the file begins with; the version is part of it.
const MAGIC: &[u8; 8] = b"HCHEAD1\n";

/// Bytes of the fixed part: magic, offset, size, where the last line begins, its leaf hash.
const FIXED_BYTES: usize = 8 + 8 + 8 + 8 + 32;

/// Bytes that suffice to learn how far the journal is durable.
pub(crate) const WATERMARK_BYTES: usize = 16;

/// Most bytes of a head: eight levels of at most 255 hashes and 8 peaks.
pub(crate) const MAX_HEAD_BYTES: usize = FIXED_BYTES + 8 * (255 + 8) * 32 + 32;

/// The state of a log after a number of entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    /// Where in the journal the next line goes.
    pub(crate) offset: u64,
    /// Where the last line begins (the end of the first line when there are no entries).
    pub(crate) last_offset: u64,
    /// Leaf hash of the last entry (zeros when there is none).
    pub(crate) last_leaf: Digest,
    /// The tree.
    pub(crate) edge: Edge,
}

impl Head {
    /// The state of a log without entries whose journal has a first line of this length.
    pub(crate) fn empty(offset: u64) -> Self {
        Self { offset, last_offset: offset, last_leaf: Digest([0; 32]), edge: Edge::default() }
    }

    /// The bytes of the head file.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let size = self.edge.size();
        let mut bytes = Vec::with_capacity(FIXED_BYTES + Edge::hash_count(size) * 32 + 32);
        bytes.extend_from_slice(MAGIC);
        for number in [self.offset, size, self.last_offset] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        bytes.extend_from_slice(&self.last_leaf.0);
        self.edge.write_hashes(&mut bytes);
        let check = sha256(&bytes);
        bytes.extend_from_slice(&check.0);
        bytes
    }

    /// Reads a head; none when it is not whole. Bytes after its end are remains of a longer one.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (magic, rest) = bytes.split_first_chunk::<8>()?;
        let (offset, rest) = rest.split_first_chunk::<8>()?;
        let (size, rest) = rest.split_first_chunk::<8>()?;
        let (last_offset, rest) = rest.split_first_chunk::<8>()?;
        let (last_leaf, rest) = rest.split_first_chunk::<32>()?;
        if magic != MAGIC {
            return None;
        }
        let size = u64::from_be_bytes(*size);
        let (hashes, rest) = rest.split_at_checked(Edge::hash_count(size) * 32)?;
        let (check, _) = rest.split_first_chunk::<32>()?;
        if sha256(bytes.get(..FIXED_BYTES + hashes.len())?).0 != *check {
            return None;
        }
        Some(Self {
            offset: u64::from_be_bytes(*offset),
            last_offset: u64::from_be_bytes(*last_offset),
            last_leaf: Digest(*last_leaf),
            edge: Edge::read_hashes(size, hashes)?,
        })
    }

    /// How far the journal was durable when the head file that begins so was written.
    pub(crate) fn watermark(start: &[u8]) -> Option<u64> {
        let offset = start.strip_prefix(MAGIC)?.first_chunk::<8>()?;
        Some(u64::from_be_bytes(*offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle::leaf_hash;

    fn head_of(size: u64) -> Head {
        let mut head = Head::empty(30);
        for number in 0..size {
            head.last_leaf = leaf_hash(&number.to_be_bytes());
            head.edge.push(head.last_leaf);
        }
        head
    }

    #[test]
    fn a_head_reads_back_as_written_at_every_width() {
        for size in (0..520).chain([65_535, 65_536, 65_537, 66_000]) {
            let head = head_of(size);
            let mut bytes = head.encode();
            assert!(bytes.len() <= MAX_HEAD_BYTES);
            bytes.extend_from_slice(b"remains of a longer head");
            assert_eq!(Head::decode(&bytes), Some(head), "size {size}");
        }
    }

    #[test]
    fn a_head_with_any_byte_changed_or_missing_is_not_believed() {
        let bytes = head_of(11).encode();
        for place in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[place] ^= 0x41;
            assert_eq!(Head::decode(&altered), None, "byte {place}");
            assert_eq!(Head::decode(&bytes[..place]), None, "cut at {place}");
        }
    }

    #[test]
    fn a_head_that_claims_an_absurd_size_is_not_believed() {
        let mut bytes = head_of(3).encode();
        bytes[16..24].copy_from_slice(&u64::MAX.to_be_bytes());
        assert_eq!(Head::decode(&bytes), None);
    }
}
