//! What of an input is carried out is recognised, in every form and encoding; what is only like it is not.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

mod encodings;

use std::sync::Arc;

use hotcell_inspect::fingerprint::{Builder, Fingerprints, IndexError, Size, Watch};
use hotcell_inspect::scan::Scanner;
use hotcell_testkit::fuzz::Target;
use hotcell_types::Explain;

/// A table of so many patients, each with values of its own.
fn table(rows: u64) -> String {
    let mut text = String::from("patient,name,born,radius,city,note\n");
    for row in 0..rows {
        text.push_str(&record(row).join(","));
        text.push('\n');
    }
    text
}

fn record(row: u64) -> [String; 6] {
    let chance = |of: u64, most: u64| (row + 17).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(of as u32 * 9) % most;
    let syllables = ["ka", "lo", "mi", "ren", "tos", "vel", "dur", "an", "pe", "sh", "qui", "zor"];
    let name: String = (1..5).map(|of| syllables[chance(of, 12) as usize]).collect();
    [
        format!("P{}", 840_000 + row),
        format!("{name} {}", ["Okafor", "Nowak", "Silva", "Chen"][chance(5, 4) as usize]),
        format!("19{:02}-{:02}-{:02}", 20 + chance(6, 79), 1 + chance(2, 12), 1 + chance(3, 28)),
        format!("{}.{:03}", 8 + chance(4, 20), chance(1, 1000)),
        ["Lagos", "Gdansk", "Porto", "Wuhan", "Essen"][chance(2, 5) as usize].to_owned(),
        if chance(3, 2) == 0 { "yes".to_owned() } else { "no".to_owned() },
    ]
}

const NOTE: &str = "The patient reports three weeks of intermittent fever and a dry cough after returning from the coast. \
    Auscultation reveals crackles over the left lower lobe; the film shows a patchy infiltrate. Sputum was sent for culture, \
    and treatment was begun with doxycycline because of her allergy to penicillin, which once led to anaphylaxis.";

fn scanner(size: Size) -> Scanner {
    let mut builder = Builder::new(size);
    builder.add("table", table(500).as_bytes()).unwrap();
    builder.add("note", NOTE.as_bytes()).unwrap();
    builder.add("model", weights().as_slice()).unwrap();
    Scanner::without_detectors().with_fingerprints(Arc::new(builder.finish()))
}

/// Bytes without a pattern.
fn weights() -> Vec<u8> {
    let mut state = 7u64;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..20_000).map(next).collect()
}

/// The kinds of leaks, each with what is found.
fn leaks() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let [id, name, born, radius, city, note] = record(137);
    let text = |text: String| text.into_bytes();
    vec![
        ("48 bytes of a text", NOTE.as_bytes()[31..79].to_vec(), "input-stretch"),
        ("a line of the table", text(record(137).join(",")), "input-record"),
        ("csv, columns turned", text(format!("{radius},{note},{born},{city},{name},{id}")), "input-record"),
        ("csv, four fields", text(format!("{born},{radius},{name},{id}")), "input-record"),
        ("tsv", text(format!("{id}\t{city}\t{name}\t{born}\t{radius}")), "input-record"),
        (
            "json",
            text(format!(r#"{{"born": "{born}", "id": "{id}", "r": {radius}, "name": "{name}"}}"#)),
            "input-record",
        ),
        (
            "sql",
            text(format!("INSERT INTO p (r, n, b, i) VALUES ({radius}, '{name}', '{born}', '{id}');")),
            "input-record",
        ),
        ("key=value", text(format!("radius={radius} name={name} id={id} born={born}")), "input-record"),
        ("48 bytes of a model", weights()[1001..1049].to_vec(), "input-stretch"),
    ]
}

fn kinds(scanner: &Scanner, bytes: &[u8]) -> Vec<String> {
    scanner.scan(bytes).prints.into_iter().map(|print| print.kind).collect()
}

#[test]
fn a_leak_of_every_kind_is_recognised_in_every_encoding_and_in_any_two() {
    let scanner = scanner(Size::Fine);
    let mut missed = Vec::new();
    for (what, leak, kind) in leaks() {
        let found = |bytes: &[u8]| kinds(&scanner, bytes).iter().any(|found| found == kind);
        for outer in encodings::NAMES {
            for inner in encodings::NAMES {
                let Some(bytes) = encodings::encode(inner, &leak).and_then(|bytes| encodings::encode(outer, &bytes))
                else {
                    continue;
                };
                if !found(&bytes) {
                    missed.push(format!("{what}: {inner} in {outer}"));
                }
            }
        }
    }
    assert!(missed.is_empty(), "{} missed:\n{}", missed.len(), missed.join("\n"));
}

#[test]
fn brotli_is_undone_too() {
    let scanner = scanner(Size::Fine);
    if encodings::encode("brotli", b"x").is_none() {
        hotcell_testkit::skip!("the program `brotli` is not there");
    }
    for (what, leak, kind) in leaks() {
        for outer in ["plain", "base64", "hex", "gzip", "zip", "percent"] {
            let bytes = encodings::encode(outer, &encodings::encode("brotli", &leak).unwrap()).unwrap();
            assert!(kinds(&scanner, &bytes).iter().any(|found| found == kind), "{what} in brotli in {outer}");
        }
    }
}

#[test]
fn every_stretch_of_the_promised_length_is_recognised_wherever_it_begins() {
    for size in [Size::Fine, Size::Coarse] {
        let scanner = scanner(size);
        let length = size.stretch();
        for (text, most) in [(NOTE.as_bytes(), NOTE.len()), (&weights(), 3000)] {
            for start in 0..most - length {
                let piece = [b"<<".as_slice(), &text[start..start + length], b">>"].concat();
                assert!(kinds(&scanner, &piece).contains(&"input-stretch".to_owned()), "{size:?} from {start}");
            }
        }
    }
}

#[test]
fn the_index_is_as_small_as_promised() {
    for (size, share) in [(Size::Fine, 30), (Size::Coarse, 5)] {
        let bytes: Vec<u8> = weights()
            .repeat(1)
            .into_iter()
            .chain((0..400_000u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()))
            .collect();
        let mut builder = Builder::new(size);
        builder.add("bytes", bytes.as_slice()).unwrap();
        let index = builder.finish();
        let mut file = Vec::new();
        index.write(&mut file).unwrap();
        assert!(file.len() * 100 <= bytes.len() * share, "{size:?}: {} of {}", file.len(), bytes.len());
    }
}

#[test]
fn what_is_only_like_an_input_is_none_of_it() {
    let scanner = scanner(Size::Fine);
    let [id, name, born, _, city, note] = record(137);
    let other = record(138);
    for text in [
        // One repeated id, as a declared key has it; three values; four of which one says nothing.
        format!("{id},0.93\n"),
        format!("{id},{name},{born}\n"),
        format!("{id},{born},{city},{note}\n"),
        // Four values of two records.
        format!("{id},{name},{},{}\n", other[2], other[3]),
        // The names of the columns.
        "patient,name,born,radius,city,note\n".repeat(3),
        "A letter of the same kind: the patient was well, and the cough had gone after three weeks.".to_owned(),
        // 35 bytes, less than two windows.
        NOTE[40..75].to_owned(),
    ] {
        assert_eq!(kinds(&scanner, text.as_bytes()), [""; 0], "{text}");
    }
    // Every id beside a score, which is what a model writes.
    let scores: String = (0..500).map(|row| format!("{},0.{:02}\n", record(row)[0], row % 100)).collect();
    assert_eq!(kinds(&scanner, scores.as_bytes()), [""; 0]);
}

#[test]
fn a_leak_that_is_split_over_pieces_is_whole_to_a_watch() {
    let scanner = scanner(Size::Fine);
    for (what, leak, kind) in leaks() {
        for encoding in ["plain", "base64", "percent"] {
            let bytes = encodings::encode(encoding, &leak).unwrap();
            for pieces in [1, 7, 16] {
                let mut watch = Watch::new(&scanner);
                watch.feed(b"something before, ");
                assert!(!watch.found());
                bytes.chunks(pieces).for_each(|piece| watch.feed(piece));
                assert!(watch.found(), "{what}, {encoding}");
                let report = watch.finish();
                assert!(report.prints.iter().any(|print| print.kind == kind), "{what}, {encoding}");
            }
        }
    }
    let mut watch = Watch::new(&scanner);
    watch.feed(&vec![b'.'; 3 << 20]);
    watch.feed(&NOTE.as_bytes()[..30]);
    watch.feed(&NOTE.as_bytes()[30..]);
    watch.feed(&vec![b'.'; 3 << 20]);
    let report = watch.finish();
    assert_eq!(report.prints.len(), 1, "{report:?}");
    let place = report.prints[0].start - (3 << 20)..report.prints[0].end - (3 << 20);
    assert!(place.start < 12 && place.end + 12 > NOTE.len() as u64, "{place:?}");
}

fn index() -> (Fingerprints, Vec<u8>) {
    let mut builder = Builder::new(Size::Fine);
    builder.add("table", table(50).as_bytes()).unwrap();
    let index = builder.finish();
    let mut file = Vec::new();
    index.write(&mut file).unwrap();
    (index, file)
}

#[test]
fn an_index_that_was_written_recognises_the_same() {
    let (_, file) = index();
    let read = Fingerprints::read(file.as_slice()).unwrap();
    let mut again = Vec::new();
    read.write(&mut again).unwrap();
    assert_eq!(file, again);
    let scanner = Scanner::without_detectors().with_fingerprints(Arc::new(read));
    assert_eq!(kinds(&scanner, record(7)[..5].join(",").as_bytes()).last().unwrap(), "input-record");
}

#[test]
fn an_index_holds_no_value_and_another_key_gives_another_index() {
    let (_, file) = index();
    let (_, other) = index();
    assert_ne!(file, other);
    for value in record(7).iter().filter(|value| value.len() >= 5) {
        assert!(memchr::memmem::find(&file, value.as_bytes()).is_none(), "{value}");
    }
}

#[test]
fn a_damaged_index_is_refused_by_code() {
    let (_, file) = index();
    for at in 0..file.len() {
        let mut damaged = file.clone();
        damaged[at] ^= 1;
        let error = Fingerprints::read(damaged.as_slice()).unwrap_err();
        assert_eq!(error.exit().status(), 123, "byte {at}: {error}");
    }
    for length in [0, 7, 9, 40, 111, file.len() - 1] {
        let error = Fingerprints::read(&file[..length]).unwrap_err();
        assert_eq!(error.exit().status(), 123, "{length} bytes: {error}");
    }
    let mut newer = file.clone();
    newer[9] = 2;
    assert!(matches!(Fingerprints::read(newer.as_slice()), Err(IndexError::Version { version: 2 })));
}

#[test]
fn no_index_makes_its_reader_panic_even_where_the_digest_fits() {
    let (_, file) = index();
    let mut good = 0;
    Target::new(env!("CARGO_MANIFEST_DIR"), "fingerprints").with(file[..file.len() - 32].to_vec()).run(2000, |bytes| {
        let digest = hotcell_crypto::sha256(bytes).0;
        if let Ok(index) = Fingerprints::read([bytes, &digest].concat().as_slice()) {
            good += 1;
            let scanner = Scanner::without_detectors().with_fingerprints(Arc::new(index));
            let _ = scanner.scan(table(3).as_bytes());
        }
    });
    assert!(good > 0, "no index was good: nothing behind the first check was tried");
}

#[test]
fn no_input_makes_the_builder_panic() {
    Target::new(env!("CARGO_MANIFEST_DIR"), "scan").with(table(20)).with(*b"[{\"a\": {\"b\": [1, \"x y\"]}}]").run(
        2000,
        |bytes| {
            let mut builder = Builder::new(Size::Fine);
            builder.add("input", bytes).unwrap();
            let index = Arc::new(builder.finish());
            let scanner = Scanner::without_detectors().with_fingerprints(index);
            let _ = scanner.scan(bytes);
        },
    );
}

#[test]
fn a_packed_input_is_known_by_what_it_holds() {
    for packing in ["gzip", "zstd"] {
        let mut builder = Builder::new(Size::Fine);
        builder.add("table", encodings::encode(packing, table(200).as_bytes()).unwrap().as_slice()).unwrap();
        let scanner = Scanner::without_detectors().with_fingerprints(Arc::new(builder.finish()));
        let [id, name, born, radius, ..] = record(137);
        let leak = format!("{born};{radius};{id};{name}");
        assert_eq!(kinds(&scanner, leak.as_bytes()), ["input-record"], "{packing}");
    }
}
