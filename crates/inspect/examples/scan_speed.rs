//! How fast the scanner looks at clean mixed text, one core, all detectors, and what it finds in labelled documents:
//! `cargo run --release -p hotcell-inspect --example scan_speed -- [FOLDER]`.
//!
//! Prints one object of JSON. With a folder of documents and their `labels.jsonl`, also what was found of each kind.

#![allow(clippy::print_stdout, reason = "an example tells what it measured")]

use std::collections::BTreeMap;
use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use hotcell_inspect::scan::{BUILTIN, Scanner};
use regex_automata::meta::Regex;
use serde::Deserialize;
use serde_json::{Value, json};

/// How long each figure is measured.
const AT_LEAST: Duration = Duration::from_secs(3);
/// The long text, and the body of a request.
const TEXT_BYTES: usize = 16 << 20;
const BODY_BYTES: usize = 10_000;

fn main() -> Result<(), Box<dyn Error>> {
    let begun = Instant::now();
    let scanner = Scanner::builtin()?;
    let made = begun.elapsed();
    let text = mixed(TEXT_BYTES);
    let body = mixed(BODY_BYTES);
    // Patterns are compiled when they are first needed.
    if !scanner.scan(&text).is_clean() || !scanner.scan(&body).is_clean() {
        return Err("the clean text is not clean".into());
    }
    let (long, short) = (median(&scanner, &text), median(&scanner, &body));
    let labelled = std::env::args_os().nth(1).map(|folder| score(&scanner, Path::new(&folder))).transpose()?;
    let figures = json!({
        "detectors": scanner.detectors().len(),
        "made_ms": made.as_secs_f64() * 1e3,
        "text_mb_per_s": text.len() as f64 / 1e6 / long.as_secs_f64(),
        "body_ms": short.as_secs_f64() * 1e3,
        "one_after_the_other": one_after_the_other(text.get(..BODY_BYTES * 100).unwrap_or(&text))?,
        "without_end_ms_per_mb": without_end(&scanner),
        "labelled": labelled,
    });
    println!("{figures}");
    Ok(())
}

/// What the processor has spent on this thread: others on the machine do not count.
fn spent() -> Duration {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(spent.tv_sec as u64, spent.tv_nsec as u32)
}

/// How fast the patterns of keys and tokens go over clean text by themselves, one after the other.
fn one_after_the_other(text: &[u8]) -> Result<Value, Box<dyn Error>> {
    let mut patterns = Vec::new();
    for (_, file) in BUILTIN.iter().filter(|(name, _)| *name == "secrets.toml") {
        let file: toml::Table = toml::from_str(file)?;
        for detector in file.get("detector").and_then(toml::Value::as_array).into_iter().flatten() {
            if let Some(pattern) = detector.get("pattern").and_then(toml::Value::as_str) {
                let syntax = regex_automata::util::syntax::Config::new().utf8(false);
                patterns.push(Regex::builder().syntax(syntax).build(pattern)?);
            }
        }
    }
    let begun = spent();
    for pattern in &patterns {
        black_box(pattern.find_iter(black_box(text)).count());
    }
    let speed = text.len() as f64 / 1e6 / (spent() - begun).as_secs_f64();
    Ok(json!({"patterns": patterns.len(), "text_mb_per_s": speed}))
}

/// Bytes of which any may begin or go on with something, and nothing ends: milliseconds for one megabyte of each, and
/// for each of four megabytes, which is the same where time grows with length alone.
fn without_end(scanner: &Scanner) -> Value {
    let kinds =
        ["7", "4-", "1 ", "1.", "12:", "@", "a@", "+1", "a1", "%4", "tel:", "-----BEGIN RSA PRIVATE KEY-----", "市"];
    let times = kinds.map(|part| {
        let times = [1, 4].map(|megabytes| {
            let text = part.repeat(megabytes * 1_000_000 / part.len());
            let begun = spent();
            black_box(scanner.scan(black_box(text.as_bytes())));
            (spent() - begun).as_secs_f64() * 1e3 / megabytes as f64
        });
        (part.to_owned(), json!(times))
    });
    times.into_iter().collect::<serde_json::Map<_, _>>().into()
}

/// The processor's time of the median scan.
fn median(scanner: &Scanner, bytes: &[u8]) -> Duration {
    let mut times = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < AT_LEAST {
        let begun = spent();
        black_box(scanner.scan(black_box(bytes)));
        times.push(spent() - begun);
    }
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// Prose in three languages, a log, a table, JSON and code, in turns, with numbers, dates and paths of every kind and
/// nothing to find.
fn mixed(bytes: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes + 1024);
    let mut row = 0u32;
    while text.len() < bytes {
        row += 1;
        let (small, large) = (row % 97, row.wrapping_mul(7919) % 99_991);
        let part = match row % 6 {
            0 => format!(
                "The ward was quiet that evening, and the {small} beds by the window were made before supper came.\n"
            ),
            1 => format!(
                "2026-11-{:02}T07:{:02}:11Z INFO queue.worker handled batch={large} in {small}.5 ms, retry=no\n",
                small % 28 + 1,
                small % 60
            ),
            2 => format!("{row},{large},0.{large:05},yes,north wing,{small}\n"),
            3 => format!(
                "{{\"row\":{row},\"score\":0.{large:05},\"state\":\"done\",\"tags\":[\"a{small}\",\"later\"]}}\n"
            ),
            4 => format!(
                "    let total = rows.iter().map(|row| row.weight * {small}).sum::<u64>(); // see lib/src/part_{small}.rs\n"
            ),
            _ => format!("今天的会议讨论了第{small}项计划，大家认为进度正常，下周继续。Der Bericht folgt am Montag.\n"),
        };
        text.extend_from_slice(part.as_bytes());
    }
    // Whole lines only: a part of a character would be no text.
    let whole = text.iter().take(bytes).rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    text.truncate(whole);
    text
}

/// The labels of one document.
#[derive(Deserialize)]
struct Document {
    path: String,
    labels: Vec<Label>,
}

#[derive(Deserialize)]
struct Label {
    kind: String,
    start: u64,
    end: u64,
}

/// What was found of one kind: as labelled, what is none, and what was missed.
#[derive(Default)]
struct Count {
    right: usize,
    wrong: usize,
    missed: usize,
}

fn score(scanner: &Scanner, folder: &Path) -> Result<Value, Box<dyn Error>> {
    let mut counts: BTreeMap<String, Count> = BTreeMap::new();
    for line in std::fs::read_to_string(folder.join("labels.jsonl"))?.lines() {
        let document: Document = serde_json::from_str(line)?;
        let text = std::fs::read(folder.join(&document.path))?;
        let mut missed = document.labels;
        for finding in scanner.scan(&text).findings {
            let count = counts.entry(finding.kind.clone()).or_default();
            let fits =
                |label: &Label| label.kind == finding.kind && label.start < finding.end && finding.start < label.end;
            match missed.iter().position(fits) {
                Some(place) => {
                    missed.remove(place);
                    count.right += 1;
                }
                None => {
                    count.wrong += 1;
                    let value = text.get(finding.start as usize..finding.end as usize).unwrap_or_default();
                    if std::env::var_os("SCAN_TELL").is_some() {
                        eprintln!("wrong {} {}: {}", document.path, finding.kind, String::from_utf8_lossy(value));
                    }
                }
            }
        }
        for label in missed {
            if std::env::var_os("SCAN_TELL").is_some() {
                let value = text.get(label.start as usize..label.end as usize).unwrap_or_default();
                eprintln!("missed {} {}: {}", document.path, label.kind, String::from_utf8_lossy(value));
            }
            counts.entry(label.kind).or_default().missed += 1;
        }
    }
    let share = |part: usize, of: usize| (of > 0).then(|| part as f64 / of as f64);
    let kinds = counts.into_iter().map(|(kind, count)| {
        let Count { right, wrong, missed } = count;
        let figures = json!({
            "precision": share(right, right + wrong),
            "recall": share(right, right + missed),
            "right": right, "wrong": wrong, "missed": missed,
        });
        (kind, figures)
    });
    Ok(kinds.collect::<serde_json::Map<_, _>>().into())
}
