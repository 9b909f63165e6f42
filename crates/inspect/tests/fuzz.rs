//! Declarations and tables are refused or written anew, never a panic; what is written anew is its own canonical form.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

use std::io::Write;

use hotcell_inspect::scan::{Bounds, Scanner};
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

#[test]
fn no_file_of_detectors_makes_its_reader_panic() {
    let mut good = 0;
    Target::new(env!("CARGO_MANIFEST_DIR"), "detectors").run(150, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        match Scanner::with(&[("fuzz.toml", &text)]) {
            Ok(_) => good += 1,
            Err(error) => assert!(error.to_string().contains("fuzz.toml"), "{error}"),
        }
    });
    assert!(good > 0, "no file was good: nothing behind the first check was tried");
}

/// Whatever is scanned, findings lie within it and in order, and memory stays within the bounds.
fn scanned(scanner: &Scanner, bytes: &[u8]) -> usize {
    let report = scanner.scan(bytes);
    let mut before = 0;
    for finding in &report.findings {
        assert!(finding.start < finding.end && finding.end <= bytes.len() as u64, "{finding:?} of {}", bytes.len());
        assert!(finding.start >= before, "{finding:?}");
        before = finding.start;
    }
    report.findings.len()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn nothing_that_is_decoded_makes_the_scanner_panic() {
    let bounds = Bounds { decoded_bytes: 1 << 20, ..Bounds::default() };
    let scanner = Scanner::builtin().unwrap().within(bounds);
    let card = b"card 4111 1111 1111 1111 of jane@hospital.org, \xe4\xba\xac\xe6\x9c\x88";
    let wide: Vec<u8> = String::from_utf8_lossy(card).encode_utf16().flat_map(u16::to_le_bytes).collect();
    let zlib = {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(card).unwrap();
        encoder.finish().unwrap()
    };
    let mut found = 0;
    Target::new(env!("CARGO_MANIFEST_DIR"), "scan")
        .with(*card)
        .with(wide)
        .with(gzip(card))
        .with(zlib)
        .with(
            *b"4%31%311 1111 1111 1111 %u4e2d Y2FyZCA0MTExMTExMTExMTExMTEx \\u0034111111111111111 &#52;111111111111111",
        )
        .with(*b"MNQXEZBAGQYTCMJRGEYTCMJRGEYTCMJR 6361726420343131313131313131313131313131")
        .run(400, |bytes| found += scanned(&scanner, bytes));
    assert!(found > 100, "{found}: nothing was found, so nothing was tried");
}
