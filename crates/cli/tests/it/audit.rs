//! `hotcell audit`.

use std::fs;

use hotcell_audit::Durability;
use hotcell_task::open_log;
use hotcell_types::{Event, EventKind, TaskId, Timestamp};
use serde_json::Value;

use crate::hotcell::{Place, text};

const KINDS: [EventKind; 3] = [EventKind::TaskSubmitted, EventKind::GrantDenied, EventKind::TaskFailed];

fn task(number: u8) -> TaskId {
    TaskId::from_bytes([number; 10])
}

/// A state folder whose log has its first entry and then three events for each of three tasks, a day apart.
fn place() -> Place {
    let place = Place::new();
    let log = open_log(&place.state(), "0.0.0", Timestamp(0)).unwrap();
    let mut events = Vec::new();
    for number in 1..=3 {
        for kind in KINDS {
            let event = Event::of_task(Timestamp(u64::from(number) * 86_400_000), task(number), kind);
            events.push(event.with("what", "a \x1b[2J name"));
        }
    }
    let at = log.append(&events, Durability::Durable).unwrap();
    log.checkpoint(&at).unwrap();
    place
}

#[test]
fn events_are_shown_as_they_were_asked_for() {
    let place = place();
    let second = task(2).to_string();
    for (words, count) in [
        (&[][..], 10),
        (&["--task", &second], 3),
        (&["--kind", "grant-denied"], 3),
        (&["--kind", "grant-denied", "--kind", "task-failed"], 6),
        (&["--since", "1970-01-03"], 6),
        (&["--since", "1970-01-03T00:00:01Z"], 3),
        (&["--since", "1970-01-03", "--task", &second, "--kind", "task-failed"], 1),
        (&["--since", "2070-01-01"], 0),
        (&["--kind", "receipt-signed"], 0),
    ] {
        let told = place.json(0, &[&["--json", "audit", "show"], words].concat());
        assert_eq!(told.as_array().unwrap().len(), count, "{words:?}");
        let lines = place.expect(0, &[&["audit", "show"], words].concat());
        assert_eq!(lines.lines().count(), count, "{words:?}");
        assert!(!lines.contains('\x1b'));
    }
    let told = place.json(0, &["--json", "audit", "show", "--task", &second]);
    assert_eq!((&told[0]["index"], &told[0]["event"]["kind"]), (&4.into(), &"task-submitted".into()));
}

#[test]
fn a_whole_log_verifies_and_the_answer_says_by_whose_key() {
    let place = place();
    let told = place.expect(0, &["audit", "verify"]);
    assert!(
        told.contains("10 entries") && told.contains("this machine's own") && told.contains("unwitnessed"),
        "{told}"
    );
    let key = place.state().join("keys/signing.key.pub");
    let told = place.expect(0, &["audit", "verify", "--trust", key.to_str().unwrap()]);
    assert!(!told.contains("this machine's own"), "{told}");
    let told = place.json(0, &["--json", "audit", "verify"]);
    assert_eq!((&told["entries"], &told["own_key"]), (&10.into(), &true.into()));
}

#[test]
fn a_log_that_was_altered_does_not_verify() {
    type Alteration = fn(&mut Vec<u8>);
    let alterations: [(&str, Alteration); 3] = [
        ("one letter", |bytes| {
            let place = bytes.windows(12).position(|part| part == b"grant-denied").unwrap();
            bytes[place] = b'G';
        }),
        ("the end cut off", |bytes| bytes.truncate(bytes.len() / 2)),
        ("nothing left", Vec::clear),
    ];
    for (what, alter) in alterations {
        let place = place();
        let journal = place.state().join("log/journal");
        let mut bytes = fs::read(&journal).unwrap();
        alter(&mut bytes);
        fs::write(&journal, bytes).unwrap();
        let told = place.json(123, &["--json", "audit", "verify"]);
        assert!(told["error"]["code"].as_str().unwrap().starts_with("AUD-"), "{what}: {told}");
    }
}

#[test]
fn damage_is_told_after_the_entries_before_it() {
    let place = place();
    let journal = place.state().join("log/journal");
    let mut bytes = fs::read(&journal).unwrap();
    let middle = bytes.windows(11).enumerate().filter(|(_, part)| part == b"task-failed").nth(1).unwrap().0;
    bytes[middle] = b'T';
    fs::write(&journal, bytes).unwrap();
    let output = place.output(&["--json", "audit", "show"]);
    assert_eq!(output.status.code(), Some(123));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told.as_array().unwrap().len(), 7, "{told}");
    assert_eq!(told[6]["error"]["code"], "AUD-010");
    let output = place.output(&["audit", "show"]);
    assert_eq!((output.status.code(), text(&output.stdout).lines().count()), (Some(123), 6));
    assert!(text(&output.stderr).contains("AUD-010"));
}

#[test]
fn another_key_is_not_trusted() {
    let place = place();
    place.expect(0, &["keygen", "--signing", "--output", "other"]);
    let told = place.json(123, &["--json", "audit", "verify", "--trust", "other.pub"]);
    assert_eq!(told["error"]["code"], "AUD-114");
    place.expect(0, &["keygen", "--output", "encryption"]);
    place.expect(2, &["audit", "verify", "--trust", "encryption.pub"]);
    place.expect(2, &["audit", "verify", "--trust", "missing"]);
}

#[test]
fn where_there_is_no_log_the_answer_is_no() {
    let place = Place::new();
    for words in [&["--json", "audit", "show"][..], &["--json", "audit", "verify"]] {
        let told = place.json(1, words);
        assert_eq!(told["error"]["code"], "CLI-004");
    }
    assert!(!place.state().exists(), "asking makes nothing");
    let place = self::place();
    fs::remove_file(place.state().join("keys/signing.key.pub")).unwrap();
    place.expect(1, &["audit", "verify"]);
}
