//! Events: what the audit log records, before it is acted on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{TaskId, Timestamp};

/// One entry of the audit log.
///
/// INVARIANT (no-secrets): `data` holds ids, names, numbers, digests and verdicts; never content, keys
/// or what a workload printed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// When.
    pub time: Timestamp,
    /// Which task, if it concerns one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskId>,
    /// What happened.
    pub kind: EventKind,
    /// The particulars, by name; a map, so that the order is canonical.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub data: BTreeMap<String, Value>,
}

/// What can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// A log was begun.
    LogStarted,
    /// A task was asked for.
    TaskSubmitted,
    /// Policy allowed it.
    GrantIssued,
    /// Policy denied it.
    GrantDenied,
    /// The workload is about to be executed: the durable intent.
    TaskStarting,
    /// The preflight's observations of the walls.
    PreflightObserved,
    /// A sealed model's key was leased for this sandbox.
    LeaseIssued,
    /// The workload ended.
    WorkloadEnded,
    /// What would leave was inspected.
    OutputInspected,
    /// Something left.
    OutputReleased,
    /// Something was refused.
    OutputRefused,
    /// Something is held for approval.
    OutputHeld,
    /// The sandbox is gone.
    SandboxDestroyed,
    /// The receipt was signed: the task is over.
    ReceiptSigned,
    /// The task failed before it could end in order.
    TaskFailed,
    /// A task that an earlier Hotcell left in the middle was found and cleaned up.
    TaskInterrupted,
    /// Denials in a flood, which were counted and not recorded one by one.
    DenialsDropped,
    /// The keys of a tenant's epochs were destroyed: what they sealed is erased.
    PersonalErased,
    /// Policy allows a running task no longer: it is about to be killed.
    TaskWithdrawn,
    /// A policy was put into force.
    PolicyInstalled,
    /// A policy was refused; the one before it stays in force.
    PolicyRefused,
    /// The host's clock was set while a task was on its way (or the machine slept): by how many milliseconds.
    ClockJumped,
    /// An input is seen through a role view: which, how many rows, how many left out.
    ViewApplied,
    /// Tokens and encrypted fields of a view are about to be opened: of which dataset, which columns.
    FieldsOpened,
    /// The gateway serves a sandbox: which hosts it may reach.
    EgressOpened,
    /// A connection to a host came to its end: which, in which form, how much went each way.
    EgressConnected,
    /// A request went to a host: method, path, status, sizes.
    EgressRequested,
    /// Something on its way out was refused: what, and which option would permit it.
    EgressRefused,
    /// The gateway ended before its sandbox did: nothing leaves any more.
    EgressLost,
    /// A selftest attacked fresh sandboxes: how many attacks were held, got through, were skipped.
    SelftestEnded,
    /// A model was taken into the registry, in quarantine.
    ModelAdded,
    /// A model was refused: by its scan, its signature or policy.
    ModelRefused,
    /// A model of the registry may be used.
    ModelApproved,
    /// A model of the registry may be used no longer.
    ModelRevoked,
    /// A model was removed from the registry.
    ModelRemoved,
    /// An input, or the model, is about to be shown to the workload: how much of it, and the commitment to it.
    DataShown,
    /// What a workload wrote to a standard stream: how much, and whether it left.
    StreamJudged,
    /// One right that the sandbox was given.
    RightGiven,
    /// One look at a wall, from inside the sandbox.
    WallObserved,
    /// A system call that the filter refused: which, and how often.
    CallRefused,
    /// How much of a limit was used, and whether it was reached.
    ResourceUsed,
}

/// How much is recorded, from little to much. Content, keys and secrets are recorded at none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuditLevel {
    /// What every task leaves.
    #[default]
    Normal,
    /// What was read and what was written, too.
    High,
    /// Each right, each look at a wall, each refused call and each limit, too.
    VeryHigh,
}

impl EventKind {
    /// From which level on such events are recorded.
    pub fn level(self) -> AuditLevel {
        match self {
            Self::DataShown | Self::StreamJudged => AuditLevel::High,
            Self::RightGiven | Self::WallObserved | Self::CallRefused | Self::ResourceUsed => AuditLevel::VeryHigh,
            // By name, so that whoever adds a kind has to say.
            Self::LogStarted
            | Self::EgressOpened
            | Self::EgressConnected
            | Self::EgressRequested
            | Self::EgressRefused
            | Self::EgressLost
            | Self::TaskSubmitted
            | Self::GrantIssued
            | Self::GrantDenied
            | Self::TaskStarting
            | Self::PreflightObserved
            | Self::LeaseIssued
            | Self::WorkloadEnded
            | Self::OutputInspected
            | Self::OutputReleased
            | Self::OutputRefused
            | Self::OutputHeld
            | Self::SandboxDestroyed
            | Self::ReceiptSigned
            | Self::TaskFailed
            | Self::TaskInterrupted
            | Self::DenialsDropped
            | Self::PersonalErased
            | Self::TaskWithdrawn
            | Self::ViewApplied
            | Self::FieldsOpened
            | Self::ModelAdded
            | Self::ModelRefused
            | Self::ModelApproved
            | Self::ModelRevoked
            | Self::ModelRemoved
            | Self::PolicyInstalled
            | Self::PolicyRefused
            | Self::ClockJumped
            | Self::SelftestEnded => AuditLevel::Normal,
        }
    }
}

impl Event {
    /// An event about a task, without particulars.
    pub fn of_task(time: Timestamp, task: TaskId, kind: EventKind) -> Self {
        Self { time, task: Some(task), kind, data: BTreeMap::new() }
    }

    /// Adds one particular.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.data.insert(name.to_owned(), value.into());
        self
    }
}
