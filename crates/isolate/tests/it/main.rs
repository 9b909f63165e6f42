//! Sandboxes, built and run for real.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "tests that cannot go on fail")]

mod aarch64;
mod assets;
mod harness;
mod kernels;
mod preflight;
mod shells;
mod teardown;
mod walls;
