//! Snapshots of the states: they say what the events say, and are not believed where they cannot.

use std::fs;
use std::path::Path;

use hotcell_audit::fold::States;
use hotcell_audit::{Durability, Events, Filter, Snapshot};
use hotcell_crypto::sha256;

use crate::projection::any;
use crate::support::{Key, Random, folder, open};

fn folded(dir: &Path) -> States {
    let mut states = States::default();
    Events::open(dir, Filter::default()).unwrap().for_each(|entry| states.apply(&entry.unwrap().event));
    states
}

/// A log that grows by so many events.
fn grow(dir: &Path, key: &Key, random: &mut Random, more: u64) {
    let events: Vec<_> = (0..more).map(|number| any(random, number)).collect();
    open(dir, key).append(&events, Durability::Lazy).unwrap();
}

#[test]
fn states_from_a_snapshot_on_equal_those_from_the_beginning() {
    let (dir, key, mut random) = (folder(), Key::new(), Random(5));
    for round in 0..8 {
        grow(dir.path(), &key, &mut random, 1 + round * 13);
        assert_eq!(Snapshot::current(dir.path()).unwrap().states, folded(dir.path()), "round {round}");
        if round % 3 == 1 {
            let (rebuilt, same) = Snapshot::rebuild(dir.path()).unwrap();
            assert_eq!((rebuilt.states, same), (folded(dir.path()), (round > 1).then_some(true)), "round {round}");
        }
    }
    // It was read, and not the log: what is nowhere but in the snapshot is told.
    let path = dir.path().join("states");
    let text = fs::read_to_string(&path).unwrap();
    let rest = text.split_once('\n').unwrap().1.replacen("\"leases\":", "\"leases\": ", 1).replace("\"m1\"", "\"mX\"");
    fs::write(&path, format!("hotcell states v1 {}\n{rest}", sha256(rest.as_bytes()).hex())).unwrap();
    assert!(Snapshot::current(dir.path()).unwrap().states.models.contains_key("mX"));
    assert_eq!(Snapshot::rebuild(dir.path()).unwrap().1, Some(false), "and found by making it anew");
    assert_eq!(Snapshot::current(dir.path()).unwrap().states, folded(dir.path()));
}

#[test]
fn many_events_leave_a_snapshot_by_themselves() {
    let (dir, key, mut random) = (folder(), Key::new(), Random(6));
    grow(dir.path(), &key, &mut random, 100);
    Snapshot::current(dir.path()).unwrap();
    assert!(!dir.path().join("states").exists());
    grow(dir.path(), &key, &mut random, 20_000);
    let seen = Snapshot::current(dir.path()).unwrap();
    assert!(dir.path().join("states").exists());
    assert_eq!(Snapshot::current(dir.path()).unwrap(), seen);
}

#[test]
fn a_snapshot_that_is_torn_damaged_or_of_another_log_is_not_believed() {
    let (dir, other, key, mut random) = (folder(), folder(), Key::new(), Random(7));
    grow(dir.path(), &key, &mut random, 50);
    grow(other.path(), &key, &mut random, 60);
    Snapshot::rebuild(other.path()).unwrap();
    Snapshot::rebuild(dir.path()).unwrap();
    let path = dir.path().join("states");
    let whole = fs::read(&path).unwrap();
    let is_believed = || Snapshot::rebuild(dir.path()).unwrap().1.is_some();
    assert!(is_believed());
    for _ in 0..200 {
        let altered = random.mutate(&whole);
        fs::write(&path, &altered).unwrap();
        assert_eq!(Snapshot::current(dir.path()).unwrap().states, folded(dir.path()));
        assert_eq!(is_believed(), altered == whole);
    }
    fs::copy(other.path().join("states"), &path).unwrap();
    assert!(!is_believed(), "of another log");
}
