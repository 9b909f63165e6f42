//! Secret values and their sealed counterparts, told apart by type.

use std::fmt;
use std::marker::PhantomData;

use zeroize::{Zeroize, ZeroizeOnDrop};

/// Data that must not leak: it does not clone, display, compare or serialise, and is wiped on drop.
///
/// ```
/// let secret = hotcell_crypto::Plaintext::new(b"row 7".to_vec());
/// assert_eq!(format!("{secret:?}"), "Plaintext(5 bytes)");
/// ```
/// It cannot be cloned:
/// ```compile_fail,E0599
/// let secret = hotcell_crypto::Plaintext::new(b"row 7".to_vec());
/// let copy: hotcell_crypto::Plaintext = secret.clone();
/// ```
/// It cannot be displayed:
/// ```compile_fail,E0277
/// let secret = hotcell_crypto::Plaintext::new(b"row 7".to_vec());
/// println!("{secret}");
/// ```
/// It cannot be compared:
/// ```compile_fail,E0369
/// let secret = hotcell_crypto::Plaintext::new(b"row 7".to_vec());
/// assert!(secret == hotcell_crypto::Plaintext::new(b"row 7".to_vec()));
/// ```
/// It cannot be serialised:
/// ```compile_fail,E0277
/// let secret = hotcell_crypto::Plaintext::new(b"row 7".to_vec());
/// serde_json::to_string(&secret);
/// ```
///
/// # Security
/// A `Vec` that grows leaves its earlier, smaller copies behind unwiped: reserve the capacity first.
pub struct Plaintext<T: Zeroize = Vec<u8>>(T);

impl<T: Zeroize> Plaintext<T> {
    /// Takes custody of a secret value.
    pub fn new(secret: T) -> Self {
        Self(secret)
    }

    /// The secret itself; each use is a place to review.
    pub fn expose_secret(&self) -> &T {
        &self.0
    }

    /// The secret itself, to be filled or changed in place.
    pub fn expose_secret_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: Zeroize + AsRef<[u8]>> Plaintext<T> {
    /// The secret's bytes.
    pub fn expose_bytes(&self) -> &[u8] {
        self.0.as_ref()
    }
}

impl<T: Zeroize> Drop for Plaintext<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize> ZeroizeOnDrop for Plaintext<T> {}

impl<T: Zeroize + AsRef<[u8]>> fmt::Debug for Plaintext<T> {
    /// The length alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plaintext({} bytes)", self.0.as_ref().len())
    }
}

/// A `T` encrypted to someone: bytes that may travel and be stored.
///
/// Only this crate turns a `Sealed<T>` into a `T`, after authenticating it.
pub struct Sealed<T> {
    bytes: Vec<u8>,
    what: PhantomData<fn() -> T>,
}

impl<T> Sealed<T> {
    /// Bytes that claim to be a sealed `T`; opening decides.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self { bytes, what: PhantomData }
    }

    /// The encrypted bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl<T> Clone for Sealed<T> {
    fn clone(&self) -> Self {
        Self::from_bytes(self.bytes.clone())
    }
}

impl<T> fmt::Debug for Sealed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts how often it was wiped.
    struct Witness<'a>(&'a std::cell::Cell<u32>);

    impl Zeroize for Witness<'_> {
        fn zeroize(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }

    #[test]
    fn a_plaintext_is_wiped_once_when_it_is_dropped() {
        let wiped = std::cell::Cell::new(0);
        let plaintext = Plaintext::new(Witness(&wiped));
        assert_eq!(wiped.get(), 0);
        drop(plaintext);
        assert_eq!(wiped.get(), 1);
    }

    #[test]
    fn debug_output_shows_the_length_and_nothing_of_the_content() {
        let shown = format!("{:?}", Plaintext::new("malignant".to_owned()));
        assert_eq!(shown, "Plaintext(9 bytes)");
    }
}
