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

#[test]
fn a_witness_on_another_machine_countersigns_and_finds_a_log_that_was_cut_back() {
    let (place, witness) = (place(), Place::new());
    let key = place.state().join("keys/signing.key.pub");
    let key = key.to_str().unwrap();
    let ask = |since: &str| place.expect(0, &["audit", "prove", "consistency", "--since", since]);
    let request = witness.file("request", &ask("0"));
    let sign =
        |status| witness.expect(status, &["audit", "witness", "sign", request.to_str().unwrap(), "--trust", key]);
    let signed = place.file("signed", &sign(0));
    let witness_key = witness.state().join("keys/signing.key.pub");
    let witness_key = witness_key.to_str().unwrap();
    let verify = ["--json", "audit", "verify", "--kept", signed.to_str().unwrap(), "--witness"];
    place.expect(0, &["audit", "witness", "add", "signed", "--trust", witness_key]);
    let told = place.json(0, &[&verify[..], &[witness_key]].concat());
    assert!(told["witnessed"].as_str().unwrap().starts_with("witnessed by hotcell.local/witness-"), "{told}");
    assert_eq!(told["kept_entries"], 10);
    assert_eq!(place.json(123, &[&verify[..], &[key]].concat())["error"]["code"], "AUD-405");
    let proof = place.expect(0, &["audit", "prove", "entry", "3", "--witnessed"]);
    assert!(proof.starts_with("c2sp.org/tlog-proof@v1\nindex 3\n"), "{proof}");
    // The whole state is set back to a log of its own with fewer entries, signed by the same key.
    let kept = fs::read(place.state().join("log/checkpoint")).unwrap();
    fs::remove_dir_all(place.state().join("log")).unwrap();
    let log = open_log(&place.state(), "0.0.0", Timestamp(0)).unwrap();
    let at = log.append(&[Event::of_task(Timestamp(1), task(1), KINDS[0])], Durability::Durable).unwrap();
    log.checkpoint(&at).unwrap();
    drop(log);
    assert_ne!(fs::read(place.state().join("log/checkpoint")).unwrap(), kept);
    place.expect(0, &["audit", "verify"]);
    fs::write(&request, ask("0")).unwrap();
    let told = witness.json(123, &["--json", "audit", "witness", "sign", "request", "--trust", key]);
    assert_eq!(told["error"]["code"], "AUD-402");
    assert_eq!(place.json(123, &[&verify[..], &[witness_key]].concat())["error"]["code"], "AUD-008");
}

#[test]
fn who_asked_is_sealed_in_the_log_shown_and_erased() {
    let place = Place::new();
    place.expect(0, &["--json", "run", "--purpose", "a canary of Mr Zhao", "--", "true"]);
    let journal = || fs::read_to_string(place.state().join("log/journal")).unwrap();
    assert!(!journal().contains("Zhao"));
    let shown = place.expect(0, &["audit", "show", "--kind", "task-submitted"]);
    assert!(shown.contains("a canary of Mr Zhao"), "{shown}");
    let told = place.json(0, &["--json", "audit", "show", "--kind", "task-submitted"]);
    let principal = told[0]["event"]["data"]["principal"].as_str().unwrap().to_owned();
    let by = |name: &str| place.json(0, &["--json", "audit", "show", "--principal", name]).as_array().unwrap().len();
    assert_eq!((by(&principal), by("local:nobody-else")), (1, 0));
    let exported = place.expect(0, &["audit", "export", "--format", "ocsf"]);
    assert!(exported.contains("\"class_uid\":6003") && !exported.contains("Zhao"));
    let told = place.json(0, &["--json", "audit", "erase"]);
    assert_eq!(told["erased_epochs"], serde_json::json!([1]));
    let shown = place.expect(0, &["audit", "show"]);
    assert!(!shown.contains("Zhao") && shown.contains("erased") && shown.contains("personal-erased"), "{shown}");
    assert_eq!(by(&principal), 0);
    place.expect(0, &["audit", "verify"]);
    assert_eq!(place.json(1, &["--json", "audit", "erase"])["error"]["code"], "AUD-502");
}

#[test]
fn what_was_made_from_the_log_is_dropped_and_made_again_and_the_list_of_tasks_stays() {
    let place = Place::new();
    place.expect(0, &["run", "--", "true"]);
    place.expect(1, &["run", "--", "false"]);
    let list = place.expect(0, &["ps", "--all"]);
    assert!(list.lines().count() == 2 && list.contains("released  ") && list.contains("  true"), "{list}");
    let told = place.json(0, &["--json", "audit", "rebuild"]);
    assert_eq!((&told["tasks"], &told["same"]), (&2.into(), &Value::Null));
    assert_eq!(place.expect(0, &["ps", "--all"]), list);
    assert_eq!(place.json(0, &["--json", "audit", "rebuild"])["same"], true);
    let states = place.state().join("log/states");
    assert!(!fs::read_to_string(&states).unwrap().contains("\"true\""), "names are sealed there too");
    fs::remove_file(&states).unwrap();
    assert_eq!(place.expect(0, &["ps", "--all"]), list);
    place.expect(0, &["audit", "erase"]);
    let erased = place.expect(0, &["ps", "--all"]);
    assert!(erased.lines().count() == 2 && erased.contains("(erased)") && !erased.contains("  true"), "{erased}");
}

#[test]
fn events_are_shown_up_to_a_level() {
    let place = Place::new();
    let log = open_log(&place.state(), "0.0.0", Timestamp(0)).unwrap();
    for kind in [EventKind::TaskSubmitted, EventKind::DataShown, EventKind::WallObserved, EventKind::RightGiven] {
        log.append(&[Event::of_task(Timestamp(1), task(1), kind)], Durability::Lazy).unwrap();
    }
    drop(log);
    for (level, count) in [("normal", 2), ("high", 3), ("very-high", 5)] {
        let shown = place.expect(0, &["audit", "show", "--level", level]);
        assert_eq!(shown.lines().count(), count, "{level}: {shown}");
    }
    place.expect(2, &["audit", "show", "--level", "low"]);
}

#[test]
fn who_follows_reads_an_event_as_soon_as_it_is_written() {
    let place = place();
    let mut child = place.start(&["audit", "export", "--follow", "--cursor", "siem"]);
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap()["index"].clone();
    (0..10).for_each(|number| assert_eq!(next(), number));
    let log = open_log(&place.state(), "0.0.0", Timestamp(0)).unwrap();
    for number in 10..13u64 {
        log.append(&[Event::of_task(Timestamp(number), task(9), KINDS[0])], Durability::Lazy).unwrap();
    }
    // The clock was set back before the first of them, which the log tells by an entry of its own.
    (10..14).for_each(|number| assert_eq!(next(), number));
    child.kill().unwrap();
    child.wait().unwrap();
    // What was handed on before the cursor moved comes once more; nothing is left out.
    let rest = place.expect(0, &["audit", "export", "--cursor", "siem"]);
    let expected: Vec<_> = (0..14).collect();
    let seen: Vec<u64> =
        rest.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["index"].as_u64().unwrap()).collect();
    assert!(expected.ends_with(&seen), "{seen:?}");
}
