//! Sealing a model: in one pass, in constant memory.

use std::io::{ErrorKind, Read, Write};

use hotcell_crypto::{Plaintext, PublicKey, SigningKey, SymmetricKey, seal_key};
use hotcell_types::Digest;

use crate::body::{Cut, PackageDigest, cipher, is_at_end, trailer_message};
use crate::error::{PackageError, Part};
use crate::header::{Contents, FileEntry, Header};
use crate::open::key_purpose;
use crate::terms::Terms;

/// What a package is to say of itself, and to whom it is sealed.
#[derive(Debug)]
pub struct SealSpec<'a> {
    /// The model's id: 1 to 128 of `a-z A-Z 0-9 . _ - /`.
    pub model_id: &'a str,
    /// The model's version, from 1; it only ever grows.
    pub version: u64,
    /// The name under which the model appears in `/model`.
    pub file_name: &'a str,
    /// The exact size of the model.
    pub file_bytes: u64,
    /// The vendor's terms.
    pub terms: Terms,
    /// Who can open it: 1 to 64 keys.
    pub recipients: &'a [PublicKey],
    /// The vendor's key, which signs it.
    pub vendor: &'a SigningKey,
}

/// What was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealReport {
    /// The package digest: it names header and body, and is what the vendor signs. It is not the
    /// SHA-256 of the file.
    pub digest: Digest,
    /// The size of the package in bytes.
    pub bytes: u64,
}

/// Encrypts a model to its recipients under the vendor's terms and signature.
///
/// # Errors
/// [`PackageError`]; what was written until then is to be thrown away.
pub fn seal_model<R: Read, W: Write>(from: R, to: W, spec: &SealSpec<'_>) -> Result<SealReport, PackageError> {
    seal_in_chunks(from, to, spec, CHUNK_BYTES)
}

/// The chunk size is part of the header; tests use a small one.
pub(crate) fn seal_in_chunks<R: Read, W: Write>(
    mut from: R,
    to: W,
    spec: &SealSpec<'_>,
    chunk_bytes: u32,
) -> Result<SealReport, PackageError> {
    let data_key = SymmetricKey::generate();
    let signed = Header::signed_bytes(&contents(spec, chunk_bytes, &data_key)?)?;
    let signature = spec.vendor.sign(&Header::signature_message(&signed)).0;
    let (mac_key, mac_message) = Header::mac_input(&data_key, &signed, &signature);
    let mac = mac_key.mac(&mac_message);
    let binding = Header::binding(&signed, &signature, &mac);

    let mut to = Counting { to, bytes: 0 };
    for part in [&signed[..], &signature, &mac] {
        to.write(part, Part::Header)?;
    }
    to.write(&binding.0, Part::Binding)?;

    let cut = Cut::new(spec.file_bytes, chunk_bytes);
    let cipher = cipher(&data_key, &binding).ok_or(PackageError::Spec { what: "the cipher takes no such key" })?;
    let mut digest = PackageDigest::new(&binding);
    let mut buffer = Plaintext::new(vec![0; cut.longest()]);
    for index in 0..cut.chunks() {
        let chunk = buffer.expose_secret_mut().get_mut(..cut.length(index)).unwrap_or_default();
        from.read_exact(chunk).map_err(|source| match source.kind() {
            ErrorKind::UnexpectedEof => PackageError::SizeChanged { expected: spec.file_bytes, longer: false },
            _ => PackageError::Read { part: Part::Model, source },
        })?;
        let tag = cipher
            .seal(cut.nonce(index), chunk)
            .map_err(|_| PackageError::Spec { what: "the chunk is longer than the cipher allows" })?;
        digest.add(index, chunk, &tag);
        to.write(chunk, Part::Chunk(index))?;
        to.write(&tag, Part::Chunk(index))?;
    }
    if !is_at_end(&mut from).map_err(|source| PackageError::Read { part: Part::Model, source })? {
        return Err(PackageError::SizeChanged { expected: spec.file_bytes, longer: true });
    }
    let digest = digest.finish();
    to.write(&spec.vendor.sign(&trailer_message(&digest)).0, Part::Trailer)?;
    to.to.flush().map_err(|source| PackageError::Write { part: Part::Trailer, source })?;
    Ok(SealReport { digest, bytes: to.bytes })
}

fn contents(spec: &SealSpec<'_>, chunk_bytes: u32, data_key: &SymmetricKey) -> Result<Contents, PackageError> {
    let recipients = spec
        .recipients
        .iter()
        .enumerate()
        .map(|(index, recipient)| {
            seal_key(recipient, data_key, &key_purpose())
                .map(|sealed| Contents::recipient(&sealed))
                .map_err(|source| PackageError::Recipient { index, source })
        })
        .collect::<Result<_, _>>()?;
    Ok(Contents {
        model: spec.model_id.to_owned(),
        version: spec.version,
        vendor: spec.vendor.verifying().to_string(),
        chunk_bytes,
        files: vec![FileEntry { name: spec.file_name.to_owned(), bytes: spec.file_bytes }],
        recipients,
        terms: spec.terms.clone(),
    })
}

/// A writer that counts.
struct Counting<W> {
    to: W,
    bytes: u64,
}

impl<W: Write> Counting<W> {
    fn write(&mut self, bytes: &[u8], part: Part) -> Result<(), PackageError> {
        self.to.write_all(bytes).map_err(|source| PackageError::Write { part, source })?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }
}

/// The chunk size of every package that is made: tags and hashing cost nothing any more, and two
/// chunks still fit in a processor's cache.
const CHUNK_BYTES: u32 = 1024 * 1024;
