//! The launcher: builds a sandbox from a plan and becomes its first process.
//!
//! It is `no_std`, single-threaded, allocates nothing and links no C library, so that it starts in a fraction
//! of the time of one that does and there is nothing in it that a fork could leave in a strange state. The
//! host starts it from a sealed memfd; its only argument is the control socket, on standard input, over
//! which the plan comes as a descriptor.
//!
//! Three processes come of it: the launcher itself, outside, which makes the namespaces and ends at once;
//! the first process of the sandbox, which builds the file system, reaps, and ends the sandbox with the
//! workload or with the host; and the workload's, which locks itself in, reports what it can still do, and
//! becomes the program.
#![no_std]

pub mod message;
pub mod plan;

mod build;
mod enter;
mod lock;
mod probe;

pub use enter::main;
