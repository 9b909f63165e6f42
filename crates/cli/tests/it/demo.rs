//! `hotcell demo` from end to end.

use std::fs;
use std::process::Command;

use hotcell_testkit::{have_program, workspace};
use serde_json::Value;

use crate::hotcell::Place;

#[test]
fn the_demo_scores_all_patients_and_stops_every_attempt() {
    let place = Place::new();
    let told = place.expect(0, &["--json", "demo", "--keep", "kept"]);
    let steps: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<_> = steps.iter().map(|step| step["step"].as_str().unwrap()).collect();
    assert_eq!(names, ["begin", "seal", "authorize", "preflight", "run", "release", "receipt", "hostile", "summary"]);
    let summary = steps.last().unwrap();
    assert_eq!((summary["rows_scored"].as_u64(), summary["good"].as_bool()), (Some(569), Some(true)));
    let attempts = steps[7]["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 10);
    assert!(attempts.iter().all(|attempt| attempt["held"] == true), "{attempts:?}");

    place.expect(0, &["open", "--key", "kept/reader.key", "--output", "scores.csv", "kept/out/scores.csv.age"]);
    let scores = fs::read_to_string(place.path("scores.csv")).unwrap();
    agrees_with_diagnosis(&scores);
    if have_program("age") {
        let opened = Command::new("age")
            .args(["-d", "-i", "kept/reader.key", "kept/out/scores.csv.age"])
            .current_dir(place.path("."))
            .output();
        assert_eq!(opened.unwrap().stdout, scores.as_bytes());
    }
    let trust = "kept/state/keys/signing.key.pub";
    place.expect(0, &["receipt", "verify", "kept/receipt.json", "--trust", trust]);
    place.expect(2, &["demo", "--keep", "kept"]);
}

/// The scores are the model's: nearly every patient is classified as the physicians did.
fn agrees_with_diagnosis(scores: &str) {
    let truth = fs::read_to_string(workspace().join("examples/biopsy/diagnosis.csv")).unwrap();
    let right = scores.lines().skip(1).zip(truth.lines().skip(1)).filter(|(score, truth)| {
        let malignant = score.ends_with(",1");
        let diagnosed =
            truth.rsplit(',').next().is_some_and(|word| word.starts_with('M') || word.starts_with('m') || word == "1");
        malignant == diagnosed
    });
    assert!(right.count() > 550);
}

#[test]
fn the_demo_speaks_plainly_when_it_is_piped() {
    let place = Place::new();
    let told = place.expect(0, &["demo"]);
    assert!(!told.contains('\x1b'), "control sequences in a pipe");
    for word in ["grant g-", "569 patients scored", "Verified offline", "stopped   10 of 10", "hotcell run --model"] {
        assert!(told.contains(word), "`{word}` is missing:\n{told}");
    }
    assert!(!told.contains("NOT STOPPED") && !told.contains("DOWN"));
    assert!(!place.state().exists(), "the demo leaves the user's own state alone");
}
