//! From a grant to a contained process, and back to nothing.
//!
//! The way of a sandbox is a chain of types, each made from the one before: [`Sandbox::build`] →
//! [`Building`] → [`Prepared`] (the preflight has seen every wall) → [`Running`] → [`Ended`] → gone.
//! Dropping any of them kills and removes what it holds.
//!
//! INVARIANT (no-workload-without-grant): nothing of a task gets into a sandbox without a `GrantUse`. Only a [`Shell`],
//! which is the same for all tasks, starts without one. What [`host`]
//! tries, it tries in processes of the launcher that end before they would become a program.
//!
//! Deliberately absent: the clock's date, the environment of the caller, any decision on who may do what.

pub mod cgroup;
mod control;
mod copies;
mod cores;
mod devices;
mod error;
pub mod filter;
mod handover;
pub mod host;
pub mod ids;
mod image;
pub mod landlock;
mod mounts;
mod outside;
mod plan;
pub mod pool;
mod preflight;
mod refusals;
mod run;
mod sandbox;
mod scratch;
pub mod serve;
mod shell;
mod streams;
mod usage;
mod watch;

pub use error::IsolateError;
pub use host::{Facts, Fix, Host, HostControl, Report, is_root_of_the_host};
pub use refusals::RefusedCall;
pub use run::{Ask, Beside, Cause, Ended, Exit, Io, Running, Withdrawal};
pub use sandbox::{
    Building, Image, Input, ModelMount, Network, NetworkSocket, Omitted, Prepared, Program, Sandbox, Spec,
};
pub use scratch::{SERVER_ARGUMENT, SERVER_NAME, ScratchKind, ScratchReport, Swap};
pub use shell::Shell;

/// The launcher, as built by this crate's build script.
pub static LAUNCHER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/launcher"));
