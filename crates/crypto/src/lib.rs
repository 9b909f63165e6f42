//! Sealing to recipients, signatures, and the Plaintext and Sealed types. Primitives come from libraries.
