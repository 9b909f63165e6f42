//! The clock and the order: what an honest log says when it was set back, and what a log that was reordered does not.

use std::fs;
use std::path::Path;

use hotcell_audit::{Durability, Events, Filter, VerifyError, verify};
use hotcell_types::{Event, EventKind, Explain, TaskId, Timestamp};

use crate::support::{Key, folder, open};

const HOUR_MS: u64 = 3_600_000;

fn at(millis: u64) -> Event {
    Event::of_task(Timestamp(millis), TaskId::from_bytes([1; 10]), EventKind::TaskStarting)
}

/// What the log has: for each entry its time, and by how much the clock is said to have been set.
fn told(dir: &Path) -> Vec<(u64, Option<i64>)> {
    let events = Events::open(dir, Filter::default()).unwrap().map(|entry| entry.unwrap().event);
    events.map(|event| (event.time.0, event.data.get("milliseconds").and_then(|by| by.as_i64()))).collect()
}

/// A log with these lines, signed by the holder of the key.
fn log_of(lines: &[&str], header: &str, key: &Key) -> tempfile::TempDir {
    let dir = folder();
    drop(open(dir.path(), key));
    fs::write(dir.path().join("journal"), format!("{header}\n{}\n", lines.join("\n"))).unwrap();
    fs::remove_file(dir.path().join("head")).unwrap();
    let log = open(dir.path(), key);
    log.checkpoint(&log.end().unwrap()).unwrap();
    dir
}

#[test]
fn an_entry_that_was_put_elsewhere_is_named_even_where_the_key_signed_the_new_order() {
    let (dir, key) = (folder(), Key::new());
    let log = open(dir.path(), &key);
    log.append(&[at(HOUR_MS), at(2 * HOUR_MS), at(3 * HOUR_MS), at(4 * HOUR_MS)], Durability::Durable).unwrap();
    let text = fs::read_to_string(dir.path().join("journal")).unwrap();
    let [header, one, two, three, four] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
    let honest = log_of(&[one, two, three, four], header, &key);
    assert_eq!(verify(honest.path(), &key.verifying()).unwrap().entries, 4);
    for (order, bad) in [([one, three, two, four], 2), ([two, one, three, four], 1), ([one, four, three, two], 2)] {
        let forged = log_of(&order, header, &key);
        let error = verify(forged.path(), &key.verifying()).unwrap_err();
        assert!(matches!(error, VerifyError::BadEntry { index, .. } if index == bad), "{error}");
        assert_eq!((error.code(), error.exit().status()), ("AUD-301", 123));
        assert!(error.to_string().contains("no event says that the clock was set back"), "{error}");
    }
}

#[test]
fn a_clock_that_is_set_back_is_told_by_the_log_itself_and_verifies() {
    let (dir, key) = (folder(), Key::new());
    let hours = |hours: &[u64]| hours.iter().map(|hour| at(hour * HOUR_MS)).collect::<Vec<_>>();
    // Between two appends, within one, between two processes with and without the head file.
    let log = open(dir.path(), &key);
    log.append(&hours(&[9]), Durability::Lazy).unwrap();
    let position = log.append(&hours(&[7]), Durability::Lazy).unwrap();
    assert_eq!((position.first(), position.size()), (2, 3), "the event stands before what was appended");
    log.append(&hours(&[8, 5]), Durability::Durable).unwrap();
    let other = open(dir.path(), &key);
    other.append(&hours(&[3]), Durability::Lazy).unwrap();
    drop((log, other));
    fs::remove_file(dir.path().join("head")).unwrap();
    let log = open(dir.path(), &key);
    let end = log.append(&hours(&[2]), Durability::Durable).unwrap();
    log.checkpoint(&end).unwrap();
    let back = |hours: i64| Some(-hours * HOUR_MS as i64);
    let expected = [
        (9, None),
        (7, back(2)),
        (7, None),
        (8, None),
        (5, back(3)),
        (5, None),
        (3, back(2)),
        (3, None),
        (2, back(1)),
        (2, None),
    ];
    assert_eq!(told(dir.path()), expected.map(|(hour, by)| (hour * HOUR_MS, by)));
    assert_eq!(verify(dir.path(), &key.verifying()).unwrap().clock_went_back, 4);
}

#[test]
fn entries_that_took_a_while_to_be_written_are_no_clock_that_was_set_back() {
    let (dir, key) = (folder(), Key::new());
    let log = open(dir.path(), &key);
    let minute = 60_000;
    log.append(&[at(10 * minute), at(9 * minute), at(8 * minute), at(11 * minute)], Durability::Lazy).unwrap();
    assert_eq!(told(dir.path()).len(), 4);
    log.append(&[at(10 * minute - 1)], Durability::Lazy).unwrap();
    assert_eq!(told(dir.path()).len(), 6, "a millisecond more than a minute is told");
    assert_eq!(verify(dir.path(), &key.verifying()).unwrap().clock_went_back, 1);
}

#[test]
fn an_event_that_tells_of_another_jump_does_not_excuse_this_one() {
    let (dir, key) = (folder(), Key::new());
    let log = open(dir.path(), &key);
    log.append(&[at(9 * HOUR_MS), at(7 * HOUR_MS)], Durability::Durable).unwrap();
    let text = fs::read_to_string(dir.path().join("journal")).unwrap();
    let [header, nine, jump, seven] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
    log.append(&[at(10 * HOUR_MS), at(7 * HOUR_MS)], Durability::Durable).unwrap();
    let text = fs::read_to_string(dir.path().join("journal")).unwrap();
    let other_jump = text.lines().nth(5).unwrap();
    assert!(verify(log_of(&[nine, jump, seven], header, &key).path(), &key.verifying()).is_ok());
    for order in [[nine, other_jump, seven], [jump, nine, seven]] {
        assert!(matches!(
            verify(log_of(&order, header, &key).path(), &key.verifying()),
            Err(VerifyError::BadEntry { .. })
        ));
    }
}
