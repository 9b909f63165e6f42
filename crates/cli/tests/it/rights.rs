//! Rights, as a user asks for them and sees them.

use std::fs;

use hotcell_testkit::require_program;
use serde_json::Value;

use crate::hotcell::{Place, text};

fn place() -> Place {
    let place = Place::new();
    place.file("data", "1\n");
    place.file("task.toml", "command = [\"cat\", \"/input/data\"]\n[inputs]\ndata = \"data\"\n");
    place
}

/// The right over this, among those of a report.
fn right<'r>(report: &'r Value, over: &str) -> &'r Value {
    let rights = report["rights"].as_array().unwrap();
    rights.iter().find(|right| right["over"] == over).unwrap_or_else(|| panic!("no right over {over}: {rights:?}"))
}

#[test]
fn a_tasks_rights_are_explained_with_their_walls_and_nothing_is_run() {
    let place = place();
    let told = place.expect(0, &["policy", "explain", "--task", "task.toml"]);
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("READ /input/data"), "{told}");
    assert!(told.contains("by mount-namespace, read-only, noexec, landlock"), "{told}");
    let explained = place.json(0, &["--json", "policy", "explain", "--task", "task.toml"]);
    let planned = place.json(0, &["--json", "run", "--dry-run", "--task", "task.toml"]);
    assert_eq!(explained["rights"], planned["rights"]);
    assert_eq!(right(&explained, "/input/data")["access"], serde_json::json!(["READ"]));
    assert_eq!(right(&explained, "/output")["access"], serde_json::json!(["READ", "WRITE"]));
    assert!(!place.state().join("tasks").exists(), "something was run");
}

#[test]
fn a_receipt_carries_the_rights_with_the_walls_that_stood() {
    let place = place();
    let ran = place.json(0, &["--json", "run", "--task", "task.toml", "--receipt", "r"]);
    let walls = ran["walls"].as_array().unwrap();
    for right in ran["rights"].as_array().unwrap() {
        for wall in right["walls"].as_array().unwrap() {
            assert!(walls.iter().any(|seen| seen["wall"] == *wall && seen["holds"] == true), "{right}");
        }
        assert!(!right["walls"].as_array().unwrap().is_empty(), "{right}");
    }
    let all = place.json(0, &["--json", "policy", "explain", "--task", "task.toml"]);
    assert_eq!(all["rights"], ran["rights"], "all of its walls stood");
    let key = place.state().join("keys/signing.key.pub");
    let told = place.output(&["receipt", "verify", "r", "--trust", key.to_str().unwrap()]);
    assert_eq!(told.status.code(), Some(0), "{}", text(&told.stderr));
    assert!(text(&told.stdout).contains("/input/data"), "{}", text(&told.stdout));
    place.expect(0, &["receipt", "verify", "r", "--trust", key.to_str().unwrap(), "--html", "page.html"]);
    assert!(fs::read_to_string(place.path("page.html")).unwrap().contains("Its rights"));
}

#[test]
fn rights_that_are_never_given_are_refused_by_name_wherever_they_are_asked_for() {
    let place = place();
    let task = fs::read_to_string(place.path("task.toml")).unwrap();
    for (right, code) in [
        ("access = [\"READ\", \"WRITE\"]\nports = \"0x60..0x65\"", "POL-040"),
        ("access = [\"READ\"]\nraw_memory = \"0x0..0x100000\"", "POL-040"),
        ("access = [\"READ\"]\ndevice = \"/dev/mem\"", "POL-040"),
    ] {
        place.file("asks.toml", &format!("{task}\n[[rights]]\n{right}\n"));
        place.file("lab.toml", &format!("name = \"lab\"\nextends = \"strict\"\n[[rights]]\n{right}\n"));
        for words in [
            &["run", "--task", "asks.toml"][..],
            &["policy", "explain", "--task", "asks.toml"],
            &["run", "--profile", "./lab.toml", "--", "true"],
        ] {
            let output = place.output(words);
            assert_eq!(output.status.code(), Some(121), "{words:?} {right}: {}", text(&output.stderr));
            assert!(text(&output.stderr).contains(code), "{words:?} {right}: {}", text(&output.stderr));
        }
    }
    // A device by way of a task, and of a profile that the task names.
    let device = "[[rights]]\naccess = [\"READ\"]\ndevice = \"/dev/autofs\"\n";
    place.file("asks.toml", &format!("{task}\n{device}"));
    place.file("lab.toml", &format!("name = \"lab\"\nextends = \"strict\"\n{device}"));
    place.file("names.toml", &format!("profile = \"lab.toml\"\n{task}"));
    for file in ["asks.toml", "names.toml"] {
        let output = place.output(&["run", "--task", file, "--dry-run"]);
        assert_eq!(output.status.code(), Some(121), "{file}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains("POL-006"), "{file}: {}", text(&output.stderr));
    }
    // The user's own choice.
    let own = place.json(0, &["--json", "run", "--task", "asks.toml", "--profile", "./lab.toml", "--dry-run"]);
    assert_eq!(right(&own, "/dev/autofs")["kind"], "device");
}

#[test]
fn the_runner_scores_without_clocks_and_cycle_counter() {
    let place = Place::new();
    let example = hotcell_testkit::workspace().join("examples/biopsy");
    let (model, table) = (example.join("model.onnx"), example.join("patients.csv"));
    let table = format!("data={}", table.display());
    let hardened = "name = \"hardened\"\nextends = \"strict\"\nside_channels = \"hardened\"\n";
    place.file("hardened.toml", hardened);
    let run = |more: &[&str], output: &str| {
        let mut words =
            vec!["--json", "run", "--model", model.to_str().unwrap(), "--input", &table, "--output", output];
        words.extend(more);
        place.json(0, &words)
    };
    // What this host cannot shut is another test's subject.
    let given_up = ["--profile", "./hardened.toml", "--best-effort", "speculation", "--best-effort", "core-scheduling"];
    let without = run(&given_up, "without");
    let seen = without["walls"].as_array().unwrap().iter().filter(|seen| seen["wall"] == "no-clocks");
    let seen: Vec<_> = seen.collect();
    assert!(seen.len() == 2 && seen.iter().all(|seen| seen["holds"] == true), "{seen:?}");
    let with = run(&[], "with");
    assert!(with["walls"].as_array().unwrap().iter().all(|seen| seen["wall"] != "no-clocks"));
    let scores = |folder: &str| fs::read(place.path(folder).join("scores.csv")).unwrap();
    assert_eq!(scores("with"), scores("without"));
}

#[test]
fn a_compiler_at_run_time_is_told_why_it_crashed() {
    require_program!("node");
    let place = Place::new();
    place.file("no-jit.toml", "name = \"no-jit\"\nextends = \"strict\"\n[memory]\nwrite_xor_execute = true\n");
    let output =
        place.output(&["run", "--profile", "./no-jit.toml", "--limit", "memory=2GiB", "--", "node", "-e", "1"]);
    let told = text(&output.stderr);
    assert!(output.status.code().is_some_and(|status| status > 128), "{:?}: {told}", output.status);
    assert!(told.contains("TSK-040") && told.contains("--jitless"), "{told}");
}
