//! Opening a package: parse, verify, decrypt, in this order and no other.

use std::io::{Read, Write};

use hotcell_crypto::{ChunkCipher, Plaintext, SecretKey, TAG_BYTES, VerifyingKey, open_key};
use hotcell_types::Digest;

use crate::body::{Cut, PackageDigest, cipher, is_at_end, read_part, trailer_message};
use crate::error::{PackageError, Part};
use crate::header::{Contents, Header, MAGIC, SUITE};
use crate::terms::Terms;

/// A sealed package, as far as it is not opened.
#[derive(Debug)]
pub struct Package;

impl Package {
    /// Whether a file that begins with these bytes claims to be a sealed package (8 bytes suffice).
    pub fn is_package(prefix: &[u8]) -> bool {
        prefix.starts_with(&MAGIC)
    }

    /// Reads the header and leaves the reader at the body: pass `&mut file` to go on with the same file.
    ///
    /// # Errors
    /// [`PackageError`] when it is no package, of a later kind, cut off, malformed, or out of bounds.
    pub fn read_header<R: Read>(from: R) -> Result<Header, PackageError> {
        Header::read(from)
    }

    /// Verifies the header: the vendor's signature, then (if `trusted` is given) that the vendor is
    /// trusted, then that the key opens it and that whoever made it had the data key.
    ///
    /// # Errors
    /// [`PackageError::HeaderSignature`], [`UntrustedVendor`](PackageError::UntrustedVendor),
    /// [`WrongKey`](PackageError::WrongKey) or [`HeaderMac`](PackageError::HeaderMac).
    ///
    /// # Security
    /// Without `trusted`, the signature says that nobody changed the package after the vendor named in
    /// it made it; not that this vendor is who you think: show [`Unlocked::signer`].
    pub fn unlock(header: Header, key: &SecretKey, trusted: Option<&[VerifyingKey]>) -> Result<Unlocked, PackageError> {
        let Header { signed, signature, mac, contents } = header;
        let out_of_bounds = |what| PackageError::HeaderOutOfBounds { what };
        let vendor: VerifyingKey =
            contents.vendor.parse().map_err(|_| out_of_bounds("the vendor must be a public signing key"))?;
        vendor
            .verify(&Header::signature_message(&signed), &signature)
            .map_err(|_| PackageError::HeaderSignature { vendor })?;
        if trusted.is_some_and(|trusted| !trusted.contains(&vendor)) {
            return Err(PackageError::UntrustedVendor { vendor });
        }
        let purpose = key_purpose();
        let data_key = contents
            .sealed_keys()
            .ok_or(out_of_bounds("a sealed key must be 80 bytes in base 64"))?
            .iter()
            .find_map(|sealed| open_key(key, sealed, &purpose).ok())
            .ok_or(PackageError::WrongKey)?;
        let (mac_key, mac_message) = Header::mac_input(&data_key, &signed, &signature);
        mac_key.verify_mac(&mac_message, &mac).map_err(|_| PackageError::HeaderMac)?;

        let binding = Header::binding(&signed, &signature, &mac);
        let cipher = cipher(&data_key, &binding).ok_or(PackageError::HeaderMac)?;
        Ok(Unlocked { contents, vendor, binding, cipher })
    }
}

/// A package whose header is verified and whose body can be decrypted. Dropping it wipes the key.
pub struct Unlocked {
    contents: Contents,
    vendor: VerifyingKey,
    binding: Digest,
    cipher: ChunkCipher,
}

impl Unlocked {
    /// The vendor's terms; ask [`Terms::permits`] before opening the body.
    pub fn terms(&self) -> &Terms {
        &self.contents.terms
    }

    /// The model's id.
    pub fn model_id(&self) -> &str {
        &self.contents.model
    }

    /// The model's version.
    pub fn version(&self) -> u64 {
        self.contents.version
    }

    /// Who signed it.
    pub fn signer(&self) -> VerifyingKey {
        self.vendor
    }

    /// The model's file name: one component, safe to put below a folder.
    pub fn file_name(&self) -> &str {
        self.contents.files.first().map_or("", |file| &file.name)
    }

    /// The model's size in bytes.
    pub fn file_bytes(&self) -> u64 {
        self.contents.body_bytes()
    }

    /// Decrypts the body that follows the header, chunk by chunk; `progress` is told the plain bytes
    /// written so far.
    ///
    /// # Errors
    /// [`PackageError`]; each chunk is authenticated before a byte of it is written, but that the
    /// *vendor* made them all is known only at the end: use what was written only after success.
    pub fn open_body<R: Read, W: Write>(
        self,
        mut body: R,
        mut to: W,
        progress: &mut dyn FnMut(u64),
    ) -> Result<OpenReport, PackageError> {
        let mut binding = [0; 32];
        read_part(&mut body, &mut binding, Part::Binding)?;
        if binding != self.binding.0 {
            return Err(PackageError::ForeignBody);
        }
        let cut = Cut::new(self.contents.body_bytes(), self.contents.chunk_bytes);
        let mut digest = PackageDigest::new(&self.binding);
        let mut sealed_buffer = vec![0; cut.longest()];
        let mut plain_buffer = Plaintext::new(vec![0; cut.longest()]);
        let mut bytes = 0;
        for index in 0..cut.chunks() {
            let sealed = sealed_buffer.get_mut(..cut.length(index)).unwrap_or_default();
            let plain = plain_buffer.expose_secret_mut().get_mut(..cut.length(index)).unwrap_or_default();
            let mut tag = [0; TAG_BYTES];
            read_part(&mut body, sealed, Part::Chunk(index))?;
            read_part(&mut body, &mut tag, Part::Chunk(index))?;
            if self.cipher.open(cut.nonce(index), sealed, &tag, plain).is_err() {
                return Err(self.diagnose(cut, index, sealed, &tag, plain));
            }
            digest.add(index, sealed, &tag);
            to.write_all(plain).map_err(|source| PackageError::Write { part: Part::Model, source })?;
            bytes += plain.len() as u64;
            progress(bytes);
        }
        let mut signature = [0; 64];
        read_part(&mut body, &mut signature, Part::Trailer)?;
        let digest = digest.finish();
        self.vendor
            .verify(&trailer_message(&digest), &signature)
            .map_err(|_| PackageError::BodySignature { vendor: self.vendor })?;
        if !is_at_end(&mut body).map_err(|source| PackageError::Read { part: Part::Trailer, source })? {
            return Err(PackageError::TrailingBytes);
        }
        to.flush().map_err(|source| PackageError::Write { part: Part::Model, source })?;
        Ok(OpenReport { digest, bytes })
    }

    /// Why a chunk does not authenticate: it is changed, or it is another one of this package.
    fn diagnose(&self, cut: Cut, index: u64, sealed: &[u8], tag: &[u8; TAG_BYTES], plain: &mut [u8]) -> PackageError {
        let chunks = cut.chunks();
        let first = index.saturating_sub(DIAGNOSED_PLACES / 2);
        let found = (first..chunks.min(first + DIAGNOSED_PLACES))
            .find(|place| self.cipher.open(cut.nonce(*place), sealed, tag, plain).is_ok());
        plain.fill(0);
        match found {
            Some(found) => PackageError::ChunkMisplaced { index, found, chunks },
            None => PackageError::ChunkTampered { index, chunks },
        }
    }
}

impl std::fmt::Debug for Unlocked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Unlocked({:?} version {})", self.contents.model, self.contents.version)
    }
}

/// What was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenReport {
    /// The package digest, as [`SealReport::digest`](crate::SealReport::digest).
    pub digest: Digest,
    /// The size of the model in bytes.
    pub bytes: u64,
}

/// What a data key is sealed for: a package of this version and suite.
pub(crate) fn key_purpose() -> Vec<u8> {
    [b"hotcell sealed package v1 data key\0", &SUITE.to_be_bytes()[..]].concat()
}

/// In how many places around a bad chunk its own is looked for: a fraction of a second at most.
const DIAGNOSED_PLACES: u64 = 1024;

#[cfg(test)]
mod tests;
