//! The gateway: the only way out of a sandbox to the network.
//!
//! Inside, a network of made-up addresses lies on the loopback interface. The resolver there answers an allowed name with
//! the address that stands for it, and nothing else. What connects to that address arrives at a socket that was opened
//! inside and is served outside, by two processes for each sandbox:
//!
//! - the *gateway* ([`gateway`]) parses what comes: questions to the resolver, TLS, HTTP. It can open nothing and connect to
//!   nothing;
//! - the *broker* ([`broker`]) resolves and connects. It takes the number of a rule, and never a name or an address.
//!
//! INVARIANT (one-name): the name that the resolver answered, that of TLS and that of every request are the same, made by
//! [`hotcell_types::HostName`], and it is the rule's.
//!
//! INVARIANT (checked-is-dialled): the very address that was checked is connected to.
//!
//! INVARIANT (refused-stays-inside): nothing of a request that is refused reaches the host outside.
//!
//! Deliberately absent: who may reach what (policy), the clock, files.

mod address;
mod authority;
pub mod broker;
mod count;
mod dns;
mod error;
pub mod gateway;
mod hello;
mod http;
mod inspection;
mod ledger;
mod plan;
mod relay;
mod service;
mod wire;

pub use error::EgressError;
pub use inspection::{
    BodyInspection, CARRIES_FINDING, CARRIES_INPUT, Inspection, Reason, RequestHead, Uninspected, Verdict,
};
pub use ledger::{Heard, Ledger, Refusal};
pub use plan::{Plan, Rule, Socket};
pub use service::{BROKER_NAME, GATEWAY_NAME, SERVICE_ARGUMENT, Service};
