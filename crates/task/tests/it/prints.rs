//! What of the inputs would leave is recognised by their fingerprints, and does not.

use std::fs::File;
use std::io::Write;

use hotcell_inspect::OutputSchema;
use hotcell_inspect::fingerprint::{Builder, Size};
use hotcell_task::TaskSpec;
use hotcell_types::Outcome;

use crate::harness::{Place, input, shell};

const TABLE: &str = "patient,name,born,radius,town\n\
    P842302,Okafor Ngozi,1961-04-17,17.993,Enugu\n\
    P842517,Nowak Zofia,1974-11-02,20.571,Gdansk\n\
    P843009,Silva Tomas,1958-08-23,19.694,Braga\n\
    P843483,Chen Meiling,1983-01-30,11.421,Wuhan\n";

/// A task over the table that may leave files under a profile of its own, which says this of fingerprints.
fn task(place: &Place, rule: &str, script: &str) -> TaskSpec {
    let data = place.file("data.csv", TABLE);
    let own = format!(
        "name = \"own\"\nextends = \"strict\"\n[inspection]\nfingerprints = \"{rule}\"\nstreams = \"inspect\"\n"
    );
    TaskSpec {
        inputs: vec![input("data", &data)],
        profile: Some(place.file("own.toml", &own).to_string_lossy().into_owned()),
        ..shell(place, script)
    }
}

const ENCODERS: [&str; 6] = ["cat", "base64", "base32", "basenc --base16", "basenc --base64url", "gzip"];

#[test]
fn a_row_does_not_leave_in_any_encoding_nor_in_any_two_and_with_fingerprints_off_it_does() {
    for inner in ENCODERS {
        for outer in ENCODERS {
            let script = format!("sed -n 3p /input/data | {inner} | {outer} > /output/x");
            let place = Place::new();
            let done = place.run(task(&place, "refuse", &script)).unwrap();
            assert_eq!((done.outcome, done.status), (Outcome::Refused, 121), "{script}: {:?}", done.problem);
            assert!(done.body.refusals[0].code.starts_with("INS-50"), "{script}: {:?}", done.body.refusals);
            assert!(!format!("{:?}", done.body.refusals).contains("Zofia"), "{script}");
            assert!(place.released().is_empty(), "{script}");
        }
    }
    let place = Place::new();
    let done = place.run(task(&place, "off", "sed -n 3p /input/data | base64 > /output/x")).unwrap();
    assert_eq!(done.outcome, Outcome::Released, "{:?}", done.problem);
    assert_eq!(place.released(), ["x"]);
}

#[test]
fn a_record_does_not_leave_in_another_order_and_form() {
    for script in [
        r#"awk -F, 'NR==2 {print $4 ";" $3 ";" $1 ";" $2}' /input/data > /output/x"#,
        r#"awk -F, 'NR==2 {printf "{\"b\": \"%s\", \"n\": \"%s\",\n \"i\": \"%s\", \"r\": %s}", $3, $2, $1, $4}' /input/data > /output/x"#,
        r#"awk -F, 'NR==2 {printf "INSERT INTO t VALUES (%s, \x27%s\x27, \x27%s\x27, \x27%s\x27)", $4, $2, $1, $3}' /input/data > /output/x"#,
        r#"awk -F, 'NR==2 {printf "radius=%s name=%s id=%s born=%s", $4, $2, $1, $3}' /input/data > /output/x"#,
    ] {
        let place = Place::new();
        let done = place.run(task(&place, "refuse", script)).unwrap();
        assert_eq!((done.outcome, done.status), (Outcome::Refused, 121), "{script}: {:?}", done.problem);
        assert_eq!(done.body.refusals[0].code, "INS-504", "{script}");
    }
}

#[test]
fn a_row_does_not_leave_in_the_names_of_files() {
    let script = r#": > "/output/$(sed -n 3p /input/data)""#;
    let place = Place::new();
    let done = place.run(task(&place, "refuse", script)).unwrap();
    assert_eq!((done.outcome, done.status), (Outcome::Refused, 121), "{:?}", done.problem);
    assert!(done.body.refusals[0].what.contains("names of files"), "{:?}", done.body.refusals);
    assert!(!format!("{:?}", done.body.refusals).contains("Zofia"));
    let script = r#"sed -n 3,4p /input/data | basenc --base16 -w 30 | while read part; do n=$((n+1)); mkdir /output/$(printf %02d $n); : > /output/$(printf %02d $n)/$part; done"#;
    let place = Place::new();
    let done = place.run(task(&place, "refuse", script)).unwrap();
    assert_eq!((done.outcome, done.status), (Outcome::Refused, 121), "{:?}", done.problem);
    let place = Place::new();
    let done = place.run(task(&place, "off", script)).unwrap();
    assert_eq!(done.outcome, Outcome::Released, "{:?}", done.problem);
}

#[test]
fn a_score_beside_each_id_leaves() {
    let schema: OutputSchema = serde_json::from_str(
        r#"[{"file": "scores.csv", "format": "csv", "rows": "one-per-key", "order": "as-input", "column": [
            {"name": "patient", "type": "key", "from": "data.patient"},
            {"name": "score", "type": "decimal", "min": 0, "max": 1, "precision": 2}]}]"#,
    )
    .unwrap();
    let script =
        r#"awk -F, 'NR==1 {print "patient,score"} NR>1 {print $1 ",0.5" NR}' /input/data > /output/scores.csv"#;
    let place = Place::new();
    let done = place
        .run(TaskSpec { outputs: Some(schema), profile: Some("infer".into()), ..task(&place, "refuse", script) })
        .unwrap();
    assert_eq!(done.outcome, Outcome::Released, "{:?}", done.problem);
    let place = Place::new();
    let script = "echo 'the mean of the radius is 17.42 and there are 4 patients' | tee /output/summary.txt";
    let done = place.run(task(&place, "refuse", script)).unwrap();
    assert_eq!(done.outcome, Outcome::Released, "{:?}", done.problem);
}

#[test]
fn a_declared_table_of_copied_columns_is_a_record_and_does_not_leave() {
    let schema = || -> OutputSchema {
        serde_json::from_str(
            r#"[{"file": "rows.csv", "format": "csv", "rows": "any", "max_rows": 10, "column": [
                {"name": "radius", "type": "decimal", "min": 0, "max": 100, "precision": 3},
                {"name": "patient", "type": "text", "max_length": 40},
                {"name": "name", "type": "text", "max_length": 40},
                {"name": "born", "type": "text", "max_length": 40}]}]"#,
        )
        .unwrap()
    };
    let script = r#"awk -F, 'NR==1 {print "radius,patient,name,born"} NR==3 {print $4 "," $1 "," $2 "," $3}' /input/data > /output/rows.csv"#;
    let place = Place::new();
    let done = place.run(TaskSpec { outputs: Some(schema()), ..task(&place, "refuse", script) }).unwrap();
    assert_eq!((done.outcome, done.status), (Outcome::Refused, 121), "{:?}", done.problem);
    assert_eq!(done.body.refusals.last().unwrap().code, "INS-504");
    let place = Place::new();
    let done = place.run(TaskSpec { outputs: Some(schema()), ..task(&place, "off", script) }).unwrap();
    assert_eq!(done.outcome, Outcome::Released, "{:?}", done.problem);
}

#[test]
fn an_index_made_ahead_is_used_whatever_the_profile_says_and_has_to_be_of_the_inputs() {
    let index = |place: &Place, table: &str| {
        let mut builder = Builder::new(Size::Coarse);
        builder.add("data", table.as_bytes()).unwrap();
        let path = place.0.path().join("index");
        builder.finish().write(File::create(&path).unwrap()).unwrap();
        path
    };
    let script = "sed -n 3p /input/data | base64 > /output/x";
    let place = Place::new();
    let ahead = index(&place, TABLE);
    let done = place.run(TaskSpec { fingerprints: Some(ahead), ..task(&place, "off", script) }).unwrap();
    assert_eq!((done.outcome, done.status), (Outcome::Refused, 121), "{:?}", done.problem);

    let place = Place::new();
    let other = index(&place, "a,b\n1,2\n");
    let error = place.run(TaskSpec { fingerprints: Some(other), ..task(&place, "off", script) }).unwrap_err();
    assert_eq!(hotcell_types::Explain::code(&error), "INS-526");
    assert!(place.released().is_empty());

    let place = Place::new();
    let damaged = index(&place, TABLE);
    File::options().append(true).open(&damaged).unwrap().write_all(b"x").unwrap();
    let error = place.run(TaskSpec { fingerprints: Some(damaged), ..task(&place, "off", script) }).unwrap_err();
    assert_eq!(hotcell_types::Explain::exit(&error).status(), 123);
    assert!(place.released().is_empty());
}
