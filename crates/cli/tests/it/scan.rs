//! `hotcell scan`.

use std::io::Write;
use std::process::Stdio;

use serde_json::Value;

use crate::hotcell::{Place, text};

fn scan(place: &Place, words: &[&str]) -> (i32, String, String) {
    let words: Vec<_> = ["scan"].into_iter().chain(words.iter().copied()).collect();
    let output = place.command(&words).output().unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn what_is_found_is_told_as_lines_of_json_and_by_the_status_and_never_as_it_is() {
    let place = Place::new();
    std::fs::create_dir_all(place.path("data/deep")).unwrap();
    place.file("data/a.csv", "name,card\nx,4111 1111 1111 1111\n");
    place.file("data/deep/b.txt", "mail jane.doe@hospital.org");
    place.file("data/clean.txt", "nothing here");
    let (status, out, _) = scan(&place, &["--json", "data"]);
    assert_eq!(status, 1);
    let findings: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let seen: Vec<_> = findings
        .iter()
        .map(|finding| {
            (finding["kind"].as_str().unwrap(), finding["start"].as_u64().unwrap(), finding["end"].as_u64().unwrap())
        })
        .collect();
    assert_eq!(seen, [("bank-card", 12, 31), ("email", 5, 26)]);
    for finding in &findings {
        assert!(finding["confidence"].as_f64().unwrap() >= 0.5, "{finding}");
        assert!(finding["path"].as_str().unwrap().starts_with("data/"), "{finding}");
    }
    for form in [&["data"][..], &["--explain", "data"], &["--sarif", "data"], &["--json", "--explain", "data"]] {
        let (status, out, err) = scan(&place, form);
        assert_eq!(status, 1, "{form:?}");
        assert!(!(out + &err).contains("4111"), "{form:?}");
    }
    assert_eq!(scan(&place, &["--json", "data/clean.txt"]), (0, String::new(), String::new()));
}

#[test]
fn standard_input_is_looked_at() {
    let place = Place::new();
    for (given, status) in [("Y2FyZCA0MTExMTExMTExMTExMTExIHBsZWFzZQ==", 1), ("nothing", 0), ("", 0)] {
        let mut child =
            place.command(&["scan", "--json", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(given.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{given}");
        assert_eq!(text(&output.stdout).lines().count(), status as usize, "{given}");
    }
}

#[test]
fn sarif_names_rule_and_place() {
    let place = Place::new();
    place.file("a b.txt", "\n\ncard 4111111111111111\n");
    let (status, out, _) = scan(&place, &["--sarif", "a b.txt"]);
    assert_eq!(status, 1);
    let log: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let result = &log["runs"][0]["results"][0];
    assert_eq!(result["ruleId"], "payment-card");
    let location = &result["locations"][0]["physicalLocation"];
    assert_eq!(location["artifactLocation"]["uri"], "a%20b.txt");
    assert_eq!(location["region"]["startLine"], 3);
    assert_eq!(location["region"]["byteOffset"], 7);
}

#[test]
fn detectors_of_ones_own_are_used_and_their_faults_told_with_the_line() {
    let place = Place::new();
    place.file("own.toml", "[[canary]]\nid = \"ward\"\ntext = \"canary-3f9a17c2\"\n");
    place.file("bad.toml", "[[canary]]\nid = \"ward\"\ntext = \"canary-3f9a17c2\"\nsize = 3\n");
    place.file("text", "a canary-3f9a17c2 sings");
    assert_eq!(scan(&place, &["text"]).0, 0);
    let (status, out, _) = scan(&place, &["--detectors", "own.toml", "text"]);
    assert_eq!(status, 1);
    assert!(out.contains("canary") && !out.contains("3f9a17c2"), "{out}");
    let (status, _, err) = scan(&place, &["--detectors", "bad.toml", "text"]);
    assert_eq!(status, 2);
    assert!(err.contains("INS-051") && err.contains("line 4") && err.contains("size"), "{err}");
}

#[test]
fn what_cannot_be_read_is_no_yes() {
    let place = Place::new();
    place.file("text", "nothing");
    let (status, _, err) = scan(&place, &["text", "missing"]);
    assert_eq!(status, 125);
    assert!(err.contains("missing"), "{err}");
    assert_eq!(scan(&place, &[]).0, 2);
    assert_eq!(scan(&place, &["--json", "--sarif", "text"]).0, 2);
}
