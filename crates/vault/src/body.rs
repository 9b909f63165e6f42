//! The body: chunks of one size, each encrypted and bound to its place, and the digest over all of them.

use std::io::{ErrorKind, Read};

use hotcell_crypto::{ChunkCipher, NONCE_BYTES, Sha256Stream, SymmetricKey, TAG_BYTES};
use hotcell_types::Digest;

use crate::error::{PackageError, Part};

/// How a body of some size is cut into chunks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut {
    body_bytes: u64,
    chunk_bytes: u32,
}

impl Cut {
    pub(crate) fn new(body_bytes: u64, chunk_bytes: u32) -> Self {
        Self { body_bytes, chunk_bytes }
    }

    /// How many chunks there are; an empty body has one, so that there is something to authenticate.
    pub(crate) fn chunks(self) -> u64 {
        self.body_bytes.div_ceil(self.chunk_bytes.into()).max(1)
    }

    /// The plain bytes of one chunk.
    pub(crate) fn length(self, index: u64) -> usize {
        let start = index.saturating_mul(self.chunk_bytes.into());
        // At most `chunk_bytes`, a u32.
        self.body_bytes.saturating_sub(start).min(self.chunk_bytes.into()) as usize
    }

    /// The largest chunk of all.
    pub(crate) fn longest(self) -> usize {
        self.length(0)
    }

    /// INVARIANT (chunk-place): the nonce is the place and whether it is the last, so that a chunk
    /// authenticates nowhere else. The key is used for this body only, so no nonce comes twice.
    pub(crate) fn nonce(self, index: u64) -> [u8; NONCE_BYTES] {
        let last = u8::from(index + 1 == self.chunks());
        let [a, b, c, d, e, f, g, h] = index.to_be_bytes();
        [0, 0, 0, last, a, b, c, d, e, f, g, h]
    }
}

/// The cipher of the body that belongs to this header.
pub(crate) fn cipher(data_key: &SymmetricKey, binding: &Digest) -> Option<ChunkCipher> {
    ChunkCipher::new(&data_key.derive(&binding.0, BODY_LABEL))
}

/// The package digest: over the binding and the digests of the encrypted chunks, in order.
///
/// Chunks are hashed one by one, so that several can be hashed at once.
pub(crate) struct PackageDigest(Sha256Stream);

impl PackageDigest {
    pub(crate) fn new(binding: &Digest) -> Self {
        let mut root = Sha256Stream::new();
        root.update(ROOT_LABEL);
        root.update(&binding.0);
        Self(root)
    }

    pub(crate) fn add(&mut self, index: u64, sealed: &[u8], tag: &[u8; TAG_BYTES]) {
        let mut chunk = Sha256Stream::new();
        for part in [CHUNK_LABEL, &index.to_be_bytes(), sealed, tag] {
            chunk.update(part);
        }
        self.0.update(&chunk.finish().0);
    }

    pub(crate) fn finish(self) -> Digest {
        self.0.finish()
    }
}

/// What the vendor signs at the end.
pub(crate) fn trailer_message(package: &Digest) -> Vec<u8> {
    [TRAILER_LABEL, &package.0].concat()
}

/// Fills the buffer from a reader; an early end is a cut-off part.
pub(crate) fn read_part(from: &mut impl Read, buffer: &mut [u8], part: Part) -> Result<(), PackageError> {
    from.read_exact(buffer).map_err(|source| match source.kind() {
        ErrorKind::UnexpectedEof => PackageError::Truncated { part },
        _ => PackageError::Read { part, source },
    })
}

/// Whether a reader has come to its end.
pub(crate) fn is_at_end(from: &mut impl Read) -> std::io::Result<bool> {
    loop {
        match from.read(&mut [0]) {
            Ok(count) => return Ok(count == 0),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

const BODY_LABEL: &[u8] = b"hotcell sealed package v1 body key\0";
const CHUNK_LABEL: &[u8] = b"hotcell sealed package v1 chunk\0";
const ROOT_LABEL: &[u8] = b"hotcell sealed package v1 root\0";
const TRAILER_LABEL: &[u8] = b"hotcell sealed package v1 trailer\0";
