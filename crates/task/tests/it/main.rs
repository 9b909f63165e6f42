//! Whole tasks, in real sandboxes, on real data.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod clock;
mod harness;
mod outputs;
mod policies;
mod prints;
mod runs;
mod views;
