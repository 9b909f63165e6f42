//! `hotcell doctor`, and the built-in runner, which is the same program under another name.

use std::os::unix::fs::symlink;
use std::process::Command;

use hotcell_testkit::workspace;
use hotcell_types::Wall;

use crate::hotcell::{Place, text};

#[test]
fn every_control_is_told_and_the_status_says_whether_all_are_full() {
    let place = Place::new();
    let output = place.output(&["doctor", "--json"]);
    let controls: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let controls = controls.as_array().unwrap();
    let names: Vec<_> = controls.iter().map(|control| control["wall"].as_str().unwrap()).collect();
    assert_eq!(names, Wall::ALL.iter().map(|wall| wall.label()).collect::<Vec<_>>());
    let lacking: Vec<_> = controls.iter().filter(|control| control["enforcement"]["state"] != "full").collect();
    assert!(lacking.iter().all(|control| control["remedy"].as_str().is_some_and(|remedy| !remedy.is_empty())));
    let status = i32::from(!lacking.is_empty());
    assert_eq!(output.status.code(), Some(status));

    let lines = place.expect(status, &["doctor"]);
    assert!(Wall::ALL.iter().all(|wall| lines.contains(wall.label())), "{lines}");
    assert!(lines.lines().last().unwrap().starts_with("this host can enforce "), "{lines}");
}

#[test]
fn under_the_name_of_the_runner_it_scores_and_is_no_other_command() {
    let place = Place::new();
    symlink(env!("CARGO_BIN_EXE_hotcell"), place.path("hotcell-runner")).unwrap();
    let run = |words: &[&str]| {
        let output =
            Command::new(place.path("hotcell-runner")).args(words).current_dir(place.path(".")).output().unwrap();
        (output.status.code().unwrap(), text(&output.stderr))
    };
    let biopsy = workspace().join("examples/biopsy");
    let (model, table) = (biopsy.join("model.onnx"), biopsy.join("patients.csv"));
    let (model, table) = (model.to_str().unwrap(), table.to_str().unwrap());
    for (words, status, code) in [
        (&[][..], 2, "MDL-041"),
        (&["doctor"], 2, "MDL-040"),
        (&["--model", "missing", "--input", table, "--output", "out.csv"], 125, "MDL-031"),
        (&["--model", table, "--input", table, "--output", "out.csv"], 125, "MDL-002"),
    ] {
        let (seen, told) = run(words);
        assert_eq!(seen, status, "{told}");
        assert!(told.contains(code) && told.contains("help: "), "{told}");
        assert!(!place.path("out.csv").exists());
    }
    let (status, told) = run(&["--model", model, "--input", table, "--output", "out.csv"]);
    assert_eq!(status, 0, "{told}");
    assert!(std::fs::read_to_string(place.path("out.csv")).unwrap().lines().count() > 100);
}
