//! The right edge of the tree: what must be in memory to append, to give the root, and to prove.
//!
//! Tiles are 256 hashes wide (C2SP tlog-tiles). Of each level only the last, unfinished tile is kept;
//! a tile that becomes full is handed out, to be written once and never again.

use hotcell_types::Digest;

use crate::merkle::{empty_root, node_hash};

/// Hashes in a full tile.
pub(crate) const TILE_WIDTH: u64 = 256;

/// A tile that has become full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FullTile {
    /// Level, 0 for leaf hashes.
    pub(crate) level: u32,
    /// Index within the level.
    pub(crate) index: u64,
    /// Its 256 hashes.
    pub(crate) hashes: Vec<Digest>,
}

/// The unfinished tiles of a tree, lowest level first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Edge {
    size: u64,
    levels: Vec<EdgeTile>,
}

/// One unfinished tile.
///
/// INVARIANT (peaks): `peaks` are the roots of the complete binary subtrees that `hashes` falls into,
/// largest first, so that their number is the number of one bits in the width.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct EdgeTile {
    hashes: Vec<Digest>,
    peaks: Vec<Digest>,
}

impl Edge {
    /// Number of entries of the tree.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf and returns the tiles that this filled.
    pub(crate) fn push(&mut self, leaf: Digest) -> Vec<FullTile> {
        let mut full = Vec::new();
        let mut index = self.size / TILE_WIDTH;
        self.size += 1;
        let mut hash = leaf;
        for level in 0.. {
            if self.levels.len() as u64 <= u64::from(level) {
                self.levels.push(EdgeTile::default());
            }
            let Some(tile) = self.levels.get_mut(level as usize) else { break };
            let Some((hashes, root)) = tile.push(hash) else { break };
            full.push(FullTile { level, index, hashes });
            (hash, index) = (root, index / TILE_WIDTH);
        }
        full
    }

    /// The root hash of the tree.
    pub(crate) fn root(&self) -> Digest {
        let peaks = self.levels.iter().flat_map(|tile| tile.peaks.iter().rev());
        peaks.copied().reduce(|right, left| node_hash(&left, &right)).unwrap_or_else(empty_root)
    }

    /// The hashes of the unfinished tile at `level`; empty when the level has none.
    pub(crate) fn tile(&self, level: u32) -> &[Digest] {
        self.levels.get(level as usize).map_or(&[], |tile| &tile.hashes)
    }

    /// The widths of the unfinished tiles of a tree of `size` entries, lowest level first.
    fn widths(size: u64) -> impl Iterator<Item = usize> {
        std::iter::successors(Some(size), |rest| Some(rest / TILE_WIDTH))
            .take_while(|rest| *rest > 0)
            .map(|rest| (rest % TILE_WIDTH) as usize)
    }

    /// How many hashes [`Edge::write_hashes`] writes for a tree of `size` entries.
    pub(crate) fn hash_count(size: u64) -> usize {
        Self::widths(size).map(|width| width + width.count_ones() as usize).sum()
    }

    /// Writes the hashes of all levels, each with its peaks: the form that the head file keeps.
    pub(crate) fn write_hashes(&self, to: &mut Vec<u8>) {
        for hash in self.levels.iter().flat_map(|tile| tile.hashes.iter().chain(&tile.peaks)) {
            to.extend_from_slice(&hash.0);
        }
    }

    /// Reads what [`Edge::write_hashes`] wrote; none when the number of hashes does not fit the size.
    pub(crate) fn read_hashes(size: u64, bytes: &[u8]) -> Option<Self> {
        let (chunks, []) = bytes.as_chunks::<32>() else { return None };
        if chunks.len() != Self::hash_count(size) {
            return None;
        }
        let mut hashes = chunks.iter().map(|chunk| Digest(*chunk));
        let mut take = |count: usize| hashes.by_ref().take(count).collect::<Vec<_>>();
        let levels = Self::widths(size)
            .map(|width| EdgeTile { hashes: take(width), peaks: take(width.count_ones() as usize) })
            .collect();
        Some(Self { size, levels })
    }
}

impl EdgeTile {
    /// Adds a hash; when that fills the tile, empties it and returns its hashes and their root.
    fn push(&mut self, hash: Digest) -> Option<(Vec<Digest>, Digest)> {
        self.hashes.push(hash);
        let mut peak = hash;
        // INVARIANT (peaks): every trailing zero bit of the new width is a pair of equal subtrees that becomes one.
        for _ in 0..self.hashes.len().trailing_zeros() {
            if let Some(left) = self.peaks.pop() {
                peak = node_hash(&left, &peak);
            }
        }
        if self.hashes.len() as u64 == TILE_WIDTH {
            return Some((std::mem::take(&mut self.hashes), peak));
        }
        self.peaks.push(peak);
        None
    }
}
