//! Sealed packages: a vendor's model, encrypted, signed, opened only under its terms.
