//! The `hotcell` binary as its users meet it.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "tests that cannot go on fail")]

mod audit;
mod bad_input;
mod chinese;
mod crash;
mod demo;
mod doctor;
mod ends;
mod errors;
mod features;
mod folder;
mod hotcell;
mod image;
mod init;
mod kernels;
mod keys;
mod model;
mod package;
mod policy;
mod pool;
mod programs;
mod quick;
mod readme;
mod receipt;
mod rights;
mod run;
mod scan;
mod scratch;
mod screen;
mod seal;
mod selftest;
mod sight;
mod streams;
mod terminal;
