//! Attacks on a fresh sandbox, from inside it: as data, by class, each a real attempt.
//!
//! The host makes [`Surroundings`] (a queue, sockets, a file, a key: things that a sandbox must not reach), says
//! what this kernel lacks ([`lacking`]), and lets the [attacker](inside::main) run as an ordinary workload. Each
//! attack gives what it has [`Seen`]; what that means stands in its row of the table ([`attacks()`]).
//!
//! INVARIANT (no-attack-outside): the attacker refuses to attack in the host's process namespace.
//!
//! Deliberately absent: how a sandbox is started, who may start one, and any way to make one weaker.

mod attack;
mod attacks;
mod facts;
pub mod inside;
mod lacks;
mod mark;
pub mod neighbour;
mod seen;
mod surroundings;

pub use attack::{Attack, Class, Demand, Expected, Judge, Need, Place};
pub use attacks::attacks;
pub use facts::Facts;
pub use lacks::{lacking, probe_main, reasons};
pub use mark::{REPORT, read_report};
pub use seen::Seen;
pub use surroundings::{Surroundings, daemon_name};
