//! The way of a task: what is logged, what the receipt says, how it ends.

use std::path::Path;

use hotcell_audit::receipt;
use hotcell_task::{TaskSpec, read_or_create_signing_key, read_receipt};
use hotcell_types::{EventKind, Explain, Outcome, Timestamp};

use crate::harness::{Place, command, input, shell};

#[test]
fn a_task_goes_its_whole_way_and_leaves_a_receipt_that_verifies() {
    let place = Place::new();
    let done = place.run(command(&["/bin/true"])).unwrap();
    assert_eq!((done.outcome, done.status), (Outcome::Released, 0));
    assert!(done.body.walls.iter().all(|wall| wall.holds), "{:?}", done.body.walls);
    assert!(done.body.walls.len() >= 22, "{}", done.body.walls.len());
    use EventKind::*;
    let way = [
        LogStarted,
        TaskSubmitted,
        GrantIssued,
        TaskStarting,
        PreflightObserved,
        WorkloadEnded,
        SandboxDestroyed,
        ReceiptSigned,
    ];
    let mut seen = place.events();
    // The intent and the preflight are written from two threads.
    seen.get_mut(3..5).unwrap().sort_by_key(|kind| *kind == PreflightObserved);
    assert_eq!(seen, way);
    let key = read_or_create_signing_key(&place.state(), Timestamp(0)).unwrap();
    let kept = read_receipt(&place.state(), done.task).unwrap();
    assert_eq!(kept, done.receipt);
    let verified = receipt::verify(&kept, Some(&key.verifying())).unwrap();
    assert_eq!(verified.body, done.body);
}

#[test]
fn the_status_of_a_live_workload_is_passed_on() {
    for (script, outcome, status) in [
        ("exit 0", Outcome::Released, 0),
        ("exit 7", Outcome::WorkloadFailed, 7),
        ("kill -TERM $$", Outcome::WorkloadFailed, 143),
    ] {
        let place = Place::new();
        let done = place.run(shell(&place, script)).unwrap();
        assert_eq!((done.outcome, done.status), (outcome, status), "{script}");
    }
    let place = Place::new();
    for (program, status) in [("/no/such/program", 127), ("/usr", 126)] {
        let done = place.run(command(&[program])).unwrap();
        assert_eq!((done.outcome, done.status), (Outcome::NotExecuted, status), "{program}");
    }
}

#[test]
fn limits_end_a_task_with_124_and_release_nothing() {
    let place = Place::new();
    let mut spec = shell(&place, "echo x > /output/early; sleep 30");
    let mut overlay = hotcell_policy::Overlay::default();
    overlay.set_limit("wall=300ms").unwrap();
    spec.overlays.push((overlay, hotcell_policy::Origin::Flag("--limit".into())));
    let done = place.run(spec).unwrap();
    assert_eq!((done.outcome, done.status), (Outcome::LimitReached, 124));
    assert_eq!(done.problem.unwrap().code, "TSK-010");
    assert!(place.released().is_empty());
    assert!(done.body.limits.iter().any(|limit| limit.name == "wall" && limit.reached));
}

#[test]
fn a_denied_task_is_logged_and_starts_nothing() {
    let place = Place::new();
    let model = place.file("model.onnx", "not signed");
    let mut spec = shell(&place, "true");
    spec.profile = Some("third-party".to_owned());
    spec.model = Some(hotcell_task::ModelSpec { path: model, key: None, trust: Vec::new(), registered: None });
    let error = place.run(spec).unwrap_err();
    assert_eq!((error.code(), error.exit().status()), ("POL-101", 121), "{error}");
    use EventKind::*;
    assert_eq!(place.events(), [LogStarted, TaskSubmitted, GrantDenied]);
    assert!(!place.output().exists());
}

#[test]
fn an_input_is_committed_to_without_being_told() {
    let place = Place::new();
    let secret = place.file("data.csv", "patient\nP842302\n");
    let spec = TaskSpec { inputs: vec![input("data", &secret)], ..shell(&place, "cat /input/data > /dev/null") };
    let done = place.run(spec).unwrap();
    let [record] = done.body.inputs.as_slice() else { panic!("{:?}", done.body.inputs) };
    assert_eq!((record.name.as_str(), record.bytes, record.files), ("data", 16, 1));
    let plain = hotcell_crypto::sha256(b"patient\nP842302\n");
    assert_ne!(record.commitment.unwrap(), plain, "an unsalted digest could be guessed");
    assert!(!String::from_utf8_lossy(&done.receipt).contains("842302"));
}

#[test]
fn bad_tasks_are_refused_before_anything_is_made() {
    let place = Place::new();
    let nowhere = Path::new("/no/such/file");
    let cases: Vec<(TaskSpec, &str)> = vec![
        (command(&[]), "nothing to run"),
        (TaskSpec { profile: Some("lenient".into()), ..command(&["true"]) }, "lenient"),
        (TaskSpec { profile: Some("/no/profile.toml".into()), ..command(&["true"]) }, "/no/profile.toml"),
        (TaskSpec { inputs: vec![input("data", nowhere)], ..command(&["true"]) }, "/no/such/file"),
        (TaskSpec { inputs: vec![input("data", Path::new("/dev/null"))], ..command(&["true"]) }, "neither a file"),
    ];
    for (spec, word) in cases {
        let error = place.run(spec).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
        assert!(!place.state().join("log").exists(), "{word}: nothing may be begun");
    }
}
