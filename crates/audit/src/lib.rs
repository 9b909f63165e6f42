//! The append-only Merkle log, its checkpoints and proofs, and signed receipts.
