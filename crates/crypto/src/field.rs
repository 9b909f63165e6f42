//! Single values under a key: hashed, made into tokens, encrypted. For columns of tables.
//!
//! Each domain (a dataset's column, or a name that several columns share) and each use has a key of its own, derived by
//! HKDF, so that a token of one says nothing of another.

use aes::Aes256;
use aws_lc_rs::aead::{AES_256_GCM, AES_256_GCM_SIV, Aad, Algorithm, LessSafeKey, Nonce, UnboundKey};
use fpe::ff1::{FF1, FlexibleNumeralString};
use zeroize::Zeroizing;

use crate::random::random;
use crate::symmetric::{NONCE_BYTES, SymmetricKey, TagError};

/// The fewest digits that a format-preserving token may have: NIST SP 800-38G demands a million possible values.
pub const MIN_TOKEN_DIGITS: usize = 6;
/// Bytes of a hash: 128 bits, so that no two values of one column meet by chance.
pub const FIELD_HASH_BYTES: usize = 16;

/// The keys of one domain. Wiped on drop.
pub struct FieldKey {
    hash: SymmetricKey,
    token: SymmetricKey,
    digits: SymmetricKey,
    seal: SymmetricKey,
}

impl FieldKey {
    /// The keys of the domain under a master key.
    pub fn new(master: &SymmetricKey, domain: &str) -> Self {
        let derive = |purpose: &str| master.derive(domain.as_bytes(), purpose.as_bytes());
        Self {
            hash: derive("hotcell field hash v1"),
            token: derive("hotcell field token v1"),
            digits: derive("hotcell field digits v1"),
            seal: derive("hotcell field seal v1"),
        }
    }

    /// HMAC-SHA256 of a value, cut to 128 bits. The same value gives the same hash; nothing leads back.
    pub fn hash(&self, value: &[u8]) -> [u8; FIELD_HASH_BYTES] {
        let mut short = [0; FIELD_HASH_BYTES];
        short.copy_from_slice(&self.hash.mac(value)[..FIELD_HASH_BYTES]);
        short
    }

    /// A token: AES-256-GCM-SIV with one fixed nonce, which is misuse that this mode is made for (RFC 8452). The same
    /// value gives the same token, and that is all a token tells, beside the value's length.
    ///
    /// # Errors
    /// [`TagError`] for a value of 64 GiB.
    pub fn token(&self, value: &[u8]) -> Result<Vec<u8>, TagError> {
        let mut bytes = value.to_vec();
        let key = aead(&AES_256_GCM_SIV, &self.token)?;
        key.seal_in_place_append_tag(no_nonce(), Aad::empty(), &mut bytes).map_err(|_| TagError)?;
        Ok(bytes)
    }

    /// The value of a token.
    ///
    /// # Errors
    /// [`TagError`] when it is none of this key and domain.
    pub fn open_token(&self, token: &[u8]) -> Result<Zeroizing<Vec<u8>>, TagError> {
        let mut bytes = Zeroizing::new(token.to_vec());
        let key = aead(&AES_256_GCM_SIV, &self.token)?;
        let length = key.open_in_place(no_nonce(), Aad::empty(), &mut bytes).map_err(|_| TagError)?.len();
        bytes.truncate(length);
        Ok(bytes)
    }

    /// Digits as other digits, as many: NIST FF1 over AES-256. Every value of this length has exactly one token.
    ///
    /// # Errors
    /// [`TagError`] for fewer digits than [`MIN_TOKEN_DIGITS`], and for what is no digit (0 to 9).
    ///
    /// # Security
    /// Nothing authenticates it: any digits are the token of something.
    pub fn token_digits(&self, digits: &[u8]) -> Result<Vec<u8>, TagError> {
        let numerals = FlexibleNumeralString::from(digits.iter().map(|digit| u16::from(*digit)).collect::<Vec<_>>());
        numerals_of(self.ff1()?.encrypt(&[], &numerals).map_err(|_| TagError)?)
    }

    /// The digits of a token.
    ///
    /// # Errors
    /// As [`FieldKey::token_digits`].
    pub fn open_token_digits(&self, digits: &[u8]) -> Result<Vec<u8>, TagError> {
        let numerals = FlexibleNumeralString::from(digits.iter().map(|digit| u16::from(*digit)).collect::<Vec<_>>());
        numerals_of(self.ff1()?.decrypt(&[], &numerals).map_err(|_| TagError)?)
    }

    /// Encrypts a value with AES-256-GCM and a random nonce, bound to its place.
    ///
    /// # Errors
    /// [`TagError`] for a value of 64 GiB.
    pub fn seal(&self, place: &[u8], value: &[u8]) -> Result<Vec<u8>, TagError> {
        let nonce: [u8; NONCE_BYTES] = random();
        let mut bytes = nonce.to_vec();
        let mut sealed = value.to_vec();
        let key = aead(&AES_256_GCM, &self.seal)?;
        let nonce = Nonce::assume_unique_for_key(nonce);
        key.seal_in_place_append_tag(nonce, Aad::from(place), &mut sealed).map_err(|_| TagError)?;
        bytes.append(&mut sealed);
        Ok(bytes)
    }

    /// Decrypts a value at its place.
    ///
    /// # Errors
    /// [`TagError`] when it was changed, stands elsewhere than it was put, or belongs to another key.
    pub fn open(&self, place: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, TagError> {
        let (nonce, rest) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or(TagError)?;
        let mut bytes = Zeroizing::new(rest.to_vec());
        let key = aead(&AES_256_GCM, &self.seal)?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = key.open_in_place(nonce, Aad::from(place), &mut bytes).map_err(|_| TagError)?.len();
        bytes.truncate(length);
        Ok(bytes)
    }

    fn ff1(&self) -> Result<FF1<Aes256>, TagError> {
        FF1::<Aes256>::new(self.digits.expose_bytes(), RADIX).map_err(|_| TagError)
    }
}

impl std::fmt::Debug for FieldKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FieldKey")
    }
}

/// Decimal digits.
const RADIX: u32 = 10;

fn aead(algorithm: &'static Algorithm, key: &SymmetricKey) -> Result<LessSafeKey, TagError> {
    UnboundKey::new(algorithm, key.expose_bytes()).map(LessSafeKey::new).map_err(|_| TagError)
}

fn no_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_BYTES])
}

fn numerals_of(numerals: FlexibleNumeralString) -> Result<Vec<u8>, TagError> {
    Vec::<u16>::from(numerals).into_iter().map(|digit| u8::try_from(digit).map_err(|_| TagError)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8, domain: &str) -> FieldKey {
        FieldKey::new(&SymmetricKey::from_bytes(Zeroizing::new([seed; 32])), domain)
    }

    #[test]
    fn digits_agree_with_the_published_samples_of_ff1() {
        // NIST SP 800-38G, sample 7: AES-256, no tweak.
        let bytes = [
            0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2, 0xa6, 0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf, 0x4f, 0x3c, 0xef, 0x43,
            0x59, 0xd8, 0xd5, 0x80, 0xaa, 0x4f, 0x7f, 0x03, 0x6d, 0x6f, 0x04, 0xfc, 0x6a, 0x94,
        ];
        let mut key = key(1, "x");
        key.digits = SymmetricKey::from_bytes(Zeroizing::new(bytes));
        let token = key.token_digits(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]).unwrap();
        assert_eq!(token, [6, 6, 5, 7, 6, 6, 7, 0, 0, 9]);
        assert_eq!(key.open_token_digits(&token).unwrap(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert!(key.token_digits(&[1, 2, 3, 4, 5]).is_err(), "too few digits are no secret");
        assert!(key.token_digits(&[1, 2, 3, 4, 5, 10]).is_err());
    }

    #[test]
    fn a_token_is_the_same_for_the_same_value_and_opens_by_its_own_key_and_domain_only() {
        let token = key(1, "patient").token("王芳".as_bytes()).unwrap();
        assert_eq!(token, key(1, "patient").token("王芳".as_bytes()).unwrap());
        assert_eq!(*key(1, "patient").open_token(&token).unwrap(), "王芳".as_bytes());
        assert!(key(2, "patient").open_token(&token).is_err() && key(1, "visit").open_token(&token).is_err());
        for place in 0..token.len() {
            let mut changed = token.clone();
            changed[place] ^= 1;
            assert!(key(1, "patient").open_token(&changed).is_err(), "byte {place}");
        }
        assert_ne!(key(1, "a").hash(b"x"), key(1, "b").hash(b"x"));
        assert_eq!(key(1, "a").hash(b"x"), key(1, "a").hash(b"x"));
    }

    #[test]
    fn a_sealed_value_opens_at_its_place_only_and_never_looks_the_same_twice() {
        let key = key(1, "note");
        let sealed = key.seal(b"row 7", b"a note").unwrap();
        assert_ne!(sealed, key.seal(b"row 7", b"a note").unwrap());
        assert_eq!(*key.open(b"row 7", &sealed).unwrap(), b"a note");
        assert!(key.open(b"row 8", &sealed).is_err());
        assert!(key.open(b"row 7", &sealed[..11]).is_err() && key.open(b"row 7", &[]).is_err());
    }
}
