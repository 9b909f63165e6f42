//! Sealing a symmetric key to a public key: HPKE (RFC 9180), base mode,
//! DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM.

use hotcell_types::{Exit, Explain};
use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable, single_shot_open, single_shot_seal};
use zeroize::Zeroizing;

use crate::encryption_key::{PublicKey, SecretKey};
use crate::plaintext::Sealed;
use crate::random::SystemRandom;
use crate::symmetric::{SymmetricKey, TAG_BYTES};

/// Length of a sealed key: the encapsulated point, then the key and its tag.
pub const WRAPPED_KEY_BYTES: usize = POINT_BYTES + 32 + TAG_BYTES;

const POINT_BYTES: usize = 32;

/// Seals a key to one recipient. `purpose` must be given again to open it.
///
/// # Errors
/// [`WrapError::Recipient`] when nothing can be sealed to that key.
pub fn seal_key(recipient: &PublicKey, key: &SymmetricKey, purpose: &[u8]) -> Result<Sealed<SymmetricKey>, WrapError> {
    let point = recipient.to_hpke().ok_or(WrapError::Recipient)?;
    let (point, sealed) = single_shot_seal::<AesGcm256, HkdfSha256, X25519HkdfSha256, _>(
        &OpModeS::Base,
        &point,
        purpose,
        key.expose_bytes(),
        b"",
        &mut SystemRandom,
    )
    .map_err(|_| WrapError::Recipient)?;
    Ok(Sealed::from_bytes([point.to_bytes().as_slice(), &sealed].concat()))
}

/// Opens a key that was sealed to the public key of this secret one, for the same purpose.
///
/// # Errors
/// [`WrapError::Length`] when the bytes are not of the form; [`WrapError::NotForKey`] when they were
/// sealed to another key or for another purpose, or were changed (these cannot be told apart).
pub fn open_key(secret: &SecretKey, sealed: &Sealed<SymmetricKey>, purpose: &[u8]) -> Result<SymmetricKey, WrapError> {
    let bytes = sealed.as_bytes();
    if bytes.len() != WRAPPED_KEY_BYTES {
        return Err(WrapError::Length { found: bytes.len() });
    }
    let (point, sealed) = bytes.split_at(POINT_BYTES);
    let point = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(point).map_err(|_| WrapError::NotForKey)?;
    let key = single_shot_open::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
        &OpModeR::Base,
        secret.expose_hpke(),
        &point,
        purpose,
        sealed,
        b"",
    )
    .map(Zeroizing::new)
    .map_err(|_| WrapError::NotForKey)?;
    let mut bytes = Zeroizing::new([0; 32]);
    if key.len() != bytes.len() {
        return Err(WrapError::NotForKey);
    }
    bytes.copy_from_slice(&key);
    Ok(SymmetricKey::from_bytes(bytes))
}

/// A key that could not be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WrapError {
    /// The recipient's key is not a usable point.
    #[error("nothing can be sealed to this public key")]
    Recipient,
    /// Not the length of a sealed key.
    #[error("a sealed key has {WRAPPED_KEY_BYTES} bytes, this has {found}")]
    Length {
        /// Its length in bytes.
        found: usize,
    },
    /// For another key or purpose, or changed.
    #[error("it was not sealed to this key, or was changed")]
    NotForKey,
}

impl Explain for WrapError {
    fn code(&self) -> &'static str {
        match self {
            Self::Recipient => "CRY-021",
            Self::Length { .. } => "CRY-022",
            Self::NotForKey => "CRY-023",
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::Recipient => "ask the recipient for a key made by `hotcell keygen` or `age-keygen`",
            Self::Length { .. } => "get the file again from where it came from",
            Self::NotForKey => "use the key whose public part it was sealed to, or have it sealed to yours",
        }
        .to_owned()
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Recipient => Exit::Usage,
            Self::Length { .. } | Self::NotForKey => Exit::Integrity,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_key_opens_for_its_recipient_and_purpose_only() {
        let (recipient, other) = (SecretKey::generate(), SecretKey::generate());
        let key = SymmetricKey::generate();
        let sealed = seal_key(&recipient.public(), &key, b"model").unwrap();
        assert_eq!(open_key(&recipient, &sealed, b"model").unwrap().expose_bytes(), key.expose_bytes());
        assert_eq!(open_key(&other, &sealed, b"model").unwrap_err(), WrapError::NotForKey);
        assert_eq!(open_key(&recipient, &sealed, b"input").unwrap_err(), WrapError::NotForKey);
    }

    #[test]
    fn a_sealed_key_with_any_byte_changed_or_cut_does_not_open() {
        let recipient = SecretKey::generate();
        let sealed = seal_key(&recipient.public(), &SymmetricKey::generate(), b"").unwrap();
        for place in 0..WRAPPED_KEY_BYTES {
            let mut changed = sealed.as_bytes().to_vec();
            changed[place] ^= 0x01;
            let error = open_key(&recipient, &Sealed::from_bytes(changed), b"").unwrap_err();
            assert_eq!(error, WrapError::NotForKey, "byte {place}");
            let cut = Sealed::from_bytes(sealed.as_bytes()[..place].to_vec());
            assert_eq!(open_key(&recipient, &cut, b"").unwrap_err(), WrapError::Length { found: place });
        }
    }

    #[test]
    fn the_same_key_sealed_twice_looks_different() {
        let (recipient, key) = (SecretKey::generate(), SymmetricKey::generate());
        let first = seal_key(&recipient.public(), &key, b"").unwrap();
        let second = seal_key(&recipient.public(), &key, b"").unwrap();
        assert_ne!(first.as_bytes(), second.as_bytes());
    }
}
