//! Keys known to both sides: derivation, message authentication, and chunk encryption.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::{hkdf, hmac};
use hotcell_types::{Exit, Explain};
use zeroize::Zeroizing;

use crate::random::random;

/// Bytes of an AES-256-GCM tag.
pub const TAG_BYTES: usize = 16;
/// Bytes of an AES-256-GCM nonce.
pub const NONCE_BYTES: usize = 12;

/// A key of 256 bits. Wiped on drop; it does not clone, display, compare or serialise.
pub struct SymmetricKey(Zeroizing<[u8; 32]>);

impl SymmetricKey {
    /// A new random key.
    pub fn generate() -> Self {
        Self(Zeroizing::new(random()))
    }

    /// The key of these bytes, read from where it was kept.
    pub fn from_bytes(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// The bytes, to keep them.
    pub fn expose_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// HKDF-SHA256: a key for one purpose, independent of those for other salts and purposes.
    pub fn derive(&self, salt: &[u8], purpose: &[u8]) -> Self {
        let mut derived = Zeroizing::new([0; 32]);
        let filled = hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
            .extract(self.0.as_slice())
            .expand(&[purpose], hkdf::HKDF_SHA256)
            .and_then(|output| output.fill(derived.as_mut_slice()));
        // HKDF fails only for outputs above 8160 bytes. Going on with a key of zeros would be fatal.
        if filled.is_err() {
            std::process::abort();
        }
        Self(derived)
    }

    /// HMAC-SHA256 of a message.
    pub fn mac(&self, message: &[u8]) -> [u8; 32] {
        let mut bytes = [0; 32];
        // An HMAC-SHA256 tag has exactly 32 bytes.
        bytes.copy_from_slice(hmac::sign(&self.hmac_key(), message).as_ref());
        bytes
    }

    /// Checks an HMAC-SHA256 in constant time.
    ///
    /// # Errors
    /// [`TagError`] when it does not fit.
    pub fn verify_mac(&self, message: &[u8], mac: &[u8; 32]) -> Result<(), TagError> {
        hmac::verify(&self.hmac_key(), message, mac).map_err(|_| TagError)
    }

    fn hmac_key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, self.0.as_slice())
    }
}

impl std::fmt::Debug for SymmetricKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SymmetricKey")
    }
}

/// AES-256-GCM over chunks whose nonces the caller counts.
///
/// # Security
/// A nonce must never serve two different chunks under one key: count, and use the key once.
pub struct ChunkCipher(LessSafeKey);

impl ChunkCipher {
    /// A cipher under this key; `None` never happens with a key of 256 bits.
    pub fn new(key: &SymmetricKey) -> Option<Self> {
        UnboundKey::new(&AES_256_GCM, key.expose_bytes()).ok().map(|key| Self(LessSafeKey::new(key)))
    }

    /// Encrypts a chunk in place and returns its tag.
    ///
    /// # Errors
    /// [`TagError`] when the chunk is longer than GCM allows (64 GiB).
    pub fn seal(&self, nonce: [u8; NONCE_BYTES], chunk: &mut [u8]) -> Result<[u8; TAG_BYTES], TagError> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self.0.seal_in_place_separate_tag(nonce, Aad::empty(), chunk).map_err(|_| TagError)?;
        tag.as_ref().try_into().map_err(|_| TagError)
    }

    /// Authenticates and decrypts a chunk into `plain`, which has its length. `sealed` stays as it is.
    ///
    /// # Errors
    /// [`TagError`] when the tag does not fit; `plain` is then overwritten with zeros.
    pub fn open(
        &self,
        nonce: [u8; NONCE_BYTES],
        sealed: &[u8],
        tag: &[u8; TAG_BYTES],
        plain: &mut [u8],
    ) -> Result<(), TagError> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.0.open_separate_gather(nonce, Aad::empty(), sealed, tag, plain).map_err(|_| {
            plain.fill(0);
            TagError
        })
    }
}

impl std::fmt::Debug for ChunkCipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ChunkCipher")
    }
}

/// An authentication tag that does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the content does not fit its authentication tag")]
pub struct TagError;

impl Explain for TagError {
    fn code(&self) -> &'static str {
        "CRY-020"
    }

    fn remedy(&self) -> String {
        "the content was changed or belongs to another key: get it again from where it came from".to_owned()
    }

    fn exit(&self) -> Exit {
        Exit::Integrity
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> SymmetricKey {
        SymmetricKey::from_bytes(Zeroizing::new([seed; 32]))
    }

    #[test]
    fn derivation_agrees_with_rfc_5869() {
        // RFC 5869 test case 1 has input key material of 22 bytes, so its extract step is checked by way
        // of HMAC: with a key of 32 bytes, derive = HMAC(HMAC(salt, key), purpose ‖ 1).
        let derived = key(0x0b).derive(b"salt", b"purpose");
        let extracted = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b"salt"), &[0x0b; 32]);
        let expanded = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, extracted.as_ref()), b"purpose\x01");
        assert_eq!(derived.expose_bytes(), expanded.as_ref());
    }

    #[test]
    fn other_salts_and_purposes_give_other_keys() {
        let derive = |salt: &[u8], purpose: &[u8]| *key(1).derive(salt, purpose).expose_bytes();
        let all =
            [derive(b"a", b"b"), derive(b"a", b"c"), derive(b"ab", b""), derive(b"", b"ab"), *key(1).expose_bytes()];
        for (place, one) in all.iter().enumerate() {
            assert!(all[place + 1..].iter().all(|other| other != one), "{place}");
        }
    }

    #[test]
    fn a_mac_with_any_bit_flipped_fails() {
        let mac = key(1).mac(b"header");
        key(1).verify_mac(b"header", &mac).unwrap();
        assert_eq!(key(2).verify_mac(b"header", &mac), Err(TagError));
        assert_eq!(key(1).verify_mac(b"headers", &mac), Err(TagError));
        for bit in 0..256 {
            let mut flipped = mac;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(key(1).verify_mac(b"header", &flipped), Err(TagError), "bit {bit}");
        }
    }

    #[test]
    fn a_chunk_opens_only_unchanged_under_its_key_and_nonce() {
        let cipher = ChunkCipher::new(&key(1)).unwrap();
        let mut chunk = *b"thirty measurements of one patient";
        let tag = cipher.seal([7; NONCE_BYTES], &mut chunk).unwrap();
        let mut plain = [0xff; 34];
        cipher.open([7; NONCE_BYTES], &chunk, &tag, &mut plain).unwrap();
        assert_eq!(&plain, b"thirty measurements of one patient");

        let other = ChunkCipher::new(&key(2)).unwrap();
        let mut changed = chunk;
        changed[33] ^= 1;
        for (name, cipher, nonce, chunk) in [
            ("nonce", &cipher, [8; NONCE_BYTES], &chunk),
            ("key", &other, [7; NONCE_BYTES], &chunk),
            ("chunk", &cipher, [7; NONCE_BYTES], &changed),
        ] {
            let mut plain = [0xff; 34];
            assert_eq!(cipher.open(nonce, chunk, &tag, &mut plain), Err(TagError), "{name}");
            assert_eq!(plain, [0; 34], "nothing is left of a failed opening: {name}");
        }
    }
}
