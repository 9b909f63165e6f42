//! The log and its receipts, by the public interface only.

mod crash;
mod log;
mod mutation;
mod proofs;
mod receipt;
mod support;
mod tamper;
mod vectors;
