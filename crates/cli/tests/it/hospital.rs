//! The hospital example: a doctor, a researcher and a thief over the same invented clinic.

use std::path::{Path, PathBuf};
use std::process::Command;

use hotcell_testkit::skip;
use serde_json::Value;

use crate::hotcell::{Place, text};

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/hospital")
}

/// The example's files and a fresh clinic; nothing where there is no Python.
fn hospital() -> Option<Place> {
    let place = Place::new();
    let copied = Command::new("cp").arg("-r").arg(example().join(".")).arg(place.path(".")).status().unwrap();
    assert!(copied.success());
    let made =
        Command::new("python3").args(["generate.py", "clinic", "5000", "7"]).current_dir(place.path(".")).status();
    if !made.is_ok_and(|status| status.success()) {
        return None;
    }
    place.expect(0, &["keygen", "--output", "fields.key"]);
    place.expect(0, &["policy", "install", "policy"]);
    Some(place)
}

fn table(place: &Place, name: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(place.path(name)).unwrap();
    text.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

const CARE: &[&str] = &["run", "--task", "care.toml", "--role", "doctor", "--json"];
const RESEARCH: &[&str] =
    &["run", "--task", "research.toml", "--role", "researcher", "--view-key", "fields.key", "--json"];

#[test]
fn the_clinic_is_the_same_from_the_same_seed_and_large_enough() {
    let Some(place) = hospital() else { skip!("needs `python3`") };
    let patients = table(&place, "clinic/patients.csv");
    assert_eq!(patients.len(), 5001);
    let again =
        Command::new("python3").args(["generate.py", "again", "5000", "7"]).current_dir(place.path(".")).status();
    assert!(again.unwrap().success());
    for name in ["patients.csv", "visits.csv"] {
        let read = |folder: &str| std::fs::read(place.path(folder).join(name)).unwrap();
        assert!(read("clinic") == read("again"), "{name}");
    }
    let found = place.output(&["scan", "--json", "clinic/patients.csv"]);
    let kinds = text(&found.stdout);
    assert!(kinds.contains("cn-resident-id") || kinds.contains("resident"), "{}", &kinds[..kinds.len().min(600)]);
}

#[test]
fn the_doctors_program_sees_whole_records_and_the_researchers_only_the_view() {
    let Some(place) = hospital() else { skip!("needs `python3`") };
    let care = place.json(0, CARE);
    assert_eq!(care["outcome"], "released", "{care}");
    let due = table(&place, "out/due.csv");
    assert!(due.len() > 100 && due[1][0].starts_with('P'), "{} rows", due.len());

    // The program itself holds the view to what it must be, and ends with an error where it is not.
    let research = place.json(0, RESEARCH);
    assert_eq!(research["outcome"], "released", "{research}");
    let counts = table(&place, "out/counts.csv");
    let seen: i64 = counts.iter().skip(1).map(|row| row[1].parse::<i64>().unwrap()).sum();
    assert!((4000..=6000).contains(&seen), "{seen} patients");
    let log = place.expect(0, &["audit", "show", "--json"]);
    assert!(log.contains("view-applied") && log.contains("\"view\":\"research\""), "{log}");
}

#[test]
fn noise_is_added_to_what_a_researcher_takes_out() {
    let Some(place) = hospital() else { skip!("needs `python3`") };
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..3 {
        place.expect(0, RESEARCH);
        seen.insert(std::fs::read_to_string(place.path("out/counts.csv")).unwrap());
    }
    // Thirteen chapters and more with noise of scale 2 are never the same three times.
    assert!(seen.len() > 1);
}

#[test]
fn who_names_no_role_or_another_purpose_starts_nothing() {
    let Some(place) = hospital() else { skip!("needs `python3`") };
    for words in [
        &["run", "--task", "care.toml"][..],
        &["run", "--task", "care.toml", "--role", "doctor", "--purpose", "research"],
        &["run", "--task", "research.toml", "--role", "doctor", "--view-key", "fields.key"],
        &["run", "--task", "care.toml", "--role", "accountant"],
    ] {
        let out = place.output(words);
        assert_eq!(out.status.code(), Some(121), "{words:?}: {}", text(&out.stderr));
    }
    // Without the key there is no view, and without the view no task.
    let out = place.output(&["run", "--task", "research.toml", "--role", "researcher"]);
    assert_eq!(out.status.code(), Some(2), "{}", text(&out.stderr));
    assert!(text(&out.stderr).contains("DIS-020"), "{}", text(&out.stderr));
}

/// What of the first patient must be nowhere.
fn secrets(place: &Place) -> Vec<String> {
    table(place, "clinic/patients.csv")[1][1..5].to_vec()
}

fn steal(place: &Place, task: &[&str], words: &[&str]) -> Value {
    let command = [task, &["--", "python3", "/code/thief.py"], words].concat();
    let out = place.output(&command);
    serde_json::from_slice(&out.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}{}", text(&out.stdout), text(&out.stderr)))
}

/// A doctor's task without a declaration, in a profile that holds whatever would leave against the detectors.
const OPEN: &[&str] = &[
    "run",
    "--profile",
    "inspected.toml",
    "--role",
    "doctor",
    "--purpose",
    "care",
    "--json",
    "--code",
    ".",
    "--output",
    "out",
    "--input",
    "patients=clinic/patients.csv",
];

#[test]
fn a_row_leaves_in_no_listed_encoding_by_file_or_stream() {
    let Some(place) = hospital() else { skip!("needs `python3`") };
    let encodings = [
        "verbatim",
        "percent",
        "base64",
        "base32",
        "hexadecimal",
        "escapes",
        "utf-16",
        "full-width",
        "gzip",
        "zlib",
        "deflate",
        "zip",
        "base64 of gzip",
        "percent of base64",
        "hexadecimal of zip",
    ];
    for encoding in encodings {
        let file = steal(&place, OPEN, &["file", encoding]);
        assert_eq!(file["outcome"], "refused", "{encoding}: {file}");
        assert!(!place.path("out/data.bin").exists(), "{encoding}");
        let stream = steal(&place, OPEN, &["stdout", encoding]);
        let streams = stream["streams"].as_array().unwrap();
        assert!(streams.iter().all(|stream| stream["disposition"] == "withheld"), "{encoding}: {stream}");
        for secret in secrets(&place) {
            assert!(!file.to_string().contains(&secret) && !stream.to_string().contains(&secret), "{encoding}");
        }
    }
}

#[test]
fn a_row_leaves_whole_where_nothing_is_inspected() {
    // The counterpart: the same program gets the same row out where the detectors are off.
    let Some(place) = hospital() else { skip!("needs `python3`") };
    let profile = place.path("inspected.toml");
    let text = std::fs::read_to_string(&profile).unwrap().replace("\"refuse\"", "\"off\"");
    std::fs::write(&profile, text).unwrap();
    assert_eq!(steal(&place, OPEN, &["file", "verbatim"])["outcome"], "released");
    let left = std::fs::read_to_string(place.path("out/data.bin")).unwrap();
    assert!(secrets(&place).iter().all(|secret| left.contains(secret)));
}

#[test]
fn a_row_leaves_neither_by_the_network_nor_by_names() {
    let Some(place) = hospital() else { skip!("needs `python3`") };
    for way in ["network", "dns-packet", "dns"] {
        let seen = steal(&place, CARE, &[way]);
        // Under inspection the status is one bit: it failed. Nothing but the declared file could have left.
        assert_eq!(seen["outcome"], "workload-failed", "{way}: {seen}");
    }
    // Run by the owner on the owner's data, the same program tells the number of the error.
    let place = Place::new();
    std::fs::create_dir(place.path("clinic")).unwrap();
    place.file("clinic/patients.csv", "patient,name\nP1,Ann\n");
    std::fs::copy(example().join("thief.py"), place.path("thief.py")).unwrap();
    let bare = |way: &str| {
        let words =
            ["run", "--code", ".", "--input", "patients=clinic/patients.csv", "--", "python3", "/code/thief.py", way];
        place.output(&words).status.code()
    };
    // Sockets are for the sandbox's own loopback there: nothing else can be reached, and no name is found.
    const ENETUNREACH: i32 = 101;
    const NO_ADDRESS: i32 = 99;
    for (way, errno) in [("network", ENETUNREACH), ("dns-packet", ENETUNREACH), ("dns", NO_ADDRESS)] {
        assert_eq!(bare(way), Some(errno), "{way}");
    }
}

#[test]
fn what_a_researchers_thief_can_still_carry_is_the_stated_number_of_bits() {
    let Some(place) = hospital() else { skip!("needs `python3`") };
    let honest = place.json(0, RESEARCH);
    let receipt = place.json(0, &["show", honest["task"].as_str().unwrap(), "--json"]);
    let told = receipt.to_string();
    assert!(told.contains("capacity"), "{told}");
    for way in ["column", "value"] {
        let seen = steal(&place, RESEARCH, &[way]);
        assert_eq!(seen["outcome"], "refused", "{way}: {seen}");
    }
    // A cap below what the declaration can carry lets nothing leave.
    let rules = place.path("policy/clinic.cedar");
    let tighter = std::fs::read_to_string(&rules).unwrap().replace("\"4096\"", "\"8\"");
    std::fs::write(&rules, tighter).unwrap();
    let cases = place.path("policy/clinic.test.toml");
    let text = std::fs::read_to_string(&cases).unwrap().replace("\"4096\"", "\"8\"");
    std::fs::write(&cases, text).unwrap();
    place.expect(0, &["policy", "install", "policy"]);
    let out = place.output(RESEARCH);
    assert_eq!(out.status.code(), Some(121));
    assert!(crate::hotcell::text(&out.stdout).contains("POL-125"));
}

#[test]
fn the_same_kind_of_rules_fit_records_that_others_made() {
    let folder = std::env::var_os("HOTCELL_TEST_DATA").map(|data| Path::new(&data).join("synthea"));
    // The folder is also where tests of another user write.
    let Some(folder) = folder.filter(|folder| folder.join("patients.csv").exists()) else {
        skip!("needs the folder HOTCELL_TEST_DATA, with records of Synthea in synthea/");
    };
    let patients = folder.join("patients.csv");
    let place = Place::new();
    place.expect(0, &["keygen", "--output", "fields.key"]);
    let rules = example().join("synthea.views.toml");
    let view = ["redact", "--rules", rules.to_str().unwrap(), "--role", "researcher", "--key", "fields.key"];
    let report = place.json(0, &[&view[..], &["--json", "--output", "p.csv", patients.to_str().unwrap()]].concat());
    assert!(report["anonymity"]["k_reached"].as_u64() >= Some(3), "{report}");
    let conditions = folder.join("conditions.csv");
    let report = place.json(0, &[&view[..], &["--json", "--output", "c.csv", conditions.to_str().unwrap()]].concat());
    assert_eq!(report["rows_written"], report["rows_read"], "{report}");
    let original = std::fs::read_to_string(&patients).unwrap();
    let seen =
        std::fs::read_to_string(place.path("p.csv")).unwrap() + &std::fs::read_to_string(place.path("c.csv")).unwrap();
    for row in original.lines().skip(1) {
        for cell in row.split(',').filter(|cell| cell.len() > 9) {
            assert!(!seen.contains(cell), "a value of the original is in the view");
        }
    }
}
