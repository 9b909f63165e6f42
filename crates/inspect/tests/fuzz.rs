//! Declarations and tables are refused or written anew, never a panic; what is written anew is its own canonical form.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

use hotcell_inspect::{CheckedSchema, Format, InputKeys, KeySet, OutputSchema, canonicalize};
use hotcell_testkit::fuzz::Target;

#[test]
fn no_declaration_makes_its_check_panic() {
    Target::new(env!("CARGO_MANIFEST_DIR"), "schema").run(5000, |bytes| {
        if let Ok(schema) = serde_json::from_slice::<OutputSchema>(bytes) {
            let _ = schema.check();
        }
    });
}

fn declaration(format: &str) -> CheckedSchema {
    let text = format!(
        r#"[{{"file":"s.{format}","format":"{format}","max_rows":100,"rows":"any","column":[
            {{"name":"patient","type":"text","max_length":8}},
            {{"name":"probability","type":"decimal","min":0,"max":1,"precision":2,"nullable":true}},
            {{"name":"label","type":"category","values":["0","1"]}},
            {{"name":"ok","type":"boolean"}}]}}]"#
    );
    serde_json::from_str::<OutputSchema>(&text).unwrap().check().unwrap()
}

fn tables(format: &'static str) {
    let schema = declaration(format);
    let file = schema.files().first().unwrap();
    let keys = InputKeys::default();
    let mut written = 0;
    Target::new(env!("CARGO_MANIFEST_DIR"), format).run(5000, |bytes| {
        let mut once = Vec::new();
        if canonicalize(file, &keys, bytes, &mut once).is_ok() {
            written += 1;
            let mut twice = Vec::new();
            canonicalize(file, &keys, once.as_slice(), &mut twice).unwrap();
            assert_eq!(once, twice, "the canonical form is its own");
        }
        let of = if format == "csv" { Format::Csv } else { Format::Jsonl };
        let _ = KeySet::read_column(of, bytes, "patient");
    });
    assert!(written > 0, "no table was good: nothing was tried");
}

#[test]
fn no_csv_table_makes_rewriting_panic_and_what_is_written_is_canonical() {
    tables("csv");
}

#[test]
fn no_table_of_json_lines_makes_rewriting_panic_and_what_is_written_is_canonical() {
    tables("jsonl");
}
