//! What leaves, and what does not.

use hotcell_crypto::{SecretKey, age_seal};
use hotcell_inspect::OutputSchema;
use hotcell_task::TaskSpec;
use hotcell_types::Outcome;

use crate::harness::{Place, input, shell};

/// One table with a key of the input and a score of two decimals.
fn schema() -> OutputSchema {
    serde_json::from_str(
        r#"[{"file": "scores.csv", "format": "csv", "rows": "one-per-key", "order": "as-input", "column": [
            {"name": "patient", "type": "key", "from": "data.patient"},
            {"name": "score", "type": "decimal", "min": 0, "max": 1, "precision": 2}]}]"#,
    )
    .unwrap()
}

fn declared(place: &Place, script: &str) -> TaskSpec {
    let data = place.file("data.csv", "patient,x\nP-one,1\nP-two,2\n");
    TaskSpec {
        inputs: vec![input("data", &data)],
        outputs: Some(schema()),
        profile: Some("infer".into()),
        ..shell(place, script)
    }
}

#[test]
fn a_declared_output_is_written_anew() {
    let place = Place::new();
    let script = "printf 'patient,score\\nP-two,0.123456\\nP-one,0.5\\n' > /output/scores.csv";
    let done = place.run(declared(&place, script)).unwrap();
    assert_eq!(done.outcome, Outcome::Released, "{:?}", done.problem);
    let text = std::fs::read_to_string(place.output().join("scores.csv")).unwrap();
    assert_eq!(text, "patient,score\nP-one,0.50\nP-two,0.12\n");
    let record = &done.body.outputs[0];
    assert_eq!((record.form.as_str(), record.rows), ("canonical", Some(2)));
    // Two rows of 101 possible scores each.
    assert!((record.capacity.0 - 2.0 * 101f64.log2()).abs() < 1e-9, "{}", record.capacity.0);
    assert_eq!(place.released(), ["scores.csv"], "no staging folder stays");
}

#[test]
fn an_output_that_differs_from_its_declaration_releases_nothing() {
    for (script, code) in [
        ("printf 'patient,score,extra\\nP-one,0.5,1\\nP-two,0.5,1\\n' > /output/scores.csv", "INS-1"),
        ("printf 'patient,score\\nP-one,0.5\\n' > /output/scores.csv", "INS-1"),
        ("printf 'patient,score\\nP-one,0.5\\nP-two,2.0\\n' > /output/scores.csv", "INS-1"),
        ("printf 'patient,score\\nP-one,0.5\\nP-two,0.1\\n' > /output/scores.csv; echo x > /output/more", "INS-214"),
        ("true", "INS-215"),
        ("ln -s /input/data /output/scores.csv", "INS-206"),
    ] {
        let place = Place::new();
        let done = place.run(declared(&place, script)).unwrap();
        assert_eq!((done.outcome, done.status), (Outcome::Refused, 121), "{script}");
        assert!(done.problem.as_ref().unwrap().code.starts_with(code), "{script}: {:?}", done.problem);
        assert!(place.released().is_empty(), "{script}");
        assert!(!done.body.refusals.is_empty(), "{script}");
    }
}

#[test]
fn undeclared_outputs_leave_under_the_rule_of_strict() {
    let place = Place::new();
    let done = place.run(shell(&place, "mkdir /output/a; echo one > /output/a/b.txt; echo two > /output/c")).unwrap();
    assert_eq!(done.outcome, Outcome::Released, "{:?}", done.problem);
    let paths: Vec<_> = done.body.outputs.iter().map(|output| output.path.as_str()).collect();
    assert_eq!(paths, ["a/b.txt", "c"]);
    assert_eq!(std::fs::read_to_string(place.output().join("a/b.txt")).unwrap(), "one\n");
    for (script, code) in [
        ("ln -s /etc/passwd /output/x", "INS-206"),
        ("echo x > /output/x; ln /output/x /output/y", "INS-207"),
        ("i=0; while [ $i -lt 101 ]; do echo > /output/$i; i=$((i+1)); done", "INS-217"),
        ("echo > '/output/a\nb'", "INS-2"),
        ("truncate -s 1M /output/hole", "INS-212"),
    ] {
        let place = Place::new();
        let done = place.run(shell(&place, script)).unwrap();
        assert_eq!(done.outcome, Outcome::Refused, "{script}");
        assert!(done.problem.as_ref().unwrap().code.starts_with(code), "{script}: {:?}", done.problem);
        assert!(place.released().is_empty(), "{script}");
    }
}

#[test]
fn ten_thousand_outputs_are_refused_and_none_leaves() {
    let place = Place::new();
    let script = "i=0; while [ $i -lt 10000 ]; do : > /output/f$i; i=$((i+1)); done";
    let done = place.run(shell(&place, script)).unwrap();
    assert_eq!(done.outcome, Outcome::Refused);
    assert_eq!(done.problem.unwrap().code, "INS-217");
    assert!(place.released().is_empty());
}

#[test]
fn results_for_a_recipient_leave_sealed_and_the_streams_stay() {
    let place = Place::new();
    let reader = SecretKey::generate();
    let mut spec = shell(&place, "echo answer > /output/a.txt; echo aside");
    spec.recipients = vec![reader.public()];
    let done = place.run(spec).unwrap();
    assert_eq!(place.released(), ["a.txt.age"]);
    let sealed = std::fs::read(place.output().join("a.txt.age")).unwrap();
    let mut opened = Vec::new();
    age_seal::open(&reader, sealed.as_slice(), &mut opened).unwrap();
    assert_eq!(opened, b"answer\n");
    assert_eq!(hotcell_crypto::sha256(&sealed), done.body.outputs[0].digest);
    assert!(done.streams.is_empty());
    assert_eq!(done.body.streams[0].disposition, "withheld");
    let stranger = age_seal::open(&SecretKey::generate(), sealed.as_slice(), &mut Vec::new());
    assert!(stranger.is_err());
}

#[test]
fn a_stream_that_repeats_an_input_is_withheld_and_reported() {
    let place = Place::new();
    let data = place.file("data.csv", "patient\nP842302-secret\n");
    let mut spec = shell(&place, "cat /input/data; echo fine >&2");
    spec.inputs = vec![input("data", &data)];
    spec.role = Some("reader".to_owned());
    let done = place.run(spec).unwrap();
    let found: Vec<_> = done.body.refusals.iter().map(|refusal| refusal.code.as_str()).collect();
    assert_eq!(found, ["INS-303"]);
    let streams: Vec<_> = done.streams.iter().map(|stream| (stream.name.as_str(), stream.text.as_str())).collect();
    assert_eq!(streams, [("stderr", "fine\n")]);
}

/// A table with a column of text, which may leave under `infer`; the profile itself may turn the detectors off. The text
/// comes by an input, so that no word of the task has it.
fn noted(place: &Place, note: &str, profile: &str) -> TaskSpec {
    let schema = r#"[{"file": "notes.csv", "format": "csv", "max_rows": 9, "rows": "any", "column": [
        {"name": "count", "type": "integer", "min": 0, "max": 5000000000000000},
        {"name": "note", "type": "text", "max_length": 100}]}]"#;
    let notes = place.file("notes", &format!("count,note\n7,all well\n4111111111111111,{note}\n"));
    TaskSpec {
        inputs: vec![input("notes", &notes)],
        outputs: Some(serde_json::from_str(schema).unwrap()),
        profile: Some(profile.to_owned()),
        ..shell(place, "cat /input/notes > /output/notes.csv")
    }
}

#[test]
fn personal_data_and_secrets_in_a_text_column_do_not_leave_and_are_told_without_the_value() {
    let encoded = "Y2FyZCA0MTExIDExMTEgMTExMSAxMTExIHBsZWFzZQ==";
    for (note, value, kind) in [
        ("write to jane.doe@hospital.org", "jane.doe", "email"),
        ("11010519491231002X", "11010519491231002X", "cn-resident-id"),
        ("ghp_q7XnB3kTz5LwM2pD9vRc8YsHf4JgUa1EoViK", "q7XnB3kTz5LwM2pD9vRc8YsHf4JgUa1EoViK", "github-pat"),
        (encoded, "4111 1111 1111 1111", "bank-card"),
    ] {
        let place = Place::new();
        // Fingerprints of the input would find it too.
        let own = place.file("own.toml", "name = \"own\"\nextends = \"infer\"\n[inspection]\nfingerprints = \"off\"\n");
        let done = place.run(noted(&place, note, &own.to_string_lossy())).unwrap();
        assert_eq!((done.outcome, done.status), (Outcome::Refused, 121), "{note}: {:?}", done.problem);
        let refusal = &done.body.refusals[0];
        assert_eq!(refusal.code, "INS-501");
        assert!(refusal.what.contains(kind) && refusal.what.contains("row 2, column `note`"), "{}", refusal.what);
        let receipt = serde_json::to_string(&done.body).unwrap();
        for (name, told) in [("receipt", receipt), ("log", place.log()), ("problem", format!("{:?}", done.problem))] {
            assert!(!told.contains(note) && !told.contains(value), "{note} stands in the {name}");
        }
        assert!(place.log().contains("INS-501"), "the log was not read");
        assert!(place.released().is_empty(), "{note}");
    }
}

#[test]
fn harmless_text_leaves_and_with_the_detectors_off_so_does_the_rest() {
    let place = Place::new();
    let done = place.run(noted(&place, "all is well with ward 7", "infer")).unwrap();
    assert_eq!(done.outcome, Outcome::Released, "{:?}", done.problem);
    let own = place.file("own.toml", "name = \"own\"\nextends = \"infer\"\n[inspection]\ndetectors = \"off\"\n");
    let done = place.run(noted(&place, "write to jane.doe@hospital.org", &own.to_string_lossy())).unwrap();
    assert_eq!(done.outcome, Outcome::Released, "{:?}", done.problem);
}

#[test]
fn an_undeclared_output_is_looked_at_where_the_profile_asks() {
    let own = "name = \"own\"\nextends = \"strict\"\n[inspection]\ndetectors = \"refuse\"\n";
    for (text, outcome) in [("all is well", Outcome::Released), ("card 4111 1111 1111 1111", Outcome::Refused)] {
        let place = Place::new();
        let own = place.file("own.toml", own).to_string_lossy().into_owned();
        let spec = TaskSpec {
            profile: Some(own),
            ..shell(&place, &format!("echo '{text}' > /output/note; echo b > /output/b"))
        };
        let done = place.run(spec).unwrap();
        assert_eq!(done.outcome, outcome, "{text}: {:?}", done.problem);
        assert_eq!(place.released().len(), if outcome == Outcome::Released { 2 } else { 0 }, "{text}");
    }
}
