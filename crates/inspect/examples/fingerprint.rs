//! How fast fingerprints are on one core, how large their index is, which leaks they recognise in which encodings, and what
//! they take for an input in text that is none: `cargo run --release -p hotcell-inspect --example fingerprint -- [FOLDER]...`.
//!
//! Prints one object of JSON. Every file below the folders is unrelated text.

#![allow(clippy::print_stdout, reason = "an example tells what it measured")]

#[path = "../tests/encodings/mod.rs"]
mod encodings;

use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hotcell_inspect::fingerprint::{Builder, Fingerprints, Size};
use hotcell_inspect::scan::Scanner;
use serde_json::{Value, json};

/// How long each figure is measured.
const AT_LEAST: Duration = Duration::from_secs(2);
/// Rows of the table that is indexed.
const ROWS: u64 = 100_000;
/// Bytes of text and of noise that are indexed with it.
const TEXT_BYTES: usize = 4 << 20;
const NOISE_BYTES: usize = 4 << 20;
/// Bytes of other generated text that are looked at.
const UNRELATED_BYTES: usize = 512 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let table = table(ROWS);
    let text = prose(TEXT_BYTES, 1);
    let noise: Vec<u8> = numbers(5).take(NOISE_BYTES / 8).flat_map(u64::to_le_bytes).collect();
    let inputs: [(&str, &[u8]); 3] = [("table", &table), ("text", &text), ("noise", &noise)];
    let mut sizes = Vec::new();
    for size in [Size::Fine, Size::Coarse] {
        sizes.push(size_figures(size, &inputs)?);
    }
    let index = Arc::new(build(Size::Fine, &inputs)?);
    let clean = prose(32 << 20, 77);
    let speed = speed(&clean, |bytes| index.recognises(bytes));
    let scanner = Scanner::without_detectors().with_fingerprints(Arc::clone(&index));
    let through_encodings = self::speed(&clean, |bytes| !scanner.scan(bytes).prints.is_empty());
    let figures = json!({
        "sizes": sizes,
        "recognises_mb_per_s": speed,
        "through_encodings_mb_per_s": through_encodings,
        "matrix": matrix(&scanner, &table, &text, &noise),
        "false_alarms": false_alarms(&index, &scanner)?,
    });
    println!("{figures}");
    Ok(())
}

fn build(size: Size, inputs: &[(&str, &[u8])]) -> Result<Fingerprints, Box<dyn Error>> {
    let mut builder = Builder::new(size);
    for (name, bytes) in inputs {
        builder.add(name, *bytes)?;
    }
    Ok(builder.finish())
}

fn size_figures(size: Size, inputs: &[(&str, &[u8])]) -> Result<Value, Box<dyn Error>> {
    let bytes: usize = inputs.iter().map(|(_, bytes)| bytes.len()).sum();
    let begun = Instant::now();
    let index = build(size, inputs)?;
    let taken = begun.elapsed();
    Ok(json!({
        "from_bytes": size.stretch(),
        "input_bytes": bytes,
        "stretch_share": index.stretches().1 as f64 / bytes as f64,
        "record_share": index.records().1 as f64 / inputs[0].1.len() as f64,
        "build_mb_per_s": bytes as f64 / 1e6 / taken.as_secs_f64(),
    }))
}

/// Megabytes a second over clean text.
fn speed(clean: &[u8], look: impl Fn(&[u8]) -> bool) -> f64 {
    let begun = Instant::now();
    let mut rounds = 0;
    while begun.elapsed() < AT_LEAST {
        black_box(look(black_box(clean)));
        rounds += 1;
    }
    clean.len() as f64 * f64::from(rounds) / 1e6 / begun.elapsed().as_secs_f64()
}

/// By kind of leak and outer encoding: of how many inner encodings how many were recognised.
fn matrix(scanner: &Scanner, table: &[u8], text: &[u8], noise: &[u8]) -> Vec<Value> {
    let lines: Vec<&[u8]> = table.split(|byte| *byte == b'\n').skip(1).collect();
    let fields: Vec<&str> =
        lines.get(777).and_then(|line| std::str::from_utf8(line).ok()).unwrap_or_default().split(',').collect();
    let [id, name, born, radius, ..] = fields.as_slice() else { return Vec::new() };
    let leaks = [
        ("48 bytes of text", text.get(1003..1051).unwrap_or_default().to_vec()),
        ("48 bytes of a model", noise.get(1003..1051).unwrap_or_default().to_vec()),
        ("record as CSV", format!("{radius},{born},{id},{name}").into_bytes()),
        ("record as TSV", format!("{radius}\t{born}\t{id}\t{name}").into_bytes()),
        (
            "record as JSON",
            format!("{{\"r\": {radius}, \"b\": \"{born}\", \"i\": \"{id}\", \"n\": \"{name}\"}}").into_bytes(),
        ),
        ("record as SQL", format!("INSERT INTO t VALUES ({radius}, '{born}', '{id}', '{name}');").into_bytes()),
        ("record as key=value", format!("r={radius} b={born} i={id} n={name}").into_bytes()),
    ];
    let mut cells = Vec::new();
    for (kind, leak) in leaks {
        for outer in encodings::NAMES.into_iter().chain(["brotli"]) {
            let inner = encodings::NAMES.into_iter().chain(["brotli"]);
            let all: Vec<bool> = inner
                .filter_map(|inner| encodings::encode(outer, &encodings::encode(inner, &leak)?))
                .map(|bytes| !scanner.scan(&bytes).prints.is_empty())
                .collect();
            let found = all.iter().filter(|found| **found).count();
            cells.push(json!({ "kind": kind, "outer": outer, "found": found, "of": all.len() }));
        }
    }
    cells
}

/// What is recognised in text that has nothing to do with the inputs.
fn false_alarms(index: &Fingerprints, scanner: &Scanner) -> Result<Value, Box<dyn Error>> {
    let mut generated = 0;
    for seed in 0..(UNRELATED_BYTES / (16 << 20)) as u64 {
        generated += u64::from(index.recognises(&prose(16 << 20, 1000 + seed)));
    }
    let (mut files, mut bytes, mut alarms) = (0u64, 0u64, 0u64);
    for folder in std::env::args_os().skip(1) {
        for path in files_below(Path::new(&folder), 0) {
            let Ok(content) = fs::read(&path) else { continue };
            files += 1;
            bytes += content.len() as u64;
            // Documents are mostly packed: what they unpack to is looked at too.
            alarms += u64::from(!scanner.scan(&content).prints.is_empty());
        }
    }
    Ok(json!({
        "generated_bytes": UNRELATED_BYTES, "generated_alarms": generated,
        "files": files, "file_bytes": bytes, "file_alarms": alarms,
    }))
}

fn files_below(folder: &Path, depth: usize) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files = Vec::new();
    for entry in entries.flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && depth < 32 => files.extend(files_below(&entry.path(), depth + 1)),
            Ok(kind) if kind.is_file() => files.push(entry.path()),
            _ => {}
        }
    }
    files
}

/// Numbers that only look like chance, another row for each seed.
fn numbers(seed: u64) -> impl Iterator<Item = u64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    })
}

const SYLLABLES: [&str; 32] = [
    "ka", "lo", "mi", "ren", "tos", "vel", "dur", "an", "pe", "sh", "qui", "zor", "the", "in", "er", "al", "or", "is",
    "to", "ed", "un", "ma", "ne", "st", "ci", "ou", "gra", "ble", "fi", "ta", "ro", "ing",
];

/// Sentences of words that are made of syllables, with numbers among them.
fn prose(bytes: usize, seed: u64) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes + 64);
    for number in numbers(seed) {
        if text.len() >= bytes {
            break;
        }
        if number.is_multiple_of(19) {
            text.extend_from_slice(format!("{}.{:02}", number >> 8 & 0xff, (number >> 16) % 100).as_bytes());
        } else {
            for turn in 0..1 + (number >> 40 & 3) {
                text.extend_from_slice(SYLLABLES[(number >> (5 * turn) & 31) as usize].as_bytes());
            }
        }
        text.extend_from_slice(if number >> 50 & 15 == 0 { b".\n" } else { b" " });
    }
    text
}

/// Patients, each with values of its own.
fn table(rows: u64) -> Vec<u8> {
    let mut text = b"patient,name,born,radius,texture,town,smoker\n".to_vec();
    let mut chance = numbers(3);
    for row in 0..rows {
        let mut next = |most: u64| chance.next().unwrap_or(0) % most;
        let mut word = |length: u64| -> String { (0..length).map(|_| SYLLABLES[next(32) as usize]).collect() };
        let (first, last, town) = (word(2), word(3), word(1));
        let line = format!(
            "P{},{first} {last},19{:02}-{:02}-{:02},{}.{:03},{}.{:02},{town},{}\n",
            840_000 + 7 * row,
            next(100),
            1 + next(12),
            1 + next(28),
            6 + next(22),
            next(1000),
            9 + next(30),
            next(100),
            if next(2) == 0 { "yes" } else { "no" },
        );
        text.extend_from_slice(line.as_bytes());
    }
    text
}
