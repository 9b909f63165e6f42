//! The header: what a package says of itself, parsed within hard bounds.

use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hotcell_crypto::{Sealed, Sha256Stream, SymmetricKey, VerifyingKey, WRAPPED_KEY_BYTES};
use hotcell_types::Digest;
use serde::{Deserialize, Serialize};

use crate::body::read_part;
use crate::error::{PackageError, Part};
use crate::terms::{Runners, Terms};

/// A header that was parsed and is within bounds. It is **not** authenticated: nothing of it can be
/// read until [`Package::unlock`](crate::Package::unlock) has verified it.
pub struct Header {
    /// What is signed: magic to contents, as read.
    pub(crate) signed: Vec<u8>,
    pub(crate) signature: [u8; 64],
    pub(crate) mac: [u8; 32],
    pub(crate) contents: Contents,
}

impl Header {
    /// Reads a header from the beginning of a package and leaves the reader at the binding.
    pub(crate) fn read<R: Read>(mut from: R) -> Result<Self, PackageError> {
        let magic: [u8; 8] = read_array(&mut from)?;
        if magic != MAGIC {
            return Err(PackageError::NotAPackage);
        }
        let version: [u8; 2] = read_array(&mut from)?;
        if version != VERSION.to_be_bytes() {
            return Err(PackageError::UnknownVersion { found: u16::from_be_bytes(version) });
        }
        let suite: [u8; 2] = read_array(&mut from)?;
        if suite != SUITE.to_be_bytes() {
            return Err(PackageError::UnknownSuite { found: u16::from_be_bytes(suite) });
        }
        let length: [u8; 4] = read_array(&mut from)?;
        let bytes = u32::from_be_bytes(length);
        if bytes > MAX_HEADER_BYTES {
            return Err(PackageError::HeaderTooLong { found: bytes });
        }
        let mut json = vec![0; bytes as usize];
        read_part(&mut from, &mut json, Part::Header)?;
        let signature = read_array(&mut from)?;
        let mac = read_array(&mut from)?;
        let contents = Contents::parse(&json)?;
        let signed = [&magic[..], &version, &suite, &length, &json].concat();
        Ok(Self { signed, signature, mac, contents })
    }

    /// A header as it is written, before signature and MAC.
    pub(crate) fn signed_bytes(contents: &Contents) -> Result<Vec<u8>, PackageError> {
        contents.check().map_err(|what| PackageError::Spec { what })?;
        let json = serde_json::to_vec(&contents).map_err(|source| PackageError::HeaderMalformed { source })?;
        let bytes = u32::try_from(json.len())
            .ok()
            .filter(|bytes| *bytes <= MAX_HEADER_BYTES)
            .ok_or(PackageError::Spec { what: "the header would have more than 256 KiB" })?;
        Ok([&MAGIC[..], &VERSION.to_be_bytes(), &SUITE.to_be_bytes(), &bytes.to_be_bytes(), &json].concat())
    }

    /// What the vendor signs.
    pub(crate) fn signature_message(signed: &[u8]) -> Vec<u8> {
        [HEADER_LABEL, signed].concat()
    }

    /// The MAC's key and message.
    pub(crate) fn mac_input(data_key: &SymmetricKey, signed: &[u8], signature: &[u8; 64]) -> (SymmetricKey, Vec<u8>) {
        (data_key.derive(b"", MAC_LABEL), [signed, signature].concat())
    }

    /// The digest that stands between header and body, and salts the body's key.
    pub(crate) fn binding(signed: &[u8], signature: &[u8; 64], mac: &[u8; 32]) -> Digest {
        let mut hash = Sha256Stream::new();
        for part in [BINDING_LABEL, signed, signature, mac] {
            hash.update(part);
        }
        hash.finish()
    }
}

impl std::fmt::Debug for Header {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Header(unverified)")
    }
}

/// The contents of a header.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contents {
    pub(crate) model: String,
    pub(crate) version: u64,
    pub(crate) vendor: String,
    pub(crate) chunk_bytes: u32,
    pub(crate) files: Vec<FileEntry>,
    /// The data key, sealed to each recipient, in base 64.
    pub(crate) recipients: Vec<String>,
    pub(crate) terms: Terms,
}

/// One file of the body; the files follow each other in the order of the table.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileEntry {
    pub(crate) name: String,
    pub(crate) bytes: u64,
}

impl Contents {
    fn parse(json: &[u8]) -> Result<Self, PackageError> {
        let contents: Self = serde_json::from_slice(json).map_err(|source| PackageError::HeaderMalformed { source })?;
        contents.check().map_err(|what| PackageError::HeaderOutOfBounds { what })?;
        Ok(contents)
    }

    /// The bounds; they hold for what is written as for what is read.
    fn check(&self) -> Result<(), &'static str> {
        let bounds = [
            (is_model_id(&self.model), "the model id must have 1 to 128 of a-z, A-Z, 0-9, `.`, `_`, `-`, `/`"),
            (self.version >= 1, "the model version must be at least 1"),
            (self.vendor.parse::<VerifyingKey>().is_ok(), "the vendor must be a public signing key"),
            (
                self.chunk_bytes.is_power_of_two() && (MIN_CHUNK_BYTES..=MAX_CHUNK_BYTES).contains(&self.chunk_bytes),
                "the chunk size must be a power of two from 4 KiB to 16 MiB",
            ),
            (self.files.len() == 1, "this version of Hotcell takes packages of exactly one file"),
            (
                self.files.iter().all(|file| is_file_name(&file.name)),
                "a file name must be 1 to 255 bytes of letters, digits, blanks and `._-+()`, beginning with a letter or digit",
            ),
            (self.files.iter().all(|file| file.bytes <= MAX_FILE_BYTES), "a file may have at most 1 TiB"),
            ((1..=MAX_RECIPIENTS).contains(&self.recipients.len()), "there must be 1 to 64 recipients"),
            (self.sealed_keys().is_some(), "a sealed key must be 80 bytes in base 64"),
            (
                !matches!(&self.terms.runners, Runners::Digests(digests) if digests.is_empty() || digests.len() > MAX_DIGESTS),
                "the terms may name 1 to 64 programs",
            ),
        ];
        bounds.into_iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, what)| Err(what))
    }

    /// The data key as sealed to each recipient.
    pub(crate) fn sealed_keys(&self) -> Option<Vec<Sealed<SymmetricKey>>> {
        let decode = |text: &String| {
            STANDARD.decode(text).ok().filter(|bytes| bytes.len() == WRAPPED_KEY_BYTES).map(Sealed::from_bytes)
        };
        self.recipients.iter().map(decode).collect()
    }

    /// A sealed data key as the header carries it.
    pub(crate) fn recipient(sealed: &Sealed<SymmetricKey>) -> String {
        STANDARD.encode(sealed.as_bytes())
    }

    /// The plain bytes of the body.
    pub(crate) fn body_bytes(&self) -> u64 {
        // At most MAX_FILES files of at most 1 TiB: no overflow.
        self.files.iter().map(|file| file.bytes).sum()
    }
}

fn is_model_id(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte))
}

/// One component, without anything that a shell, a terminal or a path could take for something else.
fn is_file_name(text: &str) -> bool {
    text.len() <= 255
        && text.starts_with(char::is_alphanumeric)
        && text.chars().all(|letter| letter.is_alphanumeric() || " ._-+()".contains(letter))
}

fn read_array<const N: usize>(from: &mut impl Read) -> Result<[u8; N], PackageError> {
    let mut bytes = [0; N];
    read_part(from, &mut bytes, Part::Header)?;
    Ok(bytes)
}

/// A byte that is no text, then the name.
pub(crate) const MAGIC: [u8; 8] = *b"\x89HOTCELL";
/// The only version there is.
const VERSION: u16 = 1;
/// DHKEM(X25519, HKDF-SHA256) with HKDF-SHA256 and AES-256-GCM; HMAC-SHA256; SHA-256; Ed25519; AES-256-GCM.
pub(crate) const SUITE: u16 = 1;
/// Enough for all recipients, digests and files, and little enough to be read at once.
pub(crate) const MAX_HEADER_BYTES: u32 = 256 * 1024;
/// Below, tags and calls cost more than they protect.
const MIN_CHUNK_BYTES: u32 = 4 * 1024;
/// A chunk is held in memory twice.
const MAX_CHUNK_BYTES: u32 = 16 * 1024 * 1024;
/// Larger than any model known, and far below what one GCM key may encrypt.
const MAX_FILE_BYTES: u64 = 1 << 40;
/// Each costs a trial decryption (0.1 ms).
const MAX_RECIPIENTS: usize = 64;
/// A longer list of programs is no list of terms.
const MAX_DIGESTS: usize = 64;

// The labels that keep one use of a key or hash apart from every other.
const HEADER_LABEL: &[u8] = b"hotcell sealed package v1 header\0";
const MAC_LABEL: &[u8] = b"hotcell sealed package v1 header mac\0";
const BINDING_LABEL: &[u8] = b"hotcell sealed package v1 binding\0";
