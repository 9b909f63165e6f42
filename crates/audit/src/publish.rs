//! Writing a tree's tiles and bundles of entries, from its entries in order.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use hotcell_types::Digest;

use crate::edge::{Edge, TILE_WIDTH};
use crate::tile;

/// Makes the files of a growing tree; what is on disk as it should be is left alone.
pub(crate) struct Publisher {
    dir: PathBuf,
    edge: Edge,
    /// The entries since the last full bundle.
    entries: Vec<Vec<u8>>,
}

impl Publisher {
    pub(crate) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), edge: Edge::default(), entries: Vec::new() }
    }

    /// Number of entries so far.
    pub(crate) fn size(&self) -> u64 {
        self.edge.size()
    }

    /// Root hash so far.
    pub(crate) fn root(&self) -> Digest {
        self.edge.root()
    }

    /// Adds an entry and writes what it completes.
    pub(crate) fn push(&mut self, entry: Vec<u8>, leaf: Digest) -> io::Result<()> {
        self.entries.push(entry);
        for full in self.edge.push(leaf) {
            self.put(tile::hash_path(full.level, full.index, TILE_WIDTH), &tile::hash_bytes(&full.hashes))?;
            if full.level == 0 {
                let entries = std::mem::take(&mut self.entries);
                self.put(tile::entries_path(full.index, TILE_WIDTH), &tile::bundle_bytes(&entries))?;
            }
        }
        Ok(())
    }

    /// Writes the partial tiles of the tree as it is, in place of those of smaller trees.
    pub(crate) fn finish(self) -> io::Result<()> {
        let mut rest = self.size();
        for level in 0.. {
            if rest == 0 {
                break;
            }
            let hashes = self.edge.tile(level);
            if !hashes.is_empty() {
                let width = hashes.len() as u64;
                self.put(tile::hash_path(level, rest / TILE_WIDTH, width), &tile::hash_bytes(hashes))?;
            }
            rest /= TILE_WIDTH;
        }
        if !self.entries.is_empty() {
            let below = tile::entries_path(self.size() / TILE_WIDTH, self.entries.len() as u64);
            self.put(below, &tile::bundle_bytes(&self.entries))?;
        }
        Ok(())
    }

    fn put(&self, below: PathBuf, bytes: &[u8]) -> io::Result<()> {
        if fs::read(self.dir.join(&below)).is_ok_and(|there| there == bytes) {
            return Ok(());
        }
        tile::put(&self.dir, &below, bytes, ".pub")
    }
}
