//! X25519 keys: one key opens age files and the wrapped keys of sealed packages, and gives the keys for fields of tables.
//!
//! # Security
//! The first two uses are Diffie–Hellman with a fresh ephemeral key, followed by HKDF-SHA256 under different
//! labels (age: salt is both public keys, info `age-encryption.org/v1/X25519`; HPKE: labelled extract
//! with the prefix `HPKE-v1` and the suite id); the third is
//! HKDF-SHA256 of the key itself under `hotcell fields v1`. No key derived in one use appears in the other.

use std::fmt;
use std::str::FromStr;

use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, Serializable};
use zeroize::Zeroizing;

use crate::field::FieldKey;
use crate::random::SystemRandom;
use crate::symmetric::SymmetricKey;
use crate::text::{Kind, ParseKeyError, decode, encode};

/// A secret encryption key; its text is `AGE-SECRET-KEY-1…`. Wiped on drop, never displayed.
pub struct SecretKey {
    secret: HpkeSecret,
    public: PublicKey,
}

impl SecretKey {
    /// A new random key.
    pub fn generate() -> Self {
        let (secret, public) = X25519HkdfSha256::gen_keypair(&mut SystemRandom);
        Self { secret, public: PublicKey::of_hpke(&public) }
    }

    /// Reads age's text of a secret key.
    ///
    /// # Errors
    /// [`ParseKeyError`] when the text is another kind of key, none, or mistyped.
    pub fn from_text(text: &str) -> Result<Self, ParseKeyError> {
        let bytes = decode(Kind::Secret, text)?;
        let secret = HpkeSecret::from_bytes(bytes.as_slice())
            .map_err(|_| ParseKeyError::Damaged { kind: Kind::Secret.name() })?;
        let public = PublicKey::of_hpke(&X25519HkdfSha256::sk_to_pk(&secret));
        Ok(Self { secret, public })
    }

    /// Age's text of the key.
    pub fn expose_text(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new([0; 32]);
        self.secret.write_exact(bytes.as_mut_slice());
        encode(Kind::Secret, &bytes)
    }

    /// The key for fields of tables that belongs to it: derived by HKDF under a label of its own.
    pub fn field_key(&self, domain: &str) -> FieldKey {
        let mut bytes = Zeroizing::new([0; 32]);
        self.secret.write_exact(bytes.as_mut_slice());
        let master = SymmetricKey::from_bytes(bytes).derive(b"hotcell", b"hotcell fields v1");
        FieldKey::new(&master, domain)
    }

    /// The public key that belongs to it.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    pub(crate) fn expose_hpke(&self) -> &HpkeSecret {
        &self.secret
    }
}

impl fmt::Debug for SecretKey {
    /// Names the public key; nothing of the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {})", self.public)
    }
}

/// A public encryption key, to which something is sealed; its text is `age1…`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// The point as `hpke` takes it.
    pub(crate) fn to_hpke(self) -> Option<HpkePublic> {
        HpkePublic::from_bytes(&self.0).ok()
    }

    fn of_hpke(key: &HpkePublic) -> Self {
        let mut bytes = [0; 32];
        key.write_exact(&mut bytes);
        Self(bytes)
    }
}

impl FromStr for PublicKey {
    type Err = ParseKeyError;

    /// Reads age's text of a public key.
    fn from_str(text: &str) -> Result<Self, ParseKeyError> {
        let key = Self(*decode(Kind::Public, text)?);
        // A trial encapsulation fails exactly for the points whose shared secret would be zero.
        let point = key.to_hpke().ok_or(ParseKeyError::Weak)?;
        X25519HkdfSha256::encap(&point, None, &mut SystemRandom).map_err(|_| ParseKeyError::Weak)?;
        Ok(key)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&encode(Kind::Public, &self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

type HpkeSecret = <X25519HkdfSha256 as Kem>::PrivateKey;
type HpkePublic = <X25519HkdfSha256 as Kem>::PublicKey;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_key_of_a_secret_one_is_the_one_age_derives() {
        // Made with `age-keygen`.
        let secret = "AGE-SECRET-KEY-1SV3YWLHW3LMD6AZE0CNUTTA8AFGXYK79Z64QLT0AYSP3VCJPY88SGS867U";
        let public = "age1wj9mkeyz4c26crkdze63qztfk3ygqarlqmefq2t3tknrxxnlle4s2m0z0f";
        let key = SecretKey::from_text(secret).unwrap();
        assert_eq!(key.public().to_string(), public);
        assert_eq!(*key.expose_text(), secret);
    }

    #[test]
    fn a_generated_key_reads_back_as_written() {
        let key = SecretKey::generate();
        assert_eq!(SecretKey::from_text(&key.expose_text()).unwrap().public(), key.public());
        assert_eq!(key.public().to_string().parse::<PublicKey>().unwrap(), key.public());
        assert!(!format!("{key:?}").contains("SECRET-KEY"));
    }

    #[test]
    fn points_of_small_order_are_refused_as_recipients() {
        let mut one = [0; 32];
        one[0] = 1;
        for weak in [[0; 32], one] {
            let text = encode(Kind::Public, &weak);
            assert_eq!(text.parse::<PublicKey>(), Err(ParseKeyError::Weak));
        }
    }
}
