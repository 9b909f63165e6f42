//! Images through the public interface: good ones, hostile ones, lying registries, two at once, kill -9.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "tests that cannot go on fail")]

mod cache;
mod good;
mod hostile;
mod image;
mod layer;
mod liar;
mod real;
mod server;
