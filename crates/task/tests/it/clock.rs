//! A clock that jumps: before a task, at any moment of one, and after it.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use hotcell_audit::{receipt, verify};
use hotcell_policy::{Engine, Origin, Overlay};
use hotcell_task::{Context, Silent, TaskReport, read_or_create_signing_key, run_task};
use hotcell_types::{Clock, EventKind, Outcome, Timestamp};

use crate::harness::{Now, Place, shell};

const DAY_MS: i64 = 86_400_000;

/// The machine's clock, which is set by so much before it is asked for the so-manieth time.
struct Jumping {
    asked: AtomicU64,
    at: u64,
    by: i64,
    offset: AtomicI64,
}

impl Jumping {
    fn new(at: u64, by: i64) -> Self {
        Self { asked: AtomicU64::new(0), at, by, offset: AtomicI64::new(0) }
    }
}

impl Clock for Jumping {
    fn now(&self) -> Timestamp {
        if self.asked.fetch_add(1, Ordering::SeqCst) == self.at {
            self.offset.store(self.by, Ordering::SeqCst);
        }
        Timestamp(Now.now().0.saturating_add_signed(self.offset.load(Ordering::SeqCst)))
    }
}

/// A task that writes one file, under this clock; with `wall` as its time limit.
fn run(place: &Place, clock: &dyn Clock, script: &str, wall: &str) -> TaskReport {
    let mut limit = Overlay::default();
    limit.set_limit(wall).unwrap();
    let mut spec = shell(place, script);
    spec.overlays.push((limit, Origin::Flag(wall.to_owned())));
    let mut context = Context {
        state: &place.state(),
        version: "test",
        clock,
        principal: "local:test".to_owned(),
        engine: &Engine::default(),
        shell: None,
        cancel: None,
        onwards: [None, None],
        observer: &mut Silent,
    };
    run_task(spec, &mut context).unwrap_or_else(|error| panic!("{error}"))
}

const WRITES: &str = "echo done > /output/file";

#[test]
fn a_clock_that_jumps_at_any_moment_of_a_task_changes_neither_its_way_nor_its_order() {
    // What a task asks of the clock, and the events that it leaves when the clock just goes.
    let (quiet, calm) = (Jumping::new(u64::MAX, 0), Place::new());
    assert!(run(&calm, &quiet, WRITES, "wall=60s").body.caveats.iter().all(|caveat| !caveat.contains("clock")));
    let usual = calm.events();
    assert!(!usual.contains(&EventKind::ClockJumped));
    let asks = quiet.asked.load(Ordering::SeqCst);
    assert!(asks >= 5, "a task asks the clock {asks} times");
    for by in [-3 * DAY_MS, 3 * DAY_MS] {
        for at in 1..asks {
            let place = Place::new();
            let clock = Jumping::new(at, by);
            let report = run(&place, &clock, WRITES, "wall=60s");
            assert_eq!(report.outcome, Outcome::Released, "{by} before question {at}");
            assert_eq!(place.released(), ["file"]);
            let without: Vec<_> = place.events().into_iter().filter(|kind| *kind != EventKind::ClockJumped).collect();
            assert_eq!(without, usual, "{by} before question {at}");
            assert!(place.events().contains(&EventKind::ClockJumped), "{by} before question {at}");
            let direction = if by < 0 { "set back by" } else { "set forward by" };
            assert!(report.body.caveats.iter().any(|caveat| caveat.contains(direction)), "{:?}", report.body.caveats);
            let key = read_or_create_signing_key(&place.state(), Timestamp(1)).unwrap().verifying();
            let seen = verify(&place.state().join("log"), &key).unwrap();
            assert_eq!(seen.clock_went_back, u64::from(by < 0), "{by} before question {at}");
            receipt::verify(&report.receipt, Some(&key)).unwrap();
        }
    }
}

#[test]
fn the_time_limit_goes_by_the_time_that_passes() {
    // Whatever the clock says in between: one that has not run long is not stopped, one that never ends is.
    for by in [-3 * DAY_MS, 3 * DAY_MS] {
        let place = Place::new();
        for at in [3, 8] {
            assert_eq!(run(&place, &Jumping::new(at, by), WRITES, "wall=60s").outcome, Outcome::Released);
        }
        let endless = run(&place, &Jumping::new(7, by), "sleep 3600", "wall=1s");
        assert_eq!(endless.outcome, Outcome::LimitReached);
    }
}

#[test]
fn a_clock_that_was_set_back_between_two_tasks_is_told_by_the_log_and_harms_neither() {
    let place = Place::new();
    for by in [3 * DAY_MS, 0, -3 * DAY_MS, 0] {
        let report = run(&place, &Jumping::new(0, by), WRITES, "wall=60s");
        assert_eq!(report.outcome, Outcome::Released);
        // Within each of them it just went.
        assert!(report.body.caveats.iter().all(|caveat| !caveat.contains("clock")), "{:?}", report.body.caveats);
    }
    let key = read_or_create_signing_key(&place.state(), Timestamp(1)).unwrap().verifying();
    let seen = verify(&place.state().join("log"), &key).unwrap();
    assert_eq!(seen.clock_went_back, 2, "from three days ahead to now, and to three days ago");
}
