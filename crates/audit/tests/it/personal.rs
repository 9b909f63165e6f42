//! Personal particulars, and what is left of them when their key is destroyed.

use std::fs;

use hotcell_audit::export::{Format, format};
use hotcell_audit::personal::{PersonalError, PersonalKeys};
use hotcell_audit::{Durability, Events, Filter, Projection, verify};
use hotcell_types::{Event, EventKind, TaskId, Timestamp};
use serde_json::Value;

use crate::support::{Key, folder, open};

const CANARIES: [&str; 2] = ["dr.wang@hospital.example", "biopsy of Mr Zhao"];

fn submitted(keys: &PersonalKeys, tenant: &str, number: u8) -> Event {
    let task = TaskId::from_bytes([number; 10]);
    let mut event = Event::of_task(Timestamp(u64::from(number)), task, EventKind::TaskSubmitted)
        .with("principal", CANARIES[0])
        .with("purpose", CANARIES[1])
        .with("workload", "python3");
    keys.current(tenant).unwrap().seal(&mut event);
    event
}

fn revealed(event: &Event, keys: &PersonalKeys) -> Vec<Value> {
    let mut event = event.clone();
    keys.reveal(&mut event).unwrap();
    ["principal", "purpose"].map(|name| event.data[name].clone()).to_vec()
}

fn everything_below(dir: &std::path::Path, to: &mut Vec<u8>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { everything_below(&path, to) } else { to.extend(fs::read(&path).unwrap()) }
    }
}

#[test]
fn destroying_a_key_erases_in_log_projection_and_export_and_the_tree_still_verifies() {
    let (dir, keys_dir, key) = (folder(), folder(), Key::new());
    let keys = PersonalKeys::of(keys_dir.path());
    let log = open(dir.path(), &key);
    let events: Vec<_> = (1..=3).map(|number| submitted(&keys, "clinic", number)).collect();
    let at = log.append(&events, Durability::Durable).unwrap();
    log.checkpoint(&at).unwrap();
    let (projection, count) = Projection::rebuild(dir.path()).unwrap();
    assert_eq!(count, 3);
    let exported: Vec<_> = Events::open(dir.path(), Filter::default())
        .unwrap()
        .flat_map(|entry| {
            let entry = entry.unwrap();
            [Format::JsonLines, Format::Ocsf].map(|form| format(form, log.origin(), &entry))
        })
        .collect();
    let mut bytes = exported.join("\n").into_bytes();
    everything_below(dir.path(), &mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    assert!(text.contains("task-submitted"), "what is not personal is there");
    assert!(!text.contains("python3"), "what ran is sealed as well");
    for canary in CANARIES {
        assert!(!text.contains(canary), "{canary} stands in the log, the projection or the export");
    }
    // With the key it is told, and all three are found to be of one person.
    for event in &events {
        assert_eq!(revealed(event, &keys), CANARIES);
    }
    let id = keys.ids("clinic", "principal", CANARIES[0]).unwrap();
    let filter = Filter { principals: Some(id.clone()), ..Filter::default() };
    assert_eq!(Events::open(dir.path(), filter).unwrap().count(), 3);
    assert!(projection.states().unwrap().tasks.values().all(|task| task.principal == id[0]));
    let key_bytes = fs::read(keys_dir.path().join("clinic/1.key")).unwrap();

    assert_eq!(keys.destroy("clinic", None).unwrap(), [1]);
    for event in &events {
        let told = revealed(event, &keys);
        assert_eq!(told[0], serde_json::json!({ "erased": id[0] }));
        assert!(!told[1].to_string().contains("Zhao"));
    }
    assert_eq!(verify(dir.path(), &key.verifying()).unwrap().entries, 3);
    let mut left = Vec::new();
    everything_below(keys_dir.path(), &mut left);
    assert!(!left.windows(32).any(|window| window == key_bytes));
    assert!(matches!(keys.destroy("clinic", None), Err(PersonalError::NoKey { .. })));
}

#[test]
fn an_epoch_is_erased_alone_and_its_number_never_used_again() {
    let keys_dir = folder();
    let keys = PersonalKeys::of(keys_dir.path());
    let old = submitted(&keys, "clinic", 1);
    assert_eq!(keys.rotate("clinic").unwrap(), 2);
    let new = submitted(&keys, "clinic", 2);
    let other = submitted(&keys, "bank", 3);
    assert_eq!(keys.destroy("clinic", Some(1)).unwrap(), [1]);
    assert!(revealed(&old, &keys)[0].get("erased").is_some());
    assert_eq!(revealed(&new, &keys), CANARIES);
    assert_eq!(revealed(&other, &keys), CANARIES);
    keys.destroy("clinic", None).unwrap();
    let again = submitted(&keys, "clinic", 4);
    assert_eq!(keys.epochs("clinic").unwrap(), [3]);
    assert!(revealed(&old, &keys)[0].get("erased").is_some() && revealed(&new, &keys)[0].get("erased").is_some());
    assert_eq!(revealed(&again, &keys), CANARIES);
}

#[test]
fn the_same_person_has_another_id_in_each_tenant_epoch_and_particular() {
    let keys_dir = folder();
    let keys = PersonalKeys::of(keys_dir.path());
    let ids = |tenant: &str, name: &str| keys.current(tenant).unwrap().id(name, CANARIES[0]);
    let mut seen = vec![ids("clinic", "principal"), ids("clinic", "purpose"), ids("bank", "principal")];
    keys.rotate("clinic").unwrap();
    seen.push(ids("clinic", "principal"));
    assert_eq!(ids("clinic", "principal"), seen[3], "the same within an epoch");
    let count = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), count);
    // What guesses the name without the key finds nothing.
    let plain = hotcell_audit::merkle::leaf_hash(CANARIES[0].as_bytes()).hex();
    assert!(seen.iter().all(|id| !plain.starts_with(id)));
}

#[test]
fn a_ciphertext_moved_to_another_particular_or_altered_does_not_open() {
    let keys_dir = folder();
    let keys = PersonalKeys::of(keys_dir.path());
    let event = submitted(&keys, "clinic", 1);
    let mut moved = event.clone();
    let sealed = event.data["purpose"]["sealed"].clone();
    moved.data.get_mut("principal").unwrap()["sealed"] = sealed;
    assert!(revealed(&moved, &keys)[0].get("erased").is_some());
    // A log of others that names odd tenants opens no other file.
    let mut odd = event;
    odd.data.get_mut("principal").unwrap()["epoch"] = "../clinic/1".into();
    assert_ne!(revealed(&odd, &keys)[0], CANARIES[0]);
    assert!(matches!(keys.current("../x"), Err(PersonalError::BadTenant { .. })));
    fs::write(keys_dir.path().join("clinic/1.key"), "short").unwrap();
    assert!(matches!(keys.current("clinic"), Err(PersonalError::NotAKey { .. })));
}

#[test]
fn many_that_begin_at_once_share_one_key() {
    let keys_dir = folder();
    let keys = PersonalKeys::of(keys_dir.path());
    let ids: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..8).map(|_| scope.spawn(|| keys.current("clinic").unwrap().id("principal", "x"))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}
