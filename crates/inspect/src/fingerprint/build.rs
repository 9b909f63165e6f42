//! An index is built: inputs go in one by one, in pieces or as readers.

use std::io::{self, Read};

use hotcell_types::{Exit, Explain};

use super::record::Records;
use super::stretch::{Sampler, Stretches};
use super::tables::{Cells, Form, MAX_CELLS};
use super::tokens::ValueHash;
use super::{Fingerprints, KEY_BYTES, Size};

/// Builds [`Fingerprints`] under a new key.
#[derive(Debug)]
pub struct Builder {
    size: Size,
    key: [u8; KEY_BYTES],
    hash: ValueHash,
    sampler: Sampler,
    cells: Cells,
    input_bytes: u64,
}

/// Larger tables are known by their stretches alone, and that is an error; other files have no such bound.
const MAX_TABLE_BYTES: usize = 512 << 20;
/// Prints of all inputs together.
const MAX_PRINTS: usize = 64 << 20;
/// What a packed input may be unpacked to, as a multiple and a sum.
const UNPACKED_SHARE: u64 = 1100;
const UNPACKED_BYTES: u64 = 8 << 30;
/// How much is read to see what a file is.
const HEAD_BYTES: u64 = 64 << 10;

/// Why an index cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// An input cannot be read.
    #[error("the input `{name}` cannot be read for its fingerprints")]
    Read {
        /// Its name.
        name: String,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// There is more than an index holds.
    #[error("the inputs hold more than can be fingerprinted: at most {most} {what}")]
    TooLarge {
        /// The bound.
        most: usize,
        /// Of what.
        what: &'static str,
    },
}

impl Builder {
    /// Nothing yet, under a new key.
    pub fn new(size: Size) -> Self {
        Self::with_key(size, hotcell_crypto::random())
    }

    pub(crate) fn with_key(size: Size, key: [u8; KEY_BYTES]) -> Self {
        let sampler = Sampler::new(size, key);
        Self { size, key, hash: ValueHash::of(&key), sampler, cells: Cells::default(), input_bytes: 0 }
    }

    /// Adds an input: a table by records and stretches, gzip and Zstandard by what they hold too, all else by stretches.
    ///
    /// # Errors
    /// [`BuildError`]; the index is then of no use.
    pub fn add(&mut self, name: &str, mut from: impl Read) -> Result<(), BuildError> {
        let unreadable = |source| BuildError::Read { name: name.to_owned(), source };
        let mut head = Vec::new();
        from.by_ref().take(HEAD_BYTES).read_to_end(&mut head).map_err(unreadable)?;
        if head.starts_with(b"\x1f\x8b\x08") || head.starts_with(b"\x28\xb5\x2f\xfd") {
            let mut packed = head;
            from.take(MAX_TABLE_BYTES as u64).read_to_end(&mut packed).map_err(unreadable)?;
            self.begin(0);
            self.feed(&packed)?;
            let read = self.input_bytes;
            let most = (packed.len() as u64).saturating_mul(UNPACKED_SHARE).min(UNPACKED_BYTES);
            // What breaks off or is no such stream gave what it gave: the rest is known as it stands.
            let unpacked = match packed.starts_with(b"\x1f\x8b\x08") {
                true => self.add_unpacked(name, flate2::bufread::MultiGzDecoder::new(packed.as_slice()).take(most)),
                false => match ruzstd::decoding::StreamingDecoder::new(packed.as_slice()) {
                    Ok(decoder) => self.add_unpacked(name, decoder.take(most)),
                    Err(_) => Ok(()),
                },
            };
            self.input_bytes = read;
            return unpacked;
        }
        self.add_plain(name, head, from)
    }

    fn add_unpacked(&mut self, name: &str, from: impl Read) -> Result<(), BuildError> {
        let mut from = Lenient(from);
        let mut head = Vec::new();
        let _ = from.by_ref().take(HEAD_BYTES).read_to_end(&mut head);
        self.add_plain(name, head, from)
    }

    fn add_plain(&mut self, name: &str, head: Vec<u8>, mut from: impl Read) -> Result<(), BuildError> {
        let unreadable = |source| BuildError::Read { name: name.to_owned(), source };
        let form = Form::of(&head);
        self.begin(form.header_bytes(&head));
        if form == Form::Other {
            self.feed(&head)?;
            let mut buffer = vec![0; 256 << 10];
            loop {
                match from.read(&mut buffer) {
                    Ok(0) => return Ok(()),
                    Ok(count) => self.feed(buffer.get(..count).unwrap_or_default())?,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(unreadable(error)),
                }
            }
        }
        let mut bytes = head;
        from.take(MAX_TABLE_BYTES as u64).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() >= MAX_TABLE_BYTES {
            return Err(BuildError::TooLarge { most: MAX_TABLE_BYTES, what: "bytes of one table" });
        }
        self.feed(&bytes)?;
        let read = self.cells.read(form, &bytes, self.hash);
        read.map_err(|_| BuildError::TooLarge { most: MAX_CELLS, what: "cells of tables" })
    }

    /// Begins an input that comes in pieces, whose first `skip` bytes are none of its content.
    pub fn begin(&mut self, skip: usize) {
        self.sampler.begin(skip);
    }

    /// Takes the next piece of it, as stretches alone.
    ///
    /// # Errors
    /// When there is more than an index holds.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), BuildError> {
        self.input_bytes += bytes.len() as u64;
        self.sampler.push(bytes);
        match self.sampler.hashes.len() > MAX_PRINTS {
            true => {
                Err(BuildError::TooLarge { most: MAX_PRINTS * self.size.step(), what: "bytes of this size of index" })
            }
            false => Ok(()),
        }
    }

    /// The index.
    pub fn finish(self) -> Fingerprints {
        let Self { size, key, sampler, cells, input_bytes, .. } = self;
        let records = Records::of(&key, cells.records, cells.span, cells.cells);
        Fingerprints { size, key, input_bytes, stretches: Stretches::of(size, key, sampler.hashes), records }
    }
}

/// What of a packed stream is whole.
struct Lenient<R>(R);

impl<R: Read> Read for Lenient<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(self.0.read(buffer).unwrap_or(0))
    }
}

impl Explain for BuildError {
    fn code(&self) -> &'static str {
        match self {
            Self::Read { .. } => "INS-511",
            Self::TooLarge { .. } => "INS-512",
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::Read { .. } => "make the input readable".to_owned(),
            Self::TooLarge { .. } => {
                "make a coarse index of it (hotcell fingerprint --coarse), or let your own profile say \
                 `fingerprints = \"off\"` under [inspection]"
                    .to_owned()
            }
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Read { .. } => Exit::Failed,
            Self::TooLarge { .. } => Exit::Usage,
        }
    }
}
