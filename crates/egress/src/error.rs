//! What can go wrong with the gateway.

use std::io;

use hotcell_types::{Exit, Explain};

/// Why there is no gateway.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// A call of the host failed.
    #[error("the gateway: {what} failed")]
    Host {
        /// What was done.
        what: &'static str,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// One of its processes did not come up.
    #[error("the gateway did not come up: {why}")]
    NotUp {
        /// Why.
        why: String,
    },
    /// The host has no certificates by which hosts outside are known.
    #[error("this host has none of the files with certificates of authorities")]
    NoRoots,
}

impl Explain for EgressError {
    fn code(&self) -> &'static str {
        match self {
            Self::Host { .. } => "NET-001",
            Self::NotUp { .. } => "NET-002",
            Self::NoRoots => "NET-003",
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::Host { .. } => "see the cause; free descriptors or processes, and run the task again".to_owned(),
            Self::NotUp { .. } => "run the task again; `hotcell doctor` says what this host lacks".to_owned(),
            Self::NoRoots => {
                "install the system's certificates: apt-get install ca-certificates, or its like".to_owned()
            }
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::NoRoots => Exit::HostLacks,
            _ => Exit::Failed,
        }
    }
}
