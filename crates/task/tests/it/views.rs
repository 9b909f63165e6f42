//! Role views on the way of a task: what is shown of an input, and what leaves of an output.

use std::fs;
use std::path::Path;

use hotcell_inspect::OutputSchema;
use hotcell_task::{Silent, TaskError, TaskReport, TaskSpec, install_policy, open_log};
use hotcell_types::{Clock, EventKind, Explain, Outcome};

use crate::harness::{Now, Place, input, shell};

const PATIENTS: &str = "patient,name,age\nP1,Li Wei,41\nP2,Ann,42\nP3,Jo,43\n";

const VIEWS: &str = r#"format = 1
[[view]]
name = "coarse"
role = "researcher"
dataset = "patients"
[view.columns]
age = { do = "generalise", by = "age" }
patient = { do = "keep" }

[[view]]
name = "coarse"
role = "researcher"
dataset = "ages.csv"
[view.columns]
age = { do = "keep" }
"#;

const RULES: &str = "@id(\"ours\") @reason(\"we say so\") @remedy(\"do not\")\n@obligation_view(\"coarse\")\n\
                     permit (principal, action == Action::\"run\", resource);";

/// Puts a policy with these rules and views into force.
fn install(place: &Place, version: u32, rules: &str, views: &str) -> Result<(), TaskError> {
    let folder = place.0.path().join(format!("policy-{version}"));
    fs::create_dir_all(&folder).unwrap();
    fs::create_dir_all(place.state()).unwrap();
    fs::write(folder.join("policy.toml"), format!("name = \"ours\"\nversion = {version}\nschema = 2\n")).unwrap();
    fs::write(folder.join("ours.cedar"), rules).unwrap();
    fs::write(folder.join("ours.views.toml"), views).unwrap();
    let log = open_log(&place.state(), "test", Now.now()).unwrap();
    install_policy(&place.state(), Path::new(&folder), &[], &log, Now.now()).map(drop)
}

fn task(place: &Place, script: &str) -> TaskSpec {
    TaskSpec { inputs: vec![input("patients", &place.file("patients.csv", PATIENTS))], ..shell(place, script) }
}

fn run(place: &Place, spec: TaskSpec) -> Result<TaskReport, TaskError> {
    place.run_in_force(spec, &mut Silent)
}

fn left(place: &Place, name: &str) -> String {
    fs::read_to_string(place.output().join(name)).unwrap()
}

const COPY: &str = "cat /input/patients > /output/seen.csv; ls -l /dev/shm /input > /output/listed";

#[test]
fn a_demanded_view_is_what_the_workload_sees_and_the_log_says_so() {
    let place = Place::new();
    install(&place, 1, RULES, VIEWS).unwrap();
    let report = run(&place, task(&place, COPY)).unwrap();
    assert_eq!(report.outcome, Outcome::Released, "{:?}", report.problem);
    assert_eq!(left(&place, "seen.csv"), "patient,age\nP1,40-44\nP2,40-44\nP3,40-44\n");
    assert!(place.events().contains(&EventKind::ViewApplied));
    // Without the demand, and without a role, the same task sees the record.
    install(&place, 2, &RULES.replace("@obligation_view(\"coarse\")", ""), VIEWS).unwrap();
    run(&place, task(&place, COPY)).unwrap();
    assert_eq!(left(&place, "seen.csv"), PATIENTS);
    run(&place, TaskSpec { role: Some("researcher".into()), ..task(&place, COPY) }).unwrap();
    assert_eq!(left(&place, "seen.csv"), "patient,age\nP1,40-44\nP2,40-44\nP3,40-44\n", "the role asks for it, too");
}

#[test]
fn a_view_that_is_demanded_and_not_defined_is_denied() {
    let place = Place::new();
    install(&place, 1, &RULES.replace("coarse", "finer"), VIEWS).unwrap();
    assert_eq!(run(&place, task(&place, COPY)).unwrap_err().code(), "POL-121");
    assert!(place.released().is_empty());
}

#[test]
fn a_dataset_that_the_demanded_view_has_no_rules_for_is_not_shown_at_all() {
    let place = Place::new();
    install(&place, 1, RULES, VIEWS).unwrap();
    let mut spec = task(&place, COPY);
    spec.inputs.push(input("visits", &place.file("visits.csv", PATIENTS)));
    assert_eq!(run(&place, spec).unwrap_err().code(), "DIS-002");
    let spec = TaskSpec { role: Some("nurse".into()), ..task(&place, COPY) };
    assert_eq!(run(&place, spec).unwrap_err().code(), "DIS-002", "a role without a view of it");
    // What is no table cannot be seen through one.
    let mut spec = task(&place, COPY);
    spec.inputs = vec![input("patients", &place.file("patients.bin", PATIENTS))];
    assert_eq!(run(&place, spec).unwrap_err().code(), "DIS-011");
    assert!(place.released().is_empty() && !place.events().contains(&EventKind::TaskStarting));
}

#[test]
fn rules_with_a_fault_are_not_put_into_force_and_the_line_is_told() {
    let place = Place::new();
    install(&place, 1, RULES, VIEWS).unwrap();
    let error = install(&place, 2, RULES, &VIEWS.replace("\"age\" }", "\"weight\" }")).unwrap_err();
    assert_eq!(error.code(), "DIS-001");
    assert!(error.to_string().contains("ours.views.toml, line 7"), "{error}");
    run(&place, task(&place, COPY)).unwrap();
    assert!(left(&place, "seen.csv").contains("40-44"), "the last good one stays");
}

fn declared(place: &Place, script: &str) -> TaskSpec {
    let text = r#"[{"file":"ages.csv","format":"csv","column":[
        {"name":"patient","type":"key","from":"patients.patient"},
        {"name":"age","type":"integer","min":0,"max":150}]}]"#;
    let outputs: OutputSchema = serde_json::from_str(text).unwrap();
    TaskSpec { outputs: Some(outputs), ..task(place, script) }
}

#[test]
fn a_declared_output_leaves_through_the_view_of_who_reads_it() {
    let place = Place::new();
    install(&place, 1, RULES, VIEWS).unwrap();
    let script = "printf 'patient,age\\nP1,41\\nP2,42\\n' > /output/ages.csv";
    let report = run(&place, declared(&place, script)).unwrap();
    assert_eq!(report.outcome, Outcome::Released, "{:?}", report.problem);
    assert_eq!(left(&place, "ages.csv"), "age\n41\n42\n");
    assert!(report.notes.iter().any(|(_, notes)| notes.iter().any(|note| note.contains("the view `coarse`"))));
    // An output of that name that nobody declared stays.
    fs::remove_file(place.output().join("ages.csv")).unwrap();
    let report = run(&place, task(&place, script)).unwrap();
    assert_eq!(report.outcome, Outcome::Refused);
    assert!(place.released().is_empty());
}

#[test]
fn an_output_whose_view_cannot_be_made_stays() {
    let place = Place::new();
    install(
        &place,
        1,
        RULES,
        &VIEWS.replace(
            "[view.columns]\nage = { do = \"keep\" }",
            "[view.anonymity]\nk = 3\n[view.columns]\nage = { do = \"keep\", quasi = true }",
        ),
    )
    .unwrap();
    let report = run(&place, declared(&place, "printf 'patient,age\\nP1,41\\nP2,42\\n' > /output/ages.csv")).unwrap();
    assert_eq!((report.outcome, report.status), (Outcome::Refused, 121));
    assert_eq!(report.problem.unwrap().code, "DIS-030");
    assert!(place.released().is_empty());
}

#[test]
fn keys_of_an_output_are_those_that_the_workload_saw() {
    let place = Place::new();
    let views = VIEWS
        .replace("patient = { do = \"keep\" }", "patient = { do = \"mask\" }")
        .replace("dataset = \"ages.csv\"", "dataset = \"other.csv\"");
    install(&place, 1, RULES, &views).unwrap();
    // Of the record's own keys it may not speak: it cannot have seen them.
    let report = run(&place, declared(&place, "printf 'patient,age\\nP1,41\\n' > /output/ages.csv")).unwrap();
    assert_eq!(report.outcome, Outcome::Refused);
    let report = run(&place, declared(&place, "printf 'patient,age\\nX0,41\\n' > /output/ages.csv")).unwrap();
    assert_eq!(report.outcome, Outcome::Released, "{:?}", report.problem);
}
