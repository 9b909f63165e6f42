//! How a task or a command ends.

use serde::{Deserialize, Serialize};

/// The documented exit statuses that are Hotcell's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    /// 0: yes, done.
    Yes,
    /// 1: no (a check that failed, something found).
    No,
    /// 2: the command line was wrong.
    Usage,
    /// 120: an output is held for approval.
    Held,
    /// 121: refused by policy or inspection.
    Refused,
    /// 122: the host lacks a control.
    HostLacks,
    /// 123: a signature, a tag, a key or a digest does not fit.
    Integrity,
    /// 124: a limit was reached.
    Limit,
    /// 125: Hotcell itself failed.
    Failed,
    /// 126: the command cannot be executed.
    NotExecutable,
    /// 127: the command was not found.
    NotFound,
}

impl Exit {
    /// The number that the process exits with.
    pub fn status(self) -> u8 {
        match self {
            Self::Yes => 0,
            Self::No => 1,
            Self::Usage => 2,
            Self::Held => 120,
            Self::Refused => 121,
            Self::HostLacks => 122,
            Self::Integrity => 123,
            Self::Limit => 124,
            Self::Failed => 125,
            Self::NotExecutable => 126,
            Self::NotFound => 127,
        }
    }
}

/// How a task ended, as its receipt and `--json` say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The workload exited with 0 and what it produced was released.
    Released,
    /// The workload ended with a failure of its own; what may leave of it was released.
    WorkloadFailed,
    /// Policy or inspection refused.
    Refused,
    /// Inspection holds an output for approval.
    Held,
    /// The host lacks a control that the profile demands.
    HostLacks,
    /// A signature, tag, key or digest did not fit.
    IntegrityFailure,
    /// A limit (time, memory, size) was reached.
    LimitReached,
    /// Cancelled by the user.
    Cancelled,
    /// Policy allowed it no longer while it ran.
    Withdrawn,
    /// The command could not be executed or was not found.
    NotExecuted,
    /// Hotcell itself failed.
    Failed,
    /// Hotcell ended in the middle; found by the next start.
    Interrupted,
}
