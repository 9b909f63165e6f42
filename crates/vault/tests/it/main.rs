//! Encrypted scratch: the volume against a naive one, its backing file searched, and mounted for real programs.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "tests that cannot go on fail")]

mod backing;
mod model;
mod mounted;
