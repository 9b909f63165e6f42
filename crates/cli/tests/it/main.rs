//! The `hotcell` binary as its users meet it.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "tests that cannot go on fail")]

mod crash;
mod demo;
mod hotcell;
mod readme;
mod run;
