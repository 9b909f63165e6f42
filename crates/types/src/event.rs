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
