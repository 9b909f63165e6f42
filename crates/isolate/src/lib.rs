//! From a grant to a contained process, and back to nothing.
//!
//! The way of a sandbox is a chain of types, each made from the one before: [`Sandbox::build`] →
//! [`Building`] → [`Prepared`] (the preflight has seen every wall) → [`Running`] → [`Ended`] → gone.
//! Dropping any of them kills and removes what it holds.
//!
//! INVARIANT (no-shell-without-grant): nothing here starts a process without a `GrantUse`.
//!
//! Deliberately absent: the clock's date, the environment of the caller, any decision on who may do what.

pub mod cgroup;
mod control;
mod error;
pub mod filter;
pub mod host;
pub mod ids;
pub mod landlock;
mod plan;
mod preflight;
mod run;
mod sandbox;
mod streams;
mod usage;
mod watch;

pub use error::IsolateError;
pub use host::{Host, HostControl};
pub use run::{Cause, Ended, Exit, Io, Running};
pub use sandbox::{Building, Input, ModelMount, Omitted, Prepared, Program, Sandbox, Spec};

/// The launcher, as built by this crate's build script.
pub(crate) static LAUNCHER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/launcher"));
