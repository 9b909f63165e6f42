//! The log and its receipts, by the public interface only.

#![allow(clippy::unwrap_used, clippy::panic, reason = "in tests a panic is the finding")]

mod crash;
mod log;
mod mutation;
mod power;
mod proofs;
mod receipt;
mod support;
mod tamper;
mod vectors;
mod witness;
