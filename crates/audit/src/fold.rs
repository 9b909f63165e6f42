//! What the events say: the states of tasks, models, tenants, approvals and leases, as folds over the log.
//!
//! Pure: a state and an event give a state. Everything that lists or counts follows from these, so that it can be
//! thrown away and made again.

use std::collections::BTreeMap;

use hotcell_types::{Event, EventKind, TaskId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where a task is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Asked for.
    Submitted,
    /// Policy said no.
    Denied,
    /// Policy said yes.
    Granted,
    /// About to run, or running.
    Running,
    /// The workload has ended.
    Ended,
    /// The sandbox is gone.
    Destroyed,
    /// The receipt is signed.
    Finished,
    /// It failed on the way.
    Failed,
    /// Its Hotcell was killed.
    Interrupted,
}

/// A task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Where it is.
    pub stage: Stage,
    /// When it was asked for.
    pub submitted: Timestamp,
    /// When its last event was.
    pub changed: Timestamp,
    /// What it runs, as it stands in the log: sealed, or by name in logs of earlier versions.
    pub what: Value,
    /// The keyed hash of who asked, where it stands in the log so.
    pub principal: String,
    /// How it came out, or the code of what stopped it.
    pub outcome: String,
}

/// How a model was used.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Model {
    /// How many keys were leased for it.
    pub leases: u64,
    /// When last.
    pub last: Option<Timestamp>,
}

/// What a tenant did. On one machine there is one tenant.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tenant {
    /// Tasks that were asked for.
    pub tasks: u64,
    /// Tasks that were denied.
    pub denied: u64,
    /// Denials that were counted and not recorded one by one.
    pub dropped: u64,
    /// Epochs whose keys were destroyed.
    pub erased: u64,
}

/// An output that is held until somebody approves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Since when.
    pub held: Timestamp,
    /// Whether it was released or refused since.
    pub decided: bool,
}

/// A key that was handed to a sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Of which model.
    pub model: String,
    /// When.
    pub issued: Timestamp,
    /// Whether the sandbox is gone.
    pub ended: bool,
}

/// All of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct States {
    /// By id.
    pub tasks: BTreeMap<TaskId, Task>,
    /// By id.
    pub models: BTreeMap<String, Model>,
    /// By name.
    pub tenants: BTreeMap<String, Tenant>,
    /// By the task whose output is held.
    pub approvals: BTreeMap<TaskId, Approval>,
    /// By the task that it was for.
    pub leases: BTreeMap<TaskId, Lease>,
}

impl Stage {
    /// Its name.
    pub fn label(self) -> &'static str {
        match self {
            Self::Submitted => "submitted",
            Self::Denied => "denied",
            Self::Granted => "granted",
            Self::Running => "running",
            Self::Ended => "ended",
            Self::Destroyed => "destroyed",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }
}

/// The tenant of events that name none: the local one.
pub const LOCAL: &str = "local";

impl States {
    /// The states after one more event.
    pub fn apply(&mut self, event: &Event) {
        self.apply_tenant(event);
        let Some(task) = event.task else { return };
        self.apply_task(task, event);
        let model = || text(event, "model");
        match event.kind {
            EventKind::LeaseIssued => {
                let used = self.models.entry(model()).or_default();
                used.leases += 1;
                used.last = Some(event.time);
                self.leases.insert(task, Lease { model: model(), issued: event.time, ended: false });
            }
            EventKind::OutputHeld => {
                self.approvals.insert(task, Approval { held: event.time, decided: false });
            }
            EventKind::OutputReleased | EventKind::OutputRefused => {
                if let Some(approval) = self.approvals.get_mut(&task) {
                    approval.decided = true;
                }
            }
            EventKind::SandboxDestroyed | EventKind::TaskFailed | EventKind::TaskInterrupted => {
                if let Some(lease) = self.leases.get_mut(&task) {
                    lease.ended = true;
                }
            }
            _ => {}
        }
    }

    fn apply_tenant(&mut self, event: &Event) {
        let tenant = self.tenants.entry(tenant_of(event)).or_default();
        match event.kind {
            EventKind::TaskSubmitted => tenant.tasks += 1,
            EventKind::GrantDenied => tenant.denied += 1,
            EventKind::DenialsDropped => {
                tenant.dropped += event.data.get("count").and_then(Value::as_u64).unwrap_or(0);
            }
            EventKind::PersonalErased => {
                let epochs = event.data.get("epochs").and_then(Value::as_array).map_or(0, Vec::len);
                tenant.erased += epochs as u64;
            }
            _ => {}
        }
    }

    fn apply_task(&mut self, id: TaskId, event: &Event) {
        if event.kind == EventKind::TaskSubmitted {
            self.tasks.insert(
                id,
                Task {
                    stage: Stage::Submitted,
                    submitted: event.time,
                    changed: event.time,
                    what: event.data.get("workload").cloned().unwrap_or_default(),
                    principal: principal_of(event),
                    outcome: String::new(),
                },
            );
            return;
        }
        let Some(task) = self.tasks.get_mut(&id) else { return };
        task.changed = event.time;
        let (stage, outcome) = match event.kind {
            EventKind::GrantDenied => (Stage::Denied, Some(text(event, "code"))),
            EventKind::GrantIssued => (Stage::Granted, None),
            EventKind::TaskStarting => (Stage::Running, None),
            EventKind::WorkloadEnded => (Stage::Ended, None),
            EventKind::SandboxDestroyed => (Stage::Destroyed, Some(text(event, "outcome"))),
            EventKind::ReceiptSigned => (Stage::Finished, None),
            EventKind::TaskFailed => (Stage::Failed, Some(text(event, "code"))),
            EventKind::TaskInterrupted => (Stage::Interrupted, None),
            _ => return,
        };
        task.stage = stage;
        if let Some(outcome) = outcome {
            task.outcome = outcome;
        }
    }
}

fn tenant_of(event: &Event) -> String {
    match event.data.get("tenant").and_then(Value::as_str) {
        Some(tenant) => tenant.to_owned(),
        None => LOCAL.to_owned(),
    }
}

/// Never the name: the id under which it stands, or nothing.
fn principal_of(event: &Event) -> String {
    let principal = event.data.get("principal");
    principal.and_then(|value| value.get("id")).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn text(event: &Event, name: &str) -> String {
    event.data.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(time: u64, kind: EventKind) -> Event {
        Event::of_task(Timestamp(time), TaskId::from_bytes([1; 10]), kind)
    }

    fn after(events: &[Event]) -> States {
        let mut states = States::default();
        events.iter().for_each(|event| states.apply(event));
        states
    }

    #[test]
    fn a_task_is_where_its_last_event_says() {
        let way = [
            (event(1, EventKind::TaskSubmitted).with("workload", "true"), Stage::Submitted, ""),
            (event(2, EventKind::GrantIssued), Stage::Granted, ""),
            (event(3, EventKind::TaskStarting), Stage::Running, ""),
            (event(4, EventKind::PreflightObserved), Stage::Running, ""),
            (event(5, EventKind::WorkloadEnded), Stage::Ended, ""),
            (event(6, EventKind::SandboxDestroyed).with("outcome", "released"), Stage::Destroyed, "released"),
            (event(7, EventKind::ReceiptSigned), Stage::Finished, "released"),
        ];
        for steps in 1..=way.len() {
            let events: Vec<_> = way[..steps].iter().map(|(event, ..)| event.clone()).collect();
            let (last, stage, outcome) = &way[steps - 1];
            let task = &after(&events).tasks[&TaskId::from_bytes([1; 10])];
            assert_eq!((task.stage, task.outcome.as_str(), task.what.as_str()), (*stage, *outcome, Some("true")));
            assert!(task.submitted == Timestamp(1) && task.changed <= last.time);
        }
        let submitted = way[0].0.clone();
        for (kind, stage) in [(EventKind::TaskFailed, Stage::Failed), (EventKind::GrantDenied, Stage::Denied)] {
            let task =
                &after(&[submitted.clone(), event(2, kind).with("code", "X-1")]).tasks[&TaskId::from_bytes([1; 10])];
            assert_eq!((task.stage, task.outcome.as_str()), (stage, "X-1"));
        }
        assert!(after(&[event(2, EventKind::TaskFailed)]).tasks.is_empty(), "of a task that nobody asked for");
    }

    #[test]
    fn a_lease_ends_with_its_sandbox_and_counts_for_its_model() {
        for end in [EventKind::SandboxDestroyed, EventKind::TaskFailed, EventKind::TaskInterrupted] {
            let issued = event(1, EventKind::LeaseIssued).with("model", "m");
            assert!(!after(std::slice::from_ref(&issued)).leases[&TaskId::from_bytes([1; 10])].ended);
            let states = after(&[issued, event(2, end)]);
            assert!(states.leases[&TaskId::from_bytes([1; 10])].ended);
            assert_eq!(states.models["m"], Model { leases: 1, last: Some(Timestamp(1)) });
        }
    }

    #[test]
    fn an_approval_is_open_until_the_output_leaves_or_not() {
        let held = event(1, EventKind::OutputHeld);
        let decided = |events: &[Event]| after(events).approvals[&TaskId::from_bytes([1; 10])].decided;
        assert!(!decided(std::slice::from_ref(&held)));
        assert!(decided(&[held.clone(), event(2, EventKind::OutputReleased)]));
        assert!(decided(&[held, event(2, EventKind::OutputRefused)]));
        assert!(after(&[event(2, EventKind::OutputReleased)]).approvals.is_empty());
    }

    #[test]
    fn a_tenant_counts_tasks_denials_and_what_was_dropped() {
        let plain = |kind| Event { time: Timestamp(1), task: None, kind, data: Default::default() };
        let states = after(&[
            event(1, EventKind::TaskSubmitted),
            event(2, EventKind::GrantDenied),
            plain(EventKind::DenialsDropped).with("count", 41),
            plain(EventKind::PersonalErased).with("epochs", vec![1, 2]).with("tenant", "other"),
        ]);
        assert_eq!(states.tenants[LOCAL], Tenant { tasks: 1, denied: 1, dropped: 41, erased: 0 });
        assert_eq!(states.tenants["other"].erased, 2);
    }

    #[test]
    fn a_state_names_nobody() {
        let sealed = serde_json::json!({ "epoch": "local/1", "id": "ab", "sealed": "" });
        let states = after(&[event(1, EventKind::TaskSubmitted).with("principal", sealed)]);
        assert_eq!(states.tasks[&TaskId::from_bytes([1; 10])].principal, "ab");
        let states = after(&[event(1, EventKind::TaskSubmitted).with("principal", "local:1000")]);
        assert_eq!(states.tasks[&TaskId::from_bytes([1; 10])].principal, "");
    }
}
