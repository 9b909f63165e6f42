//! Sandboxes, built and run for real.
#![allow(missing_docs, reason = "a test")]

mod harness;
mod walls;
