//! Index files (`docs/formats/fingerprints.md`): written whole, read whole, refused when a bit of them is wrong.

use std::io::{self, Read, Write};

use hotcell_crypto::sha256;
use hotcell_types::{Exit, Explain};

use super::record::{self, Records, SPANS};
use super::stretch::{self, MAX_BUCKET_BITS, Stretches};
use super::{Fingerprints, KEY_BYTES, Size};

const MAGIC: &[u8; 8] = b"hotcelFP";
const VERSION: u16 = 1;
const HEADER_BYTES: usize = 80;
const DIGEST_BYTES: usize = 32;
/// Longest index file.
pub const MAX_INDEX_BYTES: u64 = 1 << 30;

/// Why an index file is not used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// It cannot be read.
    #[error("the index of fingerprints cannot be read")]
    Read(#[source] io::Error),
    /// It is none.
    #[error("this is no index of fingerprints")]
    NotAnIndex,
    /// It is of another version.
    #[error("the index of fingerprints has version {version}, and this program knows {VERSION}")]
    Version {
        /// Its version.
        version: u16,
    },
    /// It was cut, changed or never right.
    #[error("the index of fingerprints is damaged")]
    Damaged,
    /// It was made of other inputs than those of the task.
    #[error("the index of fingerprints is of {indexed} bytes of input, and the task's inputs have {there}")]
    OtherInputs {
        /// Bytes that it knows.
        indexed: u64,
        /// Bytes of the inputs.
        there: u64,
    },
    /// It is too long.
    #[error("the index of fingerprints is longer than {MAX_INDEX_BYTES} bytes")]
    TooLong,
}

impl Fingerprints {
    /// Writes it.
    ///
    /// # Errors
    /// What the writer says.
    pub fn write(&self, mut to: impl Write) -> io::Result<()> {
        to.write_all(&self.to_bytes())
    }

    fn to_bytes(&self) -> Vec<u8> {
        let (bits, starts, prints) = self.stretches.parts();
        let (records, span, values) = self.records.parts();
        let mut bytes = Vec::with_capacity(HEADER_BYTES + starts.len() * 4 + prints.len() + values.len() * 8 + 32);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_be_bytes());
        bytes.push(match self.size {
            Size::Fine => 1,
            Size::Coarse => 2,
        });
        bytes.push(bits as u8);
        bytes.extend_from_slice(&span.to_be_bytes());
        bytes.extend_from_slice(&self.key);
        bytes.extend_from_slice(&self.input_bytes.to_be_bytes());
        bytes.extend_from_slice(&(self.stretches.len() as u64).to_be_bytes());
        bytes.extend_from_slice(&(values.len() as u64).to_be_bytes());
        bytes.extend_from_slice(&u64::from(records).to_be_bytes());
        debug_assert_eq!(bytes.len(), HEADER_BYTES);
        starts.iter().for_each(|start| bytes.extend_from_slice(&start.to_be_bytes()));
        bytes.extend_from_slice(prints);
        for (value, record) in values {
            bytes.extend_from_slice(&value.to_be_bytes());
            bytes.extend_from_slice(&record.to_be_bytes());
        }
        let digest = sha256(&bytes);
        bytes.extend_from_slice(&digest.0);
        bytes
    }

    /// Reads one, and believes nothing of it before its digest fits.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn read(from: impl Read) -> Result<Self, IndexError> {
        let mut bytes = Vec::new();
        from.take(MAX_INDEX_BYTES + 1).read_to_end(&mut bytes).map_err(IndexError::Read)?;
        if bytes.len() as u64 > MAX_INDEX_BYTES {
            return Err(IndexError::TooLong);
        }
        if !bytes.starts_with(MAGIC) {
            return Err(IndexError::NotAnIndex);
        }
        let version =
            bytes.get(8..10).and_then(|bytes| bytes.first_chunk()).map_or(0, |bytes| u16::from_be_bytes(*bytes));
        if version != VERSION {
            return Err(IndexError::Version { version });
        }
        let body = bytes.len().checked_sub(DIGEST_BYTES).and_then(|end| bytes.split_at_checked(end));
        let Some((body, digest)) = body else { return Err(IndexError::Damaged) };
        if sha256(body).0 != digest {
            return Err(IndexError::Damaged);
        }
        Self::of_body(body).ok_or(IndexError::Damaged)
    }

    /// The digest tells of an accident only; what an index file can hold at all is checked here.
    fn of_body(body: &[u8]) -> Option<Self> {
        let (header, rest) = body.split_at_checked(HEADER_BYTES)?;
        let u32_at = |at: usize| header.get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
        let u64_at = |at: usize| header.get(at..)?.first_chunk().map(|bytes| u64::from_be_bytes(*bytes));
        let size = match header.get(10)? {
            1 => Size::Fine,
            2 => Size::Coarse,
            _ => return None,
        };
        let bits = u32::from(*header.get(11)?);
        let span = u32_at(12)?;
        let key: [u8; KEY_BYTES] = *header.get(16..)?.first_chunk()?;
        let input_bytes = u64_at(48)?;
        let prints = usize::try_from(u64_at(56)?).ok()?;
        let values = usize::try_from(u64_at(64)?).ok()?;
        let records = u32::try_from(u64_at(72)?).ok()?;
        if bits > MAX_BUCKET_BITS || span > *SPANS.end() {
            return None;
        }
        let (starts, rest) = rest.split_at_checked(((1 << bits) + 1) * 4)?;
        let (entries, rest) = rest.split_at_checked(prints.checked_mul(stretch::ENTRY_BYTES)?)?;
        if rest.len() != values.checked_mul(record::ENTRY_BYTES)? {
            return None;
        }
        let starts: Vec<u32> = starts.as_chunks().0.iter().map(|bytes| u32::from_be_bytes(*bytes)).collect();
        if !starts.is_sorted() || starts.first() != Some(&0) || starts.last().map(|last| *last as usize) != Some(prints)
        {
            return None;
        }
        let pair = |bytes: &[u8; 8]| {
            let [a, b, c, d, e, f, g, h] = *bytes;
            (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]))
        };
        let values: Vec<(u32, u32)> = rest.as_chunks().0.iter().map(pair).collect();
        if !values.is_sorted() || values.iter().any(|(_, record)| *record >= records) {
            return None;
        }
        let stretches = Stretches::with(size, key, bits, starts, entries.to_vec());
        Some(Self { size, key, input_bytes, stretches, records: Records::with(&key, records, span, values) })
    }
}

impl Explain for IndexError {
    fn code(&self) -> &'static str {
        match self {
            Self::Read(_) => "INS-521",
            Self::NotAnIndex => "INS-522",
            Self::Version { .. } => "INS-523",
            Self::Damaged => "INS-524",
            Self::TooLong => "INS-525",
            Self::OtherInputs { .. } => "INS-526",
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::Read(_) => "check that the file exists and that you may read it",
            Self::NotAnIndex => "name a file that `hotcell fingerprint` wrote",
            Self::Version { .. } | Self::Damaged => "make it again: hotcell fingerprint PATH --output INDEX",
            Self::OtherInputs { .. } => {
                "make it of all inputs of the task as they are now: hotcell fingerprint PATH --output INDEX"
            }
            Self::TooLong => "make a coarse index (hotcell fingerprint --coarse), or one for each part of the input",
        }
        .to_owned()
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Read(_) => Exit::Failed,
            Self::NotAnIndex | Self::Version { .. } | Self::Damaged | Self::TooLong | Self::OtherInputs { .. } => {
                Exit::Integrity
            }
        }
    }
}
