//! Sealing to recipients, signatures, and the [`Plaintext`] and [`Sealed`] types.
//!
//! Primitives and the age and HPKE formats come from libraries (`aws-lc-rs`, `age`, `hpke`); this crate
//! gives them Hotcell's types, bounds and errors. Texts of keys are specified in `docs/formats/keys.md`.
//!
//! INVARIANT (authenticate-first): nothing decrypted leaves this crate before its tag was verified.
//! INVARIANT (wiped): secret keys, derived keys and plaintext buffers are overwritten on drop.

pub mod age_seal;
mod encryption_key;
mod field;
mod foreign;
mod hash;
pub mod keyfile;
mod plaintext;
mod random;
mod signing;
mod symmetric;
mod text;
mod wrap;

pub use encryption_key::{PublicKey, SecretKey};
pub use field::{FIELD_HASH_BYTES, FieldKey, MIN_TOKEN_DIGITS};
pub use foreign::ForeignKey;
pub use hash::{Sha256Stream, sha256};
pub use plaintext::{Plaintext, Sealed};
pub use random::random;
pub use signing::{KeyId, Signature, SignatureError, SigningKey, VerifyingKey};
pub use symmetric::{ChunkCipher, NONCE_BYTES, SymmetricKey, TAG_BYTES, TagError};
pub use text::ParseKeyError;
pub use wrap::{WRAPPED_KEY_BYTES, WrapError, open_key, seal_key};
