//! Projections: dropped and built again they are the same, and as the folds say.

use std::fs;

use hotcell_audit::fold::States;
use hotcell_audit::{Durability, Events, Filter, Projection};
use hotcell_types::{Event, EventKind, TaskId, Timestamp};

use crate::support::{Key, Random, folder, open};

/// Any event, of a few tasks and models.
pub(crate) fn any(random: &mut Random, time: u64) -> Event {
    const KINDS: [EventKind; 14] = [
        EventKind::TaskSubmitted,
        EventKind::TaskSubmitted,
        EventKind::GrantIssued,
        EventKind::GrantDenied,
        EventKind::TaskStarting,
        EventKind::LeaseIssued,
        EventKind::WorkloadEnded,
        EventKind::OutputHeld,
        EventKind::OutputReleased,
        EventKind::SandboxDestroyed,
        EventKind::ReceiptSigned,
        EventKind::TaskFailed,
        EventKind::TaskInterrupted,
        EventKind::DenialsDropped,
    ];
    let kind = KINDS[random.below(KINDS.len() as u64) as usize];
    let task = (kind != EventKind::DenialsDropped).then(|| TaskId::from_bytes([random.below(40) as u8; 10]));
    let event = Event { time: Timestamp(time), task, kind, data: Default::default() };
    match random.below(3) {
        0 => event.with("model", format!("m{}", random.below(5))).with("tenant", format!("t{}", random.below(3))),
        1 => event.with("count", random.below(9)).with("outcome", "released").with("code", "X-1"),
        _ => event.with("workload", "true"),
    }
}

fn folded(dir: &std::path::Path) -> States {
    let mut states = States::default();
    Events::open(dir, Filter::default()).unwrap().for_each(|entry| states.apply(&entry.unwrap().event));
    states
}

#[test]
fn a_projection_that_was_dropped_and_rebuilt_equals_the_one_that_grew_and_the_folds() {
    let (dir, key) = (folder(), Key::new());
    let log = open(dir.path(), &key);
    let mut random = Random(77);
    let mut grown = Projection::open(dir.path()).unwrap();
    let mut count = 0;
    for round in 0..12u64 {
        let more = 1 + random.below(60);
        let events: Vec<_> = (0..more).map(|number| any(&mut random, round * 100 + number)).collect();
        log.append(&events, Durability::Lazy).unwrap();
        assert_eq!(grown.catch_up().unwrap(), more);
        count += more;
        assert_eq!(grown.states().unwrap(), folded(dir.path()), "round {round}");
    }
    let before = grown.states().unwrap();
    drop(grown);
    let (rebuilt, events) = Projection::rebuild(dir.path()).unwrap();
    assert_eq!((events, rebuilt.place().unwrap().index), (count, count));
    assert_eq!(rebuilt.states().unwrap(), before);
    assert!(!before.tasks.is_empty() && !before.leases.is_empty() && !before.approvals.is_empty());
}

#[test]
fn a_damaged_projection_is_refused_and_rebuilt() {
    let (dir, key) = (folder(), Key::new());
    let log = open(dir.path(), &key);
    log.append(&[any(&mut Random(1), 1)], Durability::Lazy).unwrap();
    drop(Projection::rebuild(dir.path()).unwrap());
    for ending in ["-wal", "-shm"] {
        let _ = fs::remove_file(dir.path().join(format!("projection.db{ending}")));
    }
    fs::write(dir.path().join("projection.db"), vec![b'x'; 8192]).unwrap();
    assert!(Projection::open(dir.path()).is_err());
    assert_eq!(Projection::rebuild(dir.path()).unwrap().0.states().unwrap(), folded(dir.path()));
}
