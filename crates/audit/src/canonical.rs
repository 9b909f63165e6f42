//! The canonical bytes of an event: what is hashed, written and signed.
//!
//! JSON on one line, without spaces, the keys of every object in ascending order of their bytes. Keys
//! are sorted here and not left to a map type, because other crates can switch `serde_json` to maps
//! that keep the order of insertion.

use hotcell_types::Event;
use serde_json::Value;

use crate::LogError;

/// Most bytes of one entry: C2SP entry bundles have 16-bit lengths.
pub const MAX_ENTRY_BYTES: usize = 65_535;

/// Deepest nesting of an event's particulars: real ones have three or four levels.
const MAX_DEPTH: usize = 16;

/// The canonical bytes of an event.
///
/// # Errors
/// [`LogError::EntryTooLarge`] and [`LogError::EntryTooDeep`].
pub fn canonical(event: &Event) -> Result<Vec<u8>, LogError> {
    let value = serde_json::to_value(event).map_err(|source| LogError::Unencodable { source })?;
    let mut bytes = Vec::with_capacity(256);
    write(&value, MAX_DEPTH, &mut bytes)?;
    if bytes.len() > MAX_ENTRY_BYTES {
        return Err(LogError::EntryTooLarge { bytes: bytes.len(), limit: MAX_ENTRY_BYTES });
    }
    Ok(bytes)
}

fn write(value: &Value, depth: usize, to: &mut Vec<u8>) -> Result<(), LogError> {
    match value {
        Value::Object(_) | Value::Array(_) if depth == 0 => return Err(LogError::EntryTooDeep { limit: MAX_DEPTH }),
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_unstable_by_key(|(key, _)| key.as_bytes());
            to.push(b'{');
            for (place, (key, member)) in sorted.into_iter().enumerate() {
                if place > 0 {
                    to.push(b',');
                }
                write_scalar(key, to)?;
                to.push(b':');
                write(member, depth - 1, to)?;
            }
            to.push(b'}');
        }
        Value::Array(items) => {
            to.push(b'[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    to.push(b',');
                }
                write(item, depth - 1, to)?;
            }
            to.push(b']');
        }
        Value::String(text) => write_scalar(text, to)?,
        Value::Null | Value::Bool(_) | Value::Number(_) => write_scalar(value, to)?,
    }
    Ok(())
}

/// Writes a string, number, boolean or null; control characters in strings come out escaped.
fn write_scalar<T: serde::Serialize + ?Sized>(scalar: &T, to: &mut Vec<u8>) -> Result<(), LogError> {
    serde_json::to_writer(to, scalar).map_err(|source| LogError::Unencodable { source })
}

#[cfg(test)]
mod tests {
    use hotcell_types::{EventKind, TaskId, Timestamp};
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_one_line_with_sorted_keys() {
        let event = Event::of_task(Timestamp(5), TaskId::from_bytes([0; 10]), EventKind::TaskStarting)
            .with("z", 1)
            .with("a", json!({"y": [true, null, "line\nbreak \u{1b}"], "b": -2, "ä": 0}));
        assert_eq!(
            String::from_utf8(canonical(&event).unwrap()).unwrap(),
            r#"{"data":{"a":{"b":-2,"y":[true,null,"line\nbreak \u001b"],"ä":0},"z":1},"kind":"task-starting","task":"t-aaaaaaaaaaaaaaaa","time":5}"#
        );
    }

    #[test]
    fn an_event_reads_back_as_written_and_is_written_the_same_again() {
        let event = Event { time: Timestamp(7), task: None, kind: EventKind::LogStarted, data: Default::default() }
            .with("text", "\u{0}\"\\\u{2028}𝄞")
            .with("whole", u64::MAX)
            .with("broken", 0.1);
        let bytes = canonical(&event).unwrap();
        let back: Event = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(back, event);
        assert_eq!(canonical(&back).unwrap(), bytes);
    }

    #[test]
    fn an_entry_of_the_largest_size_passes_and_one_byte_more_is_refused() {
        let event = |filler: usize| {
            Event { time: Timestamp(0), task: None, kind: EventKind::LogStarted, data: Default::default() }
                .with("x", "y".repeat(filler))
        };
        let overhead = canonical(&event(0)).unwrap().len();
        assert_eq!(canonical(&event(MAX_ENTRY_BYTES - overhead)).unwrap().len(), MAX_ENTRY_BYTES);
        let error = canonical(&event(MAX_ENTRY_BYTES - overhead + 1)).unwrap_err();
        assert_eq!(error.to_string(), "an entry of 65536 bytes is larger than the limit of 65535");
    }

    #[test]
    fn particulars_nested_too_deep_are_refused() {
        let nested = (0..20).fold(json!(1), |inner, _| json!([inner]));
        let event = Event { time: Timestamp(0), task: None, kind: EventKind::LogStarted, data: Default::default() }
            .with("x", nested);
        assert!(matches!(canonical(&event), Err(LogError::EntryTooDeep { limit: MAX_DEPTH })));
    }
}
