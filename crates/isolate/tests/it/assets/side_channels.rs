//! What is done against side channels where a profile asks for it, and the limit on processors.

use hotcell_isolate::{Host, IsolateError};
use hotcell_testkit::{require_program, skip};
use hotcell_types::Wall::{self, CpuLimit, OwnCores, PageSharing, Seccomp, Speculation};
use hotcell_types::{Enforcement, Observation};

use super::{EPERM, Scene, seen_outside};

fn hardened() -> Scene {
    let mut scene = Scene::new();
    scene.keys = "side_channels = \"hardened\"".to_owned();
    scene
}

fn of(observations: &[Observation], wall: Wall) -> Vec<&Observation> {
    observations.iter().filter(|seen| seen.wall == wall).collect()
}

/// What the kernel says of a way of speculation, for the test's own process: its bits.
fn speculation(which: u32) -> i64 {
    seen_outside(&format!("seen = call('prctl', 52, {which}, 0, 0, 0)"))
}

#[test]
fn speculation_is_shut_by_force_or_the_task_refused() {
    require_program!("python3");
    const CONTROLLABLE: i64 = 1;
    const ENABLED: i64 = 2;
    let open = [0, 1].map(speculation).into_iter().any(|state| state & ENABLED != 0 && state & CONTROLLABLE == 0);
    match hardened().try_run(&["true"], &[], &[]) {
        Err(IsolateError::WallsDown { observations }) => {
            assert!(open, "{observations:?}");
            assert!(observations.iter().all(|seen| seen.wall == Speculation), "{observations:?}");
        }
        Err(error) => panic!("{error}"),
        Ok(ran) => {
            assert!(!open, "{:?}", ran.observations);
            // And nothing opens it again.
            let again = "seen = call('prctl', 53, 0, 2, 0, 0)";
            assert_eq!(hardened().seen(again, &[]), EPERM);
        }
    }
    let ran = hardened().try_run(&["true"], &[], &[Speculation]).unwrap();
    assert_eq!(of(&ran.observations, Speculation).len(), 3, "{:?}", ran.observations);
    assert!(of(&Scene::new().run(&["true"], &[]).observations, Speculation).is_empty());
}

#[test]
fn pages_are_not_offered_for_merging() {
    require_program!("python3");
    let offer = "page = call('mmap', 0, 8192, 3, 0x22, -1, 0)\nseen = call('madvise', page, 8192, 12)";
    if seen_outside(offer) < 0 {
        skip!("this kernel merges no pages");
    }
    let given_up = [Speculation];
    let script = super::whole(offer);
    let seen = |scene: &Scene, off: &[Wall]| {
        let ran = scene.try_run(&["python3", "-c", &script], off, &[&given_up[..], off].concat()).unwrap();
        ran.stdout.trim().strip_prefix("seen ").unwrap().parse::<i64>().unwrap()
    };
    assert_eq!(seen(&hardened(), &[]), EPERM);
    assert_eq!(seen(&hardened(), &[Seccomp]), 0, "without the filter it is taken");
    assert_eq!(seen(&Scene::new(), &[]), 0, "without hardening it is taken");
    let ran = hardened().try_run(&["true"], &[], &given_up).unwrap();
    assert!(of(&ran.observations, PageSharing).iter().all(|seen| seen.holds), "{:?}", ran.observations);
    assert_eq!(of(&ran.observations, PageSharing).len(), 1);
}

#[test]
fn cores_are_a_tasks_own_among_those_that_ask_and_free_again_after_it() {
    require_program!("python3");
    let cores = Host::look().unwrap().processors;
    if cores < 2 {
        skip!("needs two processors");
    }
    let mut scene = Scene::limited("cpu=1");
    scene.keys = "own_cores = true".to_owned();
    let ran = match scene.try_run(&["python3", "-c", "import os; print(sorted(os.sched_getaffinity(0)))"], &[], &[]) {
        Err(IsolateError::HostLacks { wall: OwnCores, why, .. }) => skip!("another task has the cores: {why}"),
        other => other.unwrap(),
    };
    let seen = of(&ran.observations, OwnCores);
    assert!(seen.len() == 1 && seen[0].holds && matches!(seen[0].enforcement, Enforcement::Partial { .. }), "{seen:?}");
    assert!(ran.stdout.split(',').count() as u64 <= cores.div_ceil(2), "{}", ran.stdout);
    assert_eq!(seen[0].expected.replace(['{', '}'], ""), ran.stdout.trim().replace(['[', ']'], ""));
    let widen = "seen = attempt(lambda: os.sched_setaffinity(0, range(64)))";
    assert_eq!(scene.seen(widen, &[]), EPERM);
    let mut all = Scene::limited(&format!("cpu={}", cores + 1));
    all.keys = "own_cores = true".to_owned();
    match all.try_run(&["true"], &[], &[]) {
        Err(IsolateError::HostLacks { wall, why, .. }) => {
            assert_eq!(wall, OwnCores);
            assert!(why.contains("are free"), "{why}");
        }
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("more cores than there are were given"),
    }
    assert!(all.try_run(&["true"], &[], &[OwnCores]).is_ok());
}

#[test]
fn the_limit_on_processors_is_seen_and_missed_where_it_is_not_there() {
    let scene = Scene::limited("cpu=0.5");
    let seen = scene.run(&["true"], &[]).observations;
    let seen = of(&seen, CpuLimit);
    assert!(!seen.is_empty() && seen.iter().all(|seen| seen.holds), "{seen:?}");
    if Host::look().unwrap().processors < 2 {
        skip!("on one processor nothing is missed without a limit of one");
    }
    let missed = Scene::limited("cpu=1").try_run(&["true"], &[CpuLimit], &[]);
    match missed {
        Err(IsolateError::WallsDown { observations }) => assert_eq!(observations[0].wall, CpuLimit),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("left out, and nobody missed it"),
    }
}
