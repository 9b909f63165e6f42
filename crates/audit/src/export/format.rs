//! The forms in which events leave: our own as JSON lines, and OCSF.

use hotcell_types::{Event, EventKind};
use serde_json::{Value, json};

use crate::Entry;
use crate::note::Origin;

/// A form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `{"index", "event"}` in one line.
    JsonLines,
    /// The Open Cybersecurity Schema Framework, version 1.3: class API Activity.
    Ocsf,
}

/// One event in one line.
pub fn format(format: Format, origin: &Origin, entry: &Entry) -> String {
    match format {
        Format::JsonLines => json!({ "index": entry.index, "event": entry.event }).to_string(),
        Format::Ocsf => ocsf(origin, entry).to_string(),
    }
}

/// Class 6003, API Activity, of category 6, Application Activity.
const CLASS: u64 = 6003;

fn ocsf(origin: &Origin, entry: &Entry) -> Value {
    let Entry { index, event } = entry;
    let activity = activity(event.kind);
    let (status, severity) = (status(event.kind), severity(event.kind));
    let operation = serde_json::to_value(event.kind).unwrap_or_default();
    let mut value = json!({
        "activity_id": activity,
        "category_uid": CLASS / 1000,
        "class_uid": CLASS,
        "type_uid": CLASS * 100 + activity,
        "time": event.time.0,
        "severity_id": severity,
        "status_id": status,
        "metadata": {
            "version": "1.3.0",
            "product": { "name": "Hotcell", "vendor_name": "Hotcell" },
            "log_name": origin.as_str(),
            "uid": format!("{origin}/{index}"),
            "sequence": index,
        },
        "api": { "operation": operation },
        "actor": { "user": { "uid": principal(event) } },
        "src_endpoint": { "name": origin.as_str() },
        "unmapped": event.data,
    });
    if let (Some(task), Some(members)) = (event.task, value.as_object_mut()) {
        members.insert("resources".to_owned(), json!([{ "type": "task", "uid": task }]));
    }
    value
}

/// The keyed hash of the principal, where the event names one.
fn principal(event: &Event) -> String {
    let principal = event.data.get("principal");
    let id = principal.and_then(|value| value.get("id").or(Some(value))).and_then(Value::as_str);
    id.unwrap_or("unknown").to_owned()
}

/// 1 create, 2 read, 3 update, 4 delete, 99 other.
fn activity(kind: EventKind) -> u64 {
    match kind {
        EventKind::LogStarted | EventKind::TaskSubmitted | EventKind::GrantIssued | EventKind::LeaseIssued => 1,
        EventKind::PreflightObserved | EventKind::OutputInspected => 2,
        EventKind::TaskStarting | EventKind::WorkloadEnded | EventKind::OutputReleased | EventKind::OutputHeld => 3,
        EventKind::SandboxDestroyed | EventKind::PersonalErased => 4,
        _ => 99,
    }
}

/// 1 success, 2 failure.
fn status(kind: EventKind) -> u64 {
    match kind {
        EventKind::GrantDenied
        | EventKind::OutputRefused
        | EventKind::TaskFailed
        | EventKind::TaskInterrupted
        | EventKind::DenialsDropped => 2,
        _ => 1,
    }
}

/// 1 informational, 2 low, 3 medium, 4 high.
fn severity(kind: EventKind) -> u64 {
    match kind {
        EventKind::GrantDenied | EventKind::TaskFailed | EventKind::TaskInterrupted => 2,
        EventKind::OutputRefused | EventKind::OutputHeld => 3,
        EventKind::DenialsDropped | EventKind::PersonalErased => 3,
        _ => 1,
    }
}

/// The severity of syslog (RFC 5424): 4 warning, 5 notice, 6 informational.
pub(super) fn syslog_severity(kind: EventKind) -> u8 {
    match severity(kind) {
        1 => 6,
        2 => 5,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use hotcell_types::{TaskId, Timestamp};

    use super::*;

    #[test]
    fn an_event_in_ocsf_has_its_class_activity_and_type() {
        let event = Event::of_task(Timestamp(5), TaskId::from_bytes([0; 10]), EventKind::GrantDenied)
            .with("principal", json!({ "epoch": "local/1", "id": "abcd", "sealed": "xx" }))
            .with("code", "POL-001");
        let origin = Origin::parse("example.org/log").unwrap();
        let value: Value = serde_json::from_str(&format(Format::Ocsf, &origin, &Entry { index: 7, event })).unwrap();
        assert_eq!((&value["class_uid"], &value["category_uid"]), (&json!(6003), &json!(6)));
        assert_eq!((&value["activity_id"], &value["type_uid"]), (&json!(99), &json!(600_399)));
        assert_eq!((&value["status_id"], &value["severity_id"], &value["time"]), (&json!(2), &json!(2), &json!(5)));
        assert_eq!(value["actor"]["user"]["uid"], "abcd");
        assert_eq!(value["api"]["operation"], "grant-denied");
        assert_eq!(value["metadata"]["uid"], "example.org/log/7");
        assert_eq!(value["resources"][0]["uid"], "t-aaaaaaaaaaaaaaaa");
        assert_eq!(value["unmapped"]["code"], "POL-001");
    }
}
