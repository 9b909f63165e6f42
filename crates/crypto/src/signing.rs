//! Ed25519 signatures: of vendors over sealed packages, of a Hotcell over its log and receipts.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use hotcell_types::{Exit, Explain};
use zeroize::Zeroizing;

use crate::hash::Sha256Stream;
use crate::random::random;
use crate::text::{Kind, ParseKeyError, decode, encode};

/// A secret signing key; its text is `HOTCELL-SIGNING-KEY-1…`. Wiped on drop, never displayed.
pub struct SigningKey {
    seed: Zeroizing<[u8; 32]>,
    pair: Ed25519KeyPair,
}

impl SigningKey {
    /// A new random key.
    pub fn generate() -> Self {
        loop {
            // Every seed of 32 bytes is a key; the loop only spares an impossible error.
            if let Some(key) = Self::from_seed(Zeroizing::new(random())) {
                return key;
            }
        }
    }

    /// Reads the text of a secret signing key.
    ///
    /// # Errors
    /// [`ParseKeyError`] when the text is another kind of key, none, or mistyped.
    pub fn from_text(text: &str) -> Result<Self, ParseKeyError> {
        let seed = decode(Kind::Signing, text)?;
        Self::from_seed(seed).ok_or(ParseKeyError::Damaged { kind: Kind::Signing.name() })
    }

    /// The text of the key.
    pub fn expose_text(&self) -> Zeroizing<String> {
        encode(Kind::Signing, &self.seed)
    }

    /// The public key that verifies its signatures.
    pub fn verifying(&self) -> VerifyingKey {
        let mut bytes = [0; 32];
        // An Ed25519 public key has exactly 32 bytes.
        bytes.copy_from_slice(self.pair.public_key().as_ref());
        VerifyingKey(bytes)
    }

    /// Signs a message. The caller puts a label of the purpose in front, so that a signature made for
    /// one purpose verifies for no other.
    pub fn sign(&self, message: &[u8]) -> Signature {
        let mut bytes = [0; 64];
        // An Ed25519 signature has exactly 64 bytes.
        bytes.copy_from_slice(self.pair.sign(message).as_ref());
        Signature(bytes)
    }

    fn from_seed(seed: Zeroizing<[u8; 32]>) -> Option<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_slice()).ok()?;
        Some(Self { seed, pair })
    }
}

impl fmt::Debug for SigningKey {
    /// Names the public key; nothing of the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey(of {})", self.verifying())
    }
}

/// An Ed25519 signature.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature(pub [u8; 64]);

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature")
    }
}

/// A public signing key; its text is `hotcell-verify1…`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VerifyingKey([u8; 32]);

impl VerifyingKey {
    /// Checks that the holder of the secret key signed this message.
    ///
    /// # Errors
    /// [`SignatureError`] when the signature does not fit message and key.
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), SignatureError> {
        UnparsedPublicKey::new(&ED25519, &self.0)
            .verify(message, signature)
            .map_err(|_| SignatureError { key: self.key_id() })
    }

    /// The 32 bytes of the key.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A short name of the key, for people and logs; a hash, so it says nothing more than the key does.
    pub fn key_id(&self) -> KeyId {
        let mut hash = Sha256Stream::new();
        hash.update(b"hotcell key id v1\0");
        hash.update(&self.0);
        let [a, b, c, d, e, f, g, h, ..] = hash.finish().0;
        KeyId([a, b, c, d, e, f, g, h])
    }
}

impl FromStr for VerifyingKey {
    type Err = ParseKeyError;

    fn from_str(text: &str) -> Result<Self, ParseKeyError> {
        decode(Kind::Verifying, text).map(|bytes| Self(*bytes))
    }
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&encode(Kind::Verifying, &self.0))
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A short, stable name of a signing key: 16 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; 8]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A signature that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the signature is not one by key {key} over this content")]
pub struct SignatureError {
    /// The key that was tried.
    pub key: KeyId,
}

impl Explain for SignatureError {
    fn code(&self) -> &'static str {
        "CRY-010"
    }

    fn remedy(&self) -> String {
        "do not use it: get it again from its author, and compare the author's key by another way".to_owned()
    }

    fn exit(&self) -> Exit {
        Exit::Integrity
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes<const N: usize>(hex: &str) -> [u8; N] {
        std::array::from_fn(|place| u8::from_str_radix(&hex[2 * place..2 * place + 2], 16).unwrap())
    }

    #[test]
    fn signatures_agree_with_rfc_8032() {
        // RFC 8032 section 7.1, tests 1 and 2.
        for (seed, public, message, signature) in [
            (
                "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
                &[][..],
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b\
                 d25bf5f0595bbe24655141438e7a100b",
            ),
            (
                "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
                &[0x72][..],
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c\
                 387b2eaeb4302aeeb00d291612bb0c00",
            ),
        ] {
            let key = SigningKey::from_seed(Zeroizing::new(bytes(seed))).unwrap();
            assert_eq!(key.verifying().0, bytes(public));
            assert_eq!(key.sign(message).0, bytes(signature));
            key.verifying().verify(message, &bytes(signature)).unwrap();
        }
    }

    #[test]
    fn a_signature_with_any_bit_flipped_fails() {
        let key = SigningKey::generate();
        let signature = key.sign(b"receipt").0;
        for bit in 0..512 {
            let mut flipped = signature;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(key.verifying().verify(b"receipt", &flipped).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_signature_fits_no_other_message_and_no_other_key() {
        let (key, other) = (SigningKey::generate(), SigningKey::generate());
        let signature = key.sign(b"receipt").0;
        assert!(key.verifying().verify(b"receipts", &signature).is_err());
        let error = other.verifying().verify(b"receipt", &signature).unwrap_err();
        assert_eq!((error.code(), error.exit().status()), ("CRY-010", 123));
        assert!(error.to_string().contains(&other.verifying().key_id().to_string()), "{error}");
    }

    #[test]
    fn keys_read_back_as_written_and_keep_their_id() {
        let key = SigningKey::generate();
        let read = SigningKey::from_text(&key.expose_text()).unwrap();
        let public: VerifyingKey = key.verifying().to_string().parse().unwrap();
        assert_eq!((read.verifying(), public.key_id()), (public, key.verifying().key_id()));
        assert_ne!(public.key_id(), SigningKey::generate().verifying().key_id());
        assert!(!format!("{key:?}").contains("SIGNING-KEY-1"));
    }
}
