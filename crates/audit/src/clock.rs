//! The order of entries and the clock: when an entry may bear a time before that of the entry before it.
//!
//! Events bring the time of the wall clock, which may be set, and take a while to be written. So an entry may lie up to a
//! minute before its predecessor, and further only if a `clock-jumped` stands between the two that says by exactly how
//! much. The log writes that event itself, under the lock of an append, whoever appends: an honest log always has it,
//! and an entry that was put elsewhere has not.

use hotcell_types::{Event, EventKind, Timestamp};
use serde_json::Value;

/// An event's time is taken some while before it is written; more than this is a clock that was set back.
const ORDINARY_DELAY_MS: u64 = 60_000;

/// The particular that says by how much.
const MILLISECONDS: &str = "milliseconds";

/// What has to stand between an entry of one time and one of another; nothing where they may follow each other.
pub(crate) fn jump(before: Timestamp, after: Timestamp) -> Option<Event> {
    let back = back(before, after)?;
    let event = Event { time: after, task: None, kind: EventKind::ClockJumped, data: Default::default() };
    Some(event.with(MILLISECONDS, back))
}

/// Whether an entry that lies so far before its predecessor is the one that says so.
pub(crate) fn is_told(before: Timestamp, event: &Event) -> bool {
    let told = event.data.get(MILLISECONDS).and_then(Value::as_i64);
    event.kind == EventKind::ClockJumped && told.is_some() && told == back(before, event.time)
}

/// By how much the time went back, as a negative number, where that is more than entries take to be written.
pub(crate) fn back(before: Timestamp, after: Timestamp) -> Option<i64> {
    let by = before.0.saturating_sub(after.0);
    (by > ORDINARY_DELAY_MS).then(|| i64::try_from(by).map_or(i64::MIN, |by| -by))
}
