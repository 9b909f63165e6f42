//! `hotcell redact`: views of tables, and back.

use std::io::Write;
use std::process::Stdio;

use serde_json::Value;

use crate::hotcell::{Place, text};

const RULES: &str = r#"
format = 1
[[view]]
name = "research"
role = "researcher"
dataset = "patients"
[view.columns]
name = { do = "mask", first = 1 }
age = { do = "generalise", by = "age", level = 2 }
born = { do = "generalise", by = "date", level = 2 }
diagnosis = { do = "generalise", by = "icd", level = 2 }
patient = { do = "hash", domain = "patient" }
phone = { do = "token", format = "digits" }
note = { do = "encrypt" }

[[view]]
name = "open"
role = "clerk"
dataset = "patients"
others = "keep"

[[view]]
name = "care"
role = "doctor"
dataset = "patients"
others = "keep"
scan = "report"

[[view]]
name = "classes"
role = "statistician"
dataset = "patients"
[view.anonymity]
k = 2
max_suppressed_percent = 34
[view.columns]
age = { do = "generalise", by = "age", quasi = true }
"#;

const PATIENTS: &str = "patient,name,age,born,phone,diagnosis,note\n\
    P1,Li Wei,43,1983-02-01,13800138000,I21.4,call 13800138000\n\
    P2,王芳,44,1982-03-04,13900139001,J45.9,\n\
    P3,Ann,91,1935-01-01,13700137002,E11.9,stable\n";

fn clinic() -> Place {
    let place = Place::new();
    place.file("rules.toml", RULES);
    place.file("patients.csv", PATIENTS);
    place.expect(0, &["keygen", "--output", "fields.key"]);
    place
}

fn view(role: &str) -> Vec<&str> {
    vec!["redact", "--rules", "rules.toml", "--role", role, "--key", "fields.key"]
}

#[test]
fn a_role_sees_what_its_rules_say_and_the_key_leads_back() {
    let place = clinic();
    let seen = place.expect(0, &[&view("researcher")[..], &["patients.csv"]].concat());
    assert!(seen.starts_with("patient,name,age,born,phone,diagnosis,note\nh:"), "{seen}");
    for there in ["Lx Xxx", "40-49", "90+", "1983,", "IX Circulatory system", "王某", ",e:"] {
        assert!(seen.contains(there), "{there} is not in {seen}");
    }
    for gone in ["P1,", "Wei", "芳", "1380013", "I21", "stable", "02-01"] {
        assert!(!seen.contains(gone), "{gone} is in {seen}");
    }
    place.file("patients.view.csv", &seen);
    let words = [
        "--dataset",
        "patients",
        "--reverse",
        "--purpose",
        "care",
        "--json",
        "--output",
        "back.csv",
        "patients.view.csv",
    ];
    let told = place.json(0, &[&view("researcher")[..], &words].concat());
    assert_eq!(told["fields_opened"], 5);
    let back = std::fs::read_to_string(place.path("back.csv")).unwrap();
    assert!(back.contains("13800138000") && back.contains("call 13800138000") && back.contains("Lx Xxx"), "{back}");
    let log = place.expect(0, &["audit", "show", "--json"]);
    assert!(log.contains("fields-opened") && !log.contains("13800138000"), "{log}");
}

#[test]
fn nothing_is_opened_without_the_key_or_against_the_policy() {
    let place = clinic();
    place.expect(0, &[&view("researcher")[..], &["--output", "v.csv", "patients.csv"]].concat());
    let open = ["--dataset", "patients", "--reverse", "--output", "back.csv", "v.csv"];
    place.expect(0, &["keygen", "--output", "other.key"]);
    let mut with_other = [&view("researcher")[..], &open].concat();
    with_other[6] = "other.key";
    let out = place.output(&with_other);
    assert_eq!(out.status.code(), Some(123), "{}", text(&out.stderr));
    place.file("policy.toml", "name = \"p\"\nversion = 1\nschema = 2\n");
    std::fs::create_dir(place.path("policy")).unwrap();
    std::fs::rename(place.path("policy.toml"), place.path("policy/policy.toml")).unwrap();
    place.file(
        "policy/p.cedar",
        "@id(\"care-only\")\n@reason(\"names are for care\")\n@remedy(\"state the purpose care\")\n\
         forbid (principal, action == Action::\"readField\", resource) when { context.purpose != \"care\" };\n",
    );
    place.expect(0, &["policy", "install", "policy"]);
    let out = place.output(&[&view("researcher")[..], &open].concat());
    assert_eq!(out.status.code(), Some(121), "{}", text(&out.stderr));
    assert!(text(&out.stderr).contains("names are for care"), "{}", text(&out.stderr));
    assert!(!place.path("back.csv").exists());
    let for_care = [&["--purpose", "care"][..], &open].concat();
    place.expect(0, &[&view("researcher")[..], &for_care].concat());
}

#[test]
fn what_the_detectors_know_keeps_a_view_back_unless_its_reader_may_see_it() {
    let place = clinic();
    let out = place.output(&[&view("clerk")[..], &["--output", "v.csv", "patients.csv"]].concat());
    let told = text(&out.stderr);
    assert_eq!(out.status.code(), Some(121), "{told}");
    assert!(told.contains("DIS-050") && told.contains("in phone") && !told.contains("1380013"), "{told}");
    assert!(!place.path("v.csv").exists());
    let report = place.json(0, &[&view("doctor")[..], &["--json", "--output", "v.csv", "patients.csv"]].concat());
    assert!(!report["findings"].as_object().unwrap().is_empty(), "{report}");
    assert_eq!(std::fs::read_to_string(place.path("v.csv")).unwrap(), PATIENTS);
}

#[test]
fn classes_are_told_with_the_loss_or_refused_with_the_reason() {
    let place = clinic();
    let report = place.json(0, &[&view("statistician")[..], &["--json", "--output", "v.csv", "patients.csv"]].concat());
    assert_eq!(report["anonymity"]["k_reached"], 2);
    assert_eq!((&report["rows_suppressed"], &report["rows_written"]), (&Value::from(1), &Value::from(2)));
    assert_eq!(std::fs::read_to_string(place.path("v.csv")).unwrap(), "age\n40-44\n40-44\n");
    place.file("rules.toml", &RULES.replace("k = 2", "k = 4"));
    let out = place.output(&[&view("statistician")[..], &["--output", "w.csv", "patients.csv"]].concat());
    assert_eq!(out.status.code(), Some(121));
    assert!(text(&out.stderr).contains("classes of 4 people"), "{}", text(&out.stderr));
    assert!(!place.path("w.csv").exists());
}

#[test]
fn bad_input_is_told_with_its_place_and_leaves_nothing() {
    let place = clinic();
    let tried = |rules: &str, table: &str, role: &str, status: i32, said: &str| {
        place.file("rules.toml", rules);
        place.file("patients.csv", table);
        let out = place.output(&[&view(role)[..], &["--output", "v.csv", "patients.csv"]].concat());
        let told = text(&out.stderr);
        assert_eq!(out.status.code(), Some(status), "{told}");
        assert!(told.replace('\n', " ").contains(said), "{said}: {told}");
        assert!(!place.path("v.csv").exists());
    };
    tried(&RULES.replace("by = \"icd\"", "by = \"icf\""), PATIENTS, "researcher", 2, "line 11");
    tried(RULES, PATIENTS, "nurse", 121, "no view of the dataset");
    tried(RULES, &PATIENTS.replace("phone,diagnosis", "fone,diagnosis"), "researcher", 125, "`phone`");
    tried(RULES, &format!("{PATIENTS}P4,short\n"), "researcher", 125, "row 4");
    place.file("rules.toml", RULES);
    place.file("patients.csv", PATIENTS);
    let out = place.output(&["redact", "--rules", "rules.toml", "--role", "researcher", "patients.csv"]);
    assert_eq!((out.status.code(), out.stdout.is_empty()), (Some(2), true), "{}", text(&out.stderr));
    assert!(text(&out.stderr).contains("--key"), "{}", text(&out.stderr));
}

#[test]
fn standard_input_of_json_lines_is_seen_too_and_nothing_of_a_bad_one_leaves() {
    let place = clinic();
    let words = [
        "redact",
        "--rules",
        "rules.toml",
        "--role",
        "statistician",
        "--dataset",
        "patients",
        "--format",
        "jsonl",
        "-",
    ];
    for (given, status, seen) in [
        ("{\"age\":43,\"name\":\"Ann\"}\n{\"age\":44}\n", 0, "{\"age\":\"40-44\"}\n{\"age\":\"40-44\"}\n"),
        ("{\"age\":43}\n{\"age\":\n", 125, ""),
    ] {
        let mut child =
            place.command(&words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(given.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{}", text(&output.stderr));
        assert_eq!(text(&output.stdout), seen);
    }
}
