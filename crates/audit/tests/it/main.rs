//! The log and its receipts, by the public interface only.

#![allow(clippy::unwrap_used, clippy::panic, reason = "in tests a panic is the finding")]

mod clock;
mod crash;
mod export;
mod log;
mod mutation;
mod personal;
mod power;
mod projection;
mod proofs;
mod reader;
mod receipt;
mod snapshot;
mod support;
mod tamper;
mod vectors;
mod witness;
