//! Signing the tree, and proving from it.

use std::os::unix::fs::FileExt as _;
use std::path::Path;

use hotcell_types::Digest;

use super::{Log, Position, lock};
use crate::edge::{Edge, TILE_WIDTH};
use crate::files::{Held, failed, read_at};
use crate::journal::{self, Line, Lines};
use crate::merkle::{empty_root, verify_consistency, verify_inclusion};
use crate::note::{Checkpoint, MAX_NOTE_BYTES, TreeHead, note_of};
use crate::prove::{self, Nodes};
use crate::witness::Request;
use crate::{LogError, ProofError, receipt, tile};

impl Log {
    /// Signs the tree as of a position, after making its entries durable, and stores the checkpoint
    /// unless a later one is stored.
    ///
    /// Signed are: the empty log when it is begun, and whatever a caller asks for (each receipt does).
    ///
    /// # Errors
    /// [`LogError::Forked`] when the log is no extension of the stored checkpoint; nothing is signed then.
    pub fn checkpoint(&self, at: &Position) -> Result<Checkpoint, LogError> {
        let _one_thread = lock(&self.signing);
        let _one_process = Held::exclusive(&self.checkpoint).map_err(failed("lock", &self.folder.checkpoint()))?;
        self.sync_through(at.offset)?;
        let stored = self.stored_checkpoint()?;
        let before = stored.head();
        // INVARIANT (one-history): what is signed extends what was signed before.
        let consistent = if before.size <= at.size {
            self.root_at(before.size)? == before.root
        } else {
            stored.verify(&self.key.verifying()).is_ok()
        };
        if !consistent {
            return Err(LogError::Forked { size: before.size });
        }
        let signed = TreeHead { origin: self.origin.clone(), size: at.size, root: at.root }.sign(&self.key);
        if before.size <= at.size {
            self.store_checkpoint(&signed)?;
        }
        Ok(signed)
    }

    /// The proof that entry `index` is in the tree as of a position, from the leaf's sibling upward.
    ///
    /// # Errors
    /// [`ProofError::OutOfRange`] in [`LogError::Proof`]; [`LogError::Damaged`] when the journal no
    /// longer gives the tree of that position.
    pub fn inclusion_proof(&self, index: u64, at: &Position) -> Result<Vec<Digest>, LogError> {
        if index >= at.size {
            return Err(ProofError::OutOfRange { index, size: at.size }.into());
        }
        self.proved(at, |nodes| {
            let leaf = nodes.node(0, index)?;
            let proof = prove::inclusion(index, at.size, nodes)?;
            Ok(verify_inclusion(index, at.size, &leaf, &proof, &at.root).is_ok().then_some(proof))
        })
    }

    /// The proof that the tree as of a position begins with the tree of an earlier head.
    ///
    /// # Errors
    /// [`ProofError::NoSubtree`] in [`LogError::Proof`] when the earlier head is empty or the later one;
    /// [`LogError::Forked`] when it is no earlier head of this log.
    pub fn consistency_proof(&self, earlier: &TreeHead, at: &Position) -> Result<Vec<Digest>, LogError> {
        if earlier.size == 0 || earlier.size > at.size {
            return Err(ProofError::NoSubtree { start: 0, end: earlier.size, size: at.size }.into());
        }
        if self.proved(at, |nodes| prove::range_hash(0, earlier.size, nodes).map(Some))? != earlier.root {
            return Err(LogError::Forked { size: earlier.size });
        }
        self.proved(at, |nodes| {
            let proof = prove::consistency(earlier.size, at.size, nodes)?;
            let holds = verify_consistency(earlier.size, at.size, &earlier.root, &at.root, &proof).is_ok();
            Ok(holds.then_some(proof))
        })
    }

    /// The checkpoint that was signed last.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn last_checkpoint(&self) -> Result<Checkpoint, LogError> {
        let _one_process = Held::shared(&self.checkpoint).map_err(failed("lock", &self.folder.checkpoint()))?;
        let stored = self.stored_checkpoint()?;
        stored.verify(&self.key.verifying())?;
        Ok(stored)
    }

    /// The proof that entry `index` is in the tree of a checkpoint, as a C2SP tlog-proof.
    ///
    /// # Errors
    /// As [`Log::inclusion_proof`].
    pub fn prove_entry(&self, index: u64, checkpoint: &Checkpoint) -> Result<String, LogError> {
        self.end()?;
        let proof = self.inclusion_proof(index, &Position::of(checkpoint.head()))?;
        Ok(receipt::proof_text(index, &proof, checkpoint))
    }

    /// What a witness that saw the first `old` entries is asked: to countersign the last checkpoint.
    ///
    /// # Errors
    /// [`ProofError::OutOfRange`] in [`LogError::Proof`] when fewer are signed; [`LogError::Forked`].
    pub fn request(&self, old: u64) -> Result<Request, LogError> {
        let checkpoint = self.last_checkpoint()?;
        self.end()?;
        let at = Position::of(checkpoint.head());
        if old > at.size {
            return Err(ProofError::OutOfRange { index: old, size: at.size }.into());
        }
        if old == 0 || old == at.size {
            return Ok(Request::new(old, Vec::new(), checkpoint));
        }
        let root = self.proved(&at, |nodes| prove::range_hash(0, old, nodes).map(Some))?;
        let earlier = TreeHead { origin: self.origin.clone(), size: old, root };
        let proof = self.consistency_proof(&earlier, &at)?;
        Ok(Request::new(old, proof, checkpoint))
    }

    /// Writes all tiles and bundles of entries that belong to the stored checkpoint, as C2SP tlog-tiles
    /// has them, so that the folder can be served or copied. Reads the whole journal.
    ///
    /// # Errors
    /// [`LogError::Forked`] when the journal does not give the checkpoint's root.
    pub fn publish(&self) -> Result<Checkpoint, LogError> {
        let _one_thread = lock(&self.signing);
        let _one_process = Held::exclusive(&self.checkpoint).map_err(failed("lock", &self.folder.checkpoint()))?;
        let stored = self.stored_checkpoint()?;
        self.write_tiles(stored.head().size, &stored.head().root)?;
        Ok(stored)
    }

    pub(super) fn read_checkpoint(&self) -> Result<String, LogError> {
        let bytes = read_at(&self.checkpoint, 0, MAX_NOTE_BYTES).map_err(failed("read", &self.folder.checkpoint()))?;
        Ok(note_of(&bytes))
    }

    pub(super) fn stored_checkpoint(&self) -> Result<Checkpoint, LogError> {
        let text = self.read_checkpoint()?;
        if text.is_empty() {
            return Err(LogError::NoCheckpoint);
        }
        let stored: Checkpoint = text.parse()?;
        if stored.head().origin != self.origin {
            return Err(LogError::OtherOrigin {
                path: self.folder.checkpoint(),
                found: stored.head().origin.to_string(),
                expected: self.origin.to_string(),
            });
        }
        Ok(stored)
    }

    /// Overwrites the checkpoint in one write that fits a sector: an origin is at most 128 bytes long and
    /// sizes only grow, so that a later text is never shorter.
    pub(super) fn store_checkpoint(&self, signed: &Checkpoint) -> Result<(), LogError> {
        let text = signed.text().as_bytes();
        let write = || -> std::io::Result<()> {
            let length = self.checkpoint.metadata()?.len();
            let longer = usize::try_from(text.len() as u64 - length.min(text.len() as u64)).unwrap_or(0);
            if longer > 0 && length > 0 {
                // Once per power of ten: its new length is durable before its new text, which a loss of power
                // could otherwise leave without its end.
                self.checkpoint.write_all_at(&vec![b'\n'; longer], length)?;
                self.checkpoint.sync_all()?;
            }
            self.checkpoint.write_all_at(text, 0)?;
            self.checkpoint.set_len(text.len() as u64)
        };
        write().map_err(failed("write", &self.folder.checkpoint()))
    }

    fn root_at(&self, size: u64) -> Result<Digest, LogError> {
        let state = lock(&self.state);
        if size == state.head.edge.size() {
            return Ok(state.head.edge.root());
        }
        let now = Position { first: 0, size: state.head.edge.size(), root: state.head.edge.root(), offset: 0 };
        drop(state);
        self.proved(&now, |nodes| prove::range_hash(0, size, nodes).map(Some))
    }

    /// Makes something from the tree; when a tile is missing or leads elsewhere, all tiles are made again
    /// from the journal, once.
    fn proved<T>(
        &self,
        at: &Position,
        make: impl Fn(&mut TreeReader<'_>) -> Result<Option<T>, Missing>,
    ) -> Result<T, LogError> {
        let attempt = || -> Result<Option<T>, LogError> {
            let state = lock(&self.state);
            let mut nodes = TreeReader { dir: self.folder.dir(), edge: &state.head.edge, last: None };
            if at.size > nodes.edge.size() {
                return Err(ProofError::OutOfRange { index: at.size, size: nodes.edge.size() }.into());
            }
            Ok(make(&mut nodes).ok().flatten())
        };
        if let Some(made) = attempt()? {
            return Ok(made);
        }
        self.write_tiles(at.size, &at.root)?;
        attempt()?.ok_or(LogError::Forked { size: at.size })
    }

    /// Makes the tiles and bundles of the tree of `size` entries from the journal.
    fn write_tiles(&self, size: u64, root: &Digest) -> Result<(), LogError> {
        let path = self.folder.journal();
        let start = journal::header(&self.origin).len() as u64;
        // A file of its own, as its position must not be shared with other threads.
        let file = crate::files::open_to_read(&path)?;
        let end = file.metadata().map_err(failed("read", &path))?.len();
        let mut lines = Lines::new(file, start, end).map_err(failed("read", &path))?;
        let mut writer = crate::publish::Publisher::new(self.folder.dir());
        while writer.size() < size {
            match lines.next().map_err(failed("read", &path))? {
                Line::Entry { entry, leaf, .. } => {
                    writer.push(entry.to_vec(), leaf).map_err(failed("write a tile of", &path))?
                }
                Line::Bad { offset, .. } => return Err(LogError::Damaged { index: writer.size(), offset }),
                Line::End => return Err(LogError::Truncated { entries: writer.size(), signed: size }),
            }
        }
        if writer.root() != *root {
            return Err(LogError::Forked { size });
        }
        writer.finish().map_err(failed("write a tile of", &path))
    }
}

/// A tile that a proof needs is not there.
struct Missing;

/// Hashes from the right edge in memory and the full tiles on disk.
struct TreeReader<'a> {
    dir: &'a Path,
    edge: &'a Edge,
    last: Option<(u32, u64, Vec<Digest>)>,
}

impl Nodes for TreeReader<'_> {
    type Error = Missing;

    fn node(&mut self, height: u32, index: u64) -> Result<Digest, Missing> {
        let (level, above) = (height / 8, height % 8);
        let first = index << above;
        let (tile, from) = (first / TILE_WIDTH, (first % TILE_WIDTH) as usize);
        let hashes = self.tile(level, tile)?.get(from..from + (1 << above)).ok_or(Missing)?;
        Ok(fold(hashes))
    }
}

impl TreeReader<'_> {
    fn tile(&mut self, level: u32, index: u64) -> Result<&[Digest], Missing> {
        // The unfinished tile of a level has the index that the next full one will have.
        if index == self.edge.size().checked_shr(8 * (level + 1)).unwrap_or(0) {
            return Ok(self.edge.tile(level));
        }
        if !matches!(&self.last, Some((l, i, _)) if (*l, *i) == (level, index)) {
            let hashes = tile::read_full(self.dir, level, index).ok().flatten().ok_or(Missing)?;
            self.last = Some((level, index, hashes));
        }
        self.last.as_ref().map(|(_, _, hashes)| hashes.as_slice()).ok_or(Missing)
    }
}

/// The root of a complete subtree with these leaves, a power of two in number.
fn fold(hashes: &[Digest]) -> Digest {
    let mut level = hashes.to_vec();
    while level.len() > 1 {
        level = level.as_chunks::<2>().0.iter().map(|[left, right]| crate::merkle::node_hash(left, right)).collect();
    }
    level.first().copied().unwrap_or_else(empty_root)
}
