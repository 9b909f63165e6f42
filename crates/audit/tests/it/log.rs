//! Opening, appending, reading, several openers at once.

use std::fs;

use hotcell_audit::{Durability, Events, Filter, Log, LogError, Origin, unfinished_tasks, verify};
use hotcell_types::{EventKind, Exit, Explain, TaskId, Timestamp};

use crate::support::{Key, copy, event, folder, open, origin};

#[test]
fn a_log_opens_where_it_ended_with_and_without_its_head_file() {
    let (dir, key) = (folder(), Key::new());
    let mut end = None;
    for (round, lose) in [(0, false), (1, true), (2, false), (3, true)] {
        let log = open(dir.path(), &key);
        if let Some(before) = end {
            assert_eq!(log.end().unwrap().root(), before, "round {round}");
        }
        let events: Vec<_> = (round * 300..round * 300 + 300).map(event).collect();
        let position = log.append(&events, if lose { Durability::Lazy } else { Durability::Durable }).unwrap();
        assert_eq!((position.first(), position.size()), (round * 300, round * 300 + 300));
        end = Some(position.root());
        drop(log);
        if lose {
            fs::remove_file(dir.path().join("head")).unwrap();
        }
    }
    assert_eq!(verify(dir.path(), &key.verifying()).unwrap().entries, 1200);
}

#[test]
fn a_torn_end_is_cut_at_any_byte_and_only_the_torn_entry_goes() {
    let (dir, key) = (folder(), Key::new());
    let log = open(dir.path(), &key);
    log.append(&[event(0), event(1)], Durability::Durable).unwrap();
    let whole = fs::metadata(dir.path().join("journal")).unwrap().len();
    log.append(&[event(2)], Durability::Lazy).unwrap();
    let longer = fs::metadata(dir.path().join("journal")).unwrap().len();
    for keep in whole + 1..longer {
        let torn = folder();
        copy(dir.path(), torn.path());
        fs::OpenOptions::new().write(true).open(torn.path().join("journal")).unwrap().set_len(keep).unwrap();
        assert_eq!(verify(torn.path(), &key.verifying()).unwrap().torn_bytes, keep - whole);
        let log = open(torn.path(), &key);
        let cut = log.take_cut().unwrap();
        assert_eq!((cut.entries, cut.bytes), (2, keep - whole));
        assert_eq!(log.append(&[event(3)], Durability::Durable).unwrap().first(), 2);
        assert_eq!(verify(torn.path(), &key.verifying()).unwrap().entries, 3);
    }
}

#[test]
fn threads_and_openers_append_at_once_and_nothing_is_lost() {
    let (dir, key) = (folder(), Key::new());
    let logs = [open(dir.path(), &key), open(dir.path(), &key)];
    std::thread::scope(|scope| {
        for log in &logs {
            for thread in 0..4u64 {
                scope.spawn(move || {
                    for n in 0..20 {
                        let kind = if n % 3 == 0 { Durability::Durable } else { Durability::Lazy };
                        let at = log.append(&[event(thread), event(n)], kind).unwrap();
                        log.inclusion_proof(at.first(), &at).unwrap();
                        if n % 5 == 0 {
                            log.checkpoint(&at).unwrap();
                        }
                    }
                });
            }
        }
    });
    let [one, two] = &logs;
    let at = one.end().unwrap();
    assert_eq!((at.size(), at.root()), (320, two.end().unwrap().root()));
    one.checkpoint(&at).unwrap();
    let report = verify(dir.path(), &key.verifying()).unwrap();
    assert_eq!((report.entries, report.signed.size, report.kept), (320, 320, 0));
}

#[test]
fn what_is_no_log_of_this_name_is_not_opened() {
    let key = Key::new();
    for (journal, want) in [
        ("hotcell audit journal v9 example.org/hotcell\n", "AUD-006"),
        ("hotcell audit journal v1 example.org/other\n", "AUD-007"),
        ("something else entirely, and quite long, longer than the first line\n", "AUD-006"),
        ("x", "AUD-006"),
    ] {
        let dir = folder();
        fs::write(dir.path().join("journal"), journal).unwrap();
        let error = Log::open(dir.path(), key.signing(), origin()).err().unwrap();
        assert_eq!((error.code(), error.exit()), (want, Exit::Integrity), "{journal:?}: {error}");
        assert_eq!(fs::read_to_string(dir.path().join("journal")).unwrap(), journal, "it was left as it was");
    }
    for text in ["", "two words", "a+b", "line\n", &"x".repeat(129)] {
        assert!(Origin::parse(text).is_err(), "{text:?}");
    }
}

#[test]
fn a_link_in_place_of_the_journal_is_not_followed() {
    let (dir, key) = (folder(), Key::new());
    let target = dir.path().join("target");
    fs::write(&target, "").unwrap();
    std::os::unix::fs::symlink(&target, dir.path().join("journal")).unwrap();
    assert!(matches!(Log::open(dir.path(), key.signing(), origin()), Err(LogError::File { .. })));
    assert_eq!(fs::read(&target).unwrap(), b"");
}

#[test]
fn events_are_read_by_task_kind_and_time() {
    let (dir, key) = (folder(), Key::new());
    let log = open(dir.path(), &key);
    let mut events: Vec<_> = (0..40).map(event).collect();
    let (ended, killed) = (TaskId::from_bytes([1; 10]), TaskId::from_bytes([2; 10]));
    for (number, event) in events.iter_mut().enumerate() {
        event.kind = match number {
            1 | 2 => EventKind::TaskStarting,
            8 => EventKind::ReceiptSigned,
            _ => event.kind,
        };
    }
    log.append(&events, Durability::Lazy).unwrap();
    let count = |filter| Events::open(dir.path(), filter).unwrap().map(Result::unwrap).count();
    assert_eq!(count(Filter::default()), 40);
    assert_eq!(count(Filter { task: Some(ended), ..Filter::default() }), 6);
    assert_eq!(count(Filter { kinds: Some(vec![EventKind::TaskStarting]), ..Filter::default() }), 2);
    assert_eq!(count(Filter { since: Some(Timestamp(30)), ..Filter::default() }), 10);
    let all = Events::open(dir.path(), Filter::default()).unwrap().map(|entry| entry.unwrap().event);
    assert_eq!(unfinished_tasks(all).into_keys().collect::<Vec<_>>(), [killed]);
}
